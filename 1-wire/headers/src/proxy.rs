//! Answers in place of hosts that are known on a link by an external address: ARP (RFC 826, 1027) and neighbour
//! discovery (RFC 4861, 7.2.8).

use std::net::Ipv6Addr;

use portcullis_packet::{Mac, Packet};

use crate::checksum::Sum;
use crate::{EtherType, IpProtocol, arp, ethernet, ipv6};

const L3: usize = ethernet::LEN;

/// Whether an answer would go to one station: nobody's address is a group's (RFC 1812, 3.3.2).
fn is_from_one(frame: &[u8]) -> bool {
    frame.get(6).is_some_and(|first| first & 1 == 0)
}

/// The address that an ARP request asks for.
#[must_use]
pub fn arp_target(frame: &[u8]) -> Option<u32> {
    let message = arp::Message::new(frame.get(L3..)?)?;
    let sender = frame.get(L3 + 8)?;
    let is_request = message.operation() == arp::Operation::REQUEST;
    (is_request && is_from_one(frame) && sender & 1 == 0).then(|| message.target_ip().to_bits())
}

/// Makes of an ARP request its answer: that `mac` has the address. False if it is no request.
pub fn answer_arp(packet: &mut Packet, mac: Mac) -> bool {
    if arp_target(packet.data()).is_none() {
        return false;
    }
    let message = packet.data_mut().first_chunk_mut::<{ L3 + arp::LEN }>();
    let Some(message) = message else { return false };
    let (ethernet, arp) = message.split_at_mut(L3);
    let Some(arp) = arp.first_chunk_mut::<{ arp::LEN }>() else { return false };
    let target = [arp[24], arp[25], arp[26], arp[27]];
    arp[7] = 2;
    // Whoever asked is the target now.
    arp.copy_within(8..18, 18);
    let (sender, _) = arp.split_at_mut(18);
    let mine = mac.0.into_iter().chain(target);
    for (to, from) in sender.iter_mut().skip(8).zip(mine) {
        *to = from;
    }
    let whom = [arp[18], arp[19], arp[20], arp[21], arp[22], arp[23]];
    for (to, from) in ethernet.iter_mut().zip(whom.into_iter().chain(mac.0)) {
        *to = from;
    }
    true
}

/// How the groups begin that solicitations go to (RFC 4291, 2.7.1).
const SOLICITED_NODE: &[u8] = &[0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff];
/// Length of a solicitation without options: ICMPv6 header and target.
const SOLICITATION: usize = 24;
/// Length of the advertisement: the same, and a link-layer address.
const ADVERTISEMENT: usize = 32;

/// The address that a neighbour solicitation asks for, if it is sound (RFC 4861, 7.1.1).
#[must_use]
pub fn nd_target(frame: &[u8]) -> Option<u128> {
    let is_ipv6 = frame.get(12..14) == Some(&EtherType::IPV6.0.to_be_bytes());
    let packet = frame.get(L3..).filter(|_| is_ipv6)?;
    let parts = ipv6::Parts::new(packet).ok()?;
    let message = parts.payload;
    let is_solicitation = parts.header.next_header() == IpProtocol::ICMPV6
        && parts.header.hop_limit() == 255
        && message.len() >= SOLICITATION
        && message.get(..2) == Some(&[135, 0]);
    if !is_solicitation {
        return None;
    }
    let (src, dst) = (parts.header.src(), parts.header.dst());
    let pseudo = Sum::pseudo_v6(src, dst, IpProtocol::ICMPV6, message.len() as u32);
    if !(pseudo + Sum::of(message)).is_sound() {
        return None;
    }
    let target = u128::from_be_bytes(*message.get(8..)?.first_chunk()?);
    let is_to_solicited = dst.octets().starts_with(SOLICITED_NODE);
    let has_asker = !src.is_unspecified() || is_to_solicited;
    let is_sound = has_asker && target >> 120 != 0xff && options_are_whole(message);
    (is_sound && is_from_one(frame)).then_some(target)
}

/// Whether no option is cut short, or of no length.
fn options_are_whole(message: &[u8]) -> bool {
    let mut options = message.get(SOLICITATION..).unwrap_or_default();
    while let [_, length, ..] = options {
        match options.get(usize::from(*length) * 8..) {
            Some(rest) if *length > 0 => options = rest,
            _ => return false,
        }
    }
    options.is_empty()
}

/// Makes of a neighbour solicitation its advertisement: that `mac` has the address (RFC 4861, 7.2.4; as a
/// proxy without the override flag, 7.2.8). One from nobody, who wants the address himself (RFC 4862, 5.4), is
/// answered to everybody. False if it is no sound solicitation, or there is no room.
pub fn answer_nd(packet: &mut Packet, mac: Mac) -> bool {
    let Some(target) = nd_target(packet.data()) else { return false };
    let Some(header) = packet.data().get(L3..).and_then(ipv6::Header::fixed) else { return false };
    let asker = header.src();
    let is_nobody = asker.is_unspecified();
    let to = if is_nobody { Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1) } else { asker };
    let Some(asker_mac) = packet.data().get(6..12).and_then(<[u8]>::first_chunk::<6>).copied()
    else {
        return false;
    };
    if !packet.set_len(L3 + ipv6::LEN + ADVERTISEMENT) {
        return false;
    }
    let mut message = [0; ADVERTISEMENT];
    message[0] = 136;
    // Solicited, unless nobody in particular asked.
    message[4] = if is_nobody { 0 } else { 0x40 };
    for (to, from) in message.iter_mut().skip(8).zip(target.to_be_bytes()) {
        *to = from;
    }
    // Target link-layer address, of eight bytes.
    for (to, from) in message.iter_mut().skip(24).zip([2, 1].into_iter().chain(mac.0)) {
        *to = from;
    }
    let from = Ipv6Addr::from_bits(target);
    let pseudo = Sum::pseudo_v6(from, to, IpProtocol::ICMPV6, ADVERTISEMENT as u32);
    let sum = (pseudo + Sum::of(&message)).finish();
    [message[2], message[3]] = sum.to_be_bytes();
    let mut ip = [0; ipv6::LEN];
    ip[0] = 0x60;
    [ip[4], ip[5]] = (ADVERTISEMENT as u16).to_be_bytes();
    ip[6] = IpProtocol::ICMPV6.0;
    ip[7] = 255;
    let addresses = from.octets().into_iter().chain(to.octets());
    for (to, from) in ip.iter_mut().skip(8).zip(addresses) {
        *to = from;
    }
    let to_mac = if is_nobody { [0x33, 0x33, 0, 0, 0, 1] } else { asker_mac };
    let macs = to_mac.into_iter().chain(mac.0);
    let whole = macs.chain(EtherType::IPV6.0.to_be_bytes()).chain(ip).chain(message);
    for (to, from) in packet.data_mut().iter_mut().zip(whole) {
        *to = from;
    }
    true
}
