//! Coarse time.

use std::time::Duration;

use portcullis_packet::Instant;

/// A tick is 2^27 ns, 134 ms: fine enough for timeouts of seconds, and 2^32 of them are 18 years.
const SHIFT: u32 = 27;

/// Time in ticks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Tick(pub u32);

impl Tick {
    /// The tick that a moment is in.
    #[inline(always)]
    #[must_use]
    pub const fn of(now: Instant) -> Self {
        Self((now.0 >> SHIFT) as u32)
    }

    /// How many ticks a time is: rounded up, and one more, as it may begin when its first tick is all but over. It
    /// is never cut short.
    #[must_use]
    pub const fn ticks_of(time: Duration) -> u32 {
        let ticks = time.as_nanos().div_ceil(1 << SHIFT) + 1;
        if ticks > (u32::MAX / 2) as u128 { u32::MAX / 2 } else { ticks as u32 }
    }

    /// So many ticks later.
    #[inline]
    #[must_use]
    pub const fn after(self, ticks: u32) -> Self {
        Self(self.0.saturating_add(ticks))
    }

    /// Ticks since an earlier moment; none since a later one.
    #[inline]
    #[must_use]
    pub const fn since(self, earlier: Self) -> u32 {
        self.0.saturating_sub(earlier.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_never_cut_short() {
        assert_eq!(Tick::ticks_of(Duration::ZERO), 1);
        for seconds in [1, 60, 300, 7440] {
            let time = Duration::from_secs(seconds);
            let ticks = Tick::ticks_of(time);
            for begin in [Instant(0), Instant(1 << (SHIFT - 1)), Instant((1 << SHIFT) - 1)] {
                let end = Tick::of(begin).after(ticks);
                assert!(Tick::of(begin + (time - Duration::from_nanos(1))) < end);
                assert!(Tick::of(begin + (time + Duration::from_millis(2 * 135))) >= end);
            }
        }
        assert_eq!(Tick::ticks_of(Duration::MAX), u32::MAX / 2);
    }
}
