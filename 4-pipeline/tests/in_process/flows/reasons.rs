//! Each reason for which a stateful gateway drops a packet, provoked, and nothing else counted with it.

use std::time::Duration;

use portcullis_firewall::{Action, AntiSpoofing};
use portcullis_nat::{Filtering, NatSpec, Static6Spec};
use portcullis_packet::{DropReason, Instant};
use portcullis_wire::IpProtocol;
use portcullis_wire::build::{Frame, Tcp};
use portcullis_wire::tcp::Flags;

use super::setup::{
    A, B, EXTERNAL, Out, Setup, forward, from_a, from_a2, from_b, from_c, rules, seen,
};
use crate::gateway::{Gateway, LAN, WAN};
use crate::reasons::{A6, NOW, a_to_b6};

/// A reason, and a gateway to which it happened once.
type Case = (DropReason, fn() -> Gateway);

const CASES: &[Case] = &[
    (DropReason::TransportMalformed, || {
        let mut frame = from_a(B).udp(1, 2, b"x");
        frame[39] = 200;
        lan(Setup::firewall(), &[frame])
    }),
    (DropReason::FragmentTiny, || {
        let tiny = from_a(B).fragment(8, false).raw(IpProtocol::TCP, &[0; 32]);
        lan(Setup::firewall(), &[tiny])
    }),
    (DropReason::FragmentOverlap, || {
        let piece = |offset| from_a(B).fragment(offset, true).udp(1, 2, &[0; 56]);
        lan(Setup::firewall(), &[piece(0), piece(8)])
    }),
    (DropReason::FragmentMalformed, || {
        let uneven = from_a(B).fragment(64, true).raw(IpProtocol::UDP, &[0; 63]);
        lan(Setup::firewall(), &[uneven])
    }),
    (DropReason::FragmentTimeout, || {
        let orphan = from_a(B).fragment(64, true).raw(IpProtocol::UDP, &[0; 64]);
        let mut gateway = lan(Setup::firewall(), &[orphan]);
        let later = NOW + Duration::from_secs(30);
        gateway.worker.tick(&gateway.snapshot, later, &mut vec![], &mut gateway.outbox);
        gateway
    }),
    (DropReason::FragmentQueueFull, || {
        let piece = |n: u16| from_a(B).fragment(64 + 8 * n, true).raw(IpProtocol::UDP, &[0; 8]);
        lan(Setup::firewall(), &(0..49).map(piece).collect::<Vec<_>>())
    }),
    (DropReason::TcpNoConnection, || {
        let strict = Setup { tcp_pickup: false, ..Setup::firewall() };
        lan(strict, &[from_a(B).tcp(Tcp::data(4000, 80, 1), b"data")])
    }),
    (DropReason::TcpInvalid, || {
        let flags = Flags::SYN.with(Flags::FIN);
        lan(Setup::firewall(), &[from_a(B).tcp(Tcp { flags, ..Tcp::syn(4000, 80) }, b"")])
    }),
    (DropReason::TcpOutOfWindow, || {
        let syn = from_a(B).tcp(Tcp { sequence: 5, ..Tcp::syn(4000, 80) }, b"");
        let mut gateway = lan(Setup::firewall(), &[syn]);
        let flags = Flags::SYN.with(Flags::ACK);
        let wrong = Tcp { acknowledgment: 7, flags, ..Tcp::syn(80, 4000) };
        gateway.pass_all(NOW, vec![crate::gateway::arrived(WAN, &from_b(A).tcp(wrong, b""))]);
        gateway
    }),
    (DropReason::IcmpUnrelated, || {
        let never_sent = Frame::v4(A, B).udp(1, 2, b"x");
        wan(Setup::firewall(), &from_b(A).icmp(3, 3, [0; 4], &never_sent[14..]))
    }),
    (DropReason::FlowTableFull, || {
        let mut gateway = Setup { flows: 64, ..Setup::firewall() }.gateway();
        let mut ports = 1..;
        let mut next = || from_a(B).udp(ports.next().unwrap_or(0), 53, b"x");
        while !matches!(gateway.pass(NOW, LAN, &next()), Out::Dropped(_)) {}
        gateway
    }),
    (DropReason::FlowSourceLimit, || {
        let limited = Setup { flows_per_source: 1, ..Setup::firewall() };
        lan(limited, &[from_a(B).udp(1, 53, b"x"), from_a(B).udp(2, 53, b"x")])
    }),
    (DropReason::FlowConflict, || {
        // One connection to a host by its own address, and one by a forwarded port: their answers would
        // look alike.
        let nat = NatSpec { forwards: vec![forward()], ..NatSpec::default() };
        let mut gateway = Setup { nat, ..Setup::default() }.gateway();
        gateway.pass(NOW, WAN, &from_b(A).tcp(Tcp::syn(7000, 443), b"")).sent(LAN);
        gateway.pass(NOW, WAN, &from_b(EXTERNAL).tcp(Tcp::syn(7000, 8443), b""));
        gateway
    }),
    (DropReason::SpoofedSource, || {
        let strict = Setup { anti_spoofing: AntiSpoofing::Strict, ..Setup::default() };
        wan(
            strict,
            &Frame::v4(A, A).macs(crate::world::B_MAC, crate::gateway::WAN_MAC).udp(1, 2, b"x"),
        )
    }),
    (DropReason::FirewallDrop, || wan(Setup::firewall(), &from_b(A).udp(1, 2, b"x"))),
    (DropReason::FirewallReject, || {
        let mut refusing = rules(vec![]);
        refusing.default = Action::Reject;
        let setup = Setup { rules: Some(refusing), ..Setup::default() };
        wan(setup, &from_b(A).tcp(Tcp::syn(1, 2), b""))
    }),
    (DropReason::NatNoMapping, || wan(Setup::masquerading(), &from_b(EXTERNAL).udp(1, 5000, b"x"))),
    (DropReason::NatFiltered, || {
        let mut setup = Setup::masquerading();
        setup.nat.masquerades[0].filtering = Filtering::AddressDependent;
        let mut gateway = setup.gateway();
        let out = gateway.pass(NOW, LAN, &from_a(B).udp(1, 2, b"x")).sent(WAN);
        let stranger = from_c(EXTERNAL).udp(2, seen(&out).src_port, b"x");
        gateway.pass(NOW, WAN, &stranger);
        gateway
    }),
    (DropReason::NatOutOfPorts, || {
        let mut setup = Setup::masquerading();
        setup.nat.masquerades[0].ports = 2048..=2048;
        lan(setup, &[from_a(B).udp(2, 53, b"x"), from_a2(B).udp(2, 53, b"x")])
    }),
    (DropReason::NatSourceLimit, || {
        let mut setup = Setup::masquerading();
        setup.nat.masquerades[0].ports_per_source = 1;
        lan(setup, &[from_a(B).udp(1, 53, b"x"), from_a(B).udp(2, 53, b"x")])
    }),
    (DropReason::NatUntranslatable, || {
        let npt = Static6Spec {
            on: WAN,
            external: "2001:db8:ffff::/48".parse().expect("a prefix"),
            internal: "2001:db8:1::/48".parse().expect("a prefix"),
        };
        let nat = NatSpec { statics6: vec![npt], ..NatSpec::default() };
        let mut of_ones = A6;
        of_ones[6..8].fill(0xff);
        let mut frame = a_to_b6().udp(1, 2, b"x");
        frame[22..38].copy_from_slice(&of_ones);
        lan(Setup { nat, ..Setup::default() }, &[frame])
    }),
];

/// The reasons that these tests provoke.
pub(crate) fn provoked() -> impl Iterator<Item = DropReason> {
    CASES.iter().map(|&(reason, _)| reason)
}

/// What comes in by the LAN, one after the other.
fn lan(setup: Setup, frames: &[Vec<u8>]) -> Gateway {
    feed(setup, frames, LAN, NOW)
}

fn wan(setup: Setup, frame: &[u8]) -> Gateway {
    feed(setup, &[frame.to_vec()], WAN, NOW)
}

fn feed(setup: Setup, frames: &[Vec<u8>], on: portcullis_packet::IfIndex, now: Instant) -> Gateway {
    let mut gateway = setup.gateway();
    for frame in frames {
        gateway.pass_all(now, vec![crate::gateway::arrived(on, frame)]);
    }
    gateway
}

#[test]
fn each_reason_is_counted_once_and_no_other_with_it() {
    for (reason, provoke) in CASES {
        let gateway = provoke();
        let drops = &gateway.counters.drops;
        assert_eq!(gateway.drops(*reason), 1, "{}: {drops:?}", reason.name());
        assert_eq!(drops.total(), 1, "{}: {drops:?}", reason.name());
    }
}
