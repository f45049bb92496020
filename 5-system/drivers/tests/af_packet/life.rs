//! Devices that are missing, go down, disappear and come back.

use portcullis_drivers::af_packet::{AfPacketConfig, OpenError};
use portcullis_drivers::{Port, PortState};
use portcullis_packet::{BATCH, DropReason};

use crate::support::Namespace;
use crate::{INTERFACE, ONE, Wire, frame, pool, receive, send, try_open, wait_until};

#[test]
fn a_device_that_does_not_exist_is_an_error_that_names_it() {
    let namespace = Namespace::new("empty");
    let opened = try_open(&namespace, AfPacketConfig::new(INTERFACE, "eth7"), ONE).map(|_| ());
    assert!(matches!(&opened, Err(OpenError::NoDevice(name)) if name == "eth7"), "{opened:?}");
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
    let problem = a.status().problem();
    assert_eq!(problem.as_deref(), Some("no device \"a\" in this network namespace"));
    assert!(a.wait_fd().is_none());
    assert_eq!(send(&mut a, &mut pool, vec![frame(60, 1)]), 0);
    assert_eq!(a.status().counters.drops.get(DropReason::TxGone), 2);
    wire.right.run(|| b.maintain());
    assert_eq!(b.status().state(), PortState::Gone);
    assert_eq!(b.receive(&mut pool, &mut Vec::new(), BATCH), 0);
    wire.left.veth("a", &wire.right, "b");
    wire.left.run(|| a.maintain());
    wire.right.run(|| b.maintain());
    wait_until("both are up again", || {
        a.maintain();
        b.maintain();
        (a.status().state(), b.status().state()) == (PortState::Up, PortState::Up)
    });
    assert_eq!(a.status().problem(), None);
    send(&mut a, &mut pool, vec![frame(60, 1)]);
    receive(&mut b, &mut pool, 1);
    assert_eq!(a.status().counters.opened.get(), 2);
}

#[test]
fn a_device_that_was_away_is_taken_into_use_again_even_if_its_index_is_the_same() {
    let wire = Wire::new();
    let (mut a, mut b) = wire.ports();
    let mut pool = pool();
    let elsewhere = Namespace::new("away");
    wire.left.ip(&format!("link set dev a netns {}", elsewhere.name()));
    elsewhere.ip(&format!("link set dev a netns {}", wire.left.name()));
    wire.left.ip("link set dev a up");
    wait_until("the device is in use again", || {
        wire.left.run(|| a.maintain());
        a.status().counters.opened.get() == 2 && a.status().state() == PortState::Up
    });
    send(&mut b, &mut pool, vec![frame(60, 1)]);
    receive(&mut a, &mut pool, 1);
}
