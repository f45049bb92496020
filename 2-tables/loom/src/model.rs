//! A table of two cells and a link to one of them. The writer moves the link, waits for a grace
//! period, and reuses the cell that the link left. The model checker sees whether a reader could be
//! in a cell at that time, or rather whether anything keeps it from being there.

use std::sync::atomic::Ordering;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::AtomicUsize;
use loom::thread;

use crate::publish::{Publisher, Subscriber};

struct Table {
    link: AtomicUsize,
    cells: [UnsafeCell<()>; 2],
}

impl Table {
    fn new() -> Arc<Self> {
        let cells = [UnsafeCell::new(()), UnsafeCell::new(())];
        Arc::new(Self { link: AtomicUsize::new(0), cells })
    }

    fn lookup(&self) {
        let at = self.link.load(Ordering::Acquire);
        self.cells[at].with(|_| ());
    }

    fn change(&self, publisher: &mut Publisher<usize>, publish: bool) {
        self.link.store(1, Ordering::Release);
        let epoch = if publish { publisher.publish(1) } else { publisher.advance() };
        if publisher.seen_by_all() >= epoch {
            self.cells[0].with_mut(|_| ());
        }
    }
}

fn under_every_schedule(
    what: &str,
    publish: bool,
    worker: impl Fn(&mut Subscriber<usize>, &Table) + Copy + Send + Sync + 'static,
) {
    let how = if publish { "a new snapshot" } else { "a new epoch only" };
    println!("{what} ({how})");
    loom::model(move || {
        let table = Table::new();
        let mut publisher = Publisher::new(0);
        let mut subscriber = publisher.subscribe();
        let reader = {
            let table = Arc::clone(&table);
            thread::spawn(move || worker(&mut subscriber, &table))
        };
        table.change(&mut publisher, publish);
        assert_eq!(*publisher.current(), usize::from(publish));
        publisher.collect();
        reader.join().expect("no panic");
    });
}

/// Panics where an order is too weak.
pub(crate) fn check() {
    for publish in [false, true] {
        let what = "a worker between batches is never where memory is being reused";
        under_every_schedule(what, publish, |subscriber, table| {
            for _ in 0..2 {
                table.lookup();
                subscriber.refresh();
            }
            table.lookup();
        });
        let what = "a worker that wakes up is never where memory is being reused";
        under_every_schedule(what, publish, |subscriber, table| {
            table.lookup();
            subscriber.park();
            subscriber.unpark();
            table.lookup();
        });
    }
    under_every_schedule("whoever has seen an epoch has its snapshot", true, |subscriber, _| {
        subscriber.refresh();
        assert_eq!(*subscriber.current() as u64, subscriber.epoch().0);
        subscriber.park();
        subscriber.unpark();
        assert_eq!(*subscriber.current() as u64, subscriber.epoch().0);
    });
}
