//! Offload descriptions judged, partial checksums completed, super-frames cut.

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use portcullis_packet::{GsoKind, IfIndex, Offload, Packet, Pool, PoolLimits};
use portcullis_wire::build::{self, Frame, Tcp};
use portcullis_wire::offload::{
    BadOffload, MAX_SEGMENTS, SegmentError, complete_checksum, segment, validate,
};
use portcullis_wire::tcp::Flags;
use portcullis_wire::{EtherType, IpProtocol, tcp, udp};
use proptest::prelude::*;

use crate::common::{checksums_are_right, v4, v6, with_partial_checksum};

fn pool(small: usize) -> Pool {
    Pool::new(PoolLimits { small, large: 2 })
}

fn partial(start: u16, offset: u16) -> Offload {
    Offload { needs_csum: true, csum_start: start, csum_offset: offset, ..Offload::NONE }
}

fn super_frame(kind: GsoKind, size: u16, start: u16) -> Offload {
    let offset = if kind == GsoKind::Udp { udp::CHECKSUM_OFFSET } else { tcp::CHECKSUM_OFFSET };
    Offload { gso: kind, gso_size: size, ..partial(start, offset) }
}

#[test]
fn a_description_that_fits_its_frame_is_let_through() {
    let fits = |offload, frame: &[u8]| validate(&offload, frame).expect("fits");
    let (tcp4, tcp6) = (v4().tcp(Tcp::syn(1, 2), b"x"), v6().tcp(Tcp::syn(1, 2), b"x"));
    let (udp4, udp6) = (v4().udp(1, 2, b"x"), v6().udp(1, 2, b"x"));
    fits(Offload::NONE, b"anything");
    fits(partial(34, 16), &tcp4);
    fits(partial(54, 16), &tcp6);
    fits(partial(34, 6), &udp4);
    fits(partial(54, 6), &udp6);
    fits(partial(38, 16), &build::tagged(&tcp4, EtherType::VLAN, 5));
    fits(partial(34, 8), &v4().sctp(1, 2, b""));
    fits(super_frame(GsoKind::Tcp4, 1, 34), &tcp4);
    fits(super_frame(GsoKind::Tcp6, 1440, 54), &tcp6);
    fits(super_frame(GsoKind::Udp, 100, 34), &udp4);
    fits(super_frame(GsoKind::Udp, 100, 54), &udp6);
    let tunnel = v4().udp(4789, 4789, &[&[0; 8], tcp4.as_slice()].concat());
    fits(partial(34 + 8 + 8 + 34, 16), &tunnel);
}

#[test]
fn a_description_that_does_not_fit_is_refused_for_its_reason() {
    use BadOffload::{
        ChecksumElsewhere, ChecksumOutside, HeaderTruncated, KindDisagrees, NotWhole, SegmentSize,
    };
    let refused = |offload, frame: &[u8]| validate(&offload, frame).expect_err("does not fit");
    let (tcp4, udp6) = (v4().tcp(Tcp::syn(1, 2), b"x"), v6().udp(1, 2, b"x"));
    assert_eq!(refused(partial(34, 16), &tcp4[..40]), NotWhole);
    assert_eq!(
        refused(partial(14, 6), &build::arp_request(build::SRC_MAC, [1; 4].into(), [2; 4].into())),
        NotWhole
    );
    assert_eq!(refused(partial(34, 6), &v4().fragment(0, true).udp(1, 2, b"12345678")), NotWhole);
    assert_eq!(refused(partial(62, 6), &v6().fragment(8, false).udp(1, 2, b"")), NotWhole);
    assert_eq!(refused(partial(14, 10), &tcp4), ChecksumOutside, "the IP header's own");
    assert_eq!(refused(partial(33, 16), &tcp4), ChecksumOutside);
    assert_eq!(refused(partial(40, 16), &tcp4), ChecksumOutside, "beyond the end");
    assert_eq!(refused(partial(u16::MAX, u16::MAX), &tcp4), ChecksumOutside);
    assert_eq!(refused(partial(34, 6), &tcp4), ChecksumElsewhere);
    assert_eq!(refused(partial(54, 4), &udp6), ChecksumElsewhere);
    assert_eq!(refused(partial(34, 6), &v4().sctp(1, 2, b"")), ChecksumElsewhere);
    assert_eq!(refused(super_frame(GsoKind::Tcp6, 9, 34), &tcp4), KindDisagrees);
    assert_eq!(
        refused(super_frame(GsoKind::Tcp4, 9, 54), &v6().tcp(Tcp::syn(1, 2), b"")),
        KindDisagrees
    );
    assert_eq!(
        refused(Offload { gso: GsoKind::Udp, gso_size: 9, ..Offload::NONE }, &tcp4),
        KindDisagrees
    );
    assert_eq!(
        refused(super_frame(GsoKind::Tcp4, 9, 36), &v4().tcp(Tcp::syn(1, 2), b"12")),
        ChecksumElsewhere
    );
    assert_eq!(refused(super_frame(GsoKind::Tcp4, 0, 34), &tcp4), SegmentSize);
    let long = v4().udp(1, 2, &[0; MAX_SEGMENTS + 1]);
    assert_eq!(refused(super_frame(GsoKind::Udp, 1, 34), &long), SegmentSize);
    let cut = v4().raw(IpProtocol::TCP, &[0; 19]);
    let bare = Offload { gso: GsoKind::Tcp4, gso_size: 9, ..Offload::NONE };
    assert_eq!(refused(bare, &cut), HeaderTruncated);
}

proptest! {
    #[test]
    fn a_completed_checksum_is_the_one_that_was_left_out(
        payload in prop::collection::vec(any::<u8>(), 0..300), six in any::<bool>(), is_tcp in any::<bool>(),
    ) {
        let (frame, start) = if six { (v6(), 54) } else { (v4(), 34) };
        let (whole, offset) = if is_tcp {
            (frame.tcp(Tcp::data(80, 4000, 7), &payload), 16)
        } else {
            (frame.udp(80, 4000, &payload), 6)
        };
        let mut packet = with_partial_checksum(&whole, start, offset);
        prop_assert!(validate(&packet.meta().offload, packet.data()).is_ok());
        complete_checksum(&mut packet).expect("inside");
        prop_assert_eq!(packet.data(), whole.as_slice());
        prop_assert_eq!(packet.meta().offload, Offload::NONE);
    }
}

#[test]
fn a_udp_checksum_that_comes_to_zero_is_written_as_ffff() {
    // The payload is the checksum of the datagram with a payload of zero: together they give zero.
    let zero = v4().udp(1, 2, &[0, 0]);
    let whole = v4().udp(1, 2, &[zero[40], zero[41]]);
    assert_eq!(whole[40..42], [0xff, 0xff]);
    let mut packet = with_partial_checksum(&whole, 34, 6);
    complete_checksum(&mut packet).expect("inside");
    assert_eq!(packet.data(), whole);
}

#[test]
fn sctp_gets_a_crc_32c() {
    let whole = v4().sctp(5000, 5001, b"\x01\x00\x00\x04");
    let mut packet = Packet::from_bytes(&whole);
    packet.data_mut()[42..46].copy_from_slice(&[0xde, 0xad, 0xbe, 0xef]);
    packet.meta_mut().offload = partial(34, 8);
    complete_checksum(&mut packet).expect("inside");
    assert_eq!(packet.data(), whole);
}

#[test]
fn a_frame_too_short_or_to_be_cut_is_not_completed() {
    let mut packet = Packet::from_bytes(&[7; 60]);
    for (offload, reason) in [
        (partial(61, 0), BadOffload::ChecksumOutside),
        (partial(50, 9), BadOffload::ChecksumOutside),
        (partial(50, 8), BadOffload::ChecksumOutside),
        (super_frame(GsoKind::Tcp4, 1, 34), BadOffload::SuperFrame),
    ] {
        packet.meta_mut().offload = offload;
        assert_eq!(complete_checksum(&mut packet), Err(reason));
        assert_eq!(packet.data(), [7; 60]);
    }
}

/// The super-frame of this frame, with metadata to be inherited.
fn super_packet(frame: &[u8], offload: Offload) -> Packet {
    let mut packet = with_partial_checksum(frame, offload.csum_start, offload.csum_offset);
    packet.meta_mut().offload = offload;
    packet.meta_mut().tx_if = IfIndex(3);
    packet
}

/// Payload and flags of each segment as etherparse sees them, after all checks that hold for any.
fn examine(out: &[Packet], first_id: u16, first_sequence: u32) -> (Vec<u8>, Vec<Flags>) {
    let (mut payload, mut flags) = (Vec::new(), Vec::new());
    for (index, piece) in out.iter().enumerate() {
        assert!(checksums_are_right(piece.data()), "segment {index}");
        assert_eq!((piece.meta().offload, piece.meta().tx_if), (Offload::NONE, IfIndex(3)));
        let parsed = SlicedPacket::from_ethernet(piece.data()).expect("well-formed");
        if let Some(NetSlice::Ipv4(ip)) = &parsed.net {
            assert_eq!(ip.header().identification(), first_id.wrapping_add(index as u16));
        }
        match parsed.transport.expect("a transport header") {
            TransportSlice::Tcp(t) => {
                let sequence = first_sequence.wrapping_add(payload.len() as u32);
                assert_eq!(t.sequence_number(), sequence, "segment {index}");
                flags.push(Flags(t.slice()[13]));
                payload.extend(t.payload());
            }
            TransportSlice::Udp(u) => payload.extend(u.payload()),
            _ => panic!("neither TCP nor UDP"),
        }
    }
    (payload, flags)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn tcp_segments_put_together_are_the_super_frame(
        len in 0usize..20_000, size in 500u16..9000, six in any::<bool>(),
        sequence in prop_oneof![any::<u32>(), Just(u32::MAX - 1000)], ecn in any::<bool>(),
        options in prop::collection::vec(Just(1u8), 0..20),
    ) {
        let payload: Vec<u8> = (0..len).map(|i| (i * 7 / 3) as u8).collect();
        let all = Flags::FIN.with(Flags::PSH).with(Flags::ACK).with(Flags::CWR);
        let header = Tcp { flags: all, options, ..Tcp::data(80, 4000, sequence) };
        let frame = if six {
            v6().extension(IpProtocol::DESTINATION_OPTIONS, &[0; 14])
        } else {
            v4().identification(0xfffe).options(&[1; 7])
        };
        let start = if six { 14 + 40 + 16 } else { 14 + 20 + 8 };
        let kind = if six { GsoKind::Tcp6 } else { GsoKind::Tcp4 };
        let offload = Offload { ecn, ..super_frame(kind, size, start) };
        let packet = super_packet(&frame.tcp(header, &payload), offload);
        prop_assert!(validate(&offload, packet.data()).is_ok());

        let mut out = Vec::new();
        let mut pool = Pool::new(PoolLimits { small: 64, large: 64 });
        let count = segment(&packet, &mut pool, &mut out).expect("buffers");
        prop_assert_eq!(count, out.len());
        prop_assert_eq!(count, len.div_ceil(usize::from(size)).max(1));
        let (joined, flags) = examine(&out, 0xfffe, sequence);
        prop_assert_eq!(joined, payload);
        for (index, flags) in flags.into_iter().enumerate() {
            let is_last = index + 1 == count;
            prop_assert_eq!(flags.contains(Flags::FIN.with(Flags::PSH)), is_last);
            prop_assert_eq!(flags.contains(Flags::CWR), index == 0 || !ecn);
            prop_assert!(flags.contains(Flags::ACK));
        }
    }

    #[test]
    fn udp_segments_put_together_are_the_super_frame(
        payload in prop::collection::vec(any::<u8>(), 1..5000), size in 100u16..1400, six in any::<bool>(),
    ) {
        let (frame, start): (Frame, u16) = if six { (v6(), 54) } else { (v4(), 34) };
        let offload = super_frame(GsoKind::Udp, size, start);
        let packet = super_packet(&frame.udp(9, 10, &payload), offload);
        let mut out = Vec::new();
        let count = segment(&packet, &mut pool(64), &mut out).expect("buffers");
        prop_assert_eq!(count, payload.len().div_ceil(usize::from(size)));
        let (joined, _) = examine(&out, 0, 0);
        prop_assert_eq!(joined, payload);
    }
}

#[test]
fn too_few_buffers_leave_nothing_behind() {
    let frame = v4().tcp(Tcp::data(1, 2, 3), &[0; 10_000]);
    let packet = super_packet(&frame, super_frame(GsoKind::Tcp4, 1000, 34));
    let mut pool = pool(9);
    let mut out = vec![Packet::from_bytes(b"before")];
    assert_eq!(segment(&packet, &mut pool, &mut out), Err(SegmentError::NoBuffer));
    assert_eq!((out.len(), pool.free().0), (1, 9));
    pool.put(Packet::with_capacity(2048));
    assert_eq!(segment(&packet, &mut pool, &mut out), Ok(10));
}

#[test]
fn what_validation_refuses_is_not_cut() {
    let mut packet = super_packet(&v4().udp(1, 2, b"x"), partial(34, 6));
    let cut = |packet: &Packet| segment(packet, &mut pool(2), &mut Vec::new());
    let bad = |reason| Err(SegmentError::Bad(reason));
    assert_eq!(cut(&packet), bad(BadOffload::KindDisagrees), "no super-frame");
    packet.meta_mut().offload.gso = GsoKind::Udp;
    assert_eq!(cut(&packet), bad(BadOffload::SegmentSize));
    packet.data_mut()[14] = 0;
    assert_eq!(cut(&packet), bad(BadOffload::NotWhole));
}
