//! External addresses, and their ports.

use std::sync::Arc;

use portcullis_wire::IpProtocol;

use super::MasqueradingConfig;
use super::mappings::Mapping;
use crate::policy::{MasqueradeId, NatPolicy};
use crate::ports::{self, Owned, PortSpace};

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
    spaces: [PortSpace; 3],
    pub(super) mappings: u32,
}

impl Pool {
    fn new(address: u32, terms: &Terms<'_>) -> Self {
        let spaces = PROTOCOLS
            .map(|protocol| PortSpace::new(terms.usable(address, protocol), terms.block_size));
        Self { address, by: Some(terms.by), spaces, mappings: 0 }
    }

    /// Of another masquerade from now on, or of the same one with other ports.
    fn renew(&mut self, terms: &Terms<'_>) {
        self.by = Some(terms.by);
        for (space, protocol) in self.spaces.iter_mut().zip(PROTOCOLS) {
            space.renew(terms.usable(self.address, protocol), terms.block_size);
        }
    }

    fn space(&self, protocol: IpProtocol) -> Option<&PortSpace> {
        let at = PROTOCOLS.iter().position(|&other| other == protocol)?;
        self.spaces.get(at)
    }

    pub(super) fn space_mut(&mut self, protocol: IpProtocol) -> Option<&mut PortSpace> {
        let at = PROTOCOLS.iter().position(|&other| other == protocol)?;
        self.spaces.get_mut(at)
    }
}

/// What all addresses of a masquerade have in common.
struct Terms<'a> {
    by: MasqueradeId,
    usable: Arc<[u64; 1024]>,
    block_size: Option<u16>,
    policy: &'a NatPolicy,
}

impl Terms<'_> {
    /// The ports that mappings of an address may have: none that is forwarded, which leads elsewhere.
    fn usable(&self, address: u32, protocol: IpProtocol) -> Arc<[u64; 1024]> {
        let mut usable = Arc::clone(&self.usable);
        for forwarded in self.policy.forwarded_ports(protocol, address) {
            ports::exclude(Arc::make_mut(&mut usable), &forwarded);
        }
        usable
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
    pub(super) fn adopt(&mut self, policy: &NatPolicy, config: MasqueradingConfig) {
        let owned =
            Owned { worker: config.worker.0, workers: config.workers.max(1), unit: policy.unit() };
        for pool in &mut self.pools {
            pool.by = None;
        }
        self.by_masquerade.clear();
        for (at, masquerade) in policy.masquerades().iter().enumerate() {
            let spec = &masquerade.spec;
            let terms = Terms {
                by: MasqueradeId(at as u16),
                usable: ports::usable(&spec.ports, owned),
                block_size: spec.block_size,
                policy,
            };
            let places = masquerade.addresses().filter_map(|address| self.place(address, &terms));
            let places: Vec<_> = places.collect();
            self.by_masquerade.push(places);
        }
    }

    fn place(&mut self, address: u32, terms: &Terms<'_>) -> Option<u16> {
        let is_free = |pool: &Pool| pool.by.is_none();
        let same = self.pools.iter().position(|pool| pool.address == address && is_free(pool));
        let vacant = || self.pools.iter().position(|pool| is_free(pool) && pool.mappings == 0);
        let at = match same.or_else(vacant) {
            Some(at) => at,
            None => {
                self.pools.push(Pool::new(address, terms));
                self.pools.len() - 1
            }
        };
        let pool = self.pools.get_mut(at)?;
        if pool.address == address {
            pool.renew(terms);
        } else {
            *pool = Pool::new(address, terms);
        }
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
            let is_usable = pool.space(mapping.protocol).is_none_or(|space| space.is_usable(port));
            pool.by.is_some() && pool.address == address && is_usable
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
