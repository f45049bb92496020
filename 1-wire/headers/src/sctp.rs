//! What the gateway needs of SCTP (RFC 9260): its ports and its checksum, a CRC-32C.

use crate::field;

/// Length of the common header.
pub const LEN: usize = 12;

/// Where in the common header the checksum stands; it is 32 bits long.
pub const CHECKSUM_OFFSET: u16 = 8;

/// The source and destination ports; `None` if the bytes end before them.
#[inline]
#[must_use]
pub fn ports(packet: &[u8]) -> Option<(u16, u16)> {
    let ports = packet.first_chunk::<4>()?;
    Some((field::get_u16::<0, 4>(ports), field::get_u16::<2, 4>(ports)))
}

/// Writes the checksum of a packet that begins and ends with these bytes (RFC 9260, 6.8 and
/// appendix A). False, and nothing changed, if they are too few for a common header.
#[must_use]
pub fn fill_checksum(packet: &mut [u8]) -> bool {
    let Some(header) = packet.first_chunk_mut::<LEN>() else { return false };
    field::set::<8, 4, LEN>(header, [0; 4]);
    let crc = crc32c(packet);
    if let Some(header) = packet.first_chunk_mut::<LEN>() {
        // The reflected register goes out with its low byte first.
        field::set::<8, 4, LEN>(header, crc.to_le_bytes());
    }
    true
}

/// The Castagnoli polynomial, bits reflected.
const POLYNOMIAL: u32 = 0x82f6_3b78;

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut register = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            register = (register >> 1) ^ (POLYNOMIAL * (register & 1));
            bit += 1;
        }
        table[byte] = register;
        byte += 1;
    }
    table
};

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |register: u32, &byte| {
        let [low, ..] = register.to_le_bytes();
        (register >> 8) ^ TABLE[usize::from(low ^ byte)]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_crc_32c_comes_out() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn a_packet_shorter_than_the_common_header_is_left_alone() {
        assert!(!fill_checksum(&mut [1; 11]));
        assert_eq!(ports(&[0, 80, 1, 187]), Some((80, 443)));
        assert_eq!(ports(&[0, 80, 1]), None);
    }
}
