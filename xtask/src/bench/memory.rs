//! The pipeline in memory beside the plain loop over DPDK's rte_fib.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use super::flows::Flows;
use super::median;
use super::table::Table;
use crate::run::{cargo, output, root, run as run_program};

/// An IP version and a number of routes.
type Case = (u8, u64);

const CASES: [Case; 5] = [(4, 1), (4, 20_000), (4, 1_000_000), (6, 1), (6, 250_000)];

/// Figures of one program, a list of samples per case.
#[derive(Default)]
struct Figures(BTreeMap<Case, Vec<f64>>);

impl Figures {
    fn add(&mut self, case: Case, value: f64) {
        self.0.entry(case).or_default().push(value);
    }

    fn median(&self, case: Case) -> f64 {
        self.0.get(&case).map_or(f64::NAN, |samples| median(samples))
    }
}

/// Alternates between the two, and puts them side by side.
pub(crate) fn run(rounds: usize) -> Result<String, String> {
    let build = ["build", "--quiet", "--release", "-p", "portcullis-bench"];
    run_program(&cargo(), &build)?;
    let plain_loop = compile()?;

    let (mut ours, mut instructions) = (Figures::default(), Figures::default());
    let (mut plain, mut with_generator) = (Figures::default(), Figures::default());
    let (mut lookup, mut rte_fib) = (Figures::default(), Figures::default());
    let (mut allocations, mut hertz) = (0, f64::NAN);
    let mut flows = Flows::default();
    for round in 1..=rounds {
        println!("in memory, round {round} of {rounds}");
        // Instructions do not change from one round to the next, and take long to count.
        let count: &[&str] = if round == 1 { &["--instructions"] } else { &[] };
        for row in rows(&output(&cargo(), &[&BENCH, count].concat())?)? {
            allocations += row["allocations"].as_u64().unwrap_or(0);
            if flows.add(&row) {
                continue;
            }
            if let Some(case) = case(&row) {
                ours.add(case, figure(&row, "tsc_clocks_per_packet")?);
                lookup.add(case, figure(&row, "tsc_clocks_per_lookup")?);
                if let Some(count) = row["instructions_per_packet"].as_f64() {
                    instructions.add(case, count);
                }
            }
        }
        for row in rows(&output(&plain_loop, &["--passes", "500"])?)? {
            if let Some(case) = case(&row) {
                plain.add(case, figure(&row, "tsc_clocks_per_packet")?);
                with_generator.add(case, figure(&row, "tsc_clocks_with_generator")?);
                rte_fib.add(case, figure(&row, "tsc_clocks_per_lookup")?);
                hertz = figure(&row, "tsc_hz")?;
            }
        }
    }

    let mut table = Table::new(&[
        "in memory, 64 bytes, one core",
        "Mpps",
        "ns",
        "clocks",
        "instructions",
        "plain loop Mpps",
        "clocks",
        "(with its generator)",
        "ratio",
        "lookup clocks",
        "rte_fib",
    ]);
    for wanted in CASES {
        let (own, other) = (ours.median(wanted), plain.median(wanted));
        table.row(vec![
            format!("IPv{}, {} routes", wanted.0, wanted.1),
            format!("{:.1}", hertz / own / 1e6),
            format!("{:.1}", own / hertz * 1e9),
            format!("{own:.1}"),
            match instructions.median(wanted) {
                count if count.is_nan() => "-".to_owned(),
                count => format!("{count:.0}"),
            },
            format!("{:.1}", hertz / other / 1e6),
            format!("{other:.1}"),
            format!("({:.1})", with_generator.median(wanted)),
            format!("{:.2}", other / own),
            format!("{:.1}", lookup.median(wanted)),
            format!("{:.1}", rte_fib.median(wanted)),
        ]);
    }
    let heap = format!(
        "Medians of {rounds} alternating runs; allocations while packets were processed: \
         {allocations}.\n\n"
    );
    Ok(table.text() + &heap + &flows.report(hertz)?)
}

const BENCH: [&str; 7] = ["run", "--quiet", "--release", "-p", "portcullis-bench", "--", "--json"];

fn rows(said: &str) -> Result<Vec<Value>, String> {
    serde_json::from_str(said).map_err(|error| format!("{error}: {said}"))
}

fn figure(row: &Value, name: &str) -> Result<f64, String> {
    row[name].as_f64().ok_or_else(|| format!("no {name} in {row}"))
}

/// Ours say `ip4-...`, the plain loop's `ipv4`.
fn case(row: &Value) -> Option<Case> {
    let name = row["case"].as_str().or(row["family"].as_str())?;
    let version = if name.contains('6') { 6 } else { 4 };
    Some((version, row["routes"].as_u64()?))
}

/// Builds the plain loop with Debian's DPDK.
fn compile() -> Result<String, String> {
    let program = root().join("target/plain_loop");
    let flags = output("pkg-config", &["--cflags", "--libs", "libdpdk"])?;
    let source = root().join("bench/peers/plain_loop.c");
    let mut words = vec!["-O3", "-march=native", "-o"];
    let (program, source) = (text(program), text(source));
    words.extend([program.as_str(), source.as_str()]);
    words.extend(flags.split_whitespace());
    run_program("gcc", &words)?;
    Ok(program)
}

fn text(path: PathBuf) -> String {
    path.to_string_lossy().into_owned()
}
