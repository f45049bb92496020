//! External addresses are the gateway's: on the network of its interface it answers for them.

use portcullis_blackbox::{
    Dial, Forwarder, Host, Lab, Masquerade, Policy, PortForward, Reflector, Site, StaticNat,
    by_portcullis_as_by_the_kernel,
};

by_portcullis_as_by_the_kernel! {
    external_addresses_answer_arp,
}

fn policy() -> Policy {
    let mut masquerade = Masquerade::new("10.0.0.0/8", "wan");
    masquerade.pool = Some("203.0.113.8-203.0.113.11".to_owned());
    let forward = PortForward {
        on: "wan".to_owned(),
        protocol: "tcp".to_owned(),
        address: "203.0.113.3".to_owned(),
        ports: 80..=80,
        to: "10.1.0.2".to_owned(),
        to_port: 80,
    };
    let network = |external: &str, internal: &str| StaticNat {
        on: "wan".to_owned(),
        external: external.to_owned(),
        internal: internal.to_owned(),
    };
    Policy {
        masquerades: vec![masquerade],
        forwards: vec![forward],
        statics: vec![network("203.0.113.64/28", "10.1.0.64/28")],
        firewall: None,
    }
}

/// Whether a request for an address is answered, by the station that has `mac`.
fn answers(from: &Host, address: &str, mac: &str) -> bool {
    let said = from.attempt(&format!("arping -c 2 -w 2 -f -I eth0 {address}"));
    let answered = said.stdout.to_lowercase().contains(&format!("[{}]", mac.to_lowercase()));
    assert_eq!(answered, said.status.success(), "{said}");
    answered
}

fn external_addresses_answer_arp(forwarder: Forwarder) {
    let lab = Lab::new("external_addresses_answer_arp");
    let site = Site::new(&lab, forwarder, &policy());
    let mac = site.gateway.control().mac("wan");
    for address in ["203.0.113.1", "203.0.113.8", "203.0.113.11", "203.0.113.3", "203.0.113.66"] {
        assert!(answers(&site.outside, address, &mac), "{address}");
    }
    for address in ["203.0.113.7", "203.0.113.12", "203.0.113.63", "203.0.113.80"] {
        assert!(!answers(&site.outside, address, &mac), "{address} is nobody's");
    }
}

/// The kernel answers neighbour discovery for single addresses only: there is nothing to compare with.
#[test]
fn external_prefixes_answer_neighbour_discovery() {
    let lab = Lab::new("external_prefixes_answer_neighbour_discovery");
    let policy = Policy {
        statics: vec![StaticNat {
            on: "wan".to_owned(),
            external: "2001:db8:77::/64".to_owned(),
            internal: "2001:db8:1::/64".to_owned(),
        }],
        ..Policy::default()
    };
    let site = Site::new(&lab, Forwarder::Portcullis, &policy);
    let mac = site.gateway.control().mac("wan");
    // The outside takes both for networks of its own wire.
    site.outside.run("ip -6 route add 2001:db8:77::/64 dev eth0");
    site.outside.run("ip -6 route add 2001:db8:78::/64 dev eth0");
    let _outside = Reflector::start(&site.outside, "7000");
    let external = Dial::udp("[2001:db8:2::2]:7000").seen(&site.inside).ip().to_string();
    site.outside.run("ip -6 neigh flush dev eth0");
    let ping = site.outside.ping("-c 2 -i 0.2 -W 2", &external);
    assert_eq!(ping.received, 2, "{}", ping.said);
    assert!(site.outside.run(&format!("ip -6 neigh show {external}")).contains(&mac));
    let ping = site.outside.ping("-c 1 -W 1", "2001:db8:78::5");
    assert_eq!(ping.received, 0, "{}", ping.said);
    assert!(!site.outside.run("ip -6 neigh show 2001:db8:78::5").contains(&mac));
}
