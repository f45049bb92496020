//! The file as it is written: a field per key, nothing checked but the types.
//!
//! These types are the one list of keys: the decoder fills them, the JSON Schema is derived from
//! them (so their doc comments are what an editor shows), and a [`Config`](crate::Config) is
//! written back through them.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use std::borrow::Cow;

use crate::decode::{DecodeTable, Table};
use crate::source::Located;

mod dpdk;
mod firewall;
mod limits;
mod nat;
mod shapes;

pub(crate) use dpdk::RawDpdk;
pub(crate) use firewall::{RawFirewall, RawRule};
pub(crate) use limits::{RawLimits, RawTimeouts};
pub(crate) use nat::{RawForward, RawMasquerade, RawNat, RawStatic};
pub(crate) use shapes::{NamedList, NamedLists, OneOrMany};

/// A value that may be left out.
type Optional<T> = Option<Located<T>>;

/// A list in the file.
type List<T> = Vec<Located<T>>;

/// The configuration of a Portcullis gateway.
#[derive(Default, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(title = "portcullis.toml")]
pub(crate) struct RawConfig {
    /// The gateway as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gateway: Optional<RawGateway>,
    /// Interfaces. Each is a device in the link namespace and, under the interface's name, a tap
    /// in the VPC namespace.
    #[schemars(required, extend("minItems" = 1))]
    pub(crate) interface: Optional<List<RawInterface>>,
    /// Static routes. FRR and `ip route` in the VPC namespace add theirs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) route: Optional<List<RawRoute>>,
    /// Network address translation. Left out: no address is translated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) nat: Optional<RawNat>,
    /// The stateful firewall. Left out: everything is forwarded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) firewall: Optional<RawFirewall>,
    /// How long flows are remembered after their last packet, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timeouts: Optional<RawTimeouts>,
    /// How many flows are remembered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limits: Optional<RawLimits>,
    /// How DPDK is started, if any interface is on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dpdk: Optional<RawDpdk>,
    /// Counters for Prometheus. Not available in this version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) metrics: Option<Unavailable>,
    /// Whether something stands in the table that was not understood.
    #[serde(skip)]
    pub(crate) has_unread: bool,
}

impl DecodeTable for RawConfig {
    const TITLE: &'static str = "the file";

    fn fields(table: &mut Table<'_, '_>) -> Self {
        Self {
            gateway: table.optional("gateway"),
            interface: table.required("interface"),
            route: table.optional("route"),
            nat: table.optional("nat"),
            firewall: table.optional("firewall"),
            timeouts: table.optional("timeouts"),
            limits: table.optional("limits"),
            dpdk: table.optional("dpdk"),
            metrics: table.unavailable("metrics", "nothing would be served there"),
            has_unread: table.has_unread(),
        }
    }
}

/// The gateway as a whole.
#[derive(Default, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "Gateway")]
pub(crate) struct RawGateway {
    /// The gateway's name. The control socket is called after it. Default: the host's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"))]
    pub(crate) name: Optional<String>,
    /// The network namespace of the devices. Made if missing, and taken away again at exit if made
    /// by the gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), extend("default" = "link"))]
    pub(crate) link_namespace: Optional<String>,
    /// The network namespace of the control plane (FRR) and the taps. Made if missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), extend("default" = "vpc"))]
    pub(crate) vpc_namespace: Optional<String>,
    /// How many workers, each an I/O thread and a pipeline thread. Default: as many as the CPUs carry.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 256))]
    pub(crate) workers: Optional<i64>,
    /// Threads of a worker: 2, one for I/O and one for the pipeline (default), or 1 for both, if all interfaces are on DPDK.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2), extend("default" = 2))]
    pub(crate) threads_per_worker: Optional<i64>,
    /// CPUs of the workers, as a list of numbers and ranges: `2-5,8`. Default: the isolated CPUs,
    /// or all where none is isolated.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*$"))]
    pub(crate) cpus: Optional<String>,
}

impl DecodeTable for RawGateway {
    const TITLE: &'static str = "[gateway]";

    fn fields(table: &mut Table<'_, '_>) -> Self {
        Self {
            name: table.optional("name"),
            link_namespace: table.optional("link-namespace"),
            vpc_namespace: table.optional("vpc-namespace"),
            workers: table.optional("workers"),
            threads_per_worker: table.optional("threads-per-worker"),
            cpus: table.optional("cpus"),
        }
    }
}

/// An interface of the gateway.
#[derive(Default, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "Interface")]
pub(crate) struct RawInterface {
    /// Its name everywhere: in rules, in counters, and that of its tap in the VPC namespace.
    #[schemars(required, length(min = 1, max = 15))]
    pub(crate) name: Optional<String>,
    /// How frames are received and sent: `af-packet`, which works with every device of the
    /// kernel's, or `dpdk`, in a gateway that was built with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["af-packet", "dpdk"], "default" = "af-packet"))]
    pub(crate) driver: Optional<String>,
    /// The device, by the kernel's name for it. With `dpdk` a PCI address, or a virtual device
    /// with its arguments: `net_memif0,role=client`.
    #[schemars(required, length(min = 1, max = 255))]
    pub(crate) device: Optional<String>,
    /// The gateway's own addresses on this interface, each with the length of its network's
    /// prefix: `203.0.113.1/24`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) addresses: Optional<List<String>>,
    /// The largest IP packet, in bytes. At least 1280 with IPv6 addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 68, max = 65535), extend("default" = 1500))]
    pub(crate) mtu: Optional<i64>,
    /// The zone by which firewall rules name the interface. Default: the interface's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub(crate) zone: Optional<String>,
    /// What is asked of the source address of each packet that comes in (RFC 3704): `strict`, that
    /// its way back leaves by this interface; `loose`, that there is a way back; `off`, nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["strict", "loose", "off"], "default" = "off"))]
    pub(crate) anti_spoofing: Optional<String>,
    /// Whether the maximum segment size that TCP peers announce through this interface is lowered
    /// to what its MTU carries.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub(crate) mss_clamp: Optional<bool>,
    /// Whether something stands in the table that was not understood.
    #[serde(skip)]
    pub(crate) has_unread: bool,
}

impl DecodeTable for RawInterface {
    const TITLE: &'static str = "[[interface]]";

    fn fields(table: &mut Table<'_, '_>) -> Self {
        Self {
            name: table.required("name"),
            driver: table.optional("driver"),
            device: table.required("device"),
            addresses: table.optional("addresses"),
            mtu: table.optional("mtu"),
            zone: table.optional("zone"),
            anti_spoofing: table.optional("anti-spoofing"),
            mss_clamp: table.optional("mss-clamp"),
            has_unread: table.has_unread(),
        }
    }
}

/// A static route. It has exactly one of `via`, `blackhole`, `unreachable` and `prohibit`.
#[derive(Default, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "Route")]
pub(crate) struct RawRoute {
    /// The network that the route leads to: `0.0.0.0/0`.
    #[schemars(required)]
    pub(crate) to: Optional<String>,
    /// Addresses of the next hops, each on a network of one of the interfaces. With several, flows
    /// are spread over them (ECMP).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub(crate) via: Optional<List<String>>,
    /// The interface by which the next hops are reached. Needed for IPv6 link-local next hops and
    /// for those outside the interfaces' networks. Only with `via`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) interface: Optional<String>,
    /// Whether packets are dropped without an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub(crate) blackhole: Optional<bool>,
    /// Whether packets are dropped and answered with destination unreachable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub(crate) unreachable: Optional<bool>,
    /// Whether packets are dropped and answered with administratively prohibited.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub(crate) prohibit: Optional<bool>,
    /// Whether something stands in the table that was not understood.
    #[serde(skip)]
    pub(crate) has_unread: bool,
}

impl DecodeTable for RawRoute {
    const TITLE: &'static str = "[[route]]";

    fn fields(table: &mut Table<'_, '_>) -> Self {
        Self {
            to: table.required("to"),
            via: table.optional("via"),
            interface: table.optional("interface"),
            blackhole: table.optional("blackhole"),
            unreachable: table.optional("unreachable"),
            prohibit: table.optional("prohibit"),
            has_unread: table.has_unread(),
        }
    }
}

/// A section that is reserved for a later version. It has no values: none can be given.
#[derive(Serialize)]
pub(crate) enum Unavailable {}

impl JsonSchema for Unavailable {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Unavailable".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "not": {} })
    }
}
