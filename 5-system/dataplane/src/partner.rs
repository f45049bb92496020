//! What an I/O loop runs on its own thread beside itself: its pipeline, or nothing.

use std::time::Duration;

use portcullis_packet::Instant;

/// The pipeline, seen from the I/O loop that has its thread.
pub(crate) trait Partner {
    /// Works on what there is. True if there was anything to do.
    fn work(&mut self, now: Instant) -> bool;

    /// A last look, after the doorbell was armed and before the thread sleeps. For how long it may; `None` if there is
    /// something to do. After `Some`, [`Self::wakes`] follows.
    fn falls_asleep(&mut self, now: Instant) -> Option<Duration>;

    /// The thread has slept.
    fn wakes(&mut self);
}

/// The pipeline has a thread of its own.
pub(crate) struct Elsewhere;

impl Partner for Elsewhere {
    #[inline]
    fn work(&mut self, _now: Instant) -> bool {
        false
    }

    fn falls_asleep(&mut self, _now: Instant) -> Option<Duration> {
        Some(Duration::MAX)
    }

    fn wakes(&mut self) {}
}
