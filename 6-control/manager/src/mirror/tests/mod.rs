//! The mirror and the cycle together, fed with what a kernel would say.

mod configured;
mod examples;
mod kernel;
mod property;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use kernel::Kernel;
use portcullis_packet::{IfIndex, Mac, NextHopId, TxOffload};
use portcullis_routing::{NextHop, Snapshot};
use portcullis_tables::Subscriber;

use super::Mirror;
use crate::cycle::{Cycle, Next};
use crate::event::{Event, KernelIndex, Link};
use crate::mirrored::Origin;
use crate::setup::{Dataplane, InterfaceSetup};

/// The taps of the two interfaces, and a device that is not ours.
const TAPS: [KernelIndex; 2] = [KernelIndex(11), KernelIndex(12)];
const FOREIGN: KernelIndex = KernelIndex(1);

/// What becomes of a packet, whoever says it.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Answer {
    NoRoute,
    Local,
    Broadcast(IfIndex),
    Multicast,
    Martian,
    Blackhole,
    Unreachable,
    Prohibit,
    /// Over one of these: interface and router, or the destination itself.
    Forward(BTreeSet<(IfIndex, Option<IpAddr>)>),
    /// Something that no worker should ever see.
    Broken(NextHop),
}

/// A link with the properties that matter.
fn link(index: KernelIndex, name: &str, up: bool, carrier: bool) -> Link {
    let mac = Mac([2, 0, 0, 0, 0, u8::try_from(index.0).unwrap_or(0)]);
    Link { index, name: name.into(), mac, mtu: 1500, up, carrier }
}

/// What `link` says of the device behind a tap.
fn device(tap: KernelIndex, carrier: bool) -> Event {
    let name = if tap == TAPS[0] { "wan0" } else { "lan0" };
    Event::Link(link(KernelIndex(tap.0 + 100), name, true, carrier))
}

/// The MAC that a neighbour has in these tests: it tells which neighbour it is.
fn mac_of(address: IpAddr) -> Mac {
    match address {
        IpAddr::V4(v4) => Mac([2, 4, 0, 0, 0, v4.octets()[3]]),
        IpAddr::V6(v6) => Mac([2, 6, 0, 0, 0, v6.octets()[15]]),
    }
}

fn address_of(mac: &[u8]) -> IpAddr {
    match mac {
        [2, 4, .., last] => kernel::router(false, *last),
        [2, 6, .., last] => kernel::router(true, *last),
        _ => panic!("nobody has {mac:?}"),
    }
}

/// A kernel, a mirror of it, and a worker.
struct Session {
    kernel: Kernel,
    mirror: Mirror,
    cycle: Cycle,
    worker: Subscriber<Snapshot>,
    /// Announcements are being lost.
    losing: bool,
    lost: bool,
    /// A dump on its way: its number and what is left of it.
    dump: Option<(u32, Vec<Event>)>,
}

impl Session {
    fn new() -> Self {
        let interface = |name: &str| InterfaceSetup {
            name: name.into(),
            device: crate::setup::DeviceSetup::Kernel(format!("{name}0").into()),
            mac: Mac::default(),
            mtu: None,
            addresses: vec![],
            offload: TxOffload::default(),
        };
        let interfaces = vec![interface("wan"), interface("lan")];
        let mut dataplane = Dataplane::new().expect("tables");
        let worker = dataplane.publisher.subscribe();
        let mut mirror = Mirror::new(interfaces, 7);
        let cycle = Cycle::new(dataplane, Arc::default());
        mirror.resync.request();
        for tap in TAPS {
            mirror.handle_device(device(tap, true), Origin::Announced);
        }
        Self {
            kernel: Kernel::default(),
            mirror,
            cycle,
            worker,
            losing: false,
            lost: false,
            dump: None,
        }
    }

    /// A device loses its carrier or gets it back, and its tap follows.
    fn set_carrier(&mut self, tap: KernelIndex, carrier: bool) {
        self.mirror.handle_device(device(tap, carrier), Origin::Announced);
        let events = self.kernel.set_carrier(tap, carrier);
        self.announce(events);
    }

    /// One where all that is there is known.
    fn settled() -> Self {
        let mut session = Self::new();
        session.settle();
        session
    }

    /// What the kernel says of a change.
    fn announce(&mut self, events: Vec<Event>) {
        if self.losing {
            self.lost |= !events.is_empty();
            return;
        }
        for event in events {
            self.mirror.handle(event, Origin::Announced);
        }
    }

    /// Announcements are lost from now on, or no longer; the mirror hears of it afterwards.
    fn lose(&mut self, losing: bool) {
        self.losing = losing;
        if !losing && std::mem::take(&mut self.lost) {
            self.mirror.resync.request();
        }
    }

    /// Reads some lines of the dump that is on its way, or asks for one. The dump was made when it
    /// was asked for: its last lines are as old as its first.
    fn read_dump(&mut self, lines: usize) -> bool {
        if self.dump.is_none()
            && let Some((dump, sequence)) = self.mirror.next_dump()
        {
            self.dump = Some((sequence, self.kernel.dump(dump)));
        }
        let Some((sequence, rest)) = &mut self.dump else { return false };
        let sequence = *sequence;
        for event in rest.drain(..lines.min(rest.len())) {
            self.mirror.handle(event, Origin::Dumped);
        }
        if rest.is_empty() {
            self.dump = None;
            self.mirror.end_dump(sequence, false);
        }
        true
    }

    /// Until nothing is left to do.
    fn settle(&mut self) {
        self.lose(false);
        for _ in 0..10_000 {
            let reading = self.read_dump(usize::MAX);
            self.worker.refresh();
            if self.cycle.turn(&mut self.mirror) == Next::Idle && !reading {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    fn lookup(&self, address: IpAddr) -> NextHopId {
        let vrf = &self.worker.current().vrfs[0];
        match address {
            IpAddr::V4(address) => vrf.fib4.lookup(address.into()),
            IpAddr::V6(address) => vrf.fib6.lookup(address.into()),
        }
    }

    /// What the worker does with a packet to this address.
    fn answer(&self, address: IpAddr) -> Answer {
        let hops = &self.worker.current().next_hops;
        let next_hop = hops.get(self.lookup(address));
        let forward = |next_hops: Vec<NextHop>| {
            let ways: Option<BTreeSet<_>> = next_hops.iter().map(way).collect();
            ways.map_or(Answer::Broken(next_hop), Answer::Forward)
        };
        match next_hop {
            NextHop::NoRoute => Answer::NoRoute,
            NextHop::Local => Answer::Local,
            NextHop::Broadcast { interface } => Answer::Broadcast(interface),
            NextHop::Multicast => Answer::Multicast,
            NextHop::Martian => Answer::Martian,
            NextHop::Blackhole => Answer::Blackhole,
            NextHop::Unreachable => Answer::Unreachable,
            NextHop::Prohibit => Answer::Prohibit,
            NextHop::Forward(_) | NextHop::Attached { .. } | NextHop::Unresolved { .. } => {
                forward(vec![next_hop])
            }
            NextHop::Group { first, mask } => {
                let ids = (0..=mask).map(|hash| hops.member(first, mask, hash));
                forward(ids.map(|id| hops.get(id)).collect())
            }
            NextHop::Vacant => Answer::Broken(next_hop),
        }
    }

    /// No worker, however slow, ever finds a route without its next hop.
    fn check_worker(&self) {
        for address in kernel::addresses() {
            let answer = self.answer(address);
            assert!(!matches!(answer, Answer::Broken(_)), "{address}: {answer:?}");
        }
    }

    /// The worker does what the kernel would.
    fn check_same(&self) {
        for address in kernel::addresses() {
            let (kernel, worker) = (self.kernel.answer(address), self.answer(address));
            assert_eq!(worker, kernel, "{address}\n{:#?}", self.kernel);
        }
        for (interface, address) in self.kernel.known_neighbors() {
            let id = self.worker.current().neighbors.get(interface, address);
            let next_hop = self.worker.current().next_hops.get(id.unwrap_or_default());
            assert_eq!(way(&next_hop), Some((interface, Some(address))), "{next_hop:?}");
        }
    }
}

fn way(next_hop: &NextHop) -> Option<(IfIndex, Option<IpAddr>)> {
    match next_hop {
        NextHop::Forward(to) => Some((to.interface, Some(address_of(&to.macs[..6])))),
        NextHop::Attached { interface } => Some((*interface, None)),
        NextHop::Unresolved { interface, gateway } => Some((*interface, Some(*gateway))),
        _ => None,
    }
}
