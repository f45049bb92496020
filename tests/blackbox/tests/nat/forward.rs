//! Ports of outside addresses that lead inside.

use portcullis_blackbox::{
    Dial, Forwarder, Lab, Outcome, Policy, PortForward, Reflector, Site,
    by_portcullis_as_by_the_kernel,
};

use crate::masquerade;

by_portcullis_as_by_the_kernel! {
    a_forwarded_port_is_reached_from_outside,
    a_forwarded_range_leads_port_by_port,
    a_forwarded_port_is_reached_from_inside_by_its_outside_address,
    a_forwarded_host_still_reaches_the_outside,
    ports_that_are_not_forwarded_do_not_lead_inside,
}

fn forward(protocol: &str, ports: std::ops::RangeInclusive<u16>, to_port: u16) -> PortForward {
    PortForward {
        on: "wan".to_owned(),
        protocol: protocol.to_owned(),
        address: "203.0.113.1".to_owned(),
        ports,
        to: "10.1.0.2".to_owned(),
        to_port,
    }
}

fn policy() -> Policy {
    let forwards = vec![
        forward("tcp", 8443..=8443, 443),
        forward("udp", 5353..=5353, 53),
        forward("tcp", 9000..=9010, 7100),
        forward("udp", 9000..=9010, 7200),
        // Another address than the interface's own.
        PortForward { address: "203.0.113.3".to_owned(), ..forward("tcp", 80..=80, 443) },
    ];
    Policy { forwards, ..masquerade() }
}

fn a_forwarded_port_is_reached_from_outside(forwarder: Forwarder) {
    let lab = Lab::new("a_forwarded_port_is_reached_from_outside");
    let site = Site::new(&lab, forwarder, &policy());
    let _inside = Reflector::start(&site.inside, "443 53");
    for (dial, from) in [
        (Dial::tcp("203.0.113.1:8443"), "203.0.113.254:3000"),
        (Dial::tcp("203.0.113.3:80"), "203.0.113.254:3002"),
        (Dial::udp("203.0.113.1:5353"), "203.0.113.253:3000"),
    ] {
        let dial = dial.from(from).bytes(1000);
        assert_eq!(dial.seen(&site.outside).to_string(), from, "{dial:?}");
    }
    let long = Dial::tcp("203.0.113.1:8443").from("203.0.113.254:3001").bytes(2_000_000);
    assert_eq!(long.seen(&site.outside).to_string(), "203.0.113.254:3001");
}

fn a_forwarded_range_leads_port_by_port(forwarder: Forwarder) {
    let lab = Lab::new("a_forwarded_range_leads_port_by_port");
    let site = Site::new(&lab, forwarder, &policy());
    // Only two ports of each range answer, so that a wrong offset is refused.
    let _inside = Reflector::start(&site.inside, "7103 7110 7200 7207");
    for (protocol, port, answered) in [
        ("tcp", 9003, true),
        ("tcp", 9010, true),
        ("tcp", 9004, false),
        ("udp", 9000, true),
        ("udp", 9007, true),
        ("udp", 9008, false),
    ] {
        let dial = Dial::new(protocol, &format!("203.0.113.1:{port}"));
        let outcome = dial.by(&site.outside).outcome;
        match answered {
            true => assert!(matches!(outcome, Outcome::Seen(_)), "{protocol} {port}: {outcome:?}"),
            false => assert_eq!(outcome, Outcome::Refused, "{protocol} {port}"),
        }
    }
}

/// RFC 4787, REQ-9; RFC 5382, REQ-8.
fn a_forwarded_port_is_reached_from_inside_by_its_outside_address(forwarder: Forwarder) {
    let lab = Lab::new("a_forwarded_port_is_reached_from_inside_by_its_outside_address");
    let site = Site::new(&lab, forwarder, &policy());
    let _inside = Reflector::start(&site.inside, "443 53 7105");
    for host in [&site.second, &site.inside] {
        for dial in [
            Dial::tcp("203.0.113.1:8443").bytes(200_000),
            Dial::tcp("203.0.113.3:80"),
            Dial::tcp("203.0.113.1:9005"),
            Dial::udp("203.0.113.1:5353").bytes(1000),
        ] {
            let seen = dial.seen(host);
            assert!(seen.ip().to_string().starts_with("203.0.113."), "{dial:?}: {seen}");
        }
    }
}

fn a_forwarded_host_still_reaches_the_outside(forwarder: Forwarder) {
    let lab = Lab::new("a_forwarded_host_still_reaches_the_outside");
    let site = Site::new(&lab, forwarder, &policy());
    let _outside = Reflector::start(&site.outside, "7000");
    let seen = Dial::tcp("203.0.113.254:7000").from("10.1.0.2:443").seen(&site.inside);
    assert_eq!(seen.ip().to_string(), "203.0.113.1");
    // What is forwarded is not given away as somebody's mapping.
    let seen = Dial::tcp("203.0.113.254:7000").from("10.1.0.3:8443").seen(&site.second);
    assert_eq!(seen.ip().to_string(), "203.0.113.1");
    if forwarder == Forwarder::Portcullis {
        assert_ne!(seen.port(), 8443);
    }
    let _inside = Reflector::start(&site.inside, "443");
    let outcome = Dial::tcp("203.0.113.1:8443").by(&site.outside).outcome;
    assert!(matches!(outcome, Outcome::Seen(_)), "{outcome:?}");
}

fn ports_that_are_not_forwarded_do_not_lead_inside(forwarder: Forwarder) {
    let lab = Lab::new("ports_that_are_not_forwarded_do_not_lead_inside");
    let site = Site::new(&lab, forwarder, &policy());
    let _inside = Reflector::start(&site.inside, "443 444 53 8444");
    for (protocol, port) in [("tcp", 443), ("tcp", 8444), ("tcp", 444), ("udp", 443), ("udp", 53)] {
        let outcome = Dial::new(protocol, &format!("203.0.113.1:{port}")).by(&site.outside).outcome;
        // The gateway's own kernel has nobody listening there.
        assert_eq!(outcome, Outcome::Refused, "{protocol} {port}");
    }
}
