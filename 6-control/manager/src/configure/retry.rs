//! When something that the kernel refused may be tried again.

use std::time::Duration;

use portcullis_packet::Instant;

/// What the kernel does not take is tried again so soon, and then less and less often.
const FIRST: Duration = Duration::from_secs(1);
const LAST: Duration = Duration::from_secs(16);

/// When the next try is due.
#[derive(Debug)]
pub(super) struct Retry {
    next: Instant,
    wait: Duration,
}

impl Retry {
    /// At once.
    pub(super) fn new() -> Self {
        Self { next: Instant::default(), wait: FIRST }
    }

    /// It may be possible now, or was done: a try that fails is as good as the first.
    pub(super) fn reset(&mut self) {
        *self = Self::new();
    }

    /// Whether there was a try.
    pub(super) fn was_tried(&self) -> bool {
        self.next != Instant::default()
    }

    /// Whether it is to be tried now.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        if now < self.next {
            return false;
        }
        self.next = now + self.wait;
        self.wait = (self.wait * 2).min(LAST);
        true
    }
}
