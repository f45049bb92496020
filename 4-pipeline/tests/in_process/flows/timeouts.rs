//! How long flows live without packets, in virtual time: never shorter than they must, and not much longer.

use std::time::Duration;

use portcullis_packet::{DropReason, Instant};
use portcullis_wire::IpProtocol;
use portcullis_wire::build::{Echo, Tcp};
use portcullis_wire::tcp::Flags;

use super::setup::{B, EXTERNAL, Setup, from_a, from_b, seen};
use super::tcp::Connection;
use crate::gateway::{Gateway, LAN, WAN};
use crate::reasons::NOW;

/// How much later than it must a flow may end: flows count time in ticks of 134 ms, and end with the first one
/// that is over.
const SLACK: Duration = Duration::from_millis(2 * 135);

/// Whether any flow is left when so much time has passed.
fn lives(gateway: &mut Gateway, now: Instant) -> bool {
    while gateway.worker.tick(&gateway.snapshot, now, &mut vec![], &mut gateway.outbox) == Some(now)
    {
    }
    gateway.flows() > 0
}

/// Asserts that the only flow, whose last packet came at `last`, ends after this time, not before.
#[track_caller]
fn ends_after(gateway: &mut Gateway, last: Instant, seconds: u64) {
    let time = Duration::from_secs(seconds);
    assert!(lives(gateway, last + (time - Duration::from_millis(1))), "{time:?} are not over");
    assert!(!lives(gateway, last + (time + SLACK)), "{time:?} are over");
}

/// Moments at the beginning of a tick, in it, and at its end.
fn moments() -> impl Iterator<Item = Instant> {
    let tick = 1u64 << 27;
    [0, 1, tick / 3, tick / 2, tick - 1].into_iter().map(move |at| Instant(64 * tick + at))
}

#[test]
fn rfc4787_req5_udp_lives_five_minutes() {
    for now in moments() {
        let mut gateway = Setup::masquerading().gateway();
        gateway.pass(now, LAN, &from_a(B).udp(4000, 53, b"query")).sent(WAN);
        ends_after(&mut gateway, now, 300);
    }
}

#[test]
fn rfc4787_req6_each_packet_refreshes_a_flow() {
    for now in moments() {
        let mut gateway = Setup::masquerading().gateway();
        let query = from_a(B).udp(4000, 53, b"query");
        let port = seen(&gateway.pass(now, LAN, &query).sent(WAN)).src_port;
        let second = now + Duration::from_secs(200);
        gateway.pass(second, LAN, &query).sent(WAN);
        let third = second + Duration::from_secs(200);
        gateway.pass(third, WAN, &from_b(EXTERNAL).udp(53, port, b"answer")).sent(LAN);
        ends_after(&mut gateway, third, 300);
    }
}

#[test]
fn rfc5508_req2_a_ping_lives_a_minute() {
    for now in moments() {
        let mut gateway = Setup::masquerading().gateway();
        let ping = from_a(B).echo(Echo::Request, 7, 1, b"ping");
        let id = seen(&gateway.pass(now, LAN, &ping).sent(WAN)).src_port;
        let later = now + Duration::from_secs(59);
        gateway.pass(later, WAN, &from_b(EXTERNAL).echo(Echo::Reply, id, 1, b"ping")).sent(LAN);
        ends_after(&mut gateway, later, 60);
    }
}

#[test]
fn a_protocol_that_no_rfc_speaks_of_lives_ten_minutes() {
    let mut gateway = Setup::firewall().gateway();
    gateway.pass(NOW, LAN, &from_a(B).raw(IpProtocol(47), b"tunnelled")).sent(WAN);
    ends_after(&mut gateway, NOW, 600);
}

#[test]
fn rfc5382_req5_an_established_connection_lives_two_hours_and_four_minutes() {
    let mut tcp = Connection::established(Setup::masquerading());
    ends_after(&mut tcp.gateway, NOW, 7440);

    // And so long from its last segment on, also by the fast path.
    let mut tcp = Connection::established(Setup::masquerading());
    for _ in 0..3 {
        tcp.now = tcp.now + Duration::from_secs(7000);
        assert!(lives(&mut tcp.gateway, tcp.now));
        tcp.say(Flags::ACK, b"still here");
    }
    ends_after(&mut tcp.gateway, tcp.now, 7440);
}

#[test]
fn rfc5382_req5_half_closed_is_established() {
    let mut tcp = Connection::established(Setup::masquerading());
    tcp.say(Flags::FIN.with(Flags::ACK), b"");
    ends_after(&mut tcp.gateway, NOW, 7440);
}

#[test]
fn rfc5382_req5_an_attempt_lives_four_minutes() {
    let mut tcp = Connection::attempted(Setup::masquerading());
    ends_after(&mut tcp.gateway, NOW, 240);
}

#[test]
fn a_closed_connection_lives_four_minutes() {
    let mut tcp = Connection::established(Setup::masquerading());
    tcp.say(Flags::FIN.with(Flags::ACK), b"");
    tcp.answer(Flags::FIN.with(Flags::ACK), b"");
    tcp.say(Flags::ACK, b"");
    ends_after(&mut tcp.gateway, NOW, 240);
}

#[test]
fn rfc7857_a_connection_that_was_reset_lives_four_minutes() {
    let mut tcp = Connection::established(Setup::masquerading());
    tcp.now = tcp.now + Duration::from_secs(1000);
    tcp.answer(Flags::RST.with(Flags::ACK), b"");
    ends_after(&mut tcp.gateway, tcp.now, 240);
}

#[test]
fn a_connection_that_is_taken_up_is_an_attempt_until_it_is_answered() {
    let mut gateway = Setup::firewall().gateway();
    gateway.pass(NOW, LAN, &from_a(B).tcp(Tcp::data(4000, 80, 1), b"data")).sent(WAN);
    ends_after(&mut gateway, NOW, 240);
}

#[test]
fn what_is_dropped_refreshes_nothing() {
    let mut tcp = Connection::established(Setup::masquerading());
    tcp.now = tcp.now + Duration::from_secs(7000);
    tcp.inward(Tcp::data(80, 0, 0x7000_0000), b"evil").dropped(DropReason::TcpOutOfWindow);
    ends_after(&mut tcp.gateway, NOW, 7440);
}

#[test]
fn a_mapping_ends_when_its_last_flow_does() {
    let mut gateway = Setup::masquerading().gateway();
    let port = seen(&gateway.pass(NOW, LAN, &from_a(B).udp(4000, 53, b"x")).sent(WAN)).src_port;
    let later = NOW + Duration::from_secs(100);
    let other = super::setup::from_c(EXTERNAL).udp(7, port, b"hello");
    gateway.pass(later, WAN, &other).sent(LAN);
    assert!(lives(&mut gateway, NOW + Duration::from_secs(301)));
    assert_eq!(gateway.flows(), 1, "the other one's");
    let mappings = |gateway: &mut Gateway| {
        gateway.worker.state().map_or(0, |state| state.masquerading().len())
    };
    assert_eq!(mappings(&mut gateway), 1);
    assert!(!lives(&mut gateway, later + Duration::from_secs(301)));
    assert_eq!(mappings(&mut gateway), 0);
}
