//! What a worker remembers between packets: flows, mappings, fragments.

use portcullis_firewall::LogLimiter;
use portcullis_flows::{FlowId, FlowStamp, FlowTable, TableConfig, Tick};
use portcullis_nat::{Masquerading, MasqueradingConfig};
use portcullis_packet::{Epoch, Instant, WorkerId};
use portcullis_policy::Policy;
use portcullis_reassembly::Reassembly;
use portcullis_routing::Snapshot;

use super::conn::{Hold, Record, Table};
use super::event::{Event, Events};

/// Flows whose time may be up that are looked at in one turn.
const EXPIRE_BUDGET: usize = 128;

/// Flows that are judged anew in one turn after the policy changed, beside those that packets belong to.
const SWEEP_BUDGET: u32 = 256;

/// What a worker with flows is made of.
#[derive(Clone, Copy, Debug)]
pub struct StateConfig {
    /// Which worker it is.
    pub worker: WorkerId,
    /// How many there are.
    pub workers: u16,
    /// Flows of this worker, at most.
    pub flows: usize,
    /// Random, another one for each start: what hashes and ports are drawn with.
    pub seed: u64,
}

/// All that a worker remembers between packets.
#[derive(Debug)]
pub struct State {
    pub(crate) worker: WorkerId,
    pub(crate) table: Table,
    pub(crate) masquerading: Masquerading,
    pub(crate) reassembly: Reassembly,
    pub(crate) log: LogLimiter,
    pub(crate) events: Events,
    /// Moves with each change of tables or policy. Flows of another epoch are checked again.
    pub(crate) epoch: u32,
    seen: Seen,
    /// The place in the table up to which flows were judged by the present policy.
    pub(crate) swept: Option<u32>,
}

/// The versions of what flows remember the answers of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Seen {
    snapshot: Epoch,
    fib4: u32,
    fib6: u32,
    policy: u32,
}

impl State {
    /// An empty table and all the memory it will need.
    #[must_use]
    pub fn new(config: StateConfig) -> Self {
        let StateConfig { worker, workers, flows, seed } = config;
        Self {
            worker,
            table: FlowTable::new(TableConfig { capacity: flows, seed, per_source: u32::MAX }),
            masquerading: Masquerading::new(MasqueradingConfig {
                worker,
                workers,
                seed: seed.rotate_left(17) ^ 0x6a09_e667_f3bc_c908,
                capacity: flows,
            }),
            reassembly: Reassembly::new(seed.rotate_left(31)),
            log: LogLimiter::new(),
            events: Events::new(),
            // Lines begin with 0, which is no epoch.
            epoch: 1,
            seen: Seen { snapshot: Epoch(0), fib4: 0, fib6: 0, policy: 0 },
            swept: None,
        }
    }

    /// Takes note of what changed since the last call. To be called before each batch.
    #[inline]
    pub(crate) fn observe(&mut self, snapshot: &Snapshot, epoch: Epoch, now: Instant) {
        let (fib4, fib6) = snapshot.vrfs.iter().fold((0u32, 0u32), |(a, b), vrf| {
            (a.wrapping_add(vrf.fib4.generation()), b.wrapping_add(vrf.fib6.generation()))
        });
        let seen = Seen { snapshot: epoch, fib4, fib6, policy: snapshot.policy.number };
        if seen != self.seen {
            self.change(&snapshot.policy, seen, now);
        }
    }

    #[cold]
    fn change(&mut self, policy: &Policy, seen: Seen, now: Instant) {
        // 0 is the epoch of a line that was never checked.
        self.epoch = self.epoch.wrapping_add(1).max(1);
        if seen.policy != self.seen.policy {
            self.table.set_limit(policy.flows);
            self.table.set_per_source(policy.flows_per_source);
            self.masquerading.adopt(&policy.nat, now);
            self.swept = Some(0);
        }
        self.seen = seen;
    }

    /// Ends flows whose time is up. True if there may be more of them.
    pub(crate) fn expire(&mut self, now: Instant) -> bool {
        let Self { table, masquerading, .. } = self;
        let mut ended = |flow: &Record| release(masquerading, flow, now);
        let more = table.expire(Tick::of(now), EXPIRE_BUDGET, &mut ended);
        self.drain_blocks();
        more
    }

    /// Ends a flow.
    pub(crate) fn end(&mut self, id: FlowId, now: Instant) {
        if let Some(flow) = self.table.remove(id) {
            release(&mut self.masquerading, &flow, now);
            self.drain_blocks();
        }
    }

    /// Gives back what flows held that the table itself put out.
    pub(crate) fn settle(&mut self, now: Instant) {
        while let Some(flow) = self.table.take_ended() {
            release(&mut self.masquerading, &flow, now);
        }
        self.drain_blocks();
    }

    pub(crate) fn drain_blocks(&mut self) {
        while let Some(event) = self.masquerading.take_event() {
            self.events.push(Event::Block(event));
        }
    }

    /// The next flows to be judged by a new policy: where they are, and whether there are more behind.
    pub(crate) fn next_to_sweep(&mut self) -> Option<std::ops::Range<u32>> {
        let from = self.swept?;
        let slots = self.table.slots();
        let to = from.saturating_add(SWEEP_BUDGET).min(slots);
        self.swept = (to < slots).then_some(to);
        Some(from..to)
    }

    /// Whether anything in it ends by time.
    pub(crate) fn has_deadlines(&self) -> bool {
        !self.table.is_empty() || self.reassembly.held() > 0 || self.is_sweeping()
    }

    /// Whether there are flows that a new policy has not judged yet.
    #[must_use]
    pub const fn is_sweeping(&self) -> bool {
        self.swept.is_some()
    }

    /// Ends the flow that a listing showed, if it is still that one.
    pub fn flush(&mut self, stamp: FlowStamp, now: Instant) -> bool {
        let there = self.table.flow_at(stamp).is_some();
        if there {
            self.end(stamp.id, now);
        }
        there
    }

    /// Memory of flows and mappings, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.table.memory_bytes() + self.masquerading.memory_bytes()
    }

    /// The flows.
    #[must_use]
    pub const fn table(&self) -> &Table {
        &self.table
    }

    /// The mappings.
    #[must_use]
    pub const fn masquerading(&self) -> &Masquerading {
        &self.masquerading
    }

    /// Fragments that wait for their first one.
    #[must_use]
    pub const fn fragments_held(&self) -> usize {
        self.reassembly.held()
    }

    /// What is to be logged.
    pub const fn events(&mut self) -> &mut Events {
        &mut self.events
    }

    /// Log entries of rules left out for their rate.
    #[must_use]
    pub fn log_suppressed(&self) -> u64 {
        self.log.suppressed()
    }
}

/// Gives back what an ended flow held.
pub(crate) fn release(masquerading: &mut Masquerading, flow: &Record, now: Instant) {
    let hold = flow.state.hold;
    let [original, reply] = &flow.lines;
    if hold == Hold::OWN_PORT {
        if let Some(tuple) = original.tuple4() {
            masquerading.unreserve(tuple.protocol, (tuple.src, tuple.ports.src), now);
        }
    } else if let Some(id) = hold.as_mapping() {
        // The remote end, whoever began: the external side of a mapping is where its line's packets
        // come from, or go to.
        let remote = match (original.tuple4(), reply.tuple4()) {
            (Some(original), Some(reply)) => remote_of(masquerading, id, &original, &reply),
            _ => 0,
        };
        masquerading.release(id, remote, now);
    }
}

/// The address at the other end of a mapping's flow: the destination of what the inside host sends, the
/// source of what comes in.
fn remote_of(
    masquerading: &Masquerading,
    id: portcullis_nat::MappingId,
    original: &portcullis_wire::Tuple<u32>,
    reply: &portcullis_wire::Tuple<u32>,
) -> u32 {
    let outbound = masquerading.mapping(id).is_some_and(|view| view.inside.0 == original.src);
    if outbound { reply.src } else { original.src }
}
