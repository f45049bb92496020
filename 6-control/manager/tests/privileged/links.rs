//! Device and tap follow each other.

use portcullis_routing::NextHop;

use super::support::{Options, World, unresolved};

fn has(lines: &str, what: &str) -> bool {
    lines.contains(what)
}

#[test]
fn a_device_that_loses_its_carrier_takes_the_taps_down_and_gives_it_back() {
    let mut world = World::start(Options::default());
    let carrier = |world: &World| world.snapshot().interfaces[0].carrier;
    world.eventually("there is carrier", |world| carrier(world));
    world.ground.in_link(&["link", "set", "wan-peer", "down"]);
    world.eventually("no carrier", |world| {
        !carrier(world) && has(&world.ground.show_vpc(&["link", "show", "wan"]), "NO-CARRIER")
    });
    assert!(world.snapshot().interfaces[1].carrier);
    world.ground.in_link(&["link", "set", "wan-peer", "up"]);
    world.eventually("carrier again", |world| {
        carrier(world) && !has(&world.ground.show_vpc(&["link", "show", "wan"]), "NO-CARRIER")
    });
}

#[test]
fn a_tap_that_is_set_down_takes_its_device_down_and_its_routes_away() {
    let mut world = World::start(Options::default());
    world.ground.in_vpc(&["route", "add", "198.51.100.0/24", "via", "10.0.0.2"]);
    world.ground.in_vpc(&["route", "add", "198.51.100.0/24", "via", "10.0.0.2", "metric", "9"]);
    world.expect("198.51.100.1", unresolved(0, "10.0.0.2"));
    world.ground.in_vpc(&["link", "set", "wan", "down"]);
    world.expect("198.51.100.1", NextHop::NoRoute);
    world.eventually("the device is down", |world| {
        has(&world.ground.show_link(&["link", "show", "wan0"]), "state DOWN")
            && !world.snapshot().interfaces[0].admin_up
    });
    world.eventually(
        "nothing is left of the routes, which the kernel took away silently",
        |world| {
            let known = world.status().routes4;
            let table = world.ground.show_vpc(&["-4", "route", "show", "table", "all"]);
            known == table.lines().count()
        },
    );
    world.ground.in_vpc(&["link", "set", "wan", "up"]);
    world.eventually("the device is up", |world| {
        world.snapshot().interfaces[0].is_usable()
            && has(&world.ground.show_link(&["link", "show", "wan0"]), "state UP")
    });
    world.expect("10.0.0.1", NextHop::Local);
}

#[test]
fn mtu_and_mac_follow_from_either_end() {
    let mut world = World::start(Options { mtu: Some(1400), ..Options::default() });
    let both = |world: &World, what: &str| {
        has(&world.ground.show_vpc(&["link", "show", "wan"]), what)
            && has(&world.ground.show_link(&["link", "show", "wan0"]), what)
    };
    world.eventually("the MTU of the file", |world| {
        both(world, "mtu 1400") && world.snapshot().interfaces[0].mtu == 1400
    });
    world.ground.in_link(&["link", "set", "wan0", "mtu", "1450"]);
    world.eventually("the device's", |world| both(world, "mtu 1450"));
    world.ground.in_vpc(&["link", "set", "wan", "mtu", "1350"]);
    world.eventually("the tap's", |world| {
        both(world, "mtu 1350") && world.snapshot().interfaces[0].mtu == 1350
    });
    for mac in ["02:00:00:00:aa:01", "02:00:00:00:aa:02"] {
        world.ground.in_link(&["link", "set", "wan0", "address", mac]);
        world.eventually("the device's MAC", |world| {
            both(world, mac) && world.snapshot().interfaces[0].mac.to_string() == mac
        });
    }
    world.ground.in_vpc(&["link", "set", "wan", "address", "02:00:00:00:aa:03"]);
    world.eventually("the tap's MAC", |world| both(world, "02:00:00:00:aa:03"));
}

#[test]
fn an_mtu_that_the_tap_refuses_does_no_harm() {
    let mut world = World::start(Options::default());
    // A veth takes 65535, a tap 65521.
    world.ground.in_link(&["link", "set", "wan0", "mtu", "65535"]);
    world.ground.in_link(&["link", "set", "wan0", "mtu", "9000"]);
    world.eventually("jumbo frames", |world| {
        world.snapshot().interfaces[0].mtu == 9000
            && has(&world.ground.show_vpc(&["link", "show", "wan"]), "mtu 9000")
    });
}

#[test]
fn a_device_that_goes_and_comes_back_is_followed_again() {
    let mut world = World::start(Options::default());
    world.ground.in_link(&["link", "del", "wan0"]);
    world.eventually("it is gone", |world| {
        let wan = &world.snapshot().interfaces[0];
        !wan.admin_up && !wan.carrier
    });
    world.ground.in_link(&["link", "add", "wan0", "type", "veth", "peer", "name", "wan-peer"]);
    world.ground.in_link(&["link", "set", "wan-peer", "up"]);
    world.eventually("it is back", |world| world.snapshot().interfaces[0].is_usable());
}
