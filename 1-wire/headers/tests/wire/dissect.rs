//! Packets taken apart: what each is known by, and which ones are no packets of any flow.

use portcullis_packet::{DropReason, Ports};
use portcullis_wire::build::{Echo, Frame, Tcp};
use portcullis_wire::dissect::{
    self, Dissected, FragmentPart, Kind, is_request_port, is_sound_icmp4, is_sound_icmp6,
    quoted_sequence, quoted_v4, quoted_v6, tcp_segment,
};
use portcullis_wire::tcp::Flags;
use portcullis_wire::{IpProtocol, Tuple, icmp_port};
use proptest::prelude::*;

use crate::anywhere::exercise;
use crate::common::{DST4, DST6, SRC4, SRC6, v4, v6};

const UDP_LITE: IpProtocol = IpProtocol(136);
const DCCP: IpProtocol = IpProtocol(33);
const GRE: IpProtocol = IpProtocol(47);

fn tuple4(src: u16, dst: u16, protocol: IpProtocol) -> Tuple<u32> {
    Tuple { src: SRC4.to_bits(), dst: DST4.to_bits(), ports: Ports { src, dst }, protocol }
}

fn tuple6(src: u16, dst: u16, protocol: IpProtocol) -> Tuple<u128> {
    Tuple { src: SRC6.to_bits(), dst: DST6.to_bits(), ports: Ports { src, dst }, protocol }
}

/// What a protocol's packets of two families are known by.
#[track_caller]
fn both(build: impl Fn(Frame) -> Vec<u8>, kind: Kind, (src, dst): (u16, u16), protocol: u8) {
    let protocol = IpProtocol(protocol);
    let fragment = None;
    let tuple = tuple4(src, dst, protocol);
    let wanted = Dissected { tuple, upper: 34, kind, fragment };
    assert_eq!(dissect::v4(&build(v4())), Ok(wanted));
    let with_options = dissect::v4(&build(v4().options(&[1; 12])));
    assert_eq!(with_options, Ok(Dissected { upper: 46, ..wanted }));
    let tuple = tuple6(src, dst, protocol);
    let wanted = Dissected { tuple, upper: 54, kind, fragment };
    assert_eq!(dissect::v6(&build(v6())), Ok(wanted));
    let extended = v6()
        .extension(IpProtocol::HOP_BY_HOP, &[5, 2, 0, 0, 1, 0])
        .extension(IpProtocol::DESTINATION_OPTIONS, &[1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let with_extensions = dissect::v6(&build(extended.clone()));
    assert_eq!(with_extensions, Ok(Dissected { upper: 78, ..wanted }));
    // A fragment header although there is one fragment only (RFC 6946).
    let atomic = dissect::v6(&build(extended.fragment(0, false)));
    assert_eq!(atomic, Ok(Dissected { upper: 86, ..wanted }));
}

#[test]
fn what_has_ports_is_known_by_them() {
    both(|frame| frame.udp(1024, 53, b"query"), Kind::Udp, (1024, 53), 17);
    both(|frame| frame.tcp(Tcp::syn(1024, 80), b""), Kind::Tcp, (1024, 80), 6);
    both(|frame| frame.sctp(1024, 80, &[1, 0, 0, 4]), Kind::Other, (1024, 80), 132);
    let head = [4, 0, 0, 80, 0, 8, 0, 0];
    both(|frame| frame.raw(UDP_LITE, &head), Kind::Other, (1024, 80), UDP_LITE.0);
    both(|frame| frame.raw(DCCP, &head), Kind::Other, (1024, 80), DCCP.0);
    both(|frame| frame.raw(GRE, b""), Kind::Other, (0, 0), GRE.0);
}

#[test]
fn the_two_messages_of_a_query_are_two_directions_of_one_flow() {
    for (request, reply) in [(8, 0), (13, 14), (15, 16), (17, 18)] {
        let message = |kind| v4().icmp(kind, 0, [0, 7, 0, 1], b"");
        let there = dissect::v4(&message(request)).expect("sound");
        let back = dissect::v4(&message(reply)).expect("sound");
        assert_eq!((there.kind, back.kind), (Kind::IcmpQuery, Kind::IcmpQuery));
        assert_eq!(there.tuple, tuple4(7, icmp_port(request, 0), IpProtocol::ICMP));
        assert_eq!(back.tuple.ports, there.tuple.ports.reversed());
        assert!(is_request_port(there.tuple.ports.dst));
    }
    let there = dissect::v6(&v6().echo(Echo::Request, 7, 1, b"")).expect("sound");
    let back = dissect::v6(&v6().echo(Echo::Reply, 7, 1, b"")).expect("sound");
    assert_eq!(there.tuple, tuple6(7, icmp_port(128, 0), IpProtocol::ICMPV6));
    assert_eq!(back.tuple.ports, there.tuple.ports.reversed());
    assert!(is_request_port(icmp_port(128, 0)));
    for port in [icmp_port(0, 0), icmp_port(129, 0), icmp_port(8, 1), icmp_port(3, 0), 80] {
        assert!(!is_request_port(port));
    }
}

#[test]
fn errors_are_told_from_other_messages() {
    let cases = [(3, true), (4, true), (5, true), (11, true), (12, true), (9, false), (40, false)];
    for (message_type, is_error) in cases {
        let found = dissect::v4(&v4().icmp(message_type, 2, [0; 4], b"")).expect("sound");
        assert_eq!(found.kind, if is_error { Kind::IcmpError } else { Kind::IcmpOther });
        assert_eq!(found.tuple, tuple4(0, icmp_port(message_type, 2), IpProtocol::ICMP));
    }
    for (message_type, is_error) in [(1, true), (2, true), (127, true), (133, false), (255, false)]
    {
        let found = dissect::v6(&v6().icmp(message_type, 1, [0; 4], b"")).expect("sound");
        assert_eq!(found.kind, if is_error { Kind::IcmpError } else { Kind::IcmpOther });
        assert_eq!(found.tuple, tuple6(0, icmp_port(message_type, 1), IpProtocol::ICMPV6));
    }
}

#[test]
fn a_first_fragment_has_ports_and_a_later_one_has_none() {
    let part = |offset, length, more| {
        let protocol = IpProtocol::UDP;
        Some(FragmentPart { offset, length, more, id: 0xbeef, protocol })
    };
    let datagram = v4().udp(1024, 53, &[7; 40]).split_off(34);
    let piece4 = |offset: u16, length: usize, more| {
        let bytes = &datagram[offset.into()..][..length];
        v4().identification(0xbeef).fragment(offset, more).raw(IpProtocol::UDP, bytes)
    };
    let piece6 = |offset: u16, length: usize, more| {
        let bytes = &datagram[offset.into()..][..length];
        v6().identification(0xbeef).fragment(offset, more).raw(IpProtocol::UDP, bytes)
    };
    for (offset, length, more, ports) in [
        (0, 24, true, (1024, 53)),
        (24, 16, true, (0, 0)),
        (40, 8, false, (0, 0)),
        (40, 5, false, (0, 0)),
    ] {
        let fragment = part(offset, length as u16, more);
        let tuple = tuple4(ports.0, ports.1, IpProtocol::UDP);
        let wanted = Dissected { tuple, upper: 34, kind: Kind::Udp, fragment };
        assert_eq!(dissect::v4(&piece4(offset, length, more)), Ok(wanted));
        let tuple = tuple6(ports.0, ports.1, IpProtocol::UDP);
        let wanted = Dissected { tuple, upper: 62, kind: Kind::Udp, fragment };
        assert_eq!(dissect::v6(&piece6(offset, length, more)), Ok(wanted));
    }
}

/// Why both families drop a packet.
#[track_caller]
fn both_drop(build: impl Fn(Frame) -> Vec<u8>, reason: DropReason) {
    assert_eq!(dissect::v4(&build(v4())), Err(reason));
    assert_eq!(dissect::v4(&build(v4().options(&[1; 40]))), Err(reason));
    assert_eq!(dissect::v6(&build(v6())), Err(reason));
}

#[test]
fn a_fragment_that_can_be_none_is_malformed() {
    let piece = |offset, more, length: usize| {
        move |frame: Frame| frame.fragment(offset, more).raw(GRE, &vec![0; length])
    };
    both_drop(piece(0, true, 13), DropReason::FragmentMalformed);
    both_drop(piece(64, true, 7), DropReason::FragmentMalformed);
    both_drop(piece(64, false, 0), DropReason::FragmentMalformed);
    both_drop(piece(65_528, false, 8), DropReason::FragmentMalformed);
    assert!(dissect::v4(&piece(65_528, false, 7)(v4())).is_ok());
}

#[test]
fn a_fragment_too_small_for_its_header_is_tiny() {
    let piece = |protocol, offset, length: usize| {
        move |frame: Frame| {
            let header = frame.tcp(Tcp::syn(1, 2), &[0; 20]);
            let start = header.len() - 40;
            frame.fragment(offset, true).raw(protocol, &header[start..][..length])
        }
    };
    both_drop(piece(IpProtocol::TCP, 0, 8), DropReason::FragmentTiny);
    both_drop(piece(IpProtocol::TCP, 0, 16), DropReason::FragmentTiny);
    both_drop(piece(IpProtocol::TCP, 8, 8), DropReason::FragmentTiny);
    both_drop(piece(IpProtocol::TCP, 16, 8), DropReason::FragmentTiny);
    assert!(dissect::v4(&piece(IpProtocol::TCP, 24, 8)(v4())).is_ok());
    assert!(dissect::v4(&piece(IpProtocol::TCP, 0, 24)(v4())).is_ok());
    // Later fragments of others have no header that they could hit.
    assert!(dissect::v4(&piece(IpProtocol::UDP, 8, 8)(v4())).is_ok());
    let last = |length: usize| v4().fragment(0, true).raw(IpProtocol::ICMP, &vec![8; length]);
    assert!(dissect::v4(&last(8)).is_ok());
}

#[test]
fn a_transport_header_that_is_not_whole_or_contradicts_itself_is_malformed() {
    let raw = |protocol, bytes: Vec<u8>| move |frame: Frame| frame.raw(protocol, &bytes);
    let malformed = DropReason::TransportMalformed;
    let tcp = |offset: u8, length: usize| {
        let mut bytes = vec![0; length];
        if let Some(byte) = bytes.get_mut(12) {
            *byte = offset << 4;
        }
        raw(IpProtocol::TCP, bytes)
    };
    for length in [0, 7, 8, 12, 13, 19] {
        both_drop(tcp(5, length), malformed);
    }
    both_drop(tcp(4, 20), malformed);
    both_drop(tcp(6, 23), malformed);
    both_drop(tcp(15, 59), malformed);
    let udp = |length: u16, bytes: usize| {
        let mut datagram = vec![0; bytes];
        datagram[4..6].copy_from_slice(&length.to_be_bytes());
        raw(IpProtocol::UDP, datagram)
    };
    both_drop(udp(7, 8), malformed);
    both_drop(udp(0, 8), malformed);
    both_drop(udp(9, 8), malformed);
    both_drop(udp(8, 7), malformed);
    for protocol in [IpProtocol::SCTP, UDP_LITE, DCCP, IpProtocol::ICMP, IpProtocol::ICMPV6] {
        both_drop(raw(protocol, vec![0; 7]), malformed);
    }
    // Less than there is, and a fragment of more than there is.
    assert!(dissect::v4(&udp(8, 9)(v4())).is_ok());
    assert!(dissect::v4(&udp(99, 16)(v4().fragment(0, true))).is_ok());
    assert_eq!(dissect::v4(&udp(7, 16)(v4().fragment(0, true))), Err(malformed));
}

#[test]
fn what_ends_before_its_upper_header_is_truncated() {
    assert_eq!(dissect::v4(&v4().udp(1, 2, b"")[..33]), Err(DropReason::Ip4Truncated));
    let options = v4().options(&[1; 40]).udp(1, 2, b"");
    assert_eq!(dissect::v4(&options[..60]), Err(DropReason::Ip4Truncated));
    assert_eq!(dissect::v6(&v6().udp(1, 2, b"")[..53]), Err(DropReason::Ip6Truncated));
    let misplaced = v6()
        .extension(IpProtocol::DESTINATION_OPTIONS, &[1, 4, 0, 0, 0, 0])
        .extension(IpProtocol::HOP_BY_HOP, &[1, 4, 0, 0, 0, 0]);
    assert_eq!(dissect::v6(&misplaced.udp(1, 2, b"")), Err(DropReason::Ip6BadHeader));
}

#[test]
fn a_quote_of_eight_bytes_says_what_it_is_of() {
    for kept in [8, 20, 28] {
        let quote = v4().tcp(Tcp { sequence: 99, ..Tcp::syn(1024, 80) }, b"12345678");
        let error = v4().icmp(3, 1, [0; 4], &quote[14..][..20 + kept]);
        assert_eq!(quoted_v4(&error, 34), Some(tuple4(1024, 80, IpProtocol::TCP)));
        assert_eq!(quoted_sequence(&error, 34, false), Some(99));
        let quote = v4().options(&[1; 8]).tcp(Tcp { sequence: 99, ..Tcp::syn(1, 2) }, b"12345678");
        let error = v4().icmp(3, 1, [0; 4], &quote[14..][..28 + kept]);
        assert_eq!(quoted_v4(&error, 34), Some(tuple4(1, 2, IpProtocol::TCP)));
        assert_eq!(quoted_sequence(&error, 34, false), Some(99));
        let extended = v6().extension(IpProtocol::HOP_BY_HOP, &[5, 2, 0, 0, 1, 0]);
        let quote = extended.tcp(Tcp { sequence: 99, ..Tcp::syn(1, 2) }, b"12345678");
        let error = v6().icmp(1, 1, [0; 4], &quote[14..][..48 + kept]);
        assert_eq!(quoted_v6(&error, 54), Some(tuple6(1, 2, IpProtocol::TCP)));
        assert_eq!(quoted_sequence(&error, 54, true), Some(99));
    }
    let cases: [(Vec<u8>, u16, u16, u8); 5] = [
        (v4().udp(1, 2, b""), 1, 2, 17),
        (v4().sctp(1, 2, b""), 1, 2, 132),
        (v4().echo(Echo::Request, 7, 1, b""), 7, 8 << 8, 1),
        (v4().echo(Echo::Reply, 7, 1, b""), 8 << 8, 7, 1),
        (v4().raw(GRE, &[1; 8]), 0, 0, 47),
    ];
    for (quote, src, dst, protocol) in cases {
        let error = v4().icmp(11, 0, [0; 4], &quote[14..]);
        assert_eq!(quoted_v4(&error, 34), Some(tuple4(src, dst, IpProtocol(protocol))));
    }
    let error = v6().icmp(3, 0, [0; 4], &v6().echo(Echo::Request, 7, 1, b"")[14..]);
    assert_eq!(quoted_v6(&error, 54), Some(tuple6(7, 128 << 8, IpProtocol::ICMPV6)));
}

#[test]
fn a_first_fragment_is_as_long_as_what_follows_its_fragment_header() {
    let udp = &v6().udp(1024, 80, b"12345678")[54..];
    for options in [&[][..], &[17, 0, 1, 4, 0, 0, 0, 0]] {
        let first =
            if options.is_empty() { IpProtocol::UDP } else { IpProtocol::DESTINATION_OPTIONS };
        let frame = v6().fragment(0, true).raw(first, &[options, udp].concat());
        let seen = dissect::v6(&frame).expect("sound");
        let part = seen.fragment.expect("a fragment");
        assert_eq!(usize::from(part.length), options.len() + udp.len());
        assert_eq!(usize::from(seen.upper), 62 + options.len());
        assert_eq!((part.protocol, seen.tuple.ports.src), (IpProtocol::UDP, 1024));
    }
}

#[test]
fn a_quote_of_less_says_nothing() {
    let quote = v4().udp(1, 2, b"");
    for kept in 0..28 {
        assert_eq!(quoted_v4(&v4().icmp(3, 1, [0; 4], &quote[14..][..kept]), 34), None);
    }
    let quote = v6().udp(1, 2, b"");
    for kept in 0..48 {
        assert_eq!(quoted_v6(&v6().icmp(1, 1, [0; 4], &quote[14..][..kept]), 54), None);
    }
    for quote in [
        v4().fragment(64, false).raw(IpProtocol::UDP, &[0; 8]),
        v4().icmp(3, 1, [0; 4], b"an error about an error"),
        v6().udp(1, 2, b""),
    ] {
        assert_eq!(quoted_v4(&v4().icmp(3, 1, [0; 4], &quote[14..]), 34), None);
    }
    for quote in [
        v6().fragment(64, false).raw(IpProtocol::UDP, &[0; 8]),
        v6().icmp(1, 1, [0; 4], b"an error about an error"),
        v4().udp(1, 2, &[0; 40]),
    ] {
        assert_eq!(quoted_v6(&v6().icmp(1, 1, [0; 4], &quote[14..]), 54), None);
    }
}

#[test]
fn a_segment_is_read_with_its_window_scale() {
    let header = Tcp {
        sequence: 1,
        acknowledgment: 2,
        window: 3,
        options: vec![2, 4, 5, 180, 1, 3, 3, 7],
        ..Tcp::syn(1024, 80)
    };
    let segment = tcp_segment(&v4().tcp(header.clone(), b"early"), 34).expect("whole");
    assert_eq!((segment.seq, segment.ack, segment.window, segment.payload), (1, 2, 3, 5));
    assert_eq!((segment.flags, segment.window_scale), (Flags::SYN, Some(7)));
    let header = Tcp { flags: Flags::ACK, ..header };
    let segment = tcp_segment(&v6().tcp(header, b""), 54).expect("whole");
    assert_eq!((segment.payload, segment.window_scale), (0, None), "no SYN, no scale");
    for options in
        [vec![1, 1, 3, 3], vec![3, 0, 7], vec![3, 2], vec![0, 3, 3, 7], vec![8, 40, 3, 3]]
    {
        let frame = v4().tcp(Tcp { options: options.clone(), ..Tcp::syn(1, 2) }, b"");
        let segment = tcp_segment(&frame, 34).expect("whole");
        assert_eq!(segment.window_scale, None, "{options:?}");
    }
    assert_eq!(tcp_segment(&v4().tcp(Tcp::syn(1, 2), b"")[..53], 34), None);
}

#[test]
fn an_icmp_message_with_a_bit_flipped_is_not_sound() {
    let mut four = v4().echo(Echo::Request, 1, 2, b"odd");
    let mut six = v6().echo(Echo::Request, 1, 2, b"odd");
    let (end4, end6) = (four.len(), six.len());
    assert!(is_sound_icmp4(&four, 34, end4) && is_sound_icmp6(&six, 54, end6));
    assert!(!is_sound_icmp4(&four, 34, end4 + 1) && !is_sound_icmp6(&six, 54, end6 + 1));
    four[40] ^= 1;
    six[20 + 14] ^= 1;
    assert!(!is_sound_icmp4(&four, 34, end4) && !is_sound_icmp6(&six, 54, end6));
}

/// Bytes that begin like a packet now and then.
fn anything() -> impl Strategy<Value = Vec<u8>> {
    let protocol = prop::sample::select(vec![1u8, 6, 17, 33, 132, 136, 58, 44, 0, 60]);
    let bytes = prop::collection::vec(any::<u8>(), 0..160);
    (bytes, any::<bool>(), protocol, any::<u8>()).prop_map(|(mut frame, is_v6, protocol, words)| {
        let first = if is_v6 { 0x60 } else { 0x40 | words & 0xf };
        let header = [(12, if is_v6 { 0x86 } else { 8 }), (13, if is_v6 { 0xdd } else { 0 })];
        let next = if is_v6 { 20 } else { 23 };
        for (at, byte) in header.into_iter().chain([(14, first), (next, protocol)]) {
            if let Some(to) = frame.get_mut(at) {
                *to = byte;
            }
        }
        frame
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn no_bytes_break_anything(frame in anything(), head in any::<[u8; 4]>()) {
        exercise(&[&head[..], &frame].concat());
    }
}
