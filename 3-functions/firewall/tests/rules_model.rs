//! The compiled rules against a list of rules that is searched from end to end.

use std::ops::RangeInclusive;

use portcullis_firewall::{
    Action, AddressRange, Decision, Query, RuleId, RuleSpec, Rules, RulesSpec, Service, ZoneId,
};
use portcullis_packet::Ports;
use portcullis_wire::{IpProtocol, Tuple};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// What the two families have in common.
trait Family: Copy + PartialOrd {
    fn of(range: &AddressRange) -> Option<&RangeInclusive<Self>>;
    fn decide(rules: &Rules, query: &Query<Self>) -> Decision;
}

impl Family for u32 {
    fn of(range: &AddressRange) -> Option<&RangeInclusive<Self>> {
        match range {
            AddressRange::V4(range) => Some(range),
            AddressRange::V6(_) => None,
        }
    }

    fn decide(rules: &Rules, query: &Query<Self>) -> Decision {
        rules.decide4(query)
    }
}

impl Family for u128 {
    fn of(range: &AddressRange) -> Option<&RangeInclusive<Self>> {
        match range {
            AddressRange::V4(_) => None,
            AddressRange::V6(range) => Some(range),
        }
    }

    fn decide(rules: &Rules, query: &Query<Self>) -> Decision {
        rules.decide6(query)
    }
}

fn matches<A: Family>(rule: &RuleSpec, query: &Query<A>) -> bool {
    let Query { from, to, tuple } = query;
    let address = |list: &Option<Vec<AddressRange>>, address: A| {
        list.as_ref()
            .is_none_or(|list| list.iter().filter_map(A::of).any(|range| range.contains(&address)))
    };
    let service = |service: &Service| {
        service.protocol == tuple.protocol && service.ports.contains(&tuple.ports.dst)
    };
    rule.from.as_ref().is_none_or(|zones| zones.contains(from))
        && rule.to.as_ref().is_none_or(|zones| zones.contains(to))
        && address(&rule.source, tuple.src)
        && address(&rule.destination, tuple.dst)
        && rule.service.as_ref().is_none_or(|services| services.iter().any(service))
}

fn model<A: Family>(spec: &RulesSpec, query: &Query<A>) -> Decision {
    let first = spec.rules.iter().zip(0..).find(|(rule, _)| matches(rule, query));
    match first {
        Some((rule, n)) => Decision { rule: RuleId(n), action: rule.action, log: rule.log },
        None if query.to == ZoneId::GATEWAY => Decision {
            rule: RuleId::GATEWAY_DEFAULT,
            action: spec.gateway_default,
            log: spec.log_default,
        },
        None => Decision { rule: RuleId::DEFAULT, action: spec.default, log: spec.log_default },
    }
}

/// Few values, close together and at both ends, so that ranges meet and queries hit their limits.
fn values() -> impl Strategy<Value = u128> {
    prop_oneof![
        4 => 0..24_u128,
        4 => (0..24_u128).prop_map(|n| u128::MAX - n),
        2 => (0..4_u128, 0..128_u32).prop_map(|(n, shift)| n.rotate_right(1) >> shift),
    ]
}

/// The same among those of 32 bits: both ends stay ends.
fn narrow(value: u128) -> u32 {
    if value > u128::MAX - 24 { value as u32 } else { (value >> 96) as u32 | value as u32 }
}

fn zone() -> impl Strategy<Value = ZoneId> {
    prop_oneof![6 => 0..4_u16, 1 => Just(u16::MAX)].prop_map(ZoneId)
}

fn protocol() -> impl Strategy<Value = IpProtocol> {
    prop_oneof![Just(6_u8), Just(17), Just(1), Just(58), Just(0), Just(255)].prop_map(IpProtocol)
}

fn port() -> impl Strategy<Value = u16> {
    prop_oneof![0..12_u16, (0..12_u16).prop_map(|n| u16::MAX - n), any::<u16>()]
}

fn addresses() -> impl Strategy<Value = Option<Vec<AddressRange>>> {
    let range = (values(), values(), any::<bool>()).prop_map(|(a, b, four)| {
        if four {
            let (a, b) = (narrow(a), narrow(b));
            AddressRange::V4(a.min(b)..=a.max(b))
        } else {
            AddressRange::V6(a.min(b)..=a.max(b))
        }
    });
    option::of(vec(range, 0..5))
}

fn rule() -> impl Strategy<Value = RuleSpec> {
    let zones = || option::of(vec(zone(), 0..3));
    // A range the wrong way round is empty.
    let service = (protocol(), port(), port())
        .prop_map(|(protocol, a, b)| Service { protocol, ports: a..=b });
    let action = prop_oneof![Just(Action::Accept), Just(Action::Drop), Just(Action::Reject)];
    let services = option::of(vec(service, 0..4));
    (zones(), zones(), addresses(), addresses(), services, action, any::<bool>()).prop_map(
        |(from, to, source, destination, service, action, log)| RuleSpec {
            name: "rule".into(),
            from,
            to,
            source,
            destination,
            service,
            action,
            log,
        },
    )
}

/// A rule that one query in a thousand or so meets, so that of many rules late ones are reached.
fn narrow_rule() -> impl Strategy<Value = RuleSpec> {
    (zone(), values(), protocol(), port(), any::<bool>()).prop_map(
        |(zone, value, protocol, port, log)| RuleSpec {
            name: "narrow".into(),
            from: Some(vec![zone]),
            to: None,
            source: Some(vec![
                AddressRange::V6(value..=value),
                AddressRange::V4(narrow(value)..=narrow(value)),
            ]),
            destination: None,
            service: Some(vec![Service { protocol, ports: port.min(11)..=u16::MAX - 11 }]),
            action: Action::Reject,
            log,
        },
    )
}

fn spec(rules: impl Strategy<Value = Vec<RuleSpec>>) -> impl Strategy<Value = RulesSpec> {
    (rules, any::<bool>()).prop_map(|(rules, log_default)| RulesSpec {
        rules,
        default: Action::Drop,
        gateway_default: Action::Accept,
        log_default,
    })
}

fn queries(count: usize) -> impl Strategy<Value = Vec<Query<u128>>> {
    let query = (zone(), zone(), values(), values(), protocol(), port()).prop_map(
        |(from, to, src, dst, protocol, port)| {
            let ports = Ports { src: 7, dst: port };
            Query { from, to, tuple: Tuple { src, dst, ports, protocol } }
        },
    );
    vec(query, count)
}

fn check(spec: &RulesSpec, queries: &[Query<u128>]) -> Result<(), TestCaseError> {
    let rules = Rules::compile(spec.clone());
    for six in queries {
        let Query { from, to, tuple: Tuple { src, dst, ports, protocol } } = *six;
        let tuple = Tuple { src: narrow(src), dst: narrow(dst), ports, protocol };
        let four = Query { from, to, tuple };
        prop_assert_eq!(u32::decide(&rules, &four), model(spec, &four), "{:?}", four);
        prop_assert_eq!(u128::decide(&rules, six), model(spec, six), "{:?}", six);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn few_rules_decide_as_a_linear_search_does(
        spec in spec(vec(rule(), 0..=70)),
        queries in queries(100),
    ) {
        check(&spec, &queries)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn thousands_of_rules_decide_as_a_linear_search_does(
        spec in spec(vec(prop_oneof![500 => narrow_rule(), 1 => rule()], 100..=9_000)),
        queries in queries(100),
    ) {
        check(&spec, &queries)?;
    }
}
