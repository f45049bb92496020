//! External addresses, and their ports.

use portcullis_packet::Instant;
use portcullis_wire::IpProtocol;

use super::MasqueradingConfig;
use super::mappings::Mapping;
use crate::policy::{MasqueradeId, NatPolicy};
use crate::ports::{Owned, PortSpace};
use crate::spec::MasqueradeSpec;

/// What is in use of an external address's ports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PoolStatistics {
    /// The masquerade that it is of.
    pub masquerade: MasqueradeId,
    /// The address.
    pub address: u32,
    /// The protocol.
    pub protocol: IpProtocol,
    /// Ports of this worker.
    pub ports: u32,
    /// Those that mappings have, or the gateway's own kernel.
    pub in_use: u32,
    /// Those that were freed and rest.
    pub resting: u32,
    /// How often none was left.
    pub exhausted: u64,
}

/// Protocols that have ports, or what serves as such.
const PROTOCOLS: [IpProtocol; 3] = [IpProtocol::TCP, IpProtocol::UDP, IpProtocol::ICMP];

/// An external address.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    pub(super) address: u32,
    /// The masquerade it is of; none if the policy has it no more.
    by: Option<MasqueradeId>,
    ports: (u16, u16),
    spaces: [PortSpace; 3],
    pub(super) mappings: u32,
}

impl Pool {
    fn new(address: u32, by: MasqueradeId, spec: &MasqueradeSpec, owned: Owned) -> Self {
        let space = || PortSpace::new(&spec.ports, owned, spec.block_size);
        let ports = (*spec.ports.start(), *spec.ports.end());
        Self { address, by: Some(by), ports, spaces: [space(), space(), space()], mappings: 0 }
    }

    pub(super) fn space_mut(&mut self, protocol: IpProtocol) -> Option<&mut PortSpace> {
        let at = PROTOCOLS.iter().position(|&other| other == protocol)?;
        self.spaces.get_mut(at)
    }
}

#[derive(Debug, Default)]
pub(super) struct Pools {
    pools: Vec<Pool>,
    /// Those of each masquerade.
    by_masquerade: Vec<Vec<u16>>,
}

impl Pools {
    pub(super) fn memory_bytes(&self) -> usize {
        let spaces = self.pools.iter().flat_map(|pool| &pool.spaces);
        spaces.map(PortSpace::memory_bytes).sum()
    }

    /// Goes by another policy. An address that stays keeps what is in use of it, whichever masquerade it is of now, if
    /// it leaves by the same interface; mappings know an address by its place, which stays.
    pub(super) fn adopt(&mut self, policy: &NatPolicy, config: MasqueradingConfig, _: Instant) {
        let owned =
            Owned { worker: config.worker.0, workers: config.workers.max(1), unit: policy.unit() };
        for pool in &mut self.pools {
            pool.by = None;
        }
        self.by_masquerade.clear();
        for (at, masquerade) in policy.masquerades().iter().enumerate() {
            let by = MasqueradeId(at as u16);
            let places = masquerade.addresses().filter_map(|address| {
                let fresh = Pool::new(address, by, &masquerade.spec, owned);
                self.place(fresh)
            });
            let places: Vec<_> = places.collect();
            self.by_masquerade.push(places);
        }
    }

    fn place(&mut self, mut fresh: Pool) -> Option<u16> {
        let same =
            self.pools.iter().position(|pool| pool.address == fresh.address && pool.by.is_none());
        let vacant = || self.pools.iter().position(|pool| pool.by.is_none() && pool.mappings == 0);
        let at = match same.or_else(vacant) {
            Some(at) => at,
            None => {
                self.pools.push(fresh);
                return u16::try_from(self.pools.len() - 1).ok();
            }
        };
        let old = self.pools.get_mut(at)?;
        if old.address == fresh.address {
            for (new, old) in fresh.spaces.iter_mut().zip(&old.spaces) {
                new.adopt(old);
            }
            fresh.mappings = old.mappings;
        }
        *old = fresh;
        u16::try_from(at).ok()
    }

    pub(super) fn get_mut(&mut self, at: u16) -> Option<&mut Pool> {
        self.pools.get_mut(usize::from(at))
    }

    /// The pool with an address, and its place.
    pub(super) fn at(&mut self, address: u32) -> Option<(u16, &mut Pool)> {
        let at = self.pools.iter().position(|p| p.address == address && p.by.is_some())?;
        Some((at as u16, self.pools.get_mut(at)?))
    }

    /// The external address that an inside one has of a masquerade, by its hash: always the same.
    pub(super) fn of(&self, by: MasqueradeId, hash: u64) -> Option<(u16, u32)> {
        let places = self.by_masquerade.get(usize::from(by.0))?;
        let at = *places.get(((hash >> 32) as usize).checked_rem(places.len())?)?;
        Some((at, self.pools.get(usize::from(at))?.address))
    }

    pub(super) fn masquerade_of(&self, mapping: &Mapping) -> Option<MasqueradeId> {
        self.pools.get(usize::from(mapping.pool)).and_then(|pool| pool.by)
    }

    pub(super) fn is_of(&self, mapping: &Mapping, by: MasqueradeId) -> bool {
        self.masquerade_of(mapping) == Some(by) && self.is_valid(mapping)
    }

    pub(super) fn is_valid(&self, mapping: &Mapping) -> bool {
        self.pools.get(usize::from(mapping.pool)).is_some_and(|pool| {
            let (address, port) = mapping.external();
            let (first, last) = pool.ports;
            pool.by.is_some()
                && pool.address == address
                && (port == 0 || (first..=last).contains(&port))
        })
    }

    pub(super) fn statistics(&self) -> impl Iterator<Item = PoolStatistics> + '_ {
        self.pools.iter().filter_map(|pool| Some((pool, pool.by?))).flat_map(|(pool, by)| {
            pool.spaces.iter().zip(PROTOCOLS).map(move |(space, protocol)| PoolStatistics {
                masquerade: by,
                address: pool.address,
                protocol,
                ports: space.total(),
                in_use: space.used(),
                resting: space.resting(),
                exhausted: space.exhausted,
            })
        })
    }
}
