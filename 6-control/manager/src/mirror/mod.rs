//! The kernel's tables as the dataplane needs them: events in, next hops, neighbours, interfaces
//! and routes to be written out. There is no I/O here, and no clock.

mod apply;
mod resolve;
mod sync;
#[cfg(test)]
mod tests;

pub(crate) use apply::Plan;

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use portcullis_packet::IfIndex;
use portcullis_routing::{Adjacency, Interface, NextHop};
use portcullis_tables::NeighborTable;

use crate::event::{
    Address, Event, KernelIndex, Link, Neighbor, NeighborKey, NeighborState, Object, ObjectId,
    Placement, Route,
};
use crate::mirrored::{Mirrored, News, Origin};
use crate::next_hops::{Key, NextHopStore};
use crate::ports::Ports;
use crate::request::Side;
use crate::resync::Resync;
use crate::rib::{Given, Rib, Spec, Specs};
use crate::setup::InterfaceSetup;

/// One table per family.
#[derive(Debug, Default)]
struct Families<T> {
    v4: T,
    v6: T,
}

impl<T> Families<T> {
    fn of(&mut self, address: IpAddr) -> &mut T {
        match address {
            IpAddr::V4(_) => &mut self.v4,
            IpAddr::V6(_) => &mut self.v6,
        }
    }

    fn get(&self, address: IpAddr) -> &T {
        match address {
            IpAddr::V4(_) => &self.v4,
            IpAddr::V6(_) => &self.v6,
        }
    }
}

/// Name of an address: one device may have it with several prefix lengths.
type AddressKey = (KernelIndex, IpNet);

/// The kernel's tables, and what they come to.
#[derive(Debug)]
pub(crate) struct Mirror {
    pub(crate) ports: Ports,
    pub(crate) resync: Resync,
    pub(crate) rib4: Rib<Ipv4Net>,
    pub(crate) rib6: Rib<Ipv6Net>,
    pub(crate) specs: Specs,
    pub(crate) store: NextHopStore,
    /// All devices in `vpc`.
    links: Mirrored<KernelIndex, Link>,
    /// All devices in `link`.
    devices: Mirrored<KernelIndex, Link>,
    /// With a number that grows, as the order in which addresses were set matters.
    addresses: Families<Mirrored<AddressKey, (u64, Address)>>,
    next_serial: u64,
    neighbors: Families<Mirrored<NeighborKey, Neighbor>>,
    objects: Mirrored<ObjectId, Object>,
    neighbor_table: NeighborTable,
    /// What hashes are made with.
    seed: u64,
    interfaces: Vec<Interface>,
    /// Something that specs are resolved by has changed.
    stale: bool,
    /// Something that a snapshot shows, other than next hops, has changed.
    changed: bool,
    /// An address or the state of an interface has changed, so that static routes may be possible
    /// now.
    pub(crate) reachability_changed: bool,
    /// Neighbours that the kernel no longer has.
    pub(crate) forgotten: Vec<(IfIndex, IpAddr)>,
}

impl Mirror {
    /// An empty mirror for these interfaces. The seed is for all hashes.
    pub(crate) fn new(interfaces: Vec<InterfaceSetup>, seed: u64) -> Self {
        let ports = Ports::new(interfaces);
        let interfaces = ports.iter().map(|(_, port)| port.interface(&[])).collect();
        Self {
            ports,
            resync: Resync::default(),
            rib4: Rib::default(),
            rib6: Rib::default(),
            specs: Specs::default(),
            store: NextHopStore::default(),
            links: Mirrored::default(),
            devices: Mirrored::default(),
            addresses: Families::default(),
            next_serial: 0,
            neighbors: Families::default(),
            objects: Mirrored::default(),
            neighbor_table: NeighborTable::new(seed),
            seed,
            interfaces,
            stale: false,
            changed: true,
            reachability_changed: false,
            forgotten: Vec::new(),
        }
    }

    /// Something in `vpc` has changed, or is a line of a dump.
    pub(crate) fn handle(&mut self, event: Event, origin: Origin) {
        match event {
            Event::Link(link) => self.link(link, origin),
            Event::LinkGone(index) => {
                if self.links.remove(&index).is_some() {
                    self.resync.request();
                    self.link_gone(index);
                }
            }
            Event::Address(address) => {
                let key = (address.index, address.net);
                let table = self.addresses.of(address.net.addr());
                let serial = table.get(&key).map_or(self.next_serial, |(serial, _)| *serial);
                self.next_serial += 1;
                if table.set(key, (serial, address), origin) != News::None {
                    self.address_changed(address.index);
                }
            }
            Event::AddressGone(address) => {
                let table = self.addresses.of(address.net.addr());
                if table.remove(&(address.index, address.net)).is_some() {
                    self.address_changed(address.index);
                    // Routes that prefer it as their source went without an announcement.
                    self.resync.request();
                }
            }
            Event::Neighbor(neighbor) => {
                let table = self.neighbors.of(neighbor.key.address);
                if table.set(neighbor.key, neighbor, origin) != News::None {
                    self.neighbor_changed(neighbor.key);
                }
            }
            Event::NeighborGone(key) => {
                // It may have been looked for, of which the kernel says nothing.
                if let Some(interface) = self.ports.of_tap(key.index) {
                    self.forgotten.push((interface, key.address));
                }
                if self.neighbors.of(key.address).remove(&key).is_some() {
                    self.neighbor_changed(key);
                }
            }
            Event::Object(id, object) => {
                if self.objects.set(id, object, origin) != News::None {
                    self.stale = true;
                }
            }
            Event::ObjectGone(id) => {
                if self.objects.remove(&id).is_some() {
                    self.object_gone(id, origin);
                }
            }
            Event::Route(route, placement) => self.route(route, placement),
            Event::RouteGone(route) => self.route_gone(route),
        }
    }

    /// A device in `link` has changed, or is a line of a dump.
    pub(crate) fn handle_device(&mut self, event: Event, origin: Origin) {
        let interface = match event {
            Event::Link(link) => match self.devices.set(link.index, link.clone(), origin) {
                News::None => None,
                News::Added | News::Changed(_) => self.ports.set_link(Side::Device, &link),
            },
            Event::LinkGone(index) => {
                self.devices.remove(&index);
                self.ports.remove_link(Side::Device, index)
            }
            Event::Address(_)
            | Event::AddressGone(_)
            | Event::Neighbor(_)
            | Event::NeighborGone(_)
            | Event::Object(..)
            | Event::ObjectGone(_)
            | Event::Route(..)
            | Event::RouteGone(_) => None,
        };
        if let Some(interface) = interface {
            self.interface_changed(interface);
        }
    }

    /// The configuration says this of each interface from now on.
    pub(crate) fn configure(&mut self, addresses: Vec<Vec<IpNet>>, mtus: Vec<Option<u16>>) {
        for (interface, (addresses, mtu)) in (0..).map(IfIndex).zip(addresses.into_iter().zip(mtus))
        {
            if self.ports.configure(interface, addresses, mtu) {
                self.interface_changed(interface);
            }
        }
    }

    fn link(&mut self, link: Link, origin: Origin) {
        let before = match self.links.set(link.index, link.clone(), origin) {
            News::None => return,
            News::Added => None,
            News::Changed(before) => Some(before),
        };
        let lost = |before: Link| before.up && !link.up || before.carrier && !link.carrier;
        if before.is_some_and(lost) && origin == Origin::Announced {
            // Without an announcement go: the IPv4 routes of a device that is set down, and the
            // nexthop objects (and their IPv4 routes) of one that merely loses its carrier.
            self.resync.request();
        }
        if let Some(interface) = self.ports.set_link(Side::Tap, &link) {
            self.interface_changed(interface);
        }
    }

    fn link_gone(&mut self, index: KernelIndex) {
        if let Some(interface) = self.ports.remove_link(Side::Tap, index) {
            self.interface_changed(interface);
        }
    }

    fn address_changed(&mut self, index: KernelIndex) {
        self.reachability_changed = true;
        if let Some(interface) = self.ports.of_tap(index) {
            self.interface_changed(interface);
        }
    }

    /// Computes again what workers know of an interface, and what depends on it.
    pub(crate) fn interface_changed(&mut self, interface: IfIndex) {
        let Some(port) = self.ports.get(interface) else { return };
        let index = port.tap().map(|tap| tap.index);
        let addresses: Vec<_> = [&self.addresses.v4, &self.addresses.v6]
            .into_iter()
            .flat_map(Mirrored::iter)
            .filter(|((on, _), _)| Some(*on) == index)
            .map(|(_, address)| *address)
            .collect();
        let new = port.interface(&addresses);
        // Which devices are ours, and which of them pass packets.
        self.stale = true;
        self.reachability_changed = true;
        if let Some(old) = self.interfaces.get_mut(interface.slot())
            && *old != new
        {
            *old = new;
            self.changed = true;
        }
        let mut addresses: Vec<_> = self
            .store
            .through_interface(interface)
            .into_iter()
            .filter_map(|(_, key)| match key {
                Key::Adjacency(_, address, _) => Some(address),
                Key::Constant(_) | Key::Attached(_) | Key::Broadcast(_) | Key::Spec(_) => None,
            })
            .collect();
        let known = [&self.neighbors.v4, &self.neighbors.v6].into_iter().flat_map(Mirrored::iter);
        addresses
            .extend(known.filter(|(key, _)| Some(key.index) == index).map(|(key, _)| key.address));
        addresses.sort_unstable();
        addresses.dedup();
        for address in addresses {
            self.refresh_neighbor(interface, address);
        }
    }

    fn neighbor_changed(&mut self, key: NeighborKey) {
        if let Some(interface) = self.ports.of_tap(key.index) {
            self.refresh_neighbor(interface, key.address);
        }
    }

    /// Rewrites all next hops through a neighbour, and its place among the known ones.
    fn refresh_neighbor(&mut self, interface: IfIndex, address: IpAddr) {
        for (id, key) in self.store.through(interface, address) {
            if let Key::Adjacency(_, _, mtu) = key {
                let next_hop = self.adjacency(interface, address, mtu);
                self.store.set(id, next_hop);
            }
        }
        let next_hop = self.adjacency(interface, address, 0);
        let usable = matches!(next_hop, NextHop::Forward(_));
        let known = self.neighbor_table.get(interface, address);
        match (usable, known) {
            (true, None) => {
                let key = Key::Adjacency(interface, address, 0);
                match self.store.acquire(key, next_hop) {
                    Ok(id) => {
                        self.neighbor_table.insert(interface, address, id);
                        self.changed = true;
                    }
                    Err(full) => tracing::warn!(%address, "neighbour left out: {full}"),
                }
            }
            (false, Some(id)) => {
                self.neighbor_table.remove(interface, address);
                self.store.release(id);
                self.changed = true;
            }
            (true, Some(_)) | (false, None) => {}
        }
    }

    /// What to do with packets for a neighbour.
    fn adjacency(&self, interface: IfIndex, address: IpAddr, mtu: u16) -> NextHop {
        let unresolved = NextHop::Unresolved { interface, gateway: address };
        let Some(port) = self.ports.get(interface) else { return unresolved };
        let neighbor = port.tap().and_then(|tap| {
            self.neighbors.get(address).get(&NeighborKey { index: tap.index, address })
        });
        let usable = neighbor.filter(|neighbor| neighbor.state.is_usable());
        let Some(mac) = usable.and_then(|neighbor| neighbor.mac) else { return unresolved };
        let mtu = if mtu == 0 { port.mtu() } else { mtu.min(port.mtu()) };
        NextHop::Forward(Adjacency::new(interface, mtu, mac, port.mac()))
    }

    /// State of a neighbour that the kernel has an entry for.
    pub(crate) fn neighbor_state(
        &self,
        interface: IfIndex,
        address: IpAddr,
    ) -> Option<NeighborState> {
        let key = self.ports.tap_index(interface).map(|index| NeighborKey { index, address });
        let neighbor = key.and_then(|key| self.neighbors.get(address).get(&key));
        neighbor.map(|neighbor| neighbor.state)
    }

    /// All neighbours on the gateway's interfaces.
    pub(crate) fn neighbors(&self) -> impl Iterator<Item = (IfIndex, &Neighbor)> {
        let all = [&self.neighbors.v4, &self.neighbors.v6].into_iter().flat_map(Mirrored::iter);
        all.filter_map(|(key, neighbor)| Some((self.ports.of_tap(key.index)?, neighbor)))
    }

    /// All devices in `vpc`.
    pub(crate) fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.iter().map(|(_, link)| link)
    }

    /// All addresses of a device in `vpc`.
    pub(crate) fn addresses(&self, index: KernelIndex) -> impl Iterator<Item = &Address> {
        let all = [&self.addresses.v4, &self.addresses.v6].into_iter().flat_map(Mirrored::iter);
        all.filter(move |((on, _), _)| *on == index).map(|(_, (_, address))| address)
    }

    /// What workers know of the interfaces.
    pub(crate) fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    /// The name of a device in `vpc`.
    pub(crate) fn link_name(&self, index: KernelIndex) -> Option<&str> {
        self.links.get(&index).map(|link| &*link.name)
    }

    /// A nexthop object.
    pub(crate) fn object(&self, id: ObjectId) -> Option<&Object> {
        self.objects.get(&id)
    }

    fn object_gone(&mut self, id: ObjectId, origin: Origin) {
        self.stale = true;
        if origin == Origin::Announced && self.resync.is_running() {
            // Its routes may be in a dump that was made before.
            self.resync.request();
        }
        // Its routes go with it; IPv4 ones without an announcement. They must not be there when an
        // object of the same id comes.
        let users = self.specs.naming(id);
        if !users.is_empty() {
            self.rib4.remove_all_of(&users, &mut self.specs);
            self.rib6.remove_all_of(&users, &mut self.specs);
        }
    }

    fn route(&mut self, route: Route, placement: Placement) {
        let Route { table, prefix, metric, protocol, target, mtu } = route;
        let given = Given { table, metric, protocol, spec: Spec { target, mtu } };
        let certain = match prefix {
            IpNet::V4(prefix) => self.rib4.add(prefix, given, placement, &mut self.specs),
            IpNet::V6(prefix) => self.rib6.add(prefix, given, placement, &mut self.specs),
        };
        if !certain {
            self.resync.request();
        }
    }

    fn route_gone(&mut self, route: Route) {
        let Route { table, prefix, metric, protocol, target, mtu } = route;
        let given = Given { table, metric, protocol, spec: Spec { target, mtu } };
        let known = match prefix {
            IpNet::V4(prefix) => self.rib4.remove(prefix, &given, &mut self.specs),
            IpNet::V6(prefix) => self.rib6.remove(prefix, &given, &mut self.specs),
        };
        if !known {
            self.resync.request();
        }
    }
}
