//! ICMPv6 messages (RFC 4443), neighbour discovery's (RFC 4861) among them.

use std::ops::{Deref, DerefMut};

use crate::{checksum, field};

/// Length of the header: type, code, checksum, and the four bytes that mean something else in each
/// message.
pub const LEN: usize = 8;

/// The type of a message.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Type(pub u8);

impl Type {
    /// Destination unreachable.
    pub const UNREACHABLE: Self = Self(1);
    /// Packet too big.
    pub const PACKET_TOO_BIG: Self = Self(2);
    /// Time exceeded.
    pub const TIME_EXCEEDED: Self = Self(3);
    /// Parameter problem.
    pub const PARAMETER_PROBLEM: Self = Self(4);
    /// Echo request.
    pub const ECHO_REQUEST: Self = Self(128);
    /// Echo reply.
    pub const ECHO_REPLY: Self = Self(129);
    /// Multicast listener query (RFC 2710, 3810).
    pub const LISTENER_QUERY: Self = Self(130);
    /// Multicast listener report, version 1 (RFC 2710).
    pub const LISTENER_REPORT: Self = Self(131);
    /// Multicast listener done (RFC 2710).
    pub const LISTENER_DONE: Self = Self(132);
    /// Router solicitation.
    pub const ROUTER_SOLICITATION: Self = Self(133);
    /// Router advertisement.
    pub const ROUTER_ADVERTISEMENT: Self = Self(134);
    /// Neighbour solicitation.
    pub const NEIGHBOR_SOLICITATION: Self = Self(135);
    /// Neighbour advertisement.
    pub const NEIGHBOR_ADVERTISEMENT: Self = Self(136);
    /// Redirect.
    pub const REDIRECT: Self = Self(137);
    /// Multicast listener report, version 2 (RFC 3810).
    pub const LISTENER_REPORT_V2: Self = Self(143);

    /// Whether messages of this type report errors (RFC 4443, 2.1); they quote the packet they are
    /// about behind their header.
    #[must_use]
    pub const fn is_error(self) -> bool {
        self.0 < 128
    }

    /// Whether this is an echo request or reply, whose header carries an identifier.
    #[must_use]
    pub const fn is_echo(self) -> bool {
        matches!(self, Self::ECHO_REQUEST | Self::ECHO_REPLY)
    }

    /// Whether this is neighbour or router discovery (RFC 4861).
    #[must_use]
    pub const fn is_neighbor_discovery(self) -> bool {
        self.0 >= Self::ROUTER_SOLICITATION.0 && self.0 <= Self::REDIRECT.0
    }
}

/// A view of the header.
#[derive(Clone, Copy, Debug)]
pub struct Header<T>(T);

impl<'a> Header<&'a [u8; LEN]> {
    /// The header at the start of `message`; `None` if there are too few bytes for one.
    #[inline]
    #[must_use]
    pub fn new(message: &'a [u8]) -> Option<Self> {
        message.first_chunk().map(Self)
    }
}

impl<'a> Header<&'a mut [u8; LEN]> {
    /// The same, to be changed.
    #[inline]
    #[must_use]
    pub fn new_mut(message: &'a mut [u8]) -> Option<Self> {
        message.first_chunk_mut().map(Self)
    }
}

impl<T: Deref<Target = [u8; LEN]>> Header<T> {
    /// The message's type.
    #[inline]
    pub fn message_type(&self) -> Type {
        Type(self.0[0])
    }

    /// The code, which each type has its own of.
    #[inline]
    pub fn code(&self) -> u8 {
        self.0[1]
    }

    /// The checksum.
    #[inline]
    pub fn checksum(&self) -> u16 {
        field::get_u16::<2, LEN>(&self.0)
    }

    /// The identifier of an echo message.
    #[inline]
    pub fn identifier(&self) -> u16 {
        field::get_u16::<4, LEN>(&self.0)
    }

    /// The sequence number of an echo message.
    #[inline]
    pub fn sequence(&self) -> u16 {
        field::get_u16::<6, LEN>(&self.0)
    }

    /// The MTU in a packet too big.
    #[inline]
    pub fn mtu(&self) -> u32 {
        field::get_u32::<4, LEN>(&self.0)
    }
}

impl<T: DerefMut<Target = [u8; LEN]>> Header<T> {
    /// Writes the identifier and mends the checksum.
    #[inline]
    pub fn set_identifier(&mut self, id: u16) {
        self.set_checksum(checksum::update_u16(self.checksum(), self.identifier(), id));
        field::set_u16::<4, LEN>(&mut self.0, id);
    }

    /// Writes the checksum.
    #[inline]
    pub fn set_checksum(&mut self, value: u16) {
        field::set_u16::<2, LEN>(&mut self.0, value);
    }
}
