//! The errors that come back when a packet can't go on.

use std::time::Duration;

use portcullis_blackbox::{
    Capture, Forwarder, Host, Lab, Pair, Ping, by_portcullis_as_by_the_kernel, joins_fragments,
    wait_until,
};

by_portcullis_as_by_the_kernel! {
    a_packet_whose_ttl_runs_out_is_answered_from_the_near_address,
    a_destination_without_a_route_is_answered_as_unreachable,
    a_prohibited_destination_is_answered_as_prohibited,
    an_unreachable_route_is_answered_as_unreachable,
    a_blackhole_answers_nothing,
    a_neighbour_that_does_not_exist_is_answered_as_unreachable,
    errors_fragments_and_broadcasts_are_not_answered_with_errors,
    a_flood_is_not_answered_with_a_flood,
}

/// Three pings, slow enough for every sensible rate limit.
fn probe(from: &Host, options: &str, to: &str) -> Ping {
    from.ping(&format!("-c 3 -i 1.1 -W 1 {options}"), to)
}

/// Waits until the forwarder has taken in a route: from then on `to` is not answered from its end.
fn until_taken_in(from: &Host, to: &str) {
    wait_until("the route is taken in", Duration::from_secs(3), || !from.reaches(to));
}

fn expect_errors(ping: &Ping, from: &str, message: &str) {
    assert_eq!(ping.received, 0, "{}", ping.said);
    // One may fall to the rate limit, after what went before.
    assert!(ping.errors.len() >= 2, "{}", ping.said);
    for error in &ping.errors {
        assert!(error.starts_with(&format!("From {from} ")), "{}", ping.said);
        assert!(error.contains(message), "{message}: {}", ping.said);
    }
}

fn a_packet_whose_ttl_runs_out_is_answered_from_the_near_address(forwarder: Forwarder) {
    let lab = Lab::new("a_packet_whose_ttl_runs_out_is_answered_from_the_near_address");
    let pair = Pair::new(&lab, forwarder);
    let before = pair.gateway.drops("ttl-exceeded");
    expect_errors(&probe(&pair.near, "-t 1", "10.2.0.2"), "10.1.0.1", "Time to live exceeded");
    let six = probe(&pair.near, "-t 1", "2001:db8:2::2");
    expect_errors(&six, "2001:db8:1::1", "Time exceeded: Hop limit");
    assert_eq!(pair.gateway.drops("ttl-exceeded"), before.map(|count| count + 6));
}

fn a_destination_without_a_route_is_answered_as_unreachable(forwarder: Forwarder) {
    let lab = Lab::new("a_destination_without_a_route_is_answered_as_unreachable");
    let pair = Pair::new(&lab, forwarder);
    let before = pair.gateway.drops("no-route");
    let four = probe(&pair.near, "", "10.99.0.1");
    expect_errors(&four, "10.1.0.1", "Destination Net Unreachable");
    let six = probe(&pair.near, "", "2001:db8:99::1");
    expect_errors(&six, "2001:db8:1::1", "Destination unreachable: No route");
    assert_eq!(pair.gateway.drops("no-route"), before.map(|count| count + 6));
}

fn a_prohibited_destination_is_answered_as_prohibited(forwarder: Forwarder) {
    let lab = Lab::new("a_prohibited_destination_is_answered_as_prohibited");
    let pair = Pair::new(&lab, forwarder);
    pair.gateway.control().run("ip route add prohibit 10.2.0.2/32");
    pair.gateway.control().run("ip -6 route add prohibit 2001:db8:2::2/128");
    until_taken_in(&pair.near, "10.2.0.2");
    until_taken_in(&pair.near, "2001:db8:2::2");
    let before = pair.gateway.drops("route-prohibit");
    let four = probe(&pair.near, "", "10.2.0.2");
    expect_errors(&four, "10.1.0.1", "Packet filtered");
    let six = probe(&pair.near, "", "2001:db8:2::2");
    expect_errors(&six, "2001:db8:1::1", "Administratively prohibited");
    assert_eq!(pair.gateway.drops("route-prohibit"), before.map(|count| count + 6));
}

fn an_unreachable_route_is_answered_as_unreachable(forwarder: Forwarder) {
    let lab = Lab::new("an_unreachable_route_is_answered_as_unreachable");
    let pair = Pair::new(&lab, forwarder);
    pair.gateway.control().run("ip route add unreachable 10.2.0.2/32");
    pair.gateway.control().run("ip -6 route add unreachable 2001:db8:2::2/128");
    until_taken_in(&pair.near, "10.2.0.2");
    until_taken_in(&pair.near, "2001:db8:2::2");
    let before = pair.gateway.drops("route-unreachable");
    let four = probe(&pair.near, "", "10.2.0.2");
    expect_errors(&four, "10.1.0.1", "Destination Host Unreachable");
    let six = probe(&pair.near, "", "2001:db8:2::2");
    expect_errors(&six, "2001:db8:1::1", "Destination unreachable");
    assert_eq!(pair.gateway.drops("route-unreachable"), before.map(|count| count + 6));
}

fn a_blackhole_answers_nothing(forwarder: Forwarder) {
    let lab = Lab::new("a_blackhole_answers_nothing");
    let pair = Pair::new(&lab, forwarder);
    pair.gateway.control().run("ip route add blackhole 10.2.0.2/32");
    pair.gateway.control().run("ip -6 route add blackhole 2001:db8:2::2/128");
    until_taken_in(&pair.near, "10.2.0.2");
    until_taken_in(&pair.near, "2001:db8:2::2");
    let before = pair.gateway.drops("route-blackhole");
    for to in ["10.2.0.2", "2001:db8:2::2"] {
        let ping = pair.near.ping("-c 5 -i 0.05 -W 1", to);
        assert_eq!((ping.received, ping.errors.len()), (0, 0), "{}", ping.said);
    }
    assert_eq!(pair.gateway.drops("route-blackhole"), before.map(|count| count + 10));
}

fn a_neighbour_that_does_not_exist_is_answered_as_unreachable(forwarder: Forwarder) {
    let lab = Lab::new("a_neighbour_that_does_not_exist_is_answered_as_unreachable");
    let pair = Pair::new(&lab, forwarder);
    for (to, from, message) in [
        ("10.2.0.77", "10.1.0.1", "Destination Host Unreachable"),
        ("2001:db8:2::77", "2001:db8:1::1", "Address unreachable"),
    ] {
        let ping = pair.near.ping("-c 2 -i 1.1 -W 5", to);
        assert_eq!(ping.received, 0, "{}", ping.said);
        let error = ping.errors.first().unwrap_or_else(|| panic!("no error: {}", ping.said));
        assert!(error.starts_with(&format!("From {from} ")), "{}", ping.said);
        assert!(error.contains(message), "{}", ping.said);
    }
    assert_ne!(pair.gateway.drops("neighbor-unresolved"), Some(0));
}

/// RFC 1122, 3.2.2 and RFC 4443, 2.4 (e).
fn errors_fragments_and_broadcasts_are_not_answered_with_errors(forwarder: Forwarder) {
    let lab = Lab::new("errors_fragments_and_broadcasts_are_not_answered_with_errors");
    let pair = Pair::new(&lab, forwarder);
    let gateway = pair.gateway.control().mac("lan");
    let capture = Capture::start(&pair.near, "eth0", "icmp or icmp6");
    let before = pair.gateway.drops("ttl-exceeded");
    let fragments = u64::from(!joins_fragments());
    let six = "IPv6(src='2001:db8:1::2', dst='2001:db8:2::2', hlim=1)";
    pair.near.scapy(&format!(
        "ether = Ether(dst='{gateway}', src=get_if_hwaddr('eth0'))
four = IP(src='10.1.0.2', dst='10.2.0.2', ttl=1)
six = {six}
quoted = IP(src='10.2.0.2', dst='10.1.0.2')/UDP()/Raw(b'x' * 8)
quoted6 = IPv6(src='2001:db8:2::2', dst='2001:db8:1::2')/UDP()/Raw(b'x' * 8)
later = IP(src='10.1.0.2', dst='10.2.0.2', ttl=1, frag=100)/Raw(b'x' * 64)
silent = [four/ICMP(type=3, code=1)/quoted, six/ICMPv6DestUnreach()/quoted6] + [later] * {fragments}
for packet in silent:
    sendp(ether/packet, iface='eth0')
# A source that is no single host.
sendp(ether/six.__class__(src='ff02::1', dst='2001:db8:2::2', hlim=1)/UDP(), iface='eth0')
# What is answered comes last, and so shows that the others have had their turn.
sendp(ether/four/UDP(sport=7, dport=7)/Raw(b'last'), iface='eth0')"
    ));
    let errors = || capture.fields("icmp.type == 11 || icmpv6.type == 3", &["ip.src"]);
    wait_until("the last packet is answered", Duration::from_secs(5), || !errors().is_empty());
    assert_eq!(errors(), [["10.1.0.1,10.1.0.2"]], "only the last is answered");
    assert_eq!(pair.gateway.drops("ttl-exceeded"), before.map(|count| count + 3 + fragments));
}

fn a_flood_is_not_answered_with_a_flood(forwarder: Forwarder) {
    let lab = Lab::new("a_flood_is_not_answered_with_a_flood");
    let pair = Pair::new(&lab, forwarder);
    for to in ["10.99.0.1", "2001:db8:99::1"] {
        let ping = pair.near.ping("-c 1000 -i 0.002 -W 1", to);
        assert_eq!((ping.sent, ping.received), (1000, 0));
        let answers = ping.errors.len();
        assert!((1..500).contains(&answers), "{to}: {answers} answers to 1000 packets");
    }
}
