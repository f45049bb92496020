//! The firewall, packet by packet.

use portcullis_firewall::{Action, AntiSpoofing};
use portcullis_packet::DropReason;
use portcullis_wire::build::{Frame, Tcp};
use portcullis_wire::tcp::Flags;

use super::setup::{A, B, INSIDE, OUTSIDE, Setup, from_a, from_b, rule, rules, seen, tcp_port};
use crate::gateway::{LAN, LAN_MAC, WAN};
use crate::reasons::NOW;
use crate::world::A_MAC;

#[test]
fn inside_may_ask_and_outside_may_only_answer() {
    let mut gateway = Setup::firewall().gateway();
    let question = from_b(A).udp(53, 4000, b"unasked");
    gateway.pass(NOW, WAN, &question).dropped(DropReason::FirewallDrop);
    gateway.pass(NOW, LAN, &from_a(B).udp(4000, 53, b"query")).sent(WAN);
    gateway.pass(NOW, WAN, &question).sent(LAN);
    let other = from_b(A).udp(53, 4001, b"unasked");
    gateway.pass(NOW, WAN, &other).dropped(DropReason::FirewallDrop);
}

#[test]
fn a_rejected_connection_is_reset_and_a_rejected_datagram_told() {
    let mut spec = rules(vec![]);
    spec.default = Action::Reject;
    let mut gateway = Setup { rules: Some(spec), ..Setup::default() }.gateway();
    let syn = from_a(B).tcp(Tcp { sequence: 41, ..Tcp::syn(4000, 80) }, b"");
    let reset = gateway.pass(NOW, LAN, &syn).sent(LAN);
    let told = seen(&reset);
    assert_eq!((told.src, told.dst, told.src_port, told.dst_port), (B, A, 80, 4000));
    assert_eq!(reset[47] & (Flags::RST.0 | Flags::ACK.0), Flags::RST.0 | Flags::ACK.0);
    assert_eq!(reset[42..46], 42u32.to_be_bytes(), "acknowledges the SYN");
    let told = gateway.pass(NOW, LAN, &from_a(B).udp(4000, 53, b"x")).sent(LAN);
    assert_eq!(told[34..36], [3, 13]);
    assert_eq!(gateway.drops(DropReason::FirewallReject), 2);
}

#[test]
fn the_gateway_itself_is_a_zone_and_its_own_questions_are_answered() {
    let mut spec = rules(vec![]);
    spec.gateway_default = Action::Drop;
    let mut gateway = Setup { rules: Some(spec), ..Setup::default() }.gateway();
    let own = [192, 0, 2, 1];
    let answer = from_b(own).udp(53, 3333, b"answer");
    gateway.pass(NOW, WAN, &answer).dropped(DropReason::FirewallDrop);
    let query = Frame::v4(own, B).macs(crate::gateway::WAN_MAC, crate::world::B_MAC);
    gateway.inject(NOW, WAN, &query.udp(3333, 53, b"query")).sent(WAN);
    gateway.pass(NOW, WAN, &answer).punted();
}

#[test]
fn a_source_must_be_where_the_routes_say() {
    let spoofed = Frame::v4(B, B).macs(A_MAC, LAN_MAC).udp(1, 2, b"x");
    let unknown = Frame::v4([203, 0, 113, 9], B).macs(A_MAC, LAN_MAC).udp(1, 2, b"x");
    let setup = |anti_spoofing| Setup { anti_spoofing, ..Setup::default() };
    let mut strict = setup(AntiSpoofing::Strict).gateway();
    strict.pass(NOW, LAN, &spoofed).dropped(DropReason::SpoofedSource);
    strict.pass(NOW, LAN, &unknown).dropped(DropReason::SpoofedSource);
    strict.pass(NOW, LAN, &from_a(B).udp(1, 2, b"x")).sent(WAN);
    let mut loose = setup(AntiSpoofing::Loose).gateway();
    loose.pass(NOW, LAN, &spoofed).sent(WAN);
    loose.pass(NOW, LAN, &unknown).dropped(DropReason::SpoofedSource);
    let mut off = setup(AntiSpoofing::Off).gateway();
    off.pass(NOW, LAN, &unknown).sent(WAN);
}

#[test]
fn a_spoofed_packet_of_a_known_flow_does_not_pass_by_another_interface() {
    let setup = Setup { anti_spoofing: AntiSpoofing::Strict, ..Setup::firewall() };
    let mut gateway = setup.gateway();
    gateway.pass(NOW, LAN, &from_a(B).udp(4000, 53, b"query")).sent(WAN);
    let from_outside = Frame::v4(A, B).macs(crate::world::B_MAC, crate::gateway::WAN_MAC);
    gateway
        .pass(NOW, WAN, &from_outside.udp(4000, 53, b"query"))
        .dropped(DropReason::SpoofedSource);
    assert_eq!(gateway.flows(), 1, "the flow is not harmed");
}

#[test]
fn a_new_policy_ends_what_it_forbids_and_leaves_the_rest_alone() {
    let mut allowed = rule("web", INSIDE, OUTSIDE);
    allowed.service = tcp_port(80);
    let both = rules(vec![rule("out", INSIDE, OUTSIDE)]);
    let mut gateway = Setup { rules: Some(both), ..Setup::default() }.gateway();
    let web = from_a(B).tcp(Tcp::syn(4000, 80), b"");
    let other = from_a(B).tcp(Tcp::syn(4001, 81), b"");
    gateway.pass(NOW, LAN, &web).sent(WAN);
    gateway.pass(NOW, LAN, &other).sent(WAN);
    gateway.apply(Setup { rules: Some(rules(vec![allowed])), ..Setup::default() });
    gateway.pass(NOW, LAN, &web).sent(WAN);
    gateway.pass(NOW, LAN, &other).dropped(DropReason::FirewallDrop);
    assert_eq!(gateway.flows(), 1);
}

#[test]
fn flows_without_packets_are_judged_as_well() {
    let mut gateway = Setup::firewall().gateway();
    for port in 1..=100 {
        gateway.pass(NOW, LAN, &from_a(B).udp(port, 53, b"x")).sent(WAN);
    }
    gateway.apply(Setup { rules: Some(rules(vec![])), ..Setup::default() });
    let mut batch = vec![];
    for _ in 0..4 {
        gateway.worker.tick(&gateway.snapshot, NOW, &mut batch, &mut gateway.outbox);
    }
    assert_eq!((gateway.flows(), gateway.counters.flows_revoked.get()), (0, 100));
}

#[test]
fn a_connection_is_taken_up_in_the_middle_only_if_that_is_allowed() {
    let data = from_a(B).tcp(Tcp::data(4000, 80, 1000), b"data");
    Setup::firewall().gateway().pass(NOW, LAN, &data).sent(WAN);
    let mut strict = Setup { tcp_pickup: false, ..Setup::firewall() }.gateway();
    strict.pass(NOW, LAN, &data).dropped(DropReason::TcpNoConnection);
}

#[test]
fn impossible_flags_begin_nothing() {
    let mut gateway = Setup::firewall().gateway();
    for flags in [Flags::SYN.with(Flags::FIN), Flags::SYN.with(Flags::RST), Flags(0), Flags(0x29)] {
        let segment = Tcp { flags, ..Tcp::syn(4000, 80) };
        gateway.pass(NOW, LAN, &from_a(B).tcp(segment, b"")).dropped(DropReason::TcpInvalid);
    }
}

#[test]
fn a_full_table_refuses_whom_has_most() {
    let mut gateway = Setup { flows: 64, ..Setup::firewall() }.gateway();
    let mut refused = 0;
    for port in 1..=200u16 {
        let out = gateway.pass(NOW, LAN, &from_a(B).udp(port, 53, b"x"));
        refused += usize::from(matches!(out, super::setup::Out::Dropped(_)));
    }
    assert!(refused > 100);
    assert_eq!(gateway.drops(DropReason::FlowTableFull), refused as u64);
    gateway.pass(NOW, LAN, &super::setup::from_a2(B).udp(1, 53, b"x")).sent(WAN);
    let mut limited = Setup { flows_per_source: 2, ..Setup::firewall() }.gateway();
    for port in 1..=2 {
        limited.pass(NOW, LAN, &from_a(B).udp(port, 53, b"x")).sent(WAN);
    }
    let third = from_a(B).udp(3, 53, b"x");
    limited.pass(NOW, LAN, &third).dropped(DropReason::FlowSourceLimit);
}

#[test]
fn without_neighbour_discovery_there_is_no_link_so_no_rule_forbids_it() {
    let mut closed = rules(vec![]);
    closed.gateway_default = Action::Drop;
    let mut gateway = Setup { rules: Some(closed), ..Setup::default() }.gateway();
    let group = |last: u8| [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
    let to_group = |last| {
        let mac = portcullis_packet::Mac([0x33, 0x33, 0, 0, 0, last]);
        Frame::v6(crate::reasons::A6, group(last)).hops(255).macs(A_MAC, mac)
    };
    // A router's advertisement to all nodes; a report of who listens.
    for frame in [to_group(1).icmp(134, 0, [0; 4], &[0; 8]), to_group(22).icmp(143, 0, [0; 4], &[])]
    {
        assert_eq!(gateway.pass(NOW, LAN, &frame).punted(), frame);
    }
    // A routing protocol's greeting needs a rule.
    let hello = to_group(5).raw(portcullis_wire::IpProtocol(89), &[0; 36]);
    gateway.pass(NOW, LAN, &hello).dropped(DropReason::FirewallDrop);
    assert_eq!(gateway.flows(), 0);
}

#[test]
fn a_gateway_that_stops_being_one_with_flows_forwards_everything_and_remembers_nothing() {
    let mut gateway = Setup::firewall().gateway();
    gateway.pass(NOW, LAN, &from_a(B).udp(4000, 53, b"query")).sent(WAN);
    let unasked = from_b(A).udp(1, 2, b"unasked");
    gateway.pass(NOW, WAN, &unasked).dropped(DropReason::FirewallDrop);
    gateway.snapshot.policy = std::sync::Arc::new(portcullis_policy::Policy::stateless(2));
    gateway.pass(NOW, WAN, &unasked).sent(LAN);
    gateway.apply(Setup::firewall());
    gateway.pass(NOW, WAN, &unasked).dropped(DropReason::FirewallDrop);
    gateway.pass(NOW, WAN, &from_b(A).udp(53, 4000, b"answer")).sent(LAN);
}
