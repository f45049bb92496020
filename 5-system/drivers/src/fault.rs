//! A port that loses, repeats, reorders and corrupts frames on purpose, for tests. The same seed
//! and the same frames make the same faults.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use portcullis_packet::{BATCH, IfIndex, Packet, Pool, TxOffload};

use crate::{Port, PortStatus};

/// What goes wrong, in per mille of the frames that are sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Faults {
    /// Frames that never arrive.
    pub loss: u16,
    /// Frames that arrive twice.
    pub duplication: u16,
    /// Frames that arrive after those sent next.
    pub reordering: u16,
    /// Frames of which one bit arrives changed.
    pub corruption: u16,
}

/// A port with [`Faults`] on what it sends.
#[derive(Debug)]
pub struct FaultInjector<P> {
    port: P,
    faults: Faults,
    random: Xorshift,
    /// Goes out behind the next batch.
    late: Option<Packet>,
    outgoing: Vec<Packet>,
}

impl<P: Port> FaultInjector<P> {
    /// Puts `faults` before `port`.
    #[must_use]
    pub fn new(port: P, faults: Faults, seed: u64) -> Self {
        let outgoing = Vec::with_capacity(2 * BATCH);
        Self { port, faults, random: Xorshift::new(seed), late: None, outgoing }
    }
}

impl<P: Port> Port for FaultInjector<P> {
    fn interface(&self) -> IfIndex {
        self.port.interface()
    }

    fn receive(&mut self, pool: &mut Pool, into: &mut Vec<Packet>, max: usize) -> usize {
        self.port.receive(pool, into, max)
    }

    fn transmit(&mut self, batch: &mut Vec<Packet>, pool: &mut Pool) -> usize {
        let overdue = self.late.take();
        for mut packet in batch.drain(..) {
            if self.random.happens(self.faults.loss) {
                pool.put(packet);
                continue;
            }
            if self.random.happens(self.faults.corruption) {
                let bit = self.random.below(packet.len() * 8);
                if let Some(byte) = packet.data_mut().get_mut(bit / 8) {
                    *byte ^= 1 << (bit % 8);
                }
            }
            if self.random.happens(self.faults.duplication) {
                self.outgoing.extend(copy(&packet, pool));
            }
            if self.late.is_none() && self.random.happens(self.faults.reordering) {
                self.late = Some(packet);
            } else {
                self.outgoing.push(packet);
            }
        }
        self.outgoing.extend(overdue);
        self.port.transmit(&mut self.outgoing, pool)
    }

    fn wait_fd(&self) -> Option<BorrowedFd<'_>> {
        self.port.wait_fd()
    }

    fn maintain(&mut self) {
        self.port.maintain();
    }

    fn status(&self) -> &Arc<PortStatus> {
        self.port.status()
    }

    fn offload(&self) -> TxOffload {
        self.port.offload()
    }
}

fn copy(packet: &Packet, pool: &mut Pool) -> Option<Packet> {
    let mut other = pool.take(packet.len())?;
    if !other.set_len(packet.len()) {
        return None;
    }
    other.data_mut().copy_from_slice(packet.data());
    *other.meta_mut() = *packet.meta();
    Some(other)
}

/// Marsaglia's xorshift64.
#[derive(Debug)]
struct Xorshift(u64);

impl Xorshift {
    fn new(seed: u64) -> Self {
        // Zero would stay zero; and neighbouring seeds should begin far apart.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 11) as usize % limit.max(1)
    }

    fn happens(&mut self, per_mille: u16) -> bool {
        self.below(1000) < usize::from(per_mille)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::pair;
    use portcullis_packet::PoolLimits;

    const FRAMES: u32 = 10_000;

    /// The numbers of the frames that arrive of `FRAMES`, and how many were corrupted.
    fn send(faults: Faults, seed: u64) -> (Vec<u32>, usize) {
        let (near, mut far) = pair(IfIndex(0), IfIndex(1), 2 * BATCH + 1);
        let mut port = FaultInjector::new(near, faults, seed);
        let mut pool = Pool::new(PoolLimits { small: 256, large: 0 });
        let (mut batch, mut arrived) = (Vec::new(), Vec::new());
        let mut corrupted = 0;
        for n in 0..FRAMES {
            batch.push(Packet::from_bytes(&[n.to_be_bytes(), n.to_be_bytes()].concat()));
            port.transmit(&mut batch, &mut pool);
            let mut into = Vec::new();
            far.receive(&mut pool, &mut into, BATCH);
            for packet in into {
                let (first, second) = packet.data().split_at(4);
                corrupted += usize::from(first != second);
                arrived.push(u32::from_be_bytes(first.try_into().expect("four")));
                pool.put(packet);
            }
        }
        (arrived, corrupted)
    }

    #[test]
    fn without_faults_all_frames_arrive_in_their_order() {
        assert_eq!(send(Faults::default(), 1), ((0..FRAMES).collect(), 0));
    }

    #[test]
    fn each_fault_happens_about_as_often_as_asked() {
        let about = |count: usize| (800..1200).contains(&count);
        let per_cent = 100;
        let (arrived, _) = send(Faults { loss: per_cent, ..Faults::default() }, 1);
        assert!(about(FRAMES as usize - arrived.len()), "{} lost", FRAMES as usize - arrived.len());
        let (arrived, _) = send(Faults { duplication: per_cent, ..Faults::default() }, 2);
        assert!(about(arrived.len() - FRAMES as usize), "{}", arrived.len());
        let (_, corrupted) = send(Faults { corruption: per_cent, ..Faults::default() }, 3);
        assert!(about(corrupted), "{corrupted} corrupted");
        let (arrived, _) = send(Faults { reordering: per_cent, ..Faults::default() }, 4);
        let swapped = arrived.windows(2).filter(|pair| pair[1] < pair[0]).count();
        assert!(about(swapped), "{swapped} reordered");
    }

    #[test]
    fn the_same_seed_makes_the_same_faults_and_another_seed_others() {
        let faults = Faults { loss: 50, duplication: 50, reordering: 50, corruption: 50 };
        assert_eq!(send(faults, 7), send(faults, 7));
        assert_ne!(send(faults, 7), send(faults, 8));
    }
}
