//! The first packet of a flow: where it goes, how it is translated, and whether it may.

use portcullis_firewall::{Action, Decision};
use portcullis_flows::{Direction, FlowRef, NewFlow, Refused, Tick};
use portcullis_packet::{DropReason, IfIndex, Packet, Ports, Verdict};
use portcullis_routing::{Complaint, Fate, Inspected, decide};
use portcullis_tracking::Tracker;
use portcullis_wire::dissect::{Kind, is_request_port, tcp_segment};
use portcullis_wire::{IpProtocol, Tuple};

use super::careful::{Scene, route};
use super::conn::{Conn, Hold, LineFlags, Translation};
use super::event::{Event, RuleEvent};
use super::fast::as_segment;
use super::judge::{Arrival, NewSource, Redirect, Translate, ask_rules, is_credible};
use super::lanes::Suspect;
use super::state::State;
use crate::worker::Worker;

/// What came of a packet that belongs to no flow.
pub(crate) enum Admitted {
    /// It begins one, and this becomes of it.
    Flow(FlowRef, Fate),
    /// It begins the first half of a hairpin.
    Again(FlowRef),
    /// It is forwarded without one: nothing depends on there being one.
    Flowless(Fate),
    /// That was that.
    Refused(Verdict),
}

/// What a flow is entered with.
struct Opening<A> {
    tuple: Tuple<A>,
    translated: Tuple<A>,
    rx: IfIndex,
    tx: IfIndex,
    bits: u16,
    by: Translation,
    hold: Hold,
    rule: portcullis_firewall::RuleId,
    tracker: Tracker,
    timeout: std::time::Duration,
    source: A,
}

impl Worker {
    pub(crate) fn admit<F: Translate>(
        &mut self,
        state: &mut State,
        scene: Scene<'_>,
        packet: &mut Packet,
        suspect: &Suspect<F::Addr>,
    ) -> Admitted {
        let Scene { snapshot, now, .. } = scene;
        let policy = &snapshot.policy;
        let (rx, vrf, tuple) = (packet.meta().rx_if, packet.meta().vrf, suspect.seen.tuple);
        if !is_credible::<F>(snapshot, vrf, rx, tuple.src) && packet.meta().hairpin == 0 {
            return Admitted::Refused(self.drop(DropReason::SpoofedSource));
        }
        let is_icmp = tuple.protocol == IpProtocol::ICMP || tuple.protocol == IpProtocol::ICMPV6;
        let is_icmp_request = is_icmp && !is_reply(packet.data(), suspect.seen.upper);
        let arrival = Arrival { rx, is_icmp_request };
        let redirect = match F::redirect(state, policy, arrival, &tuple) {
            Ok(redirect) => redirect,
            Err(reason) => return Admitted::Refused(self.drop(reason)),
        };
        if redirect.is_some()
            && packet.meta().hairpin == 0
            && let Some(out) = F::hairpin_via(policy, rx, &tuple)
            && let source @ (NewSource::Masquerade(_) | NewSource::Static(_)) =
                F::new_source(policy, out, &tuple)
        {
            return self.open_hairpin::<F>(state, scene, packet, suspect, source);
        }
        let (dst, port) = redirect.map_or((tuple.dst, tuple.ports.dst), |to| (to.dst, to.port));
        let fate = {
            let (meta, frame) = packet.parts_mut();
            let inspected = Inspected { destination: dst, ..suspect.inspected };
            decide::<F>(snapshot, meta, frame, &inspected, route::<F>(snapshot, vrf, dst))
        };
        let tx = match fate {
            Fate::Transmit(_, adjacency)
            | Fate::Fragment(_, adjacency)
            | Fate::Finish(_, adjacency) => adjacency.interface,
            Fate::Hold(interface, _) => interface,
            Fate::Punt(_) => IfIndex::NONE,
            Fate::Drop(..) => return Admitted::Flowless(fate),
        };
        if redirect.is_none() && tx != IfIndex::NONE && F::is_pool(policy, tuple.dst) {
            return Admitted::Refused(self.drop(DropReason::NatNoMapping));
        }
        let src = F::first_source(policy, packet.meta().hairpin, tuple.src);
        let ports = Ports { src: tuple.ports.src, dst: port };
        let asked = Tuple { src, dst, ports, protocol: tuple.protocol };
        let decision = ask_rules::<F>(policy, rx, tx, asked);
        self.note::<F>(state, scene, &decision, rx, tx, &asked);
        match decision.action {
            Action::Accept => {}
            Action::Drop => return Admitted::Refused(self.drop(DropReason::FirewallDrop)),
            Action::Reject => {
                let slot = scene.first + suspect.slot;
                return Admitted::Refused(self.reject::<F>(snapshot, packet, slot, suspect, now));
            }
        }
        self.enter::<F>(state, scene, packet, suspect, redirect, fate, tx, decision)
    }

    /// Translates the source of an accepted packet, if it is to be, and enters the flow.
    #[expect(clippy::too_many_arguments, reason = "all that was found out about one packet")]
    fn enter<F: Translate>(
        &mut self,
        state: &mut State,
        scene: Scene<'_>,
        packet: &mut Packet,
        suspect: &Suspect<F::Addr>,
        redirect: Option<Redirect<F::Addr>>,
        fate: Fate,
        tx: IfIndex,
        decision: Decision,
    ) -> Admitted {
        let policy = &scene.snapshot.policy;
        let tuple = suspect.seen.tuple;
        let source = match tx {
            IfIndex::NONE => NewSource::Same,
            tx => {
                let dst = redirect.map_or(tuple.dst, |to| to.dst);
                F::new_source(policy, tx, &Tuple { dst, ..tuple })
            }
        };
        if source == NewSource::Impossible {
            return Admitted::Refused(self.drop(DropReason::NatUntranslatable));
        }
        let is_translated = redirect.is_some() || source != NewSource::Same;
        let enforces = policy.rules.is_some() || is_translated;
        let (tracker, timeout) = match open(policy, packet.data(), suspect) {
            Ok(opened) => opened,
            Err(_) if !enforces => return Admitted::Flowless(fate),
            Err(reason) => return Admitted::Refused(self.drop(reason)),
        };
        let (dst, port) = redirect.map_or((tuple.dst, tuple.ports.dst), |to| (to.dst, to.port));
        let mut hold = Hold::NONE;
        let mut by = redirect.map_or(Translation::None, |to| to.by);
        let mut translated =
            Tuple { dst, ports: Ports { src: tuple.ports.src, dst: port }, ..tuple };
        match source {
            NewSource::Same | NewSource::Impossible => {}
            NewSource::Static(address) => {
                translated.src = address;
                by = Translation::Static;
            }
            NewSource::Masquerade(masquerade) => {
                match self.masquerade::<F>(state, scene, packet, suspect, masquerade) {
                    Ok((id, address, port)) => {
                        translated.src = address;
                        translated.ports.src = port;
                        hold = Hold::mapping(id);
                        by = Translation::Masquerade;
                    }
                    Err(verdict) => return Admitted::Refused(verdict),
                }
            }
        }
        if let Some(id) = redirect.and_then(|to| to.mapping)
            && hold == Hold::NONE
        {
            hold = Hold::mapping(id);
            state.masquerading.retain(id, F::narrow(tuple.src));
        }
        let mut bits = 0;
        if translated != tuple {
            bits |= LineFlags::REWRITE;
        }
        if enforces {
            bits |= LineFlags::ENFORCE;
        }
        if tx == IfIndex::NONE {
            bits |= LineFlags::LOCAL;
        }
        let source = F::first_source(policy, packet.meta().hairpin, tuple.src);
        let opening = Opening {
            tuple,
            translated,
            rx: packet.meta().rx_if,
            tx,
            bits,
            by,
            hold,
            rule: decision.rule,
            tracker,
            timeout,
            source,
        };
        let second_half = packet.meta().hairpin != 0;
        match self.insert::<F>(state, scene, suspect, opening) {
            Ok(found) => {
                if second_half {
                    set_again::<F>(state, found, Direction::Reply);
                }
                if redirect.is_some_and(|to| to.by == Translation::Forward) {
                    F::count_redirected(policy, packet.meta().rx_if, &tuple);
                }
                Admitted::Flow(found, fate)
            }
            Err(_) if !enforces => Admitted::Flowless(fate),
            Err(reason) => Admitted::Refused(self.drop(reason)),
        }
    }

    /// The first half of a hairpin: a flow that translates the source, whose packets then go on as if they
    /// came from outside.
    fn open_hairpin<F: Translate>(
        &mut self,
        state: &mut State,
        scene: Scene<'_>,
        packet: &mut Packet,
        suspect: &Suspect<F::Addr>,
        source: NewSource<F::Addr>,
    ) -> Admitted {
        let policy = &scene.snapshot.policy;
        let (tracker, timeout) = match open(policy, packet.data(), suspect) {
            Ok(opened) => opened,
            Err(reason) => return Admitted::Refused(self.drop(reason)),
        };
        let tuple = suspect.seen.tuple;
        let (hold, address, port, by) = match source {
            NewSource::Masquerade(by) => {
                match self.masquerade::<F>(state, scene, packet, suspect, by) {
                    Ok((id, address, port)) => {
                        (Hold::mapping(id), address, port, Translation::Masquerade)
                    }
                    Err(verdict) => return Admitted::Refused(verdict),
                }
            }
            NewSource::Static(address) => {
                (Hold::NONE, address, tuple.ports.src, Translation::Static)
            }
            NewSource::Same | NewSource::Impossible => {
                return Admitted::Refused(self.drop(DropReason::NatUntranslatable));
            }
        };
        let ports = Ports { src: port, dst: tuple.ports.dst };
        let rx = packet.meta().rx_if;
        let opening = Opening {
            tuple,
            translated: Tuple { src: address, ports, ..tuple },
            rx,
            tx: rx,
            bits: LineFlags::REWRITE | LineFlags::ENFORCE,
            by,
            hold,
            rule: portcullis_firewall::RuleId::NONE,
            tracker,
            timeout,
            source: tuple.src,
        };
        match self.insert::<F>(state, scene, suspect, opening) {
            Ok(found) => {
                set_again::<F>(state, found, Direction::Original);
                Admitted::Again(found)
            }
            Err(reason) => Admitted::Refused(self.drop(reason)),
        }
    }

    /// A port for a packet to the outside; if there is none, the sender is told.
    fn masquerade<F: Translate>(
        &mut self,
        state: &mut State,
        scene: Scene<'_>,
        packet: &mut Packet,
        suspect: &Suspect<F::Addr>,
        by: portcullis_nat::MasqueradeId,
    ) -> Result<(portcullis_nat::MappingId, F::Addr, u16), Verdict> {
        let Scene { snapshot, now, first } = scene;
        let tuple = suspect.seen.tuple;
        let is_icmp = tuple.protocol == IpProtocol::ICMP;
        if is_icmp && !is_request_port(tuple.ports.dst) {
            return Err(self.drop(DropReason::NatUntranslatable));
        }
        F::map(state, &snapshot.policy, by, &tuple, now).map_err(|reason| {
            // RFC 6888, REQ-4; RFC 5508, 4 for ICMP.
            let slot = first + suspect.slot;
            let told = Some(Complaint::Prohibited);
            let fate = Fate::Drop(reason, told);
            self.carry_out::<F>(snapshot, packet, slot, fate, suspect.inspected.length, now, |_| ())
        })
    }

    fn insert<F: Translate>(
        &mut self,
        state: &mut State,
        scene: Scene<'_>,
        suspect: &Suspect<F::Addr>,
        opening: Opening<F::Addr>,
    ) -> Result<FlowRef, DropReason> {
        let Opening { tuple, translated, rx, tx, bits, by, hold, rule, tracker, timeout, source } =
            opening;
        let Scene { snapshot, now, .. } = scene;
        let tick = Tick::of(now);
        let back = translated.reversed();
        let key = F::key(tuple, suspect.vrf, rx);
        let flow = NewFlow {
            original: key,
            reply: portcullis_flows::Key { tuple: back, vrf: key.vrf },
            source,
            now: tick,
            timeout: Tick::ticks_of(timeout),
            state: Conn { tracker, rule, hold, created: tick },
        };
        let entered = F::insert(&mut state.table, flow);
        state.settle(now);
        let id = match entered {
            Ok(id) => id,
            Err(refused) => {
                if let Some(mapping) = hold.as_mapping() {
                    let remote = if by == Translation::Masquerade && translated.src != tuple.src {
                        translated.dst
                    } else {
                        tuple.src
                    };
                    state.masquerading.release(mapping, F::narrow(remote), now);
                    state.drain_blocks();
                }
                return Err(match refused {
                    Refused::Full => DropReason::FlowTableFull,
                    Refused::SourceLimit => DropReason::FlowSourceLimit,
                    Refused::Conflict => DropReason::FlowConflict,
                });
            }
        };
        if let Some(flow) = state.table.flow_mut(id) {
            let marks = LineFlags::new(bits, by, snapshot.policy.number);
            let [original, reply] = &mut flow.lines;
            original.set_rx_if(rx);
            reply.set_rx_if(tx);
            original.set_flags(marks.0);
            // What comes back to the gateway's own tap is none of a port's.
            let back_bits = bits & !LineFlags::LOCAL;
            reply.set_flags(LineFlags::new(back_bits, by, snapshot.policy.number).0);
            if bits & LineFlags::REWRITE != 0 {
                F::compile(original, &tuple, &translated);
                F::compile(reply, &back, &tuple.reversed());
            }
        }
        self.counters.flows_opened.add(1);
        Ok(FlowRef::new(id, Direction::Original))
    }

    /// Counts a decision, and logs it if it is to be logged.
    fn note<F: Translate>(
        &mut self,
        state: &mut State,
        scene: Scene<'_>,
        decision: &Decision,
        rx: IfIndex,
        tx: IfIndex,
        asked: &Tuple<F::Addr>,
    ) {
        let policy = &scene.snapshot.policy;
        let Some(rules) = &policy.rules else { return };
        if let Some(hits) = policy.hits(state.worker) {
            hits.hit(rules.counter_slot(decision.rule));
        }
        if decision.log && state.log.allow(decision.rule, scene.now) {
            state.events.push(Event::Rule(RuleEvent {
                rule: decision.rule,
                action: decision.action,
                reason: match decision.action {
                    Action::Accept => None,
                    Action::Drop => Some(DropReason::FirewallDrop),
                    Action::Reject => Some(DropReason::FirewallReject),
                },
                rx,
                tx,
                src: F::ip(asked.src),
                dst: F::ip(asked.dst),
                ports: asked.ports,
                protocol: asked.protocol.0,
            }));
        }
    }
}

/// Marks a direction of a hairpin's flow whose packets go through the tables once more.
fn set_again<F: Translate>(state: &mut State, found: FlowRef, direction: Direction) {
    let line = state.table.flow_mut(found.id());
    if let Some(line) = line.and_then(|flow| flow.lines.get_mut(direction.slot())) {
        line.set_flags(line.flags() | LineFlags::AGAIN);
    }
}

/// The state of a connection that this packet begins, and its first timeout.
fn open<A>(
    policy: &portcullis_policy::Policy,
    frame: &[u8],
    suspect: &Suspect<A>,
) -> Result<(Tracker, std::time::Duration), DropReason> {
    let timeouts = &policy.timeouts;
    Ok(match suspect.seen.kind {
        Kind::Tcp => {
            let later = suspect.seen.fragment.is_some_and(|part| part.offset != 0);
            let segment = (!later)
                .then(|| tcp_segment(frame, usize::from(suspect.seen.upper)))
                .flatten()
                .ok_or(DropReason::TcpNoConnection)?;
            Tracker::open_tcp(&as_segment(&segment), policy.tcp_pickup, timeouts)?
        }
        Kind::Udp => Tracker::open_udp(timeouts),
        Kind::IcmpQuery => Tracker::open_icmp(timeouts),
        Kind::IcmpOther | Kind::IcmpError | Kind::Other => Tracker::open_other(timeouts),
    })
}

/// Whether an ICMP or ICMPv6 query is an answer.
fn is_reply(frame: &[u8], upper: u16) -> bool {
    matches!(frame.get(usize::from(upper)), Some(0 | 14 | 16 | 18 | 129))
}
