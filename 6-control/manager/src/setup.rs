//! What the manager is told when it is made.

use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use ipnet::IpNet;
use portcullis_packet::{IfIndex, Mac, TxOffload};
use portcullis_policy::Policy;
use portcullis_routing::Snapshot;
use portcullis_tables::{FibWriter4, FibWriter6, Publisher};

use crate::foreign::ForeignDevices;
use crate::netlink::NetlinkSocket;
use crate::request::StaticRoute;

/// An interface of the gateway. Its place in [`Setup::interfaces`] is its [`IfIndex`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InterfaceSetup {
    /// Its name, which its tap in `vpc` has.
    pub name: Box<str>,
    /// What its device is.
    pub device: DeviceSetup,
    /// The MAC address of the device, for as long as nobody changes it.
    pub mac: Mac,
    /// The MTU of the configuration file, in bytes; `None`: the device's own.
    pub mtu: Option<u16>,
    /// The addresses of the configuration file.
    pub addresses: Vec<IpNet>,
    /// What the driver says that the device does for the gateway.
    pub offload: TxOffload,
}

/// What an interface's device is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DeviceSetup {
    /// One of the kernel's, in `link`, with this name.
    Kernel(Box<str>),
    /// One that no kernel sees, of which [`Setup::foreign`] tells.
    Foreign,
    /// One of which nothing is known.
    Unknown,
}

/// Sockets that were opened in the `link` namespace.
#[derive(Debug)]
pub struct LinkSockets {
    pub(crate) watch: NetlinkSocket,
    pub(crate) requests: NetlinkSocket,
}

impl LinkSockets {
    /// Opens them; the calling thread must be in the `link` namespace.
    ///
    /// # Errors
    /// Whatever the kernel says.
    pub fn open() -> std::io::Result<Self> {
        Ok(Self { watch: NetlinkSocket::watching_links()?, requests: NetlinkSocket::open()? })
    }
}

/// Where workers leave the addresses of neighbours that they hold packets for.
pub trait ResolveQueue: Send {
    /// The next one.
    fn pop(&mut self) -> Option<(IfIndex, IpAddr)>;
}

impl<F: FnMut() -> Option<(IfIndex, IpAddr)> + Send> ResolveQueue for F {
    fn pop(&mut self) -> Option<(IfIndex, IpAddr)> {
        self()
    }
}

/// Requests of workers, and the eventfd by which they say that there are some.
pub struct Resolve {
    /// The requests.
    pub queue: Box<dyn ResolveQueue>,
    /// The eventfd, not blocking.
    pub doorbell: OwnedFd,
}

/// The dataplane's tables, of which the manager is the only writer.
#[derive(Debug)]
pub struct Dataplane {
    /// IPv4 routes.
    pub fib4: FibWriter4,
    /// IPv6 routes.
    pub fib6: FibWriter6,
    /// Everything else. Workers subscribe before the manager is made; it may have been made with
    /// [`Dataplane::new`].
    pub publisher: Publisher<Snapshot>,
}

/// All that a manager needs.
pub struct Setup {
    /// The interfaces, by [`IfIndex`].
    pub interfaces: Vec<InterfaceSetup>,
    /// The static routes of the configuration file.
    pub routes: Vec<StaticRoute>,
    /// What packets are judged by.
    pub policy: Arc<Policy>,
    /// The tables to keep.
    pub dataplane: Dataplane,
    /// Sockets in the `link` namespace; `None` if no device is to be followed.
    pub link: Option<LinkSockets>,
    /// Devices that no kernel sees; `None` if there are none.
    pub foreign: Option<ForeignDevices>,
    /// Requests of workers; `None` if there are none.
    pub resolve: Option<Resolve>,
    /// Room for announcements of the kernel that were not read yet, in bytes.
    pub receive_buffer: usize,
}

impl Setup {
    /// Room for some 100,000 announcements of routes, as the kernel counts.
    pub const RECEIVE_BUFFER: usize = 64 << 20;
}
