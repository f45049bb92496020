//! A worker with tables: two interfaces, a host's worth of routes, and whatever a test adds.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use portcullis_packet::{DropReason, IfIndex, Instant, Mac, NextHopId, Packet, TxOffload, VrfId};
use portcullis_pipeline::{Outbox, Worker, WorkerCounters, WorkerLimits};
use portcullis_routing::{Adjacency, Interface, NextHop, NextHops, Snapshot, UsedMarks, Vrf};
use portcullis_tables::{FibWriter4, FibWriter6, NeighborTable};

/// The interface towards host A: 10.0.0.1/24, 2001:db8:1::1/64.
pub(crate) const LAN: IfIndex = IfIndex(0);
/// The interface towards host B: 192.0.2.1/24, 2001:db8:2::1/64.
pub(crate) const WAN: IfIndex = IfIndex(1);

pub(crate) const LAN_MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
pub(crate) const WAN_MAC: Mac = Mac([2, 0, 0, 0, 0, 2]);

/// A gateway without threads, drivers and kernel.
pub(crate) struct Gateway {
    pub(crate) worker: Worker,
    pub(crate) counters: Arc<WorkerCounters>,
    pub(crate) snapshot: Snapshot,
    pub(crate) outbox: Outbox,
    fib4: FibWriter4,
    fib6: FibWriter6,
    next_hops: Vec<NextHop>,
    buckets: Vec<NextHopId>,
}

impl Gateway {
    /// Both interfaces up, with their addresses, connected networks, and what every Linux has of
    /// routes to itself; no neighbour is known.
    pub(crate) fn new() -> Self {
        Self::with_limits(WorkerLimits::default())
    }

    pub(crate) fn with_limits(limits: WorkerLimits) -> Self {
        let counters = Arc::new(WorkerCounters::default());
        let fib4 = FibWriter4::new().expect("memory for a table");
        let fib6 = FibWriter6::new().expect("memory for a table");
        let snapshot = Snapshot {
            interfaces: vec![
                interface("lan", LAN_MAC, "10.0.0.1/24", "2001:db8:1::1/64"),
                interface("wan", WAN_MAC, "192.0.2.1/24", "2001:db8:2::1/64"),
            ],
            vrfs: vec![Vrf { fib4: fib4.reader(), fib6: fib6.reader() }],
            next_hops: NextHops::new(vec![], vec![], UsedMarks::default()),
            neighbors: NeighborTable::new(1),
            hash_seed: 1,
            policy: Arc::default(),
        };
        let mut gateway = Self {
            worker: Worker::new(Arc::clone(&counters), limits),
            counters,
            snapshot,
            outbox: Outbox::default(),
            fib4,
            fib6,
            next_hops: vec![NextHop::NoRoute],
            buckets: vec![],
        };
        gateway.add_own_routes();
        gateway
    }

    fn add_own_routes(&mut self) {
        for prefix in ["0.0.0.0/8", "127.0.0.0/8", "240.0.0.0/4", "::/128", "::1/128"] {
            self.route(prefix, NextHop::Martian);
        }
        for prefix in ["224.0.0.0/4", "ff00::/8"] {
            self.route(prefix, NextHop::Multicast);
        }
        for (prefix, interface) in [
            ("10.0.0.0/24", LAN),
            ("192.0.2.0/24", WAN),
            ("2001:db8:1::/64", LAN),
            ("2001:db8:2::/64", WAN),
        ] {
            self.route(prefix, NextHop::Attached { interface });
        }
        for (prefix, interface) in [("10.0.0.255/32", LAN), ("192.0.2.255/32", WAN)] {
            self.route(prefix, NextHop::Broadcast { interface });
        }
        for address in
            ["10.0.0.1/32", "192.0.2.1/32", "2001:db8:1::1/128", "2001:db8:2::1/128", "fe80::/10"]
        {
            self.route(address, NextHop::Local);
        }
    }

    /// Adds a next hop without a route to it.
    pub(crate) fn next_hop(&mut self, hop: NextHop) -> NextHopId {
        self.next_hops.push(hop);
        self.publish();
        NextHopId(u32::try_from(self.next_hops.len() - 1).expect("few next hops"))
    }

    /// Adds a group of these members, as many of them as a power of two.
    pub(crate) fn group(&mut self, members: &[NextHopId]) -> NextHop {
        let first = u32::try_from(self.buckets.len()).expect("few buckets");
        self.buckets.extend(members);
        NextHop::Group { first, mask: u32::try_from(members.len()).expect("few members") - 1 }
    }

    /// Adds a route with a next hop of its own.
    pub(crate) fn route(&mut self, prefix: &str, hop: NextHop) -> NextHopId {
        let id = self.next_hop(hop);
        self.route_to(prefix, id);
        id
    }

    /// Adds a route with this next hop.
    pub(crate) fn route_to(&mut self, prefix: &str, id: NextHopId) {
        match prefix.parse().expect("a prefix") {
            IpNet::V4(net) => self.fib4.insert(net, id).map(drop).expect("room for a route"),
            IpNet::V6(net) => self.fib6.insert(net, id).map(drop).expect("room for a route"),
        }
    }

    /// Learns where an address is.
    pub(crate) fn learn(&mut self, on: IfIndex, address: IpAddr, mac: Mac) -> NextHopId {
        let interface = self.snapshot.interface(on).expect("an interface of ours");
        let adjacency = Adjacency::new(on, interface.mtu, mac, interface.mac);
        let hop = NextHop::Forward(adjacency);
        if let Some(known) = self.snapshot.neighbors.get(on, address) {
            self.next_hops[known.slot()] = hop;
            self.publish();
            return known;
        }
        let id = self.next_hop(hop);
        self.snapshot.neighbors.insert(on, address, id);
        id
    }

    /// Changes an interface.
    pub(crate) fn change(&mut self, index: IfIndex, change: impl FnOnce(&mut Interface)) {
        change(self.snapshot.interfaces.get_mut(index.slot()).expect("an interface of ours"));
    }

    /// Runs a batch through the worker.
    pub(crate) fn process(&mut self, now: Instant, mut batch: Vec<Packet>) -> Vec<Packet> {
        self.worker.process(&self.snapshot, &mut batch, now, &mut self.outbox);
        batch
    }

    /// How many packets were dropped for this reason.
    pub(crate) fn drops(&self, reason: DropReason) -> u64 {
        self.counters.drops.get(reason)
    }

    fn publish(&mut self) {
        let used = UsedMarks::new(self.next_hops.len());
        self.snapshot.next_hops = NextHops::new(self.next_hops.clone(), self.buckets.clone(), used);
    }
}

fn interface(name: &str, mac: Mac, v4: &str, v6: &str) -> Interface {
    let v4: Ipv4Net = v4.parse().expect("a network");
    let v6: Ipv6Net = v6.parse().expect("a network");
    let link_local = Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1), 64);
    Interface {
        name: name.into(),
        mac,
        mtu: 1500,
        vrf: VrfId::DEFAULT,
        admin_up: true,
        carrier: true,
        addresses4: vec![v4],
        addresses6: vec![v6, link_local],
        offload: TxOffload::default(),
    }
}

/// A frame as it comes in by an interface.
pub(crate) fn arrived(on: IfIndex, frame: &[u8]) -> Packet {
    let mut packet = Packet::with_capacity(frame.len().max(1500));
    assert!(packet.set_len(frame.len()));
    packet.data_mut().copy_from_slice(frame);
    packet.meta_mut().rx_if = on;
    packet
}
