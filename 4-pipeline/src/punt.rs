//! How much of each class the kernel in `vpc` is given.

use portcullis_packet::{DropReason, Instant, PuntClass};

use crate::rate::{Rate, TokenBucket};

/// The rate limits before the trap queue, of one worker: each class has its own, so that a flood in
/// one leaves the others what they need.
#[derive(Debug)]
pub struct PuntLimiter([TokenBucket; 4]);

impl PuntLimiter {
    /// Nothing punted yet.
    #[must_use]
    pub const fn new() -> Self {
        Self([TokenBucket::full(); 4])
    }

    /// What a class may have, per worker.
    #[must_use]
    pub const fn rate(class: PuntClass) -> Rate {
        match class {
            // A subnet's worth of hosts at once, after a restart of theirs or ours.
            PuntClass::Neighbor => Rate { per_second: 10_000, burst: 2_000 },
            // A full table from several peers: full-size segments at some Gbit/s.
            PuntClass::Routing => Rate { per_second: 100_000, burst: 10_000 },
            // A thousand sessions at 50 ms.
            PuntClass::Bfd => Rate { per_second: 50_000, burst: 5_000 },
            // Management: a shell, an update, pings.
            PuntClass::Other => Rate { per_second: 50_000, burst: 5_000 },
        }
    }

    /// Whether another packet of the class may go.
    ///
    /// # Errors
    /// The reason to drop it.
    pub fn allow(&mut self, class: PuntClass, now: Instant) -> Result<(), DropReason> {
        let rate = Self::rate(class);
        if self.0.get_mut(class.slot()).is_some_and(|bucket| bucket.take(rate, now)) {
            return Ok(());
        }
        Err(match class {
            PuntClass::Neighbor => DropReason::PuntRateNeighbor,
            PuntClass::Routing => DropReason::PuntRateRouting,
            PuntClass::Bfd => DropReason::PuntRateBfd,
            PuntClass::Other => DropReason::PuntRateOther,
        })
    }
}

impl Default for PuntLimiter {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_in_one_class_leaves_the_others_their_share() {
        let mut limiter = PuntLimiter::new();
        let now = Instant(1);
        let flood = (0..1_000_000).filter(|_| limiter.allow(PuntClass::Other, now).is_ok()).count();
        assert_eq!(flood, PuntLimiter::rate(PuntClass::Other).burst as usize);
        assert_eq!(limiter.allow(PuntClass::Other, now), Err(DropReason::PuntRateOther));
        for class in [PuntClass::Bfd, PuntClass::Neighbor, PuntClass::Routing] {
            assert_eq!(limiter.allow(class, now), Ok(()));
        }
    }
}
