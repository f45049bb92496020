//! One batch of packets through the network functions, in place.
//!
//! Three passes, each over the whole batch, so that the memory one packet needs is on its way while
//! another is worked on: look at each frame and check its header; look all destinations up;
//! rewrite what is to be forwarded. Whatever is not a plain packet to a known neighbour leaves the
//! third pass for [`Worker::slow`], which handles every case.

use std::cell::Cell;
use std::net::IpAddr;
use std::sync::Arc;

use portcullis_packet::{
    BATCH, DropReason, Epoch, IfIndex, Instant, NextHopId, Offload, Packet, Pool, PoolLimits,
    PuntClass, Verdict,
};
use portcullis_reassembly::{FragmentKey, Reassembly};
use portcullis_routing::{
    Adjacency, Complaint, Family, Fate, Interface, NextHop, Snapshot, V4, V6, Way, decide, way_back,
};

use crate::complain::Complain;
use crate::counters::{Traffic, WorkerCounters};
use crate::hold::{Held, HoldQueue, Resolve};
use crate::ingress::{self, Ingress};
use crate::lanes::{Lane, Lanes};
use crate::outbox::Outbox;
use crate::pieces;
use crate::punt::PuntLimiter;
use crate::rate::IcmpLimiter;
use crate::stateful::{State, StatefulLanes};

/// What a worker has of its own.
#[derive(Clone, Copy, Debug)]
pub struct WorkerLimits {
    /// Buffers for fragments and segments.
    pub pool: PoolLimits,
}

impl WorkerLimits {
    /// For devices that cut no super-frames: a batch of such becomes some 2,900 segments.
    pub const CUTTING: Self = Self { pool: PoolLimits { small: 4096, large: 0 } };
}

/// Most buffers for pieces that are made anew after a batch.
const TOP_UP: usize = 1024;

impl Default for WorkerLimits {
    fn default() -> Self {
        Self { pool: PoolLimits { small: 256, large: 0 } }
    }
}

/// The pipeline of one worker: tables come in with each call, so does the time; packets go out by
/// their verdicts.
#[derive(Debug)]
pub struct Worker {
    pub(crate) counters: Arc<WorkerCounters>,
    lanes4: Lanes<u32>,
    lanes6: Lanes<u128>,
    slow4: Vec<Lane<u32>>,
    slow6: Vec<Lane<u128>>,
    pub(crate) flow_lanes: StatefulLanes,
    /// Flows, mappings and fragments; none as long as the policy asks for none.
    state: Option<Box<State>>,
    /// The newest epoch of the tables.
    epoch: Epoch,
    pub(crate) rest: Rest,
}

/// What only the less usual packets need.
#[derive(Debug)]
pub(crate) struct Rest {
    pool: Pool,
    hold: HoldQueue,
    pub(crate) icmp: IcmpLimiter,
    punts: PuntLimiter,
    /// Packets of this batch that are to be held: their slots, and what for.
    pub(crate) to_hold: Vec<(usize, Resolve)>,
    /// Fragments of this batch that wait for their first one: their slots, and of which packet.
    pub(crate) to_reassemble: Vec<(usize, FragmentKey)>,
    /// Pieces that take the place of packets of this batch.
    pieces: Vec<Packet>,
    released: Vec<Packet>,
    expired: Vec<Packet>,
    /// Fragments whose first one has come.
    pub(crate) ready: Vec<Packet>,
    /// Fragments that found no room to wait in.
    unheld: Vec<Packet>,
}

impl Worker {
    /// A worker that has seen no packet yet.
    #[must_use]
    pub fn new(counters: Arc<WorkerCounters>, limits: WorkerLimits) -> Self {
        Self {
            counters,
            lanes4: Lanes::new(),
            lanes6: Lanes::new(),
            slow4: Vec::with_capacity(BATCH),
            slow6: Vec::with_capacity(BATCH),
            flow_lanes: StatefulLanes::new(),
            state: None,
            epoch: Epoch(0),
            rest: Rest {
                pool: Pool::new(limits.pool),
                hold: HoldQueue::new(),
                icmp: IcmpLimiter::new(),
                punts: PuntLimiter::new(),
                to_hold: Vec::with_capacity(BATCH),
                to_reassemble: Vec::with_capacity(BATCH),
                pieces: Vec::with_capacity(BATCH),
                released: Vec::with_capacity(HoldQueue::PACKETS),
                expired: Vec::with_capacity(HoldQueue::PACKETS),
                ready: Vec::with_capacity(4 * BATCH),
                unheld: Vec::with_capacity(BATCH),
            },
        }
    }

    /// Whether something is due by time, so that [`Self::tick`] is to be called to learn when.
    #[must_use]
    pub fn has_deadlines(&self) -> bool {
        self.held() > 0 || self.state.as_deref().is_some_and(State::has_deadlines)
    }

    /// Gives it what it remembers flows in, for policies that ask for that; see [`State::new`]. What it had is
    /// given back, to be freed elsewhere.
    pub fn equip(&mut self, state: Box<State>) -> Option<Box<State>> {
        self.state.replace(state)
    }

    /// What it remembers, if it does.
    pub fn state(&mut self) -> Option<&mut State> {
        self.state.as_deref_mut()
    }

    /// To be called with the newest epoch before each call that is given a snapshot: flows are checked again
    /// when it moved.
    #[inline]
    pub fn refreshed(&mut self, epoch: Epoch) {
        self.epoch = epoch;
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Lends the state out, so that worker and state can be changed side by side.
    fn with_state<T>(&mut self, call: impl FnOnce(&mut Self, &mut State) -> T) -> Option<T> {
        let mut state = self.state.take()?;
        let result = call(self, &mut state);
        self.state = Some(state);
        Some(result)
    }

    /// How many packets wait for a link-layer address.
    #[must_use]
    pub fn held(&self) -> usize {
        self.rest.hold.len()
    }

    /// Takes a batch from a port through the pipeline. Afterwards each packet in it has a verdict:
    /// `Transmit`, or `Drop` and `Replaced`, whose buffers are free. Punted packets have moved to
    /// `out`, held ones into the hold queue; ICMP errors stand in the place of what they complain
    /// about, fragments and segments at the end.
    pub fn process(
        &mut self,
        snapshot: &Snapshot,
        batch: &mut Vec<Packet>,
        now: Instant,
        out: &mut Outbox,
    ) {
        self.counters.received.add(batch.len() as u64);
        self.counters.batches.add(1);
        self.route(snapshot, batch, now, out);
    }

    /// Does what time or a new snapshot brings: packets that have waited are routed (appended to
    /// `batch`, with verdicts), addresses asked for again, waiting given up. Call it after each new
    /// snapshot, and at the time it answers.
    pub fn tick(
        &mut self,
        snapshot: &Snapshot,
        now: Instant,
        batch: &mut Vec<Packet>,
        out: &mut Outbox,
    ) -> Option<Instant> {
        let flows = self.with_state(|worker, state| worker.tick_flows(state, snapshot, now, batch));
        let held = self.tick_held(snapshot, now, batch, out);
        match (flows.flatten(), held) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// The same, of what waits for a neighbour.
    fn tick_held(
        &mut self,
        snapshot: &Snapshot,
        now: Instant,
        batch: &mut Vec<Packet>,
        out: &mut Outbox,
    ) -> Option<Instant> {
        if self.rest.hold.is_empty() {
            return None;
        }
        let mut released = std::mem::take(&mut self.rest.released);
        let mut expired = std::mem::take(&mut self.rest.expired);
        self.rest.hold.sweep(
            now,
            |awaited| is_resolved(snapshot, awaited),
            |awaited| out.resolve.push(awaited),
            &mut released,
            &mut expired,
        );
        self.counters.released.add((released.len() + expired.len()) as u64);
        let own = |packet: &mut Packet| packet.meta().tx_if != IfIndex::NONE;
        batch.extend(released.extract_if(.., own).map(|mut packet| {
            packet.meta_mut().verdict = self.send_own(snapshot, &mut packet);
            packet
        }));
        self.route(snapshot, &mut released, now, out);
        batch.append(&mut released);
        self.give_up(snapshot, &mut expired, DropReason::NeighborUnresolved, now);
        batch.append(&mut expired);
        self.rest.released = released;
        self.rest.expired = expired;
        self.rest.hold.deadline()
    }

    /// Passes frames from the taps on to the devices: each goes out of its `tx_if` as it is, or as what
    /// the device takes. Leaves verdicts like [`Self::process`].
    pub fn inject(&mut self, snapshot: &Snapshot, batch: &mut Vec<Packet>, now: Instant) {
        if snapshot.policy.is_stateful() {
            self.with_state(|worker, state| worker.remember_all_own(state, snapshot, batch, now));
        }
        let mut sent = 0;
        for packet in batch.iter_mut() {
            let meta = packet.meta();
            let verdict = match snapshot.interface(meta.tx_if).filter(|i| i.is_usable()) {
                None => self.drop(DropReason::EgressDown),
                Some(interface) if interface.offload.takes(meta.offload) => Verdict::Transmit,
                Some(interface) => {
                    let rest = &mut self.rest;
                    let taken = interface.offload;
                    pieces::finish(packet, taken, &mut rest.pool, &mut rest.pieces)
                        .unwrap_or_else(|reason| self.drop(reason))
                }
            };
            sent += u64::from(!matches!(verdict, Verdict::Drop(_)));
            packet.meta_mut().verdict = verdict;
        }
        self.counters.injected.add(sent);
        self.add_pieces(batch);
    }

    /// Gives up everything that waits, at the end: the packets are counted and appended to `batch`.
    pub fn stop(&mut self, batch: &mut Vec<Packet>) {
        let mut left = std::mem::take(&mut self.rest.expired);
        let unused = &mut Vec::new();
        self.rest.hold.sweep(Instant(0), |_| true, |_| {}, &mut left, unused);
        self.counters.released.add(left.len() as u64);
        for packet in &mut left {
            packet.meta_mut().verdict = self.drop(DropReason::Stopping);
        }
        batch.append(&mut left);
        self.rest.expired = left;
        self.with_state(|worker, state| worker.stop_flows(state, batch));
    }

    fn route(
        &mut self,
        snapshot: &Snapshot,
        batch: &mut Vec<Packet>,
        now: Instant,
        out: &mut Outbox,
    ) {
        if snapshot.policy.is_stateful() {
            let routed = self.with_state(|worker, state| {
                worker.route_by_flow(state, snapshot, batch, now, out);
            });
            if routed.is_none() {
                // Never past a firewall: without memory for flows there is no way through.
                self.drop_all(batch);
            }
            return;
        }
        let mut taken_out = false;
        let mut first = 0;
        for chunk in batch.chunks_mut(BATCH) {
            taken_out |= self.ingress(snapshot, chunk, first, now);
            self.flush(snapshot, chunk, first, now, &mut taken_out);
            first += chunk.len();
        }
        if taken_out {
            self.take_out(None, batch, now, out);
        }
        self.add_pieces(batch);
    }

    /// The first pass. True if packets are to be punted.
    #[inline(always)]
    fn ingress(
        &mut self,
        snapshot: &Snapshot,
        chunk: &mut [Packet],
        first: usize,
        now: Instant,
    ) -> bool {
        let mut punted = false;
        let mut port = ingress::Cache::default();
        // All of the batch at once: a line that comes from far away takes longer than a few packets.
        for packet in chunk.iter() {
            packet.prefetch_header();
        }
        for packet in chunk.iter() {
            packet.prefetch_data();
        }
        for slot in 0..chunk.len() {
            let Some(packet) = chunk.get_mut(slot) else { continue };
            match ingress::look(snapshot, &mut port, packet) {
                Ingress::Ip4(vrf, inspected) => {
                    if vrf != self.lanes4.vrf {
                        self.flush(snapshot, chunk, first, now, &mut punted);
                        self.lanes4.vrf = vrf;
                    }
                    self.lanes4.push(slot, inspected);
                }
                Ingress::Ip6(vrf, inspected) => {
                    if vrf != self.lanes6.vrf {
                        self.flush(snapshot, chunk, first, now, &mut punted);
                        self.lanes6.vrf = vrf;
                    }
                    self.lanes6.push(slot, inspected);
                }
                Ingress::Punt(class) => {
                    packet.meta_mut().verdict = self.punt(class, now);
                    punted = true;
                }
                Ingress::Drop(reason) => packet.meta_mut().verdict = self.drop(reason),
            }
        }
        punted
    }

    /// The second and third pass over what the first has gathered.
    #[inline(always)]
    fn flush(
        &mut self,
        snapshot: &Snapshot,
        chunk: &mut [Packet],
        first: usize,
        now: Instant,
        taken_out: &mut bool,
    ) {
        if !self.lanes4.is_empty() {
            self.slow4.clear();
            let counters = &self.counters.ip4;
            forward::<V4>(snapshot, &mut self.lanes4, chunk, &mut self.slow4, counters);
            for at in 0..self.slow4.len() {
                if let Some(&lane) = self.slow4.get(at) {
                    *taken_out |= self.slow::<V4>(snapshot, chunk, first, &lane, now);
                }
            }
        }
        if !self.lanes6.is_empty() {
            self.slow6.clear();
            let counters = &self.counters.ip6;
            forward::<V6>(snapshot, &mut self.lanes6, chunk, &mut self.slow6, counters);
            for at in 0..self.slow6.len() {
                if let Some(&lane) = self.slow6.get(at) {
                    *taken_out |= self.slow::<V6>(snapshot, chunk, first, &lane, now);
                }
            }
        }
    }

    /// A packet that the third pass could not just send. True if it is to be taken out of the batch.
    #[inline(never)]
    fn slow<F: Complain>(
        &mut self,
        snapshot: &Snapshot,
        chunk: &mut [Packet],
        first: usize,
        lane: &Lane<F::Addr>,
        now: Instant,
    ) -> bool {
        let Some(packet) = chunk.get_mut(lane.slot) else { return false };
        let (meta, frame) = packet.parts_mut();
        let fate = decide::<F>(snapshot, meta, frame, &lane.inspected, lane.next_hop);
        let (slot, length) = (first + lane.slot, lane.inspected.length);
        let verdict = self.carry_out::<F>(snapshot, packet, slot, fate, length, now, |_| ());
        packet.meta_mut().verdict = verdict;
        matches!(verdict, Verdict::Punt(_) | Verdict::Hold)
    }

    /// Does what was decided about a packet. `translate` is called on one that leaves or is punted, and
    /// on no other: what waits, or is complained about, does so as its sender sent it.
    #[expect(clippy::too_many_arguments, reason = "all that was found out about one packet")]
    pub(crate) fn carry_out<F: Complain>(
        &mut self,
        snapshot: &Snapshot,
        packet: &mut Packet,
        slot: usize,
        fate: Fate,
        length: u16,
        now: Instant,
        translate: impl FnOnce(&mut Packet),
    ) -> Verdict {
        let length = u64::from(length);
        match fate {
            Fate::Transmit(id, adjacency) => {
                translate(packet);
                self.send::<F>(snapshot, packet, id, &adjacency, length, |_, _| {
                    Ok(Verdict::Transmit)
                })
            }
            Fate::Fragment(id, adjacency) => {
                translate(packet);
                self.send::<F>(snapshot, packet, id, &adjacency, length, |packet, rest| {
                    pieces::fragment(packet, adjacency.mtu, &mut rest.pool, &mut rest.pieces)
                })
            }
            Fate::Finish(id, adjacency) => {
                translate(packet);
                let device = snapshot.interface(adjacency.interface).map(|i| i.offload);
                self.send::<F>(snapshot, packet, id, &adjacency, length, |packet, rest| {
                    let Rest { pool, pieces, .. } = rest;
                    pieces::finish(packet, device.unwrap_or_default(), pool, pieces)
                })
            }
            Fate::Punt(class) => {
                let verdict = self.punt(class, now);
                if matches!(verdict, Verdict::Punt(_)) {
                    translate(packet);
                }
                verdict
            }
            Fate::Hold(interface, address) => {
                self.rest.to_hold.push((slot, Resolve { interface, address }));
                Verdict::Hold
            }
            Fate::Drop(reason, complaint) => {
                let dropped = self.drop(reason);
                match complaint.and_then(|c| self.complain::<F>(snapshot, packet, c, now)) {
                    Some(Way::To(id, adjacency)) => {
                        depart(snapshot, packet, id, &adjacency);
                        Verdict::Transmit
                    }
                    Some(Way::Wait(interface, address)) => {
                        self.rest.to_hold.push((slot, Resolve { interface, address }));
                        // What has a way out already is not routed again when it has waited.
                        packet.meta_mut().tx_if = interface;
                        Verdict::Hold
                    }
                    None => dropped,
                }
            }
        }
    }

    fn send<F: Complain>(
        &mut self,
        snapshot: &Snapshot,
        packet: &mut Packet,
        id: NextHopId,
        adjacency: &Adjacency,
        length: u64,
        last_touch: impl FnOnce(&mut Packet, &mut Rest) -> Result<Verdict, DropReason>,
    ) -> Verdict {
        if !F::forward(packet.data_mut(), adjacency) {
            return self.drop(DropReason::TtlExceeded);
        }
        depart(snapshot, packet, id, adjacency);
        match last_touch(packet, &mut self.rest) {
            Ok(verdict) => {
                let traffic = F::traffic(&self.counters);
                traffic.packets.add(1);
                traffic.bytes.add(length);
                verdict
            }
            Err(reason) => self.drop(reason),
        }
    }

    #[cold]
    fn drop_all(&self, batch: &mut [Packet]) {
        for packet in batch {
            packet.meta_mut().verdict = self.drop(DropReason::FlowTableFull);
        }
    }

    pub(crate) fn drop(&self, reason: DropReason) -> Verdict {
        self.counters.drops.add(reason, 1);
        Verdict::Drop(reason)
    }

    pub(crate) fn punt(&mut self, class: PuntClass, now: Instant) -> Verdict {
        match self.rest.punts.allow(class, now) {
            Ok(()) => Verdict::Punt(class),
            Err(reason) => self.drop(reason),
        }
    }

    /// Makes of a dropped packet the message to its sender, and says where that goes. None if there is
    /// to be no message; the packet is unchanged then.
    #[cold]
    fn complain<F: Complain>(
        &mut self,
        snapshot: &Snapshot,
        packet: &mut Packet,
        complaint: Complaint,
        now: Instant,
    ) -> Option<Way> {
        if packet.meta().hairpin != 0 {
            // Half translated, it can't be quoted as its sender sent it.
            return None;
        }
        let source = F::may_answer(packet.data(), complaint)?;
        let way = way_back::<F>(snapshot, packet.meta(), source)?;
        let from = own_address::<F>(snapshot, &way, source)?;
        let carries_mtu = matches!(complaint, Complaint::TooBig(_));
        if !self.rest.icmp.allow(F::receiver(source), carries_mtu, now) {
            self.counters.icmp_suppressed.add(1);
            return None;
        }
        if !F::rewrite(packet, complaint, from) {
            return None;
        }
        self.counters.icmp_errors.add(1);
        let meta = packet.meta_mut();
        meta.offload = Offload::NONE;
        meta.flow_hash = 0;
        Some(way)
    }

    /// Moves the packets that are punted or held out of the batch.
    #[cold]
    pub(crate) fn take_out(
        &mut self,
        mut reassembly: Option<&mut Reassembly>,
        batch: &mut Vec<Packet>,
        now: Instant,
        out: &mut Outbox,
    ) {
        let Self { counters, rest, .. } = self;
        rest.to_hold.sort_unstable_by_key(|&(slot, _)| slot);
        rest.to_reassemble.sort_unstable_by_key(|&(slot, _)| slot);
        let mut to_hold = rest.to_hold.drain(..).peekable();
        let mut to_reassemble = rest.to_reassemble.drain(..).peekable();
        let mut unheld = 0;
        let mut refused = std::mem::take(&mut rest.expired);
        let seen = Cell::new(0);
        let leaving = batch.extract_if(.., |packet| {
            seen.set(seen.get() + 1);
            matches!(packet.meta().verdict, Verdict::Punt(_) | Verdict::Hold)
        });
        for packet in leaving {
            if let Verdict::Punt(class) = packet.meta().verdict {
                if let Some(counter) = counters.punted.get(class.slot()) {
                    counter.add(1);
                }
                out.punts.push(packet);
                continue;
            }
            let slot = seen.get() - 1;
            if let Some((_, key)) = to_reassemble.next_if(|&(at, _)| at == slot) {
                let kept = match &mut reassembly {
                    Some(reassembly) => reassembly.hold(key, packet),
                    None => Some(packet),
                };
                if let Some(mut packet) = kept {
                    packet.meta_mut().verdict = Verdict::Drop(DropReason::FragmentQueueFull);
                    unheld += 1;
                    rest.unheld.push(packet);
                }
                continue;
            }
            let Some((_, awaited)) = to_hold.next_if(|&(at, _)| at == slot) else {
                refused.push(packet);
                continue;
            };
            if !rest.hold.awaits(awaited) {
                let before = refused.len();
                rest.hold.make_room(&mut refused);
                counters.released.add((refused.len() - before) as u64);
            }
            match rest.hold.hold(awaited, packet, now) {
                Held::Ask => {
                    out.resolve.push(awaited);
                    counters.held.add(1);
                }
                Held::Waits => counters.held.add(1),
                Held::Full(packet) => refused.push(packet),
            }
        }
        counters.drops.add(DropReason::HoldQueueFull, refused.len() as u64);
        for packet in &mut refused {
            packet.meta_mut().verdict = Verdict::Drop(DropReason::HoldQueueFull);
        }
        batch.append(&mut refused);
        counters.drops.add(DropReason::FragmentQueueFull, unheld);
        batch.append(&mut rest.unheld);
        drop((to_hold, to_reassemble));
        rest.expired = refused;
    }

    /// Drops packets that have waited in vain, and tells their senders.
    #[cold]
    fn give_up(
        &mut self,
        snapshot: &Snapshot,
        packets: &mut [Packet],
        reason: DropReason,
        now: Instant,
    ) {
        for packet in packets {
            let dropped = self.drop(reason);
            let complaint = Complaint::HostUnreachable;
            let way = if ingress::is_ip4(packet.data()) {
                self.complain::<V4>(snapshot, packet, complaint, now)
            } else {
                self.complain::<V6>(snapshot, packet, complaint, now)
            };
            packet.meta_mut().verdict = match way {
                Some(Way::To(id, adjacency)) => {
                    depart(snapshot, packet, id, &adjacency);
                    Verdict::Transmit
                }
                // Nobody waits twice.
                Some(Way::Wait(..)) => self.drop(reason),
                None => dropped,
            };
        }
    }

    /// Sends a message of the gateway's own that has waited for its receiver's address.
    #[cold]
    fn send_own(&self, snapshot: &Snapshot, packet: &mut Packet) -> Verdict {
        let (meta, frame) = (packet.meta(), packet.data());
        let way = if ingress::is_ip4(frame) {
            V4::destination(frame).and_then(|to| way_back::<V4>(snapshot, meta, to))
        } else {
            V6::destination(frame).and_then(|to| way_back::<V6>(snapshot, meta, to))
        };
        match way {
            Some(Way::To(id, adjacency)) => {
                depart(snapshot, packet, id, &adjacency);
                Verdict::Transmit
            }
            // Nobody waits twice.
            Some(Way::Wait(..)) | None => self.drop(DropReason::NeighborUnresolved),
        }
    }

    pub(crate) fn add_pieces(&mut self, batch: &mut Vec<Packet>) {
        let pieces = &mut self.rest.pieces;
        if !pieces.is_empty() {
            self.counters.pieces.add(pieces.len() as u64);
            batch.append(pieces);
            // The pieces go to the I/O thread's pool, where their originals came from.
            self.rest.pool.top_up(TOP_UP);
        }
    }
}

/// The second and third pass: lookups, and the packets that can just be sent. The others go to `slow`.
#[inline(always)]
fn forward<F: Family>(
    snapshot: &Snapshot,
    lanes: &mut Lanes<F::Addr>,
    chunk: &mut [Packet],
    slow: &mut Vec<Lane<F::Addr>>,
    traffic: &Traffic,
) {
    if let Some(vrf) = snapshot.vrf(lanes.vrf) {
        let (destinations, next_hops) = lanes.lookup();
        F::lookup(vrf, destinations, next_hops);
    }
    let (mut packets, mut bytes) = (0, 0);
    for lane in lanes.iter() {
        let Some(packet) = chunk.get_mut(lane.slot) else { continue };
        let (meta, frame) = packet.parts_mut();
        if let NextHop::Forward(adjacency) = snapshot.next_hops.get(lane.next_hop)
            && lane.inspected.flags.is_empty()
            && lane.inspected.length <= adjacency.mtu
            && snapshot.interface(adjacency.interface).is_some_and(Interface::is_usable)
            && F::forward(frame, &adjacency)
        {
            meta.tx_if = adjacency.interface;
            meta.next_hop = lane.next_hop;
            meta.verdict = Verdict::Transmit;
            snapshot.next_hops.mark_used(lane.next_hop);
            packets += 1;
            bytes += u64::from(lane.inspected.length);
        } else {
            slow.push(lane);
        }
    }
    lanes.clear();
    traffic.packets.add(packets);
    traffic.bytes.add(bytes);
}

/// Addresses a frame to a neighbour.
pub(crate) fn depart(
    snapshot: &Snapshot,
    packet: &mut Packet,
    id: NextHopId,
    adjacency: &Adjacency,
) {
    let (meta, frame) = packet.parts_mut();
    if let Some(macs) = frame.first_chunk_mut() {
        *macs = adjacency.macs;
    }
    meta.tx_if = adjacency.interface;
    meta.next_hop = id;
    snapshot.next_hops.mark_used(id);
}

/// Where a message of the gateway's own comes from: an address of the interface it leaves by, or,
/// where that has none, of any other (RFC 1812, 2.2.7, "unnumbered").
fn own_address<F: Family>(snapshot: &Snapshot, way: &Way, toward: F::Addr) -> Option<F::Addr> {
    let out: IfIndex = way.interface();
    let own = snapshot.interface(out).and_then(|i| F::own_address(i, toward));
    own.or_else(|| snapshot.interfaces.iter().find_map(|i| F::own_address(i, toward)))
}

fn is_resolved(snapshot: &Snapshot, awaited: Resolve) -> bool {
    let Resolve { interface, address } = awaited;
    let neighbor = match address {
        IpAddr::V4(address) => snapshot.neighbors.lookup4(interface, address.to_bits()),
        IpAddr::V6(address) => snapshot.neighbors.lookup6(interface, address.to_bits()),
    };
    neighbor.is_some()
}
