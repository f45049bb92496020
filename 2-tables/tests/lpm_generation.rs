//! What is remembered of a table, and when it must be asked for again.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use ipnet::{Ipv4Net, Ipv6Net};
use portcullis_packet::NextHopId;
use portcullis_tables::{FibWriter4, FibWriter6};

fn net4(net: &str) -> Ipv4Net {
    net.parse().expect("a prefix")
}

fn net6(net: &str) -> Ipv6Net {
    net.parse().expect("a prefix")
}

/// So many routes that a table is no longer a trie.
fn many() -> impl Iterator<Item = (Ipv4Net, NextHopId)> {
    (0..20_000_u32).map(|n| {
        let net = Ipv4Net::new((200 << 24 | n << 8).into(), 24).expect("24 of 32 bits");
        (net, NextHopId(1))
    })
}

#[test]
fn the_generation_moves_with_every_change_and_with_nothing_else() {
    let mut table = FibWriter4::new().expect("memory");
    let reader = table.reader();
    let mut last = reader.generation();
    let mut moved = || {
        let now = reader.generation();
        std::mem::replace(&mut last, now) != now
    };
    let net = net4("10.0.0.0/8");
    table.insert(net, NextHopId(1)).expect("room");
    assert!(moved(), "a route came");
    assert!(!moved());
    table.insert(net, NextHopId(1)).expect("room");
    assert!(!moved(), "it was there");
    table.insert(net, NextHopId(2)).expect("room");
    assert!(moved(), "it changed");
    table.insert(Ipv4Net::default(), NextHopId(3)).expect("room");
    assert!(moved(), "a default came");
    assert!(table.insert(net, NextHopId(1 << 31)).is_err());
    assert!(!moved(), "it was refused");
    table.remove(&net).expect("room");
    assert!(moved(), "it went");
    table.remove(&net).expect("room");
    assert!(!moved(), "it was gone");
}

#[test]
fn a_table_that_takes_the_place_of_another_has_a_generation_that_the_other_never_had() {
    let mut table = FibWriter4::new().expect("memory");
    let old = table.reader();
    let mut had = vec![old.generation()];
    table.insert(net4("10.0.0.0/8"), NextHopId(1)).expect("room");
    had.push(old.generation());
    table.load(many()).expect("memory");
    assert_eq!(table.rebuilds(), 1);
    let new = table.reader();
    table.insert(net4("10.0.0.0/8"), NextHopId(2)).expect("room");
    had.push(old.generation());
    assert_eq!(had[1], had[2], "the old table's answers stay");
    assert_eq!((old.lookup(10 << 24), new.lookup(10 << 24)), (NextHopId(1), NextHopId(2)));
    assert!(!had.contains(&new.generation()), "{had:?}: {}", new.generation());
}

const CHANGES: u32 = 5_000;

/// A reader remembers an answer with the generation that it read before, and asks again only when
/// that has moved. Change number n makes n the answer: so what is remembered must never be older than
/// its generation, and in the end is the last.
fn remember_under_changes(
    generation: impl Fn() -> u32 + Sync,
    lookup: impl Fn() -> NextHopId + Sync,
    mut change: impl FnMut(NextHopId),
) {
    let first = generation();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut known, mut answer) = (first, lookup().0);
            loop {
                let last_look = stop.load(Ordering::Acquire);
                let now = generation();
                if now != known {
                    (known, answer) = (now, lookup().0);
                }
                let changes = known - first;
                assert!(answer >= changes, "{answer} after {changes} changes");
                if last_look {
                    return answer;
                }
            }
        });
        (1..=CHANGES).for_each(|n| change(NextHopId(n)));
        stop.store(true, Ordering::Release);
        assert_eq!(reader.join().expect("no panic"), CHANGES);
        assert_eq!(generation() - first, CHANGES);
    });
}

#[test]
fn an_answer_that_is_remembered_is_as_new_as_its_generation() {
    let asked = Ipv4Addr::new(10, 1, 2, 3).into();
    for routes in [0, 20_000] {
        // In place of a leaf or an entry, one of a group, and the default.
        for net in ["10.0.0.0/8", "10.1.2.0/28", "0.0.0.0/0"].map(net4) {
            let mut table = FibWriter4::new().expect("memory");
            table.load(many().take(routes)).expect("memory");
            let reader = table.reader();
            let change = |hop| _ = table.insert(net, hop).expect("room");
            remember_under_changes(|| reader.generation(), || reader.lookup(asked), change);
        }
    }
    let asked = Ipv6Addr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]).into();
    for net in ["2001:db8::/48", "::/0"].map(net6) {
        let mut table = FibWriter6::new().expect("memory");
        let reader = table.reader();
        let change = |hop| _ = table.insert(net, hop).expect("room");
        remember_under_changes(|| reader.generation(), || reader.lookup(asked), change);
    }
}
