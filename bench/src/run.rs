//! The generator, the loop, and the clock.

use std::hint::black_box;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::Instant as Wall;

use portcullis_packet::{
    BATCH, IfIndex, Instant, Mac, NextHopId, Packet, SMALL_CAPACITY, Verdict, WorkerId,
};
use portcullis_pipeline::{Outbox, State, StateConfig, Worker, WorkerCounters, WorkerLimits};
use portcullis_policy::Policy;
use portcullis_routing::Snapshot;
use portcullis_wire::build::Frame;
use portcullis_wire::{Tuple, ipv4};

use crate::cases::{Case, Destinations};
use crate::rng::Rng;
use crate::{alloc, policy};

/// Packets in the pool, gone through in turn, as a ring of a device's descriptors would be.
const POOL: usize = 4096;

/// Batches per sample.
const BATCHES: u64 = 16 * 1024;

/// Frame size, frame check sequence included, as testers count it.
const FRAME: usize = 60;

/// One case, ready to be measured.
pub(crate) struct Bench {
    snapshot: Snapshot,
    destinations: Destinations,
    template: Vec<u8>,
    pool: Vec<Vec<Packet>>,
    worker: Worker,
    counters: Arc<WorkerCounters>,
    outbox: Outbox,
    next: usize,
    /// Packets that were forwarded before anything was measured.
    established: u64,
}

/// What was measured.
pub(crate) struct Result {
    pub(crate) case: Case,
    /// Time-stamp counter clocks per packet, one figure per sample.
    pub(crate) clocks: Vec<f64>,
    /// Clocks per second of the time-stamp counter.
    pub(crate) hertz: f64,
    /// Allocations while packets were processed, in all samples.
    pub(crate) allocations: u64,
    pub(crate) packets: u64,
    /// Clocks per address of the lookup alone, one figure per sample.
    pub(crate) lookup: Vec<f64>,
    /// Instructions per packet, if they were counted.
    pub(crate) instructions: Option<f64>,
}

impl Bench {
    pub(crate) fn new(case: Case) -> Self {
        let (snapshot, destinations) = case.build();
        let mac = Mac([2, 0, 0, 0, 0, 1]);
        let from = Mac([2, 0, 0, 0, 0, 9]);
        let mut template = match destinations {
            Destinations::Ip4(_) | Destinations::Flows(_) => {
                Frame::v4([192, 0, 2, 1], [0, 0, 0, 0]).macs(from, mac).udp(1024, 9, &[0; 18])
            }
            Destinations::Ip6(_) => {
                let source = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1);
                Frame::v6(source, Ipv6Addr::UNSPECIFIED).macs(from, mac).udp(1024, 9, &[])
            }
        };
        template.resize(FRAME.max(template.len()), 0);
        let mut packets = Packet::slab(POOL, SMALL_CAPACITY);
        for packet in &mut packets {
            assert!(packet.set_len(template.len()));
        }
        let pool = (0..POOL / BATCH).map(|_| packets.split_off(packets.len() - BATCH)).collect();
        let counters = Arc::new(WorkerCounters::default());
        let mut worker = Worker::new(Arc::clone(&counters), WorkerLimits::default());
        if case.flows().is_some() {
            worker.equip(Box::new(State::new(state_config())));
        }
        let outbox = Outbox::default();
        let mut bench = Self {
            snapshot,
            destinations,
            template,
            pool,
            worker,
            counters,
            outbox,
            next: 0,
            established: 0,
        };
        bench.establish(case.flows().unwrap_or(0));
        bench
    }

    /// Has each flow seen once.
    fn establish(&mut self, flows: usize) {
        for batch in 0..flows.div_ceil(BATCH) {
            let at = batch % self.pool.len();
            self.generate(at);
            self.pass(at, Instant(clock()));
        }
        // From now on in another order than that in which they lie in memory.
        if let Destinations::Flows(all) = &mut self.destinations {
            let mut rng = Rng::new(2);
            for last in (1..all.len()).rev() {
                all.swap(last, rng.below(last + 1));
            }
        }
        self.next = 0;
        self.established = self.counters.ip4.packets.get();
        let there = self.worker.state().map_or(0, |state| state.table().len());
        assert_eq!(there, flows, "dropped: {:?}", self.counters.drops);
    }

    /// Writes the headers of a batch, each with the next destination.
    fn generate(&mut self, at: usize) {
        for packet in &mut self.pool[at] {
            let (meta, frame) = packet.parts_mut();
            meta.rx_if = IfIndex(0);
            meta.verdict = Verdict::Pending;
            frame.copy_from_slice(&self.template);
            match &self.destinations {
                Destinations::Ip4(all) => {
                    frame[30..34].copy_from_slice(&all[self.next % all.len()].to_be_bytes());
                    ipv4::fill_checksum(&mut frame[14..34]);
                }
                Destinations::Ip6(all) => {
                    frame[38..54].copy_from_slice(&all[self.next % all.len()].to_be_bytes());
                }
                Destinations::Flows(all) => write_tuple(frame, &all[self.next % all.len()]),
            }
            self.next += 1;
        }
    }

    /// One sample: clocks spent, allocations made. Headers of the whole pool are written before its
    /// first batch, so that packets come from the second-level cache, as after a device's DMA.
    fn sample(&mut self, batches: u64) -> (u64, u64) {
        let (mut clocks, mut allocations) = (0, 0);
        for batch in 0..batches as usize {
            let at = batch % self.pool.len();
            if at == 0 {
                (0..self.pool.len()).for_each(|at| self.generate(at));
            }
            let before = alloc::count();
            let start = clock();
            self.timed_part(at, Instant(start));
            clocks += clock() - start;
            allocations += alloc::count() - before;
        }
        (clocks, allocations)
    }

    /// Clocks per address of the lookup alone, a batch at a time.
    fn lookup(&self, batches: u64) -> f64 {
        let vrf = &self.snapshot.vrfs[0];
        let mut found = [NextHopId::NO_ROUTE; BATCH];
        let mut clocks = 0;
        for batch in 0..batches as usize {
            let at = batch * BATCH % (self.destinations.len().saturating_sub(BATCH)).max(1);
            let start = clock();
            match &self.destinations {
                Destinations::Ip4(all) => vrf.fib4.lookup_batch(&all[at..at + BATCH], &mut found),
                Destinations::Ip6(all) => vrf.fib6.lookup_batch(&all[at..at + BATCH], &mut found),
                // What they look up is not a destination.
                Destinations::Flows(_) => return f64::NAN,
            }
            clocks += clock() - start;
            black_box(&mut found);
        }
        clocks as f64 / (batches * BATCH as u64) as f64
    }

    /// What is timed. A function of its own, so that callgrind can be told to count inside of it.
    #[inline(never)]
    fn timed_part(&mut self, at: usize, now: Instant) {
        self.pass(at, now);
    }

    /// One batch through the pipeline.
    #[inline(always)]
    fn pass(&mut self, at: usize, now: Instant) {
        let packets = black_box(&mut self.pool[at]);
        self.worker.process(&self.snapshot, packets, now, &mut self.outbox);
    }

    /// Replaces the flow memory.
    pub(crate) fn equip(&mut self, state: Box<State>) -> Option<Box<State>> {
        self.worker.equip(state)
    }

    /// Flows that there are.
    pub(crate) fn flows(&mut self) -> usize {
        self.worker.state().map_or(0, |state| state.table().len())
    }

    /// Memory of the flow table and the mappings.
    pub(crate) fn state_bytes(&mut self) -> usize {
        self.worker.state().map_or(0, |state| state.memory_bytes())
    }

    /// So many batches of which each packet belongs to another flow. Clocks spent.
    pub(crate) fn begin_flows(&mut self, batches: usize) -> u64 {
        self.next = 0;
        (0..batches).map(|batch| self.batch(batch)).sum()
    }

    /// Clocks that one batch takes, its headers written before.
    pub(crate) fn batch(&mut self, number: usize) -> u64 {
        let at = number % self.pool.len();
        self.generate(at);
        let start = clock();
        self.timed_part(at, Instant(start));
        clock() - start
    }

    /// Packets forwarded so far.
    pub(crate) fn forwarded(&self) -> u64 {
        self.counters.ip4.packets.get()
    }

    /// Another policy from now on.
    pub(crate) fn publish(&mut self, policy: Arc<Policy>) {
        self.snapshot.policy = policy;
    }

    /// Whether flows have not been judged by the newest policy yet.
    pub(crate) fn is_changing(&mut self) -> bool {
        self.worker.state().is_some_and(|state| state.is_sweeping())
    }

    /// Batches without a clock, for tools that count instructions.
    pub(crate) fn rounds(&mut self, count: u64) {
        let (clocks, _) = self.sample(count);
        black_box(clocks);
    }

    /// Fails if a packet was not forwarded: a drop is cheaper than a packet.
    fn check(&self, packets: u64) {
        let forwarded = self.counters.ip4.packets.get() + self.counters.ip6.packets.get();
        assert_eq!(forwarded - self.established, packets, "dropped: {:?}", self.counters.drops);
    }
}

/// Measures cases, sample by sample in turn, so that a machine that gets slower does so for all.
pub(crate) fn measure(cases: &[Case], samples: usize) -> Vec<Result> {
    let mut benches: Vec<_> = cases.iter().map(|&case| (case, Bench::new(case))).collect();
    let hertz = hertz();
    let mut results: Vec<_> = cases
        .iter()
        .map(|&case| Result {
            case,
            clocks: vec![],
            hertz,
            allocations: 0,
            packets: 0,
            lookup: vec![],
            instructions: None,
        })
        .collect();
    for (_, bench) in &mut benches {
        bench.sample(BATCHES / 4);
    }
    for _ in 0..samples {
        for ((_, bench), result) in benches.iter_mut().zip(&mut results) {
            let (clocks, allocations) = bench.sample(BATCHES);
            let packets = BATCHES * BATCH as u64;
            result.clocks.push(clocks as f64 / packets as f64);
            result.lookup.push(bench.lookup(BATCHES));
            result.allocations += allocations;
            result.packets += packets;
        }
    }
    for ((_, bench), result) in benches.iter().zip(&results) {
        bench.check(result.packets + BATCHES / 4 * BATCH as u64);
    }
    results
}

/// The flow memory that is measured.
pub(crate) fn state_config() -> StateConfig {
    StateConfig {
        worker: WorkerId(0),
        workers: 1,
        flows: policy::CAPACITY,
        seed: 0x5eed_5eed_5eed_5eed,
    }
}

/// Makes a template a packet of this flow, checksums included.
pub(crate) fn write_tuple(frame: &mut [u8], tuple: &Tuple<u32>) {
    frame[26..30].copy_from_slice(&tuple.src.to_be_bytes());
    frame[30..34].copy_from_slice(&tuple.dst.to_be_bytes());
    frame[34..36].copy_from_slice(&tuple.ports.src.to_be_bytes());
    frame[36..38].copy_from_slice(&tuple.ports.dst.to_be_bytes());
    ipv4::fill_checksum(&mut frame[14..34]);
}

pub(crate) fn hertz() -> f64 {
    let (wall, start) = (Wall::now(), clock());
    std::thread::sleep(std::time::Duration::from_millis(200));
    (clock() - start) as f64 / wall.elapsed().as_secs_f64()
}

#[cfg(target_arch = "x86_64")]
pub(crate) fn clock() -> u64 {
    // SAFETY: every x86-64 processor has the instruction.
    unsafe { std::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn clock() -> u64 {
    use std::sync::OnceLock;
    static START: OnceLock<Wall> = OnceLock::new();
    START.get_or_init(Wall::now).elapsed().as_nanos() as u64
}
