//! I/O and pipeline threads together.

/// Each of these tests twice.
macro_rules! on_one_thread_and_on_two {
    ($($test:ident)*) => {
        mod one_thread {
            $(#[test] fn $test() { super::$test(crate::gateway::Threads::One) })*
        }
        mod two_threads {
            $(#[test] fn $test() { super::$test(crate::gateway::Threads::Two) })*
        }
    };
}

mod allocations;
mod gateway;
#[path = "../../../drivers/tests/support/mod.rs"]
mod namespace;
mod on_devices;
mod on_memory;

use std::time::{Duration, Instant};

/// Tries until `done` is true; generous, as the machine may be busy.
#[track_caller]
fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !done() {
        assert!(Instant::now() < end, "not within ten seconds: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
