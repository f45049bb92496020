//! Sets of addresses, to be asked often.

use std::ops::RangeInclusive;

use ipnet::Ipv4Net;

/// A set of IPv4 addresses: sorted ranges that do not touch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ranges(Vec<(u32, u32)>);

impl Ranges {
    pub(crate) fn new(ranges: impl IntoIterator<Item = RangeInclusive<u32>>) -> Self {
        let mut all: Vec<_> =
            ranges.into_iter().map(|range| (*range.start(), *range.end())).collect();
        all.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::with_capacity(all.len());
        for (first, last) in all {
            match merged.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
                _ => merged.push((first, last)),
            }
        }
        Self(merged)
    }

    pub(crate) fn of_nets<'n>(nets: impl IntoIterator<Item = &'n Ipv4Net>) -> Self {
        Self::new(nets.into_iter().map(range))
    }

    #[inline]
    pub(crate) fn contains(&self, address: u32) -> bool {
        let behind = self.0.partition_point(|&(first, _)| first <= address);
        behind
            .checked_sub(1)
            .and_then(|at| self.0.get(at))
            .is_some_and(|&(_, last)| address <= last)
    }
}

/// The addresses of a network.
pub(crate) fn range(net: &Ipv4Net) -> RangeInclusive<u32> {
    net.network().to_bits()..=net.broadcast().to_bits()
}

/// The entry with the greatest key that is not greater than this one.
pub(crate) fn at_or_before<'s, K: Ord, V>(sorted: &'s [(K, V)], key: &K) -> Option<&'s (K, V)> {
    let behind = sorted.partition_point(|(other, _)| other <= key);
    behind.checked_sub(1).and_then(|at| sorted.get(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_touch_become_one() {
        let set = Ranges::new([5..=9, 1..=2, 3..=4, 20..=30, 25..=26, u32::MAX..=u32::MAX]);
        assert_eq!(set.0, [(1, 9), (20, 30), (u32::MAX, u32::MAX)]);
        for (address, is_in) in
            [(0, false), (1, true), (9, true), (10, false), (30, true), (31, false)]
        {
            assert_eq!(set.contains(address), is_in, "{address}");
        }
        assert!(set.contains(u32::MAX) && !Ranges::default().contains(0));
    }
}
