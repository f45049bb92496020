//! One batch through the stateful way.

use portcullis_flows::Tick;
use portcullis_packet::{BATCH, IfIndex, Instant, Packet, Verdict};
use portcullis_routing::{Flags, Inspected, Snapshot, V4, V6};
use portcullis_wire::EtherType;
use portcullis_wire::dissect::{Dissected, Kind};

use super::careful::Scene;
use super::fast::{Moment, pass};
use super::judge::Translate;
use super::lanes::{FlowLanes, Suspect};
use super::state::State;
use crate::ingress::{self, Ingress};
use crate::worker::Worker;

/// Packets of a batch side by side, and those that are handled one by one.
#[derive(Debug)]
pub(crate) struct StatefulLanes {
    v4: FlowLanes<u32>,
    v6: FlowLanes<u128>,
    odd4: Vec<Suspect<u32>>,
    odd6: Vec<Suspect<u128>>,
}

impl StatefulLanes {
    pub(crate) fn new() -> Self {
        Self {
            v4: FlowLanes::new(),
            v6: FlowLanes::new(),
            odd4: Vec::with_capacity(2 * BATCH),
            odd6: Vec::with_capacity(2 * BATCH),
        }
    }
}

impl Worker {
    /// A chunk of a batch. True if packets are to be taken out of it.
    pub(crate) fn stateful_chunk(
        &mut self,
        state: &mut State,
        scene: Scene<'_>,
        chunk: &mut [Packet],
    ) -> bool {
        let Scene { snapshot, now, .. } = scene;
        let mut taken_out = self.sort(state, snapshot, chunk, now);
        let moment = Moment {
            snapshot,
            timeouts: &snapshot.policy.timeouts,
            tick: Tick::of(now),
            epoch: state.epoch,
        };
        let lanes = &mut self.flow_lanes;
        if !lanes.v4.is_empty() {
            let counters = &self.counters.ip4;
            pass::<V4>(moment, &mut state.table, &mut lanes.v4, chunk, &mut lanes.odd4, counters);
        }
        if !lanes.v6.is_empty() {
            let counters = &self.counters.ip6;
            pass::<V6>(moment, &mut state.table, &mut lanes.v6, chunk, &mut lanes.odd6, counters);
        }
        for at in 0..self.flow_lanes.odd4.len() {
            if let Some(&suspect) = self.flow_lanes.odd4.get(at) {
                taken_out |= self.careful::<V4>(state, scene, chunk, &suspect);
            }
        }
        for at in 0..self.flow_lanes.odd6.len() {
            if let Some(&suspect) = self.flow_lanes.odd6.get(at) {
                taken_out |= self.careful::<V6>(state, scene, chunk, &suspect);
            }
        }
        self.flow_lanes.odd4.clear();
        self.flow_lanes.odd6.clear();
        taken_out
    }

    /// Looks at each frame. True if packets are to be punted.
    fn sort(
        &mut self,
        state: &State,
        snapshot: &Snapshot,
        chunk: &mut [Packet],
        now: Instant,
    ) -> bool {
        let _ = state;
        let mut punted = false;
        let mut port = ingress::Cache::default();
        for packet in chunk.iter() {
            packet.prefetch_header();
        }
        for packet in chunk.iter() {
            packet.prefetch_data();
        }
        for slot in 0..chunk.len() {
            let Some(packet) = chunk.get_mut(slot) else { continue };
            let looked = ingress::look(snapshot, &mut port, packet);
            match looked {
                Ingress::Ip4(vrf, inspected) => match V4::dissected(packet, slot, vrf, inspected) {
                    Ok(suspect) if is_plain(packet.meta().rx_if, &suspect) => {
                        let key = V4::key_of(packet, &suspect);
                        let lanes = &mut self.flow_lanes;
                        lanes.v4.push(slot, key, suspect.inspected, &suspect.seen);
                    }
                    Ok(suspect) => self.flow_lanes.odd4.push(suspect),
                    Err(reason) => packet.meta_mut().verdict = self.drop(reason),
                },
                Ingress::Ip6(vrf, inspected) => match V6::dissected(packet, slot, vrf, inspected) {
                    Ok(suspect) if is_plain(packet.meta().rx_if, &suspect) => {
                        let key = V6::key_of(packet, &suspect);
                        let lanes = &mut self.flow_lanes;
                        lanes.v6.push(slot, key, suspect.inspected, &suspect.seen);
                    }
                    Ok(suspect) => self.flow_lanes.odd6.push(suspect),
                    Err(reason) => packet.meta_mut().verdict = self.drop(reason),
                },
                Ingress::Punt(class) => {
                    let answered =
                        is_arp(packet.data()).then(|| self.answer_arp(snapshot, packet)).flatten();
                    packet.meta_mut().verdict = answered.unwrap_or_else(|| self.punt(class, now));
                    punted |= matches!(packet.meta().verdict, Verdict::Punt(_));
                }
                Ingress::Drop(reason) => packet.meta_mut().verdict = self.drop(reason),
            }
        }
        punted
    }
}

/// What the first look makes of a packet.
trait Dissect: Translate {
    #[inline(always)]
    fn dissected(
        packet: &Packet,
        slot: usize,
        vrf: portcullis_packet::VrfId,
        inspected: Inspected<Self::Addr>,
    ) -> Result<Suspect<Self::Addr>, portcullis_packet::DropReason> {
        let seen = Self::dissect(packet.data())?;
        Ok(Suspect { slot, inspected, seen, vrf })
    }

    #[inline(always)]
    fn key_of(packet: &Packet, suspect: &Suspect<Self::Addr>) -> portcullis_flows::Key<Self::Addr> {
        Self::key(suspect.seen.tuple, suspect.vrf, packet.meta().rx_if)
    }
}

impl Dissect for V4 {}
impl Dissect for V6 {}

/// Whether a packet can be looked up by its tuple as it is.
#[inline(always)]
fn is_plain<A>(rx: IfIndex, suspect: &Suspect<A>) -> bool {
    let Dissected { kind, fragment, .. } = &suspect.seen;
    let by_ports = matches!(kind, Kind::Tcp | Kind::Udp | Kind::IcmpQuery | Kind::Other);
    rx != IfIndex::NONE
        && by_ports
        && fragment.is_none()
        && !suspect.inspected.flags.contains(Flags::GROUP_FRAME)
}

fn is_arp(frame: &[u8]) -> bool {
    frame.get(12..14) == Some(&EtherType::ARP.0.to_be_bytes())
}
