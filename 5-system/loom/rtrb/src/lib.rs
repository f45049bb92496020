//! A ring of one producer and one consumer on loom's atomics and cells, which notice two threads in one slot.

use std::fmt;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

pub struct RingBuffer<T> {
    slots: Vec<UnsafeCell<Option<T>>>,
    /// How many items have been taken, and how many were put in.
    head: AtomicUsize,
    tail: AtomicUsize,
    abandoned: AtomicBool,
}

// SAFETY: that a slot is one thread's at a time is what is checked.
unsafe impl<T: Send> Send for RingBuffer<T> {}
// SAFETY: likewise.
unsafe impl<T: Send> Sync for RingBuffer<T> {}

#[derive(Debug)]
pub struct Producer<T>(Arc<RingBuffer<T>>);

#[derive(Debug)]
pub struct Consumer<T>(Arc<RingBuffer<T>>);

#[derive(Debug)]
pub struct PopError;

pub enum PushError<T> {
    Full(T),
}

impl<T> fmt::Debug for RingBuffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RingBuffer")
    }
}

impl<T> RingBuffer<T> {
    #[expect(clippy::new_ret_no_self, reason = "as the ring has it that this stands in for")]
    #[must_use]
    pub fn new(capacity: usize) -> (Producer<T>, Consumer<T>) {
        let ring = Arc::new(Self {
            slots: (0..capacity).map(|_| UnsafeCell::new(None)).collect(),
            head: AtomicUsize::new(0),
            tail: AtomicUsize::new(0),
            abandoned: AtomicBool::new(false),
        });
        (Producer(Arc::clone(&ring)), Consumer(ring))
    }

    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.slots.len()
    }

    fn len(&self) -> usize {
        let head = self.head.load(Ordering::Acquire);
        self.tail.load(Ordering::Acquire) - head
    }
}

impl<T> Producer<T> {
    pub fn push(&mut self, item: T) -> Result<(), PushError<T>> {
        let tail = self.0.tail.load(Ordering::Relaxed);
        if tail - self.0.head.load(Ordering::Acquire) == self.0.capacity() {
            return Err(PushError::Full(item));
        }
        // SAFETY: checked by the cell.
        self.0.slots[tail % self.0.capacity()].with_mut(|slot| unsafe { *slot = Some(item) });
        self.0.tail.store(tail + 1, Ordering::Release);
        Ok(())
    }

    #[must_use]
    pub fn slots(&self) -> usize {
        self.0.capacity() - self.0.len()
    }

    #[must_use]
    pub fn buffer(&self) -> &RingBuffer<T> {
        &self.0
    }

    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.0.abandoned.load(Ordering::Acquire)
    }
}

impl<T> Consumer<T> {
    /// # Errors
    /// If there is no item.
    pub fn pop(&mut self) -> Result<T, PopError> {
        let head = self.0.head.load(Ordering::Relaxed);
        if head == self.0.tail.load(Ordering::Acquire) {
            return Err(PopError);
        }
        // SAFETY: checked by the cell.
        let item =
            self.0.slots[head % self.0.capacity()].with_mut(|slot| unsafe { (*slot).take() });
        self.0.head.store(head + 1, Ordering::Release);
        item.ok_or(PopError)
    }

    #[must_use]
    pub fn slots(&self) -> usize {
        self.0.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.0.abandoned.load(Ordering::Acquire)
    }
}

impl<T> Drop for Producer<T> {
    fn drop(&mut self) {
        self.0.abandoned.store(true, Ordering::Release);
    }
}

impl<T> Drop for Consumer<T> {
    fn drop(&mut self) {
        self.0.abandoned.store(true, Ordering::Release);
    }
}
