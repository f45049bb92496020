//! Making sets of rules, each page and each row once.

use std::collections::HashMap;

use crate::sets::{Page, SetId, Sets, Shape};

/// Pages and rows so far, and where equal ones are.
#[derive(Debug)]
pub(crate) struct SetsBuilder {
    shape: Shape,
    pages: Vec<Page>,
    page_numbers: HashMap<Page, u32>,
    rows: Vec<u64>,
    row_numbers: HashMap<Box<[u64]>, u32>,
}

impl SetsBuilder {
    pub(crate) fn new(rules: usize) -> Self {
        Self {
            shape: Shape::of(rules),
            pages: Vec::new(),
            page_numbers: HashMap::new(),
            rows: Vec::new(),
            row_numbers: HashMap::new(),
        }
    }

    fn page(&mut self, page: &Page) -> u32 {
        let next = self.pages.len() as u32;
        let number = *self.page_numbers.entry(*page).or_insert(next);
        if number == next {
            self.pages.push(*page);
        }
        number
    }

    fn row(&mut self, row: &[u64]) -> SetId {
        if let Some(&number) = self.row_numbers.get(row) {
            return SetId(number);
        }
        let number = self.row_numbers.len() as u32;
        self.row_numbers.insert(row.into(), number);
        self.rows.extend_from_slice(row);
        SetId(number)
    }

    pub(crate) fn finish(self) -> Sets {
        Sets { shape: self.shape, rows: self.rows.into(), pages: self.pages.into() }
    }
}

/// A set that changes step by step. Making it one of the [`Sets`] costs what changed since the last
/// time, not what it holds.
#[derive(Debug)]
pub(crate) struct Draft {
    shape: Shape,
    row: Vec<u64>,
    pages: Vec<Page>,
    changed: Vec<usize>,
}

impl Draft {
    /// The empty set.
    pub(crate) fn new(builder: &SetsBuilder) -> Self {
        let shape = builder.shape;
        Self {
            shape,
            row: vec![0; shape.row_words()],
            pages: vec![Page::default(); shape.pages],
            changed: (0..shape.pages).collect(),
        }
    }

    /// Puts a rule in, or takes it out if it was in.
    pub(crate) fn toggle(&mut self, rule: usize) {
        let (page, word, bit) = Shape::place(rule);
        let bits = if self.shape.pages == 0 { &mut self.row } else { &mut self.pages[page][..] };
        bits[word] ^= bit;
        if self.shape.pages != 0 && self.changed.last() != Some(&page) {
            self.changed.push(page);
        }
    }

    /// The set as it is now.
    pub(crate) fn keep(&mut self, builder: &mut SetsBuilder) -> SetId {
        self.changed.sort_unstable();
        self.changed.dedup();
        for page in self.changed.drain(..) {
            let bits = &self.pages[page];
            let number = builder.page(bits);
            let (word, shift) = self.shape.page_number(page);
            replace(&mut self.row[word], u64::from(u32::MAX) << shift, u64::from(number) << shift);
            let summary = bits.iter().rev().fold(0, |byte, &word| byte << 1 | u64::from(word != 0));
            let shift = page % 8 * 8;
            replace(&mut self.row[page / 8], 0xff << shift, summary << shift);
        }
        builder.row(&self.row)
    }
}

const fn replace(word: &mut u64, mask: u64, bits: u64) {
    *word = *word & !mask | bits;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(rules: usize, sets: &[&[usize]]) -> (Sets, Vec<SetId>) {
        let mut builder = SetsBuilder::new(rules);
        let mut ids = Vec::new();
        for set in sets {
            let mut draft = Draft::new(&builder);
            set.iter().for_each(|&rule| draft.toggle(rule));
            ids.push(draft.keep(&mut builder));
        }
        (builder.finish(), ids)
    }

    #[test]
    fn the_first_common_rule_is_found_on_both_sides_of_every_limit() {
        for limit in [1, 63, 64, 65, 511, 512, 513, 4095, 4096, 4097, 9999] {
            let shared = limit - 1;
            let (sets, ids) = kept(10_000.min(limit + 1), &[&[shared], &[shared, limit], &[limit]]);
            let [a, b, c] = ids[..] else { unreachable!("three sets") };
            assert_eq!(sets.first_common([a, b]), Some(shared as u32), "{limit}");
            assert_eq!(sets.first_common([b, c]), Some(limit as u32), "{limit}");
            assert_eq!(sets.first_common([a, b, c]), None, "{limit}");
        }
    }

    #[test]
    fn words_that_both_have_but_share_no_rule_in_are_passed_over() {
        let even: Vec<usize> = (0..10_000).step_by(2).collect();
        let odd: Vec<usize> = (1..10_000).step_by(2).chain([9998]).collect();
        let (sets, ids) = kept(10_000, &[&even, &odd]);
        assert_eq!(sets.first_common([ids[0], ids[1]]), Some(9998));
    }

    #[test]
    fn equal_sets_are_one_and_the_others_share_their_equal_pages() {
        let (sets, ids) = kept(5120, &[&[0, 600], &[600, 0], &[0, 601], &[]]);
        assert_eq!(ids[0], ids[1]);
        assert_ne!(ids[0], ids[2]);
        assert_eq!(sets.rows.len(), 3 * Shape::of(5120).row_words());
        assert_eq!(sets.pages.len(), 4, "empty, with 0, with 600, with 601");
    }

    #[test]
    fn what_is_toggled_twice_is_out_again() {
        for rules in [64, 1000] {
            let (sets, ids) = kept(rules, &[&[3, 60, 3], &[60], &[]]);
            assert_eq!(ids[0], ids[1]);
            assert_eq!(sets.first_common([ids[0]]), Some(60));
            assert_eq!(sets.first_common([ids[2]]), None);
        }
    }
}
