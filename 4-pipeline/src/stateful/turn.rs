//! What happens to a worker's state around a batch, and between batches.

use std::time::Duration;

use portcullis_flows::FlowId;
use portcullis_packet::{BATCH, DropReason, Instant, Packet};
use portcullis_routing::{Snapshot, V4, V6};

use super::careful::Scene;
use super::state::State;
use crate::outbox::Outbox;
use crate::worker::Worker;

/// How often a worker without packets looks whether flows have ended.
const LOOK: Duration = Duration::from_millis(500);

impl Worker {
    /// A batch of a stateful gateway.
    pub(crate) fn route_by_flow(
        &mut self,
        state: &mut State,
        snapshot: &Snapshot,
        batch: &mut Vec<Packet>,
        now: Instant,
        out: &mut Outbox,
    ) {
        state.observe(snapshot, self.epoch());
        self.through(state, snapshot, batch, now, out);
        // Fragments whose first one was in the batch follow it.
        let mut ready = std::mem::take(&mut self.rest.ready);
        state.reassembly.take_ready(&mut ready);
        if !ready.is_empty() {
            self.through(state, snapshot, &mut ready, now, out);
            batch.append(&mut ready);
        }
        self.rest.ready = ready;
        self.add_pieces(batch);
        self.upkeep(state, snapshot, now);
    }

    fn through(
        &mut self,
        state: &mut State,
        snapshot: &Snapshot,
        batch: &mut Vec<Packet>,
        now: Instant,
        out: &mut Outbox,
    ) {
        let mut taken_out = false;
        let mut first = 0;
        for chunk in batch.chunks_mut(BATCH) {
            let scene = Scene { snapshot, now, first };
            taken_out |= self.stateful_chunk(state, scene, chunk);
            first += chunk.len();
        }
        if taken_out {
            self.take_out(Some(&mut state.reassembly), batch, now, out);
        }
    }

    /// Ends flows whose time is up, and judges some by a new policy. Bounded, so that a batch is not held up.
    fn upkeep(&mut self, state: &mut State, snapshot: &Snapshot, now: Instant) -> bool {
        let mut more = state.expire(now);
        if let Some(range) = state.next_to_sweep() {
            for id in range.map(FlowId) {
                let Some(flow) = state.table.flow(id) else { continue };
                let [original, _] = &flow.lines;
                let stands = if original.is_v4() {
                    state.stands::<V4>(&snapshot.policy, id)
                } else {
                    state.stands::<V6>(&snapshot.policy, id)
                };
                if !stands {
                    self.counters.flows_revoked.add(1);
                    state.end(id, now);
                }
            }
            more |= state.is_sweeping();
        }
        self.counters.flows.store(state.table.len() as u64);
        more
    }

    /// What is due by time, without a batch. Fragments that waited in vain are appended to `batch`. Returns
    /// when to call again.
    pub(crate) fn tick_flows(
        &mut self,
        state: &mut State,
        snapshot: &Snapshot,
        now: Instant,
        batch: &mut Vec<Packet>,
    ) -> Option<Instant> {
        state.observe(snapshot, self.epoch());
        let more = self.upkeep(state, snapshot, now);
        let before = batch.len();
        state.reassembly.expire(now, batch);
        for packet in batch.iter_mut().skip(before) {
            packet.meta_mut().verdict = self.drop(DropReason::FragmentTimeout);
        }
        if more {
            return Some(now);
        }
        let flows = (!state.table.is_empty()).then(|| now + LOOK);
        let fragments = state.reassembly.deadline();
        match (flows, fragments) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Gives up what waits for its first fragment.
    pub(crate) fn stop_flows(&mut self, state: &mut State, batch: &mut Vec<Packet>) {
        let before = batch.len();
        state.reassembly.stop(batch);
        for packet in batch.iter_mut().skip(before) {
            packet.meta_mut().verdict = self.drop(DropReason::Stopping);
        }
    }

    /// Remembers what leaves the taps.
    pub(crate) fn remember_all_own(
        &mut self,
        state: &mut State,
        snapshot: &Snapshot,
        batch: &mut [Packet],
        now: Instant,
    ) {
        state.observe(snapshot, self.epoch());
        let scene = Scene { snapshot, now, first: 0 };
        for packet in batch {
            self.remember_own(state, scene, packet);
        }
    }
}
