//! When what is written: so that a worker never finds a route whose next hop it does not know.
//!
//! 1. New next hops, neighbours and interfaces are published.
//! 2. All workers take that snapshot, or sleep. Meanwhile the mirror goes on listening.
//! 3. The FIBs are written.
//! 4. Next hops that no FIB refers to any more are vacated and published as such; ids and table
//!    memory are used again when all workers have seen it.
//!
//! What needs no new next hop (most changes of routes) skips the first two steps, and what needs no
//! FIB change (a neighbour, a group that lost a member) is done after the first.

use std::collections::VecDeque;
use std::sync::Arc;

use ipnet::{Ipv4Net, Ipv6Net};
use portcullis_packet::Epoch;
use portcullis_policy::Policy;
use portcullis_routing::{Snapshot, Vrf};
use portcullis_tables::{FibError, FibWriter4, FibWriter6, NeighborTable, Publisher};

use crate::fib::{is_bulk, write, write_bulk};
use crate::mirror::{Mirror, Plan};
use crate::next_hops::NextHopStore;
use crate::rib::{Change, reserved4, reserved6};
use crate::setup::Dataplane;

/// Changes written between two looks at the kernel's announcements.
const CHUNK: usize = 8_192;

/// When the cycle is to be turned again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Next {
    /// When something has changed.
    Idle,
    /// Soon: workers have yet to see something.
    Poll,
    /// At once, after a look at the announcements.
    Continue,
}

/// Where the cycle is.
#[derive(Debug)]
enum Phase {
    /// Nothing is under way.
    Idle,
    /// These changes wait for all workers to see this epoch.
    Published(Epoch, Plan),
    /// These changes are being written.
    Writing(Plan, usize),
}

/// The dataplane's tables and the one who writes them.
#[derive(Debug)]
pub(crate) struct Cycle {
    fib4: FibWriter4,
    fib6: FibWriter6,
    publisher: Publisher<Snapshot>,
    /// What packets are judged by, in all snapshots from now on.
    policy: Arc<Policy>,
    /// The first epoch with that policy; `None` while there is none.
    judging: Option<Epoch>,
    phase: Phase,
    /// Rebuilds of the FIBs when their handles were published last.
    published: (u64, u64),
    /// The last epoch that brought new next hops.
    needed: Epoch,
    /// Epochs that workers have yet to see before memory is free again.
    unseen: VecDeque<Epoch>,
    /// Changes that were refused since the last call of [`Self::take_refused`].
    refused: Option<(usize, FibError)>,
}

impl Dataplane {
    /// What workers start with: no interface, and only the routes that are always there.
    ///
    /// # Errors
    /// If there is no memory for the tables.
    pub fn new() -> Result<Self, FibError> {
        let (mut fib4, mut fib6) = (FibWriter4::new()?, FibWriter6::new()?);
        for (net, constant) in reserved4() {
            fib4.insert(net, constant.id())?;
        }
        for (net, constant) in reserved6() {
            fib6.insert(net, constant.id())?;
        }
        let snapshot = Snapshot {
            interfaces: vec![],
            vrfs: vec![Vrf { fib4: fib4.reader(), fib6: fib6.reader() }],
            next_hops: NextHopStore::default().snapshot(),
            neighbors: NeighborTable::new(0),
            hash_seed: 0,
            policy: Arc::default(),
        };
        Ok(Self { fib4, fib6, publisher: Publisher::new(snapshot) })
    }
}

impl Cycle {
    pub(crate) fn new(dataplane: Dataplane, policy: Arc<Policy>) -> Self {
        let Dataplane { fib4, fib6, publisher } = dataplane;
        let published = (fib4.rebuilds(), fib6.rebuilds());
        Self {
            fib4,
            fib6,
            publisher,
            policy,
            judging: None,
            phase: Phase::Idle,
            published,
            needed: Epoch::default(),
            unseen: VecDeque::new(),
            refused: None,
        }
    }

    /// Does the next step.
    pub(crate) fn turn(&mut self, mirror: &mut Mirror) -> Next {
        let seen = self.publisher.seen_by_all();
        self.reclaim(mirror, seen);
        let wanted = mirror.has_changed() || self.judging.is_none();
        if self.judging.is_none() && !matches!(self.phase, Phase::Idle) {
            // A policy does not wait for what is under way.
            self.publish(mirror);
        }
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Idle if mirror.is_ready() && wanted => self.begin(mirror),
            Phase::Idle if self.unseen.is_empty() => Next::Idle,
            Phase::Idle => Next::Poll,
            Phase::Published(epoch, plan) if seen < epoch => {
                self.phase = Phase::Published(epoch, plan);
                Next::Poll
            }
            Phase::Published(_, plan) => self.write(mirror, plan, 0),
            Phase::Writing(plan, done) => self.write(mirror, plan, done),
        }
    }

    fn begin(&mut self, mirror: &mut Mirror) -> Next {
        let plan = mirror.compile();
        if mirror.wants_snapshot() || self.judging.is_none() {
            self.publish(mirror);
        }
        if plan.is_empty() {
            return self.finish(mirror, false);
        }
        if self.publisher.seen_by_all() < self.needed {
            self.phase = Phase::Published(self.needed, plan);
            return Next::Poll;
        }
        self.write(mirror, plan, 0)
    }

    /// Writes a chunk of the plan.
    fn write(&mut self, mirror: &mut Mirror, mut plan: Plan, done: usize) -> Next {
        if done == 0 {
            self.write_bulk(mirror, &mut plan);
        }
        let (v4, v6) = (plan.v4.get(done..), plan.v6.get(done.saturating_sub(plan.v4.len())..));
        let v4 = v4.map_or::<&[_], _>(&[], |left| left.get(..CHUNK).unwrap_or(left));
        let room = CHUNK - v4.len();
        let v6 = v6.map_or::<&[_], _>(&[], |left| left.get(..room).unwrap_or(left));
        let refused4 = write(&mut self.fib4, &mut mirror.rib4, &mut mirror.store, v4);
        let refused6 = write(&mut self.fib6, &mut mirror.rib6, &mut mirror.store, v6);
        let done = done + v4.len() + v6.len();
        self.note_refused(refused4);
        self.note_refused(refused6);
        if done < plan.v4.len() + plan.v6.len() {
            self.phase = Phase::Writing(plan, done);
            return Next::Continue;
        }
        self.finish(mirror, true)
    }

    fn write_bulk(&mut self, mirror: &mut Mirror, plan: &mut Plan) {
        if is_bulk(&self.fib4, &plan.v4) {
            let changes: Vec<Change<Ipv4Net>> = std::mem::take(&mut plan.v4);
            let refused = write_bulk(&mut self.fib4, &mut mirror.rib4, &mut mirror.store, &changes);
            self.note_refused(refused);
        }
        if is_bulk(&self.fib6, &plan.v6) {
            let changes: Vec<Change<Ipv6Net>> = std::mem::take(&mut plan.v6);
            let refused = write_bulk(&mut self.fib6, &mut mirror.rib6, &mut mirror.store, &changes);
            self.note_refused(refused);
        }
    }

    fn finish(&mut self, mirror: &mut Mirror, written: bool) -> Next {
        mirror.written();
        let moved = (self.fib4.rebuilds(), self.fib6.rebuilds()) != self.published;
        let epoch = if mirror.wants_snapshot() || moved {
            self.publish(mirror)
        } else if written {
            let epoch = self.publisher.advance();
            self.unseen.push_back(epoch);
            epoch
        } else {
            return self.rest(mirror);
        };
        mirror.store.seal(epoch);
        self.fib4.retire(epoch);
        self.fib6.retire(epoch);
        self.rest(mirror)
    }

    /// What follows a cycle.
    fn rest(&self, mirror: &Mirror) -> Next {
        if mirror.has_changed() {
            Next::Continue
        } else if self.unseen.is_empty() {
            Next::Idle
        } else {
            Next::Poll
        }
    }

    fn publish(&mut self, mirror: &mut Mirror) -> Epoch {
        let vrf = Vrf { fib4: self.fib4.reader(), fib6: self.fib6.reader() };
        self.published = (self.fib4.rebuilds(), self.fib6.rebuilds());
        let epoch = self.publisher.publish(mirror.snapshot(vrf, Arc::clone(&self.policy)));
        self.unseen.push_back(epoch);
        self.judging.get_or_insert(epoch);
        if mirror.store.take_added() {
            self.needed = epoch;
        }
        epoch
    }

    /// Takes back what no worker looks at any more.
    fn reclaim(&mut self, mirror: &mut Mirror, seen: Epoch) {
        let mut passed = false;
        while self.unseen.pop_front_if(|epoch| *epoch <= seen).is_some() {
            passed = true;
        }
        if passed {
            mirror.store.reclaim(seen);
            self.fib4.reclaim(seen);
            self.fib6.reclaim(seen);
            self.publisher.collect();
        }
    }

    fn note_refused(&mut self, refused: Option<(usize, FibError)>) {
        if let Some((count, error)) = refused {
            let before = self.refused.map_or(0, |(count, _)| count);
            self.refused = Some((before + count, error));
        }
    }

    /// Gives workers another policy, with the next turn if the kernel's tables have been read.
    pub(crate) fn judge_by(&mut self, policy: Arc<Policy>) {
        self.policy = policy;
        self.judging = None;
    }

    /// Whether all workers have the policy, or sleep.
    pub(crate) fn all_judge(&self) -> bool {
        self.judging.is_some_and(|epoch| epoch <= self.publisher.seen_by_all())
    }

    /// How many changes the FIBs refused since the last call, and the last reason.
    pub(crate) const fn take_refused(&mut self) -> Option<(usize, FibError)> {
        self.refused.take()
    }

    /// Whether something was written or published since the start, and nothing is under way.
    pub(crate) fn has_applied(&self) -> bool {
        matches!(self.phase, Phase::Idle) && self.publisher.epoch() > Epoch::default()
    }

    /// The epoch that was published last.
    pub(crate) fn epoch(&self) -> Epoch {
        self.publisher.epoch()
    }

    /// Numbers of routes in the FIBs, IPv4 and IPv6.
    pub(crate) fn sizes(&self) -> (usize, usize) {
        (self.fib4.len(), self.fib6.len())
    }
}
