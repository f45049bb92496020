//! The first look at a frame: whom it is for, what it carries, and whether its header is sound.

use portcullis_packet::{DropReason, IfIndex, Mac, Packet, PuntClass, VrfId};
use portcullis_routing::{Flags, Inspected, Snapshot, ip4, ip6};
use portcullis_wire::EtherType;

/// What a frame turned out to be.
#[derive(Debug)]
pub(crate) enum Ingress {
    /// An IPv4 packet, to be routed in a VRF.
    Ip4(VrfId, Inspected<u32>),
    /// An IPv6 packet, to be routed in a VRF.
    Ip6(VrfId, Inspected<u128>),
    /// Something for the kernel that is not routed at all.
    Punt(PuntClass),
    /// Nothing that may go on.
    Drop(DropReason),
}

/// What was last found out about the port that packets come from: most of a batch come from one.
#[derive(Debug)]
pub(crate) struct Cache {
    port: IfIndex,
    mac: u64,
    vrf: VrfId,
    up: bool,
}

impl Default for Cache {
    fn default() -> Self {
        Self { port: IfIndex::NONE, mac: 0, vrf: VrfId::DEFAULT, up: false }
    }
}

impl Cache {
    #[cold]
    fn fill(&mut self, snapshot: &Snapshot, port: IfIndex) {
        let interface = snapshot.interface(port);
        *self = Self {
            port,
            mac: interface.map_or(0, |i| as_number(i.mac)),
            vrf: interface.map_or(VrfId::DEFAULT, |i| i.vrf),
            up: interface.is_some_and(|i| i.admin_up),
        };
    }
}

const MAC_BITS: u64 = (1 << 48) - 1;

fn as_number(mac: Mac) -> u64 {
    let [a, b, c, d, e, f] = mac.0;
    u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
}

/// IS-IS: LLC with both service access points 0xfe, unnumbered information (ISO 10589).
const LLC_ISIS: [u8; 3] = [0xfe, 0xfe, 0x03];

/// Looks at a frame. An IP packet loses the padding behind it.
#[inline(always)]
pub(crate) fn look(snapshot: &Snapshot, cache: &mut Cache, packet: &mut Packet) -> Ingress {
    let port = packet.meta().rx_if;
    if port != cache.port {
        cache.fill(snapshot, port);
    }
    let (meta, frame) = packet.parts_mut();
    let Some(head) = frame.first_chunk::<14>() else {
        return Ingress::Drop(DropReason::FrameTooShort);
    };
    if !cache.up {
        return Ingress::Drop(DropReason::IngressDown);
    }
    let mut flags = Flags::NONE;
    let [a, b, c, d, e, f, ..] = *head;
    if u64::from_le_bytes([a, b, c, d, e, f, 0, 0]) & MAC_BITS != cache.mac {
        if a & 1 == 0 {
            return Ingress::Drop(DropReason::NotForUs);
        }
        flags |= Flags::GROUP_FRAME;
    }
    if !meta.offload.is_none() {
        flags |= Flags::OFFLOAD;
    }
    meta.vrf = cache.vrf;
    meta.l3 = 14;
    match EtherType(u16::from_be_bytes([head[12], head[13]])) {
        EtherType::IPV4 => match ip4::inspect(frame, meta.offload.ip4_checked) {
            Ok(mut inspected) => {
                inspected.flags |= flags;
                trim(packet, inspected.length);
                Ingress::Ip4(cache.vrf, inspected)
            }
            Err(reason) => Ingress::Drop(reason),
        },
        EtherType::IPV6 => match ip6::inspect(frame) {
            Ok(mut inspected) => {
                inspected.flags |= flags;
                trim(packet, inspected.length);
                Ingress::Ip6(cache.vrf, inspected)
            }
            Err(reason) => Ingress::Drop(reason),
        },
        EtherType::ARP => Ingress::Punt(PuntClass::Neighbor),
        EtherType::LLDP => Ingress::Punt(PuntClass::Other),
        EtherType::VLAN | EtherType::SERVICE_VLAN => Ingress::Drop(DropReason::UnknownVlan),
        other if other.is_length() && frame.get(14..17) == Some(&LLC_ISIS) => {
            Ingress::Punt(PuntClass::Routing)
        }
        _ => Ingress::Drop(DropReason::UnknownEtherType),
    }
}

/// Takes off what Ethernet added to reach its least frame size.
#[inline(always)]
fn trim(packet: &mut Packet, length: u16) {
    let whole = 14 + usize::from(length);
    if packet.len() != whole {
        let shorter = packet.set_len(whole);
        debug_assert!(shorter, "inspection found the whole packet in the frame");
    }
}

/// Whether a frame carries IPv4.
#[must_use]
pub(crate) fn is_ip4(frame: &[u8]) -> bool {
    frame.get(12..14) == Some(&EtherType::IPV4.0.to_be_bytes())
}
