//! The stateful pipeline in memory: beside plain forwarding of the same run, what flows, firewall and NAT cost.

use std::collections::BTreeMap;

use serde_json::Value;

use super::median;
use super::table::Table;
use crate::run::{cargo, output};

/// Plain forwarding with one route: what the others are compared with.
const PLAIN: &str = "ip4-1";

/// Names of the bench's cases, and what they are.
const CASES: [(&str, &str); 7] = [
    (PLAIN, "plain forwarding, 1 route"),
    ("firewall-1", "firewall, 1 flow"),
    ("firewall-10k", "firewall, 10,000 flows"),
    ("firewall-1m", "firewall, 1,000,000 flows"),
    ("nat-1", "firewall + masquerade, 1 flow"),
    ("nat-10k", "firewall + masquerade, 10,000 flows"),
    ("nat-1m", "firewall + masquerade, 1,000,000 flows"),
];

/// Samples of new flows per second: each fills a table.
const FILLS: &str = "5";

/// Clocks per packet of each case, one figure per round.
#[derive(Default)]
pub(super) struct Flows {
    clocks: BTreeMap<String, Vec<f64>>,
    instructions: BTreeMap<String, f64>,
}

impl Flows {
    /// Takes note of a row of the bench, if it is one of ours. True if it is a stateful one.
    pub(super) fn add(&mut self, row: &Value) -> bool {
        let Some(case) = row["case"].as_str() else { return false };
        if let Some(clocks) = row["tsc_clocks_per_packet"].as_f64() {
            self.clocks.entry(case.to_owned()).or_default().push(clocks);
        }
        if let Some(count) = row["instructions_per_packet"].as_f64() {
            self.instructions.insert(case.to_owned(), count);
        }
        row["flows"].is_u64()
    }

    /// The tables, at `hertz` clocks per second.
    pub(super) fn report(&self, hertz: f64) -> Result<String, String> {
        let clocks = |case: &str| self.clocks.get(case).map_or(f64::NAN, |all| median(all));
        let mut table = Table::new(&[
            "flows in memory, 64 bytes, one core",
            "Mpps",
            "ns",
            "clocks",
            "instructions",
            "of plain forwarding",
        ]);
        for (case, name) in CASES {
            let own = clocks(case);
            table.row(vec![
                name.to_owned(),
                format!("{:.1}", hertz / own / 1e6),
                format!("{:.1}", own / hertz * 1e9),
                format!("{own:.1}"),
                self.instructions.get(case).map_or("-".to_owned(), |count| format!("{count:.0}")),
                format!("{:.2}", clocks(PLAIN) / own),
            ]);
        }
        Ok(table.text() + &setup()?)
    }
}

/// What happens when flows begin, and when the policy changes.
fn setup() -> Result<String, String> {
    let words = ["run", "--quiet", "--release", "-p", "portcullis-bench", "--", "--setup", FILLS];
    let said = output(&cargo(), &words)?;
    let found: Value =
        serde_json::from_str(&said).map_err(|error| format!("{error}: {said}"))?;
    let rate = |key: &str| {
        let samples: Vec<f64> =
            found[key].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
        format!("{:.2} million", median(&samples) / 1e6)
    };
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    let apply = &found["apply"];
    let mut table = Table::new(&["flows in memory, one core", "measured"]);
    let mut row = |what: &str, value: String| table.row(vec![what.to_owned(), value]);
    row("new flows per second, firewall", rate("new_flows_firewall_per_second"));
    row("new flows per second, firewall + masquerade", rate("new_flows_nat_per_second"));
    let bytes = format!("{:.0} bytes", number(&found["memory_bytes_per_flow"]));
    row("memory of a masqueraded flow, all in", bytes);
    let compile = format!("{:.0} ms", number(&apply["compile_seconds"]) * 1e3);
    row("10,000 rules compiled, beside the packets", compile);
    let before = number(&apply["slowest_batch_before_us"]);
    let after = number(&apply["slowest_batch_after_us"]);
    let batches = number(&apply["batches_until_judged"]);
    let text = format!("{after:.0} us ({before:.0} us before), for {batches:.0} batches");
    row("slowest batch of 64 while 10,000 flows are judged by them", text);
    row("packets lost meanwhile", format!("{:.0}", number(&apply["lost_packets"])));
    Ok(table.text())
}
