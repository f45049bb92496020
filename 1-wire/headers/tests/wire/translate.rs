//! Translation: of sound packets by somebody else's reading, of damaged ones by what must hold in any case.

use portcullis_packet::{Offload, Ports};
use portcullis_wire::build::{Echo, Tcp};
use portcullis_wire::dissect;
use portcullis_wire::rewrite::{Rewrite4, translate_error4};
use portcullis_wire::{IpProtocol, Tuple, mss};
use proptest::prelude::*;

use crate::common::{checksums_are_right, v4, v6};
use crate::exercise::translate;

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..64)
}

/// Sound frames of every kind that is translated.
fn sound() -> impl Strategy<Value = Vec<u8>> {
    (0..10u8, any::<u16>(), any::<u16>(), payload()).prop_map(|(kind, a, b, payload)| {
        let quoted = v4().udp(a, b, &payload);
        let quoted6 = v6().udp(a, b, &payload);
        match kind {
            0 => v4().udp(a, b, &payload),
            1 => v4().tcp(Tcp { options: vec![2, 4, 5, 180], ..Tcp::syn(a, b) }, b""),
            2 => v4().tcp(Tcp::data(a, b, 7), &payload),
            3 => v4().echo(Echo::Request, a, b, &payload),
            4 => v4().icmp(3, 1, [0; 4], &quoted[14..]),
            5 => v4().fragment(0, true).udp(a, b, &payload),
            6 => v6().icmp(1, 0, [0; 4], &quoted6[14..]),
            7 => v6().tcp(Tcp::syn(a, b), b""),
            8 => v4().icmp(42, 0, [a as u8, b as u8, 1, 1], &payload),
            _ => v4().options(&[1, 1, 1, 0]).udp(a, b, &payload),
        }
    })
}

proptest! {
    #[test]
    fn damaged_frames_are_translated_or_refused_but_never_made_worse(
        mut frame in sound(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        keep in 14usize..400,
    ) {
        for (at, byte) in damage {
            let at = at.index(frame.len());
            frame[at] = byte;
        }
        frame.truncate(keep);
        translate::exercise(&frame);
    }

    #[test]
    fn translated_packets_have_the_checksums_of_fresh_ones(
        (src, dst) in (any::<u32>(), any::<u32>()),
        (a, b) in (any::<u16>(), any::<u16>()),
        kind in 0..3u8,
        payload in payload(),
    ) {
        let mut frame = match kind {
            0 => v4().udp(1, 2, &payload),
            1 => v4().tcp(Tcp::data(1, 2, 7), &payload),
            _ => v4().echo(Echo::Request, 1, 2, &payload),
        };
        let seen = dissect::v4(&frame).expect("sound");
        let ports = if kind == 2 { Ports { src: a, ..seen.tuple.ports } } else { Ports { src: a, dst: b } };
        let to = Tuple { src, dst, ports, ..seen.tuple };
        let protocol = seen.tuple.protocol;
        Rewrite4::new(&seen.tuple, &to).apply(&mut frame, seen.upper.into(), protocol, Offload::NONE, false);
        prop_assert_eq!(dissect::v4(&frame).expect("sound").tuple, to);
        prop_assert!(checksums_are_right(&frame));
    }

    #[test]
    fn a_translated_error_and_what_it_quotes_have_right_checksums(
        (src, dst, port) in (any::<u32>(), any::<u32>(), any::<u16>()),
        payload in payload(),
        of_tcp in any::<bool>(),
    ) {
        let inner = if of_tcp { v4().tcp(Tcp::data(1, 2, 7), &payload) } else { v4().udp(1, 2, &payload) };
        let mut frame = v4().icmp(3, 3, [0; 4], &inner[14..]);
        let seen = dissect::v4(&frame).expect("sound");
        let quoted = dissect::quoted_v4(&frame, seen.upper.into()).expect("a quote");
        let to = Tuple { src, dst, ports: Ports { src: port, ..quoted.ports }, ..quoted };
        prop_assert!(translate_error4(&mut frame, seen.upper.into(), (dst, src), &to));
        prop_assert!(checksums_are_right(&frame));
        let quote = [&inner[..14], &frame[usize::from(seen.upper) + 8..]].concat();
        prop_assert!(checksums_are_right(&quote), "the quoted headers");
    }
}

#[test]
fn a_udp_checksum_of_zero_stays_zero_and_none_becomes_zero() {
    let mut frame = v4().udp(1, 2, b"x");
    frame[40..42].fill(0);
    let from = dissect::v4(&frame).expect("sound").tuple;
    let to = Tuple { src: 7, ..from };
    Rewrite4::new(&from, &to).apply(&mut frame, 34, IpProtocol::UDP, Offload::NONE, false);
    assert_eq!(frame[40..42], [0, 0]);
    // Whatever it is translated to, a checksum that there is is never written as none.
    for port in 0..=u16::MAX {
        let mut frame = v4().udp(1, 2, b"x");
        let to = Tuple { ports: Ports { src: port, dst: 2 }, ..from };
        Rewrite4::new(&from, &to).apply(&mut frame, 34, IpProtocol::UDP, Offload::NONE, false);
        assert_ne!(frame[40..42], [0, 0], "{port}");
    }
}

#[test]
fn a_message_that_is_no_query_has_no_identifier_to_translate() {
    // An extended echo request (RFC 8335), of which the gateway knows nothing.
    let mut frame = v4().icmp(42, 0, [0x12, 0x34, 1, 0], b"probe");
    let seen = dissect::v4(&frame).expect("sound");
    let to = Tuple { src: 7, ..seen.tuple };
    Rewrite4::new(&seen.tuple, &to).apply(&mut frame, 34, IpProtocol::ICMP, Offload::NONE, false);
    assert_eq!(frame[38..42], [0x12, 0x34, 1, 0]);
    assert!(checksums_are_right(&frame));
}

#[test]
fn a_checksum_of_udp_lite_never_becomes_zero() {
    for port in 0..=u16::MAX {
        let mut frame = v4().raw(IpProtocol(136), &[0, 1, 0, 2, 0, 8, 0xab, 0xcd]);
        let from = dissect::v4(&frame).expect("sound").tuple;
        let to = Tuple { ports: Ports { src: port, dst: 2 }, ..from };
        Rewrite4::new(&from, &to).apply(&mut frame, 34, IpProtocol(136), Offload::NONE, false);
        assert_ne!(frame[40..42], [0, 0], "{port}");
    }
}

#[test]
fn a_maximum_segment_size_is_lowered_but_never_raised() {
    let announced = |most: u16| {
        let options = vec![1, 2, 4, 5, 180, 0];
        let mut frame = v4().tcp(Tcp { options, ..Tcp::syn(1, 2) }, b"");
        let changed = mss::clamp(&mut frame, 34, most, false);
        assert!(checksums_are_right(&frame));
        (changed, u16::from_be_bytes([frame[57], frame[58]]))
    };
    assert_eq!(announced(1200), (true, 1200));
    assert_eq!(announced(1460), (false, 1460));
    assert_eq!(announced(9000), (false, 1460));
}
