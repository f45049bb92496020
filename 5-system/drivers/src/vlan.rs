//! Puts back the VLAN tag (IEEE 802.1Q) that the kernel took off a frame.

use portcullis_packet::{Offload, Packet};

/// Length of a tag in bytes.
pub const TAG_LEN: usize = 4;

const ADDRESSES_LEN: usize = 12;

/// A VLAN tag.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tag {
    /// Tag protocol identifier: 0x8100 or 0x88a8.
    pub tpid: u16,
    /// Priority, drop eligibility, VLAN id.
    pub tci: u16,
}

/// Inserts `tag` behind the addresses of `packet` and moves the offsets of its offload along.
/// False, and nothing changed, if the frame is too short or has no headroom.
#[must_use]
pub fn insert(packet: &mut Packet, tag: Tag) -> bool {
    if packet.len() < ADDRESSES_LEN || !packet.grow_front(TAG_LEN) {
        return false;
    }
    let (meta, frame) = packet.parts_mut();
    frame.copy_within(TAG_LEN..TAG_LEN + ADDRESSES_LEN, 0);
    let [p0, p1] = tag.tpid.to_be_bytes();
    let [t0, t1] = tag.tci.to_be_bytes();
    if let Some(room) = frame.get_mut(ADDRESSES_LEN..ADDRESSES_LEN + TAG_LEN) {
        room.copy_from_slice(&[p0, p1, t0, t1]);
    }
    if meta.offload != Offload::NONE {
        meta.offload.csum_start = meta.offload.csum_start.saturating_add(TAG_LEN as u16);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: Tag = Tag { tpid: 0x8100, tci: 0x2064 };

    #[test]
    fn the_tag_stands_between_the_addresses_and_the_type() {
        let mut packet = Packet::from_bytes(b"ddddddssssss\x08\x00payload");
        assert!(insert(&mut packet, TAG));
        assert_eq!(packet.data(), b"ddddddssssss\x81\x00\x20\x64\x08\x00payload");
    }

    #[test]
    fn the_checksum_to_be_completed_moves_with_the_payload() {
        let mut packet = Packet::from_bytes(&[0; 60]);
        packet.meta_mut().offload =
            Offload { needs_csum: true, csum_start: 34, csum_offset: 6, ..Offload::NONE };
        assert!(insert(&mut packet, TAG));
        assert_eq!(packet.meta().offload.csum_start, 38);
    }

    #[test]
    fn a_frame_too_short_for_addresses_stays_as_it_is() {
        let mut packet = Packet::from_bytes(b"short");
        assert!(!insert(&mut packet, TAG));
        assert_eq!(packet.data(), b"short");
    }
}
