//! The default route, beside the table.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use portcullis_packet::{BATCH, NextHopId};

/// The next hop of 0/0, and in the upper half of the word how often it was changed.
///
/// A lookup that spans two changes, one of the default and one of another route, must not combine
/// the old half of one with the new half of the other: its answer would never have been right. So
/// whoever finds "ask the default" in the table takes a default that was the same before and after.
#[derive(Debug, Default)]
pub(super) struct DefaultRoute(AtomicU64);

/// A default as it was at some moment.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Seen(u64);

impl Seen {
    #[inline(always)]
    const fn next_hop(self) -> NextHopId {
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

    /// The answer for what `find` finds in the table. It looks again whenever the default changed
    /// meanwhile, which is as often as the writer gets on.
    #[inline(always)]
    pub(super) fn answer(&self, find: impl Fn() -> u32) -> NextHopId {
        loop {
            let default = self.before();
            let value = find();
            if value != 0 {
                return NextHopId(value);
            }
            if self.is_still(default) {
                return default.next_hop();
            }
        }
    }

    /// The same for many addresses; `find` gets at most [`BATCH`] at a time.
    #[inline(always)]
    pub(super) fn answer_batch<A>(
        &self,
        addrs: &[A],
        out: &mut [NextHopId],
        find: impl Fn(&[A], &mut [NextHopId]),
    ) {
        for (addrs, out) in addrs.chunks(BATCH).zip(out.chunks_mut(BATCH)) {
            loop {
                let default = self.before();
                find(addrs, out);
                if self.is_still(default) {
                    for (_, out) in addrs.iter().zip(out) {
                        *out = if out.0 == 0 { default.next_hop() } else { *out };
                    }
                    break;
                }
            }
        }
    }

    /// The default; loads of the table that follow in program order happen after it.
    #[inline(always)]
    fn before(&self) -> Seen {
        Seen(self.0.load(Ordering::Acquire))
    }

    /// Whether the default is still the one seen before; loads of the table that precede this call
    /// happened before it.
    #[inline(always)]
    fn is_still(&self, seen: Seen) -> bool {
        fence(Ordering::Acquire);
        self.0.load(Ordering::Relaxed) == seen.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_that_changed_is_not_the_same_even_if_it_changed_back() {
        let default = DefaultRoute::default();
        default.set(NextHopId(7));
        let seen = default.before();
        assert_eq!(seen.next_hop(), NextHopId(7));
        assert!(default.is_still(seen));
        default.set(NextHopId(8));
        assert!(!default.is_still(seen));
        default.set(NextHopId(7));
        assert!(!default.is_still(seen), "what it hid in between may have come and gone");
        assert_eq!(default.before().next_hop(), NextHopId(7));
    }
}
