//! Inside hosts that talk by external addresses (RFC 4787, REQ-9; RFC 5382, REQ-8).

use portcullis_nat::NatSpec;
use portcullis_wire::build::Tcp;

use super::setup::{
    A, A2, B, EXTERNAL, Setup, forward, from_a, from_a2, masquerade, rule, rules, seen,
};
use super::setup::{INSIDE, OUTSIDE};
use crate::gateway::{LAN, WAN};
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
