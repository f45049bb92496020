//! A packet buffer is one thread's at a time, on its way from the I/O thread to the pipeline and back, and none is lost when
//! the I/O thread ends.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use crate::Doorbell;
use crate::ring::{Receiver, Sender, ring};

/// A buffer, which the checker watches, and how many of its kind were released.
struct Buffer {
    bytes: Arc<Memory>,
    released: Arc<AtomicUsize>,
}

struct Memory(UnsafeCell<u32>);

// SAFETY: that is what is checked.
unsafe impl Send for Memory {}
// SAFETY: likewise.
unsafe impl Sync for Memory {}

impl Buffer {
    fn change(&mut self) -> u32 {
        // SAFETY: as above.
        self.bytes.0.with_mut(|bytes| unsafe {
            *bytes += 1;
            *bytes
        })
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.change();
        self.released.fetch_add(1, Ordering::Relaxed);
    }
}

/// As the pipeline's loop: until the I/O thread is gone, and what it has left behind is done.
fn work(mut work: Receiver<Buffer>, mut done: Sender<Buffer>) -> usize {
    let mut worked = 0;
    while !(work.is_abandoned() && work.is_empty()) {
        match work.take() {
            Some(mut buffer) => {
                buffer.change();
                worked += 1;
                // If nobody takes it any more it is released here.
                let _ = done.send(buffer);
            }
            None => thread::yield_now(),
        }
    }
    worked
}

pub(crate) fn check() {
    for (buffers, turns) in [(1, 2), (2, 1)] {
        let mut model = loom::model::Builder::new();
        // More schedules than that would take hours.
        model.preemption_bound = Some(3);
        model.check(move || {
            let released = Arc::new(AtomicUsize::new(0));
            let (mut to_pipeline, work_out) = ring(buffers, &Doorbell);
            let (done_in, mut from_pipeline) = ring(buffers, &Doorbell);
            let pipeline = thread::spawn(move || work(work_out, done_in));
            let make = || Buffer {
                bytes: Arc::new(Memory(UnsafeCell::new(0))),
                released: Arc::clone(&released),
            };
            let mut home: Vec<Buffer> = (0..buffers).map(|_| make()).collect();
            let mut sent = 0;
            for _ in 0..turns {
                for mut buffer in home.drain(..) {
                    buffer.change();
                    sent += 1;
                    assert!(
                        to_pipeline.send(buffer).is_ok(),
                        "there is room for all that go round"
                    );
                }
                while let Some(mut buffer) = from_pipeline.take() {
                    assert_eq!(buffer.change() % 3, 0, "both have changed it");
                    home.push(buffer);
                }
            }
            // Without waiting for what is under way.
            drop((to_pipeline, from_pipeline, home));
            assert_eq!(pipeline.join().expect("no panic"), sent, "all that was sent was worked on");
            assert_eq!(released.load(Ordering::Relaxed), buffers, "each once");
        });
        println!("{buffers} buffers, {turns} turns: each is one thread's, and none is lost");
    }
}
