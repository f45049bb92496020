//! Requests to bytes.

use std::net::IpAddr;

use ipnet::IpNet;

use super::decode::RTM_GETNEXTHOP;
use crate::event::{Address, KernelIndex, NeighborKey, Protocol, Route, Table, Target};
use crate::request::{LinkChange, Request, StaticAction, StaticRoute};

/// `linux/if_addr.h`; not in libc.
const IFA_PROTO: u16 = 11;
/// `linux/rtnetlink.h`: the router is on the link, whatever the addresses say; not in libc.
const RTNH_F_ONLINK: u8 = 4;
/// `linux/rtnetlink.h`: the upper bit of an attribute that nests others.
const NLA_F_NESTED: u16 = 1 << 15;

/// What can be asked for as a whole, in the order in which it has to be: what is named before
/// that which names it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Dump {
    /// Devices.
    Links,
    /// IPv4 addresses.
    Addresses4,
    /// IPv6 addresses.
    Addresses6,
    /// ARP's table.
    Neighbors4,
    /// Neighbour discovery's table.
    Neighbors6,
    /// Nexthop objects.
    Objects,
    /// IPv4 routes of all tables.
    Routes4,
    /// IPv6 routes of all tables.
    Routes6,
}

impl Dump {
    /// All of them.
    pub(crate) const ALL: &[Self] = &[
        Self::Links,
        Self::Addresses4,
        Self::Addresses6,
        Self::Neighbors4,
        Self::Neighbors6,
        Self::Objects,
        Self::Routes4,
        Self::Routes6,
    ];

    /// Message type, family, and length of the fixed part of the request.
    const fn request(self) -> (u16, i32, usize) {
        match self {
            Self::Links => (libc::RTM_GETLINK, libc::AF_UNSPEC, 16),
            Self::Addresses4 => (libc::RTM_GETADDR, libc::AF_INET, 8),
            Self::Addresses6 => (libc::RTM_GETADDR, libc::AF_INET6, 8),
            Self::Neighbors4 => (libc::RTM_GETNEIGH, libc::AF_INET, 12),
            Self::Neighbors6 => (libc::RTM_GETNEIGH, libc::AF_INET6, 12),
            Self::Objects => (RTM_GETNEXTHOP, libc::AF_UNSPEC, 8),
            Self::Routes4 => (libc::RTM_GETROUTE, libc::AF_INET, 12),
            Self::Routes6 => (libc::RTM_GETROUTE, libc::AF_INET6, 12),
        }
    }
}

/// Writes requests into one buffer that it keeps.
#[derive(Default)]
pub(crate) struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    /// A request for all there is of a kind.
    pub(crate) fn dump(&mut self, dump: Dump, sequence: u32) -> &[u8] {
        let (kind, family, length) = dump.request();
        self.start(kind, libc::NLM_F_DUMP | libc::NLM_F_MATCH, sequence);
        self.bytes.push(family as u8);
        self.bytes.resize(self.bytes.len() - 1 + length, 0);
        self.finish()
    }

    /// A request that is to be acknowledged.
    pub(crate) fn request(&mut self, request: &Request, sequence: u32) -> &[u8] {
        match request {
            Request::SetLink { index, change } => self.set_link(*index, *change, sequence),
            Request::AddAddress { index, net } => {
                let flags = libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL;
                self.start(libc::RTM_NEWADDR, flags, sequence);
                self.address(*index, *net, Protocol::OURS);
            }
            Request::RemoveAddress(Address { index, net, protocol, .. }) => {
                self.start(libc::RTM_DELADDR, libc::NLM_F_ACK, sequence);
                self.address(*index, *net, *protocol);
            }
            Request::SetRoute { route, replace } => self.set_route(route, *replace, sequence),
            Request::RemoveRoute(route) => self.remove_route(route, sequence),
            Request::Resolve(key) => self.probe(*key, libc::NLM_F_EXCL, sequence),
            Request::Probe(key) => self.probe(*key, 0, sequence),
        }
        self.finish()
    }

    fn set_link(&mut self, index: KernelIndex, change: LinkChange, sequence: u32) {
        self.start(libc::RTM_SETLINK, libc::NLM_F_ACK, sequence);
        let (flags, mask) = match change {
            LinkChange::Up(true) => (libc::IFF_UP as u32, libc::IFF_UP as u32),
            LinkChange::Up(false) => (0, libc::IFF_UP as u32),
            LinkChange::Carrier(_) | LinkChange::Mtu(_) | LinkChange::Mac(_) => (0, 0),
        };
        self.u32(0);
        self.u32(index.0);
        self.u32(flags);
        self.u32(mask);
        match change {
            LinkChange::Up(_) => {}
            LinkChange::Carrier(on) => self.attribute(libc::IFLA_CARRIER, &[u8::from(on)]),
            LinkChange::Mtu(mtu) => self.attribute(libc::IFLA_MTU, &mtu.to_ne_bytes()),
            LinkChange::Mac(mac) => self.attribute(libc::IFLA_ADDRESS, &mac.0),
        }
    }

    fn address(&mut self, index: KernelIndex, net: IpNet, protocol: Protocol) {
        self.bytes.extend([family(net.addr()), net.prefix_len(), 0, 0]);
        self.u32(index.0);
        self.ip(libc::IFA_LOCAL, net.addr());
        self.ip(libc::IFA_ADDRESS, net.addr());
        if protocol != Protocol::default() {
            self.attribute(IFA_PROTO, &[protocol.0]);
        }
    }

    fn set_route(&mut self, route: &StaticRoute<KernelIndex>, replace: bool, sequence: u32) {
        let kind = match route.action {
            StaticAction::Via(_) => libc::RTN_UNICAST,
            StaticAction::Blackhole => libc::RTN_BLACKHOLE,
            StaticAction::Unreachable => libc::RTN_UNREACHABLE,
            StaticAction::Prohibit => libc::RTN_PROHIBIT,
        };
        let exists = if replace { libc::NLM_F_REPLACE } else { libc::NLM_F_EXCL };
        let flags = libc::NLM_F_ACK | libc::NLM_F_CREATE | exists;
        self.start(libc::RTM_NEWROUTE, flags, sequence);
        let on_link = match &route.action {
            StaticAction::Via(routers) => match routers.as_slice() {
                [only] => only.on_link,
                _ => None,
            },
            StaticAction::Blackhole | StaticAction::Unreachable | StaticAction::Prohibit => None,
        };
        let flags = u32::from(on_link.map_or(0, |_| RTNH_F_ONLINK));
        self.route_header(route.to, Table::Main, Protocol::OURS, kind, flags);
        let StaticAction::Via(routers) = &route.action else { return };
        let v4 = route.to.addr().is_ipv4();
        if let [router] = routers.as_slice() {
            if let Some(index) = on_link {
                self.attribute(libc::RTA_OIF, &index.0.to_ne_bytes());
            }
            self.gateway(router.address, v4);
        } else {
            self.nested(libc::RTA_MULTIPATH, |this| {
                for router in routers {
                    let start = this.bytes.len();
                    let flags = router.on_link.map_or(0, |_| RTNH_F_ONLINK);
                    this.bytes.extend([0, 0, flags, 0]);
                    this.u32(router.on_link.map_or(0, |index| index.0));
                    this.gateway(router.address, v4);
                    this.set_length(start);
                }
            });
        }
    }

    /// A route without its paths: prefix, table, metric, protocol and kind name it well enough.
    fn remove_route(&mut self, route: &Route, sequence: u32) {
        let kind = match route.target {
            Target::Via(_) | Target::Multipath(_) | Target::Object(_) | Target::Unsupported => {
                libc::RTN_UNICAST
            }
            Target::Local => libc::RTN_LOCAL,
            Target::Broadcast(_) => libc::RTN_BROADCAST,
            Target::Multicast => libc::RTN_MULTICAST,
            Target::Blackhole => libc::RTN_BLACKHOLE,
            Target::Unreachable => libc::RTN_UNREACHABLE,
            Target::Prohibit => libc::RTN_PROHIBIT,
            Target::Throw => libc::RTN_THROW,
        };
        self.start(libc::RTM_DELROUTE, libc::NLM_F_ACK, sequence);
        self.route_header(route.prefix, route.table, route.protocol, kind, 0);
        self.attribute(libc::RTA_PRIORITY, &route.metric.to_ne_bytes());
    }

    fn route_header(&mut self, to: IpNet, table: Table, protocol: Protocol, kind: u8, flags: u32) {
        let table = match table {
            Table::Local => libc::RT_TABLE_LOCAL,
            Table::Main => libc::RT_TABLE_MAIN,
            Table::Default => libc::RT_TABLE_DEFAULT,
        };
        self.bytes.extend([family(to.addr()), to.prefix_len(), 0, 0]);
        self.bytes.extend([table, protocol.0, libc::RT_SCOPE_UNIVERSE, kind]);
        self.u32(flags);
        self.ip(libc::RTA_DST, to.network());
    }

    /// A router of the route's own family, or of the other (RFC 8950).
    fn gateway(&mut self, router: IpAddr, v4_route: bool) {
        if router.is_ipv4() == v4_route {
            self.ip(libc::RTA_GATEWAY, router);
        } else {
            let mut via = u16::from(family(router)).to_ne_bytes().to_vec();
            match router {
                IpAddr::V4(v4) => via.extend(v4.octets()),
                IpAddr::V6(v6) => via.extend(v6.octets()),
            }
            self.attribute(libc::RTA_VIA, &via);
        }
    }

    fn probe(&mut self, key: NeighborKey, flags: i32, sequence: u32) {
        self.start(libc::RTM_NEWNEIGH, libc::NLM_F_ACK | libc::NLM_F_CREATE | flags, sequence);
        self.bytes.extend([family(key.address), 0, 0, 0]);
        self.u32(key.index.0);
        self.bytes.extend(libc::NUD_NONE.to_ne_bytes());
        self.bytes.extend([libc::NTF_USE, 0]);
        self.ip(libc::NDA_DST, key.address);
    }

    fn start(&mut self, kind: u16, flags: i32, sequence: u32) {
        self.bytes.clear();
        self.u32(0);
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(((flags | libc::NLM_F_REQUEST) as u16).to_ne_bytes());
        self.u32(sequence);
        self.u32(0);
    }

    fn finish(&mut self) -> &[u8] {
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        if let Some(field) = self.bytes.first_chunk_mut() {
            *field = length.to_ne_bytes();
        }
        &self.bytes
    }

    fn u32(&mut self, value: u32) {
        self.bytes.extend(value.to_ne_bytes());
    }

    fn ip(&mut self, kind: u16, address: IpAddr) {
        match address {
            IpAddr::V4(v4) => self.attribute(kind, &v4.octets()),
            IpAddr::V6(v6) => self.attribute(kind, &v6.octets()),
        }
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend([0; 2]);
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(value);
        self.set_length(start);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.bytes.extend([0; 2]);
        self.bytes.extend((kind | NLA_F_NESTED).to_ne_bytes());
        fill(self);
        self.set_length(start);
    }

    /// Attributes and paths alike begin with two bytes that say how long they are.
    fn set_length(&mut self, start: usize) {
        let length = u16::try_from(self.bytes.len() - start).unwrap_or(u16::MAX);
        if let Some(field) = self.bytes.get_mut(start..).and_then(|rest| rest.first_chunk_mut()) {
            *field = length.to_ne_bytes();
        }
    }
}

fn family(address: IpAddr) -> u8 {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    family as u8
}
