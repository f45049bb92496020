//! The forwarding tables against a list of prefixes that is searched from end to end.

use std::fmt::Debug;

use ipnet::{Ipv4Net, Ipv6Net};
use portcullis_packet::{Epoch, NextHopId};
use portcullis_tables::{FibError, FibWriter4, FibWriter6};
use proptest::prelude::*;

/// What the two families' tables have in common.
trait Table: Sized {
    type Net: Copy + Debug + PartialEq;
    type Addr: Copy + Debug;

    const BITS: u8;

    fn empty() -> Self;
    fn net(addr: u128, len: u8) -> Self::Net;
    fn addr(bits: u128) -> Self::Addr;
    fn insert(&mut self, net: Self::Net, hop: NextHopId) -> Result<Option<NextHopId>, FibError>;
    fn remove(&mut self, net: &Self::Net) -> Result<Option<NextHopId>, FibError>;
    fn load(&mut self, routes: &[(Self::Net, NextHopId)]) -> Result<(), FibError>;
    fn answers(&self, addrs: &[Self::Addr]) -> Vec<NextHopId>;
    fn answer(&self, addr: Self::Addr) -> NextHopId;
    fn routes(&self) -> usize;
    fn retire_and_reclaim(&mut self, epoch: Epoch);
}

macro_rules! table {
    ($writer:ty, $net:ty, $addr:ty, $ip:ty, $bits:expr) => {
        impl Table for $writer {
            type Net = $net;
            type Addr = $addr;
            const BITS: u8 = $bits;

            fn empty() -> Self {
                Self::new().expect("memory")
            }
            fn net(addr: u128, len: u8) -> $net {
                let addr: $ip = Self::addr(addr).into();
                <$net>::new(addr, len).expect("a length in range").trunc()
            }
            fn addr(bits: u128) -> $addr {
                (bits >> (128 - u32::from($bits as u8))) as $addr
            }
            fn insert(&mut self, net: $net, hop: NextHopId) -> Result<Option<NextHopId>, FibError> {
                self.insert(net, hop)
            }
            fn remove(&mut self, net: &$net) -> Result<Option<NextHopId>, FibError> {
                self.remove(net)
            }
            fn load(&mut self, routes: &[($net, NextHopId)]) -> Result<(), FibError> {
                self.load(routes.iter().copied())
            }
            fn answers(&self, addrs: &[$addr]) -> Vec<NextHopId> {
                let mut out = vec![NextHopId(u32::MAX); addrs.len()];
                self.reader().lookup_batch(addrs, &mut out);
                out
            }
            fn answer(&self, addr: $addr) -> NextHopId {
                let exact = self.lookup(addr.into()).map_or(NextHopId::NO_ROUTE, |(_, hop)| hop);
                assert_eq!(self.reader().lookup(addr), exact, "{addr:#x}: table and routes differ");
                exact
            }
            fn routes(&self) -> usize {
                self.len()
            }
            fn retire_and_reclaim(&mut self, epoch: Epoch) {
                self.retire(epoch);
                self.reclaim(epoch);
            }
        }
    };
}

table!(FibWriter4, Ipv4Net, u32, std::net::Ipv4Addr, 32);
table!(FibWriter6, Ipv6Net, u128, std::net::Ipv6Addr, 128);

/// An IPv4 table with so many other routes in it, in 200.0.0.0/8 where the tests never look, that
/// it is of the kind for large tables: with narrow entries, or `WIDE` ones.
struct Large<const WIDE: bool>(FibWriter4);

impl<const WIDE: bool> Large<WIDE> {
    const OTHERS: u32 = 20_000;
}

impl<const WIDE: bool> Table for Large<WIDE> {
    type Net = Ipv4Net;
    type Addr = u32;
    const BITS: u8 = 32;

    fn empty() -> Self {
        let mut table = FibWriter4::empty();
        let hop = NextHopId(if WIDE { 1 << 15 } else { 1 });
        let others = (0..Self::OTHERS).map(|n| {
            let addr = 200 << 24 | n << 8;
            (Ipv4Net::new(addr.into(), 24).expect("24 of 32 bits"), hop)
        });
        table.load(others).expect("memory");
        Self(table)
    }
    fn net(addr: u128, len: u8) -> Ipv4Net {
        FibWriter4::net(addr, len)
    }
    fn addr(bits: u128) -> u32 {
        FibWriter4::addr(bits)
    }
    fn insert(&mut self, net: Ipv4Net, hop: NextHopId) -> Result<Option<NextHopId>, FibError> {
        self.0.insert(net, hop)
    }
    fn remove(&mut self, net: &Ipv4Net) -> Result<Option<NextHopId>, FibError> {
        self.0.remove(net)
    }
    fn load(&mut self, routes: &[(Ipv4Net, NextHopId)]) -> Result<(), FibError> {
        Table::load(&mut self.0, routes)
    }
    fn answers(&self, addrs: &[u32]) -> Vec<NextHopId> {
        self.0.answers(addrs)
    }
    fn answer(&self, addr: u32) -> NextHopId {
        self.0.answer(addr)
    }
    fn routes(&self) -> usize {
        self.0.routes() - Self::OTHERS as usize
    }
    fn retire_and_reclaim(&mut self, epoch: Epoch) {
        self.0.retire_and_reclaim(epoch);
    }
}

/// The list. Addresses are left-aligned in 128 bits.
#[derive(Default)]
struct Model(Vec<(u128, u8, NextHopId)>);

fn mask(len: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0)
}

impl Model {
    fn set(&mut self, addr: u128, len: u8, hop: Option<NextHopId>) -> Option<NextHopId> {
        let addr = addr & mask(len);
        let at = self.0.iter().position(|(a, l, _)| (*a, *l) == (addr, len));
        let before = at.map(|at| self.0.swap_remove(at).2);
        self.0.extend(hop.map(|hop| (addr, len, hop)));
        before
    }

    fn lookup(&self, addr: u128) -> NextHopId {
        let covers = self.0.iter().filter(|(net, len, _)| addr & mask(*len) == *net);
        covers.max_by_key(|(_, len, _)| *len).map_or(NextHopId::NO_ROUTE, |(_, _, hop)| *hop)
    }

    /// The first and the last address of each prefix, and their neighbours.
    fn edges(&self) -> Vec<u128> {
        self.0
            .iter()
            .flat_map(|(net, len, _)| {
                let last = net | !mask(*len);
                [*net, last, net.wrapping_sub(1), last.wrapping_add(1)]
            })
            .collect()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert { addr: u128, len: u8, hop: u32 },
    Remove { pick: prop::sample::Index },
    Change { pick: prop::sample::Index, hop: u32 },
    Load { routes: Vec<(u128, u8, u32)> },
    Reuse,
}

/// Few different bits, so that prefixes nest and meet.
fn address() -> impl Strategy<Value = u128> + Clone {
    prop::collection::vec(prop::sample::select(vec![0u8, 0x01, 0x80, 0xff, 0x5a]), 16)
        .prop_map(|bytes| bytes.try_into().map_or(0, u128::from_be_bytes))
}

fn step(bits: u8) -> impl Strategy<Value = Step> {
    let hop = 1u32..6;
    // Around the ends of strides, and at both ends of the scale.
    let edge =
        prop::sample::select(vec![0, 1, 7, 8, 15, 16, 17, 18, 19, 23, 24, 25, 26, 30, 31, 32]);
    let len = prop_oneof![edge, 0..=bits, Just(bits)];
    let route = (address(), len, hop.clone()).boxed();
    prop_oneof![
        8 => route.clone().prop_map(|(addr, len, hop)| Step::Insert { addr, len, hop }),
        4 => any::<prop::sample::Index>().prop_map(|pick| Step::Remove { pick }),
        2 => (any::<prop::sample::Index>(), hop).prop_map(|(pick, hop)| Step::Change { pick, hop }),
        1 => prop::collection::vec(route, 0..40).prop_map(|routes| Step::Load { routes }),
        3 => Just(Step::Reuse),
    ]
}

fn follow<T: Table>(steps: &[Step], probes: &[u128]) {
    let (mut table, mut model, mut epoch) = (T::empty(), Model::default(), 0);
    for step in steps {
        match step {
            Step::Insert { addr, len, hop } => {
                let hop = NextHopId(*hop);
                let before = model.set(*addr, *len, Some(hop));
                assert_eq!(table.insert(T::net(*addr, *len), hop), Ok(before));
            }
            Step::Remove { pick } if !model.0.is_empty() => {
                let (addr, len, hop) = *pick.get(&model.0);
                model.set(addr, len, None);
                assert_eq!(table.remove(&T::net(addr, len)), Ok(Some(hop)));
                assert_eq!(table.remove(&T::net(addr, len)), Ok(None));
            }
            Step::Change { pick, hop } if !model.0.is_empty() => {
                let (addr, len, before) = *pick.get(&model.0);
                model.set(addr, len, Some(NextHopId(*hop)));
                assert_eq!(table.insert(T::net(addr, len), NextHopId(*hop)), Ok(Some(before)));
            }
            Step::Remove { .. } | Step::Change { .. } => {}
            Step::Load { routes } => {
                for (addr, len, hop) in routes {
                    model.set(*addr, *len, Some(NextHopId(*hop)));
                }
                let routes: Vec<_> = routes
                    .iter()
                    .map(|(addr, len, hop)| (T::net(*addr, *len), NextHopId(*hop)))
                    .collect();
                assert_eq!(table.load(&routes), Ok(()));
            }
            Step::Reuse => {
                epoch += 1;
                table.retire_and_reclaim(Epoch(epoch));
            }
        }
        assert_eq!(table.routes(), model.0.len());
        let mut addrs = model.edges();
        addrs.extend(probes);
        // The model has 128 bits; what the table cannot tell apart the model must not.
        for addr in &mut addrs {
            *addr &= mask(T::BITS);
        }
        let keys: Vec<T::Addr> = addrs.iter().map(|addr| T::addr(*addr)).collect();
        let answers = table.answers(&keys);
        for ((addr, key), answer) in addrs.iter().zip(&keys).zip(answers) {
            assert_eq!(answer, model.lookup(*addr), "{key:x?} after {step:?}");
            assert_eq!(table.answer(*key), answer, "{key:x?} after {step:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn an_ipv4_table_answers_as_a_list_of_its_prefixes_does(
        steps in prop::collection::vec(step(32), 1..80),
        probes in prop::collection::vec(address(), 20),
    ) {
        follow::<FibWriter4>(&steps, &probes);
    }

    #[test]
    fn an_ipv6_table_answers_as_a_list_of_its_prefixes_does(
        steps in prop::collection::vec(step(128), 1..80),
        probes in prop::collection::vec(address(), 20),
    ) {
        follow::<FibWriter6>(&steps, &probes);
    }
}

proptest! {
    // Each case builds tables of 16 million entries.
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_large_ipv4_table_answers_as_a_list_of_its_prefixes_does(
        steps in prop::collection::vec(step(32), 1..80),
        probes in prop::collection::vec(address(), 20),
    ) {
        follow::<Large<false>>(&steps, &probes);
    }

    #[test]
    fn a_large_ipv4_table_with_wide_entries_answers_as_a_list_of_its_prefixes_does(
        steps in prop::collection::vec(step(32), 1..80),
        probes in prop::collection::vec(address(), 20),
    ) {
        follow::<Large<true>>(&steps, &probes);
    }
}

#[test]
fn a_route_without_a_next_hop_or_with_too_large_a_one_is_refused_and_changes_nothing() {
    let mut table = FibWriter4::empty();
    let net = FibWriter4::net(10 << 120, 8);
    assert_eq!(table.insert(net, NextHopId(7)), Ok(None));
    assert_eq!(table.insert(net, NextHopId::NO_ROUTE), Err(FibError::NoNextHop));
    let large = NextHopId(1 << 31);
    assert_eq!(table.insert(net, large), Err(FibError::NextHopTooLarge(large)));
    let more = FibWriter4::net(11 << 120, 8);
    let refused = Table::load(&mut table, &[(more, NextHopId(1)), (net, large)]);
    assert_eq!(refused, Err(FibError::NextHopTooLarge(large)));
    assert_eq!((table.routes(), table.answer(10 << 24)), (1, NextHopId(7)));
}
