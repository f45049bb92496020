//! `struct virtio_net_hdr` (virtio 1.2, 5.1.6) as Linux puts it in front of the frames of packet
//! sockets (PACKET_VNET_HDR) and taps (IFF_VNET_HDR): ten bytes, in the host's byte order.

use portcullis_packet::{GsoKind, Offload};

/// Its length in bytes.
pub const LEN: usize = 10;

/// The header as bytes.
pub type Bytes = [u8; LEN];

const F_NEEDS_CSUM: u8 = 1;

const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
const GSO_ECN: u8 = 0x80;

/// What the header says. `None` if it names a kind of super-frame that we do not know.
///
/// `F_DATA_VALID` is not kept: a checksum that was verified and one that was not are forwarded alike.
#[inline]
#[must_use]
pub fn parse(header: &Bytes) -> Option<Offload> {
    let &[flags, gso_type, _, _, size0, size1, start0, start1, offset0, offset1] = header;
    let gso = match gso_type & !GSO_ECN {
        GSO_NONE => GsoKind::None,
        GSO_TCPV4 => GsoKind::Tcp4,
        GSO_TCPV6 => GsoKind::Tcp6,
        GSO_UDP_L4 => GsoKind::Udp,
        _ => return None,
    };
    let needs_csum = flags & F_NEEDS_CSUM != 0;
    let mut offload = Offload { gso, needs_csum, ..Offload::NONE };
    if needs_csum {
        offload.csum_start = u16::from_ne_bytes([start0, start1]);
        offload.csum_offset = u16::from_ne_bytes([offset0, offset1]);
    }
    if gso != GsoKind::None {
        offload.gso_size = u16::from_ne_bytes([size0, size1]);
        offload.ecn = gso_type & GSO_ECN != 0;
    }
    Some(offload)
}

/// The header that says `offload` of `frame`.
#[inline]
#[must_use]
pub fn emit(offload: &Offload, frame: &[u8]) -> Bytes {
    if offload.is_none() {
        return [0; LEN];
    }
    let flags = if offload.needs_csum { F_NEEDS_CSUM } else { 0 };
    let gso_type = match offload.gso {
        GsoKind::None => GSO_NONE,
        GsoKind::Tcp4 => GSO_TCPV4,
        GsoKind::Tcp6 => GSO_TCPV6,
        GsoKind::Udp => GSO_UDP_L4,
    };
    let ecn = if offload.ecn { GSO_ECN } else { 0 };
    let [len0, len1] = header_len(offload, frame).to_ne_bytes();
    let [size0, size1] = offload.gso_size.to_ne_bytes();
    let [start0, start1] = offload.csum_start.to_ne_bytes();
    let [offset0, offset1] = offload.csum_offset.to_ne_bytes();
    [flags, gso_type | ecn, len0, len1, size0, size1, start0, start1, offset0, offset1]
}

/// Length of all headers of a super-frame. The kernel puts this many bytes into the linear part of
/// its buffer and the rest into pages; without it, it must find 64 KiB in one piece.
fn header_len(offload: &Offload, frame: &[u8]) -> u16 {
    let start = usize::from(offload.csum_start);
    let transport = match offload.gso {
        GsoKind::None => return 0,
        GsoKind::Tcp4 | GsoKind::Tcp6 => {
            frame.get(start + 12).map_or(20, |&offset| usize::from(offset >> 4) * 4)
        }
        GsoKind::Udp => 8,
    };
    u16::try_from((start + transport).min(frame.len())).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_left_undone_is_ten_zeros() {
        assert_eq!(emit(&Offload::NONE, &[1; 60]), [0; LEN]);
        assert_eq!(parse(&[0; LEN]), Some(Offload::NONE));
    }

    #[test]
    fn a_partial_checksum_survives_the_way_there_and_back() {
        let offload = Offload { csum_start: 34, csum_offset: 6, needs_csum: true, ..Offload::NONE };
        assert_eq!(parse(&emit(&offload, &[0; 60])), Some(offload));
    }

    #[test]
    fn each_kind_of_super_frame_survives_the_way_there_and_back() {
        for gso in [GsoKind::Tcp4, GsoKind::Tcp6, GsoKind::Udp] {
            for ecn in [false, true] {
                let offload = Offload {
                    csum_start: 34,
                    csum_offset: 16,
                    gso_size: 1448,
                    gso,
                    needs_csum: true,
                    ecn,
                    ..Offload::NONE
                };
                assert_eq!(parse(&emit(&offload, &[0x80; 4000])), Some(offload));
            }
        }
    }

    #[test]
    fn the_header_length_of_a_tcp_super_frame_covers_its_options() {
        let mut frame = [0; 4000];
        frame[34 + 12] = 0x80;
        let offload = Offload {
            csum_start: 34,
            csum_offset: 16,
            gso_size: 1448,
            gso: GsoKind::Tcp4,
            needs_csum: true,
            ..Offload::NONE
        };
        let header = emit(&offload, &frame);
        assert_eq!(u16::from_ne_bytes([header[2], header[3]]), 34 + 32);
    }

    #[test]
    fn fields_that_the_flags_do_not_announce_are_not_believed() {
        let garbage = [0, 0, 9, 9, 9, 9, 9, 9, 9, 9];
        assert_eq!(parse(&garbage), Some(Offload::NONE));
    }

    #[test]
    fn an_unknown_kind_is_refused() {
        for kind in [2, 3, 6, 0x7f] {
            assert_eq!(parse(&[0, kind, 0, 0, 0, 0, 0, 0, 0, 0]), None, "{kind}");
        }
    }
}
