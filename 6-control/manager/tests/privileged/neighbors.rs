//! Neighbours: learnt, lost, asked for.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use portcullis_api::NeighborFilter;
use portcullis_api::rows::NeighborState;
use portcullis_manager::Resolve;
use portcullis_packet::{IfIndex, NextHopId};
use portcullis_routing::NextHop;
use rustix::event::{EventfdFlags, eventfd};

use super::support::{Options, World, unresolved};

const WAN: IfIndex = IfIndex(0);

fn forwards_to(next_hop: NextHop, mac: [u8; 6]) -> bool {
    matches!(next_hop, NextHop::Forward(to) if to.macs[..6] == mac && to.interface == WAN)
}

#[test]
fn a_neighbour_resolves_the_routes_through_it_in_place_and_failure_undoes_it() {
    let mut world = World::start(Options::default());
    let ground = |world: &World, verb, more: &[&str]| {
        let neighbor = ["neigh", verb, "10.0.0.2", "dev", "wan"];
        world.ground.in_vpc(&[&neighbor[..], more].concat());
    };
    world.ground.in_vpc(&["route", "add", "198.51.100.0/24", "via", "10.0.0.2"]);
    world.expect("198.51.100.1", unresolved(0, "10.0.0.2"));
    let id = world.lookup("198.51.100.1");

    ground(&world, "add", &["lladdr", "02:00:00:00:00:22", "nud", "reachable"]);
    world.eventually("it forwards", |world| {
        forwards_to(world.way("198.51.100.1"), [2, 0, 0, 0, 0, 0x22])
    });
    let known = |world: &World| world.snapshot().neighbors.get(WAN, "10.0.0.2".parse().unwrap());
    assert_eq!(known(&world), Some(id), "one next hop for the gateway and the neighbour");

    ground(&world, "change", &["lladdr", "02:00:00:00:00:33", "nud", "stale"]);
    world.eventually("to the other address", |world| {
        forwards_to(world.way("198.51.100.1"), [2, 0, 0, 0, 0, 0x33])
    });
    ground(&world, "change", &["nud", "failed"]);
    world.expect("198.51.100.1", unresolved(0, "10.0.0.2"));
    assert_eq!(known(&world), None);
    assert_eq!(world.lookup("198.51.100.1"), id, "all of that without a FIB entry written");
}

#[test]
fn a_stale_neighbour_is_probed_if_packets_go_to_it_and_left_alone_if_not() {
    let mut world = World::start(Options::default());
    for last in ["2", "3"] {
        let address = format!("10.0.0.{last}");
        let mac = format!("02:00:00:00:00:0{last}");
        let add = ["neigh", "add", &address, "dev", "wan", "lladdr", &mac, "nud", "stale"];
        world.ground.in_vpc(&add);
    }
    let id = |world: &World, address: &str| {
        world.snapshot().neighbors.get(WAN, address.parse().unwrap())
    };
    world.eventually("both are known", |world| {
        id(world, "10.0.0.2").is_some() && id(world, "10.0.0.3").is_some()
    });
    let used: NextHopId = id(&world, "10.0.0.2").unwrap();
    world.snapshot().next_hops.mark_used(used);
    world.eventually("the one in use is being confirmed", |world| {
        let state = |address| world.ground.show_vpc(&["neigh", "show", address, "dev", "wan"]);
        assert!(state("10.0.0.3").contains("STALE"));
        state("10.0.0.2").contains("DELAY")
    });
    let rows = world.runtime.block_on(world.handle.neighbors(NeighborFilter::default()));
    let rows = rows.expect("a manager");
    let row = rows.iter().find(|row| row.address.to_string() == "10.0.0.3").expect("a row");
    assert_eq!((row.state, &*row.interface), (NeighborState::Stale, "wan"));
}

#[test]
fn a_worker_that_asks_for_a_neighbour_makes_the_kernel_look_for_it() {
    let doorbell = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).unwrap();
    let ring = doorbell.try_clone().unwrap();
    let queue = Arc::new(Mutex::new(VecDeque::<(IfIndex, IpAddr)>::new()));
    let taken = Arc::clone(&queue);
    let pop = move || taken.lock().unwrap().pop_front();
    let resolve = Some(Resolve { queue: Box::new(pop), doorbell });
    let mut world = World::start(Options { resolve, ..Options::default() });
    // The kernel would forget an entry set by hand that it is asked to use.
    let by_hand = ["lladdr", "02:00:00:00:00:08", "nud", "permanent"];
    world.ground.in_vpc(&[&["neigh", "add", "10.0.0.8", "dev", "wan"], &by_hand[..]].concat());
    for address in ["10.0.0.8", "10.0.0.7", "2001:db8::7"] {
        queue.lock().unwrap().push_back((WAN, address.parse().unwrap()));
    }
    rustix::io::write(&ring, &1_u64.to_ne_bytes()).unwrap();
    world.eventually("both are looked for", |world| {
        let neighbors = world.ground.show_vpc(&["neigh", "show", "dev", "wan"]);
        let asked = |address: &str| {
            neighbors.lines().any(|line| line.starts_with(address) && line.contains("INCOMPLETE"))
        };
        asked("10.0.0.7") && asked("2001:db8::7")
    });
    let kept = world.ground.show_vpc(&["neigh", "show", "10.0.0.8", "dev", "wan"]);
    assert!(kept.contains("02:00:00:00:00:08 PERMANENT"), "{kept}");
}
