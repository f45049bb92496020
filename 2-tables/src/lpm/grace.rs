//! Blocks that were unlinked, on their way to being used again.

use std::collections::VecDeque;

use portcullis_packet::Epoch;

/// What was unlinked, and after which epoch no reader can still be looking at it.
#[derive(Debug)]
pub(super) struct Grace<T> {
    unlinked: Vec<T>,
    waiting: VecDeque<(Epoch, Vec<T>)>,
}

impl<T> Grace<T> {
    pub(super) const fn new() -> Self {
        Self { unlinked: Vec::new(), waiting: VecDeque::new() }
    }

    /// Notes a block that new lookups do not reach any more.
    pub(super) fn unlink(&mut self, block: T) {
        self.unlinked.push(block);
    }

    /// Everything unlinked since the last call becomes free when all readers have seen `epoch`.
    pub(super) fn retire(&mut self, epoch: Epoch) {
        if !self.unlinked.is_empty() {
            self.waiting.push_back((epoch, std::mem::take(&mut self.unlinked)));
        }
    }

    /// What has become free now that all readers have seen `seen`.
    pub(super) fn reclaim(&mut self, seen: Epoch) -> impl Iterator<Item = T> + use<T> {
        let due = self.waiting.partition_point(|(epoch, _)| *epoch <= seen);
        let blocks: Vec<_> = self.waiting.drain(..due).collect();
        blocks.into_iter().flat_map(|(_, blocks)| blocks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_comes_back_when_its_epoch_has_been_seen_and_not_before() {
        let mut grace = Grace::new();
        grace.unlink('a');
        grace.retire(Epoch(2));
        grace.unlink('b');
        assert_eq!(grace.reclaim(Epoch(1)).count(), 0);
        assert_eq!(grace.reclaim(Epoch(2)).collect::<Vec<_>>(), ['a']);
        assert_eq!(grace.reclaim(Epoch(9)).count(), 0, "b has no epoch yet");
        grace.retire(Epoch(9));
        assert_eq!(grace.reclaim(Epoch(9)).collect::<Vec<_>>(), ['b']);
        assert_eq!(grace.reclaim(Epoch(9)).count(), 0);
    }
}
