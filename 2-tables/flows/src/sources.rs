//! How many flows each source has, roughly: never too few, and rarely too many.
//!
//! A source is known by 32 bits of a keyed hash, and counted in two rows of counters (a count-min sketch). What
//! it counts is the smaller one of its two counters: sources that share one of them do not share the
//! other. That takes four bytes a flow, however many sources there are.

use crate::key::Hasher;

/// A source, as flows remember it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SourceId(pub(crate) u32);

#[derive(Debug)]
pub(crate) struct Sources {
    rows: [Vec<u32>; 2],
    hasher: Hasher,
}

impl Sources {
    /// Counters for so many flows.
    pub(crate) fn new(flows: usize, seed: u64) -> Self {
        let row = || vec![0; (flows / 2).max(64)];
        Self { rows: [row(), row()], hasher: Hasher::new(seed.rotate_left(32) ^ 0x5bd1_e995) }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.rows.iter().map(|row| row.len() * size_of::<u32>()).sum()
    }

    pub(crate) fn id(&self, source: u64) -> SourceId {
        SourceId(self.hasher.two(source, 0) as u32)
    }

    fn places(&self, SourceId(id): SourceId) -> [usize; 2] {
        let other = u64::from(id).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let place = |hash: u64, row: &Vec<u32>| ((hash * row.len() as u64) >> 32) as usize;
        let [first, second] = &self.rows;
        [place(u64::from(id), first), place(other, second)]
    }

    pub(crate) fn count(&self, id: SourceId) -> u32 {
        let counters = self.rows.iter().zip(self.places(id));
        counters.filter_map(|(row, at)| row.get(at)).copied().min().unwrap_or(0)
    }

    pub(crate) fn add(&mut self, id: SourceId) {
        let places = self.places(id);
        for (row, at) in self.rows.iter_mut().zip(places) {
            if let Some(count) = row.get_mut(at) {
                *count = count.saturating_add(1);
            }
        }
    }

    pub(crate) fn remove(&mut self, id: SourceId) {
        let places = self.places(id);
        for (row, at) in self.rows.iter_mut().zip(places) {
            if let Some(count) = row.get_mut(at) {
                *count = count.saturating_sub(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_counted_apart_from_a_hundred_thousand_others() {
        let mut sources = Sources::new(200_000, 1);
        for source in 0..100_000 {
            sources.add(sources.id(source));
        }
        let busy = sources.id(1 << 40);
        for _ in 0..1000 {
            sources.add(busy);
        }
        assert!((1000..1020).contains(&sources.count(busy)));
        let counted_too_high =
            (0..100_000).filter(|&source| sources.count(sources.id(source)) > 8).count();
        assert!(counted_too_high < 100, "{counted_too_high}");
        for _ in 0..1000 {
            sources.remove(busy);
        }
        for source in 0..100_000 {
            sources.remove(sources.id(source));
        }
        assert!(sources.rows.iter().flatten().all(|&count| count == 0));
    }
}
