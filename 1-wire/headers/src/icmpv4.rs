//! ICMP messages (RFC 792).

use std::ops::{Deref, DerefMut};

use crate::{checksum, field};

/// Length of the header: type, code, checksum, and the four bytes that mean something else in each
/// message.
pub const LEN: usize = 8;

/// The type of a message.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Type(pub u8);

impl Type {
    /// Echo reply.
    pub const ECHO_REPLY: Self = Self(0);
    /// Destination unreachable.
    pub const UNREACHABLE: Self = Self(3);
    /// Source quench, deprecated (RFC 6633).
    pub const SOURCE_QUENCH: Self = Self(4);
    /// Redirect.
    pub const REDIRECT: Self = Self(5);
    /// Echo request.
    pub const ECHO_REQUEST: Self = Self(8);
    /// Router advertisement (RFC 1256).
    pub const ROUTER_ADVERTISEMENT: Self = Self(9);
    /// Router solicitation (RFC 1256).
    pub const ROUTER_SOLICITATION: Self = Self(10);
    /// Time exceeded.
    pub const TIME_EXCEEDED: Self = Self(11);
    /// Parameter problem.
    pub const PARAMETER_PROBLEM: Self = Self(12);
    /// Timestamp request.
    pub const TIMESTAMP_REQUEST: Self = Self(13);
    /// Timestamp reply.
    pub const TIMESTAMP_REPLY: Self = Self(14);
    /// Information request, deprecated (RFC 6918).
    pub const INFORMATION_REQUEST: Self = Self(15);
    /// Information reply, deprecated (RFC 6918).
    pub const INFORMATION_REPLY: Self = Self(16);
    /// Address mask request, deprecated (RFC 6918).
    pub const MASK_REQUEST: Self = Self(17);
    /// Address mask reply, deprecated (RFC 6918).
    pub const MASK_REPLY: Self = Self(18);
    /// Extended echo request (RFC 8335).
    pub const EXTENDED_ECHO_REQUEST: Self = Self(42);
    /// Extended echo reply (RFC 8335).
    pub const EXTENDED_ECHO_REPLY: Self = Self(43);

    /// Whether messages of this type ask or answer. All others, unknown ones too, count as errors,
    /// about which no error may be sent (RFC 1122, 3.2.2).
    #[must_use]
    pub const fn is_query(self) -> bool {
        matches!(
            self,
            Self::ECHO_REPLY
                | Self::ECHO_REQUEST
                | Self::ROUTER_ADVERTISEMENT
                | Self::ROUTER_SOLICITATION
                | Self::TIMESTAMP_REQUEST
                | Self::TIMESTAMP_REPLY
                | Self::INFORMATION_REQUEST
                | Self::INFORMATION_REPLY
                | Self::MASK_REQUEST
                | Self::MASK_REPLY
                | Self::EXTENDED_ECHO_REQUEST
                | Self::EXTENDED_ECHO_REPLY
        )
    }

    /// Whether messages of this type quote the packet they are about behind their header.
    #[must_use]
    pub const fn quotes(self) -> bool {
        matches!(
            self,
            Self::UNREACHABLE
                | Self::SOURCE_QUENCH
                | Self::REDIRECT
                | Self::TIME_EXCEEDED
                | Self::PARAMETER_PROBLEM
        )
    }

    /// Whether this is an echo request or reply, whose header carries an identifier.
    #[must_use]
    pub const fn is_echo(self) -> bool {
        matches!(self, Self::ECHO_REQUEST | Self::ECHO_REPLY)
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

    /// The identifier of an echo message, and of other queries.
    #[inline]
    pub fn identifier(&self) -> u16 {
        field::get_u16::<4, LEN>(&self.0)
    }

    /// The sequence number of an echo message.
    #[inline]
    pub fn sequence(&self) -> u16 {
        field::get_u16::<6, LEN>(&self.0)
    }

    /// The next hop's MTU in a "fragmentation needed" (RFC 1191).
    #[inline]
    pub fn next_hop_mtu(&self) -> u16 {
        field::get_u16::<6, LEN>(&self.0)
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
