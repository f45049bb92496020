//! All threads of the gateway, put together, started and stopped in order.
//!
//! Order of the start: the trap thread makes the taps; the manager gives them addresses and reads the
//! kernel's tables; pipelines can forward by them; and the I/O threads open the devices last. The
//! stop is the other way round, so that what is on its way gets out.

use std::collections::HashMap;
use std::io;
use std::num::NonZeroU16;
use std::sync::Arc;

use portcullis_config::{Config, Driver};
use portcullis_dataplane::{
    BATCHES, Bell, Doorbell, EVENT_CAPACITY, FEW_BATCHES, INJECT_CAPACITY, INQUIRIES, IdlePolicy,
    IoConfig, IoCounters, IoJob, IoLinks, IoLoop, OpenPort, PipelineCounters, PipelineJob,
    PipelineLinks, Receiver, Sender, SteeredBy, Stop, WorkerJob, exchange, exchange_on_one_thread,
    mesh, questions, ring, trap_queue,
};
use portcullis_drivers::af_packet::{AfPacket, AfPacketConfig, Member};
use portcullis_drivers::{Port, PortStatus};
use portcullis_manager::{Handle, LinkSockets};
use portcullis_os::cpus::{CpuId, CpuSet};
use portcullis_os::links::{Link, LinkError, Links};
use portcullis_os::netns::{self, NetnsError, NetnsHandle, run_in};
use portcullis_os::placement::{Pairing, Plan};
use portcullis_os::privileges::Privileges;
use portcullis_os::tap::{TapError, TapName};
use portcullis_os::threads::{
    Job, JoinError, NamespaceChoice, Role, StartError, SystemThreads, ThreadEnd, ThreadHandle,
    ThreadName, ThreadNameError, ThreadSpec, Threads,
};
use portcullis_packet::{IfIndex, Mac, Packet, TxOffload};
use portcullis_pipeline::{Event, WorkerCounters, WorkerLimits};
use portcullis_policy::Policy;
use portcullis_tables::{FibError, Publisher};
use portcullis_trap::{TapSpec, TrapConfig, TrapCounters, TrapJob};

use crate::counters::{Counters, WorkerSet};
use crate::dpdk::{self, DpdkError};
use crate::inspect::{Inspector, Line};
use crate::manager_job::ManagerJob;
use crate::{policy, running, tables};

/// Why the threads could not be put together.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AssembleError {
    #[error(transparent)]
    Namespace(#[from] NetnsError),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(transparent)]
    Tap(#[from] TapError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Name(#[from] ThreadNameError),
    #[error("forwarding tables: {0}")]
    Tables(#[from] FibError),
    #[error(transparent)]
    Join(#[from] JoinError),
    #[error("{interfaces} interfaces, and an I/O thread serves {most} at most")]
    TooManyInterfaces { interfaces: usize, most: usize },
    #[error(
        "device `{0}` has no MAC address of six bytes: only Ethernet devices can be interfaces"
    )]
    NotEthernet(String),
    #[error(transparent)]
    Dpdk(#[from] DpdkError),
    #[error("the vpc-manager started without saying how to reach it")]
    NoManager,
    #[error("doorbells: {0}")]
    Doorbell(#[from] io::Error),
}

/// A gateway whose threads run.
pub(crate) struct Assembly {
    pub(crate) counters: Counters,
    pub(crate) manager: Handle,
    /// What the first packets are judged by.
    pub(crate) policy: Arc<Policy>,
    /// What hashes and ports are drawn with.
    pub(crate) seed: u64,
    /// To be taken by who answers questions.
    pub(crate) inspector: Option<Inspector>,
    /// What I/O threads and the trap thread steer by, to be taken likewise.
    pub(crate) steering: Option<Publisher<SteeredBy>>,
    /// What the pipelines have for the log, to be taken as well.
    pub(crate) events: Vec<Receiver<Event>>,
    /// Names of the namespaces, by inode.
    pub(crate) namespaces: HashMap<u64, String>,
    /// In the order in which they were started.
    threads: Vec<ThreadHandle>,
    /// What some ports are of; ends last.
    dpdk: Option<dpdk::Running>,
    /// Ends the I/O threads, and with them the pipelines.
    stop_workers: Stop,
    /// Ends the trap thread.
    stop_trap: Stop,
    bells: Vec<Bell>,
    trap_bell: Bell,
}

/// The device of each interface.
pub(crate) struct Device {
    /// The kernel's name of it, if it knows it.
    pub(crate) kernel: Option<String>,
    pub(crate) mac: Mac,
    /// What it finishes itself.
    pub(crate) offload: TxOffload,
}

impl Assembly {
    /// Starts all threads. `observer` is told of each that ends.
    pub(crate) fn start(
        config: &Config,
        plan: &Plan,
        observer: impl Fn(ThreadEnd) + Send + Sync + 'static,
    ) -> Result<Self, AssembleError> {
        let interfaces = config.interfaces();
        if interfaces.len() > IoLoop::MAX_PORTS {
            let (interfaces, most) = (interfaces.len(), IoLoop::MAX_PORTS);
            return Err(AssembleError::TooManyInterfaces { interfaces, most });
        }
        let link = netns::open(config.gateway().link_namespace.as_str())?;
        let vpc = netns::open(config.gateway().vpc_namespace.as_str())?;
        // Handles are not kept: no thread of this process is to enter another namespace any more.
        let namespaces = HashMap::from([
            (NetnsHandle::current()?.inode(), "host".to_owned()),
            (link.inode(), link.name().to_owned()),
            (vpc.inode(), vpc.name().to_owned()),
        ]);
        let threads = dpdk::threads(config, SystemThreads::new(observer));
        let mut starter = Starter { threads: &*threads, started: vec![] };
        let statuses: Vec<Vec<Arc<PortStatus>>> = plan
            .workers
            .iter()
            .map(|_| interfaces.iter().map(|_| Arc::default()).collect())
            .collect();
        let housekeeping = &plan.housekeeping;
        let in_link = NamespaceChoice::At(link.clone());
        // The others are to be known to it.
        let mut dpdk = dpdk::start(config, housekeeping, &statuses, |job, keeps| {
            let name = "pc-dpdk".to_owned();
            starter.start((Role::Dpdk, keeps), name, housekeeping, in_link.clone(), job)
        })?;
        let devices = devices(config, &link, dpdk.as_ref())?;
        let (manager_bell, trap_doorbell) = (Doorbell::new()?, Doorbell::new()?);
        let trap_bell = trap_doorbell.bell();
        let (punts, receiver) = trap_queue(trap_doorbell);
        let (asker, asked) = questions(manager_bell);
        let (stop_workers, stop_trap) = (Stop::new(), Stop::new());

        let mut tables = tables::Tables::new(config, &devices)?;
        let workers = u16::try_from(plan.workers.len()).unwrap_or(u16::MAX);
        let seed = seed()?;
        let policy = Arc::new(policy::compile(config, 1, workers, seed));
        tables.judge_by(Arc::clone(&policy));
        // Nobody sleeps on it: who waits for an answer looks for it.
        let control_doorbell = Doorbell::new()?;
        let mut pairs = Vec::new();
        let mut lanes = Vec::new();
        let mut inspection = Vec::new();
        let mut events = Vec::new();
        let mut bells = Vec::new();
        let mut sets = Vec::new();
        for (place, ports) in plan.workers.iter().zip(statuses) {
            let (io, pipeline) = match place.pairing {
                Pairing::OneThread => exchange_on_one_thread()?,
                Pairing::Siblings | Pairing::Cores if dpdk.is_some() => exchange(FEW_BATCHES)?,
                Pairing::Siblings | Pairing::Cores | Pairing::OneCpu => exchange(BATCHES)?,
            };
            let (lane, injected): (Sender<Packet>, _) = ring(INJECT_CAPACITY, pipeline.doorbell());
            bells.push(pipeline.doorbell().bell());
            bells.push(io.doorbell().bell());
            lanes.push(lane);
            let (inquirer, inquiries) = ring(INQUIRIES, pipeline.doorbell());
            let (answers, answered) = ring(INQUIRIES, &control_doorbell);
            let (reporter, reports) = ring(EVENT_CAPACITY, &control_doorbell);
            inspection.push(Line::new(inquirer, answered));
            events.push(reports);
            let links = PipelineLinks {
                end: pipeline,
                snapshots: tables.subscribe(),
                injected,
                punts: punts.clone(),
                questions: asker.clone(),
                inquiries,
                answers,
                events: reporter,
            };
            pairs.push((place, io, links));
            sets.push(WorkerSet {
                pipeline: Arc::new(WorkerCounters::default()),
                pipeline_loop: Arc::new(PipelineCounters::default()),
                io_loop: Arc::new(IoCounters::default()),
                ports,
            });
        }
        let meshed = mesh(pairs.iter().map(|(_, io, _)| io.doorbell()));
        let mut steering = Publisher::new(running::steered_by(&policy));
        let counters = Counters {
            interfaces: interfaces.iter().map(|i| i.name.to_string()).collect(),
            workers: sets,
            trap: Arc::new(TrapCounters::new(interfaces.len())),
        };

        let trap = TrapJob::new(TrapConfig {
            taps: taps(config, &devices)?,
            punts: receiver,
            lanes,
            steering: steering.subscribe(),
            counters: Arc::clone(&counters.trap),
            stop: stop_trap.clone(),
        });
        let in_vpc = NamespaceChoice::At(vpc);
        let own = |role: Role| (role, role.privileges());
        starter.start(own(Role::Trap), "pc-trap".to_owned(), housekeeping, in_vpc.clone(), trap)?;

        let foreign = dpdk.as_mut().and_then(dpdk::Running::take_devices);
        let sockets = run_in(&link, LinkSockets::open)??;
        let sleepers = bells.clone();
        let wake = move || sleepers.iter().for_each(Bell::ring);
        let (job, manager) = ManagerJob::new(tables.into_setup(sockets, foreign, asked)?, wake);
        starter.start(own(Role::Manager), "pc-vpc".to_owned(), housekeeping, in_vpc, job)?;
        let manager = manager.recv().map_err(|_| AssembleError::NoManager)?;

        let cuts = devices.iter().any(|device| !device.offload.tcp_segmentation);
        let limits = if cuts { WorkerLimits::CUTTING } else { WorkerLimits::default() };
        let mut members: Vec<_> = devices.iter().map(|_| fanout(plan.workers.len())).collect();
        for (number, (((place, end, links), mesh), set)) in
            pairs.into_iter().zip(meshed).zip(&counters.workers).enumerate()
        {
            let idle = match (place.shared, &dpdk) {
                (true, _) => IdlePolicy::SHARED,
                (false, Some(_)) => IdlePolicy::POLLING,
                (false, None) => IdlePolicy::DEDICATED,
            };
            let pipeline = PipelineJob::new(
                limits,
                idle,
                links,
                policy
                    .is_stateful()
                    .then(|| running::state_config(workers, number as u16, policy.flows, seed)),
                Arc::clone(&set.pipeline),
                Arc::clone(&set.pipeline_loop),
            );
            let ports = open_ports(&devices, set, &mut members, (number, dpdk.as_ref()));
            let io_config = IoConfig { idle, ..IoConfig::default() };
            let links = IoLinks { end, mesh, steering: steering.subscribe() };
            let io_loop = Arc::clone(&set.io_loop);
            let io = IoJob::new(io_config, ports, links, stop_workers.clone(), io_loop);
            let link = in_link.clone();
            if place.pairing == Pairing::OneThread {
                let name = format!("pc-worker-{number}");
                let both = WorkerJob::new(io, pipeline);
                starter.start(own(Role::Worker), name, &one(place.pipeline), link, both)?;
            } else {
                let name = format!("pc-pipe-{number}");
                let private = NamespaceChoice::Private;
                starter.start(
                    own(Role::Pipeline),
                    name,
                    &one(place.pipeline),
                    private,
                    pipeline,
                )?;
                let name = format!("pc-io-{number}");
                let role = (Role::Io, io_privileges(config));
                starter.start(role, name, &one(place.io), link, io)?;
            }
        }
        let threads = starter.started;
        Ok(Self {
            counters,
            manager,
            policy,
            seed,
            inspector: Some(Inspector::new(inspection)),
            steering: Some(steering),
            events,
            namespaces,
            threads,
            dpdk,
            stop_workers,
            stop_trap,
            bells,
            trap_bell,
        })
    }

    /// Ends all threads, those that packets come from first.
    pub(crate) fn stop(self) -> Result<(), AssembleError> {
        let (workers, others): (Vec<_>, Vec<_>) = self
            .threads
            .into_iter()
            .partition(|thread| matches!(thread.role, Role::Io | Role::Pipeline | Role::Worker));
        let (last, others): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|thread| thread.role == Role::Dpdk);
        self.stop_workers.set();
        self.bells.iter().for_each(Bell::ring);
        let mut ended = Ok(());
        for thread in workers {
            ended = ended.and(thread.join());
        }
        self.manager.stop();
        self.stop_trap.set();
        self.trap_bell.ring();
        for thread in others {
            ended = ended.and(thread.join());
        }
        // Nobody has a buffer of its memory any more.
        if let Some(dpdk) = &self.dpdk {
            dpdk.stop();
        }
        for thread in last {
            ended = ended.and(thread.join());
        }
        Ok(ended?)
    }
}

/// A number that nobody can know.
fn seed() -> io::Result<u64> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(u64::from_ne_bytes(bytes))
}

struct Starter<'s> {
    threads: &'s dyn Threads,
    started: Vec<ThreadHandle>,
}

impl Starter<'_> {
    fn start(
        &mut self,
        (role, privileges): (Role, Privileges),
        name: String,
        cpus: &CpuSet,
        namespace: NamespaceChoice,
        job: impl Job + 'static,
    ) -> Result<(), AssembleError> {
        let spec = ThreadSpec {
            role,
            name: ThreadName::new(name)?,
            cpus: cpus.clone(),
            namespace,
            privileges,
        };
        self.started.push(self.threads.start(spec, Box::new(job))?);
        Ok(())
    }
}

fn one(cpu: CpuId) -> CpuSet {
    CpuSet::single(cpu)
}

/// What an I/O thread keeps: packet sockets are opened anew when their device came back; DPDK's devices are opened
/// by another thread.
fn io_privileges(config: &Config) -> Privileges {
    let mut drivers = config.interfaces().iter().map(|interface| interface.driver);
    if drivers.any(|driver| driver == Driver::AfPacket) {
        Role::Io.privileges()
    } else {
        Privileges::NONE
    }
}

fn devices(
    config: &Config,
    link: &NetnsHandle,
    dpdk: Option<&dpdk::Running>,
) -> Result<Vec<Device>, AssembleError> {
    let mut links = Links::open_in(link)?;
    let mut of_kernel = |name: &str| -> Result<Mac, AssembleError> {
        let Link { mac, .. } = links.find(name)?;
        let mac = mac.ok_or_else(|| AssembleError::NotEthernet(name.to_owned()))?;
        Ok(Mac(mac.0))
    };
    let device = |(slot, interface): (usize, &portcullis_config::Interface)| {
        let kernel = interface.device.kernel().map(|name| name.as_str().to_owned());
        let other = dpdk.and_then(|dpdk| dpdk.device(IfIndex(slot as u16)));
        // Packet sockets leave all to the kernel, which does what the device does not.
        let offload = other.map_or(TxOffload::ALL, |(_, offload)| offload);
        let mac = match (&kernel, other) {
            (Some(name), _) => of_kernel(name)?,
            (None, Some((mac, _))) => mac,
            (None, None) => Mac::default(),
        };
        Ok(Device { kernel, mac, offload })
    };
    config.interfaces().iter().enumerate().map(device).collect()
}

fn taps(config: &Config, devices: &[Device]) -> Result<Vec<TapSpec>, AssembleError> {
    let interfaces = config.interfaces().iter().zip(devices).enumerate();
    let tap = |(slot, (interface, device)): (usize, (&portcullis_config::Interface, &Device))| {
        Ok(TapSpec {
            interface: IfIndex(slot as u16),
            name: TapName::new(interface.name.as_str())?,
            mac: device.mac,
            mtu: interface.mtu.get(),
        })
    };
    interfaces.map(tap).collect()
}

/// The places of one device's ports.
fn fanout(workers: usize) -> impl Iterator<Item = Member> {
    let workers = u16::try_from(workers).ok().and_then(NonZeroU16::new).unwrap_or(NonZeroU16::MIN);
    Member::group_of(workers)
}

/// One port of each device, to be opened on its thread.
fn open_ports(
    devices: &[Device],
    set: &WorkerSet,
    members: &mut [impl Iterator<Item = Member>],
    (worker, dpdk): (usize, Option<&dpdk::Running>),
) -> Vec<OpenPort> {
    let mut ports: Vec<OpenPort> = Vec::new();
    for (slot, ((device, status), group)) in devices.iter().zip(&set.ports).zip(members).enumerate()
    {
        let interface = IfIndex(slot as u16);
        if let Some(port) = dpdk.and_then(|dpdk| dpdk.port(worker, interface, status)) {
            ports.push(Box::new(move || Ok(port)));
            continue;
        }
        let (Some(member), Some(name)) = (group.next(), &device.kernel) else { continue };
        let config = AfPacketConfig::new(interface, name);
        let status = Arc::clone(status);
        ports.push(Box::new(move || {
            let port = AfPacket::open(config, member, status)?;
            Ok(Box::new(port) as Box<dyn Port>)
        }));
    }
    ports
}
