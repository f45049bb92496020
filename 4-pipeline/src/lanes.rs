//! The packets of one family that are on their way through a batch, side by side: structure of
//! arrays, so that lookups run over plain arrays of addresses.

use portcullis_packet::{BATCH, NextHopId, VrfId};
use portcullis_routing::{Flags, Inspected};

/// Up to [`BATCH`] inspected packets of one family and one VRF, each with its slot in the batch.
#[derive(Debug)]
pub(crate) struct Lanes<A> {
    /// The VRF that all of them are routed in.
    pub(crate) vrf: VrfId,
    count: usize,
    destinations: [A; BATCH],
    next_hops: [NextHopId; BATCH],
    lengths: [u16; BATCH],
    flags: [Flags; BATCH],
    slots: [u8; BATCH],
}

/// One packet of the lanes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lane<A> {
    /// Its slot in the batch.
    pub(crate) slot: usize,
    /// What was found out about it.
    pub(crate) inspected: Inspected<A>,
    /// What the lookup answered.
    pub(crate) next_hop: NextHopId,
}

impl<A: Copy + Default> Lanes<A> {
    /// No packets.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self {
            vrf: VrfId::DEFAULT,
            count: 0,
            destinations: [A::default(); BATCH],
            next_hops: [NextHopId::NO_ROUTE; BATCH],
            lengths: [0; BATCH],
            flags: [Flags::NONE; BATCH],
            slots: [0; BATCH],
        }
    }

    /// Whether there are none.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Forgets the packets.
    pub(crate) fn clear(&mut self) {
        self.count = 0;
    }

    /// Adds a packet. Beyond [`BATCH`] packets nothing is added; a batch has no more.
    #[inline(always)]
    pub(crate) fn push(&mut self, slot: usize, inspected: Inspected<A>) {
        let at = self.count;
        if at < BATCH {
            self.destinations[at] = inspected.destination;
            self.lengths[at] = inspected.length;
            self.flags[at] = inspected.flags;
            self.slots[at] = slot as u8;
            self.count = at + 1;
        }
    }

    /// The destinations, and where their next hops go.
    #[inline(always)]
    pub(crate) fn lookup(&mut self) -> (&[A], &mut [NextHopId]) {
        let count = self.count.min(BATCH);
        (&self.destinations[..count], &mut self.next_hops[..count])
    }

    /// The packets.
    #[inline(always)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = Lane<A>> + '_ {
        let count = self.count.min(BATCH);
        (0..count).map(|at| Lane {
            slot: usize::from(self.slots[at]),
            inspected: Inspected {
                destination: self.destinations[at],
                length: self.lengths[at],
                flags: self.flags[at],
            },
            next_hop: self.next_hops[at],
        })
    }
}
