//! The results, for people and for programs.

use std::fmt::Write;

use serde_json::json;

use crate::run::Result;

/// Median of the samples.
fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// A table for a terminal.
pub(crate) fn text(results: &[Result]) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{:<10} {:>9} {:>8} {:>8} {:>8} {:>16} {:>8} {:>12} {:>12}",
        "case",
        "routes",
        "Mpps",
        "ns",
        "clocks",
        "clocks min-max",
        "lookup",
        "instructions",
        "allocations"
    );
    for result in results {
        let clocks = median(&result.clocks);
        let least = result.clocks.iter().copied().fold(f64::INFINITY, f64::min);
        let most = result.clocks.iter().copied().fold(0.0, f64::max);
        let ns = clocks / result.hertz * 1e9;
        let _ = writeln!(
            out,
            "{:<10} {:>9} {:>8.1} {ns:>8.1} {clocks:>8.1} {:>16} {:>8.1} {:>12} {:>12}",
            result.case.name(),
            result.case.routes(),
            1e3 / ns,
            format!("{least:.1}-{most:.1}"),
            median(&result.lookup),
            result.instructions.map_or("-".to_owned(), |count| format!("{count:.1}")),
            result.allocations,
        );
    }
    out
}

/// The same as JSON: an object per case.
pub(crate) fn json(results: &[Result]) -> serde_json::Value {
    let row = |result: &Result| {
        let clocks = median(&result.clocks);
        json!({
            "case": result.case.name(),
            "routes": result.case.routes(),
            "flows": result.case.flows(),
            "mpps": result.hertz / clocks / 1e6,
            "ns_per_packet": clocks / result.hertz * 1e9,
            "tsc_clocks_per_packet": clocks,
            "samples": result.clocks,
            "tsc_clocks_per_lookup": median(&result.lookup),
            "instructions_per_packet": result.instructions,
            "allocations": result.allocations,
            "packets": result.packets,
        })
    };
    results.iter().map(row).collect()
}
