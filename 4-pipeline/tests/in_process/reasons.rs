//! Each reason for which the pipeline drops a packet, provoked; and what the sender is told.

use std::net::IpAddr;

use etherparse::{NetSlice, SlicedPacket};
use portcullis_packet::{DropReason, GsoKind, Instant, Mac, Offload, Packet, TxOffload, Verdict};
use portcullis_routing::NextHop;
use portcullis_wire::build::{self, Tcp};
use portcullis_wire::{EtherType, IpProtocol, build::Frame};

use crate::answer::Answer;
use crate::gateway::{Gateway, LAN, LAN_MAC, WAN, arrived};
use crate::world::{A_MAC, B_MAC};

pub(crate) const NOW: Instant = Instant(1_000_000_000);

pub(crate) const A4: [u8; 4] = [10, 0, 0, 2];
pub(crate) const B4: [u8; 4] = [192, 0, 2, 2];
pub(crate) const A6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
pub(crate) const B6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
const LAN6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const LINK_LOCAL_A: [u8; 16] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
const LINK_LOCAL_LAN: [u8; 16] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

/// A gateway that knows A and B.
pub(crate) fn acquainted() -> Gateway {
    let mut gateway = Gateway::new();
    acquaint(&mut gateway);
    gateway
}

pub(crate) fn acquaint(gateway: &mut Gateway) {
    gateway.learn(LAN, A4.into(), A_MAC);
    gateway.learn(LAN, A6.into(), A_MAC);
    gateway.learn(LAN, LINK_LOCAL_A.into(), A_MAC);
    gateway.learn(WAN, B4.into(), B_MAC);
    gateway.learn(WAN, B6.into(), B_MAC);
}

/// A frame from A to the gateway, to be finished.
pub(crate) fn from_a(frame: Frame) -> Frame {
    frame.macs(A_MAC, LAN_MAC)
}

pub(crate) fn a_to_b4() -> Frame {
    from_a(Frame::v4(A4, B4))
}

pub(crate) fn a_to_b6() -> Frame {
    from_a(Frame::v6(A6, B6))
}

fn udp(frame: &Frame) -> Vec<u8> {
    frame.udp(1000, 2000, b"some payload")
}

/// What A is told: type, code, MTU, and by whom.
type Told = Option<(u8, u8, u16)>;

const NOTHING: Told = None;

struct Case {
    reason: DropReason,
    told: Told,
    frame: Vec<u8>,
    prepare: fn(&mut Gateway),
}

fn case(reason: DropReason, told: Told, frame: Vec<u8>) -> Case {
    Case { reason, told, frame, prepare: |_| {} }
}

impl Case {
    fn when(self, prepare: fn(&mut Gateway)) -> Self {
        Self { prepare, ..self }
    }

    fn run(&self) {
        let Self { reason, told, frame, prepare } = self;
        let mut gateway = acquainted();
        prepare(&mut gateway);
        let packet = arrived(LAN, frame);
        let [packet] = gateway.process(NOW, vec![packet]).try_into().expect("still in the batch");
        let name = reason.name();
        assert_eq!(gateway.drops(*reason), 1, "{name}: {:?}", gateway.counters.drops);
        assert_eq!(gateway.counters.drops.total(), 1, "{name}: {:?}", gateway.counters.drops);
        assert_eq!(gateway.counters.icmp_errors.get(), u64::from(told.is_some()), "{name}");
        let Some((kind, code, mtu)) = *told else {
            assert_eq!(packet.meta().verdict, Verdict::Drop(*reason));
            return;
        };
        assert_eq!(
            (packet.meta().verdict, packet.meta().tx_if),
            (Verdict::Transmit, LAN),
            "{name}"
        );
        let answer = Answer::parse(packet.data());
        assert_eq!((answer.kind, answer.code, answer.mtu), (kind, code, mtu), "{name}");
        assert!(answer.quotes(frame), "{name}: {answer:?}");
        assert_eq!(answer.to_mac, A_MAC, "{name}");
        let sender = source(frame);
        assert_eq!(answer.to, sender, "{name}");
        let own: IpAddr = if sender.is_ipv4() {
            [10, 0, 0, 1].into()
        } else if sender == IpAddr::from(LINK_LOCAL_A) {
            LINK_LOCAL_LAN.into()
        } else {
            LAN6.into()
        };
        assert_eq!(answer.from, own, "{name}: an address of the interface it leaves by");
    }
}

fn source(frame: &[u8]) -> IpAddr {
    match SlicedPacket::from_ethernet(frame).expect("a sound frame").net {
        Some(NetSlice::Ipv4(ip)) => ip.header().source_addr().into(),
        Some(NetSlice::Ipv6(ip)) => ip.header().source_addr().into(),
        other => panic!("not IP: {other:?}"),
    }
}

fn patched(mut frame: Vec<u8>, at: usize, byte: u8) -> Vec<u8> {
    frame[at] = byte;
    frame
}

/// IPv4's checksum, made right again.
fn resummed(mut frame: Vec<u8>) -> Vec<u8> {
    portcullis_wire::ipv4::fill_checksum(&mut frame[14..34]);
    frame
}

fn link_cases() -> Vec<Case> {
    use DropReason::*;
    let broadcast = Frame::v4(A4, B4).macs(A_MAC, Mac::BROADCAST);
    let to_us = Frame::v4(A4, [10, 0, 0, 1]).macs(A_MAC, Mac::BROADCAST);
    let multicast = Frame::v6(A6, B6).macs(A_MAC, Mac([0x33, 0x33, 0, 0, 0, 1]));
    vec![
        case(FrameTooShort, NOTHING, vec![0; 13]),
        case(FrameTooShort, NOTHING, vec![]),
        case(NotForUs, NOTHING, udp(&Frame::v4(A4, B4).macs(A_MAC, B_MAC))),
        case(
            UnknownEtherType,
            NOTHING,
            build::ethernet(LAN_MAC, A_MAC, EtherType(0x88b5), &[0; 46]),
        ),
        case(UnknownVlan, NOTHING, build::tagged(&udp(&a_to_b4()), EtherType::VLAN, 7)),
        case(UnknownVlan, NOTHING, build::tagged(&udp(&a_to_b4()), EtherType::SERVICE_VLAN, 7)),
        case(LinkBroadcastUnicast, NOTHING, udp(&broadcast)),
        case(LinkBroadcastUnicast, NOTHING, udp(&to_us)),
        case(LinkBroadcastUnicast, NOTHING, udp(&multicast)),
        case(IngressDown, NOTHING, udp(&a_to_b4())).when(|g| g.change(LAN, |i| i.admin_up = false)),
    ]
}

fn header_cases() -> Vec<Case> {
    use DropReason::*;
    let (v4, v6) = (udp(&a_to_b4()), udp(&a_to_b6()));
    let with_options = |options: &[u8]| udp(&a_to_b4().options(options));
    vec![
        case(Ip4Truncated, NOTHING, v4[..33].to_vec()),
        case(Ip4Truncated, NOTHING, v4[..v4.len() - 1].to_vec()),
        case(Ip4Truncated, NOTHING, patched(v4.clone(), 14, 0x4f)),
        case(Ip4BadHeader, NOTHING, patched(v4.clone(), 14, 0x55)),
        case(Ip4BadHeader, NOTHING, patched(v4.clone(), 14, 0x44)),
        case(Ip4BadHeader, NOTHING, resummed(patched(v4.clone(), 17, 19))),
        case(Ip4BadHeader, NOTHING, with_options(&[7, 1, 0, 0])),
        case(Ip4BadHeader, NOTHING, with_options(&[7, 9, 0, 0])),
        case(Ip4BadChecksum, NOTHING, patched(v4.clone(), 22, 63)),
        case(Ip4BadChecksum, NOTHING, patched(with_options(&[1, 1, 1, 0]), 22, 63)),
        case(Ip4SourceRoute, NOTHING, with_options(&[131, 7, 4, 192, 0, 2, 9, 0])),
        case(Ip4SourceRoute, NOTHING, with_options(&[1, 137, 7, 4, 192, 0, 2, 9])),
        case(Ip6Truncated, NOTHING, v6[..53].to_vec()),
        case(Ip6Truncated, NOTHING, v6[..v6.len() - 1].to_vec()),
        case(Ip6BadHeader, NOTHING, patched(v6.clone(), 14, 0x40)),
    ]
}

fn address_cases() -> Vec<Case> {
    use DropReason::*;
    let v4 = |from: [u8; 4], to: [u8; 4]| udp(&from_a(Frame::v4(from, to)));
    let v6 = |from: [u8; 16], to: [u8; 16]| udp(&from_a(Frame::v6(from, to)));
    let mut loopback = [0; 16];
    loopback[15] = 1;
    let mut mapped = [0; 16];
    mapped[10..].copy_from_slice(&[0xff, 0xff, 10, 0, 0, 2]);
    let group = [0xff, 0x0e, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
    vec![
        case(MartianSource, NOTHING, v4([127, 0, 0, 1], B4)),
        case(MartianSource, NOTHING, v4([0, 0, 0, 0], B4)),
        case(MartianSource, NOTHING, v4([224, 0, 0, 1], B4)),
        case(MartianSource, NOTHING, v4([255, 255, 255, 255], B4)),
        case(MartianSource, NOTHING, v6([0; 16], B6)),
        case(MartianSource, NOTHING, v6(loopback, B6)),
        case(MartianSource, NOTHING, v6(group, B6)),
        case(MartianSource, NOTHING, v6(mapped, B6)),
        case(MartianDestination, NOTHING, v4(A4, [127, 0, 0, 1])),
        case(MartianDestination, NOTHING, v4(A4, [240, 0, 0, 1])),
        case(MartianDestination, NOTHING, v4(A4, [0, 0, 0, 1])),
        case(MartianDestination, NOTHING, v6(A6, loopback)),
        case(LinkLocalScope, Some((1, 2, 0)), v6(LINK_LOCAL_A, B6)),
        case(DirectedBroadcast, NOTHING, v4(A4, [192, 0, 2, 255])),
    ]
}

fn route_cases() -> Vec<Case> {
    use DropReason::*;
    let far4 = udp(&from_a(Frame::v4(A4, [198, 51, 100, 1])));
    let far6_address = [0x20, 1, 0xd, 0xb8, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let far6 = udp(&from_a(Frame::v6(A6, far6_address)));
    fn route(gateway: &mut Gateway, hop: NextHop) {
        gateway.route("198.51.100.0/24", hop);
        gateway.route("2001:db8:9::/48", hop);
    }
    let large = vec![0; 1300];
    let large4 = a_to_b4().dont_fragment().udp(1, 2, &large);
    let large6 = a_to_b6().udp(1, 2, &large);
    let narrow = |g: &mut Gateway| {
        g.change(WAN, |i| i.mtu = 1280);
        acquaint(g);
    };
    let no_carrier = |g: &mut Gateway| g.change(WAN, |i| i.carrier = false);
    vec![
        case(TtlExceeded, Some((11, 0, 0)), udp(&a_to_b4().hops(1))),
        case(TtlExceeded, Some((11, 0, 0)), udp(&a_to_b4().hops(0))),
        case(TtlExceeded, Some((3, 0, 0)), udp(&a_to_b6().hops(1))),
        case(TtlExceeded, Some((3, 0, 0)), udp(&a_to_b6().hops(0))),
        case(NoRoute, Some((3, 0, 0)), far4.clone()),
        case(NoRoute, Some((1, 0, 0)), far6.clone()),
        case(RouteBlackhole, NOTHING, far4.clone()).when(|g| route(g, NextHop::Blackhole)),
        case(RouteBlackhole, NOTHING, far6.clone()).when(|g| route(g, NextHop::Blackhole)),
        case(RouteUnreachable, Some((3, 1, 0)), far4.clone())
            .when(|g| route(g, NextHop::Unreachable)),
        case(RouteUnreachable, Some((1, 3, 0)), far6.clone())
            .when(|g| route(g, NextHop::Unreachable)),
        case(RouteProhibit, Some((3, 13, 0)), far4.clone()).when(|g| route(g, NextHop::Prohibit)),
        case(RouteProhibit, Some((1, 1, 0)), far6.clone()).when(|g| route(g, NextHop::Prohibit)),
        case(NextHopGone, NOTHING, far4.clone()).when(|g| route(g, NextHop::Vacant)),
        case(NextHopGone, NOTHING, far6.clone()).when(|g| route(g, NextHop::Vacant)),
        case(PacketTooBig, Some((3, 4, 1280)), large4).when(narrow),
        case(PacketTooBig, Some((2, 0, 1280)), large6).when(narrow),
        case(EgressDown, Some((3, 1, 0)), udp(&a_to_b4())).when(no_carrier),
        case(EgressDown, Some((1, 3, 0)), udp(&a_to_b6())).when(no_carrier),
    ]
}

fn cases() -> Vec<Case> {
    [link_cases(), header_cases(), address_cases(), route_cases()].into_iter().flatten().collect()
}

#[test]
fn each_packet_that_must_be_dropped_is_under_its_reason_and_its_sender_is_told_what_is_due() {
    for case in cases() {
        case.run();
    }
}

#[test]
fn nobody_is_told_anything_about_errors_multicast_later_fragments_and_strangers() {
    let quoted = udp(&a_to_b4())[14..].to_vec();
    let quoted6 = udp(&a_to_b6())[14..].to_vec();
    let silent = [
        a_to_b4().hops(1).icmp(3, 1, [0; 4], &quoted),
        a_to_b6().hops(1).icmp(1, 3, [0; 4], &quoted6),
        udp(&a_to_b4().hops(1).fragment(8, false)),
        udp(&from_a(Frame::v4([10, 0, 0, 255], B4)).hops(1)),
    ];
    for frame in silent {
        let mut gateway = acquainted();
        let batch = gateway.process(NOW, vec![arrived(LAN, &frame)]);
        let verdicts: Vec<Verdict> = batch.iter().map(|packet| packet.meta().verdict).collect();
        assert_eq!(verdicts, [Verdict::Drop(DropReason::TtlExceeded)], "{frame:02x?}");
        assert_eq!(gateway.counters.icmp_errors.get(), 0);
    }
}

#[test]
fn an_offload_that_cannot_be_completed_is_dropped_by_name() {
    let mut gateway = acquainted();
    gateway.change(WAN, |interface| interface.offload = TxOffload::NONE);
    let mut packet = arrived(LAN, &udp(&a_to_b4()));
    packet.meta_mut().offload = Offload { gso: GsoKind::Tcp4, gso_size: 0, ..Offload::NONE };
    gateway.process(NOW, vec![packet]);
    assert_eq!(gateway.drops(DropReason::BadOffload), 1, "{:?}", gateway.counters.drops);
}

#[test]
fn a_header_that_the_device_found_right_is_not_summed_again() {
    let wrong = patched(udp(&a_to_b4()), 14 + 10, 0x55);
    for (ip4_checked, verdict) in
        [(true, Verdict::Transmit), (false, Verdict::Drop(DropReason::Ip4BadChecksum))]
    {
        let mut packet = arrived(LAN, &wrong);
        packet.meta_mut().offload.ip4_checked = ip4_checked;
        let batch = acquainted().process(NOW, vec![packet]);
        assert_eq!(batch[0].meta().verdict, verdict);
    }
}

/// A TCP super-frame of four segments with a partial checksum, as a virtual device hands it over.
pub(crate) fn super_frame() -> Packet {
    let frame = a_to_b4().tcp(Tcp::data(1, 2, 3), &[7; 4000]);
    let mut packet = arrived(LAN, &frame);
    packet.meta_mut().offload = Offload {
        csum_start: 34,
        csum_offset: 16,
        gso_size: 1000,
        gso: GsoKind::Tcp4,
        needs_csum: true,
        ..Offload::NONE
    };
    packet
}

/// Whether a reason is the pipeline's own; the others belong to queues, taps and ports.
fn is_the_pipelines(reason: DropReason) -> bool {
    use DropReason::*;
    match reason {
        FrameTooShort | NotForUs | UnknownEtherType | UnknownVlan | BadOffload | Ip4Truncated
        | Ip4BadHeader | Ip4BadChecksum | Ip4SourceRoute | Ip6Truncated | Ip6BadHeader
        | MartianSource | MartianDestination | LinkLocalScope | TtlExceeded | NoRoute
        | RouteBlackhole | RouteUnreachable | RouteProhibit | NextHopGone | DirectedBroadcast
        | LinkBroadcastUnicast | PacketTooBig | FragmentNoBuffer | SegmentNoBuffer
        | HoldQueueFull | NeighborUnresolved | IngressDown | EgressDown | PuntRateNeighbor
        | PuntRateRouting | PuntRateBfd | PuntRateOther | Stopping => true,
        // Provoked by the tests in `flows`.
        TransportMalformed | FragmentTiny | FragmentOverlap | FragmentMalformed
        | FragmentTimeout | FragmentQueueFull | TcpNoConnection | TcpInvalid | TcpOutOfWindow
        | IcmpUnrelated | IcmpBadChecksum | FlowTableFull | FlowSourceLimit | FlowConflict
        | SpoofedSource | FirewallDrop | FirewallReject | NatNoMapping | NatFiltered
        | NatOutOfPorts | NatSourceLimit | NatUntranslatable => true,
        HandoverFull | PuntQueueFull | TapRefused | TapBadFrame | InjectQueueFull | RxOverrun
        | RxTooLarge | TxFull | TxError | TxGone | NoVerdict => false,
    }
}

#[test]
fn every_reason_of_the_pipeline_is_provoked_by_some_test() {
    let mut provoked: Vec<DropReason> = cases().iter().map(|case| case.reason).collect();
    provoked.push(DropReason::BadOffload);
    provoked.extend(crate::limits::PROVOKED);
    provoked.extend(crate::flows::provoked());
    for &reason in DropReason::ALL {
        assert_eq!(provoked.contains(&reason), is_the_pipelines(reason), "{}", reason.name());
    }
}

#[test]
fn protocols_that_the_gateway_does_not_know_are_forwarded_all_the_same() {
    let mut gateway = acquainted();
    let frame = a_to_b4().raw(IpProtocol(99), b"whatever");
    let batch = gateway.process(NOW, vec![arrived(LAN, &frame)]);
    assert_eq!(batch[0].meta().verdict, Verdict::Transmit);
    assert_eq!(batch[0].meta().tx_if, WAN);
}
