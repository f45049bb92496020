//! The queue of packets for the gateway's own kernel: many pipelines in, the trap thread out.
//!
//! Four bounded queues, one per [`PuntClass`], so that a flood of one class fills only its own.
//! Producers never wait: a full queue gives the packet back. The one receiver takes from the
//! classes in turns, the urgent ones more often: each class may give [`weight`] packets per turn, and
//! none waits longer than one turn of the others.

use std::sync::Arc;

use crossbeam_queue::ArrayQueue;
use portcullis_packet::{Packet, PuntClass};

use crate::{Bell, Doorbell};

/// Packets of one class that may wait.
pub const CLASS_CAPACITY: usize = 256;

const CLASSES: usize = PuntClass::ALL.len();

/// Packets of a class per turn.
#[must_use]
pub const fn weight(class: PuntClass) -> u8 {
    match class {
        // A session is given up after three missed packets, often within 150 ms (RFC 5880).
        PuntClass::Bfd => 16,
        // Without an answer here nothing is forwarded at all.
        PuntClass::Neighbor => 8,
        PuntClass::Routing => 8,
        PuntClass::Other => 4,
    }
}

type Queues = [ArrayQueue<Packet>; CLASSES];

/// A producer's end. There may be many.
#[derive(Clone, Debug)]
pub struct TrapSender {
    queues: Arc<Queues>,
    bell: Bell,
}

/// The receiver's end. There is one.
#[derive(Debug)]
pub struct TrapReceiver {
    queues: Arc<Queues>,
    doorbell: Doorbell,
    credit: [u8; CLASSES],
}

/// The queue, for the receiver to sleep on `doorbell`.
#[must_use]
pub fn trap_queue(doorbell: Doorbell) -> (TrapSender, TrapReceiver) {
    let queues = Arc::new(std::array::from_fn(|_| ArrayQueue::new(CLASS_CAPACITY)));
    let sender = TrapSender { queues: Arc::clone(&queues), bell: doorbell.bell() };
    (sender, TrapReceiver { queues, doorbell, credit: [0; CLASSES] })
}

impl TrapSender {
    /// Queues a packet quietly, for a [`Self::ring`] after the last of several.
    ///
    /// # Errors
    /// The packet, if its class is full.
    #[inline]
    pub fn push(&self, class: PuntClass, packet: Packet) -> Result<(), Packet> {
        match self.queues.get(class.slot()) {
            Some(queue) => queue.push(packet),
            None => Err(packet),
        }
    }

    /// Wakes the receiver if it sleeps.
    #[inline]
    pub fn ring(&self) {
        self.bell.ring();
    }
}

impl TrapReceiver {
    /// The next packet, and its class.
    pub fn take(&mut self) -> Option<(PuntClass, Packet)> {
        self.take_within_credit().or_else(|| {
            for class in PuntClass::ALL {
                if let Some(credit) = self.credit.get_mut(class.slot()) {
                    *credit = weight(class);
                }
            }
            self.take_within_credit()
        })
    }

    fn take_within_credit(&mut self) -> Option<(PuntClass, Packet)> {
        PuntClass::ALL.into_iter().find_map(|class| {
            let credit = self.credit.get_mut(class.slot())?;
            let left = credit.checked_sub(1)?;
            let packet = self.queues.get(class.slot())?.pop()?;
            *credit = left;
            Some((class, packet))
        })
    }

    /// Whether no packet waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queues.iter().all(ArrayQueue::is_empty)
    }

    /// Packets of `class` that wait.
    #[must_use]
    pub fn len(&self, class: PuntClass) -> usize {
        self.queues.get(class.slot()).map_or(0, ArrayQueue::len)
    }

    /// What rings when packets are queued while the receiver sleeps. Arm it, see that
    /// [`Self::is_empty`], sleep.
    #[must_use]
    pub const fn doorbell(&self) -> &Doorbell {
        &self.doorbell
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> (TrapSender, TrapReceiver) {
        trap_queue(Doorbell::new().expect("a doorbell"))
    }

    fn packet() -> Packet {
        Packet::from_bytes(b"x")
    }

    #[test]
    fn a_full_class_gives_packets_back_and_the_others_still_take_some() {
        let (sender, mut receiver) = queue();
        for _ in 0..CLASS_CAPACITY {
            assert!(sender.push(PuntClass::Other, packet()).is_ok());
        }
        assert!(sender.push(PuntClass::Other, packet()).is_err());
        assert!(sender.push(PuntClass::Routing, packet()).is_ok());
        let taken = std::iter::from_fn(|| receiver.take()).count();
        assert_eq!(taken, CLASS_CAPACITY + 1);
        assert!(receiver.is_empty());
    }

    #[test]
    fn no_class_waits_longer_than_one_turn_of_the_others() {
        let (sender, mut receiver) = queue();
        for class in PuntClass::ALL {
            for _ in 0..100 {
                assert!(sender.push(class, packet()).is_ok());
            }
        }
        let turn: usize = PuntClass::ALL.into_iter().map(|class| usize::from(weight(class))).sum();
        for _ in 0..3 {
            let mut taken = [0u8; CLASSES];
            for _ in 0..turn {
                let (class, _) = receiver.take().expect("plenty");
                taken[class.slot()] += 1;
            }
            for class in PuntClass::ALL {
                assert_eq!(taken[class.slot()], weight(class), "{}", class.name());
            }
        }
    }

    #[test]
    fn an_urgent_packet_overtakes_those_that_wait() {
        let (sender, mut receiver) = queue();
        for _ in 0..10 {
            assert!(sender.push(PuntClass::Other, packet()).is_ok());
        }
        assert_eq!(receiver.take().map(|(class, _)| class), Some(PuntClass::Other));
        assert!(sender.push(PuntClass::Bfd, packet()).is_ok());
        assert_eq!(receiver.take().map(|(class, _)| class), Some(PuntClass::Bfd));
    }

    #[test]
    fn many_producers_lose_nothing() {
        const EACH: usize = 5000;
        let (sender, mut receiver) = queue();
        std::thread::scope(|scope| {
            for class in PuntClass::ALL {
                let sender = sender.clone();
                scope.spawn(move || {
                    for _ in 0..EACH {
                        let mut packet = packet();
                        while let Err(back) = sender.push(class, packet) {
                            packet = back;
                            std::thread::yield_now();
                        }
                        sender.ring();
                    }
                });
            }
            let mut taken = 0;
            while taken < EACH * CLASSES {
                match receiver.take() {
                    Some(_) => taken += 1,
                    None => std::thread::yield_now(),
                }
            }
        });
        assert!(receiver.take().is_none());
    }
}
