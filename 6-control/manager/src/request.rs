//! What the kernel is asked for: the output of the core, and the input of
//! [`netlink`](crate::netlink).

use std::net::IpAddr;

use ipnet::IpNet;
use portcullis_packet::{IfIndex, Mac};

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
        route: StaticRoute<KernelIndex>,
        /// Put it in the place of the one with the same prefix and metric, which must be ours.
        replace: bool,
    },
    /// Remove a route as the kernel reported it.
    RemoveRoute(Route),
    /// Look for this neighbour, as for a packet to it, unless there is an entry for it.
    Resolve(NeighborKey),
    /// Behave as if a packet had to be sent to this neighbour: find it, or confirm it. The kernel takes one for it
    /// that was set by hand for one that it may forget (`NTF_USE` clears `NUD_PERMANENT`).
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

/// A static route. Interfaces are the gateway's in what the configuration says, and the kernel's in what the
/// kernel is asked for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StaticRoute<I = IfIndex> {
    /// The destination.
    pub to: IpNet,
    /// What to do.
    pub action: StaticAction<I>,
}

/// What a static route says.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum StaticAction<I = IfIndex> {
    /// Forward to one of these routers.
    Via(Vec<Router<I>>),
    /// Drop without a word.
    Blackhole,
    /// Drop, and say unreachable.
    Unreachable,
    /// Drop, and say administratively prohibited.
    Prohibit,
}

/// A neighbour that takes packets further.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Router<I = IfIndex> {
    /// Its address.
    pub address: IpAddr,
    /// The interface it is on, although its address is in none of that interface's networks. `None`:
    /// the kernel finds it by its address.
    pub on_link: Option<I>,
}

impl From<IpAddr> for Router {
    fn from(address: IpAddr) -> Self {
        Self { address, on_link: None }
    }
}

impl StaticRoute {
    /// The route with the kernel's numbers of its interfaces; `None` while one of them has no tap.
    pub(crate) fn on_taps(
        &self,
        tap: impl Fn(IfIndex) -> Option<KernelIndex>,
    ) -> Option<StaticRoute<KernelIndex>> {
        let router = |router: &Router| {
            let on_link = match router.on_link {
                Some(interface) => Some(tap(interface)?),
                None => None,
            };
            Some(Router { address: router.address, on_link })
        };
        let action = match &self.action {
            StaticAction::Via(routers) => {
                StaticAction::Via(routers.iter().map(router).collect::<Option<_>>()?)
            }
            StaticAction::Blackhole => StaticAction::Blackhole,
            StaticAction::Unreachable => StaticAction::Unreachable,
            StaticAction::Prohibit => StaticAction::Prohibit,
        };
        Some(StaticRoute { to: self.to, action })
    }
}
