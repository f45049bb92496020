//! IPv4 fragments, put together again.

use etherparse::{NetSlice, SlicedPacket};
use portcullis_packet::{IfIndex, Packet, Pool, PoolLimits};
use portcullis_wire::fragment::{FragmentError, fragment_ipv4};
use portcullis_wire::ipv4;
use proptest::prelude::*;

use crate::common::{v4, v6};

fn pool(small: usize) -> Pool {
    Pool::new(PoolLimits { small, large: 2 })
}

fn packet(frame: &[u8]) -> Packet {
    let mut packet = Packet::from_bytes(frame);
    packet.meta_mut().tx_if = IfIndex(5);
    packet
}

fn cut(frame: &[u8], mtu: usize) -> Result<Vec<Packet>, FragmentError> {
    let mut out = Vec::new();
    let count = fragment_ipv4(&packet(frame), 14, mtu, &mut pool(2000), &mut out)?;
    assert_eq!(count, out.len());
    Ok(out)
}

/// The original's payload, from pieces in any order, after all checks that hold for any piece.
fn reassemble(pieces: &[Packet], mtu: usize, id: u16) -> Vec<u8> {
    let mut parts = Vec::new();
    for piece in pieces {
        assert_eq!(piece.meta().tx_if, IfIndex(5));
        let parsed = SlicedPacket::from_ethernet(piece.data()).expect("well-formed");
        let Some(NetSlice::Ipv4(ip)) = parsed.net else { panic!("not IPv4") };
        let header = ip.header().to_header();
        assert_eq!(header.calc_header_checksum(), header.header_checksum);
        assert_eq!(usize::from(header.total_len), piece.len() - 14);
        assert!(usize::from(header.total_len) <= mtu);
        assert_eq!((header.identification, header.dont_fragment), (id, false));
        let offset = usize::from(header.fragment_offset.byte_offset());
        let payload = ipv4::Parts::new(&piece.data()[14..]).expect("well-formed").payload;
        assert!(!header.more_fragments || payload.len().is_multiple_of(8));
        parts.push((offset, payload, header.more_fragments));
    }
    parts.sort_by_key(|(offset, ..)| *offset);
    let mut whole = Vec::new();
    for (offset, payload, more) in &parts {
        assert_eq!(*offset, whole.len(), "no gap, no overlap");
        whole.extend(*payload);
        assert_eq!(*more, whole.len() < parts.iter().map(|(_, p, _)| p.len()).sum());
    }
    whole
}

proptest! {
    #[test]
    fn fragments_put_together_are_the_packet(
        payload in prop::collection::vec(any::<u8>(), 0..5000), mtu in 68usize..2000, id in any::<u16>(),
        options in prop::collection::vec(Just(1u8), 0..40),
    ) {
        let frame = v4().identification(id.into()).options(&options).udp(1, 2, &payload);
        let pieces = cut(&frame, mtu).expect("buffers");
        let whole = ipv4::Parts::new(&frame[14..]).expect("well-formed").payload;
        prop_assert_eq!(reassemble(&pieces, mtu, id), whole);
        prop_assert_eq!(pieces.len() == 1, frame.len() - 14 <= mtu);
    }

    #[test]
    fn fragments_of_fragments_put_together_are_the_packet(
        len in 3000usize..9000, wide in 600usize..1500, narrow in 68usize..600,
    ) {
        let payload: Vec<u8> = (0..len).map(|i| (i * 5 / 3) as u8).collect();
        let frame = v4().identification(9).udp(1, 2, &payload);
        let mut pieces = Vec::new();
        for piece in cut(&frame, wide).expect("buffers") {
            pieces.extend(cut(piece.data(), narrow).expect("buffers"));
        }
        prop_assert_eq!(&reassemble(&pieces, narrow, 9)[8..], payload.as_slice());
    }
}

#[test]
fn later_fragments_have_only_the_options_that_ask_for_it() {
    // Record route (7, not copied), no operation, router alert (0x94, copied), end.
    let options = [&[7, 7, 4, 0, 0, 0, 0, 1][..], &[0x94, 4, 0, 0]].concat();
    let pieces = cut(&v4().options(&options).udp(1, 2, &[0; 100]), 80).expect("buffers");
    let options_of = |piece: &Packet| {
        ipv4::Parts::new(&piece.data()[14..]).expect("well-formed").options.to_vec()
    };
    assert_eq!(options_of(&pieces[0]), options);
    assert!(pieces.len() > 2);
    for piece in &pieces[1..] {
        assert_eq!(options_of(piece), [0x94, 4, 0, 0]);
    }
}

#[test]
fn senseless_options_end_where_their_sense_does() {
    for options in [[0x94, 0, 0, 0], [0x94, 1, 0, 0], [0x94, 5, 0, 0], [0, 0x94, 2, 0]] {
        let pieces = cut(&v4().options(&options).udp(1, 2, &[0; 100]), 80).expect("buffers");
        for piece in &pieces[1..] {
            assert_eq!(ipv4::Parts::new(&piece.data()[14..]).expect("well-formed").options, []);
        }
    }
}

#[test]
fn the_frames_padding_is_not_part_of_any_piece() {
    let frame = v4().udp(1, 2, &[3; 72]);
    let padded = [frame.as_slice(), &[0xee; 30]].concat();
    let pieces = cut(&padded, 68).expect("buffers");
    assert_eq!(reassemble(&pieces, 68, 0), &frame[34..]);
}

#[test]
fn what_may_not_or_cannot_be_fragmented_is_refused() {
    let frame = v4().udp(1, 2, &[0; 100]);
    assert_eq!(
        cut(&v4().dont_fragment().udp(1, 2, &[0; 100]), 68).err(),
        Some(FragmentError::DontFragment)
    );
    assert_eq!(cut(&frame, 27).err(), Some(FragmentError::MtuTooSmall));
    assert_eq!(cut(&frame, 19).err(), Some(FragmentError::MtuTooSmall));
    assert_eq!(cut(&v6().udp(1, 2, b""), 68).err(), Some(FragmentError::Malformed));
    let beyond = v4().fragment(65_528, false).udp(1, 2, &[0; 100]);
    assert_eq!(cut(&beyond, 68).err(), Some(FragmentError::Malformed), "a ping of death");
    let mut unfinished = packet(&frame);
    unfinished.meta_mut().offload.needs_csum = true;
    let result = fragment_ipv4(&unfinished, 14, 68, &mut pool(9), &mut Vec::new());
    assert_eq!(result, Err(FragmentError::Unfinished));
    let result = fragment_ipv4(&packet(&frame), 900, 68, &mut pool(9), &mut Vec::new());
    assert_eq!(result, Err(FragmentError::Malformed));
}

#[test]
fn too_few_buffers_leave_nothing_behind() {
    let frame = v4().udp(1, 2, &[0; 472]);
    let (mut pool, mut out) = (pool(9), vec![Packet::from_bytes(b"before")]);
    let result = fragment_ipv4(&packet(&frame), 14, 68, &mut pool, &mut out);
    assert_eq!(result, Err(FragmentError::NoBuffer));
    assert_eq!((out.len(), pool.free().0), (1, 9));
    pool.put(Packet::with_capacity(2048));
    assert_eq!(fragment_ipv4(&packet(&frame), 14, 68, &mut pool, &mut out), Ok(10));
}
