//! What a polling thread does while there is nothing to do.
//!
//! A packet that comes soon after another is best awaited by polling: waking a thread takes some 10
//! to 50 us. But a gateway without traffic must leave the CPU alone, and on CPUs that others use as
//! well, polling takes from them. So an idle thread polls for a little, may then poll and let others
//! run in between, and then sleeps until something wakes it.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use portcullis_packet::Instant;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How long an idle thread does what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IdlePolicy {
    /// Polls with all it has, for this long after the last work.
    pub spin: Duration,
    /// Polls and gives way in between, until this long after the last work. Then it sleeps.
    pub give_way: Duration,
}

impl IdlePolicy {
    /// For a thread that has its CPU without the one it waits for. About what falling asleep costs:
    /// longer spinning took more CPU time per byte of TCP, and made it no faster.
    pub const DEDICATED: Self =
        Self { spin: Duration::from_micros(5), give_way: Duration::from_micros(5) };

    /// For a thread that has its CPU, and ports that nothing wakes it for, and for the one that works for it: a sleep is as
    /// long as a packet may have to wait, and to be woken costs both of them more than a few empty turns; so they take longer to
    /// fall asleep.
    pub const POLLING: Self =
        Self { spin: Duration::from_millis(1), give_way: Duration::from_millis(1) };

    /// For a thread that shares its CPU with the one it waits for: to spin would be to wait for
    /// itself.
    pub const SHARED: Self = Self { spin: Duration::ZERO, give_way: Duration::from_micros(5) };
}

/// What to do now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Look again.
    Spin,
    /// Let others run, and look again.
    GiveWay,
    /// Sleep until woken.
    Sleep,
}

/// How long a thread has been idle.
#[derive(Debug)]
pub struct Idle {
    policy: IdlePolicy,
    since: Option<Instant>,
}

impl Idle {
    /// Of a thread that just began.
    #[must_use]
    pub const fn new(policy: IdlePolicy) -> Self {
        Self { policy, since: None }
    }

    /// There was work.
    #[inline]
    pub const fn worked(&mut self) {
        self.since = None;
    }

    /// There was none: what to do?
    #[inline]
    pub fn next(&mut self, now: Instant) -> Step {
        let idle = now.since(*self.since.get_or_insert(now));
        if idle < self.policy.spin {
            Step::Spin
        } else if idle < self.policy.give_way {
            Step::GiveWay
        } else {
            Step::Sleep
        }
    }
}

/// The most file descriptors that one thread sleeps on.
pub const MAX_FDS: usize = 65;

/// Sleeps until one of `fds` becomes readable or fails, or until `timeout` has passed. What is
/// beyond [`MAX_FDS`] wakes nobody. Returns whether one of the first `watched` was the reason.
pub fn sleep<'a>(
    fds: impl Iterator<Item = BorrowedFd<'a>>,
    doorbell: BorrowedFd<'a>,
    timeout: Duration,
) -> bool {
    let mut polled: [PollFd<'_>; MAX_FDS] =
        std::array::from_fn(|_| PollFd::from_borrowed_fd(doorbell, PollFlags::IN));
    let mut count = 1;
    for (slot, fd) in polled.iter_mut().skip(1).zip(fds) {
        *slot = PollFd::from_borrowed_fd(fd, PollFlags::IN);
        count += 1;
    }
    let Some(polled) = polled.get_mut(..count) else { return false };
    let timeout = Timespec::try_from(timeout).ok();
    // An error (EINTR) is an early awakening, which the caller can bear.
    let _ = poll(polled, timeout.as_ref());
    polled.iter().skip(1).any(|fd| !fd.revents().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: IdlePolicy =
        IdlePolicy { spin: Duration::from_micros(10), give_way: Duration::from_micros(30) };

    #[test]
    fn an_idle_thread_spins_then_gives_way_then_sleeps() {
        let mut idle = Idle::new(POLICY);
        let at = |micros: u64| Instant(1_000_000 + micros * 1000);
        assert_eq!(idle.next(at(0)), Step::Spin);
        assert_eq!(idle.next(at(9)), Step::Spin);
        assert_eq!(idle.next(at(10)), Step::GiveWay);
        assert_eq!(idle.next(at(29)), Step::GiveWay);
        assert_eq!(idle.next(at(30)), Step::Sleep);
        assert_eq!(idle.next(at(500)), Step::Sleep);
        idle.worked();
        assert_eq!(idle.next(at(501)), Step::Spin);
    }

    #[test]
    fn a_thread_on_a_shared_cpu_never_spins() {
        let mut idle = Idle::new(IdlePolicy::SHARED);
        assert_eq!(idle.next(Instant(7)), Step::GiveWay);
    }
}
