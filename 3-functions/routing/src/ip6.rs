//! IPv6: what makes a header acceptable, and what forwarding changes in it (RFC 8200).

use std::net::Ipv6Addr;

use portcullis_packet::DropReason;
use portcullis_wire::ethernet;

use crate::Adjacency;
use crate::inspected::{Flags, Inspected};

const ETHERNET: usize = ethernet::LEN;
const HEADER: usize = 40;

/// Checks the header of the packet in a frame. Extension headers are left to the destination
/// (RFC 8200, 4).
///
/// # Errors
/// The reason to drop it.
#[inline(always)]
pub fn inspect(frame: &[u8]) -> Result<Inspected<u128>, DropReason> {
    let Some(head) = frame.first_chunk::<{ ETHERNET + HEADER }>() else {
        return Err(DropReason::Ip6Truncated);
    };
    let Some(header) = head.last_chunk::<HEADER>() else { return Err(DropReason::Ip6Truncated) };
    if header[0] >> 4 != 6 {
        return Err(DropReason::Ip6BadHeader);
    }
    let payload = u16::from_be_bytes([header[4], header[5]]);
    // A payload length of 0 announces a jumbogram (RFC 2675) or no payload at all.
    let length = usize::from(payload) + HEADER;
    if length > frame.len() - ETHERNET {
        return Err(DropReason::Ip6Truncated);
    }
    let Ok(length) = u16::try_from(length) else { return Err(DropReason::Ip6BadHeader) };
    let (source, destination) = halves(header);
    Ok(Inspected { destination, length, flags: source_flags(source) })
}

#[inline(always)]
fn halves(header: &[u8; HEADER]) -> (u128, u128) {
    let (_, addresses) = header.split_at(8);
    let source = addresses.first_chunk::<16>().map_or(0, |b| u128::from_be_bytes(*b));
    let destination = addresses.last_chunk::<16>().map_or(0, |b| u128::from_be_bytes(*b));
    (source, destination)
}

/// What is wrong with a source address: the unspecified and the loopback address, multicast
/// (RFC 4291, 2.5.2, 2.5.3, 2.7) and IPv4-mapped ones never come from a wire; link-local ones stay there.
#[inline(always)]
fn source_flags(source: u128) -> Flags {
    let mapped = source >> 32 == 0xffff;
    if source <= 1 || source >> 120 == 0xff || mapped {
        Flags::MARTIAN_SOURCE
    } else if source >> 118 == 0xfe80 >> 6 {
        Flags::LINK_LOCAL_SOURCE
    } else {
        Flags::NONE
    }
}

/// The hop limit of an inspected packet.
#[inline(always)]
#[must_use]
pub fn hop_limit(frame: &[u8]) -> u8 {
    frame.get(ETHERNET + 7).copied().unwrap_or(0)
}

/// Sends an inspected packet on its way: one off the hop limit, and the neighbour's MAC address in
/// front. False, and nothing changed, if the hop limit does not allow it.
#[inline(always)]
#[must_use]
pub fn forward(frame: &mut [u8], adjacency: &Adjacency) -> bool {
    let Some(head) = frame.first_chunk_mut::<{ ETHERNET + HEADER }>() else { return false };
    if head[ETHERNET + 7] <= 1 {
        return false;
    }
    head[ETHERNET + 7] -= 1;
    if let Some(macs) = head.first_chunk_mut::<12>() {
        *macs = adjacency.macs;
    }
    true
}

/// Source and destination of an inspected packet.
#[must_use]
pub fn addresses(frame: &[u8]) -> Option<(Ipv6Addr, Ipv6Addr)> {
    let header = frame.get(ETHERNET..)?.first_chunk::<HEADER>()?;
    let (source, destination) = halves(header);
    Some((Ipv6Addr::from_bits(source), Ipv6Addr::from_bits(destination)))
}
