//! What a packet's flow is known by: its tuple, read from a frame whose IP header has been found sound.
//!
//! Frames begin with an Ethernet header of 14 bytes and end with their IP packet. Super-frames are frames like
//! others.

use portcullis_packet::{DropReason, Ports};

use crate::checksum::Sum;
use crate::ipv6::{self, BadChain};
use crate::tcp::Flags;
use crate::{IpProtocol, Tuple, ethernet, icmp_port, tcp};

const L3: usize = ethernet::LEN;
const IPV4: usize = 20;

/// What a packet is to those who follow flows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A TCP segment.
    Tcp,
    /// A UDP datagram.
    Udp,
    /// A query of ICMP or ICMPv6, or its answer: one with an identifier (RFC 5508, 3).
    IcmpQuery,
    /// An error of ICMP or ICMPv6, which quotes a packet.
    IcmpError,
    /// Any other message of ICMP or ICMPv6.
    IcmpOther,
    /// Another protocol.
    Other,
}

/// What a fragment is of its packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FragmentPart {
    /// Where in the packet's payload it begins, in bytes.
    pub offset: u16,
    /// How much of it there is, in bytes.
    pub length: u16,
    /// Whether it is not the last one.
    pub more: bool,
    /// The packet's identification.
    pub id: u32,
    /// The protocol that the packet is of.
    pub protocol: IpProtocol,
}

/// A packet taken apart as far as its flow goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dissected<A> {
    /// What it is known by. A later fragment has no ports.
    pub tuple: Tuple<A>,
    /// Where its upper header begins, from the start of the frame.
    pub upper: u16,
    /// What it is.
    pub kind: Kind,
    /// What it is of a packet; none if it is a whole one.
    pub fragment: Option<FragmentPart>,
}

/// Takes an IPv4 packet apart.
///
/// # Errors
/// The reason to drop it: its transport header is not whole, or contradicts itself.
#[inline(always)]
pub fn v4(frame: &[u8]) -> Result<Dissected<u32>, DropReason> {
    if let Some(head) = frame.first_chunk::<{ L3 + IPV4 + 8 }>()
        && head[L3] == 0x45
        && (head[L3 + 6] & 0x3f) | head[L3 + 7] == 0
    {
        let protocol = IpProtocol(head[L3 + 9]);
        let tuple = Tuple {
            src: u32::from_be_bytes([head[26], head[27], head[28], head[29]]),
            dst: u32::from_be_bytes([head[30], head[31], head[32], head[33]]),
            ports: Ports {
                src: u16::from_be_bytes([head[34], head[35]]),
                dst: u16::from_be_bytes([head[36], head[37]]),
            },
            protocol,
        };
        let upper = (L3 + IPV4) as u16;
        if protocol == IpProtocol::UDP {
            let length = usize::from(u16::from_be_bytes([head[38], head[39]]));
            if length >= 8 && L3 + IPV4 + length <= frame.len() {
                return Ok(Dissected { tuple, upper, kind: Kind::Udp, fragment: None });
            }
            return Err(DropReason::TransportMalformed);
        }
        if protocol == IpProtocol::TCP
            && let Some(&offset) = frame.get(L3 + IPV4 + 12)
        {
            let length = usize::from(offset >> 4) * 4;
            if length >= tcp::LEN && L3 + IPV4 + length <= frame.len() {
                return Ok(Dissected { tuple, upper, kind: Kind::Tcp, fragment: None });
            }
            return Err(DropReason::TransportMalformed);
        }
    }
    v4_unusual(frame)
}

/// Options, fragments, and protocols other than UDP and TCP.
#[inline(never)]
fn v4_unusual(frame: &[u8]) -> Result<Dissected<u32>, DropReason> {
    let header: &[u8; IPV4] =
        frame.get(L3..).and_then(<[u8]>::first_chunk).ok_or(DropReason::Ip4Truncated)?;
    let upper = L3 + usize::from(header[0] & 0xf) * 4;
    let payload = frame.get(upper..).ok_or(DropReason::Ip4Truncated)?;
    let word = u16::from_be_bytes([header[6], header[7]]);
    let (offset, more) = ((word & 0x1fff) << 3, word & 0x2000 != 0);
    let protocol = IpProtocol(header[9]);
    let fragment = if offset != 0 || more {
        let id = u32::from(u16::from_be_bytes([header[4], header[5]]));
        Some(part(offset, payload.len(), more, id, protocol)?)
    } else {
        None
    };
    let src = u32::from_be_bytes([header[12], header[13], header[14], header[15]]);
    let dst = u32::from_be_bytes([header[16], header[17], header[18], header[19]]);
    finish(src, dst, protocol, upper, payload, fragment)
}

/// Takes an IPv6 packet apart.
///
/// # Errors
/// The reason to drop it: its chain of headers can't be followed, its transport header is not whole, or
/// contradicts itself.
#[inline(always)]
pub fn v6(frame: &[u8]) -> Result<Dissected<u128>, DropReason> {
    let packet = frame.get(L3..).unwrap_or_default();
    let header: &[u8; ipv6::LEN] = packet.first_chunk().ok_or(DropReason::Ip6Truncated)?;
    let (src, dst) = addresses6(header);
    let upper = ipv6::upper(packet).map_err(|bad: BadChain| DropReason::from(bad))?;
    let payload = packet.get(upper.offset..).ok_or(DropReason::Ip6Truncated)?;
    let fragment = match upper.fragment.filter(|fragment| !fragment.is_atomic()) {
        Some(fragment) => {
            // Before the upper header, if that of the first one is behind more extension headers.
            let length = packet.len().saturating_sub(usize::from(fragment.start));
            Some(part(fragment.offset, length, fragment.more, fragment.id, upper.protocol)?)
        }
        None => None,
    };
    finish(src, dst, upper.protocol, L3 + upper.offset, payload, fragment)
}

fn part(
    offset: u16,
    length: usize,
    more: bool,
    id: u32,
    protocol: IpProtocol,
) -> Result<FragmentPart, DropReason> {
    let is_sound =
        usize::from(offset) + length <= 0xffff && length > 0 && (!more || length.is_multiple_of(8));
    if !is_sound {
        return Err(DropReason::FragmentMalformed);
    }
    Ok(FragmentPart { offset, length: length as u16, more, id, protocol })
}

/// The upper header, which begins `payload`.
#[inline]
fn finish<A>(
    src: A,
    dst: A,
    protocol: IpProtocol,
    upper: usize,
    payload: &[u8],
    fragment: Option<FragmentPart>,
) -> Result<Dissected<A>, DropReason> {
    let is_later = fragment.is_some_and(|fragment| fragment.offset != 0);
    let (kind, ports) = if is_later {
        // RFC 3128: a piece of a TCP header, to be written over the one that was checked.
        let hits_header = protocol == IpProtocol::TCP
            && fragment.is_some_and(|fragment| usize::from(fragment.offset) < tcp::LEN);
        if hits_header {
            return Err(DropReason::FragmentTiny);
        }
        (kind_of(protocol), Ports::NONE)
    } else {
        transport(protocol, payload, fragment.is_some())?
    };
    let tuple = Tuple { src, dst, ports, protocol };
    let upper = u16::try_from(upper).map_err(|_| DropReason::TransportMalformed)?;
    Ok(Dissected { tuple, upper, kind, fragment })
}

/// What a protocol's packets are if nothing else is known.
const fn kind_of(protocol: IpProtocol) -> Kind {
    match protocol {
        IpProtocol::TCP => Kind::Tcp,
        IpProtocol::UDP => Kind::Udp,
        // Neither errors nor discovery come in fragments.
        IpProtocol::ICMP | IpProtocol::ICMPV6 => Kind::IcmpQuery,
        _ => Kind::Other,
    }
}

/// UDP-Lite (RFC 3828).
pub(crate) const UDP_LITE: IpProtocol = IpProtocol(136);
/// DCCP (RFC 4340).
pub(crate) const DCCP: IpProtocol = IpProtocol(33);

fn transport(
    protocol: IpProtocol,
    payload: &[u8],
    is_fragment: bool,
) -> Result<(Kind, Ports), DropReason> {
    let short = if is_fragment { DropReason::FragmentTiny } else { DropReason::TransportMalformed };
    let ports = |bytes: &[u8; 8]| Ports {
        src: u16::from_be_bytes([bytes[0], bytes[1]]),
        dst: u16::from_be_bytes([bytes[2], bytes[3]]),
    };
    let head = || payload.first_chunk::<8>().ok_or(short);
    match protocol {
        IpProtocol::TCP => {
            let offset = payload.get(12).ok_or(short)?;
            let length = usize::from(offset >> 4) * 4;
            if length < tcp::LEN {
                return Err(DropReason::TransportMalformed);
            }
            if payload.len() < length {
                return Err(short);
            }
            Ok((Kind::Tcp, ports(head()?)))
        }
        IpProtocol::UDP => {
            let head = head()?;
            let length = usize::from(u16::from_be_bytes([head[4], head[5]]));
            if length < 8 || (!is_fragment && length > payload.len()) {
                return Err(DropReason::TransportMalformed);
            }
            Ok((Kind::Udp, ports(head)))
        }
        IpProtocol::SCTP | UDP_LITE | DCCP => Ok((Kind::Other, ports(head()?))),
        IpProtocol::ICMP => {
            let head = head()?;
            Ok(icmp(query4(head[0]), is_error4(head[0]), head))
        }
        IpProtocol::ICMPV6 => {
            let head = head()?;
            Ok(icmp(query6(head[0]), head[0] < 128, head))
        }
        _ => Ok((Kind::Other, Ports::NONE)),
    }
}

/// An ICMP query, by its type: the type of the request, and whether it is one.
const fn query4(kind: u8) -> Option<(u8, bool)> {
    match kind {
        8 | 13 | 15 | 17 => Some((kind, true)),
        0 => Some((8, false)),
        14 | 16 | 18 => Some((kind - 1, false)),
        _ => None,
    }
}

const fn query6(kind: u8) -> Option<(u8, bool)> {
    match kind {
        128 => Some((128, true)),
        129 => Some((128, false)),
        _ => None,
    }
}

const fn is_error4(kind: u8) -> bool {
    matches!(kind, 3 | 4 | 5 | 11 | 12)
}

fn icmp(query: Option<(u8, bool)>, is_error: bool, head: &[u8; 8]) -> (Kind, Ports) {
    let id = u16::from_be_bytes([head[4], head[5]]);
    match query {
        Some((request, true)) => (Kind::IcmpQuery, Ports { src: id, dst: icmp_port(request, 0) }),
        Some((request, false)) => (Kind::IcmpQuery, Ports { src: icmp_port(request, 0), dst: id }),
        None => {
            let ports = Ports { src: 0, dst: icmp_port(head[0], head[1]) };
            (if is_error { Kind::IcmpError } else { Kind::IcmpOther }, ports)
        }
    }
}

/// Whether a destination port stands for a request of ICMP or ICMPv6.
#[must_use]
pub const fn is_request_port(port: u16) -> bool {
    matches!(port >> 8, 8 | 13 | 15 | 17 | 128) && port & 0xff == 0
}

fn addresses6(header: &[u8; ipv6::LEN]) -> (u128, u128) {
    let address = |at: usize| {
        let bytes = header.get(at..).and_then(<[u8]>::first_chunk::<16>);
        bytes.map_or(0, |bytes| u128::from_be_bytes(*bytes))
    };
    (address(8), address(24))
}

/// Whether the checksum of an ICMP message is right that begins at `upper` and ends at `end`.
#[must_use]
pub fn is_sound_icmp4(frame: &[u8], upper: usize, end: usize) -> bool {
    frame.get(upper..end).is_some_and(|message| Sum::of(message).is_sound())
}

/// The same for ICMPv6, the pseudo header included (RFC 4443, 2.3).
#[must_use]
pub fn is_sound_icmp6(frame: &[u8], upper: usize, end: usize) -> bool {
    let (Some(message), Some(addresses)) =
        (frame.get(upper..end), frame.get(ethernet::LEN + 8..ethernet::LEN + ipv6::LEN))
    else {
        return false;
    };
    let pseudo = Sum::of(addresses)
        + Sum::of_u16(message.len() as u16)
        + Sum::of_u16(u16::from(IpProtocol::ICMPV6.0));
    (pseudo + Sum::of(message)).is_sound()
}

/// The tuple of the packet that an ICMP error quotes, as that packet had it; of the error, the ICMP header
/// begins at `upper`. None if the quote can't be read, is of a later fragment, or of an error.
#[must_use]
pub fn quoted_v4(frame: &[u8], upper: usize) -> Option<Tuple<u32>> {
    let quote = frame.get(upper + 8..)?;
    let header: &[u8; IPV4] = quote.first_chunk()?;
    let length = usize::from(header[0] & 0xf) * 4;
    if header[0] >> 4 != 4
        || length < IPV4
        || u16::from_be_bytes([header[6], header[7]]) & 0x1fff != 0
    {
        return None;
    }
    let src = u32::from_be_bytes([header[12], header[13], header[14], header[15]]);
    let dst = u32::from_be_bytes([header[16], header[17], header[18], header[19]]);
    let protocol = IpProtocol(header[9]);
    let ports = quoted_ports(protocol, quote.get(length..)?)?;
    Some(Tuple { src, dst, ports, protocol })
}

/// The same for ICMPv6.
#[must_use]
pub fn quoted_v6(frame: &[u8], upper: usize) -> Option<Tuple<u128>> {
    let quote = frame.get(upper + 8..)?;
    let header: &[u8; ipv6::LEN] = quote.first_chunk()?;
    let (src, dst) = addresses6(header);
    let inner = ipv6::quoted_upper(quote).ok()?;
    if inner.fragment.is_some_and(|fragment| fragment.is_later()) {
        return None;
    }
    let ports = quoted_ports(inner.protocol, quote.get(inner.offset..)?)?;
    Some(Tuple { src, dst, ports, protocol: inner.protocol })
}

/// Ports of a header of which there may be eight bytes only.
fn quoted_ports(protocol: IpProtocol, upper: &[u8]) -> Option<Ports> {
    let head: &[u8; 8] = upper.first_chunk()?;
    match protocol {
        IpProtocol::TCP | IpProtocol::UDP | IpProtocol::SCTP | UDP_LITE | DCCP => Some(Ports {
            src: u16::from_be_bytes([head[0], head[1]]),
            dst: u16::from_be_bytes([head[2], head[3]]),
        }),
        IpProtocol::ICMP => query4(head[0]).map(|query| icmp(Some(query), false, head).1),
        IpProtocol::ICMPV6 => query6(head[0]).map(|query| icmp(Some(query), false, head).1),
        _ => Some(Ports::NONE),
    }
}

/// The sequence number of the TCP segment that an error quotes: eight bytes of it are always there.
#[must_use]
pub fn quoted_sequence(frame: &[u8], upper: usize, is_ipv6: bool) -> Option<u32> {
    let quote = frame.get(upper + 8..)?;
    let offset = if is_ipv6 {
        ipv6::quoted_upper(quote).ok()?.offset
    } else {
        usize::from(quote.first()? & 0xf) * 4
    };
    let bytes: &[u8; 4] = quote.get(offset + 4..)?.first_chunk()?;
    Some(u32::from_be_bytes(*bytes))
}

/// What connection tracking has to know of a TCP segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TcpSegment {
    /// The control bits.
    pub flags: Flags,
    /// The sequence number.
    pub seq: u32,
    /// The acknowledgment number.
    pub ack: u32,
    /// The window, not scaled.
    pub window: u16,
    /// Bytes of payload.
    pub payload: u32,
    /// The window scale option, of a SYN.
    pub window_scale: Option<u8>,
}

/// The segment whose header begins at `upper`. The frame must end with its IP packet.
#[inline(always)]
#[must_use]
pub fn tcp_segment(frame: &[u8], upper: usize) -> Option<TcpSegment> {
    let header: &[u8; tcp::LEN] = frame.get(upper..)?.first_chunk()?;
    let length = usize::from(header[12] >> 4) * 4;
    let payload = (frame.len() - upper).checked_sub(length)?;
    let flags = Flags(header[13]);
    let window_scale = if flags.contains(Flags::SYN) {
        window_scale(frame.get(upper + tcp::LEN..upper + length)?)
    } else {
        None
    };
    Some(TcpSegment {
        flags,
        seq: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
        ack: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
        window: u16::from_be_bytes([header[14], header[15]]),
        payload: payload as u32,
        window_scale,
    })
}

/// The window scale option (RFC 7323, 2.2).
#[cold]
fn window_scale(options: &[u8]) -> Option<u8> {
    option(options, 3).and_then(|body| body.first().copied())
}

/// The body of the first option of a kind.
pub(crate) fn option(mut options: &[u8], wanted: u8) -> Option<&[u8]> {
    while let Some((&kind, rest)) = options.split_first() {
        match kind {
            0 => return None,
            1 => options = rest,
            _ => {
                let length = usize::from(*rest.first()?);
                let body = options.get(2..length)?;
                if kind == wanted {
                    return Some(body);
                }
                options = options.get(length..)?;
            }
        }
    }
    None
}
