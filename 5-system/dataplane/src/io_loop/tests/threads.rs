//! Loops that hand packets over to each other, each on a thread of its own with its pipeline.

use std::thread::JoinHandle;

use super::steered::{ByFlow, frame, read};
use super::*;
use crate::{BATCHES, mesh};

/// What a pipeline does with one packet, given the number of its worker.
type Decide = fn(u16, &mut Packet);

/// So many workers, running.
struct Running {
    far: Vec<MemoryPort>,
    near: Vec<Arc<portcullis_drivers::PortStatus>>,
    counters: Vec<Arc<IoCounters>>,
    bells: Vec<crate::Bell>,
    stop: Stop,
    threads: Vec<JoinHandle<()>>,
    pool: Pool,
}

impl Running {
    /// Each worker has a port if it is among the first `ports`.
    fn start(workers: u8, ports: usize, decide: Decide) -> Self {
        let mut steering: Publisher<SteeredBy> = Publisher::new(Some(Arc::new(ByFlow { workers })));
        let ends: Vec<_> = (0..workers).map(|_| exchange(BATCHES).expect("doorbells")).collect();
        let meshed = mesh(ends.iter().map(|(io, _)| io.doorbell()));
        let stop = Stop::new();
        let pool = Pool::new(PoolLimits { small: 0, large: 0 });
        let mut running = Self {
            far: vec![],
            near: vec![],
            counters: vec![],
            bells: vec![],
            stop: stop.clone(),
            threads: vec![],
            pool,
        };
        for (n, ((end, pipeline), mesh)) in ends.into_iter().zip(meshed).enumerate() {
            let (near, far) = pair(IfIndex(n as u16), IfIndex(9), 1 << 16);
            running.near.push(Arc::clone(near.status()));
            running.far.push(far);
            running.bells.push(end.doorbell().bell());
            let near = (n < ports).then(|| Box::new(near) as Box<dyn Port>);
            let counters = Arc::<IoCounters>::default();
            running.counters.push(Arc::clone(&counters));
            let links = IoLinks { end, mesh, steering: steering.subscribe() };
            let config = IoConfig { small_buffers: 0, large_buffers: 0, idle: IdlePolicy::SHARED };
            let near = near.into_iter().collect();
            let io = IoLoop::new(config, near, links, stop.clone(), counters);
            running.threads.push(std::thread::spawn(move || io.run()));
            running.threads.push(std::thread::spawn(move || pipe(n as u16, pipeline, decide)));
        }
        running
    }

    fn send(&mut self, worker: usize, frames: impl Iterator<Item = Vec<u8>>) {
        let mut batch: Vec<_> = frames.map(|frame| Packet::from_bytes(&frame)).collect();
        let count = batch.len();
        assert_eq!(self.far[worker].transmit(&mut batch, &mut self.pool), count);
    }

    fn receive(&mut self, worker: usize) -> Vec<Packet> {
        let mut into = Vec::new();
        while self.far[worker].receive(&mut self.pool, &mut into, BATCH) > 0 {}
        into
    }

    fn stop(&mut self) {
        self.stop.set();
        self.bells.iter().for_each(crate::Bell::ring);
        for thread in self.threads.drain(..) {
            assert!(thread.join().is_ok());
        }
    }

    fn total(&self, counter: impl Fn(&IoCounters) -> u64) -> u64 {
        self.counters.iter().map(|counters| counter(counters)).sum()
    }
}

fn pipe(worker: u16, mut end: PipelineEnd, decide: Decide) {
    while !(end.work.is_abandoned() && end.work.is_empty()) {
        let Some(mut batch) = end.work.take() else {
            end.doorbell.arm();
            if end.work.is_empty() {
                let timeout = Duration::from_millis(50);
                sleep(std::iter::empty(), end.doorbell.as_fd(), timeout);
            }
            end.doorbell.disarm();
            continue;
        };
        batch.iter_mut().for_each(|packet| decide(worker, packet));
        let _ = end.done.send(batch);
    }
}

fn transmit(worker: u16, packet: &mut Packet) {
    packet.meta_mut().tx_if = IfIndex(worker);
    packet.meta_mut().verdict = Verdict::Transmit;
}

fn wait_until(mut done: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(std::time::Instant::now() < end, "not within twenty seconds");
        std::thread::sleep(Duration::from_micros(100));
    }
}

#[test]
fn two_threads_lose_nothing_and_keep_the_order() {
    const NUMBERS: u32 = 20_000;
    let mut running = Running::start(2, 2, transmit);
    let mut came = [vec![], vec![]];
    for first in (0..NUMBERS).step_by(50) {
        for worker in [0, 1] {
            // Flows 0 and 1 come in by port 0, flows 2 and 3 by port 1.
            let flows = [2 * worker as u8, 2 * worker as u8 + 1];
            let frames = (first..first + 50).flat_map(|n| flows.map(|flow| frame(flow, n)));
            running.send(worker, frames);
        }
        // No more on their way than there is room for; now and then all fall asleep.
        wait_until(|| {
            for worker in [0, 1] {
                came[worker].extend(running.receive(worker).iter().map(read));
            }
            came.iter().map(Vec::len).sum::<usize>() as u32 + 200 >= 4 * (first + 50)
        });
        if first % 5000 == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    wait_until(|| {
        for worker in [0, 1] {
            came[worker].extend(running.receive(worker).iter().map(read));
        }
        came.iter().map(Vec::len).sum::<usize>() as u32 >= 4 * NUMBERS
    });
    running.stop();
    for (worker, came) in came.iter().enumerate() {
        for flow in [worker as u8, worker as u8 + 2] {
            let numbers = came.iter().filter(|&&(of, _)| of == flow).map(|&(_, n)| n);
            assert!(numbers.eq(0..NUMBERS), "flow {flow} at worker {worker}");
        }
    }
    assert_eq!(running.total(|c| c.drops.total()), 0);
    assert_eq!(running.total(|c| c.handed_over.get()), u64::from(2 * NUMBERS));
}

#[test]
fn who_sleeps_is_woken_by_what_is_handed_over() {
    // Worker 1 has no port that could wake it, and sends everything back as a flow of worker 0.
    let mut running = Running::start(2, 1, |worker, packet| {
        if worker == 1 {
            packet.data_mut()[0] = 0;
            packet.meta_mut().verdict = Verdict::Again;
        } else {
            transmit(worker, packet);
        }
    });
    let begun = std::time::Instant::now();
    for number in 0..50 {
        running.send(0, std::iter::once(frame(1, number)));
        wait_until(|| running.receive(0).iter().map(read).eq([(0, number)]));
    }
    // Without a bell each would take as long as ports may be left alone.
    assert!(begun.elapsed() < 25 * MAINTENANCE, "{:?}", begun.elapsed());
    let begun = std::time::Instant::now();
    running.stop();
    assert!(begun.elapsed() < DRAIN, "nobody waits for those who have nothing more to send");
}

#[test]
fn every_packet_is_accounted_for_when_the_workers_stop_under_load() {
    for _ in 0..10 {
        let mut running = Running::start(3, 3, |worker, packet| {
            // Some go round once more, to another worker.
            if packet.data()[0] >= 100 {
                packet.data_mut()[0] -= 97;
                packet.meta_mut().verdict = Verdict::Again;
            } else {
                transmit(worker, packet);
            }
        });
        for worker in 0..3 {
            let flows = [0_u8, 1, 2, 100, 101, 102];
            running.send(worker, (0..2000).flat_map(|n| flows.map(|flow| frame(flow, n))));
        }
        wait_until(|| running.total(|c| c.taken_over.get()) > 0);
        running.stop();
        let ports = running.near.iter();
        let (received, sent) = ports.fold((0, 0), |(received, sent), port| {
            (received + port.counters.rx_packets.get(), sent + port.counters.tx_packets.get())
        });
        let drops = running.total(|c| c.drops.total());
        let named = running
            .total(|c| c.drops.get(DropReason::HandoverFull) + c.drops.get(DropReason::Stopping));
        assert_eq!((received, drops), (sent + drops, named));
        assert!(sent > 0 && running.total(|c| c.handed_over.get()) > 0);
    }
}
