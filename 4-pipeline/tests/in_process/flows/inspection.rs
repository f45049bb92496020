//! What others see of a worker's flows: listings, counters of rules, and what is to be logged.

use std::net::Ipv4Addr;

use portcullis_firewall::Action;
use portcullis_nat::NatSpec;
use portcullis_packet::{DropReason, Instant};
use portcullis_pipeline::{Event, Inquiry, Translation};
use portcullis_wire::IpProtocol;

use super::setup::{
    A, B, EXTERNAL, INSIDE, OUTSIDE, Setup, forward, from_a, from_b, rule, rules, seen,
};
use crate::gateway::{Gateway, LAN, WAN};
use crate::reasons::NOW;

/// Asks until the answer is complete.
fn ask(gateway: &mut Gateway, inquiry: &mut Inquiry) {
    while !gateway.worker.answer(inquiry, NOW) {}
}

/// All flows, a few at a time.
fn listed(
    gateway: &mut Gateway,
    room: usize,
) -> Vec<(portcullis_flows::FlowStamp, portcullis_pipeline::Record)> {
    let mut all = vec![];
    let mut next = Some(0);
    while next.is_some() {
        let mut inquiry = Inquiry::Flows { from: next, rows: Vec::with_capacity(room) };
        ask(gateway, &mut inquiry);
        let Inquiry::Flows { from, rows } = inquiry else { panic!("another answer") };
        assert!(rows.len() <= room);
        all.extend(rows);
        next = from;
    }
    all
}

fn with_flows(count: u16) -> Gateway {
    let mut gateway = Setup::masquerading().gateway();
    for port in 1..=count {
        gateway.pass(NOW, LAN, &from_a(B).udp(port, 53, b"query")).sent(WAN);
    }
    gateway
}

#[test]
fn every_flow_is_listed_once_however_little_room_there_is() {
    let mut gateway = with_flows(100);
    for room in [1, 7, 100, 1000] {
        let flows = listed(&mut gateway, room);
        let mut ports: Vec<_> =
            flows.iter().filter_map(|(_, flow)| Some(flow.lines[0].tuple4()?.ports.src)).collect();
        ports.sort_unstable();
        assert_eq!(ports, (1..=100).collect::<Vec<_>>(), "{room}");
        let is_masquerade = |line: &portcullis_flows::Line| {
            portcullis_pipeline::LineFlags(line.flags()).translation() == Translation::Masquerade
        };
        assert!(flows.iter().all(|(_, flow)| is_masquerade(&flow.lines[0])));
    }
}

#[test]
fn mappings_and_pools_are_listed() {
    let mut gateway = with_flows(40);
    let mut inquiry = Inquiry::Mappings { from: Some(0), rows: Vec::with_capacity(100) };
    ask(&mut gateway, &mut inquiry);
    let Inquiry::Mappings { from: None, rows } = inquiry else { panic!("{inquiry:?}") };
    assert_eq!(rows.len(), 40);
    let inside = u32::from_be_bytes(A);
    assert!(rows.iter().all(|row| (row.inside.0, row.flows) == (inside, 1)));
    let mut inquiry =
        Inquiry::Pools { rows: Vec::with_capacity(8), log_suppressed: 9, events_lost: 9 };
    ask(&mut gateway, &mut inquiry);
    let Inquiry::Pools { rows, log_suppressed: 0, events_lost: 0 } = inquiry else {
        panic!("{inquiry:?}")
    };
    let udp = rows.iter().find(|pool| pool.protocol == IpProtocol::UDP).expect("a pool");
    assert_eq!((udp.address, udp.in_use), (u32::from_be_bytes(EXTERNAL), 40));
}

#[test]
fn flows_that_are_flushed_end_and_those_that_came_after_the_listing_do_not() {
    let mut gateway = with_flows(100);
    let stamps: Vec<_> = listed(&mut gateway, 1000).iter().map(|(stamp, _)| *stamp).collect();
    let mut inquiry = Inquiry::Flush { stamps: stamps.clone(), ended: 0 };
    ask(&mut gateway, &mut inquiry);
    let Inquiry::Flush { ended: 100, .. } = inquiry else { panic!("{inquiry:?}") };
    assert_eq!(gateway.flows(), 0);
    for port in 1..=100 {
        gateway.pass(NOW, LAN, &from_a(B).udp(port, 53, b"query")).sent(WAN);
    }
    let mut inquiry = Inquiry::Flush { stamps, ended: 0 };
    ask(&mut gateway, &mut inquiry);
    let Inquiry::Flush { ended: 0, .. } = inquiry else { panic!("{inquiry:?}") };
    assert_eq!(gateway.flows(), 100);
}

#[test]
fn packets_and_bytes_are_counted_each_way() {
    let mut gateway = with_flows(0);
    let query = from_a(B).udp(4000, 53, b"query");
    let port = seen(&gateway.pass(NOW, LAN, &query).sent(WAN)).src_port;
    gateway.pass(NOW, LAN, &query).sent(WAN);
    let answer = from_b(EXTERNAL).udp(53, port, b"a longer answer");
    for _ in 0..3 {
        gateway.pass(NOW, WAN, &answer).sent(LAN);
    }
    let [(_, flow)] = listed(&mut gateway, 10).try_into().expect("one flow");
    let counted = flow.lines.map(|line| (line.packets(), line.bytes()));
    let lengths = [&query, &answer].map(|frame| frame.len() as u64 - 14);
    assert_eq!(counted, [(2, 2 * lengths[0]), (3, 3 * lengths[1])]);
}

/// The only thing that is to be logged.
#[track_caller]
fn logged(gateway: &mut Gateway) -> Event {
    let state = gateway.worker.state().expect("a stateful gateway");
    let events: Vec<_> = state.events().drain().collect();
    let [event] = events.try_into().expect("one event");
    event
}

#[test]
fn a_rule_counts_and_logs_flows_not_packets_with_the_addresses_it_went_by() {
    let mut server = rule("server", OUTSIDE, INSIDE);
    server.log = true;
    let mut allowed = rules(vec![rule("out", INSIDE, OUTSIDE), server]);
    allowed.log_default = true;
    let nat = NatSpec { forwards: vec![forward()], ..NatSpec::default() };
    let mut gateway = Setup { nat, rules: Some(allowed), ..Setup::default() }.gateway();
    let syn = portcullis_wire::build::Tcp::syn(7000, 8443);
    for _ in 0..3 {
        gateway.pass(NOW, WAN, &from_b(EXTERNAL).tcp(syn.clone(), b"")).sent(LAN);
    }
    let Event::Rule(event) = logged(&mut gateway) else { panic!("no rule") };
    assert_eq!((event.action, event.reason), (Action::Accept, None));
    assert_eq!((event.rx, event.tx), (WAN, LAN));
    assert_eq!((event.src, event.dst), (B.into(), A.into()));
    assert_eq!((event.ports.src, event.ports.dst, event.protocol), (7000, 443, 6));
    let policy = std::sync::Arc::clone(&gateway.snapshot.policy);
    let hits = |slot| policy.hits[0].hits(slot);
    let slot = policy.rules.as_ref().expect("rules").counter_slot(event.rule);
    assert_eq!(hits(slot), 1);
    // What no rule matches is logged as well.
    let within = super::setup::from_a2(A).udp(1, 2, b"x");
    gateway.pass(NOW, LAN, &within).dropped(DropReason::FirewallDrop);
    let Event::Rule(event) = logged(&mut gateway) else { panic!("no rule") };
    assert_eq!(event.reason, Some(DropReason::FirewallDrop));
}

#[test]
fn rfc6888_req13_a_block_of_ports_is_logged_once_given_and_once_given_back() {
    let mut setup = Setup::masquerading();
    setup.nat.masquerades[0].block_size = Some(64);
    let mut gateway = setup.gateway();
    for port in 1..=20 {
        gateway.pass(NOW, LAN, &from_a(B).udp(port, 53, b"query")).sent(WAN);
    }
    let block = |gateway: &mut Gateway| {
        let Event::Block(event) = logged(gateway) else { panic!("no block") };
        event
    };
    let given = block(&mut gateway);
    assert!(given.allocated);
    assert_eq!((given.inside, given.external), (Ipv4Addr::from(A), Ipv4Addr::from(EXTERNAL)));
    assert_eq!(given.last_port - given.first_port, 63);
    let over: Instant = NOW + std::time::Duration::from_secs(301);
    while gateway.worker.tick(&gateway.snapshot, over, &mut vec![], &mut gateway.outbox)
        == Some(over)
    {}
    let back = block(&mut gateway);
    assert!(!back.allocated);
    assert_eq!((back.first_port, back.last_port), (given.first_port, given.last_port));
}
