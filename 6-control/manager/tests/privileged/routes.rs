//! Routes of every kind, as `ip` makes them.

use portcullis_api::RouteFilter;
use portcullis_api::rows::RouteRow;
use portcullis_packet::IfIndex;
use portcullis_routing::NextHop;

use super::support::{Options, World, unresolved};

const WAN: IfIndex = IfIndex(0);

#[test]
fn a_route_is_in_effect_within_a_moment_and_gone_as_fast() {
    let mut world = World::start(Options::default());
    world.expect("198.51.100.1", NextHop::NoRoute);
    world.ground.in_vpc(&["route", "add", "198.51.100.0/24", "via", "10.0.0.2"]);
    world.expect("198.51.100.1", unresolved(0, "10.0.0.2"));
    // The next hop is known by now.
    world.ground.in_vpc(&["route", "add", "203.0.113.0/24", "via", "10.0.0.2"]);
    let took = world.expect("203.0.113.1", unresolved(0, "10.0.0.2"));
    assert!(took.as_millis() < 100, "{took:?}");
    world.ground.in_vpc(&["route", "del", "198.51.100.0/24"]);
    world.expect("198.51.100.1", NextHop::NoRoute);
    world.ground.in_vpc(&["route", "replace", "203.0.113.0/24", "via", "10.0.0.3"]);
    world.expect("203.0.113.1", unresolved(0, "10.0.0.3"));
    world.ground.in_vpc(&["-6", "route", "add", "2001:db8:9::/48", "via", "2001:db8::2"]);
    world.expect("2001:db8:9::1", unresolved(0, "2001:db8::2"));
    world.ground.in_vpc(&["-6", "route", "del", "2001:db8:9::/48"]);
    world.expect("2001:db8:9::1", NextHop::NoRoute);
}

#[test]
fn the_kernels_own_routes_say_what_is_local_attached_and_broadcast() {
    let mut world = World::start(Options::default());
    world.expect("10.0.0.1", NextHop::Local);
    world.expect("10.0.0.77", NextHop::Attached { interface: WAN });
    world.expect("10.0.0.255", NextHop::Broadcast { interface: WAN });
    world.expect("2001:db8::77", NextHop::Attached { interface: WAN });
    world.expect("2001:db8::1", NextHop::Local);
    world.expect("127.0.0.1", NextHop::Martian);
    world.expect("224.0.0.5", NextHop::Multicast);
    world.expect("ff02::5", NextHop::Multicast);
    world.expect("fe80::1", NextHop::Local);
    world.expect("::1", NextHop::Martian);
    let own = &world.snapshot().interfaces[0];
    assert_eq!(own.addresses4, ["10.0.0.1/24".parse().unwrap()]);
}

#[test]
fn every_type_of_route_has_its_effect() {
    let mut world = World::start(Options::default());
    for (kind, wanted) in [
        ("blackhole", NextHop::Blackhole),
        ("unreachable", NextHop::Unreachable),
        ("prohibit", NextHop::Prohibit),
        ("throw", NextHop::NoRoute),
    ] {
        world.ground.in_vpc(&["route", "replace", kind, "198.51.100.0/24"]);
        world.ground.in_vpc(&["route", "replace", "default", "via", "10.0.0.2"]);
        world.expect("198.51.101.1", unresolved(0, "10.0.0.2"));
        world.expect("198.51.100.1", wanted);
        world.ground.in_vpc(&["-6", "route", "replace", kind, "2001:db8:9::/48"]);
        world.expect("2001:db8:9::1", wanted);
        world.ground.in_vpc(&["route", "del", kind, "198.51.100.0/24"]);
        world.ground.in_vpc(&["-6", "route", "del", kind, "2001:db8:9::/48"]);
        world.expect("198.51.100.1", unresolved(0, "10.0.0.2"));
        world.expect("2001:db8:9::1", NextHop::NoRoute);
    }
    // Out of a device that is not ours.
    world.ground.in_vpc(&["route", "add", "192.0.2.0/24", "dev", "lo"]);
    world.expect("192.0.2.1", NextHop::Unreachable);
    // An IPv4 route over an IPv6 router.
    let via = ["route", "add", "192.0.3.0/24", "via", "inet6", "2001:db8::9"];
    world.ground.in_vpc(&via);
    world.expect("192.0.3.1", unresolved(0, "2001:db8::9"));
}

#[test]
fn the_lowest_metric_counts_and_the_next_takes_over() {
    let mut world = World::start(Options::default());
    let net = "198.51.100.0/24";
    world.ground.in_vpc(&["route", "add", net, "via", "10.0.0.2", "metric", "20"]);
    world.expect("198.51.100.1", unresolved(0, "10.0.0.2"));
    world.ground.in_vpc(&["route", "add", net, "via", "10.0.0.3", "metric", "10"]);
    world.expect("198.51.100.1", unresolved(0, "10.0.0.3"));
    world.ground.in_vpc(&["route", "append", net, "via", "10.0.0.4", "metric", "10"]);
    world.ground.in_vpc(&["route", "prepend", net, "via", "10.0.0.5", "metric", "10"]);
    world.expect("198.51.100.1", unresolved(0, "10.0.0.5"));
    world.ground.in_vpc(&["route", "del", net, "via", "10.0.0.5"]);
    world.expect("198.51.100.1", unresolved(0, "10.0.0.3"));
    world.ground.in_vpc(&["route", "del", net, "metric", "10"]);
    world.expect("198.51.100.1", unresolved(0, "10.0.0.4"));
    world.ground.in_vpc(&["route", "del", net, "metric", "10"]);
    world.expect("198.51.100.1", unresolved(0, "10.0.0.2"));
}

#[test]
fn multipath_routes_are_groups_and_ipv6_siblings_are_too() {
    let mut world = World::start(Options::default());
    let nexthops = ["nexthop", "via", "10.0.0.2", "nexthop", "via", "10.0.0.3", "weight", "3"];
    world.ground.in_vpc(&[&["route", "add", "198.51.100.0/24"], &nexthops[..]].concat());
    world.eventually("two members", |world| world.members("198.51.100.1").len() == 2);

    world.ground.in_vpc(&["-6", "route", "add", "2001:db8:9::/48", "via", "2001:db8::2"]);
    world.ground.in_vpc(&["-6", "route", "append", "2001:db8:9::/48", "via", "2001:db8::3"]);
    world.eventually("two siblings", |world| world.members("2001:db8:9::1").len() == 2);
    world.ground.in_vpc(&["-6", "route", "append", "2001:db8:9::/48", "via", "2001:db8::4"]);
    world.eventually("three siblings", |world| world.members("2001:db8:9::1").len() == 3);
    world.ground.in_vpc(&["-6", "route", "del", "2001:db8:9::/48", "via", "2001:db8::2"]);
    world.eventually("two are left", |world| world.members("2001:db8:9::1").len() == 2);
    world.ground.in_vpc(&["-6", "route", "del", "2001:db8:9::/48", "via", "2001:db8::3"]);
    world.expect("2001:db8:9::1", unresolved(0, "2001:db8::4"));
    world.ground.in_vpc(&["-6", "route", "del", "2001:db8:9::/48"]);
    world.expect("2001:db8:9::1", NextHop::NoRoute);
}

#[test]
fn nexthop_objects_change_in_place() {
    let mut world = World::start(Options::default());
    world.ground.in_vpc(&["nexthop", "add", "id", "1", "via", "10.0.0.2", "dev", "wan"]);
    world.ground.in_vpc(&["nexthop", "add", "id", "2", "via", "10.0.0.3", "dev", "wan"]);
    world.ground.in_vpc(&["nexthop", "add", "id", "10", "group", "1/2,3"]);
    world.ground.in_vpc(&["route", "add", "198.51.100.0/24", "nhid", "10"]);
    world.eventually("two members", |world| world.members("198.51.100.1").len() == 2);
    let id = world.lookup("198.51.100.1");

    world.ground.in_vpc(&["nexthop", "replace", "id", "2", "via", "10.0.0.4", "dev", "wan"]);
    let wanted = [unresolved(0, "10.0.0.2"), unresolved(0, "10.0.0.4")];
    world.eventually("the other member", |world| {
        let members = world.members("198.51.100.1");
        wanted.iter().all(|wanted| members.contains(wanted))
    });
    world.ground.in_vpc(&["nexthop", "del", "id", "1"]);
    world.expect("198.51.100.1", unresolved(0, "10.0.0.4"));
    assert_eq!(world.lookup("198.51.100.1"), id, "no FIB entry had to be written");
    world.ground.in_vpc(&["nexthop", "replace", "id", "10", "group", "2"]);
    world.ground.in_vpc(&["nexthop", "replace", "id", "2", "blackhole"]);
    world.ground.in_vpc(&["nexthop", "add", "id", "3", "blackhole"]);
    world.ground.in_vpc(&["route", "replace", "198.51.100.0/24", "nhid", "3"]);
    world.expect("198.51.100.1", NextHop::Blackhole);
    world.ground.in_vpc(&["nexthop", "del", "id", "3"]);
    world.expect("198.51.100.1", NextHop::NoRoute);
}

#[test]
fn nexthop_objects_that_the_kernel_takes_away_silently_are_missed() {
    let mut world = World::start(Options::default());
    world.ground.in_vpc(&["nexthop", "add", "id", "1", "via", "10.0.0.2", "dev", "wan"]);
    world.ground.in_vpc(&["route", "add", "198.51.100.0/24", "nhid", "1"]);
    world.expect("198.51.100.1", unresolved(0, "10.0.0.2"));
    // When a link loses its carrier, the kernel drops its objects and their routes without a word.
    world.ground.in_link(&["link", "set", "wan-peer", "down"]);
    world.expect("198.51.100.1", NextHop::NoRoute);
    assert_eq!(world.ground.show_vpc(&["nexthop"]), "");
}

#[test]
fn show_tells_every_route_and_which_of_them_are_followed() {
    let mut world = World::start(Options::default());
    world.ground.in_vpc(&["route", "add", "198.51.100.0/24", "via", "10.0.0.2", "proto", "bgp"]);
    let worse = ["route", "add", "198.51.100.0/24", "via", "10.0.0.3", "metric", "9"];
    world.ground.in_vpc(&worse);
    world.expect("198.51.100.1", unresolved(0, "10.0.0.2"));
    let show = |world: &World, filter: RouteFilter| {
        let mut stream = world.handle.routes(filter);
        world.runtime.block_on(async {
            let mut rows: Vec<RouteRow> = vec![];
            while let Some(chunk) = stream.next().await.expect("a manager") {
                rows.extend(chunk);
            }
            rows
        })
    };
    let prefix = Some("198.51.100.0/24".parse().unwrap());
    let rows = show(&world, RouteFilter { prefix, ..RouteFilter::default() });
    assert_eq!(
        rows.iter().map(|row| (row.metric, row.installed)).collect::<Vec<_>>(),
        [(0, true), (9, false)]
    );
    assert_eq!(rows[0].protocol, "bgp");
    assert_eq!(rows[0].next_hops[0].interface.as_deref(), Some("wan"));
    let to = "198.51.100.7".parse().ok();
    assert_eq!(show(&world, RouteFilter { to, ..RouteFilter::default() }), rows[..1]);
    let protocol = Some("bgp".to_owned());
    assert_eq!(show(&world, RouteFilter { protocol, ..RouteFilter::default() }), rows[..1]);
    let all = show(&world, RouteFilter::default());
    assert!(all.iter().any(|row| row.prefix.to_string() == "2001:db8::/64"));
}
