//! Network devices: found, configured, moved between namespaces, by rtnetlink (rtnetlink(7)).
//!
//! Synchronous, one request at a time: for setting up and taking down. Following the changes
//! of a namespace is the vpc-manager's work. A [`Links`] acts in the namespace that its
//! socket was opened in, wherever it is used.

mod address;
mod attributes;
mod error;
mod link;
mod request;
mod socket;

use std::os::fd::AsFd;

use portcullis_packet::Mac;

use crate::netns::{NetnsHandle, run_in};
pub use error::{LinkError, LinkErrorKind};
pub use link::{Link, LinkFlags, LinkIndex, OperState};
pub(crate) use request::Request;
use request::link_header;
use socket::RouteSocket;

/// The devices of one namespace.
#[derive(Debug)]
pub struct Links {
    socket: RouteSocket,
    namespace: String,
}

impl Links {
    /// Those of the calling thread's namespace.
    ///
    /// # Errors
    /// If there is no netlink socket to be had.
    pub fn open() -> Result<Self, LinkError> {
        Self::named("of this process".to_owned(), RouteSocket::open())
    }

    /// Those of `netns`.
    ///
    /// # Errors
    /// If the namespace cannot be entered, or there is no netlink socket to be had.
    pub fn open_in(netns: &NetnsHandle) -> Result<Self, LinkError> {
        let namespace = netns.name().to_owned();
        let socket = run_in(netns, RouteSocket::open).map_err(|error| {
            let kind = LinkErrorKind::Namespace(Box::new(error));
            LinkError::of_namespace("open netlink", &namespace, kind)
        })?;
        Self::named(namespace, socket)
    }

    fn named(
        namespace: String,
        socket: Result<RouteSocket, LinkErrorKind>,
    ) -> Result<Self, LinkError> {
        match socket {
            Ok(socket) => Ok(Self { socket, namespace }),
            Err(kind) => Err(LinkError::of_namespace("open netlink", &namespace, kind)),
        }
    }

    /// The name of the namespace, for messages.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// All devices, in the kernel's order.
    ///
    /// # Errors
    /// The kernel's.
    pub fn list(&mut self) -> Result<Vec<Link>, LinkError> {
        let request = Request::dump(libc::RTM_GETLINK).header(&link_header(None, 0, 0));
        let answers = self
            .socket
            .ask(request)
            .map_err(|kind| LinkError::of_namespace("list devices", &self.namespace, kind))?;
        Ok(answers.iter().filter_map(|answer| Link::parse(answer)).collect())
    }

    /// The device of this name.
    ///
    /// # Errors
    /// [`LinkErrorKind::NotFound`] if there is none.
    pub fn find(&mut self, name: &str) -> Result<Link, LinkError> {
        let request = Request::new(libc::RTM_GETLINK)
            .header(&link_header(None, 0, 0))
            .string(libc::IFLA_IFNAME, name);
        let found = self.socket.ask(request).and_then(|answers| {
            answers.iter().find_map(|answer| Link::parse(answer)).ok_or(LinkErrorKind::Malformed)
        });
        found.map_err(|kind| self.failed("find", name, kind))
    }

    /// The device of this name, or `None`.
    ///
    /// # Errors
    /// Anything but that there is none.
    pub fn look_for(&mut self, name: &str) -> Result<Option<Link>, LinkError> {
        match self.find(name) {
            Ok(link) => Ok(Some(link)),
            Err(error) if error.kind == LinkErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Moves the device into `netns`. It arrives there down and without addresses, and may get
    /// another index.
    ///
    /// # Errors
    /// [`LinkErrorKind::Exists`] if the name is taken there; `CAP_NET_ADMIN` is needed in both.
    pub fn move_to(&mut self, name: &str, netns: &NetnsHandle) -> Result<(), LinkError> {
        use std::os::fd::AsRawFd;
        let fd = u32::try_from(netns.as_fd().as_raw_fd()).unwrap_or(u32::MAX);
        self.change(&format!("move to namespace {netns}"), name, |request| {
            request.u32(libc::IFLA_NET_NS_FD, fd)
        })
    }

    /// Moves the device into `netns` under another name.
    ///
    /// # Errors
    /// As [`Self::move_to`].
    pub fn move_to_as(
        &mut self,
        name: &str,
        netns: &NetnsHandle,
        new_name: &str,
    ) -> Result<(), LinkError> {
        use std::os::fd::AsRawFd;
        let fd = u32::try_from(netns.as_fd().as_raw_fd()).unwrap_or(u32::MAX);
        let index = self.find(name)?.index;
        let action = format!("move to namespace {netns} as {new_name}");
        let request = Request::new(libc::RTM_NEWLINK)
            .header(&link_header(Some(index), 0, 0))
            .string(libc::IFLA_IFNAME, new_name)
            .u32(libc::IFLA_NET_NS_FD, fd);
        self.tell(&action, name, request)
    }

    /// Takes the device up or down.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_up(&mut self, name: &str, up: bool) -> Result<(), LinkError> {
        self.set_flag(if up { "set up" } else { "set down" }, name, LinkFlags::UP, up)
    }

    /// Lets the device receive frames for any MAC address, or only for its own.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_promiscuous(&mut self, name: &str, on: bool) -> Result<(), LinkError> {
        self.set_flag("set promiscuous", name, LinkFlags::PROMISCUOUS, on)
    }

    /// Sets the largest packet, in bytes without the Ethernet header.
    ///
    /// # Errors
    /// The kernel's: the device has limits of its own.
    pub fn set_mtu(&mut self, name: &str, mtu: u32) -> Result<(), LinkError> {
        self.change(&format!("set the MTU to {mtu}"), name, |request| {
            request.u32(libc::IFLA_MTU, mtu)
        })
    }

    /// Sets the MAC address.
    ///
    /// # Errors
    /// [`LinkErrorKind::Busy`] if the device must be down for that.
    pub fn set_mac(&mut self, name: &str, mac: Mac) -> Result<(), LinkError> {
        self.change(&format!("set the MAC address to {mac}"), name, |request| {
            request.bytes(libc::IFLA_ADDRESS, &mac.0)
        })
    }

    /// Tells a virtual device whether it has carrier.
    ///
    /// # Errors
    /// [`LinkErrorKind::NotSupported`] if the device knows for itself.
    pub fn set_carrier(&mut self, name: &str, carrier: bool) -> Result<(), LinkError> {
        self.change("set the carrier", name, |request| {
            request.bytes(libc::IFLA_CARRIER, &[carrier.into()])
        })
    }

    /// Gives the device another name.
    ///
    /// # Errors
    /// [`LinkErrorKind::Exists`] if the name is taken.
    pub fn rename(&mut self, name: &str, new_name: &str) -> Result<(), LinkError> {
        let index = self.find(name)?.index;
        let request = Request::new(libc::RTM_NEWLINK)
            .header(&link_header(Some(index), 0, 0))
            .string(libc::IFLA_IFNAME, new_name);
        self.tell(&format!("rename to {new_name}"), name, request)
    }

    /// Ends a virtual device.
    ///
    /// # Errors
    /// [`LinkErrorKind::NotSupported`] for a physical one.
    pub fn delete(&mut self, name: &str) -> Result<(), LinkError> {
        let request = Request::new(libc::RTM_DELLINK)
            .header(&link_header(None, 0, 0))
            .string(libc::IFLA_IFNAME, name);
        self.tell("delete", name, request)
    }

    /// Makes a pair of connected virtual devices, both in this namespace.
    ///
    /// # Errors
    /// [`LinkErrorKind::Exists`] if either name is taken.
    pub fn add_veth(&mut self, name: &str, peer: &str) -> Result<(), LinkError> {
        /// `VETH_INFO_PEER` of `linux/veth.h`.
        const VETH_INFO_PEER: u16 = 1;
        let request = Request::create(libc::RTM_NEWLINK)
            .header(&link_header(None, 0, 0))
            .string(libc::IFLA_IFNAME, name)
            .nested(libc::IFLA_LINKINFO, |info| {
                info.string(libc::IFLA_INFO_KIND, "veth").nested(libc::IFLA_INFO_DATA, |data| {
                    data.nested(VETH_INFO_PEER, |other| {
                        other.header(&link_header(None, 0, 0)).string(libc::IFLA_IFNAME, peer)
                    })
                })
            });
        self.tell(&format!("make with peer {peer}"), name, request)
    }

    fn set_flag(
        &mut self,
        action: &str,
        name: &str,
        flag: LinkFlags,
        on: bool,
    ) -> Result<(), LinkError> {
        let value = if on { flag.0 } else { 0 };
        let request = Request::new(libc::RTM_NEWLINK)
            .header(&link_header(None, value, flag.0))
            .string(libc::IFLA_IFNAME, name);
        self.tell(action, name, request)
    }

    fn change(
        &mut self,
        action: &str,
        name: &str,
        attributes: impl FnOnce(Request) -> Request,
    ) -> Result<(), LinkError> {
        let request = Request::new(libc::RTM_NEWLINK)
            .header(&link_header(None, 0, 0))
            .string(libc::IFLA_IFNAME, name);
        self.tell(action, name, attributes(request))
    }

    /// Sends a request whose answer is only whether it was done.
    pub(crate) fn tell(
        &mut self,
        action: &str,
        name: &str,
        request: Request,
    ) -> Result<(), LinkError> {
        self.socket.ask(request).map(drop).map_err(|kind| self.failed(action, name, kind))
    }

    /// Sends a request and gives the bodies of its answers.
    pub(crate) fn query(
        &mut self,
        action: &str,
        name: &str,
        request: Request,
    ) -> Result<Vec<Vec<u8>>, LinkError> {
        self.socket.ask(request).map_err(|kind| self.failed(action, name, kind))
    }

    fn failed(&self, action: &str, name: &str, kind: LinkErrorKind) -> LinkError {
        LinkError {
            action: action.to_owned(),
            device: Some(name.to_owned()),
            namespace: self.namespace.clone(),
            kind,
        }
    }
}
