//! Ranges of addresses and of ports.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::str::FromStr;

use ipnet::IpNet;

use crate::check::Expected;

/// Addresses of one family that follow one another, the first and the last included.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum AddressRange {
    /// Of IPv4.
    V4(RangeInclusive<Ipv4Addr>),
    /// Of IPv6.
    V6(RangeInclusive<Ipv6Addr>),
}

impl AddressRange {
    /// The first address.
    #[must_use]
    pub fn first(&self) -> IpAddr {
        match self {
            Self::V4(range) => (*range.start()).into(),
            Self::V6(range) => (*range.start()).into(),
        }
    }

    /// The last address.
    #[must_use]
    pub fn last(&self) -> IpAddr {
        match self {
            Self::V4(range) => (*range.end()).into(),
            Self::V6(range) => (*range.end()).into(),
        }
    }

    /// Whether its addresses are of IPv4.
    #[must_use]
    pub fn is_ipv4(&self) -> bool {
        matches!(self, Self::V4(_))
    }

    /// From one address to another that is of the same family and not before it.
    fn new(first: IpAddr, last: IpAddr) -> Option<Self> {
        let range = match (first, last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => Self::V4(first..=last),
            (IpAddr::V6(first), IpAddr::V6(last)) => Self::V6(first..=last),
            _ => return None,
        };
        (first <= last).then_some(range)
    }

    /// Takes in a range that begins in this one or right behind it; `false` if it does not. It
    /// must not begin before this one.
    pub(crate) fn absorb(&mut self, next: &Self) -> bool {
        match (self, next) {
            (Self::V4(range), Self::V4(next)) => {
                let joins =
                    u64::from(next.start().to_bits()) <= u64::from(range.end().to_bits()) + 1;
                if joins {
                    *range = *range.start()..=*range.end().max(next.end());
                }
                joins
            }
            (Self::V6(range), Self::V6(next)) => {
                let joins = next.start().to_bits() <= range.end().to_bits().saturating_add(1);
                if joins {
                    *range = *range.start()..=*range.end().max(next.end());
                }
                joins
            }
            (Self::V4(_), Self::V6(_)) | (Self::V6(_), Self::V4(_)) => false,
        }
    }

    /// The network that has these addresses and no others, if there is one.
    fn as_net(&self) -> Option<IpNet> {
        let (bits, first, last) = match self {
            Self::V4(range) => {
                (32, range.start().to_bits().into(), u128::from(range.end().to_bits()))
            }
            Self::V6(range) => (128, range.start().to_bits(), range.end().to_bits()),
        };
        let length = bits - (128 - (first ^ last).leading_zeros());
        let net = IpNet::new(self.first(), u8::try_from(length).ok()?).ok()?;
        (net.network() == self.first() && net.broadcast() == self.last()).then_some(net)
    }
}

impl From<IpNet> for AddressRange {
    fn from(net: IpNet) -> Self {
        match net {
            IpNet::V4(net) => Self::V4(net.network()..=net.broadcast()),
            IpNet::V6(net) => Self::V6(net.network()..=net.broadcast()),
        }
    }
}

impl FromStr for AddressRange {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let expected = || {
            Expected::new(
                "an IP address, a network or a range: `10.0.0.1`, `10.0.0.0/8`, `10.0.0.1-10.0.0.9`",
            )
        };
        if let Some((first, last)) = text.split_once('-') {
            let (Ok(first), Ok(last)) = (first.parse(), last.parse()) else {
                return Err(expected());
            };
            return Self::new(first, last).ok_or_else(|| {
                Expected::new("a range from an address to a later one of the same family")
            });
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Self::new(address, address).ok_or_else(expected);
        }
        let net: IpNet = text.parse().map_err(|_| expected())?;
        if net.trunc() != net {
            return Err(Expected::new(format!("no bits beyond the prefix: `{}`", net.trunc())));
        }
        Ok(net.into())
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (self.first(), self.last());
        match self.as_net() {
            _ if first == last => write!(f, "{first}"),
            Some(net) => write!(f, "{net}"),
            None => write!(f, "{first}-{last}"),
        }
    }
}

/// A port, or several that follow one another: `443`, `5000-5010`.
pub(crate) fn ports(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some(first..=last)
}

/// Such a range as it is written.
pub(crate) fn ports_text(ports: &RangeInclusive<u16>) -> String {
    if ports.start() == ports.end() {
        ports.start().to_string()
    } else {
        format!("{}-{}", ports.start(), ports.end())
    }
}

/// A number in decimal digits: the parsers of the integers would take a sign too.
pub(crate) fn number<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> AddressRange {
        text.parse().expect("a range")
    }

    #[test]
    fn addresses_networks_and_ranges_are_written_as_short_as_they_can_be() {
        for (written, shown) in [
            ("10.0.0.5", "10.0.0.5"),
            ("10.0.0.5/32", "10.0.0.5"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("10.0.0.0-10.0.0.255", "10.0.0.0/24"),
            ("10.0.0.1-10.0.0.9", "10.0.0.1-10.0.0.9"),
            ("10.0.0.1-10.0.0.2", "10.0.0.1-10.0.0.2"),
            ("2001:DB8::1", "2001:db8::1"),
            ("::/0", "::/0"),
            ("2001:db8::-2001:db8::ffff", "2001:db8::/112"),
        ] {
            assert_eq!(range(written).to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for bad in [
            "",
            "-",
            "10.0.0.1-",
            "10.0.0.9-10.0.0.1",
            "10.0.0.1-2001:db8::1",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/8-10.0.0.9",
            "10.0.0.1 - 10.0.0.2",
            "x",
        ] {
            assert!(bad.parse::<AddressRange>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_range_takes_in_what_touches_it() {
        let joined = |first: &str, next: &str| {
            let mut first = range(first);
            first.absorb(&range(next)).then_some(first)
        };
        assert_eq!(joined("10.0.0.0/25", "10.0.0.128/25"), Some(range("10.0.0.0/24")));
        assert_eq!(joined("10.0.0.0/8", "10.1.0.0/16"), Some(range("10.0.0.0/8")));
        assert_eq!(joined("10.0.0.1", "10.0.0.3"), None);
        assert_eq!(joined("255.255.255.255", "::"), None);
        assert_eq!(joined("::/0", "2001:db8::/32"), Some(range("::/0")));
        assert_eq!(joined("0.0.0.0/0", "255.255.255.255"), Some(range("0.0.0.0/0")));
    }

    #[test]
    fn ports_are_numbers_and_ascending_ranges() {
        assert_eq!(ports("443"), Some(443..=443));
        assert_eq!(ports("0-65535"), Some(0..=65535));
        for bad in ["", "-", "+1", "1-", "5-4", "65536", "1-2-3", " 1", "https"] {
            assert_eq!(ports(bad), None, "{bad}");
        }
        assert_eq!(ports_text(&(443..=443)), "443");
        assert_eq!(ports_text(&(1..=2)), "1-2");
    }
}
