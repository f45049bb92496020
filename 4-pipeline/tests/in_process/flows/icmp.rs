//! ICMP errors about packets of flows, from outside, inside, and the gateway itself (RFC 5508).

use std::net::IpAddr;
use std::time::Duration;

use portcullis_firewall::Action;
use portcullis_nat::NatSpec;
use portcullis_packet::DropReason;
use portcullis_wire::build::{Echo, Frame, Tcp};
use portcullis_wire::tcp::Flags;

use super::setup::{
    A, B, C, EXTERNAL, Seen, Setup, forward, from_a, from_a2, from_b, from_c, masquerade, rules,
    seen, static4,
};
use crate::answer::Answer;
use crate::gateway::{Gateway, LAN, WAN, WAN_MAC};
use crate::reasons::{A6, B6, NOW, a_to_b6, acquaint};
use crate::world::B_MAC;

/// An error that quotes a frame's packet, in a frame to be finished.
fn about(header: &Frame, (kind, code): (u8, u8), rest: [u8; 4], frame: &[u8]) -> Vec<u8> {
    header.icmp(kind, code, rest, &frame[14..])
}

const NO_PORT: (u8, u8) = (3, 3);
const TOO_BIG: (u8, u8) = (3, 4);

/// What an error's sender and receiver are, and the packet that it quotes. All checksums are found right,
/// those of the quoted packet as well.
#[track_caller]
fn read(frame: &[u8]) -> (Answer, Seen) {
    let answer = Answer::parse(frame);
    let mut quoted = frame[..14].to_vec();
    quoted.extend(&answer.quoted);
    let quoted = seen(&quoted);
    (answer, quoted)
}

#[track_caller]
fn is_between(answer: &Answer, from: [u8; 4], to: [u8; 4]) {
    assert_eq!((answer.from, answer.to), (IpAddr::from(from), IpAddr::from(to)));
}

fn forwarding() -> Setup {
    let nat = NatSpec {
        masquerades: vec![masquerade()],
        forwards: vec![forward()],
        ..NatSpec::default()
    };
    Setup { nat, ..Setup::default() }
}

#[test]
fn rfc5508_req4_an_error_from_outside_reaches_who_was_masqueraded_and_quotes_what_that_one_sent() {
    let mut gateway = Setup::masquerading().gateway();
    let sent = [
        from_a(B).udp(4000, 53, b"some datagram"),
        from_a(B).tcp(Tcp { sequence: 77, ..Tcp::syn(4000, 80) }, b""),
        from_a(B).echo(Echo::Request, 4000, 1, b"ping"),
    ];
    for frame in sent {
        let out = gateway.pass(NOW, LAN, &frame).sent(WAN);
        let error = about(&from_c(EXTERNAL), NO_PORT, [0; 4], &out);
        let (answer, quoted) = read(&gateway.pass(NOW, WAN, &error).sent(LAN));
        is_between(&answer, C, A);
        assert_eq!((answer.kind, answer.code), NO_PORT);
        let expected = Seen { ttl: 63, ..seen(&frame) };
        assert_eq!(quoted, expected);
    }
    assert_eq!(gateway.counters.icmp_related.get(), 3);
    assert_eq!(gateway.flows(), 3);
}

#[test]
fn a_quote_of_eight_bytes_behind_the_header_is_enough() {
    let mut gateway = Setup::masquerading().gateway();
    let frame = from_a(B).tcp(Tcp { sequence: 77, ..Tcp::syn(4000, 80) }, b"");
    let out = gateway.pass(NOW, LAN, &frame).sent(WAN);
    let error = about(&from_c(EXTERNAL), NO_PORT, [0; 4], &out[..14 + 28]);
    let answer = Answer::parse(&gateway.pass(NOW, WAN, &error).sent(LAN));
    is_between(&answer, C, A);
    assert_eq!(answer.quoted[12..24], frame[26..38], "addresses and ports as A sent them");
    assert_eq!(answer.quoted[24..28], 77u32.to_be_bytes());
    let mut header = answer.quoted[..20].to_vec();
    portcullis_wire::ipv4::fill_checksum(&mut header);
    assert_eq!(header, answer.quoted[..20], "the quoted header's checksum");
    // With less, nobody knows whom it is about.
    let short = about(&from_c(EXTERNAL), NO_PORT, [0; 4], &out[..14 + 24]);
    gateway.pass(NOW, WAN, &short).dropped(DropReason::IcmpUnrelated);
}

#[test]
fn an_error_from_inside_about_an_answer_has_the_external_address_outside() {
    let mut gateway = Setup::masquerading().gateway();
    let port = seen(&gateway.pass(NOW, LAN, &from_a(B).udp(4000, 53, b"query")).sent(WAN)).src_port;
    let answer = from_b(EXTERNAL).udp(53, port, b"answer");
    let inside = gateway.pass(NOW, WAN, &answer).sent(LAN);
    let error = about(&from_a(B), NO_PORT, [0; 4], &inside);
    let (told, quoted) = read(&gateway.pass(NOW, LAN, &error).sent(WAN));
    is_between(&told, EXTERNAL, B);
    assert_eq!(quoted, Seen { ttl: 63, ..seen(&answer) });
}

#[test]
fn rfc5508_req5_a_router_inside_speaks_by_the_external_address_about_a_forwarded_connection() {
    let mut gateway = forwarding().gateway();
    let syn = from_b(EXTERNAL).tcp(Tcp::syn(7000, 8443), b"");
    let inside = gateway.pass(NOW, WAN, &syn).sent(LAN);
    assert_eq!((seen(&inside).dst, seen(&inside).dst_port), (A, 443));
    for from in [from_a(B), from_a2(B)] {
        let error = about(&from, (3, 1), [0; 4], &inside);
        let (told, quoted) = read(&gateway.pass(NOW, LAN, &error).sent(WAN));
        is_between(&told, EXTERNAL, B);
        assert_eq!(quoted, Seen { ttl: 63, ..seen(&syn) });
    }
}

#[test]
fn an_error_from_outside_about_a_forwarded_connection_quotes_the_inside_port() {
    let mut gateway = forwarding().gateway();
    let syn = from_b(EXTERNAL).tcp(Tcp { sequence: 5, ..Tcp::syn(7000, 8443) }, b"");
    gateway.pass(NOW, WAN, &syn).sent(LAN);
    let flags = Flags::SYN.with(Flags::ACK);
    let syn_ack = Tcp { sequence: 900, acknowledgment: 6, flags, ..Tcp::syn(443, 7000) };
    let syn_ack = from_a(B).tcp(syn_ack, b"");
    let out = gateway.pass(NOW, LAN, &syn_ack).sent(WAN);
    assert_eq!((seen(&out).src, seen(&out).src_port), (EXTERNAL, 8443));
    let error = about(&from_c(EXTERNAL), TOO_BIG, [0, 0, 5, 0], &out);
    let (told, quoted) = read(&gateway.pass(NOW, WAN, &error).sent(LAN));
    is_between(&told, C, A);
    assert_eq!(told.mtu, 1280);
    assert_eq!(quoted, Seen { ttl: 63, ..seen(&syn_ack) });
}

#[test]
fn errors_about_what_is_translated_statically_are_translated_both_ways() {
    let nat = NatSpec { statics4: vec![static4()], ..NatSpec::default() };
    let mut gateway = Setup { nat, ..Setup::default() }.gateway();
    let external_a = [192, 0, 2, 66];
    let frame = from_a(B).udp(4000, 53, b"query");
    let out = gateway.pass(NOW, LAN, &frame).sent(WAN);
    assert_eq!(seen(&out).src, external_a);
    let error = about(&from_c(external_a), NO_PORT, [0; 4], &out);
    let (told, quoted) = read(&gateway.pass(NOW, WAN, &error).sent(LAN));
    is_between(&told, C, A);
    assert_eq!(quoted, Seen { ttl: 63, ..seen(&frame) });

    let answer = from_b(external_a).udp(53, 4000, b"answer");
    let inside = gateway.pass(NOW, WAN, &answer).sent(LAN);
    let error = about(&from_a(B), NO_PORT, [0; 4], &inside);
    let (told, quoted) = read(&gateway.pass(NOW, LAN, &error).sent(WAN));
    is_between(&told, external_a, B);
    assert_eq!(quoted, Seen { ttl: 63, ..seen(&answer) });
}

#[test]
fn an_error_about_nothing_known_passes_no_firewall_and_no_translation() {
    let unknown = Frame::v4(A, B).udp(4000, 53, b"never sent");
    let mut firewall = Setup::firewall().gateway();
    let error = about(&from_b(A), NO_PORT, [0; 4], &unknown);
    firewall.pass(NOW, WAN, &error).dropped(DropReason::IcmpUnrelated);
    // Nor may one leave that nobody asked for, though all else may.
    let error = about(&from_a(B), NO_PORT, [0; 4], &Frame::v4(B, A).udp(53, 4000, b"never sent"));
    firewall.pass(NOW, LAN, &error).dropped(DropReason::IcmpUnrelated);

    let mut masquerading = Setup::masquerading().gateway();
    let unknown = Frame::v4(EXTERNAL, B).udp(4000, 53, b"never sent");
    let error = about(&from_b(EXTERNAL), NO_PORT, [0; 4], &unknown);
    masquerading.pass(NOW, WAN, &error).dropped(DropReason::IcmpUnrelated);

    let mut closed = rules(vec![]);
    closed.gateway_default = Action::Drop;
    let mut gateway = Setup { rules: Some(closed), ..Setup::default() }.gateway();
    let own = [192, 0, 2, 1];
    let unknown = Frame::v4(own, B).udp(4000, 53, b"never sent");
    let error = about(&from_b(own), NO_PORT, [0; 4], &unknown);
    gateway.pass(NOW, WAN, &error).dropped(DropReason::IcmpUnrelated);
}

#[test]
fn an_error_about_what_the_gateway_itself_sent_is_for_the_gateway() {
    let mut closed = rules(vec![]);
    closed.gateway_default = Action::Drop;
    let mut gateway = Setup { rules: Some(closed), ..Setup::default() }.gateway();
    let own = [192, 0, 2, 1];
    let query = Frame::v4(own, B).macs(WAN_MAC, B_MAC).udp(3333, 53, b"query");
    gateway.inject(NOW, WAN, &query).sent(WAN);
    let error = about(&from_b(own), NO_PORT, [0; 4], &query);
    assert_eq!(gateway.pass(NOW, WAN, &error).punted(), error);
}

#[test]
fn rfc5927_a_forged_error_about_a_number_that_is_not_on_its_way_is_dropped() {
    let mut gateway = Setup::masquerading().gateway();
    let syn = from_a(B).tcp(Tcp { sequence: 1000, ..Tcp::syn(4000, 80) }, b"");
    let out = seen(&gateway.pass(NOW, LAN, &syn).sent(WAN));
    let guess = |sequence| {
        let quoted = Frame::v4(EXTERNAL, B);
        let quoted = quoted.tcp(Tcp { sequence, ..Tcp::syn(out.src_port, 80) }, b"");
        about(&from_c(EXTERNAL), NO_PORT, [0; 4], &quoted)
    };
    for sequence in [0x4000_0000, 1002, 1000u32.wrapping_sub(0x10_0000)] {
        gateway.pass(NOW, WAN, &guess(sequence)).dropped(DropReason::IcmpUnrelated);
    }
    gateway.pass(NOW, WAN, &guess(1000)).sent(LAN);
}

#[test]
fn rfc5382_req10_no_error_ends_a_connection() {
    let mut gateway = Setup::masquerading().gateway();
    let syn = from_a(B).tcp(Tcp { sequence: 1000, ..Tcp::syn(4000, 80) }, b"");
    let out = gateway.pass(NOW, LAN, &syn).sent(WAN);
    let port = seen(&out).src_port;
    for code in 0..16 {
        let error = about(&from_c(EXTERNAL), (3, code), [0; 4], &out);
        gateway.pass(NOW, WAN, &error).sent(LAN);
    }
    assert_eq!(gateway.flows(), 1);
    let flags = Flags::SYN.with(Flags::ACK);
    let syn_ack = Tcp { sequence: 9, acknowledgment: 1001, flags, ..Tcp::syn(80, port) };
    gateway.pass(NOW, WAN, &from_b(EXTERNAL).tcp(syn_ack, b"")).sent(LAN);
}

#[test]
fn rfc4787_req12_and_rfc5508_req6_no_error_refreshes_or_ends_a_mapping() {
    let mut gateway = Setup::masquerading().gateway();
    let out = gateway.pass(NOW, LAN, &from_a(B).udp(4000, 53, b"query")).sent(WAN);
    let error = about(&from_c(EXTERNAL), NO_PORT, [0; 4], &out);
    gateway.pass(NOW + Duration::from_secs(299), WAN, &error).sent(LAN);
    assert_eq!(gateway.flows(), 1);
    let over = NOW + Duration::from_secs(301);
    gateway.worker.tick(&gateway.snapshot, over, &mut vec![], &mut gateway.outbox);
    assert_eq!(gateway.flows(), 0);
    gateway.pass(over, WAN, &error).dropped(DropReason::IcmpUnrelated);
}

#[test]
fn an_error_about_an_error_is_about_nothing() {
    let mut gateway = Setup::firewall().gateway();
    gateway.pass(NOW, LAN, &from_a(B).udp(4000, 53, b"query")).sent(WAN);
    let error = about(&from_a(B), NO_PORT, [0; 4], &from_b(A).udp(53, 4000, b"x"));
    gateway.pass(NOW, LAN, &error).sent(WAN);
    let again = about(&from_b(A), NO_PORT, [0; 4], &error);
    gateway.pass(NOW, WAN, &again).dropped(DropReason::IcmpUnrelated);
}

#[test]
fn time_exceeded_at_the_gateway_quotes_a_packet_as_its_sender_sent_it() {
    let mut gateway = Setup::masquerading().gateway();
    let expired = from_a(B).hops(1).udp(4000, 53, b"query");
    // Of an unknown flow, and of a known one.
    for _ in 0..2 {
        let told = Answer::parse(&gateway.pass(NOW, LAN, &expired).sent(LAN));
        is_between(&told, [10, 0, 0, 1], A);
        assert_eq!((told.kind, told.code), (11, 0));
        assert!(told.quotes(&expired), "{told:?}");
        gateway.pass(NOW, LAN, &from_a(B).udp(4000, 53, b"query")).sent(WAN);
    }
    let port = seen(&gateway.pass(NOW, LAN, &from_a(B).udp(4000, 53, b"x")).sent(WAN)).src_port;
    let expired = from_b(EXTERNAL).hops(1).udp(53, port, b"answer");
    let told = Answer::parse(&gateway.pass(NOW, WAN, &expired).sent(WAN));
    is_between(&told, [192, 0, 2, 1], B);
    assert!(told.quotes(&expired), "{told:?}");
    assert_eq!(gateway.drops(DropReason::TtlExceeded), 3);
}

fn narrow(gateway: &mut Gateway) {
    gateway.change(WAN, |interface| interface.mtu = 1280);
    acquaint(gateway);
}

#[test]
fn too_big_at_the_gateway_quotes_a_packet_as_its_sender_sent_it() {
    let mut gateway = Setup::masquerading().gateway();
    let large = from_a(B).dont_fragment().udp(4000, 53, &[7; 1400]);
    gateway.pass(NOW, LAN, &large).sent(WAN);
    narrow(&mut gateway);
    for _ in 0..2 {
        let told = Answer::parse(&gateway.pass(NOW, LAN, &large).sent(LAN));
        is_between(&told, [10, 0, 0, 1], A);
        assert_eq!((told.kind, told.code, told.mtu), (3, 4, 1280));
        assert!(told.quotes(&large), "{told:?}");
    }
    assert_eq!(gateway.flows(), 1);
}

#[test]
fn too_big_from_a_router_of_ipv6_reaches_who_is_behind_the_firewall() {
    let mut gateway = Setup::firewall().gateway();
    let sent = a_to_b6().udp(4000, 53, &[7; 1300]);
    let out = gateway.pass(NOW, LAN, &sent).sent(WAN);
    let from_router = Frame::v6(B6, A6).macs(B_MAC, WAN_MAC);
    let error = about(&from_router, (2, 0), [0, 0, 5, 0], &out[..14 + 1232]);
    let told = Answer::parse(&gateway.pass(NOW, WAN, &error).sent(LAN));
    assert_eq!((told.from, told.to, told.mtu), (B6.into(), A6.into(), 1280));
    let unknown = Frame::v6(A6, B6).udp(4001, 53, b"never sent");
    let error = about(&from_router, (2, 0), [0, 0, 5, 0], &unknown);
    gateway.pass(NOW, WAN, &error).dropped(DropReason::IcmpUnrelated);
}
