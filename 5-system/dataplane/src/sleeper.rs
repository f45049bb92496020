//! Whether a consumer sleeps, so that producers ring only then.
//!
//! Why no wake-up is lost: the consumer stores "I sleep", then looks at its queues a last time; the
//! producer stores into the queue, then loads "does it sleep?". Between store and load each has a
//! sequentially consistent fence. One of the two fences comes first in their common order. If it
//! is the consumer's, the producer sees that it sleeps, and rings. If it is the producer's,
//! the consumer's last look finds what was queued. Without the fences both could load
//! the older value, and the item would lie there until something else rings.
//!
//! Sleeps have numbers, and a producer ends the one that it saw: not the next one, if it comes late. `5-system/loom` proves all this
//! under every order of loads and stores.

use crate::sync::{AtomicU32, Ordering, fence};

/// Whether a consumer sleeps.
#[derive(Debug)]
pub(crate) struct Sleeper {
    /// The number of the sleep, or [`AWAKE`].
    now: AtomicU32,
    /// The number of the last one. The consumer's alone.
    last: AtomicU32,
}

const AWAKE: u32 = 0;

impl Sleeper {
    /// One that is awake.
    pub(crate) fn new() -> Self {
        Self { now: AtomicU32::new(AWAKE), last: AtomicU32::new(AWAKE) }
    }

    /// The consumer is about to sleep. It must look at all its queues once more after this.
    pub(crate) fn falls_asleep(&self) {
        let number = self.last.load(Ordering::Relaxed).wrapping_add(1).max(1);
        self.last.store(number, Ordering::Relaxed);
        self.now.store(number, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The consumer is awake.
    pub(crate) fn wakes(&self) {
        self.now.store(AWAKE, Ordering::Relaxed);
    }

    /// Whether a producer is to wake the consumer, to be asked after it has queued something. Of many that ask, one is told so.
    #[inline]
    pub(crate) fn is_to_be_woken(&self) -> bool {
        fence(Ordering::SeqCst);
        let number = self.now.load(Ordering::Relaxed);
        number != AWAKE && self.end(number)
    }

    #[cold]
    fn end(&self, number: u32) -> bool {
        let ended = self.now.compare_exchange(number, AWAKE, Ordering::Relaxed, Ordering::Relaxed);
        ended.is_ok()
    }
}
