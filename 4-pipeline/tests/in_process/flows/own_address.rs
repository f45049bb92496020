//! Masquerading behind the gateway's own address, which its kernel uses as well.

use portcullis_packet::DropReason;
use portcullis_wire::build::{Echo, Frame, Tcp, arp_request};

use super::setup::{A, B, Setup, from_a, from_a2, from_b, seen};
use crate::gateway::{Gateway, LAN, WAN, WAN_MAC};
use crate::reasons::NOW;
use crate::world::B_MAC;

const OWN: [u8; 4] = [192, 0, 2, 1];

/// With these ports for inside hosts.
fn gateway(ports: std::ops::RangeInclusive<u16>) -> Gateway {
    let mut setup = Setup::masquerading();
    let own = u32::from_be_bytes(OWN);
    setup.nat.masquerades[0].pool = vec![own..=own];
    setup.nat.masquerades[0].ports = ports;
    setup.gateway()
}

fn from_gateway() -> Frame {
    Frame::v4(OWN, B).macs(WAN_MAC, B_MAC)
}

#[test]
fn answers_to_inside_hosts_go_inside_and_all_else_to_the_kernel() {
    let mut gateway = gateway(1024..=65535);
    let out = seen(&gateway.pass(NOW, LAN, &from_a(B).udp(4000, 53, b"query")).sent(WAN));
    assert_eq!(out.src, OWN);
    let answer = from_b(OWN).udp(53, out.src_port, b"answer");
    let back = seen(&gateway.pass(NOW, WAN, &answer).sent(LAN));
    assert_eq!((back.dst, back.dst_port), (A, 4000));
    let for_kernel = [
        from_b(OWN).tcp(Tcp::syn(7000, 179), b""),
        from_b(OWN).udp(7000, 53, b"x"),
        from_b(OWN).echo(Echo::Request, 7, 1, b"ping"),
        arp_request(B_MAC, B.into(), OWN.into()),
    ];
    for frame in for_kernel {
        assert_eq!(gateway.pass(NOW, WAN, &frame).punted(), frame);
    }
}

#[test]
fn inside_hosts_reach_the_gateway_by_its_outside_address() {
    let mut gateway = gateway(1024..=65535);
    let frames =
        [from_a(OWN).tcp(Tcp::syn(7000, 22), b""), from_a(OWN).echo(Echo::Request, 7, 1, b"ping")];
    for frame in frames {
        assert_eq!(gateway.pass(NOW, LAN, &frame).punted(), frame);
    }
}

#[test]
fn the_kernels_ports_are_given_to_nobody() {
    let mut gateway = gateway(2048..=2049);
    gateway.inject(NOW, WAN, &from_gateway().udp(2048, 53, b"query")).sent(WAN);
    let out = seen(&gateway.pass(NOW, LAN, &from_a(B).udp(4000, 53, b"query")).sent(WAN));
    assert_eq!(out.src_port, 2049);
    gateway.pass(NOW, LAN, &from_a2(B).udp(4001, 53, b"query"));
    assert_eq!(gateway.drops(DropReason::NatOutOfPorts), 1);
    // Each gets its own answer.
    let answer = from_b(OWN).udp(53, 2048, b"answer");
    assert_eq!(gateway.pass(NOW, WAN, &answer).punted(), answer);
    let answer = from_b(OWN).udp(53, 2049, b"answer");
    assert_eq!(seen(&gateway.pass(NOW, WAN, &answer).sent(LAN)).dst, A);
}

#[test]
fn an_error_about_an_inside_hosts_packet_goes_inside_and_one_about_the_kernels_to_the_kernel() {
    let mut gateway = gateway(1024..=65535);
    let query = from_gateway().udp(3333, 53, b"query");
    gateway.inject(NOW, WAN, &query).sent(WAN);
    let out = gateway.pass(NOW, LAN, &from_a(B).udp(4000, 53, b"query")).sent(WAN);
    let about = |frame: &[u8]| from_b(OWN).icmp(3, 3, [0; 4], &frame[14..]);
    gateway.pass(NOW, WAN, &about(&out)).sent(LAN);
    assert_eq!(gateway.pass(NOW, WAN, &about(&query)).punted(), about(&query));
}

#[test]
fn a_kernels_answer_to_a_connection_from_outside_is_no_new_flow() {
    let mut gateway = gateway(1024..=65535);
    let syn = from_b(OWN).tcp(Tcp { sequence: 9, ..Tcp::syn(7000, 179) }, b"");
    gateway.pass(NOW, WAN, &syn).punted();
    let flags = portcullis_wire::tcp::Flags::SYN.with(portcullis_wire::tcp::Flags::ACK);
    let syn_ack = Tcp { sequence: 70, acknowledgment: 10, flags, ..Tcp::syn(179, 7000) };
    let syn_ack = from_gateway().tcp(syn_ack, b"");
    assert_eq!(gateway.inject(NOW, WAN, &syn_ack).sent(WAN), syn_ack);
    let data = from_b(OWN).tcp(Tcp { acknowledgment: 71, ..Tcp::data(7000, 179, 10) }, b"OPEN");
    assert_eq!(gateway.pass(NOW, WAN, &data).punted(), data);
    assert_eq!(gateway.flows(), 1);
}
