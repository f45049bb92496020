//! Waking a thread that sleeps, at no cost to those that find it awake.
//!
//! A consumer sleeps on an eventfd, but an eventfd costs the producer a system call. So the
//! consumer says when it is about to sleep, and producers ring only then.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, eventfd};

use crate::sleeper::Sleeper;

#[derive(Debug)]
struct Shared {
    event: OwnedFd,
    sleeper: Sleeper,
}

/// The consumer's side. One per consumer, however many queues it has.
#[derive(Debug)]
pub struct Doorbell(Arc<Shared>);

/// The producers' side.
#[derive(Clone, Debug)]
pub struct Bell(Arc<Shared>);

impl Doorbell {
    /// A doorbell of its own.
    ///
    /// # Errors
    /// If the process has no file descriptor left.
    pub fn new() -> io::Result<Self> {
        let event = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Self(Arc::new(Shared { event, sleeper: Sleeper::new() })))
    }

    /// Another handle for producers.
    #[must_use]
    pub fn bell(&self) -> Bell {
        Bell(Arc::clone(&self.0))
    }

    /// The same doorbell, for another part of the same consumer.
    pub(crate) fn same(&self) -> Self {
        Self(Arc::clone(&self.0))
    }

    /// Says that the consumer is about to sleep. It must look at all its queues once more after
    /// this, and sleep on [`Self::as_fd`] only if they are empty.
    pub fn arm(&self) {
        self.0.sleeper.falls_asleep();
    }

    /// Says that the consumer is awake, and silences the bell if it rang.
    pub fn disarm(&self) {
        self.0.sleeper.wakes();
        // Always, not only if somebody took the flag: a producer may take it and ring after this,
        // and that ring must not stay to end every sleep to come.
        let mut count = [0; 8];
        let _ = rustix::io::read(&self.0.event, &mut count);
    }
}

impl AsFd for Doorbell {
    /// Readable when somebody rang.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.event.as_fd()
    }
}

impl Bell {
    /// Wakes the consumer if it sleeps. To be called after the queue was added to; once for
    /// many items will do.
    #[inline]
    pub fn ring(&self) {
        if self.0.sleeper.is_to_be_woken() {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        // It can only fail with a counter at its limit, and then the consumer is woken anyway.
        let _ = rustix::io::write(&self.0.event, &1u64.to_ne_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::{Duration, Instant};

    fn rang(doorbell: &Doorbell, within: Duration) -> bool {
        let timeout = Timespec::try_from(within).expect("short");
        let mut fds = [PollFd::new(doorbell, PollFlags::IN)];
        poll(&mut fds, Some(&timeout)).expect("poll") > 0
    }

    #[test]
    fn a_consumer_that_is_awake_is_not_rung() {
        let doorbell = Doorbell::new().expect("a doorbell");
        doorbell.bell().ring();
        assert!(!rang(&doorbell, Duration::ZERO));
    }

    #[test]
    fn a_consumer_that_sleeps_is_rung_once() {
        let doorbell = Doorbell::new().expect("a doorbell");
        doorbell.arm();
        let (one, other) = (doorbell.bell(), doorbell.bell());
        one.ring();
        other.ring();
        assert!(rang(&doorbell, Duration::ZERO));
        doorbell.disarm();
        assert!(!rang(&doorbell, Duration::ZERO), "silent after it woke");
        one.ring();
        assert!(!rang(&doorbell, Duration::ZERO), "awake: not rung");
    }

    #[test]
    fn a_ring_that_comes_late_ends_one_sleep_and_not_those_after_it() {
        let doorbell = Doorbell::new().expect("a doorbell");
        doorbell.arm();
        doorbell.disarm();
        rustix::io::write(&doorbell.0.event, &1u64.to_ne_bytes()).expect("the late ring");
        doorbell.arm();
        assert!(rang(&doorbell, Duration::ZERO));
        doorbell.disarm();
        doorbell.arm();
        assert!(!rang(&doorbell, Duration::ZERO));
    }

    #[test]
    fn no_wake_up_is_lost_between_two_threads() {
        const ITEMS: u64 = 20_000;
        let doorbell = Doorbell::new().expect("a doorbell");
        let bell = doorbell.bell();
        let queued = AtomicU64::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for item in 1..=ITEMS {
                    queued.store(item, Ordering::Relaxed);
                    bell.ring();
                    // Let the consumer fall asleep now and then.
                    if item % 16 == 0 {
                        std::thread::yield_now();
                    }
                }
            });
            let end = Instant::now() + Duration::from_secs(60);
            let mut seen = 0;
            while seen < ITEMS {
                doorbell.arm();
                if queued.load(Ordering::Relaxed) == seen {
                    let woken = rang(&doorbell, Duration::from_secs(30));
                    assert!(woken, "asleep with {} items queued", queued.load(Ordering::Relaxed));
                }
                doorbell.disarm();
                seen = queued.load(Ordering::Relaxed);
                assert!(Instant::now() < end);
            }
        });
    }
}
