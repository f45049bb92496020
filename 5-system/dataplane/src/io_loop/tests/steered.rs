//! Several loops that hand packets over to each other, driven turn by turn.

use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_packet::{SMALL_CAPACITY, TxOffload, WorkerId};

use super::allocations::count_in;
use super::*;
use crate::{BATCHES, HANDOVERS, Steer, mesh};

/// A flow that belongs to nobody.
pub(super) const NOBODYS: u8 = 0xff;

/// Frames begin with the number of their flow, and a worker has every so manyth.
#[derive(Debug)]
pub(super) struct ByFlow {
    pub(super) workers: u8,
}

impl Steer for ByFlow {
    fn worker(&self, packet: &Packet) -> Option<WorkerId> {
        let flow = *packet.data().first()?;
        (flow != NOBODYS).then(|| WorkerId(u16::from(flow % self.workers)))
    }
}

/// A port that takes buffers from the pool and puts them there, as those of devices do. What is on the
/// wire is in buffers of the port's own.
struct Copying {
    wire: MemoryPort,
    arrived: Vec<Packet>,
    own: Pool,
}

impl Copying {
    fn new(wire: MemoryPort) -> Self {
        let own = Pool::new(PoolLimits { small: 4000, large: 160 });
        Self { wire, arrived: Vec::with_capacity(BATCH), own }
    }
}

fn copy(from: &Packet, pool: &mut Pool) -> Packet {
    let mut to = pool.take(from.len()).expect("a buffer");
    assert!(to.set_len(from.len()));
    to.data_mut().copy_from_slice(from.data());
    *to.meta_mut() = *from.meta();
    to
}

impl Port for Copying {
    fn interface(&self) -> IfIndex {
        self.wire.interface()
    }

    fn receive(&mut self, pool: &mut Pool, into: &mut Vec<Packet>, max: usize) -> usize {
        let (small, large) = pool.free();
        self.wire.receive(pool, &mut self.arrived, max.min(small).min(large));
        into.extend(self.arrived.iter().map(|packet| copy(packet, pool)));
        let count = self.arrived.len();
        self.arrived.drain(..).for_each(|packet| self.own.put(packet));
        count
    }

    fn transmit(&mut self, batch: &mut Vec<Packet>, pool: &mut Pool) -> usize {
        self.arrived.extend(batch.iter().map(|packet| copy(packet, &mut self.own)));
        batch.drain(..).for_each(|packet| pool.put(packet));
        self.wire.transmit(&mut self.arrived, pool)
    }

    fn wait_fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        None
    }

    fn maintain(&mut self) {}

    fn status(&self) -> &Arc<portcullis_drivers::PortStatus> {
        self.wire.status()
    }

    fn offload(&self) -> TxOffload {
        TxOffload::ALL
    }
}

/// One worker: its loop, its pipeline's end, and the far end of its wire.
struct One {
    io: IoLoop,
    pipeline: PipelineEnd,
    far: MemoryPort,
    counters: Arc<IoCounters>,
    /// What came through its pipeline.
    seen: Vec<(u8, u32)>,
}

struct World {
    workers: Vec<One>,
    steering: Publisher<SteeredBy>,
    pool: Pool,
}

impl World {
    fn new(workers: u8, small: usize, large: usize) -> Self {
        let mut steering: Publisher<SteeredBy> = Publisher::new(Some(Arc::new(ByFlow { workers })));
        let ends: Vec<_> = (0..workers).map(|_| exchange(BATCHES).expect("doorbells")).collect();
        let meshed = mesh(ends.iter().map(|(io, _)| io.doorbell()));
        let config =
            IoConfig { small_buffers: small, large_buffers: large, idle: IdlePolicy::SHARED };
        let workers = ends
            .into_iter()
            .zip(meshed)
            .enumerate()
            .map(|(n, ((end, pipeline), mesh))| {
                let (near, far) = pair(IfIndex(n as u16), IfIndex(9), 8192);
                let links = IoLinks { end, mesh, steering: steering.subscribe() };
                let counters = Arc::<IoCounters>::default();
                let port: Box<dyn Port> =
                    if small > 0 { Box::new(Copying::new(near)) } else { Box::new(near) };
                let io = IoLoop::new(config, vec![port], links, Stop::new(), Arc::clone(&counters));
                One { io, pipeline, far, counters, seen: Vec::with_capacity(4096) }
            })
            .collect();
        Self { workers, steering, pool: Pool::new(PoolLimits { small: 0, large: 0 }) }
    }

    fn send(&mut self, worker: usize, flow: u8, number: u32) {
        let frame = frame(flow, number);
        self.send_frame(worker, &frame);
    }

    fn send_frame(&mut self, worker: usize, frame: &[u8]) {
        let mut batch = vec![Packet::from_bytes(frame)];
        assert_eq!(self.workers[worker].far.transmit(&mut batch, &mut self.pool), 1);
    }

    /// A turn of one worker's loop and of its pipeline, which sends everything out of the worker's own
    /// port. True if there was anything to do.
    fn turn(&mut self, worker: usize) -> bool {
        let one = &mut self.workers[worker];
        let worked = one.io.turn(Instant(0), &mut Elsewhere);
        one.pipe(|packet| {
            packet.meta_mut().tx_if = IfIndex(worker as u16);
            packet.meta_mut().verdict = Verdict::Transmit;
        }) || worked
    }

    /// Turns of all, until nobody has anything to do.
    fn settle(&mut self) {
        while (0..self.workers.len()).filter(|&worker| self.turn(worker)).count() > 0 {}
    }

    fn total(&self, counter: impl Fn(&IoCounters) -> u64) -> u64 {
        self.workers.iter().map(|one| counter(&one.counters)).sum()
    }
}

impl One {
    /// Everything that waits for the pipeline, with what becomes of each packet.
    fn pipe(&mut self, decide: impl Fn(&mut Packet)) -> bool {
        let mut worked = false;
        while let Some(mut batch) = self.pipeline.work.take() {
            for packet in &mut batch {
                assert_eq!(packet.meta().verdict, Verdict::Pending);
                self.seen.push(read(packet));
                decide(packet);
            }
            assert!(self.pipeline.done.send(batch).is_ok());
            worked = true;
        }
        worked
    }

    fn received(&mut self) -> Vec<Packet> {
        let mut into = Vec::new();
        let mut pool = Pool::new(PoolLimits { small: 0, large: 0 });
        while self.far.receive(&mut pool, &mut into, BATCH) > 0 {}
        into
    }
}

pub(super) fn frame(flow: u8, number: u32) -> Vec<u8> {
    let mut frame = vec![flow; 60];
    frame[1..5].copy_from_slice(&number.to_be_bytes());
    frame
}

pub(super) fn read(packet: &Packet) -> (u8, u32) {
    let [flow, a, b, c, d, ..] = *packet.data() else { panic!("a frame of ours") };
    (flow, u32::from_be_bytes([a, b, c, d]))
}

#[test]
fn every_packet_reaches_the_worker_that_has_its_flow_once_and_in_order() {
    for workers in [2, 3] {
        let mut world = World::new(workers, 0, 0);
        let flows = 4 * workers;
        for number in 0..1000_u32 {
            for flow in 0..flows {
                // Each flow comes in by one port; which, has nothing to do with whose it is.
                world.send(usize::from(flow / 2 % workers), flow, number);
            }
            // Some of the workers are slower than the others.
            let turns =
                (0..usize::from(workers)).filter(|&w| (number as usize).is_multiple_of(2 * w + 1));
            for worker in turns {
                world.turn(worker);
            }
        }
        world.settle();
        assert_eq!(world.total(|c| c.drops.total()), 0);
        assert_eq!(world.total(|c| c.handed_over.get()), world.total(|c| c.taken_over.get()));
        assert!(world.total(|c| c.handed_over.get()) > 1000);
        for (n, one) in world.workers.iter().enumerate() {
            for flow in 0..flows {
                let came = one.seen.iter().filter(|&&(of, _)| of == flow).map(|&(_, n)| n);
                let all = if usize::from(flow % workers) == n { 0..1000 } else { 0..0 };
                assert!(came.eq(all), "flow {flow} at worker {n} of {workers}");
            }
        }
    }
}

#[test]
fn a_packet_keeps_what_is_known_about_it() {
    let mut world = World::new(2, 0, 0);
    let mut packet = Packet::from_bytes(&frame(1, 7));
    let offload =
        portcullis_packet::Offload { needs_csum: true, csum_start: 34, ..Default::default() };
    packet.meta_mut().offload = offload;
    world.workers[0].far.transmit(&mut vec![packet], &mut world.pool);
    world.workers[0].io.turn(Instant(0), &mut Elsewhere);
    world.workers[1].io.turn(Instant(0), &mut Elsewhere);
    let batch = world.workers[1].pipeline.work.take().expect("handed over");
    let meta = batch.first().expect("one").meta();
    assert_eq!((meta.rx_if, meta.offload, meta.verdict), (IfIndex(0), offload, Verdict::Pending));
}

#[test]
fn what_belongs_to_nobody_or_to_a_worker_that_is_not_there_stays() {
    let mut world = World::new(2, 0, 0);
    world.send(0, NOBODYS, 1);
    world.settle();
    world.steering.publish(Some(Arc::new(ByFlow { workers: 8 })));
    world.send(0, 6, 2);
    world.settle();
    world.steering.publish(None);
    world.send(0, 1, 3);
    world.settle();
    world.steering.publish(Some(Arc::new(ByFlow { workers: 2 })));
    world.send(0, 1, 4);
    world.settle();
    assert_eq!(world.workers[0].seen, [(NOBODYS, 1), (6, 2), (1, 3)]);
    assert_eq!(world.workers[1].seen, [(1, 4)], "the steering is the newest");
}

#[test]
fn a_worker_that_takes_nothing_costs_only_what_is_its_own() {
    let mut world = World::new(2, 0, 0);
    for number in 0..2000 {
        world.send(0, 0, number);
        world.send(0, 1, number);
    }
    while world.turn(0) {}
    assert!(world.workers[0].seen.iter().copied().eq((0..2000).map(|n| (0, n))));
    let counters = &world.workers[0].counters;
    let (given, lost) = (counters.handed_over.get(), counters.drops.get(DropReason::HandoverFull));
    assert_eq!((given + lost, counters.drops.total()), (2000, lost));
    assert!(given >= (HANDOVERS / 2 * BATCH) as u64 && lost > 0, "{given} of 2000");
    world.settle();
    assert_eq!(world.workers[1].seen.len() as u64, given, "what was given arrives");
    world.send(0, 1, 2000);
    world.settle();
    assert_eq!(world.workers[1].seen.last(), Some(&(1, 2000)), "and there is room again");
}

#[test]
fn neither_ports_nor_peers_starve_each_other() {
    let mut world = World::new(3, 0, 0);
    for number in 0..6000 {
        for worker in 0..3 {
            world.send(worker, 0, number);
        }
    }
    // Worker 0 has more than enough from everywhere, and its pipeline takes one batch at a time.
    for _ in 0..20 {
        for worker in [1, 2] {
            world.workers[worker].io.turn(Instant(0), &mut Elsewhere);
        }
    }
    let mut came = [0; 3];
    for _ in 0..60 {
        for worker in [1, 2] {
            world.workers[worker].io.turn(Instant(0), &mut Elsewhere);
        }
        while world.workers[0].io.turn(Instant(0), &mut Elsewhere) {}
        let one = &mut world.workers[0].pipeline;
        let mut batch = one.work.take().expect("a batch");
        for packet in batch.drain(..) {
            came[packet.meta().rx_if.slot()] += 1;
        }
        assert!(one.done.send(batch).is_ok());
    }
    let (least, most) = (came.iter().min(), came.iter().max());
    assert!(least >= Some(&(17 * BATCH)) && most <= Some(&(23 * BATCH)), "{came:?}");
}

#[test]
fn pools_stay_as_full_as_they_were_and_nothing_is_allocated() {
    let counter: &AtomicU64 = Box::leak(Box::default());
    count_in(counter);
    let mut world = World::new(2, 300, 130);
    let (begun, mut allocated) = (counter.load(Ordering::Relaxed), 0);
    for number in 0..3000_u32 {
        // All of it comes in at worker 0 and is worker 1's.
        let mut frame = frame(1, number);
        frame.resize(if number % 20 == 0 { SMALL_CAPACITY + 1 } else { 60 }, 0);
        world.send_frame(0, &frame);
        if number % 40 == 39 {
            let before = counter.load(Ordering::Relaxed);
            world.settle();
            allocated += counter.load(Ordering::Relaxed) - before;
        }
    }
    assert!(begun > 0, "allocations are not counted");
    assert_eq!((allocated, world.workers[1].received().len()), (0, 3000));
    for one in &world.workers {
        assert_eq!(one.io.pool.free(), (300, 130));
    }
}

#[test]
fn a_packet_that_is_to_go_once_more_goes_to_the_worker_that_has_its_flow() {
    let mut world = World::new(2, 0, 0);
    world.send(0, 0, 1);
    world.workers[0].io.turn(Instant(0), &mut Elsewhere);
    world.workers[0].pipe(|packet| {
        packet.data_mut()[0] = 1;
        packet.meta_mut().hairpin = 77;
        packet.meta_mut().verdict = Verdict::Again;
    });
    world.settle();
    assert_eq!(world.workers[1].seen, [(1, 1)]);
    let packet = world.workers[1].received().pop().expect("it went out there");
    assert_eq!(packet.data(), [&[1, 0, 0, 0, 1][..], &[0; 55]].concat());
    assert_eq!(world.total(|c| c.handed_over.get()), 1);
}

#[test]
fn a_packet_that_is_to_go_once_more_at_home_is_in_the_next_batch() {
    let mut world = World::new(2, 0, 0);
    for number in 0..100 {
        world.send(0, 0, number);
    }
    let again = |packet: &mut Packet| packet.meta_mut().verdict = Verdict::Again;
    world.workers[0].io.turn(Instant(0), &mut Elsewhere);
    world.workers[0].io.turn(Instant(0), &mut Elsewhere);
    assert!(world.workers[0].pipe(again));
    world.settle();
    let seen: Vec<_> = world.workers[0].seen.drain(..).collect();
    assert!(seen.into_iter().eq((0..100).chain(0..100).map(|n| (0, n))));
    assert_eq!(world.workers[0].received().len(), 100);
    // No steering, or nobody else: the same.
    world.steering.publish(None);
    world.send(0, 1, 7);
    world.workers[0].io.turn(Instant(0), &mut Elsewhere);
    assert!(world.workers[0].pipe(again));
    world.settle();
    assert_eq!(world.workers[0].seen, [(1, 7), (1, 7)]);
}

#[test]
fn a_packet_that_is_to_go_once_more_and_finds_no_room_is_dropped_by_name() {
    let mut world = World::new(2, 0, 0);
    for number in 0..2000 {
        world.send(0, 0, number);
    }
    let turn = |world: &mut World| {
        let worked = world.workers[0].io.turn(Instant(0), &mut Elsewhere);
        world.workers[0].pipe(|packet| {
            packet.data_mut()[0] = 1;
            packet.meta_mut().verdict = Verdict::Again;
        }) || worked
    };
    while turn(&mut world) {}
    let counters = &world.workers[0].counters;
    let (given, lost) = (counters.handed_over.get(), counters.drops.get(DropReason::HandoverFull));
    assert_eq!(given + lost, 2000);
    assert_eq!(given, (HANDOVERS * BATCH) as u64);

    // At home there is no room while the pipeline has all batches.
    for number in 0..4000 {
        world.send(1, 1, number);
    }
    while world.workers[1].io.turn(Instant(0), &mut Elsewhere) {}
    let extra = (0..BATCH + 3).map(|_| {
        let mut packet = Packet::from_bytes(&frame(1, 0));
        packet.meta_mut().verdict = Verdict::Again;
        packet
    });
    assert!(world.workers[1].pipeline.extra.send(extra.collect()).is_ok());
    world.workers[1].io.turn(Instant(0), &mut Elsewhere);
    assert_eq!(world.workers[1].counters.drops.get(DropReason::HandoverFull), 3);
}

#[test]
fn who_is_handed_something_does_not_fall_asleep_over_it() {
    let mut world = World::new(2, 0, 0);
    world.send(0, 1, 7);
    world.workers[0].io.turn(Instant(0), &mut Elsewhere);
    world.workers[1].io.sleep(Instant(0), &mut Elsewhere);
    assert_eq!(world.workers[1].counters.sleeps.get(), 0);
    world.settle();
    world.workers[1].io.sleep(Instant(0), &mut Elsewhere);
    assert_eq!(world.workers[1].counters.sleeps.get(), 1);
}

#[test]
fn a_worker_whose_pipeline_is_gone_counts_what_it_was_handed() {
    let mut world = World::new(2, 0, 0);
    for number in 0..100 {
        world.send(0, 1, number);
    }
    while world.turn(0) {}
    let One { io, pipeline, counters, .. } = world.workers.pop().expect("worker 1");
    drop(pipeline);
    io.run();
    assert_eq!(counters.drops.get(DropReason::Stopping), 100);
}
