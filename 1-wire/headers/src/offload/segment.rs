//! Software GSO: a super-frame cut into frames that any device can send.

use portcullis_packet::{GsoKind, Offload, Packet, Pool};

use super::{BadOffload, Layout, MAX_SEGMENTS};
use crate::checksum::Sum;
use crate::{IpProtocol, ipv4, ipv6, tcp, udp};

/// Why a super-frame was not segmented.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SegmentError {
    /// The pool had too few buffers.
    NoBuffer,
    /// The frame is none that [`validate`](super::validate) lets through.
    Bad(BadOffload),
}

/// How a super-frame is to be cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    layout: Layout,
    /// Length of all headers, which every segment gets.
    headers: usize,
    /// Payload bytes per segment but the last.
    size: usize,
    segments: usize,
}

pub(super) fn plan(offload: &Offload, layout: &Layout, frame: &[u8]) -> Result<Plan, BadOffload> {
    let agrees = match offload.gso {
        GsoKind::None => false,
        GsoKind::Tcp4 => !layout.is_v6 && layout.protocol == IpProtocol::TCP,
        GsoKind::Tcp6 => layout.is_v6 && layout.protocol == IpProtocol::TCP,
        GsoKind::Udp => layout.protocol == IpProtocol::UDP,
    };
    if !agrees {
        return Err(BadOffload::KindDisagrees);
    }
    let transport_len = layout.transport_len(frame).ok_or(BadOffload::HeaderTruncated)?;
    let headers = layout.transport + transport_len;
    let size = usize::from(offload.gso_size);
    // A frame without payload is one segment all the same.
    let segments = match size {
        0 => return Err(BadOffload::SegmentSize),
        _ => (layout.end - headers).div_ceil(size).max(1),
    };
    if segments > MAX_SEGMENTS {
        return Err(BadOffload::SegmentSize);
    }
    Ok(Plan { layout: *layout, headers, size, segments })
}

/// Cuts a super-frame into segments, appended to `out`, and says how many they are. Each has the
/// metadata of the super-frame but for the offload, which is done: lengths, IPv4 identification
/// (rising), sequence numbers and all checksums. TCP's FIN and PSH stay on the last segment, CWR
/// on the first where the offload's `ecn` asks for it.
///
/// # Errors
/// [`SegmentError`]; `out` is as it was then, and the buffers are back in the pool.
pub fn segment(
    packet: &Packet,
    pool: &mut Pool,
    out: &mut Vec<Packet>,
) -> Result<usize, SegmentError> {
    let frame = packet.data();
    let offload = packet.meta().offload;
    let layout = Layout::of(frame).ok_or(SegmentError::Bad(BadOffload::NotWhole))?;
    let plan = plan(&offload, &layout, frame).map_err(SegmentError::Bad)?;
    let before = out.len();
    for index in 0..plan.segments {
        match cut(packet, &plan, index, pool) {
            Some(piece) => out.push(piece),
            None => {
                out.drain(before..).for_each(|piece| pool.put(piece));
                return Err(SegmentError::NoBuffer);
            }
        }
    }
    Ok(plan.segments)
}

/// The segment of this index; `None` if the pool has no buffer for it.
fn cut(packet: &Packet, plan: &Plan, index: usize, pool: &mut Pool) -> Option<Packet> {
    let frame = packet.data();
    let from = plan.headers + index * plan.size;
    let to = (from + plan.size).min(plan.layout.end);
    let (headers, payload) = (frame.get(..plan.headers)?, frame.get(from..to)?);
    let len = headers.len() + payload.len();
    let mut piece = pool.take(len)?;
    if !piece.set_len(len) {
        pool.put(piece);
        return None;
    }
    let offload = packet.meta().offload;
    let (meta, bytes) = piece.parts_mut();
    *meta = *packet.meta();
    meta.offload = Offload::NONE;
    let (head, body) = bytes.split_at_mut(headers.len());
    head.copy_from_slice(headers);
    body.copy_from_slice(payload);
    finish(bytes, plan, index, offload.ecn);
    Some(piece)
}

/// Writes what differs between segments, and the checksums.
fn finish(bytes: &mut [u8], plan: &Plan, index: usize, ecn: bool) {
    let layout = &plan.layout;
    let (front, transport) = bytes.split_at_mut(layout.transport);
    // No segment is longer than the super-frame, whose lengths fitted their fields.
    let len = transport.len() as u16;
    let (_, network) = front.split_at_mut(layout.network);
    let pseudo = if layout.is_v6 {
        let extensions = (network.len() - ipv6::LEN) as u16;
        ipv6::Header::fixed_mut(network).map(|mut header| {
            header.set_payload_len(extensions + len);
            header.pseudo_sum(layout.protocol, u32::from(len))
        })
    } else {
        let header_len = network.len() as u16;
        let pseudo = ipv4::Header::fixed_mut(network).map(|mut header| {
            header.set_total_len(header_len + len);
            header.set_identification(header.identification().wrapping_add(index as u16));
            header.pseudo_sum(len)
        });
        ipv4::fill_checksum(network);
        pseudo
    };
    let Some(pseudo) = pseudo else { return };
    if layout.protocol == IpProtocol::TCP {
        finish_tcp(transport, plan, index, ecn, pseudo);
    } else {
        finish_udp(transport, len, pseudo);
    }
}

fn finish_tcp(transport: &mut [u8], plan: &Plan, index: usize, ecn: bool, pseudo: Sum) {
    let Some(mut header) = tcp::Header::new_mut(transport) else { return };
    let (is_first, is_last) = (index == 0, index + 1 == plan.segments);
    let mut flags = header.flags();
    if !is_last {
        flags = flags.without(tcp::Flags::FIN.with(tcp::Flags::PSH));
    }
    if ecn && !is_first {
        flags = flags.without(tcp::Flags::CWR);
    }
    header.set_flags(flags);
    header.set_sequence(header.sequence().wrapping_add((index * plan.size) as u32));
    header.set_checksum(0);
    let sum = (pseudo + Sum::of(transport)).finish();
    if let Some(mut header) = tcp::Header::new_mut(transport) {
        header.set_checksum(sum);
    }
}

fn finish_udp(transport: &mut [u8], len: u16, pseudo: Sum) {
    let Some(mut header) = udp::Header::new_mut(transport) else { return };
    header.set_length(len);
    header.clear_checksum();
    let sum = (pseudo + Sum::of(transport)).finish();
    if let Some(mut header) = udp::Header::new_mut(transport) {
        header.set_checksum(sum);
    }
}
