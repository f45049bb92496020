//! IPv6 headers (RFC 8200) and the walk along their chain of extension headers.

mod extensions;

use std::net::Ipv6Addr;
use std::ops::{Deref, DerefMut};

use portcullis_packet::DropReason;

pub use extensions::{
    BadChain, FRAGMENT_LEN, Fragment, MAX_EXTENSIONS, Upper, is_extension, quoted_upper, upper,
};

use crate::checksum::Sum;
use crate::{IpProtocol, field};

/// Length of the header without extension headers.
pub const LEN: usize = 40;

/// Why bytes are no IPv6 packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Malformed {
    /// They end before the header, or before the packet that it announces.
    Truncated,
    /// The version is not 6.
    BadHeader,
}

impl From<Malformed> for DropReason {
    fn from(malformed: Malformed) -> Self {
        match malformed {
            Malformed::Truncated => Self::Ip6Truncated,
            Malformed::BadHeader => Self::Ip6BadHeader,
        }
    }
}

/// A view of the fixed header.
#[derive(Clone, Copy, Debug)]
pub struct Header<T>(T);

/// A packet taken apart.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// The fixed header.
    pub header: Header<&'a [u8; LEN]>,
    /// What follows it, extension headers included, without the frame's padding.
    pub payload: &'a [u8],
}

impl<'a> Header<&'a [u8; LEN]> {
    /// The fixed part alone, with nothing checked but that it is there: of a header that was
    /// checked before, or that an ICMP message quotes.
    #[inline(always)]
    #[must_use]
    pub fn fixed(packet: &'a [u8]) -> Option<Self> {
        packet.first_chunk().map(Self)
    }

    /// The header at the start of `packet`, whose version and length are right. What follows the
    /// packet is ignored. Jumbograms (RFC 2675) are not known.
    ///
    /// # Errors
    /// Any [`Malformed`].
    #[inline(always)]
    pub fn new(packet: &'a [u8]) -> Result<Self, Malformed> {
        check(packet)?;
        packet.first_chunk().map(Self).ok_or(Malformed::Truncated)
    }
}

impl<'a> Header<&'a mut [u8; LEN]> {
    /// As [`Header::fixed`], to be changed.
    #[inline(always)]
    #[must_use]
    pub fn fixed_mut(packet: &'a mut [u8]) -> Option<Self> {
        packet.first_chunk_mut().map(Self)
    }

    /// As [`Header::new`], to be changed.
    ///
    /// # Errors
    /// Any [`Malformed`].
    #[inline(always)]
    pub fn new_mut(packet: &'a mut [u8]) -> Result<Self, Malformed> {
        check(packet)?;
        packet.first_chunk_mut().map(Self).ok_or(Malformed::Truncated)
    }
}

impl<'a> Parts<'a> {
    /// Takes a packet apart; checks what [`Header::new`] checks.
    ///
    /// # Errors
    /// Any [`Malformed`].
    #[inline]
    pub fn new(packet: &'a [u8]) -> Result<Self, Malformed> {
        let header = Header::new(packet)?;
        let end = LEN + usize::from(header.payload_len());
        let payload = packet.get(LEN..end).ok_or(Malformed::Truncated)?;
        Ok(Self { header, payload })
    }
}

#[inline(always)]
fn check(packet: &[u8]) -> Result<(), Malformed> {
    let Some(header) = packet.first_chunk::<LEN>() else { return Err(Malformed::Truncated) };
    if header[0] >> 4 != 6 {
        return Err(Malformed::BadHeader);
    }
    if packet.len() < LEN + usize::from(Header(header).payload_len()) {
        return Err(Malformed::Truncated);
    }
    Ok(())
}

impl<T: Deref<Target = [u8; LEN]>> Header<T> {
    /// The traffic class: differentiated services code point (6 bits) and ECN (2 bits).
    #[inline(always)]
    pub fn traffic_class(&self) -> u8 {
        (field::get_u16::<0, LEN>(&self.0) >> 4) as u8
    }

    /// The flow label, 20 bits (RFC 6437).
    #[inline(always)]
    pub fn flow_label(&self) -> u32 {
        field::get_u32::<0, LEN>(&self.0) & 0xf_ffff
    }

    /// Length of what follows the header.
    #[inline(always)]
    pub fn payload_len(&self) -> u16 {
        field::get_u16::<4, LEN>(&self.0)
    }

    /// What follows the header: an extension header or the upper layer's.
    #[inline(always)]
    pub fn next_header(&self) -> IpProtocol {
        IpProtocol(self.0[6])
    }

    /// The hop limit.
    #[inline(always)]
    pub fn hop_limit(&self) -> u8 {
        self.0[7]
    }

    /// The source address.
    #[inline(always)]
    pub fn src(&self) -> Ipv6Addr {
        Ipv6Addr::from_octets(field::get::<8, 16, LEN>(&self.0))
    }

    /// The destination address.
    #[inline(always)]
    pub fn dst(&self) -> Ipv6Addr {
        Ipv6Addr::from_octets(field::get::<24, 16, LEN>(&self.0))
    }

    /// The pseudo header's sum for an upper-layer header and payload of `len` bytes. Right only
    /// where no routing header is left to be followed: its last address would take the
    /// destination's place.
    #[inline]
    pub fn pseudo_sum(&self, protocol: IpProtocol, len: u32) -> Sum {
        Sum::pseudo_v6(self.src(), self.dst(), protocol, len)
    }
}

impl<T: DerefMut<Target = [u8; LEN]>> Header<T> {
    /// Takes one from the hop limit. False, and nothing changed, if it is 0 or 1: such a packet may
    /// not be forwarded (RFC 8200, 3).
    #[inline(always)]
    #[must_use]
    pub fn decrement_hop_limit(&mut self) -> bool {
        let forwardable = self.0[7] > 1;
        if forwardable {
            self.0[7] -= 1;
        }
        forwardable
    }

    /// Writes the source address; the transport's checksum is the caller's.
    #[inline]
    pub fn set_src(&mut self, address: Ipv6Addr) {
        field::set::<8, 16, LEN>(&mut self.0, address.octets());
    }

    /// Writes the destination address; the transport's checksum is the caller's.
    #[inline]
    pub fn set_dst(&mut self, address: Ipv6Addr) {
        field::set::<24, 16, LEN>(&mut self.0, address.octets());
    }

    /// Writes the length of what follows the header.
    #[inline]
    pub(crate) fn set_payload_len(&mut self, len: u16) {
        field::set_u16::<4, LEN>(&mut self.0, len);
    }
}

/// What goes into a new header.
#[derive(Clone, Copy, Debug)]
pub struct Fields {
    /// The traffic class.
    pub traffic_class: u8,
    /// The flow label; its lower 20 bits count.
    pub flow_label: u32,
    /// Length of what follows the header.
    pub payload_len: u16,
    /// What follows the header.
    pub next_header: IpProtocol,
    /// The hop limit.
    pub hop_limit: u8,
    /// The source address.
    pub src: Ipv6Addr,
    /// The destination address.
    pub dst: Ipv6Addr,
}

impl Fields {
    /// The header.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        let class = u32::from(self.traffic_class) << 20;
        let first = (6 << 28) | class | (self.flow_label & 0xf_ffff);
        field::set_u32::<0, LEN>(&mut bytes, first);
        field::set_u16::<4, LEN>(&mut bytes, self.payload_len);
        bytes[6] = self.next_header.0;
        bytes[7] = self.hop_limit;
        field::set::<8, 16, LEN>(&mut bytes, self.src.octets());
        field::set::<24, 16, LEN>(&mut bytes, self.dst.octets());
        bytes
    }
}
