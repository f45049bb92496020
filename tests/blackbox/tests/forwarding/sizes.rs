//! Packets that do not fit the way on.

use std::net::IpAddr;
use std::time::Duration;

use portcullis_blackbox::{
    Capture, Forwarder, Gateway, Lab, Pair, PairOptions, Plan, Port,
    by_portcullis_as_by_the_kernel, largest_datagram, takes_jumbo_frames, tracepath,
};

by_portcullis_as_by_the_kernel! {
    a_packet_that_may_be_fragmented_arrives_in_fragments,
    a_packet_that_must_not_be_fragmented_is_answered_with_the_mtu,
    an_ipv6_packet_that_is_too_big_is_answered_with_the_mtu,
    tracepath_finds_the_mtu_of_the_path,
    jumbo_frames_cross_whole_where_both_sides_take_them,
}

const NARROW: u32 = 1400;

fn narrow(lab: &Lab, forwarder: Forwarder) -> Pair {
    let options = PairOptions { far_mtu: Some(NARROW), ..PairOptions::default() };
    Pair::with(lab, forwarder, &options)
}

fn a_packet_that_may_be_fragmented_arrives_in_fragments(forwarder: Forwarder) {
    let lab = Lab::new("a_packet_that_may_be_fragmented_arrives_in_fragments");
    let pair = narrow(&lab, forwarder);
    let capture = Capture::start(&pair.far, "eth0", "icmp");
    let largest = largest_datagram();
    for size in [1373, 1400, 1472, 3000, largest] {
        let ping = pair.near.ping(&format!("-M dont -c 3 -i 0.05 -W 1 -s {size}"), "10.2.0.2");
        assert_eq!(ping.received, 3, "{size}: {}", ping.said);
    }
    let filter = "ip.src == 10.1.0.2";
    let seen = capture.fields(filter, &["ip.len", "ip.checksum.status", "ip.ttl"]);
    assert!(seen.len() >= 3 * (2 + 2 + 2 + 3 + largest / 1376 + 1), "{} fragments", seen.len());
    for fragment in &seen {
        let [length, checksum, ttl] = fragment.as_slice() else { panic!("{fragment:?}") };
        assert!(length.parse::<u32>().is_ok_and(|length| length <= NARROW), "{fragment:?}");
        assert_eq!((checksum.as_str(), ttl.as_str()), ("1", "63"), "{fragment:?}");
    }
}

fn a_packet_that_must_not_be_fragmented_is_answered_with_the_mtu(forwarder: Forwarder) {
    let lab = Lab::new("a_packet_that_must_not_be_fragmented_is_answered_with_the_mtu");
    let pair = narrow(&lab, forwarder);
    let before = pair.gateway.drops("packet-too-big");
    // 28 bytes of headers: one byte more than fits, then just what fits.
    let ping = pair.near.ping("-M do -c 1 -W 1 -s 1373", "10.2.0.2");
    assert_eq!(ping.received, 0, "{}", ping.said);
    assert!(ping.said.contains("From 10.1.0.1 icmp_seq=1 Frag needed"), "{}", ping.said);
    assert!(ping.said.contains("mtu = 1400"), "{}", ping.said);
    assert_eq!(pair.near.ping("-M do -c 2 -i 0.1 -W 1 -s 1372", "10.2.0.2").received, 2);
    assert_eq!(pair.gateway.drops("packet-too-big"), before.map(|count| count + 1));
}

fn an_ipv6_packet_that_is_too_big_is_answered_with_the_mtu(forwarder: Forwarder) {
    let lab = Lab::new("an_ipv6_packet_that_is_too_big_is_answered_with_the_mtu");
    let pair = narrow(&lab, forwarder);
    let before = pair.gateway.drops("packet-too-big");
    let ping = pair.near.ping("-M do -c 1 -W 1 -s 1353", "2001:db8:2::2");
    assert_eq!(ping.received, 0, "{}", ping.said);
    assert!(ping.said.contains("From 2001:db8:1::1"), "{}", ping.said);
    assert!(ping.said.contains("Packet too big: mtu=1400"), "{}", ping.said);
    assert_eq!(pair.near.ping("-c 2 -i 0.1 -W 1 -s 1352", "2001:db8:2::2").received, 2);
    assert_eq!(pair.gateway.drops("packet-too-big"), before.map(|count| count + 1));
}

fn tracepath_finds_the_mtu_of_the_path(forwarder: Forwarder) {
    let lab = Lab::new("tracepath_finds_the_mtu_of_the_path");
    let pair = narrow(&lab, forwarder);
    for (to, hops) in [
        ("10.2.0.2", ["10.1.0.1", "10.2.0.2"]),
        ("2001:db8:2::2", ["2001:db8:1::1", "2001:db8:2::2"]),
    ] {
        let path = tracepath(&pair.near, to);
        assert_eq!(path.mtu, NARROW, "{path:?}");
        let hops = hops.map(|hop| hop.parse::<IpAddr>().expect("an address"));
        assert_eq!(path.hops, hops, "{path:?}");
    }
}

fn jumbo_frames_cross_whole_where_both_sides_take_them(forwarder: Forwarder) {
    if forwarder == Forwarder::Portcullis && !takes_jumbo_frames() {
        return;
    }
    let lab = Lab::new("jumbo_frames_cross_whole_where_both_sides_take_them");
    let (near, far) = (lab.host("near"), lab.host("far"));
    let ports = vec![
        Port::new("lan", &near, &["10.1.0.1/24", "2001:db8:1::1/64"]).with_mtu(9000),
        Port::new("wan", &far, &["10.2.0.1/24", "2001:db8:2::1/64"]).with_mtu(9000),
    ];
    let _gateway = Gateway::start(&lab, forwarder, &Plan { ports, ..Plan::default() });
    for (host, number) in [(&near, 1), (&far, 2)] {
        let (four, six) = (format!("10.{number}.0"), format!("2001:db8:{number}:"));
        host.configure("eth0", &[&format!("{four}.2/24"), &format!("{six}:2/64")]);
        host.run(&format!("ip route add default via {four}.1"));
        host.run(&format!("ip -6 route add default via {six}:1"));
    }
    near.reaches_within(Duration::from_secs(10), "10.2.0.2");
    near.reaches_within(Duration::from_secs(10), "2001:db8:2::2");
    for (to, size) in [("10.2.0.2", 8972), ("2001:db8:2::2", 8952)] {
        let ping = near.ping(&format!("-M do -c 3 -i 0.05 -W 1 -s {size}"), to);
        assert_eq!(ping.received, 3, "{}", ping.said);
    }
}
