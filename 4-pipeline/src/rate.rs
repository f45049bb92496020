//! Token buckets, in virtual time.

use std::time::Duration;

use portcullis_packet::Instant;

/// How often something may happen: so many times a second in the long run, so many at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// Per second.
    pub per_second: u32,
    /// At once, after a pause.
    pub burst: u32,
}

/// A bucket of tokens that fills with time. It counts in nanoseconds of credit, so that no rate is
/// rounded away.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenBucket {
    credit: u64,
    filled_at: Instant,
}

impl TokenBucket {
    /// A bucket that is full at its first use.
    #[must_use]
    pub(crate) const fn full() -> Self {
        Self { credit: u64::MAX, filled_at: Instant(0) }
    }

    /// Takes a token, if one is there.
    pub(crate) fn take(&mut self, rate: Rate, now: Instant) -> bool {
        let price = 1_000_000_000 / u64::from(rate.per_second.max(1));
        let most = price.saturating_mul(u64::from(rate.burst));
        let gained = now.since(self.filled_at).as_nanos().min(u128::from(u64::MAX)) as u64;
        self.credit = self.credit.saturating_add(gained).min(most);
        self.filled_at = self.filled_at.max(now);
        let allowed = self.credit >= price;
        if allowed {
            self.credit -= price;
        }
        allowed
    }
}

/// The limits on ICMP and ICMPv6 errors (RFC 1812, 4.3.2.8; RFC 4443, 2.4 f): one bucket for all,
/// and one for each receiver, so that one of them cannot use up everybody's share. Receivers share
/// the buckets of a fixed array by the hash of their address.
#[derive(Debug)]
pub struct IcmpLimiter {
    all: TokenBucket,
    receivers: Box<[TokenBucket; Self::RECEIVERS]>,
}

impl IcmpLimiter {
    const RECEIVERS: usize = 1024;

    /// All errors together, per worker.
    pub const ALL: Rate = Rate { per_second: 10_000, burst: 500 };

    /// Errors to one receiver. Messages that carry an MTU are under [`Self::ALL`] alone: path MTU
    /// discovery (RFC 1191, 8201) depends on each of them.
    pub const RECEIVER: Rate = Rate { per_second: 10, burst: 20 };

    /// Nothing sent yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            all: TokenBucket::full(),
            receivers: Box::new([TokenBucket::full(); Self::RECEIVERS]),
        }
    }

    /// Whether an error may be sent to the receiver with this hash now.
    pub fn allow(&mut self, receiver: u32, carries_mtu: bool, now: Instant) -> bool {
        let slot = receiver as usize % Self::RECEIVERS;
        let fair = carries_mtu
            || self.receivers.get_mut(slot).is_some_and(|b| b.take(Self::RECEIVER, now));
        fair && self.all.take(Self::ALL, now)
    }
}

impl Default for IcmpLimiter {
    fn default() -> Self {
        Self::new()
    }
}

/// After this time an unanswered resolution is given up, as the kernel gives up: three probes, a
/// second apart (RFC 4861, 10: `MAX_MULTICAST_SOLICIT`, `RETRANS_TIMER`).
pub const RESOLUTION_TIMEOUT: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 10, burst: 3 };

    fn at(millis: u64) -> Instant {
        Instant(1_000_000_000_000) + Duration::from_millis(millis)
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let mut bucket = TokenBucket::full();
        let taken = |bucket: &mut TokenBucket, millis| bucket.take(RATE, at(millis));
        assert!((0..3).all(|_| taken(&mut bucket, 0)));
        assert!(!taken(&mut bucket, 0));
        assert!(!taken(&mut bucket, 99));
        assert!(taken(&mut bucket, 100));
        assert!(!taken(&mut bucket, 150));
        let in_ten_seconds = (200..10_200).filter(|&ms| taken(&mut bucket, ms)).count();
        assert_eq!(in_ten_seconds, 100);
    }

    #[test]
    fn a_clock_that_stands_still_or_jumps_back_gives_nothing() {
        let mut bucket = TokenBucket::full();
        while bucket.take(RATE, at(500)) {}
        assert!(!bucket.take(RATE, at(0)));
        assert!(!bucket.take(RATE, at(500)));
        assert!(bucket.take(RATE, at(600)));
    }

    #[test]
    fn one_receiver_does_not_use_up_anothers_errors() {
        let mut limiter = IcmpLimiter::new();
        let flood = (0..1000).filter(|_| limiter.allow(7, false, at(0))).count();
        assert_eq!(flood, IcmpLimiter::RECEIVER.burst as usize);
        assert!(limiter.allow(8, false, at(0)));
    }

    #[test]
    fn an_mtu_is_told_each_time_until_all_tokens_are_gone() {
        let mut limiter = IcmpLimiter::new();
        let told = (0..10_000).filter(|_| limiter.allow(7, true, at(0))).count();
        assert_eq!(told, IcmpLimiter::ALL.burst as usize);
    }
}
