//! IPv6: the trie, at every size.

use std::net::Ipv6Addr;
use std::sync::Arc;

use ipnet::Ipv6Net;
use portcullis_packet::{Epoch, NextHopId};

use super::FibError;
use super::generation::{ChangeCount, Generation};
use super::rib::{Rib, check_next_hop};
use super::trie::{Trie, TrieWriter};

/// A reader's handle to an IPv6 table. Clones are cheap and lead to the same table.
#[derive(Clone, Debug)]
pub struct Fib6 {
    table: Arc<Trie<u128>>,
    generation: Generation,
}

impl Fib6 {
    /// Where packets to this address go: [`NextHopId::NO_ROUTE`] if no prefix covers it.
    #[inline]
    #[must_use]
    pub fn lookup(&self, addr: u128) -> NextHopId {
        self.table.lookup(addr)
    }

    /// The same for many addresses, which is faster than one by one; as many as both slices have.
    #[inline]
    pub fn lookup_batch(&self, addrs: &[u128], out: &mut [NextHopId]) {
        self.table.lookup_batch(addrs, out);
    }

    /// Another number whenever the table was changed. To be read before a lookup whose answer is
    /// kept: as long as the number is the same, so is the answer. Costs one load.
    #[inline]
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.generation.get()
    }

    /// Bytes of address space the table takes. Pages it does not use have no memory behind them.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.table.bytes()
    }
}

/// The routes of an IPv6 table, and the only one who may change it.
///
/// Changes are in effect at once for everybody who holds a [`Fib6`] that was made since the last of
/// the [`rebuilds`](Self::rebuilds).
#[derive(Debug)]
pub struct FibWriter6 {
    rib: Rib<u128>,
    trie: TrieWriter<u128>,
    changes: ChangeCount,
    rebuilds: u64,
}

impl FibWriter6 {
    /// An empty table.
    ///
    /// # Errors
    /// [`FibError::OutOfMemory`].
    pub fn new() -> Result<Self, FibError> {
        let rib = Rib::new();
        let trie = TrieWriter::build(&rib)?;
        Ok(Self { rib, trie, changes: ChangeCount::new(), rebuilds: 0 })
    }

    /// Adds a route or changes its next hop; answers the next hop it had. Host bits of the prefix
    /// are ignored.
    ///
    /// # Errors
    /// Any [`FibError`]; the table is as before then.
    pub fn insert(
        &mut self,
        net: Ipv6Net,
        next_hop: NextHopId,
    ) -> Result<Option<NextHopId>, FibError> {
        check_next_hop(next_hop)?;
        self.set(net.trunc(), Some(next_hop))
    }

    /// Takes a route away; answers the next hop it had.
    ///
    /// # Errors
    /// [`FibError::OutOfMemory`] or [`FibError::TooLarge`]; the table is as before then.
    pub fn remove(&mut self, net: &Ipv6Net) -> Result<Option<NextHopId>, FibError> {
        self.set(net.trunc(), None)
    }

    /// Adds many routes at once, which is faster than one by one and makes a new table.
    ///
    /// # Errors
    /// Any [`FibError`]; nothing is added then.
    pub fn load(
        &mut self,
        routes: impl IntoIterator<Item = (Ipv6Net, NextHopId)>,
    ) -> Result<(), FibError> {
        let undo = self.rib.load(routes.into_iter().map(|(net, hop)| (net.trunc(), hop)))?;
        let built = self.rebuild();
        if built.is_err() {
            self.rib.undo(undo);
        }
        built
    }

    fn set(
        &mut self,
        net: Ipv6Net,
        next_hop: Option<NextHopId>,
    ) -> Result<Option<NextHopId>, FibError> {
        let before = self.rib.set(net, next_hop);
        if before == next_hop {
            return Ok(before);
        }
        let in_place = if net.prefix_len() == 0 {
            self.trie.set_default(next_hop.unwrap_or_default());
            true
        } else {
            self.trie.apply(net, &self.rib).is_ok()
        };
        if in_place {
            self.changes.count();
        } else if let Err(error) = self.rebuild() {
            self.rib.set(net, before);
            return Err(error);
        }
        Ok(before)
    }

    fn rebuild(&mut self) -> Result<(), FibError> {
        self.trie = TrieWriter::build(&self.rib)?;
        self.changes = self.changes.successor();
        self.rebuilds += 1;
        Ok(())
    }

    /// The next hop of exactly this prefix.
    #[must_use]
    pub fn get(&self, net: &Ipv6Net) -> Option<NextHopId> {
        self.rib.get(net.trunc())
    }

    /// The route that an address takes.
    #[must_use]
    pub fn lookup(&self, addr: Ipv6Addr) -> Option<(Ipv6Net, NextHopId)> {
        self.rib.longest_match(addr.into())
    }

    /// Number of routes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rib.len()
    }

    /// Whether there is no route.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All routes, by address, shorter prefixes first.
    pub fn iter(&self) -> impl Iterator<Item = (Ipv6Net, NextHopId)> {
        self.rib.iter()
    }

    /// A handle for readers. It stays good, but is out of date after one more of the
    /// [`rebuilds`](Self::rebuilds).
    #[must_use]
    pub fn reader(&self) -> Fib6 {
        Fib6 { table: self.trie.reader(), generation: self.changes.reader() }
    }

    /// How often a table was built anew. Then [`Self::reader`] leads to another one than before, and
    /// readers must be given a new handle.
    #[must_use]
    pub const fn rebuilds(&self) -> u64 {
        self.rebuilds
    }

    /// Memory that changes up to now took out of use becomes free when all readers have seen
    /// `epoch`, which must have been published after those changes.
    pub fn retire(&mut self, epoch: Epoch) {
        self.trie.retire(epoch);
    }

    /// Uses again what was retired up to the epoch that all readers have seen.
    pub fn reclaim(&mut self, seen: Epoch) {
        self.trie.reclaim(seen);
    }
}
