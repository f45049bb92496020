//! The I/O thread: frames from ports to the pipeline and back.
//!
//! Each turn it receives from every port what fits into a batch, hands batches to the pipeline,
//! takes finished ones, sends their frames out of their ports and puts all buffers back into
//! its pool. It blocks only when it has been idle for a while, on all its ports and its doorbell at
//! once.
//!
//! With several workers it also sorts what it receives: packets whose flows other workers have
//! go to these by the [mesh](crate::mesh), and what comes from there is received like from a port.

mod handover;

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use portcullis_drivers::{Port, PortState};
use portcullis_packet::{
    BATCH, Counter, DropCounters, DropReason, IfIndex, Instant, Packet, Pool, PoolLimits, Verdict,
};
use portcullis_tables::{Publisher, Subscriber};

use crate::exchange::IoEnd;
use crate::partner::{Elsewhere, Partner};
use crate::{
    Idle, IdlePolicy, MAX_FDS, MeshEnd, PipelineLoop, SteeredBy, Step, Stop, clock, sleep,
};

/// How often ports are looked after.
const MAINTENANCE: Duration = Duration::from_millis(100);

/// The longest sleep while a port can only be polled, or while packets for another worker wait for
/// room.
const POLL_ONLY_SLEEP: Duration = Duration::from_micros(250);

/// The sleep after a port was readable and gave nothing: it lacks buffers, which come back, or a
/// device.
const BARREN_SLEEP: Duration = Duration::from_millis(1);

/// How long frames may take through the pipeline when the gateway stops.
const DRAIN: Duration = Duration::from_millis(200);

/// Buffers made at once for those that went for good.
const TOP_UP: usize = 16;

/// What an I/O thread counts beside what its ports do. It writes, anybody reads.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct IoCounters {
    /// Frames that no port could take, and those that no other worker could.
    pub drops: DropCounters,
    /// Batches handed to the pipeline.
    pub batches: Counter,
    /// Turns in which frames were left in the devices because the pipeline had all batches.
    pub waits: Counter,
    /// Packets given to other workers, which have their flows.
    pub handed_over: Counter,
    /// Packets that came from other workers.
    pub taken_over: Counter,
    /// How often the thread slept.
    pub sleeps: Counter,
    /// Buffers made anew because others went to the kernel for good.
    pub buffers_made: Counter,
}

/// What an I/O loop needs beside its ports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IoConfig {
    /// Small and large buffers.
    pub small_buffers: usize,
    /// Super-frames and jumbo frames that may be on their way at once.
    pub large_buffers: usize,
    /// What to do when idle.
    pub idle: IdlePolicy,
}

impl Default for IoConfig {
    fn default() -> Self {
        Self { small_buffers: 4096, large_buffers: 384, idle: IdlePolicy::DEDICATED }
    }
}

/// What an I/O thread is connected to.
#[derive(Debug)]
pub struct IoLinks {
    /// Its pipeline thread.
    pub end: IoEnd,
    /// The I/O threads of other workers.
    pub mesh: MeshEnd,
    /// Which packets are theirs.
    pub steering: Subscriber<SteeredBy>,
}

impl IoLinks {
    /// Those of the only worker there is.
    #[must_use]
    pub fn alone(end: IoEnd) -> Self {
        Self { end, mesh: MeshEnd::alone(), steering: Publisher::new(None).subscribe() }
    }
}

/// Packets that one turn brought.
#[derive(Clone, Copy, Default)]
struct Received {
    from_ports: usize,
    /// Of other workers, or of our own for the second time.
    from_workers: usize,
}

/// A port, and what is to leave by it.
struct Outlet {
    port: Box<dyn Port>,
    outgoing: Vec<Packet>,
}

/// An I/O thread's work.
pub struct IoLoop {
    outlets: Vec<Outlet>,
    /// Position in `outlets` by interface.
    by_interface: Vec<Option<usize>>,
    pool: Pool,
    limits: PoolLimits,
    end: IoEnd,
    mesh: MeshEnd,
    steering: Subscriber<SteeredBy>,
    /// Packets that are to go through the pipeline once more, in the next batch.
    again: Vec<Packet>,
    idle: Idle,
    stop: Stop,
    /// Nothing is received from ports or handed over any more.
    closing: bool,
    counters: Arc<IoCounters>,
    /// The port or peer whose turn it is to be first.
    first: usize,
    maintenance_at: Instant,
    woken_by_port: bool,
    barren: bool,
}

impl IoLoop {
    /// The most ports that one I/O thread serves.
    pub const MAX_PORTS: usize = MAX_FDS - 1;

    /// A loop over `ports`, of which those beyond [`Self::MAX_PORTS`] are left out. Makes all buffers.
    #[must_use]
    pub fn new(
        config: IoConfig,
        ports: Vec<Box<dyn Port>>,
        links: IoLinks,
        stop: Stop,
        counters: Arc<IoCounters>,
    ) -> Self {
        let outlets: Vec<_> = ports
            .into_iter()
            .take(Self::MAX_PORTS)
            .map(|port| Outlet { port, outgoing: Vec::with_capacity(BATCH) })
            .collect();
        let slots = outlets.iter().map(|outlet| outlet.port.interface().slot() + 1).max();
        let mut by_interface = vec![None; slots.unwrap_or(0)];
        for (position, outlet) in outlets.iter().enumerate() {
            if let Some(slot) = by_interface.get_mut(outlet.port.interface().slot()) {
                *slot = Some(position);
            }
        }
        let limits = PoolLimits { small: config.small_buffers, large: config.large_buffers };
        Self {
            outlets,
            by_interface,
            pool: Pool::new(limits),
            limits,
            end: links.end,
            mesh: links.mesh,
            steering: links.steering,
            again: Vec::with_capacity(BATCH),
            idle: Idle::new(config.idle),
            stop,
            closing: false,
            counters,
            first: 0,
            maintenance_at: Instant::default(),
            woken_by_port: false,
            barren: false,
        }
    }

    /// Works until it is asked to stop, or the pipeline, which has a thread of its own, is gone. Frames that
    /// are in the pipeline then still go out.
    pub fn run(self) {
        self.run_beside(&mut Elsewhere);
    }

    /// The same with the pipeline on this thread as well: what a turn receives it also works on and sends. Their ends
    /// are those of an [`exchange_on_one_thread`](crate::exchange_on_one_thread).
    pub fn run_to_completion(self, mut pipeline: PipelineLoop) {
        self.run_beside(&mut pipeline);
        pipeline.give_up();
    }

    fn run_beside(mut self, partner: &mut impl Partner) {
        while !self.stop.is_set() && !self.end.work.is_abandoned() {
            let now = clock::now();
            if !self.turn(now, partner) {
                self.rest(now, partner);
            }
        }
        self.drain(partner);
    }

    /// One turn over all ports and rings. True if there was anything to do.
    fn turn(&mut self, now: Instant, partner: &mut impl Partner) -> bool {
        self.steering.refresh();
        self.mesh.collect(&mut self.pool);
        let received = self.receive();
        let woken_by_port = std::mem::take(&mut self.woken_by_port);
        self.barren = woken_by_port && received.from_ports == 0;
        let partner_worked = partner.work(now);
        let finished = self.finish();
        self.mesh.send(&mut self.pool);
        self.pool.return_strangers();
        // A port that is readable and gives nothing may have lost its device.
        if self.barren || now >= self.maintenance_at {
            self.maintenance_at = now + MAINTENANCE;
            for outlet in &mut self.outlets {
                outlet.port.maintain();
            }
        }
        let worked = partner_worked || received.from_ports + received.from_workers + finished > 0;
        if worked {
            self.idle.worked();
        }
        worked
    }

    /// Receives from each port and each peer, another one first each time, and hands the frames on.
    fn receive(&mut self) -> Received {
        let mut received = Received::default();
        let Some(mut batch) = self.end.spares.pop() else {
            self.counters.waits.add(u64::from(!self.closing));
            return received;
        };
        received.from_workers += self.again.len();
        batch.append(&mut self.again);
        let sources = self.outlets.len() + self.mesh.peers();
        let first = self.first;
        self.first = (first + 1) % sources.max(1);
        for step in 0..sources {
            if batch.len() >= BATCH {
                hand_on(&mut self.end, &self.counters, batch);
                let Some(spare) = self.end.spares.pop() else { return received };
                batch = spare;
            }
            self.receive_from((first + step) % sources, &mut batch, &mut received);
        }
        if batch.is_empty() {
            self.end.spares.push(batch);
        } else {
            hand_on(&mut self.end, &self.counters, batch);
        }
        received
    }

    /// Receives from the port in this place, or from the peer that comes after so many ports.
    #[inline]
    fn receive_from(&mut self, place: usize, batch: &mut Vec<Packet>, received: &mut Received) {
        let (before, room) = (batch.len(), BATCH.saturating_sub(batch.len()));
        if let Some(outlet) = self.outlets.get_mut(place) {
            if !self.closing {
                received.from_ports += outlet.port.receive(&mut self.pool, batch, room);
                self.hand_over(batch, before);
            }
        } else {
            let peer = place - self.outlets.len();
            let taken = self.mesh.take(peer, &mut self.pool, batch, room);
            self.counters.taken_over.add(taken as u64);
            received.from_workers += taken;
        }
    }

    /// Sends what the pipeline is through with. Returns how many batches that was.
    fn finish(&mut self) -> usize {
        let mut batches = 0;
        while let Some(mut batch) = self.end.done.take() {
            self.sort(&mut batch);
            self.end.spares.push(batch);
            batches += 1;
        }
        while let Some(mut batch) = self.end.extra.take() {
            self.sort(&mut batch);
            // The ring has room for all that go round.
            let _ = self.end.empties.send(batch);
            batches += 1;
        }
        if batches > 0 {
            for outlet in &mut self.outlets {
                outlet.flush(&mut self.pool);
            }
        }
        batches
    }

    /// Gives each frame to the port that it leaves by.
    fn sort(&mut self, batch: &mut Vec<Packet>) {
        // The headers were another CPU's until now: fetched all at once, not one after the other.
        batch.iter().for_each(Packet::prefetch_header);
        if self.send_whole(batch) {
            return;
        }
        for packet in batch.drain(..) {
            match packet.meta().verdict {
                Verdict::Transmit => {
                    let position = position(&self.by_interface, packet.meta().tx_if);
                    let Some(outlet) = position.and_then(|at| self.outlets.get_mut(at)) else {
                        self.counters.drops.add(DropReason::TxGone, 1);
                        self.pool.put(packet);
                        continue;
                    };
                    outlet.outgoing.push(packet);
                    if outlet.outgoing.len() >= BATCH {
                        outlet.flush(&mut self.pool);
                    }
                }
                Verdict::Again => self.once_more(packet),
                // Counted where it was decided; only the buffer is left.
                Verdict::Drop(_) | Verdict::Replaced => self.pool.put(packet),
                Verdict::Pending | Verdict::Punt(_) | Verdict::Hold => {
                    self.counters.drops.add(DropReason::NoVerdict, 1);
                    self.pool.put(packet);
                }
            }
        }
    }

    /// Sends a full batch that all leaves by one port. False, and nothing was done, if it isn't such a one.
    fn send_whole(&mut self, batch: &mut Vec<Packet>) -> bool {
        let Some(tx_if) = batch.first().map(|first| first.meta().tx_if) else { return true };
        let leaves = |packet: &Packet| {
            let meta = packet.meta();
            meta.verdict == Verdict::Transmit && meta.tx_if == tx_if
        };
        if batch.len() < BATCH || !batch.iter().all(leaves) {
            return false;
        }
        let position = position(&self.by_interface, tx_if);
        let Some(outlet) = position.and_then(|at| self.outlets.get_mut(at)) else { return false };
        outlet.flush(&mut self.pool);
        outlet.port.transmit(batch, &mut self.pool);
        true
    }

    fn rest(&mut self, now: Instant, partner: &mut impl Partner) {
        match self.idle.next(now) {
            Step::Spin => std::hint::spin_loop(),
            Step::GiveWay => std::thread::yield_now(),
            Step::Sleep => self.sleep(now, partner),
        }
    }

    fn sleep(&mut self, now: Instant, partner: &mut impl Partner) {
        if self.end.is_all_home() && self.mesh.is_quiet() {
            self.replace_lost_buffers();
        }
        self.end.doorbell.arm();
        if !self.is_wanted()
            && let Some(longest) = partner.falls_asleep(now)
        {
            self.counters.sleeps.add(1);
            // A port that would have frames but no batch or buffers to take them would keep us
            // awake without getting any further.
            let deaf = self.barren || self.end.spares.is_empty();
            let fds = self.outlets.iter().filter(|_| !deaf).filter_map(|o| o.port.wait_fd());
            let doorbell = self.end.doorbell.as_fd();
            let longest = longest.min(self.longest_sleep(now));
            self.woken_by_port = sleep(fds, doorbell, longest);
            partner.wakes();
        }
        self.end.doorbell.disarm();
    }

    /// Whether anything that rings the bell is there.
    fn is_wanted(&self) -> bool {
        let Self { end, mesh, again, stop, .. } = self;
        let takes_more = !end.spares.is_empty();
        let waiting = takes_more && (mesh.is_waiting() || !again.is_empty());
        waiting || !end.done.is_empty() || !end.extra.is_empty() || stop.is_set()
    }

    fn longest_sleep(&self, now: Instant) -> Duration {
        let until_maintenance = self.maintenance_at.since(now);
        let must_poll = |outlet: &Outlet| {
            outlet.port.wait_fd().is_none() && outlet.port.status().state() == PortState::Up
        };
        if self.mesh.is_filling() {
            until_maintenance.min(POLL_ONLY_SLEEP)
        } else if self.barren {
            until_maintenance.min(BARREN_SLEEP)
        } else if self.outlets.iter().any(must_poll) {
            until_maintenance.min(POLL_ONLY_SLEEP)
        } else {
            until_maintenance
        }
    }

    /// Packets for the kernel do not come back. While the pipeline has none, what is missing
    /// is gone.
    fn replace_lost_buffers(&mut self) {
        let (small, large) = self.pool.free();
        if small < self.limits.small / 2 || large < self.limits.large / 2 {
            self.counters.buffers_made.add(self.pool.top_up(TOP_UP) as u64);
        }
    }

    /// Waits for the frames that are in the pipeline, and for those that other workers still send.
    fn drain(&mut self, partner: &mut impl Partner) {
        self.closing = true;
        self.mesh.close();
        let end = clock::now() + DRAIN;
        while !self.end.work.is_abandoned()
            && let now = clock::now()
            && now < end
        {
            let received = self.receive().from_workers;
            partner.work(now);
            let finished = self.finish();
            let is_empty = self.again.is_empty() && self.mesh.is_at_its_end();
            if is_empty && self.end.is_all_home() {
                break;
            }
            if received + finished == 0 {
                std::thread::yield_now();
            }
        }
        self.finish();
        self.pool.return_strangers();
        let left = self.again.len() + self.mesh.give_up();
        self.counters.drops.add(DropReason::Stopping, left as u64);
    }
}

impl Outlet {
    fn flush(&mut self, pool: &mut Pool) {
        if !self.outgoing.is_empty() {
            self.port.transmit(&mut self.outgoing, pool);
        }
    }
}

fn hand_on(end: &mut IoEnd, counters: &IoCounters, batch: Vec<Packet>) {
    counters.batches.add(1);
    // The ring has room for all that go round.
    let _ = end.work.send(batch);
}

fn position(by_interface: &[Option<usize>], interface: IfIndex) -> Option<usize> {
    by_interface.get(interface.slot()).copied().flatten()
}

#[cfg(test)]
mod tests;
