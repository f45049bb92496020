//! Services: protocols, their ports, and messages of ICMP.

use std::fmt;
use std::ops::RangeInclusive;

use crate::check::Expected;
use crate::icmp::{self, IcmpVersion};
use crate::range::{number, ports};

/// The number of a protocol above IP.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Protocol(u8);

/// The protocols that have names in the file, with IANA's numbers.
const NAMES: [(&str, Protocol); 12] = [
    ("tcp", Protocol(6)),
    ("udp", Protocol(17)),
    ("icmp", Protocol(1)),
    ("icmpv6", Protocol(58)),
    ("sctp", Protocol(132)),
    ("gre", Protocol(47)),
    ("esp", Protocol(50)),
    ("ah", Protocol(51)),
    ("ospf", Protocol(89)),
    ("vrrp", Protocol(112)),
    ("igmp", Protocol(2)),
    ("pim", Protocol(103)),
];

impl Protocol {
    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// A protocol whose services are ports.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Transport {
    /// RFC 9293.
    Tcp,
    /// RFC 768.
    Udp,
    /// RFC 9260.
    Sctp,
}

impl Transport {
    /// Its number.
    #[must_use]
    pub const fn protocol(self) -> Protocol {
        match self {
            Self::Tcp => Protocol(6),
            Self::Udp => Protocol(17),
            Self::Sctp => Protocol(132),
        }
    }
}

/// What a flow is, as far as its first packet says.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Service {
    /// Everything of a protocol.
    Protocol(Protocol),
    /// Destination ports.
    Ports {
        /// Of this protocol.
        transport: Transport,
        /// These.
        ports: RangeInclusive<u16>,
    },
    /// Messages of ICMP or ICMPv6.
    Icmp {
        /// Of which of the two.
        version: IcmpVersion,
        /// Of this type.
        kind: u8,
        /// With this code; `None`: with any.
        code: Option<u8>,
    },
}

impl Service {
    /// The protocol that it is of.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        match self {
            Self::Protocol(protocol) => *protocol,
            Self::Ports { transport, .. } => transport.protocol(),
            Self::Icmp { version: IcmpVersion::V4, .. } => Protocol(1),
            Self::Icmp { version: IcmpVersion::V6, .. } => Protocol(58),
        }
    }

    /// The protocol, whether it is all of it, and what of it: types and codes as one number.
    pub(crate) fn key(&self) -> (Protocol, bool, u16, u16) {
        let (part, first, last) = match self {
            Self::Protocol(_) => (false, 0, u16::MAX),
            Self::Ports { ports, .. } => (true, *ports.start(), *ports.end()),
            Self::Icmp { kind, code, .. } => {
                let (first, last) = code.map_or((0, u8::MAX), |code| (code, code));
                (true, u16::from_be_bytes([*kind, first]), u16::from_be_bytes([*kind, last]))
            }
        };
        (self.protocol(), part, first, last)
    }

    /// Takes in a service whose key is not less, if the two can be said as one.
    pub(crate) fn absorb(&mut self, next: &Self) -> bool {
        let ((protocol, _, first, last), (other, _, next_first, next_last)) =
            (self.key(), next.key());
        if protocol != other {
            return false;
        }
        if let Self::Ports { ports, .. } = self
            && next_first <= last.saturating_add(1)
        {
            *ports = first..=last.max(next_last);
            return true;
        }
        first <= next_first && next_last <= last
    }
}

/// The names of the protocols.
pub(crate) fn protocol_names() -> impl ExactSizeIterator<Item = &'static str> {
    NAMES.iter().map(|&(name, _)| name)
}

fn protocol(text: &str) -> Option<Protocol> {
    let named = NAMES.iter().find(|&&(name, _)| name == text).map(|&(_, protocol)| protocol);
    named.or_else(|| number(text).map(Protocol))
}

/// What is meant by the text of a service: one, or two where ICMP and ICMPv6 are meant by the same
/// word. `Ok(None)`: it may be a name.
pub(crate) fn parse(text: &str) -> Result<Option<Vec<Service>>, Expected> {
    let Some((name, detail)) = text.split_once('/') else {
        return Ok(match (text, protocol(text)) {
            ("icmp", _) => Some(vec![
                Service::Protocol(IcmpVersion::V4.protocol()),
                Service::Protocol(IcmpVersion::V6.protocol()),
            ]),
            (_, Some(protocol)) => Some(vec![Service::Protocol(protocol)]),
            (_, None) if text.starts_with(|c: char| c.is_ascii_alphabetic()) => None,
            (_, None) => {
                let expected = "a protocol (a name, or a number from 0 to 255), ports (`tcp/443`) \
                                or a type (`icmp/echo-request`)";
                return Err(Expected::new(expected));
            }
        });
    };
    let transport = match name {
        "tcp" => Transport::Tcp,
        "udp" => Transport::Udp,
        "sctp" => Transport::Sctp,
        "icmp" => return icmp::messages(detail, &[IcmpVersion::V4, IcmpVersion::V6]).map(Some),
        "icmpv6" => return icmp::messages(detail, &[IcmpVersion::V6]).map(Some),
        _ => {
            return Err(Expected::new(match protocol(name) {
                Some(_) => format!("`{name}` alone: it has neither ports nor types"),
                None => "`tcp/`, `udp/` or `sctp/` and ports, or `icmp/` and a type".to_owned(),
            }));
        }
    };
    match ports(detail) {
        Some(ports) => Ok(Some(vec![Service::Ports { transport, ports }])),
        None => Err(Expected::new(format!(
            "a port or a range of ports from 0 to 65535: `{name}/443`, `{name}/5000-5010`"
        ))),
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(_, protocol)| protocol == self) {
            Some((name, _)) => f.pad(name),
            None => fmt::Display::fmt(&self.0, f),
        }
    }
}

impl IcmpVersion {
    const fn protocol(self) -> Protocol {
        match self {
            Self::V4 => Protocol(1),
            Self::V6 => Protocol(58),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Service {
        let mut parsed = parse(text).expect("a service").expect("no name");
        assert_eq!(parsed.len(), 1, "{text}");
        parsed.remove(0)
    }

    #[test]
    fn a_service_is_a_protocol_or_a_part_of_one() {
        assert_eq!(one("tcp"), Service::Protocol(Protocol(6)));
        assert_eq!(one("6"), one("tcp"));
        assert_eq!(one("47"), one("gre"));
        assert_eq!(one("1").protocol().number(), 1);
        assert_eq!(
            one("udp/5000-5010"),
            Service::Ports { transport: Transport::Udp, ports: 5000..=5010 }
        );
        assert_eq!(one("sctp/36412").protocol().number(), 132);
        assert_eq!(one("sctp").protocol().to_string(), "sctp");
        assert_eq!(one("200").protocol().to_string(), "200");
    }

    #[test]
    fn icmp_without_more_is_that_of_both_versions() {
        let both = parse("icmp").expect("a service").expect("no name");
        assert_eq!(both.iter().map(|one| one.protocol().number()).collect::<Vec<_>>(), [1, 58]);
        assert_eq!(one("icmpv6").protocol().number(), 58);
    }

    #[test]
    fn what_is_neither_a_service_nor_a_name_is_refused() {
        for bad in [
            "tcp/",
            "tcp/https",
            "tcp/65536",
            "tcp/9-1",
            "gre/5",
            "foo/5",
            "/",
            "icmp/",
            "47/1",
            "256",
            "-1",
            "+6",
            "",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        for name in ["web", "web-2", "tpc"] {
            assert_eq!(parse(name), Ok(None), "{name}");
        }
    }

    #[test]
    fn services_that_touch_become_one() {
        let joined = |first: &str, next: &str| {
            let mut first = one(first);
            first.absorb(&one(next)).then_some(first)
        };
        assert_eq!(joined("tcp/80-89", "tcp/90"), Some(one("tcp/80-90")));
        assert_eq!(joined("tcp", "tcp/90"), Some(one("tcp")));
        assert_eq!(joined("icmp/3", "icmp/3/1"), Some(one("icmp/3")));
        assert_eq!(joined("icmp/3/1", "icmp/3/1"), Some(one("icmp/3/1")));
        assert_eq!(joined("icmp/3/1", "icmp/3/2"), None);
        assert_eq!(joined("tcp/80", "udp/81"), None);
        assert_eq!(joined("tcp/80", "tcp/82"), None);
    }
}
