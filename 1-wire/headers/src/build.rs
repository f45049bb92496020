//! Whole frames from a few words, with lengths and checksums filled in: for tests of all layers and
//! for slow paths. Every finished frame is a fresh `Vec`, so none of this is for the data path; nor
//! are its panics, at more than the 64 KiB that a packet can hold.
//!
//! ```
//! use portcullis_wire::build::{Frame, Tcp};
//!
//! let frame = Frame::v4([10, 0, 0, 1], [192, 0, 2, 1]).hops(3);
//! let datagram = frame.udp(1024, 53, b"query");
//! let syn = frame.tcp(Tcp::syn(1024, 80), b"");
//! assert_eq!((datagram.len(), syn.len()), (14 + 20 + 8 + 5, 14 + 20 + 20));
//! ```

mod link;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use portcullis_packet::Mac;

use crate::checksum::Sum;
use crate::{EtherType, IpProtocol, icmpv4, icmpv6, ipv4, ipv6, sctp, tcp, udp};

pub use link::{arp_reply, arp_request, ethernet, tagged};

/// The source address of frames that were given none: locally administered.
pub const SRC_MAC: Mac = Mac([0x02, 0, 0, 0, 0, 1]);

/// The destination address of frames that were given none: locally administered.
pub const DST_MAC: Mac = Mac([0x02, 0, 0, 0, 0, 2]);

/// An IP frame but for its payload, whose finishing methods ([`Self::udp`] and others) may be
/// called any number of times.
#[derive(Clone, Debug)]
pub struct Frame {
    dst_mac: Mac,
    src_mac: Mac,
    addresses: Addresses,
    hops: u8,
    traffic_class: u8,
    identification: u32,
    dont_fragment: bool,
    fragment: Option<(u16, bool)>,
    options: Vec<u8>,
    extensions: Vec<(IpProtocol, Vec<u8>)>,
    flow_label: u32,
}

#[derive(Clone, Copy, Debug)]
enum Addresses {
    V4 { src: Ipv4Addr, dst: Ipv4Addr },
    V6 { src: Ipv6Addr, dst: Ipv6Addr },
}

/// The header of a TCP segment, but for what its frame says.
#[derive(Clone, Debug, Default)]
pub struct Tcp {
    /// The source port.
    pub src_port: u16,
    /// The destination port.
    pub dst_port: u16,
    /// The sequence number.
    pub sequence: u32,
    /// The acknowledgment number.
    pub acknowledgment: u32,
    /// The control bits.
    pub flags: tcp::Flags,
    /// The window.
    pub window: u16,
    /// Options: up to 40 bytes, which are padded to a multiple of four.
    pub options: Vec<u8>,
}

impl Tcp {
    /// The first segment of a connection.
    #[must_use]
    pub fn syn(src_port: u16, dst_port: u16) -> Self {
        Self { src_port, dst_port, flags: tcp::Flags::SYN, window: 65_535, ..Self::default() }
    }

    /// A segment with data.
    #[must_use]
    pub fn data(src_port: u16, dst_port: u16, sequence: u32) -> Self {
        let flags = tcp::Flags::ACK;
        Self { src_port, dst_port, sequence, flags, window: 65_535, ..Self::default() }
    }
}

/// Which of an echo's two messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Echo {
    /// The question.
    Request,
    /// The answer.
    Reply,
}

impl Frame {
    /// An IPv4 frame, TTL 64, "don't fragment" clear.
    #[must_use]
    pub fn v4(src: impl Into<Ipv4Addr>, dst: impl Into<Ipv4Addr>) -> Self {
        Self::with(Addresses::V4 { src: src.into(), dst: dst.into() })
    }

    /// An IPv6 frame, hop limit 64.
    #[must_use]
    pub fn v6(src: impl Into<Ipv6Addr>, dst: impl Into<Ipv6Addr>) -> Self {
        Self::with(Addresses::V6 { src: src.into(), dst: dst.into() })
    }

    /// A frame of the addresses' version.
    ///
    /// # Panics
    /// If the versions differ.
    #[must_use]
    pub fn between(src: IpAddr, dst: IpAddr) -> Self {
        match (src, dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => Self::v4(src, dst),
            (IpAddr::V6(src), IpAddr::V6(dst)) => Self::v6(src, dst),
            _ => panic!("{src} and {dst} are of different versions"),
        }
    }

    fn with(addresses: Addresses) -> Self {
        Self {
            dst_mac: DST_MAC,
            src_mac: SRC_MAC,
            addresses,
            hops: 64,
            traffic_class: 0,
            identification: 0,
            dont_fragment: false,
            fragment: None,
            options: Vec::new(),
            extensions: Vec::new(),
            flow_label: 0,
        }
    }

    /// The link-layer addresses.
    #[must_use]
    pub fn macs(mut self, src: Mac, dst: Mac) -> Self {
        (self.src_mac, self.dst_mac) = (src, dst);
        self
    }

    /// The TTL or hop limit.
    #[must_use]
    pub fn hops(mut self, hops: u8) -> Self {
        self.hops = hops;
        self
    }

    /// The type of service or traffic class.
    #[must_use]
    pub fn traffic_class(mut self, class: u8) -> Self {
        self.traffic_class = class;
        self
    }

    /// The identification: IPv4's lower 16 bits of it, or the fragment header's.
    #[must_use]
    pub fn identification(mut self, id: u32) -> Self {
        self.identification = id;
        self
    }

    /// IPv4: sets "don't fragment".
    #[must_use]
    pub fn dont_fragment(mut self) -> Self {
        self.dont_fragment = true;
        self
    }

    /// Makes it a fragment (IPv6: with a fragment header, the last extension header) that begins at
    /// `offset` bytes. The transport header, if any, is written all the same.
    #[must_use]
    pub fn fragment(mut self, offset: u16, more: bool) -> Self {
        self.fragment = Some((offset, more));
        self
    }

    /// IPv4 options: up to 40 bytes, which are padded to a multiple of four.
    #[must_use]
    pub fn options(mut self, options: &[u8]) -> Self {
        self.options = padded(options, 4);
        self
    }

    /// Adds an IPv6 extension header: all of it but the first two bytes (next header, length), and
    /// padded to a multiple of eight.
    #[must_use]
    pub fn extension(mut self, kind: IpProtocol, body: &[u8]) -> Self {
        self.extensions.push((kind, body.to_vec()));
        self
    }

    /// IPv6's flow label.
    #[must_use]
    pub fn flow_label(mut self, label: u32) -> Self {
        self.flow_label = label;
        self
    }

    /// A UDP datagram.
    #[must_use]
    pub fn udp(&self, src_port: u16, dst_port: u16, payload: &[u8]) -> Vec<u8> {
        let length = length(udp::LEN + payload.len());
        let mut datagram = Vec::with_capacity(udp::LEN + payload.len());
        for value in [src_port, dst_port, length, 0] {
            datagram.extend(value.to_be_bytes());
        }
        datagram.extend(payload);
        let sum = (self.pseudo(IpProtocol::UDP, datagram.len()) + Sum::of(&datagram)).finish();
        if let Some(mut header) = udp::Header::new_mut(&mut datagram) {
            header.set_checksum(sum);
        }
        self.raw(IpProtocol::UDP, &datagram)
    }

    /// A TCP segment.
    #[must_use]
    pub fn tcp(&self, header: Tcp, payload: &[u8]) -> Vec<u8> {
        let options = padded(&header.options, 4);
        let words = (tcp::LEN + options.len()) / 4;
        let mut segment = Vec::with_capacity(words * 4 + payload.len());
        segment.extend(header.src_port.to_be_bytes());
        segment.extend(header.dst_port.to_be_bytes());
        segment.extend(header.sequence.to_be_bytes());
        segment.extend(header.acknowledgment.to_be_bytes());
        segment.extend([(words << 4) as u8, header.flags.0]);
        segment.extend(header.window.to_be_bytes());
        segment.extend([0; 4]);
        segment.extend(options);
        segment.extend(payload);
        let sum = (self.pseudo(IpProtocol::TCP, segment.len()) + Sum::of(&segment)).finish();
        if let Some(mut header) = tcp::Header::new_mut(&mut segment) {
            header.set_checksum(sum);
        }
        self.raw(IpProtocol::TCP, &segment)
    }

    /// An ICMP or ICMPv6 echo message.
    #[must_use]
    pub fn echo(&self, kind: Echo, id: u16, sequence: u16, payload: &[u8]) -> Vec<u8> {
        let message_type = match (self.addresses, kind) {
            (Addresses::V4 { .. }, Echo::Request) => icmpv4::Type::ECHO_REQUEST.0,
            (Addresses::V4 { .. }, Echo::Reply) => icmpv4::Type::ECHO_REPLY.0,
            (Addresses::V6 { .. }, Echo::Request) => icmpv6::Type::ECHO_REQUEST.0,
            (Addresses::V6 { .. }, Echo::Reply) => icmpv6::Type::ECHO_REPLY.0,
        };
        let [a, b] = id.to_be_bytes();
        let [c, d] = sequence.to_be_bytes();
        self.icmp(message_type, 0, [a, b, c, d], payload)
    }

    /// An ICMP or ICMPv6 message of any type: the four bytes behind the checksum, and what follows.
    #[must_use]
    pub fn icmp(&self, message_type: u8, code: u8, rest: [u8; 4], payload: &[u8]) -> Vec<u8> {
        let mut message = vec![message_type, code, 0, 0];
        message.extend(rest);
        message.extend(payload);
        match self.addresses {
            Addresses::V4 { .. } => {
                let sum = Sum::of(&message).finish();
                if let Some(mut header) = icmpv4::Header::new_mut(&mut message) {
                    header.set_checksum(sum);
                }
                self.raw(IpProtocol::ICMP, &message)
            }
            Addresses::V6 { .. } => {
                let pseudo = self.pseudo(IpProtocol::ICMPV6, message.len());
                let sum = (pseudo + Sum::of(&message)).finish();
                if let Some(mut header) = icmpv6::Header::new_mut(&mut message) {
                    header.set_checksum(sum);
                }
                self.raw(IpProtocol::ICMPV6, &message)
            }
        }
    }

    /// An SCTP packet whose chunks are these bytes.
    #[must_use]
    pub fn sctp(&self, src_port: u16, dst_port: u16, chunks: &[u8]) -> Vec<u8> {
        let mut packet = Vec::with_capacity(sctp::LEN + chunks.len());
        packet.extend(src_port.to_be_bytes());
        packet.extend(dst_port.to_be_bytes());
        packet.extend([0; 8]);
        packet.extend(chunks);
        let filled = sctp::fill_checksum(&mut packet);
        debug_assert!(filled);
        self.raw(IpProtocol::SCTP, &packet)
    }

    /// A frame with any transport header and payload.
    #[must_use]
    pub fn raw(&self, protocol: IpProtocol, transport: &[u8]) -> Vec<u8> {
        match self.addresses {
            Addresses::V4 { src, dst } => {
                let packet = self.v4_packet(src, dst, protocol, transport);
                ethernet(self.dst_mac, self.src_mac, EtherType::IPV4, &packet)
            }
            Addresses::V6 { src, dst } => {
                let packet = self.v6_packet(src, dst, protocol, transport);
                ethernet(self.dst_mac, self.src_mac, EtherType::IPV6, &packet)
            }
        }
    }

    fn v4_packet(
        &self,
        src: Ipv4Addr,
        dst: Ipv4Addr,
        protocol: IpProtocol,
        transport: &[u8],
    ) -> Vec<u8> {
        let header_len = ipv4::LEN + self.options.len();
        let fields = ipv4::Fields {
            tos: self.traffic_class,
            total_len: length(header_len + transport.len()),
            identification: self.identification as u16,
            dont_fragment: self.dont_fragment,
            ttl: self.hops,
            protocol,
            src,
            dst,
        };
        let mut packet = fields.to_bytes().to_vec();
        packet.extend(&self.options);
        if let Some(mut header) = ipv4::Header::fixed_mut(&mut packet) {
            header.set_header_len(header_len);
            if let Some((offset, more)) = self.fragment {
                header.set_fragment(offset, more);
            }
        }
        ipv4::fill_checksum(&mut packet);
        packet.extend(transport);
        packet
    }

    fn v6_packet(
        &self,
        src: Ipv6Addr,
        dst: Ipv6Addr,
        protocol: IpProtocol,
        transport: &[u8],
    ) -> Vec<u8> {
        let mut extensions = self.extensions.clone();
        if let Some((offset, more)) = self.fragment {
            let [a, b] = (offset | u16::from(more)).to_be_bytes();
            let [c, d, e, f] = self.identification.to_be_bytes();
            extensions.push((IpProtocol::FRAGMENT, vec![a, b, c, d, e, f]));
        }
        let mut kinds = extensions.iter().map(|(kind, _)| *kind).chain([protocol]);
        let next_header = kinds.next().unwrap_or(protocol);
        let mut payload = Vec::new();
        for ((kind, body), next) in extensions.iter().zip(kinds) {
            let header = padded(&[&[next.0, 0], body.as_slice()].concat(), 8);
            let units = match *kind {
                IpProtocol::FRAGMENT => 0,
                IpProtocol::AUTHENTICATION => header.len() / 4 - 2,
                _ => header.len() / 8 - 1,
            };
            let at = payload.len() + 1;
            payload.extend(header);
            payload[at] = units as u8;
        }
        payload.extend(transport);
        let fields = ipv6::Fields {
            traffic_class: self.traffic_class,
            flow_label: self.flow_label,
            payload_len: length(payload.len()),
            next_header,
            hop_limit: self.hops,
            src,
            dst,
        };
        [fields.to_bytes().as_slice(), &payload].concat()
    }

    fn pseudo(&self, protocol: IpProtocol, len: usize) -> Sum {
        match self.addresses {
            Addresses::V4 { src, dst } => Sum::pseudo_v4(src, dst, protocol, length(len)),
            Addresses::V6 { src, dst } => Sum::pseudo_v6(src, dst, protocol, len as u32),
        }
    }
}

fn length(bytes: usize) -> u16 {
    u16::try_from(bytes).expect("a packet of at most 64 KiB")
}

fn padded(bytes: &[u8], unit: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.resize(bytes.len().next_multiple_of(unit), 0);
    bytes
}
