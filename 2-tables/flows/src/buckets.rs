//! The hash table: from a key's hash to a direction of a flow.
//!
//! A bucket is a cache line of eight entries, each a tag of 16 bits of the hash and a reference. A key has
//! two buckets. It goes into the first one if that has room, so most keys are found with one cache line;
//! how many went on to their second one is counted in the first, so that a key that is not there
//! is known not to be with one line as well.

use portcullis_packet::prefetch;

use crate::key::FlowRef;

const WAYS: usize = 8;

/// Entries per way in a full table, in percent: with a choice of two buckets no overflow is to be
/// expected below some 90.
const LOAD: usize = 75;

#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
struct Bucket {
    tags: [u16; WAYS],
    refs: [u32; WAYS],
    /// Keys of this bucket that are in their second one.
    overflowed: u32,
}

const _: () = assert!(size_of::<Bucket>() == 64);

/// A tag of a way that is free.
const FREE: u16 = 0;

#[derive(Debug)]
pub(crate) struct Buckets(Vec<Bucket>);

impl Bucket {
    /// The ways with this tag, a bit each.
    #[inline(always)]
    fn with(&self, tag: u16) -> u32 {
        let mut ways = 0;
        for (way, &found) in self.tags.iter().enumerate() {
            ways |= u32::from(found == tag) << way;
        }
        ways
    }

    #[inline(always)]
    fn at(&self, way: u32) -> FlowRef {
        self.refs.get(way as usize).map_or(FlowRef::NONE, |&bits| FlowRef::from_bits(bits))
    }

    fn put(&mut self, tag: u16, at: FlowRef) -> bool {
        let free = self.with(FREE);
        if free == 0 {
            return false;
        }
        let way = free.trailing_zeros() as usize;
        if let (Some(to), Some(bits)) = (self.tags.get_mut(way), self.refs.get_mut(way)) {
            *to = tag;
            *bits = at.bits();
        }
        true
    }

    fn take(&mut self, tag: u16, at: FlowRef) -> bool {
        let entries = self.tags.iter_mut().zip(&self.refs);
        for (found, &bits) in entries {
            if *found == tag && bits == at.bits() {
                *found = FREE;
                return true;
            }
        }
        false
    }
}

#[inline(always)]
const fn tag(hash: u64) -> u16 {
    let tag = (hash >> 32) as u16;
    if tag == FREE { 1 } else { tag }
}

impl Buckets {
    /// Room for so many entries.
    pub(crate) fn new(entries: usize) -> Self {
        let buckets = (entries * 100).div_ceil(LOAD * WAYS).max(2);
        Self(vec![Bucket::default(); buckets])
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.0.len() * size_of::<Bucket>()
    }

    #[inline(always)]
    fn first(&self, hash: u64) -> usize {
        (((hash >> 32) * self.0.len() as u64) >> 32) as usize
    }

    #[inline(always)]
    fn second(&self, hash: u64) -> usize {
        (((hash & 0xffff_ffff) * self.0.len() as u64) >> 32) as usize
    }

    /// Has the first bucket of a hash fetched.
    #[inline(always)]
    pub(crate) fn prefetch(&self, hash: u64) {
        if let Some(bucket) = self.0.get(self.first(hash)) {
            prefetch(std::ptr::from_ref(bucket));
        }
    }

    /// Where the key with this hash probably is, if anywhere.
    #[inline(always)]
    pub(crate) fn candidate(&self, hash: u64) -> FlowRef {
        let Some(bucket) = self.0.get(self.first(hash)) else { return FlowRef::NONE };
        let ways = bucket.with(tag(hash));
        if ways != 0 {
            return bucket.at(ways.trailing_zeros());
        }
        if bucket.overflowed == 0 {
            return FlowRef::NONE;
        }
        self.candidate_of_second(hash)
    }

    #[cold]
    fn candidate_of_second(&self, hash: u64) -> FlowRef {
        let Some(bucket) = self.0.get(self.second(hash)) else { return FlowRef::NONE };
        match bucket.with(tag(hash)) {
            0 => FlowRef::NONE,
            ways => bucket.at(ways.trailing_zeros()),
        }
    }

    /// The entry of this hash that is the right one.
    pub(crate) fn find(&self, hash: u64, is_it: impl Fn(FlowRef) -> bool) -> FlowRef {
        let within = |at: usize| {
            let bucket = self.0.get(at)?;
            let mut ways = bucket.with(tag(hash));
            while ways != 0 {
                let found = bucket.at(ways.trailing_zeros());
                if is_it(found) {
                    return Some(found);
                }
                ways &= ways - 1;
            }
            None
        };
        let first = self.first(hash);
        let overflowed = self.0.get(first).is_some_and(|bucket| bucket.overflowed > 0);
        within(first)
            .or_else(|| overflowed.then(|| within(self.second(hash))).flatten())
            .unwrap_or(FlowRef::NONE)
    }

    /// Enters a direction of a flow; false if both its buckets are full.
    pub(crate) fn insert(&mut self, hash: u64, at: FlowRef) -> bool {
        let (first, second) = (self.first(hash), self.second(hash));
        if self.0.get_mut(first).is_some_and(|bucket| bucket.put(tag(hash), at)) {
            return true;
        }
        let entered = self.0.get_mut(second).is_some_and(|bucket| bucket.put(tag(hash), at));
        if entered && let Some(bucket) = self.0.get_mut(first) {
            bucket.overflowed += 1;
        }
        entered
    }

    /// What stands in the two buckets of a hash.
    pub(crate) fn neighbours(&self, hash: u64) -> impl Iterator<Item = FlowRef> + '_ {
        let buckets = [self.first(hash), self.second(hash)].into_iter();
        buckets.filter_map(|at| self.0.get(at)).flat_map(|bucket| {
            let entries = bucket.tags.iter().zip(&bucket.refs);
            entries.filter(|&(&tag, _)| tag != FREE).map(|(_, &bits)| FlowRef::from_bits(bits))
        })
    }

    /// Moves an entry into the other one of its buckets, if that has room.
    pub(crate) fn shift(&mut self, hash: u64, at: FlowRef) -> bool {
        let (first, second) = (self.first(hash), self.second(hash));
        if first == second {
            return false;
        }
        let is_in = |bucket: &Bucket| {
            let entries = bucket.tags.iter().zip(&bucket.refs);
            entries.into_iter().any(|(&found, &bits)| found == tag(hash) && bits == at.bits())
        };
        let from_first = self.0.get(first).is_some_and(is_in);
        let (from, to) = if from_first { (first, second) } else { (second, first) };
        if !self.0.get_mut(to).is_some_and(|bucket| bucket.put(tag(hash), at)) {
            return false;
        }
        if let Some(bucket) = self.0.get_mut(from) {
            bucket.take(tag(hash), at);
        }
        if let Some(bucket) = self.0.get_mut(first) {
            let moved_away = bucket.overflowed.saturating_add(1);
            bucket.overflowed =
                if from_first { moved_away } else { bucket.overflowed.saturating_sub(1) };
        }
        true
    }

    /// Takes a direction of a flow out.
    pub(crate) fn remove(&mut self, hash: u64, at: FlowRef) {
        let (first, second) = (self.first(hash), self.second(hash));
        if self.0.get_mut(first).is_some_and(|bucket| bucket.take(tag(hash), at)) {
            return;
        }
        let taken = self.0.get_mut(second).is_some_and(|bucket| bucket.take(tag(hash), at));
        if taken && let Some(bucket) = self.0.get_mut(first) {
            bucket.overflowed = bucket.overflowed.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Direction, FlowId};

    fn at(n: u32) -> FlowRef {
        FlowRef::new(FlowId(n), Direction::Original)
    }

    #[test]
    fn entries_that_overflow_are_found_and_leave_no_trace() {
        let mut buckets = Buckets::new(4096);
        // All of them have one first bucket, and second ones here and there.
        let hash = |n: u32| 0x1234_5678_0000_0000 | u64::from(n.wrapping_mul(0x9e37_79b9));
        for n in 0..16 {
            assert!(buckets.insert(hash(n), at(n)), "{n}");
        }
        for n in 0..16 {
            assert_eq!(buckets.find(hash(n), |found| found == at(n)), at(n));
        }
        for n in 0..16 {
            buckets.remove(hash(n), at(n));
            assert!(buckets.find(hash(n), |found| found == at(n)).is_none());
        }
        assert!(buckets.0.iter().all(|b| b.overflowed == 0 && b.tags == [FREE; WAYS]));
    }

    #[test]
    fn a_full_pair_of_buckets_refuses() {
        let mut buckets = Buckets::new(1);
        let entered = (0..64).filter(|&n| buckets.insert(u64::from(n) << 32, at(n))).count();
        assert!((8..=16).contains(&entered), "{entered}");
    }
}
