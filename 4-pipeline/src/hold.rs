//! The hold queue: packets whose next hop's link-layer address is not known yet (RFC 1122, 2.3.2.2;
//! RFC 4861, 7.2.2).
//!
//! Bounded threefold: packets per next hop, next hops, packets in all. When one next hop too many
//! asks, the one that has waited longest gives way: an address that answers does so within
//! milliseconds, so under a scan of dead addresses the living ones still get their turn.

use std::net::IpAddr;
use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use portcullis_packet::{IfIndex, Instant, Packet};

use crate::rate::RESOLUTION_TIMEOUT;

/// An address that the kernel is to resolve on a link: what held packets wait for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Resolve {
    /// The link.
    pub interface: IfIndex,
    /// The address to be resolved on it.
    pub address: IpAddr,
}

#[derive(Debug)]
struct Waiting {
    packets: Vec<Packet>,
    give_up: Instant,
    ask_again: Instant,
}

/// Packets that wait, by what they wait for.
#[derive(Debug)]
pub struct HoldQueue {
    waiting: HashMap<Resolve, Waiting, RandomState>,
    /// Empty vectors, kept so that a new next hop needs no allocation.
    spare: Vec<Vec<Packet>>,
    packets: usize,
}

/// What became of a packet that was to be held.
#[derive(Debug)]
pub enum Held {
    /// It waits, and the kernel is to be asked for the address.
    Ask,
    /// It waits; the kernel has been asked already.
    Waits,
    /// No room: the packet comes back.
    Full(Packet),
}

impl HoldQueue {
    /// Next hops that can be waited for at once.
    pub const NEXT_HOPS: usize = 256;
    /// Packets that can wait for one next hop.
    pub const PER_NEXT_HOP: usize = 64;
    /// Packets that can wait in all.
    pub const PACKETS: usize = 1024;

    const ASK_EVERY: Duration = Duration::from_secs(1);

    /// An empty queue, with all the memory it will need.
    #[must_use]
    pub fn new() -> Self {
        Self {
            waiting: HashMap::with_capacity_and_hasher(Self::NEXT_HOPS * 2, RandomState::default()),
            spare: (0..Self::NEXT_HOPS).map(|_| Vec::with_capacity(Self::PER_NEXT_HOP)).collect(),
            packets: 0,
        }
    }

    /// How many packets wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.packets
    }

    /// Whether none does.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packets == 0
    }

    /// Lets a packet wait. Call [`Self::make_room`] first if this is refused for a new next hop.
    pub fn hold(&mut self, awaited: Resolve, packet: Packet, now: Instant) -> Held {
        if self.packets >= Self::PACKETS {
            return Held::Full(packet);
        }
        if let Some(waiting) = self.waiting.get_mut(&awaited) {
            if waiting.packets.len() >= Self::PER_NEXT_HOP {
                return Held::Full(packet);
            }
            waiting.packets.push(packet);
            self.packets += 1;
            return Held::Waits;
        }
        let Some(mut packets) = self.spare.pop() else { return Held::Full(packet) };
        packets.push(packet);
        self.packets += 1;
        let waiting = Waiting {
            packets,
            give_up: now + RESOLUTION_TIMEOUT,
            ask_again: now + Self::ASK_EVERY,
        };
        self.waiting.insert(awaited, waiting);
        Held::Ask
    }

    /// If no further next hop could be waited for, or no further packet, gives up the next hop that
    /// has waited longest: its packets go to `dropped`.
    pub fn make_room(&mut self, dropped: &mut Vec<Packet>) {
        if !self.spare.is_empty() && self.packets < Self::PACKETS {
            return;
        }
        let oldest = self.waiting.iter().min_by_key(|(_, w)| w.give_up).map(|(&a, _)| a);
        if let Some(awaited) = oldest {
            self.take(awaited, dropped);
        }
    }

    /// Whether anybody waits for this.
    #[must_use]
    pub fn awaits(&self, awaited: Resolve) -> bool {
        self.waiting.contains_key(&awaited)
    }

    /// Moves the packets that wait for something `ready` says is there to `released`, and those whose
    /// time is up to `expired`; calls `ask` for those to be asked for again. In the order of arrival
    /// for each next hop.
    pub fn sweep(
        &mut self,
        now: Instant,
        mut ready: impl FnMut(Resolve) -> bool,
        mut ask: impl FnMut(Resolve),
        released: &mut Vec<Packet>,
        expired: &mut Vec<Packet>,
    ) {
        let Self { waiting, spare, packets } = self;
        waiting.retain(|&awaited, entry| {
            let out = if ready(awaited) {
                &mut *released
            } else if entry.give_up <= now {
                &mut *expired
            } else {
                if entry.ask_again <= now {
                    entry.ask_again = now + Self::ASK_EVERY;
                    ask(awaited);
                }
                return true;
            };
            let mut leaving = std::mem::take(&mut entry.packets);
            *packets -= leaving.len();
            out.append(&mut leaving);
            spare.push(leaving);
            false
        });
    }

    /// When [`Self::sweep`] has something to do even if nothing was resolved.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.waiting.values().map(|w| w.give_up.min(w.ask_again)).min()
    }

    fn take(&mut self, awaited: Resolve, into: &mut Vec<Packet>) {
        if let Some(mut waiting) = self.waiting.remove(&awaited) {
            self.packets -= waiting.packets.len();
            into.append(&mut waiting.packets);
            self.spare.push(waiting.packets);
        }
    }
}

impl Default for HoldQueue {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn host(n: u32) -> Resolve {
        Resolve { interface: IfIndex(0), address: Ipv4Addr::from_bits(n).into() }
    }

    fn at(millis: u64) -> Instant {
        Instant(0) + Duration::from_millis(millis)
    }

    fn packet(n: u8) -> Packet {
        Packet::from_bytes(&[n])
    }

    fn fill(queue: &mut HoldQueue, hosts: u32) {
        for n in 0..hosts {
            assert!(matches!(queue.hold(host(n), packet(0), at(u64::from(n))), Held::Ask));
        }
    }

    #[test]
    fn the_first_packet_asks_and_the_next_ones_wait_with_it() {
        let mut queue = HoldQueue::new();
        assert!(matches!(queue.hold(host(1), packet(1), at(0)), Held::Ask));
        assert!(matches!(queue.hold(host(1), packet(2), at(0)), Held::Waits));
        assert!(matches!(queue.hold(host(2), packet(3), at(0)), Held::Ask));
        let (mut released, mut expired) = (vec![], vec![]);
        queue.sweep(at(1), |a| a == host(1), |_| {}, &mut released, &mut expired);
        let bytes: Vec<u8> = released.iter().flat_map(|p| p.data().to_vec()).collect();
        assert_eq!(bytes, [1, 2], "in the order of arrival");
        assert!(expired.is_empty());
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn it_asks_every_second_and_gives_up_after_three() {
        let mut queue = HoldQueue::new();
        fill(&mut queue, 1);
        let mut asked = vec![];
        let (mut released, mut expired) = (vec![], vec![]);
        for millis in (0..=3000).step_by(100) {
            queue.sweep(at(millis), |_| false, |_| asked.push(millis), &mut released, &mut expired);
        }
        assert_eq!(asked, [1000, 2000]);
        assert_eq!((released.len(), expired.len(), queue.len()), (0, 1, 0));
        assert_eq!(queue.deadline(), None);
    }

    #[test]
    fn a_next_hop_has_its_share_and_the_queue_its_size() {
        let mut queue = HoldQueue::new();
        for n in 0..HoldQueue::PER_NEXT_HOP {
            assert!(!matches!(queue.hold(host(0), packet(n as u8), at(0)), Held::Full(_)));
        }
        assert!(matches!(queue.hold(host(0), packet(0), at(0)), Held::Full(_)));
        for n in 1.. {
            if queue.len() == HoldQueue::PACKETS {
                break;
            }
            for _ in 0..HoldQueue::PER_NEXT_HOP {
                assert!(!matches!(queue.hold(host(n), packet(0), at(0)), Held::Full(_)));
            }
        }
        assert!(matches!(queue.hold(host(999), packet(0), at(0)), Held::Full(_)));
    }

    #[test]
    fn one_next_hop_too_many_displaces_the_one_that_waited_longest() {
        let mut queue = HoldQueue::new();
        fill(&mut queue, HoldQueue::NEXT_HOPS as u32);
        assert!(matches!(queue.hold(host(9999), packet(0), at(1000)), Held::Full(_)));
        let mut dropped = vec![];
        queue.make_room(&mut dropped);
        assert_eq!(dropped.len(), 1);
        assert!(!queue.awaits(host(0)) && queue.awaits(host(1)));
        assert!(matches!(queue.hold(host(9999), packet(0), at(1000)), Held::Ask));
        assert_eq!(queue.len(), HoldQueue::NEXT_HOPS);
    }

    #[test]
    fn the_deadline_is_the_next_question_or_the_end() {
        let mut queue = HoldQueue::new();
        fill(&mut queue, 2);
        assert_eq!(queue.deadline(), Some(at(1000)));
    }
}
