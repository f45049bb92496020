//! The one place where the data path reads a clock. Everything below is passed the time.

use portcullis_packet::Instant;
use rustix::time::{ClockId, clock_gettime};

/// Now, by the system's monotonic clock: the same for all threads.
#[inline]
#[must_use]
pub fn now() -> Instant {
    let now = clock_gettime(ClockId::Monotonic);
    Instant(now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned())
}
