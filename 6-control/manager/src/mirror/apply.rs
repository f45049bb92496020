//! From the mirror to the dataplane: what to write into the FIBs, and the snapshot beside them.

use std::sync::Arc;

use ipnet::{Ipv4Net, Ipv6Net};
use portcullis_policy::Policy;
use portcullis_routing::{Snapshot, Vrf};

use super::Mirror;
use crate::next_hops::Constant;
use crate::rib::{Change, Net, Resolution, Rib, SpecId};

/// Changes of the FIBs.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) v4: Vec<Change<Ipv4Net>>,
    pub(crate) v6: Vec<Change<Ipv6Net>>,
}

impl Plan {
    pub(crate) fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }
}

impl Mirror {
    /// Whether all of the kernel's tables were read once. Before that nothing is to be applied: a
    /// route that has not been read yet is not gone.
    pub(crate) const fn is_ready(&self) -> bool {
        self.resync.finished() > 0
    }

    /// Whether there is something to apply.
    pub(crate) fn has_changed(&self) -> bool {
        self.stale
            || self.changed
            || self.store.has_changed()
            || self.rib4.has_changed()
            || self.rib6.has_changed()
    }

    /// Whether workers must be given another snapshot than the last.
    pub(crate) fn wants_snapshot(&self) -> bool {
        self.changed || self.store.has_changed()
    }

    /// Takes what has changed, as changes of the FIBs. Each holds a reference to its next hop.
    pub(crate) fn compile(&mut self) -> Plan {
        if std::mem::take(&mut self.stale) {
            self.resolve_all();
        }
        let mut rib4 = std::mem::take(&mut self.rib4);
        let v4 = self.compile_family(&mut rib4);
        self.rib4 = rib4;
        let mut rib6 = std::mem::take(&mut self.rib6);
        let v6 = self.compile_family(&mut rib6);
        self.rib6 = rib6;
        Plan { v4, v6 }
    }

    fn compile_family<N: Net>(&mut self, rib: &mut Rib<N>) -> Vec<Change<N>> {
        let changes = rib.compile(Constant::Thrown.id(), |spec| self.resolve(spec));
        for next_hop in changes.iter().filter_map(|change| change.next_hop) {
            self.store.retain(next_hop);
        }
        changes
    }

    fn resolve(&mut self, id: SpecId) -> Resolution {
        match self.specs.resolution(id) {
            Resolution::Unknown => self.resolve_again(id),
            known @ (Resolution::Dead | Resolution::Thrown | Resolution::Usable(_)) => known,
        }
    }

    /// All changes were written: what no route says any more may go.
    pub(crate) fn written(&mut self) {
        let store = &mut self.store;
        self.specs.sweep(|_, resolution| match resolution {
            Resolution::Usable(next_hop) => {
                store.orphan(next_hop);
                store.release(next_hop);
            }
            Resolution::Unknown | Resolution::Dead | Resolution::Thrown => {}
        });
        self.store.sweep();
    }

    /// What workers are to know, with the tables in `vrf`.
    pub(crate) fn snapshot(&mut self, vrf: Vrf, policy: Arc<Policy>) -> Snapshot {
        self.changed = false;
        Snapshot {
            interfaces: self.interfaces.clone(),
            vrfs: vec![vrf],
            next_hops: self.store.snapshot(),
            neighbors: self.neighbor_table.clone(),
            hash_seed: self.seed,
            policy,
        }
    }
}
