//! Another configuration for a manager that runs.

use std::net::IpAddr;
use std::sync::Arc;

use portcullis_manager::{ApplyError, Change, Router, StaticAction, StaticRoute};
use portcullis_policy::Policy;
use portcullis_routing::NextHop;

use super::support::{Options, World, unresolved};

fn via(to: &str, routers: &[&str]) -> StaticRoute {
    let address = |router: &&str| router.parse::<IpAddr>().expect("an address");
    let routers = routers.iter().map(address).map(Router::from).collect();
    StaticRoute { to: to.parse().expect("a network"), action: StaticAction::Via(routers) }
}

fn blackhole(to: &str) -> StaticRoute {
    StaticRoute { to: to.parse().expect("a network"), action: StaticAction::Blackhole }
}

fn change(number: u32, routes: Vec<StaticRoute>, wan: &[&str], mtu: u16) -> Change {
    let wan = wan.iter().map(|net| net.parse().expect("a network")).collect();
    Change {
        policy: Arc::new(Policy::stateless(number)),
        routes,
        addresses: vec![wan, vec![]],
        mtus: vec![Some(mtu), None],
    }
}

#[test]
fn a_changed_configuration_takes_effect_and_what_both_say_is_not_touched() {
    let routes = vec![
        via("198.51.100.0/24", &["10.0.0.2"]),
        via("192.0.2.0/24", &["10.0.0.3"]),
        via("203.0.113.0/24", &["10.1.0.2"]),
        via("2001:db8:9::/48", &["2001:db8::2", "2001:db8::3"]),
        via("2001:db8:a::/48", &["2001:db8::2", "2001:db8::3"]),
    ];
    let addresses = vec!["10.1.0.1/24", "10.0.0.1/24", "2001:db8::1/64"];
    let mut world =
        World::start(Options { routes, addresses, mtu: Some(1400), ..Options::default() });
    world.ground.in_vpc(&["route", "add", "100.64.0.0/24", "via", "10.0.0.9", "proto", "bgp"]);
    world.ground.in_vpc(&["addr", "add", "10.7.0.1/24", "dev", "wan"]);
    world.expect("198.51.100.1", unresolved(0, "10.0.0.2"));
    world.expect("192.0.2.1", unresolved(0, "10.0.0.3"));
    world.expect("203.0.113.1", unresolved(0, "10.1.0.2"));
    world.expect("100.64.0.1", unresolved(0, "10.0.0.9"));
    world.expect("10.7.0.1", NextHop::Local);
    world.eventually("two groups", |world| {
        ["2001:db8:9::1", "2001:db8:a::1"].iter().all(|to| world.members(to).len() == 2)
    });
    let monitor = world.ground.monitor();

    let routes = vec![
        via("198.51.100.0/24", &["10.0.0.2"]),
        via("192.0.2.0/24", &["10.0.0.4"]),
        blackhole("203.0.114.0/24"),
        via("2001:db8:9::/48", &["2001:db8::2", "2001:db8::3"]),
        blackhole("2001:db8:a::/48"),
    ];
    let addresses = ["10.0.0.1/24", "10.2.0.1/24", "2001:db8::1/64"];
    let applied = world.apply(change(7, routes, &addresses, 1350));
    assert_eq!(applied, Ok(()));
    world.eventually("the policy", |world| world.snapshot().policy.number == 7);
    world.expect("192.0.2.1", unresolved(0, "10.0.0.4"));
    world.expect("203.0.113.1", NextHop::NoRoute);
    world.expect("203.0.114.1", NextHop::Blackhole);
    world.expect("2001:db8:a::1", NextHop::Blackhole);
    world.expect("10.1.0.1", NextHop::NoRoute);
    world.expect("10.2.0.1", NextHop::Local);
    world.eventually("the MTU", |world| {
        let both = [
            world.ground.show_vpc(&["link", "show", "wan"]),
            world.ground.show_link(&["link", "show", "wan0"]),
        ];
        world.snapshot().interfaces[0].mtu == 1350
            && both.iter().all(|link| link.contains("mtu 1350"))
    });
    // What is the same in both, and what others made.
    world.expect("198.51.100.1", unresolved(0, "10.0.0.2"));
    world.expect("100.64.0.1", unresolved(0, "10.0.0.9"));
    world.expect("10.7.0.1", NextHop::Local);
    assert_eq!(world.members("2001:db8:9::1").len(), 2);
    let announced = monitor.stop();
    for same in ["198.51.100.0/24", "100.64.0.0/24", "2001:db8:9::/48", "10.0.0.1", "10.7.0.1"] {
        assert!(!announced.contains(same), "{same} was touched:\n{announced}");
    }
    assert!(announced.contains("Deleted 203.0.113.0/24"), "{announced}");
    assert_eq!(world.snapshot().policy.number, 7);
}

#[test]
fn a_change_for_another_gateway_changes_nothing() {
    let routes = vec![via("198.51.100.0/24", &["10.0.0.2"])];
    let mut world = World::start(Options { routes, ..Options::default() });
    world.expect("198.51.100.1", unresolved(0, "10.0.0.2"));
    let mut other = change(9, vec![], &[], 1300);
    other.addresses.push(vec![]);
    assert_eq!(world.apply(other), Err(ApplyError::Interfaces { said: 3, have: 2 }));
    world.expect("198.51.100.1", unresolved(0, "10.0.0.2"));
    assert_eq!(world.snapshot().policy.number, 0);
}

#[test]
fn a_kept_address_survives_the_primary_one_of_its_network() {
    let addresses = vec!["10.0.0.1/24", "10.0.0.2/24"];
    let routes = vec![via("198.51.100.0/24", &["10.0.0.9"])];
    let mut world =
        World::start(Options { routes: routes.clone(), addresses, ..Options::default() });
    world.expect("10.0.0.2", NextHop::Local);
    world.expect("198.51.100.1", unresolved(0, "10.0.0.9"));
    world.apply(change(1, routes, &["10.0.0.2/24", "10.0.0.3/24"], 1500)).expect("applied");
    world.expect("10.0.0.1", NextHop::Attached { interface: portcullis_packet::IfIndex(0) });
    world.expect("10.0.0.2", NextHop::Local);
    world.expect("10.0.0.3", NextHop::Local);
    world.expect("198.51.100.1", unresolved(0, "10.0.0.9"));
}
