//! What an I/O loop does with packets whose flows other workers have.

use std::cell::Cell;

use portcullis_packet::{BATCH, DropReason, Packet, Verdict};

use super::{IoLoop, hand_on};

impl IoLoop {
    /// Takes those packets of `batch`, from `first` on, out that other workers have the flows of, and
    /// hands them over.
    #[inline]
    pub(super) fn hand_over(&mut self, batch: &mut Vec<Packet>, first: usize) {
        if self.mesh.peers() == 0 {
            return;
        }
        let Some(steer) = self.steering.current() else { return };
        let (own, workers) = (self.mesh.own(), self.mesh.workers());
        let target = Cell::new(own);
        let leaves = |packet: &mut Packet| {
            let worker = steer.worker(packet).unwrap_or(own);
            target.set(worker);
            worker != own && usize::from(worker.0) < workers
        };
        let (mut given, mut lost) = (0, 0);
        for packet in batch.extract_if(first.., leaves) {
            match self.mesh.give(target.get(), packet) {
                Ok(()) => given += 1,
                Err(packet) => {
                    lost += 1;
                    self.pool.put(packet);
                }
            }
        }
        self.counters.handed_over.add(given);
        self.counters.drops.add(DropReason::HandoverFull, lost);
    }

    /// Sends a packet through a pipeline once more: that of the worker that has its flow by now.
    pub(super) fn once_more(&mut self, mut packet: Packet) {
        packet.meta_mut().verdict = Verdict::Pending;
        let steer = self.steering.current().as_ref().filter(|_| self.mesh.peers() > 0);
        let worker = steer.and_then(|steer| steer.worker(&packet));
        let refused = match worker.filter(|&worker| self.mesh.is_peer(worker)) {
            Some(worker) => {
                let refused = self.mesh.give(worker, packet).err();
                self.counters.handed_over.add(refused.is_none().into());
                refused
            }
            None => self.keep(packet).err(),
        };
        if let Some(packet) = refused {
            let reason = if self.closing { DropReason::Stopping } else { DropReason::HandoverFull };
            self.counters.drops.add(reason, 1);
            self.pool.put(packet);
        }
    }

    /// Keeps a packet for the next batch, or gives it back if there is no room.
    fn keep(&mut self, packet: Packet) -> Result<(), Packet> {
        if self.again.len() >= BATCH {
            let Some(spare) = self.end.spares.pop() else { return Err(packet) };
            let full = std::mem::replace(&mut self.again, spare);
            hand_on(&mut self.end, &self.counters, full);
        }
        self.again.push(packet);
        Ok(())
    }
}
