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
    let found: Value = serde_json::from_str(&said).map_err(|error| format!("{error}: {said}"))?;
    let middle = |samples: &Value| {
        let samples: Vec<f64> =
            samples.as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
        median(&samples)
    };
    let mut table = Table::new(&["flows in memory, one core", "measured"]);
    let mut row = |what: &str, value: String| table.row(vec![what.to_owned(), value]);
    for (what, key) in [
        ("new flows, firewall", "new_flows_per_second"),
        ("new flows, firewall with 10,000 rules", "new_flows_many_rules_per_second"),
        ("new flows, firewall + masquerade", "new_flows_nat_per_second"),
    ] {
        let rate = middle(&found[key]);
        row(what, format!("{:.2} million per second, {:.0} ns each", rate / 1e6, 1e9 / rate));
    }
    let bytes = found["memory_bytes_per_flow"].as_f64().unwrap_or(f64::NAN);
    row("memory of a masqueraded flow, all in", format!("{bytes:.0} bytes"));
    let apply = &found["apply"];
    let compile = middle(&apply["compile_seconds"]);
    row("10,000 rules compiled, beside the packets", format!("{:.0} ms", compile * 1e3));
    let during = middle(&apply["batch_during_seconds"]);
    let before = middle(&apply["batch_before_seconds"]);
    let text = format!("{:.1} us ({:.1} us before)", during * 1e6, before * 1e6);
    row("batch of 64 while 10,000 flows are judged by them", text);
    let judged = middle(&apply["until_judged_seconds"]);
    row("until all are judged", format!("{:.1} ms", judged * 1e3));
    row("packets lost meanwhile", apply["lost_packets"].to_string());
    Ok(table.text())
}
