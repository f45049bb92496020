//! A gateway with flows between hosts A and A2 inside and B and C outside, and what comes of a packet.

use std::net::Ipv4Addr;
use std::sync::Arc;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use ipnet::Ipv4Net;
use portcullis_firewall::{
    Action, AntiSpoofing, RuleCounters, RuleSpec, Rules, RulesSpec, Service, ZoneId,
};
use portcullis_nat::{Filtering, ForwardSpec, MasqueradeSpec, NatPolicy, NatSpec, Static4Spec};
use portcullis_packet::{DropReason, IfIndex, Instant, Mac, Packet, Verdict, WorkerId};
use portcullis_pipeline::{State, StateConfig};
use portcullis_policy::{InterfacePolicy, Policy};
use portcullis_tracking::Timeouts;
use portcullis_wire::IpProtocol;
use portcullis_wire::build::Frame;

use crate::gateway::{Gateway, LAN, LAN_MAC, WAN, WAN_MAC, arrived};
use crate::reasons::acquaint;
use crate::world::{A_MAC, B_MAC};

pub(crate) const A: [u8; 4] = [10, 0, 0, 2];
pub(crate) const A2: [u8; 4] = [10, 0, 0, 3];
pub(crate) const B: [u8; 4] = [192, 0, 2, 2];
pub(crate) const C: [u8; 4] = [192, 0, 2, 3];
/// The external address: not one of the gateway's own.
pub(crate) const EXTERNAL: [u8; 4] = [192, 0, 2, 100];

const A2_MAC: Mac = Mac([2, 0, 0, 0, 1, 3]);
const C_MAC: Mac = Mac([2, 0, 0, 0, 2, 3]);

pub(crate) const INSIDE: ZoneId = ZoneId(1);
pub(crate) const OUTSIDE: ZoneId = ZoneId(2);

/// Flows that the gateway has room for.
pub(crate) const FLOWS: usize = 256;

/// What a gateway is made with.
pub(crate) struct Setup {
    pub(crate) nat: NatSpec,
    pub(crate) rules: Option<RulesSpec>,
    pub(crate) anti_spoofing: AntiSpoofing,
    pub(crate) mss_clamp: bool,
    pub(crate) tcp_pickup: bool,
    pub(crate) flows: usize,
    pub(crate) flows_per_source: u32,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            nat: NatSpec::default(),
            rules: None,
            anti_spoofing: AntiSpoofing::Off,
            mss_clamp: false,
            tcp_pickup: true,
            flows: FLOWS,
            flows_per_source: u32::MAX,
        }
    }
}

impl Setup {
    /// Hosts of the LAN are masqueraded.
    pub(crate) fn masquerading() -> Self {
        Self {
            nat: NatSpec { masquerades: vec![masquerade()], ..NatSpec::default() },
            ..Self::default()
        }
    }

    /// Inside may go out, nothing else.
    pub(crate) fn firewall() -> Self {
        Self { rules: Some(rules(vec![rule("out", INSIDE, OUTSIDE)])), ..Self::default() }
    }

    pub(crate) fn policy(self, number: u32) -> Policy {
        let rules = self.rules.map(Rules::compile);
        let slots = rules.as_ref().map_or(0, Rules::slots);
        let interface = |zone| InterfacePolicy {
            zone,
            anti_spoofing: self.anti_spoofing,
            mss_clamp: self.mss_clamp,
        };
        Policy {
            number,
            nat: NatPolicy::new(self.nat),
            hits: vec![Arc::new(RuleCounters::new(slots))],
            rules,
            interfaces: vec![interface(INSIDE), interface(OUTSIDE)],
            timeouts: Timeouts::default(),
            tcp_pickup: self.tcp_pickup,
            steering: None,
            flows: self.flows,
            flows_per_source: self.flows_per_source,
        }
    }

    /// A gateway that knows everybody.
    pub(crate) fn gateway(self) -> Gateway {
        let mut gateway = Gateway::new();
        acquaint(&mut gateway);
        gateway.learn(LAN, A2.into(), A2_MAC);
        gateway.learn(WAN, C.into(), C_MAC);
        gateway.equip();
        gateway.snapshot.policy = Arc::new(self.policy(1));
        gateway
    }
}

pub(crate) fn masquerade() -> MasqueradeSpec {
    MasqueradeSpec {
        sources: vec![Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 24)],
        except: vec![],
        out: WAN,
        pool: vec![u32::from(Ipv4Addr::from(EXTERNAL))..=u32::from(Ipv4Addr::from(EXTERNAL))],
        ports: 1024..=65535,
        filtering: Filtering::EndpointIndependent,
        ports_per_source: 0,
        block_size: None,
    }
}

/// External 192.0.2.100:8443 is A:443, over TCP.
pub(crate) fn forward() -> ForwardSpec {
    ForwardSpec {
        ingress: WAN,
        protocol: IpProtocol::TCP,
        external: u32::from(Ipv4Addr::from(EXTERNAL)),
        external_ports: 8443..=8443,
        internal: u32::from(Ipv4Addr::from(A)),
        internal_first_port: 443,
        hairpin: true,
    }
}

/// 192.0.2.64/28 is 10.0.0.0/28.
pub(crate) fn static4() -> Static4Spec {
    Static4Spec {
        on: WAN,
        external: Ipv4Net::new_assert(Ipv4Addr::new(192, 0, 2, 64), 28),
        internal: Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 28),
    }
}

pub(crate) fn rule(name: &str, from: ZoneId, to: ZoneId) -> RuleSpec {
    RuleSpec {
        name: name.into(),
        from: Some(vec![from]),
        to: Some(vec![to]),
        source: None,
        destination: None,
        service: None,
        action: Action::Accept,
        log: false,
    }
}

pub(crate) fn tcp_port(port: u16) -> Option<Vec<Service>> {
    Some(vec![Service { protocol: IpProtocol::TCP, ports: port..=port }])
}

pub(crate) fn rules(rules: Vec<RuleSpec>) -> RulesSpec {
    RulesSpec { rules, default: Action::Drop, gateway_default: Action::Accept, log_default: false }
}

/// What became of a packet.
#[derive(Debug)]
pub(crate) enum Out {
    Sent(IfIndex, Vec<u8>),
    Dropped(DropReason),
    Punted(Vec<u8>),
    Held,
}

impl Out {
    #[track_caller]
    pub(crate) fn sent(self, by: IfIndex) -> Vec<u8> {
        match self {
            Self::Sent(out, frame) if out == by => frame,
            other => panic!("not sent by {by:?}: {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn punted(self) -> Vec<u8> {
        match self {
            Self::Punted(frame) => frame,
            other => panic!("not punted: {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn dropped(self, reason: DropReason) {
        match self {
            Self::Dropped(found) if found == reason => {}
            other => panic!("not dropped as {}: {other:?}", reason.name()),
        }
    }
}

impl Gateway {
    /// One packet that comes in by an interface.
    #[track_caller]
    pub(crate) fn pass(&mut self, now: Instant, on: IfIndex, frame: &[u8]) -> Out {
        let mut out = self.pass_all(now, vec![arrived(on, frame)]);
        assert_eq!(out.len(), 1, "{out:?}");
        out.remove(0)
    }

    /// Several packets in one batch: what is left of it, then what was punted.
    pub(crate) fn pass_all(&mut self, now: Instant, batch: Vec<Packet>) -> Vec<Out> {
        let held = self.worker.held();
        let batch = self.process(now, batch);
        let mut out: Vec<_> = batch
            .iter()
            .filter_map(|packet| match packet.meta().verdict {
                Verdict::Transmit => Some(Out::Sent(packet.meta().tx_if, packet.data().to_vec())),
                Verdict::Drop(reason) => Some(Out::Dropped(reason)),
                Verdict::Replaced => None,
                other => panic!("left with {other:?}"),
            })
            .collect();
        out.extend(self.outbox.punts.drain(..).map(|packet| Out::Punted(packet.data().to_vec())));
        out.extend((held..self.worker.held()).map(|_| Out::Held));
        out
    }

    /// A packet that the gateway's own kernel sends.
    pub(crate) fn inject(&mut self, now: Instant, by: IfIndex, frame: &[u8]) -> Out {
        let mut packet = arrived(IfIndex::NONE, frame);
        packet.meta_mut().tx_if = by;
        let mut batch = vec![packet];
        self.worker.inject(&self.snapshot, &mut batch, now);
        let packet = batch.remove(0);
        match packet.meta().verdict {
            Verdict::Transmit => Out::Sent(packet.meta().tx_if, packet.data().to_vec()),
            Verdict::Drop(reason) => Out::Dropped(reason),
            other => panic!("left with {other:?}"),
        }
    }

    /// Memory for flows.
    pub(crate) fn equip(&mut self) {
        let config = StateConfig { worker: WorkerId(0), workers: 1, flows: FLOWS, seed: 7 };
        self.worker.equip(Box::new(State::new(config)));
    }

    /// Another policy from now on.
    pub(crate) fn apply(&mut self, setup: Setup) {
        let number = self.snapshot.policy.number + 1;
        self.snapshot.policy = Arc::new(setup.policy(number));
    }

    pub(crate) fn flows(&mut self) -> usize {
        self.worker.state().map_or(0, |state| state.table().len())
    }
}

/// A frame from A to an address, to be finished.
pub(crate) fn from_a(to: [u8; 4]) -> Frame {
    Frame::v4(A, to).macs(A_MAC, LAN_MAC)
}

pub(crate) fn from_a2(to: [u8; 4]) -> Frame {
    Frame::v4(A2, to).macs(A2_MAC, LAN_MAC)
}

pub(crate) fn from_b(to: [u8; 4]) -> Frame {
    Frame::v4(B, to).macs(B_MAC, WAN_MAC)
}

pub(crate) fn from_c(to: [u8; 4]) -> Frame {
    Frame::v4(C, to).macs(C_MAC, WAN_MAC)
}

/// Addresses and ports, as somebody else's parser reads them, which also finds all checksums right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Seen {
    pub(crate) src: [u8; 4],
    pub(crate) dst: [u8; 4],
    pub(crate) src_port: u16,
    pub(crate) dst_port: u16,
    pub(crate) ttl: u8,
}

/// Reads a frame. Of an ICMP query, both ports are the identifier.
#[track_caller]
pub(crate) fn seen(frame: &[u8]) -> Seen {
    let sliced = SlicedPacket::from_ethernet(frame).expect("a sound frame");
    let Some(NetSlice::Ipv4(net)) = &sliced.net else { panic!("no IPv4") };
    let header = net.header();
    assert_eq!(header.to_header().calc_header_checksum(), header.header_checksum(), "IPv4 header");
    let (ip, payload) = (header.to_header(), net.payload().payload);
    let (src_port, dst_port) = match &sliced.transport {
        Some(TransportSlice::Udp(udp)) => {
            if udp.checksum() != 0 {
                let sum = udp.to_header().calc_checksum_ipv4(&ip, udp.payload());
                assert_eq!(sum, Ok(udp.checksum()), "UDP");
            }
            (udp.source_port(), udp.destination_port())
        }
        Some(TransportSlice::Tcp(tcp)) => {
            let sum = tcp.to_header().calc_checksum_ipv4(&ip, tcp.payload());
            assert_eq!(sum, Ok(tcp.checksum()), "TCP");
            (tcp.source_port(), tcp.destination_port())
        }
        Some(TransportSlice::Icmpv4(_)) => {
            assert!(portcullis_wire::checksum::Sum::of(payload).is_sound(), "ICMP");
            let id = u16::from_be_bytes([payload[4], payload[5]]);
            (id, id)
        }
        _ => (0, 0),
    };
    Seen { src: header.source(), dst: header.destination(), src_port, dst_port, ttl: header.ttl() }
}
