//! A consumer that sleeps is woken by every producer that has something for it.

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use crate::sleeper::Sleeper;

/// What a consumer and its producers share: as many queues as there are producers, and the event.
struct Shared {
    sleeper: Sleeper,
    queued: [AtomicUsize; 2],
    rung: Mutex<bool>,
    event: Condvar,
}

impl Shared {
    fn queued(&self) -> usize {
        self.queued.iter().map(|queue| queue.load(Ordering::Acquire)).sum()
    }

    /// As a doorbell does it.
    fn produce(&self, queue: usize, items: usize) {
        for item in 1..=items {
            self.queued[queue].store(item, Ordering::Release);
            if self.sleeper.is_to_be_woken() {
                *self.rung.lock().expect("no panic") = true;
                self.event.notify_one();
            }
        }
    }

    /// As the loops do it: until so many items came. If a wake-up were lost, nobody would run any more, and the checker
    /// would say so.
    fn consume(&self, items: usize) {
        let mut seen = 0;
        while seen < items {
            self.sleeper.falls_asleep();
            if self.queued() == seen {
                let mut rung = self.rung.lock().expect("no panic");
                while !*rung {
                    rung = self.event.wait(rung).expect("no panic");
                }
            }
            self.sleeper.wakes();
            *self.rung.lock().expect("no panic") = false;
            seen = self.queued();
        }
    }
}

pub(crate) fn check() {
    for (producers, items) in [(1, 2), (2, 1)] {
        let mut model = loom::model::Builder::new();
        // More schedules than that would take hours.
        model.preemption_bound = Some(3);
        model.check(move || {
            let shared = Arc::new(Shared {
                sleeper: Sleeper::new(),
                queued: [AtomicUsize::new(0), AtomicUsize::new(0)],
                rung: Mutex::new(false),
                event: Condvar::new(),
            });
            let threads: Vec<_> = (0..producers)
                .map(|queue| {
                    let shared = Arc::clone(&shared);
                    thread::spawn(move || shared.produce(queue, items))
                })
                .collect();
            shared.consume(producers * items);
            for thread in threads {
                thread.join().expect("no panic");
            }
        });
        println!("{producers} producers, {items} items each: no wake-up is lost");
    }
}
