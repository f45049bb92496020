//! Addresses that pipelines want resolved, on their way to the manager.
//!
//! Bounded, and producers never wait: a question that finds no room is lost, and asked again by the
//! hold queue that it came from.

use std::sync::Arc;

use crossbeam_queue::ArrayQueue;
use portcullis_pipeline::Resolve;

use crate::{Bell, Doorbell};

/// Questions that may wait.
pub const QUESTIONS: usize = 1024;

/// A pipeline's end. There may be many.
#[derive(Clone, Debug)]
pub struct Asker {
    queue: Arc<ArrayQueue<Resolve>>,
    bell: Bell,
}

/// The manager's end.
#[derive(Debug)]
pub struct Questions {
    queue: Arc<ArrayQueue<Resolve>>,
    doorbell: Doorbell,
}

/// The queue, for the manager to sleep on `doorbell`.
#[must_use]
pub fn questions(doorbell: Doorbell) -> (Asker, Questions) {
    let queue = Arc::new(ArrayQueue::new(QUESTIONS));
    let asker = Asker { queue: Arc::clone(&queue), bell: doorbell.bell() };
    (asker, Questions { queue, doorbell })
}

impl Asker {
    /// Queues questions, and wakes the manager if it sleeps. Returns how many were lost.
    pub fn ask(&self, questions: impl Iterator<Item = Resolve>) -> usize {
        let lost = questions.filter(|&question| self.queue.push(question).is_err()).count();
        self.bell.ring();
        lost
    }
}

impl Questions {
    /// The oldest question.
    pub fn take(&mut self) -> Option<Resolve> {
        self.queue.pop()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// What rings when questions come while the manager sleeps. Arm it, see that
    /// [`Self::is_empty`], sleep.
    #[must_use]
    pub const fn doorbell(&self) -> &Doorbell {
        &self.doorbell
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_packet::IfIndex;
    use std::net::{IpAddr, Ipv4Addr};

    fn question(n: usize) -> Resolve {
        Resolve { interface: IfIndex(0), address: IpAddr::V4(Ipv4Addr::from_bits(n as u32)) }
    }

    #[test]
    fn questions_come_in_their_order_and_those_without_room_are_told() {
        let (asker, mut questions) = questions(Doorbell::new().expect("a doorbell"));
        assert_eq!(asker.ask((0..QUESTIONS + 3).map(question)), 3);
        for n in 0..QUESTIONS {
            assert_eq!(questions.take(), Some(question(n)));
        }
        assert!(questions.is_empty() && questions.take().is_none());
    }
}
