//! By which interface a next hop is reached.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use ipnet::IpNet;

use crate::address::{self, InterfaceAddress};
use crate::check::Checker;
use crate::decode::{Place, quoted};
use crate::diagnostic::{Diagnostic, Kind};
use crate::interface::Draft;
use crate::name::InterfaceName;
use crate::route::NextHop;
use crate::source::Located;
use crate::suggest;

/// An interface's address, and the interface.
type Own<'d> = (&'d Located<InterfaceName>, &'d Located<InterfaceAddress>);

/// The interfaces by name, and the networks they are on.
pub(crate) struct Links<'d> {
    names: HashMap<&'d str, &'d InterfaceName>,
    addresses: HashMap<IpAddr, Own<'d>>,
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
            names: HashMap::new(),
            addresses: HashMap::new(),
            networks: HashMap::new(),
            lengths: BTreeSet::new(),
            complete: !has_unread && interfaces.iter().all(Draft::is_located),
        };
        for draft in interfaces {
            let Some(name) = &draft.name else { continue };
            links.names.entry(name.value.as_str()).or_insert(&name.value);
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

    /// The interface that a route's `interface` names.
    pub(crate) fn named(
        &self,
        given: &Located<String>,
        checker: &mut Checker<'_>,
    ) -> Option<&'d InterfaceName> {
        let found = self.names.get(given.value.as_str()).copied();
        if found.is_none() && self.complete {
            let found = Place::Value("interface").found(&quoted(&given.value));
            let expected = "the name of an [[interface]]";
            let mut error = Diagnostic::new(&given.span, found, expected).kind(Kind::Absence);
            if let Some(meant) = suggest::nearest(&given.value, self.names.keys().copied()) {
                error = error.help(format!("did you mean `{meant}`?"));
            }
            checker.report(error);
        }
        found
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
