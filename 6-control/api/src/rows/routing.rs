//! Interfaces, routes, neighbours.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

names! {
    /// What a route does with packets.
    RouteKind {
        /// Forwards them by its next hops.
        Unicast = "unicast",
        /// Hands them to hosts on an interface's own network.
        Connected = "connected",
        /// Hands them to the gateway's kernel.
        Local = "local",
        /// Drops them without an answer.
        Blackhole = "blackhole",
        /// Drops them and answers with destination unreachable.
        Unreachable = "unreachable",
        /// Drops them and answers with administratively prohibited.
        Prohibit = "prohibit",
    }

    /// Whether packets can leave by a next hop.
    NextHopState {
        /// Its link-layer address is known.
        Resolved = "resolved",
        /// Its link-layer address is being asked for as soon as a packet needs it.
        Unresolved = "unresolved",
        /// Its interface is down.
        Down = "down",
    }

    /// What the kernel knows about a neighbour (`NUD_*` of rtnetlink(7)).
    NeighborState {
        /// Nothing yet.
        None = "none",
        /// It has been asked and has not answered.
        Incomplete = "incomplete",
        /// It was heard from a short while ago.
        Reachable = "reachable",
        /// It has not been heard from for a while.
        Stale = "stale",
        /// It is in use, and will be asked again soon.
        Delay = "delay",
        /// It is being asked again.
        Probe = "probe",
        /// It did not answer.
        Failed = "failed",
        /// It was entered by hand.
        Permanent = "permanent",
        /// Its link needs no resolution.
        NoArp = "noarp",
    }
}

/// An interface of the gateway.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct InterfaceRow {
    /// Its name.
    pub name: String,
    /// Its number in the gateway, from 0.
    pub index: u32,
    /// What moves its frames: `af-packet`.
    pub driver: String,
    /// Its device.
    pub device: String,
    /// Its MAC address: `02:00:00:00:00:01`.
    pub mac: String,
    /// The largest IP packet, in bytes.
    pub mtu: u32,
    /// Whether its tap is set up in the VPC namespace.
    pub admin_up: bool,
    /// Whether its device has carrier.
    pub carrier: bool,
    /// Its addresses in the VPC namespace, with their networks' prefix lengths.
    pub addresses: Vec<IpNet>,
    /// The zone it is in.
    pub zone: String,
    /// Frames received.
    pub rx_packets: u64,
    /// Bytes received, without preamble and frame check sequence.
    pub rx_bytes: u64,
    /// Frames sent.
    pub tx_packets: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets that came in here, or were to leave here, and were dropped.
    pub drops: u64,
    /// The offloads in use: `rx-checksum`, `tso`.
    pub offloads: Vec<String>,
    /// Why its device is not in use: `there is no device "eth1"`. None if it is.
    pub problem: Option<String>,
}

/// A route.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RouteRow {
    /// The number of its VRF.
    pub vrf: u16,
    /// The network it leads to.
    pub prefix: IpNet,
    /// What it does with packets.
    pub kind: RouteKind,
    /// Who made it, by the name in /etc/iproute2/rt_protos: `kernel`, `static`, `bgp`, `ospf`.
    pub protocol: String,
    /// Of routes to the same network, that with the lowest metric is used.
    pub metric: u32,
    /// Where packets go.
    pub next_hops: Vec<NextHopRow>,
    /// Whether the dataplane forwards by it.
    pub installed: bool,
}

/// A next hop of a route.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NextHopRow {
    /// Its address; none if the network is on the interface itself.
    pub via: Option<IpAddr>,
    /// The interface that packets leave by; none of the gateway's for `local`.
    pub interface: Option<String>,
    /// Its share of the flows, relative to the other next hops' weights.
    pub weight: u16,
    /// Whether packets can leave by it.
    pub state: NextHopState,
}

/// A neighbour: who is on the same link.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NeighborRow {
    /// The interface it is behind.
    pub interface: String,
    /// Its address.
    pub address: IpAddr,
    /// Its MAC address, if that is known.
    pub mac: Option<String>,
    /// What the kernel knows about it.
    pub state: NeighborState,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_written_with_the_names_that_are_documented() {
        let route = RouteRow {
            vrf: 0,
            prefix: "192.0.2.0/24".parse().expect("a prefix"),
            kind: RouteKind::Unicast,
            protocol: "bgp".into(),
            metric: 20,
            next_hops: vec![NextHopRow {
                via: "203.0.113.254".parse().ok(),
                interface: Some("wan".into()),
                weight: 1,
                state: NextHopState::Resolved,
            }],
            installed: true,
        };
        let text = serde_json::to_string(&route).expect("serializable");
        assert_eq!(
            text,
            r#"{"vrf":0,"prefix":"192.0.2.0/24","kind":"unicast","protocol":"bgp","metric":20,"next_hops":[{"via":"203.0.113.254","interface":"wan","weight":1,"state":"resolved"}],"installed":true}"#
        );
        assert_eq!(serde_json::from_str::<RouteRow>(&text).expect("readable"), route);
    }
}
