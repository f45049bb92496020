//! UDP headers (RFC 768).

use std::ops::{Deref, DerefMut};

use crate::{checksum, field};

/// Length of the header.
pub const LEN: usize = 8;

/// Where in the header the checksum stands.
pub const CHECKSUM_OFFSET: u16 = 6;

/// A view of the header.
#[derive(Clone, Copy, Debug)]
pub struct Header<T>(T);

impl<'a> Header<&'a [u8; LEN]> {
    /// The header at the start of `datagram`; `None` if there are too few bytes for one. Its length
    /// field is not looked at: GSO super-frames and quotes in ICMP messages differ from it.
    #[inline]
    #[must_use]
    pub fn new(datagram: &'a [u8]) -> Option<Self> {
        datagram.first_chunk().map(Self)
    }
}

impl<'a> Header<&'a mut [u8; LEN]> {
    /// The same, to be changed.
    #[inline]
    #[must_use]
    pub fn new_mut(datagram: &'a mut [u8]) -> Option<Self> {
        datagram.first_chunk_mut().map(Self)
    }
}

impl<T: Deref<Target = [u8; LEN]>> Header<T> {
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

    /// Length of header and payload.
    #[inline]
    pub fn length(&self) -> u16 {
        field::get_u16::<4, LEN>(&self.0)
    }

    /// The checksum; 0 means that there is none.
    #[inline]
    pub fn checksum(&self) -> u16 {
        field::get_u16::<6, LEN>(&self.0)
    }
}

impl<T: DerefMut<Target = [u8; LEN]>> Header<T> {
    /// Writes the source port and mends the checksum, if there is one.
    #[inline]
    pub fn set_src_port(&mut self, port: u16) {
        let old = self.src_port();
        self.update_checksum(|sum| checksum::update_u16(sum, old, port));
        field::set_u16::<0, LEN>(&mut self.0, port);
    }

    /// Writes the destination port and mends the checksum, if there is one.
    #[inline]
    pub fn set_dst_port(&mut self, port: u16) {
        let old = self.dst_port();
        self.update_checksum(|sum| checksum::update_u16(sum, old, port));
        field::set_u16::<2, LEN>(&mut self.0, port);
    }

    /// Passes the checksum, if there is one, through an update; a result of zero is written in its
    /// other form, since zero means none (RFC 768).
    #[inline]
    pub fn update_checksum(&mut self, update: impl FnOnce(u16) -> u16) {
        match self.checksum() {
            0 => {}
            sum => self.set_checksum(update(sum)),
        }
    }

    /// Writes a computed checksum, zero in its other form 0xffff.
    #[inline]
    pub fn set_checksum(&mut self, value: u16) {
        field::set_u16::<6, LEN>(&mut self.0, if value == 0 { 0xffff } else { value });
    }

    /// Writes that there is no checksum: before the sum is computed, for one.
    #[inline]
    pub(crate) fn clear_checksum(&mut self) {
        field::set_u16::<6, LEN>(&mut self.0, 0);
    }

    /// Writes the length and leaves the checksum.
    #[inline]
    pub(crate) fn set_length(&mut self, length: u16) {
        field::set_u16::<4, LEN>(&mut self.0, length);
    }
}
