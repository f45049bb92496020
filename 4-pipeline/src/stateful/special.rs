//! Packets that are no plain part of a flow: to groups, fragments, ICMP errors; rejections, and answers of
//! the gateway's own for external addresses.

use portcullis_firewall::Action;
use portcullis_flows::Direction;
use portcullis_packet::{DropReason, IfIndex, Instant, Offload, Packet, Ports, Verdict};
use portcullis_reassembly::{FragmentKey, Judgement, Part};
use portcullis_routing::{Complaint, Fate, Inspected, Snapshot, Way, decide, way_back};
use portcullis_wire::dissect::{FragmentPart, tcp_segment};
use portcullis_wire::{IpProtocol, proxy};

use super::careful::{Scene, is_neighbor_discovery, route};
use super::conn::LineFlags;
use super::fast::side;
use super::judge::{Translate, ask_rules};
use super::lanes::Suspect;
use super::state::State;
use super::track::flags;
use crate::hold::Resolve;
use crate::worker::{Worker, depart};

impl Worker {
    /// A packet to a group, a broadcast, or neighbour discovery: it is the gateway's or nobody's, and
    /// leaves no trace.
    pub(crate) fn unflowed<F: Translate>(
        &mut self,
        state: &mut State,
        scene: Scene<'_>,
        packet: &mut Packet,
        suspect: &Suspect<F::Addr>,
    ) -> Verdict {
        let Scene { snapshot, now, first } = scene;
        let rx = packet.meta().rx_if;
        if F::answer_for_external(snapshot, packet) {
            return self.send_back(snapshot, packet);
        }
        let is_discovery = is_neighbor_discovery::<F>(packet.data(), suspect);
        let (meta, frame) = packet.parts_mut();
        let next_hop = route::<F>(snapshot, meta.vrf, suspect.seen.tuple.dst);
        let fate = decide::<F>(snapshot, meta, frame, &suspect.inspected, next_hop);
        // Without neighbour discovery and group membership there is no link at all.
        let is_vital = is_discovery || suspect.seen.tuple.protocol == IpProtocol::IGMP;
        if matches!(fate, Fate::Punt(_)) && !is_vital {
            let decision = ask_rules::<F>(&snapshot.policy, rx, IfIndex::NONE, suspect.seen.tuple);
            let (policy, worker) = (&snapshot.policy, state.worker);
            if let (Some(rules), Some(hits)) = (&policy.rules, policy.hits(worker)) {
                hits.hit(rules.counter_slot(decision.rule));
            }
            match decision.action {
                Action::Accept => {}
                // Nobody answers what was sent to many.
                Action::Drop | Action::Reject => return self.drop(DropReason::FirewallDrop),
            }
        }
        let slot = first + suspect.slot;
        let length = suspect.inspected.length;
        self.carry_out::<F>(snapshot, packet, slot, fate, length, now, |_| ())
    }

    /// The ports of a fragment.
    ///
    /// # Errors
    /// What becomes of it instead.
    pub(crate) fn fragment<F: Translate>(
        &mut self,
        state: &mut State,
        scene: Scene<'_>,
        packet: &mut Packet,
        suspect: &Suspect<F::Addr>,
        part: FragmentPart,
    ) -> Result<Ports, Verdict> {
        let tuple = suspect.seen.tuple;
        let key = FragmentKey {
            is_ipv6: F::ip(tuple.src).is_ipv6(),
            src: F::wide(tuple.src),
            dst: F::wide(tuple.dst),
            id: part.id,
            protocol: part.protocol.0,
            vrf: suspect.vrf.0,
        };
        let first = (part.offset == 0).then_some(tuple.ports);
        let part = Part { offset: part.offset, length: part.length, more: part.more, first };
        match state.reassembly.judge(key, part, scene.now) {
            Judgement::Pass(ports) => {
                let whole = portcullis_wire::Tuple { ports, ..tuple };
                let steering = scene.snapshot.policy.steering.as_ref();
                if steering.is_some_and(|steering| F::home(steering, &whole) != state.worker) {
                    // On the worker that has the flow, the ports need not be learnt.
                    packet.meta_mut().ports = mark(ports);
                    return Err(Verdict::Again);
                }
                Ok(ports)
            }
            Judgement::Hold => {
                self.rest.to_reassemble.push((scene.first + suspect.slot, key));
                Err(Verdict::Hold)
            }
            Judgement::Drop(reason) => Err(self.drop(reason)),
        }
    }

    /// An ICMP error: it belongs to the flow of the packet that it quotes (RFC 5508, 4.2; RFC 4787, REQ-10).
    pub(crate) fn related<F: Translate>(
        &mut self,
        state: &mut State,
        scene: Scene<'_>,
        packet: &mut Packet,
        suspect: &Suspect<F::Addr>,
    ) -> Verdict {
        let Scene { snapshot, now, first } = scene;
        let (rx, vrf) = (packet.meta().rx_if, packet.meta().vrf);
        let (slot, length) = (first + suspect.slot, suspect.inspected.length);
        let upper = suspect.seen.upper;
        let found = F::quoted(packet.data(), upper).and_then(|quoted| {
            let key = F::key(quoted.reversed(), suspect.vrf, rx);
            let found = F::find(&state.table, &key);
            (!found.is_none()).then_some(found)
        });
        let Some(found) = found else {
            return self.unrelated::<F>(state, scene, packet, suspect);
        };
        let Some(flow) = state.table.flow(found.id()) else {
            return self.drop(DropReason::IcmpUnrelated);
        };
        let direction = found.direction();
        let [original, reply] = &flow.lines;
        let (line, other) = match direction {
            Direction::Original => (original, reply),
            Direction::Reply => (reply, original),
        };
        let (Some(arriving), Some(quoted)) = (F::tuple(line), F::tuple(other)) else {
            return self.drop(DropReason::IcmpUnrelated);
        };
        let leaving = quoted.reversed();
        let rewrites = flags(line).has(LineFlags::REWRITE);
        // The sender of the error need not be the one that the packet was for. A host whose address
        // is not to be seen outside speaks by the address that its neighbour has (RFC 5508, REQ-5).
        let outer = suspect.seen.tuple;
        let src = if arriving.src == leaving.src { outer.src } else { leaving.src };
        let dst = leaving.dst;
        // An error that somebody made up knows no number that is on its way (RFC 5927, 4.1).
        let sender = side(direction.reversed());
        let is_plausible = F::quoted_sequence(packet.data(), upper)
            .is_none_or(|number| flow.state.tracker.may_be_in_flight(sender, number));
        if !is_plausible {
            return self.drop(DropReason::IcmpUnrelated);
        }
        if flags(line).has(LineFlags::AGAIN) {
            return self.drop(DropReason::NatUntranslatable);
        }
        let (meta, frame) = packet.parts_mut();
        let inspected = Inspected { destination: dst, ..suspect.inspected };
        let next_hop = route::<F>(snapshot, vrf, dst);
        let fate = decide::<F>(snapshot, meta, frame, &inspected, next_hop);
        self.counters.icmp_related.add(1);
        self.carry_out::<F>(snapshot, packet, slot, fate, length, now, |packet: &mut Packet| {
            if rewrites {
                F::translate_error(packet.data_mut(), upper, src, dst, &quoted);
            }
        })
    }

    /// An ICMP error about nothing that is known here.
    fn unrelated<F: Translate>(
        &mut self,
        state: &mut State,
        scene: Scene<'_>,
        packet: &mut Packet,
        suspect: &Suspect<F::Addr>,
    ) -> Verdict {
        let Scene { snapshot, now, first } = scene;
        let policy = &snapshot.policy;
        let (rx, tuple) = (packet.meta().rx_if, suspect.seen.tuple);
        let (meta, frame) = packet.parts_mut();
        let next_hop = route::<F>(snapshot, meta.vrf, tuple.dst);
        let fate = decide::<F>(snapshot, meta, frame, &suspect.inspected, next_hop);
        let allowed = match fate {
            Fate::Punt(_) => {
                let decision = ask_rules::<F>(policy, rx, IfIndex::NONE, tuple);
                if let (Some(rules), Some(hits)) = (&policy.rules, policy.hits(state.worker)) {
                    hits.hit(rules.counter_slot(decision.rule));
                }
                decision.action == Action::Accept
            }
            Fate::Drop(..) => true,
            Fate::Transmit(..) | Fate::Fragment(..) | Fate::Finish(..) | Fate::Hold(..) => {
                policy.rules.is_none() && !F::is_pool(policy, tuple.dst)
            }
        };
        if !allowed {
            return self.drop(DropReason::IcmpUnrelated);
        }
        let (slot, length) = (first + suspect.slot, suspect.inspected.length);
        self.carry_out::<F>(snapshot, packet, slot, fate, length, now, |_| ())
    }

    /// Turns a packet away: a reset for TCP, prohibited for the rest (RFC 1812, 5.3.9; RFC 4443, 3.1).
    pub(crate) fn reject<F: Translate>(
        &mut self,
        snapshot: &Snapshot,
        packet: &mut Packet,
        slot: usize,
        suspect: &Suspect<F::Addr>,
        now: Instant,
    ) -> Verdict {
        let (length, tuple) = (suspect.inspected.length, suspect.seen.tuple);
        let upper = usize::from(suspect.seen.upper);
        let is_segment = tuple.protocol == IpProtocol::TCP
            && suspect.seen.fragment.is_none()
            && tcp_segment(packet.data(), upper).is_some();
        if !is_segment {
            let fate = Fate::Drop(DropReason::FirewallReject, Some(Complaint::Prohibited));
            return self.carry_out::<F>(snapshot, packet, slot, fate, length, now, |_| ());
        }
        let dropped = self.drop(DropReason::FirewallReject);
        let Some(way) = way_back::<F>(snapshot, packet.meta(), tuple.src) else { return dropped };
        if !self.rest.icmp.allow(F::receiver(tuple.src), false, now) {
            self.counters.icmp_suppressed.add(1);
            return dropped;
        }
        if !F::reset(packet, upper) {
            return dropped;
        }
        self.counters.resets.add(1);
        let meta = packet.meta_mut();
        meta.offload = Offload::NONE;
        meta.flow_hash = 0;
        match way {
            Way::To(id, adjacency) => {
                depart(snapshot, packet, id, &adjacency);
                Verdict::Transmit
            }
            Way::Wait(interface, address) => {
                self.rest.to_hold.push((slot, Resolve { interface, address }));
                // What has a way out already is not routed again when it has waited.
                packet.meta_mut().tx_if = interface;
                Verdict::Hold
            }
        }
    }

    /// An ARP request that is answered in place of the host behind an external address.
    pub(crate) fn answer_arp(&self, snapshot: &Snapshot, packet: &mut Packet) -> Option<Verdict> {
        let rx = packet.meta().rx_if;
        let target = proxy::arp_target(packet.data())?;
        let interface = snapshot.interface(rx)?;
        let is_own = interface.addresses4.iter().any(|net| net.addr().to_bits() == target);
        if is_own || !snapshot.policy.nat.external_on4(rx, target) {
            return None;
        }
        let mac = interface.mac;
        proxy::answer_arp(packet, mac).then(|| self.send_back(snapshot, packet))
    }

    /// Sends an answer back where the question came from.
    fn send_back(&self, snapshot: &Snapshot, packet: &mut Packet) -> Verdict {
        let rx = packet.meta().rx_if;
        if !snapshot.interface(rx).is_some_and(portcullis_routing::Interface::is_usable) {
            return self.drop(DropReason::EgressDown);
        }
        packet.meta_mut().tx_if = rx;
        Verdict::Transmit
    }
}

/// Ports that are known, also where the packet has none: metadata with no ports at all says that they are to be
/// learnt.
fn mark(ports: Ports) -> Ports {
    if ports == Ports::NONE { Ports { src: 0, dst: 1 } } else { ports }
}
