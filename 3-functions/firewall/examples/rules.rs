//! Speed and size of compiled rules: `cargo run --release -p portcullis-firewall --example rules`.
//!
//! Nanoseconds per decision, tenth percentile and median of many short runs. "distinct": every rule
//! has two source networks, a destination and a port of its own, and each query meets a random rule.
//! "missed": the same rules, but nothing matches, though each dimension alone does. "broad": the rules
//! take one half of all addresses and the other by turns, and the queries have one half for their source and the
//! other for their destination: all sets are dense and no rule is in all of them, about the
//! worst that rules can do to the lookup. Arguments choose the numbers of rules.

use std::hint::black_box;
use std::time::Instant;

use portcullis_firewall::{
    Action, AddressRange, Query, RuleId, RuleSpec, Rules, RulesSpec, Service, ZoneId,
};
use portcullis_packet::Ports;
use portcullis_wire::{IpProtocol, Tuple};

const QUERIES: usize = 1 << 14;
const SLICE: usize = 1 << 8;
const ROUNDS: usize = 20;
const ZONES: u64 = 8;

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

    fn zone(&mut self) -> ZoneId {
        ZoneId(1 + self.below(ZONES) as u16)
    }
}

/// What a rule is about, from which its ranges and a query that meets it are made.
struct Subject {
    from: ZoneId,
    to: ZoneId,
    sources: [u32; 2],
    destination: u32,
    port: u16,
}

/// The same place among the addresses of IPv6.
fn wide(address: u32) -> u128 {
    0x2001_0db8 << 96 | u128::from(address) << 40
}

fn network(address: u32, bits: u32) -> [AddressRange; 2] {
    let first = address >> bits << bits;
    let last = first | ((1 << bits) - 1);
    [AddressRange::V4(first..=last), AddressRange::V6(wide(first)..=wide(last))]
}

fn subjects(random: &mut Random, count: usize) -> Vec<Subject> {
    let subject = |_| Subject {
        from: random.zone(),
        to: random.zone(),
        sources: [random.next() as u32, random.next() as u32],
        destination: random.next() as u32,
        port: random.next() as u16,
    };
    (0..count).map(subject).collect()
}

fn distinct(subjects: &[Subject]) -> Vec<RuleSpec> {
    let rule = |(subject, n): (&Subject, usize)| RuleSpec {
        name: format!("rule {n}").into(),
        from: Some(vec![subject.from]),
        to: Some(vec![subject.to]),
        source: Some(subject.sources.iter().flat_map(|&source| network(source, 8)).collect()),
        destination: Some(network(subject.destination, 0).into()),
        service: Some(vec![Service {
            protocol: IpProtocol::TCP,
            ports: subject.port..=subject.port,
        }]),
        action: Action::Accept,
        log: false,
    };
    subjects.iter().zip(0..).map(rule).collect()
}

fn half(upper: bool) -> [AddressRange; 2] {
    let (first, last) = if upper { (1 << 31, u32::MAX) } else { (0, u32::MAX >> 1) };
    [AddressRange::V4(first..=last), AddressRange::V6(wide(first)..=wide(last))]
}

fn broad(subjects: &[Subject]) -> Vec<RuleSpec> {
    let rule = |(rule, upper): (RuleSpec, bool)| RuleSpec {
        from: None,
        to: None,
        source: Some(half(upper).into_iter().chain(rule.source.unwrap_or_default()).collect()),
        destination: Some(half(upper).into()),
        service: None,
        ..rule
    };
    distinct(subjects).into_iter().zip([false, true].into_iter().cycle()).map(rule).collect()
}

/// Nanoseconds per decision.
fn measure<A: Copy>(queries: &[Query<A>], decide: impl Fn(&Query<A>) -> RuleId) -> String {
    let mut times: Vec<f64> = Vec::new();
    for _ in 0..ROUNDS {
        for slice in queries.chunks(SLICE) {
            let start = Instant::now();
            for query in slice {
                black_box(decide(black_box(query)));
            }
            times.push(start.elapsed().as_secs_f64() * 1e9 / slice.len() as f64);
        }
    }
    times.sort_by(f64::total_cmp);
    format!("{:6.1} / {:6.1} ns", times[times.len() / 10], times[times.len() / 2])
}

fn report(name: &str, rules: &Rules, queries: &[Query<u32>]) {
    let six = |query: &Query<u32>| {
        let Query { from, to, tuple: Tuple { src, dst, ports, protocol } } = *query;
        Query { from, to, tuple: Tuple { src: wide(src), dst: wide(dst), ports, protocol } }
    };
    let met = queries.iter().filter(|query| rules.rule(rules.decide4(query).rule).is_some());
    let met = met.count() * 100 / queries.len();
    let four = measure(queries, |query| rules.decide4(query).rule);
    let wide: Vec<Query<u128>> = queries.iter().map(six).collect();
    let six = measure(&wide, |query| rules.decide6(query).rule);
    println!("    {name}: IPv4 {four}, IPv6 {six}, {met} % met a rule");
}

fn compile(name: &str, rules: Vec<RuleSpec>) -> Rules {
    let spec = RulesSpec {
        rules,
        default: Action::Drop,
        gateway_default: Action::Accept,
        log_default: false,
    };
    let start = Instant::now();
    let rules = Rules::compile(spec);
    println!(
        "    {name}: compiled in {:.1} ms, {:.2} MB",
        start.elapsed().as_secs_f64() * 1e3,
        rules.memory_bytes() as f64 / 1e6,
    );
    rules
}

fn main() {
    let chosen: Vec<usize> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let counts = [1, 10, 64, 100, 1_000, 10_000];
    let mut random = Random(7);
    for count in counts.into_iter().filter(|n| chosen.is_empty() || chosen.contains(n)) {
        println!("{count} rules");
        let subjects = subjects(&mut random, count);
        let query = |from: &Subject, to: &Subject| Query {
            from: from.from,
            to: to.to,
            tuple: Tuple {
                src: from.sources[usize::from(from.port & 1)],
                dst: to.destination,
                ports: Ports { src: 40_000, dst: from.port },
                protocol: IpProtocol::TCP,
            },
        };
        let mut pick = || random.below(count as u64) as usize;
        let (mut hits, mut misses) = (Vec::new(), Vec::new());
        for _ in 0..QUERIES {
            let (a, b) = (&subjects[pick()], &subjects[pick()]);
            hits.push(query(a, a));
            misses.push(query(a, b));
        }
        let rules = compile("distinct", distinct(&subjects));
        report("distinct", &rules, &hits);
        report("missed  ", &rules, &misses);
        let crossed: Vec<Query<u32>> = hits
            .iter()
            .map(|&query| {
                // Of both halves: a rule must name the source once more to match.
                let src = random.next() as u32;
                Query { tuple: Tuple { src, dst: !src, ..query.tuple }, ..query }
            })
            .collect();
        let rules = compile("broad", broad(&subjects));
        report("broad   ", &rules, &crossed);
    }
}
