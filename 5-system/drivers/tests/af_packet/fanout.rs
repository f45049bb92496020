//! Several workers on one device.

use std::collections::HashMap;
use std::num::NonZeroU16;

use etherparse::PacketBuilder;
use portcullis_drivers::af_packet::{AfPacket, AfPacketConfig};
use portcullis_drivers::{Port, PortState};
use portcullis_packet::{BATCH, Packet, Pool};

use crate::{INTERFACE, Wire, open_one, pool, send, try_open, wait_until};

const WORKERS: NonZeroU16 = NonZeroU16::new(3).expect("three");
const FLOWS: u16 = 40;

/// One datagram of a flow, forth or back. The payload says which flow.
fn datagram(flow: u16, back: bool) -> Packet {
    let (mut here, mut there) = (([10, 0, 0, 1], 1000 + flow), ([10, 0, 9, 9], 53));
    if back {
        std::mem::swap(&mut here, &mut there);
    }
    let builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
        .ipv4(here.0, there.0, 64)
        .udp(here.1, there.1);
    let mut bytes = Vec::new();
    builder.write(&mut bytes, &flow.to_be_bytes()).expect("a datagram");
    Packet::from_bytes(&bytes)
}

/// Sends both directions of all flows, and says which worker got each flow.
fn worker_of_each_flow(
    sender: &mut AfPacket,
    workers: &mut [AfPacket],
    pool: &mut Pool,
) -> HashMap<u16, usize> {
    for flow in 0..FLOWS {
        send(sender, pool, vec![datagram(flow, false), datagram(flow, true)]);
    }
    let mut seen: HashMap<u16, Vec<usize>> = HashMap::new();
    let mut into = Vec::new();
    wait_until("all datagrams arrive", || {
        for (worker, port) in workers.iter_mut().enumerate() {
            port.receive(pool, &mut into, BATCH);
            for packet in into.drain(..) {
                let flow = packet.data()[42..44].try_into().expect("two bytes");
                seen.entry(u16::from_be_bytes(flow)).or_default().push(worker);
            }
        }
        seen.values().map(Vec::len).sum::<usize>() >= 2 * usize::from(FLOWS)
    });
    seen.into_iter()
        .map(|(flow, workers)| {
            let &[forth, back] = workers.as_slice() else { panic!("flow {flow}: {workers:?}") };
            assert_eq!(forth, back, "both directions of flow {flow}");
            (flow, forth)
        })
        .collect()
}

#[test]
fn a_flow_keeps_its_worker_in_both_directions_and_after_the_device_came_back() {
    let wire = Wire::new();
    let mut sender = open_one(&wire.left, "a");
    let config = AfPacketConfig::new(INTERFACE, "b");
    let mut workers = try_open(&wire.right, config, WORKERS).expect("three ports");
    let mut pool = pool();
    let before = worker_of_each_flow(&mut sender, &mut workers, &mut pool);
    for worker in 0..workers.len() {
        assert!(before.values().any(|&w| w == worker), "worker {worker} has no flow");
    }
    wire.left.ip("link del dev a");
    wire.left.veth("a", &wire.right, "b");
    wait_until("all have the new device", || {
        wire.left.run(|| sender.maintain());
        // The last first: each has to wait for those before it all the same.
        wire.right.run(|| workers.iter_mut().rev().for_each(Port::maintain));
        workers
            .iter()
            .chain([&sender])
            .all(|port| port.status().state() == PortState::Up && port.wait_fd().is_some())
    });
    assert_eq!(worker_of_each_flow(&mut sender, &mut workers, &mut pool), before);
}
