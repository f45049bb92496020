//! Fragmentation of IPv4 packets (RFC 791, 3.2; RFC 1812, 4.2.2.7).

use portcullis_packet::{Packet, Pool};

use crate::ipv4;

/// Why a packet was not fragmented.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FragmentError {
    /// The pool had too few buffers.
    NoBuffer,
    /// The packet's "don't fragment" is set.
    DontFragment,
    /// The MTU has no room for a header and eight bytes.
    MtuTooSmall,
    /// A checksum or segmentation is still to be done: pieces can't have it done to them.
    Unfinished,
    /// There is no sound IPv4 packet at this offset, or it is a fragment that ends beyond what any
    /// packet can hold.
    Malformed,
}

/// The header of every piece but the first: the original's, with those of its options alone that
/// ask to be copied.
struct LaterHeader {
    bytes: [u8; ipv4::MAX_LEN],
    len: usize,
}

impl LaterHeader {
    fn new(parts: &ipv4::Parts<'_>, fixed: &[u8]) -> Self {
        let mut header = Self { bytes: [0; ipv4::MAX_LEN], len: 0 };
        header.push(fixed);
        let mut options = parts.options;
        while let Some(option) = first_option(options) {
            if option.first().is_some_and(|kind| kind & COPIED != 0) {
                header.push(option);
            }
            options = options.get(option.len()..).unwrap_or_default();
        }
        // What is skipped is zero, the end of the options.
        header.len = header.len.next_multiple_of(4);
        header
    }

    fn push(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        if let Some(room) = self.bytes.get_mut(self.len..end) {
            room.copy_from_slice(bytes);
            self.len = end;
        }
    }

    fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// The bit of an option's kind that says that all fragments have it (RFC 791, 3.1).
const COPIED: u8 = 0x80;
const END_OF_OPTIONS: u8 = 0;
const NO_OPERATION: u8 = 1;

/// The option that these begin with; `None` at their end, and where they make no sense.
fn first_option(options: &[u8]) -> Option<&[u8]> {
    match *options.first()? {
        END_OF_OPTIONS => None,
        NO_OPERATION => options.get(..1),
        _ => options.get(..usize::from(*options.get(1)?)).filter(|option| option.len() >= 2),
    }
}

/// Cuts the IPv4 packet at `l3` of a frame into pieces of at most `mtu` bytes, appended to `out`,
/// and says how many they are. Each is a frame with the same link-layer header and metadata. A
/// packet that is a fragment itself becomes smaller fragments of the same original; one that fits
/// becomes a single copy. Complete its checksum first, or segment it.
///
/// # Errors
/// [`FragmentError`]; `out` is as it was then, and the buffers are back in the pool.
pub fn fragment_ipv4(
    packet: &Packet,
    l3: usize,
    mtu: usize,
    pool: &mut Pool,
    out: &mut Vec<Packet>,
) -> Result<usize, FragmentError> {
    if !packet.meta().offload.is_none() {
        return Err(FragmentError::Unfinished);
    }
    let (link, bytes) = packet.data().split_at_checked(l3).ok_or(FragmentError::Malformed)?;
    let parts = ipv4::Parts::new(bytes).map_err(|_| FragmentError::Malformed)?;
    if parts.header.dont_fragment() {
        return Err(FragmentError::DontFragment);
    }
    let base = usize::from(parts.header.fragment_offset());
    if base + parts.payload.len() > ipv4::MAX_PACKET {
        return Err(FragmentError::Malformed);
    }
    let whole_header = bytes.get(..parts.header.header_len()).ok_or(FragmentError::Malformed)?;
    let fixed = bytes.get(..ipv4::LEN).ok_or(FragmentError::Malformed)?;
    let later_header = LaterHeader::new(&parts, fixed);

    let before = out.len();
    let (mut header, mut rest, mut offset) = (whole_header, parts.payload, base);
    loop {
        let piece = match next_payload(rest, header.len(), mtu) {
            Some((payload, is_last)) => {
                rest = rest.get(payload.len()..).unwrap_or_default();
                let more = !is_last || parts.header.more_fragments();
                // `base` and the payload together fit 16 bits, as was checked.
                let place = (offset as u16, more);
                offset += payload.len();
                cut(packet, [link, header, payload], place, pool)
                    .map(|piece| (piece, is_last))
                    .ok_or(FragmentError::NoBuffer)
            }
            None => Err(FragmentError::MtuTooSmall),
        };
        match piece {
            Ok((piece, is_last)) => {
                out.push(piece);
                if is_last {
                    return Ok(out.len() - before);
                }
                header = later_header.as_slice();
            }
            Err(error) => {
                out.drain(before..).for_each(|piece| pool.put(piece));
                return Err(error);
            }
        }
    }
}

/// As much as fits behind a header, and whether that is all; in units of eight bytes if not.
fn next_payload(rest: &[u8], header_len: usize, mtu: usize) -> Option<(&[u8], bool)> {
    let room = mtu.checked_sub(header_len)?;
    if rest.len() <= room {
        return Some((rest, true));
    }
    let room = room / 8 * 8;
    rest.get(..room).filter(|payload| !payload.is_empty()).map(|payload| (payload, false))
}

/// A piece of these parts (link-layer header, IPv4 header, payload); `None` if the pool has no buffer
/// for it.
fn cut(
    packet: &Packet,
    [link, header, payload]: [&[u8]; 3],
    (offset, more): (u16, bool),
    pool: &mut Pool,
) -> Option<Packet> {
    let len = link.len() + header.len() + payload.len();
    let mut piece = pool.take(len)?;
    if !piece.set_len(len) {
        pool.put(piece);
        return None;
    }
    let (meta, bytes) = piece.parts_mut();
    *meta = *packet.meta();
    let (to_link, bytes) = bytes.split_at_mut(link.len());
    let (to_header, to_payload) = bytes.split_at_mut(header.len());
    to_link.copy_from_slice(link);
    to_header.copy_from_slice(header);
    to_payload.copy_from_slice(payload);
    if let Some(mut fixed) = ipv4::Header::fixed_mut(to_header) {
        fixed.set_header_len(header.len());
        fixed.set_total_len((header.len() + payload.len()) as u16);
        fixed.set_fragment(offset, more);
    }
    ipv4::fill_checksum(to_header);
    Some(piece)
}
