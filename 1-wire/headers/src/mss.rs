//! The maximum segment size that a SYN announces (RFC 9293, 3.7.1), lowered to what the way carries.

use crate::tcp;

/// The option's kind and length.
const MSS: [u8; 2] = [2, 4];

/// Lowers the MSS option of the segment whose header begins at `upper` to `most`, and mends the checksum. True if
/// there was something to lower. A partial checksum does not know of options, but changes by as much
/// when the device completes it: so a frame whose checksum is partial is to say so.
pub fn clamp(frame: &mut [u8], upper: usize, most: u16, is_partial: bool) -> bool {
    let Some(segment) = frame.get_mut(upper..) else { return false };
    let Some(length) = segment.get(12).map(|offset| usize::from(offset >> 4) * 4) else {
        return false;
    };
    let Some(at) = segment.get(tcp::LEN..length).and_then(find) else { return false };
    let at = tcp::LEN + at + MSS.len();
    let Some(value) = segment.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<2>) else {
        return false;
    };
    let old = u16::from_be_bytes(*value);
    if old <= most {
        return false;
    }
    *value = most.to_be_bytes();
    if is_partial {
        return true;
    }
    // At an odd place the option's bytes count the other way round.
    let (old, new) =
        if at.is_multiple_of(2) { (old, most) } else { (old.swap_bytes(), most.swap_bytes()) };
    let field = segment.get_mut(usize::from(tcp::CHECKSUM_OFFSET)..);
    if let Some(field) = field.and_then(<[u8]>::first_chunk_mut::<2>) {
        let checksum = crate::checksum::update_u16(u16::from_be_bytes(*field), old, new);
        *field = checksum.to_be_bytes();
    }
    true
}

/// Where among the options the MSS is.
fn find(options: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(&kind) = options.get(at) {
        match kind {
            0 => return None,
            1 => at += 1,
            _ => {
                let length = usize::from(*options.get(at + 1)?);
                if [kind, length as u8] == MSS && at + 4 <= options.len() {
                    return Some(at);
                }
                if length < 2 {
                    return None;
                }
                at += length;
            }
        }
    }
    None
}
