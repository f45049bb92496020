//! Super-frames and partial checksums, to and from the kernel's TCP.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};

use portcullis_packet::{GsoKind, Offload, Packet, PuntClass};
use portcullis_wire::build::{Frame, Tcp};
use portcullis_wire::checksum::Sum;
use portcullis_wire::{IpProtocol, ethernet, ipv4, tcp};

use crate::support::{LAN, LAN_MAC, PATIENCE, PEER_MAC, Vpc, came_in, run, set_up_addresses};

const OWN_PORT: u16 = 8000;
const PEER_PORT: u16 = 40_000;
/// Maximum segment size 1460; window scale 7 (RFC 9293, 7323).
const SYN_OPTIONS: [u8; 8] = [2, 4, 0x05, 0xb4, 1, 3, 3, 7];
const HEADERS: usize = ethernet::LEN + ipv4::LEN + tcp::LEN;

fn to_kernel() -> Frame {
    Frame::v4([10, 0, 0, 9], [10, 0, 0, 1]).macs(PEER_MAC, LAN_MAC)
}

fn segment(packet: &Packet) -> Option<(tcp::Header<&[u8; tcp::LEN]>, &[u8])> {
    let packet = packet.data().get(ethernet::LEN..)?;
    let ip = ipv4::Header::checked(packet).ok()?;
    let segment = packet.get(ip.header_len()..)?;
    let header = (ip.protocol() == IpProtocol::TCP).then(|| tcp::Header::new(segment))??;
    let payload = segment.get(header.header_len()..)?;
    Some((header, payload))
}

/// A connection to a listener in `vpc`, by hand: the first sequence numbers of both sides.
fn connect(vpc: &mut Vpc) -> (u32, u32) {
    let own = 1000;
    let syn = Tcp { sequence: own, options: SYN_OPTIONS.to_vec(), ..Tcp::syn(PEER_PORT, OWN_PORT) };
    vpc.punt(PuntClass::Other, LAN, &to_kernel().tcp(syn, b""));
    let answer = vpc.next(|packet| segment(packet).is_some());
    let (header, _) = segment(&answer).unwrap();
    assert_eq!((header.src_port(), header.acknowledgment()), (OWN_PORT, own + 1));
    let theirs = header.sequence() + 1;
    let ack = Tcp { acknowledgment: theirs, ..Tcp::data(PEER_PORT, OWN_PORT, own + 1) };
    vpc.punt(PuntClass::Other, LAN, &to_kernel().tcp(ack, b""));
    (own + 1, theirs)
}

fn listener() -> TcpListener {
    set_up_addresses();
    run(&["ip neigh add 10.0.0.9 lladdr 02:00:00:00:00:09 dev lan"]);
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, OWN_PORT)).unwrap()
}

#[test]
fn a_super_frame_of_the_kernels_tcp_comes_out_with_its_offload() {
    let (mut vpc, listener) = Vpc::start(listener);
    let (_, mut expected) = connect(&mut vpc);
    let (mut stream, _) = listener.accept().unwrap();
    let sent: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
    let writer = {
        let sent = sent.clone();
        std::thread::spawn(move || stream.write_all(&sent))
    };
    let first = expected;
    let (mut received, mut largest) = (Vec::<u8>::new(), 0);
    while received.len() < sent.len() {
        let packet = vpc.next(|packet| segment(packet).is_some_and(|(_, data)| !data.is_empty()));
        let (header, data) = segment(&packet).unwrap();
        if header.sequence() != expected {
            continue;
        }
        let offload = packet.meta().offload;
        assert!(offload.needs_csum, "{offload:?}");
        assert_eq!((offload.csum_start, offload.csum_offset), (34, 16));
        if data.len() > 1460 {
            assert_eq!((offload.gso, offload.gso_size), (GsoKind::Tcp4, 1460));
            largest = largest.max(data.len());
        }
        received.extend(data);
        expected = first + received.len() as u32;
        let ack = Tcp { acknowledgment: expected, ..Tcp::data(PEER_PORT, OWN_PORT, 1001) };
        vpc.punt(PuntClass::Other, LAN, &to_kernel().tcp(ack, b""));
    }
    assert!(received == sent);
    assert!(largest > 2 * 1460, "no super-frame among them: {largest}");
    writer.join().unwrap().unwrap();
}

#[test]
fn a_super_frame_with_a_partial_checksum_reaches_the_kernels_tcp_whole() {
    let (mut vpc, listener) = Vpc::start(listener);
    let (sequence, acknowledgment) = connect(&mut vpc);
    let (mut stream, _) = listener.accept().unwrap();
    let data: Vec<u8> = (0..40_000_u32).map(|n| (n % 253) as u8).collect();
    let header = Tcp { acknowledgment, ..Tcp::data(PEER_PORT, OWN_PORT, sequence) };
    let mut frame = to_kernel().tcp(header, &data);
    // What a virtual device leaves in the field: the sum of the pseudo-header, not inverted.
    let pseudo = ipv4::Header::new(&frame[ethernet::LEN..]).unwrap();
    let partial: Sum = pseudo.pseudo_sum((frame.len() - ethernet::LEN - ipv4::LEN) as u16);
    let partial = !partial.finish();
    frame[HEADERS - 4..HEADERS - 2].copy_from_slice(&partial.to_be_bytes());
    let mut packet = came_in(LAN, &frame);
    packet.meta_mut().offload = Offload {
        csum_start: 34,
        csum_offset: 16,
        gso_size: 1460,
        gso: GsoKind::Tcp4,
        needs_csum: true,
        ..Offload::NONE
    };
    assert!(vpc.try_punt(PuntClass::Other, packet));
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut received = vec![0; data.len()];
    stream.read_exact(&mut received).unwrap();
    assert!(received == data);
}
