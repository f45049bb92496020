//! Translated packets: as right as they were before, by checksums computed anew.

use std::net::{Ipv4Addr, Ipv6Addr};

use portcullis_packet::{Offload, Packet, Ports};
use portcullis_wire::build::{Echo, Frame, Tcp};
use portcullis_wire::checksum::Sum;
use portcullis_wire::offload::{complete_checksum, validate};
use portcullis_wire::rewrite::{Rewrite4, rewrite6, translate_error4, translate_error6};
use portcullis_wire::tcp::Flags;
use portcullis_wire::{IpProtocol, Tuple, dissect, ipv4, mss};
use proptest::prelude::*;

use crate::common::{SRC6, checksums_are_right, v4, v6, with_partial_checksum};

const UDP_LITE: IpProtocol = IpProtocol(136);

/// A frame's tuple and where its upper header begins.
fn taken(frame: &[u8]) -> (Tuple<u32>, usize, bool) {
    let dissected = dissect::v4(frame).expect("sound");
    let later = dissected.fragment.is_some_and(|fragment| fragment.offset > 0);
    (dissected.tuple, dissected.upper.into(), later)
}

fn translate(frame: &mut [u8], to: &Tuple<u32>, offload: Offload) {
    let (from, upper, later) = taken(frame);
    Rewrite4::new(&from, to).apply(frame, upper, from.protocol, offload, later);
}

fn to(protocol: IpProtocol, src: u16, dst: u16) -> Tuple<u32> {
    Tuple { src: 0xc633_6401, dst: 0xcb00_7109, ports: Ports { src, dst }, protocol }
}

/// The frame from `tuple`'s source to its destination.
fn along(tuple: &Tuple<u32>) -> Frame {
    Frame::v4(Ipv4Addr::from_bits(tuple.src), Ipv4Addr::from_bits(tuple.dst))
}

/// A UDP-Lite datagram whose checksum covers its header only (RFC 3828, 3.1).
fn udp_lite(frame: &Frame, src: Ipv4Addr, dst: Ipv4Addr, ports: Ports) -> Vec<u8> {
    let mut datagram = [ports.src, ports.dst, 8, 0].map(u16::to_be_bytes).concat();
    datagram.extend(b"not covered");
    let length = datagram.len() as u16;
    let pseudo = Sum::pseudo_v4(src, dst, UDP_LITE, length);
    let sum = (pseudo + Sum::of(&datagram[..8])).finish();
    datagram[6..8].copy_from_slice(&sum.to_be_bytes());
    frame.raw(UDP_LITE, &datagram)
}

fn any_tuple(protocol: IpProtocol) -> impl Strategy<Value = Tuple<u32>> {
    (any::<u32>(), any::<u32>(), any::<u16>(), any::<u16>()).prop_map(move |(src, dst, a, b)| {
        Tuple { src, dst, ports: Ports { src: a, dst: b }, protocol }
    })
}

proptest! {
    #[test]
    fn udp_and_tcp_are_what_they_would_be_if_sent_like_this(
        from in any_tuple(IpProtocol::UDP), to in any_tuple(IpProtocol::UDP),
        payload in prop::collection::vec(any::<u8>(), 0..64),
        options in prop::collection::vec(Just(1u8), 0..12)
    ) {
        let build = |tuple: &Tuple<u32>| along(tuple).options(&options);
        let mut datagram = build(&from).udp(from.ports.src, from.ports.dst, &payload);
        let before = datagram.clone();
        translate(&mut datagram, &to, Offload::NONE);
        prop_assert_eq!(&datagram, &build(&to).udp(to.ports.src, to.ports.dst, &payload));
        translate(&mut datagram, &from, Offload::NONE);
        prop_assert_eq!(&datagram, &before);

        let tcp = |tuple: &Tuple<u32>| {
            let header = Tcp::data(tuple.ports.src, tuple.ports.dst, 7);
            build(tuple).tcp(header, &payload)
        };
        let mut segment = tcp(&from);
        translate(&mut segment, &Tuple { protocol: IpProtocol::TCP, ..to }, Offload::NONE);
        prop_assert_eq!(&segment, &tcp(&to));
        translate(&mut segment, &Tuple { protocol: IpProtocol::TCP, ..from }, Offload::NONE);
        prop_assert_eq!(&segment, &tcp(&from));
    }

    #[test]
    fn an_echo_gets_its_identifier_in_both_directions(
        from in any_tuple(IpProtocol::ICMP), to in any_tuple(IpProtocol::ICMP),
        payload in prop::collection::vec(any::<u8>(), 0..32)
    ) {
        let cases = [
            (Echo::Request, from.ports.src, to.ports.src),
            (Echo::Reply, from.ports.dst, to.ports.dst),
        ];
        for (kind, id, new) in cases {
            let mut frame = along(&from).echo(kind, id, 1, &payload);
            let before = frame.clone();
            translate(&mut frame, &to, Offload::NONE);
            prop_assert_eq!(&frame, &along(&to).echo(kind, new, 1, &payload));
            translate(&mut frame, &from, Offload::NONE);
            prop_assert_eq!(&frame, &before);
        }
    }

    #[test]
    fn a_partial_checksum_stays_the_pseudo_headers(
        from in any_tuple(IpProtocol::TCP), to in any_tuple(IpProtocol::TCP)
    ) {
        let header = |tuple: &Tuple<u32>| Tcp::data(tuple.ports.src, tuple.ports.dst, 7);
        let frame = along(&from).tcp(header(&from), b"data");
        let mut packet = with_partial_checksum(&frame, 34, 16);
        let offload = packet.meta().offload;
        translate(packet.data_mut(), &to, offload);
        let wanted = along(&to).tcp(header(&to), b"data");
        let partial = with_partial_checksum(&wanted, 34, 16);
        prop_assert_eq!(packet.data(), partial.data());
        complete_checksum(&mut packet).expect("all is there");
        prop_assert_eq!(packet.data(), wanted);
    }
}

#[test]
fn udp_without_a_checksum_stays_without() {
    let mut frame = v4().udp(1, 2, b"none");
    frame[40..42].fill(0);
    translate(&mut frame, &to(IpProtocol::UDP, 3, 4), Offload::NONE);
    assert_eq!(frame[40..42], [0, 0]);
    assert_eq!(taken(&frame).0, to(IpProtocol::UDP, 3, 4));
}

/// A payload with which a datagram along `to` has the checksum that is written as 0xffff.
fn payload_of_no_sum(to: &Tuple<u32>) -> [u8; 2] {
    let frame = along(to).udp(to.ports.src, to.ports.dst, &[0, 0]);
    [frame[40], frame[41]]
}

#[test]
fn a_udp_checksum_of_zero_is_written_as_ffff() {
    let to = to(IpProtocol::UDP, 3, 4);
    let mut frame = v4().udp(1, 2, &payload_of_no_sum(&to));
    translate(&mut frame, &to, Offload::NONE);
    assert_eq!(frame[40..42], [0xff, 0xff]);
    assert!(ipv4::is_sound(&frame[14..]));
}

#[test]
fn a_quoted_udp_checksum_of_zero_is_written_as_ffff() {
    let inner = to(IpProtocol::UDP, 3, 4);
    let quote = v4().udp(1, 2, &payload_of_no_sum(&inner));
    let mut frame = v4().icmp(3, 3, [0; 4], &quote[14..]);
    assert!(translate_error4(&mut frame, 34, (1, 2), &inner));
    assert_eq!(frame[42 + 26..][..2], [0xff, 0xff], "else it would say that there is none");
    assert!(checksums_are_right(&frame));
}

#[test]
fn an_echo_of_zeros_keeps_a_checksum_that_can_be_right() {
    let mut frame = v4().echo(Echo::Reply, 5, 0, &[0; 8]);
    let reply = to(IpProtocol::ICMP, 8 << 8, 0);
    translate(&mut frame, &reply, Offload::NONE);
    assert_eq!(frame[36..38], [0xff, 0xff], "zeros alone do not add up to minus zero");
    assert!(checksums_are_right(&frame));
}

#[test]
fn a_partial_checksum_of_a_tunnels_inner_packet_is_not_the_outer_ones() {
    let inner = v4().tcp(Tcp::syn(1024, 80), b"");
    let vxlan = [&[8, 0, 0, 0, 0, 0, 7, 0], inner.as_slice()].concat();
    let wanted = to(IpProtocol::UDP, 3, 4789);
    for checksum in [false, true] {
        let mut frame = v4().udp(49_152, 4789, &vxlan);
        let mut expected = along(&wanted).udp(3, 4789, &vxlan);
        if !checksum {
            frame[40..42].fill(0);
            expected[40..42].fill(0);
        }
        let start = 42 + 8 + 34;
        let offload =
            Offload { needs_csum: true, csum_start: start, csum_offset: 16, ..Offload::NONE };
        assert_eq!(validate(&offload, &frame), Ok(()));
        translate(&mut frame, &wanted, offload);
        assert_eq!(frame, expected, "with a checksum of its own: {checksum}");
    }
}

#[test]
fn a_partial_checksum_of_an_echo_is_completed_to_the_right_one() {
    let mut packet = Packet::from_bytes(&v4().echo(Echo::Request, 5, 1, b"ping"));
    packet.data_mut()[36..38].fill(0);
    let offload = Offload { needs_csum: true, csum_start: 34, csum_offset: 2, ..Offload::NONE };
    assert_eq!(validate(&offload, packet.data()), Ok(()));
    packet.meta_mut().offload = offload;
    translate(packet.data_mut(), &to(IpProtocol::ICMP, 6, 8 << 8), offload);
    complete_checksum(&mut packet).expect("all is there");
    assert!(checksums_are_right(packet.data()));
}

#[test]
fn udp_lite_is_mended_as_udp_is() {
    let (src, dst) = (Ipv4Addr::new(10, 1, 2, 3), Ipv4Addr::new(192, 0, 2, 7));
    let mut frame = udp_lite(&v4(), src, dst, Ports { src: 1, dst: 2 });
    let new = to(UDP_LITE, 3, 4);
    translate(&mut frame, &new, Offload::NONE);
    let (src, dst) = (Ipv4Addr::from_bits(new.src), Ipv4Addr::from_bits(new.dst));
    assert_eq!(frame, udp_lite(&along(&new), src, dst, new.ports));
}

#[test]
fn other_protocols_get_addresses_only() {
    let new = to(IpProtocol::SCTP, 0, 0);
    let mut frame = v4().sctp(1, 2, &[1, 0, 0, 4]);
    translate(&mut frame, &new, Offload::NONE);
    assert_eq!(frame, along(&new).sctp(1, 2, &[1, 0, 0, 4]));
    let mut frame = v4().raw(IpProtocol(47), b"GRE");
    translate(&mut frame, &Tuple { protocol: IpProtocol(47), ..new }, Offload::NONE);
    assert_eq!(frame, along(&new).raw(IpProtocol(47), b"GRE"));
}

#[test]
fn a_later_fragment_gets_addresses_only() {
    let piece = |frame: Frame| frame.fragment(1480, false).raw(IpProtocol::UDP, &[9; 40]);
    let mut frame = piece(v4());
    translate(&mut frame, &to(IpProtocol::UDP, 3, 4), Offload::NONE);
    assert_eq!(frame, piece(along(&to(IpProtocol::UDP, 3, 4))));
}

#[test]
fn an_ipv6_packet_gets_addresses_only() {
    let there = Ipv6Addr::new(0x2001, 0xdb8, 9, 0, 0, 0, 0, 9);
    let mut frame = v6().udp(1, 2, b"x");
    let before = frame.clone();
    rewrite6(&mut frame, None, Some(there.to_bits()));
    assert_eq!(frame[22..38], SRC6.octets());
    assert_eq!(frame[38..54], there.octets());
    assert_eq!((&frame[..22], &frame[54..]), (&before[..22], &before[54..]));
    rewrite6(&mut frame, Some(there.to_bits()), None);
    assert_eq!(frame[22..38], there.octets());
}

/// What a flow's packet looks like on one side of the translation, of each protocol that has ports.
fn quotes(tuple: &Tuple<u32>, payload: &[u8]) -> [Vec<u8>; 3] {
    let Ports { src, dst } = tuple.ports;
    let frame = along(tuple).identification(7);
    let tcp = Tcp { options: vec![2, 4, 5, 180], ..Tcp::syn(src, dst) };
    [
        frame.udp(src, dst, payload),
        frame.tcp(tcp, payload),
        frame.clone().options(&[1; 40]).tcp(Tcp::data(src, dst, 9), payload),
    ]
}

proptest! {
    #[test]
    fn an_error_reads_as_if_it_had_been_made_on_the_other_side(
        from in any_tuple(IpProtocol::UDP), to in any_tuple(IpProtocol::UDP),
        (router, client) in (any::<u32>(), any::<u32>()),
        payload in prop::collection::vec(any::<u8>(), 0..70),
        kind in prop::sample::select(vec![3u8, 11, 12]),
        // Not through the middle of TCP's checksum.
        cut in prop::option::of((0usize..20).prop_filter("half a checksum", |&cut| cut != 9))
    ) {
        let outer = Tuple { src: router, dst: client, ..from };
        for (old, new) in quotes(&from, &payload).iter().zip(&quotes(&to, &payload)) {
            // Eight bytes of the transport header are always there (RFC 792).
            let header = usize::from(old[14] & 0xf) * 4;
            let length = cut.map_or(old.len() - 14, |more| (header + 8 + more).min(old.len() - 14));
            let error = |quote: &[u8]| v4().icmp(kind, 4, [0, 0, 5, 0], &quote[14..][..length]);
            let mut frame = error(old);
            let protocol = IpProtocol(old[23]);
            let quoted = Tuple { protocol, ..to };
            let addresses = (outer.src, outer.dst);
            prop_assert!(translate_error4(&mut frame, 34, addresses, &quoted));
            let wanted = along(&outer).icmp(kind, 4, [0, 0, 5, 0], &new[14..][..length]);
            prop_assert_eq!(frame, wanted);
        }
    }

    #[test]
    fn an_error_about_an_echo_quotes_the_senders_identifier(
        from in any_tuple(IpProtocol::ICMP), id in any::<u16>(), whole in any::<bool>()
    ) {
        let quote = |frame: Frame, id| {
            let mut quote = frame.echo(Echo::Request, id, 3, b"payload").split_off(14);
            quote.truncate(if whole { quote.len() } else { 28 });
            quote
        };
        let mut frame = v4().icmp(11, 0, [0; 4], &quote(v4(), 77));
        let sent = Tuple { ports: Ports { src: id, dst: 8 << 8 }, ..from };
        prop_assert!(translate_error4(&mut frame, 34, (from.dst, from.src), &sent));
        let wanted = along(&from.reversed()).icmp(11, 0, [0; 4], &quote(along(&from), id));
        prop_assert_eq!(frame, wanted);
    }

    #[test]
    fn an_ipv6_error_and_its_quote_get_other_addresses(
        (src, dst, inner_src, inner_dst) in any::<(u128, u128, u128, u128)>(),
        length in 8usize..200, kind in prop::sample::select(vec![1u8, 2, 3, 4])
    ) {
        let quote = v6().udp(1, 2, &[5; 200]);
        let mut frame = v6().icmp(kind, 0, [0, 0, 5, 0], &quote[14..][..40 + length]);
        let (outer, inner) = ((src, dst), (inner_src, inner_dst));
        prop_assert!(translate_error6(&mut frame, 54, outer, inner));
        let mut quote = quote;
        rewrite6(&mut quote, Some(inner_src), Some(inner_dst));
        let wanted = Frame::v6(Ipv6Addr::from_bits(src), Ipv6Addr::from_bits(dst))
            .icmp(kind, 0, [0, 0, 5, 0], &quote[14..][..40 + length]);
        prop_assert_eq!(frame, wanted);
    }
}

#[test]
fn an_error_whose_quote_says_nothing_is_left_alone() {
    let later = v4().fragment(64, false).raw(IpProtocol::UDP, &[0; 16]);
    let error = v4().icmp(11, 0, [0; 4], b"?");
    let short = v4().udp(1, 2, b"");
    let quotes =
        [&later[14..], &error[14..], &short[14..][..27], &v6().udp(1, 2, b"")[14..], &[][..]]
            .map(<[u8]>::to_vec);
    for quote in quotes {
        let mut frame = v4().icmp(3, 1, [0; 4], &quote);
        let before = frame.clone();
        assert!(!translate_error4(&mut frame, 34, (1, 2), &to(IpProtocol::UDP, 3, 4)), "{quote:?}");
        assert_eq!(frame, before);
    }
    let mut frame = v6().icmp(1, 0, [0; 4], &v6().udp(1, 2, b"")[14..][..39]);
    let before = frame.clone();
    assert!(!translate_error6(&mut frame, 54, (1, 2), (3, 4)));
    assert_eq!(frame, before);
}

#[test]
fn a_syn_announces_no_more_than_the_way_carries_wherever_the_option_is() {
    let layouts: [(&[u8], &[u8]); 5] =
        [(&[], &[]), (&[1], &[1, 1, 1]), (&[1, 1], &[]), (&[3, 3, 7], &[1]), (&[4, 2, 1], &[0])];
    for (before, after) in layouts {
        for (announced, most) in [(1460u16, 1360u16), (0xffff, 1), (1461, 1460), (536, 1460)] {
            let syn = |size: u16| {
                let option = [[2, 4], size.to_be_bytes()].concat();
                let options = [before, &option, after].concat();
                v4().tcp(Tcp { options, ..Tcp::syn(1024, 80) }, b"")
            };
            let mut frame = syn(announced);
            assert_eq!(mss::clamp(&mut frame, 34, most, false), announced > most);
            assert_eq!(frame, syn(announced.min(most)), "{before:?} {announced} {most}");

            let mut packet = with_partial_checksum(&syn(announced), 34, 16);
            mss::clamp(packet.data_mut(), 34, most, true);
            complete_checksum(&mut packet).expect("all is there");
            assert_eq!(packet.data(), syn(announced.min(most)));
        }
    }
}

#[test]
fn options_that_are_none_are_left_alone() {
    let cases: [&[u8]; 6] =
        [&[], &[0, 2, 4, 5, 180], &[2, 3, 5, 1], &[1, 2, 4, 5], &[8, 0, 2, 4], &[254, 40, 2, 4]];
    for options in cases {
        let header = Tcp { options: options.to_vec(), flags: Flags::SYN, ..Tcp::syn(1, 2) };
        let mut frame = v6().tcp(header, b"\x02\x04\xff\xff");
        let before = frame.clone();
        assert!(!mss::clamp(&mut frame, 54, 0, false), "{options:?}");
        assert_eq!(frame, before);
    }
}
