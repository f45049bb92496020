//! Two hosts that talk to each other through the gateway, over wires that are good or bad.

use std::net::Ipv4Addr;
use std::time::Duration;

use portcullis_firewall::AntiSpoofing;
use portcullis_packet::DropReason;
use smoltcp::iface::SocketHandle;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::{icmp, tcp, udp};
use smoltcp::wire::{Icmpv4Packet, Icmpv4Repr, Icmpv6Packet, Icmpv6Repr, IpAddress, IpEndpoint};

use crate::flows::setup::{EXTERNAL, Setup};
use crate::host::Host;
use crate::link::Quality;
use crate::rng::Rng;
use crate::world::World;

const SERVER_PORT: u16 = 80;
const CLIENT_PORT: u16 = 40_000;

const A4: &str = "10.0.0.2";
const A6: &str = "2001:db8:1::2";
pub(crate) const B4: &str = "192.0.2.2";
pub(crate) const B6: &str = "2001:db8:2::2";

pub(crate) fn address(text: &str) -> IpAddress {
    text.parse().expect("an address")
}

fn tcp_socket(host: &mut Host) -> SocketHandle {
    let buffer = || tcp::SocketBuffer::new(vec![0; 32 * 1024]);
    let mut socket = tcp::Socket::new(buffer(), buffer());
    socket.set_nagle_enabled(false);
    host.sockets.add(socket)
}

/// One end's part in a conversation: what it has to say, and what it has heard.
struct Talk {
    socket: SocketHandle,
    says: Vec<u8>,
    said: usize,
    heard: Vec<u8>,
}

impl Talk {
    fn new(socket: SocketHandle, says: Vec<u8>) -> Self {
        Self { socket, says, said: 0, heard: vec![] }
    }

    /// Says and hears what can be said and heard now.
    fn go_on(&mut self, host: &mut Host) {
        let socket = host.sockets.get_mut::<tcp::Socket<'_>>(self.socket);
        while socket.can_send() && self.said < self.says.len() {
            self.said += socket.send_slice(&self.says[self.said..]).expect("can send");
        }
        while socket.can_recv() {
            let heard = &mut self.heard;
            socket
                .recv(|bytes| {
                    heard.extend_from_slice(bytes);
                    (bytes.len(), ())
                })
                .expect("can receive");
        }
        if self.said == self.says.len() && !self.says.is_empty() && socket.send_queue() == 0 {
            socket.close();
        }
    }
}

/// A connects to B; both send each other this much at the same time, and get all of it right.
fn transfer(mut world: World, to: &str, seed: u64, bytes: usize) -> World {
    let mut rng = Rng::new(seed);
    let client = tcp_socket(&mut world.a);
    let server = tcp_socket(&mut world.b);
    world.b.sockets.get_mut::<tcp::Socket<'_>>(server).listen(SERVER_PORT).expect("a free port");
    let Host { interface, sockets, .. } = &mut world.a;
    let remote = IpEndpoint::new(address(to), SERVER_PORT);
    let socket = sockets.get_mut::<tcp::Socket<'_>>(client);
    socket.connect(interface.context(), remote, CLIENT_PORT).expect("a route");

    let mut a = Talk::new(client, rng.bytes(bytes));
    let mut b = Talk::new(server, rng.bytes(bytes));
    world.run_until(Duration::from_secs(3600), |world| {
        a.go_on(&mut world.a);
        b.go_on(&mut world.b);
        a.heard.len() >= bytes && b.heard.len() >= bytes
    });
    assert!(b.heard == a.says, "seed {seed}: what A said is not what B heard");
    assert!(a.heard == b.says, "seed {seed}: what B said is not what A heard");
    world
}

#[test]
fn a_tcp_transfer_over_good_wires_loses_nothing_in_the_gateway() {
    for to in [B4, B6] {
        let world = transfer(World::new(Quality::PERFECT, 1), to, 1, 500_000);
        assert_eq!(world.gateway.counters.drops.total(), 0, "{:?}", world.gateway.counters);
        assert_eq!(world.gateway.worker.held(), 0);
    }
}

#[test]
fn a_tcp_transfer_over_ipv4_survives_loss_reordering_duplication_and_damage() {
    bad_wires(B4, World::new);
}

#[test]
fn a_tcp_transfer_over_ipv6_survives_loss_reordering_duplication_and_damage() {
    bad_wires(B6, World::new);
}

/// A world whose gateway masquerades, has a firewall, and believes nobody.
fn guarded(quality: Quality, seed: u64) -> World {
    let mut world = World::new(quality, seed);
    world.gateway.equip();
    world.gateway.apply(Setup {
        anti_spoofing: AntiSpoofing::Strict,
        mss_clamp: true,
        tcp_pickup: false,
        rules: Setup::firewall().rules,
        ..Setup::masquerading()
    });
    world
}

#[test]
fn a_tcp_transfer_through_masquerade_and_firewall_loses_nothing_in_the_gateway() {
    for to in [B4, B6] {
        let mut world = transfer(guarded(Quality::PERFECT, 1), to, 1, 500_000);
        assert_eq!(world.gateway.counters.drops.total(), 0, "{:?}", world.gateway.counters);
        // The gateway's own questions for addresses are no flows.
        assert_eq!(world.gateway.flows(), 1);
    }
}

#[test]
fn a_tcp_transfer_through_masquerade_survives_loss_reordering_duplication_and_damage() {
    bad_wires(B4, guarded);
}

#[test]
fn a_tcp_transfer_through_a_firewall_survives_loss_reordering_duplication_and_damage() {
    bad_wires(B6, guarded);
}

#[test]
fn a_datagram_in_fragments_and_a_ping_go_through_masquerade_and_come_back() {
    let mut world = guarded(Quality::PERFECT, 1);
    let (a, b) = (udp_socket(&mut world.a, 1000), udp_socket(&mut world.b, 2000));
    // B asks for the external address first: smoltcp does not keep an answer to a ping until it knows it.
    let external = IpAddress::from(Ipv4Addr::from(EXTERNAL));
    let to_nobody = IpEndpoint::new(external, 9);
    world.b.sockets.get_mut::<udp::Socket<'_>>(b).send_slice(b"?", to_nobody).expect("room");
    world.run_for(Duration::from_secs(1));
    assert_eq!(ping4(&mut world, B4), b"marco");
    let sent = Rng::new(7).bytes(5000);
    let remote = IpEndpoint::new(address(B4), 2000);
    world.a.sockets.get_mut::<udp::Socket<'_>>(a).send_slice(&sent, remote).expect("room");
    world.run_for(Duration::from_secs(2));
    let (data, from) = world.b.sockets.get_mut::<udp::Socket<'_>>(b).recv().expect("a datagram");
    assert!(data == sent && from.endpoint.addr == external);
    let answer = from.endpoint;
    world.b.sockets.get_mut::<udp::Socket<'_>>(b).send_slice(&sent, answer).expect("room");
    world.run_for(Duration::from_secs(2));
    let (data, from) = world.a.sockets.get_mut::<udp::Socket<'_>>(a).recv().expect("the answer");
    assert!(data == sent && from.endpoint == remote);
    assert_eq!(world.gateway.drops(DropReason::NatNoMapping), 1, "what was for nobody");
    assert_eq!(world.gateway.counters.drops.total(), 1, "{:?}", world.gateway.counters);
}

fn bad_wires(to: &str, world: fn(Quality, u64) -> World) {
    for seed in 1..=5 {
        let world = transfer(world(Quality::BAD, seed), to, seed, 100_000);
        let damage = world.damage();
        let all = [damage.lost, damage.doubled, damage.late, damage.damaged];
        assert!(all.into_iter().all(|n| n > 0), "not much of a test: {damage:?}");
    }
}

#[test]
fn the_first_packet_to_an_unknown_neighbour_is_not_lost() {
    let mut world = World::new(Quality::PERFECT, 1);
    let (a, b) = (udp_socket(&mut world.a, 1000), udp_socket(&mut world.b, 2000));
    let remote = IpEndpoint::new(address(B4), 2000);
    world.a.sockets.get_mut::<udp::Socket<'_>>(a).send_slice(b"only once", remote).expect("room");
    world.run_for(Duration::from_secs(1));
    let (data, from) = world.b.sockets.get_mut::<udp::Socket<'_>>(b).recv().expect("the datagram");
    assert_eq!((data, from.endpoint.addr), (&b"only once"[..], address(A4)));
    let counters = &world.gateway.counters;
    assert_eq!((counters.held.get(), counters.released.get()), (1, 1));
}

pub(crate) fn udp_socket(host: &mut Host, port: u16) -> SocketHandle {
    let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 8], vec![0; 16 * 1024]);
    let mut socket = udp::Socket::new(buffer(), buffer());
    socket.bind(port).expect("a free port");
    host.sockets.add(socket)
}

#[test]
fn a_datagram_that_its_sender_fragments_arrives_whole() {
    let mut world = World::new(Quality::PERFECT, 1);
    let (a, b) = (udp_socket(&mut world.a, 1000), udp_socket(&mut world.b, 2000));
    let sent = Rng::new(7).bytes(5000);
    let remote = IpEndpoint::new(address(B4), 2000);
    // The first one asks for the neighbours: smoltcp drops what it has no address for.
    for datagram in [&b"first"[..], &sent] {
        world.a.sockets.get_mut::<udp::Socket<'_>>(a).send_slice(datagram, remote).expect("room");
        world.run_for(Duration::from_secs(2));
    }
    let socket = world.b.sockets.get_mut::<udp::Socket<'_>>(b);
    let received = std::iter::from_fn(|| socket.recv().ok().map(|(data, _)| data.to_vec()));
    assert!(received.last().is_some_and(|last| last == sent));
}

/// An ICMP socket that hears the answers to its pings.
fn ping_socket(host: &mut Host) -> SocketHandle {
    let buffer = || icmp::PacketBuffer::new(vec![icmp::PacketMetadata::EMPTY; 8], vec![0; 4096]);
    let mut socket = icmp::Socket::new(buffer(), buffer());
    socket.bind(icmp::Endpoint::Ident(IDENT)).expect("a free identifier");
    host.sockets.add(socket)
}

const IDENT: u16 = 0x2a;

/// Sends a ping from A to an IPv4 address, and gives the answer's data.
fn ping4(world: &mut World, to: &str) -> Vec<u8> {
    let socket = ping_socket(&mut world.a);
    let checksums = ChecksumCapabilities::default();
    let repr = Icmpv4Repr::EchoRequest { ident: IDENT, seq_no: 1, data: b"marco" };
    let pings = world.a.sockets.get_mut::<icmp::Socket<'_>>(socket);
    let payload = pings.send(repr.buffer_len(), address(to)).expect("room");
    repr.emit(&mut Icmpv4Packet::new_unchecked(payload), &checksums);
    world.run_for(Duration::from_secs(1));
    let pings = world.a.sockets.get_mut::<icmp::Socket<'_>>(socket);
    let (answer, from) = pings.recv().expect("an answer");
    assert_eq!(from, address(to));
    match Icmpv4Repr::parse(&Icmpv4Packet::new_checked(answer).expect("whole"), &checksums) {
        Ok(Icmpv4Repr::EchoReply { ident: IDENT, seq_no: 1, data }) => data.to_vec(),
        other => panic!("{other:?}"),
    }
}

/// The same over IPv6.
fn ping6(world: &mut World, to: &str) -> Vec<u8> {
    let socket = ping_socket(&mut world.a);
    let checksums = ChecksumCapabilities::default();
    let (own, IpAddress::Ipv6(remote)) = ("2001:db8:1::2".parse().expect("ours"), address(to))
    else {
        panic!("{to} is not an IPv6 address");
    };
    let repr = Icmpv6Repr::EchoRequest { ident: IDENT, seq_no: 1, data: b"marco" };
    let pings = world.a.sockets.get_mut::<icmp::Socket<'_>>(socket);
    let payload = pings.send(repr.buffer_len(), address(to)).expect("room");
    repr.emit(&own, &remote, &mut Icmpv6Packet::new_unchecked(payload), &checksums);
    world.run_for(Duration::from_secs(1));
    let pings = world.a.sockets.get_mut::<icmp::Socket<'_>>(socket);
    let (answer, from) = pings.recv().expect("an answer");
    assert_eq!(from, address(to));
    let packet = Icmpv6Packet::new_checked(answer).expect("whole");
    match Icmpv6Repr::parse(&remote, &own, &packet, &checksums) {
        Ok(Icmpv6Repr::EchoReply { ident: IDENT, seq_no: 1, data }) => data.to_vec(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_ping_goes_through_and_comes_back() {
    let mut world = World::new(Quality::PERFECT, 1);
    assert_eq!(ping4(&mut world, B4), b"marco");
    let mut world = World::new(Quality::PERFECT, 1);
    assert_eq!(ping6(&mut world, B6), b"marco");
    assert_eq!(A6.parse(), Ok(address(A6)));
}

#[test]
fn the_gateways_own_addresses_answer_pings_near_and_far() {
    for own in ["10.0.0.1", "192.0.2.1"] {
        assert_eq!(ping4(&mut World::new(Quality::PERFECT, 1), own), b"marco", "{own}");
    }
    for own in ["2001:db8:1::1", "2001:db8:2::1"] {
        assert_eq!(ping6(&mut World::new(Quality::PERFECT, 1), own), b"marco", "{own}");
    }
}
