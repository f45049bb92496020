//! What the gateway's own kernel sends. It is never stopped; but answers to it must be known as such.

use portcullis_firewall::RuleId;
use portcullis_flows::{FlowRef, NewFlow, Tick};
use portcullis_packet::{IfIndex, Packet};
use portcullis_policy::Policy;
use portcullis_routing::{Flags, Inspected, V4, V6, ip4, ip6};
use portcullis_tracking::Tracker;
use portcullis_wire::dissect::{Dissected, Kind, tcp_segment};
use portcullis_wire::{EtherType, ethernet};

use super::careful::Scene;
use super::conn::{Conn, Hold, LineFlags, Translation};
use super::fast::{as_segment, side};
use super::judge::Translate;
use super::state::State;
use super::track::{Touch, flags};
use crate::worker::Worker;

impl Worker {
    /// Remembers a packet from a tap, and translates it if it answers one that was translated.
    pub(crate) fn remember_own(
        &mut self,
        state: &mut State,
        scene: Scene<'_>,
        packet: &mut Packet,
    ) {
        let frame = packet.data();
        match ethernet::Header::new(frame).map(|header| header.ether_type()) {
            Some(EtherType::IPV4) => {
                if let Ok(inspected) = ip4::inspect(frame, false) {
                    self.own::<V4>(state, scene, packet, &inspected);
                }
            }
            Some(EtherType::IPV6) => {
                if let Ok(inspected) = ip6::inspect(frame) {
                    self.own::<V6>(state, scene, packet, &inspected);
                }
            }
            _ => {}
        }
    }

    fn own<F: Translate>(
        &mut self,
        state: &mut State,
        scene: Scene<'_>,
        packet: &mut Packet,
        inspected: &Inspected<F::Addr>,
    ) {
        let Ok(seen) = F::dissect(packet.data()) else { return };
        // Errors of the kernel's own, groups and later fragments begin nothing.
        let begins = seen.fragment.is_none()
            && !matches!(seen.kind, Kind::IcmpError | Kind::IcmpOther)
            && !F::is_group(seen.tuple.dst)
            && !inspected.flags.contains(Flags::GROUP_FRAME);
        if !begins {
            return;
        }
        let (snapshot, tx) = (scene.snapshot, packet.meta().tx_if);
        let vrf = snapshot.interface(tx).map_or_else(Default::default, |interface| interface.vrf);
        let key = F::key(seen.tuple, vrf, tx);
        let found = F::find(&state.table, &key);
        if found.is_none() {
            self.enter_own::<F>(state, scene, packet, &seen, key, tx);
        } else {
            self.follow_own::<F>(state, scene, packet, &seen, found, inspected.length);
        }
    }

    fn follow_own<F: Translate>(
        &mut self,
        state: &mut State,
        scene: Scene<'_>,
        packet: &mut Packet,
        seen: &Dissected<F::Addr>,
        found: FlowRef,
        length: u16,
    ) {
        let timeouts = &scene.snapshot.policy.timeouts;
        let (id, direction) = (found.id(), found.direction());
        let Some(flow) = state.table.flow_mut(id) else { return };
        let step = match seen.kind {
            Kind::Tcp => match tcp_segment(packet.data(), usize::from(seen.upper)) {
                Some(segment) => {
                    flow.state.tracker.segment(side(direction), &as_segment(&segment), timeouts)
                }
                None => return,
            },
            Kind::Udp | Kind::IcmpQuery | Kind::IcmpError | Kind::IcmpOther | Kind::Other => {
                flow.state.tracker.datagram(side(direction));
                portcullis_tracking::Step::Fine
            }
        };
        flow.touch(Tick::of(scene.now));
        if let Some(line) = flow.lines.get_mut(direction.slot()) {
            line.count(u32::from(length));
            if flags(line).has(LineFlags::REWRITE) {
                let (meta, frame) = packet.parts_mut();
                let how =
                    Touch { protocol: seen.tuple.protocol, offload: meta.offload, later: false };
                F::translate(flow, direction, frame, seen.upper, how);
            }
        }
        match step {
            portcullis_tracking::Step::Timeout(timeout) => {
                if let Some(flow) = state.table.flow_mut(id) {
                    flow.set_timeout(Tick::ticks_of(timeout));
                }
                state.table.rearm(id);
            }
            portcullis_tracking::Step::Reopen => {
                state.end(id, scene.now);
                let vrf = scene.snapshot.interface(packet.meta().tx_if).map(|i| i.vrf);
                let tx = packet.meta().tx_if;
                let key = F::key(seen.tuple, vrf.unwrap_or_default(), tx);
                self.enter_own::<F>(state, scene, packet, seen, key, tx);
            }
            portcullis_tracking::Step::Fine | portcullis_tracking::Step::Drop(_) => {}
        }
    }

    fn enter_own<F: Translate>(
        &mut self,
        state: &mut State,
        scene: Scene<'_>,
        packet: &Packet,
        seen: &Dissected<F::Addr>,
        key: portcullis_flows::Key<F::Addr>,
        tx: IfIndex,
    ) {
        let policy = &scene.snapshot.policy;
        let Some((tracker, timeout)) = open_own(policy, packet, seen) else { return };
        let reserved = F::reserve(state, policy, &seen.tuple);
        let hold = if reserved { Hold::OWN_PORT } else { Hold::NONE };
        let tick = Tick::of(scene.now);
        let flow = NewFlow {
            original: key,
            reply: portcullis_flows::Key { tuple: seen.tuple.reversed(), vrf: key.vrf },
            source: seen.tuple.src,
            now: tick,
            timeout: Tick::ticks_of(timeout),
            state: Conn { tracker, rule: RuleId::NONE, hold, created: tick },
        };
        let entered = F::insert(&mut state.table, flow);
        state.settle(scene.now);
        match entered.ok().and_then(|id| state.table.flow_mut(id)) {
            Some(flow) => {
                let [original, reply] = &mut flow.lines;
                original.set_rx_if(IfIndex::NONE);
                reply.set_rx_if(tx);
                let number = policy.number;
                let bits = LineFlags::ENFORCE;
                original.set_flags(LineFlags::new(bits, Translation::None, number).0);
                let bits = bits | LineFlags::LOCAL;
                reply.set_flags(LineFlags::new(bits, Translation::None, number).0);
                self.counters.flows_opened.add(1);
            }
            // The packet leaves all the same; its answer is then judged by the rules.
            None if reserved => F::unreserve(state, &seen.tuple, scene.now),
            None => {}
        }
    }
}

fn open_own<A>(
    policy: &Policy,
    packet: &Packet,
    seen: &Dissected<A>,
) -> Option<(Tracker, std::time::Duration)> {
    let timeouts = &policy.timeouts;
    Some(match seen.kind {
        Kind::Tcp => {
            let segment = tcp_segment(packet.data(), usize::from(seen.upper))?;
            // A connection of before the gateway's start goes on.
            Tracker::open_tcp(&as_segment(&segment), true, timeouts).ok()?
        }
        Kind::Udp => Tracker::open_udp(timeouts),
        Kind::IcmpQuery => Tracker::open_icmp(timeouts),
        Kind::IcmpError | Kind::IcmpOther | Kind::Other => Tracker::open_other(timeouts),
    })
}
