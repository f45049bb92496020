//! ICMP errors: what they look like to somebody else's parser, and when there must be none.

use std::net::{Ipv4Addr, Ipv6Addr};

use etherparse::{Icmpv4Type, Icmpv6Type, NetSlice, SlicedPacket, TransportSlice};
use portcullis_packet::{GsoKind, HEADROOM, Offload, Packet};
use portcullis_wire::build::{Echo, Frame, Tcp};
use portcullis_wire::icmp_error::{
    Icmp4Error, Icmp6Error, RewriteError, may_answer_v4, may_answer_v6, rewrite_v4, rewrite_v6,
};
use portcullis_wire::{EtherType, IpProtocol, build, icmpv4, icmpv6, tcp};
use proptest::prelude::*;

use crate::common::{self, SRC4, SRC6, checksums_are_right, v4, v6};

const GATEWAY4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const GATEWAY6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xff, 0, 0, 0, 0, 1);

fn answer_v4(frame: &[u8], error: Icmp4Error) -> Vec<u8> {
    let mut packet = Packet::from_bytes(frame);
    rewrite_v4(&mut packet, 14, error, GATEWAY4, 64).expect("room and a packet");
    packet.data().to_vec()
}

fn answer_v6(frame: &[u8], error: Icmp6Error) -> Vec<u8> {
    let mut packet = Packet::from_bytes(frame);
    rewrite_v6(&mut packet, 14, error, GATEWAY6, 64).expect("room and a packet");
    packet.data().to_vec()
}

#[test]
fn a_time_exceeded_goes_to_the_source_and_quotes_the_packet() {
    let offending = v4().hops(1).identification(77).dont_fragment().udp(33_434, 33_435, b"probe");
    let answer = answer_v4(&offending, Icmp4Error::TimeExceeded);
    assert!(checksums_are_right(&answer));
    let parsed = SlicedPacket::from_ethernet(&answer).expect("well-formed");
    let Some(NetSlice::Ipv4(ip)) = parsed.net else { panic!("not IPv4") };
    let header = ip.header().to_header();
    assert_eq!((header.source, header.destination), (GATEWAY4.octets(), SRC4.octets()));
    assert_eq!((header.time_to_live, header.dont_fragment), (64, false));
    assert_eq!(header.dscp.value(), 48, "precedence 6, internetwork control");
    assert_eq!(header.identification, 77, "no two errors to one host have the same");
    let Some(TransportSlice::Icmpv4(icmp)) = parsed.transport else { panic!("not ICMP") };
    assert!(matches!(icmp.icmp_type(), Icmpv4Type::TimeExceeded(_)));
    assert_eq!(icmp.payload(), &offending[14..]);
}

#[test]
fn each_error_has_its_type_code_and_mtu() {
    let about = v4().udp(1, 2, b"");
    let cases = [
        (Icmp4Error::TimeExceeded, 11, 0, 0),
        (Icmp4Error::NetUnreachable, 3, 0, 0),
        (Icmp4Error::HostUnreachable, 3, 1, 0),
        (Icmp4Error::FragmentationNeeded { mtu: 1400 }, 3, 4, 1400),
        (Icmp4Error::NetProhibited, 3, 9, 0),
        (Icmp4Error::HostProhibited, 3, 10, 0),
        (Icmp4Error::CommunicationProhibited, 3, 13, 0),
    ];
    for (error, message_type, code, mtu) in cases {
        let answer = answer_v4(&about, error);
        let header = icmpv4::Header::new(&answer[34..]).expect("ICMP");
        assert_eq!((header.message_type().0, header.code()), (message_type, code), "{error:?}");
        assert_eq!(header.next_hop_mtu(), mtu);
    }
    let about = v6().udp(1, 2, b"");
    let cases = [
        (Icmp6Error::HopLimitExceeded, 3, 0, 0),
        (Icmp6Error::NoRoute, 1, 0, 0),
        (Icmp6Error::Prohibited, 1, 1, 0),
        (Icmp6Error::BeyondScope, 1, 2, 0),
        (Icmp6Error::AddressUnreachable, 1, 3, 0),
        (Icmp6Error::RejectRoute, 1, 6, 0),
        (Icmp6Error::PacketTooBig { mtu: 1400 }, 2, 0, 1400),
    ];
    for (error, message_type, code, mtu) in cases {
        let answer = answer_v6(&about, error);
        let header = icmpv6::Header::new(&answer[54..]).expect("ICMPv6");
        assert_eq!((header.message_type().0, header.code()), (message_type, code), "{error:?}");
        assert_eq!(header.mtu(), mtu);
    }
}

#[test]
fn a_packet_too_big_quotes_up_to_the_minimum_mtu() {
    let offending = v6().udp(1, 2, &[7; 2000]);
    let answer = answer_v6(&offending, Icmp6Error::PacketTooBig { mtu: 1280 });
    assert_eq!(answer.len(), 14 + 1280);
    assert!(checksums_are_right(&answer));
    let parsed = SlicedPacket::from_ethernet(&answer).expect("well-formed");
    let Some(NetSlice::Ipv6(ip)) = parsed.net else { panic!("not IPv6") };
    assert_eq!(ip.header().source_addr(), GATEWAY6);
    assert_eq!(ip.header().destination_addr(), SRC6);
    let Some(TransportSlice::Icmpv6(icmp)) = parsed.transport else { panic!("not ICMPv6") };
    assert!(matches!(icmp.icmp_type(), Icmpv6Type::PacketTooBig { mtu: 1280 }));
    assert_eq!(icmp.payload(), &offending[14..][..1232]);
}

proptest! {
    #[test]
    fn an_ipv4_error_has_at_most_576_bytes_and_right_checksums(
        len in 0usize..1400, options in prop::collection::vec(Just(1u8), 0..40)
    ) {
        let offending = v4().options(&options).udp(1, 2, &vec![0xa5; len]);
        let answer = answer_v4(&offending, Icmp4Error::HostUnreachable);
        prop_assert!(checksums_are_right(&answer));
        prop_assert_eq!(answer.len(), 14 + (offending.len() - 14 + 28).min(576));
        prop_assert_eq!(&answer[42..], &offending[14..][..answer.len() - 42]);
    }
}

#[test]
fn the_frames_padding_and_tags_are_not_quoted() {
    let offending = v4().udp(1, 2, b"");
    let padded = [offending.as_slice(), &[0xee; 18]].concat();
    let mut packet = Packet::from_bytes(&build::tagged(&padded, EtherType::VLAN, 7));
    packet.meta_mut().l3 = 18;
    packet.meta_mut().flow_hash = 5;
    rewrite_v4(&mut packet, 18, Icmp4Error::NetUnreachable, GATEWAY4, 64).expect("room");
    assert_eq!(packet.data(), answer_v4(&offending, Icmp4Error::NetUnreachable));
    assert_eq!((packet.meta().l3, packet.meta().flow_hash), (14, 0));
}

#[test]
fn without_headroom_the_quote_is_moved_and_without_any_room_there_is_no_answer() {
    let offending = v4().udp(1, 2, b"12345678");
    let mut packet = Packet::with_capacity(200);
    assert!(packet.grow_front(HEADROOM) && packet.set_len(offending.len()));
    packet.data_mut().copy_from_slice(&offending);
    rewrite_v4(&mut packet, 14, Icmp4Error::NetUnreachable, GATEWAY4, 64).expect("room behind");
    assert_eq!(packet.data(), answer_v4(&offending, Icmp4Error::NetUnreachable));

    let mut packet = Packet::with_capacity(0);
    assert!(packet.grow_front(HEADROOM) && packet.set_len(HEADROOM));
    let full = v4().udp(1, 2, &[0; HEADROOM - 42]);
    packet.data_mut().copy_from_slice(&full);
    let result = rewrite_v4(&mut packet, 14, Icmp4Error::NetUnreachable, GATEWAY4, 64);
    assert_eq!(result, Err(RewriteError::NoRoom));
}

#[test]
fn a_partial_checksum_is_completed_before_it_is_quoted() {
    let whole = v4().udp(1000, 2000, b"some payload");
    let mut packet = common::with_partial_checksum(&whole, 34, 6);
    rewrite_v4(&mut packet, 14, Icmp4Error::TimeExceeded, GATEWAY4, 64).expect("room");
    assert_eq!(packet.data(), answer_v4(&whole, Icmp4Error::TimeExceeded));
    assert!(packet.meta().offload.is_none());
}

#[test]
fn a_super_frame_is_quoted_by_its_first_bytes() {
    let whole = v6().tcp(Tcp::data(1, 2, 99), &[3; 60_000]);
    let mut packet = common::with_partial_checksum(&whole, 54, tcp::CHECKSUM_OFFSET);
    packet.meta_mut().offload.gso = GsoKind::Tcp6;
    packet.meta_mut().offload.gso_size = 1440;
    let before = packet.data().to_vec();
    let error = Icmp6Error::PacketTooBig { mtu: 1400 };
    rewrite_v6(&mut packet, 14, error, GATEWAY6, 64).expect("room");
    assert_eq!(packet.meta().offload, Offload::NONE);
    assert!(checksums_are_right(packet.data()));
    assert_eq!(&packet.data()[62..], &before[14..][..1232]);
}

#[test]
fn what_is_no_packet_becomes_no_error() {
    let mut packet = Packet::from_bytes(&[0; 60]);
    let result = rewrite_v4(&mut packet, 14, Icmp4Error::TimeExceeded, GATEWAY4, 64);
    assert_eq!(result, Err(RewriteError::Malformed));
    let result = rewrite_v6(&mut packet, 14, Icmp6Error::NoRoute, GATEWAY6, 64);
    assert_eq!(result, Err(RewriteError::Malformed));
    let result = rewrite_v6(&mut packet, 61, Icmp6Error::NoRoute, GATEWAY6, 64);
    assert_eq!(result, Err(RewriteError::Malformed));
}

#[test]
fn no_ipv4_error_is_sent_about_errors_groups_later_fragments_and_nobodies() {
    let may = |frame: Vec<u8>| may_answer_v4(&frame[14..], false);
    let from = |a, b, c, d| may(Frame::v4([a, b, c, d], common::DST4).udp(1, 2, b""));
    let to = |a, b, c, d| may(Frame::v4(SRC4, [a, b, c, d]).udp(1, 2, b""));
    assert!(may(v4().udp(1, 2, b"")));
    assert!(!may_answer_v4(&v4().udp(1, 2, b"")[14..], true), "a link-layer group");
    assert!(!from(0, 0, 0, 0) && !from(0, 1, 2, 3), "this network");
    assert!(!from(127, 0, 0, 1) && !from(224, 0, 0, 5), "loopback, multicast");
    assert!(!from(240, 0, 0, 1) && !from(255, 255, 255, 255), "class E, broadcast");
    assert!(!to(224, 0, 0, 5) && !to(255, 255, 255, 255));
    assert!(may(v4().fragment(0, true).udp(1, 2, b"12345678")), "the first fragment");
    assert!(!may(v4().fragment(8, true).udp(1, 2, b"12345678")));
    assert!(may(v4().echo(Echo::Request, 1, 1, b"")) && may(v4().echo(Echo::Reply, 1, 1, b"")));
    for message in [3, 4, 5, 11, 12, 1, 40, 255] {
        assert!(!may(v4().icmp(message, 0, [0; 4], b"")), "ICMP type {message}");
    }
    for message in [0, 8, 9, 10, 13, 14, 15, 16, 17, 18, 42, 43] {
        assert!(may(v4().icmp(message, 0, [0; 4], b"")), "ICMP type {message}");
    }
    assert!(!may(v4().raw(IpProtocol::ICMP, b"")), "ICMP that shows no type");
    assert!(!may_answer_v4(&[0x45; 10], false), "no packet");
}

#[test]
fn no_ipv6_error_is_sent_about_errors_groups_later_fragments_and_nobodies() {
    const UNREACHABLE: Icmp6Error = Icmp6Error::NoRoute;
    const TOO_BIG: Icmp6Error = Icmp6Error::PacketTooBig { mtu: 1280 };
    let may = |frame: Vec<u8>| may_answer_v6(&frame[14..], false, UNREACHABLE);
    let from = |src: &str| {
        let src: Ipv6Addr = src.parse().expect("an address");
        may(Frame::v6(src, common::DST6).udp(1, 2, b""))
    };
    assert!(from("2001:db8::1") && from("fe80::1"));
    assert!(!from("::") && !from("::1") && !from("ff02::1"));
    let group: Ipv6Addr = "ff0e::5".parse().expect("an address");
    let to_group = Frame::v6(SRC6, group).udp(1, 2, b"");
    assert!(!may(to_group.clone()));
    assert!(may_answer_v6(&to_group[14..], true, TOO_BIG), "path MTU discovery of a group");
    assert!(!may_answer_v6(&v6().udp(1, 2, b"")[14..], true, UNREACHABLE));
    assert!(may(v6().fragment(0, true).udp(1, 2, b"12345678")));
    assert!(!may(v6().fragment(8, true).udp(1, 2, b"12345678")));
    assert!(may(v6().echo(Echo::Request, 1, 1, b"")));
    for message in [0, 1, 2, 3, 4, 100, 127, 137] {
        let frame = v6().icmp(message, 0, [0; 4], b"");
        assert!(!may_answer_v6(&frame[14..], false, TOO_BIG), "ICMPv6 type {message}");
    }
    for message in [128, 129, 133, 135, 143, 200] {
        assert!(may(v6().icmp(message, 0, [0; 4], b"")), "ICMPv6 type {message}");
    }
    let hidden = v6().extension(IpProtocol::DESTINATION_OPTIONS, &[0; 6]).icmp(1, 0, [0; 4], b"");
    assert!(!may(hidden), "an error behind an extension header");
    let chain = (0..9).fold(v6(), |f, _| f.extension(IpProtocol::DESTINATION_OPTIONS, &[0; 6]));
    assert!(!may(chain.udp(1, 2, b"")), "a chain that hides what it leads to");
    assert!(!may(v6().raw(IpProtocol::ICMPV6, b"")));
}
