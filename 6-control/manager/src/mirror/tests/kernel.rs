//! A kernel as simple as can be: lists that are searched from one end to the other. It does what
//! Linux does to routes, says what Linux says, and is silent where Linux is.

mod obey;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use portcullis_packet::IfIndex;

use super::{Answer, FOREIGN, TAPS, link, mac_of};
use crate::event::{
    Address, Event, KernelIndex, Neighbor, NeighborKey, NeighborState, Object, ObjectId, Path,
    Placement, Protocol, Route, Table, Target, Weight,
};
use crate::netlink::Dump;

/// A router's address on any link.
pub(super) fn router(v6: bool, last: u8) -> IpAddr {
    if v6 {
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last.into()).into()
    } else {
        Ipv4Addr::new(10, 0, 0, last).into()
    }
}

/// Prefixes that cover each other in all ways.
pub(super) fn prefixes(v6: bool) -> Vec<IpNet> {
    let prefixes: &[&str] = if v6 {
        &[
            "::/0",
            "2001:db8::/32",
            "2001:db8:1::/48",
            "2001:db8:1::1/128",
            "2001:db8:2::/48",
            "ff02::1/128",
        ]
    } else {
        &["0.0.0.0/0", "20.0.0.0/8", "20.1.0.0/16", "20.1.1.1/32", "20.2.0.0/16", "127.0.0.1/32"]
    };
    prefixes.iter().map(|prefix| prefix.parse().expect("a prefix")).collect()
}

/// An address in each of the regions that the prefixes make.
pub(super) fn addresses() -> Vec<IpAddr> {
    let addresses = [
        "9.9.9.9",
        "20.9.9.9",
        "20.1.9.9",
        "20.1.1.1",
        "20.2.2.2",
        "127.0.0.1",
        "224.0.0.1",
        "2001:1::1",
        "2001:db8:9::1",
        "2001:db8:1::9",
        "2001:db8:1::1",
        "2001:db8:2::1",
        "ff02::1",
        "fe80::1",
    ];
    addresses.iter().map(|address| address.parse().expect("an address")).collect()
}

/// One entry of a table. IPv6 siblings are entries of their own.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Entry {
    pub(super) table: Table,
    pub(super) prefix: IpNet,
    pub(super) metric: u32,
    pub(super) protocol: Protocol,
    pub(super) target: Target,
}

impl Entry {
    fn slot(&self) -> (Table, IpNet, u32) {
        (self.table, self.prefix, self.metric)
    }

    fn is_v6(&self) -> bool {
        self.prefix.addr().is_ipv6()
    }

    /// Whether it can be one of several siblings.
    fn is_ecmp(&self) -> bool {
        self.is_v6() && matches!(&self.target, Target::Via(path) if path.gateway.is_some())
    }

    fn route(&self) -> Route {
        Route {
            table: self.table,
            prefix: self.prefix,
            metric: self.metric,
            protocol: self.protocol,
            target: self.target.clone(),
            mtu: None,
        }
    }
}

#[derive(Default, Debug)]
pub(super) struct Kernel {
    /// Set down, and without carrier: taps are up at first.
    down: BTreeSet<KernelIndex>,
    dark: BTreeSet<KernelIndex>,
    entries: Vec<Entry>,
    objects: BTreeMap<ObjectId, Object>,
    neighbors: BTreeMap<NeighborKey, NeighborState>,
    addresses: Vec<Address>,
}

impl Kernel {
    fn is_up(&self, index: KernelIndex) -> bool {
        !self.down.contains(&index)
    }

    fn has_carrier(&self, index: KernelIndex) -> bool {
        self.is_up(index) && !self.dark.contains(&index)
    }

    fn link(&self, index: KernelIndex) -> Event {
        let name = match index {
            FOREIGN => "lo",
            index if index == TAPS[0] => "wan",
            _ => "lan",
        };
        Event::Link(link(index, name, self.is_up(index), !self.dark.contains(&index)))
    }

    /// Adds a route as `ip route add`, `append` or `replace` would.
    pub(super) fn add(&mut self, entry: Entry, placement: Placement) -> Vec<Event> {
        let replace = placement == Placement::Replace && entry.is_v6();
        if !self.is_possible(&entry.target) || self.entries.contains(&entry) && !replace {
            return vec![];
        }
        if entry.is_v6() { self.add6(entry, placement) } else { self.add4(entry, placement) }
    }

    fn add4(&mut self, entry: Entry, placement: Placement) -> Vec<Event> {
        let first = self.entries.iter().position(|other| other.slot() == entry.slot());
        match (placement, first) {
            (Placement::Replace, Some(first)) => self.entries[first] = entry.clone(),
            (Placement::First, Some(first)) => self.entries.insert(first, entry.clone()),
            _ => self.entries.push(entry.clone()),
        }
        vec![Event::Route(entry.route(), placement)]
    }

    fn add6(&mut self, entry: Entry, placement: Placement) -> Vec<Event> {
        let same = |other: &Entry| other.slot() == entry.slot();
        let alike = |other: &Entry| same(other) && other.is_ecmp() == entry.is_ecmp();
        let replaced = match placement {
            Placement::Replace => {
                let alike = self.entries.iter().position(alike);
                alike.or(self.entries.iter().position(same))
            }
            Placement::First | Placement::Last | Placement::Dumped => None,
        };
        match replaced {
            Some(at) => {
                let siblings = self.entries[at].is_ecmp();
                self.entries[at] = entry.clone();
                let mut position = 0..;
                self.entries.retain(|other| {
                    position.next() == Some(at) || !(siblings && same(other) && other.is_ecmp())
                });
            }
            None => self.entries.push(entry.clone()),
        }
        vec![Event::Route(self.with_siblings(&entry), placement)]
    }

    /// The route as it is shown: with all its siblings.
    fn with_siblings(&self, entry: &Entry) -> Route {
        let siblings: Vec<(Path, Weight)> = self
            .entries
            .iter()
            .filter(|other| entry.is_ecmp() && other.slot() == entry.slot() && other.is_ecmp())
            .filter_map(|other| match other.target {
                Target::Via(path) => Some((path, 1)),
                _ => None,
            })
            .collect();
        match siblings.as_slice() {
            [] | [_] => entry.route(),
            _ => Route { target: Target::Multipath(siblings.into()), ..entry.route() },
        }
    }

    /// Takes a route away.
    pub(super) fn remove(&mut self, at: usize) -> Vec<Event> {
        if self.entries.is_empty() {
            return vec![];
        }
        let entry = self.entries.remove(at % self.entries.len());
        vec![Event::RouteGone(entry.route())]
    }

    /// Sets a link up or down.
    pub(super) fn set_up(&mut self, index: KernelIndex, up: bool) -> Vec<Event> {
        let changed = if up { self.down.remove(&index) } else { self.down.insert(index) };
        if !changed {
            return vec![];
        }
        let mut events = vec![];
        if !up {
            events.extend(self.flush(index));
        }
        events.push(self.link(index));
        events
    }

    /// Gives a link carrier or takes it.
    pub(super) fn set_carrier(&mut self, index: KernelIndex, carrier: bool) -> Vec<Event> {
        let changed = if carrier { self.dark.remove(&index) } else { self.dark.insert(index) };
        if !changed {
            return vec![];
        }
        let mut events = vec![];
        if !carrier {
            events.extend(self.flush_objects(index));
        }
        events.push(self.link(index));
        events
    }

    /// A link went down. IPv4 routes go silently.
    fn flush(&mut self, index: KernelIndex) -> Vec<Event> {
        let mut events = self.flush_objects(index);
        let dead = |paths: &[(Path, Weight)], down: &BTreeSet<_>| {
            paths.iter().all(|(path, _)| down.contains(&path.index))
        };
        let siblings_alive: Vec<bool> = self
            .entries
            .iter()
            .map(|entry| {
                self.entries.iter().any(|other| {
                    entry.is_ecmp()
                        && other.is_ecmp()
                        && other.slot() == entry.slot()
                        && matches!(other.target, Target::Via(p) if self.is_up(p.index))
                })
            })
            .collect();
        let down = self.down.clone();
        let mut alive = siblings_alive.into_iter();
        self.entries.retain(|entry| {
            let sibling_alive = alive.next().unwrap_or(false);
            let keep = match &entry.target {
                Target::Via(path) => !down.contains(&path.index) || sibling_alive,
                Target::Multipath(paths) => !dead(paths, &down),
                Target::Broadcast(on) => *on != index,
                _ => true,
            };
            if !keep && entry.is_v6() {
                events.push(Event::RouteGone(entry.route()));
            }
            keep
        });
        let gone: Vec<_> =
            self.neighbors.keys().filter(|key| key.index == index).copied().collect();
        for key in gone {
            self.neighbors.remove(&key);
            events.push(Event::NeighborGone(key));
        }
        events
    }

    /// A link lost its carrier: its nexthop objects go silently, and their IPv4 routes.
    fn flush_objects(&mut self, index: KernelIndex) -> Vec<Event> {
        let gone: Vec<_> = self
            .objects
            .iter()
            .filter(|(_, object)| matches!(object, Object::Via(path) if path.index == index))
            .map(|(id, _)| *id)
            .collect();
        let events = gone.into_iter().flat_map(|id| self.remove_object(id));
        let events: Vec<_> = events.collect();
        let v6 = |event: &Event| matches!(event, Event::RouteGone(_));
        events.into_iter().filter(v6).collect()
    }

    /// Makes or changes a nexthop object.
    pub(super) fn set_object(&mut self, id: ObjectId, object: Object) -> Vec<Event> {
        let possible = match &object {
            Object::Via(path) => self.has_carrier(path.index),
            Object::Group(members) => members
                .iter()
                .all(|(member, _)| matches!(self.objects.get(member), Some(Object::Via(_)))),
            Object::Blackhole | Object::Unsupported => true,
        };
        // The kernel takes no group for an object that is a member of one, nor the other way round.
        let is_group = |object: &Object| matches!(object, Object::Group(_));
        let member = self.objects.values().any(|other| {
            matches!(other, Object::Group(members) if members.iter().any(|(m, _)| *m == id))
        });
        let was_group = self.objects.get(&id).is_some_and(is_group);
        let plain = matches!(object, Object::Via(_));
        let exists = self.objects.contains_key(&id);
        if !possible || exists && was_group != is_group(&object) || member && !plain {
            return vec![];
        }
        self.objects.insert(id, object.clone());
        vec![Event::Object(id, object)]
    }

    /// Takes a nexthop object away, and with it its routes, IPv4 ones silently.
    pub(super) fn remove_object(&mut self, id: ObjectId) -> Vec<Event> {
        if self.objects.remove(&id).is_none() {
            return vec![];
        }
        let mut events = vec![];
        let mut empty = vec![];
        for (group, object) in &mut self.objects {
            if let Object::Group(members) = object
                && members.iter().any(|(member, _)| *member == id)
            {
                *members = members.iter().filter(|(member, _)| *member != id).copied().collect();
                if members.is_empty() {
                    empty.push(*group);
                } else {
                    events.push(Event::Object(*group, object.clone()));
                }
            }
        }
        for group in empty {
            events.extend(self.remove_object(group));
        }
        self.entries.retain(|entry| {
            let keep = entry.target != Target::Object(id);
            if !keep && entry.is_v6() {
                events.push(Event::RouteGone(entry.route()));
            }
            keep
        });
        events.push(Event::ObjectGone(id));
        events
    }

    /// A neighbour is learnt, or fails.
    pub(super) fn set_neighbor(&mut self, key: NeighborKey, state: NeighborState) -> Vec<Event> {
        if !self.is_up(key.index) {
            return vec![];
        }
        self.neighbors.insert(key, state);
        vec![Event::Neighbor(neighbor(key, state))]
    }

    fn is_possible(&self, target: &Target) -> bool {
        match target {
            Target::Via(path) => self.is_up(path.index),
            Target::Multipath(paths) => paths.iter().all(|(path, _)| self.is_up(path.index)),
            Target::Object(id) => self.objects.contains_key(id),
            _ => true,
        }
    }

    /// All lines of a dump.
    pub(super) fn dump(&self, dump: Dump) -> Vec<Event> {
        let routes = |v6: bool| {
            let mut shown: Vec<Route> = vec![];
            for entry in self.entries.iter().filter(|entry| entry.is_v6() == v6) {
                let route = self.with_siblings(entry);
                if !matches!(route.target, Target::Multipath(_)) || !shown.contains(&route) {
                    shown.push(route);
                }
            }
            shown.into_iter().map(|route| Event::Route(route, Placement::Dumped)).collect()
        };
        let neighbors = |v6: bool| {
            let known = self.neighbors.iter().filter(|(key, _)| key.address.is_ipv6() == v6);
            known.map(|(key, state)| Event::Neighbor(neighbor(*key, *state))).collect()
        };
        let addresses = |v6: bool| {
            let of_family = self.addresses.iter().filter(|a| a.net.addr().is_ipv6() == v6);
            of_family.map(|address| Event::Address(*address)).collect()
        };
        match dump {
            Dump::Links => [FOREIGN, TAPS[0], TAPS[1]].map(|index| self.link(index)).into(),
            Dump::Addresses4 => addresses(false),
            Dump::Addresses6 => addresses(true),
            Dump::Neighbors4 => neighbors(false),
            Dump::Neighbors6 => neighbors(true),
            Dump::Objects => {
                let objects = self.objects.iter();
                objects.map(|(id, object)| Event::Object(*id, object.clone())).collect()
            }
            Dump::Routes4 => routes(false),
            Dump::Routes6 => routes(true),
        }
    }

    /// Neighbours that packets can be sent to.
    pub(super) fn known_neighbors(&self) -> Vec<(IfIndex, IpAddr)> {
        let usable = self.neighbors.iter().filter(|(_, state)| state.is_usable());
        usable.filter_map(|(key, _)| Some((interface(key.index)?, key.address))).collect()
    }

    /// What becomes of a packet to this address.
    pub(super) fn answer(&self, address: IpAddr) -> Answer {
        if let Some(answer) = reserved(address) {
            return answer;
        }
        for table in [Table::Local, Table::Main, Table::Default] {
            let mut lengths: Vec<u8> = self
                .entries
                .iter()
                .filter(|entry| entry.table == table && entry.prefix.contains(&address))
                .map(|entry| entry.prefix.prefix_len())
                .collect();
            lengths.sort_unstable_by(|a, b| b.cmp(a));
            lengths.dedup();
            let found = lengths.into_iter().find_map(|length| self.best(table, address, length));
            match found {
                Some(Target::Throw) | None => {}
                Some(target) => return self.follow(&target),
            }
        }
        Answer::NoRoute
    }

    /// The first of the lowest metric among those that lead anywhere.
    fn best(&self, table: Table, address: IpAddr, length: u8) -> Option<Target> {
        let candidates = self.entries.iter().filter(|entry| {
            entry.table == table
                && entry.prefix.prefix_len() == length
                && entry.prefix.contains(&address)
        });
        let alive = candidates.filter(|entry| {
            let target = self.with_siblings(entry).target;
            !matches!(self.ways(&target), Some(ways) if ways.is_empty())
        });
        let best = alive.min_by_key(|entry| entry.metric)?;
        Some(self.with_siblings(best).target)
    }

    /// The ways that are open at present; `None` if it is not about ways.
    fn ways(&self, target: &Target) -> Option<Vec<Path>> {
        let paths: Vec<Path> = match target {
            Target::Via(path) => vec![*path],
            Target::Multipath(paths) => paths.iter().map(|(path, _)| *path).collect(),
            Target::Object(id) => match self.objects.get(id)? {
                Object::Via(path) => vec![*path],
                Object::Group(members) => members
                    .iter()
                    .filter_map(|(id, _)| match self.objects.get(id) {
                        Some(Object::Via(path)) => Some(*path),
                        _ => None,
                    })
                    .collect(),
                Object::Blackhole | Object::Unsupported => return None,
            },
            _ => return None,
        };
        Some(paths.into_iter().filter(|path| self.is_up(path.index)).collect())
    }

    fn follow(&self, target: &Target) -> Answer {
        if let Some(mut ways) = self.ways(target) {
            // A lone path is used whether its link has carrier or not.
            let ours = |path: &Path| interface(path.index).is_some();
            if !ways.iter().any(ours) {
                return Answer::Unreachable;
            }
            ways.retain(ours);
            if ways.iter().any(|path| self.has_carrier(path.index)) {
                ways.retain(|path| self.has_carrier(path.index));
            }
            let ways = ways.into_iter().filter_map(|p| Some((interface(p.index)?, p.gateway)));
            return Answer::Forward(ways.collect());
        }
        match target {
            Target::Local => Answer::Local,
            Target::Broadcast(index) => interface(*index).map_or(Answer::Local, Answer::Broadcast),
            Target::Multicast => Answer::Multicast,
            Target::Blackhole => Answer::Blackhole,
            Target::Prohibit => Answer::Prohibit,
            Target::Object(id) if self.objects.get(id) == Some(&Object::Blackhole) => {
                Answer::Blackhole
            }
            _ => Answer::Unreachable,
        }
    }
}

fn neighbor(key: NeighborKey, state: NeighborState) -> Neighbor {
    Neighbor { key, state, mac: state.is_usable().then(|| mac_of(key.address)) }
}

fn interface(index: KernelIndex) -> Option<IfIndex> {
    let at = TAPS.iter().position(|tap| *tap == index)?;
    u16::try_from(at).ok().map(IfIndex)
}

fn reserved(address: IpAddr) -> Option<Answer> {
    match address {
        IpAddr::V4(v4) if v4.is_loopback() => Some(Answer::Martian),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some(Answer::Local),
        address if address.is_multicast() => Some(Answer::Multicast),
        _ => None,
    }
}
