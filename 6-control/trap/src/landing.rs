//! Where frames from the taps land: in a buffer of the right size, though the size is known only
//! afterwards.
//!
//! A read is offered a small buffer and, for what does not fit there, the rest of a large one, which
//! has as many bytes left free at its start as the small one holds. Nearly every frame fits the small
//! buffer and leaves the large one untouched for the next read. One that does not is made whole by
//! copying its beginning in front of its end, and the small buffer stays.

use portcullis_packet::{DropReason, LARGE_CAPACITY, Offload, Packet, Pool, SMALL_CAPACITY};

use crate::port::{Received, TapPort};

/// What an attempt to read a packet brought.
#[derive(Debug)]
pub(crate) enum Landed {
    /// A frame, with its offload in the metadata.
    Packet(Packet),
    /// A frame that is not kept.
    Dropped(DropReason),
    /// No frame is waiting.
    Nothing,
    /// There is no buffer: the tap was not read.
    NoBuffer,
    /// The tap was taken away.
    Gone,
}

/// The two buffers that wait for the next frame.
#[derive(Debug, Default)]
pub(crate) struct Landing {
    small: Option<Packet>,
    large: Option<Packet>,
}

impl Landing {
    /// Reads one frame from `tap` into buffers of `pool`.
    pub(crate) fn receive(&mut self, tap: &mut impl TapPort, pool: &mut Pool) -> Landed {
        self.small = self.small.take().or_else(|| pool.take(SMALL_CAPACITY));
        self.large = self.large.take().or_else(|| pool.take(LARGE_CAPACITY));
        let (Some(small), Some(large)) = (&mut self.small, &mut self.large) else {
            return Landed::NoBuffer;
        };
        if !(small.set_len(SMALL_CAPACITY) && large.set_len(LARGE_CAPACITY)) {
            return Landed::NoBuffer;
        }
        let head = small.data_mut();
        let Some((gap, tail)) = large.data_mut().split_at_mut_checked(head.len()) else {
            return Landed::NoBuffer;
        };
        match tap.receive(head, tail) {
            Received::Frame { len, offload } if len <= SMALL_CAPACITY => {
                keep(self.small.take(), len, offload)
            }
            Received::Frame { len, offload } if len < LARGE_CAPACITY => {
                gap.copy_from_slice(head);
                keep(self.large.take(), len, offload)
            }
            // A frame that fills all the room was perhaps cut off.
            Received::Frame { .. } => Landed::Dropped(DropReason::RxTooLarge),
            Received::Nonsense => Landed::Dropped(DropReason::TapBadFrame),
            Received::Nothing => Landed::Nothing,
            Received::Gone => Landed::Gone,
        }
    }
}

fn keep(packet: Option<Packet>, len: usize, offload: Offload) -> Landed {
    let Some(mut packet) = packet.filter(|packet| len <= packet.len()) else {
        return Landed::NoBuffer;
    };
    if !packet.set_len(len) {
        return Landed::NoBuffer;
    }
    packet.meta_mut().offload = offload;
    Landed::Packet(packet)
}
