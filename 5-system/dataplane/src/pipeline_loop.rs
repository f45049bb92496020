//! The pipeline thread: batches from the I/O thread through the [`Worker`] and back.
//!
//! Each turn it takes the newest snapshot, works on one batch in place and gives it back, passes on
//! frames that the taps sent, and does what is due by time. It blocks only when it has been idle
//! for a while, on its doorbell; meanwhile it holds no table up.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use portcullis_packet::{BATCH, Counter, DropReason, Instant, Packet, Verdict};
use portcullis_pipeline::{EVENTS, Event, Inquiry, Outbox, Worker, WorkerCounters};
use portcullis_routing::Snapshot;
use portcullis_tables::Subscriber;

use crate::exchange::PipelineEnd;
use crate::partner::Partner;
use crate::questions::Asker;
use crate::{Idle, IdlePolicy, Receiver, Sender, Step, TrapSender, clock, sleep};

/// The longest sleep; everything that must be noticed sooner rings.
const LONGEST_SLEEP: Duration = Duration::from_millis(50);

/// Frames from taps that may wait for a pipeline.
pub const INJECT_CAPACITY: usize = 512;

/// Inquiries of the control side that may wait for a pipeline.
pub const INQUIRIES: usize = 4;

/// Events that may wait to be logged, per pipeline.
pub const EVENT_CAPACITY: usize = 4 * EVENTS;

/// What a pipeline thread counts beside what its worker does. It writes, anybody reads.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct PipelineCounters {
    /// Questions for the manager that found no room, and are asked again.
    pub questions_lost: Counter,
    /// How often the thread slept.
    pub sleeps: Counter,
    /// Events that were not logged, because the log did not keep up.
    pub events_lost: Counter,
}

/// What a pipeline thread is connected to.
#[derive(Debug)]
pub struct PipelineLinks {
    /// Its I/O thread.
    pub end: PipelineEnd,
    /// Snapshots.
    pub snapshots: Subscriber<Snapshot>,
    /// Frames from the trap thread, [`INJECT_CAPACITY`] of them.
    pub injected: Receiver<Packet>,
    /// To the trap thread.
    pub punts: TrapSender,
    /// To the manager.
    pub questions: Asker,
    /// Inquiries of the control side, [`INQUIRIES`] of them.
    pub inquiries: Receiver<Inquiry>,
    /// The same, answered.
    pub answers: Sender<Inquiry>,
    /// To the log, [`EVENT_CAPACITY`] of them.
    pub events: Sender<Event>,
}

/// A pipeline thread's work.
#[derive(Debug)]
pub struct PipelineLoop {
    links: PipelineLinks,
    worker: Worker,
    worker_counters: Arc<WorkerCounters>,
    counters: Arc<PipelineCounters>,
    out: Outbox,
    idle: Idle,
    /// A snapshot came that the worker's timers have not seen.
    news: bool,
    deadline: Option<Instant>,
    /// The inquiry that is being answered, a piece each turn.
    inquiry: Option<Inquiry>,
}

impl PipelineLoop {
    /// A loop around `worker`, which counts in `worker_counters`.
    #[must_use]
    pub fn new(
        links: PipelineLinks,
        worker: Worker,
        worker_counters: Arc<WorkerCounters>,
        counters: Arc<PipelineCounters>,
        idle: IdlePolicy,
    ) -> Self {
        let out = Outbox { punts: Vec::with_capacity(BATCH), resolve: Vec::with_capacity(BATCH) };
        Self {
            links,
            worker,
            worker_counters,
            counters,
            out,
            idle: Idle::new(idle),
            news: false,
            // At once: the worker may have something that ends by time.
            deadline: Some(Instant(0)),
            inquiry: None,
        }
    }

    /// Works until the I/O thread is gone.
    pub fn run(mut self) {
        while !(self.links.end.work.is_abandoned() && self.links.end.work.is_empty()) {
            let now = clock::now();
            if self.turn(now) {
                self.idle.worked();
            } else {
                self.rest(now);
            }
        }
        self.give_up();
    }

    /// One batch, and what else waits. True if there was anything to do.
    fn turn(&mut self, now: Instant) -> bool {
        self.news |= self.links.snapshots.refresh();
        self.worker.refreshed(self.links.snapshots.epoch());
        while let Some(empty) = self.links.end.empties.take() {
            self.links.end.spares.push(empty);
        }
        let mut worked = false;
        if let Some(mut batch) = self.links.end.work.take() {
            self.worker.process(self.links.snapshots.current(), &mut batch, now, &mut self.out);
            self.hand_out(&mut batch);
            self.give_back(batch);
            worked = true;
        }
        worked |= self.inject(now);
        worked |= self.inquire(now);
        self.tick(now);
        self.report();
        worked
    }

    /// Answers a piece of an inquiry.
    fn inquire(&mut self, now: Instant) -> bool {
        if self.inquiry.is_none() {
            self.inquiry = self.links.inquiries.take();
        }
        let Some(inquiry) = &mut self.inquiry else { return false };
        if self.worker.answer(inquiry, now)
            && let Some(answered) = self.inquiry.take()
        {
            // The ring has room for all that go round.
            let _ = self.links.answers.send(answered);
            self.deadline = Some(now);
        }
        true
    }

    /// Passes on what is to be logged.
    fn report(&mut self) {
        let Some(state) = self.worker.state() else { return };
        for event in state.events().drain() {
            if self.links.events.send(event).is_err() {
                self.counters.events_lost.add(1);
            }
        }
    }

    /// Passes frames from the taps on.
    fn inject(&mut self, now: Instant) -> bool {
        if self.links.injected.is_empty() {
            return false;
        }
        let Some(mut batch) = self.links.end.spares.pop() else { return false };
        while batch.len() < BATCH
            && let Some(packet) = self.links.injected.take()
        {
            batch.push(packet);
        }
        self.worker.inject(self.links.snapshots.current(), &mut batch, now);
        self.send_extra(batch);
        true
    }

    /// Does what is due: by time, by a new snapshot, or because packets have begun to wait.
    fn tick(&mut self, now: Instant) {
        let due = match self.deadline {
            Some(deadline) => now >= deadline,
            None => self.worker.has_deadlines(),
        };
        if !due && !self.news {
            return;
        }
        let Some(mut batch) = self.links.end.spares.pop() else { return };
        self.news = false;
        let snapshot = self.links.snapshots.current();
        self.deadline = self.worker.tick(snapshot, now, &mut batch, &mut self.out);
        self.hand_out(&mut batch);
        self.send_extra(batch);
    }

    /// Empties the outbox. Packets that the trap queue has no room for go back by way of `batch`.
    fn hand_out(&mut self, batch: &mut Vec<Packet>) {
        if !self.out.punts.is_empty() {
            for packet in self.out.punts.drain(..) {
                let Verdict::Punt(class) = packet.meta().verdict else {
                    batch.push(packet);
                    continue;
                };
                if let Err(mut packet) = self.links.punts.push(class, packet) {
                    let reason = DropReason::PuntQueueFull;
                    self.worker_counters.drops.add(reason, 1);
                    packet.meta_mut().verdict = Verdict::Drop(reason);
                    batch.push(packet);
                }
            }
            self.links.punts.ring();
        }
        if !self.out.resolve.is_empty() {
            let lost = self.links.questions.ask(self.out.resolve.drain(..));
            self.counters.questions_lost.add(lost as u64);
        }
    }

    fn give_back(&mut self, batch: Vec<Packet>) {
        if self.links.end.done.is_abandoned() {
            self.count_stopped(&batch);
        }
        // The ring has room for all that go round.
        let _ = self.links.end.done.send(batch);
    }

    fn send_extra(&mut self, batch: Vec<Packet>) {
        if batch.is_empty() {
            self.links.end.spares.push(batch);
            return;
        }
        if self.links.end.extra.is_abandoned() {
            self.count_stopped(&batch);
        }
        // The ring has room for all that go round.
        let _ = self.links.end.extra.send(batch);
    }

    fn count_stopped(&self, batch: &[Packet]) {
        let leaving = batch.iter().filter(|p| p.meta().verdict == Verdict::Transmit).count();
        self.worker_counters.drops.add(DropReason::Stopping, leaving as u64);
    }

    fn rest(&mut self, now: Instant) {
        match self.idle.next(now) {
            Step::Spin => std::hint::spin_loop(),
            Step::GiveWay => std::thread::yield_now(),
            Step::Sleep => self.sleep(now),
        }
    }

    fn sleep(&mut self, now: Instant) {
        self.links.end.doorbell.arm();
        if let Some(longest) = self.falls_asleep(now) {
            sleep(std::iter::empty(), self.links.end.doorbell.as_fd(), longest);
            self.wakes();
        }
        self.links.end.doorbell.disarm();
    }

    /// Nobody sends anything any more: what is left here is dropped, and counted.
    pub(crate) fn give_up(&mut self) {
        let mut held = Vec::new();
        self.worker.stop(&mut held);
        while let Some(packet) = self.links.injected.take() {
            self.worker_counters.drops.add(DropReason::Stopping, 1);
            drop(packet);
        }
    }
}

impl Partner for PipelineLoop {
    /// All batches that the I/O loop has received.
    fn work(&mut self, now: Instant) -> bool {
        let mut worked = self.turn(now);
        while !self.links.end.work.is_empty() {
            worked |= self.turn(now);
        }
        worked
    }

    fn falls_asleep(&mut self, now: Instant) -> Option<Duration> {
        let end = &self.links.end;
        let is_quiet = end.work.is_empty()
            && end.empties.is_empty()
            && self.links.injected.is_empty()
            && self.links.inquiries.is_empty();
        // Who publishes a snapshot rings afterwards; what was published before it could is seen here.
        self.news |= self.links.snapshots.refresh();
        if self.inquiry.is_some() || !is_quiet || self.news {
            return None;
        }
        self.counters.sleeps.add(1);
        let due = self.deadline.map_or(LONGEST_SLEEP, |deadline| deadline.since(now));
        self.links.snapshots.park();
        Some(due.min(LONGEST_SLEEP))
    }

    fn wakes(&mut self) {
        self.news |= self.links.snapshots.unpark();
    }
}
