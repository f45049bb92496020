//! Which of many ranges overlap, without comparing each with each.

use crate::source::Span;

/// A range, inclusive, among those with the same key.
pub(crate) struct Range<'s, K, P> {
    pub(crate) key: K,
    pub(crate) first: P,
    pub(crate) last: P,
    /// Where it stands in the file.
    pub(crate) span: &'s Span,
}

/// For each range that overlaps one with the same key: the place of the later of the two in the
/// file, and that of the earlier one.
pub(crate) fn overlaps<'s, K: Ord, P: Ord>(
    mut ranges: Vec<Range<'s, K, P>>,
) -> Vec<(&'s Span, &'s Span)> {
    ranges.sort_by(|a, b| (&a.key, &a.first, a.span.start).cmp(&(&b.key, &b.first, b.span.start)));
    let mut found = Vec::new();
    // The range so far that reaches furthest: if any overlaps the present one, it does.
    let mut furthest: Option<&Range<'s, K, P>> = None;
    for range in &ranges {
        let before = furthest.filter(|before| before.key == range.key);
        if let Some(before) = before.filter(|before| before.last >= range.first) {
            let (a, b) = (before.span, range.span);
            found.push(if a.start < b.start { (b, a) } else { (a, b) });
        }
        if before.is_none_or(|before| before.last < range.last) {
            furthest = Some(range);
        }
    }
    found
}

/// Ranges to look others up in.
pub(crate) struct Ranges<'s, P> {
    /// By their first element; with each, the furthest last one of it and those before it, and
    /// where that one stands.
    sorted: Vec<(P, P, &'s Span)>,
}

impl<'s, P: Ord + Copy> Ranges<'s, P> {
    pub(crate) fn new(ranges: impl IntoIterator<Item = (P, P, &'s Span)>) -> Self {
        let mut sorted: Vec<_> = ranges.into_iter().collect();
        sorted.sort_by_key(|&(first, ..)| first);
        let mut furthest: Option<(P, &'s Span)> = None;
        for (_, last, span) in &mut sorted {
            match furthest {
                Some((reached, by)) if reached > *last => (*last, *span) = (reached, by),
                _ => furthest = Some((*last, span)),
            }
        }
        Self { sorted }
    }

    /// Where one of the ranges stands that overlaps this one.
    pub(crate) fn overlapping(&self, first: P, last: P) -> Option<&'s Span> {
        let begun = self.sorted.partition_point(|&(start, ..)| start <= last);
        let &(_, reached, span) = self.sorted.get(begun.checked_sub(1)?)?;
        (reached >= first).then_some(span)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_overlap_is_found_exactly_where_there_is_one(
            ranges in prop::collection::vec((0..3_u8, 0..60_u8, 0..8_u8), 0..20),
        ) {
            let spans: Vec<Span> = (0..ranges.len()).map(|at| at..at + 1).collect();
            let all: Vec<_> = ranges
                .iter()
                .zip(&spans)
                .map(|(&(key, first, more), span)| Range { key, first, last: first + more, span })
                .collect();
            let touch = |a: &Range<'_, u8, u8>, b: &Range<'_, u8, u8>| {
                a.key == b.key && a.first <= b.last && b.first <= a.last
            };
            let any = all.iter().enumerate().any(|(at, a)| all[..at].iter().any(|b| touch(a, b)));
            let of_one: Vec<_> = all.iter().filter(|one| one.key == 0).collect();
            let index = Ranges::new(of_one.iter().map(|one| (one.first, one.last, one.span)));
            for other in &all {
                let expected = of_one
                    .iter()
                    .any(|one| one.first <= other.last && other.first <= one.last);
                let found = index.overlapping(other.first, other.last);
                prop_assert_eq!(found.is_some(), expected);
                if let Some(found) = found {
                    let one = &all[found.start];
                    prop_assert!(one.first <= other.last && other.first <= one.last);
                }
            }
            let spans = overlaps(all);
            prop_assert_eq!(!spans.is_empty(), any);
            for (later, earlier) in spans {
                prop_assert!(later.start > earlier.start);
            }
        }
    }
}
