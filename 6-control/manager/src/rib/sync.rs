//! Mark and sweep: a dump says which routes there are, and what it does not say is gone.
//!
//! Changes go on arriving while a dump is read, and a line of the dump may be older than a change
//! that was announced before it. So what was announced counts: a table and metric of a prefix that
//! was spoken of since the dump began is settled, and the dump may only confirm it.

use std::collections::HashSet;

use super::{Given, Net, Rib, Specs};
use crate::event::Table;

/// The state of a mark and sweep.
#[derive(Debug)]
pub(super) struct Sync<N> {
    colour: bool,
    running: bool,
    settled: HashSet<(N, Table, u32)>,
    /// Routes whose end was announced since the dump began.
    buried: HashSet<(N, Given)>,
}

impl<N> Default for Sync<N> {
    fn default() -> Self {
        Self { colour: false, running: false, settled: HashSet::new(), buried: HashSet::new() }
    }
}

impl<N: Net> Sync<N> {
    /// The colour of what is certain to be there.
    pub(super) const fn colour(&self) -> bool {
        self.colour
    }

    /// A change was announced.
    pub(super) fn settle(&mut self, prefix: N, table: Table, metric: u32) {
        if self.running {
            self.settled.insert((prefix, table, metric));
        }
    }

    /// The end of a route was announced.
    pub(super) fn bury(&mut self, prefix: N, given: &Given) {
        if self.running {
            self.buried.insert((prefix, given.clone()));
        }
    }

    fn is_buried(&self, prefix: N, given: &Given) -> bool {
        self.buried.contains(&(prefix, given.clone()))
    }

    /// Gives the memory back, too: it may have been much.
    fn forget(&mut self) {
        self.settled = HashSet::new();
        self.buried = HashSet::new();
    }

    /// Whether a line of the dump comes too late.
    pub(super) fn is_settled(&self, prefix: N, given: &Given) -> bool {
        self.running && self.settled.contains(&(prefix, given.table, given.metric))
    }
}

impl<N: Net> Rib<N> {
    /// A dump begins.
    pub(crate) fn begin_sync(&mut self) {
        if !self.sync.running {
            self.sync.running = true;
            self.sync.colour = !self.sync.colour;
        }
    }

    /// The dump is complete: what it did not mention is gone.
    pub(crate) fn finish_sync(&mut self, specs: &mut Specs) {
        if self.sync.running {
            let colour = self.sync.colour;
            self.retain(specs, |route| route.colour == colour);
            self.sync.running = false;
            self.sync.forget();
        }
    }

    /// The dump failed: whatever is known is taken to be there.
    pub(crate) fn abort_sync(&mut self) {
        self.sync.running = false;
        self.sync.forget();
        for entry in self.entries.values_mut() {
            for route in entry.routes.as_mut_slice() {
                route.colour = self.sync.colour;
            }
        }
    }

    /// A line of the dump is about something that is settled. False if the two do not fit together,
    /// so that something may have been missed before the dump.
    pub(super) fn confirm(&mut self, prefix: N, given: &Given, specs: &Specs) -> bool {
        let colour = self.sync.colour;
        let mut found = false;
        let mut rivals = 0;
        if let Some(entry) = self.entries.get_mut(&prefix) {
            for route in entry.routes.as_mut_slice() {
                if route.table != given.table || route.metric != given.metric {
                    continue;
                }
                rivals += 1;
                let same = route.protocol == given.protocol
                    && specs.get(route.spec).is_some_and(|spec| **spec == given.spec);
                if same {
                    route.colour = colour;
                    found = true;
                }
            }
        }
        // The order of several is told by a dump only.
        if found { rivals == 1 } else { self.sync.is_buried(prefix, given) }
    }
}
