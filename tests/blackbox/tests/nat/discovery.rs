//! What STUN clients find out about the gateway (RFC 4787, RFC 5780).

use portcullis_blackbox::{
    Behaviour, Dial, Filtering, Forwarder, Lab, Masquerade, NatDiscovery, Policy, Reflector, Site,
    StunServer, by_portcullis_as_by_the_kernel, stun,
};

use crate::masquerade;

by_portcullis_as_by_the_kernel! {
    mapping_is_endpoint_independent,
    mapping_is_endpoint_independent_with_a_pool,
    filtering_is_as_configured,
    another_stun_client_agrees,
    an_inside_host_reaches_itself_and_others_by_their_mappings,
}

const SERVER: [&str; 2] = ["203.0.113.254", "203.0.113.253"];

fn discovery(site: &Site, port: u16) -> NatDiscovery<'_> {
    NatDiscovery { host: &site.inside, address: "10.1.0.2", port, server: SERVER[0] }
}

/// Has the second host hold the mapping whose external port the first would keep: without that,
/// a NAT that keeps ports looks as if its mappings were independent.
fn occupy(site: &Site, port: u16) {
    let reflector = Reflector::start(&site.outside, "7000");
    let held = Dial::udp("203.0.113.254:7000").from(&format!("10.1.0.3:{port}")).seen(&site.second);
    assert!(held.ip().to_string().starts_with("203.0.113."), "{held}");
    drop(reflector);
}

fn expect_independent_mapping(site: &Site) {
    let _server = StunServer::start(&site.outside, SERVER);
    assert_eq!(discovery(site, 40001).mapping(), Behaviour::EndpointIndependent);
    occupy(site, 40002);
    assert_eq!(discovery(site, 40002).mapping(), Behaviour::EndpointIndependent);
}

fn mapping_is_endpoint_independent(forwarder: Forwarder) {
    let lab = Lab::new("mapping_is_endpoint_independent");
    expect_independent_mapping(&Site::new(&lab, forwarder, &masquerade()));
}

/// RFC 4787, REQ-2: all mappings of a host are on one address ("paired").
fn mapping_is_endpoint_independent_with_a_pool(forwarder: Forwarder) {
    let lab = Lab::new("mapping_is_endpoint_independent_with_a_pool");
    let mut masquerade = Masquerade::new("10.0.0.0/8", "wan");
    masquerade.pool = Some("203.0.113.8-203.0.113.11".to_owned());
    let policy = Policy { masquerades: vec![masquerade], ..Policy::default() };
    let site = Site::new(&lab, forwarder, &policy);
    expect_independent_mapping(&site);
    let _reflector = Reflector::start(&site.outside, "7000-7001");
    let seen = |to: &str, from: u16| {
        Dial::udp(to).from(&format!("10.1.0.2:{from}")).seen(&site.inside).ip()
    };
    let first = seen("203.0.113.254:7000", 41000);
    for (to, from) in [
        ("203.0.113.253:7000", 41001),
        ("203.0.113.254:7001", 41002),
        ("203.0.113.253:7001", 41003),
    ] {
        // The kernel's pairing is by source address too, unless told otherwise.
        assert_eq!(seen(to, from), first);
    }
}

/// The control: that the test would see what a NAT must not do.
#[test]
fn a_kernel_that_takes_ports_at_random_does_not_pass() {
    let lab = Lab::new("a_kernel_that_takes_ports_at_random_does_not_pass");
    let mut policy = masquerade();
    policy.masquerades.iter_mut().for_each(|it| it.fully_random = true);
    let site = Site::new(&lab, Forwarder::Kernel, &policy);
    let _server = StunServer::start(&site.outside, SERVER);
    assert_eq!(discovery(&site, 40001).mapping(), Behaviour::AddressAndPortDependent);
    assert!(!stun(&site.inside, "10.1.0.2", 40010, SERVER[0]).independent_mapping);
}

/// RFC 4787, REQ-8.
fn filtering_is_as_configured(forwarder: Forwarder) {
    for (filtering, expected) in [
        (Filtering::EndpointIndependent, Behaviour::EndpointIndependent),
        (Filtering::AddressDependent, Behaviour::AddressDependent),
    ] {
        let lab = Lab::new("filtering_is_as_configured");
        let mut policy = masquerade();
        policy.masquerades.iter_mut().for_each(|it| it.filtering = filtering);
        let site = Site::new(&lab, forwarder, &policy);
        let _server = StunServer::start(&site.outside, SERVER);
        // The kernel can do only one.
        let kernel = forwarder == Forwarder::Kernel;
        let expected = if kernel { Behaviour::AddressAndPortDependent } else { expected };
        assert_eq!(discovery(&site, 40001).filtering(), expected, "{filtering:?}");
    }
}

fn another_stun_client_agrees(forwarder: Forwarder) {
    let lab = Lab::new("another_stun_client_agrees");
    let site = Site::new(&lab, forwarder, &masquerade());
    let _server = StunServer::start(&site.outside, SERVER);
    occupy(&site, 40010);
    let verdict = stun(&site.inside, "10.1.0.2", 40010, SERVER[0]);
    assert!(verdict.independent_mapping, "{verdict:?}");
    let expected = match forwarder {
        Forwarder::Kernel => ("Port Dependent Filter", false),
        Forwarder::Portcullis | Forwarder::Testpmd => ("Independent Filter", true),
    };
    assert_eq!((verdict.filter.as_str(), verdict.hairpins), expected, "{verdict:?}");
}

/// RFC 4787, REQ-9: from outside address to outside address.
fn an_inside_host_reaches_itself_and_others_by_their_mappings(forwarder: Forwarder) {
    let lab = Lab::new("an_inside_host_reaches_itself_and_others_by_their_mappings");
    let site = Site::new(&lab, forwarder, &masquerade());
    let _server = StunServer::start(&site.outside, SERVER);
    // The kernel translates nothing that comes in by `lan` but what a rule names.
    let expected = forwarder == Forwarder::Portcullis;
    assert_eq!(discovery(&site, 40001).hairpins(), expected);
    occupy(&site, 40002);
    assert_eq!(discovery(&site, 40002).hairpins(), expected);
    if !expected {
        return;
    }
    // The reflector's mapping is made from the reflector's own port.
    let _outside = Reflector::start(&site.outside, "7000");
    let mapping = Dial::udp("203.0.113.254:7000").from("10.1.0.3:7500").seen(&site.second);
    let _inside = Reflector::start(&site.second, "7500");
    let seen = Dial::udp(&mapping.to_string()).from("10.1.0.2:42000").seen(&site.inside);
    let own = Dial::udp("203.0.113.254:7000").from("10.1.0.2:42000").seen(&site.inside);
    assert_eq!(seen, own, "the second host sees the first as the outside does");
}
