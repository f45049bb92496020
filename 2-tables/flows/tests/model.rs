//! The flow table against a plain list of flows, and what it does when it is full.

use std::collections::HashMap;

use portcullis_flows::{
    Direction, FlowId, FlowRef, FlowStamp, FlowState, FlowTable, Key, NewFlow, Refused,
    TableConfig, Tick,
};
use portcullis_packet::{Ports, VrfId};
use portcullis_wire::{IpProtocol, Tuple};
use proptest::prelude::*;

/// As large as what the gateway keeps with a flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct State {
    number: u64,
    is_established: bool,
    rest: [u64; 3],
}

const _: () = assert!(size_of::<State>() == 40);

impl State {
    const fn new(number: u64, is_established: bool) -> Self {
        Self { number, is_established, rest: [0; 3] }
    }
}

impl FlowState for State {
    fn vacant() -> Self {
        Self::new(u64::MAX, false)
    }

    fn is_established(&self) -> bool {
        self.is_established
    }
}

fn table(capacity: usize) -> FlowTable<State> {
    FlowTable::new(TableConfig { capacity, seed: 0x5eed, per_source: u32::MAX })
}

fn key<A>(src: A, dst: A, port: u16, vrf: u16) -> Key<A> {
    let ports = Ports { src: port, dst: 443 };
    Key { tuple: Tuple { src, dst, ports, protocol: IpProtocol::TCP }, vrf: VrfId(vrf) }
}

/// The flow from a source's port to a server.
fn flow4(source: u32, port: u16, now: u32, state: State) -> NewFlow<u32, State> {
    let original = key(source, 0xc000_0201, port, 0);
    let reply = Key { tuple: original.tuple.reversed(), ..original };
    NewFlow { original, reply, source, now: Tick(now), timeout: 1000, state }
}

/// A key of either family.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum AnyKey {
    V4(Key<u32>),
    V6(Key<u128>),
}

fn turned<A: Copy>(key: Key<A>, is_reply: bool) -> Key<A> {
    if is_reply { Key { tuple: key.tuple.reversed(), ..key } } else { key }
}

fn any_key(address: u8, port: u16, is_v6: bool, is_reply: bool) -> AnyKey {
    if is_v6 {
        let site = 1u128 << 125 | u128::from(address) << 64;
        AnyKey::V6(turned(key(site, 2, port, 1), is_reply))
    } else {
        AnyKey::V4(turned(key(address.into(), 2u32, port, 1), is_reply))
    }
}

#[derive(Clone, Debug)]
enum Operation {
    /// A flow of one port there, and maybe another one back: as of translation.
    Insert {
        address: u8,
        port: u16,
        back: u16,
        is_v6: bool,
        timeout: u32,
    },
    Remove(prop::sample::Index),
    Touch(prop::sample::Index),
    Timeout(prop::sample::Index, u32),
    Advance(u32),
    /// Looks at few flows only.
    ExpireSome(usize),
}

fn operation() -> impl Strategy<Value = Operation> {
    let timeout = || prop_oneof![4 => 1u32..60, 1 => 8000u32..9000, 1 => 10_000u32..100_000];
    let insert = (0u8..4, 0u16..6, 0u16..6, any::<bool>(), timeout());
    prop_oneof![
        8 => insert.prop_map(|(address, port, back, is_v6, timeout)| {
            Operation::Insert { address, port, back, is_v6, timeout }
        }),
        2 => any::<prop::sample::Index>().prop_map(Operation::Remove),
        3 => any::<prop::sample::Index>().prop_map(Operation::Touch),
        2 => (any::<prop::sample::Index>(), timeout()).prop_map(|(at, t)| Operation::Timeout(at, t)),
        4 => prop_oneof![4 => 0u32..40, 1 => 8100u32..8300, 1 => 20_000u32..50_000]
            .prop_map(Operation::Advance),
        1 => (0usize..4).prop_map(Operation::ExpireSome),
    ]
}

/// A flow as the list has it.
#[derive(Clone, Copy, Debug)]
struct Known {
    keys: [AnyKey; 2],
    stamp: FlowStamp,
    last_seen: u32,
    timeout: u32,
    /// When its timer was set.
    armed: u32,
}

impl Known {
    const fn deadline(&self) -> u32 {
        self.last_seen + self.timeout
    }
}

struct Model {
    table: FlowTable<State>,
    flows: Vec<(u64, Known)>,
    /// Stamps of flows that are over.
    over: Vec<FlowStamp>,
    number: u64,
    now: u32,
}

impl Model {
    fn insert(&mut self, keys: [AnyKey; 2], timeout: u32) {
        let state = State::new(self.number, true);
        let now = Tick(self.now);
        let taken =
            self.flows.iter().flat_map(|(_, flow)| flow.keys).any(|key| keys.contains(&key));
        let result = match keys {
            [AnyKey::V4(original), AnyKey::V4(reply)] => {
                let source = original.tuple.src;
                self.table.insert(NewFlow { original, reply, source, now, timeout, state })
            }
            [AnyKey::V6(original), AnyKey::V6(reply)] => {
                let source = original.tuple.src;
                self.table.insert(NewFlow { original, reply, source, now, timeout, state })
            }
            _ => unreachable!("one family"),
        };
        assert!(self.table.take_ended().is_none(), "there is room");
        if taken || keys[0] == keys[1] {
            assert_eq!(result, Err(Refused::Conflict));
            return;
        }
        let id = result.expect("there is room");
        let (stamp, flow) = self.table.stamped(id).expect("it was entered");
        assert_eq!(flow.state, state);
        let known = Known { keys, stamp, last_seen: self.now, timeout, armed: self.now };
        self.flows.push((self.number, known));
        self.number += 1;
    }

    fn apply(&mut self, operation: &Operation) {
        let chosen =
            |at: &prop::sample::Index| (!self.flows.is_empty()).then(|| at.index(self.flows.len()));
        match operation {
            &Operation::Insert { address, port, back, is_v6, timeout } => {
                let there = any_key(address, port, is_v6, false);
                self.insert([there, any_key(address, back, is_v6, true)], timeout);
            }
            Operation::Remove(at) => {
                let Some(at) = chosen(at) else { return };
                let (number, known) = self.flows.swap_remove(at);
                let removed = self.table.remove(known.stamp.id).expect("it is there");
                assert_eq!(removed.state.number, number);
                assert!(self.table.remove(known.stamp.id).is_none());
                self.over.push(known.stamp);
            }
            Operation::Touch(at) => {
                let Some(at) = chosen(at) else { return };
                let known = &mut self.flows[at].1;
                self.table.flow_mut(known.stamp.id).expect("it is there").touch(Tick(self.now));
                known.last_seen = self.now;
            }
            Operation::Timeout(at, timeout) => {
                let Some(at) = chosen(at) else { return };
                let known = &mut self.flows[at].1;
                let flow = self.table.flow_mut(known.stamp.id).expect("it is there");
                flow.set_timeout(*timeout);
                if *timeout < known.timeout {
                    self.table.rearm(known.stamp.id);
                }
                (known.timeout, known.armed) = (*timeout, self.now);
            }
            &Operation::Advance(ticks) => {
                self.now += ticks;
                self.expire(usize::MAX);
            }
            &Operation::ExpireSome(budget) => {
                self.now += 100;
                self.expire(budget);
            }
        }
    }

    fn expire(&mut self, budget: usize) {
        let mut ended = Vec::new();
        let mut note = |flow: &portcullis_flows::Flow<State>| ended.push(flow.state.number);
        let more = self.table.expire(Tick(self.now), budget, &mut note);
        assert!(ended.len() <= budget);
        let is_over = |known: &Known| known.deadline() <= self.now;
        for number in &ended {
            let at = self.flows.iter().position(|(known, _)| known == number).expect("known");
            let (_, known) = self.flows.swap_remove(at);
            assert!(is_over(&known), "{number} has time left");
            self.over.push(known.stamp);
        }
        // One whose time was made shorter than what has passed of it is noticed at the next tick.
        let is_due = |known: &Known| is_over(known) && known.armed < self.now;
        let left = self.flows.iter().filter(|(_, known)| is_due(known)).count();
        assert!(more || left == 0, "{left} flows are over and not noticed");
    }

    fn find(&self, key: &AnyKey) -> FlowRef {
        let mut found = [FlowRef::NONE];
        let one = match key {
            AnyKey::V4(key) => {
                self.table.lookup4(&[*key], &mut found);
                self.table.find4(key)
            }
            AnyKey::V6(key) => {
                self.table.lookup6(&[*key], &mut found);
                self.table.find6(key)
            }
        };
        assert_eq!(found, [one]);
        one
    }

    fn check(&self) {
        assert_eq!(self.table.len(), self.flows.len());
        assert_eq!(self.table.is_empty(), self.flows.is_empty());
        let mut expected = HashMap::new();
        for (number, known) in &self.flows {
            let id = known.stamp.id;
            let [there, back] = known.keys;
            expected.insert(there, FlowRef::new(id, Direction::Original));
            expected.insert(back, FlowRef::new(id, Direction::Reply));
            let flow = self.table.flow_at(known.stamp).expect("it is there");
            assert_eq!(flow.state.number, *number);
            assert_eq!(flow.deadline(), Tick(known.deadline()));
        }
        for address in 0..4 {
            for port in 0..6 {
                for (is_v6, is_reply) in
                    [(false, false), (false, true), (true, false), (true, true)]
                {
                    let key = any_key(address, port, is_v6, is_reply);
                    let wanted = expected.get(&key).copied().unwrap_or(FlowRef::NONE);
                    assert_eq!(self.find(&key), wanted, "{key:?}");
                }
            }
        }
        for stamp in &self.over {
            assert!(self.table.flow_at(*stamp).is_none(), "{stamp:?} is over");
        }
        let live = (0..self.table.slots()).filter(|&id| self.table.flow(FlowId(id)).is_some());
        assert_eq!(live.count(), self.flows.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn the_table_is_a_list_of_flows_found_by_two_keys(
        begin in prop_oneof![Just(0u32), Just(8191), 0u32..10_000_000],
        operations in prop::collection::vec(operation(), 1..120)
    ) {
        let (flows, over) = (Vec::new(), Vec::new());
        // Much room: what happens where there is little is another test's affair.
        let mut model = Model { table: table(512), flows, over, number: 0, now: begin };
        for operation in &operations {
            model.apply(operation);
            model.check();
        }
        model.now += 200_000;
        model.expire(usize::MAX);
        model.check();
        prop_assert!(model.flows.is_empty());
        for address in 0u32..4 {
            prop_assert_eq!(model.table.source_count(address), 0);
        }
    }
}

#[test]
fn a_table_holds_as_many_flows_as_it_was_made_for() {
    const FLOWS: u32 = 100_000;
    let mut table = table(FLOWS as usize);
    for number in 0..FLOWS {
        // From many sources, so that none is held to have more than its share.
        let flow = flow4(number, (number % 50_000) as u16, 0, State::new(number.into(), true));
        assert_eq!(table.insert(flow).map(|id| id.0), Ok(number));
    }
    let per_flow = table.memory_bytes() / table.capacity();
    assert!(per_flow <= 220, "{per_flow} bytes");
    let late = flow4(FLOWS, 1, 0, State::new(0, true));
    assert_eq!(table.insert(late), Err(Refused::Full));
    assert!(table.take_ended().is_none(), "established flows are not put out");
    for number in 0..FLOWS {
        let port = (number % 50_000) as u16;
        let NewFlow { original, reply, .. } = flow4(number, port, 0, State::vacant());
        let id = FlowId(number);
        assert_eq!(table.find4(&original), FlowRef::new(id, Direction::Original));
        assert_eq!(table.find4(&reply), FlowRef::new(id, Direction::Reply));
    }
    let mut ended = 0;
    assert!(table.expire(Tick(1000), 60_000, &mut |_| ended += 1), "there are more");
    assert_eq!((ended, table.len()), (60_000, 40_000));
    assert!(!table.expire(Tick(1000), usize::MAX, &mut |_| ended += 1));
    assert_eq!((ended, table.len()), (100_000, 0));
}

#[test]
fn flows_come_and_go_in_a_full_table_without_a_refusal() {
    const FLOWS: u32 = 20_000;
    // Some room: to the last place a source counts that shares both its counters with many others.
    let mut table = table(FLOWS as usize + 20);
    for number in 0..10 * FLOWS {
        if let Some(oldest) = number.checked_sub(FLOWS) {
            let NewFlow { original, .. } = flow4(oldest, 7, 0, State::vacant());
            assert!(table.remove(table.find4(&original).id()).is_some());
        }
        let flow = flow4(number, 7, 0, State::new(number.into(), true));
        assert!(table.insert(flow).is_ok(), "{number}");
    }
    assert_eq!((table.len(), table.slots()), (FLOWS as usize, FLOWS));
}

#[test]
fn a_source_has_so_many_flows_and_no_more() {
    let mut table = table(100);
    table.set_per_source(3);
    let insert = |table: &mut FlowTable<State>, source, port| {
        table.insert(flow4(source, port, 0, State::new(0, true)))
    };
    let first = insert(&mut table, 1, 0).expect("room");
    for port in 1..3 {
        assert!(insert(&mut table, 1, port).is_ok());
    }
    assert_eq!(insert(&mut table, 1, 3), Err(Refused::SourceLimit));
    assert_eq!(table.source_count(1u32), 3);
    assert!(insert(&mut table, 2, 3).is_ok());
    table.remove(first);
    assert!(insert(&mut table, 1, 3).is_ok());
}

/// Fills the table from one source, as far as it may.
fn flood(table: &mut FlowTable<State>, source: u32, is_established: bool) -> usize {
    let flood = (0..=u16::MAX).map(|port| flow4(source, port, 0, State::new(0, is_established)));
    flood.filter(|flow| table.insert(*flow).is_ok()).count()
}

#[test]
fn a_source_that_floods_leaves_room_for_others() {
    let mut table = table(9000);
    let taken = flood(&mut table, 1, true);
    assert!((7900..=8100).contains(&taken), "eight ninths: {taken}");
    let next = flood(&mut table, 2, true);
    assert!((800..=900).contains(&next), "eight ninths of the rest: {next}");
    for source in 3..50 {
        assert!(table.insert(flow4(source, 1, 0, State::new(0, true))).is_ok());
    }
    assert!(table.take_ended().is_none());
}

/// A full table: most flows are one source's, the rest are established ones of many.
fn full(capacity: u32, is_established: bool) -> FlowTable<State> {
    let mut table = table(capacity as usize);
    flood(&mut table, 1, is_established);
    for source in 1000.. {
        if table.len() == capacity as usize {
            break;
        }
        table.insert(flow4(source, 1, 0, State::new(1, true))).expect("room");
    }
    table
}

#[test]
fn an_established_flow_never_gives_way() {
    let mut table = full(900, true);
    for now in [0, 10, 100, 999] {
        let newcomer = flow4(7, 7, now, State::new(0, true));
        assert_eq!(table.insert(newcomer), Err(Refused::Full));
        assert!(table.take_ended().is_none());
    }
    assert_eq!(table.len(), 900);
}

#[test]
fn an_unanswered_flow_gives_way_to_a_source_that_has_less() {
    let mut table = full(900, false);
    for source in 5000..5100 {
        let id = table.insert(flow4(source, 7, 0, State::new(2, true)));
        assert!(id.is_ok());
        let ended = table.take_ended().expect("one had to go");
        assert!(!ended.state.is_established);
        assert!(table.take_ended().is_none());
        assert_eq!(table.len(), 900);
        let tuple = ended.lines[0].tuple4().expect("the flow is told whole");
        assert!(table.find4(&Key { tuple, vrf: VrfId(0) }).is_none());
    }
}

#[test]
fn fresh_attempts_of_the_one_that_floods_do_not_put_out_each_other() {
    let mut table = full(900, false);
    assert_eq!(table.insert(flow4(1, 50_000, 0, State::new(0, false))), Err(Refused::Full));
    // What was never answered and is idle for long gives way to anybody.
    assert!(table.insert(flow4(1, 50_000, 100, State::new(0, false))).is_ok());
    assert!(table.take_ended().is_some_and(|flow| !flow.state.is_established));
}

#[test]
fn a_lower_limit_takes_nothing_away() {
    let mut table = table(100);
    for source in 0..50 {
        assert!(table.insert(flow4(source, 1, 0, State::new(0, true))).is_ok());
    }
    table.set_limit(10);
    assert_eq!(table.len(), 50);
    assert_eq!(table.insert(flow4(77, 1, 0, State::new(0, true))), Err(Refused::Full));
    table.set_limit(1000);
    assert!(table.insert(flow4(77, 1, 0, State::new(0, true))).is_ok());
    assert_eq!(table.capacity(), 100);
}
