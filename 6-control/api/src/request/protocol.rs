//! Protocols above IP, by name or number.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A protocol, by its number in IP headers. It is written by its name, if it has one here.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct IpProtocol(pub u8);

/// No protocol has this name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "no protocol is called `{0}`: expected a number up to 255, or a name such as tcp, udp, icmp, icmpv6"
)]
pub struct BadProtocol(String);

/// IANA's Assigned Internet Protocol Numbers, those that are met.
const NAMES: [(u8, &str); 15] = [
    (1, "icmp"),
    (2, "igmp"),
    (4, "ipip"),
    (6, "tcp"),
    (17, "udp"),
    (33, "dccp"),
    (41, "ipv6"),
    (47, "gre"),
    (50, "esp"),
    (51, "ah"),
    (58, "icmpv6"),
    (89, "ospf"),
    (103, "pim"),
    (112, "vrrp"),
    (132, "sctp"),
];

impl fmt::Display for IpProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(number, _)| *number == self.0) {
            Some((_, name)) => f.pad(name),
            None => self.0.fmt(f),
        }
    }
}

impl FromStr for IpProtocol {
    type Err = BadProtocol;

    fn from_str(text: &str) -> Result<Self, BadProtocol> {
        let named = NAMES.iter().find(|(_, name)| name.eq_ignore_ascii_case(text));
        let number = named.map(|&(number, _)| number).or_else(|| text.parse().ok());
        number.map(Self).ok_or_else(|| BadProtocol(text.to_owned()))
    }
}

impl Serialize for IpProtocol {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for IpProtocol {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrNumber;

        impl Visitor<'_> for NameOrNumber {
            type Value = IpProtocol;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name or number of a protocol")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<IpProtocol, E> {
                name.parse().map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<IpProtocol, E> {
                u8::try_from(number)
                    .map(IpProtocol)
                    .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(number), &self))
            }
        }

        deserializer.deserialize_any(NameOrNumber)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_protocol_is_read_back_as_it_is_written() {
        for number in 0..=255 {
            let protocol = IpProtocol(number);
            assert_eq!(protocol.to_string().parse(), Ok(protocol));
            let json = serde_json::to_string(&protocol).expect("serializable");
            assert_eq!(serde_json::from_str::<IpProtocol>(&json).expect("readable"), protocol);
        }
    }

    #[test]
    fn names_and_numbers_are_understood_and_nothing_else() {
        assert_eq!("TCP".parse(), Ok(IpProtocol(6)));
        assert_eq!(serde_json::from_str::<IpProtocol>("17").expect("a number").to_string(), "udp");
        assert_eq!(IpProtocol(200).to_string(), "200");
        for wrong in ["256", "-1", "\"tpc\"", "\"\"", "1.5", "null"] {
            assert!(serde_json::from_str::<IpProtocol>(wrong).is_err(), "{wrong}");
        }
    }
}
