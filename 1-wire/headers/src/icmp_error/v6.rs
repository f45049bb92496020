//! ICMPv6 errors (RFC 4443, 3).

use std::net::Ipv6Addr;

use portcullis_packet::Packet;

use super::{ICMP_LEN, RewriteError, icmp_header, make_frame};
use crate::checksum::Sum;
use crate::icmpv6::Type;
use crate::{EtherType, IpProtocol, ethernet, field, ipv6};

/// The longest error, IPv6 header included: the minimum MTU, up to which the packet is quoted
/// (RFC 4443, 2.4(c)).
pub const MAX_V6: usize = 1280;

const HEAD: usize = ethernet::LEN + ipv6::LEN + ICMP_LEN;
const IP: usize = ethernet::LEN;
const ICMP: usize = IP + ipv6::LEN;

/// What is reported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Icmp6Error {
    /// The hop limit ran out.
    HopLimitExceeded,
    /// No route to the destination.
    NoRoute,
    /// Communication with the destination is administratively prohibited.
    Prohibited,
    /// The destination is beyond the scope of the source address.
    BeyondScope,
    /// The destination's link-layer address can't be resolved.
    AddressUnreachable,
    /// A route says to reject.
    RejectRoute,
    /// Larger than the way out allows; with the MTU.
    PacketTooBig {
        /// The MTU of the next hop.
        mtu: u32,
    },
}

impl Icmp6Error {
    const fn header(self) -> (Type, u8, u32) {
        match self {
            Self::HopLimitExceeded => (Type::TIME_EXCEEDED, 0, 0),
            Self::NoRoute => (Type::UNREACHABLE, 0, 0),
            Self::Prohibited => (Type::UNREACHABLE, 1, 0),
            Self::BeyondScope => (Type::UNREACHABLE, 2, 0),
            Self::AddressUnreachable => (Type::UNREACHABLE, 3, 0),
            Self::RejectRoute => (Type::UNREACHABLE, 6, 0),
            Self::PacketTooBig { mtu } => (Type::PACKET_TOO_BIG, 0, mtu),
        }
    }
}

/// Turns the IPv6 packet at `l3` of this frame into the error about it, from `source` to the
/// packet's own source: an Ethernet frame without tags whose addresses, all zero, are still to be
/// written.
///
/// # Errors
/// [`RewriteError`].
pub fn rewrite_v6(
    packet: &mut Packet,
    l3: usize,
    error: Icmp6Error,
    source: Ipv6Addr,
    hop_limit: u8,
) -> Result<(), RewriteError> {
    let bytes = packet.data().get(l3..).ok_or(RewriteError::Malformed)?;
    let about = ipv6::Header::new(bytes).map_err(|_| RewriteError::Malformed)?;
    let whole = ipv6::LEN + usize::from(about.payload_len());
    let quote = whole.min(MAX_V6 - ipv6::LEN - ICMP_LEN);
    let len = (ICMP_LEN + quote) as u16;
    let ip = ipv6::Fields {
        traffic_class: 0,
        flow_label: 0,
        payload_len: len,
        next_header: IpProtocol::ICMPV6,
        hop_limit,
        src: source,
        dst: about.src(),
    };
    make_frame(packet, l3, quote, HEAD)?;
    let (head, quoted) =
        packet.data_mut().split_first_chunk_mut::<HEAD>().ok_or(RewriteError::NoRoom)?;
    let (message_type, code, rest) = error.header();
    let mut icmp = icmp_header(message_type.0, code, rest);
    let pseudo = Sum::pseudo_v6(ip.src, ip.dst, IpProtocol::ICMPV6, u32::from(len));
    let sum = (pseudo + Sum::of(&icmp) + Sum::of(quoted)).finish();
    field::set_u16::<2, ICMP_LEN>(&mut icmp, sum);
    field::set::<0, 12, HEAD>(head, [0; 12]);
    field::set_u16::<12, HEAD>(head, EtherType::IPV6.0);
    field::set::<IP, { ipv6::LEN }, HEAD>(head, ip.to_bytes());
    field::set::<ICMP, ICMP_LEN, HEAD>(head, icmp);
    Ok(())
}
