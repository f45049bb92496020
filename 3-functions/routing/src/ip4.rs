//! IPv4: what makes a header acceptable, and what forwarding changes in it (RFC 1812, 5.2 and 5.3).

use portcullis_packet::DropReason;
use portcullis_wire::{checksum, ethernet};

use crate::Adjacency;
use crate::inspected::{Flags, Inspected};

const ETHERNET: usize = ethernet::LEN;
const HEADER: usize = 20;

/// First octets that no source address of a forwarded packet has: "this network" (RFC 1122, 3.2.1.3 a),
/// loopback, multicast, and class E with the limited broadcast (RFC 1812, 5.3.7).
const MARTIAN_OCTETS: [bool; 256] = {
    let mut octets = [false; 256];
    octets[0] = true;
    octets[127] = true;
    let mut octet = 224;
    while octet < 256 {
        octets[octet] = true;
        octet += 1;
    }
    octets
};

/// Whether no packet on a wire may have this source.
#[inline(always)]
#[must_use]
pub fn is_martian_source(source: [u8; 4]) -> bool {
    MARTIAN_OCTETS[usize::from(source[0])]
}

/// Checks the header of the packet in a frame (RFC 1812, 5.2.2).
///
/// # Errors
/// The reason to drop it.
#[inline(always)]
pub fn inspect(frame: &[u8]) -> Result<Inspected<u32>, DropReason> {
    let Some(head) = frame.first_chunk::<{ ETHERNET + HEADER }>() else {
        return Err(DropReason::Ip4Truncated);
    };
    let Some(header) = head.last_chunk::<HEADER>() else { return Err(DropReason::Ip4Truncated) };
    let mut flags = Flags::NONE;
    if header[0] == 0x45 {
        if !checksum::is_sound_20(header) {
            return Err(DropReason::Ip4BadChecksum);
        }
    } else {
        options(frame, header[0])?;
        flags |= Flags::UNUSUAL;
    }
    let length = u16::from_be_bytes([header[2], header[3]]);
    if usize::from(length) < HEADER {
        return Err(DropReason::Ip4BadHeader);
    }
    if usize::from(length) > frame.len() - ETHERNET {
        return Err(DropReason::Ip4Truncated);
    }
    let [a, b, c, d] = [header[12], header[13], header[14], header[15]];
    if is_martian_source([a, b, c, d]) {
        flags |= Flags::MARTIAN_SOURCE;
    }
    let destination = u32::from_be_bytes([header[16], header[17], header[18], header[19]]);
    Ok(Inspected { destination, length, flags })
}

/// A header with options: their total length, the checksum over all of it, and no source route.
#[cold]
fn options(frame: &[u8], first: u8) -> Result<(), DropReason> {
    let header_length = usize::from(first & 0x0f) * 4;
    if first >> 4 != 4 || header_length < HEADER {
        return Err(DropReason::Ip4BadHeader);
    }
    let header = frame.get(ETHERNET..ETHERNET + header_length).ok_or(DropReason::Ip4Truncated)?;
    let total = header.get(2..4).map_or(0, |b| usize::from(b[0]) << 8 | usize::from(b[1]));
    if total < header_length {
        return Err(DropReason::Ip4BadHeader);
    }
    if !checksum::Sum::of(header).is_sound() {
        return Err(DropReason::Ip4BadChecksum);
    }
    let mut rest = header.get(HEADER..).unwrap_or_default();
    while let Some((&kind, tail)) = rest.split_first() {
        match kind {
            0 => break,
            1 => rest = tail,
            // Loose and strict source routing (RFC 791, 3.1).
            131 | 137 => return Err(DropReason::Ip4SourceRoute),
            _ => {
                let length = tail.first().map_or(0, |&n| usize::from(n));
                if length < 2 {
                    return Err(DropReason::Ip4BadHeader);
                }
                rest = rest.get(length..).ok_or(DropReason::Ip4BadHeader)?;
            }
        }
    }
    Ok(())
}

/// The TTL of an inspected packet.
#[inline(always)]
#[must_use]
pub fn ttl(frame: &[u8]) -> u8 {
    frame.get(ETHERNET + 8).copied().unwrap_or(0)
}

/// Sends an inspected packet on its way: one off the TTL, its checksum with it (RFC 1624), and the
/// neighbour's MAC address in front. False, and nothing changed, if the TTL does not allow it.
#[inline(always)]
#[must_use]
pub fn forward(frame: &mut [u8], adjacency: &Adjacency) -> bool {
    let Some(head) = frame.first_chunk_mut::<{ ETHERNET + HEADER }>() else { return false };
    let Some(header) = head.last_chunk_mut::<HEADER>() else { return false };
    if !checksum::decrement_ttl(header) {
        return false;
    }
    if let Some(macs) = head.first_chunk_mut::<12>() {
        *macs = adjacency.macs;
    }
    true
}

/// Whether the packet must not be fragmented.
#[must_use]
pub fn dont_fragment(frame: &[u8]) -> bool {
    frame.get(ETHERNET + 6).is_some_and(|&b| b & 0x40 != 0)
}

/// Source and destination of an inspected packet.
#[must_use]
pub fn addresses(frame: &[u8]) -> Option<([u8; 4], [u8; 4])> {
    let bytes = frame.get(ETHERNET + 12..ETHERNET + 20)?;
    Some((*bytes.first_chunk()?, *bytes.last_chunk()?))
}
