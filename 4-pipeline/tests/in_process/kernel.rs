//! A minimal stand-in for the kernel in `vpc`: it answers ARP and neighbour discovery for the
//! gateway's addresses, learns who is out there, asks when it is told to, and answers pings.

use std::net::{IpAddr, Ipv6Addr};

use portcullis_packet::{IfIndex, Mac, Packet, PuntClass, Verdict};
use portcullis_pipeline::Resolve;
use portcullis_routing::Interface;
use portcullis_wire::build::{self, Echo, Frame};
use portcullis_wire::checksum::Sum;
use portcullis_wire::{EtherType, IpProtocol, arp, ethernet, icmpv4, icmpv6, ipv4, ipv6};

/// Options of neighbour discovery: the address of who asks, and of whom is asked for (RFC 4861, 4.6.1).
const SOURCE_LINK_LAYER: u8 = 1;
const TARGET_LINK_LAYER: u8 = 2;
/// Flags of an advertisement: router, solicited, override (RFC 4861, 4.4).
const ADVERTISEMENT_FLAGS: [u8; 4] = [0xe0, 0, 0, 0];

/// What the kernel does about a packet.
#[derive(Debug, Default)]
pub(crate) struct Reaction {
    /// The frame that it sends through the tap of the same interface.
    pub(crate) answer: Option<Vec<u8>>,
    /// Whom it learnt of.
    pub(crate) learnt: Option<(IpAddr, Mac)>,
}

/// The stand-in.
#[derive(Debug, Default)]
pub(crate) struct Kernel {
    /// What it was given, in order.
    pub(crate) punted: Vec<(IfIndex, PuntClass)>,
}

impl Kernel {
    /// Takes a punted packet.
    pub(crate) fn take(&mut self, packet: &Packet, interface: &Interface) -> Reaction {
        let Verdict::Punt(class) = packet.meta().verdict else {
            panic!("not punted: {packet:?}");
        };
        self.punted.push((packet.meta().rx_if, class));
        react(packet.data(), interface).unwrap_or_default()
    }

    /// The question for an address on the link of `interface`: a broadcast for IPv4, and for IPv6 a
    /// multicast to the solicited node.
    pub(crate) fn ask(awaited: &Resolve, interface: &Interface) -> Vec<u8> {
        let own = interface.mac;
        match awaited.address {
            IpAddr::V4(target) => {
                let source = interface.source4(target).expect("an address of its own");
                build::arp_request(own, source, target)
            }
            IpAddr::V6(target) => {
                let source = interface.source6(target).expect("an address of its own");
                let [.., a, b, c] = target.octets();
                let group = Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c]);
                let frame = Frame::v6(source, group).macs(own, Mac([0x33, 0x33, 0xff, a, b, c]));
                let kind = icmpv6::Type::NEIGHBOR_SOLICITATION;
                discovery(&frame, kind, [0; 4], target, SOURCE_LINK_LAYER, own)
            }
        }
    }
}

fn react(bytes: &[u8], interface: &Interface) -> Option<Reaction> {
    let frame = ethernet::Header::new(bytes)?;
    let payload = bytes.get(ethernet::LEN..)?;
    match frame.ether_type() {
        EtherType::ARP => react_to_arp(payload, interface),
        EtherType::IPV4 => react_to_ip4(frame.src(), payload, interface),
        EtherType::IPV6 => react_to_ip6(frame.src(), payload, interface),
        _ => None,
    }
}

fn react_to_arp(payload: &[u8], interface: &Interface) -> Option<Reaction> {
    let message = arp::Message::new(payload)?;
    let asker = (message.sender_mac(), message.sender_ip());
    let target = message.target_ip();
    let ours = interface.addresses4.iter().any(|net| net.addr() == target);
    let asked = ours && message.operation() == arp::Operation::REQUEST;
    let answer = asked.then(|| build::arp_reply((interface.mac, target), asker));
    Some(Reaction { answer, learnt: Some((asker.1.into(), asker.0)) })
}

fn react_to_ip4(from: Mac, packet: &[u8], interface: &Interface) -> Option<Reaction> {
    let ip = ipv4::Header::checked(packet).ok()?;
    let message = packet.get(ip.header_len()..usize::from(ip.total_len()))?;
    let icmp = icmpv4::Header::new(message)?;
    let is_request = ip.protocol() == IpProtocol::ICMP
        && icmp.message_type() == icmpv4::Type::ECHO_REQUEST
        && Sum::of(message).is_sound();
    let reply = Frame::v4(ip.dst(), ip.src()).macs(interface.mac, from);
    let data = message.get(icmpv4::LEN..)?;
    let reply = reply.echo(Echo::Reply, icmp.identifier(), icmp.sequence(), data);
    Some(Reaction { answer: is_request.then_some(reply), learnt: None })
}

fn react_to_ip6(from: Mac, packet: &[u8], interface: &Interface) -> Option<Reaction> {
    let ip = ipv6::Header::new(packet).ok()?;
    let message = packet.get(ipv6::LEN..)?;
    let icmp = icmpv6::Header::new(message)?;
    let pseudo = ip.pseudo_sum(IpProtocol::ICMPV6, u32::try_from(message.len()).ok()?);
    if ip.next_header() != IpProtocol::ICMPV6 || !(pseudo + Sum::of(message)).is_sound() {
        return None;
    }
    let own = interface.mac;
    match icmp.message_type() {
        icmpv6::Type::NEIGHBOR_SOLICITATION => {
            let target = target(message)?;
            let ours = interface.addresses6.iter().any(|net| net.addr() == target);
            let frame = Frame::v6(target, ip.src()).macs(own, from);
            let kind = icmpv6::Type::NEIGHBOR_ADVERTISEMENT;
            let answer =
                discovery(&frame, kind, ADVERTISEMENT_FLAGS, target, TARGET_LINK_LAYER, own);
            Some(Reaction { answer: ours.then_some(answer), learnt: Some((ip.src().into(), from)) })
        }
        icmpv6::Type::NEIGHBOR_ADVERTISEMENT => {
            Some(Reaction { answer: None, learnt: Some((target(message)?.into(), from)) })
        }
        icmpv6::Type::ECHO_REQUEST => {
            let reply = Frame::v6(ip.dst(), ip.src()).macs(own, from);
            let data = message.get(icmpv6::LEN..)?;
            let reply = reply.echo(Echo::Reply, icmp.identifier(), icmp.sequence(), data);
            Some(Reaction { answer: Some(reply), learnt: None })
        }
        _ => None,
    }
}

/// Whom a solicitation or an advertisement is about.
fn target(message: &[u8]) -> Option<Ipv6Addr> {
    let bytes: &[u8; 16] = message.get(icmpv6::LEN..)?.first_chunk()?;
    Some(Ipv6Addr::from(*bytes))
}

/// A message of neighbour discovery about `target` with one option, an address of the link layer.
fn discovery(
    frame: &Frame,
    kind: icmpv6::Type,
    flags: [u8; 4],
    target: Ipv6Addr,
    option: u8,
    mac: Mac,
) -> Vec<u8> {
    let body = [&target.octets()[..], &[option, 1], &mac.0].concat();
    // Nothing that came through a router is believed (RFC 4861, 7.1).
    frame.clone().hops(255).icmp(kind.0, 0, flags, &body)
}
