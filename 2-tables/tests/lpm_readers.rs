//! Tables that are read while they change.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use ipnet::{Ipv4Net, Ipv6Net};
use portcullis_packet::NextHopId;
use portcullis_tables::{FibWriter4, FibWriter6, Publisher};

const READERS: u64 = 2;

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In the lower half, close together, so that they nest and share nodes.
    fn net4(&mut self) -> Ipv4Net {
        let len = [8, 12, 16, 18, 20, 22, 24, 24, 26, 28, 30, 32][self.next() as usize % 12];
        let addr = self.next() as u32 & 0x0303_03ff;
        Ipv4Net::new(addr.into(), len).expect("up to 32").trunc()
    }

    fn net6(&mut self) -> Ipv6Net {
        let len = [16, 29, 32, 36, 40, 44, 48, 48, 48, 64, 128][self.next() as usize % 11];
        let addr = u128::from(self.next() % 4) << 99 | u128::from(self.next() % 64) << 80;
        Ipv6Net::new(addr.into(), len).expect("up to 128").trunc()
    }
}

/// What covers all that the tests look up.
const COVER: NextHopId = NextHopId(1);

/// The next hops of route `n` of the tests, which no other route ever has.
fn hops(n: usize) -> [NextHopId; 2] {
    [NextHopId(10 + 2 * n as u32), NextHopId(11 + 2 * n as u32)]
}

fn route_of(hop: NextHopId) -> Option<usize> {
    hop.0.checked_sub(10).map(|n| n as usize / 2)
}

/// Readers look up addresses over and over while the routes to them come, go and change; memory is
/// reused as soon as the readers allow it, so that whoever follows an old link ends up in another
/// route's memory. An answer must be the cover's, or one of a route that has the address in it.
macro_rules! flip_under_readers {
    ($writer:ty, $net:ty, $random_net:ident, $addr:ty, $ip:ty, $others:expr, $cover:expr) => {{
        let mut random = Random(3);
        let mut table = <$writer>::new().expect("memory");
        table.load($others).expect("memory");
        let cover: $net = $cover.parse().expect("a prefix");
        table.insert(cover, COVER).expect("room");
        let routes: Vec<$net> = (0..300).map(|_| random.$random_net()).collect();
        let addrs: Vec<$addr> = routes.iter().map(|net| net.network().into()).collect();
        let mut publisher = Publisher::new(table.reader());
        let (stop, rounds) = (AtomicBool::new(false), AtomicU64::new(0));
        thread::scope(|scope| {
            for _ in 0..READERS {
                let mut subscriber = publisher.subscribe();
                let (routes, addrs, stop, rounds) = (&routes, &addrs, &stop, &rounds);
                scope.spawn(move || {
                    let check = |addr: $addr, hop: NextHopId| {
                        let right = hop == COVER
                            || route_of(hop)
                                .and_then(|n| routes.get(n))
                                .is_some_and(|net| net.contains(&<$ip>::from(addr)));
                        if !right {
                            stop.store(true, Ordering::Relaxed);
                        }
                        assert!(right, "{addr:#x} -> {hop:?}");
                    };
                    let mut out = vec![NextHopId::NO_ROUTE; addrs.len()];
                    while !stop.load(Ordering::Relaxed) {
                        subscriber.refresh();
                        let table = subscriber.current();
                        table.lookup_batch(addrs, &mut out);
                        for (addr, hop) in addrs.iter().zip(&out) {
                            check(*addr, *hop);
                            check(*addr, table.lookup(*addr));
                        }
                        if rounds.fetch_add(1, Ordering::Relaxed) % 64 == 0 {
                            subscriber.park();
                            thread::yield_now();
                            subscriber.unpark();
                        }
                    }
                });
            }
            let mut rebuilds = table.rebuilds();
            while rounds.load(Ordering::Relaxed) < 4000 && !stop.load(Ordering::Relaxed) {
                for _ in 0..8 {
                    let n = random.next() as usize % routes.len();
                    match random.next() % 3 {
                        0 => table.remove(&routes[n]),
                        one_or_two => table.insert(routes[n], hops(n)[one_or_two as usize - 1]),
                    }
                    .expect("room");
                }
                let epoch = if table.rebuilds() == rebuilds {
                    publisher.advance()
                } else {
                    rebuilds = table.rebuilds();
                    publisher.publish(table.reader())
                };
                table.retire(epoch);
                table.reclaim(publisher.seen_by_all());
                publisher.collect();
            }
            stop.store(true, Ordering::Relaxed);
        });
    }};
}

#[test]
fn readers_of_a_small_ipv4_table_see_answers_of_the_address_they_asked_for() {
    flip_under_readers!(FibWriter4, Ipv4Net, net4, u32, Ipv4Addr, None, "0.0.0.0/1");
}

#[test]
fn readers_of_a_large_ipv4_table_see_answers_of_the_address_they_asked_for() {
    let others = (0..20_000_u32)
        .map(|n| (Ipv4Net::new((200 << 24 | n << 8).into(), 24).expect("24 of 32 bits"), COVER));
    flip_under_readers!(FibWriter4, Ipv4Net, net4, u32, Ipv4Addr, others, "0.0.0.0/1");
}

#[test]
fn readers_of_an_ipv6_table_see_answers_of_the_address_they_asked_for() {
    flip_under_readers!(FibWriter6, Ipv6Net, net6, u128, Ipv6Addr, None, "::/1");
}
