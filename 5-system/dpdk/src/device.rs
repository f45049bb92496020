//! Devices: found by their arguments, configured, started, watched, and given up.

use std::ffi::CString;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portcullis_drivers::{PortState, PortStatus};
use portcullis_packet::{IfIndex, Mac, TxOffload};

use crate::error::Errno;
use crate::gate::Gate;
use crate::memory::BufferPool;
use crate::pci::PciDevice;
use crate::{DpdkPort, ffi};

/// Why a device cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// No device is made of these arguments.
    #[error(
        "DPDK does not get device \"{devargs}\": {errno}; {}",
        .advice.as_deref().unwrap_or(EXPECTED)
    )]
    Probe {
        /// Its arguments.
        devargs: String,
        /// Why not.
        errno: Errno,
        /// What to do, if that is known.
        advice: Option<String>,
    },
    /// It refuses a step.
    #[error("device \"{devargs}\" cannot be {what}: {errno}")]
    Step {
        /// Its arguments.
        devargs: String,
        /// What was to be done.
        what: &'static str,
        /// Why not.
        errno: Errno,
    },
    /// It takes no such packets.
    #[error("device \"{devargs}\" takes an MTU from {least} to {most}, and not {mtu}")]
    Mtu {
        /// Its arguments.
        devargs: String,
        /// What it was to have.
        mtu: u16,
        /// The smallest.
        least: u16,
        /// The largest.
        most: u16,
    },
    /// A queue's thread does not let go of it.
    #[error("device \"{devargs}\" is still polled after {} ms", .waited.as_millis())]
    Busy {
        /// Its arguments.
        devargs: String,
        /// How long it was waited for.
        waited: Duration,
    },
}

/// What else to do.
const EXPECTED: &str =
    "its log says more (a PCI address, or a virtual device with its arguments, is expected)";

/// Bytes of the link-layer header and a tag.
pub const LINK_LAYER: u16 = 18;

/// What a device is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeviceInfo {
    /// DPDK's driver.
    pub driver: String,
    /// Its own address.
    pub mac: Mac,
    /// Receive queues that it may have.
    pub rx_queues: u16,
    /// Transmit queues that it may have.
    pub tx_queues: u16,
    /// The smallest and the largest MTU that it takes.
    pub mtu: (u16, u16),
    /// The NUMA node that it is nearest to; -1 if that is no matter.
    pub numa_node: i32,
    /// What it finishes itself.
    pub offload: TxOffload,
    /// Whether it says of what it receives that an IPv4 header's checksum is right.
    pub checks_ip4: bool,
    rss_functions: u64,
    /// A virtual device, whose frames are copied by the CPU that polls it.
    pub(crate) copied_by_cpu: bool,
}

/// How a device is to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeviceSetup {
    /// Threads that use it: each gets a queue, or shares one where there are too few.
    pub workers: u16,
    /// The largest network-layer packet.
    pub mtu: u16,
    /// Frames that a receive queue holds.
    pub rx_descriptors: u16,
    /// Frames that a transmit queue holds.
    pub tx_descriptors: u16,
}

/// How the link is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Link {
    /// Whether there is one.
    pub is_up: bool,
    /// Megabits per second, as far as that is known.
    pub megabits: u32,
}

/// How long a thread has to notice that it is to let go of a device.
const LET_GO: Duration = Duration::from_secs(2);

/// What the threads of a device's queues share with who looks after it.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) port: u16,
    /// Closed while nothing is to be received or sent. Workers have the places of their numbers.
    pub(crate) gate: Gate,
    /// How the device looks, to be shown by all its queues.
    pub(crate) seen: PortStatus,
    /// Frames that the device has lost for want of room, since it was started.
    pub(crate) lost: AtomicU64,
    /// Polls that found no buffer, and frames that it has received broken.
    pub(crate) failed: AtomicU64,
    /// Frames that a thread was told it would not send, and has counted.
    pub(crate) refused: AtomicU64,
    /// Frames that it took to be sent and lost then.
    pub(crate) unsent: AtomicU64,
    /// Of transmit queues that several workers share: who sends has it.
    pub(crate) sending: Vec<Mutex<()>>,
}

impl Shared {
    fn new(port: u16, workers: u16, tx_queues: u16) -> Self {
        Self {
            port,
            gate: Gate::new(usize::from(workers)),
            seen: PortStatus::new(),
            lost: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            unsent: AtomicU64::new(0),
            sending: (0..tx_queues).map(|_| Mutex::new(())).collect(),
        }
    }

    /// Of the frames that the device failed to send, some drivers' numbers have those that they refused to take, and
    /// others' not.
    fn account_for(&self, tx_errors: u64) {
        let unsent = tx_errors.saturating_sub(self.refused.load(Ordering::Relaxed));
        self.unsent.fetch_max(unsent, Ordering::Relaxed);
    }
}

/// A device in use. It is stopped and given up when dropped, once no thread polls it.
#[derive(Debug)]
pub struct Device {
    devargs: String,
    /// If it is on PCI.
    pci: Option<PciDevice>,
    port: u16,
    info: DeviceInfo,
    running: Option<Running>,
    /// The link administratively down: nothing passes.
    is_down: bool,
    /// It was stopped and does not start any more.
    is_broken: bool,
    /// Frames that it had failed to send when it was looked at last.
    tx_errors: u64,
    /// What it is to look like where its driver has no say in that.
    own: Own,
}

/// A driver without a function for it neither filters by address nor refuses by length: then both are a matter of who uses the
/// device.
#[derive(Clone, Copy, Debug, Default)]
struct Own {
    mac: Option<Mac>,
    mtu: Option<u16>,
}

#[derive(Debug)]
struct Running {
    shared: Arc<Shared>,
    setup: DeviceSetup,
    queues: (u16, u16),
    pool: BufferPool,
    /// The MTU that it was configured for.
    mtu: u16,
    /// Whether it receives what is for other stations.
    is_promiscuous: bool,
}

impl Device {
    /// Finds a device: a PCI address, or a virtual one, which is made (`net_null0`, `net_memif0,role=client`). Virtual ones that
    /// use the kernel's devices look for them in the calling thread's namespace.
    ///
    /// # Errors
    /// If there is none.
    pub fn probe(devargs: &str) -> Result<Self, DeviceError> {
        let pci = PciDevice::find(devargs);
        let probed = |errno| DeviceError::Probe {
            devargs: devargs.to_owned(),
            errno,
            advice: pci.as_ref().and_then(PciDevice::advice),
        };
        let text = CString::new(devargs).map_err(|_| probed(Errno::INVALID))?;
        // SAFETY: a string that lives as long as the call.
        let port = Errno::check(unsafe { ffi::pc_probe(text.as_ptr()) }).map_err(probed)?;
        let port = u16::try_from(port).map_err(|_| probed(Errno::NO_DEVICE))?;
        let mut facts = ffi::DeviceFacts::default();
        // SAFETY: it writes the structure, of whose size both sides are sure.
        if let Err(errno) = Errno::check(unsafe { ffi::pc_look(port, &mut facts) }) {
            // SAFETY: it was found just now, and nobody polls it.
            unsafe { ffi::pc_device_close(port) };
            return Err(probed(errno));
        }
        let info = DeviceInfo::from(&facts);
        Ok(Self {
            devargs: devargs.to_owned(),
            pci,
            port,
            info,
            running: None,
            is_down: false,
            is_broken: false,
            tx_errors: 0,
            own: Own::default(),
        })
    }

    /// What it is.
    #[must_use]
    pub const fn info(&self) -> &DeviceInfo {
        &self.info
    }

    /// Its arguments.
    #[must_use]
    pub fn devargs(&self) -> &str {
        &self.devargs
    }

    /// The NUMA node whose memory it should have.
    #[must_use]
    pub fn numa_node(&self) -> i32 {
        if self.info.numa_node >= 0 { self.info.numa_node } else { ffi::pc_numa_node() }
    }

    fn step(&self, what: &'static str, answer: i32) -> Result<u32, DeviceError> {
        let devargs = || self.devargs.clone();
        Errno::check(answer).map_err(|errno| DeviceError::Step { devargs: devargs(), what, errno })
    }

    /// Configures it and starts it. It receives everything, whoever it is addressed to; the pipeline looks.
    ///
    /// # Errors
    /// The step that it refuses.
    pub fn start(&mut self, setup: DeviceSetup, pool: BufferPool) -> Result<(), DeviceError> {
        let rx = setup.workers.min(self.info.rx_queues).max(1);
        let tx = setup.workers.min(self.info.tx_queues).max(1);
        let shared = Shared::new(self.port, setup.workers, tx);
        let (min, max) = self.info.mtu;
        let mtu = setup.mtu.clamp(min, max.max(min));
        let is_promiscuous = self.configure(setup, mtu, (rx, tx), &pool)?;
        let (shared, queues) = (Arc::new(shared), (rx, tx));
        self.running = Some(Running { shared, setup, queues, pool, mtu, is_promiscuous });
        self.look();
        Ok(())
    }

    /// Says whether it receives what is for others.
    fn configure(
        &self,
        setup: DeviceSetup,
        mtu: u16,
        (rx_queues, tx_queues): (u16, u16),
        pool: &BufferPool,
    ) -> Result<bool, DeviceError> {
        let setup = ffi::Setup {
            rx_queues,
            tx_queues,
            rx_descriptors: setup.rx_descriptors,
            tx_descriptors: setup.tx_descriptors,
            mtu,
            reserved: 0,
            offloads: self.info.offloads(),
            rss_functions: self.info.rss_functions,
        };
        // SAFETY: the structure lives as long as the call; the pool lives until the device is closed.
        let answer = unsafe { ffi::pc_configure(self.port, &setup, pool.as_ptr()) };
        self.step("configured", answer)?;
        // SAFETY: the port is this device's, here and below.
        self.step("started", unsafe { ffi::pc_device_start(self.port) })?;
        // Many virtual devices receive everything anyway, and say that they do not know how.
        let receives_all = |answer| match Errno::check(answer) {
            Ok(_) => true,
            Err(errno) => errno == Errno::NOT_SUPPORTED && self.info.copied_by_cpu,
        };
        // SAFETY: as above.
        let is_promiscuous = receives_all(unsafe { ffi::pc_device_set_promiscuous(self.port, 1) });
        if !is_promiscuous {
            // SAFETY: as above.
            let multicast = receives_all(unsafe { ffi::pc_device_set_all_multicast(self.port, 1) });
            let but = if multicast { "its own address and groups" } else { "its own address" };
            tracing::warn!("device \"{}\" receives only frames for {but}", self.devargs);
        }
        Ok(is_promiscuous)
    }

    /// The port of a worker, counted in `status`. A worker has one.
    ///
    /// # Errors
    /// If the device was not started, or has no such worker.
    pub fn port(
        &self,
        worker: u16,
        interface: IfIndex,
        status: Arc<PortStatus>,
    ) -> Result<DpdkPort, DeviceError> {
        let none = || DeviceError::Step {
            devargs: self.devargs.clone(),
            what: "used by another worker",
            errno: Errno::INVALID,
        };
        let running = self.running.as_ref().ok_or_else(none)?;
        let (rx, tx) = running.queues;
        if !running.shared.gate.enter(usize::from(worker)) {
            return Err(none());
        }
        let is_shared = running.setup.workers > tx;
        Ok(DpdkPort::new(
            Arc::clone(&running.shared),
            worker,
            (worker < rx).then_some(worker),
            (worker % tx, is_shared),
            interface,
            (status, running.pool.clone(), &self.info),
        ))
    }

    /// Looks at the link, the address, the MTU and what was lost, for all its queues to show.
    pub fn look(&mut self) -> Option<Link> {
        let shared = &self.running.as_ref()?.shared;
        let seen = &shared.seen;
        let is_taken_back = self.pci.as_ref().is_some_and(PciDevice::is_taken_back);
        // SAFETY: any number may be asked about.
        if self.is_broken || is_taken_back || unsafe { ffi::pc_device_is_gone(self.port) } != 0 {
            seen.set_state(PortState::Gone);
            return None;
        }
        let mut link = ffi::LinkFacts::default();
        let mut mac = [0; 6];
        // SAFETY: they write what they are given, which is as large as they write.
        let (answer, _, mtu) = unsafe {
            (
                ffi::pc_device_link(self.port, &mut link),
                ffi::pc_device_mac(self.port, mac.as_mut_ptr()),
                ffi::pc_device_mtu(self.port),
            )
        };
        let is_up = answer >= 0 && link.up != 0;
        let mut statistics = ffi::Statistics::default();
        // SAFETY: it writes the structure.
        if unsafe { ffi::pc_device_statistics(self.port, &mut statistics) } >= 0 {
            // Who finds no buffer leaves the frame where it is; but net_tap has read it by then.
            let is_lost = self.info.driver == "net_tap";
            let (lost, found_again) =
                if is_lost { (statistics.no_buffer, 0) } else { (0, statistics.no_buffer) };
            shared.lost.store(statistics.missed.saturating_add(lost), Ordering::Relaxed);
            let failed = statistics.rx_errors.saturating_add(found_again);
            shared.failed.store(failed, Ordering::Relaxed);
            // Of what had failed a look ago, threads have counted by now what was refused to them.
            let failed = std::mem::replace(&mut self.tx_errors, statistics.tx_errors);
            shared.account_for(failed);
        }
        let mtu = self.own.mtu.map_or_else(|| Errno::check(mtu).unwrap_or(0), u32::from);
        seen.set_link(self.own.mac.unwrap_or(Mac(mac)), mtu);
        seen.set_state(match (self.is_down, is_up) {
            (true, _) => PortState::Down,
            (false, true) => PortState::Up,
            (false, false) => PortState::NoCarrier,
        });
        Some(Link { is_up, megabits: if link.megabits == u32::MAX { 0 } else { link.megabits } })
    }

    /// What it looked like last.
    #[must_use]
    pub fn seen(&self) -> Option<&PortStatus> {
        self.running.as_ref().map(|running| &running.shared.seen)
    }

    /// Another MTU. One that a device does not take while it runs is the gateway's own business as long as it is no larger than
    /// what it was configured for; for a larger one it is stopped.
    ///
    /// # Errors
    /// If it refuses. If it does not start any more after that, it is gone.
    pub fn set_mtu(&mut self, mtu: u16) -> Result<(), DeviceError> {
        let (least, most) = self.info.mtu;
        // What is sent is in one buffer.
        let room =
            self.running.as_ref().map(|running| running.pool.longest().saturating_sub(LINK_LAYER));
        let most = room.map_or(most, |room| room.min(most));
        if !(least..=most).contains(&mtu) {
            return Err(DeviceError::Mtu { devargs: self.devargs.clone(), mtu, least, most });
        }
        // SAFETY: the port is this device's.
        let set = || unsafe { ffi::pc_device_set_mtu(self.port, mtu) };
        let mut answer = set();
        let is_smaller = self.running.as_ref().is_some_and(|running| mtu <= running.mtu);
        match Errno::check(answer) {
            Ok(_) => self.own.mtu = None,
            Err(_) if is_smaller => {
                self.own.mtu = Some(mtu);
                answer = 0;
            }
            // To stop it would not help.
            Err(Errno::NOT_SUPPORTED) => {}
            Err(_) if self.running.is_none() => {}
            Err(_) => {
                self.pause()?;
                // SAFETY: nobody polls it.
                unsafe { ffi::pc_device_stop(self.port) };
                answer = set();
                // SAFETY: as above.
                let started =
                    self.step("started again", unsafe { ffi::pc_device_start(self.port) });
                self.is_broken = started.is_err();
                self.look();
                started?;
                self.resume();
                if let Some(running) = self.running.as_mut().filter(|_| answer >= 0) {
                    running.mtu = mtu;
                    self.own.mtu = None;
                }
            }
        }
        self.step("given this MTU", answer)?;
        self.look();
        Ok(())
    }

    /// Another address. If the driver has no say in it, it is the device's as long as everything is received.
    ///
    /// # Errors
    /// If it refuses.
    pub fn set_mac(&mut self, mac: Mac) -> Result<(), DeviceError> {
        // SAFETY: six bytes, as it reads.
        let answer = unsafe { ffi::pc_device_set_mac(self.port, mac.0.as_ptr()) };
        if Errno::check(answer) == Err(Errno::NOT_SUPPORTED)
            && self.running.as_ref().is_some_and(|running| running.is_promiscuous)
        {
            self.own.mac = Some(mac);
        } else {
            self.step("given this address", answer)?;
        }
        self.look();
        Ok(())
    }

    /// Lets nothing pass, or everything again. The link goes with it where the device can do that.
    ///
    /// # Errors
    /// If its threads do not let go of it.
    pub fn set_up(&mut self, up: bool) -> Result<(), DeviceError> {
        if !up {
            self.pause()?;
        }
        self.is_down = !up;
        // SAFETY: the port is this device's. Those that cannot do it stay as they are.
        let answer = unsafe { ffi::pc_device_set_up(self.port, i32::from(up)) };
        if let Err(errno) = Errno::check(answer)
            && errno != Errno::NOT_SUPPORTED
        {
            tracing::debug!("device \"{}\" keeps its link: {errno}", self.devargs);
        }
        if up {
            self.resume();
        }
        self.look();
        Ok(())
    }

    /// Lets nobody use it any more, for good. Once true, no thread is inside of the device, and to drop it takes no time.
    #[must_use]
    pub fn lets_go(&self) -> bool {
        let Some(Running { shared, .. }) = &self.running else { return true };
        shared.seen.set_state(PortState::Gone);
        shared.gate.close();
        shared.gate.is_deserted()
    }

    /// Returns when no thread is inside of the device any more, and none will be until [`Self::resume`].
    fn pause(&self) -> Result<(), DeviceError> {
        let Some(Running { shared, .. }) = &self.running else { return Ok(()) };
        shared.gate.close();
        let begin = Instant::now();
        while !shared.gate.is_deserted() {
            let waited = begin.elapsed();
            if waited > LET_GO {
                self.resume();
                return Err(DeviceError::Busy { devargs: self.devargs.clone(), waited });
            }
            std::thread::sleep(Duration::from_micros(100));
        }
        Ok(())
    }

    /// What is administratively down stays as it is.
    fn resume(&self) {
        if let Some(Running { shared, .. }) = self.running.as_ref().filter(|_| !self.is_down) {
            shared.gate.open();
        }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if let Err(error) = self.pause() {
            // To pull a device away from under a thread would be worse than to leave it.
            tracing::error!("{error}; it is left as it is");
            if let Some(running) = self.running.take() {
                std::mem::forget(running);
            }
            return;
        }
        if let Some(Running { shared, .. }) = &self.running {
            shared.seen.set_state(PortState::Gone);
            // SAFETY: nobody polls it.
            let stopped = unsafe { ffi::pc_device_stop(self.port) };
            if let Err(errno) = Errno::check(stopped) {
                tracing::warn!("device \"{}\" does not stop: {errno}", self.devargs);
            }
        }
        // SAFETY: as above; the device is used no more.
        if let Err(errno) = Errno::check(unsafe { ffi::pc_device_close(self.port) }) {
            tracing::warn!("device \"{}\" is not given back: {errno}", self.devargs);
        }
    }
}

impl DeviceInfo {
    /// All that it can do for the gateway.
    const fn offloads(&self) -> u32 {
        let mut offloads = 0;
        if self.offload.checksum {
            offloads |= ffi::OFFLOAD_TX_L4;
        }
        if self.checks_ip4 {
            offloads |= ffi::OFFLOAD_RX_IP4;
        }
        offloads
    }
}

impl From<&ffi::DeviceFacts> for DeviceInfo {
    fn from(facts: &ffi::DeviceFacts) -> Self {
        let name = facts.driver.split(|&byte| byte == 0).next().unwrap_or_default();
        let [a, b, c, d, e, f, _, _] = facts.mac;
        let checksum = facts.offloads & ffi::OFFLOAD_TX_L4 != 0;
        Self {
            driver: String::from_utf8_lossy(name).into_owned(),
            mac: Mac([a, b, c, d, e, f]),
            rx_queues: facts.max_rx_queues,
            tx_queues: facts.max_tx_queues,
            mtu: (facts.min_mtu, facts.max_mtu),
            numa_node: facts.numa_node,
            offload: TxOffload { checksum, ..TxOffload::NONE },
            copied_by_cpu: facts.offloads & ffi::COPIED_BY_CPU != 0,
            checks_ip4: facts.offloads & ffi::OFFLOAD_RX_IP4 != 0,
            rss_functions: facts.rss_functions,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_device_refused_is_not_counted_again_as_unsent() {
        let shared = Shared::new(0, 1, 1);
        let unsent = || shared.unsent.load(Ordering::Relaxed);
        shared.refused.store(3, Ordering::Relaxed);
        shared.account_for(3);
        assert_eq!(unsent(), 0);
        shared.account_for(5);
        assert_eq!(unsent(), 2);
        shared.refused.store(4, Ordering::Relaxed);
        shared.account_for(5);
        assert_eq!(unsent(), 2, "what is counted stays so");
    }
}
