//! IPv4: the trie while it is small, DIR-24-8 from then on.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU32};

use ipnet::Ipv4Net;
use portcullis_packet::{Epoch, NextHopId};

use super::FibError;
use super::arena::Full;
use super::dir24::{Dir24, DirWriter};
use super::generation::{ChangeCount, Generation};
use super::rib::{Rib, check_next_hop};
use super::trie::{Trie, TrieWriter};

/// The most routes a trie is kept for. By then it fills a core's second-level cache, and two loads
/// from further away cost no more than its three or four.
const MOST_IN_TRIE: usize = 16_384;

/// A reader's handle to an IPv4 table. Clones are cheap and lead to the same table.
#[derive(Clone, Debug)]
pub struct Fib4 {
    table: Reader,
    generation: Generation,
}

#[derive(Clone, Debug)]
enum Reader {
    Trie(Arc<Trie<u32>>),
    Narrow(Arc<Dir24<AtomicU16>>),
    Wide(Arc<Dir24<AtomicU32>>),
}

impl Fib4 {
    /// Where packets to this address go: [`NextHopId::NO_ROUTE`] if no prefix covers it.
    #[inline]
    #[must_use]
    pub fn lookup(&self, addr: u32) -> NextHopId {
        match &self.table {
            Reader::Trie(table) => table.lookup(addr),
            Reader::Narrow(table) => table.lookup(addr),
            Reader::Wide(table) => table.lookup(addr),
        }
    }

    /// The same for many addresses, which is faster than one by one; as many as both slices have.
    #[inline]
    pub fn lookup_batch(&self, addrs: &[u32], out: &mut [NextHopId]) {
        match &self.table {
            Reader::Trie(table) => table.lookup_batch(addrs, out),
            Reader::Narrow(table) => table.lookup_batch(addrs, out),
            Reader::Wide(table) => table.lookup_batch(addrs, out),
        }
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
        match &self.table {
            Reader::Trie(table) => table.bytes(),
            Reader::Narrow(table) => table.bytes(),
            Reader::Wide(table) => table.bytes(),
        }
    }
}

#[derive(Debug)]
enum Writer {
    Trie(TrieWriter<u32>),
    Narrow(DirWriter<AtomicU16>),
    Wide(DirWriter<AtomicU32>),
}

impl Writer {
    /// A table of all these routes, of the same kind as this or, where they do not fit into that, of
    /// the next. It never goes back, so that a table at the limit does not change with each route.
    fn successor(&self, rib: &Rib<u32>) -> Result<Self, FibError> {
        let trie_will_do = match self {
            Self::Trie(_) => rib.len() <= MOST_IN_TRIE,
            Self::Narrow(_) | Self::Wide(_) => false,
        };
        if trie_will_do {
            return TrieWriter::build(rib).map(Self::Trie);
        }
        let narrow = match self {
            Self::Trie(_) | Self::Narrow(_) => DirWriter::build(rib)?,
            Self::Wide(_) => None,
        };
        match narrow {
            Some(narrow) => Ok(Self::Narrow(narrow)),
            None => DirWriter::build(rib)?.map(Self::Wide).ok_or(FibError::TooLarge),
        }
    }

    fn apply(&mut self, net: Ipv4Net, rib: &Rib<u32>) -> Result<(), Full> {
        match self {
            Self::Trie(_) if rib.len() > MOST_IN_TRIE => Err(Full),
            Self::Trie(table) => table.apply(net, rib),
            Self::Narrow(table) => table.apply(net, rib),
            Self::Wide(table) => table.apply(net, rib),
        }
    }

    fn set_default(&self, next_hop: NextHopId) {
        match self {
            Self::Trie(table) => table.set_default(next_hop),
            Self::Narrow(table) => table.set_default(next_hop),
            Self::Wide(table) => table.set_default(next_hop),
        }
    }

    fn reader(&self) -> Reader {
        match self {
            Self::Trie(table) => Reader::Trie(table.reader()),
            Self::Narrow(table) => Reader::Narrow(table.reader()),
            Self::Wide(table) => Reader::Wide(table.reader()),
        }
    }

    fn retire(&mut self, epoch: Epoch) {
        match self {
            Self::Trie(table) => table.retire(epoch),
            Self::Narrow(table) => table.retire(epoch),
            Self::Wide(table) => table.retire(epoch),
        }
    }

    fn reclaim(&mut self, seen: Epoch) {
        match self {
            Self::Trie(table) => table.reclaim(seen),
            Self::Narrow(table) => table.reclaim(seen),
            Self::Wide(table) => table.reclaim(seen),
        }
    }
}

/// The routes of an IPv4 table, and the only one who may change it.
///
/// Changes are in effect at once for everybody who holds a [`Fib4`] that was made since the last of
/// the [`rebuilds`](Self::rebuilds).
#[derive(Debug)]
pub struct FibWriter4 {
    rib: Rib<u32>,
    table: Writer,
    changes: ChangeCount,
    rebuilds: u64,
}

impl FibWriter4 {
    /// An empty table.
    ///
    /// # Errors
    /// [`FibError::OutOfMemory`].
    pub fn new() -> Result<Self, FibError> {
        let rib = Rib::new();
        let table = Writer::Trie(TrieWriter::build(&rib)?);
        Ok(Self { rib, table, changes: ChangeCount::new(), rebuilds: 0 })
    }

    /// Adds a route or changes its next hop; answers the next hop it had. Host bits of the prefix
    /// are ignored.
    ///
    /// # Errors
    /// Any [`FibError`]; the table is as before then.
    pub fn insert(
        &mut self,
        net: Ipv4Net,
        next_hop: NextHopId,
    ) -> Result<Option<NextHopId>, FibError> {
        check_next_hop(next_hop)?;
        self.set(net.trunc(), Some(next_hop))
    }

    /// Takes a route away; answers the next hop it had.
    ///
    /// # Errors
    /// [`FibError::OutOfMemory`] or [`FibError::TooLarge`]; the table is as before then.
    pub fn remove(&mut self, net: &Ipv4Net) -> Result<Option<NextHopId>, FibError> {
        self.set(net.trunc(), None)
    }

    /// Adds many routes at once, which is faster than one by one and makes a new table.
    ///
    /// # Errors
    /// Any [`FibError`]; nothing is added then.
    pub fn load(
        &mut self,
        routes: impl IntoIterator<Item = (Ipv4Net, NextHopId)>,
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
        net: Ipv4Net,
        next_hop: Option<NextHopId>,
    ) -> Result<Option<NextHopId>, FibError> {
        let before = self.rib.set(net, next_hop);
        if before == next_hop {
            return Ok(before);
        }
        let in_place = if net.prefix_len() == 0 {
            self.table.set_default(next_hop.unwrap_or_default());
            true
        } else {
            self.table.apply(net, &self.rib).is_ok()
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
        self.table = self.table.successor(&self.rib)?;
        self.changes = self.changes.successor();
        self.rebuilds += 1;
        Ok(())
    }

    /// The next hop of exactly this prefix.
    #[must_use]
    pub fn get(&self, net: &Ipv4Net) -> Option<NextHopId> {
        self.rib.get(net.trunc())
    }

    /// The route that an address takes.
    #[must_use]
    pub fn lookup(&self, addr: Ipv4Addr) -> Option<(Ipv4Net, NextHopId)> {
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
    pub fn iter(&self) -> impl Iterator<Item = (Ipv4Net, NextHopId)> {
        self.rib.iter()
    }

    /// A handle for readers. It stays good, but is out of date after one more of the
    /// [`rebuilds`](Self::rebuilds).
    #[must_use]
    pub fn reader(&self) -> Fib4 {
        Fib4 { table: self.table.reader(), generation: self.changes.reader() }
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
        self.table.retire(epoch);
    }

    /// Uses again what was retired up to the epoch that all readers have seen.
    pub fn reclaim(&mut self, seen: Epoch) {
        self.table.reclaim(seen);
    }
}
