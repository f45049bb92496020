//! Directly connected hosts: which next hop an address on an interface is.
//!
//! A table is part of an immutable snapshot. A clone of it shares its memory; changing the clone
//! copies only the shard that the change falls into. The hash is seeded: who is on a link chooses
//! their own address, and must not be able to choose its place in the table.

use std::hash::Hasher;
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::SharedSeed;
use foldhash::fast::FoldHasher;
use hashbrown::HashTable;
use portcullis_packet::{IfIndex, NextHopId};

/// Parts that are copied on their own.
const SHARDS: usize = 64;

/// A map from (interface, address) to next hop.
#[derive(Clone, Debug)]
pub struct NeighborTable {
    seeds: Arc<Seeds>,
    v4: Family<u32>,
    v6: Family<u128>,
}

impl NeighborTable {
    /// An empty table whose places depend on this seed, which should be random and stay secret.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let seeds = Seeds { own: seed.rotate_left(32), shared: SharedSeed::from_u64(seed) };
        Self { seeds: Arc::new(seeds), v4: Family::new(), v6: Family::new() }
    }

    /// Adds a host or changes its next hop; answers the one it had.
    pub fn insert(&mut self, on: IfIndex, addr: IpAddr, next_hop: NextHopId) -> Option<NextHopId> {
        match addr {
            IpAddr::V4(addr) => self.v4.insert(&self.seeds, on, addr.into(), next_hop),
            IpAddr::V6(addr) => self.v6.insert(&self.seeds, on, addr.into(), next_hop),
        }
    }

    /// Takes a host away; answers the next hop it had.
    pub fn remove(&mut self, on: IfIndex, addr: IpAddr) -> Option<NextHopId> {
        match addr {
            IpAddr::V4(addr) => self.v4.remove(&self.seeds, on, addr.into()),
            IpAddr::V6(addr) => self.v6.remove(&self.seeds, on, addr.into()),
        }
    }

    /// The next hop of a host.
    #[must_use]
    pub fn get(&self, on: IfIndex, addr: IpAddr) -> Option<NextHopId> {
        match addr {
            IpAddr::V4(addr) => self.lookup4(on, addr.into()),
            IpAddr::V6(addr) => self.lookup6(on, addr.into()),
        }
    }

    /// The next hop of an IPv4 host, its address in host byte order.
    #[inline]
    #[must_use]
    pub fn lookup4(&self, on: IfIndex, addr: u32) -> Option<NextHopId> {
        self.v4.lookup(&self.seeds, on, addr)
    }

    /// The next hop of an IPv6 host, its address in host byte order.
    #[inline]
    #[must_use]
    pub fn lookup6(&self, on: IfIndex, addr: u128) -> Option<NextHopId> {
        self.v6.lookup(&self.seeds, on, addr)
    }

    /// The next hops of many IPv4 hosts, [`NextHopId::NO_ROUTE`] for those that are not here; as
    /// many as both slices have.
    #[inline]
    pub fn lookup_batch4(&self, hosts: &[(IfIndex, u32)], out: &mut [NextHopId]) {
        self.v4.lookup_batch(&self.seeds, hosts, out);
    }

    /// The same for IPv6 hosts.
    #[inline]
    pub fn lookup_batch6(&self, hosts: &[(IfIndex, u128)], out: &mut [NextHopId]) {
        self.v6.lookup_batch(&self.seeds, hosts, out);
    }

    /// Number of hosts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.v4.len + self.v6.len
    }

    /// Whether there is no host.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All hosts, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (IfIndex, IpAddr, NextHopId)> {
        let v4 = self.v4.iter().map(|host| (host.on, IpAddr::V4(host.addr.into()), host.next_hop));
        let v6 = self.v6.iter().map(|host| (host.on, IpAddr::V6(host.addr.into()), host.next_hop));
        v4.chain(v6)
    }
}

#[derive(Debug)]
struct Seeds {
    own: u64,
    shared: SharedSeed,
}

trait Key: Copy + Eq {
    fn hash(self, seeds: &Seeds, on: IfIndex) -> u64;
}

impl Key for u32 {
    #[inline(always)]
    fn hash(self, seeds: &Seeds, on: IfIndex) -> u64 {
        let mut hasher = FoldHasher::with_seed(seeds.own, &seeds.shared);
        hasher.write_u64(u64::from(on.0) << 32 | u64::from(self));
        hasher.finish()
    }
}

impl Key for u128 {
    #[inline(always)]
    fn hash(self, seeds: &Seeds, on: IfIndex) -> u64 {
        let mut hasher = FoldHasher::with_seed(seeds.own, &seeds.shared);
        hasher.write_u128(self);
        hasher.write_u16(on.0);
        hasher.finish()
    }
}

#[derive(Clone, Copy, Debug)]
struct Host<K> {
    addr: K,
    on: IfIndex,
    next_hop: NextHopId,
}

impl<K: Key> Host<K> {
    fn is(&self, on: IfIndex, addr: K) -> bool {
        self.addr == addr && self.on == on
    }
}

/// The hosts of one address family.
#[derive(Clone, Debug)]
struct Family<K> {
    shards: Arc<[Arc<HashTable<Host<K>>>; SHARDS]>,
    len: usize,
}

impl<K: Key> Family<K> {
    fn new() -> Self {
        let empty = Arc::new(HashTable::new());
        Self { shards: Arc::new(std::array::from_fn(|_| Arc::clone(&empty))), len: 0 }
    }

    /// The shard of a hash. The table inside uses the lowest and the highest bits.
    #[inline(always)]
    fn shard(hash: u64) -> usize {
        (hash >> 40) as usize % SHARDS
    }

    #[inline(always)]
    fn find(&self, hash: u64, on: IfIndex, addr: K) -> Option<NextHopId> {
        let host = self.shards[Self::shard(hash)].find(hash, |host| host.is(on, addr));
        host.map(|host| host.next_hop)
    }

    #[inline(always)]
    fn lookup(&self, seeds: &Seeds, on: IfIndex, addr: K) -> Option<NextHopId> {
        self.find(addr.hash(seeds, on), on, addr)
    }

    #[inline]
    fn lookup_batch(&self, seeds: &Seeds, hosts: &[(IfIndex, K)], out: &mut [NextHopId]) {
        for ((on, addr), out) in hosts.iter().zip(out) {
            *out = self.lookup(seeds, *on, *addr).unwrap_or_default();
        }
    }

    fn shard_mut(&mut self, hash: u64) -> &mut HashTable<Host<K>> {
        Arc::make_mut(&mut Arc::make_mut(&mut self.shards)[Self::shard(hash)])
    }

    fn insert(
        &mut self,
        seeds: &Seeds,
        on: IfIndex,
        addr: K,
        next_hop: NextHopId,
    ) -> Option<NextHopId> {
        let hash = addr.hash(seeds, on);
        let shard = self.shard_mut(hash);
        if let Some(host) = shard.find_mut(hash, |host| host.is(on, addr)) {
            return Some(std::mem::replace(&mut host.next_hop, next_hop));
        }
        let host = Host { addr, on, next_hop };
        shard.insert_unique(hash, host, |host| host.addr.hash(seeds, host.on));
        self.len += 1;
        None
    }

    fn remove(&mut self, seeds: &Seeds, on: IfIndex, addr: K) -> Option<NextHopId> {
        let hash = addr.hash(seeds, on);
        self.find(hash, on, addr)?;
        let entry = self.shard_mut(hash).find_entry(hash, |host| host.is(on, addr)).ok()?;
        let (host, _) = entry.remove();
        self.len -= 1;
        Some(host.next_hop)
    }

    fn iter(&self) -> impl Iterator<Item = &Host<K>> {
        self.shards.iter().flat_map(|shard| shard.iter())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn host() -> impl Strategy<Value = (IfIndex, IpAddr)> {
        let addr = prop_oneof![
            (0u32..50).prop_map(|n| IpAddr::V4((0x0a00_0000 + n).into())),
            (0u128..50).prop_map(|n| IpAddr::V6((0xfe80 << 112 | n).into())),
        ];
        ((0u16..3).prop_map(IfIndex), addr)
    }

    proptest! {
        #[test]
        fn a_table_is_a_map_and_its_older_clones_are_left_alone(
            steps in prop::collection::vec((host(), prop::option::weighted(0.6, 1u32..9)), 0..300),
        ) {
            let mut table = NeighborTable::new(7);
            let mut model: HashMap<(IfIndex, IpAddr), NextHopId> = HashMap::new();
            let mut old = Vec::new();
            for (n, ((on, addr), hop)) in steps.into_iter().enumerate() {
                if n % 50 == 0 {
                    old.push((table.clone(), model.clone()));
                }
                match hop.map(NextHopId) {
                    Some(hop) => prop_assert_eq!(
                        table.insert(on, addr, hop), model.insert((on, addr), hop)),
                    None => prop_assert_eq!(
                        table.remove(on, addr), model.remove(&(on, addr))),
                }
            }
            old.push((table, model));
            for (table, model) in old {
                prop_assert_eq!(table.len(), model.len());
                prop_assert_eq!(table.is_empty(), model.is_empty());
                for on in (0..3).map(IfIndex) {
                    for n in 0..50 {
                        for addr in [
                            IpAddr::V4((0x0a00_0000 + n).into()),
                            IpAddr::V6((0xfe80 << 112 | u128::from(n)).into()),
                        ] {
                            prop_assert_eq!(table.get(on, addr), model.get(&(on, addr)).copied());
                        }
                    }
                }
                let all: HashMap<_, _> =
                    table.iter().map(|(on, addr, hop)| ((on, addr), hop)).collect();
                prop_assert_eq!(all, model);
            }
        }
    }

    #[test]
    fn a_batch_answers_as_single_lookups_do() {
        let mut table = NeighborTable::new(1);
        for n in 0..1000_u32 {
            table.insert(IfIndex(1), IpAddr::V4(n.into()), NextHopId(n + 1));
            table.insert(IfIndex(1), IpAddr::V6(u128::from(n).into()), NextHopId(n + 2001));
        }
        let hosts: Vec<_> = (0..2000_u32).map(|n| (IfIndex((n % 2) as u16), n)).collect();
        let mut out = vec![NextHopId(9); 2000];
        table.lookup_batch4(&hosts, &mut out);
        for ((on, addr), hop) in hosts.iter().zip(&out) {
            let there = *on == IfIndex(1) && *addr < 1000;
            assert_eq!(*hop, if there { NextHopId(addr + 1) } else { NextHopId::NO_ROUTE });
        }
        let hosts: Vec<_> = hosts.into_iter().map(|(on, addr)| (on, u128::from(addr))).collect();
        table.lookup_batch6(&hosts, &mut out);
        for ((on, addr), hop) in hosts.iter().zip(&out) {
            assert_eq!(*hop, table.lookup6(*on, *addr).unwrap_or_default());
        }
    }

    #[test]
    fn changing_a_clone_copies_one_shard_only() {
        let mut table = NeighborTable::new(1);
        for n in 0..10_000_u32 {
            table.insert(IfIndex(1), IpAddr::V4(n.into()), NextHopId(1));
        }
        let old = table.clone();
        table.insert(IfIndex(1), IpAddr::V4(5.into()), NextHopId(2));
        let shared = old.v4.shards.iter().zip(table.v4.shards.iter());
        assert_eq!(shared.filter(|(a, b)| !Arc::ptr_eq(a, b)).count(), 1);
        let fullest = table.v4.shards.iter().map(|shard| shard.len()).max();
        assert!(fullest < Some(10_000 / SHARDS * 2), "the shards are even");
    }
}
