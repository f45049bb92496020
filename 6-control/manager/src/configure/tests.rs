use portcullis_packet::IfIndex;

use super::*;
use crate::event::{Address, Event, Link, Placement};
use crate::mirrored::Origin;
use crate::setup::InterfaceSetup;

const TAP: KernelIndex = KernelIndex(3);

fn mirror(addresses: &[&str]) -> Mirror {
    let wan = InterfaceSetup {
        name: "wan".into(),
        device: crate::setup::DeviceSetup::Unknown,
        mac: portcullis_packet::Mac::default(),
        mtu: None,
        addresses: addresses.iter().map(|net| net.parse().expect("a network")).collect(),
        offload: portcullis_packet::TxOffload::default(),
    };
    let mut mirror = Mirror::new(vec![wan], 1);
    let tap = Link { index: TAP, name: "wan".into(), up: true, ..Link::default() };
    mirror.handle(Event::Link(tap), Origin::Announced);
    mirror
}

fn route(to: &str, via: &str) -> Route {
    let gateway = Some(via.parse().expect("an address"));
    Route {
        table: Table::Main,
        prefix: to.parse().expect("a network"),
        metric: 0,
        protocol: Protocol::OURS,
        target: Target::Via(Path { index: TAP, gateway }),
        mtu: None,
    }
}

fn wanted(to: &str, via: &str) -> StaticRoute {
    let via = via.parse::<std::net::IpAddr>().expect("an address");
    let action = StaticAction::Via(vec![via.into()]);
    StaticRoute { to: to.parse().expect("a network"), action }
}

fn asked(route: &StaticRoute) -> StaticRoute<KernelIndex> {
    route.on_taps(|_| Some(TAP)).expect("all taps are there")
}

fn at(seconds: u64) -> Instant {
    Instant(seconds * 1_000_000_000)
}

#[test]
fn addresses_are_set_once_and_those_of_a_former_run_are_removed() {
    let mut mirror = mirror(&["10.0.0.1/24", "10.0.1.1/24"]);
    let address = |net: &str, protocol| Address {
        index: TAP,
        net: net.parse().expect("a network"),
        flags: 0,
        protocol,
    };
    let old = address("10.0.9.1/24", Protocol::OURS);
    for present in
        [address("10.0.0.1/24", Protocol::OURS), old, address("10.0.8.1/24", Protocol(0))]
    {
        mirror.handle(Event::Address(present), Origin::Announced);
    }
    let mut configuration = Configuration::new(vec![]);
    let net = "10.0.1.1/24".parse().expect("a network");
    let wanted = [Request::RemoveAddress(old), Request::AddAddress { index: TAP, net }];
    assert_eq!(configuration.requests(&mirror, at(1), false), wanted);
    let new = Address { net, ..old };
    mirror.handle(Event::Address(new), Origin::Announced);
    let still_there = [Request::RemoveAddress(old)];
    assert_eq!(configuration.requests(&mirror, at(2), true), still_there);
    mirror.handle(Event::AddressGone(old), Origin::Announced);
    mirror.handle(Event::AddressGone(new), Origin::Announced);
    assert_eq!(configuration.requests(&mirror, at(3), true), [], "it is the operator's now");
}

#[test]
fn a_route_that_is_refused_is_tried_less_and_less_often_and_at_once_when_it_may_be_possible() {
    let mirror = mirror(&[]);
    let mut configuration = Configuration::new(vec![wanted("0.0.0.0/0", "10.0.0.2")]);
    let mut tries = |seconds: std::ops::Range<u64>| {
        let tries = seconds
            .filter(|now| !configuration.requests(&mirror, at(*now), false).is_empty())
            .collect::<Vec<_>>();
        let possible = configuration.requests(&mirror, at(1000), true).len();
        (tries, possible)
    };
    assert_eq!(tries(1..60), (vec![1, 2, 4, 8, 16, 32, 48], 1));
}

#[test]
fn a_route_that_the_kernel_has_taken_is_not_asked_for_again_before_it_is_announced() {
    let mut mirror = mirror(&[]);
    let mut configuration = Configuration::new(vec![
        wanted("198.51.100.0/24", "10.0.0.2"),
        wanted("203.0.113.0/24", "10.0.0.2"),
    ]);
    let mut asked = |mirror: &Mirror, now: u64, accept: &[&str]| {
        let asked = configuration.requests(mirror, at(now), true).len();
        let accept = accept.iter().map(|to| to.parse().expect("a network")).collect();
        configuration.accepted(&accept);
        asked
    };
    assert_eq!(asked(&mirror, 1, &["198.51.100.0/24"]), 2);
    assert_eq!(asked(&mirror, 1, &[]), 1, "that which it refused");
    let there = route("198.51.100.0/24", "10.0.0.2");
    mirror.handle(Event::Route(there.clone(), Placement::First), Origin::Announced);
    assert_eq!(asked(&mirror, 1, &[]), 1);
    mirror.handle(Event::RouteGone(there), Origin::Announced);
    assert_eq!(asked(&mirror, 1, &["198.51.100.0/24"]), 2, "gone: at once");
    assert_eq!(asked(&mirror, 3, &[]), 2, "never announced: after a while");
}

#[test]
fn a_route_that_is_there_is_left_alone_and_one_that_says_something_else_is_replaced() {
    let mut mirror = mirror(&[]);
    let there = route("198.51.100.0/24", "10.0.0.2");
    mirror.handle(Event::Route(there.clone(), Placement::First), Origin::Announced);
    let mut same = Configuration::new(vec![wanted("198.51.100.0/24", "10.0.0.2")]);
    assert_eq!(same.requests(&mirror, at(1), true), []);

    let other = wanted("198.51.100.0/24", "10.0.0.3");
    let mut changed = Configuration::new(vec![other.clone()]);
    let replace = Request::SetRoute { route: asked(&other), replace: true };
    assert_eq!(changed.requests(&mirror, at(1), true), [replace]);

    let router = Router { address: "10.0.0.2".parse().expect("v4"), on_link: Some(IfIndex(0)) };
    let on_link = StaticRoute { action: StaticAction::Via(vec![router]), ..other.clone() };
    let mut same = Configuration::new(vec![on_link.clone()]);
    assert_eq!(same.requests(&mirror, at(1), true), [], "there, and on that very link");
    let router = Router { on_link: Some(IfIndex(9)), ..router };
    let elsewhere = StaticRoute { action: StaticAction::Via(vec![router]), ..on_link };
    let mut waiting = Configuration::new(vec![elsewhere]);
    assert_eq!(waiting.requests(&mirror, at(1), true), [], "its interface has no tap yet");

    let mut gone = Configuration::new(vec![]);
    assert_eq!(gone.requests(&mirror, at(1), true), [Request::RemoveRoute(there)]);
    assert_eq!(gone.requests(&mirror, at(2), true), [], "once, at the start");
}
