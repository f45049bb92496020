//! What hosts hear when their packets cannot go on, and what becomes of packets too large for the way.

use std::time::Duration;

use portcullis_packet::{DropReason, GsoKind, Offload, TxOffload, Verdict};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::{icmp, udp};
use smoltcp::wire::{Icmpv4Message, Icmpv4Packet, IpEndpoint, IpListenEndpoint};

use crate::answer::Answer;
use crate::gateway::WAN;
use crate::hosts::{B4, B6, address, udp_socket};
use crate::link::Quality;
use crate::reasons::{A6, NOW, a_to_b4, acquaint, acquainted, super_frame};
use crate::world::{Side, World};

const PORT: u16 = 1000;

/// A sends datagrams from this port, and hears of the errors about them.
fn sender(world: &mut World) -> (SocketHandle, SocketHandle) {
    let datagrams = udp_socket(&mut world.a, PORT);
    let buffer = || icmp::PacketBuffer::new(vec![icmp::PacketMetadata::EMPTY; 8], vec![0; 8192]);
    let mut errors = icmp::Socket::new(buffer(), buffer());
    let about = icmp::Endpoint::Udp(IpListenEndpoint { addr: None, port: PORT });
    errors.bind(about).expect("a free port");
    (datagrams, world.a.sockets.add(errors))
}

fn send(world: &mut World, socket: SocketHandle, to: &str, payload: &[u8]) {
    let remote = IpEndpoint::new(address(to), 33_434);
    let datagrams = world.a.sockets.get_mut::<udp::Socket<'_>>(socket);
    datagrams.send_slice(payload, remote).expect("room");
    world.run_for(Duration::from_secs(2));
}

/// The last error that reached A.
fn last_answer(world: &World) -> Answer {
    let mut to_a = world.reached.iter().rev().filter(|(side, _)| *side == Side::A);
    let is_error = |frame: &[u8]| match frame[12..14] {
        // Unreachable and time exceeded (RFC 792).
        [0x08, 0x00] => frame[23] == 1 && matches!(frame[34], 3 | 11),
        // All types below 128 (RFC 4443, 2.1).
        [0x86, 0xdd] => frame[20] == 58 && frame[54] < 128,
        _ => false,
    };
    let (_, frame) = to_a.find(|(_, frame)| is_error(frame)).expect("an error");
    Answer::parse(frame)
}

#[test]
fn a_hop_limit_that_runs_out_is_told_to_the_host_as_traceroute_expects() {
    let mut world = World::new(Quality::PERFECT, 1);
    let (datagrams, errors) = sender(&mut world);
    world.a.sockets.get_mut::<udp::Socket<'_>>(datagrams).set_hop_limit(Some(1));
    send(&mut world, datagrams, B4, b"how far is it");
    let heard = world.a.sockets.get_mut::<icmp::Socket<'_>>(errors).recv().expect("an error");
    let message = Icmpv4Packet::new_checked(heard.0).expect("whole");
    assert_eq!(
        (message.msg_type(), message.verify_checksum()),
        (Icmpv4Message::TimeExceeded, true)
    );
    assert_eq!(heard.1, address("10.0.0.1"));

    send(&mut world, datagrams, B6, b"how far is it");
    let answer = last_answer(&world);
    assert_eq!((answer.kind, answer.code, answer.to), (3, 0, A6.into()));
}

#[test]
fn a_packet_too_big_for_the_way_out_is_answered_with_the_mtu() {
    let mut world = World::new(Quality::PERFECT, 1);
    world.gateway.change(WAN, |interface| interface.mtu = 1280);
    let (datagrams, _) = sender(&mut world);
    // Type and code of "fragmentation needed" (RFC 1191, 4) and "packet too big" (RFC 4443, 3.2).
    for (to, kind, code) in [(B4, 3, 4), (B6, 2, 0)] {
        // The neighbours are found with a small one.
        send(&mut world, datagrams, to, b"small");
        send(&mut world, datagrams, to, &[1; 1400]);
        let answer = last_answer(&world);
        assert_eq!((answer.kind, answer.code, answer.mtu), (kind, code, 1280));
    }
    assert_eq!(world.gateway.drops(DropReason::PacketTooBig), 2);
}

#[test]
fn a_packet_that_may_be_fragmented_is_and_arrives_whole() {
    let mut world = World::new(Quality::PERFECT, 1);
    world.gateway.change(WAN, |interface| interface.mtu = 600);
    let socket = udp_socket(&mut world.b, 2000);
    let payload: Vec<u8> = (0..1400_u16).map(|n| n as u8).collect();
    world.send_from(Side::A, a_to_b4().identification(77).udp(PORT, 2000, &payload));
    world.run_for(Duration::from_secs(1));
    let socket = world.b.sockets.get_mut::<udp::Socket<'_>>(socket);
    let (received, from) = socket.recv().expect("the datagram");
    assert!(received == payload);
    assert_eq!(from.endpoint, IpEndpoint::new(address("10.0.0.2"), PORT));
    let fragments = world.reached.iter().filter(|(side, frame)| {
        let [high, low] = [frame[20], frame[21]];
        *side == Side::B && frame[12..14] == [8, 0] && (high & 0x3f, low) != (0, 0)
    });
    assert_eq!(fragments.count(), 3);
}

#[test]
fn a_super_frame_is_cut_into_sound_segments_where_the_device_takes_none() {
    let mut gateway = acquainted();
    gateway.change(WAN, |interface| interface.offload = TxOffload::NONE);
    let batch = gateway.process(NOW, vec![super_frame()]);
    let (sent, rest): (Vec<_>, Vec<_>) =
        batch.iter().partition(|packet| packet.meta().verdict == Verdict::Transmit);
    assert_eq!(rest.iter().map(|p| p.meta().verdict).collect::<Vec<_>>(), [Verdict::Replaced]);
    let mut payload = vec![];
    for packet in &sent {
        assert_eq!((packet.meta().offload, packet.meta().tx_if), (Offload::NONE, WAN));
        let parsed = etherparse::PacketHeaders::from_ethernet_slice(packet.data()).expect("sound");
        let Some(etherparse::NetHeaders::Ipv4(ip, _)) = parsed.net else { panic!("not IPv4") };
        let Some(etherparse::TransportHeader::Tcp(tcp)) = parsed.transport else {
            panic!("no TCP")
        };
        assert_eq!(ip.header_checksum, ip.calc_header_checksum());
        let data = parsed.payload.slice();
        assert_eq!(Ok(tcp.checksum), tcp.calc_checksum_ipv4(&ip, data));
        assert_eq!((ip.time_to_live, tcp.sequence_number), (63, 3 + payload.len() as u32));
        payload.extend(data);
    }
    assert_eq!((sent.len(), payload), (4, vec![7; 4000]));
}

#[test]
fn a_super_frame_stays_one_where_the_device_takes_it() {
    let mut gateway = acquainted();
    gateway.change(WAN, |interface| interface.offload = TxOffload::ALL);
    let offered = super_frame();
    let offload = *offered.meta();
    let batch = gateway.process(NOW, vec![offered]);
    assert_eq!((batch.len(), batch[0].meta().verdict), (1, Verdict::Transmit));
    assert_eq!((batch[0].meta().offload, offload.offload.gso), (offload.offload, GsoKind::Tcp4));
}

#[test]
fn a_super_frame_whose_segments_are_too_big_is_answered_once_with_the_mtu() {
    let mut gateway = acquainted();
    gateway.change(WAN, |interface| interface.mtu = 900);
    acquaint(&mut gateway);
    let mut packet = super_frame();
    let frame =
        a_to_b4().dont_fragment().tcp(portcullis_wire::build::Tcp::data(1, 2, 3), &[7; 4000]);
    packet.data_mut().copy_from_slice(&frame);
    let batch = gateway.process(NOW, vec![packet]);
    let answer = Answer::parse(batch[0].data());
    assert_eq!((batch.len(), answer.kind, answer.code, answer.mtu), (1, 3, 4, 900));
}
