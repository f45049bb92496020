//! Handing snapshots to worker threads, and knowing what they can no longer be looking at.
//!
//! A [`Publisher`] on the control side gives each snapshot an [`Epoch`]. Each worker has a
//! [`Subscriber`] and calls [`Subscriber::refresh`] between batches, where it holds no reference
//! into any table. That costs one load if nothing changed. If something did, the worker takes the
//! newest snapshot out of its slot and leaves the one it had there, so that the publisher frees it:
//! a worker never waits, allocates or frees.
//!
//! # Grace periods
//!
//! Tables that are changed in place may reuse what they unlinked once no worker can be looking at
//! it (quiescent-state-based reclamation). The control side unlinks, then calls
//! [`Publisher::publish`] or [`Publisher::advance`], which gives an epoch, then waits until
//! [`Publisher::seen_by_all`] has reached it. Why that suffices:
//!
//! * The epoch is stored with release after the unlinking, and a worker loads it with acquire: what
//!   the worker looks up afterwards is reached by links that were there after the unlinking.
//! * The worker marks the epoch as seen with release after its last lookup of the batch before, and
//!   [`Publisher::seen_by_all`] loads the mark with acquire: those lookups happened before the
//!   reuse.
//!
//! # Sleeping workers
//!
//! A worker that sleeps would hold all this up. It calls [`Subscriber::park`] before, and
//! [`Subscriber::unpark`] after, and looks nothing up in between. Parking is a release store, as
//! above. Waking is a race, though: the worker stores "I am back" and then loads links; the
//! control side stores links and then loads "is it back?". With nothing but release and acquire
//! both loads may get the older value, and the worker walks into memory that is being reused. So
//! there is a sequentially consistent fence between store and load on either side. One of the two
//! fences comes first in their common order. If it is the worker's, the control side sees that it
//! is back, with the old epoch it went to sleep with, and waits. If it is the control side's, the
//! worker sees the unlinking and cannot reach what is reused.
//!
//! All of this is checked by a model, `2-tables/loom`: weaken any one order or fence, and it fails.

use portcullis_packet::Epoch;

use crate::sync::{Arc, AtomicU64, Mutex, MutexGuard, Ordering, PoisonError, TryLockError, fence};

/// A mark above all epochs: the worker looks nothing up, and holds nobody up.
const AWAY: u64 = u64::MAX;

/// Where a snapshot waits for one worker.
#[derive(Debug)]
struct Mailbox<T> {
    /// The newest snapshot, if the worker has not taken it yet.
    fresh: Option<(Epoch, Arc<T>)>,
    /// The one the worker had before it took the last.
    spent: Option<Arc<T>>,
}

/// What a publisher and one subscriber share. A cache line of its own: the worker writes its mark.
#[derive(Debug)]
#[repr(align(128))]
struct Slot<T> {
    seen: AtomicU64,
    mailbox: Mutex<Mailbox<T>>,
}

impl<T> Slot<T> {
    /// For the control side, which may wait for as long as it takes to swap two pointers.
    fn lock(&self) -> MutexGuard<'_, Mailbox<T>> {
        self.mailbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For the worker, which may not.
    fn try_lock(&self) -> Option<MutexGuard<'_, Mailbox<T>>> {
        match self.mailbox.try_lock() {
            Ok(mailbox) => Some(mailbox),
            Err(TryLockError::Poisoned(mailbox)) => Some(mailbox.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// The control side's end.
#[derive(Debug)]
pub struct Publisher<T> {
    epoch: Arc<AtomicU64>,
    current: Arc<T>,
    slots: Vec<Arc<Slot<T>>>,
}

impl<T> Publisher<T> {
    /// A publisher whose first snapshot is this one, of epoch 0.
    #[must_use]
    pub fn new(first: T) -> Self {
        Self { epoch: Arc::new(AtomicU64::new(0)), current: Arc::new(first), slots: Vec::new() }
    }

    /// Another worker's end. It starts with the newest snapshot.
    pub fn subscribe(&mut self) -> Subscriber<T> {
        let epoch = self.epoch();
        let slot = Arc::new(Slot {
            seen: AtomicU64::new(epoch.0),
            mailbox: Mutex::new(Mailbox { fresh: None, spent: None }),
        });
        self.slots.push(Arc::clone(&slot));
        Subscriber {
            newest: Arc::clone(&self.epoch),
            slot,
            seen: epoch,
            current: Arc::clone(&self.current),
        }
    }

    /// Puts this snapshot in the place of the last. A worker that is slow gets the newest only.
    pub fn publish(&mut self, snapshot: T) -> Epoch {
        let epoch = Epoch(self.epoch().0 + 1);
        self.current = Arc::new(snapshot);
        for slot in &self.slots {
            let mut mailbox = slot.lock();
            let old = (mailbox.fresh.take(), mailbox.spent.take());
            mailbox.fresh = Some((epoch, Arc::clone(&self.current)));
            drop(mailbox);
            drop(old);
        }
        self.epoch.store(epoch.0, Ordering::Release);
        epoch
    }

    /// A new epoch without a new snapshot, for what was changed in tables that it leads to.
    pub fn advance(&mut self) -> Epoch {
        let epoch = Epoch(self.epoch().0 + 1);
        self.epoch.store(epoch.0, Ordering::Release);
        epoch
    }

    /// The newest snapshot.
    #[must_use]
    pub fn current(&self) -> &T {
        &self.current
    }

    /// The newest epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        // Only `&mut self` changes it.
        Epoch(self.epoch.load(Ordering::Relaxed))
    }

    /// The newest epoch that every worker has seen or sleeps through.
    #[must_use]
    pub fn seen_by_all(&self) -> Epoch {
        // The counterpart of the fence in `unpark`; see the module's description.
        fence(Ordering::SeqCst);
        let newest = self.epoch().0;
        let seen = self.slots.iter().map(|slot| slot.seen.load(Ordering::Acquire)).min();
        Epoch(seen.unwrap_or(newest).min(newest))
    }

    /// Frees snapshots that workers are through with, and forgets workers that are gone. To be
    /// called now and then; returns how many snapshots it let go of.
    pub fn collect(&mut self) -> usize {
        self.slots.retain(|slot| Arc::strong_count(slot) > 1);
        self.slots
            .iter()
            .filter(|slot| {
                let spent = slot.lock().spent.take();
                spent.is_some()
            })
            .count()
    }
}

/// A worker's end.
#[derive(Debug)]
pub struct Subscriber<T> {
    newest: Arc<AtomicU64>,
    slot: Arc<Slot<T>>,
    seen: Epoch,
    current: Arc<T>,
}

impl<T> Subscriber<T> {
    /// Takes the newest snapshot, if there is one, and marks its epoch as seen. To be called between
    /// batches. True if [`Self::current`] is another snapshot than before.
    #[inline]
    pub fn refresh(&mut self) -> bool {
        let newest = Epoch(self.newest.load(Ordering::Acquire));
        newest != self.seen && self.catch_up(newest)
    }

    #[cold]
    fn catch_up(&mut self, newest: Epoch) -> bool {
        // While the publisher is at the slot, yesterday's snapshot does; the next call gets it.
        let Some(mut mailbox) = self.slot.try_lock() else { return false };
        let fresh = mailbox.fresh.take();
        let taken = fresh.is_some();
        self.seen = newest;
        if let Some((epoch, snapshot)) = fresh {
            // It may be newer than the epoch loaded above, but never older than it should be.
            self.seen = newest.max(epoch);
            mailbox.spent = Some(std::mem::replace(&mut self.current, snapshot));
        }
        drop(mailbox);
        self.slot.seen.store(self.seen.0, Ordering::Release);
        taken
    }

    /// The snapshot.
    #[inline]
    #[must_use]
    pub fn current(&self) -> &T {
        &self.current
    }

    /// The epoch last seen.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.seen
    }

    /// Nobody waits for this worker any more. It must not look anything up, in the snapshot or in
    /// a table, until [`Self::unpark`].
    pub fn park(&mut self) {
        self.slot.seen.store(AWAY, Ordering::Release);
    }

    /// The worker is back. True if [`Self::current`] is another snapshot than before.
    pub fn unpark(&mut self) -> bool {
        self.slot.seen.store(self.seen.0, Ordering::Relaxed);
        // The counterpart of the fence in `seen_by_all`; see the module's description.
        fence(Ordering::SeqCst);
        self.refresh()
    }
}

impl<T> Drop for Subscriber<T> {
    fn drop(&mut self) {
        self.slot.seen.store(AWAY, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize};
    use std::thread::{self, ThreadId};

    use super::*;

    #[test]
    fn a_subscriber_starts_with_the_newest_snapshot_and_gets_the_newest_only() {
        let mut publisher = Publisher::new('a');
        assert_eq!(publisher.publish('b'), Epoch(1));
        let mut subscriber = publisher.subscribe();
        assert_eq!((*subscriber.current(), subscriber.epoch()), ('b', Epoch(1)));
        assert!(!subscriber.refresh());
        publisher.publish('c');
        publisher.publish('d');
        assert_eq!(*subscriber.current(), 'b', "nothing changes under a batch");
        assert!(subscriber.refresh());
        assert_eq!((*subscriber.current(), subscriber.epoch()), ('d', Epoch(3)));
        assert!(!subscriber.refresh());
        assert_eq!(*publisher.current(), 'd');
    }

    #[test]
    fn an_epoch_without_a_snapshot_is_seen_but_changes_nothing() {
        let mut publisher = Publisher::new('a');
        let mut subscriber = publisher.subscribe();
        assert_eq!(publisher.advance(), Epoch(1));
        assert_eq!(publisher.seen_by_all(), Epoch(0));
        assert!(!subscriber.refresh());
        assert_eq!((*subscriber.current(), publisher.seen_by_all()), ('a', Epoch(1)));
    }

    #[test]
    fn an_epoch_is_seen_by_all_when_the_last_worker_has_seen_it_or_sleeps_or_is_gone() {
        let mut publisher = Publisher::new(());
        assert_eq!((publisher.advance(), publisher.seen_by_all()), (Epoch(1), Epoch(1)));
        let (mut a, mut b) = (publisher.subscribe(), publisher.subscribe());
        publisher.advance();
        a.refresh();
        assert_eq!(publisher.seen_by_all(), Epoch(1));
        b.park();
        assert_eq!(publisher.seen_by_all(), Epoch(2));
        publisher.advance();
        assert_eq!(publisher.seen_by_all(), Epoch(2));
        assert!(!b.unpark());
        assert_eq!(b.epoch(), Epoch(3));
        drop(a);
        assert_eq!(publisher.seen_by_all(), Epoch(3));
        publisher.collect();
        assert_eq!(publisher.slots.len(), 1);
    }

    #[test]
    fn while_the_publisher_is_at_the_slot_a_worker_goes_on_with_what_it_has() {
        let mut publisher = Publisher::new('a');
        let mut subscriber = publisher.subscribe();
        publisher.publish('b');
        let slot = Arc::clone(&publisher.slots[0]);
        let held = slot.lock();
        assert!(!subscriber.refresh());
        assert_eq!((*subscriber.current(), publisher.seen_by_all()), ('a', Epoch(0)));
        drop(held);
        assert!(subscriber.refresh());
        assert_eq!((*subscriber.current(), publisher.seen_by_all()), ('b', Epoch(1)));
    }

    /// Says on which thread it is freed.
    struct Traced<'a> {
        home: ThreadId,
        freed: &'a AtomicUsize,
    }

    impl Drop for Traced<'_> {
        fn drop(&mut self) {
            assert_eq!(thread::current().id(), self.home);
            self.freed.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn only_the_publisher_frees_snapshots_and_keeps_none_but_those_in_use() {
        let freed = AtomicUsize::new(0);
        let new = || Traced { home: thread::current().id(), freed: &freed };
        let mut publisher = Publisher::new(new());
        let stop = AtomicBool::new(false);
        let mut subscribers = thread::scope(|scope| {
            let workers: Vec<_> = (0..2)
                .map(|_| {
                    let (stop, mut subscriber) = (&stop, publisher.subscribe());
                    scope.spawn(move || {
                        while !stop.load(Ordering::Relaxed) {
                            subscriber.refresh();
                        }
                        subscriber
                    })
                })
                .collect();
            for n in 1..=20_000 {
                publisher.publish(new());
                publisher.collect();
                // The newest, what each worker has, and what it left since: no more are alive.
                assert!(freed.load(Ordering::Relaxed) + 5 > n, "{n}");
            }
            stop.store(true, Ordering::Relaxed);
            workers.into_iter().map(|worker| worker.join().expect("no panic")).collect::<Vec<_>>()
        });
        for subscriber in &mut subscribers {
            subscriber.refresh();
        }
        publisher.collect();
        assert_eq!(freed.load(Ordering::Relaxed), 20_000, "all but the newest");
    }
}
