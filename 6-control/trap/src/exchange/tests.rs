use std::collections::VecDeque;

use portcullis_dataplane::Steer;
use portcullis_packet::{GsoKind, LARGE_CAPACITY, Offload, SMALL_CAPACITY, WorkerId};
use portcullis_tables::Publisher;
use proptest::prelude::*;

use super::*;
use crate::port::Received;

/// A tap in memory: what the kernel sends, and what it was given.
#[derive(Default)]
struct FakeTap {
    sends: VecDeque<(Vec<u8>, Offload)>,
    got: Vec<(Vec<u8>, Offload)>,
    refusal: Option<Refusal>,
    nonsense: bool,
    gone: bool,
}

impl TapPort for FakeTap {
    fn send(&mut self, frame: &[u8], offload: Offload) -> Result<(), Refusal> {
        if let Some(refusal) = self.refusal {
            return Err(refusal);
        }
        self.got.push((frame.to_vec(), offload));
        Ok(())
    }

    fn receive(&mut self, head: &mut [u8], tail: &mut [u8]) -> Received {
        if self.gone {
            return Received::Gone;
        }
        if std::mem::take(&mut self.nonsense) {
            return Received::Nonsense;
        }
        let Some((frame, offload)) = self.sends.pop_front() else { return Received::Nothing };
        let len = frame.len().min(head.len() + tail.len());
        let (first, second) = frame[..len].split_at(len.min(head.len()));
        head[..first.len()].copy_from_slice(first);
        tail[..second.len()].copy_from_slice(second);
        Received::Frame { len, offload }
    }
}

/// A lane with room for some packets.
struct FakeLane {
    room: usize,
    packets: Vec<Packet>,
    rings: usize,
}

impl FakeLane {
    fn new(room: usize) -> Self {
        Self { room, packets: vec![], rings: 0 }
    }
}

impl Lane for FakeLane {
    fn push(&mut self, packet: Packet) -> Result<(), Packet> {
        if self.packets.len() == self.room {
            return Err(packet);
        }
        self.packets.push(packet);
        Ok(())
    }

    fn ring(&mut self) {
        self.rings += 1;
    }
}

const LAN: IfIndex = IfIndex(0);
const WAN: IfIndex = IfIndex(1);

type Fake = Exchange<FakeTap, FakeLane>;

fn exchange(lanes: usize, room: usize) -> Fake {
    steered(lanes, room, &mut Publisher::new(None))
}

fn steered(lanes: usize, room: usize, steering: &mut Publisher<SteeredBy>) -> Fake {
    let taps = [LAN, WAN].map(|index| (index, FakeTap::default()));
    let lanes = (0..lanes).map(|_| FakeLane::new(room));
    Exchange::new(taps, lanes, steering.subscribe(), Arc::new(TrapCounters::new(2)))
}

/// The first byte of a frame is its worker; 0xff belongs to none.
#[derive(Debug)]
struct ByFirstByte;

impl Steer for ByFirstByte {
    fn worker(&self, packet: &Packet) -> Option<WorkerId> {
        packet.data().first().filter(|&&byte| byte != 0xff).map(|&byte| WorkerId(byte.into()))
    }
}

/// What lies in each lane: first byte and second.
fn lanes(exchange: &Fake) -> Vec<Vec<(u8, u8)>> {
    let pair = |packet: &Packet| (packet.data()[0], packet.data()[1]);
    exchange.lanes.iter().map(|state| state.lane.packets.iter().map(pair).collect()).collect()
}

/// Has the kernel send frames that begin with these two bytes each, through one tap.
fn kernel_sends(exchange: &mut Fake, index: IfIndex, frames: &[(u8, u8)]) {
    let sends = frames.iter().map(|&(one, other)| {
        let mut frame = frame(60);
        frame[..2].copy_from_slice(&[one, other]);
        (frame, Offload::NONE)
    });
    tap(exchange, index).sends.extend(sends);
    exchange.collect(index, 99);
    exchange.finish_round();
}

fn tap(exchange: &mut Fake, index: IfIndex) -> &mut FakeTap {
    exchange.ports[index.slot()].as_mut().expect("the tap is there")
}

fn drops(exchange: &Fake, reason: DropReason) -> u64 {
    exchange.counters.drops.get(reason)
}

fn punted(rx_if: IfIndex, frame: &[u8]) -> Packet {
    let mut packet = Packet::from_bytes(frame);
    packet.meta_mut().rx_if = rx_if;
    packet
}

/// An Ethernet frame of an EtherType that nobody looks into.
fn frame(len: usize) -> Vec<u8> {
    let mut frame: Vec<u8> = (0..len).map(|n| n as u8).collect();
    frame[12..14].copy_from_slice(&[0x88, 0xb5]);
    frame
}

#[test]
fn a_punted_frame_reaches_the_tap_of_the_interface_it_came_in_by() {
    let mut exchange = exchange(1, 8);
    let offload = Offload { needs_csum: true, csum_start: 34, csum_offset: 6, ..Offload::NONE };
    let mut packet = punted(WAN, &frame(60));
    packet.meta_mut().offload = offload;
    exchange.deliver(PuntClass::Bfd, packet);
    assert_eq!(tap(&mut exchange, WAN).got, [(frame(60), offload)]);
    assert!(tap(&mut exchange, LAN).got.is_empty());
    assert_eq!(exchange.counters.class(PuntClass::Bfd).delivered.get(), 1);
    let wan = exchange.counters.interface(WAN).expect("counted");
    assert_eq!((wan.to_kernel.get(), wan.to_kernel_bytes.get()), (1, 60));
}

#[test]
fn what_a_tap_refuses_is_dropped_by_name_and_not_tried_again() {
    let mut exchange = exchange(1, 8);
    tap(&mut exchange, LAN).refusal = Some(Refusal::Frame);
    exchange.deliver(PuntClass::Other, punted(LAN, &frame(60)));
    exchange.deliver(PuntClass::Other, punted(IfIndex(7), &frame(60)));
    exchange.deliver(PuntClass::Other, punted(IfIndex::NONE, &frame(60)));
    assert_eq!(drops(&exchange, DropReason::TapRefused), 3);
    assert_eq!(exchange.counters.class(PuntClass::Other).refused.get(), 3);
    tap(&mut exchange, LAN).refusal = None;
    exchange.deliver(PuntClass::Other, punted(LAN, &frame(60)));
    assert_eq!(exchange.counters.class(PuntClass::Other).delivered.get(), 1);
}

#[test]
fn a_tap_that_was_taken_away_is_let_go_of_and_the_others_carry_on() {
    let mut exchange = exchange(1, 8);
    tap(&mut exchange, LAN).refusal = Some(Refusal::Gone);
    exchange.deliver(PuntClass::Other, punted(LAN, &frame(60)));
    assert!(exchange.port(LAN).is_none());
    assert_eq!(exchange.collect(LAN, 4), Collected::Gone);
    tap(&mut exchange, WAN).gone = true;
    assert_eq!(exchange.collect(WAN, 4), Collected::Gone);
    assert!(exchange.port(WAN).is_none());
}

#[test]
fn a_frame_from_the_kernel_leaves_by_its_interface_as_it_is() {
    let mut exchange = exchange(1, 8);
    tap(&mut exchange, WAN).sends.push_back((frame(60), Offload::NONE));
    assert_eq!(exchange.collect(WAN, 4), Collected::Drained);
    let packet = &exchange.lanes[0].lane.packets[0];
    assert_eq!(packet.data(), frame(60));
    let meta = packet.meta();
    assert_eq!((meta.tx_if, meta.rx_if, meta.verdict), (WAN, IfIndex::NONE, Verdict::Transmit));
    assert_eq!(exchange.counters.interface(WAN).map(|c| c.from_kernel_bytes.get()), Some(60));
}

#[test]
fn the_worker_is_woken_once_per_round_and_only_if_it_was_given_something() {
    let mut exchange = exchange(2, 8);
    for _ in 0..3 {
        tap(&mut exchange, WAN).sends.push_back((frame(60), Offload::NONE));
    }
    exchange.collect(WAN, 4);
    exchange.finish_round();
    exchange.finish_round();
    let rings: Vec<usize> = exchange.lanes.iter().map(|state| state.lane.rings).collect();
    assert_eq!(rings, [0, 1], "interface 1 has the lane of worker 1");
}

#[test]
fn a_frame_goes_to_the_worker_that_has_its_flow_and_its_flow_stays_in_order() {
    let mut steering: Publisher<SteeredBy> = Publisher::new(Some(Arc::new(ByFirstByte)));
    let mut exchange = steered(3, 8, &mut steering);
    kernel_sends(&mut exchange, LAN, &[(2, 1), (0, 1), (2, 2)]);
    kernel_sends(&mut exchange, WAN, &[(2, 3), (0, 2)]);
    assert_eq!(lanes(&exchange), [vec![(0, 1), (0, 2)], vec![], vec![(2, 1), (2, 2), (2, 3)]]);
    let rings: Vec<usize> = exchange.lanes.iter().map(|state| state.lane.rings).collect();
    assert_eq!(rings, [2, 0, 2]);
}

#[test]
fn a_frame_that_belongs_to_no_worker_goes_to_that_of_its_interface() {
    let mut steering: Publisher<SteeredBy> = Publisher::new(Some(Arc::new(ByFirstByte)));
    let mut exchange = steered(2, 8, &mut steering);
    // Of the last there are fewer workers than that.
    kernel_sends(&mut exchange, WAN, &[(0xff, 1), (0, 2), (7, 3)]);
    assert_eq!(lanes(&exchange), [vec![(0, 2)], vec![(0xff, 1), (7, 3)]]);
}

#[test]
fn the_newest_steering_counts() {
    let mut steering: Publisher<SteeredBy> = Publisher::new(None);
    let mut exchange = steered(2, 8, &mut steering);
    kernel_sends(&mut exchange, WAN, &[(0, 1)]);
    steering.publish(Some(Arc::new(ByFirstByte)));
    kernel_sends(&mut exchange, WAN, &[(0, 2)]);
    steering.publish(None);
    kernel_sends(&mut exchange, WAN, &[(0, 3)]);
    assert_eq!(lanes(&exchange), [vec![(0, 2)], vec![(0, 1), (0, 3)]]);
}

#[test]
fn a_full_lane_drops_by_name_and_is_still_rung_for() {
    let mut exchange = exchange(1, 1);
    for _ in 0..3 {
        tap(&mut exchange, LAN).sends.push_back((frame(60), Offload::NONE));
    }
    exchange.collect(LAN, 8);
    exchange.finish_round();
    assert_eq!(drops(&exchange, DropReason::InjectQueueFull), 2);
    assert_eq!(exchange.counters.interface(LAN).map(|c| c.from_kernel.get()), Some(1));
    assert_eq!(exchange.lanes[0].lane.rings, 1);
}

#[test]
fn a_round_takes_no_more_than_its_budget() {
    let mut exchange = exchange(1, 99);
    for _ in 0..5 {
        tap(&mut exchange, LAN).sends.push_back((frame(60), Offload::NONE));
    }
    assert_eq!(exchange.collect(LAN, 4), Collected::More);
    assert_eq!(exchange.lanes[0].lane.packets.len(), 4);
    assert_eq!(exchange.collect(LAN, 4), Collected::Drained);
}

#[test]
fn frames_that_no_device_can_carry_are_dropped_by_name() {
    let mut exchange = exchange(1, 8);
    let beyond = Offload { needs_csum: true, csum_start: 200, csum_offset: 6, ..Offload::NONE };
    let runt = vec![0; 13];
    let not_tcp = Offload { gso: GsoKind::Tcp4, gso_size: 1448, ..Offload::NONE };
    let sends = [(frame(60), beyond), (runt, Offload::NONE), (frame(3000), not_tcp)];
    tap(&mut exchange, LAN).sends.extend(sends);
    tap(&mut exchange, LAN).nonsense = true;
    assert_eq!(exchange.collect(LAN, 8), Collected::Drained);
    assert_eq!(drops(&exchange, DropReason::TapBadFrame), 4);
    assert!(exchange.lanes[0].lane.packets.is_empty());
}

#[test]
fn a_frame_larger_than_any_buffer_is_dropped_by_name() {
    let mut exchange = exchange(1, 8);
    tap(&mut exchange, LAN).sends.push_back((frame(LARGE_CAPACITY + 1), Offload::NONE));
    assert_eq!(exchange.collect(LAN, 8), Collected::Drained);
    assert_eq!(drops(&exchange, DropReason::RxTooLarge), 1);
}

#[test]
fn buffers_that_went_out_for_good_are_made_anew() {
    let mut exchange = exchange(1, usize::MAX);
    for round in 0..3 * POOL.small {
        let len = if round % 2 == 0 { 60 } else { SMALL_CAPACITY + 1 };
        tap(&mut exchange, LAN).sends.push_back((frame(len), Offload::NONE));
        while exchange.collect(LAN, 8) == Collected::More {}
    }
    assert_eq!(exchange.lanes[0].lane.packets.len(), 3 * POOL.small);
}

/// A frame of `len` bytes that look random.
fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    (0..len).map(|_| next()).collect()
}

proptest! {
    #[test]
    fn frames_of_any_length_cross_byte_for_byte_both_ways(
        frames in proptest::collection::vec(
            (
                prop_oneof![14..200_usize, SMALL_CAPACITY - 2..SMALL_CAPACITY + 3, 60_000..65_551_usize],
                any::<u64>(),
            )
                .prop_map(|(len, seed)| noise(len, seed)),
            1..12,
        ),
    ) {
        let mut exchange = exchange(1, 99);
        tap(&mut exchange, LAN).sends.extend(frames.iter().map(|f| (f.clone(), Offload::NONE)));
        while exchange.collect(LAN, 3) == Collected::More {}
        let injected = std::mem::take(&mut exchange.lanes[0].lane.packets);
        prop_assert_eq!(injected.len(), frames.len());
        for (mut packet, frame) in injected.into_iter().zip(&frames) {
            prop_assert!(packet.data() == frame);
            packet.meta_mut().rx_if = WAN;
            exchange.deliver(PuntClass::Other, packet);
        }
        let got: Vec<Vec<u8>> = tap(&mut exchange, WAN).got.drain(..).map(|(f, _)| f).collect();
        prop_assert!(got == frames);
    }
}
