//! Masquerading, from outside and inside.

use std::time::Duration;

use portcullis_nat::Filtering;
use portcullis_packet::DropReason;
use portcullis_wire::build::{Echo, Tcp};

use super::setup::{
    A, A2, B, C, EXTERNAL, Setup, from_a, from_a2, from_b, from_c, masquerade, seen,
};
use crate::gateway::{LAN, WAN};
use crate::reasons::NOW;

#[test]
fn what_leaves_has_an_external_source_and_the_answer_comes_back_to_who_asked() {
    let mut gateway = Setup::masquerading().gateway();
    let out = seen(&gateway.pass(NOW, LAN, &from_a(B).udp(4000, 53, b"query")).sent(WAN));
    assert_eq!((out.src, out.dst, out.dst_port), (EXTERNAL, B, 53));
    assert_eq!(out.ttl, 63);
    let answer = from_b(EXTERNAL).udp(53, out.src_port, b"answer");
    let back = seen(&gateway.pass(NOW, WAN, &answer).sent(LAN));
    assert_eq!((back.src, back.dst), (B, A));
    assert_eq!((back.src_port, back.dst_port, back.ttl), (53, 4000, 63));
    assert_eq!(gateway.flows(), 1);
}

#[test]
fn rfc4787_req1_one_endpoint_has_one_mapping_whatever_the_destination() {
    let mut gateway = Setup::masquerading().gateway();
    let first = seen(&gateway.pass(NOW, LAN, &from_a(B).udp(4000, 53, b"x")).sent(WAN));
    let second = seen(&gateway.pass(NOW, LAN, &from_a(C).udp(4000, 99, b"x")).sent(WAN));
    let other = seen(&gateway.pass(NOW, LAN, &from_a2(B).udp(4000, 53, b"x")).sent(WAN));
    assert_eq!(first.src_port, second.src_port);
    assert_ne!(first.src_port, other.src_port);
}

#[test]
fn rfc4787_req8_a_mapping_is_open_to_all_or_to_those_that_were_sent_to() {
    let mut gateway = Setup::masquerading().gateway();
    let out = seen(&gateway.pass(NOW, LAN, &from_a(B).udp(4000, 53, b"x")).sent(WAN));
    let stranger = from_c(EXTERNAL).udp(7, out.src_port, b"hello");
    let inside = seen(&gateway.pass(NOW, WAN, &stranger).sent(LAN));
    assert_eq!((inside.src, inside.dst, inside.dst_port), (C, A, 4000));

    let mut setup = Setup::masquerading();
    setup.nat.masquerades[0].filtering = Filtering::AddressDependent;
    let mut gateway = setup.gateway();
    let out = seen(&gateway.pass(NOW, LAN, &from_a(B).udp(4000, 53, b"x")).sent(WAN));
    let stranger = from_c(EXTERNAL).udp(7, out.src_port, b"hello");
    gateway.pass(NOW, WAN, &stranger).dropped(DropReason::NatFiltered);
    let other_port = from_b(EXTERNAL).udp(9999, out.src_port, b"hello");
    gateway.pass(NOW, WAN, &other_port).sent(LAN);
}

#[test]
fn rfc6888_req6_excepted_destinations_see_the_inside_address() {
    let mut setup = Setup::masquerading();
    setup.nat.masquerades[0].except = vec!["192.0.2.2/32".parse().expect("a network")];
    let mut gateway = setup.gateway();
    for _ in 0..2 {
        let out = seen(&gateway.pass(NOW, LAN, &from_a(B).udp(4000, 53, b"query")).sent(WAN));
        assert_eq!((out.src, out.src_port), (A, 4000));
        let answer = from_b(A).udp(53, 4000, b"answer");
        assert_eq!(seen(&gateway.pass(NOW, WAN, &answer).sent(LAN)).src, B);
    }
    let other = seen(&gateway.pass(NOW, LAN, &from_a(C).udp(4000, 53, b"query")).sent(WAN));
    assert_eq!(other.src, EXTERNAL);
}

#[test]
fn an_external_address_without_a_mapping_leads_nowhere() {
    let mut gateway = Setup::masquerading().gateway();
    let frame = from_b(EXTERNAL).udp(53, 5000, b"x");
    gateway.pass(NOW, WAN, &frame).dropped(DropReason::NatNoMapping);
    assert_eq!(gateway.flows(), 0);
}

#[test]
fn a_ping_is_known_by_its_identifier() {
    let mut gateway = Setup::masquerading().gateway();
    let echo = from_a(B).echo(Echo::Request, 77, 1, b"data");
    let out = seen(&gateway.pass(NOW, LAN, &echo).sent(WAN));
    assert_eq!((out.src, out.dst), (EXTERNAL, B));
    let reply = from_b(EXTERNAL).echo(Echo::Reply, out.src_port, 1, b"data");
    let back = seen(&gateway.pass(NOW, WAN, &reply).sent(LAN));
    assert_eq!((back.src, back.dst, back.dst_port), (B, A, 77));
    // A request to the external address is not for an inside host.
    let request = from_b(EXTERNAL).echo(Echo::Request, out.src_port, 1, b"data");
    gateway.pass(NOW, WAN, &request).dropped(DropReason::NatNoMapping);
}

#[test]
fn a_mapping_ends_with_its_last_flow() {
    let mut gateway = Setup::masquerading().gateway();
    let out = seen(&gateway.pass(NOW, LAN, &from_a(B).udp(4000, 53, b"x")).sent(WAN));
    let later = NOW + Duration::from_secs(301);
    let mut batch = vec![];
    gateway.worker.tick(&gateway.snapshot, later, &mut batch, &mut gateway.outbox);
    assert_eq!(gateway.flows(), 0);
    let late = from_b(EXTERNAL).udp(53, out.src_port, b"answer");
    gateway.pass(later, WAN, &late).dropped(DropReason::NatNoMapping);
}

#[test]
fn rfc6888_a_source_has_a_limit_and_running_out_is_told() {
    let mut setup = Setup::masquerading();
    setup.nat.masquerades[0].ports_per_source = 2;
    let mut gateway = setup.gateway();
    for port in [1, 2] {
        gateway.pass(NOW, LAN, &from_a(B).udp(port, 53, b"x")).sent(WAN);
    }
    let third = from_a(B).udp(3, 53, b"x");
    let told = gateway.pass(NOW, LAN, &third).sent(LAN);
    assert_eq!(gateway.drops(DropReason::NatSourceLimit), 1);
    assert_eq!(told[34..36], [3, 13], "administratively prohibited");

    let mut few = masquerade();
    few.ports = 2048..=2048;
    let mut setup = Setup::masquerading();
    setup.nat.masquerades = vec![few];
    let mut gateway = setup.gateway();
    gateway.pass(NOW, LAN, &from_a(B).udp(2, 53, b"x")).sent(WAN);
    let told = gateway.pass(NOW, LAN, &from_a2(B).udp(2, 53, b"x")).sent(LAN);
    assert_eq!(gateway.drops(DropReason::NatOutOfPorts), 1);
    assert_eq!(seen(&told).dst, A2);
}

#[test]
fn a_tcp_connection_is_followed_through_translation() {
    let mut gateway = Setup::masquerading().gateway();
    let syn = Tcp { sequence: 100, ..Tcp::syn(5000, 80) };
    let out = seen(&gateway.pass(NOW, LAN, &from_a(B).tcp(syn, b"")).sent(WAN));
    let syn_ack = Tcp {
        sequence: 900,
        acknowledgment: 101,
        flags: portcullis_wire::tcp::Flags::SYN.with(portcullis_wire::tcp::Flags::ACK),
        ..Tcp::syn(80, out.src_port)
    };
    let back = seen(&gateway.pass(NOW, WAN, &from_b(EXTERNAL).tcp(syn_ack, b"")).sent(LAN));
    assert_eq!((back.dst, back.dst_port), (A, 5000));
    let data = Tcp { acknowledgment: 901, ..Tcp::data(5000, 80, 101) };
    let out2 = seen(&gateway.pass(NOW, LAN, &from_a(B).tcp(data, b"GET /")).sent(WAN));
    assert_eq!(out2.src_port, out.src_port);
    // Far outside of any window.
    let wild = Tcp { acknowledgment: 106, ..Tcp::data(80, out.src_port, 0x7000_0000) };
    gateway
        .pass(NOW, WAN, &from_b(EXTERNAL).tcp(wild, b"evil"))
        .dropped(DropReason::TcpOutOfWindow);
}

#[test]
fn rfc4787_req1_a_connection_that_is_opened_again_keeps_its_port() {
    let mut gateway = Setup::masquerading().gateway();
    let syn = |sequence| from_a(B).tcp(Tcp { sequence, ..Tcp::syn(5000, 80) }, b"");
    let out = seen(&gateway.pass(NOW, LAN, &syn(100)).sent(WAN));
    let refusal = Tcp {
        acknowledgment: 101,
        flags: portcullis_wire::tcp::Flags::RST.with(portcullis_wire::tcp::Flags::ACK),
        ..Tcp::data(80, out.src_port, 0)
    };
    gateway.pass(NOW, WAN, &from_b(EXTERNAL).tcp(refusal, b"")).sent(LAN);
    let again = seen(&gateway.pass(NOW, LAN, &syn(7000)).sent(WAN));
    assert_eq!(again.src_port, out.src_port);
    assert_eq!(gateway.flows(), 1);
}
