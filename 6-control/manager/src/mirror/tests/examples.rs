//! Single cases that are worth a name.

use super::kernel::{Entry, router};
use super::*;
use crate::event::{
    Neighbor, NeighborKey, NeighborState, Path, Placement, Protocol, Route, Table, Target,
};

fn via(tap: usize, last: u8) -> Target {
    Target::Via(Path { index: TAPS[tap], gateway: Some(router(false, last)) })
}

fn entry(prefix: &str, target: Target) -> Entry {
    let prefix = prefix.parse().expect("a prefix");
    Entry { table: Table::Main, prefix, metric: 0, protocol: Protocol(4), target }
}

fn add(session: &mut Session, prefix: &str, target: Target) {
    let events = session.kernel.add(entry(prefix, target), Placement::First);
    session.announce(events);
}

fn address(address: &str) -> IpAddr {
    address.parse().expect("an address")
}

#[test]
fn a_route_waits_for_workers_only_if_its_next_hop_is_new() {
    let mut session = Session::settled();
    add(&mut session, "20.0.0.0/8", via(0, 2));
    for _ in 0..10 {
        assert_eq!(session.cycle.turn(&mut session.mirror), Next::Poll);
        assert_eq!(session.answer(address("20.0.0.1")), Answer::NoRoute);
    }
    session.worker.refresh();
    session.cycle.turn(&mut session.mirror);
    let first = session.lookup(address("20.0.0.1"));
    assert_ne!(first, NextHopId::NO_ROUTE);

    add(&mut session, "20.1.0.0/16", via(0, 2));
    session.cycle.turn(&mut session.mirror);
    assert_eq!(session.lookup(address("20.1.0.1")), first, "at once");
}

#[test]
fn a_worker_that_sleeps_holds_nothing_up() {
    let mut session = Session::settled();
    session.worker.park();
    add(&mut session, "20.0.0.0/8", via(0, 2));
    while session.cycle.turn(&mut session.mirror) != Next::Idle {}
    session.worker.unpark();
    session.check_same();
}

#[test]
fn a_link_without_carrier_leaves_its_groups_and_only_its_own_flows_move() {
    let mut session = Session::settled();
    let Target::Via(wan) = via(0, 2) else { unreachable!() };
    let Target::Via(lan) = via(1, 3) else { unreachable!() };
    add(&mut session, "20.0.0.0/8", Target::Multipath([(wan, 1), (lan, 1)].into()));
    session.settle();
    let members = |session: &Session| -> Vec<NextHop> {
        let hops = &session.worker.current().next_hops;
        let id = session.lookup(address("20.0.0.1"));
        let NextHop::Group { first, mask } = hops.get(id) else { return vec![hops.get(id)] };
        (0..=mask).map(|hash| hops.get(hops.member(first, mask, hash))).collect()
    };
    let id = session.lookup(address("20.0.0.1"));
    let before = members(&session);
    session.set_carrier(TAPS[0], false);
    session.settle();
    let on_lan = |next_hop: &NextHop| way(next_hop).is_some_and(|(on, _)| on == IfIndex(1));
    assert!(members(&session).iter().all(on_lan));
    session.set_carrier(TAPS[0], true);
    session.settle();
    assert_eq!(session.lookup(address("20.0.0.1")), id, "no FIB entry was written");
    let after = members(&session);
    assert_eq!(after.iter().filter(|hop| on_lan(hop)).count() * 2, after.len());
    assert_eq!(after.len(), before.len());
}

#[test]
fn the_path_mtu_of_a_route_is_that_of_its_next_hop_alone() {
    let mut session = Session::settled();
    let key = NeighborKey { index: TAPS[0], address: router(false, 2) };
    let (state, mac) = (NeighborState::Reachable, Some(mac_of(key.address)));
    session.mirror.handle(Event::Neighbor(Neighbor { key, state, mac }), Origin::Announced);
    for (prefix, mtu) in
        [("20.0.0.0/8", None), ("20.1.0.0/16", Some(1300)), ("20.2.0.0/16", Some(9000))]
    {
        let target = via(0, 2);
        let (prefix, protocol) = (prefix.parse().expect("a prefix"), Protocol(4));
        let route = Route { table: Table::Main, prefix, metric: 0, protocol, target, mtu };
        session.mirror.handle(Event::Route(route, Placement::First), Origin::Announced);
    }
    session.settle();
    let mtu = |text: &str| {
        let id = session.lookup(address(text));
        match session.worker.current().next_hops.get(id) {
            NextHop::Forward(to) => to.mtu,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((mtu("20.0.0.1"), mtu("20.1.0.1"), mtu("20.2.0.1")), (1500, 1300, 1500));
}

#[test]
fn a_policy_is_published_at_once_in_one_snapshot_whatever_is_under_way() {
    let number = |session: &Session| session.worker.current().policy.number;
    let policy = |number| Arc::new(portcullis_policy::Policy::stateless(number));
    let mut session = Session::settled();
    let before = session.cycle.epoch();
    session.cycle.judge_by(policy(1));
    assert!(!session.cycle.all_judge());
    session.cycle.turn(&mut session.mirror);
    assert!(!session.cycle.all_judge(), "the worker has not looked");
    session.worker.refresh();
    assert!(session.cycle.all_judge());
    assert_eq!((number(&session), session.cycle.epoch().0), (1, before.0 + 1));
    assert_eq!(session.cycle.turn(&mut session.mirror), Next::Idle);

    // A route waits for its next hop to be seen by a worker that is busy.
    add(&mut session, "20.0.0.0/8", via(0, 2));
    session.cycle.turn(&mut session.mirror);
    session.cycle.judge_by(policy(2));
    session.cycle.turn(&mut session.mirror);
    session.worker.refresh();
    assert!(session.cycle.all_judge());
    assert_eq!(number(&session), 2);
    session.settle();
    session.check_same();
    assert_eq!(number(&session), 2, "and in all that follow");
    session.worker.park();
    session.cycle.judge_by(policy(3));
    session.cycle.turn(&mut session.mirror);
    assert!(session.cycle.all_judge(), "who sleeps judges nothing");
}

#[test]
fn a_policy_waits_for_the_first_reading_of_all_tables() {
    let mut session = Session::new();
    session.cycle.judge_by(Arc::new(portcullis_policy::Policy::stateless(1)));
    assert_eq!(session.cycle.turn(&mut session.mirror), Next::Idle);
    assert!(!session.cycle.all_judge());
    session.settle();
    assert!(session.cycle.all_judge());
    assert_eq!(session.worker.current().policy.number, 1);
}

#[test]
fn nothing_is_applied_before_everything_was_read_once() {
    let mut session = Session::new();
    add(&mut session, "20.0.0.0/8", via(0, 2));
    session.read_dump(usize::MAX);
    assert_eq!(session.cycle.turn(&mut session.mirror), Next::Idle);
    assert_eq!(session.worker.epoch(), portcullis_packet::Epoch(0));
    session.settle();
    session.check_same();
}
