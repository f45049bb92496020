//! One packet made several: fragments (RFC 791), and the segments of a super-frame whose device takes
//! none; and checksums completed for devices that complete none.

use portcullis_packet::{DropReason, Packet, Pool, TxOffload, Verdict};
use portcullis_wire::fragment::{FragmentError, fragment_ipv4};
use portcullis_wire::{ethernet, offload};

/// Does to a frame what its device does not. The verdict is `Transmit` for a frame that is complete
/// now, `Replaced` for one whose segments were put into `pieces`.
///
/// # Errors
/// The reason to drop it.
pub(crate) fn finish(
    packet: &mut Packet,
    device: TxOffload,
    pool: &mut Pool,
    pieces: &mut Vec<Packet>,
) -> Result<Verdict, DropReason> {
    if !device.segments(packet.meta().offload.gso) {
        let first = pieces.len();
        offload::segment(packet, pool, pieces).map_err(|error| match error {
            offload::SegmentError::NoBuffer => DropReason::SegmentNoBuffer,
            offload::SegmentError::Bad(_) => DropReason::BadOffload,
        })?;
        send(pieces, first);
        return Ok(Verdict::Replaced);
    }
    if !device.checksum && packet.meta().offload.needs_csum {
        offload::complete_checksum(packet).map_err(|_| DropReason::BadOffload)?;
    }
    Ok(Verdict::Transmit)
}

/// Cuts an IPv4 packet into fragments no larger than `mtu`. A super-frame is cut into its segments
/// first, a partial checksum completed: it covers what the fragments will share.
///
/// # Errors
/// The reason to drop it.
pub(crate) fn fragment(
    packet: &mut Packet,
    mtu: u16,
    pool: &mut Pool,
    pieces: &mut Vec<Packet>,
) -> Result<Verdict, DropReason> {
    let first = pieces.len();
    if finish(packet, TxOffload::NONE, pool, pieces)? == Verdict::Transmit {
        cut(packet, mtu, pool, pieces)?;
        send(pieces, first);
        return Ok(Verdict::Replaced);
    }
    // The segments that are too large come to lie at the front one by one, and their fragments behind.
    let segments = pieces.len() - first;
    for _ in 0..segments {
        if pieces.len() <= first {
            break;
        }
        let segment = pieces.remove(first);
        if segment.len() <= ethernet::LEN + usize::from(mtu) {
            pieces.push(segment);
        } else {
            let made = cut(&segment, mtu, pool, pieces);
            pool.put(segment);
            if let Err(reason) = made {
                pieces.drain(first..).for_each(|piece| pool.put(piece));
                return Err(reason);
            }
        }
    }
    send(pieces, first);
    Ok(Verdict::Replaced)
}

fn cut(
    packet: &Packet,
    mtu: u16,
    pool: &mut Pool,
    pieces: &mut Vec<Packet>,
) -> Result<(), DropReason> {
    fragment_ipv4(packet, ethernet::LEN, usize::from(mtu), pool, pieces).map(|_| ()).map_err(
        |error| match error {
            FragmentError::NoBuffer => DropReason::FragmentNoBuffer,
            FragmentError::DontFragment | FragmentError::MtuTooSmall => DropReason::PacketTooBig,
            FragmentError::Unfinished => DropReason::BadOffload,
            FragmentError::Malformed => DropReason::Ip4BadHeader,
        },
    )
}

fn send(pieces: &mut [Packet], first: usize) {
    for piece in pieces.iter_mut().skip(first) {
        piece.meta_mut().verdict = Verdict::Transmit;
    }
}
