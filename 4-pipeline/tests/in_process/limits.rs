//! Reasons that take more than one packet: queues that are full, rates that are used up, time that is.

use std::net::IpAddr;
use std::time::Duration;

use portcullis_packet::{DropReason, PoolLimits, PuntClass, TxOffload, Verdict};
use portcullis_pipeline::{
    HoldQueue, IcmpLimiter, PuntLimiter, RESOLUTION_TIMEOUT, Resolve, WorkerLimits,
};
use portcullis_wire::build::{self, Frame};

use crate::answer::Answer;
use crate::gateway::{Gateway, LAN, WAN, arrived};
use crate::reasons::{
    A4, A6, B4, B6, NOW, a_to_b4, a_to_b6, acquaint, acquainted, from_a, super_frame,
};
use crate::world::{A_MAC, B_MAC};

/// What is provoked here.
pub(crate) const PROVOKED: [DropReason; 9] = [
    DropReason::FragmentNoBuffer,
    DropReason::SegmentNoBuffer,
    DropReason::HoldQueueFull,
    DropReason::NeighborUnresolved,
    DropReason::PuntRateNeighbor,
    DropReason::PuntRateRouting,
    DropReason::PuntRateBfd,
    DropReason::PuntRateOther,
    DropReason::Stopping,
];

/// Only A is known.
fn half_acquainted() -> Gateway {
    let mut gateway = Gateway::new();
    gateway.learn(LAN, A4.into(), A_MAC);
    gateway.learn(LAN, A6.into(), A_MAC);
    gateway
}

fn without_buffers() -> Gateway {
    let mut gateway =
        Gateway::with_limits(WorkerLimits { pool: PoolLimits { small: 0, large: 0 } });
    acquaint(&mut gateway);
    gateway
}

#[test]
fn without_buffers_for_the_pieces_a_packet_is_dropped_by_name() {
    let mut gateway = without_buffers();
    gateway.change(WAN, |interface| interface.mtu = 600);
    acquaint(&mut gateway);
    gateway.process(NOW, vec![arrived(LAN, &a_to_b4().udp(1, 2, &[0; 1000]))]);
    assert_eq!(gateway.drops(DropReason::FragmentNoBuffer), 1, "{:?}", gateway.counters.drops);

    let mut gateway = without_buffers();
    gateway.change(WAN, |interface| interface.offload = TxOffload::NONE);
    gateway.process(NOW, vec![super_frame()]);
    assert_eq!(gateway.drops(DropReason::SegmentNoBuffer), 1, "{:?}", gateway.counters.drops);
}

#[test]
fn a_next_hop_that_is_not_resolved_holds_its_share_and_no_more() {
    let mut gateway = half_acquainted();
    let packet = || arrived(LAN, &a_to_b4().udp(1, 2, b"waits"));
    for _ in 0..HoldQueue::PER_NEXT_HOP {
        assert!(gateway.process(NOW, vec![packet()]).is_empty(), "it waits");
    }
    let refused = gateway.process(NOW, vec![packet()]);
    assert_eq!(refused[0].meta().verdict, Verdict::Drop(DropReason::HoldQueueFull));
    assert_eq!(gateway.outbox.resolve.len(), 1, "asked for once");
    assert_eq!(gateway.worker.held(), HoldQueue::PER_NEXT_HOP);
}

#[test]
fn packets_that_waited_in_vain_are_dropped_and_their_sender_is_told() {
    for (frame, kind, code) in
        [(a_to_b4().udp(1, 2, b"waits"), 3, 1), (a_to_b6().udp(1, 2, b"waits"), 1, 3)]
    {
        let mut gateway = half_acquainted();
        gateway.process(NOW, vec![arrived(LAN, &frame)]);
        let mut batch = vec![];
        let Gateway { worker, snapshot, outbox, .. } = &mut gateway;
        let wake = worker.tick(snapshot, NOW, &mut batch, outbox).expect("a time to wake up");
        assert!(wake <= NOW + RESOLUTION_TIMEOUT && batch.is_empty());
        worker.tick(snapshot, NOW + RESOLUTION_TIMEOUT, &mut batch, outbox);
        assert_eq!(gateway.drops(DropReason::NeighborUnresolved), 1);
        let answer = Answer::parse(batch[0].data());
        assert_eq!((answer.kind, answer.code, answer.to_mac), (kind, code, A_MAC));
        assert!(answer.quotes(&frame));
        assert_eq!((batch[0].meta().verdict, batch[0].meta().tx_if), (Verdict::Transmit, LAN));
    }
}

#[test]
fn what_is_held_when_the_worker_stops_is_counted() {
    let mut gateway = half_acquainted();
    gateway.process(NOW, vec![arrived(LAN, &a_to_b4().udp(1, 2, b"waits"))]);
    let mut batch = vec![];
    gateway.worker.stop(&mut batch);
    assert_eq!(batch[0].meta().verdict, Verdict::Drop(DropReason::Stopping));
    assert_eq!((gateway.worker.held(), gateway.drops(DropReason::Stopping)), (0, 1));
}

/// A packet for the gateway itself, of this class.
fn for_us(class: PuntClass) -> Vec<u8> {
    let to_us = from_a(Frame::v4(A4, [10, 0, 0, 1]));
    match class {
        PuntClass::Neighbor => build::arp_request(A_MAC, A4.into(), [10, 0, 0, 1].into()),
        PuntClass::Routing => to_us.tcp(build::Tcp::syn(5000, 179), b""),
        PuntClass::Bfd => to_us.udp(49152, 3784, &[0; 24]),
        PuntClass::Other => to_us.udp(5000, 161, b"get"),
    }
}

#[test]
fn a_class_that_asks_for_more_than_its_share_is_cut_and_the_others_are_not() {
    for (class, reason) in [
        (PuntClass::Neighbor, DropReason::PuntRateNeighbor),
        (PuntClass::Routing, DropReason::PuntRateRouting),
        (PuntClass::Bfd, DropReason::PuntRateBfd),
        (PuntClass::Other, DropReason::PuntRateOther),
    ] {
        let mut gateway = acquainted();
        let burst = u64::from(PuntLimiter::rate(class).burst);
        let frame = for_us(class);
        for _ in 0..burst + 5 {
            gateway.process(NOW, vec![arrived(LAN, &frame)]);
        }
        assert_eq!(gateway.drops(reason), 5, "{:?}", gateway.counters);
        assert_eq!(gateway.counters.drops.total(), 5, "{:?}", gateway.counters);
        assert_eq!(gateway.outbox.punts.len() as u64, burst);
        for other in PuntClass::ALL.into_iter().filter(|&other| other != class) {
            gateway.process(NOW, vec![arrived(LAN, &for_us(other))]);
        }
        assert_eq!(gateway.outbox.punts.len() as u64, burst + 3, "{}", class.name());
        gateway.process(NOW + Duration::from_secs(1), vec![arrived(LAN, &frame)]);
        assert_eq!(gateway.outbox.punts.len() as u64, burst + 4, "its share comes back");
    }
}

#[test]
fn one_sender_is_told_no_more_often_than_its_share_but_each_time_of_an_mtu() {
    let mut gateway = acquainted();
    gateway.change(WAN, |interface| interface.mtu = 1280);
    acquaint(&mut gateway);
    let expired = a_to_b4().hops(1).udp(1, 2, b"too far");
    let large = a_to_b4().dont_fragment().udp(1, 2, &[0; 1400]);
    let share = u64::from(IcmpLimiter::RECEIVER.burst);
    for _ in 0..share + 10 {
        gateway.process(NOW, vec![arrived(LAN, &expired)]);
    }
    let told = |gateway: &Gateway| {
        (gateway.counters.icmp_errors.get(), gateway.counters.icmp_suppressed.get())
    };
    assert_eq!(told(&gateway), (share, 10));
    for _ in 0..share {
        gateway.process(NOW, vec![arrived(LAN, &large)]);
    }
    assert_eq!(told(&gateway), (2 * share, 10));
    assert_eq!(gateway.drops(DropReason::TtlExceeded), share + 10, "dropped all the same");
}

#[test]
fn a_message_to_a_sender_whose_address_is_not_known_waits_and_leaves_like_any_packet() {
    let link_local = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
    for (frame, sender) in [
        (a_to_b4().hops(1).udp(1, 2, b"too far"), IpAddr::from(A4)),
        (a_to_b6().hops(1).udp(1, 2, b"too far"), IpAddr::from(A6)),
        (from_a(Frame::v6(link_local, B6)).udp(1, 2, b"out of scope"), IpAddr::from(link_local)),
    ] {
        let mut gateway = Gateway::new();
        gateway.learn(WAN, B4.into(), B_MAC);
        gateway.learn(WAN, B6.into(), B_MAC);
        assert!(gateway.process(NOW, vec![arrived(LAN, &frame)]).is_empty(), "it waits");
        assert_eq!(gateway.outbox.resolve, [Resolve { interface: LAN, address: sender }]);
        gateway.learn(LAN, sender, A_MAC);
        let mut batch = vec![];
        let Gateway { worker, snapshot, outbox, .. } = &mut gateway;
        worker.tick(snapshot, NOW, &mut batch, outbox);
        let [answer] = &batch[..] else { panic!("{sender}: {:?}", gateway.counters) };
        assert_eq!((answer.meta().verdict, answer.meta().tx_if), (Verdict::Transmit, LAN));
        let answer = Answer::parse(answer.data());
        assert_eq!((answer.to, answer.to_mac), (sender, A_MAC));
        assert!(answer.quotes(&frame));
        assert_eq!(gateway.counters.drops.total(), 1, "{:?}", gateway.counters);
    }
}
