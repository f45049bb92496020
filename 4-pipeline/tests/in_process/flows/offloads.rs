//! Super-frames and partial checksums, as virtual devices hand them over, through translation.

use portcullis_packet::{GsoKind, IfIndex, Offload, Packet, TxOffload};
use portcullis_wire::build::{Frame, Tcp};
use portcullis_wire::tcp::Flags;

use super::setup::{A, B, EXTERNAL, Setup, from_a, from_b, seen};
use crate::gateway::{LAN, WAN, arrived};
use crate::reasons::NOW;

/// A frame whose checksum the sender left to the device: it covers the addresses alone.
fn partial(on: IfIndex, mut frame: Vec<u8>, at: u16) -> Packet {
    let transport = frame.len() - 34;
    let pseudo = portcullis_wire::checksum::Sum::pseudo_v4(
        [frame[26], frame[27], frame[28], frame[29]].into(),
        [frame[30], frame[31], frame[32], frame[33]].into(),
        portcullis_wire::IpProtocol(frame[23]),
        transport as u16,
    );
    // Not complemented, as the rest is still to be added.
    let sum = !pseudo.finish();
    let field = 34 + usize::from(at);
    frame[field..field + 2].copy_from_slice(&sum.to_be_bytes());
    let mut packet = arrived(on, &frame);
    packet.meta_mut().offload =
        Offload { csum_start: 34, csum_offset: at, needs_csum: true, ..Offload::NONE };
    packet
}

fn segmented(mut packet: Packet, gso: GsoKind) -> Packet {
    let offload = packet.meta().offload;
    packet.meta_mut().offload = Offload { gso, gso_size: 1000, ..offload };
    packet
}

fn tcp(header: &Frame, segment: Tcp, data: &[u8]) -> Vec<u8> {
    header.tcp(segment, data)
}

#[test]
fn a_partial_checksum_is_right_once_it_is_completed() {
    for device in [TxOffload::NONE, TxOffload::ALL] {
        let mut gateway = Setup::masquerading().gateway();
        gateway.change(WAN, |interface| interface.offload = device);
        for _ in 0..2 {
            let packet = partial(LAN, from_a(B).udp(4000, 53, b"query"), 6);
            let [mut packet] =
                gateway.process(NOW, vec![packet]).try_into().expect("still in the batch");
            if packet.meta().offload.needs_csum {
                complete(&mut packet);
            }
            assert_eq!(seen(packet.data()).src, EXTERNAL);
        }
    }
}

/// What a device does with a partial checksum.
fn complete(packet: &mut Packet) {
    let sum = portcullis_wire::checksum::Sum::of(&packet.data()[34..]).finish();
    packet.data_mut()[40..42].copy_from_slice(&sum.to_be_bytes());
}

#[test]
fn each_segment_of_a_super_frame_is_translated() {
    let mut gateway = Setup::masquerading().gateway();
    gateway.change(WAN, |interface| interface.offload = TxOffload::NONE);
    gateway.change(LAN, |interface| interface.offload = TxOffload::NONE);
    let out = gateway.pass(NOW, LAN, &from_a(B).tcp(Tcp::syn(4000, 80), b"")).sent(WAN);
    let port = seen(&out).src_port;
    let flags = Flags::SYN.with(Flags::ACK);
    let syn_ack = Tcp { acknowledgment: 1, flags, ..Tcp::syn(80, port) };
    gateway.pass(NOW, WAN, &from_b(EXTERNAL).tcp(syn_ack, b"")).sent(LAN);
    let mut sent = 1;
    for _ in 0..3 {
        let data = Tcp { acknowledgment: 1, ..Tcp::data(4000, 80, sent) };
        let packet = partial(LAN, tcp(&from_a(B), data, &[7; 3500]), 16);
        let batch = vec![segmented(packet, GsoKind::Tcp4)];
        let segments: Vec<_> =
            gateway.pass_all(NOW, batch).into_iter().map(|out| out.sent(WAN)).collect();
        assert_eq!(segments.len(), 4);
        for segment in segments {
            let there = seen(&segment);
            assert_eq!((there.src, there.src_port, there.dst), (EXTERNAL, port, B));
        }
        sent += 3500;
    }
    let data = Tcp { acknowledgment: sent, ..Tcp::data(80, port, 1) };
    let packet = partial(WAN, tcp(&from_b(EXTERNAL), data, &[7; 2500]), 16);
    let batch = vec![segmented(packet, GsoKind::Tcp4)];
    let segments: Vec<_> =
        gateway.pass_all(NOW, batch).into_iter().map(|out| out.sent(LAN)).collect();
    assert_eq!(segments.len(), 3);
    for segment in segments {
        assert_eq!((seen(&segment).dst, seen(&segment).dst_port), (A, 4000));
    }
    assert_eq!((gateway.flows(), gateway.counters.drops.total()), (1, 0));
}

#[test]
fn a_udp_checksum_of_zero_stays_none() {
    let mut gateway = Setup::masquerading().gateway();
    let mut frame = from_a(B).udp(4000, 53, b"query");
    frame[40..42].fill(0);
    for _ in 0..2 {
        let out = gateway.pass(NOW, LAN, &frame).sent(WAN);
        assert_eq!(seen(&out).src, EXTERNAL);
        assert_eq!(out[40..42], [0, 0], "RFC 768: none was computed");
    }
}
