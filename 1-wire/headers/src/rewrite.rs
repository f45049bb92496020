//! Translated headers (RFC 3022): addresses and ports written, checksums mended (RFC 1624).
//!
//! A checksum that was wrong before is wrong by as much afterwards: nothing is computed anew.

use portcullis_packet::{Offload, Ports};

use crate::checksum::Sum;
use crate::dissect::{DCCP, UDP_LITE};
use crate::{IpProtocol, Tuple, ethernet, ipv6};

const L3: usize = ethernet::LEN;
const IPV4: usize = 20;

/// What translation does to every IPv4 packet of one direction of a flow, worked out once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rewrite4 {
    /// The source address it gets.
    pub src: u32,
    /// The destination address it gets.
    pub dst: u32,
    /// The ports it gets; of an ICMP query, the identifier in its place (see [`Tuple`]).
    pub ports: Ports,
    /// What the addresses' change adds to a one's complement sum.
    pub address_delta: u16,
    /// What the change of addresses and ports adds to a one's complement sum.
    pub delta: u16,
}

/// A one's complement sum of few 16-bit words, folded. Zero comes out as zero only of zeros.
#[inline(always)]
const fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}

const fn halves(word: u32) -> u32 {
    (word >> 16) + (word & 0xffff)
}

/// What replacing one word by another adds to a sum.
const fn change(old: u32, new: u32) -> u32 {
    halves(!old) + halves(new)
}

/// A checksum after its packet's sum has changed.
#[inline(always)]
const fn mend(checksum: u16, delta: u16) -> u16 {
    !fold(!checksum as u32 + delta as u32)
}

/// The same of a header with ports.
#[inline(always)]
const fn mend_with_ports(checksum: u16, delta: u16, zero_is_none: bool) -> u16 {
    if zero_is_none && checksum == 0 {
        return 0;
    }
    match mend(checksum, delta) {
        // RFC 768: zero says that there is none.
        0 if zero_is_none => 0xffff,
        new => new,
    }
}

/// Whether the checksum of the header that begins at `upper` is left to a device.
#[inline(always)]
const fn is_partial(offload: Offload, upper: usize) -> bool {
    offload.needs_csum && offload.csum_start as usize == upper
}

const fn word(ports: Ports) -> u32 {
    (ports.src as u32) << 16 | ports.dst as u32
}

/// How a transport header is mended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mend {
    /// Ports in front, and a checksum over them and the addresses there.
    Ports { checksum: usize, zero_is_none: bool },
    /// An identifier; the checksum knows no addresses.
    Icmp,
    /// Nothing that can be written: the addresses have to do.
    Nothing,
}

#[inline(always)]
const fn how(protocol: IpProtocol) -> Mend {
    match protocol {
        IpProtocol::TCP => Mend::Ports { checksum: 16, zero_is_none: false },
        // Of UDP-Lite none is forbidden, but a zero that was computed is sent as ones as well (RFC 3828, 3.1).
        IpProtocol::UDP | UDP_LITE => Mend::Ports { checksum: 6, zero_is_none: true },
        DCCP => Mend::Ports { checksum: 6, zero_is_none: false },
        IpProtocol::ICMP => Mend::Icmp,
        // SCTP's CRC covers its ports, but no addresses: it is translated by address alone.
        _ => Mend::Nothing,
    }
}

/// Two bytes of a frame.
#[inline(always)]
fn pair(frame: &mut [u8], at: usize) -> Option<&mut [u8; 2]> {
    frame.get_mut(at..)?.first_chunk_mut()
}

impl Rewrite4 {
    /// From what packets arrive with to what they leave with.
    #[must_use]
    pub const fn new(from: &Tuple<u32>, to: &Tuple<u32>) -> Self {
        let addresses = change(from.src, to.src) + change(from.dst, to.dst);
        let all = addresses + change(word(from.ports), word(to.ports));
        Self {
            src: to.src,
            dst: to.dst,
            ports: to.ports,
            address_delta: fold(addresses),
            delta: fold(all),
        }
    }

    /// Translates a packet whose upper header begins at `upper`. `later` says that it is a later fragment, which
    /// has none. Where a device is to complete the checksum, its field has the pseudo header's sum only; but what
    /// is to be completed may be the checksum of a tunnel's inner packet, and this one whole.
    #[inline(always)]
    pub fn apply(
        &self,
        frame: &mut [u8],
        upper: usize,
        protocol: IpProtocol,
        offload: Offload,
        later: bool,
    ) {
        let header = frame.get_mut(L3..).and_then(<[u8]>::first_chunk_mut::<IPV4>);
        let Some(header) = header else { return };
        let checksum = mend(u16::from_be_bytes([header[10], header[11]]), self.address_delta);
        [header[10], header[11]] = checksum.to_be_bytes();
        [header[12], header[13], header[14], header[15]] = self.src.to_be_bytes();
        [header[16], header[17], header[18], header[19]] = self.dst.to_be_bytes();
        if later {
            return;
        }
        match how(protocol) {
            Mend::Ports { checksum, zero_is_none } => {
                let at = frame.get_mut(upper..).and_then(<[u8]>::first_chunk_mut::<4>);
                if let Some(ports) = at {
                    *ports = word(self.ports).to_be_bytes();
                }
                let Some(field) = pair(frame, upper + checksum) else { return };
                let old = u16::from_be_bytes(*field);
                *field = if is_partial(offload, upper) {
                    fold(u32::from(old) + u32::from(self.address_delta))
                } else {
                    mend_with_ports(old, self.delta, zero_is_none)
                }
                .to_be_bytes();
            }
            Mend::Icmp => self.apply_icmp(frame, upper, is_partial(offload, upper)),
            Mend::Nothing => {}
        }
    }

    fn apply_icmp(&self, frame: &mut [u8], upper: usize, is_partial: bool) {
        let header = frame.get_mut(upper..).and_then(<[u8]>::first_chunk_mut::<8>);
        let Some(header) = header else { return };
        // Only queries have an identifier there (RFC 5508, 3).
        if !is_query(header[0]) {
            return;
        }
        let id = if is_request(header[0]) { self.ports.src } else { self.ports.dst };
        let old = u16::from_be_bytes([header[4], header[5]]);
        [header[4], header[5]] = id.to_be_bytes();
        // There is no pseudo header: a partial checksum knows nothing of what has changed.
        if is_partial {
            return;
        }
        let delta = fold(u32::from(!old) + u32::from(id));
        let checksum = match mend(u16::from_be_bytes([header[2], header[3]]), delta) {
            // All that is summed may be zeros: their checksum is this one, which is right of others as well.
            0 if header[0] == 0 && id == 0 => 0xffff,
            new => new,
        };
        [header[2], header[3]] = checksum.to_be_bytes();
    }
}

const fn is_query(kind: u8) -> bool {
    is_request(kind) || matches!(kind, 0 | 14 | 16 | 18)
}

const fn is_request(kind: u8) -> bool {
    matches!(kind, 8 | 13 | 15 | 17)
}

/// Writes the addresses of an IPv6 packet. Transport checksums are left as they are: prefix translation keeps
/// their sum (RFC 6296, 3.1).
#[inline]
pub fn rewrite6(frame: &mut [u8], src: Option<u128>, dst: Option<u128>) {
    let mut write = |at: usize, address: Option<u128>| {
        let bytes = frame.get_mut(L3 + at..).and_then(<[u8]>::first_chunk_mut::<16>);
        if let (Some(bytes), Some(address)) = (bytes, address) {
            *bytes = address.to_be_bytes();
        }
    };
    write(8, src);
    write(24, dst);
}

/// Quoted bytes that translation may touch: an IP header with all its options, and a TCP header up to its
/// checksum.
const QUOTE: usize = 60 + 18;

/// Translates an ICMP error (RFC 5508, 4): the addresses it goes by, and what it quotes, which is to read as
/// `quoted`. False, and nothing changed, if the quote can't be read.
pub fn translate_error4(
    frame: &mut [u8],
    upper: usize,
    (src, dst): (u32, u32),
    quoted: &Tuple<u32>,
) -> bool {
    let Some(old) = crate::dissect::quoted_v4(frame, upper) else { return false };
    let Some(outer) = crate::dissect::v4(frame).ok().map(|outer| outer.tuple) else { return false };
    let translated = Rewrite4::new(&old, quoted);
    mend_quote(frame, upper, |quote| {
        let Some(length) = quote.first().map(|first| usize::from(first & 0xf) * 4) else { return };
        let header = quote.first_chunk_mut::<IPV4>();
        if let Some(header) = header {
            let checksum = u16::from_be_bytes([header[10], header[11]]);
            [header[10], header[11]] = mend(checksum, translated.address_delta).to_be_bytes();
            [header[12], header[13], header[14], header[15]] = quoted.src.to_be_bytes();
            [header[16], header[17], header[18], header[19]] = quoted.dst.to_be_bytes();
        }
        let upper = quote.get_mut(length..).unwrap_or_default();
        quoted_transport(upper, quoted.protocol, &translated);
    });
    let to = Tuple { src, dst, ..outer };
    let around = Rewrite4::new(&outer, &to);
    around.apply(frame, upper, outer.protocol, Offload::NONE, true);
    true
}

/// The transport header of a quote, of which the checksum may be missing.
fn quoted_transport(upper: &mut [u8], protocol: IpProtocol, translated: &Rewrite4) {
    match how(protocol) {
        Mend::Ports { checksum, zero_is_none } => {
            if let Some(ports) = upper.first_chunk_mut::<4>() {
                *ports = word(translated.ports).to_be_bytes();
            }
            if let Some(field) = pair(upper, checksum) {
                let old = u16::from_be_bytes(*field);
                *field = mend_with_ports(old, translated.delta, zero_is_none).to_be_bytes();
            }
        }
        Mend::Icmp => translated.apply_icmp(upper, 0, false),
        Mend::Nothing => {}
    }
}

/// The same for ICMPv6, whose quote keeps its ports: only prefixes are translated.
pub fn translate_error6(
    frame: &mut [u8],
    upper: usize,
    (src, dst): (u128, u128),
    (quoted_src, quoted_dst): (u128, u128),
) -> bool {
    if frame.len() < upper + 8 + ipv6::LEN {
        return false;
    }
    mend_quote(frame, upper, |quote| {
        let mut write = |at: usize, address: u128| {
            if let Some(bytes) = quote.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<16>) {
                *bytes = address.to_be_bytes();
            }
        };
        write(8, quoted_src);
        write(24, quoted_dst);
    });
    // The pseudo header counts here (RFC 4443, 2.3).
    let before = frame.get(L3 + 8..L3 + 40).map_or(Sum::ZERO, Sum::of).fold();
    rewrite6(frame, Some(src), Some(dst));
    let after = frame.get(L3 + 8..L3 + 40).map_or(Sum::ZERO, Sum::of).fold();
    if let Some(field) = pair(frame, upper + 2) {
        let delta = fold(u32::from(!before) + u32::from(after));
        *field = mend(u16::from_be_bytes(*field), delta).to_be_bytes();
    }
    true
}

/// Changes what an ICMP message quotes, and its checksum by as much.
fn mend_quote(frame: &mut [u8], upper: usize, change: impl FnOnce(&mut [u8])) {
    let Some(quote) = frame.get_mut(upper + 8..) else { return };
    let length = quote.len().min(QUOTE);
    let Some(quote) = quote.get_mut(..length) else { return };
    let before = Sum::of(quote).fold();
    change(quote);
    let after = Sum::of(quote).fold();
    if let Some(field) = pair(frame, upper + 2) {
        let delta = fold(u32::from(!before) + u32::from(after));
        *field = mend(u16::from_be_bytes(*field), delta).to_be_bytes();
    }
}
