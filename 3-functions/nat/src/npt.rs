//! NPTv6: one prefix for another, with an adjustment that keeps the checksum (RFC 6296).

use ipnet::Ipv6Net;

/// A translation between two prefixes of one length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Npt {
    internal: u128,
    external: u128,
    mask: u128,
    /// The words that may be adjusted: from this one on.
    first_word: u32,
    /// Whether it is that one alone (RFC 6296, 3.4: the subnet's bits 48 to 63).
    only_first: bool,
    /// What is added to a word on the way out (RFC 6296, 3.1).
    adjustment: u16,
}

/// One's complement sum of two words.
const fn add(a: u16, b: u16) -> u16 {
    let sum = a as u32 + b as u32;
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// One's complement sum of an address's words.
fn sum(address: u128) -> u16 {
    (0..8).fold(0, |sum, word| add(sum, (address >> (112 - 16 * word)) as u16))
}

impl Npt {
    /// Between two prefixes of one length, up to 112 bits.
    #[must_use]
    pub fn new(internal: Ipv6Net, external: Ipv6Net) -> Self {
        let length = u32::from(internal.prefix_len().min(external.prefix_len()).min(112));
        let mask = if length == 0 { 0 } else { u128::MAX << (128 - length) };
        let (internal, external) =
            (internal.network().to_bits() & mask, external.network().to_bits() & mask);
        Self {
            internal,
            external,
            mask,
            first_word: if length <= 48 { 3 } else { length.div_ceil(16).max(4) },
            only_first: length <= 48,
            adjustment: add(sum(internal), !sum(external)),
        }
    }

    /// Whether an inside address is one of it.
    #[inline]
    #[must_use]
    pub const fn is_internal(&self, address: u128) -> bool {
        address & self.mask == self.internal
    }

    /// Whether an external address is one of it.
    #[inline]
    #[must_use]
    pub const fn is_external(&self, address: u128) -> bool {
        address & self.mask == self.external
    }

    /// What an inside address is called outside. None for those of which all words that could be adjusted are
    /// 0xffff: they can't be translated (RFC 6296, 3.4 and 3.5).
    #[must_use]
    pub fn to_external(&self, address: u128) -> Option<u128> {
        self.swap(address, self.external, self.adjustment)
    }

    /// The inside address of an external one.
    #[must_use]
    pub fn to_internal(&self, address: u128) -> Option<u128> {
        self.swap(address, self.internal, !self.adjustment)
    }

    fn swap(&self, address: u128, prefix: u128, adjustment: u16) -> Option<u128> {
        let address = address & !self.mask | prefix;
        let last = if self.only_first { self.first_word } else { 7 };
        // A word of 0xffff would come back as 0: another one is taken (3.5).
        let word = (self.first_word..=last).find(|word| self.word(address, *word) != 0xffff)?;
        let shift = 112 - 16 * word;
        let adjusted = match add(self.word(address, word), adjustment) {
            0xffff => 0,
            adjusted => adjusted,
        };
        Some(address & !(0xffff << shift) | u128::from(adjusted) << shift)
    }

    fn word(&self, address: u128, word: u32) -> u16 {
        (address >> (112 - 16 * word)) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv6Addr;

    fn npt(internal: &str, external: &str) -> Npt {
        let net = |text: &str| text.parse().expect("a prefix");
        Npt::new(net(internal), net(external))
    }

    fn address(text: &str) -> u128 {
        text.parse::<Ipv6Addr>().expect("an address").to_bits()
    }

    #[test]
    fn the_example_of_rfc6296_appendix() {
        // RFC 6296, 2.1 and 3: FD01:203:405:/48 and 2001:DB8:1:/48.
        let npt = npt("fd01:203:405::/48", "2001:db8:1::/48");
        let outside = npt.to_external(address("fd01:203:405:1::1234")).expect("translatable");
        assert_eq!(
            Ipv6Addr::from_bits(outside),
            "2001:db8:1:d550::1234".parse::<Ipv6Addr>().expect("an address")
        );
        assert_eq!(npt.to_internal(outside), Some(address("fd01:203:405:1::1234")));
    }

    #[test]
    fn a_subnet_of_all_ones_cannot_be_translated() {
        let npt = npt("fd01:203:405::/48", "2001:db8:1::/48");
        assert_eq!(npt.to_external(address("fd01:203:405:ffff::1")), None);
    }

    proptest! {
        #[test]
        fn there_and_back_is_the_same_and_the_checksum_stays(
            length in 16u8..=64, internal: u128, external: u128, host: u128,
        ) {
            let net = |bits: u128| Ipv6Net::new_assert(Ipv6Addr::from_bits(bits), length).trunc();
            let npt = Npt::new(net(internal), net(external));
            let mask = u128::MAX << (128 - u32::from(length));
            let inside = internal & mask | host & !mask;
            let Some(outside) = npt.to_external(inside) else { return Ok(()) };
            prop_assert!(npt.is_external(outside) && npt.is_internal(inside));
            // 0 and 0xffff are the same number.
            prop_assert_eq!(sum(inside) % 0xffff, sum(outside) % 0xffff);
            let back = npt.to_internal(outside).expect("translatable back");
            // An adjusted word of 0xffff came out as 0, which is the same number.
            prop_assert!(back == inside || sum(back) % 0xffff == sum(inside) % 0xffff);
        }
    }
}
