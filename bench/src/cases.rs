//! What is measured: tables, and the destinations of the packets.

use std::net::Ipv4Addr;
use std::sync::Arc;

use ipnet::{Ipv4Net, Ipv6Net};
use portcullis_packet::{IfIndex, Mac, NextHopId, TxOffload, VrfId};
use portcullis_routing::{Adjacency, Interface, NextHop, NextHops, Snapshot, UsedMarks, Vrf};
use portcullis_tables::lpm::{FibWriter4, FibWriter6};
use portcullis_tables::neighbors::NeighborTable;
use portcullis_wire::Tuple;

use crate::rng::Rng;
use crate::{policy, routes};

/// One line of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Case {
    Ip4One,
    Ip4TwentyThousand,
    Ip4Million,
    Ip6One,
    Ip6QuarterMillion,
    /// A stateful firewall with so many established flows.
    Firewall(Flows),
    /// The same with every flow masqueraded.
    Nat(Flows),
}

/// How many flows there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flows {
    One,
    TenThousand,
    Million,
}

impl Flows {
    pub(crate) const fn count(self) -> usize {
        match self {
            Self::One => 1,
            Self::TenThousand => 10_000,
            Self::Million => 1_000_000,
        }
    }
}

/// How many next hops the routes are spread over.
const NEXT_HOPS: u32 = 256;

/// How many different destinations there are; the generator goes round.
const DESTINATIONS: usize = 1 << 20;

/// Where packets go.
pub(crate) enum Destinations {
    Ip4(Vec<u32>),
    Ip6(Vec<u128>),
    Flows(Vec<Tuple<u32>>),
}

impl Destinations {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Ip4(all) => all.len(),
            Self::Ip6(all) => all.len(),
            Self::Flows(all) => all.len(),
        }
    }
}

impl Case {
    pub(crate) const ALL: [Self; 11] = [
        Self::Ip4One,
        Self::Ip4TwentyThousand,
        Self::Ip4Million,
        Self::Ip6One,
        Self::Ip6QuarterMillion,
        Self::Firewall(Flows::One),
        Self::Firewall(Flows::TenThousand),
        Self::Firewall(Flows::Million),
        Self::Nat(Flows::One),
        Self::Nat(Flows::TenThousand),
        Self::Nat(Flows::Million),
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ip4One => "ip4-1",
            Self::Ip4TwentyThousand => "ip4-20k",
            Self::Ip4Million => "ip4-1m",
            Self::Ip6One => "ip6-1",
            Self::Ip6QuarterMillion => "ip6-250k",
            Self::Firewall(Flows::One) => "firewall-1",
            Self::Firewall(Flows::TenThousand) => "firewall-10k",
            Self::Firewall(Flows::Million) => "firewall-1m",
            Self::Nat(Flows::One) => "nat-1",
            Self::Nat(Flows::TenThousand) => "nat-10k",
            Self::Nat(Flows::Million) => "nat-1m",
        }
    }

    /// How many flows the gateway remembers; none if it is stateless.
    pub(crate) fn flows(self) -> Option<usize> {
        match self {
            Self::Firewall(flows) | Self::Nat(flows) => Some(flows.count()),
            _ => None,
        }
    }

    pub(crate) fn named(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|c| c.name() == name).ok_or(format!("no case {name}"))
    }

    pub(crate) fn routes(self) -> usize {
        match self {
            Self::Ip4One | Self::Ip6One | Self::Firewall(_) | Self::Nat(_) => 1,
            Self::Ip4TwentyThousand => 20_000,
            Self::Ip4Million => 1_000_000,
            Self::Ip6QuarterMillion => 250_000,
        }
    }

    /// The tables, and random hosts in random prefixes of them.
    pub(crate) fn build(self) -> (Snapshot, Destinations) {
        let mut rng = Rng::new(0x5eed + self.routes() as u64);
        let mut fib4 = FibWriter4::new().expect("an empty table");
        let mut fib6 = FibWriter6::new().expect("an empty table");
        let hop = |at: usize| NextHopId(1 + at as u32 % NEXT_HOPS);
        let destinations = match self {
            Self::Ip4One | Self::Ip4TwentyThousand | Self::Ip4Million => {
                let nets = match self {
                    Self::Ip4One => vec![Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 8)],
                    _ => routes::ipv4(self.routes(), &mut rng),
                };
                fib4.load(nets.iter().enumerate().map(|(at, &net)| (net, hop(at))))
                    .expect("the table takes them");
                let pick = |_| routes::host4(nets[rng.below(nets.len())], &mut rng);
                Destinations::Ip4((0..DESTINATIONS).map(pick).collect())
            }
            Self::Ip6One | Self::Ip6QuarterMillion => {
                let nets = match self {
                    Self::Ip6One => vec!["2001:db8::/32".parse::<Ipv6Net>().expect("a prefix")],
                    _ => routes::ipv6(self.routes(), &mut rng),
                };
                fib6.load(nets.iter().enumerate().map(|(at, &net)| (net, hop(at))))
                    .expect("the table takes them");
                let pick = |_| routes::host6(nets[rng.below(nets.len())], &mut rng);
                Destinations::Ip6((0..DESTINATIONS).map(pick).collect())
            }
            Self::Firewall(flows) | Self::Nat(flows) => {
                let net = Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 8);
                fib4.load([(net, hop(0))]).expect("the table takes them");
                Destinations::Flows(policy::tuples(flows.count(), &mut rng))
            }
        };
        let interfaces = vec![interface("in", 1), interface("out", 2)];
        let out = IfIndex(1);
        let mut hops = vec![NextHop::NoRoute];
        hops.extend((1..=NEXT_HOPS).map(|n| {
            let neighbor = Mac([2, 0, 0, 1, (n >> 8) as u8, n as u8]);
            NextHop::Forward(Adjacency::new(out, 1500, neighbor, interfaces[1].mac))
        }));
        let used = UsedMarks::new(hops.len());
        let snapshot = Snapshot {
            vrfs: vec![Vrf { fib4: fib4.reader(), fib6: fib6.reader() }],
            next_hops: NextHops::new(hops, vec![], used),
            neighbors: NeighborTable::new(0),
            interfaces,
            hash_seed: 0,
            policy: Arc::new(policy::policy(self)),
        };
        (snapshot, destinations)
    }
}

fn interface(name: &str, number: u8) -> Interface {
    Interface {
        name: name.into(),
        mac: Mac([2, 0, 0, 0, 0, number]),
        mtu: 1500,
        vrf: VrfId::DEFAULT,
        admin_up: true,
        carrier: true,
        addresses4: vec![],
        addresses6: vec![],
        offload: TxOffload::NONE,
    }
}
