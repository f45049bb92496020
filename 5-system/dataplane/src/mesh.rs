//! Between the I/O threads of all workers: packets go to the worker that has their flow.
//!
//! ```text
//!              packets of b's flows
//!   I/O a ──────────────────────────────► I/O b        and the same from b to a
//!         ◄──────────────────────────────
//!           free buffers, one for each
//! ```
//!
//! For each ordered pair of workers [`HANDOVERS`] `Vec`s go round, and each ring holds all of them, so that
//! no send can fail. The sender fills one in a turn and sends it; the receiver moves the packets
//! into batches for its pipeline, fills the `Vec` with as many free buffers of its own pool, and sends it back. So
//! pools stay as full as they were, whatever goes where, and nothing is allocated. Without a `Vec` at hand the
//! sender drops what is the other's, and nothing else waits for it.

mod inbound;
mod outbound;

use std::cmp::Ordering;

use portcullis_packet::{Packet, Pool, WorkerId};

use self::inbound::Inbound;
use self::outbound::Outbound;
use crate::{Doorbell, ring};

/// `Vec`s between two workers, one way: what a burst may fill before packets are dropped.
pub const HANDOVERS: usize = 8;

/// One worker's end.
#[derive(Debug)]
pub struct MeshEnd {
    own: WorkerId,
    /// In the order of their numbers, without the own.
    peers: Vec<Peer>,
}

#[derive(Debug)]
struct Peer {
    outbound: Outbound,
    inbound: Inbound,
}

/// The ends of all workers, given what their I/O threads sleep on, in the order of their numbers.
#[must_use]
pub fn mesh<'d>(doorbells: impl IntoIterator<Item = &'d Doorbell>) -> Vec<MeshEnd> {
    let mut ends = Vec::<(&Doorbell, MeshEnd)>::new();
    for (number, doorbell) in doorbells.into_iter().enumerate() {
        let mut newest = MeshEnd { own: WorkerId(number as u16), peers: Vec::new() };
        for (other, end) in &mut ends {
            let (there, from_here) = one_way(doorbell, other);
            let (back, from_there) = one_way(other, doorbell);
            newest.peers.push(Peer { outbound: there, inbound: from_there });
            end.peers.push(Peer { outbound: back, inbound: from_here });
        }
        ends.push((doorbell, newest));
    }
    ends.into_iter().map(|(_, end)| end).collect()
}

fn one_way(from: &Doorbell, to: &Doorbell) -> (Outbound, Inbound) {
    let (out, incoming) = ring(HANDOVERS, to);
    let (home_in, home_out) = ring(HANDOVERS, from);
    (Outbound::new(out, home_out), Inbound::new(incoming, home_in))
}

impl MeshEnd {
    /// The end of a worker that is the only one.
    #[must_use]
    pub const fn alone() -> Self {
        Self { own: WorkerId(0), peers: Vec::new() }
    }

    /// The worker whose end this is.
    #[must_use]
    pub const fn own(&self) -> WorkerId {
        self.own
    }

    /// How many others there are.
    #[inline]
    pub(crate) const fn peers(&self) -> usize {
        self.peers.len()
    }

    /// How many workers there are in all.
    #[inline]
    pub(crate) const fn workers(&self) -> usize {
        self.peers.len() + 1
    }

    fn position(&self, worker: WorkerId) -> Option<usize> {
        let number = usize::from(worker.0);
        match worker.cmp(&self.own) {
            Ordering::Less => Some(number),
            Ordering::Equal => None,
            Ordering::Greater => number.checked_sub(1),
        }
        .filter(|&position| position < self.peers.len())
    }

    /// Whether this is another worker's number.
    #[inline]
    pub(crate) fn is_peer(&self, worker: WorkerId) -> bool {
        self.position(worker).is_some()
    }

    /// Puts the buffers that came back into `pool`. At the beginning of a turn.
    #[inline]
    pub(crate) fn collect(&mut self, pool: &mut Pool) {
        for peer in &mut self.peers {
            peer.outbound.collect(pool);
        }
    }

    /// Takes a packet along to another worker.
    ///
    /// # Errors
    /// The packet, if there is no room.
    #[inline]
    pub(crate) fn give(&mut self, worker: WorkerId, packet: Packet) -> Result<(), Packet> {
        let position = self.position(worker);
        match position.and_then(|position| self.peers.get_mut(position)) {
            Some(peer) => peer.outbound.give(packet),
            None => Err(packet),
        }
    }

    /// Appends up to `max` packets from the peer at `position` to `into`. Returns how many.
    #[inline]
    pub(crate) fn take(
        &mut self,
        position: usize,
        pool: &mut Pool,
        into: &mut Vec<Packet>,
        max: usize,
    ) -> usize {
        self.peers.get_mut(position).map_or(0, |peer| peer.inbound.take(pool, into, max))
    }

    /// Sends what was taken along, and pays what is owed. At the end of a turn.
    #[inline]
    pub(crate) fn send(&mut self, pool: &mut Pool) {
        for peer in &mut self.peers {
            peer.outbound.send();
            peer.inbound.settle(pool);
        }
    }

    /// Sends what was taken along, and takes nothing along any more.
    pub(crate) fn close(&mut self) {
        for peer in &mut self.peers {
            peer.outbound.close();
        }
    }

    /// Whether packets wait to be taken.
    pub(crate) fn is_waiting(&self) -> bool {
        self.peers.iter().any(|peer| peer.inbound.is_waiting())
    }

    /// Whether packets wait for a `Vec` to come home, which rings no bell.
    pub(crate) fn is_filling(&self) -> bool {
        self.peers.iter().any(|peer| peer.outbound.is_filling())
    }

    /// Whether none of our buffers is on its way to another worker.
    pub(crate) fn is_quiet(&self) -> bool {
        self.peers.iter().all(|peer| peer.outbound.is_quiet())
    }

    /// Whether nothing waits, and all others have closed their ends.
    pub(crate) fn is_at_its_end(&self) -> bool {
        self.peers.iter().all(|peer| peer.inbound.is_at_its_end())
    }

    /// Drops what is left, which goes nowhere. Returns how many packets that was.
    pub(crate) fn give_up(&mut self) -> usize {
        self.peers
            .iter_mut()
            .map(|Peer { outbound, inbound }| {
                let incoming = std::iter::from_fn(|| inbound.take_rest());
                outbound.take_rest().len() + incoming.map(|packets| packets.len()).sum::<usize>()
            })
            .sum()
    }
}

#[cfg(test)]
mod tests;
