//! Which flows, and in which order.

use std::cmp::Ordering;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};
use serde_json::{Error, Map, Value};

use crate::request::IpProtocol;
use crate::rows::FlowRow;

/// Which flows; all conditions must hold.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FlowFilter {
    /// The initiator has an address of this network, before or after translation.
    #[serde(deserialize_with = "network", skip_serializing_if = "Option::is_none")]
    pub source: Option<IpNet>,
    /// The responder has an address of this network, before or after translation.
    #[serde(deserialize_with = "network", skip_serializing_if = "Option::is_none")]
    pub destination: Option<IpNet>,
    /// Either has an address of this network, before or after translation.
    #[serde(deserialize_with = "network", skip_serializing_if = "Option::is_none")]
    pub host: Option<IpNet>,
    /// Either has this port, before or after translation; or this identifier, of ICMP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Its protocol is this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<IpProtocol>,
    /// Its packets come in or leave by this interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// This rule let it in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// It is in this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// It is translated, or is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nat: Option<bool>,
}

names! {
    /// What to sort flows by.
    FlowSort {
        /// Most bytes first, both directions together.
        Bytes = "bytes",
        /// Most packets first, both directions together.
        Packets = "packets",
        /// Oldest first.
        Age = "age",
        /// Longest without a packet first.
        Idle = "idle",
        /// By the initiator's address and port.
        Source = "source",
    }
}

/// Which flows to show.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub struct FlowQuery {
    /// Those that are admitted.
    #[serde(flatten)]
    pub filter: FlowFilter,
    /// Of [`Self::top`], the order; [`FlowSort::Bytes`] if it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sort: Option<FlowSort>,
    /// Only the first so many, in order. Without it all come, in no order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top: Option<u32>,
}

/// Which flows to end: some, or explicitly all. So a forgotten filter does not end all of them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "Map<String, Value>", into = "FlushWords")]
pub struct FlushFlows {
    /// Those that are admitted; if it is empty, all was asked for.
    pub filter: FlowFilter,
}

/// [`FlushFlows`] as it is written.
#[derive(Serialize)]
struct FlushWords {
    #[serde(flatten)]
    filter: FlowFilter,
    #[serde(skip_serializing_if = "Option::is_none")]
    all: Option<bool>,
}

/// What to show of address translation.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NatQuery {
    /// Also the mappings.
    pub mappings: bool,
    /// Of the mappings, those of inside hosts of this network.
    #[serde(deserialize_with = "network", skip_serializing_if = "Option::is_none")]
    pub source: Option<IpNet>,
}

/// Reads a network, or an address, which is the network with nothing else in it.
///
/// # Errors
/// It is neither.
pub fn parse_network(text: &str) -> Result<IpNet, ipnet::AddrParseError> {
    text.parse::<IpAddr>().map(IpNet::from).or_else(|_| text.parse())
}

fn network<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IpNet>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| parse_network(&text).map_err(de::Error::custom)).transpose()
}

impl FlowFilter {
    /// Whether it admits all flows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a flow is one that was asked for.
    #[must_use]
    pub fn admits(&self, flow: &FlowRow) -> bool {
        let initiator = [flow.initiator(), flow.translated_initiator()];
        let responder = [flow.responder(), flow.translated_responder()];
        let within = |network: &IpNet, ends: &[(IpAddr, Option<u16>)]| {
            ends.iter().any(|(address, _)| network.contains(address))
        };
        let either = || initiator.iter().chain(&responder);
        let named = |wanted: &String, name: &Option<String>| name.as_ref() == Some(wanted);
        self.source.as_ref().is_none_or(|network| within(network, &initiator))
            && self.destination.as_ref().is_none_or(|network| within(network, &responder))
            && (self.host.as_ref())
                .is_none_or(|network| within(network, &initiator) || within(network, &responder))
            && self.port.is_none_or(|port| either().any(|&(_, of)| of == Some(port)))
            && self.protocol.is_none_or(|wanted| flow.protocol.parse() == Ok(wanted))
            && self.interface.as_ref().is_none_or(|wanted| {
                named(wanted, &flow.in_interface) || named(wanted, &flow.out_interface)
            })
            && self.rule.as_ref().is_none_or(|wanted| named(wanted, &flow.rule))
            && self.state.as_ref().is_none_or(|wanted| *wanted == flow.state)
            && self.nat.is_none_or(|wanted| wanted == flow.nat.is_some())
    }
}

impl FlowSort {
    /// Which of two flows comes first.
    #[must_use]
    pub fn compare(self, a: &FlowRow, b: &FlowRow) -> Ordering {
        let order = match self {
            Self::Bytes => b.all_bytes().cmp(&a.all_bytes()),
            Self::Packets => b.all_packets().cmp(&a.all_packets()),
            Self::Age => b.age_seconds.total_cmp(&a.age_seconds),
            Self::Idle => b.idle_seconds.total_cmp(&a.idle_seconds),
            Self::Source => a.initiator().cmp(&b.initiator()),
        };
        order.then(a.id.cmp(&b.id))
    }
}

// The fields of a filter stand among those of the request: serde can flatten them, but does not see
// unknown fields then.

impl TryFrom<Map<String, Value>> for FlowQuery {
    type Error = Error;

    fn try_from(mut words: Map<String, Value>) -> Result<Self, Error> {
        let sort = take(&mut words, "sort")?;
        let top = take(&mut words, "top")?;
        Ok(Self { filter: FlowFilter::deserialize(Value::Object(words))?, sort, top })
    }
}

impl TryFrom<Map<String, Value>> for FlushFlows {
    type Error = Error;

    fn try_from(mut words: Map<String, Value>) -> Result<Self, Error> {
        let all = take::<bool>(&mut words, "all")?.unwrap_or(false);
        let filter = FlowFilter::deserialize(Value::Object(words))?;
        match (all, filter.is_empty()) {
            (true, true) | (false, false) => Ok(Self { filter }),
            (false, true) => Err(de::Error::custom("to end all flows, say `\"all\":true`")),
            (true, false) => Err(de::Error::custom("all flows, or only some?")),
        }
    }
}

impl From<FlushFlows> for FlushWords {
    fn from(FlushFlows { filter }: FlushFlows) -> Self {
        Self { all: filter.is_empty().then_some(true), filter }
    }
}

fn take<T: de::DeserializeOwned>(
    words: &mut Map<String, Value>,
    key: &str,
) -> Result<Option<T>, Error> {
    let value = words.remove(key).map(Option::<T>::deserialize).transpose();
    value.map(Option::flatten).map_err(|error| de::Error::custom(format!("`{key}`: {error}")))
}

#[cfg(test)]
mod tests;
