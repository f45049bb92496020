//! ICMP and ICMPv6 errors about a packet that can't be forwarded.
//!
//! First ask whether an error may be sent at all ([`may_answer_v4`], [`may_answer_v6`]), and the
//! rate limiter; then the offending packet itself becomes the answer ([`rewrite_v4`],
//! [`rewrite_v6`]): its bytes stay where they are, shortened, and the new headers go into the
//! headroom before them.
//!
//! The quote is the packet as its buffer holds it. A partial checksum is completed first, so that a
//! NAT on the way back finds one to mend. A super-frame can't be completed: it is quoted with its
//! own IP length and the pseudo header's sum for a checksum; the sender's stack, which made the
//! super-frame, looks at addresses, ports and sequence number only (RFC 5927, 4.1).

mod rules;
mod v4;
mod v6;

use portcullis_packet::{GsoKind, NextHopId, Offload, Packet};

use crate::offload::complete_checksum;
use crate::{ethernet, field};

pub use rules::{may_answer_v4, may_answer_v6};
pub use v4::{Icmp4Error, MAX_V4, rewrite_v4};
pub use v6::{Icmp6Error, MAX_V6, rewrite_v6};

/// Why a packet did not become an error message. It may have lost its first bytes: drop it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RewriteError {
    /// There is no sound IP packet at this offset.
    Malformed,
    /// The buffer has no room for the new headers.
    NoRoom,
}

/// Length of the ICMP header of every error, which the quote follows.
const ICMP_LEN: usize = 8;

/// Makes `packet` a frame of `head` new bytes and the first `quote` bytes of what began at `l3`,
/// with metadata that says so. The new bytes hold anything.
fn make_frame(
    packet: &mut Packet,
    l3: usize,
    quote: usize,
    head: usize,
) -> Result<(), RewriteError> {
    // Before the packet is shortened: its checksum covers all of it.
    if packet.meta().offload.gso == GsoKind::None {
        complete_checksum(packet).map_err(|_| RewriteError::Malformed)?;
    }
    if l3 + quote > packet.len() || !packet.set_len(l3 + quote) || !packet.shrink_front(l3) {
        return Err(RewriteError::Malformed);
    }
    let front = head.min(packet.headroom());
    let behind = head - front;
    if !packet.grow_front(front) || !packet.set_len(head + quote) {
        return Err(RewriteError::NoRoom);
    }
    if behind > 0 {
        packet.data_mut().copy_within(front..front + quote, head);
    }
    let meta = packet.meta_mut();
    meta.offload = Offload::NONE;
    meta.l3 = ethernet::LEN as u16;
    meta.flow_hash = 0;
    meta.next_hop = NextHopId::NO_ROUTE;
    Ok(())
}

/// Type, code and the four bytes behind the checksum, with the checksum still zero.
fn icmp_header(message_type: u8, code: u8, rest: u32) -> [u8; ICMP_LEN] {
    let mut header = [0; ICMP_LEN];
    header[0] = message_type;
    header[1] = code;
    field::set_u32::<4, ICMP_LEN>(&mut header, rest);
    header
}
