//! What a worker knows of an interface.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};
use portcullis_packet::{Mac, TxOffload, VrfId};

/// An interface of the gateway, as the workers see it. Its place in [`Snapshot::interfaces`] is its
/// [`IfIndex`](portcullis_packet::IfIndex).
///
/// [`Snapshot::interfaces`]: crate::Snapshot::interfaces
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Interface {
    /// The name in the configuration file, which its tap in `vpc` has as well.
    pub name: Box<str>,
    /// The MAC address of device and tap.
    pub mac: Mac,
    /// Largest network-layer packet, in bytes.
    pub mtu: u16,
    /// The VRF that packets arriving here are routed in.
    pub vrf: VrfId,
    /// Both ends are administratively up: the device and the tap.
    pub admin_up: bool,
    /// The device has carrier.
    pub carrier: bool,
    /// IPv4 addresses with their prefix lengths, the primary one first.
    pub addresses4: Vec<Ipv4Net>,
    /// IPv6 addresses with their prefix lengths, global ones first, link-local ones last.
    pub addresses6: Vec<Ipv6Net>,
    /// What its device does for the gateway.
    pub offload: TxOffload,
}

impl Interface {
    /// Whether packets may leave here.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.admin_up && self.carrier
    }

    /// The source address of an ICMP error that leaves here (RFC 1812, 4.3.2.4): the address on the
    /// receiver's own network if there is one, else the primary one.
    #[must_use]
    pub fn source4(&self, toward: Ipv4Addr) -> Option<Ipv4Addr> {
        let on_link = self.addresses4.iter().find(|net| net.contains(&toward));
        on_link.or(self.addresses4.first()).map(Ipv4Net::addr)
    }

    /// The same for ICMPv6 (RFC 4443, 2.2), where a global address is preferred to a link-local one.
    #[must_use]
    pub fn source6(&self, toward: Ipv6Addr) -> Option<Ipv6Addr> {
        let on_link = self.addresses6.iter().find(|net| net.contains(&toward));
        on_link.or(self.addresses6.first()).map(Ipv6Net::addr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface() -> Interface {
        let v4 = ["10.0.0.1/24", "192.0.2.1/24"];
        let v6 = ["2001:db8::1/64", "fe80::1/64"];
        Interface {
            name: "lan".into(),
            mac: Mac([2, 0, 0, 0, 0, 1]),
            mtu: 1500,
            vrf: VrfId::DEFAULT,
            admin_up: true,
            carrier: true,
            addresses4: v4.iter().map(|net| net.parse().expect("a network")).collect(),
            addresses6: v6.iter().map(|net| net.parse().expect("a network")).collect(),
            offload: TxOffload::default(),
        }
    }

    #[test]
    fn an_error_comes_from_the_address_on_the_receivers_network_or_the_primary_one() {
        let interface = interface();
        let source = |to: &str| interface.source4(to.parse().expect("an address"));
        assert_eq!(source("192.0.2.9"), Some(Ipv4Addr::new(192, 0, 2, 1)));
        assert_eq!(source("198.51.100.1"), Some(Ipv4Addr::new(10, 0, 0, 1)));
        let source = |to: &str| interface.source6(to.parse().expect("an address"));
        assert_eq!(source("fe80::99"), Some("fe80::1".parse().expect("an address")));
        assert_eq!(source("2001:db8:9::1"), Some("2001:db8::1".parse().expect("an address")));
    }

    #[test]
    fn an_interface_without_addresses_has_no_source() {
        let bare = Interface { addresses4: vec![], addresses6: vec![], ..interface() };
        assert_eq!(bare.source4(Ipv4Addr::LOCALHOST), None);
        assert_eq!(bare.source6(Ipv6Addr::LOCALHOST), None);
    }
}
