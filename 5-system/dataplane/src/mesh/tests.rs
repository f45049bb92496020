use super::*;
use portcullis_packet::{BATCH, PoolLimits};

const LIMITS: PoolLimits = PoolLimits { small: 256, large: 16 };
const A: WorkerId = WorkerId(0);
const B: WorkerId = WorkerId(1);
/// Large enough for none but a large buffer.
const LARGE: usize = 10_000;

fn ends(count: usize) -> Vec<MeshEnd> {
    let doorbells: Vec<_> = (0..count).map(|_| Doorbell::new().expect("a doorbell")).collect();
    mesh(&doorbells)
}

/// The only peers of each other, with a pool each.
fn two() -> ((MeshEnd, Pool), (MeshEnd, Pool)) {
    let [a, b] = <[_; 2]>::try_from(ends(2)).expect("two");
    ((a, Pool::new(LIMITS)), (b, Pool::new(LIMITS)))
}

fn packet(pool: &mut Pool, number: usize, len: usize) -> Packet {
    let mut packet = pool.take(len).expect("a buffer");
    assert!(packet.set_len(len));
    packet.data_mut()[..8].copy_from_slice(&number.to_be_bytes());
    packet
}

fn number(packet: &Packet) -> usize {
    usize::from_be_bytes(packet.data()[..8].try_into().expect("eight"))
}

/// Takes all that the first peer sent.
fn take_all(end: &mut MeshEnd, pool: &mut Pool) -> Vec<Packet> {
    let mut taken = Vec::new();
    while end.take(0, pool, &mut taken, 7) > 0 {}
    taken
}

#[test]
fn every_worker_is_connected_with_every_other() {
    let mut ends = ends(4);
    let mut pool = Pool::new(LIMITS);
    for (from, end) in ends.iter_mut().enumerate() {
        for to in 0..5 {
            let packet = packet(&mut pool, 10 * from + to, 60);
            let given = end.give(WorkerId(to as u16), packet);
            assert_eq!(given.is_ok(), from != to && to < 4, "{from} to {to}");
        }
        end.send(&mut pool);
    }
    for (to, end) in ends.iter_mut().enumerate() {
        let mut taken = Vec::new();
        for peer in 0..end.peers() {
            assert_eq!(end.take(peer, &mut pool, &mut taken, BATCH), 1);
        }
        let expected: Vec<_> = (0..4).filter(|&from| from != to).map(|f| 10 * f + to).collect();
        assert_eq!(taken.iter().map(number).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn packets_come_in_their_order_and_for_each_a_buffer_of_its_size_goes_back() {
    let ((mut a, mut pool_a), (mut b, mut pool_b)) = two();
    for n in 0..150 {
        let len = if n % 15 == 0 { LARGE } else { 60 };
        assert!(a.give(B, packet(&mut pool_a, n, len)).is_ok());
    }
    a.send(&mut pool_a);
    assert_eq!(pool_a.free(), (256 - 140, 16 - 10));
    let taken = take_all(&mut b, &mut pool_b);
    assert!(taken.iter().map(number).eq(0..150));
    assert_eq!(pool_b.free(), (256 - 140, 16 - 10), "they are on their way back");
    a.collect(&mut pool_a);
    assert_eq!(pool_a.free(), (256, 16));
    taken.into_iter().for_each(|packet| pool_b.put(packet));
    assert_eq!(pool_b.free(), (256, 16));
}

#[test]
fn buffers_that_are_no_pools_are_not_paid_for() {
    let ((mut a, mut pool_a), (mut b, mut pool_b)) = two();
    assert!(a.give(B, Packet::from_bytes(b"of its own")).is_ok());
    a.send(&mut pool_a);
    assert_eq!(take_all(&mut b, &mut pool_b).len(), 1);
    a.collect(&mut pool_a);
    assert_eq!((pool_a.free(), pool_b.free()), ((256, 16), (256, 16)));
}

#[test]
fn a_receiver_that_is_late_finds_many_packets_in_few_vecs() {
    let ((mut a, mut pool_a), (mut b, mut pool_b)) = two();
    let mut given = 0_usize;
    while a.give(B, Packet::from_bytes(&given.to_be_bytes())).is_ok() {
        // Nothing but this packet in a turn.
        a.send(&mut pool_a);
        given += 1;
    }
    assert!(given >= HANDOVERS / 2 * BATCH, "{given}");
    assert!(take_all(&mut b, &mut pool_b).iter().map(number).eq(0..given));
    assert!(a.give(B, Packet::from_bytes(b"no Vec is home yet")).is_err());
    a.collect(&mut pool_a);
    assert!(a.give(B, Packet::from_bytes(b"now")).is_ok());
}

#[test]
fn what_waits_for_a_vec_is_sent_when_one_has_come_home() {
    let ((mut a, mut pool_a), (mut b, mut pool_b)) = two();
    let mut given = 0_usize;
    while !a.is_filling() {
        assert!(a.give(B, Packet::from_bytes(&given.to_be_bytes())).is_ok());
        a.send(&mut pool_a);
        given += 1;
    }
    assert_eq!(take_all(&mut b, &mut pool_b).len(), given - 1);
    a.send(&mut pool_a);
    assert!(a.is_filling());
    a.collect(&mut pool_a);
    a.send(&mut pool_a);
    assert!(!a.is_filling());
    assert_eq!(take_all(&mut b, &mut pool_b).iter().map(number).next(), Some(given - 1));
}

#[test]
fn what_a_pool_lacks_is_paid_when_it_has_it() {
    let ((mut a, mut pool_a), (mut b, _)) = two();
    let mut empty = Pool::new(LIMITS);
    let lent: Vec<_> = std::iter::from_fn(|| empty.take_small()).collect();
    let mut taken = Vec::new();
    for round in 0..3 {
        for n in 0..BATCH {
            assert!(a.give(B, packet(&mut pool_a, round * BATCH + n, 60)).is_ok());
        }
        a.send(&mut pool_a);
        taken.append(&mut take_all(&mut b, &mut empty));
        a.collect(&mut pool_a);
    }
    assert_eq!((taken.len(), pool_a.free().0), (3 * BATCH, 256 - 3 * BATCH));
    lent.into_iter().for_each(|buffer| empty.put(buffer));
    b.send(&mut empty);
    a.collect(&mut pool_a);
    assert_eq!(pool_a.free().0, 256 - 2 * BATCH, "as much as one Vec holds");
    for n in 0..10 {
        assert!(a.give(B, packet(&mut pool_a, n, 60)).is_ok());
        a.send(&mut pool_a);
        taken.append(&mut take_all(&mut b, &mut empty));
        a.collect(&mut pool_a);
    }
    assert_eq!(pool_a.free().0, 256, "the rest came with what was given since");
}

#[test]
fn an_end_that_is_closed_gives_back_what_it_is_given_and_the_other_sees_the_end() {
    let ((mut a, mut pool_a), (mut b, mut pool_b)) = two();
    assert!(a.give(B, Packet::from_bytes(&[0; 8])).is_ok());
    assert!(!b.is_at_its_end());
    a.close();
    assert!(a.give(B, Packet::from_bytes(&[1; 8])).is_err());
    assert!(!b.is_at_its_end(), "there is still one");
    assert!(b.give(A, Packet::from_bytes(&[2; 8])).is_ok(), "the other way goes on");
    assert_eq!(take_all(&mut b, &mut pool_b).len(), 1);
    assert!(b.is_at_its_end());
    b.close();
    assert_eq!(a.take(0, &mut pool_a, &mut Vec::new(), 1), 1);
    assert!(a.is_at_its_end());
}

#[test]
fn packets_that_nobody_takes_any_more_are_counted() {
    let ((mut a, mut pool_a), (mut b, mut pool_b)) = two();
    for n in 0..2 * BATCH + 5 {
        assert!(a.give(B, packet(&mut pool_a, n, 60)).is_ok());
    }
    a.send(&mut pool_a);
    b.take(0, &mut pool_b, &mut Vec::new(), 3);
    assert_eq!(b.give_up(), 2 * BATCH + 2);
    assert!(a.give(B, packet(&mut pool_a, 0, 60)).is_ok());
    drop(b);
    let more = (1..100).filter(|_| a.give(B, Packet::from_bytes(&[0; 8])).is_ok()).count();
    a.close();
    assert_eq!((more + 1, a.give_up()), (BATCH, BATCH));
}
