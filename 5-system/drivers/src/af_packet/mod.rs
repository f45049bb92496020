//! The AF_PACKET driver: any device that the kernel knows, by packet sockets (packet(7)).
//!
//! Frames are received by `recvmmsg` and sent by `sendmmsg`, copied once each way. Rings shared
//! with the kernel were measured too (`examples/compare.rs`) and are slower or later, see there.
//! Every frame goes with a `virtio_net_hdr`, so that super-frames and partial checksums of virtual
//! devices pass through as they are.
//!
//! A device may go down, disappear and come back: the port says so in its status, and takes a new
//! device of the same name into use when [`Port::maintain`] finds one.

mod fanout;
mod link;
mod receive;
mod socket;
mod transmit;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use portcullis_packet::{DropReason, IfIndex, Packet, Pool, TxOffload};

pub use self::fanout::Member;
use self::link::{DeviceName, Link};
use self::receive::Receiver;
use self::socket::{KernelIndex, Socket};
use self::transmit::{Broken, Transmitter};
use crate::{Port, PortState, PortStatus};

/// Which device to open, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AfPacketConfig {
    /// The interface it is to the gateway.
    pub interface: IfIndex,
    /// The kernel's name of it, in the namespace of the thread that opens it.
    pub device: String,
    /// Bytes of frames (as the kernel counts: with its own bookkeeping) that may wait to be received.
    pub receive_buffer: usize,
    /// Bytes of frames that may wait to be sent.
    pub send_buffer: usize,
}

impl AfPacketConfig {
    /// With buffers for some milliseconds at 10 Gbit/s.
    #[must_use]
    pub fn new(interface: IfIndex, device: impl Into<String>) -> Self {
        Self { interface, device: device.into(), receive_buffer: 8 << 20, send_buffer: 4 << 20 }
    }
}

/// Why a device cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The kernel allows no such name.
    #[error("\"{0}\" cannot be the name of a device")]
    BadName(String),
    /// There is no such device.
    #[error("no device \"{0}\" in this network namespace")]
    NoDevice(String),
    /// The thread lacks CAP_NET_RAW.
    #[error("packet sockets need CAP_NET_RAW")]
    NotAllowed(#[source] io::Error),
    /// The kernel refused something else.
    #[error("cannot use device \"{device}\"")]
    System {
        /// Its name.
        device: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

/// A queue of a device: one of the packet sockets between which its flows are divided.
pub struct AfPacket {
    config: AfPacketConfig,
    name: DeviceName,
    member: Member,
    attached: Option<Attached>,
    receiver: Receiver,
    transmitter: Transmitter,
    status: Arc<PortStatus>,
}

/// A socket in use, and the device it is bound to.
struct Attached {
    socket: Socket,
    device: KernelIndex,
}

impl AfPacket {
    /// Opens a device for one worker, which is `member` of the device's group. Its ports are to be
    /// opened in the order of the members; one that comes too early is opened by
    /// [`Port::maintain`], when those before it are.
    ///
    /// This and every later return of the device takes CAP_NET_RAW and a thread in the device's network
    /// namespace, and buffers beyond the system's limit take CAP_NET_ADMIN.
    ///
    /// # Errors
    /// If there is no such device, or the thread may not use it.
    pub fn open(
        config: AfPacketConfig,
        member: Member,
        status: Arc<PortStatus>,
    ) -> Result<Self, OpenError> {
        let device = config.device.clone();
        let Some(name) = DeviceName::new(&device) else { return Err(OpenError::BadName(device)) };
        let mut port = Self {
            config,
            name,
            member,
            attached: None,
            receiver: Receiver::new(),
            transmitter: Transmitter::new(),
            status,
        };
        match port.attach() {
            Ok(true) => Ok(port),
            Ok(false) => Err(OpenError::NoDevice(device)),
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Err(OpenError::NotAllowed(e)),
            Err(source) => Err(OpenError::System { device, source }),
        }
    }

    /// Takes the device into use if those before in its group did already. False if there is none.
    fn attach(&mut self) -> io::Result<bool> {
        let socket = Socket::new()?;
        let Some(link) = link::look(&socket, self.name)? else { return Ok(false) };
        if !self.member.may_join(link.index) {
            return Ok(true);
        }
        if !socket.set_buffers(self.config.receive_buffer, self.config.send_buffer)? {
            tracing::warn!(
                device = self.config.device,
                "buffers are smaller than asked for: raise net.core.rmem_max and wmem_max"
            );
        }
        socket.set_qdisc_bypass(false)?;
        // Until it has joined its group, a socket would receive what others receive as well.
        socket.close_filter()?;
        socket.bind(link.index)?;
        socket.accept_all_multicast(link.index)?;
        if !self.member.is_alone() {
            self.member.join(&socket, link.index)?;
        }
        socket.open_filter()?;
        self.attached = Some(Attached { socket, device: link.index });
        self.status.counters.opened.add(1);
        self.show(&link);
        Ok(true)
    }

    fn show(&self, link: &Link) {
        self.status.set_link(link.mac, link.mtu);
        self.status.set_state(match (link.up, link.carrier) {
            (true, true) => PortState::Up,
            (true, false) => PortState::NoCarrier,
            (false, _) => PortState::Down,
        });
    }

    /// Looks whether the device is still the one that the socket is bound to; gives the socket up
    /// if not.
    fn look_after_device(&mut self) {
        let Some(attached) = &self.attached else { return };
        match link::look(&attached.socket, self.name) {
            Ok(Some(link)) if link.index == attached.device => self.show(&link),
            Ok(_) => {
                self.attached = None;
                self.status.set_state(PortState::Gone);
            }
            Err(_) => self.status.counters.errors.add(1),
        }
    }
}

impl Port for AfPacket {
    fn interface(&self) -> IfIndex {
        self.config.interface
    }

    fn receive(&mut self, pool: &mut Pool, into: &mut Vec<Packet>, max: usize) -> usize {
        let before = into.len();
        let counters = &self.status.counters;
        while let Some(attached) = &self.attached {
            let wanted = max.saturating_sub(into.len() - before);
            let socket = attached.socket.as_fd();
            let interface = self.config.interface;
            match self.receiver.receive(socket, interface, pool, into, wanted, counters) {
                // Fewer than asked for: there were no more.
                Ok(received) if received < wanted.min(receive::SLOTS) => break,
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => match error.raw_os_error() {
                    Some(libc::EAGAIN | libc::EINTR) => break,
                    // The kernel dropped a frame that its offload header cannot describe.
                    Some(libc::EINVAL) => counters.drops.add(DropReason::BadOffload, 1),
                    // ENETDOWN, once when the device goes down or away. Whatever else it is,
                    // the device knows.
                    _ => {
                        counters.errors.add(1);
                        self.look_after_device();
                        break;
                    }
                },
            }
        }
        into.len() - before
    }

    fn transmit(&mut self, batch: &mut Vec<Packet>, pool: &mut Pool) -> usize {
        let counters = &self.status.counters;
        let (sent, broken) = match &self.attached {
            Some(attached) => self.transmitter.send(attached.socket.as_fd(), batch, counters),
            None => {
                counters.drops.add(DropReason::TxGone, batch.len() as u64);
                (0, None)
            }
        };
        for packet in batch.drain(..) {
            pool.put(packet);
        }
        match broken {
            Some(Broken::Down | Broken::Gone) => self.look_after_device(),
            None => {}
        }
        sent
    }

    fn wait_fd(&self) -> Option<BorrowedFd<'_>> {
        self.attached.as_ref().map(|attached| attached.socket.as_fd())
    }

    fn maintain(&mut self) {
        self.look_after_device();
        let counters = &self.status.counters;
        match &self.attached {
            Some(attached) => match attached.socket.take_overruns() {
                Ok(lost) => counters.drops.add(DropReason::RxOverrun, lost),
                Err(_) => counters.errors.add(1),
            },
            None => {
                if self.attach().is_err() {
                    self.status.counters.errors.add(1);
                }
            }
        }
    }

    fn status(&self) -> &Arc<PortStatus> {
        &self.status
    }

    fn offload(&self) -> TxOffload {
        TxOffload::ALL
    }
}
