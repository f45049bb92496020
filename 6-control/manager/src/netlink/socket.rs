//! Sockets to the kernel's rtnetlink. None of their calls waits.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use super::bytes::Messages;
use super::decode::{Answer, decode};
use super::encode::Encoder;
use crate::request::Request;

/// The kernel writes at most this into one datagram of a dump; a single message is far smaller.
const DATAGRAM: usize = 64 * 1024;
/// Datagrams to read in search of an acknowledgement.
const PATIENCE: usize = 16;

/// `linux/if_link.h` and `linux/rtnetlink.h`: what changes in `vpc` are announced by.
const VPC_GROUPS: [u32; 7] = [
    libc::RTNLGRP_LINK,
    libc::RTNLGRP_NEIGH,
    libc::RTNLGRP_IPV4_IFADDR,
    libc::RTNLGRP_IPV4_ROUTE,
    libc::RTNLGRP_IPV6_IFADDR,
    libc::RTNLGRP_IPV6_ROUTE,
    libc::RTNLGRP_NEXTHOP,
];

/// A socket bound in the network namespace in which it was opened, whichever thread uses it later.
#[derive(Debug)]
pub(crate) struct NetlinkSocket {
    socket: Socket,
}

/// What a read gave.
pub(crate) enum Received<'a> {
    /// A datagram.
    Datagram(&'a [u8]),
    /// Nothing is there.
    Empty,
    /// Messages were lost: the kernel had no room for them (`ENOBUFS`), or we none for a datagram.
    Lost,
}

impl NetlinkSocket {
    /// A socket for requests, in the calling thread's network namespace.
    ///
    /// # Errors
    /// Whatever the kernel says.
    pub(crate) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_non_blocking(true)?;
        // Reasons in words came with 4.12; without them there are still numbers.
        let _ = socket.set_ext_ack(true);
        let _ = socket.set_cap_ack(true);
        Ok(Self { socket })
    }

    /// A socket that also hears of devices, in the calling thread's network namespace.
    ///
    /// # Errors
    /// Whatever the kernel says.
    pub(crate) fn watching_links() -> io::Result<Self> {
        let this = Self::open()?;
        this.socket.add_membership(libc::RTNLGRP_LINK)?;
        Ok(this)
    }

    /// A socket that hears of all that is mirrored, with room for so many bytes of messages.
    pub(crate) fn watching_all(receive_buffer: usize) -> io::Result<Self> {
        let this = Self::open()?;
        rustix::net::sockopt::set_socket_recv_buffer_size_force(&this.socket, receive_buffer)?;
        for group in VPC_GROUPS {
            this.socket.add_membership(group)?;
        }
        Ok(this)
    }

    pub(crate) fn send(&self, message: &[u8]) -> io::Result<()> {
        self.socket.send(message, 0).map(|_| ())
    }

    pub(crate) fn receive<'a>(&self, buffer: &'a mut Buffer) -> io::Result<Received<'a>> {
        loop {
            let error = match self.socket.recv(&mut &mut buffer.0[..], libc::MSG_TRUNC) {
                Ok(length) => {
                    let datagram = buffer.0.get(..length);
                    return Ok(datagram.map_or(Received::Lost, Received::Datagram));
                }
                Err(error) => error,
            };
            return match error.raw_os_error() {
                Some(libc::EINTR) => continue,
                Some(libc::EAGAIN) => Ok(Received::Empty),
                Some(libc::ENOBUFS) => Ok(Received::Lost),
                _ => Err(error),
            };
        }
    }
}

impl AsRawFd for NetlinkSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl AsFd for NetlinkSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Where datagrams are read into.
pub(crate) struct Buffer(Box<[u8]>);

impl Default for Buffer {
    fn default() -> Self {
        Self(vec![0; DATAGRAM].into())
    }
}

/// Requests that are acknowledged. The kernel handles a request while it is being sent, so the
/// acknowledgement is there as soon as the sending returns.
pub(crate) struct Requests {
    socket: NetlinkSocket,
    encoder: Encoder,
    buffer: Buffer,
    sequence: u32,
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
#[error("{error}{}{}", if reason.is_some() { ": " } else { "" }, reason.as_deref().unwrap_or_default())]
pub(crate) struct Refused {
    #[source]
    pub(crate) error: io::Error,
    /// In the kernel's words.
    pub(crate) reason: Option<Box<str>>,
}

impl Refused {
    /// What was to be made is there already.
    pub(crate) fn exists(&self) -> bool {
        self.error.raw_os_error() == Some(libc::EEXIST)
    }

    /// The address or route that was to be removed is not there.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self.error.raw_os_error(), Some(libc::EADDRNOTAVAIL | libc::ESRCH))
    }
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self { error, reason: None }
    }
}

impl Requests {
    pub(crate) fn new(socket: NetlinkSocket) -> Self {
        Self { socket, encoder: Encoder::default(), buffer: Buffer::default(), sequence: 0 }
    }

    /// Asks, and returns the kernel's answer.
    pub(crate) fn ask(&mut self, request: &Request) -> Result<(), Refused> {
        self.sequence = self.sequence.wrapping_add(1);
        self.socket.send(self.encoder.request(request, self.sequence))?;
        for _ in 0..PATIENCE {
            let datagram = match self.socket.receive(&mut self.buffer)? {
                Received::Datagram(datagram) => datagram,
                Received::Lost => continue,
                Received::Empty => break,
            };
            for message in Messages(datagram) {
                let Ok((header, body)) = message else { break };
                if header.sequence != self.sequence {
                    continue;
                }
                match decode(header, body) {
                    Ok(Answer::Acknowledged(0, _)) => return Ok(()),
                    Ok(Answer::Acknowledged(errno, reason)) => {
                        return Err(Refused { error: io::Error::from_raw_os_error(errno), reason });
                    }
                    _ => {}
                }
            }
        }
        Err(io::Error::from(io::ErrorKind::TimedOut).into())
    }
}
