//! What happens at the edges: flows that begin, and a policy that changes while packets pass.

use std::sync::Arc;
use std::time::Instant as Wall;

use portcullis_nat::NatSpec;
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

/// Batches before they are.
const QUIET: usize = 2048;

/// New flows per second, one figure per sample: each packet begins one. With so many rules in front of the one that matches.
fn new_flows(nat: NatSpec, rules: usize, samples: usize) -> Vec<f64> {
    let mut bench = Bench::new(Case::Firewall(Flows::Million));
    bench.publish(Arc::new(policy::stateful(2, nat, &policy::rules(rules))));
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

/// What applying many rules costs, one figure per time that they were applied.
#[derive(Default)]
struct Applied {
    /// Seconds to compile them, beside the packets.
    compile: Vec<f64>,
    /// Seconds of a batch before.
    before: Vec<f64>,
    /// Seconds of a batch while flows were judged anew.
    during: Vec<f64>,
    /// Seconds until every flow was judged.
    until_judged: Vec<f64>,
    /// Packets that were not forwarded, in all.
    lost: u64,
}

/// Applies a policy with [`RULES`] rules while 10,000 flows send.
fn apply(samples: usize) -> Applied {
    let mut bench = Bench::new(Case::Nat(Flows::TenThousand));
    let hertz = hertz();
    let seconds = |clocks: u64| clocks as f64 / hertz;
    let mut applied = Applied::default();
    for number in 0..samples {
        let quiet: u64 = (0..QUIET).map(|batch| bench.batch(batch)).sum();
        applied.before.push(seconds(quiet) / QUIET as f64);
        let start = Wall::now();
        let next = policy::stateful(2 + number as u32, policy::masquerade(), &policy::rules(RULES));
        applied.compile.push(start.elapsed().as_secs_f64());
        let sent = bench.forwarded();
        bench.publish(Arc::new(next));
        let (mut clocks, mut batches) = (bench.batch(0), 1);
        while bench.is_changing() {
            clocks += bench.batch(batches);
            batches += 1;
        }
        applied.during.push(seconds(clocks) / batches as f64);
        applied.until_judged.push(seconds(clocks));
        applied.lost += (batches * BATCH) as u64 - (bench.forwarded() - sent);
    }
    applied
}

/// All of this as JSON.
pub(crate) fn json(samples: usize) -> Value {
    let applied = apply(samples);
    json!({
        "new_flows_per_second": new_flows(NatSpec::default(), 2, samples),
        "new_flows_many_rules_per_second": new_flows(NatSpec::default(), RULES, samples),
        "new_flows_nat_per_second": new_flows(policy::masquerade(), 2, samples),
        "memory_bytes_per_flow": memory_per_flow(),
        "apply": {
            "rules": RULES,
            "compile_seconds": applied.compile,
            "batch_before_seconds": applied.before,
            "batch_during_seconds": applied.during,
            "until_judged_seconds": applied.until_judged,
            "lost_packets": applied.lost,
        },
    })
}

/// All memory of a full table of masqueraded flows, each with a mapping of its own.
fn memory_per_flow() -> f64 {
    let mut bench = Bench::new(Case::Nat(Flows::Million));
    bench.state_bytes() as f64 / policy::CAPACITY as f64
}
