//! The trie: an array indexed by an address's first 18 bits, and below it nodes of 6-bit strides.
//!
//! An entry of the array is either a value (a next hop, or 0) or, with [`NODE`] set, the place of a
//! node. A node is three words: which of its 64 chunks have a child node, at which chunks a run of
//! equal leaves begins, and where its children and its leaves are. Children lie side by side, so
//! that one place and a count of bits lead to any of them; leaves do too, two to a word, each run
//! of equal ones stored once.
//!
//! **How it changes under its readers.** The two bit sets of a node never change while a reader can
//! reach it; only the array's entries and the nodes' third words do. The writer builds what is new
//! in free words, then makes it visible by one release store of one such word. Readers take an
//! acquire step after each, and so find the new blocks complete. What was replaced keeps its
//! content until the grace period is over. An address therefore gets its old answer or its new
//! one.

mod batch;
mod build;
mod update;

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use portcullis_packet::NextHopId;
use zerocopy::FromZeros;

use super::FibError;
use super::address::{Address, STRIDE};
use super::arena::zeroed_words;
use super::default_route::DefaultRoute;

pub(super) use update::TrieWriter;

/// Bits that the array resolves.
const HEAD: u32 = 18;

/// Set in an entry that leads to a node.
const NODE: u32 = 1 << 31;

/// Words of a node.
const NODE_WORDS: u32 = 3;

/// What one lookup may have to walk through below the array: 19 nodes for 128 bits.
const fn levels(bits: u32) -> u32 {
    (bits - HEAD).div_ceil(STRIDE)
}

/// A node, as loaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Node {
    /// Chunks that have a child node.
    children: u64,
    /// Chunks without a child at which another leaf value begins.
    runs: u64,
    /// Where the leaves are (upper half) and where the children are (lower half).
    places: u64,
}

impl Node {
    const fn new(children: u64, runs: u64, children_at: u32, leaves_at: u32) -> Self {
        Self { children, runs, places: (leaves_at as u64) << 32 | children_at as u64 }
    }

    const fn words(self) -> [u64; NODE_WORDS as usize] {
        [self.children, self.runs, self.places]
    }

    const fn children_at(self) -> u32 {
        self.places as u32
    }

    const fn leaves_at(self) -> u32 {
        (self.places >> 32) as u32
    }

    /// Whether the two lead to the same chunks in the same way, though to other places.
    const fn same_shape(self, other: Self) -> bool {
        self.children == other.children && self.runs == other.runs
    }

    const fn has_child(self, chunk: usize) -> bool {
        self.children >> chunk & 1 != 0
    }

    /// Where the child of `chunk`, which has one, is.
    #[inline(always)]
    const fn child(self, chunk: usize) -> usize {
        let before = self.children & ((1 << chunk) - 1);
        self.children_at() as usize + (before.count_ones() * NODE_WORDS) as usize
    }

    /// Where the leaf of `chunk`, which has no child, is, counted in half words.
    #[inline(always)]
    const fn leaf(self, chunk: usize) -> usize {
        let upto = self.runs & (u64::MAX >> (63 - chunk));
        (self.leaves_at() as usize * 2 + upto.count_ones() as usize).wrapping_sub(1)
    }
}

/// The table, as readers share it.
#[derive(Debug)]
pub(super) struct Trie<A> {
    heads: Box<[AtomicU32; 1 << HEAD]>,
    words: Box<[AtomicU64]>,
    default: DefaultRoute,
    family: PhantomData<A>,
}

impl<A: Address> Trie<A> {
    /// An empty table with room for so many words of nodes and leaves.
    fn new(words: u32) -> Result<Self, FibError> {
        Ok(Self {
            heads: FromZeros::new_box_zeroed().map_err(|_| FibError::OutOfMemory)?,
            words: zeroed_words(words as usize)?,
            default: DefaultRoute::default(),
            family: PhantomData,
        })
    }

    /// Changes the default route; one writer only.
    fn set_default(&self, next_hop: NextHopId) {
        self.default.set(next_hop);
    }

    /// Makes the node at `at` lead to the blocks of `new`, which has the same shape; one writer only.
    fn move_places(&self, at: usize, new: Node) {
        if let Some(places) = self.words.get(at + 2) {
            places.store(new.places, Ordering::Release);
        }
    }

    /// Bytes of address space the table takes; what was never written to has no memory behind it.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.heads) + size_of_val(&*self.words)
    }

    #[inline]
    pub(super) fn lookup(&self, addr: A) -> NextHopId {
        self.default.answer(|| self.find(addr))
    }

    #[inline(always)]
    fn find(&self, addr: A) -> u32 {
        let entry = self.head(addr.head(HEAD)).load(Ordering::Acquire);
        if entry & NODE == 0 {
            return entry;
        }
        let mut at = (entry & !NODE) as usize;
        let mut depth = HEAD;
        for _ in 0..levels(A::BITS) {
            let Some(node) = self.node(at) else { break };
            let chunk = addr.chunk(depth);
            if !node.has_child(chunk) {
                return self.leaf(node.leaf(chunk));
            }
            at = node.child(chunk);
            depth += STRIDE;
        }
        0
    }

    #[inline(always)]
    fn head(&self, head: usize) -> &AtomicU32 {
        // `head` has 18 bits; the remainder tells the compiler.
        &self.heads[head % (1 << HEAD)]
    }

    #[inline(always)]
    fn node(&self, at: usize) -> Option<Node> {
        let [children, runs, places] = self.words.get(at..)?.first_chunk()?;
        // The bit sets of a node do not change while it can be reached: any order will do.
        Some(Node {
            children: children.load(Ordering::Relaxed),
            runs: runs.load(Ordering::Relaxed),
            places: places.load(Ordering::Acquire),
        })
    }

    #[inline(always)]
    fn leaf(&self, half: usize) -> u32 {
        let word = self.words.get(half / 2).map_or(0, |word| word.load(Ordering::Relaxed));
        (word >> (half % 2 * 32)) as u32
    }
}
