//! `[timeouts]` and `[limits]`.

use schemars::JsonSchema;
use serde::Serialize;

use super::Optional;
use crate::decode::{DecodeTable, Table};

/// How long a flow is remembered after its last packet, in seconds.
#[derive(Default, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "Timeouts")]
pub(crate) struct RawTimeouts {
    /// A TCP connection that is established. RFC 5382, REQ-5 asks for 7440 or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 604_800), extend("default" = 7440))]
    pub(crate) tcp_established: Optional<i64>,
    /// A TCP connection that is being opened, or has been closed. RFC 5382, REQ-5 asks for 240 or
    /// more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 604_800), extend("default" = 240))]
    pub(crate) tcp_transitory: Optional<i64>,
    /// A flow of UDP. RFC 4787, REQ-5 asks for 120 or more, and recommends 300.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 604_800), extend("default" = 300))]
    pub(crate) udp: Optional<i64>,
    /// A query of ICMP. RFC 5508, REQ-2 asks for 60 or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 604_800), extend("default" = 60))]
    pub(crate) icmp: Optional<i64>,
    /// A flow of any other protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 604_800), extend("default" = 600))]
    pub(crate) other: Optional<i64>,
}

impl DecodeTable for RawTimeouts {
    const TITLE: &'static str = "[timeouts]";

    fn fields(table: &mut Table<'_, '_>) -> Self {
        Self {
            tcp_established: table.optional("tcp-established"),
            tcp_transitory: table.optional("tcp-transitory"),
            udp: table.optional("udp"),
            icmp: table.optional("icmp"),
            other: table.optional("other"),
        }
    }
}

/// How much is remembered.
#[derive(Default, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "Limits")]
pub(crate) struct RawLimits {
    /// Most flows of the gateway. What would be one more is dropped and counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64_000_000), extend("default" = 1_000_000))]
    pub(crate) flows: Optional<i64>,
    /// Most flows of one source address, `flows` at most. Default: as many as `flows`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64_000_000))]
    pub(crate) flows_per_source: Optional<i64>,
}

impl DecodeTable for RawLimits {
    const TITLE: &'static str = "[limits]";

    fn fields(table: &mut Table<'_, '_>) -> Self {
        Self {
            flows: table.optional("flows"),
            flows_per_source: table.optional("flows-per-source"),
        }
    }
}
