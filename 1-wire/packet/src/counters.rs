//! Counters that one thread writes and any thread reads.
//!
//! Adding is a load and a store, not a locked instruction: cheap enough for every packet. So each
//! worker has counters of its own, on cache lines of its own, and readers sum over the workers. If
//! two threads wrote one counter, counts would get lost; nothing worse would happen.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::DropReason;

/// A number that only grows.
#[derive(Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Zero.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Adds `n`. For the one thread that writes this counter.
    #[inline(always)]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// The number now.
    #[inline]
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Sets it. For the one thread that writes it.
    #[inline(always)]
    pub fn store(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The number now.
    #[inline]
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Gauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.get(), f)
    }
}

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.get(), f)
    }
}

/// One [`Counter`] per [`DropReason`]; shares no cache line with anything else.
#[repr(align(64))]
pub struct DropCounters([Counter; DropReason::COUNT]);

impl DropCounters {
    /// All zero.
    #[must_use]
    pub const fn new() -> Self {
        Self([const { Counter::new() }; DropReason::COUNT])
    }

    /// Counts `n` packets dropped for `reason`. For the one thread that writes these counters.
    #[inline]
    pub fn add(&self, reason: DropReason, n: u64) {
        if let Some(counter) = self.0.get(reason.slot()) {
            counter.add(n);
        }
    }

    /// Packets dropped for `reason` so far.
    #[must_use]
    pub fn get(&self, reason: DropReason) -> u64 {
        self.0.get(reason.slot()).map_or(0, Counter::get)
    }

    /// Packets dropped so far, for whatever reason.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().map(Counter::get).fold(0, u64::wrapping_add)
    }
}

impl Default for DropCounters {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for DropCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen = DropReason::ALL.iter().map(|&r| (r.name(), self.get(r))).filter(|&(_, n)| n > 0);
        f.debug_map().entries(seen).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_counted_apart() {
        let drops = DropCounters::new();
        for (i, &reason) in DropReason::ALL.iter().enumerate() {
            drops.add(reason, i as u64 + 1);
        }
        for (i, &reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(drops.get(reason), i as u64 + 1);
        }
        let n = DropReason::COUNT as u64;
        assert_eq!(drops.total(), n * (n + 1) / 2);
    }

    #[test]
    fn debugging_shows_only_what_was_dropped() {
        let drops = DropCounters::new();
        drops.add(DropReason::TxFull, 2);
        drops.add(DropReason::TxFull, 1);
        assert_eq!(format!("{drops:?}"), r#"{"tx-full": 3}"#);
    }

    #[test]
    fn the_counters_of_two_workers_share_no_cache_line() {
        assert_eq!(align_of::<DropCounters>(), 64);
        assert_eq!(size_of::<DropCounters>() % 64, 0);
    }
}
