//! All that a worker forwards by.

use std::sync::Arc;

use portcullis_packet::{IfIndex, VrfId};
use portcullis_policy::Policy;
use portcullis_tables::lpm::{Fib4, Fib6};
use portcullis_tables::neighbors::NeighborTable;

use crate::{Interface, NextHops};

/// The forwarding tables of one VRF. They are handles to tables that the control plane changes in
/// place, entry by entry; everything else in a [`Snapshot`] never changes.
#[derive(Clone, Debug)]
pub struct Vrf {
    /// IPv4 routes.
    pub fib4: Fib4,
    /// IPv6 routes.
    pub fib6: Fib6,
}

/// All that a worker forwards by, at one moment. A route is written into a FIB only after all
/// workers have the snapshot that holds its next hop.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Interfaces, by [`IfIndex`].
    pub interfaces: Vec<Interface>,
    /// VRFs, by [`VrfId`].
    pub vrfs: Vec<Vrf>,
    /// Next hops.
    pub next_hops: NextHops,
    /// Neighbours whose link-layer address is known, directly connected hosts and gateways alike; each
    /// is a [`NextHop::Forward`](crate::NextHop::Forward).
    pub neighbors: NeighborTable,
    /// What flows are hashed with: another number in each gateway, so that gateways in a row do not
    /// choose alike, and the same in all snapshots of one, so that flows stay where they are.
    pub hash_seed: u64,
    /// What packets are judged by.
    pub policy: Arc<Policy>,
}

impl Snapshot {
    /// The interface with this index.
    #[inline(always)]
    #[must_use]
    pub fn interface(&self, index: IfIndex) -> Option<&Interface> {
        self.interfaces.get(index.slot())
    }

    /// The VRF with this id.
    #[inline(always)]
    #[must_use]
    pub fn vrf(&self, id: VrfId) -> Option<&Vrf> {
        self.vrfs.get(usize::from(id.0))
    }
}
