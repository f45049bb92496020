//! Which neighbours to ask the kernel for, and how often.
//!
//! Workers ask for each packet they hold; the kernel is asked once a second per neighbour, which
//! is how often it repeats its own ARP requests and solicitations.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use portcullis_packet::{IfIndex, Instant};

use crate::event::{NeighborKey, NeighborState};
use crate::mirror::Mirror;
use crate::request::Request;

/// Between two questions about the same neighbour.
const INTERVAL: Duration = Duration::from_secs(1);
/// So many neighbours are asked for at a time. A scan of a large network makes no more of them, as
/// the kernel's own table is of that order (`gc_thresh3` is 1024).
const MAX_ASKED: usize = 4096;

/// Who was asked for, and when.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    last: HashMap<(IfIndex, IpAddr), Last>,
    refused: u64,
}

/// When a neighbour was asked for last.
#[derive(Clone, Copy, Debug)]
struct Last {
    at: Instant,
    /// The kernel had an entry then that it has not announced.
    has_entry: bool,
}

impl Asked {
    /// A worker wants this neighbour. What to ask the kernel for, if anything.
    pub(crate) fn wanted(
        &mut self,
        mirror: &Mirror,
        interface: IfIndex,
        address: IpAddr,
        now: Instant,
    ) -> Option<Request> {
        let index = mirror.ports.tap_index(interface)?;
        let state = mirror.neighbor_state(interface, address);
        if let Some(NeighborState::Permanent | NeighborState::NoArp) = state {
            // Workers are about to know it.
            return None;
        }
        let recent = |last: &Last| now.since(last.at) < INTERVAL;
        let before = self.last.get(&(interface, address)).copied();
        if before.as_ref().is_some_and(recent) {
            return None;
        }
        if self.last.len() >= MAX_ASKED {
            self.last.retain(|_, last| recent(last));
        }
        if self.last.len() >= MAX_ASKED {
            self.refused += 1;
            return None;
        }
        self.last.insert((interface, address), Last { at: now, has_entry: false });
        let key = NeighborKey { index, address };
        let has_entry = state.is_some() || before.is_some_and(|last| last.has_entry);
        Some(if has_entry { Request::Probe(key) } else { Request::Resolve(key) })
    }

    /// The kernel has an entry for this neighbour. If it does not announce it, it is to be told to use it.
    pub(crate) fn has_entry(&mut self, interface: IfIndex, address: IpAddr) {
        if let Some(last) = self.last.get_mut(&(interface, address)) {
            last.has_entry = true;
        }
    }

    /// The kernel has forgotten this neighbour, and what it was asked.
    pub(crate) fn forget(&mut self, interface: IfIndex, address: IpAddr) {
        self.last.remove(&(interface, address));
    }

    /// How many were not asked for because there were too many.
    pub(crate) const fn refused(&self) -> u64 {
        self.refused
    }
}

/// Neighbours that packets go to although the kernel is not sure of them any more. It does not see
/// those packets, so it has to be told that they are in use, or it never looks.
pub(crate) fn in_doubt(mirror: &Mirror) -> Vec<NeighborKey> {
    let used = mirror.store.take_used().into_iter();
    used.filter(|(interface, address)| {
        mirror.neighbor_state(*interface, *address) == Some(NeighborState::Stale)
    })
    .filter_map(|(interface, address)| {
        Some(NeighborKey { index: mirror.ports.tap_index(interface)?, address })
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, KernelIndex, Link, Neighbor};
    use crate::mirrored::Origin;
    use crate::setup::InterfaceSetup;

    const WAN: IfIndex = IfIndex(0);

    fn mirror() -> Mirror {
        let wan = InterfaceSetup {
            name: "wan".into(),
            device: crate::setup::DeviceSetup::Unknown,
            mac: portcullis_packet::Mac::default(),
            mtu: None,
            addresses: vec![],
            offload: portcullis_packet::TxOffload::default(),
        };
        let mut mirror = Mirror::new(vec![wan], 1);
        let tap = Link { index: KernelIndex(3), name: "wan".into(), ..Link::default() };
        mirror.handle(Event::Link(tap), Origin::Announced);
        mirror
    }

    fn key(number: u32) -> NeighborKey {
        NeighborKey { index: KernelIndex(3), address: host(number) }
    }

    fn host(number: u32) -> IpAddr {
        std::net::Ipv4Addr::from_bits(0x0a00_0000 + number).into()
    }

    #[test]
    fn a_neighbour_is_asked_for_once_a_second() {
        let (mirror, mut asked) = (mirror(), Asked::default());
        let at = |millis: u64| Instant(millis * 1_000_000);
        let wanted = Some(Request::Resolve(key(2)));
        assert_eq!(asked.wanted(&mirror, WAN, host(2), at(5000)), wanted);
        assert_eq!(asked.wanted(&mirror, WAN, host(2), at(5999)), None);
        assert!(asked.wanted(&mirror, WAN, host(3), at(5999)).is_some());
        assert_eq!(asked.wanted(&mirror, WAN, host(2), at(6000)), wanted);
        asked.forget(WAN, host(2));
        assert_eq!(asked.wanted(&mirror, WAN, host(2), at(6001)), wanted);
        assert_eq!(asked.wanted(&mirror, IfIndex(1), host(2), at(9000)), None, "no such interface");
    }

    #[test]
    fn a_neighbour_that_was_set_by_hand_is_never_touched() {
        let (mut mirror, mut asked) = (mirror(), Asked::default());
        let at = |seconds: u64| Instant(seconds * 1_000_000_000);
        // Nothing is made in the place of an entry that is there and has not been announced.
        let (resolve, probe) = (Some(Request::Resolve(key(2))), Some(Request::Probe(key(2))));
        assert_eq!(asked.wanted(&mirror, WAN, host(2), at(1)), resolve);
        asked.has_entry(WAN, host(2));
        assert_eq!(asked.wanted(&mirror, WAN, host(2), at(2)), probe, "it stayed silent");
        let mut is = |state| {
            let neighbor = Neighbor { key: key(2), state, mac: None };
            mirror.handle(Event::Neighbor(neighbor), Origin::Announced);
            asked.forget(WAN, host(2));
            asked.wanted(&mirror, WAN, host(2), at(3))
        };
        assert_eq!(is(NeighborState::Failed), probe);
        assert_eq!(is(NeighborState::Permanent), None);
        assert_eq!(is(NeighborState::NoArp), None);
    }

    #[test]
    fn no_more_neighbours_are_asked_for_than_the_kernel_can_hold() {
        let (mirror, mut asked) = (mirror(), Asked::default());
        let now = Instant(5_000_000_000);
        let count = |asked: &mut Asked, now| {
            let numbers = 0..2 * u32::try_from(MAX_ASKED).expect("small");
            numbers
                .filter(|number| asked.wanted(&mirror, WAN, host(*number), now).is_some())
                .count()
        };
        assert_eq!(count(&mut asked, now), MAX_ASKED);
        assert_eq!(asked.refused(), MAX_ASKED as u64);
        assert_eq!(count(&mut asked, now + INTERVAL), MAX_ASKED, "a second later, others");
    }
}
