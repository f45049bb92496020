//! The AF_PACKET driver: any device that the kernel knows, by packet sockets (packet(7)).
//!
//! Ordinary frames are received from a ring shared with the kernel and super-frames by `recv`; all
//! are sent by `sendmmsg`. That is what `examples/compare` measured as cheapest of the ways there
//! are. Each frame is copied once each way, so that its buffer is nobody's but ours.
//!
//! Every frame goes with a `virtio_net_hdr`, so that super-frames and partial checksums of virtual
//! devices pass through as they are.
//!
//! A device may go down, disappear and come back: the port says so in its status, and takes a new
//! device of the same name into use when [`Port::maintain`] finds one.

mod fanout;
mod link;
mod receive;
mod ring;
mod socket;
mod transmit;

use std::error::Error;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use portcullis_packet::{DropReason, IfIndex, Packet, Pool, TxOffload};

pub use self::fanout::Member;
use self::link::{DeviceName, Link};
use self::ring::Ring;
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
    /// Bytes of the ring in which frames wait to be received, 2,304 for each; super-frames may take
    /// twice as many elsewhere.
    pub receive_buffer: usize,
    /// Bytes of frames that may wait to be sent.
    pub send_buffer: usize,
    /// Sends past the device's queueing discipline. The kernel then drops super-frames that the
    /// device cannot segment itself; otherwise it segments them.
    pub bypass_qdisc: bool,
}

impl AfPacketConfig {
    /// With buffers for some milliseconds. A larger ring is slower: the kernel goes round it and
    /// finds no slot in a cache.
    #[must_use]
    pub fn new(interface: IfIndex, device: impl Into<String>) -> Self {
        Self {
            interface,
            device: device.into(),
            receive_buffer: 4 << 20,
            send_buffer: 4 << 20,
            bypass_qdisc: false,
        }
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
    transmitter: Transmitter,
    status: Arc<PortStatus>,
}

/// A socket in use, and the device it is bound to.
struct Attached {
    ring: Ring,
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
        let mut port =
            Self { config, name, member, attached: None, transmitter: Transmitter::new(), status };
        port.try_to_attach()?;
        Ok(port)
    }

    /// Takes the device into use, or says why not, also to those who ask the port's status.
    fn try_to_attach(&mut self) -> Result<(), OpenError> {
        let attached = self.attach();
        let device = self.config.device.clone();
        let error = match attached {
            Ok(true) => return Ok(()),
            Ok(false) => OpenError::NoDevice(device),
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => OpenError::NotAllowed(e),
            Err(source) => OpenError::System { device, source },
        };
        let cause = error.source().map(|source| format!(": {source}")).unwrap_or_default();
        self.status.set_problem(Some(format!("{error}{cause}")));
        Err(error)
    }

    /// Takes the device into use if those before in its group did already. False if there is no device.
    fn attach(&mut self) -> io::Result<bool> {
        let socket = Socket::new()?;
        let Some(link) = link::look(&socket, self.name)? else { return Ok(false) };
        if !self.member.may_join(link.index) {
            return Ok(true);
        }
        if !socket.set_buffers(2 * self.config.receive_buffer, self.config.send_buffer)? {
            tracing::warn!(
                device = self.config.device,
                "buffers are smaller than asked for: raise net.core.rmem_max and wmem_max"
            );
        }
        socket.set_qdisc_bypass(self.config.bypass_qdisc)?;
        let ring = Ring::new(&socket, self.config.receive_buffer)?;
        // Until it has joined its group, a socket would receive what others receive as well.
        socket.close_filter()?;
        socket.bind(link.index)?;
        socket.accept_all_multicast(link.index)?;
        if !self.member.is_alone() {
            self.member.join(&socket, link.index)?;
        }
        socket.open_filter()?;
        self.attached = Some(Attached { ring, socket, device: link.index });
        self.status.counters.opened.add(1);
        self.status.set_problem(None);
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
        match attached.look(self.name) {
            Ok(Some(link)) => self.show(&link),
            Ok(None) => {
                self.attached = None;
                self.status.set_state(PortState::Gone);
                let gone = OpenError::NoDevice(self.config.device.clone());
                self.status.set_problem(Some(gone.to_string()));
                if self.member.is_first() {
                    tracing::error!("device \"{}\" is gone", self.config.device);
                }
            }
            Err(_) => self.status.counters.errors.add(1),
        }
    }
}

impl Attached {
    /// How the device looks. `None` if it is no longer the one that the socket was bound to.
    fn look(&self, name: DeviceName) -> io::Result<Option<Link>> {
        let bound = self.socket.is_bound_to(self.device)?;
        let link = link::look(&self.socket, name)?;
        Ok(link.filter(|link| bound && link.index == self.device))
    }
}

impl Port for AfPacket {
    fn interface(&self) -> IfIndex {
        self.config.interface
    }

    fn receive(&mut self, pool: &mut Pool, into: &mut Vec<Packet>, max: usize) -> usize {
        let Some(Attached { ring, socket, .. }) = &mut self.attached else { return 0 };
        let (interface, counters) = (self.config.interface, &self.status.counters);
        receive::receive((ring, socket), interface, pool, into, max, counters)
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
        let failed = match &self.attached {
            Some(Attached { socket, .. }) => {
                let lost = socket.clear_error().and_then(|()| socket.take_overruns());
                self.status.counters.drops.add(DropReason::RxOverrun, *lost.as_ref().unwrap_or(&0));
                lost.is_err()
            }
            None => {
                let outcome = self.try_to_attach();
                if self.attached.is_some() && self.member.is_first() {
                    tracing::info!("device \"{}\" is there again", self.config.device);
                }
                matches!(outcome, Err(OpenError::NotAllowed(_) | OpenError::System { .. }))
            }
        };
        if failed {
            self.status.counters.errors.add(1);
        }
    }

    fn status(&self) -> &Arc<PortStatus> {
        &self.status
    }

    fn offload(&self) -> TxOffload {
        TxOffload::ALL
    }
}
