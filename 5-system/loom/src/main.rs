//! What threads of the dataplane wait for each other by, and hand buffers over by, under every schedule and every memory order the
//! language allows: `cargo run --release --manifest-path 5-system/loom/Cargo.toml`.
//!
//! A crate of its own outside the workspace, so that the dataplane depends on nothing for it.

#[path = "../../dpdk/src/gate.rs"]
mod gate;
#[expect(dead_code, reason = "the model does not use all of it")]
#[path = "../../dataplane/src/ring.rs"]
mod ring;
#[path = "../../dataplane/src/sleeper.rs"]
mod sleeper;

mod handover;
mod stopping;
mod waking;

/// What they are built on, as the model checker has it.
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU32, Ordering, fence};
}

/// What rings are rung by, where nobody sleeps.
#[derive(Debug)]
pub(crate) struct Doorbell;

#[derive(Debug)]
pub(crate) struct Bell;

impl Doorbell {
    pub(crate) fn bell(&self) -> Bell {
        Bell
    }
}

impl Bell {
    pub(crate) fn ring(&self) {}
}

fn main() {
    stopping::check();
    waking::check();
    handover::check();
}
