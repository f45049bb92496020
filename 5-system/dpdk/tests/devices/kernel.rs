//! Devices with an end in the kernel, which is in a namespace of its own.

use portcullis_drivers::Port;
use portcullis_os::links::Links;
use portcullis_packet::{DropReason, Packet};

use crate::support::{Bench, Namespace, SETUP};

#[test]
fn frames_that_the_driver_takes_and_does_not_send_are_counted() {
    Namespace::new("unsent").run(|| {
        let mut links = Links::open().expect("netlink");
        links.add_veth("a", "b").expect("a pair");
        for end in ["a", "b"] {
            links.set_mtu(end, 9000).expect("an MTU");
            links.set_up(end, true).expect("up");
        }
        // Its slots have 2,048 bytes.
        let mut bench = Bench::new("net_af_packet#,iface=a", SETUP);
        let mut port = bench.port(0);
        let frame = |length| Packet::from_bytes(&vec![0xff; length]);
        let mut batch = vec![frame(60), frame(2040), frame(60)];
        assert_eq!(port.transmit(&mut batch, &mut bench.pool), 3, "that is what it says");
        for _ in 0..2 {
            bench.device.look();
        }
        port.maintain();
        assert_eq!(port.status().counters.drops.get(DropReason::TxError), 1);
        bench.device.look();
        port.maintain();
        assert_eq!(port.status().counters.drops.total(), 1, "counted once");
        drop(port);
        bench.end();
    });
}

#[test]
fn an_mtu_that_a_device_cannot_have_is_refused_in_words_and_changes_nothing() {
    Namespace::new("mtu").run(|| {
        let mut bench = Bench::new("net_tap#,iface=dtap", SETUP);
        let said = bench.device.set_mtu(9000).expect_err("more than it takes").to_string();
        assert!(said.contains("takes an MTU from 46 to 1504, and not 9000"), "{said}");
        bench.device.set_mtu(1400).expect("as many as it takes");
        assert_eq!(bench.device.seen().map(|seen| seen.mtu()), Some(1400));
        let mut links = Links::open().expect("netlink");
        assert_eq!(links.find("dtap").map(|link| link.mtu).ok(), Some(1400));
        bench.end();
    });
}
