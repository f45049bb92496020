//! Mappings, found by either of their two ends.

use portcullis_wire::IpProtocol;

/// A mapping's place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MappingId(pub u32);

const NONE: u32 = u32::MAX;

/// A mapping, and its links in the two tables.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mapping {
    inside_address: u32,
    external_address: u32,
    /// The other end, of protocols without ports; 0 of others.
    remote: u32,
    pub(super) flows: u32,
    /// The next one with the same hash, by each end; of a free place, the next free one.
    next: [u32; 2],
    inside_port: u16,
    external_port: u16,
    pub(super) pool: u16,
    pub(super) protocol: IpProtocol,
    live: bool,
}

const _: () = assert!(size_of::<Mapping>() == 32);

/// Which of a mapping's ends.
#[derive(Clone, Copy)]
enum End {
    Inside,
    External,
}

impl Mapping {
    const VACANT: Self = Self {
        inside_address: 0,
        external_address: 0,
        remote: 0,
        flows: 0,
        next: [NONE; 2],
        inside_port: 0,
        external_port: 0,
        pool: 0,
        protocol: IpProtocol(0),
        live: false,
    };

    pub(super) const fn new(
        protocol: IpProtocol,
        inside: (u32, u16),
        external: (u32, u16),
        remote: u32,
        pool: u16,
    ) -> Self {
        Self {
            inside_address: inside.0,
            external_address: external.0,
            remote,
            inside_port: inside.1,
            external_port: external.1,
            pool,
            protocol,
            live: true,
            ..Self::VACANT
        }
    }

    pub(super) const fn inside(&self) -> (u32, u16) {
        (self.inside_address, self.inside_port)
    }

    pub(super) const fn external(&self) -> (u32, u16) {
        (self.external_address, self.external_port)
    }

    const fn end(&self, end: End) -> (u32, u16) {
        match end {
            End::Inside => self.inside(),
            End::External => self.external(),
        }
    }

    fn is(&self, end: End, protocol: IpProtocol, at: (u32, u16), remote: u32) -> bool {
        self.end(end) == at && self.protocol == protocol && self.remote == remote
    }
}

/// All mappings of a worker.
#[derive(Debug)]
pub(super) struct Mappings {
    entries: Vec<Mapping>,
    heads: [Vec<u32>; 2],
    free: u32,
    fresh: u32,
    len: usize,
    seed: u64,
}

impl Mappings {
    pub(super) fn new(capacity: usize, seed: u64) -> Self {
        let capacity = capacity.min(1 << 30);
        // Chains are one entry long on average when there are half as many heads as mappings; they are short.
        let heads = || vec![NONE; (capacity / 2).max(64)];
        Self {
            entries: vec![Mapping::VACANT; capacity],
            heads: [heads(), heads()],
            free: NONE,
            fresh: 0,
            len: 0,
            seed,
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let heads: usize = self.heads.iter().map(|heads| heads.len() * size_of::<u32>()).sum();
        self.entries.len() * size_of::<Mapping>() + heads
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) const fn is_full(&self) -> bool {
        self.len >= self.entries.len()
    }

    pub(super) const fn slots(&self) -> u32 {
        self.fresh
    }

    pub(super) fn get(&self, id: MappingId) -> Option<&Mapping> {
        self.entries.get(id.0 as usize).filter(|mapping| mapping.live)
    }

    pub(super) fn get_mut(&mut self, id: MappingId) -> Option<&mut Mapping> {
        self.entries.get_mut(id.0 as usize).filter(|mapping| mapping.live)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Mapping> {
        self.entries.iter().take(self.fresh as usize).filter(|mapping| mapping.live)
    }

    fn head(
        &self,
        end: End,
        protocol: IpProtocol,
        (address, port): (u32, u16),
        remote: u32,
    ) -> usize {
        let rest = u64::from(remote) << 8 | u64::from(protocol.0);
        let key = u64::from(address) << 16 | u64::from(port);
        let mixed =
            u128::from(key ^ self.seed) * u128::from(rest.wrapping_mul(2) ^ 0x9e37_79b9_7f4a_7c15);
        let hash = (mixed as u64 ^ (mixed >> 64) as u64).wrapping_mul(0xd6e8_feb8_6659_fd93);
        let count = self.heads.get(end as usize).map_or(1, Vec::len) as u64;
        (((hash >> 32) * count) >> 32) as usize
    }

    fn find(
        &self,
        end: End,
        protocol: IpProtocol,
        at: (u32, u16),
        remote: u32,
        fits: impl Fn(&Mapping) -> bool,
    ) -> Option<MappingId> {
        let head = self.head(end, protocol, at, remote);
        let mut next = *self.heads.get(end as usize)?.get(head)?;
        while let Some(mapping) = self.entries.get(next as usize) {
            if mapping.is(end, protocol, at, remote) && fits(mapping) {
                return Some(MappingId(next));
            }
            next = *mapping.next.get(end as usize)?;
        }
        None
    }

    /// The mapping of an inside endpoint that is of the right pool.
    pub(super) fn find_inside(
        &self,
        protocol: IpProtocol,
        inside: (u32, u16),
        remote: u32,
        fits: impl Fn(&Mapping) -> bool,
    ) -> Option<MappingId> {
        self.find(End::Inside, protocol, inside, remote, fits)
    }

    /// The mapping with an external endpoint.
    pub(super) fn find_external(
        &self,
        protocol: IpProtocol,
        external: (u32, u16),
        remote: u32,
    ) -> Option<MappingId> {
        self.find(End::External, protocol, external, remote, |_| true)
    }

    pub(super) fn insert(&mut self, mapping: Mapping) -> Option<MappingId> {
        let at = if self.free != NONE {
            let at = self.free;
            let [next, _] = self.entries.get(at as usize)?.next;
            self.free = next;
            at
        } else if (self.fresh as usize) < self.entries.len() {
            self.fresh += 1;
            self.fresh - 1
        } else {
            return None;
        };
        let mut mapping = mapping;
        for end in [End::Inside, End::External] {
            let head = self.head(end, mapping.protocol, mapping.end(end), mapping.remote);
            let first = self.heads.get_mut(end as usize)?.get_mut(head)?;
            *mapping.next.get_mut(end as usize)? = std::mem::replace(first, at);
        }
        *self.entries.get_mut(at as usize)? = mapping;
        self.len += 1;
        Some(MappingId(at))
    }

    pub(super) fn remove(&mut self, id: MappingId) {
        let Some(mapping) = self.get(id).copied() else { return };
        for end in [End::Inside, End::External] {
            self.unlink(end, id, &mapping);
        }
        if let Some(entry) = self.entries.get_mut(id.0 as usize) {
            *entry = Mapping { next: [self.free, NONE], ..Mapping::VACANT };
            self.free = id.0;
            self.len -= 1;
        }
    }

    fn unlink(&mut self, end: End, id: MappingId, mapping: &Mapping) {
        let slot = end as usize;
        let behind = mapping.next.get(slot).copied().unwrap_or(NONE);
        let head = self.head(end, mapping.protocol, mapping.end(end), mapping.remote);
        let Some(first) = self.heads.get_mut(slot).and_then(|heads| heads.get_mut(head)) else {
            return;
        };
        if *first == id.0 {
            *first = behind;
            return;
        }
        let mut at = *first;
        while let Some(link) = self.entries.get_mut(at as usize).and_then(|e| e.next.get_mut(slot))
        {
            if *link == id.0 {
                *link = behind;
                return;
            }
            at = *link;
        }
    }
}
