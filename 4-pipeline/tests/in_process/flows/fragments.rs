//! Packets in fragments: translated and judged like whole ones (RFC 4787, 11), never put together.

use std::time::Duration;

use etherparse::{NetSlice, SlicedPacket};
use portcullis_firewall::Service;
use portcullis_packet::{DropReason, Instant, Verdict};
use portcullis_wire::IpProtocol;
use portcullis_wire::build::{Frame, Tcp};

use super::setup::{
    A, B, EXTERNAL, INSIDE, OUTSIDE, Out, Setup, from_a, from_a2, from_b, rule, rules, seen,
};
use crate::gateway::{Gateway, LAN, WAN, WAN_MAC, arrived};
use crate::reasons::{A6, B6, NOW, a_to_b6};
use crate::world::B_MAC;

/// The pieces of a whole packet, cut at these places of its payload.
fn cut(header: &Frame, id: u32, whole: &[u8], protocol: IpProtocol, at: &[usize]) -> Vec<Vec<u8>> {
    let ip = if whole[14] >> 4 == 4 { 20 } else { 40 };
    let payload = &whole[14 + ip..];
    let ends = at.iter().copied().chain([payload.len()]);
    let mut begin = 0;
    ends.map(|end| {
        let more = end < payload.len();
        let piece = header.clone().identification(id).fragment(begin as u16, more);
        let piece = piece.raw(protocol, &payload[begin..end]);
        begin = end;
        piece
    })
    .collect()
}

fn datagram(header: &Frame, id: u32, ports: (u16, u16)) -> Vec<Vec<u8>> {
    cut(header, id, &header.udp(ports.0, ports.1, &payload()), IpProtocol::UDP, &[64, 1296])
}

fn payload() -> Vec<u8> {
    (0..2500u32).map(|n| (n * 7 % 251) as u8).collect()
}

/// The packet that IPv4 fragments are of, whole again.
#[track_caller]
fn joined(mut frames: Vec<Vec<u8>>) -> Vec<u8> {
    let offset = |frame: &[u8]| u16::from_be_bytes([frame[20], frame[21]]) & 0x1fff;
    frames.sort_by_key(|frame| offset(frame));
    let mut payload = vec![];
    for (at, frame) in frames.iter().enumerate() {
        let sliced = SlicedPacket::from_ethernet(frame).expect("a sound frame");
        let Some(NetSlice::Ipv4(net)) = &sliced.net else { panic!("no IPv4") };
        let header = net.header();
        assert_eq!(header.to_header().calc_header_checksum(), header.header_checksum());
        assert_eq!(usize::from(offset(frame)) * 8, payload.len(), "no gap");
        assert_eq!(header.more_fragments(), at + 1 < frames.len());
        payload.extend(net.payload().payload);
    }
    let address = |at: usize| [0, 1, 2, 3].map(|n| frames[0][at + n]);
    let whole = Frame::v4(address(26), address(30)).hops(frames[0][22]);
    whole.raw(IpProtocol(frames[0][23]), &payload)
}

/// Passes fragments one by one. What was sent, in this order, and all of it by one interface.
#[track_caller]
fn pass_each(
    gateway: &mut Gateway,
    on: portcullis_packet::IfIndex,
    frames: &[Vec<u8>],
) -> Vec<Vec<u8>> {
    let out = if on == LAN { WAN } else { LAN };
    let mut sent = vec![];
    for frame in frames {
        for became in gateway.pass_all(NOW, vec![arrived(on, frame)]) {
            sent.push(became.sent(out));
        }
    }
    sent
}

#[test]
fn rfc4787_req14_fragments_are_translated_whatever_their_order() {
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [2, 0, 1]] {
        let mut gateway = Setup::masquerading().gateway();
        let pieces = datagram(&from_a(B), 9, (4000, 53));
        let shuffled = order.map(|at| pieces[at].clone());
        let out = joined(pass_each(&mut gateway, LAN, &shuffled));
        // The checksum of the datagram is in its first fragment alone, and is right for all of it.
        let there = seen(&out);
        assert_eq!((there.src, there.dst, there.dst_port, there.ttl), (EXTERNAL, B, 53, 63));
        assert_eq!(out[42..], payload());

        let answer = datagram(&from_b(EXTERNAL), 77, (53, there.src_port));
        let shuffled = order.map(|at| answer[at].clone());
        let back = joined(pass_each(&mut gateway, WAN, &shuffled));
        let here = seen(&back);
        assert_eq!((here.src, here.dst, here.dst_port, here.ttl), (B, A, 4000, 63));
        assert_eq!(back[42..], payload());
        assert_eq!((gateway.flows(), gateway.counters.drops.total()), (1, 0));
    }
}

#[test]
fn fragments_of_one_batch_go_on_together_whatever_their_order() {
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let mut gateway = Setup::masquerading().gateway();
        let pieces = datagram(&from_a(B), 9, (4000, 53));
        let batch = order.iter().map(|&at| arrived(LAN, &pieces[at])).collect();
        let sent = gateway.pass_all(NOW, batch).into_iter().map(|out| out.sent(WAN)).collect();
        assert_eq!(seen(&joined(sent)).src, EXTERNAL, "{order:?}");
    }
}

#[test]
fn fragments_pass_the_firewall_both_ways_and_only_in_answer() {
    let mut gateway = Setup::firewall().gateway();
    let unasked = datagram(&from_b(A), 1, (53, 4000));
    for piece in &unasked {
        gateway.pass(NOW, WAN, piece).dropped(DropReason::FirewallDrop);
    }
    pass_each(&mut gateway, LAN, &datagram(&from_a(B), 2, (4000, 53)));
    let answer = datagram(&from_b(A), 3, (53, 4000));
    let inside = joined(pass_each(&mut gateway, WAN, &answer));
    assert_eq!((seen(&inside).dst, seen(&inside).dst_port), (A, 4000));
}

#[test]
fn fragments_of_ipv6_pass_in_any_order() {
    let mut gateway = Setup::firewall().gateway();
    let header = a_to_b6();
    let whole = header.udp(4000, 53, &payload());
    let pieces = cut(&header, 9, &whole, IpProtocol::UDP, &[64, 1296]);
    let shuffled = [2, 0, 1].map(|at| pieces[at].clone());
    assert_eq!(pass_each(&mut gateway, LAN, &shuffled).len(), 3);
    let header = Frame::v6(B6, A6).macs(B_MAC, WAN_MAC);
    let whole = header.udp(53, 4000, &payload());
    let answer = cut(&header, 9, &whole, IpProtocol::UDP, &[64, 1296]);
    assert_eq!(pass_each(&mut gateway, WAN, &answer).len(), 3);
    assert_eq!((gateway.flows(), gateway.counters.drops.total()), (1, 0));
}

#[test]
fn no_later_fragment_passes_a_rule_for_ports_that_its_first_one_does_not_pass() {
    let mut dns = rule("dns", INSIDE, OUTSIDE);
    dns.service = Some(vec![Service { protocol: IpProtocol::UDP, ports: 53..=53 }]);
    let mut gateway = Setup { rules: Some(rules(vec![dns])), ..Setup::default() }.gateway();
    pass_each(&mut gateway, LAN, &datagram(&from_a(B), 1, (4000, 53)));
    // The first one before, and after the others.
    for (id, order) in [(2, [0, 1, 2]), (3, [1, 2, 0])] {
        let pieces = datagram(&from_a(B), id, (4000, 54));
        for at in order {
            for out in gateway.pass_all(NOW, vec![arrived(LAN, &pieces[at])]) {
                match out {
                    Out::Dropped(reason) => assert_eq!(reason, DropReason::FirewallDrop),
                    other => panic!("passed: {other:?}"),
                }
            }
        }
    }
    assert_eq!(gateway.drops(DropReason::FirewallDrop), 6);
    // One whose first one never comes goes nowhere.
    let orphans = datagram(&from_a(B), 4, (4000, 53));
    assert!(pass_each(&mut gateway, LAN, &orphans[1..]).is_empty());
    let given_up = tick(&mut gateway, NOW + Duration::from_secs(30));
    assert_eq!(given_up, [Verdict::Drop(DropReason::FragmentTimeout); 2]);
}

#[test]
fn a_packet_whose_fragments_overlap_is_given_up() {
    let mut gateway = Setup::masquerading().gateway();
    let header = from_a(B).identification(5);
    let whole = from_a(B).udp(4000, 53, &payload());
    let piece = |begin: usize, end: usize| {
        let more = header.clone().fragment(begin as u16, true);
        more.raw(IpProtocol::UDP, &whole[34 + begin..34 + end])
    };
    gateway.pass(NOW, LAN, &piece(0, 64)).sent(WAN);
    gateway.pass(NOW, LAN, &piece(56, 128)).dropped(DropReason::FragmentOverlap);
    // RFC 5722, 3: and so are those that came before, or come after.
    gateway.pass(NOW, LAN, &piece(128, 256)).dropped(DropReason::FragmentOverlap);
    // The same fragment once more is no overlap (RFC 8200, 4.5).
    let twice = cut(&from_a(B), 6, &whole, IpProtocol::UDP, &[64, 1296]);
    gateway.pass(NOW, LAN, &twice[0]).sent(WAN);
    gateway.pass(NOW, LAN, &twice[0]).sent(WAN);
}

#[test]
fn rfc1858_and_rfc3128_no_fragment_begins_or_ends_within_a_header() {
    let mut gateway = Setup::firewall().gateway();
    let whole = from_a(B).tcp(Tcp::syn(4000, 80), &[0; 64]);
    let cut_at = |at| cut(&from_a(B), 5, &whole, IpProtocol::TCP, &[at]);
    gateway.pass(NOW, LAN, &cut_at(8)[0]).dropped(DropReason::FragmentTiny);
    gateway.pass(NOW, LAN, &cut_at(16)[0]).dropped(DropReason::FragmentTiny);
    gateway.pass(NOW, LAN, &cut_at(8)[1]).dropped(DropReason::FragmentTiny);
    gateway.pass(NOW, LAN, &cut_at(16)[1]).dropped(DropReason::FragmentTiny);
    gateway.pass(NOW, LAN, &cut_at(24)[0]).sent(WAN);
    gateway.pass(NOW, LAN, &cut_at(24)[1]).sent(WAN);
}

#[test]
fn a_fragment_that_cannot_be_part_of_anything_is_malformed() {
    let mut gateway = Setup::firewall().gateway();
    let piece = |offset, more, length: usize| {
        from_a(B).fragment(offset, more).raw(IpProtocol::UDP, &vec![0; length])
    };
    // Not the last one, and yet no multiple of eight bytes.
    gateway.pass(NOW, LAN, &piece(64, true, 63)).dropped(DropReason::FragmentMalformed);
    // Beyond what a packet's length can say.
    gateway.pass(NOW, LAN, &piece(65_528, false, 16)).dropped(DropReason::FragmentMalformed);
    // Of nothing.
    gateway.pass(NOW, LAN, &piece(64, false, 0)).dropped(DropReason::FragmentMalformed);
    assert_eq!(gateway.drops(DropReason::FragmentMalformed), 3);
}

fn tick(gateway: &mut Gateway, now: Instant) -> Vec<Verdict> {
    let mut batch = vec![];
    gateway.worker.tick(&gateway.snapshot, now, &mut batch, &mut gateway.outbox);
    batch.iter().map(|packet| packet.meta().verdict).collect()
}

#[test]
fn fragments_wait_thirty_seconds_for_their_first_one() {
    let mut gateway = Setup::masquerading().gateway();
    let pieces = datagram(&from_a(B), 5, (4000, 53));
    assert!(pass_each(&mut gateway, LAN, &pieces[1..]).is_empty());
    assert!(tick(&mut gateway, NOW + Duration::from_millis(29_999)).is_empty());
    let given_up = tick(&mut gateway, NOW + Duration::from_secs(30));
    assert_eq!(given_up, [Verdict::Drop(DropReason::FragmentTimeout); 2]);
    assert_eq!(gateway.drops(DropReason::FragmentTimeout), 2);
    // The first one then comes too late for them, and goes on alone.
    let late = NOW + Duration::from_secs(31);
    gateway.pass(late, LAN, &pieces[0]).sent(WAN);
}

#[test]
fn what_waits_at_the_end_is_given_up_by_name() {
    let mut gateway = Setup::masquerading().gateway();
    pass_each(&mut gateway, LAN, &datagram(&from_a(B), 5, (4000, 53))[1..]);
    let mut left = vec![];
    gateway.worker.stop(&mut left);
    assert_eq!(left.len(), 2);
    assert_eq!(gateway.drops(DropReason::Stopping), 2);
}

#[test]
fn fragments_that_wait_are_few_of_one_packet_and_of_one_source_and_in_all() {
    let later = |header: Frame, id: u32, n: u16| {
        header.identification(id).fragment(64 + 8 * n, true).raw(IpProtocol::UDP, &[0; 8])
    };
    let mut gateway = Setup::masquerading().gateway();
    for n in 0..48 {
        let out = gateway.pass_all(NOW, vec![arrived(LAN, &later(from_a(B), 1, n))]);
        assert!(out.is_empty(), "waits");
    }
    let full = later(from_a(B), 1, 48);
    gateway.pass(NOW, LAN, &full).dropped(DropReason::FragmentQueueFull);

    let mut gateway = Setup::masquerading().gateway();
    let mut refused = 0;
    for id in 0..300 {
        refused += gateway.pass_all(NOW, vec![arrived(LAN, &later(from_a(B), id, 0))]).len();
    }
    assert_eq!(refused, 300 - 256, "a quarter of the packets is one source's share");
    assert_eq!(gateway.drops(DropReason::FragmentQueueFull), refused as u64);
    let other = gateway.pass_all(NOW, vec![arrived(LAN, &later(from_a2(B), 1, 0))]);
    assert!(other.is_empty(), "the other source is not harmed");

    let mut gateway = Setup::masquerading().gateway();
    let mut refused = 0;
    for id in 0..40 {
        for n in 0..20 {
            let frame = later(from_a(B), id, n);
            refused += gateway.pass_all(NOW, vec![arrived(LAN, &frame)]).len();
        }
    }
    assert_eq!(refused, 800 - 512);
    assert_eq!(gateway.drops(DropReason::FragmentQueueFull), refused as u64);
    // Whole packets do not care.
    gateway.pass(NOW, LAN, &from_a(B).udp(1, 2, b"x")).sent(WAN);
}

#[test]
fn an_identification_may_be_used_again_once_its_packet_is_complete() {
    let mut gateway = Setup::masquerading().gateway();
    for port in [4000, 4001, 4002] {
        let out = joined(pass_each(&mut gateway, LAN, &datagram(&from_a(B), 5, (port, 53))));
        assert_eq!(seen(&out).dst_port, 53);
    }
    assert_eq!(gateway.flows(), 3);
}
