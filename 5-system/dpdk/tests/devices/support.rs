//! DPDK, started once, and devices of it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use portcullis_dpdk::{BufferPool, Device, DeviceSetup, DpdkPort, Eal, EalConfig};
use portcullis_drivers::PortStatus;
use portcullis_os::cpus::{CpuId, CpuSet};
use portcullis_os::netns::{self, NetnsHandle};
use portcullis_packet::{IfIndex, Pool, PoolLimits};

/// The interface that all ports are of.
pub(crate) const LAN: IfIndex = IfIndex(3);

fn every_cpu() -> CpuSet {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from) as u16;
    (0..cpus).map(CpuId).collect()
}

/// DPDK is running while this is held, and the caller is the only one who makes or ends devices and pools.
pub(crate) fn dpdk() -> MutexGuard<'static, ()> {
    static EAL: OnceLock<Eal> = OnceLock::new();
    static TURN: Mutex<()> = Mutex::new(());
    EAL.get_or_init(|| {
        let config = EalConfig {
            name: format!("pc-test-{}", std::process::id()),
            memory: 256,
            huge_pages: Some(false),
            cpus: every_cpu(),
            pci: false,
            arguments: vec![],
        };
        // On a thread of its own, for it gets pinned.
        let started = std::thread::spawn(move || Eal::start(&config)).join();
        started.expect("no panic").expect("DPDK starts")
    });
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A namespace that goes when the test ends, for devices with an end in the kernel. It takes root.
pub(crate) struct Namespace(NetnsHandle);

impl Namespace {
    pub(crate) fn new(label: &str) -> Self {
        let name = format!("pc-{label}-{}", std::process::id());
        Self(netns::create(&name).expect("tests run as root"))
    }

    pub(crate) fn run(&self, work: impl FnOnce() + Send) {
        netns::run_in(&self.0, work).expect("it can be entered");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = netns::delete(self.0.name());
    }
}

/// A pool and a device that uses it, and whether all buffers come home in the end.
pub(crate) struct Bench {
    pub(crate) device: Device,
    pub(crate) buffers: BufferPool,
    /// Of the heap.
    pub(crate) pool: Pool,
    _turn: MutexGuard<'static, ()>,
}

pub(crate) const SETUP: DeviceSetup =
    DeviceSetup { workers: 1, mtu: 1500, rx_descriptors: 256, tx_descriptors: 256 };

impl Bench {
    /// `devargs` with a `#` for a number of its own.
    pub(crate) fn new(devargs: &str, setup: DeviceSetup) -> Self {
        let turn = dpdk();
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed).to_string();
        let mut device = Device::probe(&devargs.replace('#', &number)).expect("a device");
        let buffers = BufferPool::new(2047, 2048, device.numa_node()).expect("buffers");
        device.start(setup, buffers.clone()).expect("it starts");
        let pool = Pool::new(PoolLimits { small: 64, large: 4 });
        Self { device, buffers, pool, _turn: turn }
    }

    pub(crate) fn port(&self, worker: u16) -> DpdkPort {
        self.device.port(worker, LAN, Arc::new(PortStatus::new())).expect("a port")
    }

    /// Ends the device; all its buffers must be home then.
    pub(crate) fn end(self) {
        let Self { device, buffers, mut pool, _turn } = self;
        pool.return_strangers();
        drop(device);
        assert_eq!(buffers.available(), buffers.buffers(), "all buffers are home");
    }
}
