//! A worker between two ports in memory.

use std::sync::Arc;

use portcullis_drivers::memory::{MemoryPort, pair};
use portcullis_drivers::{Port, PortStatus};
use portcullis_packet::{
    BATCH, DropReason, IfIndex, Offload, Packet, Pool, PoolLimits, PuntClass, Verdict,
};

use crate::gateway::{
    Gateway, LAN, LAN_ADDRESS, LAN_HOST_MAC, Threads, WAN, WAN_HOST, WAN_HOST_MAC, WAN_MAC,
    datagram,
};
use crate::wait_until;

const HOST: IfIndex = IfIndex(9);

/// A gateway and the two hosts' ends of its wires.
struct World {
    gateway: Gateway,
    lan: MemoryPort,
    wan: MemoryPort,
    pool: Pool,
    ports: [Arc<PortStatus>; 2],
}

impl World {
    fn new(threads: Threads, neighbors: bool) -> Self {
        let (lan_port, lan) = pair(LAN, HOST, 1024);
        let (wan_port, wan) = pair(WAN, HOST, 1024);
        let ports = [Arc::clone(lan_port.status()), Arc::clone(wan_port.status())];
        let gateway =
            Gateway::start(threads, vec![Box::new(lan_port), Box::new(wan_port)], neighbors);
        Self { gateway, lan, wan, pool: Pool::new(PoolLimits { small: 0, large: 0 }), ports }
    }

    fn send(&mut self, frames: impl Iterator<Item = Vec<u8>>) -> usize {
        let mut batch: Vec<_> = frames.map(|frame| Packet::from_bytes(&frame)).collect();
        self.lan.transmit(&mut batch, &mut self.pool)
    }

    #[track_caller]
    fn receive(&mut self, count: usize) -> Vec<Packet> {
        let mut into = Vec::new();
        wait_until("frames come out", || {
            self.wan.receive(&mut self.pool, &mut into, BATCH);
            into.len() >= count
        });
        assert_eq!(into.len(), count);
        into
    }
}

fn frames_are_forwarded_in_their_order(threads: Threads) {
    let mut world = World::new(threads, true);
    let numbers = || (0..1000u32).map(|n| n.to_be_bytes());
    assert_eq!(world.send(numbers().map(|n| datagram(WAN_HOST, &n))), 1000);
    let received = world.receive(1000);
    for (packet, number) in received.iter().zip(numbers()) {
        let frame = packet.data();
        assert_eq!(frame[..12], [WAN_HOST_MAC.0, WAN_MAC.0].concat());
        assert_eq!((frame[22], &frame[42..]), (63, &number[..]), "TTL and payload");
    }
    world.gateway.stop();
    assert_eq!(world.gateway.worker.ip4.packets.get(), 1000);
    assert_eq!(world.gateway.io.drops.total(), 0);
}

fn packets_for_the_gateway_itself_come_out_of_the_trap_queue(threads: Threads) {
    let mut world = World::new(threads, true);
    world.send(std::iter::once(datagram(LAN_ADDRESS, b"hello")));
    let mut punted = None;
    wait_until("the packet is punted", || {
        punted = world.gateway.punts.take();
        punted.is_some()
    });
    let (class, packet) = punted.expect("just seen");
    assert_eq!((class, packet.meta().rx_if), (PuntClass::Other, LAN));
    assert_eq!(packet.meta().verdict, Verdict::Punt(PuntClass::Other));
    assert_eq!(packet.data(), datagram(LAN_ADDRESS, b"hello"));
}

fn frames_from_the_trap_thread_leave_as_they_are(threads: Threads) {
    let mut world = World::new(threads, true);
    for n in 0..200u8 {
        let mut packet = Packet::from_bytes(&[n; 60]);
        packet.meta_mut().tx_if = WAN;
        packet.meta_mut().offload = Offload::NONE;
        assert!(world.gateway.inject.send(packet).is_ok());
    }
    for (n, packet) in world.receive(200).iter().enumerate() {
        assert_eq!(packet.data(), [n as u8; 60]);
    }
}

fn a_packet_waits_for_its_neighbour_and_leaves_when_that_is_known(threads: Threads) {
    let mut world = World::new(threads, false);
    world.send([b"one", b"two"].into_iter().map(|payload| datagram(WAN_HOST, payload)));
    let mut asked = None;
    wait_until("the manager is asked", || {
        asked = world.gateway.questions.take();
        asked.is_some()
    });
    let asked = asked.expect("just seen");
    assert_eq!((asked.interface, asked.address), (WAN, WAN_HOST.into()));
    world.gateway.learn_neighbors();
    let payloads: Vec<_> = world.receive(2).iter().map(|p| p.data()[42..45].to_vec()).collect();
    assert_eq!(payloads, [b"one", b"two"]);
}

fn a_frame_for_a_port_that_is_not_there_is_dropped_by_name(threads: Threads) {
    let (lan_port, mut lan) = pair(LAN, HOST, 1024);
    let gateway = Gateway::start(threads, vec![Box::new(lan_port)], true);
    let mut pool = Pool::new(PoolLimits { small: 0, large: 0 });
    lan.transmit(&mut vec![Packet::from_bytes(&datagram(WAN_HOST, b"x"))], &mut pool);
    wait_until("the drop is counted", || gateway.io.drops.get(DropReason::TxGone) == 1);
}

fn every_packet_is_accounted_for_when_the_gateway_stops_under_load(threads: Threads) {
    let mut world = World::new(threads, true);
    let mut sent = 0;
    let mut received = Vec::new();
    for _ in 0..20 {
        sent += world.send((0..500).map(|_| datagram(WAN_HOST, b"load")));
        world.wan.receive(&mut world.pool, &mut received, usize::MAX);
    }
    world.gateway.stop();
    let (lan, wan) = (&world.ports[0].counters, &world.ports[1].counters);
    let taken = lan.rx_packets.get();
    assert!(taken <= sent as u64);
    assert_eq!(taken, world.gateway.worker.received.get());
    let dropped = world.gateway.worker.drops.total() + world.gateway.io.drops.total();
    assert_eq!(taken, wan.tx_packets.get() + wan.drops.total() + dropped);
}

fn a_frame_to_another_station_is_dropped_and_its_buffer_recycled(threads: Threads) {
    let mut world = World::new(threads, true);
    let mut frame = datagram(WAN_HOST, b"x");
    frame[..6].copy_from_slice(&LAN_HOST_MAC.0);
    world.send(std::iter::repeat_n(frame, 300));
    world.send(std::iter::once(datagram(WAN_HOST, b"mine")));
    world.receive(1);
    assert_eq!(world.gateway.worker.drops.get(DropReason::NotForUs), 300);
}

on_one_thread_and_on_two! {
    frames_are_forwarded_in_their_order
    packets_for_the_gateway_itself_come_out_of_the_trap_queue
    frames_from_the_trap_thread_leave_as_they_are
    a_packet_waits_for_its_neighbour_and_leaves_when_that_is_known
    a_frame_for_a_port_that_is_not_there_is_dropped_by_name
    every_packet_is_accounted_for_when_the_gateway_stops_under_load
    a_frame_to_another_station_is_dropped_and_its_buffer_recycled
}
