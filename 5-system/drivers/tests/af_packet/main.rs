//! The AF_PACKET driver on real devices: veth pairs in namespaces of their own.

mod fanout;
mod frames;
mod life;
mod offload;
#[path = "../support/mod.rs"]
mod support;

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_drivers::Port;
use portcullis_drivers::af_packet::{AfPacket, AfPacketConfig, Member, OpenError};
use portcullis_packet::{BATCH, IfIndex, Packet, Pool, PoolLimits};
use support::Namespace;

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
