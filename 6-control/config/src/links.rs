//! By which interface a next hop is reached.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use crate::address::{self, InterfaceAddress};
use crate::check::Checker;
use crate::decode::Place;
use crate::diagnostic::{Diagnostic, Kind};
use crate::interface::Draft;
use crate::name::InterfaceName;
use crate::route::NextHop;
use crate::source::Located;

/// An interface's address, and the interface.
type Own<'d> = (&'d Located<InterfaceName>, &'d Located<InterfaceAddress>);

/// The interfaces by name, and the networks they are on.
pub(crate) struct Links<'d> {
    drafts: HashMap<&'d str, &'d Draft>,
    addresses: BTreeMap<IpAddr, Own<'d>>,
    /// Without the link-local ones, which say nothing about where an address is.
    networks: HashMap<IpNet, Own<'d>>,
    /// The lengths of the networks' prefixes, longest last.
    lengths: BTreeSet<u8>,
    /// Whether all of the interfaces were understood. If not, what is not found here may be there.
    complete: bool,
}

impl<'d> Links<'d> {
    pub(crate) fn new(interfaces: &'d [Draft], has_unread: bool) -> Self {
        let mut links = Self {
            drafts: HashMap::new(),
            addresses: BTreeMap::new(),
            networks: HashMap::new(),
            lengths: BTreeSet::new(),
            complete: !has_unread && interfaces.iter().all(Draft::is_located),
        };
        for draft in interfaces {
            let Some(name) = &draft.name else { continue };
            links.drafts.entry(name.value.as_str()).or_insert(draft);
            for address in &draft.addresses {
                links.addresses.entry(address.value.address()).or_insert((name, address));
                if !address.value.is_link_local() {
                    let network = address.value.network();
                    links.networks.entry(network).or_insert((name, address));
                    links.lengths.insert(network.prefix_len());
                }
            }
        }
        links
    }

    /// The interface that a key names.
    pub(crate) fn named(
        &self,
        key: &'static str,
        given: &Located<String>,
        checker: &mut Checker<'_>,
    ) -> Option<&'d InterfaceName> {
        let found = self.drafts.get(given.value.as_str()).and_then(|draft| draft.name.as_ref());
        if found.is_none() && self.complete {
            let expected = "the name of an [[interface]]";
            let (count, names) = (self.drafts.len(), self.drafts.keys().copied());
            checker.unknown_name(Place::Value(key), given, expected, count, names);
        }
        found.map(|name| &name.value)
    }

    /// The first IPv4 address of an interface: `Some(None)` if it has none, `None` if that can't
    /// be known.
    pub(crate) fn first_ipv4(&self, interface: &InterfaceName) -> Option<Option<Ipv4Addr>> {
        let draft = self.drafts.get(interface.as_str())?;
        let mut addresses = draft.addresses.iter().map(|address| address.value.address());
        let first = addresses.find_map(|address| match address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        });
        (draft.is_located() || first.is_some()).then_some(first)
    }

    /// An address of the gateway's in this network.
    pub(crate) fn own_address_in(&self, network: IpNet) -> Option<&'d Located<InterfaceAddress>> {
        let all = network.network()..=network.broadcast();
        self.addresses.range(all).map(|(_, &(_, address))| address).next()
    }

    /// The next hop with this address, on the interface that the route names, if it names one.
    pub(crate) fn next_hop(
        &self,
        given: &Located<IpAddr>,
        interface: Option<&InterfaceName>,
        checker: &mut Checker<'_>,
    ) -> Option<NextHop> {
        let address = given.value;
        if let Some((_, own)) = self.addresses.get(&address) {
            let found = format!("the next hop {address} is the gateway itself");
            let error = Diagnostic::new(&given.span, found, "a neighbour's address");
            checker.report(error.related(&own.span, "its address"));
            return None;
        }
        let connected = self.connected(address);
        if let Some((_, own)) = connected
            && let Some(why) = address::not_a_host_of(address, own.value.network())
        {
            let network = own.value.network();
            let found = format!("the next hop {address} is {why} {network}");
            let error = Diagnostic::new(&given.span, found, "a neighbour's address");
            checker.report(error.related(&own.span, "the network"));
            return None;
        }
        let on = |interface: &InterfaceName, on_link| {
            Some(NextHop { address, interface: interface.clone(), on_link })
        };
        match (interface, connected) {
            (Some(interface), Some((connected, own))) if *interface != connected.value => {
                let found = format!("the next hop {address} is on another interface's network");
                let error = Diagnostic::new(&given.span, found, "one on the `interface` given");
                checker.report(error.related(&own.span, "the network"));
                None
            }
            (_, Some((connected, _))) => on(&connected.value, false),
            (Some(interface), None) => on(interface, !address::is_link_local(address)),
            (None, None) => {
                self.nowhere(given, checker);
                None
            }
        }
    }

    /// Complains of a next hop that may be anywhere.
    fn nowhere(&self, given: &Located<IpAddr>, checker: &mut Checker<'_>) {
        let address = given.value;
        if address::is_link_local(address) {
            let found = format!("the next hop {address} is link-local, thus on any link");
            checker.report(Diagnostic::new(&given.span, found, "`interface` to say on which"));
        } else if self.complete {
            let found = format!("the next hop {address} is on no interface's network");
            let expected = "an address in one, or `interface` to say where it is";
            checker.report(Diagnostic::new(&given.span, found, expected).kind(Kind::Absence));
        }
    }

    /// The smallest of the interfaces' networks that has this address in it.
    fn connected(&self, address: IpAddr) -> Option<Own<'d>> {
        self.lengths.iter().rev().find_map(|&length| {
            let network = IpNet::new(address, length).ok()?.trunc();
            self.networks.get(&network).copied()
        })
    }
}
