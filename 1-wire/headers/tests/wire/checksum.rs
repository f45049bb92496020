//! Checksums against the plainest way to compute them, and updates against recomputation.

use portcullis_wire::checksum::{self, Sum};
use portcullis_wire::ipv4;
use proptest::prelude::*;

/// RFC 1071, 4.1, word by word.
fn plain(bytes: &[u8]) -> u16 {
    let mut sum = 0u64;
    for pair in bytes.chunks(2) {
        sum += u64::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Numbers at which one's complement arithmetic goes wrong first, and others.
fn word() -> impl Strategy<Value = u16> {
    prop_oneof![
        Just(0),
        Just(0xffff),
        Just(1),
        Just(0xfffe),
        Just(0x00ff),
        Just(0xff00),
        any::<u16>()
    ]
}

/// Bytes that a real header has somewhere: not all zero.
fn words(n: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(word(), n).prop_map(|words| {
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        bytes[0] |= 0x40;
        bytes
    })
}

fn header() -> impl Strategy<Value = [u8; 20]> {
    words(10).prop_map(|bytes| {
        let mut header: [u8; 20] = bytes.try_into().expect("20 bytes");
        ipv4::fill_checksum(&mut header);
        header
    })
}

proptest! {
    #[test]
    fn the_sum_is_that_of_the_plain_loop(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert_eq!(Sum::of(&bytes).finish(), plain(&bytes));
    }

    #[test]
    fn sums_of_parts_add_up(a in words(7), b in prop::collection::vec(any::<u8>(), 0..99)) {
        prop_assert_eq!((Sum::of(&a) + Sum::of(&b)).finish(), plain(&[a, b].concat()));
    }

    #[test]
    fn a_header_is_sound_exactly_if_the_plain_loop_says_so(
        mut header in header(), at in 0usize..20, to in any::<u8>()
    ) {
        prop_assert!(checksum::is_sound_20(&header));
        header[at] = to;
        prop_assert_eq!(checksum::is_sound_20(&header), plain(&header) == 0);
    }

    #[test]
    fn any_twenty_bytes_are_judged_as_by_the_plain_loop(bytes in words(10)) {
        let header: [u8; 20] = bytes.try_into().expect("20 bytes");
        prop_assert_eq!(checksum::is_sound_20(&header), plain(&header) == 0);
    }

    #[test]
    fn an_updated_16_bit_field_leaves_the_recomputed_checksum(
        mut bytes in words(10), at in 1usize..10, new in word()
    ) {
        let old = u16::from_be_bytes([bytes[2 * at], bytes[2 * at + 1]]);
        let updated = checksum::update_u16(plain(&bytes), old, new);
        bytes[2 * at..][..2].copy_from_slice(&new.to_be_bytes());
        prop_assert_eq!(updated, plain(&bytes));
    }

    #[test]
    fn an_updated_32_bit_field_leaves_the_recomputed_checksum(
        mut bytes in words(10), high in word(), low in word()
    ) {
        let old = u32::from_be_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]);
        let new = u32::from(high) << 16 | u32::from(low);
        let updated = checksum::update_u32(plain(&bytes), old, new);
        bytes[12..16].copy_from_slice(&new.to_be_bytes());
        prop_assert_eq!(updated, plain(&bytes));
    }

    #[test]
    fn an_updated_128_bit_field_leaves_the_recomputed_checksum(
        mut bytes in words(20), new in words(8)
    ) {
        let old = u128::from_be_bytes(bytes[8..24].try_into().expect("16 bytes"));
        let to = u128::from_be_bytes(new.as_slice().try_into().expect("16 bytes"));
        let updated = checksum::update_u128(plain(&bytes), old, to);
        bytes[8..24].copy_from_slice(&new);
        prop_assert_eq!(updated, plain(&bytes));
    }

    #[test]
    fn a_decremented_ttl_leaves_the_recomputed_checksum(header in header()) {
        let mut decremented = header;
        let forwardable = checksum::decrement_ttl(&mut decremented);
        prop_assert_eq!(forwardable, header[8] > 1);
        if forwardable {
            let mut recomputed = header;
            recomputed[8] -= 1;
            ipv4::fill_checksum(&mut recomputed);
            prop_assert_eq!(decremented, recomputed);
        } else {
            prop_assert_eq!(decremented, header);
        }
    }
}

#[test]
fn no_checksum_makes_a_ttl_update_end_in_the_other_zero() {
    for checksum in 0..=0xfffe_u16 {
        let mut header = [0; 20];
        header[0] = 0x45;
        header[8] = 64;
        header[10..12].copy_from_slice(&checksum.to_be_bytes());
        // Makes the rest of the header fit this checksum.
        let rest = plain(&header);
        header[12..14].copy_from_slice(&rest.to_be_bytes());
        assert_eq!(plain(&header), 0);
        assert!(checksum::decrement_ttl(&mut header));
        assert_eq!(plain(&header), 0, "from {checksum:#06x}");
        assert_ne!(header[10..12], [0xff, 0xff], "from {checksum:#06x}");
    }
}

#[test]
fn a_checksum_that_came_as_ffff_instead_of_zero_is_mended_all_the_same() {
    let mut header = [0; 20];
    header[0] = 0x45;
    header[8] = 64;
    let rest = plain(&header);
    header[12..14].copy_from_slice(&rest.to_be_bytes());
    header[10..12].copy_from_slice(&[0xff, 0xff]);
    assert!(checksum::is_sound_20(&header));
    assert!(checksum::decrement_ttl(&mut header));
    assert!(checksum::is_sound_20(&header));
}
