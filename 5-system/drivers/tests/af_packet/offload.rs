//! Partial checksums, super-frames and VLAN tags, from a real kernel and to one.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use portcullis_drivers::Port;
use portcullis_drivers::af_packet::AfPacket;
use portcullis_packet::{BATCH, GsoKind, Packet, Pool, PoolLimits};

use crate::support::Namespace;
use crate::{Wire, frame, open_one, pool, receive, send};

/// Two hosts, and between them two ports that a test connects.
struct Hosts {
    left: Namespace,
    right: Namespace,
    ports: (AfPacket, AfPacket),
    middle: Namespace,
}

impl Hosts {
    fn new() -> Self {
        let [left, right, middle] = ["left", "right", "middle"].map(Namespace::new);
        for (host, port, n) in [(&left, "to-left", 1), (&right, "to-right", 2)] {
            middle.veth(port, host, "eth0");
            host.ip(&format!("addr add 10.0.0.{n}/24 dev eth0"));
            host.ip(&format!("-6 addr add fd00::{n}/64 dev eth0 nodad"));
        }
        let ports = (open_one(&middle, "to-left"), open_one(&middle, "to-right"));
        Self { left, right, ports, middle }
    }
}

/// What the frames were like that crossed.
#[derive(Default, Debug)]
struct Seen {
    longest: usize,
    kinds: Vec<GsoKind>,
    unfinished: usize,
    moved_copy: usize,
}

/// No transfer takes this long, unless something is wrong.
const LIMIT: Duration = Duration::from_secs(20);

/// Passes frames between the ports until `done`.
fn connect(ports: &mut (AfPacket, AfPacket), done: &AtomicBool) -> Seen {
    let mut pool = Pool::new(PoolLimits { small: 512, large: 256 });
    let mut batch = Vec::with_capacity(BATCH);
    let mut seen = Seen::default();
    let mut pass = |from: &mut AfPacket, to: &mut AfPacket| {
        let count = from.receive(&mut pool, &mut batch, BATCH);
        for packet in &batch {
            let offload = packet.meta().offload;
            seen.longest = seen.longest.max(packet.len());
            seen.unfinished += usize::from(offload.needs_csum);
            seen.moved_copy += usize::from(packet.len() > portcullis_packet::SMALL_CAPACITY);
            if !seen.kinds.contains(&offload.gso) {
                seen.kinds.push(offload.gso);
            }
        }
        to.transmit(&mut batch, &mut pool);
        count
    };
    let end = Instant::now() + LIMIT;
    while !done.load(Ordering::Relaxed) && Instant::now() < end {
        let (left, right) = (&mut ports.0, &mut ports.1);
        if pass(left, right) + pass(right, left) == 0 {
            std::thread::sleep(Duration::from_micros(50));
        }
    }
    seen
}

/// Sends data both ways through the ports, and says what frames carried it.
fn transfer(hosts: &mut Hosts, address: &str) -> Seen {
    const LEN: usize = 4 << 20;
    let data: Vec<u8> = (0..LEN).map(|i| (i * 31 + i / 251) as u8).collect();
    let done = AtomicBool::new(false);
    let Hosts { left, right, ports, .. } = hosts;
    let listener = right.run(|| TcpListener::bind((address, 0))).expect("a listener");
    let address = listener.local_addr().expect("its address");
    std::thread::scope(|scope| {
        let wire = scope.spawn(|| connect(ports, &done));
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().expect("a connection");
            stream.set_read_timeout(Some(LIMIT)).expect("a limit");
            let mut received = vec![0; LEN];
            stream.read_exact(&mut received).expect("all of it");
            stream.write_all(&received).expect("all of it back");
        });
        let mut stream = left.run(|| TcpStream::connect(address)).expect("a connection");
        stream.set_read_timeout(Some(LIMIT)).expect("a limit");
        let mut writer = stream.try_clone().expect("a clone");
        let sent = &data;
        scope.spawn(move || writer.write_all(sent).expect("written"));
        let mut back = vec![0; LEN];
        stream.read_exact(&mut back).expect("all of it back");
        assert!(back == data, "what came back is not what was sent");
        done.store(true, Ordering::Relaxed);
        wire.join().expect("the wire")
    })
}

#[test]
fn tcp_super_frames_of_both_ip_versions_cross_unsegmented() {
    let mut hosts = Hosts::new();
    for (address, kind) in [("10.0.0.2", GsoKind::Tcp4), ("fd00::2", GsoKind::Tcp6)] {
        let seen = transfer(&mut hosts, address);
        assert!(seen.longest > 30_000, "{seen:?}");
        assert!(seen.kinds.contains(&kind), "{seen:?}");
        assert!(seen.unfinished > 0 && seen.moved_copy > 0, "{seen:?}");
    }
    for port in [&hosts.ports.0, &hosts.ports.1] {
        assert_eq!(port.status().counters.drops.total(), 0, "{:?}", port.status().counters.drops);
    }
}

#[test]
fn a_device_without_segmentation_is_sent_super_frames_all_the_same() {
    let mut hosts = Hosts::new();
    for device in ["to-left", "to-right"] {
        let off = format!("-K {device} tso off gso off tx off");
        let run = || Command::new("ethtool").args(off.split(' ')).output().expect("ethtool");
        let output = hosts.middle.run(run);
        assert!(output.status.success(), "{output:?}");
    }
    let seen = transfer(&mut hosts, "10.0.0.2");
    assert!(seen.longest > 30_000, "{seen:?}");
}

#[test]
fn a_datagram_of_a_real_kernel_has_its_checksum_still_to_be_completed() {
    let wire = Wire::new();
    wire.left.ip("addr add 10.0.0.1/24 dev a");
    wire.left.ip("neigh add 10.0.0.2 lladdr 02:00:00:00:00:02 dev a");
    let mut b = open_one(&wire.right, "b");
    let socket = wire.left.run(|| UdpSocket::bind("10.0.0.1:7000")).expect("a socket");
    socket.send_to(b"hello", "10.0.0.2:8000").expect("sent");
    let received = receive(&mut b, &mut pool(), 1);
    let offload = received[0].meta().offload;
    assert!(offload.needs_csum, "{offload:?}");
    assert_eq!((offload.csum_start, offload.csum_offset, offload.gso), (34, 6, GsoKind::None));
}

#[test]
fn a_vlan_tag_is_there_when_the_frame_arrives() {
    let wire = Wire::new();
    let (mut a, mut b) = wire.ports();
    let mut pool = pool();
    for tpid in [[0x81, 0x00], [0x88, 0xa8]] {
        let mut bytes = frame(200, 7).data().to_vec();
        bytes[12..16].copy_from_slice(&[tpid[0], tpid[1], 0x60, 0x2a]);
        bytes[16..18].copy_from_slice(&[0x08, 0x00]);
        send(&mut a, &mut pool, vec![Packet::from_bytes(&bytes)]);
        let received = receive(&mut b, &mut pool, 1);
        assert_eq!(received[0].data(), bytes);
    }
}
