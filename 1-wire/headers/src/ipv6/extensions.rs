//! The chain of IPv6 extension headers (RFC 8200, 4), followed to what it leads to.

use portcullis_packet::DropReason;

use super::{LEN, Malformed, Parts};
use crate::{IpProtocol, field};

/// Length of a fragment header.
pub const FRAGMENT_LEN: usize = 8;

/// Extension headers that [`upper`] steps over: RFC 8200, 4.1 has six kinds in one packet, one of
/// them twice; no packet needs more than eight.
pub const MAX_EXTENSIONS: usize = 8;

/// What a fragment header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fragment {
    /// Where in the original's fragmentable part this one begins, in bytes.
    pub offset: u16,
    /// Whether this is not the last one.
    pub more: bool,
    /// The identification that fragments of one packet share.
    pub id: u32,
    /// Where, from the beginning of the IPv6 header, this part of the original begins.
    pub start: u16,
}

impl Fragment {
    /// Whether what the fragment header announces is in another fragment.
    #[must_use]
    pub const fn is_later(self) -> bool {
        self.offset != 0
    }

    /// Whether the packet is whole although it has a fragment header (RFC 6946).
    #[must_use]
    pub const fn is_atomic(self) -> bool {
        self.offset == 0 && !self.more
    }
}

/// Where the chain of extension headers ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Upper {
    /// What the chain leads to: an upper-layer protocol, ESP, no next header, or something unknown.
    /// In a later fragment, what its fragment header names: the first fragment has it.
    pub protocol: IpProtocol,
    /// Where that begins, from the start of the IPv6 header; at most the packet's end. In a later
    /// fragment, where its part of the data begins.
    pub offset: usize,
    /// What the fragment header says, if there is one.
    pub fragment: Option<Fragment>,
}

/// Why a chain of extension headers could not be followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadChain {
    /// The packet ends before the chain does.
    Truncated,
    /// There are more than [`MAX_EXTENSIONS`] extension headers.
    TooLong,
    /// A hop-by-hop header is not the first one (RFC 8200, 4.1), or a packet has two fragment
    /// headers.
    Misplaced,
    /// It is no IPv6 packet to begin with.
    Malformed(Malformed),
}

impl From<BadChain> for DropReason {
    fn from(bad: BadChain) -> Self {
        match bad {
            BadChain::Truncated => Self::Ip6Truncated,
            BadChain::TooLong | BadChain::Misplaced => Self::Ip6BadHeader,
            BadChain::Malformed(malformed) => malformed.into(),
        }
    }
}

/// Follows the extension headers of the packet at the start of `packet` (RFC 8200, 4; RFC 4302 for
/// the odd length unit of the authentication header) to what they lead to.
///
/// # Errors
/// [`BadChain`].
#[inline]
pub fn upper(packet: &[u8]) -> Result<Upper, BadChain> {
    let parts = Parts::new(packet).map_err(BadChain::Malformed)?;
    follow(parts.payload, parts.header.next_header())
}

/// As [`upper`], for a packet of which bytes may be missing at the end: one that an ICMP message quotes.
/// What must be there is the chain itself.
///
/// # Errors
/// [`BadChain`].
#[inline]
pub fn quoted_upper(packet: &[u8]) -> Result<Upper, BadChain> {
    let (fixed, payload) =
        packet.split_first_chunk::<LEN>().ok_or(BadChain::Malformed(Malformed::Truncated))?;
    if fixed[0] >> 4 != 6 {
        return Err(BadChain::Malformed(Malformed::BadHeader));
    }
    follow(payload, IpProtocol(fixed[6]))
}

#[inline]
fn follow(payload: &[u8], first: IpProtocol) -> Result<Upper, BadChain> {
    if is_extension(first) {
        walk(payload, first)
    } else {
        Ok(Upper { protocol: first, offset: LEN, fragment: None })
    }
}

fn walk(payload: &[u8], first: IpProtocol) -> Result<Upper, BadChain> {
    let mut protocol = first;
    let mut offset = 0;
    let mut fragment = None;
    for place in 0..=MAX_EXTENSIONS {
        if !is_extension(protocol) {
            return Ok(Upper { protocol, offset: LEN + offset, fragment });
        }
        if place == MAX_EXTENSIONS {
            break;
        }
        if protocol == IpProtocol::HOP_BY_HOP && place != 0 {
            return Err(BadChain::Misplaced);
        }
        let rest = payload.get(offset..).ok_or(BadChain::Truncated)?;
        let head = rest.first_chunk::<8>().ok_or(BadChain::Truncated)?;
        let len = match protocol {
            IpProtocol::FRAGMENT => FRAGMENT_LEN,
            IpProtocol::AUTHENTICATION => (usize::from(head[1]) + 2) * 4,
            _ => (usize::from(head[1]) + 1) * 8,
        };
        if rest.len() < len {
            return Err(BadChain::Truncated);
        }
        if protocol == IpProtocol::FRAGMENT {
            if fragment.is_some() {
                return Err(BadChain::Misplaced);
            }
            let bits = field::get_u16::<2, 8>(head);
            let info = Fragment {
                offset: bits & 0xfff8,
                more: bits & 1 != 0,
                id: field::get_u32::<4, 8>(head),
                start: u16::try_from(LEN + offset + len).map_err(|_| BadChain::TooLong)?,
            };
            fragment = Some(info);
            if info.is_later() {
                let protocol = IpProtocol(head[0]);
                return Ok(Upper { protocol, offset: LEN + offset + len, fragment });
            }
        }
        protocol = IpProtocol(head[0]);
        offset += len;
    }
    Err(BadChain::TooLong)
}

/// Whether this is an extension header that [`upper`] steps over (RFC 7045, 4). ESP is one too, but
/// nothing behind it can be read.
#[inline]
#[must_use]
pub const fn is_extension(protocol: IpProtocol) -> bool {
    matches!(
        protocol,
        IpProtocol::HOP_BY_HOP
            | IpProtocol::ROUTING
            | IpProtocol::FRAGMENT
            | IpProtocol::AUTHENTICATION
            | IpProtocol::DESTINATION_OPTIONS
            | IpProtocol::MOBILITY
            | IpProtocol::HIP
            | IpProtocol::SHIM6
    )
}
