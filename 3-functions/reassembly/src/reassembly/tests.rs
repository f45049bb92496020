use proptest::prelude::*;

use super::*;

const NOW: Instant = Instant(1_000_000_000);
const PORTS: Ports = Ports { src: 7, dst: 9 };

fn key(id: u32) -> FragmentKey {
    FragmentKey { is_ipv6: false, src: u128::from(id >> 8), dst: 2, id, protocol: 17, vrf: 0 }
}

fn part(offset: u16, length: u16, more: bool) -> Part {
    Part { offset, length, more, first: (offset == 0).then_some(PORTS) }
}

fn packet(n: u8) -> Packet {
    Packet::from_bytes(&[n])
}

fn bytes(packets: &[Packet]) -> Vec<u8> {
    packets.iter().flat_map(|packet| packet.data().to_vec()).collect()
}

#[test]
fn later_fragments_have_the_ports_of_the_first() {
    let mut fragments = Reassembly::new(1);
    let mut judge = |part| fragments.judge(key(1), part, NOW);
    assert_eq!(judge(part(0, 1480, true)), Judgement::Pass(PORTS));
    assert_eq!(judge(part(1480, 1480, true)), Judgement::Pass(PORTS));
    assert_eq!(judge(part(2960, 100, false)), Judgement::Pass(PORTS));
}

#[test]
fn rfc4787_req14_those_that_come_too_early_wait_and_keep_their_order() {
    let mut fragments = Reassembly::new(1);
    for (n, part) in [(1, part(2960, 100, false)), (2, part(1480, 1480, true))] {
        assert_eq!(fragments.judge(key(1), part, NOW), Judgement::Hold);
        assert!(fragments.hold(key(1), packet(n)).is_none());
    }
    assert_eq!(fragments.held(), 2);
    assert_eq!(fragments.judge(key(1), part(0, 1480, true), NOW), Judgement::Pass(PORTS));
    let mut ready = vec![];
    fragments.take_ready(&mut ready);
    assert_eq!(bytes(&ready), [1, 2]);
    assert!(ready.iter().all(|packet| packet.meta().ports == PORTS));
    assert_eq!(fragments.held(), 0);
}

#[test]
fn one_that_is_to_wait_may_be_handed_over_after_its_packet_is_complete() {
    let mut fragments = Reassembly::new(1);
    assert_eq!(fragments.judge(key(1), part(80, 8, false), NOW), Judgement::Hold);
    assert_eq!(fragments.judge(key(1), part(0, 80, true), NOW), Judgement::Pass(PORTS));
    assert!(fragments.hold(key(1), packet(9)).is_none());
    let mut ready = vec![];
    fragments.take_ready(&mut ready);
    assert_eq!(bytes(&ready), [9]);
}

#[test]
fn a_packet_that_is_complete_makes_room_for_the_next_with_its_identification() {
    let mut fragments = Reassembly::new(1);
    for _ in 0..10_000 {
        let mut judge = |part| fragments.judge(key(1), part, NOW);
        assert_eq!(judge(part(0, 1480, true)), Judgement::Pass(PORTS));
        assert_eq!(judge(part(1480, 1000, false)), Judgement::Pass(PORTS));
    }
}

#[test]
fn what_overlaps_gives_the_packet_up() {
    let mut fragments = Reassembly::new(1);
    let mut judge = |part| fragments.judge(key(1), part, NOW);
    assert_eq!(judge(part(0, 1480, true)), Judgement::Pass(PORTS));
    assert_eq!(judge(part(0, 1480, true)), Judgement::Pass(PORTS), "the same once more");
    let overlap = Judgement::Drop(DropReason::FragmentOverlap);
    assert_eq!(judge(part(1472, 100, false)), overlap);
    assert_eq!(judge(part(1480, 100, false)), overlap, "and all that follows");
    for (first, second) in [
        (part(800, 80, false), part(880, 80, true)),
        (part(800, 80, false), part(960, 80, false)),
        (part(880, 80, true), part(800, 80, false)),
    ] {
        let mut fragments = Reassembly::new(1);
        assert_eq!(fragments.judge(key(1), first, NOW), Judgement::Hold);
        assert_eq!(fragments.judge(key(1), second, NOW), overlap, "{second:?}");
    }
}

#[test]
fn waiting_ends_after_thirty_seconds() {
    let mut fragments = Reassembly::new(1);
    assert_eq!(fragments.judge(key(1), part(80, 80, true), NOW), Judgement::Hold);
    assert!(fragments.hold(key(1), packet(1)).is_none());
    let mut expired = vec![];
    fragments.expire(NOW + Duration::from_secs(29), &mut expired);
    assert!(expired.is_empty());
    assert_eq!(fragments.deadline(), Some(NOW + PATIENCE));
    fragments.expire(NOW + PATIENCE, &mut expired);
    assert_eq!((bytes(&expired), fragments.deadline()), (vec![1], None));
}

#[test]
fn a_flood_is_bounded_and_one_source_leaves_room_for_others() {
    let mut fragments = Reassembly::new(1);
    let mut refused = 0;
    for id in 0..5000 {
        let one_source = FragmentKey { src: 77, ..key(id) };
        match fragments.judge(one_source, part(80, 80, true), NOW) {
            Judgement::Hold => {
                refused += usize::from(fragments.hold(one_source, packet(1)).is_some());
            }
            Judgement::Drop(DropReason::FragmentQueueFull) => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((fragments.packets(), 5000 - refused), (usize::from(SHARE), usize::from(SHARE)));
    let other = FragmentKey { src: 78, ..key(1) };
    assert_eq!(fragments.judge(other, part(80, 80, true), NOW), Judgement::Hold);
    let mut displaced = vec![];
    for id in 0..100_000 {
        let many = FragmentKey { src: u128::from(id), ..key(id) };
        if fragments.judge(many, part(80, 80, true), NOW) == Judgement::Hold {
            displaced.extend(fragments.hold(many, packet(2)));
        }
        assert!(fragments.packets() <= PACKETS && fragments.held() <= HELD);
        fragments.expire(NOW, &mut displaced);
        displaced.clear();
    }
}

#[test]
fn one_packet_has_a_bounded_number_of_fragments() {
    let mut fragments = Reassembly::new(1);
    let mut held = 0;
    for n in 1..100u16 {
        match fragments.judge(key(1), part(n * 8, 8, true), NOW) {
            Judgement::Hold => {
                assert!(fragments.hold(key(1), packet(1)).is_none());
                held += 1;
            }
            Judgement::Drop(reason) => assert_eq!(reason, DropReason::FragmentQueueFull),
            Judgement::Pass(_) => panic!("passes"),
        }
    }
    assert_eq!(held, HELD_OF_ONE);
    let mut all = vec![];
    fragments.stop(&mut all);
    assert_eq!((all.len(), fragments.held(), fragments.packets()), (usize::from(held), 0, 0));
}

proptest! {
    /// Fragments of several packets, in any order, some twice: each passes as often as it came.
    #[test]
    fn every_fragment_of_a_sound_packet_passes(
        packets in prop::collection::vec(2u16..20, 1..8),
        order in prop::collection::vec(any::<(u8, u8)>(), 1..300),
    ) {
        let mut fragments = Reassembly::new(3);
        let mut sent = vec![0usize; packets.len()];
        let mut passed = vec![0usize; packets.len()];
        let mut ready = vec![];
        let mut firsts: Vec<(usize, u16)> =
            (0..packets.len()).map(|at| (at, 0)).collect();
        let random = order.iter().map(|&(at, n)| {
            let at = usize::from(at) % packets.len();
            (at, u16::from(n) % packets[at])
        });
        let all: Vec<_> = random.chain(firsts.drain(..)).collect();
        let mut came = std::collections::HashSet::new();
        for (at, n) in all {
            // A packet that is complete is forgotten: what comes once more begins another one.
            if !came.insert((at, n)) {
                continue;
            }
            let id = key(at as u32);
            let part = part(n * 8, 8, n + 1 < packets[at]);
            sent[at] += 1;
            match fragments.judge(id, part, NOW) {
                Judgement::Pass(ports) => {
                    prop_assert_eq!(ports, PORTS);
                    passed[at] += 1;
                }
                Judgement::Hold => {
                    prop_assert!(fragments.hold(id, packet(at as u8)).is_none());
                }
                Judgement::Drop(reason) => prop_assert!(false, "{:?}", reason),
            }
            fragments.take_ready(&mut ready);
            for packet in ready.drain(..) {
                passed[usize::from(packet.data()[0])] += 1;
            }
        }
        prop_assert_eq!(sent, passed);
        prop_assert_eq!(fragments.held(), 0);
    }
}
