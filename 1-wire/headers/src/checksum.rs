//! The internet checksum (RFC 1071) and its incremental update (RFC 1624).
//!
//! A [`Sum`] is a one's complement sum under way, of 16-bit words in the order they have in memory
//! (RFC 1071, 2(B): the sum does not care, and no word needs swapping); [`Sum::finish`] turns it into
//! the number for a checksum field. Equality of incremental and full computation holds for every
//! packet whose checksummed bytes are not all zero, which an IP or pseudo header never is.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Add;

use crate::IpProtocol;

/// A one's complement sum under way. Add up those of a packet's parts, each of which begins at an
/// even offset.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(u64);

/// Bytes that are summed side by side, in 32-bit lanes of 64-bit sums: carries need no care for
/// 2^32 chunks, and the compiler makes vector code of it.
const CHUNK: usize = 64;
const LANES: usize = CHUNK / 4;

impl Sum {
    /// Nothing summed yet.
    pub const ZERO: Self = Self(0);

    /// The sum of these bytes; an odd last byte counts as if a zero followed.
    #[inline]
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let (chunks, rest) = bytes.as_chunks::<CHUNK>();
        let mut lanes = [0u64; LANES];
        for chunk in chunks {
            let (words, _) = chunk.as_chunks::<4>();
            for (lane, word) in lanes.iter_mut().zip(words) {
                *lane += u64::from(u32::from_ne_bytes(*word));
            }
        }
        let mut sum: u64 = lanes.iter().sum();
        let (words, rest) = rest.as_chunks::<4>();
        for word in words {
            sum += u64::from(u32::from_ne_bytes(*word));
        }
        let mut tail = [0; 4];
        for (to, from) in tail.iter_mut().zip(rest) {
            *to = *from;
        }
        Self(sum + u64::from(u32::from_ne_bytes(tail)))
    }

    /// A 16-bit number as a header holds it.
    #[inline(always)]
    #[must_use]
    pub const fn of_u16(value: u16) -> Self {
        Self(value.to_be() as u64)
    }

    /// The pseudo header of TCP and UDP over IPv4 (RFC 9293, 3.1): `len` bytes of transport header
    /// and payload.
    #[inline]
    #[must_use]
    pub fn pseudo_v4(src: Ipv4Addr, dst: Ipv4Addr, protocol: IpProtocol, len: u16) -> Self {
        Self(
            u64::from(u32::from_ne_bytes(src.octets()))
                + u64::from(u32::from_ne_bytes(dst.octets())),
        ) + Self::of_u16(u16::from(protocol.0))
            + Self::of_u16(len)
    }

    /// The pseudo header over IPv6 (RFC 8200, 8.1).
    #[inline]
    #[must_use]
    pub fn pseudo_v6(src: Ipv6Addr, dst: Ipv6Addr, protocol: IpProtocol, len: u32) -> Self {
        Self::of(&src.octets())
            + Self::of(&dst.octets())
            + Self::of_u16(u16::from(protocol.0))
            + Self(u64::from(len.to_be()))
    }

    /// The sum as a number of 16 bits, not complemented: what stands in the checksum field of a
    /// packet whose checksum a device is to complete.
    #[inline(always)]
    #[must_use]
    pub const fn fold(self) -> u16 {
        u16::from_be(fold(self.0))
    }

    /// The checksum: the complement of the sum, for the field of a header.
    #[inline(always)]
    #[must_use]
    pub const fn finish(self) -> u16 {
        !self.fold()
    }

    /// Whether this sum of a packet *with* its checksum says that the packet is sound.
    #[inline(always)]
    #[must_use]
    pub const fn is_sound(self) -> bool {
        fold(self.0) == 0xffff
    }
}

impl Add for Sum {
    type Output = Self;

    // Both halves stay below 2^48 for any packet, so nothing overflows; wrapping says so for bytes
    // that are no packet.
    #[inline(always)]
    fn add(self, rhs: Self) -> Self {
        Self(self.0.wrapping_add(rhs.0))
    }
}

/// End-around carries down to 16 bits. A sum that is not zero does not become zero.
#[inline(always)]
const fn fold(sum: u64) -> u16 {
    // 2 * (2^32 - 1) needs 33 bits, then 2^17 and 2^16 bounds follow step by step.
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}

/// Whether the checksum of an IPv4 header without options is right.
#[inline(always)]
#[must_use]
pub fn is_sound_20(header: &[u8; 20]) -> bool {
    let (words, _) = header.as_chunks::<4>();
    let sum: u64 = words.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum();
    // At most 2 * 0xffff + 4, so that the multiples of 0xffff can be named instead of folded on.
    let sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
    sum == 0xffff || sum == 2 * 0xffff
}

/// The checksum after one 16-bit field changed from `old` to `new` (RFC 1624, equation 3).
#[inline(always)]
#[must_use]
pub const fn update_u16(checksum: u16, old: u16, new: u16) -> u16 {
    let sum = !checksum as u32 + !old as u32 + new as u32;
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    !(sum as u16)
}

/// The checksum after a 32-bit field, an IPv4 address for one, changed from `old` to `new`.
#[inline(always)]
#[must_use]
pub const fn update_u32(checksum: u16, old: u32, new: u32) -> u16 {
    !fold(!checksum as u64 + !old as u64 + new as u64)
}

/// The checksum after a 128-bit field, an IPv6 address, changed from `old` to `new`.
#[inline]
#[must_use]
pub const fn update_u128(checksum: u16, old: u128, new: u128) -> u16 {
    const fn halves(value: u128) -> u64 {
        (value & 0xffff_ffff) as u64
            + ((value >> 32) & 0xffff_ffff) as u64
            + ((value >> 64) & 0xffff_ffff) as u64
            + (value >> 96) as u64
    }
    !fold(!checksum as u64 + halves(!old) + halves(new))
}

/// Takes one from the TTL of an IPv4 header and mends its checksum. False, and nothing changed, if
/// the TTL is 0 or 1: such a packet may not be forwarded (RFC 1812, 5.3.1).
#[inline(always)]
#[must_use]
pub fn decrement_ttl(header: &mut [u8; 20]) -> bool {
    let ttl = header[8];
    if ttl <= 1 {
        return false;
    }
    header[8] = ttl - 1;
    // The TTL is the upper byte of its word: the sum falls by 0x0100, its complement rises. An
    // 0xffff would be the zero that RFC 1624 warns of; the next carry makes it 0.
    let sum = u32::from(crate::field::get_u16::<10, 20>(header)) + 0x0100;
    crate::field::set_u16::<10, 20>(header, (sum + u32::from(sum >= 0xffff)) as u16);
    true
}
