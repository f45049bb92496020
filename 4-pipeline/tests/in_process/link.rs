//! A wire that does to frames what wires do: it takes time, loses, repeats, reorders and damages them.

use std::time::Duration;

use portcullis_packet::Instant;

use crate::rng::Rng;

/// How bad a wire is; in thousandths of the frames, but for the latency.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quality {
    pub(crate) latency: Duration,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) late: u64,
    pub(crate) damaged: u64,
}

impl Quality {
    pub(crate) const PERFECT: Self =
        Self { latency: Duration::from_micros(100), lost: 0, doubled: 0, late: 0, damaged: 0 };

    pub(crate) const BAD: Self =
        Self { latency: Duration::from_millis(2), lost: 30, doubled: 20, late: 50, damaged: 20 };
}

/// What a wire did.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Damage {
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) late: u64,
    pub(crate) damaged: u64,
}

/// One direction of a wire.
#[derive(Debug)]
pub(crate) struct Link {
    quality: Quality,
    rng: Rng,
    pub(crate) damage: Damage,
}

impl Link {
    pub(crate) fn new(quality: Quality, seed: u64) -> Self {
        Self { quality, rng: Rng::new(seed), damage: Damage::default() }
    }

    /// When, and as what, a frame sent at `now` arrives: not at all, once, or twice.
    pub(crate) fn carry(&mut self, now: Instant, mut frame: Vec<u8>) -> Vec<(Instant, Vec<u8>)> {
        let Quality { latency, lost, doubled, late, damaged } = self.quality;
        if self.rng.chance(lost) {
            self.damage.lost += 1;
            return vec![];
        }
        let mut at = now + latency;
        if self.rng.chance(late) {
            self.damage.late += 1;
            // Behind whatever is sent within the next few latencies.
            let delay = self.rng.below(4 * latency.as_nanos() as u64);
            at = at + Duration::from_nanos(delay);
        }
        // One bit, which every Internet checksum notices. ARP has none: on a real wire the frame
        // check sequence protects it.
        let is_arp = frame.get(12..14) == Some(&[0x08, 0x06]);
        if !is_arp && self.rng.chance(damaged) {
            self.damage.damaged += 1;
            let bit = self.rng.below(frame.len() as u64 * 8);
            frame[(bit / 8) as usize] ^= 1 << (bit % 8);
        }
        let mut arrivals = vec![(at, frame)];
        if self.rng.chance(doubled) {
            self.damage.doubled += 1;
            let (at, frame) = arrivals[0].clone();
            arrivals.push((at + Duration::from_nanos(1), frame));
        }
        arrivals
    }
}
