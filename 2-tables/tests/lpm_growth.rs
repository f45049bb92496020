//! Tables that outgrow themselves.

use ipnet::Ipv4Net;
use portcullis_packet::{Epoch, NextHopId};
use portcullis_tables::FibWriter4;

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

    fn hop(&mut self) -> NextHopId {
        NextHopId(1 + self.next() as u32 % 1000)
    }

    fn net4(&mut self) -> Ipv4Net {
        let len = [8, 12, 16, 18, 20, 22, 24, 24, 24, 24, 28, 32][self.next() as usize % 12];
        Ipv4Net::new((self.next() as u32).into(), len).expect("up to 32").trunc()
    }
}

fn assert_table_is_as_routes_say(table: &FibWriter4, random: &mut Random) {
    let mut addrs: Vec<u32> = (0..2000).map(|_| random.next() as u32).collect();
    addrs.extend(table.iter().step_by(7).map(|(net, _)| u32::from(net.network())));
    addrs.extend(table.iter().step_by(11).map(|(net, _)| u32::from(net.broadcast())));
    let mut out = vec![NextHopId::NO_ROUTE; addrs.len()];
    table.reader().lookup_batch(&addrs, &mut out);
    for (addr, answer) in addrs.into_iter().zip(out) {
        let exact = table.lookup(addr.into()).map_or(NextHopId::NO_ROUTE, |(_, hop)| hop);
        assert_eq!(answer, exact, "{addr:#010x}");
        assert_eq!(table.reader().lookup(addr), exact, "{addr:#010x}");
    }
}

#[test]
fn an_ipv4_table_grows_from_one_route_to_wide_entries_and_stays_right() {
    let mut random = Random(1);
    let mut table = FibWriter4::new().expect("memory");
    let mut rebuilds = vec![table.rebuilds()];
    let mut sizes = vec![table.reader().bytes()];
    table.insert(Ipv4Net::default(), NextHopId(9)).expect("room");
    for n in 0..20_000 {
        table.insert(random.net4(), random.hop()).expect("room");
        if n % 5000 == 0 {
            assert_table_is_as_routes_say(&table, &mut random);
        }
        if rebuilds.last() != Some(&table.rebuilds()) {
            rebuilds.push(table.rebuilds());
            sizes.push(table.reader().bytes());
        }
    }
    assert!(sizes[0] < 2 << 20, "a small table is small");
    assert!((32 << 20..64 << 20).contains(sizes.last().expect("one")), "{sizes:?}");
    assert!(rebuilds.len() < 10, "it grows by doubling, not by steps: {rebuilds:?}");
    assert_table_is_as_routes_say(&table, &mut random);

    let narrow = table.rebuilds();
    table.insert(random.net4(), NextHopId(1 << 15)).expect("room in wide entries");
    assert_eq!(table.rebuilds(), narrow + 1);
    assert_table_is_as_routes_say(&table, &mut random);

    let routes: Vec<_> = table.iter().collect();
    for (net, hop) in routes {
        assert_eq!(table.remove(&net), Ok(Some(hop)));
    }
    assert!(table.is_empty());
    assert_table_is_as_routes_say(&table, &mut random);
    assert_eq!(table.rebuilds(), narrow + 1, "it never shrinks");
}

#[test]
fn a_table_whose_long_prefixes_outnumber_narrow_groups_goes_wide() {
    let hosts = (0..33_000_u32).map(|n| {
        let net = Ipv4Net::new((n << 8 | 1).into(), 32).expect("32 of 32 bits");
        (net, NextHopId(1 + n % 1000))
    });
    let mut table = FibWriter4::new().expect("memory");
    table.load(hosts.clone().take(20_000)).expect("room");
    let narrow = table.reader().bytes();
    for (net, hop) in hosts.skip(20_000) {
        table.insert(net, hop).expect("room");
    }
    assert!(table.reader().bytes() > narrow + (32 << 20));
    assert_table_is_as_routes_say(&table, &mut Random(2));
}

#[test]
fn memory_that_is_reclaimed_is_used_again_and_memory_that_is_not_makes_the_table_grow() {
    let net = |n: u32| Ipv4Net::new((n << 8 | 1).into(), 32).expect("32 of 32 bits");
    let mut table = FibWriter4::new().expect("memory");
    let flap = |table: &mut FibWriter4, reclaim: bool| {
        for n in 0..100_000_u32 {
            table.insert(net(n % 50), NextHopId(1 + n)).expect("room");
            table.remove(&net(n % 50)).expect("room");
            if reclaim {
                table.retire(Epoch(u64::from(n)));
                table.reclaim(Epoch(u64::from(n)));
            }
        }
    };
    let start = table.rebuilds();
    flap(&mut table, true);
    assert_eq!(table.rebuilds(), start);
    flap(&mut table, false);
    assert!(table.rebuilds() > start);
    assert!(table.reader().bytes() < 4 << 20, "built anew in the same size, not ever larger");
}
