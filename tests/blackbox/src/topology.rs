//! The layout that most tests use: a host on either side of the forwarder.

use std::time::Duration;

use crate::forwarder::{Forwarder, Gateway, Plan, Port};
use crate::host::Host;
use crate::lab::Lab;
use crate::wait::wait_until;

/// What may differ from one pair to the next.
#[derive(Clone, Debug, Default)]
pub struct PairOptions {
    /// The MTU of the wire to the far host, if not 1500.
    pub far_mtu: Option<u32>,
    /// Whether to run what was built for speed.
    pub release: bool,
    /// More of portcullis.toml.
    pub file: String,
    /// Lines of portcullis.toml's `[gateway]` table.
    pub gateway: String,
    /// Leave neighbours unresolved, and do not wait until traffic passes.
    pub cold: bool,
}

/// Two hosts with a forwarder between them.
///
/// The near host is 10.1.0.2 and 2001:db8:1::2 behind the forwarder's `lan` (10.1.0.1,
/// 2001:db8:1::1), the far host 10.2.0.2 and 2001:db8:2::2 behind its `wan` (10.2.0.1,
/// 2001:db8:2::1). Both hosts call their interface `eth0`.
#[derive(Debug)]
pub struct Pair {
    /// The host behind `lan`.
    pub near: Host,
    /// The host behind `wan`.
    pub far: Host,
    /// What forwards between them.
    pub gateway: Gateway,
}

impl Pair {
    /// Lays it out, and waits until both hosts reach each other.
    #[track_caller]
    #[must_use]
    pub fn new(lab: &Lab, forwarder: Forwarder) -> Self {
        Self::with(lab, forwarder, &PairOptions::default())
    }

    /// The same with options.
    #[track_caller]
    #[must_use]
    pub fn with(lab: &Lab, forwarder: Forwarder, options: &PairOptions) -> Self {
        let near = lab.host("near");
        let far = lab.host("far");
        let mut wan = Port::new("wan", &far, &["10.2.0.1/24", "2001:db8:2::1/64"]);
        wan.mtu = options.far_mtu;
        let lan = Port::new("lan", &near, &["10.1.0.1/24", "2001:db8:1::1/64"]);
        let plan = Plan {
            ports: vec![lan, wan],
            release: options.release,
            file: options.file.clone(),
            gateway: options.gateway.clone(),
            ..Plan::default()
        };
        let gateway = Gateway::start(lab, forwarder, &plan);
        for (host, number) in [(&near, 1), (&far, 2)] {
            host.configure(
                "eth0",
                &[&format!("10.{number}.0.2/24"), &format!("2001:db8:{number}::2/64")],
            );
            host.run(&format!("ip route add default via 10.{number}.0.1"));
            host.run(&format!("ip -6 route add default via 2001:db8:{number}::1"));
        }
        if forwarder == Forwarder::Testpmd {
            suit_testpmd(&near, 1);
            suit_testpmd(&far, 2);
        }
        wait_until("the gateway knows of its links", Duration::from_secs(10), || {
            gateway.has_all_links()
        });
        if !options.cold {
            near.reaches_within(Duration::from_secs(10), "10.2.0.2");
            near.reaches_within(Duration::from_secs(10), "2001:db8:2::2");
        }
        Self { near, far, gateway }
    }
}

/// testpmd answers no ARP, takes any MAC address for its own, and completes no checksum.
#[track_caller]
fn suit_testpmd(host: &Host, number: u8) {
    for gateway in [format!("10.{number}.0.1"), format!("2001:db8:{number}::1")] {
        host.run(&format!("ip neigh replace {gateway} lladdr 02:00:00:00:00:01 dev eth0"));
    }
    host.run("ethtool -K eth0 tx off sg off tso off gso off gro off");
}
