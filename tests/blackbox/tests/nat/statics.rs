//! Networks that stand for other ones.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use portcullis_blackbox::{
    Capture, Dial, Forwarder, Lab, Policy, Reflector, Site, StaticNat,
    by_portcullis_as_by_the_kernel,
};

use crate::masquerade;

by_portcullis_as_by_the_kernel! {
    a_host_of_a_static_network_keeps_its_ports_and_is_reached_from_outside,
    a_host_of_a_static_network_is_reached_from_inside_by_its_outside_address,
    a_prefix_of_ipv6_is_translated_both_ways,
}

fn policy() -> Policy {
    let network = |external: &str, internal: &str| StaticNat {
        on: "wan".to_owned(),
        external: external.to_owned(),
        internal: internal.to_owned(),
    };
    let statics = vec![
        network("203.0.113.64/28", "10.1.0.64/28"),
        network("2001:db8:77::/64", "2001:db8:1::/64"),
    ];
    Policy { statics, ..masquerade() }
}

fn site(lab: &Lab, forwarder: Forwarder) -> Site {
    let site = Site::new(lab, forwarder, &policy());
    site.inside.run("ip address add 10.1.0.66/24 dev eth0");
    site
}

fn a_host_of_a_static_network_keeps_its_ports_and_is_reached_from_outside(forwarder: Forwarder) {
    let lab = Lab::new("a_host_of_a_static_network_keeps_its_ports_and_is_reached_from_outside");
    let site = site(&lab, forwarder);
    let _outside = Reflector::start(&site.outside, "7000");
    let _inside = Reflector::start(&site.inside, "80 53");
    for protocol in ["tcp", "udp"] {
        let out = Dial::new(protocol, "203.0.113.254:7000").from("10.1.0.66:4000").bytes(5000);
        assert_eq!(out.seen(&site.inside).to_string(), "203.0.113.66:4000", "{protocol}");
        let back = Dial::new(protocol, "203.0.113.66:53").from("203.0.113.253:4000");
        assert_eq!(back.seen(&site.outside).to_string(), "203.0.113.253:4000", "{protocol}");
    }
    site.outside.reaches_within(Duration::from_secs(5), "203.0.113.66");
    let ping = site.inside.ping("-I 10.1.0.66 -c 3 -i 0.1 -W 1", "203.0.113.254");
    assert_eq!(ping.received, 3, "{}", ping.said);
    // Its other address is of no static network.
    let other = Dial::udp("203.0.113.254:7000").from("10.1.0.2:4000").seen(&site.inside);
    assert_eq!(other.ip().to_string(), "203.0.113.1");
}

fn a_host_of_a_static_network_is_reached_from_inside_by_its_outside_address(forwarder: Forwarder) {
    let lab = Lab::new("a_host_of_a_static_network_is_reached_from_inside_by_its_outside_address");
    let site = site(&lab, forwarder);
    let _inside = Reflector::start(&site.inside, "80");
    let outcome = Dial::tcp("203.0.113.66:80").bytes(20_000).by(&site.second).outcome;
    match forwarder {
        Forwarder::Portcullis => {
            let seen = Dial::tcp("203.0.113.66:80").seen(&site.second);
            assert_eq!(seen.ip().to_string(), "203.0.113.1", "{outcome:?}");
        }
        // The rules that it has are for what comes in by `wan`.
        Forwarder::Kernel | Forwarder::Testpmd => {
            assert!(!matches!(outcome, portcullis_blackbox::Outcome::Seen(_)), "{outcome:?}");
        }
    }
}

/// RFC 6296. The kernel copies the host's part of the address, and corrects checksums; a translation
/// without state changes the address so that checksums stay right (3.1).
fn a_prefix_of_ipv6_is_translated_both_ways(forwarder: Forwarder) {
    let lab = Lab::new("a_prefix_of_ipv6_is_translated_both_ways");
    let site = site(&lab, forwarder);
    let _outside = Reflector::start(&site.outside, "7000");
    let _inside = Reflector::start(&site.inside, "80");
    let out = Dial::tcp("[2001:db8:2::2]:7000").from("[2001:db8:1::2]:4000").bytes(100_000);
    let external = out.seen(&site.inside);
    assert_eq!(external.port(), 4000);
    let IpAddr::V6(address) = external.ip() else { panic!("{external}") };
    assert_eq!(address.segments()[..4], [0x2001, 0xdb8, 0x77, 0], "{address}");
    if forwarder == Forwarder::Portcullis {
        let internal = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 2);
        assert_eq!(sum(address), sum(internal), "{address} is not neutral to checksums");
    }
    let capture = Capture::start(&site.inside, "eth0", "icmp6 or tcp port 80");
    let external = external.ip().to_string();
    let ping = site.outside.ping("-c 3 -i 0.1 -W 1", &external);
    assert_eq!(ping.received, 3, "{}", ping.said);
    let back = Dial::tcp(&format!("[{external}]:80")).from("[2001:db8:2::2]:4001").bytes(100_000);
    assert_eq!(back.seen(&site.outside).to_string(), "[2001:db8:2::2]:4001");
    let ping = site.inside.ping("-c 3 -i 0.1 -W 1", "2001:db8:2::2");
    assert_eq!(ping.received, 3, "{}", ping.said);
    // Inside, only the inside address is seen.
    let seen = capture.fields("ipv6.dst == 2001:db8:77::/64", &["ipv6.dst"]);
    assert_eq!(seen, Vec::<Vec<String>>::new());
}

/// The one's complement sum of an address (RFC 1071), of whose two zeroes one is chosen.
fn sum(address: Ipv6Addr) -> u32 {
    let sum = address.segments().iter().map(|&part| u32::from(part)).sum::<u32>();
    sum % 0xffff
}
