//! The rules as the configuration has them.

use std::fmt;
use std::ops::RangeInclusive;

use ipnet::IpNet;
use portcullis_wire::{IpProtocol, icmp_port};

/// A zone: a name for some of the gateway's interfaces, between which the rules are written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ZoneId(pub u16);

impl ZoneId {
    /// The gateway itself: what has one of its own addresses for its destination.
    pub const GATEWAY: Self = Self(0);
}

/// What becomes of a flow.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    /// It passes, and so do its replies and what ICMP says about it.
    Accept,
    /// Its packets vanish.
    Drop,
    /// Its packets are dropped and their sender is told.
    Reject,
}

impl Action {
    /// The action as it is written in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Drop => "drop",
            Self::Reject => "reject",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A protocol and some of its destination ports.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Service {
    /// The protocol.
    pub protocol: IpProtocol,
    /// Destination ports, or what stands for them in a [`portcullis_wire::Tuple`]: the type and code of
    /// ICMP and ICMPv6. All numbers for a protocol that has nothing of the kind.
    pub ports: RangeInclusive<u16>,
}

impl Service {
    /// All of a protocol.
    #[must_use]
    pub const fn all(protocol: IpProtocol) -> Self {
        Self { protocol, ports: 0..=u16::MAX }
    }

    /// The messages of ICMP or ICMPv6 of one type, with any code.
    #[must_use]
    pub const fn icmp_type(protocol: IpProtocol, message_type: u8) -> Self {
        Self { protocol, ports: icmp_port(message_type, 0)..=icmp_port(message_type, u8::MAX) }
    }
}

/// Addresses that follow one another, first and last included; as integers in host order, as
/// in a [`portcullis_wire::Tuple`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum AddressRange {
    /// Of IPv4.
    V4(RangeInclusive<u32>),
    /// Of IPv6.
    V6(RangeInclusive<u128>),
}

impl From<IpNet> for AddressRange {
    fn from(net: IpNet) -> Self {
        match net {
            IpNet::V4(net) => Self::V4(net.network().to_bits()..=net.broadcast().to_bits()),
            IpNet::V6(net) => Self::V6(net.network().to_bits()..=net.broadcast().to_bits()),
        }
    }
}

/// One rule. A criterion that is `None` is met by everything; a list is met by what meets one
/// of its elements, so an empty one by nothing. A list of addresses of one family is not met by any
/// packet of the other.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct RuleSpec {
    /// Its name, for people.
    pub name: Box<str>,
    /// Zones that the flow's first packet comes from.
    pub from: Option<Vec<ZoneId>>,
    /// Zones that it goes to. `None` includes [`ZoneId::GATEWAY`].
    pub to: Option<Vec<ZoneId>>,
    /// Source addresses, before translation.
    pub source: Option<Vec<AddressRange>>,
    /// Destination addresses, after translation.
    pub destination: Option<Vec<AddressRange>>,
    /// Protocols and destination ports.
    pub service: Option<Vec<Service>>,
    /// What is done.
    pub action: Action,
    /// Whether it is logged.
    pub log: bool,
}

/// All rules, and what holds where none of them matches.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct RulesSpec {
    /// The rules. The first that matches decides.
    pub rules: Vec<RuleSpec>,
    /// For flows through the gateway that no rule matches.
    pub default: Action,
    /// For flows to the gateway itself that no rule matches.
    pub gateway_default: Action,
    /// Whether flows that no rule matches are logged, of either kind.
    pub log_default: bool,
}

/// Which rule decided: its place in the list, or one of the constants.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RuleId(pub u32);

impl RuleId {
    /// None: no firewall is configured, or it was not asked.
    pub const NONE: Self = Self(u32::MAX);
    /// No rule matched; the flow goes through the gateway.
    pub const DEFAULT: Self = Self(u32::MAX - 1);
    /// No rule matched; the flow goes to the gateway itself.
    pub const GATEWAY_DEFAULT: Self = Self(u32::MAX - 2);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(net: &str) -> AddressRange {
        net.parse::<IpNet>().expect("a network").into()
    }

    #[test]
    fn a_network_is_the_range_from_its_first_to_its_last_address() {
        assert_eq!(range("0.0.0.0/0"), AddressRange::V4(0..=u32::MAX));
        assert_eq!(range("10.0.0.5/32"), AddressRange::V4(0x0a00_0005..=0x0a00_0005));
        assert_eq!(range("10.0.0.5/24"), AddressRange::V4(0x0a00_0000..=0x0a00_00ff));
        assert_eq!(range("::/0"), AddressRange::V6(0..=u128::MAX));
        assert_eq!(range("fe80::/10"), AddressRange::V6(0xfe80 << 112..=(0xfec0 << 112) - 1));
    }

    #[test]
    fn a_type_of_icmp_has_256_codes() {
        assert_eq!(Service::icmp_type(IpProtocol::ICMP, 8).ports, 0x0800..=0x08ff);
        assert_eq!(Service::icmp_type(IpProtocol::ICMPV6, 255).ports, 0xff00..=0xffff);
    }
}
