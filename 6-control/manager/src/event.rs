//! What the kernel says, in our own words: the output of [`netlink`](crate::netlink) and the input
//! of [`mirror`](crate::mirror). No type here depends on how a message is laid out.

use std::net::IpAddr;

use ipnet::IpNet;
use portcullis_packet::Mac;

/// The kernel's ifindex, which is not an [`IfIndex`](portcullis_packet::IfIndex): it counts all
/// devices of one namespace, and a device that comes back has a new one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub(crate) struct KernelIndex(pub u32);

/// Id of a nexthop object of the kernel (`ip nexthop`), not a
/// [`NextHopId`](portcullis_packet::NextHopId).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct ObjectId(pub u32);

/// Who made a route: a number of `/etc/iproute2/rt_protos`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Protocol(pub u8);

impl Protocol {
    /// Our own: static routes and addresses of the configuration file. It is in the range that the
    /// kernel leaves to users, and no routing daemon known to iproute2 has it.
    pub const OURS: Self = Self(112);
    /// An ICMP redirect.
    pub const REDIRECT: Self = Self(1);
    /// The kernel itself, for its own addresses.
    pub const KERNEL: Self = Self(2);
    /// A router advertisement.
    pub const ADVERTISED: Self = Self(9);
}

/// One change, or one line of a dump.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    /// A device is there, or has changed.
    Link(Link),
    /// A device is gone.
    LinkGone(KernelIndex),
    /// An address is there, or has changed.
    Address(Address),
    /// An address is gone.
    AddressGone(Address),
    /// A neighbour is there, or has changed.
    Neighbor(Neighbor),
    /// A neighbour is gone.
    NeighborGone(NeighborKey),
    /// A nexthop object is there, or has changed.
    Object(ObjectId, Object),
    /// A nexthop object is gone.
    ObjectGone(ObjectId),
    /// A route is there.
    Route(Route, Placement),
    /// A route is gone.
    RouteGone(Route),
}

/// A network device.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Link {
    /// Its index.
    pub index: KernelIndex,
    /// Its name.
    pub name: Box<str>,
    /// Its MAC address; all zeros if it has none of six bytes.
    pub mac: Mac,
    /// Largest network-layer packet, in bytes.
    pub mtu: u32,
    /// Administratively up.
    pub up: bool,
    /// The device has carrier, whether it is up or not.
    pub carrier: bool,
}

/// An address of a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Address {
    /// The device.
    pub index: KernelIndex,
    /// The address and the length of its network's prefix.
    pub net: IpNet,
    /// `IFA_F_*`.
    pub flags: u32,
    /// Who set it; 0 on kernels before 5.18.
    pub protocol: Protocol,
}

/// A neighbour's name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct NeighborKey {
    /// The device it is on.
    pub index: KernelIndex,
    /// Its address.
    pub address: IpAddr,
}

/// A neighbour: a host on a link, found by ARP (RFC 826) or neighbour discovery (RFC 4861).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Neighbor {
    /// Its name.
    pub key: NeighborKey,
    /// What the kernel knows of its reachability.
    pub state: NeighborState,
    /// Its link-layer address, if it was ever known.
    pub mac: Option<Mac>,
}

/// Reachability of a neighbour (RFC 4861, 7.3.2, and what Linux adds to it).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NeighborState {
    /// Nothing has been tried.
    None,
    /// Being looked for.
    Incomplete,
    /// Confirmed a short time ago.
    Reachable,
    /// Not confirmed for some time.
    Stale,
    /// In use again; a probe is about to be sent.
    Delay,
    /// Being probed.
    Probe,
    /// It does not answer.
    Failed,
    /// No resolution is needed on this link.
    NoArp,
    /// Set by hand.
    Permanent,
}

impl NeighborState {
    /// Whether packets may be sent to the link-layer address that is known.
    pub(crate) const fn is_usable(self) -> bool {
        match self {
            Self::Reachable
            | Self::Stale
            | Self::Delay
            | Self::Probe
            | Self::NoArp
            | Self::Permanent => true,
            Self::None | Self::Incomplete | Self::Failed => false,
        }
    }
}

/// A nexthop object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Object {
    /// One way.
    Via(Path),
    /// Other objects with their weights; a resilient group is one, too.
    Group(Box<[(ObjectId, Weight)]>),
    /// Drop without a word.
    Blackhole,
    /// One that routes can't use (a bridge's) or that we can't follow (an encapsulation).
    Unsupported,
}

/// Share of a member in a group, from 1.
pub(crate) type Weight = u16;

/// One way to forward.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Path {
    /// The device.
    pub index: KernelIndex,
    /// The router; without one the destination itself is on the link. An IPv4 route may have an
    /// IPv6 router (RFC 8950).
    pub gateway: Option<IpAddr>,
}

/// The three tables that the kernel consults without rules of one's own, in the order in which it
/// does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Table {
    /// The kernel's own addresses.
    Local,
    /// Where routes go unless somebody says otherwise.
    Main,
    /// What is asked last; usually empty.
    Default,
}

/// What a route says is to be done.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Target {
    /// Forward.
    Via(Path),
    /// Forward over one of several paths.
    Multipath(Box<[(Path, Weight)]>),
    /// Do what the nexthop object says.
    Object(ObjectId),
    /// To the kernel itself.
    Local,
    /// The broadcast address of this device's network.
    Broadcast(KernelIndex),
    /// A multicast group.
    Multicast,
    /// Drop without a word.
    Blackhole,
    /// Drop, and say unreachable.
    Unreachable,
    /// Drop, and say administratively prohibited.
    Prohibit,
    /// This table has no route; ask the next.
    Throw,
    /// An encapsulation, which we can't follow.
    Unsupported,
}

/// A route of the kernel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Route {
    /// The table it is in.
    pub table: Table,
    /// The destination, without host bits.
    pub prefix: IpNet,
    /// Its metric; the lowest is used.
    pub metric: u32,
    /// Who made it.
    pub protocol: Protocol,
    /// What it says.
    pub target: Target,
    /// The path MTU that it announces.
    pub mtu: Option<u16>,
}

/// Where a new route stands among those of the same prefix and metric.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Placement {
    /// Before the others.
    First,
    /// After the others.
    Last,
    /// In place of the first.
    Replace,
    /// It is a line of a dump, which lists them in their order.
    Dumped,
}
