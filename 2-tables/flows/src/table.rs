//! The table.

use portcullis_packet::{BATCH, prefetch};

use crate::buckets::Buckets;
use crate::flow::{Flow, FlowState, Times};
use crate::key::sealed::{HasherRef, Sealed};
use crate::key::{Address, Direction, FlowId, FlowRef, FlowStamp, Hasher, Key};
use crate::line::Line;
use crate::sources::Sources;
use crate::tick::Tick;
use crate::wheel::{Link, Links, Wheel};

/// What a table is made with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TableConfig {
    /// Flows that there is memory for.
    pub capacity: usize,
    /// Random: without it nobody can make flows collide.
    pub seed: u64,
    /// Flows that one source may have.
    pub per_source: u32,
}

/// A flow to be entered.
#[derive(Clone, Copy, Debug)]
pub struct NewFlow<A, S> {
    /// What packets of the original direction arrive with.
    pub original: Key<A>,
    /// What replies arrive with.
    pub reply: Key<A>,
    /// Whom it is counted for.
    pub source: A,
    /// The time.
    pub now: Tick,
    /// How long it lives without packets, in ticks.
    pub timeout: u32,
    /// What is kept with it.
    pub state: S,
}

/// Why a flow was not entered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// There is no room, or what there is is left for sources that have less.
    Full,
    /// The source has as many as a source may have.
    SourceLimit,
    /// One of its two keys is another flow's, or they are the same.
    Conflict,
}

/// A source may have so many times as many flows as there is room left. One alone can have eight ninths of
/// the table; the more there are that want much, the more is left for those that want little (the dynamic
/// threshold of Choudhury and Hahne, 1998).
const SHARE: usize = 8;

/// Flows among which one is looked for that can make room.
const SAMPLE: u32 = 16;

/// An unanswered flow that has been idle for so long makes room for anybody: 2 seconds.
const STALE: u32 = Tick::ticks_of(std::time::Duration::from_secs(2));

/// The flows of one worker.
#[derive(Debug)]
pub struct FlowTable<S> {
    flows: Flows<S>,
    buckets: Buckets,
    wheel: Wheel,
    sources: Sources,
    hasher: Hasher,
    free: Option<u32>,
    /// Slots from here on have never been used.
    fresh: u32,
    len: usize,
    limit: usize,
    per_source: u32,
    /// A flow that made room for another one.
    ended: Option<Flow<S>>,
    random: u64,
}

#[derive(Debug)]
struct Flows<S>(Vec<Flow<S>>);

impl<S> Links for Flows<S> {
    fn link(&mut self, at: u32) -> Option<&mut Link> {
        self.0.get_mut(at as usize).map(|flow| &mut flow.link)
    }
}

impl<S> Flows<S> {
    #[inline(always)]
    fn line(&self, at: FlowRef) -> Option<&Line> {
        self.0.get(at.id().0 as usize).map(|flow| flow.line(at.direction()))
    }

    #[inline(always)]
    fn has<A: Address>(&self, at: FlowRef, key: &Key<A>) -> bool {
        self.line(at).is_some_and(|line| A::is_at(line, key))
    }
}

/// The hash of a direction's key.
fn hash_of<S>(flows: &Flows<S>, hasher: Hasher, at: FlowRef) -> Option<u64> {
    let line = flows.line(at)?;
    match (line.key4(), line.key6()) {
        (Some(key), _) => Some(u32::hash(HasherRef(hasher), &key)),
        (None, Some(key)) => Some(u128::hash(HasherRef(hasher), &key)),
        (None, None) => None,
    }
}

impl<S: FlowState> FlowTable<S> {
    /// An empty table, with all its memory.
    #[must_use]
    pub fn new(config: TableConfig) -> Self {
        let capacity = config.capacity.min(1 << 30);
        Self {
            flows: Flows(vec![Flow::vacant(); capacity]),
            buckets: Buckets::new(2 * capacity),
            wheel: Wheel::new(),
            sources: Sources::new(capacity, config.seed),
            hasher: Hasher::new(config.seed),
            free: None,
            fresh: 0,
            len: 0,
            limit: capacity,
            per_source: config.per_source,
            ended: None,
            random: config.seed | 1,
        }
    }

    /// Its memory, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.flows.0.len() * size_of::<Flow<S>>()
            + self.buckets.memory_bytes()
            + self.wheel.memory_bytes()
            + self.sources.memory_bytes()
    }

    /// How many flows there are.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many flows there is memory for.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.flows.0.len()
    }

    /// The end of the ids that flows may have now.
    #[must_use]
    pub const fn slots(&self) -> u32 {
        self.fresh
    }

    /// How many flows there may be from now on: no more than there is memory for. Those that there are stay.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit.min(self.capacity());
    }

    /// How many flows a source may have from now on.
    pub const fn set_per_source(&mut self, most: u32) {
        self.per_source = most;
    }

    /// How many flows a source has: never too few, and rarely too many.
    #[must_use]
    pub fn source_count<A: Address>(&self, source: A) -> u32 {
        self.sources.count(self.sources.id(source.source()))
    }

    /// Looks up to [`BATCH`] keys of IPv4 up.
    #[inline(always)]
    pub fn lookup4(&self, keys: &[Key<u32>], found: &mut [FlowRef]) {
        self.lookup(keys, found);
    }

    /// Looks up to [`BATCH`] keys of IPv6 up.
    #[inline(always)]
    pub fn lookup6(&self, keys: &[Key<u128>], found: &mut [FlowRef]) {
        self.lookup(keys, found);
    }

    /// In three passes, so that what one key waits for arrives while others are under way: the bucket, then
    /// the flow, then the comparison.
    #[inline(always)]
    fn lookup<A: Address>(&self, keys: &[Key<A>], found: &mut [FlowRef]) {
        let mut hashes = [0; BATCH];
        for (hash, key) in hashes.iter_mut().zip(keys) {
            *hash = A::hash(HasherRef(self.hasher), key);
            self.buckets.prefetch(*hash);
        }
        for ((found, hash), _) in found.iter_mut().zip(&hashes).zip(keys) {
            *found = self.buckets.candidate(*hash);
            if let Some(flow) = self.flows.0.get(found.id().0 as usize) {
                prefetch(std::ptr::from_ref(flow.line(found.direction())));
                prefetch(std::ptr::from_ref(&flow.state));
            }
        }
        for ((found, hash), key) in found.iter_mut().zip(&hashes).zip(keys) {
            if !found.is_none() && !self.flows.has(*found, key) {
                *found = self.find_hashed(*hash, key);
            }
        }
    }

    #[cold]
    fn find_hashed<A: Address>(&self, hash: u64, key: &Key<A>) -> FlowRef {
        self.buckets.find(hash, |at| self.flows.has(at, key))
    }

    /// Looks one key of IPv4 up.
    #[must_use]
    pub fn find4(&self, key: &Key<u32>) -> FlowRef {
        self.find_hashed(u32::hash(HasherRef(self.hasher), key), key)
    }

    /// Looks one key of IPv6 up.
    #[must_use]
    pub fn find6(&self, key: &Key<u128>) -> FlowRef {
        self.find_hashed(u128::hash(HasherRef(self.hasher), key), key)
    }

    /// A flow.
    #[inline(always)]
    #[must_use]
    pub fn flow(&self, id: FlowId) -> Option<&Flow<S>> {
        self.flows.0.get(id.0 as usize).filter(|flow| flow.is_live())
    }

    /// A flow, to be changed.
    #[inline(always)]
    pub fn flow_mut(&mut self, id: FlowId) -> Option<&mut Flow<S>> {
        self.flows.0.get_mut(id.0 as usize).filter(|flow| flow.is_live())
    }

    /// A direction of a flow.
    #[inline]
    #[must_use]
    pub fn line(&self, at: FlowRef) -> Option<&Line> {
        self.flow(at.id()).map(|flow| flow.line(at.direction()))
    }

    /// A flow as a listing shows it.
    #[must_use]
    pub fn stamped(&self, id: FlowId) -> Option<(FlowStamp, Flow<S>)> {
        self.flow(id).map(|flow| (FlowStamp { id, generation: flow.link.generation }, *flow))
    }

    /// The flow that a listing showed, if it is still there.
    #[must_use]
    pub fn flow_at(&self, stamp: FlowStamp) -> Option<&Flow<S>> {
        self.flow(stamp.id).filter(|flow| flow.link.generation == stamp.generation)
    }

    /// Enters a flow. [`Self::take_ended`] is to be called afterwards.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn insert<A: Address>(&mut self, new: NewFlow<A, S>) -> Result<FlowId, Refused> {
        let NewFlow { original, reply, source, now, timeout, state } = new;
        let source = self.sources.id(source.source());
        let held = self.sources.count(source);
        if held >= self.per_source {
            return Err(Refused::SourceLimit);
        }
        let hashes = [&original, &reply].map(|key| A::hash(HasherRef(self.hasher), key));
        let [there, back] = hashes;
        if original == reply
            || !self.find_hashed(there, &original).is_none()
            || !self.find_hashed(back, &reply).is_none()
        {
            return Err(Refused::Conflict);
        }
        let free = self.limit.saturating_sub(self.len);
        if free == 0 {
            self.make_room(held, now)?;
        } else if held as usize >= free.saturating_mul(SHARE) {
            return Err(Refused::Full);
        }
        let at = self.take_slot().ok_or(Refused::Full)?;
        let id = FlowId(at);
        let (there_at, back_at) =
            (FlowRef::new(id, Direction::Original), FlowRef::new(id, Direction::Reply));
        if !self.enter(there, there_at) {
            self.give_slot(at);
            return Err(Refused::Full);
        }
        if !self.enter(back, back_at) {
            self.buckets.remove(there, there_at);
            self.give_slot(at);
            return Err(Refused::Full);
        }
        if let Some(flow) = self.flows.0.get_mut(at as usize) {
            let lines = [A::line(&original), A::line(&reply)];
            flow.begin(lines, source, Times { now, timeout }, state);
        }
        self.wheel.insert(&mut self.flows, at, now.after(timeout));
        self.sources.add(source);
        self.len += 1;
        Ok(id)
    }

    /// Enters a direction into the hash table. If both its buckets are full, one of what is there moves to its
    /// other bucket.
    fn enter(&mut self, hash: u64, at: FlowRef) -> bool {
        if self.buckets.insert(hash, at) {
            return true;
        }
        let (flows, hasher) = (&self.flows, self.hasher);
        let neighbours = self.buckets.neighbours(hash).map(|at| (hash_of(flows, hasher, at), at));
        let mut movable = [(0, FlowRef::NONE); 16];
        for (to, (hash, at)) in movable.iter_mut().zip(neighbours) {
            *to = (hash.unwrap_or(0), at);
        }
        let moved = movable.iter().any(|&(hash, at)| !at.is_none() && self.buckets.shift(hash, at));
        moved && self.buckets.insert(hash, at)
    }

    /// Puts out one of some flows that were never answered: the one that was idle longest, if its source has
    /// more flows than the newcomer's, or if it has been idle for long.
    fn make_room(&mut self, held: u32, now: Tick) -> Result<(), Refused> {
        let slots = u64::from(self.fresh.max(1));
        let mut victim: Option<(u32, u32)> = None;
        for _ in 0..SAMPLE {
            self.random ^= self.random << 13;
            self.random ^= self.random >> 7;
            self.random ^= self.random << 17;
            let at = (((self.random >> 32) * slots) >> 32) as u32;
            let Some(flow) = self.flow(FlowId(at)) else { continue };
            let idle = now.since(flow.last_seen());
            let gives_way = !flow.state.is_established()
                && (idle > STALE || self.sources.count(flow.source) > held + 1);
            if gives_way && victim.is_none_or(|(_, longest)| idle > longest) {
                victim = Some((at, idle));
            }
        }
        let (at, _) = victim.ok_or(Refused::Full)?;
        self.ended = self.remove(FlowId(at));
        Ok(())
    }

    /// A flow that had to make room for the one that was entered last.
    pub const fn take_ended(&mut self) -> Option<Flow<S>> {
        self.ended.take()
    }

    fn take_slot(&mut self) -> Option<u32> {
        if let Some(at) = self.free {
            self.free = self.flows.link(at).and_then(|link| link.next());
            return Some(at);
        }
        let at = self.fresh;
        if (at as usize) < self.capacity() {
            self.fresh += 1;
            Some(at)
        } else {
            None
        }
    }

    fn give_slot(&mut self, at: u32) {
        let next = self.free;
        if let Some(flow) = self.flows.0.get_mut(at as usize) {
            flow.end();
            flow.link = flow.link.free(next);
            self.free = Some(at);
        }
    }

    /// Takes a flow out.
    pub fn remove(&mut self, id: FlowId) -> Option<Flow<S>> {
        let flow = *self.flow(id)?;
        for direction in [Direction::Original, Direction::Reply] {
            let at = FlowRef::new(id, direction);
            if let Some(hash) = hash_of(&self.flows, self.hasher, at) {
                self.buckets.remove(hash, at);
            }
        }
        self.wheel.remove(&mut self.flows, id.0);
        self.sources.remove(flow.source);
        self.give_slot(id.0);
        self.len -= 1;
        Some(flow)
    }

    /// Notices that a flow's timeout has become shorter.
    pub fn rearm(&mut self, id: FlowId) {
        if let Some(deadline) = self.flow(id).map(Flow::deadline) {
            self.wheel.remove(&mut self.flows, id.0);
            self.wheel.insert(&mut self.flows, id.0, deadline);
        }
    }

    /// Ends flows whose time is up, and tells of each. Looks at `budget` flows at most; true if there may be
    /// more.
    #[inline]
    pub fn expire(&mut self, now: Tick, budget: usize, ended: &mut impl FnMut(&Flow<S>)) -> bool {
        self.wheel.is_behind(now) && self.expire_some(now, budget, ended)
    }

    fn expire_some(&mut self, now: Tick, budget: usize, ended: &mut impl FnMut(&Flow<S>)) -> bool {
        for _ in 0..budget {
            let Some(at) = self.wheel.due(now) else { return false };
            let id = FlowId(at);
            let deadline = self.flow(id).map_or(Tick(0), Flow::deadline);
            if deadline > now {
                self.wheel.remove(&mut self.flows, at);
                self.wheel.insert(&mut self.flows, at, deadline);
            } else if let Some(flow) = self.remove(id) {
                ended(&flow);
            } else {
                // A place without a flow is in no list; if it were, it would be in the way for ever.
                self.wheel.remove(&mut self.flows, at);
            }
        }
        true
    }
}
