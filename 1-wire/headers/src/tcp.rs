//! TCP headers (RFC 9293).

use std::ops::{Deref, DerefMut};

use crate::{checksum, field};

/// Length of the header without options.
pub const LEN: usize = 20;

/// Where in the header the checksum stands.
pub const CHECKSUM_OFFSET: u16 = 16;

/// The control bits, from FIN upwards as they stand in the header.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Flags(pub u8);

impl Flags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// Synchronise sequence numbers.
    pub const SYN: Self = Self(0x02);
    /// Reset the connection.
    pub const RST: Self = Self(0x04);
    /// Push data up at once.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgment number counts.
    pub const ACK: Self = Self(0x10);
    /// The urgent pointer counts.
    pub const URG: Self = Self(0x20);
    /// Congestion was experienced (RFC 3168).
    pub const ECE: Self = Self(0x40);
    /// The congestion window was reduced (RFC 3168).
    pub const CWR: Self = Self(0x80);

    /// Both together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// These without those.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all of those are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// A view of the fixed part of a header.
#[derive(Clone, Copy, Debug)]
pub struct Header<T>(T);

impl<'a> Header<&'a [u8; LEN]> {
    /// The header at the start of `segment`; `None` if the segment is shorter than the header says,
    /// or the header shorter than its fixed part.
    #[inline]
    #[must_use]
    pub fn new(segment: &'a [u8]) -> Option<Self> {
        segment.first_chunk().map(Self).filter(|header| header.fits(segment.len()))
    }

    /// The fixed part alone, whatever the header says of its length: of a header that an ICMP
    /// message quotes in part, for one.
    #[inline]
    #[must_use]
    pub fn fixed(segment: &'a [u8]) -> Option<Self> {
        segment.first_chunk().map(Self)
    }
}

impl<'a> Header<&'a mut [u8; LEN]> {
    /// As [`Header::new`], to be changed.
    #[inline]
    #[must_use]
    pub fn new_mut(segment: &'a mut [u8]) -> Option<Self> {
        let len = segment.len();
        segment.first_chunk_mut().map(Self).filter(|header| header.fits(len))
    }
}

impl<T: Deref<Target = [u8; LEN]>> Header<T> {
    #[inline]
    fn fits(&self, len: usize) -> bool {
        (LEN..=len).contains(&self.header_len())
    }

    /// The source port.
    #[inline]
    pub fn src_port(&self) -> u16 {
        field::get_u16::<0, LEN>(&self.0)
    }

    /// The destination port.
    #[inline]
    pub fn dst_port(&self) -> u16 {
        field::get_u16::<2, LEN>(&self.0)
    }

    /// The sequence number of the first byte.
    #[inline]
    pub fn sequence(&self) -> u32 {
        field::get_u32::<4, LEN>(&self.0)
    }

    /// The acknowledgment number.
    #[inline]
    pub fn acknowledgment(&self) -> u32 {
        field::get_u32::<8, LEN>(&self.0)
    }

    /// Length of the header with its options.
    #[inline]
    pub fn header_len(&self) -> usize {
        usize::from(self.0[12] >> 4) * 4
    }

    /// The control bits.
    #[inline]
    pub fn flags(&self) -> Flags {
        Flags(self.0[13])
    }

    /// The checksum.
    #[inline]
    pub fn checksum(&self) -> u16 {
        field::get_u16::<16, LEN>(&self.0)
    }
}

impl<T: DerefMut<Target = [u8; LEN]>> Header<T> {
    /// Writes the source port and mends the checksum.
    #[inline]
    pub fn set_src_port(&mut self, port: u16) {
        self.set_checksum(checksum::update_u16(self.checksum(), self.src_port(), port));
        field::set_u16::<0, LEN>(&mut self.0, port);
    }

    /// Writes the destination port and mends the checksum.
    #[inline]
    pub fn set_dst_port(&mut self, port: u16) {
        self.set_checksum(checksum::update_u16(self.checksum(), self.dst_port(), port));
        field::set_u16::<2, LEN>(&mut self.0, port);
    }

    /// Writes the checksum.
    #[inline]
    pub fn set_checksum(&mut self, value: u16) {
        field::set_u16::<16, LEN>(&mut self.0, value);
    }

    /// Writes the sequence number and leaves the checksum.
    #[inline]
    pub(crate) fn set_sequence(&mut self, sequence: u32) {
        field::set_u32::<4, LEN>(&mut self.0, sequence);
    }

    /// Writes the control bits and leaves the checksum.
    #[inline]
    pub(crate) fn set_flags(&mut self, flags: Flags) {
        self.0[13] = flags.0;
    }
}
