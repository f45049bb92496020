//! Inside hosts that talk by external addresses (RFC 4787, REQ-9; RFC 5382, REQ-8).

use portcullis_firewall::{Action, AddressRange, AntiSpoofing, RuleSpec};
use portcullis_nat::NatSpec;
use portcullis_packet::{DropReason, Mac, Verdict};
use portcullis_routing::NextHop;
use portcullis_wire::build::{Frame, Tcp};

use super::setup::{
    A, A2, B, EXTERNAL, Out, Seen, Setup, forward, from_a, from_a2, masquerade, rule, rules, seen,
    static4,
};
use super::setup::{INSIDE, OUTSIDE};
use crate::answer::Answer;
use crate::gateway::{Gateway, LAN, LAN_MAC, WAN};
use crate::reasons::NOW;

#[test]
fn rfc4787_req9_two_inside_hosts_reach_each_other_by_their_mappings() {
    let mut gateway = Setup::masquerading().gateway();
    let of_a = seen(&gateway.pass(NOW, LAN, &from_a(B).udp(4000, 53, b"x")).sent(WAN)).src_port;
    let of_a2 = seen(&gateway.pass(NOW, LAN, &from_a2(B).udp(5000, 53, b"x")).sent(WAN)).src_port;
    // The source is external as well (REQ-9a).
    let there = gateway.pass(NOW, LAN, &from_a(EXTERNAL).udp(4000, of_a2, b"hello")).sent(LAN);
    let there = seen(&there);
    assert_eq!((there.src, there.src_port), (EXTERNAL, of_a));
    assert_eq!((there.dst, there.dst_port, there.ttl), (A2, 5000, 63));
    let back = gateway.pass(NOW, LAN, &from_a2(EXTERNAL).udp(5000, of_a, b"hi")).sent(LAN);
    let back = seen(&back);
    assert_eq!((back.src, back.src_port), (EXTERNAL, of_a2));
    assert_eq!((back.dst, back.dst_port, back.ttl), (A, 4000, 63));
    // And once more, by the flows that there are now.
    let flows = gateway.flows();
    gateway.pass(NOW, LAN, &from_a(EXTERNAL).udp(4000, of_a2, b"again")).sent(LAN);
    gateway.pass(NOW, LAN, &from_a2(EXTERNAL).udp(5000, of_a, b"again")).sent(LAN);
    assert_eq!(gateway.flows(), flows);
}

#[test]
fn a_forwarded_port_is_reached_from_inside_under_the_rules_for_inside() {
    let nat = NatSpec {
        masquerades: vec![masquerade()],
        forwards: vec![forward()],
        ..NatSpec::default()
    };
    let allowed = rules(vec![rule("out", INSIDE, OUTSIDE), rule("within", INSIDE, INSIDE)]);
    let mut gateway = Setup { nat, rules: Some(allowed), ..Setup::default() }.gateway();
    let syn = from_a2(EXTERNAL).tcp(Tcp::syn(7000, 8443), b"");
    let there = seen(&gateway.pass(NOW, LAN, &syn).sent(LAN));
    assert_eq!((there.src, there.dst, there.dst_port), (EXTERNAL, A, 443));
    let syn_ack = Tcp {
        acknowledgment: 1,
        flags: portcullis_wire::tcp::Flags::SYN.with(portcullis_wire::tcp::Flags::ACK),
        ..Tcp::syn(443, there.src_port)
    };
    let back = seen(&gateway.pass(NOW, LAN, &from_a(EXTERNAL).tcp(syn_ack, b"")).sent(LAN));
    assert_eq!((back.src, back.src_port), (EXTERNAL, 8443));
    assert_eq!((back.dst, back.dst_port), (A2, 7000));
}

/// A gateway that is strict about sources, with mappings of A:4000 and A2:5000, and what they are.
fn acquainted() -> (Gateway, u16, u16) {
    let setup = Setup { anti_spoofing: AntiSpoofing::Strict, ..Setup::masquerading() };
    let mut gateway = setup.gateway();
    let of_a = seen(&gateway.pass(NOW, LAN, &from_a(B).udp(4000, 53, b"x")).sent(WAN)).src_port;
    let of_a2 = seen(&gateway.pass(NOW, LAN, &from_a2(B).udp(5000, 53, b"x")).sent(WAN)).src_port;
    (gateway, of_a, of_a2)
}

#[test]
fn a_hairpin_goes_on_when_routes_change() {
    let (mut gateway, of_a, of_a2) = acquainted();
    let hello = from_a(EXTERNAL).udp(4000, of_a2, b"hello");
    let hi = from_a2(EXTERNAL).udp(5000, of_a, b"hi");
    for net in ["203.0.113.0/24", "198.51.100.0/24"] {
        gateway.pass(NOW, LAN, &hello).sent(LAN);
        gateway.pass(NOW, LAN, &hi).sent(LAN);
        gateway.route(net, NextHop::Blackhole);
    }
    assert_eq!(gateway.counters.drops.total(), 0);
}

#[test]
fn rfc5508_req7_an_error_about_a_hairpinned_packet_finds_its_sender() {
    let (mut gateway, of_a, of_a2) = acquainted();
    let hello = from_a(EXTERNAL).udp(4000, of_a2, b"hello");
    let there = gateway.pass(NOW, LAN, &hello).sent(LAN);
    let error = from_a2(EXTERNAL).icmp(3, 3, [0; 4], &there[14..]);
    let told = Answer::parse(&gateway.pass(NOW, LAN, &error).sent(LAN));
    assert_eq!((told.from, told.to), (EXTERNAL.into(), A.into()));
    let mut quoted = hello[..14].to_vec();
    quoted.extend(&told.quoted);
    assert_eq!(seen(&quoted), Seen { ttl: 63, ..seen(&hello) });
    // And about the answer.
    let hi = from_a2(EXTERNAL).udp(5000, of_a, b"hi");
    let back = gateway.pass(NOW, LAN, &hi).sent(LAN);
    let error = from_a(EXTERNAL).icmp(3, 3, [0; 4], &back[14..]);
    let told = Answer::parse(&gateway.pass(NOW, LAN, &error).sent(LAN));
    assert_eq!((told.from, told.to), (EXTERNAL.into(), A2.into()));
    let mut quoted = hi[..14].to_vec();
    quoted.extend(&told.quoted);
    assert_eq!(seen(&quoted), Seen { ttl: 63, ..seen(&hi) });
}

#[test]
fn time_exceeded_about_a_hairpin_is_told_to_its_sender() {
    let (mut gateway, _, of_a2) = acquainted();
    let expired = from_a(EXTERNAL).hops(1).udp(4000, of_a2, b"hello");
    for _ in 0..2 {
        let told = Answer::parse(&gateway.pass(NOW, LAN, &expired).sent(LAN));
        assert_eq!((told.from, told.to), ([10, 0, 0, 1].into(), A.into()));
        assert!(told.quotes(&expired), "{told:?}");
    }
}

#[test]
fn a_hairpin_waits_for_its_neighbour_and_then_arrives() {
    let (mut gateway, of_a, _) = acquainted();
    let stranger = [10, 0, 0, 9];
    let mac = Mac([2, 0, 0, 0, 0, 9]);
    let query = Frame::v4(stranger, B).macs(mac, LAN_MAC).udp(6000, 53, b"x");
    let port = seen(&gateway.pass(NOW, LAN, &query).sent(WAN)).src_port;
    let hello = from_a(EXTERNAL).udp(4000, port, b"hello");
    assert!(matches!(gateway.pass(NOW, LAN, &hello), Out::Held));
    gateway.learn(LAN, stranger.into(), mac);
    let mut batch = vec![];
    gateway.worker.tick(&gateway.snapshot, NOW, &mut batch, &mut gateway.outbox);
    let [packet] = batch.try_into().expect("one packet");
    assert_eq!((packet.meta().verdict, packet.meta().tx_if), (Verdict::Transmit, LAN));
    let there = seen(packet.data());
    assert_eq!((there.src, there.src_port), (EXTERNAL, of_a));
    assert_eq!((there.dst, there.dst_port), (stranger, 6000));
}

#[test]
fn a_hairpin_that_is_rejected_tells_nobody_outside() {
    let mut refusing = rules(vec![rule("out", INSIDE, OUTSIDE)]);
    refusing.default = Action::Reject;
    let mut gateway = Setup { rules: Some(refusing), ..Setup::masquerading() }.gateway();
    let of_a2 = seen(&gateway.pass(NOW, LAN, &from_a2(B).udp(5000, 53, b"x")).sent(WAN)).src_port;
    let hello = from_a(EXTERNAL).udp(4000, of_a2, b"hello");
    gateway.pass(NOW, LAN, &hello).dropped(DropReason::FirewallReject);
    assert_eq!(gateway.flows(), 1, "no mapping of A is left");
}

/// A and A2 as they are known outside.
const STATIC_A: [u8; 4] = [192, 0, 2, 66];
const STATIC_A2: [u8; 4] = [192, 0, 2, 67];

fn static_and(rules: Vec<RuleSpec>) -> Setup {
    let nat = NatSpec { statics4: vec![static4()], ..NatSpec::default() };
    let rules = Some(super::setup::rules(rules));
    Setup { nat, rules, anti_spoofing: AntiSpoofing::Strict, ..Setup::default() }
}

/// Whoever is A2 may send to whoever is inside.
fn from_a2_alone() -> RuleSpec {
    let a2 = u32::from_be_bytes(A2);
    RuleSpec { source: Some(vec![AddressRange::V4(a2..=a2)]), ..rule("a2", INSIDE, INSIDE) }
}

#[test]
fn rfc4787_req9_hosts_with_static_addresses_reach_each_other_by_them() {
    let mut gateway = static_and(vec![from_a2_alone()]).gateway();
    for _ in 0..2 {
        let hello = from_a2(STATIC_A).udp(5000, 4000, b"hello");
        let there = seen(&gateway.pass(NOW, LAN, &hello).sent(LAN));
        assert_eq!((there.src, there.src_port), (STATIC_A2, 5000));
        assert_eq!((there.dst, there.dst_port, there.ttl), (A, 4000, 63));
        let hi = from_a(STATIC_A2).udp(4000, 5000, b"hi");
        let back = seen(&gateway.pass(NOW, LAN, &hi).sent(LAN));
        assert_eq!((back.src, back.src_port), (STATIC_A, 4000));
        assert_eq!((back.dst, back.dst_port, back.ttl), (A2, 5000, 63));
        // Under a new policy that says the same, the rules still know who A2 is.
        assert_eq!(gateway.flows(), 2);
        gateway.apply(static_and(vec![from_a2_alone()]));
    }
    // A itself may not begin.
    let unasked = from_a(STATIC_A2).udp(4001, 5001, b"hi");
    gateway.pass(NOW, LAN, &unasked).dropped(DropReason::FirewallDrop);
}

#[test]
fn both_halves_of_a_hairpin_end_with_the_translation() {
    let hello = from_a2(STATIC_A).udp(5000, 4000, b"hello");
    let mut gateway = static_and(vec![from_a2_alone()]).gateway();
    gateway.pass(NOW, LAN, &hello).sent(LAN);
    gateway.apply(Setup { rules: Some(rules(vec![from_a2_alone()])), ..Setup::default() });
    let mut batch = vec![];
    for _ in 0..4 {
        gateway.worker.tick(&gateway.snapshot, NOW, &mut batch, &mut gateway.outbox);
    }
    assert_eq!(gateway.flows(), 0);
}
