//! What happens at the edges: flows that begin, and a policy that changes while packets pass.

use std::sync::Arc;
use std::time::Instant as Wall;

use portcullis_packet::BATCH;
use portcullis_pipeline::State;
use serde_json::{Value, json};

use crate::cases::{Case, Flows};
use crate::policy;
use crate::run::{Bench, hertz, state_config};

/// Flows that begin in one sample.
const NEW: usize = 1_000_000;

/// Rules of the policy that is applied.
const RULES: usize = 10_000;

/// New flows per second, one figure per sample: each packet begins one.
pub(crate) fn new_flows(nat: bool, samples: usize) -> Vec<f64> {
    let case = if nat { Case::Nat(Flows::Million) } else { Case::Firewall(Flows::Million) };
    let mut bench = Bench::new(case);
    let hertz = hertz();
    (0..samples)
        .map(|_| {
            // An empty table, whose making is not timed.
            drop(bench.equip(Box::new(State::new(state_config()))));
            let clocks = bench.begin_flows(NEW.div_ceil(BATCH));
            let began = bench.flows();
            assert!(began >= NEW, "{began} of {NEW} flows began");
            began as f64 / (clocks as f64 / hertz)
        })
        .collect()
}

/// What applying many rules costs.
pub(crate) struct Applied {
    /// Seconds to compile them, beside the packets.
    pub(crate) compile_seconds: f64,
    /// Microseconds that the slowest batch took before, median over samples.
    pub(crate) worst_before: f64,
    /// The same while the table was judged anew.
    pub(crate) worst_after: f64,
    /// Batches until every flow was judged.
    pub(crate) batches: u64,
    /// Packets that were not forwarded.
    pub(crate) lost: u64,
}

/// Applies a policy with [`RULES`] rules while 10,000 flows send.
pub(crate) fn apply() -> Applied {
    let mut bench = Bench::new(Case::Nat(Flows::TenThousand));
    let hertz = hertz();
    let worst_before = bench.slowest(2048) as f64 / hertz * 1e6;
    let start = Wall::now();
    let next = policy::stateful(2, policy::masquerade(), &policy::rules(RULES));
    let compile_seconds = start.elapsed().as_secs_f64();
    let sent = bench.forwarded();
    bench.publish(Arc::new(next));
    let (mut worst, mut batches) = (0, 0);
    while batches < 16 || bench.is_changing() {
        worst = worst.max(bench.slowest(1));
        batches += 1;
    }
    let lost = batches * BATCH as u64 - (bench.forwarded() - sent);
    Applied {
        compile_seconds,
        worst_before,
        worst_after: worst as f64 / hertz * 1e6,
        batches,
        lost,
    }
}

/// All of this as JSON.
pub(crate) fn json(samples: usize) -> Value {
    let applied = apply();
    json!({
        "new_flows_firewall_per_second": new_flows(false, samples),
        "new_flows_nat_per_second": new_flows(true, samples),
        "memory_bytes_per_flow": memory_per_flow(),
        "apply": {
            "rules": RULES,
            "compile_seconds": applied.compile_seconds,
            "slowest_batch_before_us": applied.worst_before,
            "slowest_batch_after_us": applied.worst_after,
            "batches_until_judged": applied.batches,
            "lost_packets": applied.lost,
        },
    })
}

/// All memory of a full table of masqueraded flows, each with a mapping of its own.
pub(crate) fn memory_per_flow() -> f64 {
    let mut bench = Bench::new(Case::Nat(Flows::Million));
    bench.state_bytes() as f64 / policy::CAPACITY as f64
}
