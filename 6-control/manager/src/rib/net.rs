//! Prefixes of either family, and those whose treatment no route can change.

use std::fmt;
use std::hash::Hash;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use prefix_trie::Prefix;

use crate::next_hops::Constant;

/// A prefix of one family.
pub(crate) trait Net:
    Prefix + Copy + Eq + Ord + Hash + fmt::Display + Into<IpNet> + 'static
{
    /// IPv6 routes of the same prefix and metric are siblings; IPv4 ones are rivals.
    const V6: bool;

    /// Whether it lies in a reserved range ([`reserved4`], [`reserved6`]), so that no route to it
    /// is forwarded by.
    fn is_reserved(&self) -> bool;
}

impl Net for Ipv4Net {
    const V6: bool = false;

    fn is_reserved(&self) -> bool {
        let [first, ..] = self.addr().octets();
        let length = self.prefix_len();
        length >= 4 && first >= 224 || length >= 8 && (first == 0 || first == 127)
    }
}

impl Net for Ipv6Net {
    const V6: bool = true;

    fn is_reserved(&self) -> bool {
        let bits = self.addr().to_bits();
        let within = |net: u128, length: u8| {
            self.prefix_len() >= length && (bits ^ net) >> (128 - u32::from(length)) == 0
        };
        within(0xff00 << 112, 8)
            || within(0xfe80 << 112, 10)
            || within(0xffff << 32, 96)
            || self.prefix_len() == 128 && bits <= 1
    }
}

/// What every IPv4 FIB holds from the beginning.
pub(crate) fn reserved4() -> Vec<(Ipv4Net, Constant)> {
    let net = |address: [u8; 4], length| Ipv4Net::new_assert(Ipv4Addr::from(address), length);
    vec![
        // This network and loopback (RFC 1122, 3.2.1.3) and what was never assigned (RFC 1112, 4).
        (net([0, 0, 0, 0], 8), Constant::Martian),
        (net([127, 0, 0, 0], 8), Constant::Martian),
        (net([240, 0, 0, 0], 4), Constant::Martian),
        // The limited broadcast never leaves its link; the kernel may want it (RFC 1812, 5.3.5.1).
        (net([255, 255, 255, 255], 32), Constant::Multicast),
        (net([224, 0, 0, 0], 4), Constant::Multicast),
    ]
}

/// What every IPv6 FIB holds from the beginning.
pub(crate) fn reserved6() -> Vec<(Ipv6Net, Constant)> {
    let net = |address: u128, length| Ipv6Net::new_assert(Ipv6Addr::from_bits(address), length);
    vec![
        // The unspecified and the loopback address (RFC 4291, 2.5.2 and 2.5.3).
        (net(0, 128), Constant::Martian),
        (net(1, 128), Constant::Martian),
        // IPv4-mapped addresses are not for wires (RFC 6890, table 20).
        (net(0xffff << 32, 96), Constant::Martian),
        // Link-local: never forwarded, and the kernel knows which are its own (RFC 4291, 2.5.6).
        (net(0xfe80 << 112, 10), Constant::Local),
        (net(0xff00 << 112, 8), Constant::Multicast),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reserved_is_just_what_lies_in_the_reserved_prefixes() {
        let samples = [
            "0.0.0.0/0",
            "0.0.0.0/7",
            "0.0.0.0/8",
            "0.1.2.3/32",
            "1.0.0.0/8",
            "126.0.0.0/7",
            "127.0.0.0/8",
            "127.0.0.1/32",
            "128.0.0.0/1",
            "192.0.0.0/3",
            "224.0.0.0/3",
            "223.0.0.0/8",
            "224.0.0.0/4",
            "232.1.0.0/16",
            "240.0.0.0/4",
            "255.255.255.255/32",
        ];
        for sample in samples {
            let net: Ipv4Net = sample.parse().expect("a prefix");
            let inside = reserved4().iter().any(|(reserved, _)| reserved.contains(&net));
            assert_eq!(net.is_reserved(), inside, "{net}");
        }
        let samples = [
            "::/0",
            "::/127",
            "::/128",
            "::1/128",
            "::2/128",
            "::/96",
            "::ffff:0:0/96",
            "::ffff:1.2.3.4/128",
            "fe80::/9",
            "fe80::/10",
            "fe80::/64",
            "febf::/16",
            "fec0::/10",
            "ff00::/8",
            "ff02::1/128",
            "fe00::/7",
            "2001:db8::/32",
        ];
        for sample in samples {
            let net: Ipv6Net = sample.parse().expect("a prefix");
            let inside = reserved6().iter().any(|(reserved, _)| reserved.contains(&net));
            assert_eq!(net.is_reserved(), inside, "{net}");
        }
    }
}
