//! Ordinary frames, there and back.

use portcullis_drivers::Port;
use portcullis_packet::{BATCH, DropReason, Offload};

use crate::{INTERFACE, ONE, Wire, frame, open_one, pool, receive, send, try_open, wait_until};
use portcullis_drivers::af_packet::AfPacketConfig;

#[test]
fn frames_of_all_sizes_cross_unchanged_and_in_their_order() {
    let wire = Wire::new();
    let (mut a, mut b) = wire.ports();
    let mut pool = pool();
    let sizes = [14, 60, 61, 1000, 1513, 1514];
    let frames = (0..60).map(|i| frame(sizes[i % sizes.len()], i as u8)).collect();
    assert_eq!(send(&mut a, &mut pool, frames), 60);
    let received = receive(&mut b, &mut pool, 60);
    for (i, packet) in received.iter().enumerate() {
        assert_eq!(packet.data(), frame(sizes[i % sizes.len()], i as u8).data());
        assert_eq!(packet.meta().rx_if, INTERFACE);
        assert_eq!(packet.meta().offload, Offload::NONE);
    }
    let (sent, got) = (&a.status().counters, &b.status().counters);
    assert_eq!((sent.tx_packets.get(), got.rx_packets.get()), (60, 60));
    assert_eq!(sent.tx_bytes.get(), 10 * sizes.iter().sum::<usize>() as u64);
    assert_eq!(got.rx_bytes.get(), sent.tx_bytes.get());
    assert_eq!((sent.drops.total(), got.drops.total()), (0, 0));
}

#[test]
fn a_port_does_not_receive_what_it_sends() {
    let wire = Wire::new();
    let (mut a, mut b) = wire.ports();
    let mut pool = pool();
    send(&mut a, &mut pool, vec![frame(60, 1)]);
    receive(&mut b, &mut pool, 1);
    assert_eq!(a.receive(&mut pool, &mut Vec::new(), BATCH), 0);
}

#[test]
fn every_buffer_comes_home() {
    let wire = Wire::new();
    let (mut a, mut b) = wire.ports();
    let mut pool = pool();
    let mut batch = Vec::new();
    for round in 0..50 {
        let before = pool.free();
        for _ in 0..8 {
            let mut packet = pool.take_small().expect("a buffer");
            assert!(packet.set_len(60));
            packet.data_mut().copy_from_slice(frame(60, round).data());
            batch.push(packet);
        }
        a.transmit(&mut batch, &mut pool);
        assert_eq!(pool.free(), before, "round {round}");
        for packet in receive(&mut b, &mut pool, 8) {
            pool.put(packet);
        }
    }
}

#[test]
fn a_frame_larger_than_the_mtu_is_refused_by_name_and_the_others_go_on() {
    let wire = Wire::new();
    let (mut a, mut b) = wire.ports();
    let mut pool = pool();
    let frames = vec![frame(60, 1), frame(1600, 2), frame(60, 3)];
    assert_eq!(send(&mut a, &mut pool, frames), 2);
    assert_eq!(a.status().counters.drops.get(DropReason::TxError), 1);
    let marks: Vec<_> = receive(&mut b, &mut pool, 2).iter().map(|p| p.data()[59]).collect();
    assert_eq!(marks, [1, 3]);
}

#[test]
fn what_the_kernel_had_no_room_for_is_counted_as_overrun() {
    let wire = Wire::new();
    let mut a = open_one(&wire.left, "a");
    let config = AfPacketConfig { receive_buffer: 8192, ..AfPacketConfig::new(INTERFACE, "b") };
    let mut b = try_open(&wire.right, config, ONE).expect("a port").pop().expect("one");
    let mut pool = pool();
    for _ in 0..10 {
        send(&mut a, &mut pool, (0..64).map(|i| frame(1000, i)).collect());
    }
    let mut received = Vec::new();
    let counters = &b.status().clone().counters;
    wait_until("all frames are accounted for", || {
        b.receive(&mut pool, &mut received, BATCH);
        received.drain(..).for_each(|packet| pool.put(packet));
        b.maintain();
        counters.rx_packets.get() + counters.drops.get(DropReason::RxOverrun) == 640
    });
    assert!(counters.drops.get(DropReason::RxOverrun) > 0);
}

/// Ports on a wire for frames of 9,000 bytes.
fn jumbo_wire() -> Wire {
    let wire = Wire::new();
    wire.left.ip("link set dev a mtu 9000");
    wire.right.ip("link set dev b mtu 9000");
    wire
}

#[test]
fn jumbo_frames_cross_unchanged_and_in_order_with_small_ones() {
    let wire = jumbo_wire();
    let (mut a, mut b) = wire.ports();
    let mut pool = pool();
    let sizes = [9014, 60, 2048, 2049, 2228, 2229, 2300, 9000];
    let frames = sizes.iter().enumerate().map(|(i, &len)| frame(len, i as u8)).collect();
    assert_eq!(send(&mut a, &mut pool, frames), sizes.len());
    let received = receive(&mut b, &mut pool, sizes.len());
    for (i, (packet, len)) in received.iter().zip(sizes).enumerate() {
        assert_eq!(packet.data(), frame(len, i as u8).data(), "{len} bytes");
    }
}

#[test]
fn jumbo_frames_without_room_are_counted_as_overrun_and_those_after_them_are_whole() {
    let wire = jumbo_wire();
    let mut a = open_one(&wire.left, "a");
    let config = AfPacketConfig { receive_buffer: 8192, ..AfPacketConfig::new(INTERFACE, "b") };
    let mut b = try_open(&wire.right, config, ONE).expect("a port").pop().expect("one");
    let mut pool = pool();
    let counters = &b.status().clone().counters;
    let mut received = Vec::new();
    for round in 1..=3 {
        send(&mut a, &mut pool, (0..40).map(|i| frame(9000 - usize::from(i), i)).collect());
        wait_until("all frames are accounted for", || {
            b.receive(&mut pool, &mut received, BATCH);
            for packet in received.drain(..) {
                let mark = packet.data()[20];
                assert_eq!(packet.data(), frame(9000 - usize::from(mark), mark).data());
                pool.put(packet);
            }
            b.maintain();
            counters.rx_packets.get() + counters.drops.get(DropReason::RxOverrun) == 40 * round
        });
    }
    assert!(counters.drops.get(DropReason::RxOverrun) > 0 && counters.rx_packets.get() > 0);
}
