//! `[firewall]`.

use schemars::JsonSchema;
use serde::Serialize;

use super::{List, NamedLists, OneOrMany, Optional};
use crate::decode::{DecodeTable, Table};

/// The stateful firewall: rules between zones.
#[derive(Default, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "Firewall")]
pub(crate) struct RawFirewall {
    /// What becomes of flows through the gateway that no rule names.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["accept", "drop", "reject"], "default" = "drop"))]
    pub(crate) default: Optional<String>,
    /// What becomes of flows to the gateway itself that no rule names.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["accept", "drop", "reject"], "default" = "accept"))]
    pub(crate) gateway_default: Optional<String>,
    /// Whether what the defaults drop or reject is logged.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub(crate) log_default: Optional<bool>,
    /// Whether a TCP connection whose beginning the gateway has not seen is taken up in the middle
    /// if a rule accepts it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = true))]
    pub(crate) tcp_pickup: Optional<bool>,
    /// Sets of addresses that rules use by name. A set holds addresses, networks, ranges and other
    /// sets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) addresses: Optional<NamedLists>,
    /// Sets of services that rules use by name. A set holds services and other sets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) services: Optional<NamedLists>,
    /// The rules. The first that matches a flow decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rule: Optional<List<RawRule>>,
    /// Whether something stands in the table that was not understood.
    #[serde(skip)]
    pub(crate) has_unread: bool,
}

impl DecodeTable for RawFirewall {
    const TITLE: &'static str = "[firewall]";

    fn fields(table: &mut Table<'_, '_>) -> Self {
        Self {
            default: table.optional("default"),
            gateway_default: table.optional("gateway-default"),
            log_default: table.optional("log-default"),
            tcp_pickup: table.optional("tcp-pickup"),
            addresses: table.optional("addresses"),
            services: table.optional("services"),
            rule: table.optional("rule"),
            has_unread: table.has_unread(),
        }
    }
}

/// A rule of the firewall. What is left out matches everything.
#[derive(Default, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "Rule")]
pub(crate) struct RawRule {
    /// Its name, which no other rule has: in counters, in the log, in `diff`.
    #[schemars(required, length(min = 1, max = 64))]
    pub(crate) name: Optional<String>,
    /// The zone, or zones, that a flow comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) from: Optional<OneOrMany>,
    /// The zone, or zones, that it goes to; `gateway` is the gateway itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) to: Optional<OneOrMany>,
    /// Where it comes from: addresses, networks, ranges (`10.0.0.1-10.0.0.9`), names of sets.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub(crate) source: Optional<List<String>>,
    /// Where it goes, as the inside host is addressed, after translation by `[[nat.forward]]` and
    /// `[[nat.static]]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub(crate) destination: Optional<List<String>>,
    /// What it is: `tcp/443`, `udp/5000-5010`, `icmp`, `icmp/echo-request`, `gre`, `47`, names of
    /// sets.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub(crate) service: Optional<List<String>>,
    /// What becomes of it.
    #[schemars(required, extend("enum" = ["accept", "drop", "reject"]))]
    pub(crate) action: Optional<String>,
    /// Whether each flow that the rule decides on is logged.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub(crate) log: Optional<bool>,
}

impl DecodeTable for RawRule {
    const TITLE: &'static str = "[[firewall.rule]]";

    fn fields(table: &mut Table<'_, '_>) -> Self {
        Self {
            name: table.required("name"),
            from: table.optional("from"),
            to: table.optional("to"),
            source: table.optional("source"),
            destination: table.optional("destination"),
            service: table.optional("service"),
            action: table.required("action"),
            log: table.optional("log"),
        }
    }
}
