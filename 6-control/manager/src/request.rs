//! What the kernel is asked for: the output of the core, and the input of
//! [`netlink`](crate::netlink).

use std::net::IpAddr;

use ipnet::IpNet;
use portcullis_packet::Mac;

use crate::event::{Address, KernelIndex, NeighborKey, Route};

/// In which of the two namespaces that the manager reaches.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Side {
    /// `link`, where the devices are.
    Device,
    /// `vpc`, where the taps are.
    Tap,
}

/// A change of the kernel's state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Request {
    /// Change a device.
    SetLink {
        /// Which one.
        index: KernelIndex,
        /// What about it.
        change: LinkChange,
    },
    /// Add an address, or do nothing if it is there.
    AddAddress {
        /// The device.
        index: KernelIndex,
        /// The address and its prefix length.
        net: IpNet,
    },
    /// Remove an address.
    RemoveAddress(Address),
    /// Add a static route.
    SetRoute {
        /// The route.
        route: StaticRoute,
        /// Put it in the place of the one with the same prefix and metric, which must be ours.
        replace: bool,
    },
    /// Remove a route as the kernel reported it.
    RemoveRoute(Route),
    /// Behave as if a packet had to be sent to this neighbour: find it, or confirm it.
    Probe(NeighborKey),
}

/// A change of a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LinkChange {
    /// Administrative state.
    Up(bool),
    /// Carrier; only taps can be told.
    Carrier(bool),
    /// MTU in bytes.
    Mtu(u32),
    /// MAC address.
    Mac(Mac),
}

/// A static route of the configuration file.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StaticRoute {
    /// The destination.
    pub to: IpNet,
    /// What to do.
    pub action: StaticAction,
}

/// What a static route says.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum StaticAction {
    /// Forward to one of these routers, which the kernel finds on the links.
    Via(Vec<IpAddr>),
    /// Drop without a word.
    Blackhole,
    /// Drop, and say unreachable.
    Unreachable,
    /// Drop, and say administratively prohibited.
    Prohibit,
}
