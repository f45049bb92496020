//! Instructions per packet, counted by valgrind: the figure that a busy machine does not change.

use std::process::Command;

use portcullis_packet::BATCH;

use crate::cases::Case;

/// Batches that are counted: few, since instructions do not depend on caches.
const ROUNDS: u64 = 512;

/// Instructions per packet of a case. None if valgrind is not installed or says nothing.
pub(crate) fn count(case: Case) -> Option<f64> {
    let program = std::env::current_exe().ok()?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--toggle-collect=*Bench*timed_part*")
        .arg(program)
        .args(["--rounds", case.name(), &ROUNDS.to_string()])
        .output()
        .ok()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said.lines().find_map(|line| line.split_once("Collected :"))?.1;
    let instructions: f64 = collected.trim().parse().ok()?;
    Some(instructions / (ROUNDS * BATCH as u64) as f64)
}
