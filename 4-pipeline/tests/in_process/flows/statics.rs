//! Networks that stand for each other: IPv4 one to one, IPv6 by prefix (RFC 6296); and who answers for
//! external addresses on a link.

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use portcullis_firewall::{AddressRange, RuleSpec, RulesSpec};
use portcullis_nat::{NatSpec, Static6Spec};
use portcullis_packet::{DropReason, Mac};
use portcullis_routing::NextHop;
use portcullis_wire::IpProtocol;
use portcullis_wire::build::{Echo, Frame, Tcp, arp_reply, arp_request};

use super::setup::{
    A, B, EXTERNAL, INSIDE, Setup, forward, from_a, from_b, masquerade, rule, rules, seen, static4,
};
use crate::answer::Answer;
use crate::gateway::{Gateway, LAN, LAN_MAC, WAN, WAN_MAC};
use crate::reasons::{B6, NOW};
use crate::world::{A_MAC, B_MAC};

/// A as it is known outside.
const EXTERNAL_A: [u8; 4] = [192, 0, 2, 66];

fn one_to_one() -> Gateway {
    let nat = NatSpec { statics4: vec![static4()], ..NatSpec::default() };
    Setup { nat, ..Setup::default() }.gateway()
}

#[test]
fn a_host_with_an_external_address_speaks_and_is_spoken_to_by_it() {
    let out = seen(&one_to_one().pass(NOW, LAN, &from_a(B).udp(4000, 53, b"x")).sent(WAN));
    assert_eq!((out.src, out.src_port, out.dst, out.dst_port), (EXTERNAL_A, 4000, B, 53));
    let unasked = from_b(EXTERNAL_A).udp(53, 4000, b"x");
    let inside = seen(&one_to_one().pass(NOW, WAN, &unasked).sent(LAN));
    assert_eq!((inside.src, inside.src_port, inside.dst, inside.dst_port), (B, 53, A, 4000));
    let ping = from_b(EXTERNAL_A).echo(Echo::Request, 7, 1, b"ping");
    assert_eq!(seen(&one_to_one().pass(NOW, WAN, &ping).sent(LAN)).dst, A);
}

#[test]
fn a_static_translation_needs_no_state_of_before() {
    // In the middle of a connection, from either side, as after a restart.
    let data = from_a(B).tcp(Tcp::data(4000, 80, 1000), b"data");
    assert_eq!(seen(&one_to_one().pass(NOW, LAN, &data).sent(WAN)).src, EXTERNAL_A);
    let data = from_b(EXTERNAL_A).tcp(Tcp::data(80, 4000, 9000), b"data");
    assert_eq!(seen(&one_to_one().pass(NOW, WAN, &data).sent(LAN)).dst, A);
    // A protocol that knows no ports.
    let mut gateway = one_to_one();
    let out = gateway.pass(NOW, LAN, &from_a(B).raw(IpProtocol(47), b"tunnelled")).sent(WAN);
    assert_eq!(out[26..30], EXTERNAL_A);
    let back = gateway.pass(NOW, WAN, &from_b(EXTERNAL_A).raw(IpProtocol(47), b"back")).sent(LAN);
    assert_eq!(back[30..34], A);
    assert_eq!(gateway.flows(), 1);
}

#[test]
fn hosts_beyond_the_network_keep_their_addresses() {
    let mut gateway = one_to_one();
    let other = Frame::v4([10, 0, 0, 16], B).macs(A_MAC, LAN_MAC).udp(1, 2, b"x");
    assert_eq!(seen(&gateway.pass(NOW, LAN, &other).sent(WAN)).src, [10, 0, 0, 16]);
}

const INSIDE6: &str = "fd01:203:405::/48";
/// Addresses of RFC 6296's example: fd01:203:405:1::1234 is 2001:db8:1:d550::1234.
const HOST6: [u8; 16] = [0xfd, 1, 2, 3, 4, 5, 0, 1, 0, 0, 0, 0, 0, 0, 0x12, 0x34];
const EXTERNAL6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 1, 0xd5, 0x50, 0, 0, 0, 0, 0, 0, 0x12, 0x34];

fn prefixes() -> Gateway {
    prefixes_and(None)
}

fn prefixes_and(rules: Option<RulesSpec>) -> Gateway {
    let npt = Static6Spec {
        on: WAN,
        external: "2001:db8:1::/48".parse().expect("a prefix"),
        internal: INSIDE6.parse().expect("a prefix"),
    };
    let nat = NatSpec { statics6: vec![npt], ..NatSpec::default() };
    let mut gateway = Setup { nat, rules, ..Setup::default() }.gateway();
    gateway.route(INSIDE6, NextHop::Attached { interface: LAN });
    gateway.learn(LAN, HOST6.into(), A_MAC);
    gateway
}

fn from_inside6() -> Frame {
    Frame::v6(HOST6, B6).macs(A_MAC, LAN_MAC)
}

fn from_outside6() -> Frame {
    Frame::v6(B6, EXTERNAL6).macs(B_MAC, WAN_MAC)
}

/// Addresses of an IPv6 packet whose transport checksum is right, and that checksum.
#[track_caller]
fn seen6(frame: &[u8]) -> ([u8; 16], [u8; 16], u16) {
    let sliced = SlicedPacket::from_ethernet(frame).expect("a sound frame");
    let Some(NetSlice::Ipv6(net)) = &sliced.net else { panic!("no IPv6") };
    let ip = net.header().to_header();
    let checksum = match &sliced.transport {
        Some(TransportSlice::Udp(udp)) => {
            let sum = udp.to_header().calc_checksum_ipv6(&ip, udp.payload());
            assert_eq!(sum, Ok(udp.checksum()), "UDP");
            udp.checksum()
        }
        Some(TransportSlice::Tcp(tcp)) => {
            let sum = tcp.to_header().calc_checksum_ipv6(&ip, tcp.payload());
            assert_eq!(sum, Ok(tcp.checksum()), "TCP");
            tcp.checksum()
        }
        Some(TransportSlice::Icmpv6(icmp)) => {
            assert!(icmp.is_checksum_valid(ip.source, ip.destination), "ICMPv6");
            icmp.checksum()
        }
        other => panic!("no transport: {other:?}"),
    };
    (ip.source, ip.destination, checksum)
}

#[test]
fn rfc6296_a_prefix_is_exchanged_both_ways_and_no_checksum_changes() {
    let out = [
        from_inside6().udp(4000, 53, b"query"),
        from_inside6().tcp(Tcp::syn(4000, 80), b""),
        from_inside6().echo(Echo::Request, 7, 1, b"ping"),
    ];
    for frame in out {
        // Twice: by the careful way, and by the fast one.
        let mut gateway = prefixes();
        for _ in 0..2 {
            let (src, dst, sum) = seen6(&gateway.pass(NOW, LAN, &frame).sent(WAN));
            assert_eq!((src, dst, sum), (EXTERNAL6, B6, seen6(&frame).2));
        }
    }
    let unasked = [
        from_outside6().udp(53, 4000, b"unasked"),
        from_outside6().tcp(Tcp::data(80, 4000, 9), b"data"),
        from_outside6().echo(Echo::Request, 7, 1, b"ping"),
    ];
    for frame in unasked {
        let mut gateway = prefixes();
        for _ in 0..2 {
            let (src, dst, sum) = seen6(&gateway.pass(NOW, WAN, &frame).sent(LAN));
            assert_eq!((src, dst, sum), (B6, HOST6, seen6(&frame).2));
        }
    }
}

#[test]
fn an_answer_finds_its_flow_through_prefix_translation() {
    let mut gateway = prefixes();
    gateway.pass(NOW, LAN, &from_inside6().udp(4000, 53, b"query")).sent(WAN);
    let answer = from_outside6().udp(53, 4000, b"answer");
    assert_eq!(seen6(&gateway.pass(NOW, WAN, &answer).sent(LAN)).1, HOST6);
    assert_eq!(gateway.flows(), 1);
}

#[test]
fn rfc6296_hosts_behind_a_prefix_reach_each_other_by_it() {
    const OTHER6: [u8; 16] = [0xfd, 1, 2, 3, 4, 5, 0, 2, 0, 0, 0, 0, 0, 0, 0, 5];
    const EXTERNAL_OTHER6: [u8; 16] =
        [0x20, 1, 0xd, 0xb8, 0, 1, 0xd5, 0x51, 0, 0, 0, 0, 0, 0, 0, 5];
    let other = u128::from_be_bytes(OTHER6);
    let source = Some(vec![AddressRange::V6(other..=other)]);
    let only_other = RuleSpec { source, ..rule("other", INSIDE, INSIDE) };
    let mut gateway = prefixes_and(Some(rules(vec![only_other])));
    gateway.learn(LAN, OTHER6.into(), A_MAC);
    let there = Frame::v6(OTHER6, EXTERNAL6).macs(A_MAC, LAN_MAC).udp(4000, 53, b"query");
    let back = Frame::v6(HOST6, EXTERNAL_OTHER6).macs(A_MAC, LAN_MAC).udp(53, 4000, b"answer");
    for _ in 0..2 {
        let (src, dst, sum) = seen6(&gateway.pass(NOW, LAN, &there).sent(LAN));
        assert_eq!((src, dst, sum), (EXTERNAL_OTHER6, HOST6, seen6(&there).2));
        let (src, dst, sum) = seen6(&gateway.pass(NOW, LAN, &back).sent(LAN));
        assert_eq!((src, dst, sum), (EXTERNAL6, OTHER6, seen6(&back).2));
        assert_eq!(gateway.flows(), 2);
    }
    // The rules know hosts by their own addresses.
    let unasked = Frame::v6(HOST6, EXTERNAL_OTHER6).macs(A_MAC, LAN_MAC).udp(1, 2, b"x");
    gateway.pass(NOW, LAN, &unasked).dropped(DropReason::FirewallDrop);
}

#[test]
fn rfc6296_an_error_about_a_translated_packet_quotes_it_as_it_was_sent() {
    let mut gateway = prefixes();
    let frame = from_inside6().udp(4000, 53, b"query");
    let out = gateway.pass(NOW, LAN, &frame).sent(WAN);
    let error = from_outside6().icmp(1, 4, [0; 4], &out[14..]);
    let told = Answer::parse(&gateway.pass(NOW, WAN, &error).sent(LAN));
    assert_eq!((told.from, told.to), (B6.into(), HOST6.into()));
    assert_eq!(told.quoted[8..40], [HOST6, B6].concat());
    assert_eq!(told.quoted[40..], frame[54..], "the datagram is as it was");
}

#[test]
fn rfc6296_what_has_no_external_address_is_not_sent_with_an_inside_one() {
    let mut gateway = prefixes();
    let mut subnet_of_ones = HOST6;
    subnet_of_ones[6..8].fill(0xff);
    let frame = Frame::v6(subnet_of_ones, B6).macs(A_MAC, LAN_MAC).udp(1, 2, b"x");
    gateway.pass(NOW, LAN, &frame).dropped(DropReason::NatUntranslatable);
    let mut subnet_of_ones = EXTERNAL6;
    subnet_of_ones[6..8].fill(0xff);
    let frame = Frame::v6(B6, subnet_of_ones).macs(B_MAC, WAN_MAC).udp(1, 2, b"x");
    gateway.pass(NOW, WAN, &frame).dropped(DropReason::NatUntranslatable);
    assert_eq!(gateway.flows(), 0);
}

#[test]
fn the_gateway_answers_arp_for_external_addresses_on_their_link() {
    let nat = NatSpec {
        masquerades: vec![masquerade()],
        statics4: vec![static4()],
        ..NatSpec::default()
    };
    let mut gateway = Setup { nat, ..Setup::default() }.gateway();
    for address in [EXTERNAL, EXTERNAL_A] {
        let answer = gateway.pass(NOW, WAN, &arp_request(B_MAC, B.into(), address.into()));
        let expected = arp_reply((WAN_MAC, address.into()), (B_MAC, B.into()));
        assert_eq!(answer.sent(WAN), expected);
    }
    // Its own address is the kernel's affair, and so is another host's.
    for address in [[192, 0, 2, 1], [192, 0, 2, 50]] {
        let request = arp_request(B_MAC, B.into(), address.into());
        assert_eq!(gateway.pass(NOW, WAN, &request).punted(), request);
    }
    // On another link they are nobody's.
    let request = arp_request(A_MAC, A.into(), EXTERNAL.into());
    assert_eq!(gateway.pass(NOW, LAN, &request).punted(), request);
}

#[test]
fn the_gateway_answers_arp_for_an_address_that_only_has_forwarded_ports() {
    let nat = NatSpec { forwards: vec![forward()], ..NatSpec::default() };
    let mut gateway = Setup { nat, ..Setup::default() }.gateway();
    let request = arp_request(B_MAC, B.into(), EXTERNAL.into());
    let expected = arp_reply((WAN_MAC, EXTERNAL.into()), (B_MAC, B.into()));
    assert_eq!(gateway.pass(NOW, WAN, &request).sent(WAN), expected);
}

/// B's question who has an address, to the group of those that may (RFC 4861, 4.3; RFC 4291, 2.7.1).
fn solicitation(target: [u8; 16]) -> Vec<u8> {
    let [.., a, b, c] = target;
    let group = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c];
    let mut body = target.to_vec();
    body.extend([1, 1]);
    body.extend(B_MAC.0);
    let to = Mac([0x33, 0x33, 0xff, a, b, c]);
    Frame::v6(B6, group).hops(255).macs(B_MAC, to).icmp(135, 0, [0; 4], &body)
}

#[test]
fn the_gateway_answers_neighbour_discovery_for_external_addresses_on_their_link() {
    let mut gateway = prefixes();
    let answer = gateway.pass(NOW, WAN, &solicitation(EXTERNAL6)).sent(WAN);
    let (src, dst, _) = seen6(&answer);
    assert_eq!((src, dst), (EXTERNAL6, B6));
    assert_eq!(answer[..12], [B_MAC.0, WAN_MAC.0].concat());
    assert_eq!((answer[21], answer[54], answer[58]), (255, 136, 0x40), "solicited");
    assert_eq!(answer[62..78], EXTERNAL6);
    assert_eq!(answer[78..86], [&[2, 1], WAN_MAC.0.as_slice()].concat());
    let own = [0x20, 1, 0xd, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let asked = solicitation(own);
    assert_eq!(gateway.pass(NOW, WAN, &asked).punted(), asked);
    assert_eq!(gateway.flows(), 0);
}
