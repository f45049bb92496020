//! From a packet and its next hop to what becomes of it. A pure function of packet and snapshot: the
//! pipeline carries out what is decided here.

use std::net::IpAddr;

use portcullis_packet::{DropReason, GsoKind, IfIndex, Meta, NextHopId, PuntClass, VrfId};

use crate::inspected::{Flags, Inspected};
use crate::{Adjacency, Family, Interface, NextHop, Snapshot};

/// What the sender of a dropped packet is told. Each has a form in ICMP (RFC 792, RFC 1812, 5.2.7)
/// and in ICMPv6 (RFC 4443, 3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Complaint {
    /// The TTL or hop limit ran out.
    TimeExceeded,
    /// No route to the network.
    NoRoute,
    /// The host, or the route to it, is unreachable.
    HostUnreachable,
    /// A route forbids it.
    Prohibited,
    /// It does not fit, and may not be fragmented here: the MTU, in bytes.
    TooBig(u16),
    /// A link-local source is of no use beyond its link. Only ICMPv6 has this.
    BeyondScope,
}

/// What becomes of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// To this neighbour, as it is.
    Transmit(NextHopId, Adjacency),
    /// To this neighbour, in fragments no larger than its MTU.
    Fragment(NextHopId, Adjacency),
    /// To this neighbour, cut into the segments that its super-frame holds, or with its checksum
    /// completed: the device does neither.
    Finish(NextHopId, Adjacency),
    /// To the kernel in `vpc`.
    Punt(PuntClass),
    /// It waits until this address is resolved on this link.
    Hold(IfIndex, IpAddr),
    /// Dropped; its sender may be told why.
    Drop(DropReason, Option<Complaint>),
}

/// Groups within groups do not exist; a bucket leads to something else after one step, a neighbour
/// after two.
const STEPS: usize = 3;

/// What becomes of an inspected packet that a lookup gave the next hop `id`.
pub fn decide<F: Family>(
    snapshot: &Snapshot,
    meta: &mut Meta,
    frame: &[u8],
    inspected: &Inspected<F::Addr>,
    mut id: NextHopId,
) -> Fate {
    for _ in 0..STEPS {
        match snapshot.next_hops.get(id) {
            NextHop::Group { first, mask } => {
                if meta.flow_hash == 0 {
                    meta.flow_hash = F::flow_hash(frame, snapshot.hash_seed);
                }
                id = snapshot.next_hops.member(first, mask, meta.flow_hash);
            }
            NextHop::Attached { interface } => {
                if let Some(unfit) = unfit::<F>(frame, inspected) {
                    return unfit;
                }
                match F::neighbor(snapshot, interface, inspected.destination) {
                    Some(neighbor) => id = neighbor,
                    None => return wait(snapshot, interface, F::ip(inspected.destination)),
                }
            }
            NextHop::Unresolved { interface, gateway } => {
                return unfit::<F>(frame, inspected)
                    .unwrap_or_else(|| wait(snapshot, interface, gateway));
            }
            NextHop::Forward(adjacency) => {
                return unfit::<F>(frame, inspected)
                    .unwrap_or_else(|| send::<F>(snapshot, meta, frame, inspected, id, adjacency));
            }
            NextHop::Local => {
                return if inspected.flags.contains(Flags::GROUP_FRAME) {
                    Fate::Drop(DropReason::LinkBroadcastUnicast, None)
                } else {
                    Fate::Punt(F::punt_class(frame))
                };
            }
            NextHop::Broadcast { interface } => {
                return if interface == meta.rx_if {
                    Fate::Punt(F::punt_class(frame))
                } else {
                    Fate::Drop(DropReason::DirectedBroadcast, None)
                };
            }
            NextHop::Multicast => return Fate::Punt(F::punt_class(frame)),
            NextHop::Martian => return Fate::Drop(DropReason::MartianDestination, None),
            NextHop::NoRoute => return Fate::Drop(DropReason::NoRoute, Some(Complaint::NoRoute)),
            NextHop::Blackhole => return Fate::Drop(DropReason::RouteBlackhole, None),
            NextHop::Unreachable => {
                return Fate::Drop(DropReason::RouteUnreachable, Some(Complaint::HostUnreachable));
            }
            NextHop::Prohibit => {
                return Fate::Drop(DropReason::RouteProhibit, Some(Complaint::Prohibited));
            }
            NextHop::Vacant => break,
        }
    }
    Fate::Drop(DropReason::NextHopGone, None)
}

/// Why a packet must not be forwarded, wherever it is going.
fn unfit<F: Family>(frame: &[u8], inspected: &Inspected<F::Addr>) -> Option<Fate> {
    let flags = inspected.flags;
    if flags.contains(Flags::GROUP_FRAME) {
        Some(Fate::Drop(DropReason::LinkBroadcastUnicast, None))
    } else if flags.contains(Flags::MARTIAN_SOURCE) {
        Some(Fate::Drop(DropReason::MartianSource, None))
    } else if flags.contains(Flags::LINK_LOCAL_SOURCE) {
        Some(Fate::Drop(DropReason::LinkLocalScope, Some(Complaint::BeyondScope)))
    } else if !F::may_live_on(frame) {
        Some(Fate::Drop(DropReason::TtlExceeded, Some(Complaint::TimeExceeded)))
    } else {
        None
    }
}

fn wait(snapshot: &Snapshot, interface: IfIndex, address: IpAddr) -> Fate {
    if usable(snapshot, interface) {
        Fate::Hold(interface, address)
    } else {
        Fate::Drop(DropReason::EgressDown, Some(Complaint::HostUnreachable))
    }
}

fn send<F: Family>(
    snapshot: &Snapshot,
    meta: &Meta,
    frame: &[u8],
    inspected: &Inspected<F::Addr>,
    id: NextHopId,
    adjacency: Adjacency,
) -> Fate {
    let Some(out) = snapshot.interface(adjacency.interface).filter(|i| i.is_usable()) else {
        return Fate::Drop(DropReason::EgressDown, Some(Complaint::HostUnreachable));
    };
    let offload = meta.offload;
    let is_super_frame = offload.gso != GsoKind::None;
    let largest = if is_super_frame {
        F::segment_length(frame, offload.gso_size)
    } else {
        usize::from(inspected.length)
    };
    if largest > usize::from(adjacency.mtu) {
        if F::may_fragment(frame) {
            Fate::Fragment(id, adjacency)
        } else {
            let complaint = Complaint::TooBig(adjacency.mtu);
            Fate::Drop(DropReason::PacketTooBig, Some(complaint))
        }
    } else if out.offload.takes(offload) {
        Fate::Transmit(id, adjacency)
    } else {
        Fate::Finish(id, adjacency)
    }
}

/// The way to an address, for a packet that the gateway itself sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// To this neighbour.
    To(NextHopId, Adjacency),
    /// It must wait until this address is resolved on this link.
    Wait(IfIndex, IpAddr),
}

impl Way {
    /// The interface it leaves by.
    #[must_use]
    pub fn interface(&self) -> IfIndex {
        match *self {
            Self::To(_, adjacency) => adjacency.interface,
            Self::Wait(interface, _) => interface,
        }
    }
}

/// The way back to the source of a packet that came in as `meta` says. None if no host can be there,
/// or the interface is down.
#[must_use]
pub fn way_back<F: Family>(snapshot: &Snapshot, meta: &Meta, source: F::Addr) -> Option<Way> {
    let mut id = NextHopId::NO_ROUTE;
    if F::is_link_local(source) {
        return on_link::<F>(snapshot, meta.rx_if, source);
    }
    let vrf = snapshot.vrf(meta.vrf)?;
    F::lookup(vrf, &[source], std::slice::from_mut(&mut id));
    for _ in 0..STEPS {
        match snapshot.next_hops.get(id) {
            NextHop::Group { first, mask } => {
                id = snapshot.next_hops.member(first, mask, meta.flow_hash);
            }
            NextHop::Attached { interface } => return on_link::<F>(snapshot, interface, source),
            NextHop::Unresolved { interface, gateway } => {
                return usable(snapshot, interface).then_some(Way::Wait(interface, gateway));
            }
            NextHop::Forward(adjacency) => {
                return usable(snapshot, adjacency.interface).then_some(Way::To(id, adjacency));
            }
            NextHop::Local
            | NextHop::Broadcast { .. }
            | NextHop::Multicast
            | NextHop::Martian
            | NextHop::NoRoute
            | NextHop::Blackhole
            | NextHop::Unreachable
            | NextHop::Prohibit
            | NextHop::Vacant => return None,
        }
    }
    None
}

/// Whether a source may be found behind a link, or behind any (RFC 3704, 2.2 strict and 2.4 loose reverse
/// path forwarding): whether the tables lead to it there. With several equal paths each of them counts
/// (feasible paths, 2.3). An own address of the gateway's is behind none.
#[must_use]
pub fn is_behind<F: Family>(
    snapshot: &Snapshot,
    vrf: VrfId,
    source: F::Addr,
    link: Option<IfIndex>,
) -> bool {
    if F::is_link_local(source) {
        return true;
    }
    let mut id = NextHopId::NO_ROUTE;
    if let Some(vrf) = snapshot.vrf(vrf) {
        F::lookup(vrf, &[source], std::slice::from_mut(&mut id));
    }
    let leads = |id| {
        let interface = match snapshot.next_hops.get(id) {
            NextHop::Attached { interface } | NextHop::Unresolved { interface, .. } => interface,
            NextHop::Forward(adjacency) => adjacency.interface,
            NextHop::Group { .. }
            | NextHop::Local
            | NextHop::Broadcast { .. }
            | NextHop::Multicast
            | NextHop::Martian
            | NextHop::NoRoute
            | NextHop::Blackhole
            | NextHop::Unreachable
            | NextHop::Prohibit
            | NextHop::Vacant => return false,
        };
        link.is_none_or(|link| link == interface)
    };
    match snapshot.next_hops.get(id) {
        NextHop::Group { first, mask } => {
            (0..=mask).any(|bucket| leads(snapshot.next_hops.member(first, mask, bucket)))
        }
        _ => leads(id),
    }
}

fn usable(snapshot: &Snapshot, interface: IfIndex) -> bool {
    snapshot.interface(interface).is_some_and(Interface::is_usable)
}

fn on_link<F: Family>(snapshot: &Snapshot, link: IfIndex, address: F::Addr) -> Option<Way> {
    if !usable(snapshot, link) {
        return None;
    }
    let known =
        F::neighbor(snapshot, link, address).and_then(|id| match snapshot.next_hops.get(id) {
            NextHop::Forward(adjacency) => Some(Way::To(id, adjacency)),
            _ => None,
        });
    Some(known.unwrap_or(Way::Wait(link, F::ip(address))))
}
