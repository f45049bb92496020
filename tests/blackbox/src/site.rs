//! The layout for NAT and firewall: two hosts of one inside network, and one outside.

use std::time::Duration;

use crate::forwarder::{AntiSpoofing, Forwarder, Gateway, Plan, Port};
use crate::host::{Host, link};
use crate::lab::Lab;
use crate::policy::Policy;
use crate::wait::wait_until;

/// What may differ from one site to the next.
#[derive(Clone, Debug, Default)]
pub struct SiteOptions {
    /// What the gateway translates and lets through.
    pub policy: Policy,
    /// Whether the outside has a route to the inside IPv4 network: it needs none if that is
    /// translated. IPv6 is routed always.
    pub routed: bool,
    /// The MTU of the outside wire, if not 1500.
    pub wan_mtu: Option<u32>,
    /// More of portcullis.toml.
    pub file: String,
    /// Lines of portcullis.toml's `[gateway]` table.
    pub gateway: String,
    /// What both interfaces ask of source addresses.
    pub anti_spoofing: Option<AntiSpoofing>,
    /// Whether `wan` makes TCP's segments fit.
    pub mss_clamp: bool,
    /// Leave the gateway's addresses unpinged: rules may not let that through.
    pub cold: bool,
}

/// Two inside hosts on one wire, an outside host, and the gateway between them.
///
/// | who | where |
/// |---|---|
/// | `inside` | 10.1.0.2, 2001:db8:1::2 |
/// | `second`, on the same network | 10.1.0.3, 2001:db8:1::3 |
/// | the gateway's `lan` | 10.1.0.1/24, 2001:db8:1::1/64 |
/// | the gateway's `wan` | 203.0.113.1/24, 2001:db8:2::1/64 |
/// | `outside` | 203.0.113.254 and .253, 2001:db8:2::2 |
///
/// Each host calls its interface `eth0`.
#[derive(Debug)]
pub struct Site {
    /// An inside host.
    pub inside: Host,
    /// Another one, on the same wire.
    pub second: Host,
    /// The outside host.
    pub outside: Host,
    /// What is between them.
    pub gateway: Gateway,
}

impl Site {
    /// Lays it out, and waits until all reach the gateway.
    #[track_caller]
    #[must_use]
    pub fn new(lab: &Lab, forwarder: Forwarder, policy: &Policy) -> Self {
        let options = SiteOptions { policy: policy.clone(), ..SiteOptions::default() };
        Self::with(lab, forwarder, &options)
    }

    /// The same with options.
    #[track_caller]
    #[must_use]
    pub fn with(lab: &Lab, forwarder: Forwarder, options: &SiteOptions) -> Self {
        let (inside, second) = (lab.host("inside"), lab.host("second"));
        let (switch, outside) = (lab.host("switch"), lab.host("outside"));
        switch.run("ip link add wire type bridge");
        switch.run("ip link set wire up");
        let mut lan =
            Port::new("lan", &switch, &["10.1.0.1/24", "2001:db8:1::1/64"]).towards("gateway");
        let mut wan = Port::new("wan", &outside, &["203.0.113.1/24", "2001:db8:2::1/64"]);
        wan.mtu = options.wan_mtu;
        wan.mss_clamp = options.mss_clamp;
        for port in [&mut lan, &mut wan] {
            port.anti_spoofing = options.anti_spoofing;
        }
        let plan = Plan {
            ports: vec![lan, wan],
            policy: options.policy.clone(),
            file: options.file.clone(),
            gateway: options.gateway.clone(),
            ..Plan::default()
        };
        let gateway = Gateway::start(lab, forwarder, &plan);
        for (host, port) in [(&inside, "inside"), (&second, "second")] {
            link((host, "eth0"), (&switch, port));
        }
        for port in ["gateway", "inside", "second"] {
            switch.run(&format!("ip link set {port} master wire up"));
        }
        for (host, number) in [(&inside, 2), (&second, 3)] {
            let addresses = [format!("10.1.0.{number}/24"), format!("2001:db8:1::{number}/64")];
            host.configure("eth0", &addresses.each_ref().map(String::as_str));
            host.run("ip route add default via 10.1.0.1");
            host.run("ip -6 route add default via 2001:db8:1::1");
        }
        let addresses = ["203.0.113.254/24", "203.0.113.253/24", "2001:db8:2::2/64"];
        outside.configure("eth0", &addresses);
        outside.run("ip -6 route add default via 2001:db8:2::1");
        if options.routed {
            outside.run("ip route add 10.1.0.0/24 via 203.0.113.1");
        }
        if !options.cold {
            for host in [&inside, &second] {
                host.reaches_within(Duration::from_secs(10), "10.1.0.1");
            }
            for address in ["203.0.113.1", "2001:db8:2::1"] {
                outside.reaches_within(Duration::from_secs(10), address);
            }
        }
        wait_until("the gateway knows of its links", Duration::from_secs(10), || {
            gateway.has_all_links()
        });
        Self { inside, second, outside, gateway }
    }
}
