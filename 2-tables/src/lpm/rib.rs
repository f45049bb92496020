//! The routes as they were given: the writer's truth, from which tables are built.

use portcullis_packet::NextHopId;
use prefix_trie::{Prefix, PrefixMap};

use super::FibError;
use super::MAX_NEXT_HOP;
use super::address::Address;

/// A route as the table builders want it: plain integers, and no host bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Route<A> {
    pub(super) addr: A,
    pub(super) len: u32,
    pub(super) value: u32,
}

/// All routes of a table, by prefix.
#[derive(Debug)]
pub(super) struct Rib<A: Address> {
    routes: PrefixMap<A::Net, NextHopId>,
}

/// Routes as they were before [`Rib::load`], in the order in which they were replaced.
#[derive(Debug)]
pub(super) struct Replaced<A: Address>(Vec<(A::Net, Option<NextHopId>)>);

impl<A: Address> Rib<A> {
    pub(super) fn new() -> Self {
        Self { routes: PrefixMap::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.routes.len()
    }

    pub(super) fn get(&self, net: A::Net) -> Option<NextHopId> {
        self.routes.get(&net).copied()
    }

    pub(super) fn set(&mut self, net: A::Net, next_hop: Option<NextHopId>) -> Option<NextHopId> {
        match next_hop {
            Some(next_hop) => self.routes.insert(net, next_hop),
            None => self.routes.remove(&net),
        }
    }

    /// Adds routes; answers what they replaced, or adds none.
    pub(super) fn load(
        &mut self,
        routes: impl Iterator<Item = (A::Net, NextHopId)>,
    ) -> Result<Replaced<A>, FibError> {
        let mut replaced = Replaced(Vec::new());
        for (net, next_hop) in routes {
            if let Err(error) = check_next_hop(next_hop) {
                self.undo(replaced);
                return Err(error);
            }
            replaced.0.push((net, self.set(net, Some(next_hop))));
        }
        Ok(replaced)
    }

    /// Puts back what was replaced.
    pub(super) fn undo(&mut self, replaced: Replaced<A>) {
        for (net, before) in replaced.0.into_iter().rev() {
            self.set(net, before);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (A::Net, NextHopId)> {
        self.routes.iter().map(|(net, next_hop)| (net, *next_hop))
    }

    /// The longest prefix that covers `net`, which may be `net` itself.
    pub(super) fn longest_match(&self, net: A::Net) -> Option<(A::Net, NextHopId)> {
        self.routes.get_lpm(&net).map(|(net, next_hop)| (net, *next_hop))
    }

    /// The next hop of 0/0.
    pub(super) fn default_route(&self) -> NextHopId {
        self.routes
            .iter()
            .next()
            .filter(|(net, _)| net.prefix_len() == 0)
            .map_or(NextHopId::NO_ROUTE, |(_, next_hop)| *next_hop)
    }

    /// What the addresses of `net` would be sent to without `net` and all inside it; 0 if only the
    /// default covers them.
    pub(super) fn inherited(&self, net: A::Net) -> u32 {
        self.routes
            .cover(&net)
            .take_while(|(cover, _)| cover.prefix_len() < net.prefix_len())
            .filter(|(cover, _)| cover.prefix_len() > 0)
            .last()
            .map_or(0, |(_, next_hop)| next_hop.0)
    }

    /// The routes in `net`, itself included, but never the default: by address, and shorter
    /// prefixes before longer ones of the same address.
    pub(super) fn within(&self, net: A::Net) -> Vec<Route<A>> {
        self.routes.children(&net).filter_map(|(net, next_hop)| route(net, *next_hop)).collect()
    }

    /// All routes but the default, in the same order.
    pub(super) fn all(&self) -> Vec<Route<A>> {
        let mut all = Vec::with_capacity(self.len());
        all.extend(self.routes.iter().filter_map(|(net, next_hop)| route(net, *next_hop)));
        all
    }
}

fn route<A: Address>(net: A::Net, next_hop: NextHopId) -> Option<Route<A>> {
    let len = u32::from(net.prefix_len());
    (len > 0).then(|| Route { addr: net.repr(), len, value: next_hop.0 })
}

/// Whether a route may have this next hop.
pub(super) fn check_next_hop(next_hop: NextHopId) -> Result<(), FibError> {
    if next_hop == NextHopId::NO_ROUTE {
        Err(FibError::NoNextHop)
    } else if next_hop.0 > MAX_NEXT_HOP {
        Err(FibError::NextHopTooLarge(next_hop))
    } else {
        Ok(())
    }
}
