//! What a device says of the checksums of frames that it receives. net_tap does, of those at hand.

use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_drivers::Port;
use portcullis_drivers::af_packet::{AfPacket, AfPacketConfig, Member};
use portcullis_packet::{BATCH, IfIndex, Packet};
use portcullis_wire::build::Frame;

use crate::support::{Bench, Namespace, SETUP};

#[test]
fn headers_that_the_device_found_right_are_marked_and_no_others() {
    Namespace::new("checksums").run(receive_from_a_tap);
}

fn receive_from_a_tap() {
    let mut bench = Bench::new("net_tap#,iface=dtap,mac=fixed", SETUP);
    assert!(bench.device.info().checks_ip4);
    let mut port = bench.port(0);
    assert!(port.status().checks_ip4());
    let config = AfPacketConfig::new(IfIndex(7), "dtap");
    let member = Member::group_of(std::num::NonZeroU16::MIN).next().expect("one");
    let mut kernel = AfPacket::open(config, member, Arc::default()).expect("its other end");
    let ip4 = || Frame::v4([10, 0, 0, 2], [192, 0, 2, 9]);
    let right = ip4().udp(7000, 7001, b"right");
    let mut wrong = ip4().udp(7000, 7002, b"wrong");
    wrong[14 + 10] ^= 1;
    let ip6 = Frame::v6([1; 16], [2; 16]).udp(7000, 7003, b"no such checksum");
    let sent = [right.clone(), wrong.clone(), right, ip6, wrong];
    let mut batch = sent.iter().map(|frame| Packet::from_bytes(frame)).collect();
    assert_eq!(kernel.transmit(&mut batch, &mut bench.pool), sent.len());
    let end = Instant::now() + Duration::from_secs(10);
    let mut received = Vec::new();
    while received.len() < sent.len() && Instant::now() < end {
        port.receive(&mut bench.pool, &mut batch, BATCH);
        // The kernel of the namespace has things of its own to say.
        received.extend(batch.drain(..).filter(|packet| sent.iter().any(|f| f == packet.data())));
    }
    let marks: Vec<_> = received.iter().map(|packet| packet.meta().offload.ip4_checked).collect();
    assert_eq!(marks, [true, false, true, false, false]);
    received.clear();
    drop((kernel, port));
    bench.end();
}
