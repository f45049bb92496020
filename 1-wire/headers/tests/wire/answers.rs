//! Answers made of what they answer: resets, and those in place of hosts behind the gateway.

use std::net::{Ipv4Addr, Ipv6Addr};

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use portcullis_packet::{Mac, NextHopId, Offload, Packet};
use portcullis_wire::build::{self, DST_MAC, Frame, SRC_MAC, Tcp};
use portcullis_wire::proxy::{answer_arp, answer_nd, arp_target, nd_target};
use portcullis_wire::reset::{reset_v4, reset_v6};
use portcullis_wire::tcp::Flags;
use portcullis_wire::{EtherType, IpProtocol, arp};

use crate::common::{DST4, DST6, SRC4, SRC6, checksums_are_right, v4, v6};

const MINE: Mac = Mac([2, 0, 0, 0, 0, 9]);

/// Sequence number, acknowledgment number and flags of the reset that answers a segment: of both families, which
/// otherwise are as resets are.
fn reset(flags: Flags, payload: &[u8]) -> Option<(u32, u32, Flags)> {
    let header = Tcp {
        sequence: u32::MAX - 1,
        acknowledgment: 5000,
        flags,
        options: vec![1; 8],
        ..Tcp::syn(1024, 80)
    };
    let mut packet = Packet::from_bytes(&v4().options(&[1; 4]).tcp(header.clone(), payload));
    packet.meta_mut().offload = Offload { needs_csum: true, csum_start: 38, ..Offload::NONE };
    packet.meta_mut().flow_hash = 7;
    let (before, is_made) = (packet.data().to_vec(), reset_v4(&mut packet, 38));
    let four = examine(&packet, is_made, &before);
    let options = v6().extension(IpProtocol::DESTINATION_OPTIONS, &[1, 4, 0, 0, 0, 0]);
    let mut packet = Packet::from_bytes(&options.tcp(header, payload));
    let (before, is_made) = (packet.data().to_vec(), reset_v6(&mut packet, 62));
    let six = examine(&packet, is_made, &before);
    assert_eq!(four, six);
    four
}

fn examine(packet: &Packet, is_made: bool, before: &[u8]) -> Option<(u32, u32, Flags)> {
    if !is_made {
        assert_eq!(packet.data(), before, "nothing is changed");
        return None;
    }
    let meta = packet.meta();
    assert_eq!(
        (meta.offload, meta.flow_hash, meta.next_hop),
        (Offload::NONE, 0, NextHopId::NO_ROUTE)
    );
    assert!(checksums_are_right(packet.data()));
    let parsed = SlicedPacket::from_ethernet(packet.data()).expect("well-formed");
    match parsed.net.expect("a packet") {
        NetSlice::Ipv4(ip) => {
            let header = ip.header();
            let addresses = (header.source_addr(), header.destination_addr());
            assert_eq!((addresses, header.ttl()), ((DST4, SRC4), 64));
            assert_eq!(packet.len(), 14 + 20 + 20);
        }
        NetSlice::Ipv6(ip) => {
            let header = ip.header();
            let addresses = (header.source_addr(), header.destination_addr());
            assert_eq!((addresses, header.hop_limit()), ((DST6, SRC6), 64));
            assert_eq!(packet.len(), 14 + 40 + 20);
        }
        NetSlice::Arp(_) => panic!("ARP"),
    }
    let Some(TransportSlice::Tcp(tcp)) = parsed.transport else { panic!("not TCP") };
    assert_eq!((tcp.source_port(), tcp.destination_port()), (80, 1024));
    assert_eq!((tcp.window_size(), tcp.urgent_pointer(), tcp.options()), (0, 0, &[][..]));
    let flags = if tcp.ack() { Flags::RST.with(Flags::ACK) } else { Flags::RST };
    assert!(tcp.rst() && !tcp.syn() && !tcp.fin() && !tcp.psh() && !tcp.urg());
    Some((tcp.sequence_number(), tcp.acknowledgment_number(), flags))
}

#[test]
fn a_reset_acknowledges_all_that_came_without_an_acknowledgment() {
    let acknowledges = |ack| Some((0, ack, Flags::RST.with(Flags::ACK)));
    assert_eq!(reset(Flags::SYN, b""), acknowledges(u32::MAX));
    assert_eq!(reset(Flags::SYN, b"early"), acknowledges(4));
    assert_eq!(reset(Flags::FIN, b"data"), acknowledges(3));
    assert_eq!(reset(Flags(0), b"odd"), acknowledges(1));
}

#[test]
fn a_reset_of_an_acknowledgment_has_its_number() {
    for flags in [Flags::ACK, Flags::ACK.with(Flags::SYN), Flags::ACK.with(Flags::FIN)] {
        assert_eq!(reset(flags, b"data"), Some((5000, 0, Flags::RST)));
    }
}

#[test]
fn a_reset_is_never_answered() {
    for flags in [Flags::RST, Flags::RST.with(Flags::ACK), Flags::RST.with(Flags::SYN)] {
        assert_eq!(reset(flags, b""), None);
    }
}

#[test]
fn what_is_no_segment_is_not_reset() {
    for upper in [34, 53, 60, 2000] {
        let mut packet = Packet::from_bytes(&v4().udp(1, 2, b"short"));
        assert!(!reset_v4(&mut packet, upper) && !reset_v6(&mut packet, upper));
        assert_eq!(packet.data(), v4().udp(1, 2, b"short"));
    }
}

#[test]
fn an_arp_request_is_answered_to_who_asked() {
    let (asker, target) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 77));
    let request = build::arp_request(SRC_MAC, asker, target);
    assert_eq!(arp_target(&request), Some(target.to_bits()));
    let padded = [request.as_slice(), &[0; 18]].concat();
    let mut packet = Packet::from_bytes(&padded);
    assert!(answer_arp(&mut packet, MINE));
    let reply = build::arp_reply((MINE, target), (SRC_MAC, asker));
    assert_eq!(packet.data(), [reply.as_slice(), &[0; 18]].concat());
    let parsed = SlicedPacket::from_ethernet(packet.data()).expect("well-formed");
    let Some(NetSlice::Arp(message)) = parsed.net else { panic!("not ARP") };
    assert_eq!(message.operation(), etherparse::ArpOperation::REPLY);
    assert_eq!((message.sender_hw_addr(), message.target_hw_addr()), (&MINE.0[..], &SRC_MAC.0[..]));
}

#[test]
fn only_arp_requests_are_answered() {
    let reply = build::arp_reply((SRC_MAC, SRC4), (DST_MAC, DST4));
    let request = build::arp_request(SRC_MAC, SRC4, DST4);
    let cut = &request[..14 + arp::LEN - 1];
    let (mut from_group, mut of_group) = (request.clone(), request.clone());
    from_group[6] |= 1;
    of_group[14 + 8] |= 1;
    let others = [&reply[..], cut, &from_group, &of_group, &v4().udp(1, 2, &[0; 20]), &[]];
    for frame in others {
        let mut packet = Packet::from_bytes(frame);
        assert!(arp_target(frame).is_none() && !answer_arp(&mut packet, MINE));
        assert_eq!(packet.data(), frame);
    }
}

const WANTED: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 0x1234);
const SOLICITED_NODE: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 0x1234);

/// A solicitation from an address, with the asker's link-layer address if he has one.
fn solicitation(from: Ipv6Addr) -> Vec<u8> {
    let mut body = WANTED.octets().to_vec();
    if !from.is_unspecified() {
        body.extend([1, 1]);
        body.extend(SRC_MAC.0);
    }
    Frame::v6(from, SOLICITED_NODE).hops(255).icmp(135, 0, [0; 4], &body)
}

/// The advertisement that MINE has the address.
fn advertisement(to: Ipv6Addr, mac: Mac, flags: u8) -> Vec<u8> {
    let mut body = WANTED.octets().to_vec();
    body.extend([2, 1]);
    body.extend(MINE.0);
    Frame::v6(WANTED, to).macs(MINE, mac).hops(255).icmp(136, 0, [flags, 0, 0, 0], &body)
}

#[test]
fn a_solicitation_is_answered_to_who_asked() {
    let request = solicitation(SRC6);
    assert_eq!(nd_target(&request), Some(WANTED.to_bits()));
    let mut packet = Packet::from_bytes(&request);
    assert!(answer_nd(&mut packet, MINE));
    assert_eq!(packet.data(), advertisement(SRC6, SRC_MAC, 0x40));
    assert!(checksums_are_right(packet.data()));
}

#[test]
fn a_solicitation_from_nobody_is_answered_to_everybody() {
    let request = solicitation(Ipv6Addr::UNSPECIFIED);
    // The answer is longer: it has a link-layer address.
    let mut packet = Packet::from_bytes(&request);
    assert!(!answer_nd(&mut packet, MINE) && packet.data() == request, "there is no room");
    let mut packet = Packet::with_capacity(128);
    assert!(packet.set_len(request.len()));
    packet.data_mut().copy_from_slice(&request);
    assert!(answer_nd(&mut packet, MINE));
    let all_nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let mac = Mac([0x33, 0x33, 0, 0, 0, 1]);
    assert_eq!(packet.data(), advertisement(all_nodes, mac, 0));
}

#[test]
fn only_sound_solicitations_are_answered() {
    let sound = solicitation(SRC6);
    let with = |change: fn(&mut Vec<u8>)| {
        let mut frame = sound.clone();
        change(&mut frame);
        frame
    };
    let body = WANTED.octets();
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1).octets();
    let from = || Frame::v6(SRC6, SOLICITED_NODE);
    let from_nobody = || Frame::v6(Ipv6Addr::UNSPECIFIED, WANTED);
    let with_option = |option: &[u8]| {
        let body = [&body, option].concat();
        from().hops(255).icmp(135, 0, [0; 4], &body)
    };
    let frames = [
        ("a wrong checksum", with(|frame| frame[56] ^= 1)),
        ("not from this link", from().hops(254).icmp(135, 0, [0; 4], &body)),
        ("another code", from().hops(255).icmp(135, 1, [0; 4], &body)),
        ("an advertisement", advertisement(SRC6, SRC_MAC, 0)),
        ("from a group's station", with(|frame| frame[6] |= 1)),
        ("of a group", from().hops(255).icmp(135, 0, [0; 4], &group)),
        ("from nobody to one host", from_nobody().hops(255).icmp(135, 0, [0; 4], &body)),
        ("an option of no length", with_option(&[1, 0, 0, 0, 0, 0, 0, 0])),
        ("an option cut short", with_option(&[1, 2, 0, 0, 0, 0, 0, 0])),
        ("a part of an option", with_option(&[1])),
        ("half a target", from().hops(255).icmp(135, 0, [0; 4], &body[..8])),
        ("another EtherType", with(|frame| frame[12..14].copy_from_slice(&[8, 0]))),
        ("cut short", sound[..60].to_vec()),
        ("nothing", Vec::new()),
    ];
    for (what, frame) in frames {
        let mut packet = Packet::from_bytes(&frame);
        assert!(nd_target(&frame).is_none() && !answer_nd(&mut packet, MINE), "{what}");
        assert_eq!(packet.data(), frame, "{what}");
    }
}

#[test]
fn an_answer_to_a_tagged_frame_is_not_made() {
    let request = build::arp_request(SRC_MAC, SRC4, DST4);
    let tagged = build::tagged(&request, EtherType::VLAN, 7);
    assert!(!answer_arp(&mut Packet::from_bytes(&tagged), MINE));
    let tagged = build::tagged(&solicitation(SRC6), EtherType::VLAN, 7);
    assert!(!answer_nd(&mut Packet::from_bytes(&tagged), MINE));
}
