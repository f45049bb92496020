//! The rules, compiled, and what they decide.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use portcullis_wire::{IpProtocol, Tuple};

use crate::axis::{Axis, Span, Value};
use crate::sets::Sets;
use crate::sets_builder::SetsBuilder;
use crate::spec::{Action, AddressRange, RuleId, RuleSpec, RulesSpec, Service, ZoneId};

/// What the rules look at: the first packet of a flow, its source before and its destination after
/// translation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Query<A> {
    /// The zone of the interface that the packet came in by.
    pub from: ZoneId,
    /// The zone of the interface that it leaves by, or [`ZoneId::GATEWAY`].
    pub to: ZoneId,
    /// Addresses, ports and protocol.
    pub tuple: Tuple<A>,
}

/// What the rules say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decision {
    /// The rule that decided.
    pub rule: RuleId,
    /// What becomes of the flow.
    pub action: Action,
    /// Whether it is to be logged, as far as the [`crate::LogLimiter`] allows.
    pub log: bool,
}

/// A rule set, compiled for lookup. Equal to another one if it was compiled from the same.
pub struct Rules {
    spec: RulesSpec,
    fingerprint: u64,
    /// Action and log of each rule, close together.
    outcomes: Box<[(Action, bool)]>,
    sets: Sets,
    from: Axis<u16>,
    to: Axis<u16>,
    service: Axis<u32>,
    v4: Addresses<u32>,
    v6: Addresses<u128>,
}

struct Addresses<A> {
    source: Axis<A>,
    destination: Axis<A>,
}

impl Rules {
    /// Compiles. There may be up to `u32::MAX - 3` rules.
    ///
    /// The time grows with the number of limits (ends of ranges, in all dimensions). So does the memory: each
    /// limit has at most a page of 64 bytes and a row of `rules / 128 + rules / 512` bytes of its own.
    #[must_use]
    pub fn compile(spec: RulesSpec) -> Self {
        let rules = &spec.rules;
        let mut sets = SetsBuilder::new(rules.len());
        let from = Axis::new(&mut sets, rules.iter().map(|rule| zones(rule.from.as_deref())));
        let to = Axis::new(&mut sets, rules.iter().map(|rule| zones(rule.to.as_deref())));
        let services = rules.iter().map(|rule| services(rule.service.as_deref()));
        let service = Axis::new(&mut sets, services);
        let v4 = Addresses::new(&mut sets, rules, |range| match range {
            AddressRange::V4(range) if !range.is_empty() => Some((*range.start(), *range.end())),
            AddressRange::V4(_) | AddressRange::V6(_) => None,
        });
        let v6 = Addresses::new(&mut sets, rules, |range| match range {
            AddressRange::V6(range) if !range.is_empty() => Some((*range.start(), *range.end())),
            AddressRange::V4(_) | AddressRange::V6(_) => None,
        });
        let outcomes = rules.iter().map(|rule| (rule.action, rule.log)).collect();
        let sets = sets.finish();
        let mut hasher = DefaultHasher::new();
        spec.hash(&mut hasher);
        let fingerprint = hasher.finish();
        Self { spec, fingerprint, outcomes, sets, from, to, service, v4, v6 }
    }

    /// What becomes of a flow of IPv4.
    #[inline]
    #[must_use]
    pub fn decide4(&self, query: &Query<u32>) -> Decision {
        self.decide(&self.v4, query)
    }

    /// What becomes of a flow of IPv6.
    #[inline]
    #[must_use]
    pub fn decide6(&self, query: &Query<u128>) -> Decision {
        self.decide(&self.v6, query)
    }

    #[inline(always)]
    fn decide<A: Value>(&self, addresses: &Addresses<A>, query: &Query<A>) -> Decision {
        let Query { from, to, tuple } = *query;
        let sets = [
            addresses.source.at(tuple.src),
            addresses.destination.at(tuple.dst),
            self.service.at(service_value(tuple.protocol, tuple.ports.dst)),
            self.from.at(from.0),
            self.to.at(to.0),
        ];
        let matched = self.sets.first_common(sets).and_then(|rule| {
            let &(action, log) = self.outcomes.get(rule as usize)?;
            Some(Decision { rule: RuleId(rule), action, log })
        });
        let log = self.spec.log_default;
        match matched {
            Some(decision) => decision,
            None if to == ZoneId::GATEWAY => {
                Decision { rule: RuleId::GATEWAY_DEFAULT, action: self.spec.gateway_default, log }
            }
            None => Decision { rule: RuleId::DEFAULT, action: self.spec.default, log },
        }
    }

    /// What the rules were compiled from.
    #[must_use]
    pub const fn spec(&self) -> &RulesSpec {
        &self.spec
    }

    /// A rule; none for an id that is not a rule's.
    #[must_use]
    pub fn rule(&self, id: RuleId) -> Option<&RuleSpec> {
        self.spec.rules.get(id.0 as usize)
    }

    /// What to call a rule, or a default, before people.
    #[must_use]
    pub fn name(&self, id: RuleId) -> &str {
        match id {
            RuleId::DEFAULT => "default",
            RuleId::GATEWAY_DEFAULT => "gateway-default",
            _ => self.rule(id).map_or("none", |rule| &rule.name),
        }
    }

    /// The number of rules, without the defaults.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spec.rules.len()
    }

    /// Whether there are only the defaults.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spec.rules.is_empty()
    }

    /// Where an id's counters are: the rules in their order, then [`RuleId::DEFAULT`], then
    /// [`RuleId::GATEWAY_DEFAULT`]; [`Self::slots`], where nothing is, for any other id.
    #[inline]
    #[must_use]
    pub fn counter_slot(&self, id: RuleId) -> usize {
        let rules = self.len();
        match id {
            RuleId::DEFAULT => rules,
            RuleId::GATEWAY_DEFAULT => rules + 1,
            RuleId(rule) => {
                let rule = rule as usize;
                if rule < rules { rule } else { self.slots() }
            }
        }
    }

    /// How many slots there are: the rules and two defaults.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.len() + 2
    }

    /// The ids in the order of their slots.
    pub fn ids(&self) -> impl Iterator<Item = RuleId> {
        let rules = (0..self.len()).map(|rule| RuleId(rule as u32));
        rules.chain([RuleId::DEFAULT, RuleId::GATEWAY_DEFAULT])
    }

    /// A number that differs if the rules differ, but for bad luck; the same in each process of one build.
    #[must_use]
    pub const fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Bytes in memory for lookups, without the [`RulesSpec`].
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let zones = self.from.bytes() + self.to.bytes();
        let services = self.service.bytes();
        let addresses = self.v4.bytes() + self.v6.bytes();
        size_of_val(&*self.outcomes) + self.sets.bytes() + zones + services + addresses
    }
}

impl PartialEq for Rules {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint && self.spec == other.spec
    }
}

impl Eq for Rules {}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules").field("spec", &self.spec).finish_non_exhaustive()
    }
}

impl<A: Value> Addresses<A> {
    fn new(
        sets: &mut SetsBuilder,
        rules: &[RuleSpec],
        of_family: impl Fn(&AddressRange) -> Option<Span<A>>,
    ) -> Self {
        let spans = |list: &Option<Vec<AddressRange>>| {
            list.as_ref().map(|list| list.iter().filter_map(&of_family).collect())
        };
        Self {
            source: Axis::new(sets, rules.iter().map(|rule| spans(&rule.source))),
            destination: Axis::new(sets, rules.iter().map(|rule| spans(&rule.destination))),
        }
    }

    fn bytes(&self) -> usize {
        self.source.bytes() + self.destination.bytes()
    }
}

fn zones(list: Option<&[ZoneId]>) -> Option<Vec<Span<u16>>> {
    list.map(|list| list.iter().map(|zone| (zone.0, zone.0)).collect())
}

fn services(list: Option<&[Service]>) -> Option<Vec<Span<u32>>> {
    let span = |Service { protocol, ports }: &Service| {
        let value = |port| service_value(*protocol, port);
        (!ports.is_empty()).then(|| (value(*ports.start()), value(*ports.end())))
    };
    list.map(|list| list.iter().filter_map(span).collect())
}

/// Protocol and destination port as one number.
#[inline(always)]
fn service_value(protocol: IpProtocol, port: u16) -> u32 {
    u32::from(protocol.0) << 16 | u32::from(port)
}

#[cfg(test)]
mod tests;
