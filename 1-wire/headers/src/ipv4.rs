//! IPv4 headers (RFC 791).

use std::net::Ipv4Addr;
use std::ops::{Deref, DerefMut};

use portcullis_packet::DropReason;

use crate::checksum::{self, Sum};
use crate::{IpProtocol, field};

/// Length of the header without options.
pub const LEN: usize = 20;

/// Length of the header with all the options there is room for.
pub const MAX_LEN: usize = 60;

/// The largest packet, header included.
pub const MAX_PACKET: usize = 65_535;

/// Why bytes are no IPv4 packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Malformed {
    /// They end before the header, or before the packet that it announces.
    Truncated,
    /// The version is not 4, the header is shorter than its fixed part, or the packet shorter than
    /// its header.
    BadHeader,
    /// The header's checksum is wrong.
    BadChecksum,
}

impl From<Malformed> for DropReason {
    fn from(malformed: Malformed) -> Self {
        match malformed {
            Malformed::Truncated => Self::Ip4Truncated,
            Malformed::BadHeader => Self::Ip4BadHeader,
            Malformed::BadChecksum => Self::Ip4BadChecksum,
        }
    }
}

/// A view of the fixed part of a header.
#[derive(Clone, Copy, Debug)]
pub struct Header<T>(T);

/// A packet taken apart.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// The fixed part of the header.
    pub header: Header<&'a [u8; LEN]>,
    /// The options, padding included; 0 to 40 bytes.
    pub options: &'a [u8],
    /// What the packet carries, without the frame's padding.
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

    /// The header at the start of `packet`, whose version and lengths are right. What follows the
    /// packet (an Ethernet frame's padding) is ignored. The checksum is not looked at.
    ///
    /// # Errors
    /// Any [`Malformed`] but `BadChecksum`.
    #[inline(always)]
    pub fn new(packet: &'a [u8]) -> Result<Self, Malformed> {
        check(packet)?;
        packet.first_chunk().map(Self).ok_or(Malformed::Truncated)
    }

    /// As [`Self::new`], and the checksum is right.
    ///
    /// # Errors
    /// Any [`Malformed`].
    #[inline(always)]
    pub fn checked(packet: &'a [u8]) -> Result<Self, Malformed> {
        check_all(packet)?;
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
    /// Any [`Malformed`] but `BadChecksum`.
    #[inline(always)]
    pub fn new_mut(packet: &'a mut [u8]) -> Result<Self, Malformed> {
        check(packet)?;
        packet.first_chunk_mut().map(Self).ok_or(Malformed::Truncated)
    }

    /// As [`Header::checked`], to be changed.
    ///
    /// # Errors
    /// Any [`Malformed`].
    #[inline(always)]
    pub fn checked_mut(packet: &'a mut [u8]) -> Result<Self, Malformed> {
        check_all(packet)?;
        packet.first_chunk_mut().map(Self).ok_or(Malformed::Truncated)
    }
}

impl<'a> Parts<'a> {
    /// Takes a packet apart; checks what [`Header::new`] checks.
    ///
    /// # Errors
    /// Any [`Malformed`] but `BadChecksum`.
    #[inline]
    pub fn new(packet: &'a [u8]) -> Result<Self, Malformed> {
        let header = Header::new(packet)?;
        let (header_len, total_len) = (header.header_len(), usize::from(header.total_len()));
        match (packet.get(LEN..header_len), packet.get(header_len..total_len)) {
            (Some(options), Some(payload)) => Ok(Self { header, options, payload }),
            _ => Err(Malformed::Truncated),
        }
    }
}

#[inline(always)]
fn check(packet: &[u8]) -> Result<(), Malformed> {
    let Some(header) = packet.first_chunk::<LEN>() else { return Err(Malformed::Truncated) };
    let header = Header(header);
    let (header_len, total_len) = (header.header_len(), usize::from(header.total_len()));
    if header.version() != 4 || header_len < LEN || total_len < header_len {
        return Err(Malformed::BadHeader);
    }
    if packet.len() < total_len {
        return Err(Malformed::Truncated);
    }
    Ok(())
}

#[inline(always)]
fn check_all(packet: &[u8]) -> Result<(), Malformed> {
    let Some(fixed) = packet.first_chunk::<LEN>() else { return Err(Malformed::Truncated) };
    let header = Header(fixed);
    if header.has_options() {
        return check_with_options(packet);
    }
    let total_len = usize::from(header.total_len());
    if total_len < LEN {
        return Err(Malformed::BadHeader);
    }
    if !checksum::is_sound_20(fixed) {
        return Err(Malformed::BadChecksum);
    }
    if packet.len() < total_len { Err(Malformed::Truncated) } else { Ok(()) }
}

/// The rare rest of [`check_all`]: headers with options, and those that are none.
#[cold]
fn check_with_options(packet: &[u8]) -> Result<(), Malformed> {
    check(packet)?;
    if is_sound(packet) { Ok(()) } else { Err(Malformed::BadChecksum) }
}

/// Whether the checksum of the header at the start of `packet` is right, options included. False
/// if the bytes end before the header does.
#[must_use]
pub fn is_sound(packet: &[u8]) -> bool {
    packet.first().is_some_and(|first| {
        let header_len = usize::from(first & 0xf) * 4;
        packet.get(..header_len).is_some_and(|header| Sum::of(header).is_sound())
    })
}

impl<T: Deref<Target = [u8; LEN]>> Header<T> {
    #[inline(always)]
    fn version(&self) -> u8 {
        self.0[0] >> 4
    }

    /// Length of the header with its options: 20 to 60.
    #[inline(always)]
    pub fn header_len(&self) -> usize {
        usize::from(self.0[0] & 0xf) * 4
    }

    /// Whether the first byte differs from that of a header without options.
    #[inline(always)]
    pub fn has_options(&self) -> bool {
        self.0[0] != 0x45
    }

    /// The type of service: differentiated services code point (6 bits) and ECN (2 bits).
    #[inline(always)]
    pub fn tos(&self) -> u8 {
        self.0[1]
    }

    /// Length of the packet, header included.
    #[inline(always)]
    pub fn total_len(&self) -> u16 {
        field::get_u16::<2, LEN>(&self.0)
    }

    /// The identification that fragments of one packet share.
    #[inline(always)]
    pub fn identification(&self) -> u16 {
        field::get_u16::<4, LEN>(&self.0)
    }

    /// Whether routers may not fragment the packet.
    #[inline(always)]
    pub fn dont_fragment(&self) -> bool {
        self.0[6] & 0x40 != 0
    }

    /// Whether this is a fragment and not the last one.
    #[inline(always)]
    pub fn more_fragments(&self) -> bool {
        self.0[6] & 0x20 != 0
    }

    /// Where in the original payload this one begins, in bytes.
    #[inline(always)]
    pub fn fragment_offset(&self) -> u16 {
        (field::get_u16::<6, LEN>(&self.0) & 0x1fff) * 8
    }

    /// Whether the packet is a fragment, the first or a later one.
    #[inline(always)]
    pub fn is_fragment(&self) -> bool {
        field::get_u16::<6, LEN>(&self.0) & 0x3fff != 0
    }

    /// The time to live.
    #[inline(always)]
    pub fn ttl(&self) -> u8 {
        self.0[8]
    }

    /// What the packet carries.
    #[inline(always)]
    pub fn protocol(&self) -> IpProtocol {
        IpProtocol(self.0[9])
    }

    /// The header's checksum.
    #[inline(always)]
    pub fn checksum(&self) -> u16 {
        field::get_u16::<10, LEN>(&self.0)
    }

    /// The source address.
    #[inline(always)]
    pub fn src(&self) -> Ipv4Addr {
        Ipv4Addr::from_octets(field::get::<12, 4, LEN>(&self.0))
    }

    /// The destination address.
    #[inline(always)]
    pub fn dst(&self) -> Ipv4Addr {
        Ipv4Addr::from_octets(field::get::<16, 4, LEN>(&self.0))
    }

    /// The pseudo header's sum for a transport header and payload of `len` bytes.
    #[inline]
    pub fn pseudo_sum(&self, len: u16) -> Sum {
        Sum::pseudo_v4(self.src(), self.dst(), self.protocol(), len)
    }
}

impl<T: DerefMut<Target = [u8; LEN]>> Header<T> {
    /// [`checksum::decrement_ttl`].
    #[inline(always)]
    #[must_use]
    pub fn decrement_ttl(&mut self) -> bool {
        checksum::decrement_ttl(&mut self.0)
    }

    /// Writes the source address and mends the header's checksum; the transport's is the caller's.
    #[inline]
    pub fn set_src(&mut self, address: Ipv4Addr) {
        let sum = checksum::update_u32(self.checksum(), self.src().to_bits(), address.to_bits());
        field::set::<12, 4, LEN>(&mut self.0, address.octets());
        self.set_checksum(sum);
    }

    /// Writes the destination address and mends the header's checksum; the transport's is the
    /// caller's.
    #[inline]
    pub fn set_dst(&mut self, address: Ipv4Addr) {
        let sum = checksum::update_u32(self.checksum(), self.dst().to_bits(), address.to_bits());
        field::set::<16, 4, LEN>(&mut self.0, address.octets());
        self.set_checksum(sum);
    }

    /// Writes the checksum.
    #[inline(always)]
    pub fn set_checksum(&mut self, value: u16) {
        field::set_u16::<10, LEN>(&mut self.0, value);
    }

    /// Writes the packet's length and leaves the checksum to [`fill_checksum`].
    #[inline]
    pub(crate) fn set_total_len(&mut self, len: u16) {
        field::set_u16::<2, LEN>(&mut self.0, len);
    }

    /// Writes the identification and leaves the checksum to [`fill_checksum`].
    #[inline]
    pub(crate) fn set_identification(&mut self, id: u16) {
        field::set_u16::<4, LEN>(&mut self.0, id);
    }

    /// Writes the length of the header and leaves the checksum to [`fill_checksum`].
    #[inline]
    pub(crate) fn set_header_len(&mut self, len: usize) {
        debug_assert!(len.is_multiple_of(4) && (LEN..=MAX_LEN).contains(&len));
        self.0[0] = 0x40 | (len / 4) as u8;
    }

    /// Writes where a fragment begins, in bytes, and whether more follow; clears "don't fragment".
    /// Leaves the checksum to [`fill_checksum`].
    #[inline]
    pub(crate) fn set_fragment(&mut self, offset: u16, more: bool) {
        debug_assert!(offset.is_multiple_of(8));
        field::set_u16::<6, LEN>(&mut self.0, (offset / 8) | (u16::from(more) << 13));
    }
}

/// What goes into a new header without options.
#[derive(Clone, Copy, Debug)]
pub struct Fields {
    /// The type of service.
    pub tos: u8,
    /// Length of the packet, header included.
    pub total_len: u16,
    /// The identification.
    pub identification: u16,
    /// Whether routers may not fragment the packet.
    pub dont_fragment: bool,
    /// The time to live.
    pub ttl: u8,
    /// What the packet carries.
    pub protocol: IpProtocol,
    /// The source address.
    pub src: Ipv4Addr,
    /// The destination address.
    pub dst: Ipv4Addr,
}

impl Fields {
    /// The header, with its checksum.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[0] = 0x45;
        bytes[1] = self.tos;
        field::set_u16::<2, LEN>(&mut bytes, self.total_len);
        field::set_u16::<4, LEN>(&mut bytes, self.identification);
        field::set_u16::<6, LEN>(&mut bytes, u16::from(self.dont_fragment) << 14);
        bytes[8] = self.ttl;
        bytes[9] = self.protocol.0;
        field::set::<12, 4, LEN>(&mut bytes, self.src.octets());
        field::set::<16, 4, LEN>(&mut bytes, self.dst.octets());
        fill_checksum(&mut bytes);
        bytes
    }
}

/// Computes the checksum of a header, options included, from nothing. Leaves bytes that are too
/// short for one alone.
pub fn fill_checksum(header: &mut [u8]) {
    if let Some(fixed) = header.first_chunk_mut::<LEN>() {
        Header(fixed).set_checksum(0);
        let sum = Sum::of(header).finish();
        if let Some(fixed) = header.first_chunk_mut::<LEN>() {
            Header(fixed).set_checksum(sum);
        }
    }
}
