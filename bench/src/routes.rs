//! Routing tables like those of the internet's default-free zone, and destinations in them.

use std::collections::HashSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

use crate::rng::Rng;

/// Prefix lengths in per cent, as route collectors see them: most IPv4 routes are /24.
const LENGTHS4: [(u8, usize); 10] =
    [(24, 60), (23, 8), (22, 12), (21, 5), (20, 4), (19, 3), (18, 2), (17, 1), (16, 3), (28, 2)];
/// The same for IPv6: most are /48.
const LENGTHS6: [(u8, usize); 8] =
    [(48, 45), (32, 12), (44, 10), (40, 8), (36, 5), (46, 4), (64, 6), (56, 10)];

fn length(lengths: &[(u8, usize)], rng: &mut Rng) -> u8 {
    let mut at = rng.below(100);
    for &(length, share) in lengths {
        if at < share {
            return length;
        }
        at -= share;
    }
    lengths[0].0
}

/// That many different IPv4 prefixes, none of them in special-purpose space.
pub(crate) fn ipv4(count: usize, rng: &mut Rng) -> Vec<Ipv4Net> {
    let mut seen = HashSet::with_capacity(count);
    while seen.len() < count {
        let address = Ipv4Addr::from_bits(rng.next() as u32);
        if !matches!(address.octets()[0], 0 | 127 | 224..) {
            let length = length(&LENGTHS4, rng);
            seen.extend(Ipv4Net::new(address, length).map(|net| net.trunc()));
        }
    }
    let mut prefixes: Vec<_> = seen.into_iter().collect();
    prefixes.sort_unstable();
    prefixes
}

/// That many different IPv6 prefixes, in 2000::/3 and there under few thousand allocations, like the real ones.
pub(crate) fn ipv6(count: usize, rng: &mut Rng) -> Vec<Ipv6Net> {
    let allocations: Vec<u128> =
        (0..8192).map(|_| 1 << 125 | u128::from(rng.next() >> 35) << 96).collect();
    let mut seen = HashSet::with_capacity(count);
    while seen.len() < count {
        let below = u128::from(rng.next()) << 32 | u128::from(rng.next() >> 32);
        let address = Ipv6Addr::from_bits(allocations[rng.below(allocations.len())] | below);
        let length = length(&LENGTHS6, rng);
        seen.extend(Ipv6Net::new(address, length).map(|net| net.trunc()));
    }
    let mut prefixes: Vec<_> = seen.into_iter().collect();
    prefixes.sort_unstable();
    prefixes
}

/// A random host in a prefix.
pub(crate) fn host4(net: Ipv4Net, rng: &mut Rng) -> u32 {
    net.network().to_bits() | rng.next() as u32 & net.hostmask().to_bits()
}

/// A random host in a prefix.
pub(crate) fn host6(net: Ipv6Net, rng: &mut Rng) -> u128 {
    let random = u128::from(rng.next()) << 64 | u128::from(rng.next());
    net.network().to_bits() | random & net.hostmask().to_bits()
}
