//! One worker, running: two ports, a table with a neighbour behind each, and what else its threads
//! are connected to.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::JoinHandle;

use etherparse::PacketBuilder;
use portcullis_dataplane::{
    Bell, Doorbell, FEW_BATCHES, INJECT_CAPACITY, IdlePolicy, IoConfig, IoCounters, IoLinks,
    IoLoop, PipelineCounters, PipelineLinks, PipelineLoop, Questions, Sender, Stop, TrapReceiver,
    exchange, exchange_on_one_thread, questions, ring, trap_queue,
};
use portcullis_drivers::Port;
use portcullis_packet::{IfIndex, Mac, NextHopId, Packet, TxOffload, VrfId};
use portcullis_pipeline::{Worker, WorkerCounters, WorkerLimits};
use portcullis_routing::{Adjacency, Interface, NextHop, NextHops, Snapshot, UsedMarks, Vrf};
use portcullis_tables::{FibWriter4, FibWriter6, NeighborTable, Publisher};

use crate::allocations::count_in;

pub(crate) const LAN: IfIndex = IfIndex(0);
pub(crate) const WAN: IfIndex = IfIndex(1);
pub(crate) const LAN_MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
pub(crate) const WAN_MAC: Mac = Mac([2, 0, 0, 0, 0, 2]);
pub(crate) const LAN_HOST_MAC: Mac = Mac([2, 0, 0, 0, 1, 1]);
pub(crate) const WAN_HOST_MAC: Mac = Mac([2, 0, 0, 0, 1, 2]);
pub(crate) const LAN_HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
pub(crate) const WAN_HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
pub(crate) const LAN_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const WAN_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// How many threads a worker has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Threads {
    One,
    Two,
}

/// A running worker. Stops when dropped.
pub(crate) struct Gateway {
    pub(crate) publisher: Publisher<Snapshot>,
    pub(crate) punts: TrapReceiver,
    pub(crate) questions: Questions,
    pub(crate) inject: Sender<Packet>,
    pipeline_bell: Bell,
    pub(crate) worker: Arc<WorkerCounters>,
    pub(crate) io: Arc<IoCounters>,
    pub(crate) pipeline: Arc<PipelineCounters>,
    /// What its threads have allocated since they began to work.
    pub(crate) allocations: &'static AtomicU64,
    io_bell: Bell,
    stop: Stop,
    threads: Vec<JoinHandle<()>>,
    _tables: (FibWriter4, FibWriter6),
}

impl Gateway {
    /// Starts with these ports for [`LAN`] and [`WAN`]. The hosts' link-layer addresses are known
    /// if `neighbors` says so.
    pub(crate) fn start(threads: Threads, ports: Vec<Box<dyn Port>>, neighbors: bool) -> Self {
        let (mut fib4, fib6) =
            (FibWriter4::new().expect("a table"), FibWriter6::new().expect("a table"));
        let snapshot = tables(&mut fib4, &fib6, neighbors);
        let mut publisher = Publisher::new(snapshot);
        let (io_end, pipeline_end) = match threads {
            Threads::One => exchange_on_one_thread().expect("a doorbell"),
            Threads::Two => exchange(FEW_BATCHES).expect("doorbells"),
        };
        let doorbell = || Doorbell::new().expect("a doorbell");
        let (punt_sender, punts) = trap_queue(doorbell());
        let (asker, questions) = questions(doorbell());
        let (inject, injected) = ring(INJECT_CAPACITY, pipeline_end.doorbell());
        let (pipeline_bell, io_bell) = (pipeline_end.doorbell().bell(), io_end.doorbell().bell());
        let (worker, io, pipeline) = (
            Arc::new(WorkerCounters::default()),
            Arc::new(IoCounters::default()),
            Arc::new(PipelineCounters::default()),
        );
        let stop = Stop::new();
        let config =
            IoConfig { small_buffers: 2048, large_buffers: 128, idle: IdlePolicy::DEDICATED };
        let io_loop =
            IoLoop::new(config, ports, IoLinks::alone(io_end), stop.clone(), Arc::clone(&io));
        let (_, inquiries) = ring(1, pipeline_end.doorbell());
        let (answers, _) = ring(1, pipeline_end.doorbell());
        let (events, _) = ring(1, pipeline_end.doorbell());
        let links = PipelineLinks {
            inquiries,
            answers,
            events,
            end: pipeline_end,
            snapshots: publisher.subscribe(),
            injected,
            punts: punt_sender,
            questions: asker,
        };
        let pipeline_loop = PipelineLoop::new(
            links,
            Worker::new(Arc::clone(&worker), WorkerLimits::default()),
            Arc::clone(&worker),
            Arc::clone(&pipeline),
            IdlePolicy::DEDICATED,
        );
        let allocations: &AtomicU64 = Box::leak(Box::default());
        let counted = |work: Box<dyn FnOnce() + Send>| {
            std::thread::spawn(move || {
                count_in(allocations);
                work();
            })
        };
        let threads = match threads {
            Threads::One => {
                vec![counted(Box::new(move || io_loop.run_to_completion(pipeline_loop)))]
            }
            Threads::Two => vec![
                counted(Box::new(move || io_loop.run())),
                counted(Box::new(move || pipeline_loop.run())),
            ],
        };
        Self {
            publisher,
            punts,
            questions,
            inject,
            pipeline_bell,
            worker,
            io,
            pipeline,
            allocations,
            io_bell,
            stop,
            threads,
            _tables: (fib4, fib6),
        }
    }

    /// Learns both hosts' link-layer addresses.
    pub(crate) fn learn_neighbors(&mut self) {
        let snapshot = Snapshot {
            neighbors: neighbors(),
            next_hops: next_hops(),
            ..self.publisher.current().clone()
        };
        self.publisher.publish(snapshot);
        self.pipeline_bell.ring();
    }

    /// Asks both threads to stop, and waits until they have.
    pub(crate) fn stop(&mut self) {
        self.stop.set();
        self.io_bell.ring();
        for thread in self.threads.drain(..) {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop();
        }
    }
}

fn tables(fib4: &mut FibWriter4, fib6: &FibWriter6, known: bool) -> Snapshot {
    for (prefix, id) in [
        ("10.0.0.0/24", NextHopId(1)),
        ("192.0.2.0/24", NextHopId(2)),
        ("10.0.0.1/32", NextHopId(3)),
        ("192.0.2.1/32", NextHopId(3)),
    ] {
        let prefix = prefix.parse().expect("a prefix");
        fib4.insert(prefix, id).map(drop).expect("room for a route");
    }
    Snapshot {
        interfaces: vec![
            interface("lan", LAN_MAC, LAN_ADDRESS),
            interface("wan", WAN_MAC, WAN_ADDRESS),
        ],
        vrfs: vec![Vrf { fib4: fib4.reader(), fib6: fib6.reader() }],
        next_hops: next_hops(),
        neighbors: if known { neighbors() } else { NeighborTable::new(1) },
        hash_seed: 1,
        policy: Arc::default(),
    }
}

fn next_hops() -> NextHops {
    let hops = vec![
        NextHop::NoRoute,
        NextHop::Attached { interface: LAN },
        NextHop::Attached { interface: WAN },
        NextHop::Local,
        NextHop::Forward(Adjacency::new(LAN, 1500, LAN_HOST_MAC, LAN_MAC)),
        NextHop::Forward(Adjacency::new(WAN, 1500, WAN_HOST_MAC, WAN_MAC)),
    ];
    let used = UsedMarks::new(hops.len());
    NextHops::new(hops, vec![], used)
}

fn neighbors() -> NeighborTable {
    let mut table = NeighborTable::new(1);
    table.insert(LAN, IpAddr::V4(LAN_HOST), NextHopId(4));
    table.insert(WAN, IpAddr::V4(WAN_HOST), NextHopId(5));
    table
}

fn interface(name: &str, mac: Mac, address: Ipv4Addr) -> Interface {
    Interface {
        name: name.into(),
        mac,
        mtu: 1500,
        vrf: VrfId::DEFAULT,
        admin_up: true,
        carrier: true,
        addresses4: vec![format!("{address}/24").parse().expect("a network")],
        addresses6: vec![],
        offload: TxOffload::ALL,
    }
}

/// A datagram from the host in the LAN to `to`, as it comes in by the LAN.
pub(crate) fn datagram(to: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2(LAN_HOST_MAC.0, LAN_MAC.0)
        .ipv4(LAN_HOST.octets(), to.octets(), 64)
        .udp(4000, 4001)
        .write(&mut bytes, payload)
        .expect("a datagram");
    bytes
}
