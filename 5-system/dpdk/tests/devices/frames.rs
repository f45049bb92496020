//! Frames through virtual devices.

use portcullis_dpdk::DeviceSetup;
use portcullis_drivers::{Port, PortState};
use portcullis_packet::{BATCH, DropReason, Offload, Packet, TxOffload};

use crate::support::{Bench, LAN, SETUP};

/// A frame of so many bytes, all different from those of another number.
fn frame(number: usize, length: usize) -> Vec<u8> {
    (0..length).map(|at| (number * 31 + at) as u8).collect()
}

#[test]
fn frames_come_in_as_they_are_and_their_buffers_go_home() {
    let mut bench = Bench::new("net_null#,size=64", SETUP);
    let mut port = bench.port(0);
    assert_eq!(port.interface(), LAN);
    for _ in 0..100 {
        let mut batch = Vec::new();
        assert_eq!(port.receive(&mut bench.pool, &mut batch, 20), 20);
        for packet in &batch {
            assert!(!packet.is_heap(), "it was not copied");
            assert_eq!((packet.len(), packet.meta().rx_if), (64, LAN));
        }
        batch.drain(..).for_each(|packet| bench.pool.put(packet));
    }
    let counters = &port.status().counters;
    assert_eq!((counters.rx_packets.get(), counters.rx_bytes.get()), (2000, 128_000));
    drop(port);
    bench.end();
}

#[test]
fn what_is_sent_on_a_ring_comes_back_byte_for_byte_in_the_same_buffers() {
    let mut bench = Bench::new("net_ring#", SETUP);
    let mut port = bench.port(0);
    let mut batch = Vec::new();
    assert!(bench.buffers.take(BATCH, &mut batch));
    let mut expected = Vec::new();
    for (number, packet) in batch.iter_mut().enumerate() {
        let bytes = frame(number, 60 + 7 * number);
        assert!(packet.set_len(bytes.len()));
        packet.data_mut().copy_from_slice(&bytes);
        // As after a tag was taken off: the data do not begin where they did.
        assert!(packet.shrink_front(4));
        expected.push((packet.data().as_ptr(), bytes[4..].to_vec()));
    }
    assert_eq!(port.transmit(&mut batch, &mut bench.pool), BATCH);
    assert!(batch.is_empty());
    assert_eq!(port.receive(&mut bench.pool, &mut batch, BATCH), BATCH);
    let got: Vec<_> = batch.iter().map(|p| (p.data().as_ptr(), p.data().to_vec())).collect();
    assert_eq!(got, expected);
    batch.clear();
    drop(port);
    bench.end();
}

#[test]
fn heap_buffers_are_copied_and_mixed_with_others_in_order() {
    let mut bench = Bench::new("net_ring#", SETUP);
    let mut port = bench.port(0);
    for round in 0..50 {
        let mut batch = Vec::new();
        assert!(bench.buffers.take(10, &mut batch));
        for (number, packet) in batch.iter_mut().enumerate() {
            let bytes = frame(number + round, 100);
            assert!(packet.set_len(100));
            packet.data_mut().copy_from_slice(&bytes);
            if number % 3 == 0 {
                *packet = Packet::from_bytes(&bytes);
            }
        }
        assert_eq!(port.transmit(&mut batch, &mut bench.pool), 10);
        assert_eq!(port.receive(&mut bench.pool, &mut batch, BATCH), 10);
        for (number, packet) in batch.drain(..).enumerate() {
            assert_eq!(packet.data(), frame(number + round, 100));
            bench.pool.put(packet);
        }
    }
    drop(port);
    bench.end();
}

#[test]
fn what_does_not_fit_into_a_buffer_or_the_device_is_counted() {
    let mut bench = Bench::new("net_ring#", SETUP);
    let mut port = bench.port(0);
    let mut batch = vec![Packet::from_bytes(&[7; 5000]), Packet::from_bytes(&[8; 60])];
    assert_eq!(port.transmit(&mut batch, &mut bench.pool), 1);
    assert_eq!(port.status().counters.drops.get(DropReason::TxError), 1);
    // The ring holds 1023 frames.
    let mut sent = 1;
    for _ in 0..20 {
        let mut batch: Vec<_> = (0..BATCH).map(|_| Packet::from_bytes(&[9; 60])).collect();
        sent += port.transmit(&mut batch, &mut bench.pool);
    }
    assert!(sent < 20 * BATCH, "{sent}");
    let lost = port.status().counters.drops.get(DropReason::TxFull);
    assert_eq!(sent as u64 + lost, 20 * BATCH as u64 + 1);
    assert_eq!(port.status().counters.tx_packets.get(), sent as u64);
    let mut received = 0;
    loop {
        let mut batch = Vec::new();
        let count = port.receive(&mut bench.pool, &mut batch, BATCH);
        received += count;
        if count == 0 {
            break;
        }
    }
    assert_eq!(received, sent);
    drop(port);
    bench.end();
}

#[test]
fn a_checksum_that_no_device_can_complete_is_not_sent_unfinished() {
    let mut bench = Bench::new("net_ring#", SETUP);
    let mut port = bench.port(0);
    let unfinished = |csum_start, csum_offset| {
        let mut packet = Packet::from_bytes(&[0x45; 80]);
        let needs_csum = true;
        packet.meta_mut().offload =
            Offload { needs_csum, csum_start, csum_offset, ..Offload::NONE };
        packet
    };
    // TCP and UDP; then SCTP, and one that would begin before the IP header.
    let mut batch =
        vec![unfinished(34, 16), unfinished(34, 6), unfinished(34, 8), unfinished(9, 6)];
    assert_eq!(port.transmit(&mut batch, &mut bench.pool), 2);
    assert_eq!(port.status().counters.drops.get(DropReason::TxError), 2);
    let mut batch = Vec::new();
    assert_eq!(port.receive(&mut bench.pool, &mut batch, BATCH), 2);
    batch.clear();
    drop(port);
    bench.end();
}

#[test]
fn with_fewer_queues_than_workers_all_can_send() {
    let setup = DeviceSetup { workers: 3, ..SETUP };
    let mut bench = Bench::new("net_ring#", setup);
    assert!(bench.device.info().tx_queues >= 1);
    let mut ports: Vec<_> = (0..3).map(|worker| bench.port(worker)).collect();
    assert!(bench.device.port(1, LAN, std::sync::Arc::default()).is_err(), "it is in use");
    for port in &mut ports {
        assert_eq!(port.transmit(&mut vec![Packet::from_bytes(&[5; 60])], &mut bench.pool), 1);
    }
    let mut batch = Vec::new();
    for port in &mut ports {
        port.receive(&mut bench.pool, &mut batch, BATCH);
    }
    assert_eq!(batch.len(), 3);
    batch.clear();
    drop(ports);
    bench.end();
}

#[test]
fn a_port_says_what_its_device_is() {
    let bench = Bench::new("net_null#", SETUP);
    let port = bench.port(0);
    assert_eq!(bench.device.info().driver, "net_null");
    assert_eq!(port.status().state(), PortState::Up);
    assert_eq!(port.status().mac(), bench.device.info().mac);
    assert_eq!(port.offload(), TxOffload::NONE);
    assert!(port.wait_fd().is_none());
    drop(port);
    bench.end();
}

/// A capture file of these frames (libpcap's format, in this machine's byte order).
fn capture(frames: &[Vec<u8>]) -> std::path::PathBuf {
    let mut bytes = Vec::new();
    for word in [0xa1b2_c3d4_u32, 2 | 4 << 16, 0, 0, 65535, 1] {
        bytes.extend(word.to_ne_bytes());
    }
    for frame in frames {
        let length = frame.len() as u32;
        for word in [0, 0, length, length] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(frame);
    }
    let path = std::env::temp_dir().join(format!("pc-frames-{}.pcap", std::process::id()));
    std::fs::write(&path, bytes).expect("a file can be written");
    path
}

#[test]
fn frames_in_several_pieces_are_copied_in_their_place_or_counted() {
    // A buffer has room for 2048 bytes; the heap's pool has four that are large, of 65 kB.
    let frames: Vec<_> = [60, 5000, 61, 9000, 3000, 7000, 8000, 62]
        .into_iter()
        .enumerate()
        .map(|(number, length)| frame(number, length))
        .collect();
    let path = capture(&frames);
    let mut bench = Bench::new(&format!("net_pcap#,rx_pcap={}", path.display()), SETUP);
    std::fs::remove_file(path).expect("it is open");
    let mut port = bench.port(0);
    let mut batch = vec![Packet::from_bytes(b"was there before")];
    assert_eq!(port.receive(&mut bench.pool, &mut batch, BATCH), 7);
    let got: Vec<_> = batch.drain(1..).map(|packet| packet.data().to_vec()).collect();
    // The last ones are copied first: there was no buffer left for the first.
    let expected: Vec<_> = frames.iter().filter(|f| f.len() != 5000).cloned().collect();
    assert_eq!(got, expected);
    let counters = &port.status().counters;
    assert_eq!(counters.drops.get(DropReason::RxTooLarge), 1);
    let bytes: usize = frames.iter().map(Vec::len).sum();
    assert_eq!((counters.rx_packets.get(), counters.rx_bytes.get()), (8, bytes as u64));
    drop((batch, port));
    bench.end();
}
