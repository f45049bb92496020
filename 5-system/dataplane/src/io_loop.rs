//! The I/O thread: frames from ports to the pipeline and back.
//!
//! Each turn it receives from every port what fits into a batch, hands batches to the pipeline,
//! takes finished ones, sends their frames out of their ports and puts all buffers back into
//! its pool. It blocks only when it has been idle for a while, on all its ports and its doorbell at
//! once.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use portcullis_drivers::{Port, PortState};
use portcullis_packet::{
    BATCH, Counter, DropCounters, DropReason, IfIndex, Instant, Packet, Pool, PoolLimits, Verdict,
};

use crate::exchange::IoEnd;
use crate::{Idle, IdlePolicy, MAX_FDS, Step, Stop, clock, sleep};

/// How often ports are looked after.
const MAINTENANCE: Duration = Duration::from_millis(100);

/// The longest sleep while a port can only be polled.
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
    /// Frames that no port could take.
    pub drops: DropCounters,
    /// Batches handed to the pipeline.
    pub batches: Counter,
    /// Turns in which frames were left in the devices because the pipeline had all batches.
    pub waits: Counter,
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
    idle: Idle,
    stop: Stop,
    counters: Arc<IoCounters>,
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
        end: IoEnd,
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
            end,
            idle: Idle::new(config.idle),
            stop,
            counters,
            first: 0,
            maintenance_at: Instant::default(),
            woken_by_port: false,
            barren: false,
        }
    }

    /// Works until it is asked to stop, or the pipeline is gone. Frames that are in the pipeline
    /// then still go out.
    pub fn run(mut self) {
        while !self.stop.is_set() && !self.end.work.is_abandoned() {
            let now = clock::now();
            if !self.turn(now) {
                self.rest(now);
            }
        }
        self.drain();
    }

    /// One turn over all ports and rings. True if there was anything to do.
    fn turn(&mut self, now: Instant) -> bool {
        let received = self.receive();
        let woken_by_port = std::mem::take(&mut self.woken_by_port);
        self.barren = woken_by_port && received == 0;
        let finished = self.finish();
        // A port that is readable and gives nothing may have lost its device.
        if self.barren || now >= self.maintenance_at {
            self.maintenance_at = now + MAINTENANCE;
            for outlet in &mut self.outlets {
                outlet.port.maintain();
            }
        }
        let worked = received + finished > 0;
        if worked {
            self.idle.worked();
        }
        worked
    }

    /// Receives from each port, another one first each time, and hands the frames on.
    fn receive(&mut self) -> usize {
        let Some(mut batch) = self.end.spares.pop() else {
            self.counters.waits.add(1);
            return 0;
        };
        let mut total = 0;
        let (before, after) = self.outlets.split_at_mut(self.first);
        self.first = (self.first + 1) % (before.len() + after.len()).max(1);
        for outlet in after.iter_mut().chain(before) {
            if batch.len() >= BATCH {
                hand_on(&mut self.end, &self.counters, batch);
                let Some(spare) = self.end.spares.pop() else { return total };
                batch = spare;
            }
            let room = BATCH - batch.len();
            total += outlet.port.receive(&mut self.pool, &mut batch, room);
        }
        if batch.is_empty() {
            self.end.spares.push(batch);
        } else {
            hand_on(&mut self.end, &self.counters, batch);
        }
        total
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
                // Counted where it was decided; only the buffer is left.
                Verdict::Drop(_) | Verdict::Replaced => self.pool.put(packet),
                Verdict::Pending | Verdict::Punt(_) | Verdict::Hold | Verdict::Again => {
                    self.counters.drops.add(DropReason::NoVerdict, 1);
                    self.pool.put(packet);
                }
            }
        }
    }

    fn rest(&mut self, now: Instant) {
        match self.idle.next(now) {
            Step::Spin => std::hint::spin_loop(),
            Step::GiveWay => std::thread::yield_now(),
            Step::Sleep => self.sleep(now),
        }
    }

    fn sleep(&mut self, now: Instant) {
        if self.end.is_all_home() {
            self.replace_lost_buffers();
        }
        self.end.doorbell.arm();
        if self.end.done.is_empty() && self.end.extra.is_empty() && !self.stop.is_set() {
            self.counters.sleeps.add(1);
            // A port that would have frames but no batch or buffers to take them would keep us
            // awake without getting any further.
            let deaf = self.barren || self.end.spares.is_empty();
            let fds = self.outlets.iter().filter(|_| !deaf).filter_map(|o| o.port.wait_fd());
            let doorbell = self.end.doorbell.as_fd();
            self.woken_by_port = sleep(fds, doorbell, self.longest_sleep(now));
        }
        self.end.doorbell.disarm();
    }

    fn longest_sleep(&self, now: Instant) -> Duration {
        let until_maintenance = self.maintenance_at.since(now);
        if self.barren {
            return until_maintenance.min(BARREN_SLEEP);
        }
        let must_poll = |outlet: &Outlet| {
            outlet.port.wait_fd().is_none() && outlet.port.status().state() == PortState::Up
        };
        if self.outlets.iter().any(must_poll) {
            return until_maintenance.min(POLL_ONLY_SLEEP);
        }
        until_maintenance
    }

    /// Packets for the kernel do not come back. While the pipeline has none, what is missing
    /// is gone.
    fn replace_lost_buffers(&mut self) {
        let (small, large) = self.pool.free();
        if small < self.limits.small / 2 || large < self.limits.large / 2 {
            self.counters.buffers_made.add(self.pool.top_up(TOP_UP) as u64);
        }
    }

    /// Waits for the frames that are in the pipeline.
    fn drain(&mut self) {
        let end = clock::now() + DRAIN;
        loop {
            let finished = self.finish();
            if self.end.is_all_home() || self.end.work.is_abandoned() || clock::now() >= end {
                break;
            }
            if finished == 0 {
                std::thread::yield_now();
            }
        }
        self.finish();
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
mod tests {
    use super::*;
    use crate::{BATCHES, PipelineEnd, exchange};
    use portcullis_drivers::memory::{MemoryPort, pair};

    const PORTS: u16 = 3;

    /// A loop over ports in memory, the far ends of their wires, and the pipeline's end.
    fn io_loop() -> (IoLoop, Vec<MemoryPort>, PipelineEnd) {
        let (io, pipeline) = exchange().expect("doorbells");
        let (near, far): (Vec<_>, Vec<_>) =
            (0..PORTS).map(|n| pair(IfIndex(n), IfIndex(n), 4096)).unzip();
        let ports = near.into_iter().map(|port| Box::new(port) as Box<dyn Port>).collect();
        let config = IoConfig { small_buffers: 0, large_buffers: 0, idle: IdlePolicy::SHARED };
        (IoLoop::new(config, ports, io, Stop::new(), Arc::default()), far, pipeline)
    }

    fn flood(far: &mut [MemoryPort]) {
        let mut pool = Pool::new(PoolLimits { small: 0, large: 0 });
        for port in far {
            let mut frames = (0..4096).map(|_| Packet::from_bytes(b"frame")).collect();
            assert_eq!(port.transmit(&mut frames, &mut pool), 4096);
        }
    }

    #[test]
    fn frames_wait_in_the_ports_while_the_pipeline_has_all_batches() {
        let (mut io, mut far, mut pipeline) = io_loop();
        flood(&mut far);
        while io.turn(Instant(0)) {}
        assert_eq!(pipeline.work.len(), BATCHES);
        let mut batch = pipeline.work.take().expect("a batch");
        batch.clear();
        assert!(pipeline.done.send(batch).is_ok());
        assert!(io.turn(Instant(0)) && io.turn(Instant(0)));
        assert_eq!(pipeline.work.len(), BATCHES, "the batch that came home is filled again");
    }

    #[test]
    fn no_port_starves_another_however_slow_the_pipeline_is() {
        let (mut io, mut far, mut pipeline) = io_loop();
        flood(&mut far);
        let mut received = [0; PORTS as usize];
        for _ in 0..60 {
            while io.turn(Instant(0)) {}
            let mut batch = pipeline.work.take().expect("a batch");
            for packet in batch.drain(..) {
                received[packet.meta().rx_if.slot()] += 1;
            }
            assert!(pipeline.done.send(batch).is_ok());
        }
        let (least, most) = (received.iter().min(), received.iter().max());
        assert!(least >= Some(&(18 * BATCH)) && most <= Some(&(22 * BATCH)), "{received:?}");
    }
}
