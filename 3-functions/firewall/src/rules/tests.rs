use portcullis_packet::Ports;
use portcullis_wire::icmp_port;

use super::*;

const INSIDE: ZoneId = ZoneId(1);
const OUTSIDE: ZoneId = ZoneId(2);

fn any(name: &str) -> RuleSpec {
    RuleSpec {
        name: name.into(),
        from: None,
        to: None,
        source: None,
        destination: None,
        service: None,
        action: Action::Accept,
        log: false,
    }
}

fn spec(rules: Vec<RuleSpec>) -> RulesSpec {
    RulesSpec { rules, default: Action::Drop, gateway_default: Action::Reject, log_default: true }
}

fn compiled(rules: Vec<RuleSpec>) -> Rules {
    Rules::compile(spec(rules))
}

fn query<A>(src: A, dst: A, protocol: IpProtocol, port: u16) -> Query<A> {
    let ports = Ports { src: 40_000, dst: port };
    Query { from: INSIDE, to: OUTSIDE, tuple: Tuple { src, dst, ports, protocol } }
}

fn v4(range: std::ops::RangeInclusive<u32>) -> Option<Vec<AddressRange>> {
    Some(vec![AddressRange::V4(range)])
}

fn v6(range: std::ops::RangeInclusive<u128>) -> Option<Vec<AddressRange>> {
    Some(vec![AddressRange::V6(range)])
}

#[test]
fn the_first_rule_that_matches_decides_and_is_named() {
    let wide = RuleSpec { source: v4(0..=100), action: Action::Reject, ..any("wide") };
    let narrow = RuleSpec { source: v4(50..=50), log: true, ..any("narrow") };
    let rules = compiled(vec![narrow, wide]);
    let decide = |src| rules.decide4(&query(src, 1, IpProtocol::TCP, 80));
    let narrow = Decision { rule: RuleId(0), action: Action::Accept, log: true };
    let wide = Decision { rule: RuleId(1), action: Action::Reject, log: false };
    let none = Decision { rule: RuleId::DEFAULT, action: Action::Drop, log: true };
    assert_eq!([49, 50, 51, 101].map(decide), [wide, narrow, wide, none]);
    assert_eq!(rules.name(RuleId(1)), "wide");
}

#[test]
fn without_rules_the_defaults_decide_by_whether_the_gateway_is_the_destination() {
    let rules = compiled(vec![]);
    let through = query(1, 2, IpProtocol::UDP, 53);
    let to_gateway = Query { to: ZoneId::GATEWAY, ..through };
    let expected = Decision { rule: RuleId::DEFAULT, action: Action::Drop, log: true };
    assert_eq!(rules.decide4(&through), expected);
    let expected = Decision { rule: RuleId::GATEWAY_DEFAULT, action: Action::Reject, log: true };
    assert_eq!(rules.decide4(&to_gateway), expected);
    let to_gateway = Query { to: ZoneId::GATEWAY, ..query(1, 2, IpProtocol::UDP, 53) };
    assert_eq!(rules.decide6(&to_gateway), expected);
}

#[test]
fn any_zone_includes_the_gateway_and_zones_that_no_rule_names() {
    let named = RuleSpec { to: Some(vec![OUTSIDE, ZoneId(u16::MAX)]), ..any("named") };
    let rules = compiled(vec![named, any("any")]);
    let to = |to| {
        let query = query(1, 2, IpProtocol::TCP, 22);
        rules.decide4(&Query { to: ZoneId(to), ..query }).rule.0
    };
    assert_eq!([0, 1, 2, 3, u16::MAX - 1, u16::MAX].map(to), [1, 1, 0, 1, 1, 0]);
}

#[test]
fn addresses_of_one_family_are_not_met_by_the_other() {
    let rules = compiled(vec![
        RuleSpec { source: v6(0..=u128::MAX), ..any("6 from") },
        RuleSpec { destination: v4(0..=u32::MAX), ..any("4 to") },
        RuleSpec { source: v4(0..=9), destination: v6(0..=9), ..any("never") },
    ]);
    assert_eq!(rules.decide4(&query(5, 5, IpProtocol::TCP, 1)).rule, RuleId(1));
    assert_eq!(rules.decide6(&query(5, 5, IpProtocol::TCP, 1)).rule, RuleId(0));
    let never = compiled(vec![RuleSpec { source: v4(0..=9), destination: v6(0..=9), ..any("x") }]);
    assert_eq!(never.decide4(&query(5, 5, IpProtocol::TCP, 1)).rule, RuleId::DEFAULT);
    assert_eq!(never.decide6(&query(5, 5, IpProtocol::TCP, 1)).rule, RuleId::DEFAULT);
}

#[test]
fn an_empty_list_and_an_empty_range_are_met_by_nothing() {
    #[expect(clippy::reversed_empty_ranges, reason = "it is what is tested")]
    let rules = compiled(vec![
        RuleSpec { from: Some(vec![]), ..any("from") },
        RuleSpec { to: Some(vec![]), ..any("to") },
        RuleSpec { source: Some(vec![]), ..any("source") },
        RuleSpec { destination: Some(vec![]), ..any("destination") },
        RuleSpec { service: Some(vec![]), ..any("service") },
        RuleSpec { source: v4(9..=3), ..any("range") },
        RuleSpec {
            service: Some(vec![Service { protocol: IpProtocol::TCP, ports: 9..=3 }]),
            ..any("ports")
        },
    ]);
    for value in [0, 3, 5, 9, u16::MAX] {
        let query = query(u32::from(value), u32::from(value), IpProtocol::TCP, value);
        assert_eq!(rules.decide4(&query).rule, RuleId::DEFAULT);
    }
}

#[test]
fn the_first_and_the_last_value_of_each_dimension_can_be_matched_alone() {
    let ends = |zone: u16, a: u32, b: u128, protocol: u8, port: u16| {
        let zone = Some(vec![ZoneId(zone)]);
        let addresses = Some(vec![AddressRange::V4(a..=a), AddressRange::V6(b..=b)]);
        let service = Service { protocol: IpProtocol(protocol), ports: port..=port };
        RuleSpec {
            from: zone.clone(),
            to: zone,
            source: addresses.clone(),
            destination: addresses,
            service: Some(vec![service]),
            ..any("end")
        }
    };
    let rules =
        compiled(vec![ends(0, 0, 0, 0, 0), ends(u16::MAX, u32::MAX, u128::MAX, 255, u16::MAX)]);
    let ask = |zone: u16, a: u32, b: u128, protocol: u8, port: u16| {
        let zone = ZoneId(zone);
        let four = Query { from: zone, to: zone, ..query(a, a, IpProtocol(protocol), port) };
        let six = Query { from: zone, to: zone, ..query(b, b, IpProtocol(protocol), port) };
        (rules.decide4(&four).rule, rules.decide6(&six).rule)
    };
    let last = (u16::MAX, u32::MAX, u128::MAX);
    assert_eq!(ask(0, 0, 0, 0, 0), (RuleId(0), RuleId(0)));
    assert_eq!(ask(last.0, last.1, last.2, 255, u16::MAX), (RuleId(1), RuleId(1)));
    let neither = (RuleId::GATEWAY_DEFAULT, RuleId::GATEWAY_DEFAULT);
    assert_eq!(ask(0, 1, 1, 0, 0), neither);
    assert_eq!(ask(0, 0, 0, 0, 1), neither);
    assert_eq!(ask(0, 0, 0, 1, 0), neither);
    let neither = (RuleId::DEFAULT, RuleId::DEFAULT);
    assert_eq!(ask(last.0 - 1, last.1, last.2, 255, u16::MAX), neither);
    assert_eq!(ask(last.0, last.1 - 1, last.2 - 1, 255, u16::MAX), neither);
    assert_eq!(ask(last.0, last.1, last.2, 255, u16::MAX - 1), neither);
    assert_eq!(ask(last.0, last.1, last.2, 254, u16::MAX), neither);
}

#[test]
fn icmp_is_matched_by_its_type_and_other_protocols_without_ports_by_themselves() {
    let rules = compiled(vec![
        RuleSpec {
            service: Some(vec![
                Service::icmp_type(IpProtocol::ICMP, 8),
                Service::icmp_type(IpProtocol::ICMPV6, 128),
            ]),
            ..any("echo")
        },
        RuleSpec { service: Some(vec![Service::all(IpProtocol::ESP)]), ..any("esp") },
    ]);
    let four = |protocol, port| rules.decide4(&query(1, 2, protocol, port)).rule;
    let six = |protocol, port| rules.decide6(&query(1, 2, protocol, port)).rule;
    assert_eq!(four(IpProtocol::ICMP, icmp_port(8, 0)), RuleId(0));
    assert_eq!(four(IpProtocol::ICMP, icmp_port(8, 255)), RuleId(0));
    assert_eq!(four(IpProtocol::ICMP, icmp_port(7, 255)), RuleId::DEFAULT);
    assert_eq!(four(IpProtocol::ICMP, icmp_port(9, 0)), RuleId::DEFAULT);
    assert_eq!(six(IpProtocol::ICMPV6, icmp_port(128, 0)), RuleId(0));
    assert_eq!(six(IpProtocol::ICMPV6, icmp_port(8, 0)), RuleId::DEFAULT);
    assert_eq!(four(IpProtocol::ESP, 0), RuleId(1));
    assert_eq!(four(IpProtocol::AUTHENTICATION, 0), RuleId::DEFAULT);
}

#[test]
fn of_ten_thousand_rules_each_is_found_by_what_only_it_names() {
    let place = |n: u32| (n.wrapping_mul(0x9e37_79b1), (n % 60_000) as u16);
    let wide = |n: u32| u128::from(place(n).0) << 96 | u128::from(n);
    let rules = (0..10_000).map(|n| {
        let (address, port) = place(n);
        let ranges = vec![AddressRange::V4(address..=address), AddressRange::V6(wide(n)..=wide(n))];
        RuleSpec {
            source: Some(ranges),
            service: Some(vec![Service { protocol: IpProtocol::TCP, ports: port..=port }]),
            ..any("one")
        }
    });
    let rules = compiled(rules.collect());
    for n in 0..10_000 {
        let (address, port) = place(n);
        let four = |port| rules.decide4(&query(address, 1, IpProtocol::TCP, port)).rule;
        assert_eq!(four(port), RuleId(n));
        assert_eq!(four(port + 1), RuleId::DEFAULT);
        let six = query(wide(n), 1, IpProtocol::TCP, port);
        assert_eq!(rules.decide6(&six).rule, RuleId(n));
    }
}

#[test]
fn memory_grows_with_the_limits_however_the_ranges_overlap() {
    // Each range holds all later ones: half of all bits are set.
    let nested = |n: u32| RuleSpec { source: v4(n..=u32::MAX - n), ..any("nested") };
    let rules = compiled((0..10_000).map(nested).collect());
    let decide = |src| rules.decide4(&query(src, 1, IpProtocol::TCP, 1)).rule;
    assert_eq!(decide(5_000), RuleId(0));
    let limits = 20_000;
    let most = limits * (64 + 104 + 8) + 10_000 * 2 + 4096;
    assert!(rules.memory_bytes() <= most, "{} > {most}", rules.memory_bytes());
}

#[test]
fn slots_are_the_rules_then_the_defaults() {
    let rules = compiled(vec![any("a"), any("b")]);
    let slots: Vec<usize> = rules.ids().map(|id| rules.counter_slot(id)).collect();
    assert_eq!(slots, [0, 1, 2, 3]);
    assert_eq!(rules.slots(), 4);
    assert_eq!([RuleId::NONE, RuleId(2)].map(|id| rules.counter_slot(id)), [4, 4]);
    let names: Vec<&str> = rules.ids().map(|id| rules.name(id)).collect();
    assert_eq!(names, ["a", "b", "default", "gateway-default"]);
    assert_eq!(rules.name(RuleId::NONE), "none");
}

#[test]
fn rule_sets_are_equal_if_they_say_the_same_in_the_same_order() {
    let ab = || vec![any("a"), any("b")];
    let rules = compiled(ab());
    let same = compiled(ab());
    assert_eq!(rules, same);
    assert_eq!(rules.fingerprint(), same.fingerprint());
    let others = [
        spec(vec![any("b"), any("a")]),
        spec(vec![any("a"), RuleSpec { log: true, ..any("b") }]),
        RulesSpec { default: Action::Accept, ..spec(ab()) },
    ];
    for other in others.map(Rules::compile) {
        assert_ne!(rules, other);
        assert_ne!(rules.fingerprint(), other.fingerprint());
    }
}
