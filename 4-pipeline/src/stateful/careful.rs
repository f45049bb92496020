//! Every packet of a stateful gateway that the fast path leaves: the first one of a flow, the first one
//! after something changed, and whatever is special.

use portcullis_flows::{Direction, FlowRef};
use portcullis_packet::{DropReason, Instant, NextHopId, Packet, Verdict};
use portcullis_routing::{Complaint, Fate, Flags, Inspected, Snapshot, decide};
use portcullis_tracking::Step;
use portcullis_wire::IpProtocol;
use portcullis_wire::dissect::{Kind, tcp_segment};

use super::admit::Admitted;
use super::conn::LineFlags;
use super::fast::{as_segment, side};
use super::judge::{Translate, ask_rules, is_credible};
use super::lanes::Suspect;
use super::special::{known_ports, mark_ports};
use super::state::State;
use super::track::{Touch, flags};
use crate::worker::Worker;

/// No remote end: nobody has this address.
const NOBODY: u32 = 0;

/// What all packets of a call share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) now: Instant,
    /// Where in the batch the chunk begins that slots count from.
    pub(crate) first: usize,
}

/// Whether a flow is still good for a packet.
enum Standing {
    Good,
    /// The flow would not be what it is if it began now.
    Over,
    /// The flow is, and the packet is none of its.
    Foreign(DropReason),
}

impl Worker {
    /// Handles one packet. True if it is to be taken out of the batch.
    #[inline(never)]
    pub(crate) fn careful<F: Translate>(
        &mut self,
        state: &mut State,
        scene: Scene<'_>,
        chunk: &mut [Packet],
        suspect: &Suspect<F::Addr>,
    ) -> bool {
        let Some(packet) = chunk.get_mut(suspect.slot) else { return false };
        let verdict = self.consider::<F>(state, scene, packet, suspect);
        packet.meta_mut().verdict = verdict;
        matches!(verdict, Verdict::Punt(_) | Verdict::Hold)
    }

    fn consider<F: Translate>(
        &mut self,
        state: &mut State,
        scene: Scene<'_>,
        packet: &mut Packet,
        suspect: &Suspect<F::Addr>,
    ) -> Verdict {
        let mut suspect = *suspect;
        if is_outside_of_flows::<F>(packet.data(), &suspect) {
            return self.unflowed::<F>(state, scene, packet, &suspect);
        }
        if let Some(part) = suspect.seen.fragment {
            let ports = match known_ports(packet.meta().ports) {
                Some(ports) => ports,
                None => match self.fragment::<F>(state, scene, &suspect, part) {
                    Ok(ports) => ports,
                    Err(verdict) => return verdict,
                },
            };
            suspect.seen.tuple.ports = ports;
            let steering = scene.snapshot.policy.steering.as_ref();
            if steering.is_some_and(|by| F::home(by, &suspect.seen.tuple) != state.worker) {
                // On the worker that has the flow, the ports need not be learnt.
                packet.meta_mut().ports = mark_ports(ports);
                return Verdict::Again;
            }
        }
        if suspect.seen.kind == Kind::IcmpError {
            return self.related::<F>(state, scene, packet, &suspect);
        }
        let key = F::key(suspect.seen.tuple, suspect.vrf, packet.meta().rx_if);
        let found = F::find(&state.table, &key);
        if found.is_none() {
            return self.begin::<F>(state, scene, packet, &suspect);
        }
        match self.standing::<F>(state, scene, packet, found) {
            Standing::Good => self.follow::<F>(state, scene, packet, &suspect, found, None),
            Standing::Over => {
                state.end(found.id(), scene.now);
                self.begin::<F>(state, scene, packet, &suspect)
            }
            Standing::Foreign(reason) => self.drop(reason),
        }
    }

    /// A packet of no flow.
    fn begin<F: Translate>(
        &mut self,
        state: &mut State,
        scene: Scene<'_>,
        packet: &mut Packet,
        suspect: &Suspect<F::Addr>,
    ) -> Verdict {
        match self.admit::<F>(state, scene, packet, suspect) {
            Admitted::Flow(found, fate) => {
                self.follow::<F>(state, scene, packet, suspect, found, Some(fate))
            }
            Admitted::Again(found) => {
                let verdict = self.again::<F>(state, scene, packet, suspect, found);
                if matches!(verdict, Verdict::Drop(_)) {
                    // What is not let in at its second half leaves no mapping open to others.
                    state.end(found.id(), scene.now);
                }
                verdict
            }
            Admitted::Flowless(fate) => {
                let length = suspect.inspected.length;
                let slot = scene.first + suspect.slot;
                self.carry_out::<F>(scene.snapshot, packet, slot, fate, length, scene.now, |_| ())
            }
            Admitted::Refused(verdict) => verdict,
        }
    }

    /// Checks a flow again, if anything has changed since it was checked last.
    fn standing<F: Translate>(
        &mut self,
        state: &mut State,
        scene: Scene<'_>,
        packet: &Packet,
        found: FlowRef,
    ) -> Standing {
        let policy = &scene.snapshot.policy;
        let (id, rx) = (found.id(), packet.meta().rx_if);
        let line = |state: &State| state.table.line(found).copied();
        let Some(before) = line(state) else { return Standing::Over };
        if !flags(&before).is_of(policy.number) && !state.stands::<F>(policy, id) {
            return Standing::Over;
        }
        if before.epoch() == state.epoch && before.rx_if() == rx {
            return Standing::Good;
        }
        let Some(tuple) = F::tuple(&before) else { return Standing::Over };
        // In a hairpin's second half the source is an external address, and was an inside one before.
        if packet.meta().hairpin == 0
            && !is_credible::<F>(scene.snapshot, packet.meta().vrf, rx, tuple.src)
        {
            return Standing::Foreign(DropReason::SpoofedSource);
        }
        if before.rx_if() != rx && policy.zone(before.rx_if()) != policy.zone(rx) {
            // From another zone than before: would the flow be let in if it ran there?
            let Some(flow) = state.table.flow(id) else { return Standing::Over };
            let [original, reply] = &flow.lines;
            let Some(there) = F::tuple(reply).map(|tuple| tuple.reversed()) else {
                return Standing::Over;
            };
            let (from, to) = match found.direction() {
                Direction::Original if flags(original).has(LineFlags::LOCAL) => {
                    (rx, portcullis_packet::IfIndex::NONE)
                }
                Direction::Original => (rx, reply.rx_if()),
                Direction::Reply => (original.rx_if(), rx),
            };
            let is_own = found.direction() == Direction::Reply
                && original.rx_if() == portcullis_packet::IfIndex::NONE;
            let asked =
                portcullis_wire::Tuple { src: F::inside_source(state, policy, &there), ..there };
            if !is_own
                && ask_rules::<F>(policy, from, to, asked).action
                    != portcullis_firewall::Action::Accept
            {
                return Standing::Foreign(DropReason::FirewallDrop);
            }
        }
        Standing::Good
    }

    /// Takes a packet the way of its flow. `fate` is what was found out already about one that began it.
    fn follow<F: Translate>(
        &mut self,
        state: &mut State,
        scene: Scene<'_>,
        packet: &mut Packet,
        suspect: &Suspect<F::Addr>,
        found: FlowRef,
        fate: Option<Fate>,
    ) -> Verdict {
        let Scene { snapshot, now, .. } = scene;
        let begins = fate.is_some();
        let (id, direction) = (found.id(), found.direction());
        let Some(flow) = state.table.flow(id) else { return self.drop(DropReason::NoVerdict) };
        let [original, reply] = &flow.lines;
        let (line, other) = match direction {
            Direction::Original => (original, reply),
            Direction::Reply => (reply, original),
        };
        let marks = flags(line);
        if marks.has(LineFlags::AGAIN) {
            return self.again::<F>(state, scene, packet, suspect, found);
        }
        let Some(translated) = F::tuple(other).map(|tuple| tuple.reversed()) else {
            return self.drop(DropReason::NoVerdict);
        };
        let is_checked = line.epoch() == state.epoch && line.rx_if() == packet.meta().rx_if;
        let fate = fate.unwrap_or_else(|| {
            let (meta, frame) = packet.parts_mut();
            let inspected = Inspected { destination: translated.dst, ..suspect.inspected };
            let cached = line.next_hop();
            let next_hop = if is_checked && cached != NextHopId::NO_ROUTE {
                cached
            } else {
                route::<F>(snapshot, meta.vrf, translated.dst)
            };
            decide::<F>(snapshot, meta, frame, &inspected, next_hop)
        });
        let (next_hop, tx) = match fate {
            Fate::Transmit(id, adjacency)
            | Fate::Fragment(id, adjacency)
            | Fate::Finish(id, adjacency) => (id, Some(adjacency.interface)),
            Fate::Hold(interface, _) => (NextHopId::NO_ROUTE, Some(interface)),
            Fate::Punt(_) | Fate::Drop(..) => (NextHopId::NO_ROUTE, None),
        };
        let is_local = matches!(fate, Fate::Punt(_));
        let is_dropped = matches!(fate, Fate::Drop(..));
        if !is_dropped && is_local != marks.has(LineFlags::LOCAL) {
            // The address has become the gateway's own, or is no more.
            state.end(id, now);
            return self.begin::<F>(state, scene, packet, suspect);
        }
        if let (Direction::Original, Some(tx)) = (direction, tx)
            && tx != other.rx_if()
            && !is_checked
            && !self.moves::<F>(state, scene, id, tx)
        {
            state.end(id, now);
            return self.begin::<F>(state, scene, packet, suspect);
        }
        if is_dropped || matches!(fate, Fate::Hold(..)) {
            let slot = scene.first + suspect.slot;
            let length = suspect.inspected.length;
            return self.carry_out::<F>(snapshot, packet, slot, fate, length, now, |_| ());
        }
        if !begins && let Some(verdict) = self.track::<F>(state, scene, packet, suspect, found) {
            return verdict;
        }
        self.depart_by_flow::<F>(state, scene, packet, suspect, found, fate, next_hop)
    }

    /// Whether a flow may go on by another interface than before.
    fn moves<F: Translate>(
        &mut self,
        state: &mut State,
        scene: Scene<'_>,
        id: portcullis_flows::FlowId,
        tx: portcullis_packet::IfIndex,
    ) -> bool {
        if let Some(flow) = state.table.flow_mut(id) {
            let [_, reply] = &mut flow.lines;
            reply.set_rx_if(tx);
        }
        state.stands::<F>(&scene.snapshot.policy, id)
    }

    /// What a packet means for its connection. A verdict if that is the end of it.
    fn track<F: Translate>(
        &mut self,
        state: &mut State,
        scene: Scene<'_>,
        packet: &mut Packet,
        suspect: &Suspect<F::Addr>,
        found: FlowRef,
    ) -> Option<Verdict> {
        let timeouts = &scene.snapshot.policy.timeouts;
        let (id, direction) = (found.id(), found.direction());
        let flow = state.table.flow_mut(id)?;
        let step = match suspect.seen.kind {
            // A fragment says nothing certain about the segment.
            Kind::Tcp if suspect.seen.fragment.is_some() => Step::Fine,
            Kind::Tcp => match tcp_segment(packet.data(), usize::from(suspect.seen.upper)) {
                Some(segment) => {
                    flow.state.tracker.segment(side(direction), &as_segment(&segment), timeouts)
                }
                None => Step::Drop(DropReason::TransportMalformed),
            },
            Kind::Udp | Kind::IcmpQuery | Kind::IcmpError | Kind::IcmpOther | Kind::Other => {
                flow.state.tracker.datagram(side(direction));
                Step::Fine
            }
        };
        match step {
            Step::Fine => None,
            Step::Timeout(timeout) => {
                flow.set_timeout(portcullis_flows::Tick::ticks_of(timeout));
                flow.touch(portcullis_flows::Tick::of(scene.now));
                state.table.rearm(id);
                None
            }
            Step::Drop(reason) => {
                let [line, _] = &flow.lines;
                flags(line).has(LineFlags::ENFORCE).then(|| self.drop(reason))
            }
            Step::Reopen => {
                // The mapping outlives the flow: the next one is known by the same port outside (RFC 4787, REQ-1).
                let mapping = flow.state.hold.as_mapping();
                if let Some(mapping) = mapping {
                    state.masquerading.retain(mapping, NOBODY);
                }
                state.end(id, scene.now);
                let verdict = self.begin::<F>(state, scene, packet, suspect);
                if let Some(mapping) = mapping {
                    state.masquerading.release(mapping, NOBODY, scene.now);
                }
                Some(verdict)
            }
        }
    }

    /// Sends or punts a packet of a flow, translated.
    #[expect(clippy::too_many_arguments, reason = "all that was found out about one packet")]
    fn depart_by_flow<F: Translate>(
        &mut self,
        state: &mut State,
        scene: Scene<'_>,
        packet: &mut Packet,
        suspect: &Suspect<F::Addr>,
        found: FlowRef,
        fate: Fate,
        next_hop: NextHopId,
    ) -> Verdict {
        let Scene { snapshot, now, .. } = scene;
        let policy = &snapshot.policy;
        let (rx, later) = (packet.meta().rx_if, is_later::<F>(suspect));
        let tx_mtu = match fate {
            Fate::Transmit(_, adjacency)
            | Fate::Fragment(_, adjacency)
            | Fate::Finish(_, adjacency) => {
                let clamps = policy.interface(rx).mss_clamp
                    || policy.interface(adjacency.interface).mss_clamp;
                let back = snapshot.interface(rx).map_or(adjacency.mtu, |i| i.mtu);
                clamps.then_some(adjacency.mtu.min(back))
            }
            Fate::Punt(_) | Fate::Hold(..) | Fate::Drop(..) => None,
        };
        let rewrites =
            state.table.line(found).is_some_and(|line| flags(line).has(LineFlags::REWRITE));
        let upper = suspect.seen.upper;
        let protocol = suspect.seen.tuple.protocol;
        let table = &state.table;
        let translate = |packet: &mut Packet| {
            let (meta, frame) = packet.parts_mut();
            if rewrites && let Some(flow) = table.flow(found.id()) {
                let how = Touch { protocol, offload: meta.offload, later };
                F::translate(flow, found.direction(), frame, upper, how);
            }
            if let Some(mtu) = tx_mtu
                && protocol == IpProtocol::TCP
                && !later
            {
                F::clamp(frame, upper, mtu, meta.offload.needs_csum);
            }
        };
        let slot = scene.first + suspect.slot;
        let length = suspect.inspected.length;
        let verdict = self.carry_out::<F>(snapshot, packet, slot, fate, length, now, translate);
        if !matches!(verdict, Verdict::Drop(_)) {
            let epoch = state.epoch;
            if let Some(flow) = state.table.flow_mut(found.id()) {
                flow.touch(portcullis_flows::Tick::of(now));
                if let Some(line) = flow.lines.get_mut(found.direction().slot()) {
                    line.count(u32::from(length));
                    line.set_epoch(epoch);
                    line.set_rx_if(rx);
                    line.set_next_hop(next_hop);
                }
            }
        }
        packet.meta_mut().hairpin = 0;
        verdict
    }

    /// The first half of a hairpin: the packet is translated and looked at once more.
    fn again<F: Translate>(
        &mut self,
        state: &mut State,
        scene: Scene<'_>,
        packet: &mut Packet,
        suspect: &Suspect<F::Addr>,
        found: FlowRef,
    ) -> Verdict {
        if packet.meta().hairpin != 0 {
            return self.drop(DropReason::NatUntranslatable);
        }
        if !F::may_live_on(packet.data()) {
            // Its sender is told before it is translated: nobody knows the way back afterwards.
            let fate = Fate::Drop(DropReason::TtlExceeded, Some(Complaint::TimeExceeded));
            let (slot, length) = (scene.first + suspect.slot, suspect.inspected.length);
            return self.carry_out::<F>(
                scene.snapshot,
                packet,
                slot,
                fate,
                length,
                scene.now,
                |_| (),
            );
        }
        if let Some(verdict) = self.track::<F>(state, scene, packet, suspect, found) {
            return verdict;
        }
        let Some(flow) = state.table.flow_mut(found.id()) else {
            return self.drop(DropReason::NoVerdict);
        };
        let (meta, frame) = packet.parts_mut();
        let how = Touch {
            protocol: suspect.seen.tuple.protocol,
            offload: meta.offload,
            later: is_later::<F>(suspect),
        };
        F::translate(flow, found.direction(), frame, suspect.seen.upper, how);
        meta.hairpin = F::as_hairpin(suspect.seen.tuple.src);
        flow.touch(portcullis_flows::Tick::of(scene.now));
        let other = flow.lines.get(found.direction().reversed().slot());
        let translated = other.and_then(F::tuple).map(|tuple| tuple.reversed());
        if let Some(line) = flow.lines.get_mut(found.direction().slot()) {
            line.count(u32::from(suspect.inspected.length));
        }
        let Some(tuple) = translated else { return self.drop(DropReason::NoVerdict) };
        let mut second = *suspect;
        second.seen.tuple = tuple;
        second.inspected.destination = tuple.dst;
        let key = F::key(tuple, second.vrf, packet.meta().rx_if);
        let next = F::find(&state.table, &key);
        let verdict = if next.is_none() {
            self.begin::<F>(state, scene, packet, &second)
        } else {
            match self.standing::<F>(state, scene, packet, next) {
                Standing::Good => self.follow::<F>(state, scene, packet, &second, next, None),
                Standing::Over => {
                    state.end(next.id(), scene.now);
                    self.begin::<F>(state, scene, packet, &second)
                }
                Standing::Foreign(reason) => self.drop(reason),
            }
        };
        // One that waits goes on later from where it is now.
        if verdict != Verdict::Hold {
            packet.meta_mut().hairpin = 0;
        }
        verdict
    }
}

/// Whether a packet is one that flows are not made of: to a group, a broadcast, or neighbour discovery.
fn is_outside_of_flows<F: Translate>(frame: &[u8], suspect: &Suspect<F::Addr>) -> bool {
    F::is_group(suspect.seen.tuple.dst)
        || suspect.inspected.flags.contains(Flags::GROUP_FRAME)
        || is_neighbor_discovery::<F>(frame, suspect)
}

/// Neighbour and router discovery, redirects (RFC 4861), multicast listener discovery (RFC 2710, 3810).
pub(crate) fn is_neighbor_discovery<F: Translate>(
    frame: &[u8],
    suspect: &Suspect<F::Addr>,
) -> bool {
    suspect.seen.tuple.protocol == IpProtocol::ICMPV6
        && suspect.seen.kind == Kind::IcmpOther
        && matches!(frame.get(usize::from(suspect.seen.upper)), Some(130..=137 | 143))
}

/// The next hop that the tables say for an address.
pub(crate) fn route<F: Translate>(
    snapshot: &Snapshot,
    vrf: portcullis_packet::VrfId,
    to: F::Addr,
) -> NextHopId {
    let mut id = NextHopId::NO_ROUTE;
    if let Some(vrf) = snapshot.vrf(vrf) {
        F::lookup(vrf, &[to], std::slice::from_mut(&mut id));
    }
    id
}

fn is_later<F: Translate>(suspect: &Suspect<F::Addr>) -> bool {
    suspect.seen.fragment.is_some_and(|part| part.offset != 0)
}
