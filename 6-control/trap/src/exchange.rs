//! What the trap thread does with one packet, either way, without knowing what a tap or a ring is.

use std::sync::Arc;

use portcullis_dataplane::SteeredBy;
use portcullis_packet::{DropReason, IfIndex, Packet, Pool, PoolLimits, PuntClass, Verdict};
use portcullis_tables::Subscriber;
use portcullis_wire::{ethernet, offload};

use crate::counters::TrapCounters;
use crate::landing::{Landed, Landing};
use crate::port::{Refusal, TapPort};

/// Buffers that the trap thread keeps. What it reads from the taps ends in the pools of the I/O threads,
/// so it makes new ones when those that punted packets bring do not suffice.
const POOL: PoolLimits = PoolLimits { small: 256, large: 8 };

/// Buffers made at once, so that making them does not hold up what is urgent.
const TOP_UP: usize = 16;

/// The way from the trap thread into one worker.
pub trait Lane {
    /// Queues a packet that is to be transmitted as it is.
    ///
    /// # Errors
    /// The packet, if the queue is full.
    fn push(&mut self, packet: Packet) -> Result<(), Packet>;

    /// Tells the worker that something was queued.
    fn ring(&mut self);
}

/// What reading a tap came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Collected {
    /// The budget is used up, and there may be more.
    More,
    /// Nothing is left.
    Drained,
    /// There is no tap (any more).
    Gone,
}

/// Frames between pipelines and taps.
#[derive(Debug)]
pub struct Exchange<T, L> {
    /// Taps, by [`IfIndex`].
    ports: Vec<Option<T>>,
    lanes: Vec<LaneState<L>>,
    steering: Subscriber<SteeredBy>,
    pool: Pool,
    landing: Landing,
    counters: Arc<TrapCounters>,
}

#[derive(Debug)]
struct LaneState<L> {
    lane: L,
    /// Something was pushed since the bell was last rung.
    pushed: bool,
}

impl<T: TapPort, L: Lane> Exchange<T, L> {
    /// An exchange between these taps and these workers, whose lanes are in the order of their numbers.
    #[must_use]
    pub fn new(
        taps: impl IntoIterator<Item = (IfIndex, T)>,
        lanes: impl IntoIterator<Item = L>,
        steering: Subscriber<SteeredBy>,
        counters: Arc<TrapCounters>,
    ) -> Self {
        let mut ports = Vec::new();
        for (index, tap) in taps {
            if ports.len() <= index.slot() {
                ports.resize_with(index.slot() + 1, || None);
            }
            if let Some(port) = ports.get_mut(index.slot()) {
                *port = Some(tap);
            }
        }
        let lanes = lanes.into_iter().map(|lane| LaneState { lane, pushed: false }).collect();
        let (pool, landing) = (Pool::new(POOL), Landing::default());
        Self { ports, lanes, steering, pool, landing, counters }
    }

    /// The tap of an interface, as long as it is there.
    #[must_use]
    pub fn port(&self, index: IfIndex) -> Option<&T> {
        self.ports.get(index.slot())?.as_ref()
    }

    /// Hands a punted packet to the tap of the interface it came in by. A tap that takes no more is not
    /// waited for: the packet is dropped and counted.
    pub fn deliver(&mut self, class: PuntClass, packet: Packet) {
        let meta = *packet.meta();
        let counters = self.counters.class(class);
        let sent = match self.ports.get_mut(meta.rx_if.slot()) {
            Some(Some(tap)) => tap.send(packet.data(), meta.offload),
            Some(None) | None => Err(Refusal::Frame),
        };
        match sent {
            Ok(()) => {
                counters.delivered.add(1);
                if let Some(interface) = self.counters.interface(meta.rx_if) {
                    interface.to_kernel.add(1);
                    interface.to_kernel_bytes.add(packet.len() as u64);
                }
            }
            Err(refusal) => {
                counters.refused.add(1);
                self.counters.drops.add(DropReason::TapRefused, 1);
                if refusal == Refusal::Gone {
                    self.forget(meta.rx_if);
                }
            }
        }
        self.pool.put(packet);
    }

    /// Reads up to `budget` frames from the tap of an interface into the lanes of the workers that have
    /// their flows, so that these see what the gateway itself sends. What belongs to no flow has the
    /// lane of one worker, always the same for an interface. So frames that belong together stay in order. Call
    /// [`Self::finish_round`] after a round.
    pub fn collect(&mut self, index: IfIndex, budget: usize) -> Collected {
        self.steering.refresh();
        self.pool.top_up(TOP_UP);
        for _ in 0..budget {
            let Some(Some(tap)) = self.ports.get_mut(index.slot()) else { return Collected::Gone };
            match self.landing.receive(tap, &mut self.pool) {
                Landed::Packet(packet) => self.inject(index, packet),
                Landed::Dropped(reason) => self.counters.drops.add(reason, 1),
                Landed::Nothing => return Collected::Drained,
                // The next round makes buffers.
                Landed::NoBuffer => return Collected::More,
                Landed::Gone => {
                    self.forget(index);
                    return Collected::Gone;
                }
            }
        }
        Collected::More
    }

    /// Wakes the workers that were given something, and gives drivers the buffers back that are theirs.
    pub fn finish_round(&mut self) {
        self.pool.return_strangers();
        for state in self.lanes.iter_mut().filter(|state| state.pushed) {
            state.pushed = false;
            state.lane.ring();
        }
    }

    fn inject(&mut self, index: IfIndex, mut packet: Packet) {
        let (meta, frame) = packet.parts_mut();
        if frame.len() < ethernet::LEN || offload::validate(&meta.offload, frame).is_err() {
            return self.discard(packet, DropReason::TapBadFrame);
        }
        meta.tx_if = index;
        meta.verdict = Verdict::Transmit;
        let bytes = packet.len() as u64;
        let lane = self.lane_of_flow(&packet).or(index.slot().checked_rem(self.lanes.len()));
        let Some(state) = lane.and_then(|lane| self.lanes.get_mut(lane)) else {
            return self.discard(packet, DropReason::InjectQueueFull);
        };
        // Also when the lane is full: its worker has something to do.
        state.pushed = true;
        match state.lane.push(packet) {
            Ok(()) => {
                if let Some(interface) = self.counters.interface(index) {
                    interface.from_kernel.add(1);
                    interface.from_kernel_bytes.add(bytes);
                }
            }
            Err(packet) => self.discard(packet, DropReason::InjectQueueFull),
        }
    }

    /// The lane of the worker that has a packet's flow, if any has.
    fn lane_of_flow(&self, packet: &Packet) -> Option<usize> {
        let steer = self.steering.current().as_ref().filter(|_| self.lanes.len() > 1)?;
        let lane = usize::from(steer.worker(packet)?.0);
        (lane < self.lanes.len()).then_some(lane)
    }

    fn discard(&mut self, packet: Packet, reason: DropReason) {
        self.counters.drops.add(reason, 1);
        self.pool.put(packet);
    }

    fn forget(&mut self, index: IfIndex) {
        if let Some(port) = self.ports.get_mut(index.slot()) {
            *port = None;
            tracing::warn!(interface = index.0, "the tap was taken away");
        }
    }
}

#[cfg(test)]
mod tests;
