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

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_packet::{IfIndex, Mac};
    use portcullis_wire::build::Frame;

    fn from(source: &str) -> Vec<u8> {
        let source: Ipv6Addr = source.parse().expect("an address");
        let destination = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9);
        Frame::v6(source, destination).udp(1024, 53, b"question")
    }

    #[test]
    fn a_sound_packet_is_known_by_its_destination_and_length() {
        let destination = 0x2001_0db8_0000_0000_0000_0000_0000_0009;
        let expected = Inspected { destination, length: 56, flags: Flags::NONE };
        assert_eq!(inspect(&from("2001:db8::2")), Ok(expected));
    }

    #[test]
    fn each_defect_of_a_header_has_its_reason() {
        let frame = from("2001:db8::2");
        assert_eq!(inspect(&frame[..53]), Err(DropReason::Ip6Truncated));
        assert_eq!(inspect(&frame[..60]), Err(DropReason::Ip6Truncated));
        let mut wrong = frame;
        wrong[ETHERNET] = 0x45;
        assert_eq!(inspect(&wrong), Err(DropReason::Ip6BadHeader));
    }

    #[test]
    fn a_length_beyond_all_lengths_is_refused() {
        let mut frame = from("2001:db8::2");
        frame[ETHERNET + 4..ETHERNET + 6].copy_from_slice(&[0xff, 0xff]);
        frame.resize(ETHERNET + HEADER + 0xffff, 0);
        assert_eq!(inspect(&frame), Err(DropReason::Ip6BadHeader));
    }

    #[test]
    fn sources_have_the_scope_that_their_prefix_says() {
        let flags = |source| inspect(&from(source)).map(|inspected| inspected.flags);
        for martian in ["::", "::1", "ff02::1", "ff0e::1", "::ffff:192.0.2.1"] {
            assert_eq!(flags(martian), Ok(Flags::MARTIAN_SOURCE), "{martian}");
        }
        for local in ["fe80::1", "febf:ffff::1"] {
            assert_eq!(flags(local), Ok(Flags::LINK_LOCAL_SOURCE), "{local}");
        }
        for host in ["::2", "2001:db8::1", "fd00::1", "fec0::1", "64:ff9b::1"] {
            assert_eq!(flags(host), Ok(Flags::NONE), "{host}");
        }
    }

    #[test]
    fn forwarding_takes_one_from_the_hop_limit_if_there_is_one_to_take() {
        let neighbor = Mac([2, 0, 0, 0, 0, 7]);
        let adjacency = Adjacency::new(IfIndex(1), 1500, neighbor, Mac([2, 0, 0, 0, 0, 8]));
        let mut frame = from("2001:db8::2");
        frame[ETHERNET + 7] = 2;
        assert!(forward(&mut frame, &adjacency));
        assert_eq!((hop_limit(&frame), &frame[..12]), (1, &adjacency.macs[..]));
        assert!(!forward(&mut frame, &adjacency));
        assert_eq!(hop_limit(&frame), 1);
    }
}
