//! Which flows, and in which order.

use clap::{Args, ValueEnum};
use ipnet::IpNet;
use portcullis_api::{FlowFilter, FlowSort, IpProtocol, parse_network};

/// A flow must fulfil all of them.
#[derive(Args, Debug)]
#[group(id = "filter", multiple = true)]
pub(crate) struct FilterArgs {
    /// Only flows that a host of this network or with this address began
    #[arg(long, value_name = "NETWORK", value_parser = parse_network)]
    source: Option<IpNet>,
    /// Only flows to a host of this network or with this address
    #[arg(long, value_name = "NETWORK", value_parser = parse_network)]
    destination: Option<IpNet>,
    /// Only flows from or to a host of this network or with this address
    #[arg(long, value_name = "NETWORK", value_parser = parse_network)]
    host: Option<IpNet>,
    /// Only flows with this port on either side, or this identifier (ICMP)
    #[arg(long)]
    port: Option<u16>,
    /// Only flows of this protocol: tcp, udp, icmp, icmpv6, sctp, gre, ..., or a number
    #[arg(long)]
    protocol: Option<IpProtocol>,
    /// Only flows that come in or leave by this interface
    #[arg(long, value_name = "NAME")]
    interface: Option<String>,
    /// Only flows that this firewall rule let in
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// Only flows in this state
    #[arg(long)]
    state: Option<String>,
    /// Only flows whose addresses are translated
    #[arg(long)]
    nat: bool,
}

#[derive(Args, Debug)]
pub(crate) struct FlowsArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// What to sort by [default with --top: bytes, else flows are shown as they are found]
    #[arg(long, value_name = "KEY")]
    sort: Option<SortKey>,
    /// Only the first so many
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) top: Option<u32>,
}

#[derive(Args, Debug)]
pub(crate) struct FlushFlowsArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// All flows
    #[arg(long, conflicts_with = "filter")]
    all: bool,
}

/// What flows can be sorted by.
#[derive(Clone, Copy, ValueEnum, Debug)]
enum SortKey {
    /// Most bytes first
    Bytes,
    /// Most packets first
    Packets,
    /// Oldest first
    Age,
    /// Longest without a packet first
    Idle,
    /// By the address they come from
    Source,
}

impl FilterArgs {
    fn filter(&self) -> FlowFilter {
        FlowFilter {
            source: self.source,
            destination: self.destination,
            host: self.host,
            port: self.port,
            protocol: self.protocol,
            interface: self.interface.clone(),
            rule: self.rule.clone(),
            state: self.state.clone(),
            nat: self.nat.then_some(true),
        }
    }
}

impl FlowsArgs {
    pub(crate) fn filter(&self) -> FlowFilter {
        self.filter.filter()
    }

    /// The order that is asked for.
    pub(crate) fn order(&self) -> Option<FlowSort> {
        let given = self.sort.map(|key| match key {
            SortKey::Bytes => FlowSort::Bytes,
            SortKey::Packets => FlowSort::Packets,
            SortKey::Age => FlowSort::Age,
            SortKey::Idle => FlowSort::Idle,
            SortKey::Source => FlowSort::Source,
        });
        given.or(self.top.map(|_| FlowSort::Bytes))
    }
}

impl FlushFlowsArgs {
    /// The flows that are meant, an empty filter if all are; none if nothing is said. That is not
    /// left to clap, which would say that `--all` is missing.
    pub(crate) fn filter(&self) -> Option<FlowFilter> {
        Some(self.filter.filter()).filter(|filter| self.all || !filter.is_empty())
    }
}
