//! Compares the ways of receiving from and sending to a device by AF_PACKET, on a veth pair in
//! namespaces of its own. Needs root.
//!
//!     cargo run --release -p portcullis-drivers --example compare
//!
//! One thread does everything: it sends a burst into one end, then receives it at the other. So
//! nothing depends on the scheduler, and the two figures of a row, in nanoseconds of CPU time per frame
//! and medians over many bursts, are what the kernel does on arrival (with the sending, in the
//! "send" column) and what the receiver does (in the "receive" column). Each way ends with the frame
//! in a packet buffer of ours, and begins with one.

mod baseline;
mod measure;
#[path = "../../tests/support/mod.rs"]
mod namespace;
mod recvmmsg;
mod ring;

use std::num::NonZeroU16;
use std::sync::Arc;

use portcullis_drivers::Port;
use portcullis_drivers::af_packet::{AfPacket, AfPacketConfig, Member};
use portcullis_packet::{GsoKind, IfIndex, Offload, Packet, Pool, PoolLimits};

use baseline::Socket;
use measure::{Figures, bursts, first_after_idle};
use namespace::Namespace;
use recvmmsg::RecvMmsg;
use ring::{RingV2, RingV3, TxRing};

/// A way of receiving.
trait Receive {
    /// Receives what is there, into buffers of `pool`.
    fn receive(&mut self, pool: &mut Pool, into: &mut Vec<Packet>);
    /// To sleep on.
    fn fd(&self) -> std::os::fd::BorrowedFd<'_>;
}

/// A way of sending.
trait Send {
    /// Sends all of `batch`.
    fn send(&mut self, batch: &mut Vec<Packet>, pool: &mut Pool);
}

impl Receive for AfPacket {
    fn receive(&mut self, pool: &mut Pool, into: &mut Vec<Packet>) {
        Port::receive(self, pool, into, portcullis_packet::BATCH);
    }

    fn fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.wait_fd().expect("open")
    }
}

impl Send for AfPacket {
    fn send(&mut self, batch: &mut Vec<Packet>, pool: &mut Pool) {
        self.transmit(batch, pool);
    }
}

fn port(namespace: &Namespace, device: &str, bypass_qdisc: bool) -> AfPacket {
    let config = AfPacketConfig { bypass_qdisc, ..AfPacketConfig::new(IfIndex(0), device) };
    let member = Member::group_of(NonZeroU16::MIN).next().expect("one");
    namespace.run(|| AfPacket::open(config, member, Arc::default())).expect("a port")
}

/// A frame that no kernel takes for its own; one of more than 1514 bytes is a TCP super-frame.
fn frame(len: usize) -> (Vec<u8>, Offload) {
    let mut bytes = vec![0; len];
    bytes[..12].copy_from_slice(b"\x02\0\0\0\0\x02\x02\0\0\0\0\x01");
    if len <= 1514 {
        bytes[12..14].copy_from_slice(&[0x88, 0xb5]);
        return (bytes, Offload::NONE);
    }
    let total = u16::try_from(len - 14).expect("at most 64 KiB").to_be_bytes();
    bytes[12..14].copy_from_slice(&[8, 0]);
    bytes[14..34].copy_from_slice(&[
        0x45, 0, total[0], total[1], 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
    ]);
    bytes[34 + 12] = 0x50;
    let offload = Offload {
        csum_start: 34,
        csum_offset: 16,
        gso_size: 1448,
        gso: GsoKind::Tcp4,
        needs_csum: true,
        ..Offload::NONE
    };
    (bytes, offload)
}

fn main() {
    let (here, there) = (Namespace::new("compare"), Namespace::new("compare"));
    here.veth("near", &there, "far");
    let mut pool = Pool::new(PoolLimits { small: 1024, large: 512 });
    println!("ns of CPU time per frame {:>26} {:>9} {:>9}", "", "send", "receive");
    for (len, burst) in [(60, 256), (1514, 256), (65_000, 32)] {
        let (bytes, offload) = frame(len);
        let mut row = |what: &str, sender: &mut dyn Send, receiver: &mut dyn Receive| {
            let Figures { send, receive } =
                bursts(&bytes, offload, burst, sender, receiver, &mut pool);
            println!("{len:>6} bytes, {what:<36} {send:>9} {receive:>9}");
        };
        let sender = &mut port(&here, "near", false);
        let socket = || there.run(|| Socket::open("far")).expect("a socket");
        row("receive as the driver does", sender, &mut port(&there, "far", false));
        row("receive by recvmmsg", sender, &mut RecvMmsg::new(socket()));
        row("receive from V2 slots of 68 KiB", sender, &mut RingV2::new(socket()));
        row("receive from V3 blocks of 1 MiB", sender, &mut RingV3::new(socket()));
        let receiver = &mut port(&there, "far", false);
        row("send by sendmmsg", &mut port(&here, "near", false), receiver);
        row("send by sendmmsg, past the qdisc", &mut port(&here, "near", true), receiver);
        let socket = here.run(|| Socket::open("near")).expect("a socket");
        row("send by a TPACKET_V2 ring", &mut TxRing::new(socket), receiver);
    }
    println!(
        "\nus from sending one frame to having it, after 20 ms of silence: median, worst of 101"
    );
    let (bytes, offload) = frame(60);
    let sender = &mut port(&here, "near", false);
    let mut row = |what: &str, receiver: &mut dyn Receive| {
        let (median, worst) = first_after_idle(&bytes, offload, sender, receiver, &mut pool);
        println!("{what:<50} {median:>9} {worst:>9}");
    };
    let socket = || there.run(|| Socket::open("far")).expect("a socket");
    row("the driver", &mut port(&there, "far", false));
    row("recvmmsg", &mut RecvMmsg::new(socket()));
    row("V3 ring, blocks handed over after 1 ms", &mut RingV3::new(socket()));
}
