//! Changing a trie that is being read.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use portcullis_packet::{Epoch, NextHopId};
use prefix_trie::Prefix;

use super::super::FibError;
use super::super::address::{Address, STRIDE};
use super::super::arena::{Block, Full};
use super::super::grace::Grace;
use super::super::rib::{Rib, Route};
use super::build::{Builder, Chunks, Old, Space, Subtree};
use super::{HEAD, NODE, NODE_WORDS, Node, Trie};

/// Words of the smallest arena; its pages are not touched before they are used.
const SMALLEST: u32 = 1 << 16;

/// The one writer of a [`Trie`].
#[derive(Debug)]
pub(in super::super) struct TrieWriter<A> {
    trie: Arc<Trie<A>>,
    space: Space,
    grace: Grace<Block>,
}

/// A range of addresses that is to be painted anew.
struct Change<'a, A> {
    addr: A,
    len: u32,
    /// The routes in it.
    routes: &'a [Route<A>],
    /// What holds where none of them does.
    inherited: u32,
}

impl<A: Address> TrieWriter<A> {
    /// A table of all these routes, with room for as many again.
    pub(in super::super) fn build(rib: &Rib<A>) -> Result<Self, FibError> {
        let routes = rib.all();
        let mut words = u32::try_from(routes.len())
            .ok()
            .and_then(|routes| routes.checked_mul(4)?.checked_next_power_of_two())
            .ok_or(FibError::TooLarge)?
            .max(SMALLEST);
        loop {
            let mut writer = Self {
                trie: Arc::new(Trie::new(words)?),
                space: Space::new(words),
                grace: Grace::new(),
            };
            let built =
                writer.attempt(|writer, old| writer.paint_heads(0..1 << HEAD, &routes, 0, old));
            if built.is_ok() && writer.space.in_use() <= words as usize / 2 {
                writer.set_default(rib.default_route());
                return Ok(writer);
            }
            words = words.checked_mul(2).filter(|words| *words < NODE).ok_or(FibError::TooLarge)?;
        }
    }

    pub(in super::super) fn reader(&self) -> Arc<Trie<A>> {
        Arc::clone(&self.trie)
    }

    pub(in super::super) fn set_default(&self, next_hop: NextHopId) {
        self.trie.set_default(next_hop);
    }

    /// Brings the addresses of `net`, which is not the default, up to date with `rib`. If the arena
    /// is full nothing changes.
    pub(in super::super) fn apply(&mut self, net: A::Net, rib: &Rib<A>) -> Result<(), Full> {
        let (addr, len) = (net.repr(), u32::from(net.prefix_len()));
        let (routes, inherited) = (rib.within(net), rib.inherited(net));
        if len <= HEAD {
            let first = addr.head(HEAD);
            let heads = first..first + (1 << (HEAD - len));
            self.attempt(|writer, old| writer.paint_heads(heads, &routes, inherited, old))
        } else {
            let change = Change { addr, len, routes: &routes, inherited };
            self.attempt(|writer, old| writer.paint_below_head(&change, old))
        }
    }

    pub(in super::super) fn retire(&mut self, epoch: Epoch) {
        self.grace.retire(epoch);
    }

    pub(in super::super) fn reclaim(&mut self, seen: Epoch) {
        for block in self.grace.reclaim(seen) {
            self.space.give_back(block);
        }
    }

    /// Keeps what a change took and unlinked if it was done, and takes it all back if not.
    fn attempt(
        &mut self,
        change: impl FnOnce(&mut Self, &mut Vec<Block>) -> Result<(), Full>,
    ) -> Result<(), Full> {
        let mut unlinked = Vec::new();
        let done = change(self, &mut unlinked);
        if done.is_ok() {
            self.space.keep();
            unlinked.into_iter().for_each(|block| self.grace.unlink(block));
        } else {
            self.space.undo();
        }
        done
    }

    /// Paints these entries of the array, all prepared before the first is stored.
    fn paint_heads(
        &mut self,
        heads: Range<usize>,
        mut routes: &[Route<A>],
        inherited: u32,
        unlinked: &mut Vec<Block>,
    ) -> Result<(), Full> {
        let first = heads.start;
        let mut entries = vec![inherited; heads.len()];
        while let Some((route, rest)) = routes.split_first() {
            let head = route.addr.head(HEAD);
            let at = head - first;
            if route.len <= HEAD {
                entries[at..at + (1 << (HEAD - route.len))].fill(route.value);
                routes = rest;
            } else {
                let inside = routes.partition_point(|route| route.addr.head(HEAD) == head);
                let (inside, rest) = routes.split_at(inside);
                let subtree = self.builder().build(inside, HEAD, entries[at])?;
                entries[at] = self.entry(subtree)?;
                routes = rest;
            }
        }
        for (head, entry) in heads.zip(entries) {
            let old = self.trie.head(head).load(Ordering::Relaxed);
            if old != entry {
                self.trie.head(head).store(entry, Ordering::Release);
                self.unlink_root(old, unlinked);
            }
        }
        Ok(())
    }

    /// Paints a range inside one entry of the array.
    fn paint_below_head(
        &mut self,
        change: &Change<'_, A>,
        unlinked: &mut Vec<Block>,
    ) -> Result<(), Full> {
        let head = change.addr.head(HEAD);
        let old = self.trie.head(head).load(Ordering::Relaxed);
        let at = (old & NODE != 0).then_some((old & !NODE) as usize);
        let subtree = match at.and_then(|at| self.trie.node(at)) {
            Some(node) => Subtree::Node(node),
            None => Subtree::Leaf(old),
        };
        if let Some(new) = self.repaint(subtree, at, HEAD, change, unlinked)? {
            let entry = self.entry(new)?;
            self.trie.head(head).store(entry, Ordering::Release);
            unlinked.extend(at.map(|at| Block { at: at as u32, words: NODE_WORDS }));
        }
        Ok(())
    }

    /// The subtree as it is after the change, to be put in the place of the one before; nothing if
    /// it could be done in the node at `at` itself, or there was nothing to do.
    fn repaint(
        &mut self,
        subtree: Subtree,
        at: Option<usize>,
        depth: u32,
        change: &Change<'_, A>,
        unlinked: &mut Vec<Block>,
    ) -> Result<Option<Subtree>, Full> {
        let (mut chunks, old) = self.open(subtree);
        let chunk = change.addr.chunk(depth);
        let end = depth + STRIDE;
        if change.len > end {
            let below = old
                .as_ref()
                .filter(|old| old.node.has_child(chunk))
                .map(|old| old.node.child(chunk));
            match self.repaint(chunks[chunk], below, end, change, unlinked)? {
                Some(new) => chunks[chunk] = new,
                None => return Ok(None),
            }
        } else {
            let range = &mut chunks[chunk..chunk + (1 << (end - change.len))];
            for subtree in range.iter() {
                self.unlink(*subtree, unlinked);
            }
            range.fill(Subtree::Leaf(change.inherited));
            self.builder().paint(&mut chunks, change.routes, depth, change.inherited)?;
        }
        let new = self.builder().emit(&chunks, old.as_ref())?;
        if new == subtree {
            return Ok(None);
        }
        let Some(Old { node: old, .. }) = old else { return Ok(Some(new)) };
        unlinked.extend(leaves_of(old));
        match (new, at) {
            (Subtree::Node(new), Some(at)) if new.same_shape(old) => {
                if new.children_at() != old.children_at() {
                    unlinked.extend(children_of(old));
                }
                self.trie.move_places(at, new);
                Ok(None)
            }
            (Subtree::Node(node), _) if node.children_at() == old.children_at() => Ok(Some(new)),
            (Subtree::Node(_) | Subtree::Leaf(_), _) => {
                unlinked.extend(children_of(old));
                Ok(Some(new))
            }
        }
    }

    /// The chunks of a subtree, each by itself.
    fn open(&self, subtree: Subtree) -> (Chunks, Option<Old>) {
        let node = match subtree {
            Subtree::Leaf(_) => return ([subtree; 1 << STRIDE], None),
            Subtree::Node(node) => node,
        };
        let mut children = Vec::new();
        let chunks = std::array::from_fn(|chunk| match self.child(node, chunk) {
            Some(child) => {
                children.push(child);
                Subtree::Node(child)
            }
            None => Subtree::Leaf(self.trie.leaf(node.leaf(chunk))),
        });
        (chunks, Some(Old { node, children }))
    }

    fn child(&self, node: Node, chunk: usize) -> Option<Node> {
        if node.has_child(chunk) { self.trie.node(node.child(chunk)) } else { None }
    }

    /// The entry of the array that stands for a subtree.
    fn entry(&mut self, subtree: Subtree) -> Result<u32, Full> {
        match subtree {
            Subtree::Leaf(value) => Ok(value),
            Subtree::Node(node) => Ok(NODE | self.builder().put_root(node)?),
        }
    }

    fn unlink_root(&self, entry: u32, unlinked: &mut Vec<Block>) {
        if entry & NODE != 0 {
            let at = entry & !NODE;
            if let Some(node) = self.trie.node(at as usize) {
                self.unlink(Subtree::Node(node), unlinked);
            }
            unlinked.push(Block { at, words: NODE_WORDS });
        }
    }

    /// Notes all blocks below a node.
    fn unlink(&self, subtree: Subtree, unlinked: &mut Vec<Block>) {
        let node = match subtree {
            Subtree::Leaf(_) => return,
            Subtree::Node(node) => node,
        };
        for chunk in 0..1 << STRIDE {
            if let Some(child) = self.child(node, chunk) {
                self.unlink(Subtree::Node(child), unlinked);
            }
        }
        unlinked.extend(children_of(node));
        unlinked.extend(leaves_of(node));
    }

    fn builder(&mut self) -> Builder<'_> {
        Builder { words: &self.trie.words, space: &mut self.space }
    }
}

fn children_of(node: Node) -> Option<Block> {
    let words = node.children.count_ones() * NODE_WORDS;
    (words > 0).then_some(Block { at: node.children_at(), words })
}

fn leaves_of(node: Node) -> Option<Block> {
    let words = node.runs.count_ones().div_ceil(2);
    (words > 0).then_some(Block { at: node.leaves_at(), words })
}
