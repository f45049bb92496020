//! ICMP errors (RFC 792; RFC 1812, 4.3 and 5.2.7).

use std::net::Ipv4Addr;

use portcullis_packet::Packet;

use super::{ICMP_LEN, RewriteError, icmp_header, make_frame};
use crate::checksum::Sum;
use crate::icmpv4::Type;
use crate::{EtherType, IpProtocol, ethernet, field, ipv4};

/// The longest error, IP header included: as much of the packet as fits is quoted (RFC 1812,
/// 4.3.2.3).
pub const MAX_V4: usize = 576;

/// Internetwork control, precedence 6 (RFC 1812, 4.3.2.5); no ECN.
const TOS: u8 = 6 << 5;

const HEAD: usize = ethernet::LEN + ipv4::LEN + ICMP_LEN;
const IP: usize = ethernet::LEN;
const ICMP: usize = IP + ipv4::LEN;

/// What is reported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Icmp4Error {
    /// The TTL ran out.
    TimeExceeded,
    /// No route to the destination's network.
    NetUnreachable,
    /// No way to the destination itself: its link-layer address can't be resolved.
    HostUnreachable,
    /// Larger than the way out allows, and not to be fragmented; with the MTU (RFC 1191).
    FragmentationNeeded {
        /// The MTU of the next hop.
        mtu: u16,
    },
    /// The destination's network is administratively prohibited.
    NetProhibited,
    /// The destination is administratively prohibited.
    HostProhibited,
    /// A filter forbids the communication (RFC 1812, 5.2.7.1).
    CommunicationProhibited,
}

impl Icmp4Error {
    const fn header(self) -> (Type, u8, u32) {
        match self {
            Self::TimeExceeded => (Type::TIME_EXCEEDED, 0, 0),
            Self::NetUnreachable => (Type::UNREACHABLE, 0, 0),
            Self::HostUnreachable => (Type::UNREACHABLE, 1, 0),
            Self::FragmentationNeeded { mtu } => (Type::UNREACHABLE, 4, mtu as u32),
            Self::NetProhibited => (Type::UNREACHABLE, 9, 0),
            Self::HostProhibited => (Type::UNREACHABLE, 10, 0),
            Self::CommunicationProhibited => (Type::UNREACHABLE, 13, 0),
        }
    }
}

/// Turns the IPv4 packet at `l3` of this frame into the error about it, from `source` to the
/// packet's own source: an Ethernet frame without tags whose addresses, all zero, are still to be
/// written. The packet may be fragmented on its way ("don't fragment" is
/// clear), so it needs an identification: that of the packet it quotes, which its sender chose to
/// be unlike its others.
///
/// # Errors
/// [`RewriteError`].
pub fn rewrite_v4(
    packet: &mut Packet,
    l3: usize,
    error: Icmp4Error,
    source: Ipv4Addr,
    ttl: u8,
) -> Result<(), RewriteError> {
    let bytes = packet.data().get(l3..).ok_or(RewriteError::Malformed)?;
    let about = ipv4::Header::new(bytes).map_err(|_| RewriteError::Malformed)?;
    let quote = usize::from(about.total_len()).min(MAX_V4 - ipv4::LEN - ICMP_LEN);
    let ip = ipv4::Fields {
        tos: TOS,
        total_len: (ipv4::LEN + ICMP_LEN + quote) as u16,
        identification: about.identification(),
        dont_fragment: false,
        ttl,
        protocol: IpProtocol::ICMP,
        src: source,
        dst: about.src(),
    };
    make_frame(packet, l3, quote, HEAD)?;
    let (head, quoted) =
        packet.data_mut().split_first_chunk_mut::<HEAD>().ok_or(RewriteError::NoRoom)?;
    let (message_type, code, rest) = error.header();
    let mut icmp = icmp_header(message_type.0, code, rest);
    let sum = (Sum::of(&icmp) + Sum::of(quoted)).finish();
    field::set_u16::<2, ICMP_LEN>(&mut icmp, sum);
    field::set::<0, 12, HEAD>(head, [0; 12]);
    field::set_u16::<12, HEAD>(head, EtherType::IPV4.0);
    field::set::<IP, { ipv4::LEN }, HEAD>(head, ip.to_bytes());
    field::set::<ICMP, ICMP_LEN, HEAD>(head, icmp);
    Ok(())
}
