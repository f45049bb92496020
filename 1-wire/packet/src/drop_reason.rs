//! The one list of reasons for which the gateway drops a packet.

macro_rules! drop_reasons {
    ($( #[doc = $help:literal] $variant:ident = $name:literal, )+) => {
        /// Why a packet was dropped. Each reason is a counter; its doc comment is the counter's
        /// help text.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum DropReason {
            $( #[doc = $help] $variant, )+
        }

        impl DropReason {
            /// Every reason, in the order of their slots.
            pub const ALL: &[Self] = &[ $( Self::$variant, )+ ];

            /// How many reasons there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The name that counters and logs use.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $( Self::$variant => $name, )+ }
            }

            /// One sentence for operators.
            #[must_use]
            pub const fn help(self) -> &'static str {
                match self { $( Self::$variant => $help.trim_ascii(), )+ }
            }

            /// The reason as a subscript.
            #[must_use]
            pub const fn slot(self) -> usize {
                self as usize
            }
        }
    };
}

drop_reasons! {
    /// The frame is shorter than an Ethernet header.
    FrameTooShort = "frame-too-short",
    /// The frame is addressed to another station's MAC address.
    NotForUs = "not-for-us",
    /// The EtherType is none that the gateway forwards or its kernel is given.
    UnknownEtherType = "unknown-ethertype",
    /// The frame carries a VLAN tag, and no interface of the gateway has that VLAN.
    UnknownVlan = "unknown-vlan",
    /// The offload header describes something that the frame is not.
    BadOffload = "bad-offload",
    /// The frame ends before the IPv4 header or the packet it announces does.
    Ip4Truncated = "ip4-truncated",
    /// The IPv4 header has a wrong version, header length or total length.
    Ip4BadHeader = "ip4-bad-header",
    /// The IPv4 header checksum is wrong.
    Ip4BadChecksum = "ip4-bad-checksum",
    /// The IPv4 packet carries a source-route option (RFC 7126, 4.3 and 4.4).
    Ip4SourceRoute = "ip4-source-route",
    /// The frame ends before the IPv6 header or the packet it announces does.
    Ip6Truncated = "ip6-truncated",
    /// The IPv6 header has a wrong version.
    Ip6BadHeader = "ip6-bad-header",
    /// The source address can't be one of a packet to be forwarded (RFC 1812, 5.3.7).
    MartianSource = "martian-source",
    /// The destination address can't be one of a packet on a wire (RFC 1812, 5.3.7).
    MartianDestination = "martian-destination",
    /// A link-local source or destination address must not leave its link (RFC 4291, 2.5.6).
    LinkLocalScope = "link-local-scope",
    /// The TTL or hop limit ran out; answered with a time-exceeded message.
    TtlExceeded = "ttl-exceeded",
    /// No route to the destination; answered with destination unreachable.
    NoRoute = "no-route",
    /// The route is a blackhole: dropped without an answer.
    RouteBlackhole = "route-blackhole",
    /// The route is an unreachable one; answered with destination unreachable.
    RouteUnreachable = "route-unreachable",
    /// The route is a prohibit one; answered with administratively prohibited.
    RouteProhibit = "route-prohibit",
    /// The next hop disappeared while the packet was being forwarded.
    NextHopGone = "next-hop-gone",
    /// A broadcast to another network's hosts is not forwarded (RFC 2644).
    DirectedBroadcast = "directed-broadcast",
    /// A multicast or broadcast frame carries a packet for one host (RFC 1122, 3.3.6).
    LinkBroadcastUnicast = "link-broadcast-unicast",
    /// Larger than the way out allows, and not to be fragmented; answered with the MTU.
    PacketTooBig = "packet-too-big",
    /// Fragmentation was needed and no buffer was free for the pieces.
    FragmentNoBuffer = "fragment-no-buffer",
    /// Segmentation was needed and no buffer was free for the pieces.
    SegmentNoBuffer = "segment-no-buffer",
    /// Too many packets wait for this next hop's link-layer address already.
    HoldQueueFull = "hold-queue-full",
    /// The next hop's link-layer address was not learnt in time, or its resolution failed.
    NeighborUnresolved = "neighbor-unresolved",
    /// The interface the packet came in by is administratively down.
    IngressDown = "ingress-down",
    /// The interface the packet was to leave by is down.
    EgressDown = "egress-down",
    /// More ARP and neighbour discovery for the gateway's kernel than its share allows.
    PuntRateNeighbor = "punt-rate-neighbor",
    /// More routing protocol packets for the gateway's kernel than their share allows.
    PuntRateRouting = "punt-rate-routing",
    /// More BFD packets for the gateway's kernel than their share allows.
    PuntRateBfd = "punt-rate-bfd",
    /// More other packets for the gateway's kernel than their share allows.
    PuntRateOther = "punt-rate-other",
    /// The queue to the trap thread is full.
    PuntQueueFull = "punt-queue-full",
    /// The interface's tap took no more, or is gone.
    TapRefused = "tap-refused",
    /// The kernel sent a frame through a tap that no device can carry.
    TapBadFrame = "tap-bad-frame",
    /// The queue from the trap thread to the pipeline is full.
    InjectQueueFull = "inject-queue-full",
    /// The device's own receive queue overflowed before the gateway read it.
    RxOverrun = "rx-overrun",
    /// The frame is larger than any buffer.
    RxTooLarge = "rx-too-large",
    /// The device's transmit queue stayed full.
    TxFull = "tx-full",
    /// The device refused the frame.
    TxError = "tx-error",
    /// The device is gone.
    TxGone = "tx-gone",
    /// The packet ends before its transport header does, or that header contradicts itself.
    TransportMalformed = "transport-malformed",
    /// The first fragment does not hold the whole transport header (RFC 1858, 8200).
    FragmentTiny = "fragment-tiny",
    /// A fragment overlaps another of the same packet, which is given up (RFC 5722).
    FragmentOverlap = "fragment-overlap",
    /// A fragment is larger, or further back, than a packet can be.
    FragmentMalformed = "fragment-malformed",
    /// The first fragment of the packet did not come in time.
    FragmentTimeout = "fragment-timeout",
    /// Too many packets, or fragments of one packet, wait for their first fragment.
    FragmentQueueFull = "fragment-queue-full",
    /// A TCP segment that opens nothing belongs to no connection that the gateway knows.
    TcpNoConnection = "tcp-no-connection",
    /// A combination of TCP flags, or a step of a connection, that TCP does not have.
    TcpInvalid = "tcp-invalid",
    /// A TCP segment outside of its connection's window (RFC 9293, 3.10.7.4; RFC 5961).
    TcpOutOfWindow = "tcp-out-of-window",
    /// An ICMP error quotes a packet of no flow that the gateway knows.
    IcmpUnrelated = "icmp-unrelated",
    /// The checksum of an ICMP error about a flow is wrong (RFC 5508, REQ-3).
    IcmpBadChecksum = "icmp-bad-checksum",
    /// The flow table is full, and this source holds as much of it as any other or more.
    FlowTableFull = "flow-table-full",
    /// The source has as many flows as one source may have.
    FlowSourceLimit = "flow-source-limit",
    /// The translated packet looks like one of another flow.
    FlowConflict = "flow-conflict",
    /// The source address is not to be found behind the interface it came in by (RFC 2827, 3704).
    SpoofedSource = "spoofed-source",
    /// A firewall rule, or the firewall's default, drops it.
    FirewallDrop = "firewall-drop",
    /// A firewall rule, or the firewall's default, rejects it; answered with a TCP reset or an ICMP error.
    FirewallReject = "firewall-reject",
    /// Addressed to an external address of the gateway's that leads to no inside host.
    NatNoMapping = "nat-no-mapping",
    /// Addressed to a mapping from a host that the inside host has not sent to (RFC 4787, 5).
    NatFiltered = "nat-filtered",
    /// No external port is free; answered with administratively prohibited (RFC 6888, REQ-4; RFC 5508).
    NatOutOfPorts = "nat-out-of-ports",
    /// The source has as many external ports as one source may have.
    NatSourceLimit = "nat-source-limit",
    /// Translation was called for and the packet is one that can't be translated.
    NatUntranslatable = "nat-untranslatable",
    /// The queue to the worker that has the packet's flow is full.
    HandoverFull = "handover-full",
    /// The pipeline came to no decision; a fault of the gateway's own.
    NoVerdict = "no-verdict",
    /// The gateway was stopped while the packet was in it.
    Stopping = "stopping",
}

impl DropReason {
    /// The reason of a slot, the inverse of [`Self::slot`].
    #[must_use]
    pub fn from_slot(slot: usize) -> Option<Self> {
        Self::ALL.get(slot).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_reason_has_a_slot_of_its_own_a_name_of_its_own_and_a_sentence() {
        let mut names = HashSet::new();
        for (slot, &reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(reason.slot(), slot);
            assert_eq!(DropReason::from_slot(slot), Some(reason));
            assert!(names.insert(reason.name()), "{} twice", reason.name());
            assert!(reason.help().ends_with('.'), "{}", reason.help());
        }
        assert_eq!(DropReason::from_slot(DropReason::COUNT), None);
    }
}
