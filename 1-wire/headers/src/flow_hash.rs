//! A number that is the same for all packets of a flow and unlike for others: what ECMP chooses by
//! (RFC 2992, RFC 6438).
//!
//! | packet | hashed |
//! |---|---|
//! | TCP, UDP, SCTP, whole | addresses, protocol, ports |
//! | ICMP echo, whole | addresses, protocol, identifier |
//! | ICMP error, whole | the packet that it quotes, turned around |
//! | IPv4 otherwise, fragments too | addresses, protocol |
//! | IPv6 otherwise | addresses, protocol, flow label |
//! | IPv6 fragment | addresses, flow label |
//!
//! All fragments of a packet go one way: the first one's ports are not used either, and in IPv6
//! neither is the protocol, in which fragments may differ (RFC 8200, 4.5). An error goes the way of
//! the flow that it is about (RFC 7690): to a server behind several paths it comes where the packets
//! of its client do. That is why ports and flow label are not hashed together: the quote shows the
//! label of the other direction.

use std::net::Ipv6Addr;

use crate::icmpv4::Type as Type4;
use crate::icmpv6::Type as Type6;
use crate::{IpProtocol, field, icmpv4, icmpv6, ipv4, ipv6};

/// The hash of the packet at `l3` of a frame; never 0. Bytes that are no such packet have a hash too.
/// `seed` makes it unlike those of other gateways on the path, and hard to aim at.
#[inline]
#[must_use]
pub fn flow_hash(frame: &[u8], l3: usize, is_v6: bool, seed: u64) -> u32 {
    let packet = frame.get(l3..).unwrap_or_default();
    if is_v6 { of_v6(packet, seed) } else { of_v4(packet, seed) }
}

#[inline]
fn of_v4(packet: &[u8], seed: u64) -> u32 {
    let Some(header) = ipv4::Header::fixed(packet) else { return finish(seed) };
    Tuple4::of_error(&header, packet).unwrap_or_else(|| Tuple4::of(&header, packet)).hash(seed)
}

#[inline]
fn of_v6(packet: &[u8], seed: u64) -> u32 {
    let Some(header) = ipv6::Header::fixed(packet) else { return finish(seed) };
    let upper = ipv6::quoted_upper(packet).ok();
    Tuple6::of_error(upper, packet).unwrap_or_else(|| Tuple6::of(&header, upper, packet)).hash(seed)
}

/// What is hashed beside the addresses.
#[derive(Clone, Copy)]
struct Selector {
    protocol: IpProtocol,
    /// Ports, source first; or an identifier or label, which has no direction.
    bits: u32,
    has_ports: bool,
}

impl Selector {
    const fn of_protocol(protocol: IpProtocol) -> Self {
        Self { protocol, bits: 0, has_ports: false }
    }

    /// `None` if the packet shows nothing but its protocol.
    #[inline]
    fn of_transport(protocol: IpProtocol, transport: &[u8]) -> Option<Self> {
        match protocol {
            IpProtocol::TCP | IpProtocol::UDP | IpProtocol::SCTP => {
                let bits = field::get_u32::<0, 4>(transport.first_chunk()?);
                Some(Self { protocol, bits, has_ports: true })
            }
            IpProtocol::ICMP => {
                let header = icmpv4::Header::new(transport)?;
                let bits = u32::from(header.identifier());
                header.message_type().is_echo().then_some(Self { protocol, bits, has_ports: false })
            }
            IpProtocol::ICMPV6 => {
                let header = icmpv6::Header::new(transport)?;
                let bits = u32::from(header.identifier());
                header.message_type().is_echo().then_some(Self { protocol, bits, has_ports: false })
            }
            _ => None,
        }
    }

    #[inline]
    const fn reversed(self) -> Self {
        if self.has_ports { Self { bits: self.bits.rotate_left(16), ..self } } else { self }
    }

    #[inline]
    const fn word(self) -> u64 {
        (self.protocol.0 as u64) << 32 | self.bits as u64
    }
}

struct Tuple4 {
    src: u32,
    dst: u32,
    selector: Selector,
}

impl Tuple4 {
    #[inline]
    fn of(header: &ipv4::Header<&[u8; ipv4::LEN]>, packet: &[u8]) -> Self {
        let (src, dst) = (header.src().to_bits(), header.dst().to_bits());
        let protocol = header.protocol();
        let selector = if header.is_fragment() {
            None
        } else {
            let transport = packet.get(header.header_len()..).unwrap_or_default();
            Selector::of_transport(protocol, transport)
        };
        Self { src, dst, selector: selector.unwrap_or(Selector::of_protocol(protocol)) }
    }

    /// The flow that an ICMP error is about; `None` for all other packets.
    #[inline]
    fn of_error(header: &ipv4::Header<&[u8; ipv4::LEN]>, packet: &[u8]) -> Option<Self> {
        if header.protocol() != IpProtocol::ICMP || header.is_fragment() {
            return None;
        }
        let message = packet.get(header.header_len()..)?;
        let (head, quote) = message.split_first_chunk::<{ icmpv4::LEN }>()?;
        if !Type4(head[0]).quotes() || quote.first()? >> 4 != 4 {
            return None;
        }
        let about = Self::of(&ipv4::Header::fixed(quote)?, quote);
        Some(Self { src: about.dst, dst: about.src, selector: about.selector.reversed() })
    }

    #[inline]
    fn hash(&self, seed: u64) -> u32 {
        let addresses = u64::from(self.src) << 32 | u64::from(self.dst);
        finish(mix(addresses ^ seed ^ KEYS[0], self.selector.word() ^ KEYS[1]))
    }
}

struct Tuple6 {
    src: [u64; 2],
    dst: [u64; 2],
    selector: Selector,
}

impl Tuple6 {
    #[inline]
    fn of(
        header: &ipv6::Header<&[u8; ipv6::LEN]>,
        upper: Option<ipv6::Upper>,
        packet: &[u8],
    ) -> Self {
        let whole = upper.filter(is_whole);
        let transport = whole
            .and_then(|upper| Selector::of_transport(upper.protocol, packet.get(upper.offset..)?));
        let selector = transport.unwrap_or_else(|| Selector {
            protocol: whole.map_or(IpProtocol::FRAGMENT, |upper| upper.protocol),
            bits: header.flow_label(),
            has_ports: false,
        });
        Self { src: halves(header.src()), dst: halves(header.dst()), selector }
    }

    /// The flow that an ICMPv6 error is about; `None` for all other packets.
    #[inline]
    fn of_error(upper: Option<ipv6::Upper>, packet: &[u8]) -> Option<Self> {
        let upper = upper.filter(is_whole)?;
        if upper.protocol != IpProtocol::ICMPV6 {
            return None;
        }
        let message = packet.get(upper.offset..)?;
        let (head, quote) = message.split_first_chunk::<{ icmpv6::LEN }>()?;
        if !Type6(head[0]).is_error() || quote.first()? >> 4 != 6 {
            return None;
        }
        let header = ipv6::Header::fixed(quote)?;
        let about = Self::of(&header, ipv6::quoted_upper(quote).ok(), quote);
        Some(Self { src: about.dst, dst: about.src, selector: about.selector.reversed() })
    }

    #[inline]
    fn hash(&self, seed: u64) -> u32 {
        let src = mix(self.src[0] ^ seed ^ KEYS[0], self.src[1] ^ KEYS[1]);
        let dst = mix(self.dst[0] ^ seed ^ KEYS[2], self.dst[1] ^ KEYS[3]);
        // Turned, so that a pair of addresses and its reverse differ.
        let addresses = src ^ dst.rotate_left(32);
        finish(mix(addresses ^ KEYS[0], self.selector.word() ^ KEYS[1]))
    }
}

#[inline(always)]
fn halves(address: Ipv6Addr) -> [u64; 2] {
    let bits = address.to_bits();
    [(bits >> 64) as u64, bits as u64]
}

fn is_whole(upper: &ipv6::Upper) -> bool {
    upper.fragment.is_none_or(ipv6::Fragment::is_atomic)
}

/// Odd numbers with half of their bits set: fractions of the square roots of 2, 3, 5 and 7.
const KEYS: [u64; 4] =
    [0x6a09_e667_f3bc_c909, 0xbb67_ae85_84ca_a73b, 0x3c6e_f372_fe94_f82b, 0xa54f_f53a_5f1d_36f1];

/// Both halves of a product: each bit of it depends on all lower bits of both factors, and the upper
/// half on all of them.
#[inline(always)]
const fn mix(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    product as u64 ^ (product >> 64) as u64
}

/// 32 bits of a state, and never 0.
#[inline(always)]
const fn finish(state: u64) -> u32 {
    let mixed = mix(state ^ KEYS[2], KEYS[3]);
    let hash = (mixed >> 32) as u32 ^ mixed as u32;
    if hash == 0 { 1 } else { hash }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOWS: u32 = 2000;

    /// Flips each of the bits of each flow's tuple and counts what that flips in the hash.
    fn avalanche(bits: usize, hash: impl Fn(u64, Option<usize>) -> u32) {
        for bit in 0..bits {
            let flipped: u32 = (0..FLOWS.into())
                .map(|flow| (hash(flow, None) ^ hash(flow, Some(bit))).count_ones())
                .sum();
            let mean = f64::from(flipped) / f64::from(FLOWS);
            assert!((14.5..17.5).contains(&mean), "bit {bit} flips {mean} of 32");
        }
    }

    fn flip(value: u64, bit: usize, first: usize) -> u64 {
        if (first..first + 64).contains(&bit) { value ^ (1 << (bit - first)) } else { value }
    }

    fn selector(word: u64) -> Selector {
        let protocol = IpProtocol((word >> 32) as u8);
        Selector { protocol, bits: word as u32, has_ports: true }
    }

    #[test]
    fn a_flipped_bit_of_an_ipv4_tuple_flips_half_of_the_hash() {
        avalanche(64 + 40, |flow, bit| {
            let bit = bit.unwrap_or(usize::MAX);
            let addresses = 0x0a00_0000_c000_0200 + ((flow % 50) << 32) + flow / 50;
            let addresses = flip(addresses, bit, 0);
            let word = flip((6 << 32) | ((1024 + flow) << 16) | 443, bit, 64);
            let (src, dst) = ((addresses >> 32) as u32, addresses as u32);
            Tuple4 { src, dst, selector: selector(word) }.hash(7)
        });
    }

    #[test]
    fn a_flipped_bit_of_an_ipv6_tuple_flips_half_of_the_hash() {
        avalanche(4 * 64 + 40, |flow, bit| {
            let bit = bit.unwrap_or(usize::MAX);
            let network = 0x2001_0db8_0001_0000;
            let src = [flip(network, bit, 0), flip(flow % 50, bit, 64)];
            let dst = [flip(network + 1, bit, 128), flip(flow / 50, bit, 192)];
            let word = flip((17 << 32) | ((1024 + flow) << 16) | 443, bit, 256);
            Tuple6 { src, dst, selector: selector(word) }.hash(7)
        });
    }

    #[test]
    fn the_hash_is_never_zero() {
        let zero = (0..1u64 << 20).filter(|&state| finish(state) == 0).count();
        assert_eq!(zero, 0);
    }
}
