//! What the file says is put into the kernel, and what a former run left is found again.

use std::net::IpAddr;

use portcullis_manager::{Router, StaticAction, StaticRoute};
use portcullis_packet::IfIndex;
use portcullis_routing::NextHop;

use super::support::{Options, World, unresolved};

fn route(to: &str, via: &[&str]) -> StaticRoute {
    let address = |router: &&str| router.parse::<IpAddr>().expect("an address");
    let routers = via.iter().map(address).map(Router::from).collect();
    StaticRoute { to: to.parse().expect("a network"), action: StaticAction::Via(routers) }
}

#[test]
fn static_routes_are_set_and_set_again_when_the_kernel_took_them_away() {
    let blackhole =
        StaticRoute { to: "192.0.2.0/24".parse().unwrap(), action: StaticAction::Blackhole };
    let routes = vec![
        route("0.0.0.0/0", &["10.0.0.2"]),
        route("198.51.100.0/24", &["10.0.0.3", "10.0.0.4"]),
        route("::/0", &["2001:db8::2", "2001:db8::3"]),
        blackhole,
        StaticRoute {
            to: "203.0.112.0/24".parse().unwrap(),
            action: StaticAction::Via(vec![Router {
                address: "192.168.99.1".parse().unwrap(),
                on_link: Some(IfIndex(0)),
            }]),
        },
    ];
    let mut world = World::start(Options { routes, ..Options::default() });
    for _ in 0..2 {
        world.expect("203.0.113.1", unresolved(0, "10.0.0.2"));
        world.expect("192.0.2.1", NextHop::Blackhole);
        world.expect("203.0.112.1", unresolved(0, "192.168.99.1"));
        world.eventually("both routers", |world| {
            world.members("198.51.100.1").len() == 2 && world.members("2001:db8:9::1").len() == 2
        });
        world.ground.in_vpc(&["link", "set", "wan", "down"]);
        world.expect("203.0.113.1", NextHop::NoRoute);
        world.ground.in_vpc(&["link", "set", "wan", "up"]);
        // Setting it down took the IPv6 address with it, and that is the operator's doing.
        world.ground.in_vpc(&["addr", "replace", "2001:db8::1/64", "dev", "wan"]);
    }
    world.expect("203.0.113.1", unresolved(0, "10.0.0.2"));
    world.ground.in_vpc(&["route", "del", "default"]);
    world.expect("203.0.113.1", unresolved(0, "10.0.0.2"));
}

#[test]
fn a_restart_keeps_what_others_set_and_takes_away_what_the_file_no_longer_says() {
    let routes =
        vec![route("198.51.100.0/24", &["10.0.0.2"]), route("192.0.2.0/24", &["10.0.0.2"])];
    let addresses = vec!["10.0.0.1/24", "10.1.0.1/24"];
    let mut world = World::start(Options { routes, addresses, ..Options::default() });
    world.expect("198.51.100.1", unresolved(0, "10.0.0.2"));
    world.expect("192.0.2.1", unresolved(0, "10.0.0.2"));
    world.ground.in_vpc(&["addr", "add", "10.2.0.1/24", "dev", "wan"]);
    world.ground.in_vpc(&["route", "add", "203.0.113.0/24", "via", "10.0.0.2", "proto", "bgp"]);
    world.expect("203.0.113.1", unresolved(0, "10.0.0.2"));

    let ground = world.stop();
    let routes = vec![route("198.51.100.0/24", &["10.0.0.3"])];
    let addresses = vec!["10.0.0.1/24"];
    let mut world = World::start_on(ground, Options { routes, addresses, ..Options::default() });
    world.expect("203.0.113.1", unresolved(0, "10.0.0.2"));
    world.expect("10.2.0.1", NextHop::Local);
    world.expect("198.51.100.1", unresolved(0, "10.0.0.3"));
    world.expect("192.0.2.1", NextHop::NoRoute);
    world.expect("10.1.0.1", NextHop::NoRoute);
}

#[test]
fn another_ones_route_is_not_replaced_by_a_static_one() {
    let mut ground = super::support::Ground::new();
    ground.open_taps();
    ground.in_vpc(&["addr", "add", "10.0.0.1/24", "dev", "wan"]);
    ground.in_vpc(&["link", "set", "wan", "up"]);
    ground.in_vpc(&["route", "add", "198.51.100.0/24", "via", "10.0.0.9"]);
    let routes = vec![route("198.51.100.0/24", &["10.0.0.2"])];
    let mut world = World::start_on(ground, Options { routes, ..Options::default() });
    world.expect("198.51.100.1", unresolved(0, "10.0.0.9"));
    world.ground.in_vpc(&["route", "del", "198.51.100.0/24"]);
    world.expect("198.51.100.1", unresolved(0, "10.0.0.2"));
}
