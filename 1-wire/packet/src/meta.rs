//! What the gateway knows about a packet beside its bytes.

use crate::{DropReason, IfIndex, NextHopId, Ports, VrfId};

/// What becomes of a packet when the pipeline is through with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Verdict {
    /// Not decided yet.
    #[default]
    Pending,
    /// Leaves through [`Meta::tx_if`], as it is.
    Transmit,
    /// Is not forwarded, and counted under this reason.
    Drop(DropReason),
    /// Goes to the kernel in `vpc`, through the tap of [`Meta::rx_if`].
    Punt(PuntClass),
    /// Waits for the link-layer address of its next hop.
    Hold,
    /// Its pieces (fragments, segments) go in its place; the buffer is free.
    Replaced,
    /// Goes through a pipeline once more as it is now, on the worker whose flow it belongs to: a
    /// packet whose translated destination is an inside host's (RFC 4787, 6), or a fragment whose
    /// ports are known by now.
    Again,
}

/// The classes between which the trap queue is divided, so that a flood of one does not starve
/// the others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum PuntClass {
    /// ARP, and neighbour and router discovery (RFC 826, 4861).
    Neighbor,
    /// BGP, OSPF, IS-IS, RIP, VRRP, PIM, IGMP, MLD and their like.
    Routing,
    /// Bidirectional forwarding detection (RFC 5880).
    Bfd,
    /// Everything else for the gateway itself.
    Other,
}

impl PuntClass {
    /// All classes, the most urgent first.
    pub const ALL: [Self; 4] = [Self::Bfd, Self::Neighbor, Self::Routing, Self::Other];

    /// The class as a subscript.
    #[must_use]
    pub const fn slot(self) -> usize {
        self as usize
    }

    /// Its name in counters.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Neighbor => "neighbor",
            Self::Routing => "routing",
            Self::Bfd => "bfd",
            Self::Other => "other",
        }
    }
}

/// Kind of a segmentation-offload super-frame (virtio 1.2, 5.1.6, `gso_type`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum GsoKind {
    /// An ordinary frame.
    #[default]
    None,
    /// TCP over IPv4, to be cut into segments.
    Tcp4,
    /// TCP over IPv6, to be cut into segments.
    Tcp6,
    /// UDP to be cut into datagrams of its own (USO, `UDP_SEGMENT`).
    Udp,
}

/// What a device did to a frame, and what a virtual one left undone, in the terms of `virtio_net_hdr`: a checksum
/// to be completed, a super-frame to be segmented. All offsets count from the start of the frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Offload {
    /// Where the checksummed range begins; it ends with the frame. Only with [`Self::needs_csum`].
    pub csum_start: u16,
    /// Where in that range the checksum stands. The field holds the pseudo-header's sum.
    pub csum_offset: u16,
    /// Payload bytes per segment. Only with a [`Self::gso`] other than `None`.
    pub gso_size: u16,
    /// The kind of super-frame.
    pub gso: GsoKind,
    /// Whether the transport checksum is still to be completed.
    pub needs_csum: bool,
    /// Whether TCP's CWR must stay on the first segment only (`VIRTIO_NET_HDR_GSO_ECN`).
    pub ecn: bool,
    /// Whether the device has found the checksum of the IPv4 header right.
    pub ip4_checked: bool,
}

impl Offload {
    /// Nothing done, and nothing left undone.
    pub const NONE: Self = Self {
        csum_start: 0,
        csum_offset: 0,
        gso_size: 0,
        gso: GsoKind::None,
        needs_csum: false,
        ecn: false,
        ip4_checked: false,
    };

    /// Whether the frame is complete as it stands.
    #[must_use]
    pub fn is_none(self) -> bool {
        !self.needs_csum && self.gso == GsoKind::None
    }
}

/// What a device finishes itself when a frame's [`Offload`] asks for it. The rest must be done before
/// the frame is handed to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TxOffload {
    /// Completes transport checksums.
    pub checksum: bool,
    /// Takes TCP super-frames over IPv4 and IPv6.
    pub tcp_segmentation: bool,
    /// Takes UDP super-frames.
    pub udp_segmentation: bool,
}

impl TxOffload {
    /// Nothing.
    pub const NONE: Self =
        Self { checksum: false, tcp_segmentation: false, udp_segmentation: false };

    /// Everything that [`Offload`] can ask for.
    pub const ALL: Self = Self { checksum: true, tcp_segmentation: true, udp_segmentation: true };

    /// Whether it cuts such super-frames.
    #[must_use]
    pub const fn segments(self, kind: GsoKind) -> bool {
        match kind {
            GsoKind::None => true,
            GsoKind::Tcp4 | GsoKind::Tcp6 => self.tcp_segmentation,
            GsoKind::Udp => self.udp_segmentation,
        }
    }

    /// Whether it takes a frame as it is.
    #[must_use]
    pub const fn takes(self, offload: Offload) -> bool {
        self.segments(offload.gso) && (self.checksum || !offload.needs_csum)
    }
}

/// The metadata of a packet. It lies in the cache line of the buffer's header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Meta {
    /// Where the packet came in; [`IfIndex::NONE`] for those from a tap or from the gateway itself.
    pub rx_if: IfIndex,
    /// Where it leaves, once that is decided.
    pub tx_if: IfIndex,
    /// The VRF it is routed in.
    pub vrf: VrfId,
    /// What becomes of it.
    pub verdict: Verdict,
    /// Hash of its flow, the same for all packets of one flow; 0 until something needs it.
    pub flow_hash: u32,
    /// The next hop it was given.
    pub next_hop: NextHopId,
    /// Offset of the network header from the start of the frame.
    pub l3: u16,
    /// What is still to be done to the frame.
    pub offload: Offload,
    /// The ports of a later fragment, which has none of its own, once its first one is known.
    pub ports: Ports,
    /// The source that a packet had before it was translated on its way to another inside host
    /// (hairpin, RFC 4787, 6), as a number, or 1 for one of IPv6; 0 in every other packet.
    pub hairpin: u32,
}

impl Meta {
    /// Nothing known yet.
    pub const NEW: Self = Self {
        rx_if: IfIndex::NONE,
        tx_if: IfIndex::NONE,
        vrf: VrfId::DEFAULT,
        verdict: Verdict::Pending,
        flow_hash: 0,
        next_hop: NextHopId::NO_ROUTE,
        l3: 0,
        offload: Offload::NONE,
        ports: Ports::NONE,
        hairpin: 0,
    };
}

impl Default for Meta {
    fn default() -> Self {
        Self::NEW
    }
}
