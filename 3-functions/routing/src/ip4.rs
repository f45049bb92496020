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

/// Checks the header of the packet in a frame (RFC 1812, 5.2.2). Its checksum may have been checked already, by a
/// device; one with options is summed all the same.
///
/// # Errors
/// The reason to drop it.
#[inline(always)]
pub fn inspect(frame: &[u8], checksum_is_right: bool) -> Result<Inspected<u32>, DropReason> {
    let Some(head) = frame.first_chunk::<{ ETHERNET + HEADER }>() else {
        return Err(DropReason::Ip4Truncated);
    };
    let Some(header) = head.last_chunk::<HEADER>() else { return Err(DropReason::Ip4Truncated) };
    let mut flags = Flags::NONE;
    if header[0] == 0x45 {
        if !checksum_is_right && !checksum::is_sound_20(header) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_packet::{IfIndex, Mac};
    use portcullis_wire::build::Frame;
    use portcullis_wire::ipv4;

    fn frame() -> Vec<u8> {
        Frame::v4([10, 0, 0, 2], [192, 0, 2, 9]).udp(1024, 53, b"question")
    }

    /// The frame with a byte of its IPv4 header changed, the checksum right again or left as it was.
    fn changed(at: usize, to: u8, mend: bool) -> Vec<u8> {
        let mut frame = frame();
        frame[ETHERNET + at] = to;
        if mend {
            ipv4::fill_checksum(&mut frame[ETHERNET..ETHERNET + HEADER]);
        }
        frame
    }

    fn with_options(options: &[u8]) -> Vec<u8> {
        Frame::v4([10, 0, 0, 2], [192, 0, 2, 9]).options(options).udp(1024, 53, b"")
    }

    #[test]
    fn a_sound_packet_is_known_by_its_destination_and_length() {
        let expected = Inspected { destination: 0xc000_0209, length: 36, flags: Flags::NONE };
        assert_eq!(inspect(&frame(), false), Ok(expected));
    }

    #[test]
    fn each_defect_of_a_header_has_its_reason() {
        assert_eq!(inspect(&frame()[..33], false), Err(DropReason::Ip4Truncated));
        assert_eq!(inspect(&frame()[..40], false), Err(DropReason::Ip4Truncated));
        assert_eq!(inspect(&changed(0, 0x65, true), false), Err(DropReason::Ip4BadHeader));
        assert_eq!(inspect(&changed(0, 0x44, true), false), Err(DropReason::Ip4BadHeader));
        assert_eq!(inspect(&changed(3, 19, true), false), Err(DropReason::Ip4BadHeader));
        assert_eq!(inspect(&changed(8, 63, false), false), Err(DropReason::Ip4BadChecksum));
    }

    #[test]
    fn sources_that_no_host_has_are_martians() {
        for first in [0, 127, 224, 239, 240, 255] {
            let flags = inspect(&changed(12, first, true), false).map(|i| i.flags);
            assert_eq!(flags, Ok(Flags::MARTIAN_SOURCE), "{first}");
        }
        for first in [1, 10, 126, 128, 169, 192, 223] {
            let flags = inspect(&changed(12, first, true), false).map(|i| i.flags);
            assert_eq!(flags, Ok(Flags::NONE), "{first}");
        }
    }

    #[test]
    fn options_are_forwarded_but_for_source_routes() {
        let flags = |options: &[u8]| inspect(&with_options(options), false).map(|i| i.flags);
        assert_eq!(flags(&[148, 4, 0, 0]), Ok(Flags::UNUSUAL), "router alert");
        assert_eq!(flags(&[1, 1, 1, 0]), Ok(Flags::UNUSUAL), "no operation, end");
        assert_eq!(flags(&[131, 3, 4, 0]), Err(DropReason::Ip4SourceRoute), "loose");
        assert_eq!(flags(&[1, 137, 3, 4]), Err(DropReason::Ip4SourceRoute), "strict");
        assert_eq!(flags(&[7, 1, 0, 0]), Err(DropReason::Ip4BadHeader), "a length of 1");
        assert_eq!(flags(&[7, 9, 0, 0]), Err(DropReason::Ip4BadHeader), "beyond the header");
    }

    #[test]
    fn options_are_under_the_checksum_too() {
        let mut frame = with_options(&[148, 4, 0, 0]);
        frame[ETHERNET + HEADER + 3] = 1;
        assert_eq!(inspect(&frame, false), Err(DropReason::Ip4BadChecksum));
    }

    #[test]
    fn a_checksum_that_a_device_found_right_is_not_summed_again() {
        let changed = changed(8, 63, false);
        assert_eq!(inspect(&changed, true).map(|i| i.length), Ok(36));
        assert_eq!(inspect(&changed[..33], true), Err(DropReason::Ip4Truncated));
        // With options it is: devices differ in how far they look.
        let mut frame = with_options(&[148, 4, 0, 0]);
        frame[ETHERNET + HEADER + 3] = 1;
        assert_eq!(inspect(&frame, true), Err(DropReason::Ip4BadChecksum));
    }

    #[test]
    fn forwarding_takes_one_from_the_ttl_and_leaves_the_header_sound() {
        let neighbor = Mac([2, 0, 0, 0, 0, 7]);
        let adjacency = Adjacency::new(IfIndex(1), 1500, neighbor, Mac([2, 0, 0, 0, 0, 8]));
        for start in 2..=255 {
            let mut frame = changed(8, start, true);
            assert!(forward(&mut frame, &adjacency));
            assert_eq!((ttl(&frame), inspect(&frame, false).is_ok()), (start - 1, true));
            assert_eq!(frame[..12], adjacency.macs);
        }
        for dead in [0, 1] {
            let before = changed(8, dead, true);
            let mut frame = before.clone();
            assert!(!forward(&mut frame, &adjacency));
            assert_eq!(frame, before);
        }
    }
}
