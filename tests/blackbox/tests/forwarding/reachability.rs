//! Who reaches whom, and what the way looks like.

use std::net::IpAddr;
use std::time::Duration;

use portcullis_blackbox::{
    Forwarder, Lab, Pair, PairOptions, by_portcullis_as_by_the_kernel, traceroute, wait_until,
};

by_portcullis_as_by_the_kernel! {
    two_hosts_reach_each_other_over_both_families,
    the_gateways_own_addresses_answer_from_both_sides,
    large_packets_and_link_local_ones_reach_the_gateways_own_kernel,
    no_answer_is_left_lying_until_something_else_happens,
    one_packet_to_a_cold_neighbour_arrives,
    a_burst_to_a_cold_neighbour_arrives,
    traceroute_names_the_gateway_by_its_near_address,
    an_outer_host_reaches_a_network_behind_a_route,
}

fn two_hosts_reach_each_other_over_both_families(forwarder: Forwarder) {
    let lab = Lab::new("two_hosts_reach_each_other_over_both_families");
    let pair = Pair::new(&lab, forwarder);
    for (from, to) in [
        (&pair.near, "10.2.0.2"),
        (&pair.near, "2001:db8:2::2"),
        (&pair.far, "10.1.0.2"),
        (&pair.far, "2001:db8:1::2"),
    ] {
        let ping = from.ping("-c 20 -i 0.01 -W 1", to);
        assert_eq!(ping.received, 20, "{}", ping.said);
        assert!(ping.ttls.iter().all(|&ttl| ttl == 63), "{}", ping.said);
    }
}

fn the_gateways_own_addresses_answer_from_both_sides(forwarder: Forwarder) {
    let lab = Lab::new("the_gateways_own_addresses_answer_from_both_sides");
    let pair = Pair::new(&lab, forwarder);
    for host in [&pair.near, &pair.far] {
        for address in ["10.1.0.1", "10.2.0.1", "2001:db8:1::1", "2001:db8:2::1"] {
            let ping = host.ping("-c 5 -i 0.05 -W 1", address);
            assert_eq!(ping.received, 5, "{} to {address}: {}", host.name(), ping.said);
            assert!(ping.ttls.iter().all(|&ttl| ttl == 64), "{}", ping.said);
        }
    }
}

fn large_packets_and_link_local_ones_reach_the_gateways_own_kernel(forwarder: Forwarder) {
    let lab = Lab::new("large_packets_and_link_local_ones_reach_the_gateways_own_kernel");
    let pair = Pair::new(&lab, forwarder);
    for to in ["10.1.0.1", "2001:db8:1::1", "10.2.0.1"] {
        let ping = pair.near.ping("-c 3 -i 0.05 -W 1 -s 5000", to);
        assert_eq!(ping.received, 3, "{}", ping.said);
    }
    let addresses = pair.gateway.control().run("ip -br -6 addr show dev lan scope link");
    let link_local = addresses.split_whitespace().find(|word| word.starts_with("fe80:"));
    let link_local = link_local.and_then(|word| word.split('/').next()).expect("an address");
    let ping = pair.near.ping("-c 3 -i 0.05 -W 1 -I eth0", link_local);
    assert_eq!(ping.received, 3, "{}", ping.said);
}

/// Intervals from busy to asleep: whoever sleeps must be woken by every single packet.
fn no_answer_is_left_lying_until_something_else_happens(forwarder: Forwarder) {
    let lab = Lab::new("no_answer_is_left_lying_until_something_else_happens");
    let pair = Pair::new(&lab, forwarder);
    for (interval, count) in [("0.002", 300), ("0.01", 100), ("0.05", 40)] {
        for to in ["10.1.0.1", "10.2.0.2"] {
            let ping = pair.near.ping(&format!("-c {count} -i {interval} -W 1"), to);
            assert_eq!(ping.lost(), 0, "every {interval} s: {}", ping.said);
            let slowest = ping.round_trips.iter().max();
            let late = slowest.is_none_or(|slowest| *slowest > Duration::from_millis(500));
            assert!(!late, "every {interval} s: {}", ping.said);
        }
    }
}

fn one_packet_to_a_cold_neighbour_arrives(forwarder: Forwarder) {
    let lab = Lab::new("one_packet_to_a_cold_neighbour_arrives");
    let options = PairOptions { cold: true, ..PairOptions::default() };
    let pair = Pair::with(&lab, forwarder, &options);
    for to in ["10.2.0.2", "2001:db8:2::2"] {
        let ping = pair.near.ping("-c 1 -W 3", to);
        assert_eq!(ping.received, 1, "{}", ping.said);
    }
}

fn a_burst_to_a_cold_neighbour_arrives(forwarder: Forwarder) {
    let lab = Lab::new("a_burst_to_a_cold_neighbour_arrives");
    let pair = Pair::new(&lab, forwarder);
    // The near host knows its way already; only the far neighbour is forgotten.
    for to in ["10.2.0.2", "2001:db8:2::2"] {
        pair.gateway.control().run("ip neigh flush all dev wan");
        let ping = pair.near.ping("-c 3 -l 3 -W 3", to);
        assert_eq!(ping.received, 3, "{}", ping.said);
    }
}

fn traceroute_names_the_gateway_by_its_near_address(forwarder: Forwarder) {
    let lab = Lab::new("traceroute_names_the_gateway_by_its_near_address");
    let pair = Pair::new(&lab, forwarder);
    let hops = |names: [&str; 2]| names.map(|name| name.parse::<IpAddr>().ok()).to_vec();
    assert_eq!(traceroute(&pair.near, "10.2.0.2"), hops(["10.1.0.1", "10.2.0.2"]));
    assert_eq!(traceroute(&pair.far, "10.1.0.2"), hops(["10.2.0.1", "10.1.0.2"]));
    let six = hops(["2001:db8:1::1", "2001:db8:2::2"]);
    assert_eq!(traceroute(&pair.near, "2001:db8:2::2"), six);
}

fn an_outer_host_reaches_a_network_behind_a_route(forwarder: Forwarder) {
    let lab = Lab::new("an_outer_host_reaches_a_network_behind_a_route");
    let pair = Pair::new(&lab, forwarder);
    pair.far.run("ip addr add 10.77.3.1/32 dev lo");
    pair.far.run("ip addr add 2001:db8:77::1/128 dev lo");
    let control = pair.gateway.control();
    control.run("ip route add 10.77.0.0/16 via 10.2.0.2");
    control.run("ip -6 route add 2001:db8:77::/48 via 2001:db8:2::2");
    for to in ["10.77.3.1", "2001:db8:77::1"] {
        pair.near.reaches_within(Duration::from_secs(2), to);
    }
    // A more specific route wins, and gives way again.
    control.run("ip route add blackhole 10.77.3.0/24");
    wait_until("the blackhole swallows it", Duration::from_secs(2), || {
        pair.near.ping("-c 1 -W 0.2", "10.77.3.1").received == 0
    });
    control.run("ip route del blackhole 10.77.3.0/24");
    pair.near.reaches_within(Duration::from_secs(2), "10.77.3.1");
}
