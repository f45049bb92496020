//! The rows of answers. Units are in the names of fields, or in their descriptions.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// What an answer is made of.
pub trait Row: Serialize + DeserializeOwned {}

macro_rules! names {
    ($( $(#[$doc:meta])* $name:ident { $( $(#[$of:meta])* $variant:ident = $text:literal, )+ } )+) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
        pub enum $name {
            $( $(#[$of])* #[serde(rename = $text)] $variant, )+
        }

        impl $name {
            /// As it is written in answers and tables.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $( Self::$variant => $text, )+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }
    )+ };
}

names! {
    /// The mode of seccomp(2), from /proc.
    SeccompMode {
        /// Every system call is allowed.
        Disabled = "disabled",
        /// Only read, write and exit.
        Strict = "strict",
        /// A filter decides.
        Filter = "filter",
    }

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

/// A thread, as it is read back from /proc.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ThreadRow {
    /// Its name, as `top -H` shows it.
    pub name: String,
    /// The kernel's number of it.
    pub tid: u32,
    /// What it does in the gateway: `io`, `pipeline`, `trap`, `vpc-manager`, `control`.
    pub role: String,
    /// The network namespace it is in: a name, or `private`, or `host`.
    pub namespace: String,
    /// The CPUs it may run on, as the kernel lists them: `2-3`.
    pub cpus_allowed: String,
    /// The CPU it ran on last.
    pub last_cpu: u32,
    /// Names of the capabilities in its effective set: `CAP_NET_RAW`.
    pub cap_effective: Vec<String>,
    /// Those in its permitted set.
    pub cap_permitted: Vec<String>,
    /// Those in its inheritable set.
    pub cap_inheritable: Vec<String>,
    /// Those in its bounding set.
    pub cap_bounding: Vec<String>,
    /// Those in its ambient set.
    pub cap_ambient: Vec<String>,
    /// Whether no execve(2) can give it more privileges.
    pub no_new_privs: bool,
    /// Its seccomp mode.
    pub seccomp: SeccompMode,
    /// Processor time it has used, user and system, in seconds.
    pub cpu_time_seconds: f64,
    /// Its state, the letter of proc(5): `R` runs, `S` sleeps.
    pub state: String,
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

/// Packets that were dropped for one reason.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DropRow {
    /// The reason's name: `ttl-exceeded`.
    pub reason: String,
    /// How many, since the start.
    pub packets: u64,
    /// What it means.
    pub help: String,
}

/// A counter.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CounterRow {
    /// Its name.
    pub name: String,
    /// What it counts for: `interface` = `wan`, `worker` = `0`.
    pub labels: BTreeMap<String, String>,
    /// How many, since the start.
    pub value: u64,
    /// What it means.
    pub help: String,
}

/// The configuration that the gateway runs with.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ConfigRow {
    /// The file that it was read from.
    pub file: String,
    /// It as a file, defaults written out.
    pub toml: String,
    /// It as JSON, with the names of the file.
    pub config: serde_json::Value,
}

impl Row for ThreadRow {}
impl Row for InterfaceRow {}
impl Row for RouteRow {}
impl Row for NeighborRow {}
impl Row for DropRow {}
impl Row for CounterRow {}
impl Row for ConfigRow {}
/// A row as it came, for programs that pass it on.
impl Row for Box<RawValue> {}

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

    #[test]
    fn names_in_tables_are_those_in_json() {
        assert_eq!(serde_json::json!(NeighborState::NoArp), NeighborState::NoArp.name());
        assert_eq!(serde_json::json!(SeccompMode::Filter), SeccompMode::Filter.name());
    }
}
