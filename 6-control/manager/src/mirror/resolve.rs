//! From what a route says to a next hop.

use std::collections::HashSet;

use portcullis_packet::{IfIndex, NextHopId};
use portcullis_routing::NextHop;

use super::Mirror;
use crate::event::{Object, ObjectId, Path, Target, Weight};
use crate::next_hops::{Constant, Full, Key};
use crate::rib::{Resolution, SpecId};

/// Where a target leads at present.
enum Way {
    /// Nowhere.
    Dead,
    /// To this.
    Constant(Constant),
    /// The broadcast address of this link's network.
    Broadcast(IfIndex),
    /// Over one path, always.
    Path(IfIndex, Path),
    /// Over these paths, and tomorrow over others.
    Paths(Vec<(IfIndex, Path, Weight)>),
    /// To this, and tomorrow to something else.
    Changing(Constant),
}

impl Mirror {
    /// Resolves all specs again, after something that they are resolved by has changed.
    pub(super) fn resolve_all(&mut self) {
        let ids: Vec<SpecId> = self.specs.iter().map(|(id, _, _)| id).collect();
        let mut changed = HashSet::new();
        for id in ids {
            let before = self.specs.resolution(id);
            if before != Resolution::Unknown && self.resolve_again(id) != before {
                changed.insert(id);
            }
        }
        if !changed.is_empty() {
            self.rib4.touch_all_of(&changed);
            self.rib6.touch_all_of(&changed);
        }
    }

    /// Resolves a spec, whatever was known of it.
    pub(super) fn resolve_again(&mut self, id: SpecId) -> Resolution {
        let before = self.specs.resolution(id);
        let after = match self.find(id) {
            Ok(resolution) => resolution,
            Err(full) => {
                tracing::warn!("routes left out: {full}");
                Resolution::Dead
            }
        };
        self.specs.set_resolution(id, after);
        // What it referred to before, after it has got the new reference.
        if let Resolution::Usable(next_hop) = before {
            self.store.release(next_hop);
        }
        after
    }

    /// The next hop of a spec, with one more reference to it.
    fn find(&mut self, id: SpecId) -> Result<Resolution, Full> {
        let Some(spec) = self.specs.get(id).cloned() else { return Ok(Resolution::Dead) };
        let mtu = spec.mtu.unwrap_or(0);
        let next_hop = match self.way(&spec.target) {
            Way::Dead if spec.target == Target::Throw => return Ok(Resolution::Thrown),
            Way::Dead => return Ok(Resolution::Dead),
            Way::Constant(constant) => self.store.constant(constant),
            Way::Broadcast(interface) => {
                let next_hop = NextHop::Broadcast { interface };
                self.store.acquire(Key::Broadcast(interface), next_hop)?
            }
            Way::Path(interface, path) => self.path(interface, path, mtu)?,
            Way::Changing(constant) => {
                let own = self.store.acquire(Key::Spec(id), NextHop::Unreachable)?;
                self.store.set(own, constant.next_hop());
                own
            }
            Way::Paths(paths) => self.paths(id, &paths, mtu)?,
        };
        Ok(Resolution::Usable(next_hop))
    }

    fn paths(
        &mut self,
        id: SpecId,
        paths: &[(IfIndex, Path, Weight)],
        mtu: u16,
    ) -> Result<NextHopId, Full> {
        let own = self.store.acquire(Key::Spec(id), NextHop::Unreachable)?;
        let mut members = Vec::with_capacity(paths.len());
        for (interface, path, weight) in paths {
            match self.path(*interface, *path, mtu) {
                Ok(member) => members.push((member, *weight)),
                Err(full) => {
                    self.store.release(own);
                    members.iter().for_each(|(member, _)| self.store.release(*member));
                    return Err(full);
                }
            }
        }
        match members.as_slice() {
            [(only, _)] => self.store.set_same(own, *only),
            _ => self.store.set_group(own, members),
        }
        Ok(own)
    }

    fn path(&mut self, interface: IfIndex, path: Path, mtu: u16) -> Result<NextHopId, Full> {
        match path.gateway {
            None => self.store.acquire(Key::Attached(interface), NextHop::Attached { interface }),
            Some(gateway) => {
                let next_hop = self.adjacency(interface, gateway, mtu);
                self.store.acquire(Key::Adjacency(interface, gateway, mtu), next_hop)
            }
        }
    }

    fn way(&self, target: &Target) -> Way {
        match target {
            Target::Via(path) => match self.ports.of_tap(path.index) {
                Some(interface) if self.is_up(interface) => Way::Path(interface, *path),
                Some(_) => Way::Dead,
                // Out of a device that is not ours: the kernel forwards nothing, and nor can we.
                None => Way::Constant(Constant::Unreachable),
            },
            Target::Multipath(paths) => self.alive(paths.iter().copied()),
            Target::Object(id) => self.object_way(*id),
            Target::Broadcast(index) => match self.ports.of_tap(*index) {
                Some(interface) => Way::Broadcast(interface),
                None => Way::Constant(Constant::Local),
            },
            Target::Local => Way::Constant(Constant::Local),
            Target::Multicast => Way::Constant(Constant::Multicast),
            Target::Blackhole => Way::Constant(Constant::Blackhole),
            Target::Prohibit => Way::Constant(Constant::Prohibit),
            Target::Unreachable | Target::Unsupported => Way::Constant(Constant::Unreachable),
            Target::Throw => Way::Dead,
        }
    }

    fn object_way(&self, id: ObjectId) -> Way {
        match self.object(id) {
            None => Way::Dead,
            Some(Object::Blackhole) => Way::Changing(Constant::Blackhole),
            Some(Object::Unsupported) => Way::Changing(Constant::Unreachable),
            Some(Object::Via(path)) => self.alive(std::iter::once((*path, 1))),
            Some(Object::Group(members)) => {
                self.alive(members.iter().filter_map(|(id, weight)| match self.object(*id)? {
                    Object::Via(path) => Some((*path, *weight)),
                    Object::Group(_) | Object::Blackhole | Object::Unsupported => None,
                }))
            }
        }
    }

    /// The paths whose links carry packets. Like the kernel, if there are none: those whose links
    /// are up.
    fn alive(&self, paths: impl Iterator<Item = (Path, Weight)>) -> Way {
        let mut foreign = false;
        let mut up: Vec<(IfIndex, Path, Weight)> = vec![];
        for (path, weight) in paths {
            match self.ports.of_tap(path.index) {
                Some(interface) if self.is_up(interface) => up.push((interface, path, weight)),
                Some(_) => {}
                None => foreign = true,
            }
        }
        let carries = |interface: IfIndex| self.ports.get(interface).is_some_and(|p| p.is_usable());
        if up.iter().any(|(interface, ..)| carries(*interface)) {
            up.retain(|(interface, ..)| carries(*interface));
        }
        match (up.is_empty(), foreign) {
            (false, _) => Way::Paths(up),
            (true, true) => Way::Changing(Constant::Unreachable),
            (true, false) => Way::Dead,
        }
    }

    fn is_up(&self, interface: IfIndex) -> bool {
        self.ports.get(interface).is_some_and(|port| port.is_up())
    }
}
