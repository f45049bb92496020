//! The packets of one family that are looked up in the flow table together.

use portcullis_flows::{FlowRef, Key};
use portcullis_packet::{BATCH, VrfId};
use portcullis_routing::{Flags, Inspected};
use portcullis_wire::dissect::{Dissected, Kind};
use portcullis_wire::{IpProtocol, Tuple};

/// Up to [`BATCH`] dissected packets of one family, each with its slot in the batch.
#[derive(Debug)]
pub(crate) struct FlowLanes<A> {
    count: usize,
    keys: [Key<A>; BATCH],
    found: [FlowRef; BATCH],
    lengths: [u16; BATCH],
    flags: [Flags; BATCH],
    uppers: [u16; BATCH],
    kinds: [Kind; BATCH],
    slots: [u8; BATCH],
}

/// One packet, and all that is known of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Suspect<A> {
    /// Its slot in the batch.
    pub(crate) slot: usize,
    /// What its IP header says.
    pub(crate) inspected: Inspected<A>,
    /// What its upper header says.
    pub(crate) seen: Dissected<A>,
    /// The VRF it is routed in.
    pub(crate) vrf: VrfId,
}

impl<A: Copy + Default> FlowLanes<A> {
    pub(crate) fn new() -> Self {
        let (src, dst) = (A::default(), A::default());
        let tuple = Tuple { src, dst, ports: Default::default(), protocol: IpProtocol(0) };
        Self {
            count: 0,
            keys: [Key { tuple, vrf: VrfId::DEFAULT }; BATCH],
            found: [FlowRef::NONE; BATCH],
            lengths: [0; BATCH],
            flags: [Flags::NONE; BATCH],
            uppers: [0; BATCH],
            kinds: [Kind::Other; BATCH],
            slots: [0; BATCH],
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn clear(&mut self) {
        self.count = 0;
    }

    /// Adds a packet that is whole. Beyond [`BATCH`] packets nothing is added; a batch has no more.
    #[inline(always)]
    pub(crate) fn push(
        &mut self,
        slot: usize,
        key: Key<A>,
        inspected: Inspected<A>,
        seen: &Dissected<A>,
    ) {
        let at = self.count;
        if at < BATCH {
            self.keys[at] = key;
            self.lengths[at] = inspected.length;
            self.flags[at] = inspected.flags;
            self.uppers[at] = seen.upper;
            self.kinds[at] = seen.kind;
            self.slots[at] = slot as u8;
            self.count = at + 1;
        }
    }

    /// The keys, and where what was found goes.
    #[inline(always)]
    pub(crate) fn lookup(&mut self) -> (&[Key<A>], &mut [FlowRef]) {
        let count = self.count.min(BATCH);
        (&self.keys[..count], &mut self.found[..count])
    }

    /// The packets, each with what was found.
    #[inline(always)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Suspect<A>, FlowRef)> + '_ {
        let count = self.count.min(BATCH);
        (0..count).map(|at| {
            let tuple = self.keys[at].tuple;
            let suspect = Suspect {
                slot: usize::from(self.slots[at]),
                inspected: Inspected {
                    destination: tuple.dst,
                    length: self.lengths[at],
                    flags: self.flags[at],
                },
                seen: Dissected {
                    tuple,
                    upper: self.uppers[at],
                    kind: self.kinds[at],
                    fragment: None,
                },
                vrf: self.keys[at].vrf,
            };
            (suspect, self.found[at])
        })
    }
}
