//! The segment that turns a connection away (RFC 9293, 3.10.7.1).

use std::net::{Ipv4Addr, Ipv6Addr};

use portcullis_packet::{NextHopId, Offload, Packet};

use crate::checksum::Sum;
use crate::dissect::tcp_segment;
use crate::tcp::Flags;
use crate::{IpProtocol, ethernet, ipv4, ipv6, tcp};

const L3: usize = ethernet::LEN;

/// TTL and hop limit of a reset.
const TTL: u8 = 64;

/// The header of the answer to a segment; none to a reset.
fn answer(frame: &[u8], upper: usize) -> Option<[u8; tcp::LEN]> {
    let segment = tcp_segment(frame, upper)?;
    if segment.flags.contains(Flags::RST) {
        return None;
    }
    let ports: &[u8; 4] = frame.get(upper..)?.first_chunk()?;
    let (seq, ack, flags) = if segment.flags.contains(Flags::ACK) {
        (segment.ack, 0, Flags::RST)
    } else {
        let controls = u32::from(segment.flags.contains(Flags::SYN))
            + u32::from(segment.flags.contains(Flags::FIN));
        let end = segment.seq.wrapping_add(segment.payload).wrapping_add(controls);
        (0, end, Flags::RST.with(Flags::ACK))
    };
    let [a, b, c, d] = *ports;
    let mut header = [0; tcp::LEN];
    let (addresses, rest) = header.split_at_mut(4);
    addresses.copy_from_slice(&[c, d, a, b]);
    let (numbers, rest) = rest.split_at_mut(8);
    let (to_seq, to_ack) = numbers.split_at_mut(4);
    to_seq.copy_from_slice(&seq.to_be_bytes());
    to_ack.copy_from_slice(&ack.to_be_bytes());
    if let Some(rest) = rest.first_chunk_mut::<2>() {
        *rest = [5 << 4, flags.0];
    }
    Some(header)
}

fn fill_checksum(segment: &mut [u8], pseudo: Sum) {
    let sum = (pseudo + Sum::of(segment)).finish();
    let field = segment.get_mut(usize::from(tcp::CHECKSUM_OFFSET)..);
    if let Some(field) = field.and_then(<[u8]>::first_chunk_mut::<2>) {
        *field = sum.to_be_bytes();
    }
}

fn forget(packet: &mut Packet) {
    let meta = packet.meta_mut();
    meta.offload = Offload::NONE;
    meta.flow_hash = 0;
    meta.next_hop = NextHopId::NO_ROUTE;
}

/// Makes of a TCP segment over IPv4 the reset that answers it. MAC addresses are left to who sends it. False, and
/// nothing changed, if it is a reset itself, or none can be made.
pub fn reset_v4(packet: &mut Packet, upper: usize) -> bool {
    let Some(mut segment) = answer(packet.data(), upper) else { return false };
    let Some(header) = packet.data().get(L3..).and_then(ipv4::Header::fixed) else { return false };
    let (from, to): (Ipv4Addr, Ipv4Addr) = (header.dst(), header.src());
    let length = (ipv4::LEN + tcp::LEN) as u16;
    let header = ipv4::Fields {
        tos: 0,
        total_len: length,
        identification: 0,
        dont_fragment: true,
        ttl: TTL,
        protocol: IpProtocol::TCP,
        src: from,
        dst: to,
    };
    fill_checksum(&mut segment, Sum::pseudo_v4(from, to, IpProtocol::TCP, tcp::LEN as u16));
    if !packet.set_len(L3 + usize::from(length)) {
        return false;
    }
    let bytes = packet.data_mut().get_mut(L3..);
    let Some((ip, tcp)) = bytes.and_then(|bytes| bytes.split_first_chunk_mut()) else {
        return false;
    };
    *ip = header.to_bytes();
    tcp.copy_from_slice(&segment);
    forget(packet);
    true
}

/// The same over IPv6.
pub fn reset_v6(packet: &mut Packet, upper: usize) -> bool {
    let Some(mut segment) = answer(packet.data(), upper) else { return false };
    let Some(header) = packet.data().get(L3..).and_then(ipv6::Header::fixed) else { return false };
    let (from, to): (Ipv6Addr, Ipv6Addr) = (header.dst(), header.src());
    fill_checksum(&mut segment, Sum::pseudo_v6(from, to, IpProtocol::TCP, tcp::LEN as u32));
    if !packet.set_len(L3 + ipv6::LEN + tcp::LEN) {
        return false;
    }
    let bytes = packet.data_mut().get_mut(L3..);
    let Some((ip, tcp)) = bytes.and_then(|bytes| bytes.split_first_chunk_mut::<{ ipv6::LEN }>())
    else {
        return false;
    };
    let mut fresh = [0; ipv6::LEN];
    fresh[0] = 0x60;
    [fresh[4], fresh[5]] = (tcp::LEN as u16).to_be_bytes();
    fresh[6] = IpProtocol::TCP.0;
    fresh[7] = TTL;
    for (to, from) in fresh.iter_mut().skip(8).zip(from.octets().into_iter().chain(to.octets())) {
        *to = from;
    }
    *ip = fresh;
    tcp.copy_from_slice(&segment);
    forget(packet);
    true
}
