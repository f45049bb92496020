//! How tables are published, and how answers are remembered, under every schedule and every memory order the language allows:
//! `cargo run --release --manifest-path 2-tables/loom/Cargo.toml`.
//!
//! A crate of its own outside the workspace, so that the tables depend on nothing for it; a program
//! and not a test, so that it does not take the file's own tests along.

#[path = "../../src/lpm/generation.rs"]
mod generation;
#[path = "../../src/publish.rs"]
mod publish;

/// What the two are built on, as the model checker has it.
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
    pub(crate) use loom::sync::{Arc, Mutex, MutexGuard};
    pub(crate) use std::sync::{PoisonError, TryLockError};
}

mod model;
mod remembered;

fn main() {
    model::check();
    remembered::check();
}
