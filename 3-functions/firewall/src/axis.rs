//! One dimension of the rules: which of them match, by the value that a query has in it.

use crate::sets::SetId;
use crate::sets_builder::{Draft, SetsBuilder};

/// A value in some dimension, an unsigned integer.
pub(crate) trait Value: Copy + Ord {
    const ZERO: Self;

    /// The value that follows, if there is one.
    fn next(self) -> Option<Self>;
}

macro_rules! value {
    ($($integer:ty),*) => {
        $(impl Value for $integer {
            const ZERO: Self = 0;

            fn next(self) -> Option<Self> {
                self.checked_add(1)
            }
        })*
    };
}

value!(u16, u32, u128);

/// Values from the first to the last, both included.
pub(crate) type Span<V> = (V, V);

/// A dimension.
#[derive(Debug)]
pub(crate) struct Axis<V> {
    /// The values at which another set begins, in order.
    cuts: Box<[V]>,
    /// The set before the first cut, and the one from each on.
    sets: Box<[SetId]>,
}

impl<V: Value> Axis<V> {
    /// From what each rule is met by: nothing but these values, or, if `None`, any.
    pub(crate) fn new(
        builder: &mut SetsBuilder,
        rules: impl Iterator<Item = Option<Vec<Span<V>>>>,
    ) -> Self {
        let mut draft = Draft::new(builder);
        let mut changes = Vec::new();
        for (rule, spans) in rules.enumerate() {
            let Some(spans) = spans else {
                draft.toggle(rule);
                continue;
            };
            for (first, last) in without_overlaps(spans) {
                // From zero on: in the first set, which no cut begins.
                if first == V::ZERO {
                    draft.toggle(rule);
                } else {
                    changes.push((first, rule));
                }
                changes.extend(last.next().map(|after| (after, rule)));
            }
        }
        changes.sort_unstable();
        let mut cuts = Vec::new();
        let mut latest = draft.keep(builder);
        let mut sets = vec![latest];
        for together in changes.chunk_by(|a, b| a.0 == b.0) {
            for &(_, rule) in together {
                draft.toggle(rule);
            }
            let set = draft.keep(builder);
            if set != latest {
                cuts.extend(together.first().map(|&(value, _)| value));
                sets.push(set);
                latest = set;
            }
        }
        Self { cuts: cuts.into(), sets: sets.into() }
    }

    /// The rules that a value meets.
    #[inline(always)]
    pub(crate) fn at(&self, value: V) -> SetId {
        let passed = self.cuts.partition_point(|&cut| cut <= value);
        self.sets.get(passed).copied().unwrap_or(SetId(u32::MAX))
    }

    /// Bytes in memory.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.cuts) + size_of_val(&*self.sets)
    }
}

/// The same values, each in one span, those of empty spans left out.
fn without_overlaps<V: Value>(mut spans: Vec<Span<V>>) -> Vec<Span<V>> {
    spans.retain(|(first, last)| first <= last);
    spans.sort_unstable();
    spans.dedup_by(|span, before| {
        let overlaps = span.0 <= before.1;
        if overlaps {
            before.1 = before.1.max(span.1);
        }
        overlaps
    });
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(rules: Vec<Option<Vec<Span<u16>>>>) -> (Axis<u16>, impl Fn(u16) -> Option<u32>) {
        let build = |rules: Vec<_>| {
            let mut builder = SetsBuilder::new(rules.len());
            let axis = Axis::new(&mut builder, rules.into_iter());
            (axis, builder.finish())
        };
        let (axis, sets) = build(rules.clone());
        (build(rules).0, move |value| sets.first_common([axis.at(value)]))
    }

    #[test]
    fn a_range_begins_with_its_first_value_and_ends_after_its_last() {
        let (_, first) = axis(vec![
            Some(vec![(0, 0)]),
            Some(vec![(u16::MAX, u16::MAX)]),
            Some(vec![(7, 9)]),
            Some(vec![(0, 8)]),
        ]);
        let found = [0, 1, 6, 7, 9, 10, u16::MAX - 1, u16::MAX].map(first);
        let expected = [Some(0), Some(3), Some(3), Some(2), Some(2), None, None, Some(1)];
        assert_eq!(found, expected);
    }

    #[test]
    fn spans_of_one_rule_may_overlap_touch_contain_one_another_and_be_empty() {
        let spans = vec![(20, 30), (1, 5), (3, 8), (9, 12), (22, 25), (41, 40), (30, 30)];
        let (axis, first) = axis(vec![Some(spans)]);
        let matched: Vec<u16> = (0..100).filter(|&value| first(value).is_some()).collect();
        let expected: Vec<u16> = (1..=12).chain(20..=30).collect();
        assert_eq!(matched, expected);
        assert_eq!(*axis.cuts, [1, 13, 20, 31]);
    }

    #[test]
    fn where_all_rules_take_anything_there_is_no_cut() {
        let (axis, first) = axis(vec![None, Some(vec![(0, u16::MAX)]), Some(vec![])]);
        assert!(axis.cuts.is_empty());
        assert_eq!([0, 5, u16::MAX].map(first), [Some(0); 3]);
    }
}
