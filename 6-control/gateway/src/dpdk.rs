//! The thread `pc-dpdk`: it starts DPDK, brings its devices up, looks after them while the gateway runs, and gives
//! all of it back at the end.
//!
//! DPDK is started on it with the few rights that drivers need, because the threads that DPDK starts for itself inherit them. Devices are looked for
//! in `link`, where it runs.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, channel, sync_channel};
use std::time::{Duration, Instant};

use portcullis_config::{Config, Device as ConfiguredDevice, DeviceArguments, Interface};
use portcullis_dataplane::Stop;
use portcullis_dpdk::{
    BufferPool, Device, DeviceError, DeviceSetup, DpdkThreads, Eal, EalConfig, EalError,
    LINK_LAYER, Mailbox, Memory, PciDevice, PoolError, SlotPort, listening, quietly,
    remove_stale_socket,
};
use portcullis_drivers::{Port, PortState, PortStatus};
use portcullis_manager::{DeviceChange, DeviceReport, DeviceReports, ForeignDevices};
use portcullis_os::cpus::CpuSet;
use portcullis_os::links::{LinkIndex, Links};
use portcullis_os::privileges::Privileges;
use portcullis_os::threads::{Job, JobError, Role, SystemThreads, Threads};
use portcullis_packet::{HEADROOM, IfIndex, Mac, TxOffload};
use tracing::{error, info, warn};

/// How often devices are looked at.
const LOOK: Duration = Duration::from_millis(100);

/// How often it is tried to get a device that is not there.
const RETRY: Duration = Duration::from_secs(1);

/// How long threads may take to let go of a device before that is said.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long devices may take to be given back.
const LONGEST_END: Duration = Duration::from_secs(5);

/// Frames that each queue of a device holds.
const DESCRIPTORS: u16 = 1024;

/// Buffers that may be elsewhere, per worker: in its batches, waiting for neighbours, in caches.
const IN_FLIGHT: u32 = 4096;

/// Why there is no DPDK.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DpdkError {
    #[error(transparent)]
    Eal(#[from] EalError),
    #[error("DPDK's thread ended before it was ready")]
    Gone,
}

/// Why a device is not there.
#[derive(Debug, thiserror::Error)]
enum PlaceError {
    #[error(transparent)]
    Device(#[from] DeviceError),
    #[error(transparent)]
    Pool(#[from] PoolError),
    #[error("there is no device \"{0}\" in the link namespace")]
    NoDevice(String),
    #[error("{} is there already, and not this gateway's to replace", .0.display())]
    Taken(PathBuf),
}

/// DPDK, running, and what the interfaces on it are.
pub(crate) struct Running {
    found: HashMap<IfIndex, Found>,
    devices: Option<ForeignDevices>,
    stop: Stop,
    /// Closed when the thread is through.
    ended: Receiver<()>,
}

/// However the gateway ends, also while it starts, devices are given back.
impl Drop for Running {
    fn drop(&mut self) {
        self.stop.set();
        let _through = self.ended.recv_timeout(LONGEST_END);
    }
}

/// An interface on DPDK, as others need it.
struct Found {
    mac: Mac,
    offload: TxOffload,
    /// By worker.
    mailboxes: Vec<Mailbox>,
}

impl Running {
    /// The address of an interface, and what its device finishes itself; `None` if it is not on DPDK.
    pub(crate) fn device(&self, interface: IfIndex) -> Option<(Mac, TxOffload)> {
        self.found.get(&interface).map(|found| (found.mac, found.offload))
    }

    /// A worker's port of an interface, counted in `status`; `None` if it is not on DPDK.
    pub(crate) fn port(
        &self,
        worker: usize,
        interface: IfIndex,
        status: &Arc<PortStatus>,
    ) -> Option<Box<dyn Port>> {
        let found = self.found.get(&interface)?;
        let mailbox = found.mailboxes.get(worker)?.clone();
        Some(Box::new(SlotPort::new(interface, Arc::clone(status), found.offload, mailbox)))
    }

    /// Those devices that no kernel knows, for the manager.
    pub(crate) fn take_devices(&mut self) -> Option<ForeignDevices> {
        self.devices.take()
    }

    /// Ends it. Its thread is to be joined then.
    pub(crate) fn stop(&self) {
        self.stop.set();
    }
}

/// What starts threads: if any interface is on DPDK, they are made known to it.
pub(crate) fn threads(config: &Config, system: SystemThreads) -> Box<dyn Threads> {
    if config.uses_dpdk() { Box::new(DpdkThreads::new(system)) } else { Box::new(system) }
}

/// Starts DPDK if any interface is on it, by `start`, which is given the job and what its thread keeps. Ports
/// are counted in `statuses`, by worker and interface.
pub(crate) fn start<E: From<DpdkError>>(
    config: &Config,
    cpus: &CpuSet,
    statuses: &[Vec<Arc<PortStatus>>],
    start: impl FnOnce(DpdkJob, Privileges) -> Result<(), E>,
) -> Result<Option<Running>, E> {
    if !config.uses_dpdk() {
        return Ok(None);
    }
    let stop = Stop::new();
    let (orders, wishes) = channel();
    let tell = move |interface, change| {
        // It is gone when the gateway stops.
        let _ = orders.send((interface, change));
    };
    let (devices, reports) = ForeignDevices::new(tell);
    let (through, ended) = sync_channel(0);
    let end = (stop.clone(), through);
    let (job, ready) = DpdkJob::new(config, cpus, statuses, (wishes, reports), end);
    start(job, privileges(config))?;
    let found = ready.recv().map_err(|_| DpdkError::Gone)??;
    Ok(Some(Running { found: found.into_iter().collect(), devices: Some(devices), stop, ended }))
}

/// What a thread for these devices keeps: what their drivers do needs it.
fn privileges(config: &Config) -> Privileges {
    let mut keeps = Privileges::NONE;
    for device in config.interfaces().iter().map(|interface| &interface.device) {
        let ConfiguredDevice::Dpdk(arguments) = device else { continue };
        let is = |driver: &str| arguments.name().starts_with(driver);
        keeps = keeps.with(if arguments.is_pci() {
            // vfio pins memory for the device. Who works beside a driver of the kernel's (mlx5) asks that for what it does.
            let driver = PciDevice::find(arguments.name()).and_then(|device| device.driver());
            let own = driver.is_none_or(|driver| driver == "vfio-pci");
            let more = if own { Privileges::NONE } else { Role::Dpdk.privileges() };
            Privileges::IPC_LOCK.with(more)
        } else if NEED_NOTHING.into_iter().any(is) {
            Privileges::NONE
        } else if is("net_af_packet") {
            // It locks its rings.
            Role::Dpdk.privileges().with(Privileges::IPC_LOCK)
        } else if is("net_af_xdp") {
            // It loads a program, asks the kernel for it by its number (BPF_PROG_GET_FD_BY_ID, which CAP_BPF
            // does not allow), and pins the memory that it shares with the kernel.
            Role::Dpdk.privileges().with(Privileges::SYS_ADMIN).with(Privileges::IPC_LOCK)
        } else {
            Role::Dpdk.privileges()
        });
    }
    keeps
}

/// Drivers of devices that are memory and sockets in the file system.
const NEED_NOTHING: [&str; 4] = ["net_memif", "net_null", "net_ring", "net_vhost"];

/// A device that an interface is on, there or not.
struct Place {
    interface: IfIndex,
    name: String,
    devargs: String,
    /// The kernel's device below it, if there is one.
    kernel: Option<KernelDevice>,
    /// The socket that the device makes in the file system, if it does.
    socket: Option<Socket>,
    /// Whether it is at an end when its peer is: net_memif, as client, does not connect again.
    needs_peer: bool,
    setup: DeviceSetup,
    /// Bytes that a buffer for its frames should have.
    room: u16,
    /// Of each worker.
    statuses: Vec<Arc<PortStatus>>,
    mailboxes: Vec<Mailbox>,
    device: Option<Device>,
    state: PortState,
    /// What was last reported to the manager, if it is not told by a kernel.
    reported: Option<DeviceReport>,
    reports: Option<DeviceReports>,
    retry_at: Instant,
    /// When it is said that a thread does not let go of a device that is lost.
    complain_at: Option<Instant>,
}

/// A device of the kernel's that is below one of DPDK's, or the other end of it.
struct KernelDevice {
    name: String,
    /// Its number when it was taken into use; 0 before.
    index: LinkIndex,
    /// Whether DPDK makes it.
    is_made: bool,
}

/// A socket in the file system.
struct Socket {
    path: PathBuf,
    /// Whether the driver removes whatever has its place.
    replaces: bool,
}

/// The work of `pc-dpdk`.
pub(crate) struct DpdkJob {
    eal: EalConfig,
    /// The kernel's devices in `link`.
    links: Option<Links>,
    places: Vec<Place>,
    ready: SyncSender<Result<Vec<(IfIndex, Found)>, DpdkError>>,
    wishes: Receiver<(IfIndex, DeviceChange)>,
    stop: Stop,
    /// Dropped at the end.
    _through: SyncSender<()>,
}

/// What `pc-dpdk` says when it is up: the interfaces that it has.
type Ready = Receiver<Result<Vec<(IfIndex, Found)>, DpdkError>>;

impl DpdkJob {
    /// A job for all interfaces of a configuration that are on DPDK, whose ports are counted in `statuses`, by
    /// worker and interface.
    fn new(
        config: &Config,
        cpus: &CpuSet,
        statuses: &[Vec<Arc<PortStatus>>],
        (wishes, reports): (Receiver<(IfIndex, DeviceChange)>, DeviceReports),
        (stop, through): (Stop, SyncSender<()>),
    ) -> (Self, Ready) {
        let workers = u16::try_from(statuses.len()).unwrap_or(u16::MAX);
        let place = |(slot, interface): (usize, &Interface)| {
            let ConfiguredDevice::Dpdk(arguments) = &interface.device else { return None };
            Some(Place {
                interface: IfIndex(slot as u16),
                name: interface.name.to_string(),
                devargs: arguments.for_dpdk(interface.mtu),
                kernel: kernel_device(&interface.device, arguments),
                socket: socket(arguments),
                needs_peer: needs_peer(arguments),
                setup: DeviceSetup {
                    workers,
                    mtu: interface.mtu.get(),
                    rx_descriptors: DESCRIPTORS,
                    tx_descriptors: DESCRIPTORS,
                },
                // DPDK asks of net_af_packet that each of its slots fits into a buffer.
                room: room(arguments, interface.mtu.get())
                    .max(whole_room(arguments.slot(interface.mtu))),
                statuses: statuses.iter().filter_map(|of| of.get(slot).cloned()).collect(),
                mailboxes: statuses.iter().map(|_| Mailbox::default()).collect(),
                device: None,
                state: PortState::Gone,
                reported: None,
                reports: interface.device.kernel().is_none().then(|| reports.clone()),
                retry_at: Instant::now(),
                complain_at: None,
            })
        };
        let places: Vec<_> = config.interfaces().iter().enumerate().filter_map(place).collect();
        let eal = EalConfig {
            name: format!("portcullis-{}", config.gateway().name),
            memory: config.dpdk().memory,
            huge_pages: config.dpdk().hugepages,
            cpus: cpus.clone(),
            pci: config.interfaces().iter().any(|interface| interface.device.is_pci()),
            arguments: config.dpdk().eal_arguments.clone(),
        };
        let (ready, receiver) = sync_channel(1);
        (Self { eal, links: None, places, ready, wishes, stop, _through: through }, receiver)
    }

    fn bring_up(&mut self) -> Result<Pools, DpdkError> {
        let eal = Eal::start(&self.eal)?;
        match eal.memory() {
            Memory::Huge => info!("{} in huge pages", Eal::version()),
            Memory::Ordinary { .. } if self.eal.huge_pages == Some(false) => {
                info!("{} in ordinary pages", Eal::version());
            }
            Memory::Ordinary { free } => warn!(
                "{} in ordinary pages, which is slower: {free} MiB of huge pages are free, and {} are wanted",
                Eal::version(),
                self.eal.memory
            ),
        }
        let mut pools = self.pools();
        for place in &mut self.places {
            let (opened, heard) = listening(|| place.open(&mut pools, &mut self.links));
            if let Err(error) = opened {
                place.show_problem(Some(said(&error, heard)));
                error!("interface {}: {error}; it is tried again every second", place.name);
            }
        }
        Ok(pools)
    }

    /// Buffers for all that devices and workers may hold at a time.
    fn pools(&self) -> Pools {
        let workers = self.places.first().map_or(1, |place| u32::from(place.setup.workers));
        let devices = self.places.len() as u32;
        let held = workers * (devices * 2 * u32::from(DESCRIPTORS) + IN_FLIGHT);
        let frame = self.places.iter().map(|place| place.room).max().unwrap_or(0);
        // A ring holds a power of two less one.
        let buffers = held.next_power_of_two() - 1;
        Pools { buffers, frame, by_node: Vec::new() }
    }

    /// Does what the manager wishes.
    fn change(&mut self, interface: IfIndex, change: DeviceChange) {
        if let Some(place) = self.places.iter_mut().find(|place| place.interface == interface) {
            place.change(change);
        }
    }

    fn found(&self) -> Vec<(IfIndex, Found)> {
        let found = |place: &Place| {
            let info = place.device.as_ref().map(Device::info);
            let seen = place.device.as_ref().and_then(Device::seen);
            let found = Found {
                mac: seen.map_or_else(|| made_up(&place.name), PortStatus::mac),
                offload: info.map_or(TxOffload::NONE, |info| info.offload),
                mailboxes: place.mailboxes.clone(),
            };
            (place.interface, found)
        };
        self.places.iter().map(found).collect()
    }
}

impl Job for DpdkJob {
    fn open(&mut self) -> Result<(), JobError> {
        self.links = Some(Links::open()?);
        Ok(())
    }

    fn run(mut self: Box<Self>) {
        let mut pools = match self.bring_up() {
            Ok(up) => up,
            Err(error) => {
                // Who started this waits for it.
                let _ = self.ready.send(Err(error));
                return;
            }
        };
        if self.ready.send(Ok(self.found())).is_ok() {
            while !self.stop.is_set() {
                let now = Instant::now();
                for place in &mut self.places {
                    place.look_after(&mut pools, &mut self.links, now);
                }
                match self.wishes.recv_timeout(LOOK) {
                    Ok((interface, change)) => self.change(interface, change),
                    Err(RecvTimeoutError::Timeout) => {}
                    // The manager is gone: so is the gateway, in a moment.
                    Err(RecvTimeoutError::Disconnected) => std::thread::sleep(LOOK),
                }
            }
        }
        // In this order: devices let go of buffers, buffers of memory.
        self.places.iter().flat_map(|place| &place.mailboxes).for_each(Mailbox::clear);
        self.places.clear();
        drop(pools);
    }
}

/// Bytes of the buffers for frames of an MTU: whole KiB; but net_af_xdp's, with what the kernel puts before a frame
/// (`XDP_PACKET_HEADROOM`), should be no larger than a page.
fn room(arguments: &DeviceArguments, mtu: u16) -> u16 {
    const LINE: u16 = 64;
    const KIB: u16 = 1024;
    const XDP_PACKET_HEADROOM: u16 = 256;
    let frame = mtu.saturating_add(LINK_LAYER);
    let (bytes, unit) = if arguments.name().starts_with("net_af_xdp") {
        (frame.saturating_add(XDP_PACKET_HEADROOM), LINE)
    } else {
        (frame, KIB)
    };
    bytes.checked_next_multiple_of(unit).unwrap_or(MOST_ROOM).clamp(2 * KIB, MOST_ROOM)
}

/// The most that a buffer can have, whose length DPDK counts in 16 bits.
const MOST_ROOM: u16 = (u16::MAX - HEADROOM as u16) / 1024 * 1024;

/// Bytes of a buffer for so many.
fn whole_room(bytes: Option<u32>) -> u16 {
    u16::try_from(bytes.unwrap_or(0)).unwrap_or(u16::MAX).min(MOST_ROOM)
}

/// The socket that net_memif or net_vhost makes, as server, where it is to have a path.
fn socket(arguments: &DeviceArguments) -> Option<Socket> {
    let is = |name, value| arguments.argument(name) == Some(value);
    let (argument, replaces) = if arguments.name().starts_with("net_memif") {
        let makes = is_memif_server(arguments) && is("socket-abstract", "no");
        (arguments.argument("socket").filter(|_| makes), false)
    } else if arguments.name().starts_with("net_vhost") {
        (arguments.argument("iface").filter(|_| !is("client", "1")), true)
    } else {
        (None, false)
    };
    Some(Socket { path: PathBuf::from(argument?), replaces })
}

fn is_memif_server(arguments: &DeviceArguments) -> bool {
    matches!(arguments.argument("role"), Some("server" | "master"))
}

fn needs_peer(arguments: &DeviceArguments) -> bool {
    arguments.name().starts_with("net_memif") && !is_memif_server(arguments)
}

/// The kernel's device that is below it, or that it makes as its other end.
fn kernel_device(device: &ConfiguredDevice, arguments: &DeviceArguments) -> Option<KernelDevice> {
    let below = device.kernel().map(ToString::to_string);
    let is_made = below.is_none();
    let is_tap = arguments.name().starts_with("net_tap");
    let made = || arguments.argument("iface").filter(|_| is_tap).map(str::to_owned);
    Some(KernelDevice { name: below.or_else(made)?, index: LinkIndex(0), is_made })
}

/// Whether a station can have this address.
fn is_of_a_station(mac: Mac) -> bool {
    !mac.is_group() && mac != Mac([0; 6])
}

/// A pool of buffers on each NUMA node that has a device.
struct Pools {
    buffers: u32,
    frame: u16,
    by_node: Vec<(i32, BufferPool)>,
}

impl Pools {
    fn of(&mut self, node: i32) -> Result<BufferPool, PoolError> {
        if let Some((_, pool)) = self.by_node.iter().find(|(of, _)| *of == node) {
            return Ok(pool.clone());
        }
        let pool = BufferPool::new(self.buffers, self.frame, node)?;
        self.by_node.push((node, pool.clone()));
        Ok(pool)
    }
}

impl Place {
    /// Gets the device and leaves its ports for their threads.
    fn open(&mut self, pools: &mut Pools, links: &mut Option<Links>) -> Result<(), PlaceError> {
        if let Some(Socket { path, replaces }) = &self.socket {
            remove_stale_socket(path);
            if *replaces && path.symlink_metadata().is_ok() {
                return Err(PlaceError::Taken(path.clone()));
            }
        }
        if let Some(kernel) = self.kernel.as_mut().filter(|kernel| !kernel.is_made) {
            kernel.look(links);
            if kernel.index == LinkIndex(0) {
                return Err(PlaceError::NoDevice(kernel.name.clone()));
            }
        }
        let mut device = Device::probe(&self.devargs)?;
        let pool = pools.of(device.numa_node())?;
        device.start(self.setup, pool)?;
        if let Some(kernel) = self.kernel.as_mut().filter(|kernel| kernel.is_made) {
            kernel.look(links);
        }
        if !is_of_a_station(device.info().mac) {
            device.set_mac(made_up(&self.name))?;
        }
        for (worker, (status, mailbox)) in (0..).zip(self.statuses.iter().zip(&self.mailboxes)) {
            mailbox.leave(device.port(worker, self.interface, Arc::clone(status))?);
        }
        let info = device.info();
        let mac = device.seen().map_or(info.mac, PortStatus::mac);
        info!(
            "interface {}: {} with {} receive and {} transmit queues, MAC {mac}",
            self.name, info.driver, info.rx_queues, info.tx_queues
        );
        self.state = device.seen().map_or(PortState::Gone, PortStatus::state);
        self.device = Some(device);
        self.show_problem(None);
        self.report();
        Ok(())
    }

    /// Shows in the first worker's status why there is no device, or that there is one.
    fn show_problem(&self, problem: Option<String>) {
        if let Some(status) = self.statuses.first() {
            status.set_problem(problem);
        }
    }

    /// Tells the manager what the device is like, if that is news.
    fn report(&mut self) {
        let Some(reports) = &self.reports else { return };
        let is = |seen: &PortStatus| match seen.state() {
            PortState::Gone => DeviceReport::Gone,
            state => DeviceReport::Is {
                mac: seen.mac(),
                mtu: seen.mtu(),
                up: state != PortState::Down,
                carrier: state == PortState::Up,
            },
        };
        let seen = self.device.as_ref().and_then(Device::seen);
        let report = seen.map_or(DeviceReport::Gone, is);
        if self.reported.replace(report) != Some(report) {
            reports.send(self.interface, report);
        }
    }

    /// Makes the device what the manager wishes, or reports that it can't be.
    fn change(&mut self, change: DeviceChange) {
        let is_there = self.state != PortState::Gone;
        let Some(device) = self.device.as_mut().filter(|_| is_there) else { return };
        let done = match change {
            DeviceChange::Up(up) => device.set_up(up),
            DeviceChange::Mtu(mtu) => device.set_mtu(u16::try_from(mtu).unwrap_or(u16::MAX)),
            DeviceChange::Mac(mac) => device.set_mac(mac),
        };
        if let Err(error) = done {
            warn!("interface {}: {error}", self.name);
            if let Some(reports) = &self.reports {
                reports.send(self.interface, DeviceReport::Refuses(change));
            }
        }
        // Whatever it is now: the manager takes its wish for done.
        self.reported = None;
        self.report();
    }

    /// Whether the kernel's device below it is there no more, or another one of its name.
    fn has_lost_its_device(&self, links: &mut Option<Links>) -> bool {
        let (Some(kernel), Some(links)) = (&self.kernel, links) else { return false };
        match links.look_for(&kernel.name) {
            Ok(_) if kernel.index == LinkIndex(0) => false,
            Ok(there) => there.is_none_or(|link| link.index != kernel.index),
            // Nothing is known.
            Err(_) => false,
        }
    }

    fn look_after(&mut self, pools: &mut Pools, links: &mut Option<Links>, now: Instant) {
        if self.device.is_none() {
            if now >= self.retry_at {
                self.retry_at = now + RETRY;
                match quietly(|| listening(|| self.open(pools, links))) {
                    (Ok(()), _) => info!("interface {}: its device is there", self.name),
                    (Err(error), heard) => self.show_problem(Some(said(&error, heard))),
                }
            }
        } else if self.state == PortState::Gone {
            self.let_go(now);
        } else {
            self.look(links, now);
        }
    }

    /// Looks at the device that is there.
    fn look(&mut self, links: &mut Option<Links>, now: Instant) {
        let is_lost = self.has_lost_its_device(links);
        let Some(device) = &mut self.device else { return };
        let link = device.look();
        let seen = device.seen().map_or(PortState::Gone, PortStatus::state);
        let has_lost_peer =
            self.needs_peer && (self.state, seen) == (PortState::Up, PortState::NoCarrier);
        let state = if is_lost || has_lost_peer { PortState::Gone } else { seen };
        if state != self.state {
            self.state = state;
            match (state, link) {
                (PortState::Gone, _) => {
                    let what = if has_lost_peer { "the peer of its device" } else { "its device" };
                    self.show_problem(Some(format!("{what} is gone")));
                    error!("interface {}: {what} is gone", self.name);
                }
                (PortState::Up, Some(link)) => {
                    info!("interface {}: up, {} Mbit/s", self.name, link.megabits);
                }
                (_, _) => info!("interface {}: {}", self.name, state.name()),
            }
        }
        if state == PortState::Gone {
            self.mailboxes.iter().for_each(Mailbox::clear);
            self.complain_at = Some(now + PATIENCE);
            self.let_go(now);
        }
        self.report();
    }

    /// Gives up a device that is gone, as soon as no thread is inside of it.
    fn let_go(&mut self, now: Instant) {
        if self.device.as_ref().is_none_or(Device::lets_go) {
            self.device = None;
            self.retry_at = now + RETRY;
        } else if self.complain_at.is_some_and(|at| now >= at) {
            self.complain_at = None;
            warn!("interface {}: a thread does not let go of the device that is gone", self.name);
        }
    }
}

impl KernelDevice {
    /// Takes its number down, or that it is not there.
    fn look(&mut self, links: &mut Option<Links>) {
        let found = links.as_mut().and_then(|links| links.look_for(&self.name).ok().flatten());
        self.index = found.map_or(LinkIndex(0), |link| link.index);
    }
}

/// An error, and what DPDK said of it first.
fn said(error: &PlaceError, heard: Option<String>) -> String {
    let heard = heard.map(|line| format!(" (DPDK: {line})")).unwrap_or_default();
    format!("{error}{heard}")
}

/// The address of an interface whose device is not there yet: a locally administered one, always the same for a name.
fn made_up(name: &str) -> Mac {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let [a, b, c, d, e, ..] = hash.to_le_bytes();
    Mac([2, a, b, c, d, e])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_have_room_for_a_frame() {
        for (mtu, bytes) in [(68, 2048), (1500, 2048), (9000, 9216), (65535, 64512)] {
            assert_eq!(room(&"net_null0".parse().expect("a device"), mtu), bytes, "{mtu}");
        }
        let xdp = "net_af_xdp0,iface=eth1".parse().expect("a device");
        for (mtu, bytes) in [(1500, 2048), (1774, 2048), (1775, 2112), (3300, 3584)] {
            assert_eq!(room(&xdp, mtu), bytes, "{mtu}");
        }
    }

    #[test]
    fn a_socket_is_the_devices_own_if_it_makes_it() {
        let made =
            |text: &str| socket(&text.parse().expect("a device")).map(|it| (it.path, it.replaces));
        let server = "net_memif0,role=server,socket=/run/a,socket-abstract=no";
        assert_eq!(made(server), Some((PathBuf::from("/run/a"), false)));
        assert_eq!(made("net_vhost0,iface=/run/a"), Some((PathBuf::from("/run/a"), true)));
        for other in [
            "net_memif0,role=client,socket=/run/a,socket-abstract=no",
            "net_memif0,socket=/run/a,socket-abstract=no",
            "net_memif0,role=server,socket=/run/a",
            "net_vhost0,iface=/run/a,client=1",
            "net_null0,iface=/run/a",
        ] {
            assert_eq!(made(other), None, "{other}");
        }
    }

    #[test]
    fn a_made_up_address_is_a_stations_own_and_always_the_same() {
        let Mac(mac) = made_up("wan");
        assert_eq!(mac[0], 2, "locally administered, and no group");
        assert_eq!(made_up("wan"), Mac(mac));
        assert_ne!(made_up("lan"), Mac(mac));
    }
}
