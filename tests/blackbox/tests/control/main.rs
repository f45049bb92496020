//! FRR and `ip route` decide, the forwarder follows.

mod bgp;
mod configured;
mod ospf;
mod restart;

use portcullis_blackbox::{Daemon, Forwarder, Frr, Lab, Pair};

/// A pair whose forwarder and far host both run FRR, with networks behind the far host:
/// 10.77.0.0/16 and 2001:db8:77::/48, of which 10.77.0.1 and 2001:db8:77::1 answer.
struct Routed {
    pair: Pair,
    gateway_frr: Frr,
    far_frr: Frr,
}

impl Routed {
    fn new(lab: &Lab, forwarder: Forwarder, daemons: &[Daemon], near: &str, far: &str) -> Self {
        let pair = Pair::new(lab, forwarder);
        pair.far.run("ip addr add 10.77.0.1/32 dev lo");
        pair.far.run("ip addr add 2001:db8:77::1/128 dev lo");
        let gateway_frr = Frr::start(pair.gateway.control(), daemons, near);
        let far_frr = Frr::start(&pair.far, daemons, far);
        Self { pair, gateway_frr, far_frr }
    }
}

/// The gateway's side of BGP over both families.
const GATEWAY_BGP: &str = "
    router bgp 65001
    bgp router-id 10.2.0.1
    no bgp ebgp-requires-policy
    no bgp default ipv4-unicast
    neighbor 10.2.0.2 remote-as 65002
    neighbor 10.2.0.2 timers connect 1
    neighbor 2001:db8:2::2 remote-as 65002
    neighbor 2001:db8:2::2 timers connect 1
    address-family ipv4 unicast
    neighbor 10.2.0.2 activate
    exit-address-family
    address-family ipv6 unicast
    neighbor 2001:db8:2::2 activate
    exit-address-family
";

/// The far host's side.
const FAR_BGP: &str = "
    router bgp 65002
    bgp router-id 10.2.0.2
    no bgp ebgp-requires-policy
    no bgp network import-check
    no bgp default ipv4-unicast
    neighbor 10.2.0.1 remote-as 65001
    neighbor 10.2.0.1 timers connect 1
    neighbor 2001:db8:2::1 remote-as 65001
    neighbor 2001:db8:2::1 timers connect 1
    address-family ipv4 unicast
    neighbor 10.2.0.1 activate
    network 10.77.0.0/16
    exit-address-family
    address-family ipv6 unicast
    neighbor 2001:db8:2::1 activate
    network 2001:db8:77::/48
    exit-address-family
";
