//! Writing the FIBs: one change at a time, or many at once where that is faster.

use ipnet::{Ipv4Net, Ipv6Net};
use portcullis_packet::NextHopId;
use portcullis_tables::{FibError, FibWriter4, FibWriter6};

use crate::next_hops::NextHopStore;
use crate::rib::{Change, Net, Rib};

/// A table that can be written.
pub(crate) trait Fib {
    /// Its prefixes.
    type Net: Net;

    /// So many changes are better written at once, at least.
    const BULK: usize;

    fn insert(&mut self, net: Self::Net, next_hop: NextHopId) -> Result<(), FibError>;
    fn remove(&mut self, net: Self::Net) -> Result<(), FibError>;
    fn load(&mut self, routes: Vec<(Self::Net, NextHopId)>) -> Result<(), FibError>;
    fn len(&self) -> usize;
}

macro_rules! fib {
    ($writer:ty, $net:ty, $bulk:literal) => {
        impl Fib for $writer {
            type Net = $net;
            const BULK: usize = $bulk;

            fn insert(&mut self, net: $net, next_hop: NextHopId) -> Result<(), FibError> {
                self.insert(net, next_hop).map(|_| ())
            }

            fn remove(&mut self, net: $net) -> Result<(), FibError> {
                self.remove(&net).map(|_| ())
            }

            fn load(&mut self, routes: Vec<($net, NextHopId)>) -> Result<(), FibError> {
                self.load(routes)
            }

            fn len(&self) -> usize {
                self.len()
            }
        }
    };
}

// A change of the IPv6 trie copies a path of it; one of the IPv4 table is a few stores, and a new
// IPv4 table means tens of megabytes of fresh pages.
fib!(FibWriter4, Ipv4Net, 65_536);
fib!(FibWriter6, Ipv6Net, 8_192);

/// Whether these changes are better written by [`write_bulk`].
pub(crate) fn is_bulk<F: Fib>(fib: &F, changes: &[Change<F::Net>]) -> bool {
    changes.len() >= F::BULK && changes.len() > fib.len() / 4
}

/// Writes changes one by one. The FIB takes over their references to next hops, and gives up those
/// that it had. Returns how many were refused, and the last reason.
pub(crate) fn write<F: Fib>(
    fib: &mut F,
    rib: &mut Rib<F::Net>,
    store: &mut NextHopStore,
    changes: &[Change<F::Net>],
) -> Option<(usize, FibError)> {
    let mut refused = None;
    for change in changes {
        let Err(error) = write_one(fib, rib, store, *change) else { continue };
        let count = refused.map_or(0, |(count, _)| count);
        refused = Some((count + 1, error));
    }
    refused
}

/// The same for very many changes.
pub(crate) fn write_bulk<F: Fib>(
    fib: &mut F,
    rib: &mut Rib<F::Net>,
    store: &mut NextHopStore,
    changes: &[Change<F::Net>],
) -> Option<(usize, FibError)> {
    let (inserts, removals): (Vec<_>, Vec<_>) =
        changes.iter().partition(|change| change.next_hop.is_some());
    let refused = write(fib, rib, store, &removals);
    let routes = inserts.iter().filter_map(|change| Some((change.prefix, change.next_hop?)));
    if fib.load(routes.collect()).is_err() {
        // Some of them may fit.
        return write(fib, rib, store, &inserts).or(refused);
    }
    for change in inserts {
        store.release(rib.set_installed(change));
    }
    refused
}

fn write_one<F: Fib>(
    fib: &mut F,
    rib: &mut Rib<F::Net>,
    store: &mut NextHopStore,
    change: Change<F::Net>,
) -> Result<(), FibError> {
    let written = match change.next_hop {
        Some(next_hop) => fib.insert(change.prefix, next_hop),
        None => fib.remove(change.prefix),
    };
    let Err(error) = written else {
        store.release(rib.set_installed(change));
        return Ok(());
    };
    // Better no route than one that leads where it no longer should. If not even that can be
    // written, what stands there keeps its next hop.
    if let Some(next_hop) = change.next_hop {
        store.release(next_hop);
    }
    match fib.remove(change.prefix) {
        Ok(()) => store.release(rib.set_refused(change.prefix, Some(NextHopId::NO_ROUTE))),
        Err(_) => store.release(rib.set_refused(change.prefix, None)),
    }
    Err(error)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::event::{Placement, Protocol, Table, Target};
    use crate::next_hops::Constant;
    use crate::rib::{Given, Resolution, Spec, Specs};

    /// A table with room for two prefixes, of which one can't be removed.
    #[derive(Default)]
    struct Small(BTreeMap<Ipv4Net, NextHopId>);

    impl Fib for Small {
        type Net = Ipv4Net;
        const BULK: usize = 3;

        fn insert(&mut self, net: Ipv4Net, next_hop: NextHopId) -> Result<(), FibError> {
            if self.0.len() == 2 && !self.0.contains_key(&net) {
                return Err(FibError::TooLarge);
            }
            self.0.insert(net, next_hop);
            Ok(())
        }

        fn remove(&mut self, net: Ipv4Net) -> Result<(), FibError> {
            self.0.remove(&net);
            Ok(())
        }

        fn load(&mut self, routes: Vec<(Ipv4Net, NextHopId)>) -> Result<(), FibError> {
            let fits = routes.len() + self.0.len() <= 2;
            fits.then(|| self.0.extend(routes)).ok_or(FibError::TooLarge)
        }

        fn len(&self) -> usize {
            self.0.len()
        }
    }

    #[derive(Default)]
    struct All {
        fib: Small,
        rib: Rib<Ipv4Net>,
        specs: Specs,
        store: NextHopStore,
    }

    impl All {
        fn net(number: u8) -> Ipv4Net {
            Ipv4Net::new_assert([10, number, 0, 0].into(), 16)
        }

        fn given() -> Given {
            let spec = Spec { target: Target::Blackhole, mtu: None };
            Given { table: Table::Main, metric: 0, protocol: Protocol(4), spec }
        }

        fn add(&mut self, number: u8) {
            let (net, given) = (Self::net(number), Self::given());
            self.rib.add(net, given, Placement::First, &mut self.specs);
        }

        fn changes(&mut self) -> Vec<Change<Ipv4Net>> {
            let id = Constant::Blackhole.id();
            let changes = self.rib.compile(NextHopId(9), |_| Resolution::Usable(id));
            changes.iter().filter(|c| c.next_hop.is_some()).for_each(|_| self.store.retain(id));
            changes
        }

        fn write(&mut self, changes: &[Change<Ipv4Net>]) -> Option<(usize, FibError)> {
            if is_bulk(&self.fib, changes) {
                write_bulk(&mut self.fib, &mut self.rib, &mut self.store, changes)
            } else {
                write(&mut self.fib, &mut self.rib, &mut self.store, changes)
            }
        }
    }

    #[test]
    fn a_refused_route_is_counted_and_tried_again_when_there_is_room() {
        let mut all = All::default();
        (1..=3).for_each(|number| all.add(number));
        let changes = all.changes();
        assert!(is_bulk(&all.fib, &changes));
        assert_eq!(all.write(&changes), Some((1, FibError::TooLarge)));
        assert_eq!(all.fib.len(), 2, "those that fit are in");
        assert_eq!(all.changes(), [], "it is not tried for every change");

        let held = All::net(1);
        assert!(all.rib.remove(held, &All::given(), &mut all.specs));
        all.rib.retry_refused();
        let changes = all.changes();
        assert_eq!(all.write(&changes), None);
        assert_eq!(all.fib.0.keys().copied().collect::<Vec<_>>(), [All::net(2), All::net(3)]);
    }
}
