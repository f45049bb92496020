//! Next hops: what a route or a neighbour says is to be done with a packet.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use portcullis_packet::{IfIndex, Mac, NextHopId};

/// A neighbour whose link-layer address is known: all that is needed to send to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Adjacency {
    /// The interface it is on.
    pub interface: IfIndex,
    /// Largest network-layer packet towards it, in bytes: the interface's MTU, or the route's own if
    /// that is smaller.
    pub mtu: u16,
    /// Destination and source MAC, as they stand at the start of a frame.
    pub macs: [u8; 12],
}

impl Adjacency {
    /// An adjacency towards `neighbor`, sent from `own`.
    #[must_use]
    pub fn new(interface: IfIndex, mtu: u16, neighbor: Mac, own: Mac) -> Self {
        let [a, b, c, d, e, f] = neighbor.0;
        let [g, h, i, j, k, l] = own.0;
        Self { interface, mtu, macs: [a, b, c, d, e, f, g, h, i, j, k, l] }
    }
}

/// What is to be done with a packet. Routes and neighbours refer to next hops by [`NextHopId`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum NextHop {
    /// The slot is free: whoever finds it has an older snapshot than the route.
    #[default]
    Vacant,
    /// No prefix covers the destination. Always the meaning of [`NextHopId::NO_ROUTE`].
    NoRoute,
    /// Send it to this neighbour.
    Forward(Adjacency),
    /// The destination itself is on this link; its neighbour entry says the rest.
    Attached {
        /// The link.
        interface: IfIndex,
    },
    /// The gateway's link-layer address is not known yet; the packet waits for it.
    Unresolved {
        /// The link the gateway is on.
        interface: IfIndex,
        /// The gateway.
        gateway: IpAddr,
    },
    /// The destination is the gateway itself: to the kernel in `vpc`.
    Local,
    /// The destination is the broadcast address of this link's network: to the kernel if it came in
    /// there, else a directed broadcast.
    Broadcast {
        /// The link whose broadcast address it is.
        interface: IfIndex,
    },
    /// A multicast group: to the kernel if it has link scope, else not forwarded.
    Multicast,
    /// No packet on a wire may have this destination.
    Martian,
    /// Drop without a word.
    Blackhole,
    /// Drop, and say unreachable.
    Unreachable,
    /// Drop, and say administratively prohibited.
    Prohibit,
    /// Equal-cost next hops: the flow's hash picks a bucket.
    Group {
        /// The group's first bucket.
        first: u32,
        /// Its number of buckets, a power of two, less one.
        mask: u32,
    },
}

/// Marks on the adjacencies that have carried packets since the mark was last cleared. The control
/// plane asks the kernel to confirm a stale neighbour only if somebody uses it.
#[derive(Clone, Debug, Default)]
pub struct UsedMarks(Arc<[AtomicBool]>);

impl UsedMarks {
    /// Unset marks for that many next hops.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self((0..count).map(|_| AtomicBool::new(false)).collect())
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sets a mark. The line is written only when the mark was clear, so workers may share it.
    #[inline(always)]
    pub fn set(&self, id: NextHopId) {
        if let Some(mark) = self.0.get(id.slot())
            && !mark.load(Ordering::Relaxed)
        {
            mark.store(true, Ordering::Relaxed);
        }
    }

    /// Clears a mark, and says whether it was set.
    #[must_use]
    pub fn take(&self, id: NextHopId) -> bool {
        self.0.get(id.slot()).is_some_and(|mark| mark.swap(false, Ordering::Relaxed))
    }
}

/// The next hops of a snapshot, and the buckets of its groups.
#[derive(Clone, Debug)]
pub struct NextHops {
    entries: Vec<NextHop>,
    buckets: Vec<NextHopId>,
    used: UsedMarks,
}

impl NextHops {
    /// Next hops by their id, entry 0 being [`NextHop::NoRoute`] whatever is given there, the buckets
    /// that groups point into, and the marks, which outlive snapshots.
    #[must_use]
    pub fn new(mut entries: Vec<NextHop>, buckets: Vec<NextHopId>, used: UsedMarks) -> Self {
        if entries.is_empty() {
            entries.push(NextHop::NoRoute);
        }
        if let Some(first) = entries.first_mut() {
            *first = NextHop::NoRoute;
        }
        Self { entries, buckets, used }
    }

    /// The next hop with this id; [`NextHop::Vacant`] if there is none.
    #[inline(always)]
    #[must_use]
    pub fn get(&self, id: NextHopId) -> NextHop {
        self.entries.get(id.slot()).copied().unwrap_or_default()
    }

    /// The member that a flow uses of the group with these buckets.
    #[inline]
    #[must_use]
    pub fn member(&self, first: u32, mask: u32, flow_hash: u32) -> NextHopId {
        let bucket = first as usize + (flow_hash & mask) as usize;
        self.buckets.get(bucket).copied().unwrap_or_default()
    }

    /// Marks the adjacency as used.
    #[inline(always)]
    pub fn mark_used(&self, id: NextHopId) {
        self.used.set(id);
    }

    /// The marks.
    #[must_use]
    pub fn used(&self) -> &UsedMarks {
        &self.used
    }

    /// All next hops, by their id.
    #[must_use]
    pub fn entries(&self) -> &[NextHop] {
        &self.entries
    }
}

// Thousands of next hops are to stay in the second-level cache.
const _: () = assert!(size_of::<NextHop>() <= 24);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_entry_is_no_route_and_what_lies_beyond_the_last_is_vacant() {
        let hops = NextHops::new(vec![NextHop::Local], vec![], UsedMarks::default());
        assert_eq!(hops.get(NextHopId::NO_ROUTE), NextHop::NoRoute);
        assert_eq!(hops.get(NextHopId(1)), NextHop::Vacant);
    }

    #[test]
    fn a_group_picks_by_hash_and_a_bucket_out_of_bounds_is_no_route() {
        let buckets = vec![NextHopId(5), NextHopId(6)];
        let hops = NextHops::new(vec![], buckets, UsedMarks::default());
        assert_eq!(hops.member(0, 1, 0x10), NextHopId(5));
        assert_eq!(hops.member(0, 1, 0x11), NextHopId(6));
        assert_eq!(hops.member(2, 1, 0), NextHopId::NO_ROUTE);
    }

    #[test]
    fn a_mark_is_taken_once() {
        let marks = UsedMarks::new(2);
        marks.set(NextHopId(1));
        marks.set(NextHopId(9));
        assert!(marks.take(NextHopId(1)));
        assert!(!marks.take(NextHopId(1)));
        assert!(!marks.take(NextHopId(9)));
    }
}
