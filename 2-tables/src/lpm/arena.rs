//! The memory of a trie: words that readers load while the one writer hands out what is free.

use std::sync::atomic::{AtomicU64, Ordering};

use zerocopy::FromZeros;

use super::FibError;

/// Words in the largest block: the 64 children of one node, of three words each.
pub(super) const LARGEST: usize = 192;

/// There is no free block of the size that was asked for.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Full;

/// A run of words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Block {
    pub(super) at: u32,
    pub(super) words: u32,
}

/// Words that start as zero and whose pages stay untouched until they are used.
pub(super) fn zeroed_words(words: usize) -> Result<Box<[AtomicU64]>, FibError> {
    <[AtomicU64]>::new_box_zeroed_with_elems(words).map_err(|_| FibError::OutOfMemory)
}

/// Which words are free. It never touches them.
#[derive(Debug)]
pub(super) struct Allocator {
    /// Blocks that came back, by their size.
    free: Vec<Vec<u32>>,
    /// The first word that was never handed out.
    fresh: u32,
    capacity: u32,
    in_use: usize,
}

impl Allocator {
    pub(super) fn new(capacity: u32) -> Self {
        Self { free: vec![Vec::new(); LARGEST + 1], fresh: 0, capacity, in_use: 0 }
    }

    /// Words in blocks that were handed out and did not come back.
    pub(super) const fn in_use(&self) -> usize {
        self.in_use
    }

    /// A block of this size.
    pub(super) fn take(&mut self, words: u32) -> Result<Block, Full> {
        let at = self
            .recycled(words)
            .or_else(|| self.untouched(words))
            .or_else(|| self.cut(words))
            .ok_or(Full)?;
        self.in_use += words as usize;
        Ok(Block { at, words })
    }

    /// Takes a block back; nobody reads it any more.
    pub(super) fn give_back(&mut self, block: Block) {
        self.in_use -= block.words as usize;
        self.shelve(block);
    }

    fn recycled(&mut self, words: u32) -> Option<u32> {
        self.free.get_mut(words as usize)?.pop()
    }

    fn untouched(&mut self, words: u32) -> Option<u32> {
        let end = self.fresh.checked_add(words).filter(|end| *end <= self.capacity)?;
        Some(std::mem::replace(&mut self.fresh, end))
    }

    /// The front of a larger block.
    fn cut(&mut self, words: u32) -> Option<u32> {
        let size = (words as usize + 1..=LARGEST).find(|size| !self.free[*size].is_empty())?;
        let at = self.free[size].pop()?;
        self.shelve(Block { at: at + words, words: size as u32 - words });
        Some(at)
    }

    fn shelve(&mut self, block: Block) {
        if let Some(shelf) = self.free.get_mut(block.words as usize).filter(|_| block.words > 0) {
            shelf.push(block.at);
        }
    }
}

/// Writes a block that no reader can reach yet.
pub(super) fn fill(words: &[AtomicU64], block: Block, content: impl Iterator<Item = u64>) {
    for (word, value) in words.iter().skip(block.at as usize).zip(content) {
        word.store(value, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_come_from_fresh_words_then_from_what_came_back_then_from_larger_ones() {
        let mut arena = Allocator::new(10);
        let a = arena.take(6).expect("fresh");
        let b = arena.take(3).expect("fresh");
        assert_eq!((a, b), (Block { at: 0, words: 6 }, Block { at: 6, words: 3 }));
        assert_eq!(arena.take(2), Err(Full));
        arena.give_back(a);
        assert_eq!(arena.take(2), Ok(Block { at: 0, words: 2 }));
        assert_eq!(arena.take(4), Ok(Block { at: 2, words: 4 }), "the rest of what was cut");
        assert_eq!(arena.take(1), Ok(Block { at: 9, words: 1 }));
        assert_eq!((arena.take(1), arena.in_use()), (Err(Full), 10));
    }
}
