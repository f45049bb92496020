//! What virtual devices leave undone: partial checksums and super-frames (virtio 1.2, 5.1.6).
//!
//! Three steps: [`validate`] what a driver was told about a received frame, once; then, only where
//! the way out does not take it as it is, [`complete_checksum`] or [`segment`].

mod checksum;
mod segment;

use portcullis_packet::{DropReason, GsoKind, Offload};

use crate::{EtherType, IpProtocol, ethernet, ipv4, ipv6, sctp, tcp, udp};

pub use checksum::complete_checksum;
pub use segment::{SegmentError, segment};

/// The largest number of segments that a super-frame may be cut into: 64 KiB of TCP at the smallest
/// segment size that Linux sends (`TCP_MIN_SND_MSS`, 48), rounded up.
pub const MAX_SEGMENTS: usize = 1536;

/// Why an offload description does not fit its frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadOffload {
    /// The frame is not IP, its IP header is wrong, or it is a fragment, which has no checksum or
    /// segments of its own.
    NotWhole,
    /// The checksum's range begins before the transport header, or the checksum lies outside the
    /// packet.
    ChecksumOutside,
    /// The checksum's place is not where the packet's transport protocol has it.
    ChecksumElsewhere,
    /// The kind of super-frame does not agree with the packet's protocols.
    KindDisagrees,
    /// The transport header is cut short.
    HeaderTruncated,
    /// The segments would be empty, or more than [`MAX_SEGMENTS`].
    SegmentSize,
    /// A super-frame where only an ordinary frame can be worked on: it must be segmented instead.
    SuperFrame,
}

impl From<BadOffload> for DropReason {
    fn from(_: BadOffload) -> Self {
        Self::BadOffload
    }
}

/// Where the parts of an IP frame lie, as offsets from the start of the frame.
#[derive(Clone, Copy, Debug)]
struct Layout {
    is_v6: bool,
    network: usize,
    transport: usize,
    /// Where the IP packet ends; padding may follow.
    end: usize,
    protocol: IpProtocol,
}

impl Layout {
    /// `None` for all that is not a whole IP packet with right lengths.
    fn of(frame: &[u8]) -> Option<Self> {
        let (ether_type, network) = ethernet::network(frame)?;
        let packet = frame.get(network..)?;
        match ether_type {
            EtherType::IPV4 => {
                let header = ipv4::Header::new(packet).ok()?;
                (!header.is_fragment()).then(|| Self {
                    is_v6: false,
                    network,
                    transport: network + header.header_len(),
                    end: network + usize::from(header.total_len()),
                    protocol: header.protocol(),
                })
            }
            EtherType::IPV6 => {
                let header = ipv6::Header::new(packet).ok()?;
                let upper = ipv6::upper(packet).ok()?;
                upper.fragment.is_none_or(ipv6::Fragment::is_atomic).then(|| Self {
                    is_v6: true,
                    network,
                    transport: network + upper.offset,
                    end: network + ipv6::LEN + usize::from(header.payload_len()),
                    protocol: upper.protocol,
                })
            }
            _ => None,
        }
    }

    /// Length of the transport header of TCP or UDP; `None` if the packet ends before it does.
    fn transport_len(&self, frame: &[u8]) -> Option<usize> {
        let transport = frame.get(self.transport..self.end)?;
        match self.protocol {
            IpProtocol::TCP => tcp::Header::new(transport).map(|header| header.header_len()),
            IpProtocol::UDP => udp::Header::new(transport).map(|_| udp::LEN),
            _ => None,
        }
    }
}

/// Whether `offload` describes something that `frame` can be. A checksum may lie beyond the
/// transport header, in a tunnel's inner packet, but never before it: completing it can't change
/// what the gateway's decisions rest on.
///
/// # Errors
/// [`BadOffload`], a reason to drop the frame.
#[inline]
pub fn validate(offload: &Offload, frame: &[u8]) -> Result<(), BadOffload> {
    if offload.is_none() { Ok(()) } else { validate_some(offload, frame) }
}

fn validate_some(offload: &Offload, frame: &[u8]) -> Result<(), BadOffload> {
    let layout = Layout::of(frame).ok_or(BadOffload::NotWhole)?;
    if offload.needs_csum {
        validate_checksum(offload, &layout)?;
    }
    match offload.gso {
        GsoKind::None => Ok(()),
        GsoKind::Tcp4 | GsoKind::Tcp6 | GsoKind::Udp => {
            if offload.needs_csum && usize::from(offload.csum_start) != layout.transport {
                return Err(BadOffload::ChecksumElsewhere);
            }
            segment::plan(offload, &layout, frame).map(|_| ())
        }
    }
}

fn validate_checksum(offload: &Offload, layout: &Layout) -> Result<(), BadOffload> {
    let start = usize::from(offload.csum_start);
    let field = start + usize::from(offload.csum_offset);
    if start < layout.transport || field + 2 > layout.end {
        return Err(BadOffload::ChecksumOutside);
    }
    let known = match layout.protocol {
        _ if start > layout.transport => None,
        IpProtocol::TCP => Some(tcp::CHECKSUM_OFFSET),
        IpProtocol::UDP => Some(udp::CHECKSUM_OFFSET),
        IpProtocol::SCTP => Some(sctp::CHECKSUM_OFFSET),
        _ => None,
    };
    if known.is_some_and(|offset| offset != offload.csum_offset) {
        return Err(BadOffload::ChecksumElsewhere);
    }
    Ok(())
}
