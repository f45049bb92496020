//! The two versions of IP, as far as flows differ.

use portcullis_firewall::{Decision, Query, Rules};
use portcullis_flows::{Direction, FlowId, FlowRef, Key, Line, NewFlow, Refused};
use portcullis_nat::Steering;
use portcullis_packet::{DropReason, IfIndex, Offload, Packet, VrfId, WorkerId};
use portcullis_routing::{Snapshot, V4, V6};
use portcullis_wire::dissect::{self, Dissected};
use portcullis_wire::reset::{reset_v4, reset_v6};
use portcullis_wire::rewrite::{Rewrite4, rewrite6, translate_error4, translate_error6};
use portcullis_wire::tcp::Flags as TcpFlags;
use portcullis_wire::{IpProtocol, Tuple, mss, proxy};

use super::conn::{Conn, LineFlags, Record, Table};
use crate::complain::Complain;

/// A link-local address means another host on each link: the link is part of such a flow's key.
const LINK_SCOPE: u16 = 0x8000;

/// What flows ask of a version of IP.
pub(crate) trait Track: Complain<Addr: Eq + std::fmt::Debug> {
    /// IPv4 and TCP header without options, or IPv6 and TCP: what the MTU has to carry beside a segment.
    const HEADERS: u16;

    /// The packet's tuple, and what else its upper header says.
    fn dissect(frame: &[u8]) -> Result<Dissected<Self::Addr>, DropReason>;
    /// The tuple of the packet that an ICMP error quotes.
    fn quoted(frame: &[u8], upper: u16) -> Option<Tuple<Self::Addr>>;
    /// Whether the checksum of an ICMP message is right that ends at `end`.
    fn is_sound_icmp(frame: &[u8], upper: u16, end: usize) -> bool;
    /// Whether an address is one of a group, or every host's on a link.
    fn is_group(address: Self::Addr) -> bool;
    /// Looks many flows up.
    fn lookup_flows(table: &Table, keys: &[Key<Self::Addr>], found: &mut [FlowRef]);
    /// Looks one flow up.
    fn find(table: &Table, key: &Key<Self::Addr>) -> FlowRef;
    /// Enters a flow.
    fn insert(table: &mut Table, flow: NewFlow<Self::Addr, Conn>) -> Result<FlowId, Refused>;
    /// The tuple that packets of a direction arrive with.
    fn tuple(line: &Line) -> Option<Tuple<Self::Addr>>;
    /// Writes down what is to be done to the packets of a direction.
    fn compile(line: &mut Line, from: &Tuple<Self::Addr>, to: &Tuple<Self::Addr>);
    /// Translates a packet of a direction.
    fn translate(flow: &Record, direction: Direction, frame: &mut [u8], upper: u16, how: Touch);
    /// Translates an ICMP error about a packet of a flow: where it goes now, and what it quotes now.
    fn translate_error(
        frame: &mut [u8],
        upper: u16,
        src: Self::Addr,
        dst: Self::Addr,
        quoted: &Tuple<Self::Addr>,
    ) -> bool;
    /// What the firewall says.
    fn decide(rules: &Rules, query: &Query<Self::Addr>) -> Decision;

    /// The key by which a packet's flow is found.
    #[inline(always)]
    fn key(tuple: Tuple<Self::Addr>, vrf: VrfId, link: IfIndex) -> Key<Self::Addr> {
        let vrf = if Self::is_link_local(tuple.src) || Self::is_link_local(tuple.dst) {
            VrfId(LINK_SCOPE | link.0)
        } else {
            vrf
        };
        Key { tuple, vrf }
    }

    /// Lowers the MSS that a SYN announces to what an MTU carries.
    fn clamp(frame: &mut [u8], upper: u16, mtu: u16, is_partial: bool) {
        let flags = frame.get(usize::from(upper) + 13).copied().map_or(TcpFlags(0), TcpFlags);
        if flags.contains(TcpFlags::SYN) {
            let most = mtu.saturating_sub(Self::HEADERS);
            mss::clamp(frame, usize::from(upper), most, is_partial);
        }
    }

    /// An address as a number that any family's fits into.
    fn wide(address: Self::Addr) -> u128;
    /// An address as the NAT of IPv4 has it; 0 of IPv6, which has none of that kind.
    fn narrow(address: Self::Addr) -> u32;
    /// Answers a neighbour solicitation for an external address of the interface that it came in by.
    fn answer_for_external(snapshot: &Snapshot, packet: &mut Packet) -> bool;
    /// Makes of a TCP segment the reset that answers it.
    fn reset(packet: &mut Packet, upper: usize) -> bool;
    /// The sequence number of the segment that an ICMP error quotes.
    fn quoted_sequence(frame: &[u8], upper: u16) -> Option<u32>;
    /// The worker that a tuple's flow belongs to.
    fn home(steering: &Steering, tuple: &Tuple<Self::Addr>) -> WorkerId;
}

/// What a packet brings that its translation depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Touch {
    pub(crate) protocol: IpProtocol,
    pub(crate) offload: Offload,
    /// It is a later fragment, without an upper header.
    pub(crate) later: bool,
}

impl Track for V4 {
    const HEADERS: u16 = 40;

    #[inline(always)]
    fn dissect(frame: &[u8]) -> Result<Dissected<u32>, DropReason> {
        dissect::v4(frame)
    }

    fn quoted(frame: &[u8], upper: u16) -> Option<Tuple<u32>> {
        dissect::quoted_v4(frame, usize::from(upper))
    }

    fn is_sound_icmp(frame: &[u8], upper: u16, end: usize) -> bool {
        dissect::is_sound_icmp4(frame, usize::from(upper), end)
    }

    #[inline(always)]
    fn is_group(address: u32) -> bool {
        address >= 0xe000_0000
    }

    #[inline(always)]
    fn lookup_flows(table: &Table, keys: &[Key<u32>], found: &mut [FlowRef]) {
        table.lookup4(keys, found);
    }

    fn find(table: &Table, key: &Key<u32>) -> FlowRef {
        table.find4(key)
    }

    fn insert(table: &mut Table, flow: NewFlow<u32, Conn>) -> Result<FlowId, Refused> {
        table.insert(flow)
    }

    fn tuple(line: &Line) -> Option<Tuple<u32>> {
        line.tuple4()
    }

    fn compile(line: &mut Line, from: &Tuple<u32>, to: &Tuple<u32>) {
        line.set_rewrite4(&Rewrite4::new(from, to));
    }

    #[inline(always)]
    fn translate(flow: &Record, direction: Direction, frame: &mut [u8], upper: u16, how: Touch) {
        let Some(line) = flow.lines.get(direction.slot()) else { return };
        let Touch { protocol, offload, later } = how;
        line.rewrite4().apply(frame, usize::from(upper), protocol, offload, later);
    }

    fn translate_error(
        frame: &mut [u8],
        upper: u16,
        src: u32,
        dst: u32,
        quoted: &Tuple<u32>,
    ) -> bool {
        translate_error4(frame, usize::from(upper), (src, dst), quoted)
    }

    fn decide(rules: &Rules, query: &Query<u32>) -> Decision {
        rules.decide4(query)
    }

    fn wide(address: u32) -> u128 {
        u128::from(address)
    }

    fn narrow(address: u32) -> u32 {
        address
    }

    fn answer_for_external(_: &Snapshot, _: &mut Packet) -> bool {
        // Who has an IPv4 address is asked by ARP.
        false
    }

    fn reset(packet: &mut Packet, upper: usize) -> bool {
        reset_v4(packet, upper)
    }

    fn quoted_sequence(frame: &[u8], upper: u16) -> Option<u32> {
        dissect::quoted_sequence(frame, usize::from(upper), false)
    }

    fn home(steering: &Steering, tuple: &Tuple<u32>) -> WorkerId {
        steering.worker4(tuple)
    }
}

impl Track for V6 {
    const HEADERS: u16 = 60;

    #[inline(always)]
    fn dissect(frame: &[u8]) -> Result<Dissected<u128>, DropReason> {
        dissect::v6(frame)
    }

    fn quoted(frame: &[u8], upper: u16) -> Option<Tuple<u128>> {
        dissect::quoted_v6(frame, usize::from(upper))
    }

    fn is_sound_icmp(frame: &[u8], upper: u16, end: usize) -> bool {
        dissect::is_sound_icmp6(frame, usize::from(upper), end)
    }

    #[inline(always)]
    fn is_group(address: u128) -> bool {
        address >> 120 == 0xff
    }

    #[inline(always)]
    fn lookup_flows(table: &Table, keys: &[Key<u128>], found: &mut [FlowRef]) {
        table.lookup6(keys, found);
    }

    fn find(table: &Table, key: &Key<u128>) -> FlowRef {
        table.find6(key)
    }

    fn insert(table: &mut Table, flow: NewFlow<u128, Conn>) -> Result<FlowId, Refused> {
        table.insert(flow)
    }

    fn tuple(line: &Line) -> Option<Tuple<u128>> {
        line.tuple6()
    }

    /// An IPv6 line has no room for addresses: they are those of the other line.
    fn compile(_: &mut Line, _: &Tuple<u128>, _: &Tuple<u128>) {}

    #[inline]
    fn translate(flow: &Record, direction: Direction, frame: &mut [u8], _: u16, _: Touch) {
        let other = flow.lines.get(direction.reversed().slot());
        if let Some(tuple) = other.and_then(Line::tuple6) {
            // Prefix translation leaves transport checksums as they are (RFC 6296, 3.1).
            rewrite6(frame, Some(tuple.dst), Some(tuple.src));
        }
    }

    fn translate_error(
        frame: &mut [u8],
        upper: u16,
        src: u128,
        dst: u128,
        quoted: &Tuple<u128>,
    ) -> bool {
        let (from, to) = (quoted.src, quoted.dst);
        translate_error6(frame, usize::from(upper), (src, dst), (from, to))
    }

    fn decide(rules: &Rules, query: &Query<u128>) -> Decision {
        rules.decide6(query)
    }

    fn wide(address: u128) -> u128 {
        address
    }

    fn narrow(_: u128) -> u32 {
        0
    }

    fn answer_for_external(snapshot: &Snapshot, packet: &mut Packet) -> bool {
        let rx = packet.meta().rx_if;
        let Some(interface) = snapshot.interface(rx) else { return false };
        let Some(target) = proxy::nd_target(packet.data()) else { return false };
        let is_own = interface.addresses6.iter().any(|net| net.addr().to_bits() == target);
        !is_own
            && snapshot.policy.nat.external_on6(rx, target)
            && proxy::answer_nd(packet, interface.mac)
    }

    fn reset(packet: &mut Packet, upper: usize) -> bool {
        reset_v6(packet, upper)
    }

    fn quoted_sequence(frame: &[u8], upper: u16) -> Option<u32> {
        dissect::quoted_sequence(frame, usize::from(upper), true)
    }

    fn home(steering: &Steering, tuple: &Tuple<u128>) -> WorkerId {
        steering.worker6(tuple)
    }
}

/// Flags of a line.
#[inline(always)]
pub(crate) fn flags(line: &Line) -> LineFlags {
    LineFlags(line.flags())
}
