//! Speed and size of the forwarding tables: `cargo run --release -p portcullis-tables --example lpm`.
//!
//! Nanoseconds per lookup, tenth percentile and median of many short runs, for destinations drawn from
//! all addresses ("uniform") and from inside the prefixes of the table, each as likely as any other
//! ("inside", the harder of the two: it goes where the table is deep). Arguments choose the tables,
//! by number of routes.
//!
//! With `GLIBC_TUNABLES=glibc.malloc.hugetlb=1` the tables get huge pages.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use ipnet::{Ipv4Net, Ipv6Net};
use portcullis_packet::NextHopId;
use portcullis_tables::{Fib4, Fib6, FibWriter4, FibWriter6};

const NEXT_HOPS: u64 = 256;
const ADDRESSES: usize = 1 << 20;
const SLICE: usize = 1 << 14;
const ROUNDS: usize = 10;

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

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn wide(&mut self) -> u128 {
        u128::from(self.next()) << 64 | u128::from(self.next())
    }

    fn next_hop(&mut self) -> NextHopId {
        NextHopId(1 + self.below(NEXT_HOPS) as u32)
    }
}

/// As many routes with different prefixes.
fn distinct<N: Ord>(
    count: usize,
    mut route: impl FnMut() -> (N, NextHopId),
) -> Vec<(N, NextHopId)> {
    let mut routes = BTreeMap::new();
    while routes.len() < count {
        routes.extend([route()]);
    }
    routes.into_iter().collect()
}

fn routes4(random: &mut Random, count: usize) -> Vec<(Ipv4Net, NextHopId)> {
    distinct(count, || {
        let len = match random.below(100) {
            0..60 => 24,
            60..70 => 22 + random.below(2) as u8,
            70..90 => 16 + random.below(6) as u8,
            90..95 => 8 + random.below(8) as u8,
            _ => 25 + random.below(8) as u8,
        };
        // 1.0.0.0 to 223.255.255.255, where unicast lives.
        let addr = (1 << 24) + random.below(223 << 24) as u32;
        (Ipv4Net::new(addr.into(), len).expect("up to 32").trunc(), random.next_hop())
    })
}

fn routes6(random: &mut Random, count: usize) -> Vec<(Ipv6Net, NextHopId)> {
    // Allocations cluster: a few thousand /32 hold most of what is announced.
    let blocks: Vec<u128> =
        (0..count.div_ceil(20)).map(|_| 1 << 125 | random.wide() >> 3 >> 96 << 96).collect();
    distinct(count, || {
        let len = match random.below(100) {
            0..45 => 48,
            45..60 => 32,
            60..70 => 44,
            70..80 => 40,
            80..90 => 36,
            90..97 => 29 + random.below(19) as u8,
            _ => 49 + random.below(16) as u8,
        };
        let block = blocks[random.below(blocks.len() as u64) as usize];
        let addr = block | random.wide() >> 32;
        (Ipv6Net::new(addr.into(), len).expect("up to 128").trunc(), random.next_hop())
    })
}

/// What the two families have in common.
trait Table {
    type Key: Copy;
    fn lookup_batch(&self, addrs: &[Self::Key], out: &mut [NextHopId]);
    fn lookup(&self, addr: Self::Key) -> NextHopId;
}

macro_rules! table {
    ($table:ty, $key:ty) => {
        impl Table for $table {
            type Key = $key;
            fn lookup_batch(&self, addrs: &[$key], out: &mut [NextHopId]) {
                self.lookup_batch(addrs, out);
            }
            fn lookup(&self, addr: $key) -> NextHopId {
                self.lookup(addr)
            }
        }
    };
}

table!(Fib4, u32);
table!(Fib6, u128);

/// Nanoseconds per address, in slices short enough for most not to be interrupted: the tenth
/// percentile and the median.
fn measure<K>(addrs: &[K], mut look_up: impl FnMut(&[K])) -> String {
    let mut times: Vec<f64> = Vec::new();
    for _ in 0..ROUNDS {
        for slice in addrs.chunks(SLICE) {
            let start = Instant::now();
            look_up(slice);
            times.push(start.elapsed().as_secs_f64() * 1e9 / slice.len() as f64);
        }
    }
    times.sort_by(f64::total_cmp);
    format!("{:6.2} / {:6.2} ns", times[times.len() / 10], times[times.len() / 2])
}

fn speeds<T: Table>(table: &T, name: &str, addrs: &[T::Key]) {
    for batch in [32, 64] {
        let mut out = [NextHopId::NO_ROUTE; 64];
        let time = measure(addrs, |addrs| {
            for addrs in addrs.chunks(batch) {
                table.lookup_batch(black_box(addrs), &mut out);
                black_box(&out);
            }
        });
        println!("    {name}, batches of {batch}: {time}");
    }
    let time = measure(addrs, |addrs| {
        for addr in addrs {
            black_box(table.lookup(*addr));
        }
    });
    println!("    {name}, one by one:    {time}");
}

fn resident() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok());
    pages.unwrap_or_default() * 4096.0 / 1e6
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

macro_rules! report {
    ($name:literal, $writer:ty, $routes:expr, $uniform:expr, $inside:expr, $random:expr) => {{
        let routes = $routes;
        let before = resident();
        let start = Instant::now();
        let mut writer = <$writer>::new().expect("memory");
        writer.load(routes.iter().copied()).expect("memory");
        let built = start.elapsed();
        let reader = writer.reader();
        println!(
            "\n{}: {} routes, built in {:.0} ms, {:.1} MB of address space, {:.1} MB resident with routes",
            $name,
            writer.len(),
            millis(built),
            reader.bytes() as f64 / 1e6,
            resident() - before,
        );
        speeds(&reader, "uniform", &$uniform);
        speeds(&reader, "inside ", &$inside);
        let changes: Vec<_> =
            (0..10_000).map(|_| routes[$random.below(routes.len() as u64) as usize].0).collect();
        let rebuilds = writer.rebuilds();
        let start = Instant::now();
        let mut epoch = 0;
        for (n, net) in changes.iter().enumerate() {
            writer.remove(net).expect("memory");
            writer.insert(*net, NextHopId(1 + n as u32 % 256)).expect("memory");
            if n % 100 == 99 {
                epoch += 1;
                writer.retire(portcullis_packet::Epoch(epoch));
                writer.reclaim(portcullis_packet::Epoch(epoch));
            }
        }
        let per_change = start.elapsed().as_nanos() as f64 / (2.0 * changes.len() as f64);
        println!(
            "    withdraw and announce: {per_change:.0} ns each, {} rebuilds",
            writer.rebuilds() - rebuilds
        );
    }};
}

fn main() {
    let chosen: Vec<usize> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let wanted = |count: &usize| chosen.is_empty() || chosen.contains(count);
    let mut random = Random(7);
    for count in [1, 5_000, 20_000, 60_000, 1_000_000].into_iter().filter(wanted) {
        let mut routes = routes4(&mut random, count);
        if count == 1 {
            routes = vec![(Ipv4Net::default(), NextHopId(1))];
        }
        let uniform: Vec<u32> = (0..ADDRESSES).map(|_| random.next() as u32).collect();
        let inside: Vec<u32> = (0..ADDRESSES)
            .map(|_| {
                let (net, _) = routes[random.below(routes.len() as u64) as usize];
                u32::from(net.network()) | (random.next() as u32 & u32::from(net.hostmask()))
            })
            .collect();
        report!("IPv4", FibWriter4, routes, uniform, inside, random);
    }
    for count in [1, 20_000, 250_000].into_iter().filter(wanted) {
        let mut routes = routes6(&mut random, count);
        if count == 1 {
            routes = vec![(Ipv6Net::default(), NextHopId(1))];
        }
        let uniform: Vec<u128> = (0..ADDRESSES).map(|_| 1 << 125 | random.wide() >> 3).collect();
        let inside: Vec<u128> = (0..ADDRESSES)
            .map(|_| {
                let (net, _) = routes[random.below(routes.len() as u64) as usize];
                u128::from(net.network()) | (random.wide() & u128::from(net.hostmask()))
            })
            .collect();
        report!("IPv6", FibWriter6, routes, uniform, inside, random);
    }
}
