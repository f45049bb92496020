//! How soon the dataplane follows the kernel's tables, and how many routes it takes in.

use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use portcullis_blackbox::{Forwarder, Lab, Pair, PairOptions, alone, wait_until};

/// A pair whose far host answers for all of 100.64.0.0/10.
fn wide(lab: &Lab, forwarder: Forwarder) -> Pair {
    let options = PairOptions { release: true, ..PairOptions::default() };
    let pair = Pair::with(lab, forwarder, &options);
    pair.far.run("ip route add local 100.64.0.0/10 dev lo");
    pair
}

/// The `number`th address of 100.64.0.0/10.
fn address(number: u32) -> String {
    std::net::Ipv4Addr::from_bits((100 << 24 | 64 << 16) + number).to_string()
}

/// A file for `ip -batch` that adds or deletes host routes.
fn batch(lab: &Lab, name: &str, verb: &str, numbers: std::ops::Range<u32>) -> String {
    let mut lines = String::new();
    for number in numbers {
        let to = address(number);
        writeln!(lines, "route {verb} {to}/32 via 10.2.0.2").expect("a string takes every line");
    }
    let file = lab.folder().join(name);
    fs::write(&file, lines).expect("the lab's folder can be written");
    file.to_string_lossy().into_owned()
}

fn follows_within(forwarder: Forwarder, limit: Duration) {
    let _alone = alone();
    let lab = Lab::quiet("a_route_added_is_used_within_a_tenth_of_a_second");
    let pair = wide(&lab, forwarder);
    let mut delays = Vec::new();
    for round in 0..5 {
        let to = address(round);
        let ping = pair.near.start(&format!("ping -n -D -i 0.005 {to}"));
        std::thread::sleep(Duration::from_millis(300));
        pair.gateway.control().run(&format!("ip route add {to}/32 via 10.2.0.2"));
        let done = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64();
        wait_until("a reply comes", Duration::from_secs(5), || ping.log().contains(" time="));
        let log = ping.log();
        // ping -D: "[1700000000.123456] 64 bytes from ...".
        let first = log.lines().find(|line| line.contains(" time=")).expect("was waited for");
        let stamp = first.trim_start_matches('[').split(']').next().expect("a first part");
        let stamp: f64 = stamp.parse().expect("ping -D writes seconds");
        delays.push(Duration::from_secs_f64((stamp - done).max(0.0)));
    }
    delays.sort();
    println!("a route is used after {delays:?}");
    assert!(delays[2] < limit, "{delays:?}");
}

#[test]
fn a_route_added_is_used_within_a_tenth_of_a_second() {
    follows_within(Forwarder::Portcullis, Duration::from_millis(100));
}

#[test]
fn the_kernel_shows_that_the_measurement_is_finer_than_that() {
    follows_within(Forwarder::Kernel, Duration::from_millis(30));
}

#[test]
fn a_hundred_thousand_routes_are_taken_in_within_a_second() {
    const ROUTES: u32 = 100_000;
    let _alone = alone();
    let lab = Lab::quiet("a_hundred_thousand_routes_are_taken_in_within_a_second");
    let mut pair = wide(&lab, Forwarder::Portcullis);
    let control = pair.gateway.control().clone();
    let add = batch(&lab, "add", "add", 0..ROUTES);
    let delete = batch(&lab, "delete", "delete", 0..ROUTES);
    let last = address(ROUTES - 1);
    let traffic = pair.near.keep_pinging("10.2.0.2");

    let start = Instant::now();
    control.run(&format!("ip -batch {add}"));
    let kernel = start.elapsed();
    let ping = pair.near.start(&format!("ping -n -i 0.005 {last}"));
    wait_until("the last route is used", Duration::from_secs(20), || ping.log().contains(" time="));
    let taken = start.elapsed();
    drop(ping);
    println!("{ROUTES} routes: in the kernel after {kernel:?}, in use after {taken:?}");
    // Where `ip` itself takes longer than a second, the gateway must keep up with it.
    let late = taken.saturating_sub(kernel);
    assert!(
        taken < Duration::from_secs(1) || late < Duration::from_millis(300),
        "{taken:?}, {late:?} after the kernel"
    );
    assert_eq!(pair.gateway.portcullis().routes_starting("100."), ROUTES as usize);
    let traffic = traffic.stop();
    assert_eq!(traffic.lost(), 0, "routes disturbed packets: {}", traffic.said);

    control.run(&format!("ip -batch {delete}"));
    wait_until("the routes leave", Duration::from_secs(10), || {
        pair.gateway.portcullis().routes_starting("100.") == 0
    });
}

#[test]
fn messages_that_netlink_lost_are_made_up_for() {
    const ROUTES: u32 = 60_000;
    let lab = Lab::quiet("messages_that_netlink_lost_are_made_up_for");
    let mut pair = wide(&lab, Forwarder::Portcullis);
    let control = pair.gateway.control().clone();
    control.run(&format!("ip -batch {}", batch(&lab, "first", "add", 0..1000)));
    let portcullis = pair.gateway.portcullis();
    wait_until("the first routes are there", Duration::from_secs(10), || {
        portcullis.routes_starting("100.") == 1000
    });
    // More changes than any socket buffer holds, while nobody reads.
    portcullis.signal_pid(portcullis.gateway_pid(), "STOP");
    control.run(&format!("ip -batch {}", batch(&lab, "gone", "delete", 0..1000)));
    for round in 0..3 {
        let range = 1000..ROUTES;
        control.run(&format!("ip -batch {}", batch(&lab, "add", "add", range.clone())));
        if round < 2 {
            control.run(&format!("ip -batch {}", batch(&lab, "delete", "delete", range)));
        }
    }
    portcullis.signal_pid(portcullis.gateway_pid(), "CONT");
    wait_until("both tables are the same again", Duration::from_secs(20), || {
        portcullis.routes_starting("100.") == (ROUTES - 1000) as usize
    });
    assert!(pair.near.reaches(&address(ROUTES - 1)));
    assert!(!pair.near.reaches(&address(1)));
}
