//! The next hops of a snapshot: who has which id, and what stands there.
//!
//! An id means the same for as long as anything refers to it: what it *says* may change in place (a
//! neighbour was learnt, a group lost a member), and then no FIB has to be written. Next hops that
//! say the same for the same reason are one; [`Key`] is the reason.
//!
//! An id goes through four stations before it means something else: nothing refers to it;
//! [`NextHopStore::sweep`] makes it vacant after the FIBs were written; [`NextHopStore::seal`]
//! notes the epoch of the snapshot that shows it vacant; [`NextHopStore::reclaim`] frees it once
//! all workers have seen that epoch.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use portcullis_packet::{Epoch, IfIndex, NextHopId};
use portcullis_routing::{NextHop, UsedMarks};
use portcullis_tables::ecmp;
use thiserror::Error;

use crate::event::Weight;
use crate::rib::SpecId;

/// More next hops than that, and routes are refused. 24 bytes each, in every snapshot.
pub(crate) const MAX_NEXT_HOPS: usize = 1 << 18;

/// There are [`MAX_NEXT_HOPS`] already.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("all {MAX_NEXT_HOPS} next hops are in use")]
pub(crate) struct Full;

/// Why a next hop is there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Key {
    /// One of the next hops without arguments.
    Constant(Constant),
    /// The destination is on this link.
    Attached(IfIndex),
    /// The broadcast address of this link's network.
    Broadcast(IfIndex),
    /// A neighbour, with the path MTU of the routes through it; 0 if they have none.
    Adjacency(IfIndex, IpAddr, u16),
    /// What a spec says, if it says more than one thing or may say another thing tomorrow.
    Spec(SpecId),
}

/// Next hops without arguments. They are always there, at the same ids, so that the first snapshot
/// of all has those of the reserved prefixes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Constant {
    Thrown,
    Local,
    Multicast,
    Martian,
    Blackhole,
    Unreachable,
    Prohibit,
}

impl Constant {
    /// All of them, in the order of their ids.
    pub(crate) const ALL: [Self; 7] = [
        Self::Thrown,
        Self::Local,
        Self::Multicast,
        Self::Martian,
        Self::Blackhole,
        Self::Unreachable,
        Self::Prohibit,
    ];

    /// Its id, one after [`NextHopId::NO_ROUTE`].
    pub(crate) const fn id(self) -> NextHopId {
        NextHopId(self as u32 + 1)
    }

    pub(crate) const fn next_hop(self) -> NextHop {
        match self {
            Self::Thrown => NextHop::NoRoute,
            Self::Local => NextHop::Local,
            Self::Multicast => NextHop::Multicast,
            Self::Martian => NextHop::Martian,
            Self::Blackhole => NextHop::Blackhole,
            Self::Unreachable => NextHop::Unreachable,
            Self::Prohibit => NextHop::Prohibit,
        }
    }
}

/// What stands at an id.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Content {
    Plain(NextHop),
    /// The same as at another id, to which it refers.
    Same(NextHopId),
    /// Members, to which it refers, and who of them owns which bucket.
    Group {
        members: Vec<(NextHopId, Weight)>,
        buckets: Vec<NextHopId>,
    },
}

#[derive(Debug)]
struct Slot {
    key: Key,
    references: u32,
    content: Content,
}

/// All next hops.
#[derive(Debug)]
pub(crate) struct NextHopStore {
    slots: Vec<Option<Slot>>,
    ids: BTreeMap<Key, NextHopId>,
    free: Vec<NextHopId>,
    unused: Vec<NextHopId>,
    vacated: Vec<NextHopId>,
    waiting: VecDeque<(Epoch, Vec<NextHopId>)>,
    used: UsedMarks,
    changed: bool,
    added: bool,
}

impl Default for NextHopStore {
    fn default() -> Self {
        const FIRST_MARKS: usize = 1024;
        let constants = Constant::ALL.map(|constant| {
            let content = Content::Plain(constant.next_hop());
            Some(Slot { key: Key::Constant(constant), references: 1, content })
        });
        Self {
            // NextHopId::NO_ROUTE is nobody's.
            slots: [None].into_iter().chain(constants).collect(),
            ids: Constant::ALL.map(|constant| (Key::Constant(constant), constant.id())).into(),
            free: Vec::new(),
            unused: Vec::new(),
            vacated: Vec::new(),
            waiting: VecDeque::new(),
            used: UsedMarks::new(FIRST_MARKS),
            changed: true,
            added: false,
        }
    }
}

impl NextHopStore {
    /// The id of a constant, with one more reference.
    pub(crate) fn constant(&mut self, constant: Constant) -> NextHopId {
        self.retain(constant.id());
        constant.id()
    }

    /// The id of a key, with one more reference; `content` is what it says if it is new.
    pub(crate) fn acquire(&mut self, key: Key, content: NextHop) -> Result<NextHopId, Full> {
        if let Some(id) = self.ids.get(&key).copied() {
            self.retain(id);
            return Ok(id);
        }
        let slot = Slot { key, references: 1, content: Content::Plain(content) };
        let id = match self.free.pop() {
            Some(id) => id,
            None if self.slots.len() > MAX_NEXT_HOPS => return Err(Full),
            None => {
                self.slots.push(None);
                NextHopId(u32::try_from(self.slots.len() - 1).map_err(|_| Full)?)
            }
        };
        if let Some(place) = self.slots.get_mut(id.slot()) {
            *place = Some(slot);
        }
        self.ids.insert(key, id);
        self.changed = true;
        self.added = true;
        if self.slots.len() > self.used.len() {
            // Marks that are lost are set again by the next packet.
            self.used = UsedMarks::new(self.slots.len().saturating_mul(2));
        }
        Ok(id)
    }

    /// One more reference.
    pub(crate) fn retain(&mut self, id: NextHopId) {
        if let Some(slot) = self.slot_mut(id) {
            slot.references += 1;
        }
    }

    /// One reference less.
    pub(crate) fn release(&mut self, id: NextHopId) {
        if let Some(slot) = self.slot_mut(id) {
            slot.references = slot.references.saturating_sub(1);
            if slot.references == 0 {
                self.unused.push(id);
            }
        }
    }

    /// The id with this key, if there is one.
    pub(crate) fn find(&self, key: Key) -> Option<NextHopId> {
        self.ids.get(&key).copied()
    }

    /// Why an id is there.
    pub(crate) fn key(&self, id: NextHopId) -> Option<Key> {
        self.slot(id).map(|slot| slot.key)
    }

    /// The spec of this id is no more. Another with the same number is to get another id, as a FIB
    /// may still refer to this one.
    pub(crate) fn orphan(&mut self, id: NextHopId) {
        if let Some(key @ Key::Spec(_)) = self.key(id) {
            self.forget_key(id, key);
        }
    }

    fn forget_key(&mut self, id: NextHopId, key: Key) {
        if self.find(key) == Some(id) {
            self.ids.remove(&key);
        }
    }

    /// Says something else at an id.
    pub(crate) fn set(&mut self, id: NextHopId, next_hop: NextHop) {
        self.set_content(id, Content::Plain(next_hop));
    }

    /// Says at an id what is said at another. Takes over the caller's reference to that.
    pub(crate) fn set_same(&mut self, id: NextHopId, other: NextHopId) {
        self.set_content(id, Content::Same(other));
    }

    /// Makes an id a group. Takes over the caller's references to the members. Buckets change hands
    /// only as far as members and weights did.
    pub(crate) fn set_group(&mut self, id: NextHopId, members: Vec<(NextHopId, Weight)>) {
        let previous: &[NextHopId] = match self.slot(id).map(|slot| &slot.content) {
            Some(Content::Group { buckets, .. }) => buckets,
            // A group of one owned them all.
            Some(Content::Same(only)) => std::slice::from_ref(only),
            Some(Content::Plain(_)) | None => &[],
        };
        let shares: Vec<ecmp::Member> =
            members.iter().map(|(member, weight)| (*member, u32::from(*weight))).collect();
        // A group never gets fewer buckets than it had, so that flows stay in theirs.
        let count = ecmp::bucket_count(&shares).max(previous.len());
        let previous: Vec<_> = previous.iter().copied().cycle().take(count).collect();
        let buckets = ecmp::assign(&previous, &shares, count);
        self.set_content(id, Content::Group { members, buckets });
    }

    fn set_content(&mut self, id: NextHopId, content: Content) {
        let Some(slot) = self.slot_mut(id) else { return self.release_members(&content) };
        let old = std::mem::replace(&mut slot.content, content);
        if slot.content != old {
            self.changed = true;
        }
        self.release_members(&old);
    }

    fn release_members(&mut self, content: &Content) {
        match content {
            Content::Plain(_) => {}
            Content::Same(other) => self.release(*other),
            Content::Group { members, .. } => {
                for (member, _) in members {
                    self.release(*member);
                }
            }
        }
    }

    /// The next hops through this neighbour, whatever their MTU.
    pub(crate) fn through(&self, interface: IfIndex, address: IpAddr) -> Vec<(NextHopId, Key)> {
        let from = Key::Adjacency(interface, address, 0);
        let to = Key::Adjacency(interface, address, u16::MAX);
        self.ids.range(from..=to).map(|(key, id)| (*id, *key)).collect()
    }

    /// The next hops through all neighbours on an interface.
    pub(crate) fn through_interface(&self, interface: IfIndex) -> Vec<(NextHopId, Key)> {
        let from = Key::Adjacency(interface, Ipv4Addr::UNSPECIFIED.into(), 0);
        let to = Key::Adjacency(interface, Ipv6Addr::from([0xff; 16]).into(), u16::MAX);
        self.ids.range(from..=to).map(|(key, id)| (*id, *key)).collect()
    }

    /// Neighbours that packets were sent to since the last call.
    pub(crate) fn take_used(&self) -> Vec<(IfIndex, IpAddr)> {
        let mut used: Vec<_> = self
            .slots
            .iter()
            .enumerate()
            .filter_map(|(index, slot)| {
                let slot = slot.as_ref()?;
                let id = NextHopId(u32::try_from(index).ok()?);
                let key = match &slot.content {
                    Content::Plain(NextHop::Forward(_)) => slot.key,
                    Content::Same(other) => self.key(*other)?,
                    Content::Plain(_) | Content::Group { .. } => return None,
                };
                match key {
                    Key::Adjacency(interface, address, _) if self.used.take(id) => {
                        Some((interface, address))
                    }
                    _ => None,
                }
            })
            .collect();
        used.sort_unstable();
        used.dedup();
        used
    }

    /// Makes vacant what nothing refers to. Only after the FIBs were written.
    pub(crate) fn sweep(&mut self) {
        while let Some(id) = self.unused.pop() {
            let place = self.slots.get_mut(id.slot());
            let Some(slot) = place.and_then(|place| place.take_if(|slot| slot.references == 0))
            else {
                continue;
            };
            self.forget_key(id, slot.key);
            self.release_members(&slot.content);
            self.vacated.push(id);
            self.changed = true;
        }
    }

    /// A snapshot of this epoch shows as vacant what is.
    pub(crate) fn seal(&mut self, epoch: Epoch) {
        if !self.vacated.is_empty() {
            self.waiting.push_back((epoch, std::mem::take(&mut self.vacated)));
        }
    }

    /// All workers have seen this epoch.
    pub(crate) fn reclaim(&mut self, seen: Epoch) {
        while let Some((_, ids)) = self.waiting.pop_front_if(|(epoch, _)| *epoch <= seen) {
            self.free.extend(ids);
        }
    }

    /// Whether there is something to publish.
    pub(crate) const fn has_changed(&self) -> bool {
        self.changed
    }

    /// Whether ids were given out since the last call that no worker can know yet.
    pub(crate) fn take_added(&mut self) -> bool {
        std::mem::take(&mut self.added)
    }

    /// What a snapshot shows: next hops by id, buckets, marks.
    pub(crate) fn snapshot(&mut self) -> portcullis_routing::NextHops {
        self.changed = false;
        let mut buckets = Vec::new();
        let mut entries = Vec::with_capacity(self.slots.len());
        for slot in &self.slots {
            let next_hop = match slot.as_ref().map(|slot| &slot.content) {
                None => NextHop::Vacant,
                Some(Content::Plain(next_hop)) => *next_hop,
                Some(Content::Same(other)) => self.plain(*other),
                Some(Content::Group { buckets: own, .. }) => group(own, &mut buckets),
            };
            entries.push(next_hop);
        }
        portcullis_routing::NextHops::new(entries, buckets, self.used.clone())
    }

    /// What stands at an id that is no group.
    fn plain(&self, id: NextHopId) -> NextHop {
        match self.slot(id).map(|slot| &slot.content) {
            Some(Content::Plain(next_hop)) => *next_hop,
            Some(Content::Same(_) | Content::Group { .. }) | None => NextHop::Vacant,
        }
    }

    fn slot(&self, id: NextHopId) -> Option<&Slot> {
        self.slots.get(id.slot())?.as_ref()
    }

    fn slot_mut(&mut self, id: NextHopId) -> Option<&mut Slot> {
        self.slots.get_mut(id.slot())?.as_mut()
    }
}

fn group(own: &[NextHopId], all: &mut Vec<NextHopId>) -> NextHop {
    let (Ok(first), Ok(count)) = (u32::try_from(all.len()), u32::try_from(own.len())) else {
        return NextHop::Unreachable;
    };
    let Some(mask) = count.checked_sub(1) else { return NextHop::Unreachable };
    all.extend(own);
    NextHop::Group { first, mask }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn neighbor(last: u8) -> Key {
        Key::Adjacency(IfIndex(0), IpAddr::from([10, 0, 0, last]), 0)
    }

    fn adjacency(store: &mut NextHopStore, last: u8) -> NextHopId {
        let gateway = IpAddr::from([10, 0, 0, last]);
        let content = NextHop::Unresolved { interface: IfIndex(0), gateway };
        store.acquire(neighbor(last), content).expect("room")
    }

    #[test]
    fn constants_are_where_they_say() {
        let hops = NextHopStore::default().snapshot();
        for constant in Constant::ALL {
            assert_eq!(hops.get(constant.id()), constant.next_hop());
        }
    }

    #[test]
    fn the_same_key_is_the_same_id() {
        let mut store = NextHopStore::default();
        let (a, b) = (adjacency(&mut store, 1), adjacency(&mut store, 1));
        assert_eq!(a, b);
        assert_ne!(a, NextHopId::NO_ROUTE);
        assert_ne!(a, adjacency(&mut store, 2));
    }

    #[test]
    fn an_id_is_used_again_only_after_all_have_seen_it_vacant() {
        let mut store = NextHopStore::default();
        let old = adjacency(&mut store, 1);
        store.release(old);
        assert_ne!(store.snapshot().get(old), NextHop::Vacant, "a FIB may still say it");
        store.sweep();
        assert_eq!(store.snapshot().get(old), NextHop::Vacant);
        store.seal(Epoch(5));
        store.reclaim(Epoch(4));
        assert_ne!(adjacency(&mut store, 2), old);
        store.reclaim(Epoch(5));
        assert_eq!(adjacency(&mut store, 3), old);
    }

    #[test]
    fn what_is_wanted_again_before_the_sweep_keeps_its_id() {
        let mut store = NextHopStore::default();
        let id = adjacency(&mut store, 1);
        store.release(id);
        assert_eq!(adjacency(&mut store, 1), id);
        store.sweep();
        assert_ne!(store.snapshot().get(id), NextHop::Vacant);
    }

    #[test]
    fn a_member_that_leaves_a_group_moves_only_its_own_buckets() {
        let mut store = NextHopStore::default();
        let content = NextHop::Blackhole;
        let group = store.acquire(Key::Attached(IfIndex(9)), content).expect("room");
        let members: Vec<_> = (1..=4).map(|last| (adjacency(&mut store, last), 1)).collect();
        store.set_group(group, members.clone());
        let before = store.snapshot();
        let NextHop::Group { first, mask } = before.get(group) else { panic!("no group") };

        for (member, _) in &members[1..] {
            store.retain(*member);
        }
        store.set_group(group, members[1..].to_vec());
        let after = store.snapshot();
        assert_eq!(after.get(group), NextHop::Group { first, mask });
        for hash in 0..=mask {
            let (old, new) = (before.member(first, mask, hash), after.member(first, mask, hash));
            assert!(old == new || old == members[0].0, "bucket {hash}");
            assert_ne!(new, members[0].0);
        }
        store.sweep();
        assert_eq!(store.find(neighbor(1)), None, "nothing refers to the member that left");
    }

    #[test]
    fn a_neighbour_is_in_use_through_whatever_leads_to_it() {
        let mut store = NextHopStore::default();
        let member = adjacency(&mut store, 1);
        let spare = adjacency(&mut store, 2);
        let forward = |last| {
            let macs = portcullis_packet::Mac([2, 0, 0, 0, 0, last]);
            let own = portcullis_packet::Mac([2; 6]);
            NextHop::Forward(portcullis_routing::Adjacency::new(IfIndex(0), 1500, macs, own))
        };
        store.set(member, forward(1));
        store.set(spare, forward(2));
        let object = store.acquire(Key::Attached(IfIndex(9)), NextHop::Blackhole).expect("room");
        store.retain(member);
        store.set_same(object, member);
        let hops = store.snapshot();
        assert_eq!(hops.get(object), forward(1));
        hops.mark_used(object);
        assert_eq!(store.take_used(), [(IfIndex(0), IpAddr::from([10, 0, 0, 1]))]);
        assert_eq!(store.take_used(), []);
    }

    #[test]
    fn the_number_of_next_hops_is_bounded() {
        let mut store = NextHopStore::default();
        for number in Constant::ALL.len()..MAX_NEXT_HOPS {
            let address = IpAddr::from(Ipv4Addr::from_bits(number as u32));
            let key = Key::Adjacency(IfIndex(0), address, 0);
            store.acquire(key, NextHop::Blackhole).expect("room");
        }
        assert_eq!(store.acquire(Key::Attached(IfIndex(0)), NextHop::Blackhole), Err(Full));
    }
}
