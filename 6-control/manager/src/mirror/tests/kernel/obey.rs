//! The kernel does what the manager asks for, as far as that is about routes and addresses.

use ipnet::IpNet;

use super::{Entry, Kernel};
use crate::event::{Address, Event, KernelIndex, Path, Placement, Protocol, Route, Table, Target};
use crate::mirror::tests::TAPS;
use crate::request::{Request, StaticAction, StaticRoute};

impl Kernel {
    /// What is announced of a request that is done; `None` if it is refused.
    pub(in crate::mirror::tests) fn obey(&mut self, request: &Request) -> Option<Vec<Event>> {
        match request {
            Request::SetRoute { route, replace } => self.set_route(route, *replace),
            Request::RemoveRoute(route) => self.remove_route(route),
            Request::AddAddress { index, net } => {
                Some(self.add_address(*index, *net, Protocol::OURS))
            }
            Request::RemoveAddress(address) => self.remove_address(address.index, address.net),
            Request::SetLink { .. } | Request::Resolve(_) | Request::Probe(_) => {
                panic!("{request:?}")
            }
        }
    }

    fn set_route(&mut self, route: &StaticRoute<KernelIndex>, replace: bool) -> Option<Vec<Event>> {
        let v6 = route.to.addr().is_ipv6();
        let metric = if v6 { 1024 } else { 0 };
        let entry = |target| Entry {
            table: Table::Main,
            prefix: route.to,
            metric,
            protocol: Protocol::OURS,
            target,
        };
        let entries: Vec<Entry> = match &route.action {
            StaticAction::Blackhole => vec![entry(Target::Blackhole)],
            StaticAction::Unreachable => vec![entry(Target::Unreachable)],
            StaticAction::Prohibit => vec![entry(Target::Prohibit)],
            StaticAction::Via(routers) => {
                let paths: Vec<Path> = routers
                    .iter()
                    .map(|router| Path {
                        index: router.on_link.unwrap_or(TAPS[0]),
                        gateway: Some(router.address),
                    })
                    .collect();
                match paths.as_slice() {
                    [path] => vec![entry(Target::Via(*path))],
                    paths if v6 => paths.iter().map(|path| entry(Target::Via(*path))).collect(),
                    paths => {
                        let paths = paths.iter().map(|path| (*path, 1)).collect();
                        vec![entry(Target::Multipath(paths))]
                    }
                }
            }
        };
        let possible = entries.iter().all(|entry| self.is_possible(&entry.target));
        let exists = self.entries.iter().any(|other| other.slot() == entries[0].slot());
        if !possible || exists && !replace {
            return None;
        }
        let placements = [Placement::Replace].into_iter().chain(std::iter::repeat(Placement::Last));
        Some(
            entries
                .into_iter()
                .zip(placements)
                .flat_map(|(entry, at)| self.add(entry, at))
                .collect(),
        )
    }

    fn remove_route(&mut self, route: &Route) -> Option<Vec<Event>> {
        let is_it = |entry: &Entry| {
            entry.slot() == (route.table, route.prefix, route.metric)
                && entry.protocol == route.protocol
        };
        let first = self.entries.iter().position(is_it)?;
        let gone = Event::RouteGone(self.with_siblings(&self.entries[first]));
        if self.entries[first].is_ecmp() {
            self.entries.retain(|entry| !is_it(entry));
        } else {
            self.entries.remove(first);
        }
        Some(vec![gone])
    }

    /// Gives a device an address.
    pub(in crate::mirror::tests) fn add_address(
        &mut self,
        index: KernelIndex,
        net: IpNet,
        protocol: Protocol,
    ) -> Vec<Event> {
        let same = |other: &&Address| match net {
            IpNet::V4(_) => other.net == net,
            IpNet::V6(_) => other.net.addr() == net.addr(),
        };
        let of_device = || self.addresses.iter().filter(|other| other.index == index);
        if of_device().any(|other| same(&other)) {
            return vec![];
        }
        let second =
            of_device().any(|other| net.addr().is_ipv4() && other.net.trunc() == net.trunc());
        let flags = if second { libc::IFA_F_SECONDARY } else { 0 };
        let address = Address { index, net, flags, protocol };
        self.addresses.push(address);
        vec![Event::Address(address)]
    }

    /// Takes an address, and with a primary one its secondary ones.
    fn remove_address(&mut self, index: KernelIndex, net: IpNet) -> Option<Vec<Event>> {
        let is_it = |other: &Address| other.index == index && other.net == net;
        let address = *self.addresses.iter().find(|other| is_it(other))?;
        let primary = address.flags & libc::IFA_F_SECONDARY == 0 && net.addr().is_ipv4();
        let gone = self.addresses.extract_if(.., |other| {
            let depends = primary && other.index == index && other.net.trunc() == net.trunc();
            is_it(other) || depends
        });
        Some(gone.map(Event::AddressGone).collect())
    }

    /// What the manager is to answer for.
    pub(in crate::mirror::tests) fn routes_of(&self, protocol: Protocol) -> Vec<(IpNet, Target)> {
        let entries = self.entries.iter().filter(|entry| entry.protocol == protocol);
        entries.map(|entry| (entry.prefix, entry.target.clone())).collect()
    }

    /// All addresses of a device.
    pub(in crate::mirror::tests) fn addresses_of(
        &self,
        index: KernelIndex,
    ) -> impl Iterator<Item = &Address> {
        self.addresses.iter().filter(move |address| address.index == index)
    }
}
