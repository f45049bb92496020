//! Beginning, idling, losing a tap, and the end.

use std::time::Duration;

use portcullis_packet::{DropReason, PuntClass};
use portcullis_wire::build::{Echo, Frame};

use crate::support::{LAN, LAN_MAC, PATIENCE, PEER_MAC, Vpc, WAN, set_up_addresses};

/// CPU time that a thread has used, in nanoseconds, and how often it was put on a CPU.
fn schedstat(vpc: &Vpc) -> (u64, u64) {
    let tid = vpc.thread.as_ref().unwrap().tid.as_raw_nonzero();
    let text = std::fs::read_to_string(format!("/proc/self/task/{tid}/schedstat")).unwrap();
    let mut numbers = text.split_whitespace().map(|word| word.parse().unwrap());
    let (run, _waited, slices) =
        (numbers.next().unwrap(), numbers.next().unwrap(), numbers.next().unwrap());
    (run, slices)
}

#[test]
fn without_traffic_the_thread_sleeps_through() {
    // The taps stay down, so that the kernel has nothing to say either.
    let (vpc, ()) = Vpc::start(|| ());
    std::thread::sleep(Duration::from_millis(100));
    let (before, slices_before) = schedstat(&vpc);
    std::thread::sleep(Duration::from_secs(1));
    let (after, slices_after) = schedstat(&vpc);
    assert!(slices_after - slices_before <= 1, "woken {} times", slices_after - slices_before);
    assert!(after - before < 1_000_000, "{} ns of CPU time", after - before);
}

#[test]
fn a_tap_that_is_down_refuses_and_serves_again_when_it_is_up() {
    let (mut vpc, ()) = Vpc::start(set_up_addresses);
    let ping = Frame::v4([10, 0, 0, 9], [10, 0, 0, 1]).macs(PEER_MAC, LAN_MAC).echo(
        Echo::Request,
        1,
        1,
        b"knock knock",
    );
    vpc.run("ip link set lan down");
    vpc.punt(PuntClass::Other, LAN, &ping);
    wait_for(|| vpc.counters.drops.get(DropReason::TapRefused) == 1);
    vpc.run("ip link set lan up");
    vpc.run("ip neigh replace 10.0.0.9 lladdr 02:00:00:00:00:09 dev lan");
    vpc.punt(PuntClass::Other, LAN, &ping);
    vpc.next(|packet| packet.data().ends_with(b"knock knock"));
}

#[test]
fn a_tap_that_is_deleted_costs_nothing_but_its_own_packets() {
    let (mut vpc, ()) = Vpc::start(set_up_addresses);
    vpc.run("ip link del wan");
    let to_wan = Frame::v4([192, 0, 2, 9], [192, 0, 2, 1]).udp(9, 9, b"gone");
    for _ in 0..3 {
        vpc.punt(PuntClass::Other, WAN, &to_wan);
    }
    wait_for(|| vpc.counters.drops.get(DropReason::TapRefused) == 3);
    let ping = Frame::v4([10, 0, 0, 9], [10, 0, 0, 1]).macs(PEER_MAC, LAN_MAC).echo(
        Echo::Request,
        1,
        1,
        b"still there",
    );
    vpc.run("ip neigh replace 10.0.0.9 lladdr 02:00:00:00:00:09 dev lan");
    vpc.punt(PuntClass::Other, LAN, &ping);
    vpc.next(|packet| packet.data().ends_with(b"still there"));
    let (before, _) = schedstat(&vpc);
    std::thread::sleep(Duration::from_millis(500));
    let (after, _) = schedstat(&vpc);
    assert!(after - before < 50_000_000, "{} ns of CPU time without its tap", after - before);
}

#[test]
fn a_thread_that_is_asked_to_stop_ends_even_from_its_sleep() {
    let (vpc, ()) = Vpc::start(|| ());
    std::thread::sleep(Duration::from_millis(50));
    let counters = vpc.stop();
    assert_eq!(counters.drops.total(), 0);
}

fn wait_for(mut done: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !done() {
        assert!(std::time::Instant::now() < deadline, "not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
