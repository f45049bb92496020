//! DIR-24-8: one entry for each of the 2^24 /24 networks, and a group of 256 entries for each that
//! has longer prefixes in it.
//!
//! An entry holds a value (a next hop, or 0) or, with its highest bit set, the number of a group.
//! Entries are 16 bits wide as long as values and groups fit into 15, which halves the memory that
//! lookups are spread over; else 32.
//!
//! Entries are changed in place, one store each. A group is filled before an entry leads to it, and
//! is used for another network only after a grace period. So an address gets its old answer or its
//! new one.

mod cell;
mod update;

use std::sync::atomic::{Ordering, fence};

use portcullis_packet::NextHopId;
use zerocopy::FromZeros;

use super::FibError;
use super::default_route::DefaultRoute;

pub(super) use cell::Cell;
pub(super) use update::DirWriter;

/// Entries in the first table.
const NETWORKS: usize = 1 << 24;

/// Entries in a group.
const HOSTS: usize = 1 << 8;

/// The table, as readers share it.
#[derive(Debug)]
pub(super) struct Dir24<C> {
    networks: Box<[C; NETWORKS]>,
    groups: Box<[[C; HOSTS]]>,
    default: DefaultRoute,
}

impl<C: Cell> Dir24<C> {
    /// An empty table with room for so many groups.
    fn new(groups: usize) -> Result<Self, FibError> {
        Ok(Self {
            networks: FromZeros::new_box_zeroed().map_err(|_| FibError::OutOfMemory)?,
            groups: FromZeros::new_box_zeroed_with_elems(groups)
                .map_err(|_| FibError::OutOfMemory)?,
            default: DefaultRoute::default(),
        })
    }

    /// Bytes of address space the table takes; what was never written to has no memory behind it.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.networks) + size_of_val(&*self.groups)
    }

    #[inline]
    pub(super) fn lookup(&self, addr: u32) -> NextHopId {
        self.default.answer(|| {
            let entry = self.network(addr).load(Ordering::Acquire);
            if entry & C::GROUP == 0 { entry } else { self.host(entry, addr) }
        })
    }

    #[inline]
    pub(super) fn lookup_batch(&self, addrs: &[u32], out: &mut [NextHopId]) {
        self.default.answer_batch(addrs, out, |addrs, out| self.find_batch(addrs, out));
    }

    /// All first loads of a batch, then all second ones, so that the processor waits for many at
    /// the same time.
    #[inline(always)]
    fn find_batch(&self, addrs: &[u32], out: &mut [NextHopId]) {
        let mut any = 0;
        for (addr, out) in addrs.iter().zip(out.iter_mut()) {
            out.0 = self.network(*addr).load(Ordering::Relaxed);
            any |= out.0;
        }
        if any & C::GROUP == 0 {
            return;
        }
        // The groups were filled before the entries led to them.
        fence(Ordering::Acquire);
        for (addr, out) in addrs.iter().zip(out.iter_mut()) {
            if out.0 & C::GROUP != 0 {
                out.0 = self.host(out.0, *addr);
            }
        }
    }

    #[inline(always)]
    fn network(&self, addr: u32) -> &C {
        &self.networks[(addr >> 8) as usize]
    }

    #[inline(always)]
    fn host(&self, entry: u32, addr: u32) -> u32 {
        let group = self.groups.get((entry & !C::GROUP) as usize);
        group.map_or(0, |group| group[addr as usize % HOSTS].load(Ordering::Relaxed))
    }
}
