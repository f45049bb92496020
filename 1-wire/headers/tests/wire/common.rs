//! What several of these tests need: addresses, and etherparse's opinion of a frame.

use std::net::{Ipv4Addr, Ipv6Addr};

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use portcullis_packet::{Offload, Packet};
use portcullis_wire::build::Frame;
use portcullis_wire::checksum::Sum;
use portcullis_wire::{IpProtocol, ipv4, ipv6};

pub(crate) const SRC4: Ipv4Addr = Ipv4Addr::new(10, 1, 2, 3);
pub(crate) const DST4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
pub(crate) const SRC6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 3);
pub(crate) const DST6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 7);

/// An IPv4 frame between two hosts.
pub(crate) fn v4() -> Frame {
    Frame::v4(SRC4, DST4)
}

/// An IPv6 frame between two hosts.
pub(crate) fn v6() -> Frame {
    Frame::v6(SRC6, DST6)
}

/// Whether etherparse can read the frame and computes the checksums that it has, of the IPv4 header
/// and of TCP, UDP, ICMP or ICMPv6.
pub(crate) fn checksums_are_right(frame: &[u8]) -> bool {
    let parsed = SlicedPacket::from_ethernet(frame).expect("etherparse reads it");
    let transport_sum = |v4: Option<([u8; 4], [u8; 4])>, v6: Option<([u8; 16], [u8; 16])>| match (
        parsed.transport.as_ref().expect("a transport header"),
        v4,
        v6,
    ) {
        (TransportSlice::Tcp(t), Some((src, dst)), _) => {
            t.calc_checksum_ipv4(src, dst).expect("fits") == t.checksum()
        }
        (TransportSlice::Tcp(t), _, Some((src, dst))) => {
            t.calc_checksum_ipv6(src, dst).expect("fits") == t.checksum()
        }
        (TransportSlice::Udp(u), Some((src, dst)), _) => {
            let sum = u.to_header().calc_checksum_ipv4_raw(src, dst, u.payload()).expect("fits");
            usize::from(u.length()) == u.slice().len() && sum == u.checksum()
        }
        (TransportSlice::Udp(u), _, Some((src, dst))) => {
            let sum = u.to_header().calc_checksum_ipv6_raw(src, dst, u.payload()).expect("fits");
            usize::from(u.length()) == u.slice().len() && sum == u.checksum()
        }
        (TransportSlice::Icmpv4(i), Some(_), _) => {
            i.icmp_type().calc_checksum(i.payload()) == i.checksum()
        }
        (TransportSlice::Icmpv6(i), _, Some((src, dst))) => i.is_checksum_valid(src, dst),
        _ => false,
    };
    match parsed.net.as_ref().expect("a network header") {
        NetSlice::Ipv4(ip) => {
            let header = ip.header();
            header.to_header().calc_header_checksum() == header.header_checksum()
                && transport_sum(Some((header.source(), header.destination())), None)
        }
        NetSlice::Ipv6(ip) => {
            let header = ip.header();
            transport_sum(None, Some((header.source(), header.destination())))
        }
        NetSlice::Arp(_) => false,
    }
}

/// The frame as a virtual device hands it over: the pseudo header's sum in the place of its checksum,
/// at `start + offset`.
pub(crate) fn with_partial_checksum(frame: &[u8], start: u16, offset: u16) -> Packet {
    let mut packet = Packet::from_bytes(frame);
    let len = frame.len() - usize::from(start);
    let protocol = if offset == 16 { IpProtocol::TCP } else { IpProtocol::UDP };
    let sum: Sum = if frame[12] == 8 {
        let header = ipv4::Header::new(&frame[14..]).expect("IPv4");
        Sum::pseudo_v4(header.src(), header.dst(), protocol, len as u16)
    } else {
        let header = ipv6::Header::new(&frame[14..]).expect("IPv6");
        header.pseudo_sum(protocol, len as u32)
    };
    let at = usize::from(start + offset);
    packet.data_mut()[at..at + 2].copy_from_slice(&sum.fold().to_be_bytes());
    packet.meta_mut().l3 = 14;
    packet.meta_mut().offload =
        Offload { needs_csum: true, csum_start: start, csum_offset: offset, ..Offload::NONE };
    packet
}
