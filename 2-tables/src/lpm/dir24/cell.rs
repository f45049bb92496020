//! The two widths of an entry.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};

use zerocopy::FromZeros;

/// An entry: a value, or with [`Self::GROUP`] set the number of a group.
pub(in super::super) trait Cell:
    FromZeros + Debug + Send + Sync + 'static
{
    /// The bit that says which. What is below it can be a value, and number a group.
    const GROUP: u32;

    /// The most groups a table of such entries is made for.
    const MOST_GROUPS: usize = Self::GROUP as usize;

    fn load(&self, order: Ordering) -> u32;

    /// Stores an entry, which fits, so that a reader who sees it sees all that was stored before.
    fn publish(&self, entry: u32);
}

impl Cell for AtomicU16 {
    const GROUP: u32 = 1 << 15;

    #[inline(always)]
    fn load(&self, order: Ordering) -> u32 {
        self.load(order).into()
    }

    #[inline(always)]
    fn publish(&self, entry: u32) {
        self.store(entry as u16, Ordering::Release);
    }
}

impl Cell for AtomicU32 {
    const GROUP: u32 = 1 << 31;

    #[inline(always)]
    fn load(&self, order: Ordering) -> u32 {
        self.load(order)
    }

    #[inline(always)]
    fn publish(&self, entry: u32) {
        self.store(entry, Ordering::Release);
    }
}
