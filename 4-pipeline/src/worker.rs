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
    BATCH, DropReason, IfIndex, Instant, NextHopId, Offload, Packet, Pool, PoolLimits, PuntClass,
    Verdict,
};
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

/// What a worker has of its own.
#[derive(Clone, Copy, Debug)]
pub struct WorkerLimits {
    /// Buffers for fragments and segments.
    pub pool: PoolLimits,
}

impl Default for WorkerLimits {
    fn default() -> Self {
        Self { pool: PoolLimits { small: 256, large: 0 } }
    }
}

/// The pipeline of one worker: tables come in with each call, so does the time; packets go out by
/// their verdicts.
#[derive(Debug)]
pub struct Worker {
    counters: Arc<WorkerCounters>,
    lanes4: Lanes<u32>,
    lanes6: Lanes<u128>,
    slow4: Vec<Lane<u32>>,
    slow6: Vec<Lane<u128>>,
    rest: Rest,
}

/// What only the less usual packets need.
#[derive(Debug)]
struct Rest {
    pool: Pool,
    hold: HoldQueue,
    icmp: IcmpLimiter,
    punts: PuntLimiter,
    /// Packets of this batch that are to be held: their slots, and what for.
    to_hold: Vec<(usize, Resolve)>,
    /// Pieces that take the place of packets of this batch.
    pieces: Vec<Packet>,
    released: Vec<Packet>,
    expired: Vec<Packet>,
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
            rest: Rest {
                pool: Pool::new(limits.pool),
                hold: HoldQueue::new(),
                icmp: IcmpLimiter::new(),
                punts: PuntLimiter::new(),
                to_hold: Vec::with_capacity(BATCH),
                pieces: Vec::with_capacity(BATCH),
                released: Vec::with_capacity(HoldQueue::PACKETS),
                expired: Vec::with_capacity(HoldQueue::PACKETS),
            },
        }
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
    pub fn inject(&mut self, snapshot: &Snapshot, batch: &mut Vec<Packet>) {
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
    }

    fn route(
        &mut self,
        snapshot: &Snapshot,
        batch: &mut Vec<Packet>,
        now: Instant,
        out: &mut Outbox,
    ) {
        let mut taken_out = false;
        let mut first = 0;
        for chunk in batch.chunks_mut(BATCH) {
            taken_out |= self.ingress(snapshot, chunk, first, now);
            self.flush(snapshot, chunk, first, now, &mut taken_out);
            first += chunk.len();
        }
        if taken_out {
            self.take_out(batch, now, out);
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
        let length = u64::from(lane.inspected.length);
        let verdict = match fate {
            Fate::Transmit(id, adjacency) => {
                self.send::<F>(snapshot, packet, id, &adjacency, length, |_, _| {
                    Ok(Verdict::Transmit)
                })
            }
            Fate::Fragment(id, adjacency) => {
                self.send::<F>(snapshot, packet, id, &adjacency, length, |packet, rest| {
                    pieces::fragment(packet, adjacency.mtu, &mut rest.pool, &mut rest.pieces)
                })
            }
            Fate::Finish(id, adjacency) => {
                let device = snapshot.interface(adjacency.interface).map(|i| i.offload);
                self.send::<F>(snapshot, packet, id, &adjacency, length, |packet, rest| {
                    let Rest { pool, pieces, .. } = rest;
                    pieces::finish(packet, device.unwrap_or_default(), pool, pieces)
                })
            }
            Fate::Punt(class) => self.punt(class, now),
            Fate::Hold(interface, address) => {
                self.rest.to_hold.push((first + lane.slot, Resolve { interface, address }));
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
                        self.rest.to_hold.push((first + lane.slot, Resolve { interface, address }));
                        // What has a way out already is not routed again when it has waited.
                        packet.meta_mut().tx_if = interface;
                        Verdict::Hold
                    }
                    None => dropped,
                }
            }
        };
        packet.meta_mut().verdict = verdict;
        matches!(verdict, Verdict::Punt(_) | Verdict::Hold)
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

    fn drop(&self, reason: DropReason) -> Verdict {
        self.counters.drops.add(reason, 1);
        Verdict::Drop(reason)
    }

    fn punt(&mut self, class: PuntClass, now: Instant) -> Verdict {
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
    fn take_out(&mut self, batch: &mut Vec<Packet>, now: Instant, out: &mut Outbox) {
        let Self { counters, rest, .. } = self;
        rest.to_hold.sort_unstable_by_key(|&(slot, _)| slot);
        let mut to_hold = rest.to_hold.drain(..).peekable();
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
        drop(to_hold);
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

    fn add_pieces(&mut self, batch: &mut Vec<Packet>) {
        let pieces = &mut self.rest.pieces;
        if !pieces.is_empty() {
            self.counters.pieces.add(pieces.len() as u64);
            batch.append(pieces);
            // The pieces go to the I/O thread's pool, where their originals came from.
            self.rest.pool.top_up(BATCH);
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
fn depart(snapshot: &Snapshot, packet: &mut Packet, id: NextHopId, adjacency: &Adjacency) {
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
