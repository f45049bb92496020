//! The fast path: packets of flows that were checked in this epoch, to a known neighbour.

use portcullis_flows::{Direction, FlowRef, Tick};
use portcullis_packet::{NextHopId, Packet, Verdict};
use portcullis_routing::{Interface, NextHop, Snapshot};
use portcullis_tracking::{Segment, Side, Step, Timeouts};
use portcullis_wire::dissect::{Kind, TcpSegment, tcp_segment};

use super::conn::{LineFlags, Table};
use super::lanes::{FlowLanes, Suspect};
use super::track::{Touch, Track, flags};
use crate::counters::Traffic;

/// What all packets of a batch share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) timeouts: &'a Timeouts,
    pub(crate) tick: Tick,
    pub(crate) epoch: u32,
}

/// Looks the lanes' packets up and sends those that can just be sent. The others go to `slow`.
#[inline(always)]
pub(crate) fn pass<F: Track>(
    moment: Moment<'_>,
    table: &mut Table,
    lanes: &mut FlowLanes<F::Addr>,
    chunk: &mut [Packet],
    slow: &mut Vec<Suspect<F::Addr>>,
    traffic: &Traffic,
) {
    let (keys, found) = lanes.lookup();
    F::lookup_flows(table, keys, found);
    let (mut packets, mut bytes) = (0, 0);
    for (suspect, found) in lanes.iter() {
        let sent = !found.is_none()
            && chunk
                .get_mut(suspect.slot)
                .is_some_and(|packet| send::<F>(moment, table, found, packet, &suspect));
        if sent {
            packets += 1;
            bytes += u64::from(suspect.inspected.length);
        } else {
            slow.push(suspect);
        }
    }
    lanes.clear();
    traffic.packets.add(packets);
    traffic.bytes.add(bytes);
}

/// Sends a packet of a flow, if nothing about it is special. False, and nothing changed, if something is.
#[inline(always)]
fn send<F: Track>(
    moment: Moment<'_>,
    table: &mut Table,
    found: FlowRef,
    packet: &mut Packet,
    suspect: &Suspect<F::Addr>,
) -> bool {
    let Moment { snapshot, timeouts, tick, epoch } = moment;
    let (meta, frame) = packet.parts_mut();
    let direction = found.direction();
    let Some(flow) = table.flow_mut(found.id()) else { return false };
    let [original, reply] = &flow.lines;
    let line = if direction == Direction::Original { original } else { reply };
    if line.epoch() != epoch || line.rx_if() != meta.rx_if || !suspect.inspected.flags.is_empty() {
        return false;
    }
    let next_hop = line.next_hop();
    let NextHop::Forward(adjacency) = snapshot.next_hops.get(next_hop) else { return false };
    if suspect.inspected.length > adjacency.mtu
        || !snapshot.interface(adjacency.interface).is_some_and(Interface::is_usable)
        || !F::may_live_on(frame)
    {
        return false;
    }
    let side = side(direction);
    if suspect.seen.kind == Kind::Tcp {
        let Some(segment) = tcp_segment(frame, usize::from(suspect.seen.upper)) else {
            return false;
        };
        if !flow.state.tracker.is_plain_data(segment.flags) {
            return false;
        }
        // What it did to the connection's state is done once more, to the same end.
        if flow.state.tracker.segment(side, &as_segment(&segment), timeouts) != Step::Fine {
            return false;
        }
    } else {
        flow.state.tracker.datagram(side);
    }
    if flags(line).has(LineFlags::REWRITE) {
        let how =
            Touch { protocol: suspect.seen.tuple.protocol, offload: meta.offload, later: false };
        F::translate(flow, direction, frame, suspect.seen.upper, how);
    }
    if !F::forward(frame, &adjacency) {
        return false;
    }
    meta.tx_if = adjacency.interface;
    meta.next_hop = next_hop;
    meta.verdict = Verdict::Transmit;
    mark(snapshot, next_hop);
    let [original, reply] = &mut flow.lines;
    let line = if direction == Direction::Original { original } else { reply };
    line.count(u32::from(suspect.inspected.length));
    flow.touch(tick);
    true
}

#[inline(always)]
fn mark(snapshot: &Snapshot, next_hop: NextHopId) {
    snapshot.next_hops.mark_used(next_hop);
}

/// Who sent a packet of this direction.
#[inline(always)]
pub(crate) fn side(direction: Direction) -> Side {
    match direction {
        Direction::Original => Side::Original,
        Direction::Reply => Side::Reply,
    }
}

/// A segment as connection tracking wants it.
#[inline(always)]
pub(crate) fn as_segment(segment: &TcpSegment) -> Segment {
    Segment {
        flags: segment.flags,
        seq: segment.seq,
        ack: segment.ack,
        window: segment.window,
        len: segment.payload,
        window_scale: segment.window_scale,
    }
}
