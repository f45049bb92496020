//! Several workers, each with flows and mappings of its own, are one NAT from outside.

use portcullis_blackbox::{
    Behaviour, Dial, Forwarder, IperfServer, Lab, NatDiscovery, Policy, PortForward, Reflector,
    Site, SiteOptions, StunServer, Transport, largest_datagram,
};

use crate::masquerade;

fn site(lab: &Lab) -> Site {
    let forward = |protocol: &str, port, to_port| PortForward {
        on: "wan".to_owned(),
        protocol: protocol.to_owned(),
        address: "203.0.113.1".to_owned(),
        ports: port..=port,
        to: "10.1.0.2".to_owned(),
        to_port,
    };
    let forwards = vec![forward("tcp", 8443, 443), forward("udp", 5353, 53)];
    let policy = Policy { forwards, ..masquerade() };
    let options =
        SiteOptions { policy, gateway: "workers = 2".to_owned(), ..SiteOptions::default() };
    let site = Site::with(lab, Forwarder::Portcullis, &options);
    for number in 10..16 {
        site.inside.run(&format!("ip address add 10.1.0.{number}/24 dev eth0"));
    }
    site
}

/// Addresses of one inside host, enough for both workers to have some.
fn addresses() -> impl Iterator<Item = String> {
    (10..16).map(|number| format!("10.1.0.{number}"))
}

#[test]
fn mapping_is_endpoint_independent_whichever_worker_has_it() {
    let lab = Lab::new("mapping_is_endpoint_independent_whichever_worker_has_it");
    let site = site(&lab);
    let server = ["203.0.113.254", "203.0.113.253"];
    let _server = StunServer::start(&site.outside, server);
    for address in addresses() {
        let discovery =
            NatDiscovery { host: &site.inside, address: &address, port: 40001, server: server[0] };
        assert_eq!(discovery.mapping(), Behaviour::EndpointIndependent, "{address}");
        assert!(discovery.hairpins(), "{address}");
    }
}

#[test]
fn neighbours_reach_each_other_by_their_mappings() {
    let lab = Lab::new("neighbours_reach_each_other_by_their_mappings");
    let site = site(&lab);
    let _outside = Reflector::start(&site.outside, "7000");
    let mapping = Dial::udp("203.0.113.254:7000").from("10.1.0.3:7500").seen(&site.second);
    let _second = Reflector::start(&site.second, "7500");
    for address in addresses() {
        let seen = |to: &str| Dial::udp(to).from(&format!("{address}:42000")).seen(&site.inside);
        // By one mapping each time, though not by that which the outside sees: another worker has made it.
        let by_neighbour = seen(&mapping.to_string());
        assert_eq!(by_neighbour.ip(), mapping.ip(), "{address}");
        assert_eq!(by_neighbour, seen(&mapping.to_string()), "{address}");
        assert_eq!(seen("203.0.113.254:7000"), seen("203.0.113.254:7000"), "{address}");
    }
}

#[test]
fn forwarded_ports_are_reached_from_outside_and_inside() {
    let lab = Lab::new("forwarded_ports_are_reached_from_outside_and_inside");
    let site = site(&lab);
    let _inside = Reflector::start(&site.inside, "443 53");
    let _outside = Reflector::start(&site.outside, "7000");
    for dial in
        [Dial::tcp("203.0.113.1:8443").bytes(100_000), Dial::udp("203.0.113.1:5353").bytes(5000)]
    {
        for port in 3000..3008 {
            let from = format!("203.0.113.254:{port}");
            assert_eq!(dial.clone().from(&from).seen(&site.outside).to_string(), from, "{dial:?}");
        }
        for _ in 0..4 {
            let seen = dial.seen(&site.second);
            assert_eq!(seen.ip().to_string(), "203.0.113.1", "{dial:?}");
        }
    }
}

#[test]
fn fragments_and_errors_find_the_worker_of_their_flow() {
    let lab = Lab::new("fragments_and_errors_find_the_worker_of_their_flow");
    let site = site(&lab);
    let _outside = Reflector::start(&site.outside, "7000");
    for address in addresses() {
        let from = format!("{address}:4000");
        let large = Dial::udp("203.0.113.254:7000").from(&from).bytes(largest_datagram());
        assert_eq!(large.seen(&site.inside).ip().to_string(), "203.0.113.1", "{address}");
        let refused = Dial::udp("203.0.113.254:7001").from(&from).by(&site.inside).outcome;
        assert_eq!(refused, portcullis_blackbox::Outcome::Refused, "{address}");
        let ping = site.inside.ping(&format!("-I {address} -c 2 -i 0.1 -W 1"), "203.0.113.254");
        assert_eq!(ping.received, 2, "{address}: {}", ping.said);
    }
}

#[test]
fn many_connections_flow_at_once() {
    let lab = Lab::quiet("many_connections_flow_at_once");
    let site = site(&lab);
    let _server = IperfServer::start(&site.outside);
    for options in ["-P 8", "-P 8 -R"] {
        let stream = site.inside.iperf("203.0.113.254", Transport::Tcp, 2, options);
        assert!(stream.bits_per_second > 100e6, "{options} {stream:?}");
    }
}
