//! What threads of the dataplane wait for each other by, under every schedule and every memory order the language allows:
//! `cargo run --release --manifest-path 5-system/loom/Cargo.toml`.
//!
//! A crate of its own outside the workspace, so that the dataplane depends on nothing for it.

#[path = "../../dpdk/src/gate.rs"]
mod gate;
#[path = "../../dataplane/src/sleeper.rs"]
mod sleeper;

mod stopping;
mod waking;

/// What they are built on, as the model checker has it.
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU32, Ordering, fence};
}

fn main() {
    stopping::check();

    waking::check();
}
