//! Completing in software the checksum that a virtual device left partial.

use portcullis_packet::{GsoKind, Packet};

use super::BadOffload;
use crate::checksum::Sum;
use crate::{sctp, udp};

/// Completes the checksum of a frame whose metadata says that it is partial, and says so in the
/// metadata; other frames are left as they are. UDP's zero becomes 0xffff (RFC 768). At SCTP's
/// offset, which no other protocol has, a CRC-32C is due: Linux hands those over in the same way.
///
/// # Errors
/// [`BadOffload`] if the frame is too short or a super-frame; it is unchanged then.
pub fn complete_checksum(packet: &mut Packet) -> Result<(), BadOffload> {
    let (meta, frame) = packet.parts_mut();
    let offload = meta.offload;
    if !offload.needs_csum {
        return Ok(());
    }
    if offload.gso != GsoKind::None {
        return Err(BadOffload::SuperFrame);
    }
    let range =
        frame.get_mut(usize::from(offload.csum_start)..).ok_or(BadOffload::ChecksumOutside)?;
    if offload.csum_offset == sctp::CHECKSUM_OFFSET {
        if !sctp::fill_checksum(range) {
            return Err(BadOffload::ChecksumOutside);
        }
    } else {
        let sum = Sum::of(range).finish();
        let sum =
            if sum == 0 && offload.csum_offset == udp::CHECKSUM_OFFSET { 0xffff } else { sum };
        let field = range
            .get_mut(usize::from(offload.csum_offset)..)
            .and_then(|rest| rest.first_chunk_mut::<2>())
            .ok_or(BadOffload::ChecksumOutside)?;
        *field = sum.to_be_bytes();
    }
    meta.offload.needs_csum = false;
    meta.offload.csum_start = 0;
    meta.offload.csum_offset = 0;
    Ok(())
}
