//! Waiting for what happens in other processes.

use std::fs::{self, File};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::interrupt;

/// Calls `condition` until it holds, and says how long that took.
///
/// # Panics
///
/// If it does not hold within `limit`; `what` says what was waited for.
#[track_caller]
pub fn wait_until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if condition() {
            return start.elapsed();
        }
        interrupt::point();
        assert!(start.elapsed() < limit, "{what}: not within {limit:?}");
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Waits for, and keeps until dropped, the one right on this machine to measure time.
///
/// # Panics
///
/// If the lock file can't be made.
#[must_use]
pub fn alone() -> impl Drop {
    struct Alone(File);
    impl Drop for Alone {
        fn drop(&mut self) {
            // Closing the file unlocks it too; there is nothing to do about a failure.
            let _ = self.0.unlock();
        }
    }
    let path = std::env::temp_dir().join("portcullis-lab.lock");
    let file = fs::OpenOptions::new().create(true).append(true).open(path);
    let file = file.expect("the lock file can be made");
    file.lock().expect("the lock file can be locked");
    Alone(file)
}
