//! Any offload description of any frame: refused, or carried out without a fault.

use portcullis_packet::{GsoKind, Offload, Packet, Pool, PoolLimits};
use portcullis_wire::checksum::Sum;
use portcullis_wire::offload::{MAX_SEGMENTS, SegmentError, complete_checksum, segment, validate};
use portcullis_wire::{EtherType, ethernet, ipv4, ipv6};

/// Bytes before the frame: what the description is made of.
pub(crate) const PREFIX: usize = 8;

/// Reads a description and a frame from the input, and does what the description asks for.
pub(crate) fn exercise(input: &[u8]) {
    let Some((prefix, frame)) = input.split_first_chunk::<PREFIX>() else { return };
    let [flags, kind, start_high, start_low, offset, size_high, size_low, buffers] = *prefix;
    let offload = Offload {
        csum_start: u16::from_be_bytes([start_high, start_low]),
        csum_offset: offset.into(),
        gso_size: u16::from_be_bytes([size_high, size_low]),
        gso: [GsoKind::None, GsoKind::Tcp4, GsoKind::Tcp6, GsoKind::Udp][usize::from(kind % 4)],
        needs_csum: flags & 1 != 0,
        ecn: flags & 2 != 0,
        ip4_checked: flags & 4 != 0,
    };
    let mut packet = Packet::from_bytes(frame);
    packet.meta_mut().offload = offload;
    let valid = validate(&offload, frame).is_ok();
    if offload.gso == GsoKind::None {
        let completed = complete_checksum(&mut packet).is_ok();
        assert!(completed || !valid, "what is valid can be completed");
        if valid && let Some((_, l3)) = ethernet::network(frame) {
            assert_eq!(packet.data().get(..l3 + 20), frame.get(..l3 + 20), "headers untouched");
        }
        return;
    }
    let mut pool = Pool::new(PoolLimits { small: usize::from(buffers), large: 2 });
    let mut out = Vec::new();
    match segment(&packet, &mut pool, &mut out) {
        Ok(count) => {
            assert!(count == out.len() && count <= MAX_SEGMENTS);
            out.iter().for_each(|piece| examine(piece, frame));
        }
        Err(SegmentError::NoBuffer) => assert!(out.is_empty() && pool.free().0 == buffers.into()),
        Err(SegmentError::Bad(_)) => assert!(out.is_empty() && !valid),
    }
}

fn examine(piece: &Packet, original: &[u8]) {
    let (bytes, len) = (piece.data(), piece.len());
    assert!(len <= original.len() && piece.meta().offload.is_none());
    let (ether_type, l3) = ethernet::network(bytes).expect("it was a frame");
    let (pseudo, transport) = if ether_type == EtherType::IPV4 {
        let parts = ipv4::Parts::new(&bytes[l3..]).expect("sound");
        assert!(ipv4::is_sound(&bytes[l3..]));
        (parts.header.pseudo_sum(parts.payload.len() as u16), parts.payload)
    } else {
        let upper = ipv6::upper(&bytes[l3..]).expect("sound");
        let transport = &bytes[l3 + upper.offset..];
        let header = ipv6::Header::new(&bytes[l3..]).expect("sound");
        (header.pseudo_sum(upper.protocol, transport.len() as u32), transport)
    };
    assert!((pseudo + Sum::of(transport)).is_sound());
}
