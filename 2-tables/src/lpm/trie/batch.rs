//! Many lookups side by side.
//!
//! A lookup is a chain of loads, each of which must wait for the one before, perhaps as far as to
//! memory. In a batch all lookups take one step before any takes the next, so that the processor
//! waits for many at the same time. The loop has no branch on what it finds: those would be guessed
//! wrong, and each wrong guess throws away the loads that were under way.

use std::sync::atomic::{Ordering, fence};

use portcullis_packet::{BATCH, NextHopId, prefetch};

use super::super::address::{Address, STRIDE};
use super::{HEAD, NODE, Trie, levels};

/// Nodes and leaves of this size stay in a core's second-level cache, packets and all.
const NEAR_BYTES: usize = 2 << 20;

impl<A: Address> Trie<A> {
    #[inline]
    pub(in super::super) fn lookup_batch(&self, addrs: &[A], out: &mut [NextHopId]) {
        self.default.answer_batch(addrs, out, |addrs, out| {
            if self.is_far() {
                self.find_batch::<true>(addrs, out);
            } else {
                self.find_batch::<false>(addrs, out);
            }
        });
    }

    /// Whether most of the table must be expected to be outside the processor's own caches.
    fn is_far(&self) -> bool {
        size_of_val(&*self.words) > NEAR_BYTES
    }

    /// Asks for a node, which may lie across two cache lines.
    #[inline(always)]
    fn fetch(&self, at: usize) {
        if let Some([first, _, last, ..]) = self.words.get(at..) {
            prefetch(first);
            prefetch(last);
        }
    }

    /// Values for at most [`BATCH`] addresses. What is far is asked for one step ahead, which gains
    /// a quarter; what is near comes soon enough, and asking costs an eighth.
    #[inline]
    fn find_batch<const FAR: bool>(&self, addrs: &[A], out: &mut [NextHopId]) {
        // Which addresses are still on their way: their number in the batch, and where their next
        // node is.
        let mut walkers = [(0_u8, 0_u32); BATCH];
        let mut walking = 0;
        for (n, (addr, out)) in addrs.iter().zip(out.iter_mut()).enumerate().take(BATCH) {
            let entry = self.head(addr.head(HEAD)).load(Ordering::Relaxed);
            // A value is the answer; whoever meets a node has none yet.
            out.0 = entry & (entry >> 31).wrapping_sub(1);
            walkers[walking % BATCH] = (n as u8, entry & !NODE);
            if FAR {
                self.fetch((entry & !NODE) as usize);
            }
            walking += (entry >> 31) as usize;
        }
        // Those that have left the array, and where their leaf is, in half words.
        let mut leaves = [(0_u8, 0_u32); BATCH];
        let mut found = 0;
        let mut depth = HEAD;
        for _ in 0..levels(A::BITS) {
            if walking == 0 {
                break;
            }
            // Whatever the links lead to was written before them.
            fence(Ordering::Acquire);
            let mut still = 0;
            for walker in 0..walking {
                let (n, at) = walkers[walker % BATCH];
                let Some(node) = self.node(at as usize) else { continue };
                let Some(addr) = addrs.get(n as usize) else { continue };
                let chunk = addr.chunk(depth);
                let goes_on = node.has_child(chunk);
                walkers[still % BATCH] = (n, node.child(chunk) as u32);
                still += usize::from(goes_on);
                if FAR {
                    self.fetch(if goes_on { node.child(chunk) } else { node.leaf(chunk) / 2 });
                }
                leaves[found % BATCH] = (n, node.leaf(chunk) as u32);
                found += usize::from(!goes_on);
            }
            walking = still;
            depth += STRIDE;
        }
        fence(Ordering::Acquire);
        for (n, leaf) in leaves.iter().take(found) {
            if let Some(out) = out.get_mut(usize::from(*n)) {
                out.0 = self.leaf(*leaf as usize);
            }
        }
    }
}
