//! Whatever happens, in whatever order, and whatever of it is not heard of: in the end workers do
//! what the kernel would do, and at no time do they see half of a change.

use proptest::prelude::*;

use super::kernel::{self, Entry};
use super::{FOREIGN, Session, TAPS};
use crate::event::{
    KernelIndex, NeighborKey, NeighborState, Object, ObjectId, Path, Placement, Protocol, Table,
    Target,
};

/// Something that happens.
#[derive(Clone, Debug)]
enum Step {
    Add(Entry, Placement),
    Remove(usize),
    Up(KernelIndex, bool),
    Carrier(KernelIndex, bool),
    Object(ObjectId, Object),
    ObjectGone(ObjectId),
    Neighbor(NeighborKey, NeighborState),
    Lose(bool),
    ReadDump(usize),
    Turn,
    Refresh,
}

fn tap() -> impl Strategy<Value = KernelIndex> {
    prop::sample::select(TAPS.to_vec())
}

fn path(v6: bool) -> impl Strategy<Value = Path> {
    let index = prop_oneof![8 => tap(), 1 => Just(FOREIGN)];
    (index, prop::option::weighted(0.8, 2_u8..5)).prop_map(move |(index, last)| Path {
        index,
        gateway: last.map(|last| kernel::router(v6, last)),
    })
}

fn target(v6: bool) -> impl Strategy<Value = Target> {
    let constant = prop::sample::select(vec![
        Target::Local,
        Target::Blackhole,
        Target::Unreachable,
        Target::Prohibit,
        Target::Throw,
        Target::Unsupported,
    ]);
    let several = prop::collection::vec((path(v6), 1_u16..4), 2..4);
    prop_oneof![
        4 => path(v6).prop_map(Target::Via),
        // An IPv6 route with several paths is several routes.
        2 => several.prop_map(move |mut paths| {
            paths.dedup_by_key(|(path, _)| *path);
            match paths.as_slice() {
                [(path, _), rest @ ..] if v6 || rest.is_empty() => Target::Via(*path),
                _ => Target::Multipath(paths.into()),
            }
        }),
        3 => (1_u32..6).prop_map(|id| Target::Object(ObjectId(id))),
        2 => constant,
        1 => tap().prop_map(Target::Broadcast),
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    any::<bool>().prop_flat_map(|v6| {
        let table = prop_oneof![
            1 => Just(Table::Local),
            6 => Just(Table::Main),
            1 => Just(Table::Default),
        ];
        (table, prop::sample::select(kernel::prefixes(v6)), 0_u32..3, target(v6)).prop_map(
            |(table, prefix, metric, target)| {
                let protocol = Protocol(4);
                Entry { table, prefix, metric, protocol, target }
            },
        )
    })
}

fn object() -> impl Strategy<Value = (ObjectId, Object)> {
    let id = |range: std::ops::Range<u32>| range.prop_map(ObjectId);
    let members = prop::collection::btree_map(id(1..4), 1_u16..4, 1..4);
    prop_oneof![
        (id(1..4), path(false)).prop_map(|(id, path)| (id, Object::Via(path))),
        (id(1..4), path(true)).prop_map(|(id, path)| (id, Object::Via(path))),
        (id(4..6), members).prop_map(|(id, m)| (id, Object::Group(m.into_iter().collect()))),
        id(1..4).prop_map(|id| (id, Object::Blackhole)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let placement =
        prop::sample::select(vec![Placement::First, Placement::Last, Placement::Replace]);
    let state = prop::sample::select(vec![
        NeighborState::Reachable,
        NeighborState::Stale,
        NeighborState::Failed,
        NeighborState::Incomplete,
    ]);
    let neighbor = (tap(), any::<bool>(), 2_u8..5)
        .prop_map(|(index, v6, last)| NeighborKey { index, address: kernel::router(v6, last) });
    prop_oneof![
        12 => (entry(), placement).prop_map(|(entry, placement)| Step::Add(entry, placement)),
        6 => any::<usize>().prop_map(Step::Remove),
        1 => (tap(), any::<bool>()).prop_map(|(tap, up)| Step::Up(tap, up)),
        1 => (tap(), any::<bool>()).prop_map(|(tap, carrier)| Step::Carrier(tap, carrier)),
        4 => object().prop_map(|(id, object)| Step::Object(id, object)),
        1 => (1_u32..6).prop_map(|id| Step::ObjectGone(ObjectId(id))),
        2 => (neighbor, state).prop_map(|(key, state)| Step::Neighbor(key, state)),
        1 => prop::bool::weighted(0.3).prop_map(Step::Lose),
        6 => (0_usize..6).prop_map(Step::ReadDump),
        6 => Just(Step::Turn),
        4 => Just(Step::Refresh),
    ]
}

fn take(session: &mut Session, step: Step) {
    let events = match step {
        Step::Add(entry, placement) => session.kernel.add(entry, placement),
        Step::Remove(at) => session.kernel.remove(at),
        Step::Up(index, up) => session.kernel.set_up(index, up),
        Step::Carrier(index, carrier) => return session.set_carrier(index, carrier),
        Step::Object(id, object) => session.kernel.set_object(id, object),
        Step::ObjectGone(id) => session.kernel.remove_object(id),
        Step::Neighbor(key, state) => session.kernel.set_neighbor(key, state),
        Step::Lose(losing) => return session.lose(losing),
        Step::ReadDump(lines) => {
            session.read_dump(lines);
            return;
        }
        Step::Turn => {
            session.cycle.turn(&mut session.mirror);
            return;
        }
        Step::Refresh => {
            session.worker.refresh();
            return;
        }
    };
    session.announce(events);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn workers_end_up_doing_what_the_kernel_does_and_never_see_half_of_a_change(
        steps in prop::collection::vec(step(), 1..120),
        settled in any::<bool>(),
    ) {
        let mut session = if settled { Session::settled() } else { Session::new() };
        for step in steps {
            take(&mut session, step);
            session.check_worker();
        }
        session.settle();
        session.check_same();
        // Nothing is left of what is not used any more.
        while !session.kernel.remove(0).is_empty() {}
        session.mirror.resync.request();
        session.settle();
        session.check_same();
        prop_assert_eq!(session.mirror.specs.iter().count(), 0);
    }
}
