//! The two versions of IP, as far as decisions differ.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use portcullis_packet::{IfIndex, NextHopId, PuntClass};

use portcullis_wire::{IpProtocol, ethernet, flow_hash, ipv6, tcp};

use crate::{Adjacency, Interface, Snapshot, Vrf, ip4, ip6, punt};

const ETHERNET: usize = ethernet::LEN;

/// What the pipeline asks of a version of IP. Frames are whole: Ethernet header first; those given
/// have passed the family's `inspect`.
pub trait Family {
    /// An address, in host order.
    type Addr: Copy + Default;

    /// The address as the standard library has it.
    fn ip(address: Self::Addr) -> IpAddr;
    /// The source of a packet.
    fn source(frame: &[u8]) -> Option<Self::Addr>;
    /// The destination of a packet.
    fn destination(frame: &[u8]) -> Option<Self::Addr>;
    /// The next hops of many destinations.
    fn lookup(vrf: &Vrf, destinations: &[Self::Addr], next_hops: &mut [NextHopId]);
    /// The neighbour that an address on a link is.
    fn neighbor(snapshot: &Snapshot, link: IfIndex, address: Self::Addr) -> Option<NextHopId>;
    /// Sends a packet on its way; false, and nothing changed, if it has no life left.
    fn forward(frame: &mut [u8], adjacency: &Adjacency) -> bool;
    /// Whether the TTL or hop limit allows another hop.
    fn may_live_on(frame: &[u8]) -> bool;
    /// Whether routers may fragment this packet.
    fn may_fragment(frame: &[u8]) -> bool;
    /// The upper protocol, and where its header is; none in a later fragment.
    fn upper(frame: &[u8]) -> Option<(IpProtocol, usize)>;
    /// The flow's hash, which is never 0.
    fn flow_hash(frame: &[u8], seed: u64) -> u32;
    /// Whether an address means a host on the link it was heard on, whatever the routes say.
    fn is_link_local(address: Self::Addr) -> bool;
    /// The address from which an interface speaks to `toward`.
    fn own_address(interface: &Interface, toward: Self::Addr) -> Option<Self::Addr>;

    /// The largest packet that comes of a super-frame, from the network header on. Where the upper
    /// header can't be found the whole is taken for one packet.
    fn segment_length(frame: &[u8], gso_size: u16) -> usize {
        let whole = frame.len().saturating_sub(ETHERNET);
        let Some((protocol, at)) = Self::upper(frame) else { return whole };
        let upper = frame.get(at..).unwrap_or_default();
        let header = match protocol {
            IpProtocol::TCP => tcp::Header::new(upper).map(|tcp| tcp.header_len()),
            IpProtocol::UDP => Some(8),
            _ => None,
        };
        header.map_or(whole, |header| at - ETHERNET + header + usize::from(gso_size))
    }

    /// The class in which the packet is punted.
    fn punt_class(frame: &[u8]) -> PuntClass {
        Self::upper(frame).map_or(PuntClass::Other, |(protocol, at)| {
            punt::class(protocol, frame.get(at..).unwrap_or_default())
        })
    }
}

/// IPv4.
#[derive(Clone, Copy, Debug)]
pub struct V4;

impl Family for V4 {
    type Addr = u32;

    fn ip(address: u32) -> IpAddr {
        Ipv4Addr::from_bits(address).into()
    }

    fn source(frame: &[u8]) -> Option<u32> {
        ip4::addresses(frame).map(|(source, _)| u32::from_be_bytes(source))
    }

    fn destination(frame: &[u8]) -> Option<u32> {
        ip4::addresses(frame).map(|(_, destination)| u32::from_be_bytes(destination))
    }

    #[inline(always)]
    fn lookup(vrf: &Vrf, destinations: &[u32], next_hops: &mut [NextHopId]) {
        vrf.fib4.lookup_batch(destinations, next_hops);
    }

    #[inline]
    fn neighbor(snapshot: &Snapshot, link: IfIndex, address: u32) -> Option<NextHopId> {
        snapshot.neighbors.lookup4(link, address)
    }

    #[inline(always)]
    fn forward(frame: &mut [u8], adjacency: &Adjacency) -> bool {
        ip4::forward(frame, adjacency)
    }

    fn may_live_on(frame: &[u8]) -> bool {
        ip4::ttl(frame) > 1
    }

    fn may_fragment(frame: &[u8]) -> bool {
        !ip4::dont_fragment(frame)
    }

    fn upper(frame: &[u8]) -> Option<(IpProtocol, usize)> {
        let header = frame.get(ETHERNET..)?.first_chunk::<20>()?;
        let offset = u16::from_be_bytes([header[6], header[7]]) & 0x1fff;
        let at = ETHERNET + usize::from(header[0] & 0x0f) * 4;
        (offset == 0).then_some((IpProtocol(header[9]), at))
    }

    fn flow_hash(frame: &[u8], seed: u64) -> u32 {
        flow_hash(frame, ETHERNET, false, seed)
    }

    fn is_link_local(_: u32) -> bool {
        // 169.254/16 is routed like any other prefix where a route says so, as Linux does.
        false
    }

    fn own_address(interface: &Interface, toward: u32) -> Option<u32> {
        interface.source4(Ipv4Addr::from_bits(toward)).map(Ipv4Addr::to_bits)
    }
}

/// IPv6.
#[derive(Clone, Copy, Debug)]
pub struct V6;

impl Family for V6 {
    type Addr = u128;

    fn ip(address: u128) -> IpAddr {
        Ipv6Addr::from_bits(address).into()
    }

    fn source(frame: &[u8]) -> Option<u128> {
        ip6::addresses(frame).map(|(source, _)| source.to_bits())
    }

    fn destination(frame: &[u8]) -> Option<u128> {
        ip6::addresses(frame).map(|(_, destination)| destination.to_bits())
    }

    #[inline(always)]
    fn lookup(vrf: &Vrf, destinations: &[u128], next_hops: &mut [NextHopId]) {
        vrf.fib6.lookup_batch(destinations, next_hops);
    }

    #[inline]
    fn neighbor(snapshot: &Snapshot, link: IfIndex, address: u128) -> Option<NextHopId> {
        snapshot.neighbors.lookup6(link, address)
    }

    #[inline(always)]
    fn forward(frame: &mut [u8], adjacency: &Adjacency) -> bool {
        ip6::forward(frame, adjacency)
    }

    fn may_live_on(frame: &[u8]) -> bool {
        ip6::hop_limit(frame) > 1
    }

    fn may_fragment(_: &[u8]) -> bool {
        // Only the source fragments (RFC 8200, 4.5).
        false
    }

    fn upper(frame: &[u8]) -> Option<(IpProtocol, usize)> {
        let upper = ipv6::upper(frame.get(ETHERNET..)?).ok()?;
        let first = upper.fragment.is_none_or(|fragment| !fragment.is_later());
        first.then_some((upper.protocol, ETHERNET + upper.offset))
    }

    fn flow_hash(frame: &[u8], seed: u64) -> u32 {
        flow_hash(frame, ETHERNET, true, seed)
    }

    fn is_link_local(address: u128) -> bool {
        Ipv6Addr::from_bits(address).is_unicast_link_local()
    }

    fn own_address(interface: &Interface, toward: u128) -> Option<u128> {
        interface.source6(Ipv6Addr::from_bits(toward)).map(Ipv6Addr::to_bits)
    }
}
