//! TCP through the firewall and translation: from its first segment to its last, and beyond.

use etherparse::{SlicedPacket, TcpOptionElement, TransportSlice};
use portcullis_packet::{DropReason, IfIndex, Instant};
use portcullis_wire::build::{Frame, Tcp};
use portcullis_wire::tcp::Flags;

use super::setup::{A, B, EXTERNAL, Seen, Setup, from_a, from_b, seen};
use crate::gateway::{Gateway, LAN, WAN, WAN_MAC};
use crate::reasons::{A6, B6, NOW, a_to_b6, acquaint};
use crate::world::B_MAC;

const SYN_ACK: Flags = Flags::SYN.with(Flags::ACK);
const FIN_ACK: Flags = Flags::FIN.with(Flags::ACK);

/// A connection from A:4000 to B:80, as both ends see it.
pub(super) struct Connection {
    pub(super) gateway: Gateway,
    pub(super) now: Instant,
    /// Where B sends to.
    pub(super) external: ([u8; 4], u16),
    sent: u32,
    answered: u32,
}

impl Connection {
    /// One whose SYN has passed.
    #[track_caller]
    pub(super) fn attempted(setup: Setup) -> Self {
        let mut gateway = setup.gateway();
        let syn = Tcp { sequence: 1000, ..Tcp::syn(4000, 80) };
        let out = seen(&gateway.pass(NOW, LAN, &from_a(B).tcp(syn, b"")).sent(WAN));
        let external = (out.src, out.src_port);
        Self { gateway, now: NOW, external, sent: 1001, answered: 5001 }
    }

    #[track_caller]
    pub(super) fn established(setup: Setup) -> Self {
        let mut connection = Self::attempted(setup);
        let syn_ack = Tcp {
            sequence: 5000,
            acknowledgment: 1001,
            flags: SYN_ACK,
            ..Tcp::syn(80, connection.external.1)
        };
        connection.inward(syn_ack, b"").sent(LAN);
        connection.say(Flags::ACK, b"");
        connection
    }

    #[track_caller]
    pub(super) fn outward(&mut self, segment: Tcp, data: &[u8]) -> super::setup::Out {
        self.gateway.pass(self.now, LAN, &from_a(B).tcp(segment, data))
    }

    #[track_caller]
    pub(super) fn inward(&mut self, segment: Tcp, data: &[u8]) -> super::setup::Out {
        let (address, port) = self.external;
        let segment = Tcp { dst_port: port, ..segment };
        self.gateway.pass(self.now, WAN, &from_b(address).tcp(segment, data))
    }

    fn next(&self) -> Tcp {
        Tcp { acknowledgment: self.answered, ..Tcp::data(4000, 80, self.sent) }
    }

    fn next_back(&self) -> Tcp {
        Tcp { acknowledgment: self.sent, ..Tcp::data(80, self.external.1, self.answered) }
    }

    /// A's next segment passes.
    #[track_caller]
    pub(super) fn say(&mut self, flags: Flags, data: &[u8]) -> Seen {
        let segment = Tcp { flags, ..self.next() };
        let out = seen(&self.outward(segment, data).sent(WAN));
        self.sent += data.len() as u32 + u32::from(flags.contains(Flags::FIN));
        out
    }

    /// B's next segment passes.
    #[track_caller]
    pub(super) fn answer(&mut self, flags: Flags, data: &[u8]) -> Seen {
        let segment = Tcp { flags, ..self.next_back() };
        let back = seen(&self.inward(segment, data).sent(LAN));
        self.answered += data.len() as u32 + u32::from(flags.contains(Flags::FIN));
        back
    }

    pub(super) fn state(&mut self) -> &'static str {
        let state = self.gateway.worker.state().expect("a stateful gateway");
        let slots = 0..state.table().slots();
        let mut flows = slots.filter_map(|id| state.table().flow(portcullis_flows::FlowId(id)));
        flows.next().map_or("none", |flow| flow.state.tracker.state_name())
    }
}

#[test]
fn a_connection_lives_from_its_syn_to_its_last_acknowledgment() {
    for setup in [Setup::firewall(), Setup::masquerading()] {
        let mut tcp = Connection::established(setup);
        assert_eq!(tcp.state(), "established");
        for _ in 0..3 {
            tcp.say(Flags::ACK, b"question");
            let back = tcp.answer(Flags::ACK, b"answer");
            assert_eq!((back.dst, back.dst_port), (A, 4000));
        }
        tcp.say(FIN_ACK, b"");
        assert_eq!(tcp.state(), "fin-wait");
        // RFC 9293, 3.6: the other side may still have much to say.
        tcp.answer(Flags::ACK, b"more");
        tcp.answer(FIN_ACK, b"");
        assert_eq!(tcp.state(), "closing");
        tcp.say(Flags::ACK, b"");
        assert_eq!(tcp.state(), "time-wait");
        assert_eq!(tcp.gateway.counters.drops.total(), 0);
    }
}

#[test]
fn rfc5382_req2_both_ends_may_open_at_once() {
    let mut tcp = Connection::attempted(Setup::masquerading());
    let port = tcp.external.1;
    tcp.inward(Tcp { sequence: 5000, ..Tcp::syn(80, port) }, b"").sent(LAN);
    let crossing = |sequence, acknowledgment, from, to| Tcp {
        sequence,
        acknowledgment,
        flags: SYN_ACK,
        ..Tcp::syn(from, to)
    };
    tcp.outward(crossing(1000, 5001, 4000, 80), b"").sent(WAN);
    tcp.inward(crossing(5000, 1001, 80, port), b"").sent(LAN);
    tcp.say(Flags::ACK, b"question");
    tcp.answer(Flags::ACK, b"answer");
    assert_eq!(tcp.state(), "established");
}

#[test]
fn rfc9293_a_closed_connection_is_opened_again_by_who_opened_it() {
    let mut tcp = Connection::established(Setup::masquerading());
    tcp.say(FIN_ACK, b"");
    tcp.answer(FIN_ACK, b"");
    tcp.say(Flags::ACK, b"");
    let again = Tcp { sequence: 70_000, ..Tcp::syn(4000, 80) };
    let back_again = Tcp { sequence: 70_000, ..Tcp::syn(80, 0) };
    tcp.inward(back_again, b"").dropped(DropReason::TcpOutOfWindow);
    let out = seen(&tcp.outward(again, b"").sent(WAN));
    assert_eq!((out.src, tcp.state(), tcp.gateway.flows()), (EXTERNAL, "syn-sent", 1));
    let answer = Tcp { sequence: 9, acknowledgment: 70_001, flags: SYN_ACK, ..Tcp::syn(80, 0) };
    tcp.external.1 = out.src_port;
    tcp.inward(answer, b"").sent(LAN);
    assert_eq!(tcp.state(), "syn-received");
}

#[test]
fn a_connection_that_was_reset_is_opened_again() {
    let mut tcp = Connection::established(Setup::firewall());
    tcp.answer(Flags::RST.with(Flags::ACK), b"");
    assert_eq!(tcp.state(), "closed");
    tcp.outward(Tcp { sequence: 70_000, ..Tcp::syn(4000, 80) }, b"").sent(WAN);
    assert_eq!((tcp.state(), tcp.gateway.flows()), ("syn-sent", 1));
}

#[test]
fn a_refused_connection_is_reset_by_an_acknowledgment_of_its_syn() {
    let mut tcp = Connection::attempted(Setup::masquerading());
    let flags = Flags::RST.with(Flags::ACK);
    let blind = Tcp { sequence: 0, acknowledgment: 5, flags, ..Tcp::data(80, 0, 0) };
    tcp.inward(blind, b"").dropped(DropReason::TcpOutOfWindow);
    assert_eq!(tcp.state(), "syn-sent");
    let refused = Tcp { acknowledgment: 1001, flags, ..Tcp::data(80, 0, 0) };
    tcp.inward(refused, b"").sent(LAN);
    assert_eq!(tcp.state(), "closed");
}

#[test]
fn rfc5961_a_reset_outside_of_the_window_is_dropped_and_one_within_it_ends_nothing() {
    let mut tcp = Connection::established(Setup::masquerading());
    let reset = |sequence| Tcp { flags: Flags::RST, ..Tcp::data(80, 0, sequence) };
    tcp.inward(reset(0x6000_0000), b"").dropped(DropReason::TcpOutOfWindow);
    tcp.inward(reset(5001 + 1000), b"").sent(LAN);
    assert_eq!(tcp.state(), "established");
    tcp.answer(Flags::ACK, b"still here");
    tcp.answer(Flags::RST, b"");
    assert_eq!(tcp.state(), "closed");
}

#[test]
fn rfc5961_a_syn_in_the_middle_passes_and_changes_nothing() {
    let mut tcp = Connection::established(Setup::masquerading());
    let syn = Tcp { sequence: 123, ..Tcp::syn(80, 0) };
    tcp.inward(syn, b"").sent(LAN);
    assert_eq!(tcp.state(), "established");
    tcp.answer(Flags::ACK, b"answer");
}

#[test]
fn a_connection_of_before_is_taken_up_and_then_followed() {
    let mut gateway = Setup::masquerading().gateway();
    let data = Tcp { acknowledgment: 5001, ..Tcp::data(4000, 80, 1001) };
    let out = seen(&gateway.pass(NOW, LAN, &from_a(B).tcp(data, b"question")).sent(WAN));
    let external = (out.src, out.src_port);
    let mut tcp = Connection { gateway, now: NOW, external, sent: 1009, answered: 5001 };
    tcp.answer(Flags::ACK, b"answer");
    tcp.say(Flags::ACK, b"more");
    assert_eq!(tcp.state(), "established");
    // Even of one that was taken up, not everything is possible.
    let wild = Tcp { acknowledgment: 1009, ..Tcp::data(80, 0, 0x7000_0000) };
    tcp.inward(wild, b"evil").dropped(DropReason::TcpOutOfWindow);
}

#[test]
fn a_router_without_firewall_and_translation_drops_no_segment_for_its_numbers() {
    let mut gateway = Setup::default().gateway();
    gateway.pass(NOW, LAN, &from_a(B).tcp(Tcp::syn(4000, 80), b"")).sent(WAN);
    let wild = Tcp::data(80, 4000, 0x7000_0000);
    gateway.pass(NOW, WAN, &from_b(A).tcp(wild, b"by another way")).sent(LAN);
    let impossible = Tcp { flags: Flags(0), ..Tcp::syn(4001, 80) };
    gateway.pass(NOW, LAN, &from_a(B).tcp(impossible, b"")).sent(WAN);
}

/// A SYN's options: the maximum segment size, and others around it.
fn options(mss: u16) -> Vec<u8> {
    let [high, low] = mss.to_be_bytes();
    vec![3, 3, 7, 1, 2, 4, high, low]
}

/// The maximum segment size that a segment announces, and whether its checksum is right, by somebody else's
/// parser.
#[track_caller]
fn announced(frame: &[u8]) -> u16 {
    let sliced = SlicedPacket::from_ethernet(frame).expect("a sound frame");
    let Some(TransportSlice::Tcp(tcp)) = &sliced.transport else { panic!("no TCP") };
    let sum = match &sliced.net {
        Some(etherparse::NetSlice::Ipv6(ip)) => {
            tcp.to_header().calc_checksum_ipv6(&ip.header().to_header(), tcp.payload())
        }
        Some(etherparse::NetSlice::Ipv4(ip)) => {
            tcp.to_header().calc_checksum_ipv4(&ip.header().to_header(), tcp.payload())
        }
        other => panic!("no IP: {other:?}"),
    };
    assert_eq!(sum, Ok(tcp.checksum()));
    let mss = tcp.options_iterator().find_map(|option| match option {
        Ok(TcpOptionElement::MaximumSegmentSize(mss)) => Some(mss),
        _ => None,
    });
    mss.expect("a maximum segment size")
}

fn narrow(setup: Setup, by: IfIndex) -> Gateway {
    let mut gateway = setup.gateway();
    gateway.change(by, |interface| interface.mtu = 1400);
    acquaint(&mut gateway);
    gateway
}

#[test]
fn rfc9293_a_syn_and_its_answer_announce_no_more_than_both_links_carry() {
    // Whichever of the links is the narrow one, in both directions.
    for by in [LAN, WAN] {
        let setup = Setup { mss_clamp: true, ..Setup::masquerading() };
        let mut gateway = narrow(setup, by);
        let syn = Tcp { options: options(1460), ..Tcp::syn(4000, 80) };
        let out = gateway.pass(NOW, LAN, &from_a(B).tcp(syn, b"")).sent(WAN);
        assert_eq!(announced(&out), 1360);
        let port = seen(&out).src_port;
        let answer = |mss| Tcp {
            sequence: 5000,
            acknowledgment: 1,
            flags: SYN_ACK,
            options: options(mss),
            ..Tcp::syn(80, port)
        };
        let back = from_b(EXTERNAL).tcp(answer(1460), b"");
        assert_eq!(announced(&gateway.pass(NOW, WAN, &back).sent(LAN)), 1360);
        // Less is left alone.
        let back = from_b(EXTERNAL).tcp(answer(536), b"");
        assert_eq!(announced(&gateway.pass(NOW, WAN, &back).sent(LAN)), 536);
    }
}

#[test]
fn of_ipv6_the_header_is_larger_and_the_segment_smaller() {
    let mut gateway = narrow(Setup { mss_clamp: true, ..Setup::firewall() }, WAN);
    let syn = Tcp { options: options(1440), ..Tcp::syn(4000, 80) };
    let out = gateway.pass(NOW, LAN, &a_to_b6().tcp(syn, b"")).sent(WAN);
    assert_eq!(announced(&out), 1340);
    let back = Frame::v6(B6, A6).macs(B_MAC, WAN_MAC);
    let answer =
        Tcp { acknowledgment: 1, flags: SYN_ACK, options: options(1440), ..Tcp::syn(80, 4000) };
    let back = gateway.pass(NOW, WAN, &back.tcp(answer, b"")).sent(LAN);
    assert_eq!(announced(&back), 1340);
}

#[test]
fn without_clamping_nothing_is_lowered() {
    let mut gateway = narrow(Setup::masquerading(), WAN);
    let syn = Tcp { options: options(1460), ..Tcp::syn(4000, 80) };
    let out = gateway.pass(NOW, LAN, &from_a(B).tcp(syn, b"")).sent(WAN);
    assert_eq!(announced(&out), 1460);
}
