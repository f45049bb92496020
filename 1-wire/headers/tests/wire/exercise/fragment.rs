//! Any IPv4 frame cut into fragments.

use portcullis_packet::{Packet, Pool, PoolLimits};
use portcullis_wire::fragment::{FragmentError, fragment_ipv4};
use portcullis_wire::ipv4;

/// Cuts the frame behind the first byte of the input, which chooses the MTU.
pub(crate) fn exercise(input: &[u8]) {
    let Some((&choice, frame)) = input.split_first() else { return };
    let mtu = 28 + usize::from(choice) * 6;
    let packet = Packet::from_bytes(frame);
    let mut pool = Pool::new(PoolLimits { small: 64, large: 1 });
    let mut out = Vec::new();
    match fragment_ipv4(&packet, 14, mtu, &mut pool, &mut out) {
        Ok(count) => {
            assert_eq!(count, out.len());
            let whole = ipv4::Parts::new(&frame[14..]).expect("it was cut");
            let mut rest = whole.payload;
            for piece in &out {
                ipv4::Header::checked(&piece.data()[14..]).expect("sound");
                assert!(count == 1 || piece.len() <= 14 + mtu);
                let parts = ipv4::Parts::new(&piece.data()[14..]).expect("sound");
                rest = rest.strip_prefix(parts.payload).expect("the next part of the payload");
            }
            assert!(rest.is_empty());
        }
        Err(error) => {
            assert!(out.is_empty() && pool.free().0 == 64);
            assert_ne!(error, FragmentError::Unfinished);
        }
    }
}
