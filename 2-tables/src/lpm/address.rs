//! What the tables need of an address: its bits, a few at a time.

use std::fmt::Debug;

use ipnet::{Ipv4Net, Ipv6Net};
use prefix_trie::Prefix;

/// Bits that one trie node resolves.
pub(super) const STRIDE: u32 = 6;

/// An IPv4 or IPv6 address as an integer.
pub(super) trait Address: Copy + Ord + Debug + Send + Sync + 'static {
    /// The prefixes of this family.
    type Net: Prefix<R = Self> + Copy + Ord + Debug;

    /// Length in bits.
    const BITS: u32;

    /// The first `bits` bits, at most 24.
    fn head(self, bits: u32) -> usize;

    /// The [`STRIDE`] bits that follow the first `depth`, as if zeros followed the address.
    fn chunk(self, depth: u32) -> usize;
}

impl Address for u32 {
    type Net = Ipv4Net;
    const BITS: u32 = 32;

    #[inline(always)]
    fn head(self, bits: u32) -> usize {
        (self >> (32 - bits)) as usize
    }

    #[inline(always)]
    fn chunk(self, depth: u32) -> usize {
        (self.unbounded_shl(depth) >> (32 - STRIDE)) as usize
    }
}

impl Address for u128 {
    type Net = Ipv6Net;
    const BITS: u32 = 128;

    #[inline(always)]
    fn head(self, bits: u32) -> usize {
        ((self >> 64) as u64 >> (64 - bits)) as usize
    }

    #[inline(always)]
    fn chunk(self, depth: u32) -> usize {
        let (high, low) = ((self >> 64) as u64, self as u64);
        // In a batch all take the same side, which is cheaper than a shift of 128 bits.
        let window = if depth < 64 {
            high << depth | low >> 1 >> (63 - depth)
        } else {
            low.unbounded_shl(depth - 64)
        };
        (window >> (64 - STRIDE)) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_come_in_order_and_the_last_is_filled_with_zeros() {
        let a = 0b1000_0001_0000_0010_0000_0100_0000_1011_u32;
        assert_eq!(a.head(6), 0b100000);
        let chunks: Vec<usize> = (0..6).map(|n| a.chunk(n * 6)).collect();
        assert_eq!(chunks, [0b100000, 0b010000, 0b001000, 0b000100, 0b000010, 0b110000]);
        let b = u128::from(a) << 96 | 0b11;
        assert_eq!((b.head(18), b.chunk(18)), (a.head(18), a.chunk(18)));
        assert_eq!((b.chunk(126), b.chunk(132)), (0b110000, 0));
    }
}
