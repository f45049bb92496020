//! `cargo xtask test`: everything that must hold before a change goes in.

use std::time::Instant;

use crate::packages;
use crate::run::{cargo, need_root, run};

/// A step's name, the driver that the gateway is on (see `tests/blackbox/src/driver.rs`), and cargo's arguments.
type Step = (&'static str, &'static str, &'static [&'static str]);

const STEPS: &[Step] = &[
    ("format", "", &["fmt", "--all", "--check"]),
    (
        "lints",
        "",
        &["clippy", "--quiet", "--workspace", "--all-targets", DPDK, "--", "--deny", "warnings"],
    ),
    // What is measured is built as users build it.
    (
        "release build",
        "",
        &["build", "--quiet", "--release", "-p", "portcullis", "-p", "portcullis-blackbox"],
    ),
    ("build", "", &["build", "--quiet", "--workspace", "--all-targets", DPDK]),
    // Under every order of loads and stores that the memory model allows: how tables are published; how a device is
    // stopped that threads poll, how one that sleeps is woken, and how buffers are handed over.
    ("model", "", &["run", "--quiet", "--release", "--manifest-path", "2-tables/loom/Cargo.toml"]),
    (
        "model of threads",
        "",
        &["run", "--quiet", "--release", "--manifest-path", "5-system/loom/Cargo.toml"],
    ),
    ("tests", "", &["test", "--workspace", "--no-fail-fast", DPDK]),
    // Packets go the same way.
    (
        "tests on DPDK",
        "dpdk",
        &["test", "-p", "portcullis-blackbox", "--test", "forwarding", "--", "--skip", "kernel::"],
    ),
    ("tests on net_memif", "dpdk-memif", ON_OTHER_DEVICES),
    ("tests on net_tap", "dpdk-tap", ON_OTHER_DEVICES),
];

/// Some of each kind, for the two devices whose other end is the harness's: a process, and the kernel by way of a tap. One at a
/// time: that process polls.
const ON_OTHER_DEVICES: &[&str] = &[
    "test",
    "-p",
    "portcullis-blackbox",
    "--test",
    "forwarding",
    "--",
    "portcullis::two_hosts_reach_each_other",
    "links::portcullis",
    "portcullis::a_packet_that_may_be_fragmented",
    "portcullis::tcp_flows_both_ways_with_offloads_on",
    "tcp_flows_through_several_workers",
    "--test-threads=1",
];

/// The release build goes without, as most users have it.
const DPDK: &str = "--features=portcullis/dpdk";

/// Runs every step, also after one that failed: whoever waits for minutes wants to know all.
pub(crate) fn run_steps() -> Result<(), String> {
    need_root()?;
    let start = Instant::now();
    packages::install(packages::LAB)?;
    let mut failed = Vec::new();
    for &(name, driver, arguments) in STEPS {
        let step = Instant::now();
        println!("== {name}");
        let (driver, cargo) = (format!("PORTCULLIS_DRIVER={driver}"), cargo());
        let words = [&[driver.as_str(), cargo.as_str()], arguments].concat();
        if let Err(error) = run("env", &words) {
            eprintln!("{error}");
            failed.push(name);
        }
        println!("== {name}: {:.0} s", step.elapsed().as_secs_f64());
    }
    let total = start.elapsed().as_secs_f64();
    if failed.is_empty() {
        println!("== everything passed in {total:.0} s");
        Ok(())
    } else {
        Err(format!("== failed after {total:.0} s: {}", failed.join(", ")))
    }
}
