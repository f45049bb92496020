//! Nobody starves: not the classes, not the taps.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use portcullis_packet::PuntClass;
use portcullis_wire::build::Frame;

use crate::support::{
    LAN, LAN_MAC, PATIENCE, PEER_MAC, Vpc, WAN, WAN_MAC, came_in, set_up_addresses,
};

const BFD_PORT: u16 = 3784;

#[test]
fn a_bfd_packet_arrives_in_time_while_another_class_is_flooded() {
    let (vpc, bfd) = Vpc::start(|| {
        set_up_addresses();
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, BFD_PORT)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    });
    let flood =
        Frame::v4([192, 0, 2, 9], [192, 0, 2, 1]).macs(PEER_MAC, WAN_MAC).udp(9, 9, &[0; 64]);
    let control = Frame::v4([10, 0, 0, 9], [10, 0, 0, 1])
        .macs(PEER_MAC, LAN_MAC)
        .hops(255)
        .udp(49152, BFD_PORT, &[7; 24]);
    let done = AtomicBool::new(false);
    let mut times: Vec<Duration> = std::thread::scope(|scope| {
        let (punts, done) = (vpc.punts.clone(), &done);
        scope.spawn(move || {
            while !done.load(Ordering::Relaxed) {
                let _full_or_not = punts.push(PuntClass::Other, came_in(WAN, &flood));
                punts.ring();
            }
        });
        let times = (0..50).map(|_| {
            std::thread::sleep(Duration::from_millis(5));
            let sent = Instant::now();
            vpc.punt(PuntClass::Bfd, LAN, &control);
            bfd.recv(&mut [0; 64]).expect("the control packet");
            sent.elapsed()
        });
        let times = times.collect();
        done.store(true, Ordering::Relaxed);
        times
    });
    times.sort_unstable();
    // A session that is to notice a failure in 150 ms sends every 50 ms (RFC 5880, 6.8.4).
    assert!(times[25] < Duration::from_millis(10), "{times:?}");
    assert!(times[49] < Duration::from_millis(150), "{times:?}");
    let flooded = vpc.counters.class(PuntClass::Other).delivered.get();
    assert!(flooded > 1000, "the flood is served as well: {flooded}");
}

#[test]
fn a_tap_that_sends_much_leaves_the_other_its_turn() {
    let (mut vpc, (busy, quiet)) = Vpc::start(|| {
        set_up_addresses();
        crate::support::run(&[
            "ip neigh add 192.0.2.9 lladdr 02:00:00:00:00:09 dev wan",
            "ip neigh add 10.0.0.9 lladdr 02:00:00:00:00:09 dev lan",
        ]);
        let socket = || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        (socket(), socket())
    });
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                // The kernel may say that its queue is full.
                let _sent = busy.send_to(&[0; 1000], "192.0.2.9:9");
            }
        });
        for _ in 0..20 {
            quiet.send_to(b"my turn", "10.0.0.9:9").unwrap();
            vpc.next(|packet| packet.meta().tx_if == LAN && packet.data().ends_with(b"my turn"));
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(vpc.counters.interface(WAN).unwrap().from_kernel.get() > 0);
}
