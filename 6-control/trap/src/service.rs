//! The rounds of the trap thread: who is served when, and how it sleeps.
//!
//! One round: a turn of punted packets, then, for each tap that has something, some of its frames and
//! another turn of punted packets. So whatever waits is served within a bounded number of system
//! calls, however busy the rest is. The thread sleeps in epoll when there is nothing at all.

use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::task::{Context, Poll};

use portcullis_dataplane::{CLASS_CAPACITY, Sender, SteeredBy, Stop, TrapReceiver};
use portcullis_packet::{DropReason, IfIndex, Packet, PuntClass};
use portcullis_tables::Subscriber;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::yield_now;

use crate::counters::TrapCounters;
use crate::exchange::{Collected, Exchange, Lane};
use crate::tap::KernelTap;

/// Punted packets delivered in one go: one turn of all classes.
const TURN: usize = {
    let (mut turn, mut slot) = (0, 0);
    while slot < PuntClass::ALL.len() {
        turn += portcullis_dataplane::weight(PuntClass::ALL[slot]) as usize;
        slot += 1;
    }
    turn
};

/// Frames read from one tap before it is another's turn. 64 KiB each at most, they take some
/// hundred microseconds.
const TAP_BUDGET: usize = 16;

impl Lane for Sender<Packet> {
    fn push(&mut self, packet: Packet) -> Result<(), Packet> {
        Self::push(self, packet)
    }

    fn ring(&mut self) {
        Self::ring(self);
    }
}

/// A tap's descriptor, as the runtime sees it.
#[derive(Debug)]
struct Watched {
    interface: IfIndex,
    readable: AsyncFd<Arc<OwnedFd>>,
}

/// Everything that the trap thread works with once its taps are open.
#[derive(Debug)]
pub(crate) struct Service {
    exchange: Exchange<KernelTap<Arc<OwnedFd>>, Sender<Packet>>,
    punts: TrapReceiver,
    rung: AsyncFd<Arc<OwnedFd>>,
    watched: Vec<Watched>,
    /// Whose turn it is to be first.
    first: usize,
    counters: Arc<TrapCounters>,
    stop: Stop,
}

#[expect(deprecated, reason = "what replaces it is unsafe: a type may lie about its descriptor")]
fn watch(fd: &Arc<OwnedFd>) -> io::Result<AsyncFd<Arc<OwnedFd>>> {
    AsyncFd::with_interest(Arc::clone(fd), Interest::READABLE)
}

impl Service {
    /// To be called in the context of the runtime that [`Self::serve`] will run on.
    pub(crate) fn new(
        taps: Vec<(IfIndex, OwnedFd)>,
        punts: TrapReceiver,
        lanes: Vec<Sender<Packet>>,
        steering: Subscriber<SteeredBy>,
        counters: Arc<TrapCounters>,
        stop: Stop,
    ) -> io::Result<Self> {
        let taps: Vec<_> = taps.into_iter().map(|(index, fd)| (index, Arc::new(fd))).collect();
        let mut watched = Vec::with_capacity(taps.len());
        for (interface, fd) in &taps {
            watched.push(Watched { interface: *interface, readable: watch(fd)? });
        }
        let rung = watch(&Arc::new(punts.doorbell().as_fd().try_clone_to_owned()?))?;
        let ports = taps.into_iter().map(|(index, fd)| (index, KernelTap::new(fd)));
        let exchange = Exchange::new(ports, lanes, steering, Arc::clone(&counters));
        Ok(Self { exchange, punts, rung, watched, first: 0, counters, stop })
    }

    /// Serves until it is asked to stop.
    pub(crate) async fn serve(&mut self) {
        while !self.stop.is_set() {
            if self.round() {
                // Lets the runtime see which taps have become readable.
                yield_now().await;
            } else {
                self.sleep().await;
            }
        }
        self.drop_the_rest();
    }

    /// One round; true if there is more to do.
    fn round(&mut self) -> bool {
        let mut more = self.deliver_turn();
        for step in 0..self.watched.len() {
            let at = (self.first + step) % self.watched.len();
            if let Some(collected) = self.collect(at) {
                more |= collected == Collected::More;
                more |= self.deliver_turn();
            }
        }
        self.first = self.first.wrapping_add(1);
        self.exchange.finish_round();
        let exchange = &self.exchange;
        self.watched.retain(|tap| exchange.port(tap.interface).is_some());
        more
    }

    /// Delivers a turn of punted packets; true if more wait.
    fn deliver_turn(&mut self) -> bool {
        for _ in 0..TURN {
            let Some((class, packet)) = self.punts.take() else { return false };
            self.exchange.deliver(class, packet);
        }
        !self.punts.is_empty()
    }

    /// Reads some frames from a tap, if the runtime saw that there are any.
    fn collect(&mut self, at: usize) -> Option<Collected> {
        let Watched { interface, readable } = self.watched.get(at)?;
        let exchange = &mut self.exchange;
        // To say "would block" makes the runtime wait for the next frame.
        let collected = readable.try_io(Interest::READABLE, |_fd| {
            match exchange.collect(*interface, TAP_BUDGET) {
                Collected::Drained => Err(io::ErrorKind::WouldBlock.into()),
                more_or_gone @ (Collected::More | Collected::Gone) => Ok(more_or_gone),
            }
        });
        collected.ok()
    }

    /// Sleeps until a packet was punted, a tap has a frame, or it is time to stop.
    async fn sleep(&mut self) {
        self.punts.doorbell().arm();
        if self.punts.is_empty() && !self.stop.is_set() {
            poll_fn(|context| self.poll_woken(context)).await;
        }
        self.punts.doorbell().disarm();
    }

    fn poll_woken(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut woken = false;
        if let Poll::Ready(rung) = self.rung.poll_read_ready(context) {
            woken = true;
            if let Ok(mut rung) = rung {
                rung.clear_ready();
            }
        }
        for tap in &self.watched {
            // Stays ready until the tap was read empty.
            woken |= tap.readable.poll_read_ready(context).is_ready();
        }
        if woken { Poll::Ready(()) } else { Poll::Pending }
    }

    /// What is still queued at the end is counted, like every packet that is dropped.
    fn drop_the_rest(&mut self) {
        let most = PuntClass::ALL.len() * CLASS_CAPACITY;
        let left = (0..most).map_while(|_| self.punts.take()).count();
        self.counters.drops.add(DropReason::Stopping, left as u64);
    }
}
