//! ICMP and ICMPv6 errors, as etherparse sees them.

use std::net::IpAddr;

use etherparse::{LinkSlice, NetSlice, SlicedPacket, TransportSlice};
use portcullis_packet::Mac;

/// Where an IP packet begins in a frame.
const IP: usize = 14;

/// An error message, taken apart. Parsing has checked lengths and checksums.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Answer {
    pub(crate) to_mac: Mac,
    pub(crate) from: IpAddr,
    pub(crate) to: IpAddr,
    pub(crate) kind: u8,
    pub(crate) code: u8,
    /// The last of the four bytes behind the checksum, where messages that have an MTU carry it.
    pub(crate) mtu: u16,
    /// What it quotes of the packet that it is about.
    pub(crate) quoted: Vec<u8>,
}

impl Answer {
    /// Takes apart a frame.
    ///
    /// # Panics
    /// If it is not a sound ICMP or ICMPv6 message.
    pub(crate) fn parse(frame: &[u8]) -> Self {
        let packet = SlicedPacket::from_ethernet(frame).expect("a sound frame");
        let Some(LinkSlice::Ethernet2(link)) = &packet.link else { panic!("not Ethernet") };
        let to_mac = Mac(link.destination());
        match (&packet.net, &packet.transport) {
            (Some(NetSlice::Ipv4(ip)), Some(TransportSlice::Icmpv4(icmp))) => {
                let header = ip.header();
                assert_eq!(header.header_checksum(), header.to_header().calc_header_checksum());
                let sum = icmp.icmp_type().calc_checksum(icmp.payload());
                assert_eq!(icmp.checksum(), sum, "ICMP checksum");
                let [_, _, high, low] = icmp.bytes5to8();
                Self {
                    to_mac,
                    from: header.source_addr().into(),
                    to: header.destination_addr().into(),
                    kind: icmp.type_u8(),
                    code: icmp.code_u8(),
                    mtu: u16::from_be_bytes([high, low]),
                    quoted: icmp.payload().to_vec(),
                }
            }
            (Some(NetSlice::Ipv6(ip)), Some(TransportSlice::Icmpv6(icmp))) => {
                let header = ip.header();
                assert!(icmp.is_checksum_valid(header.source(), header.destination()));
                let [_, _, high, low] = icmp.bytes5to8();
                Self {
                    to_mac,
                    from: header.source_addr().into(),
                    to: header.destination_addr().into(),
                    kind: icmp.type_u8(),
                    code: icmp.code_u8(),
                    mtu: u16::from_be_bytes([high, low]),
                    quoted: icmp.payload().to_vec(),
                }
            }
            (net, transport) => panic!("no ICMP: {net:?} {transport:?}"),
        }
    }

    /// Whether it quotes the beginning of the packet in this frame, as much as it must: the header and
    /// eight bytes (RFC 792), or as much as fits (RFC 4443).
    pub(crate) fn quotes(&self, frame: &[u8]) -> bool {
        let packet = &frame[IP..];
        let enough = match self.from {
            IpAddr::V4(_) => 28,
            IpAddr::V6(_) => 1280 - 48,
        };
        self.quoted.len() >= packet.len().min(enough)
            && (packet.starts_with(&self.quoted) || self.quoted.starts_with(packet))
    }
}
