//! What one worker remembers of masquerading: mappings, and the ports they have.
//!
//! A mapping is one inside endpoint's external one, whatever it is used for (RFC 4787, REQ-1; RFC 5382, REQ-1; RFC 5508, REQ-1a). It
//! lives as long as a flow uses it; then its port rests. An inside address has one external
//! address for all (RFC 4787, REQ-2). A protocol without ports is mapped by its two addresses.

mod blocks;
mod mappings;
mod pools;

use std::net::Ipv4Addr;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use portcullis_packet::{Instant, WorkerId};
use portcullis_wire::IpProtocol;

use crate::policy::{MasqueradeId, NatPolicy, has_ports};
use crate::random::Random;

pub use blocks::BlockEvent;
use blocks::BlockEvents;
pub use mappings::MappingId;
use mappings::{Mapping, Mappings};
pub use pools::PoolStatistics;
use pools::Pools;

/// What a worker's masquerading is made with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MasqueradingConfig {
    /// Which worker it is.
    pub worker: WorkerId,
    /// How many there are.
    pub workers: u16,
    /// Random: what ports are drawn with.
    pub seed: u64,
    /// Mappings that there is memory for.
    pub capacity: usize,
}

/// An inside endpoint's mapping.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mapped {
    /// Which.
    pub id: MappingId,
    /// What it is called outside.
    pub external: (u32, u16),
    /// It was made just now.
    pub is_new: bool,
}

/// Why there is no mapping.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MapError {
    /// The external address has no free port.
    OutOfPorts,
    /// The inside address has as many as it may have.
    SourceLimit,
    /// There is no memory for another mapping.
    TableFull,
}

/// Who is behind an external endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lookup {
    /// Nobody.
    None,
    /// Somebody who has not sent there.
    Filtered,
    /// This inside endpoint.
    Inside {
        /// The mapping.
        id: MappingId,
        /// The address.
        address: u32,
        /// The port.
        port: u16,
    },
}

/// A mapping as it is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MappingView {
    /// The masquerade it is of.
    pub masquerade: MasqueradeId,
    /// The protocol.
    pub protocol: IpProtocol,
    /// The inside endpoint.
    pub inside: (u32, u16),
    /// The external one.
    pub external: (u32, u16),
    /// Flows that use it.
    pub flows: u32,
}

/// Ports that the gateway's own kernel has at a time, that are remembered.
const OWN_PORTS: usize = 4096;

/// The mappings of one worker.
#[derive(Debug)]
pub struct Masquerading {
    config: MasqueradingConfig,
    mappings: Mappings,
    pools: Pools,
    random: Random,
    /// How many a source has, by protocol: only where there is a limit.
    sources: HashMap<(u32, u8), u32, RandomState>,
    limits_sources: bool,
    /// Whom a mapping has sent to: only where that is what opens it.
    opened: HashMap<(u32, u32), u32, RandomState>,
    filters: bool,
    /// Ports of external addresses that are the gateway's own, which its kernel uses.
    own: HashMap<(u8, u32, u16), u32, RandomState>,
    events: BlockEvents,
}

impl Masquerading {
    /// No mappings, and the memory for them.
    #[must_use]
    pub fn new(config: MasqueradingConfig) -> Self {
        Self {
            config,
            mappings: Mappings::new(config.capacity, config.seed),
            pools: Pools::default(),
            random: Random::new(config.seed),
            sources: HashMap::with_hasher(RandomState::default()),
            limits_sources: false,
            opened: HashMap::with_hasher(RandomState::default()),
            filters: false,
            own: HashMap::with_capacity_and_hasher(2 * OWN_PORTS, RandomState::default()),
            events: BlockEvents::new(),
        }
    }

    /// Memory of mappings and ports, in bytes; without what limits and filters need, where there are such.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.mappings.memory_bytes() + self.pools.memory_bytes()
    }

    /// Goes by another policy from now on. Mappings stay that it would make as well. Allocates. True if from now on
    /// it counts whom mappings have sent to, and did not before: each flow's other end is to be told then
    /// ([`Self::count_opened`]).
    #[must_use = "what was opened before is not known to it"]
    pub fn adopt(&mut self, policy: &NatPolicy) -> bool {
        self.pools.adopt(policy, self.config);
        let specs = || policy.masquerades().iter().map(|masquerade| &masquerade.spec);
        let limits = specs().any(|spec| spec.ports_per_source > 0);
        if limits && !self.limits_sources {
            self.sources.clear();
            self.sources.reserve(self.config.capacity);
            for mapping in self.mappings.iter().filter(|mapping| mapping.flows > 0) {
                let source = (mapping.inside().0, mapping.protocol.0);
                *self.sources.entry(source).or_insert(0) += 1;
            }
        }
        self.limits_sources = limits;
        let filters = policy.masquerades().iter().any(|m| m.is_address_dependent());
        let counts_anew = filters && !self.filters;
        if counts_anew {
            self.opened.clear();
            self.opened.reserve(self.config.capacity);
        }
        self.filters = filters;
        // What the kernel uses is not given to anybody, in new pools either.
        for (&(protocol, address, port), _) in &self.own {
            if let Some((_, pool)) = self.pools.at(address)
                && let Some(space) = pool.space_mut(IpProtocol(protocol))
            {
                space.take(0, port);
            }
        }
        counts_anew
    }

    /// The mapping of an inside endpoint, made if there is none. A flow uses it from now on.
    ///
    /// # Errors
    /// [`MapError`].
    pub fn map(
        &mut self,
        policy: &NatPolicy,
        by: MasqueradeId,
        protocol: IpProtocol,
        inside: (u32, u16),
        remote: u32,
        now: Instant,
    ) -> Result<Mapped, MapError> {
        // Without ports it is the other end that tells mappings apart.
        let by_remote = if has_ports(protocol) { 0 } else { remote };
        let pools = &self.pools;
        let known = self
            .mappings
            .find_inside(protocol, inside, by_remote, |mapping| pools.is_of(mapping, by));
        if let Some(id) = known {
            self.retain(id, remote);
            let external = self.mappings.get(id).map_or(inside, |mapping| mapping.external());
            return Ok(Mapped { id, external, is_new: false });
        }
        let spec = &policy.masquerade(by).ok_or(MapError::OutOfPorts)?.spec;
        let source = (inside.0, protocol.0);
        if spec.ports_per_source > 0 {
            let held = self.sources.get(&source).copied().unwrap_or(0);
            let is_full = self.sources.len() >= self.sources.capacity();
            if held >= spec.ports_per_source || (held == 0 && is_full) {
                return Err(MapError::SourceLimit);
            }
        }
        if self.mappings.is_full() {
            return Err(MapError::TableFull);
        }
        let paired = self.random.of(u64::from(inside.0));
        let (at, address) = self.pools.of(by, paired).ok_or(MapError::OutOfPorts)?;
        let port = if has_ports(protocol) {
            self.port(at, by, protocol, inside, now)?
        } else {
            let external = (address, 0);
            let taken = self.mappings.find_external(protocol, external, by_remote);
            if taken.is_some() {
                return Err(MapError::OutOfPorts);
            }
            inside.1
        };
        let external = (address, if has_ports(protocol) { port } else { 0 });
        let mapping = Mapping::new(protocol, inside, external, by_remote, at);
        let id = self.mappings.insert(mapping).ok_or(MapError::TableFull)?;
        if let Some(pool) = self.pools.get_mut(at) {
            pool.mappings += 1;
        }
        if self.limits_sources {
            *self.sources.entry(source).or_insert(0) += 1;
        }
        self.retain(id, remote);
        Ok(Mapped { id, external: (address, port), is_new: true })
    }

    /// A port for a new mapping.
    fn port(
        &mut self,
        at: u16,
        by: MasqueradeId,
        protocol: IpProtocol,
        inside: (u32, u16),
        now: Instant,
    ) -> Result<u16, MapError> {
        let beside = self.beside(at, by, protocol, inside);
        let Some(pool) = self.pools.get_mut(at) else { return Err(MapError::OutOfPorts) };
        let address = pool.address;
        let space = pool.space_mut(protocol).ok_or(MapError::OutOfPorts)?;
        if let Some(port) =
            beside.filter(|&port| space.block_size() == 0 && space.is_free(port, now))
        {
            space.take(inside.0, port);
            return Ok(port);
        }
        let odd = inside.1 % 2 == 1;
        let Some(found) = space.find(inside.0, odd, &mut self.random, now) else {
            space.exhausted += 1;
            return Err(MapError::OutOfPorts);
        };
        space.take(inside.0, found.port);
        if let Some(first) = found.new_block {
            let size = space.block_size();
            self.events.push(block_event(true, protocol, inside.0, address, first, size));
        }
        Ok(found.port)
    }

    /// The external port that would keep two neighbouring inside ports neighbours, as RTP and RTCP have them (RFC 4787, 4.2.3).
    fn beside(
        &self,
        at: u16,
        by: MasqueradeId,
        protocol: IpProtocol,
        (address, port): (u32, u16),
    ) -> Option<u16> {
        if protocol == IpProtocol::ICMP {
            return None;
        }
        let neighbour = port ^ 1;
        let id = self.mappings.find_inside(protocol, (address, neighbour), 0, |mapping| {
            mapping.pool == at && self.pools.is_of(mapping, by)
        })?;
        let external = self.mappings.get(id)?.external().1;
        (external % 2 == neighbour % 2).then_some(external ^ 1)
    }

    /// Who is behind an external endpoint, as far as `remote` may know.
    #[must_use]
    pub fn inside_of(
        &self,
        policy: &NatPolicy,
        protocol: IpProtocol,
        external: (u32, u16),
        remote: u32,
    ) -> Lookup {
        let (external, by_remote) =
            if has_ports(protocol) { (external, 0) } else { ((external.0, 0), remote) };
        let Some(id) = self.mappings.find_external(protocol, external, by_remote) else {
            return Lookup::None;
        };
        let Some(mapping) = self.mappings.get(id) else { return Lookup::None };
        let Some(by) = self.pools.masquerade_of(mapping) else { return Lookup::None };
        let filters = policy.masquerade(by).is_some_and(|m| m.is_address_dependent());
        if filters && !self.opened.contains_key(&(id.0, remote)) {
            return Lookup::Filtered;
        }
        let (address, port) = mapping.inside();
        Lookup::Inside { id, address, port }
    }

    /// Another flow, with this other end, uses a mapping.
    pub fn retain(&mut self, id: MappingId, remote: u32) {
        if let Some(mapping) = self.mappings.get_mut(id) {
            mapping.flows += 1;
            if self.filters {
                self.count_opened(id, remote);
            }
        }
    }

    /// Notes that a flow of a mapping has this other end, which may send to it therefore.
    pub fn count_opened(&mut self, id: MappingId, remote: u32) {
        let is_full = self.opened.len() >= self.opened.capacity();
        match self.opened.get_mut(&(id.0, remote)) {
            Some(count) => *count += 1,
            // No room: whoever answers is let in by the flow itself.
            None if is_full => {}
            None => {
                self.opened.insert((id.0, remote), 1);
            }
        }
    }

    /// A flow with this other end has ended. With the last one the mapping ends, and its port rests.
    pub fn release(&mut self, id: MappingId, remote: u32, now: Instant) {
        let Some(mapping) = self.mappings.get_mut(id) else { return };
        mapping.flows = mapping.flows.saturating_sub(1);
        let ended = (mapping.flows == 0).then_some(*mapping);
        if let Some(count) = self.opened.get_mut(&(id.0, remote)) {
            *count -= 1;
            if *count == 0 {
                self.opened.remove(&(id.0, remote));
            }
        }
        let Some(mapping) = ended else { return };
        self.mappings.remove(id);
        let source = (mapping.inside().0, mapping.protocol.0);
        if let Some(count) = self.sources.get_mut(&source) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.sources.remove(&source);
            }
        }
        let Some(pool) = self.pools.get_mut(mapping.pool) else { return };
        pool.mappings = pool.mappings.saturating_sub(1);
        let address = pool.address;
        if let Some(space) = pool.space_mut(mapping.protocol) {
            let size = space.block_size();
            if let Some(first) = space.give(mapping.external().1, now) {
                let (protocol, inside) = (mapping.protocol, mapping.inside().0);
                self.events.push(block_event(false, protocol, inside, address, first, size));
            }
        }
    }

    /// Notes a port that the gateway's own kernel sends from, so that it is given to nobody. False if it is somebody's
    /// already, is none of a pool's, or there are too many.
    pub fn reserve(&mut self, protocol: IpProtocol, (address, port): (u32, u16)) -> bool {
        if let Some(count) = self.own.get_mut(&(protocol.0, address, port)) {
            *count += 1;
            return true;
        }
        let is_taken = self.mappings.find_external(protocol, (address, port), 0).is_some();
        if is_taken || self.own.len() >= OWN_PORTS {
            return false;
        }
        let Some((_, pool)) = self.pools.at(address) else { return false };
        let Some(space) = pool.space_mut(protocol) else { return false };
        space.take(0, port);
        self.own.insert((protocol.0, address, port), 1);
        true
    }

    /// A flow of the gateway's own has ended.
    pub fn unreserve(&mut self, protocol: IpProtocol, (address, port): (u32, u16), now: Instant) {
        let key = (protocol.0, address, port);
        let Some(count) = self.own.get_mut(&key) else { return };
        *count -= 1;
        if *count == 0 {
            self.own.remove(&key);
            if let Some((_, pool)) = self.pools.at(address)
                && let Some(space) = pool.space_mut(protocol)
            {
                space.give(port, now);
            }
        }
    }

    /// Whether a mapping is one that the policy allows.
    #[must_use]
    pub fn is_valid(&self, id: MappingId) -> bool {
        self.mappings.get(id).is_some_and(|mapping| self.pools.is_valid(mapping))
    }

    /// A mapping, as it is shown.
    #[must_use]
    pub fn mapping(&self, id: MappingId) -> Option<MappingView> {
        let mapping = self.mappings.get(id)?;
        Some(MappingView {
            masquerade: self.pools.masquerade_of(mapping).unwrap_or(MasqueradeId(u16::MAX)),
            protocol: mapping.protocol,
            inside: mapping.inside(),
            external: mapping.external(),
            flows: mapping.flows,
        })
    }

    /// The end of the ids that mappings may have now.
    #[must_use]
    pub fn slots(&self) -> u32 {
        self.mappings.slots()
    }

    /// How many mappings there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.mappings.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The pools, one for each masquerade, address and protocol.
    pub fn pools(&self) -> impl Iterator<Item = PoolStatistics> + '_ {
        self.pools.statistics()
    }

    /// A block of ports that was given out or came back, oldest first.
    pub fn take_event(&mut self) -> Option<BlockEvent> {
        self.events.take()
    }
}

fn block_event(
    allocated: bool,
    protocol: IpProtocol,
    inside: u32,
    external: u32,
    first: u16,
    size: usize,
) -> BlockEvent {
    BlockEvent {
        allocated,
        protocol,
        inside: Ipv4Addr::from_bits(inside),
        external: Ipv4Addr::from_bits(external),
        first_port: first,
        last_port: first.saturating_add((size.max(1) - 1) as u16),
    }
}

#[cfg(test)]
mod tests;
