//! What the configuration says of translation, compiled for lookups.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ipnet::Ipv4Net;
use portcullis_packet::IfIndex;
use portcullis_wire::{IpProtocol, Tuple};

use crate::npt::Npt;
use crate::ranges::{Ranges, at_or_before, range};
use crate::spec::{Filtering, ForwardSpec, MasqueradeSpec, NatSpec};

/// A masquerade's place in the file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MasqueradeId(pub u16);

/// A masquerade, compiled.
#[derive(Clone, Debug)]
pub struct Masquerade {
    /// What was said of it.
    pub spec: MasqueradeSpec,
    sources: Ranges,
    except: Ranges,
}

impl Masquerade {
    /// How many external addresses there are.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = u32> + '_ {
        self.spec.pool.iter().cloned().flatten()
    }

    pub(crate) fn is_address_dependent(&self) -> bool {
        self.spec.filtering == Filtering::AddressDependent
    }
}

/// What kind of translation a destination has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DestinationKind {
    /// `[[nat.static]]`.
    Static,
    /// `[[nat.forward]]`.
    Forward,
}

/// Where a packet really goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Destination4 {
    /// The inside address.
    pub address: u32,
    /// The inside port: that of the packet, unless it is forwarded.
    pub port: u16,
    /// By what.
    pub kind: DestinationKind,
}

/// How a source is translated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source4 {
    /// Not at all.
    None,
    /// To this address.
    Static(u32),
    /// By a mapping of this masquerade.
    Masquerade(MasqueradeId),
}

/// By interface and first address: two networks of one size.
#[derive(Clone, Copy, Debug)]
struct Pair {
    on: IfIndex,
    external: u32,
    internal: u32,
    last: u32,
}

/// By first port: how a range of ports is forwarded.
#[derive(Clone, Copy, Debug)]
struct Forward {
    ingress: IfIndex,
    first_port: u16,
    last_port: u16,
    internal: u32,
    internal_first_port: u16,
    hairpin: bool,
    /// Its place in the spec.
    place: usize,
}

type PortKey = (u8, u32, u16);

/// All translation of a gateway, compiled.
#[derive(Clone, Debug, Default)]
pub struct NatPolicy {
    spec: NatSpec,
    masquerades: Vec<Masquerade>,
    /// By protocol, external address and first port. Of two interfaces' forwards to the same, both are there.
    forwards: Vec<(PortKey, Forward)>,
    /// Flows that each forward of the spec has let in, of all workers: they are few, compared to packets.
    forwarded: Arc<[AtomicU64]>,
    by_external: Vec<(u32, Pair)>,
    by_internal: Vec<(u32, Pair)>,
    statics6: Vec<(IfIndex, Npt)>,
    pool: Ranges,
    sources: Ranges,
    /// External addresses by interface.
    external4: Vec<(IfIndex, Ranges)>,
}

impl NatPolicy {
    /// Compiles it.
    #[must_use]
    pub fn new(spec: NatSpec) -> Self {
        let masquerades: Vec<_> = spec
            .masquerades
            .iter()
            .map(|masquerade| Masquerade {
                spec: masquerade.clone(),
                sources: Ranges::of_nets(&masquerade.sources),
                except: Ranges::of_nets(&masquerade.except),
            })
            .collect();
        let mut forwards: Vec<_> = spec.forwards.iter().enumerate().map(forward).collect();
        forwards.sort_by_key(|&(key, forward)| (key, forward.ingress));
        let pair = |external: &Ipv4Net, internal: &Ipv4Net, on| Pair {
            on,
            external: external.network().to_bits(),
            internal: internal.network().to_bits(),
            last: external.broadcast().to_bits() - external.network().to_bits(),
        };
        let pairs: Vec<_> =
            spec.statics4.iter().map(|s| pair(&s.external, &s.internal, s.on)).collect();
        let mut by_external: Vec<_> = pairs.iter().map(|&pair| (pair.external, pair)).collect();
        by_external.sort_by_key(|&(first, _)| first);
        let mut by_internal: Vec<_> = pairs.iter().map(|&pair| (pair.internal, pair)).collect();
        by_internal.sort_by_key(|&(first, pair)| (first, pair.on));
        let statics6 =
            spec.statics6.iter().map(|s| (s.on, Npt::new(s.internal, s.external))).collect();
        Self {
            pool: Ranges::new(spec.masquerades.iter().flat_map(|m| m.pool.iter().cloned())),
            sources: Ranges::of_nets(spec.masquerades.iter().flat_map(|m| &m.sources)),
            external4: external(&spec),
            masquerades,
            forwarded: forwards.iter().map(|_| AtomicU64::new(0)).collect(),
            forwards,
            by_external,
            by_internal,
            statics6,
            spec,
        }
    }

    /// What it was made from.
    #[must_use]
    pub const fn spec(&self) -> &NatSpec {
        &self.spec
    }

    /// Whether nothing is translated.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spec == NatSpec::default()
    }

    /// A masquerade.
    #[must_use]
    pub fn masquerade(&self, id: MasqueradeId) -> Option<&Masquerade> {
        self.masquerades.get(usize::from(id.0))
    }

    /// All masquerades, by their ids.
    #[must_use]
    pub fn masquerades(&self) -> &[Masquerade] {
        &self.masquerades
    }

    fn forwarded(&self, tuple: &Tuple<u32>, fits: impl Fn(&Forward) -> bool) -> Option<&Forward> {
        let key = (tuple.protocol.0, tuple.dst, tuple.ports.dst);
        let behind = self.forwards.partition_point(|(other, _)| *other <= key);
        // Those of other interfaces may stand between: no more than there are interfaces.
        self.forwards
            .get(..behind)?
            .iter()
            .rev()
            .take_while(|((protocol, address, _), _)| (*protocol, *address) == (key.0, key.1))
            .map(|(_, forward)| forward)
            .take(64)
            .find(|forward| key.2 <= forward.last_port && fits(forward))
    }

    /// The ports of an external address that lead somewhere by a forward.
    pub(crate) fn forwarded_ports(
        &self,
        protocol: IpProtocol,
        address: u32,
    ) -> impl Iterator<Item = std::ops::RangeInclusive<u16>> + '_ {
        let first = self.forwards.partition_point(|(key, _)| *key < (protocol.0, address, 0));
        let further = self.forwards.get(first..).unwrap_or_default().iter();
        let those = further.take_while(move |((p, a, _), _)| (*p, *a) == (protocol.0, address));
        those.map(|(_, forward)| forward.first_port..=forward.last_port)
    }

    fn to_forwarded(forward: &Forward, tuple: &Tuple<u32>) -> Destination4 {
        let further = tuple.ports.dst.wrapping_sub(forward.first_port);
        let port = forward.internal_first_port.wrapping_add(further);
        Destination4 { address: forward.internal, port, kind: DestinationKind::Forward }
    }

    fn pair_of_external(&self, address: u32) -> Option<&Pair> {
        let (_, pair) = at_or_before(&self.by_external, &address)?;
        (address - pair.external <= pair.last).then_some(pair)
    }

    fn pair_of_internal(&self, on: Option<IfIndex>, address: u32) -> Option<&Pair> {
        let behind = self.by_internal.partition_point(|&(first, _)| first <= address);
        self.by_internal
            .get(..behind)?
            .iter()
            .rev()
            .take(64)
            .map(|(_, pair)| pair)
            .find(|pair| address - pair.internal <= pair.last && on.is_none_or(|on| on == pair.on))
    }

    /// Where a packet goes that came in by `rx`, if not where it says: forwarded, or static. Mappings of a
    /// masquerade are the worker's affair.
    #[must_use]
    pub fn destination4(&self, rx: IfIndex, tuple: &Tuple<u32>) -> Option<Destination4> {
        if let Some(forward) = self.forwarded(tuple, |forward| forward.ingress == rx) {
            return Some(Self::to_forwarded(forward, tuple));
        }
        let pair = self.pair_of_external(tuple.dst).filter(|pair| pair.on == rx)?;
        let address = pair.internal + (tuple.dst - pair.external);
        Some(Destination4 { address, port: tuple.ports.dst, kind: DestinationKind::Static })
    }

    /// Notes that a flow began that came in by `rx`, or from inside, and is forwarded.
    pub fn count_forwarded(&self, rx: IfIndex, tuple: &Tuple<u32>) {
        let here = self.forwarded(tuple, |forward| forward.ingress == rx);
        let forward = here.or_else(|| self.forwarded(tuple, |forward| forward.hairpin));
        if let Some(count) = forward.and_then(|forward| self.forwarded.get(forward.place)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Flows that the forward at this place of the spec has let in.
    #[must_use]
    pub fn forwarded_flows(&self, place: usize) -> u64 {
        self.forwarded.get(place).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// Goes on counting where another policy's equal forwards are.
    pub fn count_on_from(&self, old: &Self) {
        for (spec, count) in self.spec.forwards.iter().zip(&*self.forwarded) {
            if let Some(place) = old.spec.forwards.iter().position(|other| other == spec) {
                count.store(old.forwarded_flows(place), Ordering::Relaxed);
            }
        }
    }

    /// How a source is translated that is to leave by `tx` for `dst`.
    #[must_use]
    pub fn source4(&self, tx: IfIndex, src: u32, dst: u32) -> Source4 {
        if let Some(pair) = self.pair_of_internal(Some(tx), src) {
            return Source4::Static(pair.external + (src - pair.internal));
        }
        let masquerade = self.masquerades.iter().position(|masquerade| {
            masquerade.spec.out == tx
                && masquerade.sources.contains(src)
                && !masquerade.except.contains(dst)
        });
        masquerade.map_or(Source4::None, |at| Source4::Masquerade(MasqueradeId(at as u16)))
    }

    /// The same for IPv6. `Some(None)`: it would be, and can't be (RFC 6296, 3.4).
    #[must_use]
    pub fn destination6(&self, rx: IfIndex, dst: u128) -> Option<Option<u128>> {
        let (_, npt) = self.statics6.iter().find(|(on, npt)| *on == rx && npt.is_external(dst))?;
        Some(npt.to_internal(dst))
    }

    /// The same for IPv6. `Some(None)`: it would be, and can't be.
    #[must_use]
    pub fn source6(&self, tx: IfIndex, src: u128) -> Option<Option<u128>> {
        let (_, npt) = self.statics6.iter().find(|(on, npt)| *on == tx && npt.is_internal(src))?;
        Some(npt.to_external(src))
    }

    /// Whether an address is one of a pool.
    #[inline]
    #[must_use]
    pub fn is_pool(&self, address: u32) -> bool {
        self.pool.contains(address)
    }

    /// Whether a host with this address is masqueraded somewhere.
    #[inline]
    #[must_use]
    pub fn is_masqueraded(&self, address: u32) -> bool {
        self.sources.contains(address)
    }

    /// Whether an address is an external one on the network of an interface.
    #[must_use]
    pub fn external_on4(&self, interface: IfIndex, address: u32) -> bool {
        self.external4.iter().any(|(on, set)| *on == interface && set.contains(address))
    }

    /// The same for IPv6.
    #[must_use]
    pub fn external_on6(&self, interface: IfIndex, address: u128) -> bool {
        self.statics6.iter().any(|(on, npt)| *on == interface && npt.is_external(address))
    }

    /// The interface as if by which a packet comes in that is sent from inside to an external address (RFC 4787, 6).
    #[must_use]
    pub fn hairpin_via(&self, rx: IfIndex, tuple: &Tuple<u32>) -> Option<IfIndex> {
        let forwarded = self.forwarded(tuple, |forward| forward.hairpin && forward.ingress != rx);
        if let Some(forward) = forwarded {
            return Some(forward.ingress);
        }
        if let Some(pair) = self.pair_of_external(tuple.dst) {
            return (pair.on != rx).then_some(pair.on);
        }
        if !self.pool.contains(tuple.dst) {
            return None;
        }
        let masquerade = self.masquerades.iter().find(|masquerade| {
            masquerade.spec.out != rx && masquerade.spec.pool.iter().any(|p| p.contains(&tuple.dst))
        });
        masquerade.map(|masquerade| masquerade.spec.out)
    }

    /// Where a packet goes, whichever interface it came in by: for steering.
    pub(crate) fn anywhere4(&self, tuple: &Tuple<u32>) -> Option<(u32, u16)> {
        if let Some(forward) = self.forwarded(tuple, |_| true) {
            let to = Self::to_forwarded(forward, tuple);
            return Some((to.address, to.port));
        }
        let pair = self.pair_of_external(tuple.dst)?;
        Some((pair.internal + (tuple.dst - pair.external), tuple.ports.dst))
    }

    /// The inside address of a static external source.
    pub fn static_inside(&self, address: u32) -> Option<u32> {
        let pair = self.pair_of_external(address)?;
        Some(pair.internal + (address - pair.external))
    }

    /// Whether a destination can have been translated but by a mapping.
    pub(crate) fn has_statics_or_forwards(&self) -> bool {
        !self.forwards.is_empty() || !self.by_external.is_empty()
    }

    /// The same for IPv6 (RFC 6296, 4.3).
    #[must_use]
    pub fn hairpin_via6(&self, rx: IfIndex, dst: u128) -> Option<IfIndex> {
        let (on, _) = self.statics6.iter().find(|(on, npt)| *on != rx && npt.is_external(dst))?;
        Some(*on)
    }

    /// The inside address of an external IPv6 one.
    #[must_use]
    pub fn inside6(&self, address: u128) -> Option<u128> {
        let (_, npt) = self.statics6.iter().find(|(_, npt)| npt.is_external(address))?;
        npt.to_internal(address)
    }

    /// The ports that belong to one worker together: the largest block that is given out as one.
    pub(crate) fn unit(&self) -> u16 {
        let blocks = self.spec.masquerades.iter().filter_map(|masquerade| masquerade.block_size);
        blocks.max().unwrap_or(0).max(64)
    }
}

fn forward((place, spec): (usize, &ForwardSpec)) -> (PortKey, Forward) {
    let key = (spec.protocol.0, spec.external, *spec.external_ports.start());
    let forward = Forward {
        ingress: spec.ingress,
        first_port: *spec.external_ports.start(),
        last_port: *spec.external_ports.end(),
        internal: spec.internal,
        internal_first_port: spec.internal_first_port,
        hairpin: spec.hairpin,
        place,
    };
    (key, forward)
}

/// External IPv4 addresses by interface.
fn external(spec: &NatSpec) -> Vec<(IfIndex, Ranges)> {
    let mut interfaces: Vec<_> = (spec.masquerades.iter().map(|m| m.out))
        .chain(spec.forwards.iter().map(|f| f.ingress))
        .chain(spec.statics4.iter().map(|s| s.on))
        .collect();
    interfaces.sort_unstable();
    interfaces.dedup();
    let of = |on: IfIndex| {
        let pools = spec.masquerades.iter().filter(move |m| m.out == on);
        let forwards = spec.forwards.iter().filter(move |f| f.ingress == on);
        let statics = spec.statics4.iter().filter(move |s| s.on == on);
        let ranges = pools
            .flat_map(|m| m.pool.iter().cloned())
            .chain(forwards.map(|f| f.external..=f.external))
            .chain(statics.map(|s| range(&s.external)));
        (on, Ranges::new(ranges))
    };
    interfaces.into_iter().map(of).collect()
}

/// Whether a protocol has ports that can be translated, or identifiers.
#[inline]
pub(crate) const fn has_ports(protocol: IpProtocol) -> bool {
    matches!(protocol, IpProtocol::TCP | IpProtocol::UDP | IpProtocol::ICMP)
}

#[cfg(test)]
mod tests {
    use portcullis_packet::Ports;

    use super::*;

    fn forward_to(internal: u32, external_ports: std::ops::RangeInclusive<u16>) -> ForwardSpec {
        ForwardSpec {
            ingress: IfIndex(0),
            protocol: IpProtocol::TCP,
            external: 1,
            external_ports,
            internal,
            internal_first_port: 1000,
            hairpin: true,
        }
    }

    fn compiled(forwards: Vec<ForwardSpec>) -> NatPolicy {
        NatPolicy::new(NatSpec { forwards, ..NatSpec::default() })
    }

    #[test]
    fn a_forward_counts_its_flows_on_wherever_another_policy_has_it() {
        let (one, two) = (forward_to(10, 80..=89), forward_to(11, 20..=20));
        let policy = compiled(vec![one.clone(), two.clone()]);
        let to = |port| {
            let ports = Ports { src: 5, dst: port };
            Tuple { src: 9, dst: 1, ports, protocol: IpProtocol::TCP }
        };
        for port in [80, 89, 85, 20, 90] {
            policy.count_forwarded(IfIndex(0), &to(port));
        }
        policy.count_forwarded(IfIndex(3), &to(81));
        assert_eq!((policy.forwarded_flows(0), policy.forwarded_flows(1)), (4, 1));
        let next = compiled(vec![forward_to(12, 443..=443), two, one]);
        next.count_on_from(&policy);
        let counts: Vec<_> = (0..4).map(|place| next.forwarded_flows(place)).collect();
        assert_eq!(counts, [0, 1, 4, 0]);
    }
}
