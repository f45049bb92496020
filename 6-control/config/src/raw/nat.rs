//! `[nat]`.

use schemars::JsonSchema;
use serde::Serialize;

use super::{List, Optional};
use crate::decode::{DecodeTable, Table};

/// Network address translation.
#[derive(Default, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "Nat")]
pub(crate) struct RawNat {
    /// Many inside hosts share few addresses. The first whose `source` and `out` fit is the one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) masquerade: Optional<List<RawMasquerade>>,
    /// Ports of an outside address lead to an inside host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) forward: Optional<List<RawForward>>,
    /// An outside network stands for an inside one, address by address, both ways, without state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) r#static: Optional<List<RawStatic>>,
}

impl DecodeTable for RawNat {
    const TITLE: &'static str = "[nat]";

    fn fields(table: &mut Table<'_, '_>) -> Self {
        Self {
            masquerade: table.optional("masquerade"),
            forward: table.optional("forward"),
            r#static: table.optional("static"),
        }
    }
}

/// Many inside hosts share few addresses (RFC 4787, RFC 5382, RFC 5508).
#[derive(Default, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "Masquerade")]
pub(crate) struct RawMasquerade {
    /// The IPv4 networks of the inside hosts: `10.0.0.0/8`.
    #[schemars(required, length(min = 1))]
    pub(crate) source: Optional<List<String>>,
    /// IPv4 networks to which nothing is translated (RFC 6888, REQ-6): `192.168.0.0/16`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub(crate) except: Optional<List<String>>,
    /// The interface by which the translated packets leave.
    #[schemars(required)]
    pub(crate) out: Optional<String>,
    /// The IPv4 addresses that are shared, as addresses, networks or ranges:
    /// `203.0.113.1-203.0.113.5`. Default: the first IPv4 address of the `out` interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub(crate) pool: Optional<List<String>>,
    /// The ports that are shared, of each address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        regex(pattern = r"^[0-9]{1,5}(-[0-9]{1,5})?$"),
        extend("default" = "1024-65535")
    )]
    pub(crate) ports: Optional<String>,
    /// Who may send to a mapping: `endpoint-independent`, anyone; `address-dependent`, the
    /// addresses only that the inside host has sent to (RFC 4787, REQ-8).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend(
        "enum" = ["endpoint-independent", "address-dependent"],
        "default" = "endpoint-independent"
    ))]
    pub(crate) filtering: Optional<String>,
    /// Most ports that one inside host can have, of each protocol. Default: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub(crate) ports_per_source: Optional<i64>,
    /// Ports are given to an inside host in blocks of this many, a power of two. Default: one by
    /// one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = [64, 128, 256, 512, 1024, 2048, 4096]))]
    pub(crate) port_block_size: Optional<i64>,
}

impl DecodeTable for RawMasquerade {
    const TITLE: &'static str = "[[nat.masquerade]]";

    fn fields(table: &mut Table<'_, '_>) -> Self {
        Self {
            source: table.required("source"),
            except: table.optional("except"),
            out: table.required("out"),
            pool: table.optional("pool"),
            ports: table.optional("ports"),
            filtering: table.optional("filtering"),
            ports_per_source: table.optional("ports-per-source"),
            port_block_size: table.optional("port-block-size"),
        }
    }
}

/// Ports of an outside address that lead to an inside host.
#[derive(Default, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "Forward")]
pub(crate) struct RawForward {
    /// The interface by which the packets come in.
    #[schemars(required)]
    pub(crate) r#in: Optional<String>,
    /// The protocol.
    #[schemars(required, extend("enum" = ["tcp", "udp"]))]
    pub(crate) protocol: Optional<String>,
    /// The outside IPv4 address, and its port or ports: `203.0.113.1:8443`,
    /// `203.0.113.1:5000-5010`.
    #[schemars(required)]
    pub(crate) destination: Optional<String>,
    /// The inside host, and its port or as many ports: `10.0.0.5:443`.
    #[schemars(required)]
    pub(crate) to: Optional<String>,
    /// Whether inside hosts can use the outside address too.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = true))]
    pub(crate) hairpin: Optional<bool>,
}

impl DecodeTable for RawForward {
    const TITLE: &'static str = "[[nat.forward]]";

    fn fields(table: &mut Table<'_, '_>) -> Self {
        Self {
            r#in: table.required("in"),
            protocol: table.required("protocol"),
            destination: table.required("destination"),
            to: table.required("to"),
            hairpin: table.optional("hairpin"),
        }
    }
}

/// An outside network that stands for an inside one of the same size. With IPv6, network prefix
/// translation (RFC 6296).
#[derive(Default, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "Static")]
pub(crate) struct RawStatic {
    /// The interface outside of which the external network is.
    #[schemars(required)]
    pub(crate) on: Optional<String>,
    /// The network as it is outside: `203.0.113.64/28`.
    #[schemars(required)]
    pub(crate) external: Optional<String>,
    /// The network as it is inside: `10.0.0.64/28`.
    #[schemars(required)]
    pub(crate) internal: Optional<String>,
}

impl DecodeTable for RawStatic {
    const TITLE: &'static str = "[[nat.static]]";

    fn fields(table: &mut Table<'_, '_>) -> Self {
        Self {
            on: table.required("on"),
            external: table.required("external"),
            internal: table.required("internal"),
        }
    }
}
