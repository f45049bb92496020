//! What routes say, each thing once. A full table has a million routes and some hundred different
//! things to do with a packet; so what a route says is compared, resolved and counted here, and a
//! route is a few bytes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use portcullis_packet::NextHopId;

use crate::event::{ObjectId, Target};

/// What a route says.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Spec {
    pub(crate) target: Target,
    /// The path MTU that the route announces.
    pub(crate) mtu: Option<u16>,
}

/// Index of a [`Spec`]; good for as long as a route or a next hop refers to it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct SpecId(u32);

/// What has become of a spec.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Resolution {
    /// Nobody has asked yet.
    Unknown,
    /// It leads nowhere at present: as if its routes were not there.
    Dead,
    /// It says that its table has no route.
    Thrown,
    /// It is this next hop, to which it holds a reference.
    Usable(NextHopId),
}

#[derive(Debug)]
struct Slot {
    spec: Arc<Spec>,
    routes: u32,
    resolution: Resolution,
}

/// All specs.
#[derive(Debug, Default)]
pub(crate) struct Specs {
    slots: Vec<Option<Slot>>,
    ids: HashMap<Arc<Spec>, SpecId>,
    free: Vec<SpecId>,
    unused: Vec<SpecId>,
}

impl Specs {
    /// The id of a spec, for one more route.
    pub(crate) fn acquire(&mut self, spec: Spec) -> SpecId {
        if let Some(id) = self.ids.get(&spec).copied() {
            if let Some(slot) = self.slot_mut(id) {
                slot.routes += 1;
            }
            return id;
        }
        let spec = Arc::new(spec);
        let slot = Slot { spec: Arc::clone(&spec), routes: 1, resolution: Resolution::Unknown };
        let id = match self.free.pop() {
            Some(id) => id,
            None => {
                self.slots.push(None);
                SpecId(u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX))
            }
        };
        if let Some(place) = self.slots.get_mut(id.0 as usize) {
            *place = Some(slot);
        }
        self.ids.insert(spec, id);
        id
    }

    /// A route less. The spec stays until [`Self::sweep`], as its next hop may still be in a FIB.
    pub(crate) fn release(&mut self, id: SpecId) {
        if let Some(slot) = self.slot_mut(id) {
            slot.routes = slot.routes.saturating_sub(1);
            if slot.routes == 0 {
                self.unused.push(id);
            }
        }
    }

    /// Takes away what no route says any more, and passes each to `forget`.
    pub(crate) fn sweep(&mut self, mut forget: impl FnMut(SpecId, Resolution)) {
        for id in std::mem::take(&mut self.unused) {
            let place = self.slots.get_mut(id.0 as usize);
            // It may be in use again, or may have been listed twice.
            let Some(slot) = place.and_then(|place| place.take_if(|slot| slot.routes == 0)) else {
                continue;
            };
            self.ids.remove(&slot.spec);
            self.free.push(id);
            forget(id, slot.resolution);
        }
    }

    pub(crate) fn get(&self, id: SpecId) -> Option<&Arc<Spec>> {
        self.slot(id).map(|slot| &slot.spec)
    }

    /// The target of a spec.
    pub(crate) fn target(&self, id: SpecId) -> Option<&Target> {
        self.get(id).map(|spec| &spec.target)
    }

    pub(crate) fn resolution(&self, id: SpecId) -> Resolution {
        self.slot(id).map_or(Resolution::Dead, |slot| slot.resolution)
    }

    pub(crate) fn set_resolution(&mut self, id: SpecId, resolution: Resolution) {
        if let Some(slot) = self.slot_mut(id) {
            slot.resolution = resolution;
        }
    }

    /// All that are in use, with the number of routes that say so.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (SpecId, &Arc<Spec>, u32)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| {
            let slot = slot.as_ref()?;
            Some((SpecId(u32::try_from(index).ok()?), &slot.spec, slot.routes))
        })
    }

    /// Those in use that name this nexthop object.
    pub(crate) fn naming(&self, object: ObjectId) -> HashSet<SpecId> {
        let naming = Target::Object(object);
        let users = self.iter().filter(|(_, spec, routes)| *routes > 0 && spec.target == naming);
        users.map(|(id, _, _)| id).collect()
    }

    fn slot(&self, id: SpecId) -> Option<&Slot> {
        self.slots.get(id.0 as usize)?.as_ref()
    }

    fn slot_mut(&mut self, id: SpecId) -> Option<&mut Slot> {
        self.slots.get_mut(id.0 as usize)?.as_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(mtu: u16) -> Spec {
        Spec { target: Target::Local, mtu: Some(mtu) }
    }

    #[test]
    fn the_same_thing_said_twice_is_one_spec() {
        let mut specs = Specs::default();
        let (a, b) = (specs.acquire(spec(1)), specs.acquire(spec(1)));
        assert_eq!(a, b);
        assert_ne!(a, specs.acquire(spec(2)));
    }

    #[test]
    fn a_spec_goes_when_its_last_route_has_gone_and_only_when_swept() {
        let mut specs = Specs::default();
        let id = specs.acquire(spec(1));
        specs.set_resolution(id, Resolution::Usable(NextHopId(7)));
        specs.release(id);
        assert_eq!(specs.acquire(spec(1)), id, "in use again before it was swept");
        specs.sweep(|_, _| panic!("it is in use"));
        specs.release(id);
        let mut forgotten = vec![];
        specs.sweep(|id, resolution| forgotten.push((id, resolution)));
        assert_eq!(forgotten, [(id, Resolution::Usable(NextHopId(7)))]);
        assert_eq!(specs.get(id), None);
        assert_eq!(specs.acquire(spec(3)), id, "the slot is used again");
    }
}
