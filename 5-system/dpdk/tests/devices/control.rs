//! Devices are found, changed and ended while their ports are polled.

use std::sync::atomic::{AtomicBool, Ordering};

use portcullis_dpdk::{Device, Eal};
use portcullis_drivers::{Port, PortState};
use portcullis_packet::{BATCH, DropReason, Mac, Packet, Pool, PoolLimits};

use crate::support::{Bench, SETUP, dpdk};

#[test]
fn a_device_that_is_not_there_is_an_error_that_says_what_was_expected() {
    let _turn = dpdk();
    for devargs in ["net_nothing0", "0000:ff:1f.7", "", "net_null0\0"] {
        let said = Device::probe(devargs).expect_err("no such device").to_string();
        assert!(said.contains("a PCI address, or a virtual device"), "{said}");
    }
    assert!(Eal::version().contains("DPDK"), "{}", Eal::version());
    let folder = format!("/run/dpdk/pc-test-{}", std::process::id());
    assert!(!std::fs::exists(folder).expect("to be seen"), "nothing is left in the file system");
}

#[test]
fn a_device_comes_back_after_it_was_given_up() {
    for _ in 0..3 {
        let mut bench = Bench::new("net_null77", SETUP);
        let mut port = bench.port(0);
        let mut batch = Vec::new();
        assert!(port.receive(&mut bench.pool, &mut batch, BATCH) > 0);
        batch.clear();
        drop(port);
        bench.end();
    }
}

#[test]
fn a_device_that_is_set_down_lets_nothing_pass_until_it_is_set_up() {
    let mut bench = Bench::new("net_ring#", SETUP);
    let mut port = bench.port(0);
    let end = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let poller = scope.spawn(|| {
            let mut pool = Pool::new(PoolLimits { small: 8, large: 0 });
            let mut into = Vec::new();
            while !end.load(Ordering::Relaxed) {
                port.receive(&mut pool, &mut into, BATCH);
                into.clear();
            }
            (port, pool)
        });
        bench.device.set_up(false).expect("it lets go");
        assert_eq!(bench.device.seen().map(|seen| seen.state()), Some(PortState::Down));
        end.store(true, Ordering::Relaxed);
        let (mut port, mut pool) = poller.join().expect("no panic");
        port.maintain();
        assert_eq!(port.status().state(), PortState::Down);
        assert_eq!(port.transmit(&mut vec![Packet::from_bytes(&[1; 60])], &mut pool), 0);
        assert_eq!(port.status().counters.drops.get(DropReason::EgressDown), 1);
        bench.device.set_up(true).expect("up");
        port.maintain();
        assert_eq!(port.status().state(), PortState::Up);
        assert_eq!(port.transmit(&mut vec![Packet::from_bytes(&[1; 60])], &mut pool), 1);
        let mut into = Vec::new();
        assert_eq!(port.receive(&mut pool, &mut into, BATCH), 1);
    });
    bench.end();
}

#[test]
fn a_device_whose_thread_does_not_let_go_stays_as_it_was() {
    let mut bench = Bench::new("net_ring#", SETUP);
    let mut port = bench.port(0);
    let said = bench.device.set_up(false).expect_err("it is never polled").to_string();
    assert!(said.contains("still polled"), "{said}");
    assert_eq!(port.transmit(&mut vec![Packet::from_bytes(&[1; 60])], &mut bench.pool), 1);
    assert_eq!(port.receive(&mut bench.pool, &mut Vec::new(), BATCH), 1);
    drop(port);
    bench.end();
}

#[test]
fn a_device_that_is_lost_is_given_up_when_its_thread_has_noticed() {
    let mut bench = Bench::new("net_ring#", SETUP);
    let mut port = bench.port(0);
    assert!(!bench.device.lets_go(), "its thread may be inside");
    assert_eq!(port.transmit(&mut vec![Packet::from_bytes(&[1; 60])], &mut bench.pool), 0);
    assert!(bench.device.lets_go());
    port.maintain();
    assert_eq!(port.status().state(), PortState::Gone);
    drop(port);
    bench.end();
}

#[test]
fn address_and_mtu_are_set_where_the_device_can_and_refused_in_words_where_not() {
    let mut bench = Bench::new("net_null#", SETUP);
    let mac = Mac([2, 0, 0, 0, 0, 9]);
    bench.device.set_mac(mac).expect("net_null takes any");
    assert_eq!(bench.device.seen().map(|seen| seen.mac()), Some(mac));
    match bench.device.set_mtu(1400) {
        Ok(()) => assert_eq!(bench.device.seen().map(|seen| seen.mtu()), Some(1400)),
        Err(error) => assert!(error.to_string().contains("given this MTU"), "{error}"),
    }
    bench.end();
}

#[test]
fn address_and_mtu_are_the_devices_own_where_its_driver_has_no_say_in_them() {
    let mut bench = Bench::new("net_ring#", SETUP);
    let mac = Mac([2, 0, 0, 0, 0, 9]);
    let seen = |bench: &Bench| bench.device.seen().map(|seen| (seen.mac(), seen.mtu()));
    bench.device.set_mac(mac).expect("it receives everything");
    bench.device.set_mtu(1400).expect("less than it was configured for");
    assert_eq!(seen(&bench), Some((mac, 1400)));
    let said = bench.device.set_mtu(1501).expect_err("more than that").to_string();
    assert!(said.contains("given this MTU"), "{said}");
    assert_eq!(seen(&bench), Some((mac, 1400)));
    bench.device.set_mtu(1500).expect("what it was configured for");
    assert_eq!(seen(&bench), Some((mac, 1500)));
    bench.end();
}
