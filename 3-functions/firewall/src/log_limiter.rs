//! How often rules may be logged: anyone on a wire can make a rule match at line rate.

use portcullis_packet::Instant;

use crate::spec::RuleId;

/// So many lines a second in the long run, and so many at once after a pause.
#[derive(Clone, Copy, Debug)]
struct Rate {
    per_second: u64,
    burst: u64,
}

impl Rate {
    /// All rules of a worker together.
    const ALL: Self = Self { per_second: 100, burst: 200 };

    /// One rule, so that it does not use up the others' share: it would take ten at their rates.
    const RULE: Self = Self { per_second: 10, burst: 20 };

    /// Nanoseconds of credit that a line costs.
    const fn price(self) -> u64 {
        1_000_000_000 / self.per_second
    }
}

/// Credit, in nanoseconds, as of a point in time.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    credit: u64,
    filled_at: Instant,
}

impl Bucket {
    /// Full at its first use.
    const FULL: Self = Self { credit: u64::MAX, filled_at: Instant(0) };

    fn take(&mut self, rate: Rate, now: Instant) -> bool {
        let gained = now.0.saturating_sub(self.filled_at.0);
        self.credit = self.credit.saturating_add(gained).min(rate.price() * rate.burst);
        self.filled_at = self.filled_at.max(now);
        let left = self.credit.checked_sub(rate.price());
        self.credit = left.unwrap_or(self.credit);
        left.is_some()
    }
}

/// Which decisions a worker logs: up to 100 a second of all rules together after a burst of 200, and up
/// to 10 of each rule after a burst of 20. It does not depend on the rule set and outlives it: rules whose places
/// in the list differ by a multiple of 1024 share their part. The defaults have parts of their own.
#[derive(Debug)]
pub struct LogLimiter {
    all: Bucket,
    rules: Box<[Bucket; Self::RULES]>,
    default: Bucket,
    gateway_default: Bucket,
    suppressed: u64,
}

impl LogLimiter {
    const RULES: usize = 1024;

    /// Nothing logged yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            all: Bucket::FULL,
            rules: Box::new([Bucket::FULL; Self::RULES]),
            default: Bucket::FULL,
            gateway_default: Bucket::FULL,
            suppressed: 0,
        }
    }

    /// Whether a decision of this rule may be logged now. If not, the caller counts it with
    /// [`crate::RuleCounters::suppress`].
    pub fn allow(&mut self, rule: RuleId, now: Instant) -> bool {
        let bucket = match rule {
            RuleId::DEFAULT => Some(&mut self.default),
            RuleId::GATEWAY_DEFAULT => Some(&mut self.gateway_default),
            RuleId(rule) => self.rules.get_mut(rule as usize % Self::RULES),
        };
        let fair = bucket.is_some_and(|bucket| bucket.take(Rate::RULE, now));
        let allowed = fair && self.all.take(Rate::ALL, now);
        self.suppressed += u64::from(!allowed);
        allowed
    }

    /// Decisions that were not logged so far, of all rules.
    #[must_use]
    pub const fn suppressed(&self) -> u64 {
        self.suppressed
    }
}

impl Default for LogLimiter {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(millis: u64) -> Instant {
        Instant(1_000_000_000_000) + Duration::from_millis(millis)
    }

    #[test]
    fn a_rule_logs_twenty_lines_at_once_and_ten_a_second_from_then_on() {
        let mut limiter = LogLimiter::new();
        let mut count =
            |from, to| (from..to).filter(|&ms| limiter.allow(RuleId(3), at(ms))).count();
        assert_eq!(count(0, 1), 1);
        assert_eq!(count(1, 20), 19);
        assert_eq!(count(20, 10_020), 100);
        assert_eq!(limiter.suppressed(), 9_900);
    }

    #[test]
    fn all_rules_together_log_two_hundred_lines_at_once_and_a_hundred_a_second_from_then_on() {
        let mut limiter = LogLimiter::new();
        let mut flood = |ms| (0..1000).filter(|&rule| limiter.allow(RuleId(rule), at(ms))).count();
        assert_eq!(flood(0), 200);
        assert_eq!(flood(0), 0);
        assert_eq!((1..=10).map(|second| flood(second * 1000)).sum::<usize>(), 1000);
    }

    #[test]
    fn a_rule_that_matches_all_the_time_leaves_the_others_their_share() {
        let mut limiter = LogLimiter::new();
        for ms in 0..60_000 {
            limiter.allow(RuleId::DEFAULT, at(ms));
        }
        for rule in [RuleId::GATEWAY_DEFAULT, RuleId(0), RuleId(1022), RuleId(1023)] {
            assert!((0..20).all(|_| limiter.allow(rule, at(60_000))), "{rule:?}");
            assert!(!limiter.allow(rule, at(60_000)), "{rule:?}");
        }
    }

    #[test]
    fn a_clock_that_stands_still_or_jumps_back_gives_nothing() {
        let mut limiter = LogLimiter::new();
        while limiter.allow(RuleId(0), at(500)) {}
        assert!(!limiter.allow(RuleId(0), at(0)));
        assert!(!limiter.allow(RuleId(0), at(599)));
        assert!(limiter.allow(RuleId(0), at(600)));
    }

    #[test]
    fn the_last_instant_is_not_too_late() {
        let mut limiter = LogLimiter::new();
        assert!(limiter.allow(RuleId(0), Instant(0)));
        assert!(limiter.allow(RuleId(0), Instant(u64::MAX)));
    }
}
