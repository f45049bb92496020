//! Ports without a device, for tests: what one end of a [`pair`] sends, the other receives.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_packet::{DropReason, IfIndex, Packet, Pool, TxOffload};

use crate::{Port, PortState, PortStatus};

/// Frames on their way in one direction.
#[derive(Debug)]
struct Lane {
    frames: Mutex<VecDeque<Packet>>,
    capacity: usize,
}

impl Lane {
    fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self { frames: Mutex::new(VecDeque::with_capacity(capacity)), capacity })
    }

    fn frames(&self) -> MutexGuard<'_, VecDeque<Packet>> {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One end of a wire in memory. The buffers themselves go across, with their offload.
#[derive(Debug)]
pub struct MemoryPort {
    interface: IfIndex,
    arriving: Arc<Lane>,
    leaving: Arc<Lane>,
    status: Arc<PortStatus>,
}

/// Two ports with a wire between them that holds `capacity` frames each way.
#[must_use]
pub fn pair(left: IfIndex, right: IfIndex, capacity: usize) -> (MemoryPort, MemoryPort) {
    let (to_left, to_right) = (Lane::new(capacity), Lane::new(capacity));
    let port = |interface, arriving, leaving| {
        let status = Arc::new(PortStatus::new());
        status.set_state(PortState::Up);
        MemoryPort { interface, arriving, leaving, status }
    };
    (port(left, Arc::clone(&to_left), Arc::clone(&to_right)), port(right, to_right, to_left))
}

impl Port for MemoryPort {
    fn interface(&self) -> IfIndex {
        self.interface
    }

    fn receive(&mut self, _pool: &mut Pool, into: &mut Vec<Packet>, max: usize) -> usize {
        let mut frames = self.arriving.frames();
        let count = frames.len().min(max);
        for mut packet in frames.drain(..count) {
            let offload = packet.meta().offload;
            *packet.meta_mut() = portcullis_packet::Meta::NEW;
            packet.meta_mut().offload = offload;
            packet.meta_mut().rx_if = self.interface;
            self.status.counters.rx_bytes.add(packet.len() as u64);
            into.push(packet);
        }
        self.status.counters.rx_packets.add(count as u64);
        count
    }

    fn transmit(&mut self, batch: &mut Vec<Packet>, pool: &mut Pool) -> usize {
        let counters = &self.status.counters;
        let mut frames = self.leaving.frames();
        let up = self.status.state() == PortState::Up;
        let mut sent = 0;
        for packet in batch.drain(..) {
            if up && frames.len() < self.leaving.capacity {
                counters.tx_bytes.add(packet.len() as u64);
                frames.push_back(packet);
                sent += 1;
            } else {
                let reason = if up { DropReason::TxFull } else { DropReason::EgressDown };
                counters.drops.add(reason, 1);
                pool.put(packet);
            }
        }
        counters.tx_packets.add(sent as u64);
        sent
    }

    fn wait_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn maintain(&mut self) {}

    fn status(&self) -> &Arc<PortStatus> {
        &self.status
    }

    fn offload(&self) -> TxOffload {
        TxOffload::ALL
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_packet::PoolLimits;

    #[test]
    fn frames_cross_in_their_order_until_the_wire_is_full() {
        let (mut left, mut right) = pair(IfIndex(0), IfIndex(1), 2);
        let mut pool = Pool::new(PoolLimits { small: 0, large: 0 });
        let mut batch: Vec<_> =
            [b"a", b"b", b"c"].into_iter().map(|byte| Packet::from_bytes(byte)).collect();
        assert_eq!(left.transmit(&mut batch, &mut pool), 2);
        assert_eq!(left.status().counters.drops.get(DropReason::TxFull), 1);
        let mut into = Vec::new();
        assert_eq!(right.receive(&mut pool, &mut into, 10), 2);
        let seen: Vec<_> = into.iter().map(|p| (p.data(), p.meta().rx_if)).collect();
        assert_eq!(seen, [(&b"a"[..], IfIndex(1)), (b"b", IfIndex(1))]);
        assert_eq!(left.receive(&mut pool, &mut into, 10), 0);
    }
}
