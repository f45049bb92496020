//! What crosses: questions to the kernel and its answers, and any frame, byte for byte.

use std::cell::RefCell;
use std::net::Ipv4Addr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Instant;

use portcullis_drivers::af_packet::{AfPacket, AfPacketConfig, Member};
use portcullis_drivers::{Port, PortStatus};
use portcullis_packet::{BATCH, IfIndex, Mac, Packet, Pool, PoolLimits, PuntClass, Verdict};
use portcullis_wire::build::{self, Echo, Frame};
use portcullis_wire::{EtherType, arp, ethernet, icmpv4, icmpv6, ipv4, ipv6};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use crate::support::{LAN, LAN_MAC, PATIENCE, PEER_MAC, Vpc, WAN, came_in, run, set_up_addresses};

const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);
const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

fn payload(packet: &Packet) -> Option<(EtherType, &[u8])> {
    let header = ethernet::Header::new(packet.data())?;
    Some((header.ether_type(), packet.data().get(ethernet::LEN..)?))
}

fn is_arp_reply(packet: &Packet) -> bool {
    let Some((EtherType::ARP, payload)) = payload(packet) else { return false };
    arp::Message::new(payload).is_some_and(|message| {
        message.operation() == arp::Operation::REPLY
            && (message.sender_mac(), message.sender_ip()) == (LAN_MAC, OWN)
            && (message.target_mac(), message.target_ip()) == (PEER_MAC, PEER)
    })
}

#[test]
fn the_kernel_answers_arp_and_ping_through_the_tap() {
    let (mut vpc, ()) = Vpc::start(set_up_addresses);
    vpc.punt(PuntClass::Neighbor, LAN, &build::arp_request(PEER_MAC, PEER, OWN));
    let reply = vpc.next(is_arp_reply);
    assert_eq!((reply.meta().tx_if, reply.meta().verdict), (LAN, Verdict::Transmit));

    let ping = Frame::v4(PEER, OWN).macs(PEER_MAC, LAN_MAC);
    vpc.punt(PuntClass::Other, LAN, &ping.echo(Echo::Request, 7, 1, b"are you there"));
    let reply = vpc.next(|packet| {
        let Some((EtherType::IPV4, payload)) = payload(packet) else { return false };
        let header = ipv4::Header::checked(payload).unwrap();
        icmpv4::Header::new(&payload[header.header_len()..])
            .is_some_and(|icmp| icmp.message_type() == icmpv4::Type::ECHO_REPLY)
    });
    assert_eq!(&reply.data()[reply.len() - 13..], b"are you there");
    assert_eq!(ethernet::Header::new(reply.data()).unwrap().dst(), PEER_MAC);

    let counters = vpc.stop();
    assert_eq!(counters.class(PuntClass::Neighbor).delivered.get(), 1);
    assert_eq!(counters.class(PuntClass::Other).delivered.get(), 1);
    assert!(counters.interface(LAN).unwrap().from_kernel.get() >= 2);
}

#[test]
fn the_kernel_answers_neighbour_discovery_and_ping_over_ipv6() {
    let (mut vpc, ()) = Vpc::start(set_up_addresses);
    let peer = [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
    let own = [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let group = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 1];
    let source_link_layer = [&[1, 1][..], &PEER_MAC.0].concat();
    let body = [&own[..], &source_link_layer].concat();
    let solicitation = Frame::v6(peer, group)
        .macs(PEER_MAC, Mac([0x33, 0x33, 0xff, 0, 0, 1]))
        .hops(255)
        .icmp(icmpv6::Type::NEIGHBOR_SOLICITATION.0, 0, [0; 4], &body);
    vpc.ask(PuntClass::Neighbor, LAN, &solicitation, |packet| {
        icmpv6_type(packet) == Some(icmpv6::Type::NEIGHBOR_ADVERTISEMENT)
    });
    let ping = Frame::v6(peer, own).macs(PEER_MAC, LAN_MAC).echo(Echo::Request, 7, 1, b"hello");
    let reply = vpc.ask(PuntClass::Other, LAN, &ping, |packet| {
        icmpv6_type(packet) == Some(icmpv6::Type::ECHO_REPLY)
    });
    assert_eq!(&reply.data()[reply.len() - 5..], b"hello");
}

fn icmpv6_type(packet: &Packet) -> Option<icmpv6::Type> {
    let (EtherType::IPV6, payload) = payload(packet)? else { return None };
    Some(icmpv6::Header::new(payload.get(ipv6::LEN..)?)?.message_type())
}

/// A packet socket on the tap's other side, where the kernel's own stack would be.
fn station(device: &str) -> AfPacket {
    let config = AfPacketConfig::new(IfIndex(0), device);
    let alone = Member::group_of(NonZeroU16::MIN).next().unwrap();
    AfPacket::open(config, alone, Arc::new(PortStatus::new())).unwrap()
}

/// Frames of all lengths that Ethernet and an MTU of 1500 allow (the kernel drops tagged ones that are
/// much shorter), of a type that means nothing to anybody, or with a VLAN tag.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let any_type = prop_oneof![
        3 => Just(vec![0x88, 0xb5]),
        1 => (0_u16..4096).prop_map(|vlan| [&[0x81, 0x00][..], &vlan.to_be_bytes(), &[0x88, 0xb6]].concat()),
    ];
    (any_type, proptest::collection::vec(any::<u8>(), 46..=1496)).prop_map(|(kind, payload)| {
        [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9][..], &kind, &payload].concat()
    })
}

/// The trap thread, and who is behind its tap.
struct Crossing {
    vpc: Vpc,
    station: AfPacket,
    pool: Pool,
}

impl Crossing {
    fn cross_to_kernel(&mut self, frames: &[Vec<u8>]) -> Result<(), TestCaseError> {
        for frame in frames {
            self.vpc.punt(PuntClass::Other, WAN, frame);
        }
        let mut arrived = vec![];
        let deadline = Instant::now() + PATIENCE;
        while arrived.len() < frames.len() {
            prop_assert!(Instant::now() < deadline, "{} of {}", arrived.len(), frames.len());
            self.station.receive(&mut self.pool, &mut arrived, BATCH);
        }
        for (packet, frame) in arrived.into_iter().zip(frames) {
            prop_assert_eq!(packet.data(), &frame[..]);
            self.pool.put(packet);
        }
        Ok(())
    }

    fn cross_from_kernel(&mut self, frames: &[Vec<u8>]) -> Result<(), TestCaseError> {
        let mut batch: Vec<Packet> = frames.iter().map(|frame| came_in(WAN, frame)).collect();
        prop_assert_eq!(self.station.transmit(&mut batch, &mut self.pool), frames.len());
        for frame in frames {
            let packet = self.vpc.next(|packet| packet.meta().tx_if == WAN);
            prop_assert_eq!(packet.data(), &frame[..]);
        }
        Ok(())
    }
}

#[test]
fn any_frame_crosses_byte_for_byte_both_ways() {
    let (vpc, station) = Vpc::start(|| {
        run(&["sysctl -qw net.ipv6.conf.all.disable_ipv6=1", "ip link set wan up"]);
        station("wan")
    });
    let pool = Pool::new(PoolLimits { small: 64, large: 2 });
    let crossing = RefCell::new(Crossing { vpc, station, pool });
    let config =
        Config { failure_persistence: None, max_shrink_iters: 0, ..Config::with_cases(32) };
    let frames = proptest::collection::vec(frame(), 1..32);
    let outcome = TestRunner::new(config).run(&frames, |frames| {
        let crossing = &mut *crossing.borrow_mut();
        crossing.cross_to_kernel(&frames)?;
        crossing.cross_from_kernel(&frames)
    });
    outcome.unwrap();
}
