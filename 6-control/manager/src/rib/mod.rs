//! The kernel's routes of one family, and which of them a FIB should hold.
//!
//! The kernel looks an address up in its tables one after the other (local, main, default) and
//! takes the longest match of the first table that has any. A FIB is one table, so the answer for
//! each prefix that occurs anywhere is computed as the kernel would find it for an address that no
//! longer prefix covers: [`Rib::choose`].
//!
//! Changes only mark prefixes; [`Rib::compile`] computes the answers of all marked prefixes at
//! once.

mod net;
mod order;
mod routes;
mod specs;
mod sync;

use std::collections::HashSet;

use portcullis_packet::NextHopId;
use prefix_trie::PrefixMap;

pub(crate) use net::{Net, reserved4, reserved6};
pub(crate) use routes::RibRoute;
use routes::Routes;
pub(crate) use specs::{Resolution, Spec, SpecId, Specs};
use sync::Sync;

use crate::event::{Placement, Protocol, Table, Target};

/// A prefix and what is known of it.
#[derive(Debug, Default)]
struct Entry {
    routes: Routes,
    /// What the FIB holds; [`NextHopId::NO_ROUTE`] if it does not hold the prefix.
    installed: NextHopId,
    /// The FIB would not take it.
    refused: bool,
    /// It is on the list of those to be computed again.
    marked: bool,
}

/// A route as it comes and goes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Given {
    pub(crate) table: Table,
    pub(crate) metric: u32,
    pub(crate) protocol: Protocol,
    pub(crate) spec: Spec,
}

/// What the FIB should hold for a prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Choice {
    /// Nothing.
    Absent,
    /// The explicit absence of a route, below a shorter prefix that is not to be used.
    Thrown,
    /// What this spec says.
    Chosen(SpecId, NextHopId),
}

/// A change of a FIB.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Change<N> {
    pub(crate) prefix: N,
    /// `None`: the prefix goes.
    pub(crate) next_hop: Option<NextHopId>,
}

/// A line of `show routes`.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) route: RibRoute,
    /// It is the one that packets follow.
    pub(crate) chosen: bool,
    /// And the FIB holds it.
    pub(crate) installed: bool,
}

/// The routes of one family.
#[derive(Debug)]
pub(crate) struct Rib<N: Net> {
    entries: PrefixMap<N, Entry>,
    marked: Vec<N>,
    routes: usize,
    /// Routes of the local table that are for more than one address.
    wide_locals: usize,
    /// Routes of the table default.
    defaults: usize,
    /// There was a local route that says to look in the other tables, which nobody does.
    local_throws: bool,
    /// The FIB has refused something since the last [`Self::retry_refused`].
    refused: bool,
    sync: Sync<N>,
}

impl<N: Net> Default for Rib<N> {
    fn default() -> Self {
        Self {
            entries: PrefixMap::new(),
            marked: Vec::new(),
            routes: 0,
            wide_locals: 0,
            defaults: 0,
            local_throws: false,
            refused: false,
            sync: Sync::default(),
        }
    }
}

impl<N: Net> Rib<N> {
    /// Number of routes.
    pub(crate) const fn len(&self) -> usize {
        self.routes
    }

    /// Whether prefixes wait to be computed again.
    pub(crate) fn has_changed(&self) -> bool {
        !self.marked.is_empty()
    }

    /// A route is there. False if it may be or not: then everything is to be read once more.
    pub(crate) fn add(
        &mut self,
        prefix: N,
        given: Given,
        placement: Placement,
        specs: &mut Specs,
    ) -> bool {
        if placement == Placement::Dumped && self.sync.is_settled(prefix, &given) {
            return self.confirm(prefix, &given, specs);
        }
        let Given { table, metric, protocol, spec } = given;
        self.local_throws |= table == Table::Local && spec.target == Target::Throw;
        let ecmp = N::V6 && is_ecmp(&spec.target, protocol);
        let spec = specs.acquire(spec);
        let route = RibRoute { spec, metric, table, protocol, colour: self.sync.colour() };
        let entry = self.entries.entry(prefix).or_default();
        let before = entry.routes.as_slice().len();
        let same = order::add(&mut entry.routes, route, ecmp, N::V6, placement, specs);
        let after = entry.routes.as_slice().len();
        self.count(prefix, table, before, after);
        if placement != Placement::Dumped {
            self.sync.settle(prefix, table, metric);
        }
        if !same {
            self.touch(prefix, table);
        }
        true
    }

    /// A route is gone. False if there is one in its place that is not it: then something was
    /// missed.
    pub(crate) fn remove(&mut self, prefix: N, given: &Given, specs: &mut Specs) -> bool {
        self.sync.settle(prefix, given.table, given.metric);
        self.sync.bury(prefix, given);
        let Some(entry) = self.entries.get_mut(&prefix) else { return true };
        let before = entry.routes.as_slice().len();
        let outcome = if N::V6 {
            order::remove6(&mut entry.routes, given, specs)
        } else {
            order::remove4(&mut entry.routes, given, specs)
        };
        let after = entry.routes.as_slice().len();
        self.count(prefix, given.table, before, after);
        match outcome {
            order::Removal::Done => {
                self.touch(prefix, given.table);
                true
            }
            order::Removal::NothingThere => true,
            order::Removal::AnotherThere => false,
        }
    }

    /// Takes away all routes with one of these specs.
    pub(crate) fn remove_all_of(&mut self, gone: &HashSet<SpecId>, specs: &mut Specs) {
        self.retain(specs, |route| !gone.contains(&route.spec));
    }

    /// Marks every prefix with a route of one of these specs, whose resolution has changed.
    pub(crate) fn touch_all_of(&mut self, changed: &HashSet<SpecId>) {
        let mut touched = vec![];
        for (prefix, entry) in &self.entries {
            for route in entry.routes.as_slice() {
                if changed.contains(&route.spec) {
                    touched.push((prefix, route.table));
                }
            }
        }
        for (prefix, table) in touched {
            self.touch(prefix, table);
        }
    }

    /// Marks a prefix, and those whose answer may depend on it.
    fn touch(&mut self, prefix: N, table: Table) {
        let covered = match table {
            Table::Local => is_wide(prefix),
            // A route of the table default counts where the table main has none.
            Table::Main => self.defaults > 0 || self.local_throws,
            Table::Default => true,
        };
        if covered {
            for (prefix, entry) in self.entries.children_mut(&prefix) {
                mark(&mut self.marked, prefix, entry);
            }
        } else if let Some(entry) = self.entries.get_mut(&prefix) {
            mark(&mut self.marked, prefix, entry);
        }
    }

    /// Computes all marked prefixes again, and returns what is to be changed in the FIB.
    pub(crate) fn compile(
        &mut self,
        thrown: NextHopId,
        mut resolve: impl FnMut(SpecId) -> Resolution,
    ) -> Vec<Change<N>> {
        let mut changes = Vec::with_capacity(self.marked.len());
        for prefix in std::mem::take(&mut self.marked) {
            let next_hop = match self.choose(prefix, &mut resolve) {
                Choice::Absent => NextHopId::NO_ROUTE,
                Choice::Thrown => thrown,
                Choice::Chosen(_, next_hop) => next_hop,
            };
            let Some(entry) = self.entries.get_mut(&prefix) else { continue };
            entry.marked = false;
            if next_hop != entry.installed || entry.refused {
                let next_hop = (next_hop != NextHopId::NO_ROUTE).then_some(next_hop);
                changes.push(Change { prefix, next_hop });
            } else if entry.routes.is_empty() {
                self.entries.remove(&prefix);
            }
        }
        changes
    }

    /// What packets to this prefix follow, if no longer prefix covers their destination.
    pub(crate) fn choose(
        &self,
        prefix: N,
        mut resolve: impl FnMut(SpecId) -> Resolution,
    ) -> Choice {
        if prefix.is_reserved() {
            return Choice::Absent;
        }
        let Some(entry) = self.entries.get(&prefix).filter(|entry| !entry.routes.is_empty()) else {
            return Choice::Absent;
        };
        let mut best_of = |routes: &Routes, table| {
            let mut best: Option<(u32, SpecId, Option<NextHopId>)> = None;
            for route in routes.as_slice().iter().filter(|route| route.table == table) {
                if best.is_some_and(|(metric, ..)| metric <= route.metric) {
                    continue;
                }
                match resolve(route.spec) {
                    Resolution::Thrown => best = Some((route.metric, route.spec, None)),
                    Resolution::Usable(id) => best = Some((route.metric, route.spec, Some(id))),
                    Resolution::Dead | Resolution::Unknown => {}
                }
            }
            best
        };
        let mut thrown = false;
        for table in [Table::Local, Table::Main, Table::Default] {
            let mut found = best_of(&entry.routes, table);
            let elsewhere = match table {
                Table::Local => self.wide_locals > 0,
                Table::Main => self.defaults > 0 || thrown,
                Table::Default => self.defaults > 0,
            };
            if found.is_none() && elsewhere {
                let covers: Vec<_> = self.entries.cover(&prefix).map(|(_, cover)| cover).collect();
                found = covers.iter().rev().find_map(|cover| best_of(&cover.routes, table));
            }
            match found {
                Some((_, spec, Some(next_hop))) => return Choice::Chosen(spec, next_hop),
                Some((_, _, None)) => thrown = true,
                None => {}
            }
        }
        if thrown { Choice::Thrown } else { Choice::Absent }
    }

    /// The FIB holds this now; returns what it held before.
    pub(crate) fn set_installed(&mut self, change: Change<N>) -> NextHopId {
        let Some(entry) = self.entries.get_mut(&change.prefix) else { return NextHopId::NO_ROUTE };
        entry.refused = false;
        let before = entry.installed;
        entry.installed = change.next_hop.unwrap_or(NextHopId::NO_ROUTE);
        if entry.routes.is_empty() && entry.installed == NextHopId::NO_ROUTE && !entry.marked {
            self.entries.remove(&change.prefix);
        }
        before
    }

    /// The FIB refused a change. It holds this now, or `None`: what it held before. Returns what it
    /// holds no longer. The prefix stays like that until it changes, or [`Self::retry_refused`].
    pub(crate) fn set_refused(&mut self, prefix: N, holds: Option<NextHopId>) -> NextHopId {
        let Some(entry) = self.entries.get_mut(&prefix) else { return NextHopId::NO_ROUTE };
        entry.refused = true;
        self.refused = true;
        match holds {
            Some(holds) => std::mem::replace(&mut entry.installed, holds),
            None => NextHopId::NO_ROUTE,
        }
    }

    /// Marks all prefixes that the FIB refused.
    pub(crate) fn retry_refused(&mut self) {
        if !std::mem::take(&mut self.refused) {
            return;
        }
        for (prefix, entry) in self.entries.iter_mut().filter(|(_, entry)| entry.refused) {
            mark(&mut self.marked, prefix, entry);
        }
    }

    /// The routes of exactly this prefix.
    pub(crate) fn routes(&self, prefix: N) -> &[RibRoute] {
        self.entries.get(&prefix).map_or(&[], |entry| entry.routes.as_slice())
    }

    /// Prefixes from this one on, in their order, each with its lines. With `beyond`, the first is
    /// left out.
    pub(crate) fn lines_from(
        &self,
        first: N,
        beyond: bool,
        specs: &Specs,
    ) -> impl Iterator<Item = (N, Vec<Line>)> {
        let entries = self.entries.iter_from(&first, !beyond);
        entries.map(move |(prefix, entry)| (prefix, self.lines_of(prefix, entry, specs)))
    }

    /// All routes that somebody made.
    pub(crate) fn made_by(&self, protocol: Protocol) -> Vec<(N, RibRoute)> {
        let routes = self.entries.iter().flat_map(|(prefix, entry)| {
            entry.routes.as_slice().iter().map(move |route| (prefix, *route))
        });
        routes.filter(|(_, route)| route.protocol == protocol).collect()
    }

    /// The lines of the longest prefix that covers this one and has a route that is followed.
    pub(crate) fn longest_match(&self, prefix: N, specs: &Specs) -> Option<(N, Vec<Line>)> {
        let covers: Vec<_> = self.entries.cover(&prefix).collect();
        let mut lines =
            covers.into_iter().rev().map(|(at, entry)| (at, self.lines_of(at, entry, specs)));
        lines.find(|(_, lines)| lines.iter().any(|line| line.chosen))
    }

    fn lines_of(&self, prefix: N, entry: &Entry, specs: &Specs) -> Vec<Line> {
        let choice = self.choose(prefix, |spec| specs.resolution(spec));
        let chosen = match choice {
            Choice::Chosen(spec, _) => {
                entry.routes.as_slice().iter().position(|route| route.spec == spec)
            }
            Choice::Absent | Choice::Thrown => None,
        };
        let installed = entry.installed != NextHopId::NO_ROUTE;
        let refused = entry.refused;
        let lines = entry.routes.as_slice().iter().enumerate().map(|(at, route)| {
            let chosen = chosen == Some(at);
            Line { route: *route, chosen, installed: installed && chosen && !refused }
        });
        lines.collect()
    }

    /// Keeps the routes that `keep` is true of.
    fn retain(&mut self, specs: &mut Specs, keep: impl Fn(&RibRoute) -> bool) {
        let mut gone = vec![];
        for (prefix, entry) in self.entries.iter_mut() {
            while let Some(route) = entry.routes.take(|route| !keep(route)) {
                specs.release(route.spec);
                gone.push((prefix, route.table));
            }
        }
        for (prefix, table) in gone {
            self.count(prefix, table, 1, 0);
            self.touch(prefix, table);
        }
    }

    /// Keeps the numbers of routes.
    fn count(&mut self, prefix: N, table: Table, before: usize, after: usize) {
        let update = |number: &mut usize| *number = (*number + after).saturating_sub(before);
        update(&mut self.routes);
        match table {
            Table::Local if is_wide(prefix) => update(&mut self.wide_locals),
            Table::Local | Table::Main => {}
            Table::Default => update(&mut self.defaults),
        }
    }
}

/// Whether a local route is for more than one address, and not for addresses whose treatment is
/// settled anyway.
fn is_wide<N: Net>(prefix: N) -> bool {
    u32::from(prefix.prefix_len()) < N::num_bits() && !prefix.is_reserved()
}

fn mark<N: Net>(marked: &mut Vec<N>, prefix: N, entry: &mut Entry) {
    if !entry.marked {
        entry.marked = true;
        marked.push(prefix);
    }
}

/// Whether an IPv6 route can be one of several siblings that the kernel shows as one multipath
/// route: it has a router, and was not learnt by the kernel itself.
fn is_ecmp(target: &Target, protocol: Protocol) -> bool {
    let learnt = protocol == Protocol::ADVERTISED || protocol == Protocol::REDIRECT;
    match target {
        Target::Via(path) => path.gateway.is_some() && !learnt,
        Target::Multipath(_) => true,
        Target::Object(_)
        | Target::Local
        | Target::Broadcast(_)
        | Target::Multicast
        | Target::Blackhole
        | Target::Unreachable
        | Target::Prohibit
        | Target::Throw
        | Target::Unsupported => false,
    }
}
