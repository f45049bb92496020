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

/// A worker that sleeps and wakes between any two lookups, and a table of two cells in which the
/// one that is not linked is scribbled over as soon as the grace period allows it. Without the
/// fences in `unpark` and `seen_by_all` this fails within some thousand rounds on two cores.
#[test]
fn a_worker_that_wakes_up_never_finds_what_is_being_reused() {
    const SCRIBBLE: usize = usize::MAX;
    let link = AtomicUsize::new(0);
    let cells = [AtomicUsize::new(7), AtomicUsize::new(SCRIBBLE)];
    let mut publisher = Publisher::new(());
    let (stop, lookups) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            let mut subscriber = publisher.subscribe();
            let (link, cells, stop, lookups) = (&link, &cells, &stop, &lookups);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    subscriber.park();
                    subscriber.unpark();
                    let at = link.load(Ordering::Acquire);
                    // A lookup takes its time, so that whoever may reuse the cell has it too.
                    (0..8).for_each(|_| std::hint::spin_loop());
                    let found = cells[at].load(Ordering::Relaxed);
                    if found == SCRIBBLE {
                        stop.store(true, Ordering::Relaxed);
                        panic!("found what is being reused");
                    }
                    lookups.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let mut linked = 0;
        while lookups.load(Ordering::Relaxed) < 1_000_000 && !stop.load(Ordering::Relaxed) {
            let other = 1 - linked;
            cells[other].store(7, Ordering::Relaxed);
            link.store(other, Ordering::Release);
            let epoch = publisher.advance();
            while publisher.seen_by_all() < epoch && !stop.load(Ordering::Relaxed) {}
            cells[linked].store(SCRIBBLE, Ordering::Relaxed);
            linked = other;
        }
        stop.store(true, Ordering::Relaxed);
    });
}
