//! Bounded queues of one producer and one consumer, with a doorbell for a consumer that sleeps.
//!
//! Batches go round between an I/O thread and its pipeline in these, and packets of the trap thread
//! to a pipeline. A full ring gives the item back: what becomes of it then is the producer's
//! business, which never waits.

use rtrb::{Consumer, Producer, PushError, RingBuffer};

use crate::{Bell, Doorbell};

/// The producer's end.
#[derive(Debug)]
pub struct Sender<T> {
    ring: Producer<T>,
    bell: Bell,
}

/// The consumer's end.
#[derive(Debug)]
pub struct Receiver<T> {
    ring: Consumer<T>,
}

/// A ring for `capacity` items, whose consumer sleeps on `doorbell`.
#[must_use]
pub fn ring<T>(capacity: usize, doorbell: &Doorbell) -> (Sender<T>, Receiver<T>) {
    let (producer, consumer) = RingBuffer::new(capacity);
    (Sender { ring: producer, bell: doorbell.bell() }, Receiver { ring: consumer })
}

impl<T> Sender<T> {
    /// Queues an item, and wakes the consumer if it sleeps.
    ///
    /// # Errors
    /// The item, if the ring is full.
    #[inline]
    pub fn send(&mut self, item: T) -> Result<(), T> {
        self.push(item)?;
        self.bell.ring();
        Ok(())
    }

    /// Queues an item quietly, for a [`Self::ring`] after the last of several.
    ///
    /// # Errors
    /// The item, if the ring is full.
    #[inline]
    pub fn push(&mut self, item: T) -> Result<(), T> {
        self.ring.push(item).map_err(|PushError::Full(item)| item)
    }

    /// Wakes the consumer if it sleeps.
    #[inline]
    pub fn ring(&self) {
        self.bell.ring();
    }

    /// Whether all that was queued has been taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ring.slots() == self.ring.buffer().capacity()
    }

    /// Whether the consumer is gone, so that nothing queued will ever be taken.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.ring.is_abandoned()
    }
}

impl<T> Receiver<T> {
    /// The oldest item.
    #[inline]
    pub fn take(&mut self) -> Option<T> {
        self.ring.pop().ok()
    }

    /// Whether there is none.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// Items that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ring.slots()
    }

    /// Whether the producer is gone, so that nothing more will come than is there.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.ring.is_abandoned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_in_their_order_and_a_full_ring_gives_the_item_back() {
        let doorbell = Doorbell::new().expect("a doorbell");
        let (mut sender, mut receiver) = ring(2, &doorbell);
        assert_eq!(
            (sender.send('a'), sender.send('b'), sender.send('c')),
            (Ok(()), Ok(()), Err('c'))
        );
        assert_eq!((receiver.take(), receiver.len()), (Some('a'), 1));
        assert_eq!(sender.send('c'), Ok(()));
        assert_eq!(
            (receiver.take(), receiver.take(), receiver.take()),
            (Some('b'), Some('c'), None)
        );
    }

    #[test]
    fn each_end_notices_that_the_other_is_gone() {
        let doorbell = Doorbell::new().expect("a doorbell");
        let (mut sender, mut receiver) = ring(2, &doorbell);
        assert_eq!(sender.send(1), Ok(()));
        assert!(!receiver.is_abandoned() && !sender.is_abandoned());
        drop(sender);
        assert!(receiver.is_abandoned() && !receiver.is_empty());
        assert_eq!(receiver.take(), Some(1));
        let (sender, receiver) = ring::<u8>(2, &doorbell);
        drop(receiver);
        assert!(sender.is_abandoned());
    }
}
