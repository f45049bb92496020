//! Addresses of the gateway, networks it has routes to, and next hops.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Serialize, Serializer};

use crate::check::Expected;

/// An address that a host can have, with the network it is in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct InterfaceAddress(IpNet);

impl InterfaceAddress {
    /// The address.
    #[must_use]
    pub fn address(self) -> IpAddr {
        self.0.addr()
    }

    /// The network, its host bits zero.
    #[must_use]
    pub fn network(self) -> IpNet {
        self.0.trunc()
    }

    /// The address and the length of the network's prefix.
    #[must_use]
    pub fn as_net(self) -> IpNet {
        self.0
    }

    /// Whether it is meaningful on its own link only (RFC 4291, 2.5.6).
    #[must_use]
    pub fn is_link_local(self) -> bool {
        is_link_local(self.address())
    }
}

impl FromStr for InterfaceAddress {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let Ok(net) = text.parse::<IpNet>() else {
            return Err(match text.parse::<IpAddr>() {
                Ok(IpAddr::V4(address)) => {
                    Expected::new(format!("the length of its network's prefix too: `{address}/24`"))
                }
                Ok(IpAddr::V6(address)) => {
                    Expected::new(format!("the length of its network's prefix too: `{address}/64`"))
                }
                Err(_) => {
                    Expected::new("an IP address and its network's prefix length: `10.0.0.1/24`")
                }
            });
        };
        host(net.addr())?;
        if let Some(why) = not_a_host_of(net.addr(), net) {
            return Err(Expected::new(format!("a host's address: this is {why} {}", net.trunc())));
        }
        Ok(Self(net))
    }
}

impl fmt::Display for InterfaceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Serialize for InterfaceAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// Whether the address is an IPv6 one of link-local scope.
pub(crate) fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// Why an address inside of `net` is none of a host's: its first or last one. Networks of one or
/// two addresses have hosts only (RFC 3021, RFC 6164).
pub(crate) fn not_a_host_of(address: IpAddr, net: IpNet) -> Option<&'static str> {
    if net.prefix_len() + 2 > net.max_prefix_len() {
        None
    } else if address == net.network() {
        Some("the network itself,")
    } else if address.is_ipv4() && address == net.broadcast() {
        Some("the broadcast address of")
    } else {
        None
    }
}

/// Whether a host can have this address.
pub(crate) fn host(address: IpAddr) -> Result<(), Expected> {
    match why_no_host(address) {
        None => Ok(()),
        Some(why) => Err(Expected::new(format!("a host's address: this is {why}"))),
    }
}

fn why_no_host(address: IpAddr) -> Option<&'static str> {
    if address.is_unspecified() {
        return Some("the unspecified address");
    }
    if address.is_loopback() {
        return Some("a loopback address");
    }
    if address.is_multicast() {
        return Some("a multicast address");
    }
    match address {
        IpAddr::V4(address) => match address.octets() {
            [0, ..] => Some("of \"this network\", 0.0.0.0/8"),
            [240..=255, ..] => Some("of the reserved 240.0.0.0/4"),
            _ => None,
        },
        IpAddr::V6(address) => address.to_ipv4_mapped().map(|_: Ipv4Addr| "an IPv4-mapped address"),
    }
}

/// A network that a route can lead to.
pub(crate) fn destination(text: &str) -> Result<IpNet, Expected> {
    let Ok(net) = text.parse::<IpNet>() else {
        return Err(match text.parse::<IpAddr>() {
            Ok(address) => Expected::new(format!(
                "the length of the prefix too: `{address}/{}` for one host",
                if address.is_ipv4() { 32 } else { 128 }
            )),
            Err(_) => Expected::new("a network and its prefix length: `10.0.0.0/8`"),
        });
    };
    if net.trunc() != net {
        return Err(Expected::new(format!("no bits beyond the prefix: `{}`", net.trunc())));
    }
    if net.prefix_len() > 0
        && let Some(why) = why_no_host(net.addr()).filter(|_| !covers_hosts(net))
    {
        return Err(Expected::new(format!("a network of hosts: this is {why}")));
    }
    if is_link_local(net.addr()) {
        return Err(Expected::new("a network beyond this link: nothing is routed to fe80::/10"));
    }
    Ok(net)
}

/// Whether a network whose first address is special has hosts all the same: 0.0.0.0/1, ::/3.
fn covers_hosts(net: IpNet) -> bool {
    match net {
        IpNet::V4(net) => net.addr().is_unspecified() && net.prefix_len() < 8,
        IpNet::V6(net) => net.addr().is_unspecified() && net.prefix_len() < 96,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_has_addresses_that_hosts_can_have() {
        for good in ["203.0.113.1/24", "10.0.0.0/31", "10.0.0.1/32", "2001:db8::1/64", "fe80::1/64"]
        {
            assert!(good.parse::<InterfaceAddress>().is_ok(), "{good}");
        }
        for bad in [
            "203.0.113.1",
            "203.0.113.0/24",
            "203.0.113.255/24",
            "224.0.0.5/24",
            "127.0.0.1/8",
            "0.0.0.0/0",
            "0.1.2.3/8",
            "255.255.255.255/32",
            "240.0.0.1/24",
            "::1/128",
            "::/0",
            "ff02::1/64",
            "::ffff:10.0.0.1/96",
            "2001:db8::/64",
            "10.0.0.1/33",
            "10.0.0.300/24",
            "",
        ] {
            assert!(bad.parse::<InterfaceAddress>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_route_leads_to_a_network_of_hosts() {
        for good in
            ["0.0.0.0/0", "::/0", "0.0.0.0/1", "::/1", "2000::/3", "10.0.0.0/8", "10.0.0.1/32"]
        {
            assert!(destination(good).is_ok(), "{good}");
        }
        for bad in [
            "10.0.0.1/8",
            "10.0.0.1",
            "224.0.0.0/4",
            "ff00::/8",
            "127.0.0.0/8",
            "::1/128",
            "fe80::/64",
            "0.0.0.0/8",
            "240.0.0.0/4",
            "x",
        ] {
            assert!(destination(bad).is_err(), "{bad}");
        }
    }
}
