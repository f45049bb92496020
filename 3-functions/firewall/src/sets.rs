//! Sets of rules, and the first rule that several of them share.
//!
//! A set is a row of words: its summary, then the numbers of its pages, two to a word. A bit of the
//! summary stands for a word of a page, that is for 64 rules, and is set if that word is not 0; the eight
//! bits of a byte are one page's. Pages, of one cache line each, are shared between sets. Of up to
//! 64 rules there are no pages, and the summary is the set itself.

/// The bits of 512 rules.
pub(crate) type Page = [u64; PAGE_WORDS];

const PAGE_WORDS: usize = 8;
const PAGE_RULES: usize = PAGE_WORDS * 64;

/// A set among [`Sets`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SetId(pub(crate) u32);

/// What a row looks like, which depends on the number of rules alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Words of the summary.
    pub(crate) summary: usize,
    /// Pages; none if the summary says everything.
    pub(crate) pages: usize,
}

impl Shape {
    pub(crate) const fn of(rules: usize) -> Self {
        if rules <= 64 {
            Self { summary: 1, pages: 0 }
        } else {
            Self { summary: rules.div_ceil(64 * 64), pages: rules.div_ceil(PAGE_RULES) }
        }
    }

    pub(crate) const fn row_words(self) -> usize {
        self.summary + self.pages.div_ceil(2)
    }

    /// In which page a rule is, in which word of it, and as which bit.
    pub(crate) const fn place(rule: usize) -> (usize, usize, u64) {
        (rule / PAGE_RULES, rule / 64 % PAGE_WORDS, 1 << (rule % 64))
    }

    /// In which word of a row a page's number is, and how far from its low end.
    #[inline(always)]
    pub(crate) const fn page_number(self, page: usize) -> (usize, u32) {
        (self.summary + page / 2, 32 * (page % 2) as u32)
    }
}

/// Sets of rules, each of which is there once.
#[derive(Debug)]
pub(crate) struct Sets {
    pub(crate) shape: Shape,
    pub(crate) rows: Box<[u64]>,
    pub(crate) pages: Box<[Page]>,
}

impl Sets {
    /// The first rule that is in all of these sets.
    #[inline]
    pub(crate) fn first_common<const N: usize>(&self, sets: [SetId; N]) -> Option<u32> {
        let rows = sets.map(|set| self.row(set));
        if self.shape.pages == 0 {
            let common = common_word(&rows, 0);
            return (common != 0).then(|| common.trailing_zeros());
        }
        for summary in 0..self.shape.summary {
            let mut left = common_word(&rows, summary);
            while left != 0 {
                let byte = left.trailing_zeros() / 8;
                let page = summary * 8 + byte as usize;
                if let Some(bit) = first_bit(&self.common_page(&rows, page)) {
                    return Some((page * PAGE_RULES) as u32 + bit);
                }
                left &= !(0xff << (byte * 8));
            }
        }
        None
    }

    #[inline(always)]
    fn row(&self, set: SetId) -> &[u64] {
        let len = self.shape.row_words();
        let start = set.0 as usize * len;
        self.rows.get(start..start + len).unwrap_or_default()
    }

    #[inline(always)]
    fn common_page(&self, rows: &[&[u64]], page: usize) -> Page {
        let (word, shift) = self.shape.page_number(page);
        let mut common = [u64::MAX; PAGE_WORDS];
        for row in rows {
            let number = row.get(word).map_or(u32::MAX, |pair| (pair >> shift) as u32);
            let bits = self.pages.get(number as usize).unwrap_or(&[0; PAGE_WORDS]);
            for (word, bits) in common.iter_mut().zip(bits) {
                *word &= bits;
            }
        }
        common
    }

    /// Bytes in memory.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.rows) + size_of_val(&*self.pages)
    }
}

#[inline(always)]
fn common_word(rows: &[&[u64]], at: usize) -> u64 {
    rows.iter().fold(u64::MAX, |common, row| common & row.get(at).copied().unwrap_or(0))
}

#[inline(always)]
fn first_bit(page: &Page) -> Option<u32> {
    let (before, word) = (0..).step_by(64).zip(page).find(|&(_, &word)| word != 0)?;
    Some(before + word.trailing_zeros())
}
