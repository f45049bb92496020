//! A table of one entry, which the writer changes: its answer is the number of the change. A reader
//! remembers an answer with the generation that it read before. The entry is loaded and stored
//! without any order of its own, so that only the generation's can keep an old answer from lasting.

use std::sync::atomic::Ordering;

use loom::sync::Arc;
use loom::sync::atomic::AtomicU32;
use loom::thread;

use crate::generation::{ChangeCount, Generation};
use crate::publish::Publisher;

/// Changes that the writer makes.
const CHANGES: u32 = 2;

fn change(entry: &AtomicU32, count: &mut ChangeCount) {
    for change in 1..=CHANGES {
        entry.store(change, Ordering::Relaxed);
        count.count();
    }
}

fn look_up(entry: &AtomicU32, generation: &Generation) -> (u32, u32) {
    let generation = generation.get();
    (generation, entry.load(Ordering::Relaxed))
}

/// Panics where an order is too weak.
pub(crate) fn check() {
    println!("an answer that is remembered is as new as its generation says");
    loom::model(|| {
        let entry = Arc::new(AtomicU32::new(0));
        let mut count = ChangeCount::new();
        let generation = count.reader();
        let reader = {
            let entry = Arc::clone(&entry);
            let generation = generation.clone();
            thread::spawn(move || {
                let (mut read, mut answer) = look_up(&entry, &generation);
                assert!(answer >= read);
                if generation.get() != read {
                    (read, answer) = look_up(&entry, &generation);
                    assert!(answer >= read);
                }
                (read, answer)
            })
        };
        change(&entry, &mut count);
        let (read, answer) = reader.join().expect("no panic");
        assert!(read != generation.get() || answer == CHANGES, "an old answer lasts");
    });
    println!("whoever has seen an epoch knows of all changes before it");
    loom::model(|| {
        let entry = Arc::new(AtomicU32::new(0));
        let mut count = ChangeCount::new();
        let generation = count.reader();
        let mut publisher = Publisher::new(());
        let mut subscriber = publisher.subscribe();
        let reader = {
            let entry = Arc::clone(&entry);
            thread::spawn(move || {
                let (read, _) = look_up(&entry, &generation);
                subscriber.refresh();
                if subscriber.epoch().0 > 0 {
                    assert_eq!(look_up(&entry, &generation), (CHANGES, CHANGES));
                }
                read
            })
        };
        change(&entry, &mut count);
        publisher.advance();
        assert!(reader.join().expect("no panic") <= CHANGES);
    });
    println!("a table in the place of another has a generation that the other never had");
    loom::model(|| {
        let mut count = ChangeCount::new();
        count.count();
        let old = count.reader();
        let count = count.successor();
        assert_eq!((old.get(), count.reader().get()), (1, 2));
    });
}
