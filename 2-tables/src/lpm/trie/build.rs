//! Making nodes from sorted routes.

use std::sync::atomic::AtomicU64;

use super::super::address::{Address, STRIDE};
use super::super::arena::{Allocator, Block, Full, fill};
use super::super::rib::Route;
use super::{NODE_WORDS, Node};

/// What stands at one chunk of a node, or at one entry of the array.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Subtree {
    /// All addresses of the chunk have this value.
    Leaf(u32),
    /// They differ.
    Node(Node),
}

/// The chunks of a node, one by one.
pub(super) type Chunks = [Subtree; 1 << STRIDE];

/// Free words, and what was taken of them since the last success.
#[derive(Debug)]
pub(super) struct Space {
    allocator: Allocator,
    taken: Vec<Block>,
}

impl Space {
    pub(super) fn new(capacity: u32) -> Self {
        Self { allocator: Allocator::new(capacity), taken: Vec::new() }
    }

    pub(super) fn take(&mut self, words: u32) -> Result<Block, Full> {
        let block = self.allocator.take(words)?;
        self.taken.push(block);
        Ok(block)
    }

    pub(super) fn give_back(&mut self, block: Block) {
        self.allocator.give_back(block);
    }

    /// What was taken is reachable now.
    pub(super) fn keep(&mut self) {
        self.taken.clear();
    }

    /// What was taken since the last [`Self::keep`] was never made reachable.
    pub(super) fn undo(&mut self) {
        for block in self.taken.drain(..) {
            self.allocator.give_back(block);
        }
    }

    pub(super) const fn in_use(&self) -> usize {
        self.allocator.in_use()
    }
}

/// Writes nodes into free words.
pub(super) struct Builder<'a> {
    pub(super) words: &'a [AtomicU64],
    pub(super) space: &'a mut Space,
}

impl Builder<'_> {
    /// The subtree for the chunk that ends at bit `depth`: `routes` are those inside it that are
    /// longer than `depth`, sorted, and `inherited` is what holds where none of them does.
    pub(super) fn build<A: Address>(
        &mut self,
        routes: &[Route<A>],
        depth: u32,
        inherited: u32,
    ) -> Result<Subtree, Full> {
        if routes.is_empty() {
            return Ok(Subtree::Leaf(inherited));
        }
        let mut chunks = [Subtree::Leaf(inherited); 1 << STRIDE];
        self.paint(&mut chunks, routes, depth, inherited)?;
        self.emit(&chunks, None)
    }

    /// Lays `routes`, sorted, over the chunks of a node at `depth`; around them `inherited` holds.
    pub(super) fn paint<A: Address>(
        &mut self,
        chunks: &mut Chunks,
        mut routes: &[Route<A>],
        depth: u32,
        inherited: u32,
    ) -> Result<(), Full> {
        let end = depth + STRIDE;
        // Of the routes that end in this node; shorter ones come first.
        let mut values = [inherited; 1 << STRIDE];
        while let Some((route, rest)) = routes.split_first() {
            let chunk = route.addr.chunk(depth);
            if route.len <= end {
                let range = chunk..chunk + (1 << (end - route.len));
                values[range.clone()].fill(route.value);
                chunks[range].fill(Subtree::Leaf(route.value));
                routes = rest;
            } else {
                let inside = routes.partition_point(|route| route.addr.chunk(depth) == chunk);
                let (inside, rest) = routes.split_at(inside);
                chunks[chunk] = self.build(inside, end, values[chunk])?;
                routes = rest;
            }
        }
        Ok(())
    }

    /// A node of these chunks, or a leaf if they are all the same. The children of the node it
    /// replaces stay where they are if none of them changes.
    pub(super) fn emit(&mut self, chunks: &Chunks, old: Option<&Old>) -> Result<Subtree, Full> {
        let (mut children, mut runs) = (0, 0);
        let mut nodes = Vec::new();
        let mut leaves: Vec<u32> = Vec::new();
        for (bit, chunk) in chunks.iter().enumerate() {
            match *chunk {
                Subtree::Node(node) => {
                    children |= 1 << bit;
                    nodes.push(node);
                }
                Subtree::Leaf(value) => {
                    if leaves.last() != Some(&value) {
                        runs |= 1 << bit;
                        leaves.push(value);
                    }
                }
            }
        }
        if let (true, [value]) = (nodes.is_empty(), leaves.as_slice()) {
            return Ok(Subtree::Leaf(*value));
        }
        let children_at = match old {
            Some(old) if old.children == nodes => old.node.children_at(),
            _ => self.put_nodes(&nodes)?,
        };
        let leaves_at = self.put_leaves(&leaves)?;
        Ok(Subtree::Node(Node::new(children, runs, children_at, leaves_at)))
    }

    fn put_nodes(&mut self, nodes: &[Node]) -> Result<u32, Full> {
        if nodes.is_empty() {
            return Ok(0);
        }
        let block = self.space.take(nodes.len() as u32 * NODE_WORDS)?;
        fill(self.words, block, nodes.iter().flat_map(|node| node.words()));
        Ok(block.at)
    }

    fn put_leaves(&mut self, leaves: &[u32]) -> Result<u32, Full> {
        if leaves.is_empty() {
            return Ok(0);
        }
        let block = self.space.take(leaves.len().div_ceil(2) as u32)?;
        let pairs = leaves
            .chunks(2)
            .map(|pair| pair.iter().rev().fold(0, |word, value| word << 32 | u64::from(*value)));
        fill(self.words, block, pairs);
        Ok(block.at)
    }

    /// A block of its own for the node that an entry of the array leads to.
    pub(super) fn put_root(&mut self, node: Node) -> Result<u32, Full> {
        self.put_nodes(&[node])
    }
}

/// A node that is about to be replaced, and its children.
pub(super) struct Old {
    pub(super) node: Node,
    pub(super) children: Vec<Node>,
}
