//! The default route, beside the table.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use portcullis_packet::NextHopId;

/// The next hop of 0/0, and in the upper half of the word how often it was changed.
///
/// A lookup that spans two changes, one of the default and one of another route, must not combine
/// the old half of one with the new half of the other: its answer would never have been right. So
/// whoever finds "ask the default" in the table takes a default that was the same before and after.
#[derive(Debug, Default)]
pub(super) struct DefaultRoute(AtomicU64);

/// A default as it was at some moment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen(u64);

impl Seen {
    #[inline(always)]
    pub(super) const fn next_hop(self) -> NextHopId {
        NextHopId(self.0 as u32)
    }
}

impl DefaultRoute {
    /// Changes the default; one writer only.
    pub(super) fn set(&self, next_hop: NextHopId) {
        let changes = (self.0.load(Ordering::Relaxed) >> 32) as u32;
        let word = u64::from(changes.wrapping_add(1)) << 32 | u64::from(next_hop.0);
        self.0.store(word, Ordering::Release);
    }

    /// The default; loads of the table that follow in program order happen after it.
    #[inline(always)]
    pub(super) fn before(&self) -> Seen {
        Seen(self.0.load(Ordering::Acquire))
    }

    /// Whether the default is still the one seen before; loads of the table that precede this call
    /// happened before it.
    #[inline(always)]
    pub(super) fn is_still(&self, seen: Seen) -> bool {
        fence(Ordering::Acquire);
        self.0.load(Ordering::Relaxed) == seen.0
    }
}
