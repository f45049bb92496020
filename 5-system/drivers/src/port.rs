//! The trait that the I/O loop drives, and what others may know of a port while it does.

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use portcullis_packet::{Counter, DropCounters, IfIndex, Mac, Packet, Pool, TxOffload};

/// One queue of one network device. It belongs to one thread, which polls it.
///
/// No method waits, and none fails: a port whose device went away says so in its [`PortStatus`],
/// receives nothing, drops what it is given to send (counted), and comes back when its device does.
pub trait Port: Send {
    /// The interface of the gateway that this port is a queue of.
    fn interface(&self) -> IfIndex;

    /// Receives up to `max` frames into buffers of `pool` and appends them to `into`, with
    /// `rx_if` and `offload` of their metadata set. Returns how many; with 0 the port is empty.
    fn receive(&mut self, pool: &mut Pool, into: &mut Vec<Packet>, max: usize) -> usize;

    /// Sends the frames of `batch` in their order and leaves it empty. What the device does not
    /// take is dropped and counted; sent or dropped, each buffer goes to `pool`, or stays with the
    /// driver if it is the driver's own. Returns how many were sent.
    fn transmit(&mut self, batch: &mut Vec<Packet>, pool: &mut Pool) -> usize;

    /// What becomes readable when a frame arrives, to sleep on. `None` if the port can only be
    /// polled, or has no device now.
    fn wait_fd(&self) -> Option<BorrowedFd<'_>>;

    /// Looks after the device: brings [`Self::status`] up to date, and takes the device into use
    /// again if it came back. To be called some ten times a second, also when idle, and whenever
    /// [`Self::wait_fd`] is readable but nothing is received.
    fn maintain(&mut self);

    /// State and counters, for any thread to read.
    fn status(&self) -> &Arc<PortStatus>;

    /// What the port takes unfinished.
    fn offload(&self) -> TxOffload;
}

/// What a port's device is able to do now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum PortState {
    /// Sends and receives.
    Up,
    /// Is up, but has no link partner.
    NoCarrier,
    /// Is administratively down.
    Down,
    /// Does not exist (any more, or yet).
    Gone,
}

impl PortState {
    const ALL: [Self; 4] = [Self::Up, Self::NoCarrier, Self::Down, Self::Gone];

    /// Its name for operators.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::NoCarrier => "no-carrier",
            Self::Down => "down",
            Self::Gone => "gone",
        }
    }
}

/// What a port did. Written by its thread alone.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct PortCounters {
    /// Frames received.
    pub rx_packets: Counter,
    /// Their bytes, from the destination address to the end of the payload.
    pub rx_bytes: Counter,
    /// Frames sent. A super-frame counts once.
    pub tx_packets: Counter,
    /// Their bytes.
    pub tx_bytes: Counter,
    /// System calls (or bursts) that failed in a way that lost no frame of ours.
    pub errors: Counter,
    /// How often the device was taken into use, the first time included.
    pub opened: Counter,
    /// Frames lost at this port, by reason.
    pub drops: DropCounters,
}

/// State and counters of a port. Written by its thread, read by anyone.
#[derive(Debug)]
pub struct PortStatus {
    /// What it did.
    pub counters: PortCounters,
    mac: AtomicU64,
    mtu: AtomicU32,
    state: AtomicU8,
    checks_ip4: AtomicBool,
    problem: Mutex<Option<String>>,
}

impl PortStatus {
    /// Of a port without a device yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            counters: PortCounters::default(),
            mac: AtomicU64::new(0),
            mtu: AtomicU32::new(0),
            state: AtomicU8::new(PortState::Gone as u8),
            checks_ip4: AtomicBool::new(false),
            problem: Mutex::new(None),
        }
    }

    /// What the device is able to do now.
    #[must_use]
    pub fn state(&self) -> PortState {
        let state = usize::from(self.state.load(Ordering::Relaxed));
        PortState::ALL.get(state).copied().unwrap_or(PortState::Gone)
    }

    /// The device's MTU in bytes, as last seen; 0 before it was seen.
    #[must_use]
    pub fn mtu(&self) -> u32 {
        self.mtu.load(Ordering::Relaxed)
    }

    /// The device's address, as last seen; all zero before it was seen.
    #[must_use]
    pub fn mac(&self) -> Mac {
        let [_, _, a, b, c, d, e, f] = self.mac.load(Ordering::Relaxed).to_be_bytes();
        Mac([a, b, c, d, e, f])
    }

    /// Whether the device checks the checksums of IPv4 headers.
    #[must_use]
    pub fn checks_ip4(&self) -> bool {
        self.checks_ip4.load(Ordering::Relaxed)
    }

    /// Says whether the device checks the checksums of IPv4 headers. For the port's thread, or who opens it.
    pub fn set_checks_ip4(&self, checks: bool) {
        self.checks_ip4.store(checks, Ordering::Relaxed);
    }

    /// Why no device is in use, in words for who runs the gateway. `None` if one is.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says why no device is in use, or that one is. For the port's thread, or who opens it.
    pub fn set_problem(&self, problem: Option<String>) {
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }

    /// Says what the device is able to do now. For the port's thread.
    pub fn set_state(&self, state: PortState) {
        self.state.store(state as u8, Ordering::Relaxed);
    }

    /// Says what the device looks like. For the port's thread.
    pub fn set_link(&self, mac: Mac, mtu: u32) {
        let Mac([a, b, c, d, e, f]) = mac;
        self.mac.store(u64::from_be_bytes([0, 0, a, b, c, d, e, f]), Ordering::Relaxed);
        self.mtu.store(mtu, Ordering::Relaxed);
    }
}

impl Default for PortStatus {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_device_is_read_back_the_same() {
        let status = PortStatus::new();
        assert_eq!(status.state(), PortState::Gone);
        let mac = Mac([2, 0, 0x5e, 0xff, 0, 9]);
        status.set_link(mac, 9000);
        assert_eq!((status.mac(), status.mtu()), (mac, 9000));
        assert!(!status.checks_ip4());
        status.set_checks_ip4(true);
        assert!(status.checks_ip4());
        assert_eq!(status.problem(), None);
        status.set_problem(Some("unplugged".into()));
        assert_eq!(status.problem().as_deref(), Some("unplugged"));
        for (i, &state) in PortState::ALL.iter().enumerate() {
            assert_eq!(state as usize, i);
            status.set_state(state);
            assert_eq!(status.state(), state);
        }
    }
}
