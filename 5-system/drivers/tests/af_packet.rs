//! The AF_PACKET driver on real devices: veth pairs in namespaces of their own.

mod common;

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::Namespace;
use portcullis_drivers::af_packet::{AfPacket, AfPacketConfig, Member, OpenError};
use portcullis_drivers::{Port, PortState};
use portcullis_packet::{BATCH, DropReason, IfIndex, Offload, Packet, Pool, PoolLimits};

const ONE: NonZeroU16 = NonZeroU16::MIN;
const INTERFACE: IfIndex = IfIndex(3);

/// Two namespaces with a veth pair `a` - `b` between them.
struct Wire {
    left: Namespace,
    right: Namespace,
}

impl Wire {
    fn new() -> Self {
        let (left, right) = (Namespace::new("left"), Namespace::new("right"));
        left.veth("a", &right, "b");
        Self { left, right }
    }

    fn ports(&self) -> (AfPacket, AfPacket) {
        (open_one(&self.left, "a"), open_one(&self.right, "b"))
    }
}

fn open_one(namespace: &Namespace, device: &str) -> AfPacket {
    try_open(namespace, AfPacketConfig::new(INTERFACE, device), ONE)
        .expect("a port")
        .pop()
        .expect("one port")
}

fn try_open(
    namespace: &Namespace,
    config: AfPacketConfig,
    workers: NonZeroU16,
) -> Result<Vec<AfPacket>, OpenError> {
    let open = |member| AfPacket::open(config.clone(), member, Arc::default());
    namespace.run(|| Member::group_of(workers).map(open).collect())
}

fn pool() -> Pool {
    Pool::new(PoolLimits { small: 256, large: 80 })
}

/// A frame that no kernel takes for its own.
fn frame(len: usize, mark: u8) -> Packet {
    let mut bytes = vec![mark; len];
    bytes[..14].copy_from_slice(b"\x02\0\0\0\0\x02\x02\0\0\0\0\x01\x88\xb5");
    Packet::from_bytes(&bytes)
}

/// Tries until `done` is true; generous, as the machine may be busy.
#[track_caller]
fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !done() {
        assert!(Instant::now() < end, "not within ten seconds: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[track_caller]
fn receive(port: &mut AfPacket, pool: &mut Pool, count: usize) -> Vec<Packet> {
    let mut into = Vec::new();
    wait_until("frames arrive", || {
        port.receive(pool, &mut into, BATCH);
        into.len() >= count
    });
    assert_eq!(into.len(), count);
    into
}

fn send(port: &mut AfPacket, pool: &mut Pool, frames: Vec<Packet>) -> usize {
    let mut batch = frames;
    let sent = port.transmit(&mut batch, pool);
    assert!(batch.is_empty(), "every frame is sent or dropped");
    sent
}

#[test]
fn frames_of_all_sizes_cross_unchanged_and_in_their_order() {
    let wire = Wire::new();
    let (mut a, mut b) = wire.ports();
    let mut pool = pool();
    let sizes = [14, 60, 61, 1000, 1513, 1514];
    let frames = (0..60).map(|i| frame(sizes[i % sizes.len()], i as u8)).collect();
    assert_eq!(send(&mut a, &mut pool, frames), 60);
    let received = receive(&mut b, &mut pool, 60);
    for (i, packet) in received.iter().enumerate() {
        assert_eq!(packet.data(), frame(sizes[i % sizes.len()], i as u8).data());
        assert_eq!(packet.meta().rx_if, INTERFACE);
        assert_eq!(packet.meta().offload, Offload::NONE);
    }
    let (sent, got) = (&a.status().counters, &b.status().counters);
    assert_eq!((sent.tx_packets.get(), got.rx_packets.get()), (60, 60));
    assert_eq!(sent.tx_bytes.get(), 10 * sizes.iter().sum::<usize>() as u64);
    assert_eq!(got.rx_bytes.get(), sent.tx_bytes.get());
    assert_eq!((sent.drops.total(), got.drops.total()), (0, 0));
}

#[test]
fn a_port_does_not_receive_what_it_sends() {
    let wire = Wire::new();
    let (mut a, mut b) = wire.ports();
    let mut pool = pool();
    send(&mut a, &mut pool, vec![frame(60, 1)]);
    receive(&mut b, &mut pool, 1);
    assert_eq!(a.receive(&mut pool, &mut Vec::new(), BATCH), 0);
}

#[test]
fn every_buffer_comes_home() {
    let wire = Wire::new();
    let (mut a, mut b) = wire.ports();
    let mut pool = pool();
    let mut batch = Vec::new();
    for round in 0..50 {
        let before = pool.free();
        for _ in 0..8 {
            let mut packet = pool.take_small().expect("a buffer");
            assert!(packet.set_len(60));
            packet.data_mut().copy_from_slice(frame(60, round).data());
            batch.push(packet);
        }
        a.transmit(&mut batch, &mut pool);
        assert_eq!(pool.free(), before, "round {round}");
        for packet in receive(&mut b, &mut pool, 8) {
            pool.put(packet);
        }
    }
}

#[test]
fn a_frame_larger_than_the_mtu_is_refused_by_name_and_the_others_go_on() {
    let wire = Wire::new();
    let (mut a, mut b) = wire.ports();
    let mut pool = pool();
    let frames = vec![frame(60, 1), frame(1600, 2), frame(60, 3)];
    assert_eq!(send(&mut a, &mut pool, frames), 2);
    assert_eq!(a.status().counters.drops.get(DropReason::TxError), 1);
    let marks: Vec<_> = receive(&mut b, &mut pool, 2).iter().map(|p| p.data()[59]).collect();
    assert_eq!(marks, [1, 3]);
}

#[test]
fn a_device_that_does_not_exist_is_an_error_that_names_it() {
    let namespace = Namespace::new("empty");
    let opened = try_open(&namespace, AfPacketConfig::new(INTERFACE, "eth7"), ONE).map(|_| ());
    assert!(matches!(&opened, Err(OpenError::NoDevice(name)) if name == "eth7"), "{opened:?}");
}

#[test]
fn what_the_kernel_had_no_room_for_is_counted_as_overrun() {
    let wire = Wire::new();
    let mut a = open_one(&wire.left, "a");
    let config = AfPacketConfig { receive_buffer: 8192, ..AfPacketConfig::new(INTERFACE, "b") };
    let mut b = try_open(&wire.right, config, ONE).expect("a port").pop().expect("one");
    let mut pool = pool();
    for _ in 0..10 {
        send(&mut a, &mut pool, (0..64).map(|i| frame(1000, i)).collect());
    }
    let mut received = Vec::new();
    let counters = &b.status().clone().counters;
    wait_until("all frames are accounted for", || {
        b.receive(&mut pool, &mut received, BATCH);
        received.drain(..).for_each(|packet| pool.put(packet));
        b.maintain();
        counters.rx_packets.get() + counters.drops.get(DropReason::RxOverrun) == 640
    });
    assert!(counters.drops.get(DropReason::RxOverrun) > 0);
}

#[test]
fn a_device_that_goes_down_is_said_so_and_works_again_when_it_is_up() {
    let wire = Wire::new();
    let (mut a, mut b) = wire.ports();
    let mut pool = pool();
    a.maintain();
    assert_eq!(a.status().state(), PortState::Up);
    wire.left.ip("link set dev a down");
    assert_eq!(send(&mut a, &mut pool, vec![frame(60, 1), frame(60, 2)]), 0);
    assert_eq!(a.status().state(), PortState::Down);
    assert_eq!(a.status().counters.drops.get(DropReason::EgressDown), 2);
    assert_eq!(a.receive(&mut pool, &mut Vec::new(), BATCH), 0);
    wait_until("the other end sees its carrier go", || {
        b.maintain();
        b.status().state() == PortState::NoCarrier
    });
    wire.left.ip("link set dev a up");
    wait_until("both are up again", || {
        a.maintain();
        b.maintain();
        (a.status().state(), b.status().state()) == (PortState::Up, PortState::Up)
    });
    assert_eq!(send(&mut a, &mut pool, vec![frame(60, 3)]), 1);
    receive(&mut b, &mut pool, 1);
    send(&mut b, &mut pool, vec![frame(60, 4)]);
    receive(&mut a, &mut pool, 1);
}

#[test]
fn a_device_that_disappears_and_comes_back_is_taken_into_use_again() {
    let wire = Wire::new();
    let (mut a, mut b) = wire.ports();
    let mut pool = pool();
    wire.left.ip("link del dev a");
    assert_eq!(send(&mut a, &mut pool, vec![frame(60, 1)]), 0);
    assert_eq!(a.status().state(), PortState::Gone);
    assert!(a.wait_fd().is_none());
    assert_eq!(send(&mut a, &mut pool, vec![frame(60, 1)]), 0);
    assert_eq!(a.status().counters.drops.get(DropReason::TxGone), 2);
    b.receive(&mut pool, &mut Vec::new(), BATCH);
    assert_eq!(b.status().state(), PortState::Gone, "noticed without sending or maintenance");
    wire.right.run(|| b.maintain());
    wire.left.veth("a", &wire.right, "b");
    wire.left.run(|| a.maintain());
    wire.right.run(|| b.maintain());
    wait_until("both are up again", || {
        a.maintain();
        b.maintain();
        (a.status().state(), b.status().state()) == (PortState::Up, PortState::Up)
    });
    send(&mut a, &mut pool, vec![frame(60, 1)]);
    receive(&mut b, &mut pool, 1);
    assert_eq!(a.status().counters.opened.get(), 2);
}
