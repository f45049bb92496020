//! Masquerade, a forwarded port and the firewall against a model of them: lists that are searched through, without
//! epochs, tables and timers. Whatever happens, both must say the same of each packet.
//!
//! Which port a mapping gets is the gateway's choice; the model learns it from the mapping's first packet.

use std::collections::BTreeMap;
use std::time::Duration;

use portcullis_firewall::{AddressRange, RulesSpec, Service};
use portcullis_nat::{Filtering, ForwardSpec, NatSpec};
use portcullis_packet::{DropReason, Instant};
use portcullis_wire::IpProtocol;
use portcullis_wire::build::{Echo, Frame};
use proptest::prelude::*;

use super::setup::{
    A, A2, B, C, EXTERNAL, INSIDE, OUTSIDE, Out, Setup, forward, from_a, from_a2, from_b, from_c,
    masquerade, rule, rules, seen,
};
use crate::gateway::{Gateway, LAN, WAN};
use crate::reasons::NOW;

type Endpoint = ([u8; 4], u16);

/// External 8443 is A's 443.
const FORWARDED: u16 = 8443;
const SERVER: Endpoint = (A, 443);

/// What a policy allows beside answers.
#[derive(Clone, Copy, Debug)]
struct Allows {
    /// Inside hosts may send anything, and not just questions to port 53.
    everything_out: bool,
    /// Outside hosts may use the forwarded port.
    server: bool,
    /// The port is forwarded at all.
    forwards: bool,
    /// Outside hosts may send datagrams to the inside port 4000.
    unasked: bool,
    /// A mapping is open only to hosts that its inside host talks with.
    filters: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Protocol {
    Udp,
    Ping,
}

/// Something that happens. Hosts, ports and mappings are numbers that are wrapped around.
#[derive(Clone, Debug)]
enum Event {
    /// An inside host sends to an outside one.
    Outward(Protocol, Endpoint, Endpoint),
    /// An outside host sends to an external port that was given to somebody at some time.
    Inward(Protocol, Endpoint, prop::sample::Index),
    /// An outside host sends to the forwarded port.
    ToServer(Endpoint),
    /// The server sends to an outside host.
    FromServer(Endpoint),
    Wait(u64),
    Policy(Allows),
}

/// What comes of a packet: who it is from and for when it leaves, or why it does not.
type Verdict = Result<(Endpoint, Endpoint), DropReason>;

#[derive(Clone, Copy, Debug)]
struct Flow {
    protocol: Protocol,
    /// The inside host, the external endpoint that stands for it, and the outside one.
    inside: Endpoint,
    external: Endpoint,
    remote: Endpoint,
    outward: bool,
    /// It uses the mapping of its inside endpoint.
    mapped: bool,
    last: Instant,
}

struct Model {
    allows: Allows,
    flows: Vec<Flow>,
    /// External ports of inside endpoints, while any flow uses them.
    mappings: BTreeMap<(Protocol, Endpoint), u16>,
}

impl Model {
    fn lifetime(protocol: Protocol) -> Duration {
        match protocol {
            Protocol::Udp => Duration::from_secs(300),
            Protocol::Ping => Duration::from_secs(60),
        }
    }

    fn keep(&mut self, stays: impl Fn(&Flow) -> bool) {
        self.flows.retain(stays);
        let flows = &self.flows;
        self.mappings.retain(|&(protocol, inside), _| {
            let uses = |flow: &Flow| (flow.protocol, flow.inside) == (protocol, inside);
            flows.iter().any(|flow| flow.mapped && uses(flow))
        });
    }

    fn pass_time(&mut self, now: Instant) {
        self.keep(|flow| now <= flow.last + Self::lifetime(flow.protocol));
    }

    fn adopt(&mut self, allows: Allows) {
        self.allows = allows;
        self.keep(|flow| {
            let is_allowed = if flow.outward {
                allows.lets_out(flow.protocol, flow.remote)
            } else {
                allows.lets_in(flow.protocol, flow.inside)
            };
            let is_translated_alike = flow.outward || flow.mapped || allows.forwards;
            is_allowed && is_translated_alike
        });
    }

    /// An inside host's packet. `given` is the port that the gateway made it leave by.
    fn outward(
        &mut self,
        (protocol, inside, remote): (Protocol, Endpoint, Endpoint),
        now: Instant,
        given: Option<u16>,
    ) -> Verdict {
        let known = self
            .flows
            .iter_mut()
            .find(|flow| (flow.protocol, flow.inside, flow.remote) == (protocol, inside, remote));
        if let Some(flow) = known {
            flow.last = now;
            return Ok((flow.external, remote));
        }
        if !self.allows.lets_out(protocol, remote) {
            return Err(DropReason::FirewallDrop);
        }
        let port = match self.mappings.get(&(protocol, inside)) {
            Some(&port) => port,
            None => {
                let port = given.unwrap_or(0);
                let is_taken =
                    self.mappings.iter().any(|(&(of, _), &taken)| (of, taken) == (protocol, port));
                assert!(!is_taken, "{port} is somebody else's");
                self.mappings.insert((protocol, inside), port);
                port
            }
        };
        let external = (EXTERNAL, port);
        let (outward, mapped) = (true, true);
        self.flows.push(Flow { protocol, inside, external, remote, outward, mapped, last: now });
        Ok((external, remote))
    }

    /// An outside host's packet to an external port.
    fn inward(&mut self, protocol: Protocol, remote: Endpoint, port: u16, now: Instant) -> Verdict {
        let external = (EXTERNAL, port);
        let known = self.flows.iter_mut().find(|flow| {
            (flow.protocol, flow.external, flow.remote) == (protocol, external, remote)
        });
        if let Some(flow) = known {
            flow.last = now;
            return Ok((remote, flow.inside));
        }
        let is_forwarded = self.allows.forwards && (protocol, port) == (Protocol::Udp, FORWARDED);
        let inside = if is_forwarded { SERVER } else { self.behind(protocol, remote, port)? };
        if !self.allows.lets_in(protocol, inside) {
            return Err(DropReason::FirewallDrop);
        }
        let answers_alike =
            |flow: &Flow| (flow.protocol, flow.inside, flow.remote) == (protocol, inside, remote);
        if self.flows.iter().any(answers_alike) {
            return Err(DropReason::FlowConflict);
        }
        let (outward, mapped) = (false, !is_forwarded);
        self.flows.push(Flow { protocol, inside, external, remote, outward, mapped, last: now });
        Ok((remote, inside))
    }

    /// Whose mapping a port is, as far as a remote host may know.
    fn behind(
        &self,
        protocol: Protocol,
        remote: Endpoint,
        port: u16,
    ) -> Result<Endpoint, DropReason> {
        let mapping =
            self.mappings.iter().find(|&(&(of, _), &given)| (of, given) == (protocol, port));
        let (&(_, inside), _) = mapping.ok_or(DropReason::NatNoMapping)?;
        let mut users = self
            .flows
            .iter()
            .filter(|flow| flow.mapped && (flow.protocol, flow.inside) == (protocol, inside));
        let is_open = !self.allows.filters || users.any(|flow| flow.remote.0 == remote.0);
        is_open.then_some(inside).ok_or(DropReason::NatFiltered)
    }
}

impl Allows {
    fn lets_out(self, protocol: Protocol, remote: Endpoint) -> bool {
        self.everything_out || (protocol == Protocol::Udp && remote.1 == 53)
    }

    fn lets_in(self, protocol: Protocol, inside: Endpoint) -> bool {
        protocol == Protocol::Udp
            && (self.server && inside == SERVER || self.unasked && inside.1 == 4000)
    }

    fn rules(self) -> RulesSpec {
        let datagrams =
            |port| Some(vec![Service { protocol: IpProtocol::UDP, ports: port..=port }]);
        let mut out = rule("out", INSIDE, OUTSIDE);
        out.service = if self.everything_out { None } else { datagrams(53) };
        let mut all = vec![out];
        if self.server {
            let mut server = rule("server", OUTSIDE, INSIDE);
            server.destination =
                Some(vec![AddressRange::V4(u32::from_be_bytes(A)..=u32::from_be_bytes(A))]);
            server.service = datagrams(443);
            all.push(server);
        }
        if self.unasked {
            let mut unasked = rule("unasked", OUTSIDE, INSIDE);
            unasked.service = datagrams(4000);
            all.push(unasked);
        }
        rules(all)
    }

    fn setup(self) -> Setup {
        let mut pool = masquerade();
        pool.ports = 1024..=1151;
        pool.filtering =
            if self.filters { Filtering::AddressDependent } else { Filtering::EndpointIndependent };
        let forward = ForwardSpec { protocol: IpProtocol::UDP, hairpin: false, ..forward() };
        let nat = NatSpec {
            masquerades: vec![pool],
            forwards: if self.forwards { vec![forward] } else { vec![] },
            ..NatSpec::default()
        };
        Setup { nat, rules: Some(self.rules()), ..Setup::default() }
    }
}

/// The gateway and the model of it.
struct Pair {
    gateway: Gateway,
    model: Model,
    now: Instant,
    /// Every external port that was seen.
    ports: Vec<u16>,
}

impl Pair {
    fn new(allows: Allows) -> Self {
        let model = Model { allows, flows: vec![], mappings: BTreeMap::new() };
        let gateway = allows.setup().gateway();
        Self { gateway, model, now: NOW, ports: vec![1024] }
    }

    fn happen(&mut self, event: &Event) -> Result<(), TestCaseError> {
        match *event {
            Event::Outward(protocol, inside, remote) => self.outward(protocol, inside, remote)?,
            Event::FromServer(remote) => self.outward(Protocol::Udp, SERVER, remote)?,
            Event::Inward(protocol, remote, at) => {
                self.inward(protocol, remote, *at.get(&self.ports))?;
            }
            Event::ToServer(remote) => self.inward(Protocol::Udp, remote, FORWARDED)?,
            Event::Wait(seconds) => {
                self.now = self.now + Duration::from_secs(seconds);
                self.model.pass_time(self.now);
            }
            Event::Policy(allows) => {
                self.gateway.apply(allows.setup());
                self.model.adopt(allows);
            }
        }
        let Gateway { worker, snapshot, outbox, .. } = &mut self.gateway;
        while worker.tick(snapshot, self.now, &mut vec![], outbox) == Some(self.now) {}
        prop_assert_eq!(self.gateway.flows(), self.model.flows.len(), "{:?}", self.model.flows);
        let mappings = self.gateway.worker.state().map_or(0, |state| state.masquerading().len());
        prop_assert_eq!(mappings, self.model.mappings.len());
        Ok(())
    }

    fn outward(
        &mut self,
        protocol: Protocol,
        inside: Endpoint,
        remote: Endpoint,
    ) -> Result<(), TestCaseError> {
        let header = if inside.0 == A { from_a(remote.0) } else { from_a2(remote.0) };
        let remote = protocol.remote(remote);
        let frame = protocol.frame(&header, inside.1, remote.1, Echo::Request);
        let became = protocol.read(self.gateway.pass(self.now, LAN, &frame), true);
        let given = became.ok().map(|((_, port), _)| port);
        self.ports.extend(given);
        let expected = self.model.outward((protocol, inside, remote), self.now, given);
        prop_assert_eq!(became, expected);
        Ok(())
    }

    fn inward(
        &mut self,
        protocol: Protocol,
        remote: Endpoint,
        port: u16,
    ) -> Result<(), TestCaseError> {
        let header = if remote.0 == B { from_b(EXTERNAL) } else { from_c(EXTERNAL) };
        let remote = protocol.remote(remote);
        let frame = protocol.frame(&header, remote.1, port, Echo::Reply);
        let became = protocol.read(self.gateway.pass(self.now, WAN, &frame), false);
        let expected = self.model.inward(protocol, remote, port, self.now);
        prop_assert_eq!(became, expected);
        Ok(())
    }
}

impl Protocol {
    /// Of a ping, the other end has no port.
    fn remote(self, (address, port): Endpoint) -> Endpoint {
        (address, if self == Self::Udp { port } else { 0 })
    }

    fn frame(self, header: &Frame, from: u16, to: u16, kind: Echo) -> Vec<u8> {
        match (self, kind) {
            (Self::Udp, _) => header.udp(from, to, b"some datagram"),
            (Self::Ping, Echo::Request) => header.echo(kind, from, 1, b"ping"),
            (Self::Ping, Echo::Reply) => header.echo(kind, to, 1, b"ping"),
        }
    }

    fn read(self, out: Out, outward: bool) -> Verdict {
        match out {
            Out::Sent(by, frame) => {
                assert_eq!(by, if outward { WAN } else { LAN });
                let seen = seen(&frame);
                let (mut src, mut dst) = ((seen.src, seen.src_port), (seen.dst, seen.dst_port));
                if self == Self::Ping {
                    // Both are the identifier, which is the inside host's.
                    if outward { dst.1 = 0 } else { src.1 = 0 }
                }
                Ok((src, dst))
            }
            Out::Dropped(reason) => Err(reason),
            other => panic!("neither sent nor dropped: {other:?}"),
        }
    }
}

fn allows() -> impl Strategy<Value = Allows> {
    any::<[bool; 5]>().prop_map(|[everything_out, server, forwards, unasked, filters]| Allows {
        everything_out,
        server,
        forwards,
        unasked,
        filters,
    })
}

fn event() -> impl Strategy<Value = Event> {
    let protocol = || prop_oneof![3 => Just(Protocol::Udp), 1 => Just(Protocol::Ping)];
    let inside = (prop_oneof![Just(A), Just(A2)], prop_oneof![Just(443_u16), 4000_u16..4003]);
    let remote = || (prop_oneof![Just(B), Just(C)], 53_u16..55);
    prop_oneof![
        8 => (protocol(), inside, remote()).prop_map(|(p, from, to)| Event::Outward(p, from, to)),
        8 => (protocol(), remote(), any::<prop::sample::Index>())
            .prop_map(|(p, from, at)| Event::Inward(p, from, at)),
        3 => remote().prop_map(Event::ToServer),
        3 => remote().prop_map(Event::FromServer),
        3 => prop_oneof![0_u64..70, 0_u64..70, 200_u64..400].prop_map(Event::Wait),
        2 => allows().prop_map(Event::Policy),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_gateway_says_of_each_packet_what_a_naive_model_says(
        first in allows(),
        events in proptest::collection::vec(event(), 1..80),
    ) {
        let mut pair = Pair::new(first);
        for event in &events {
            pair.happen(event)?;
        }
    }
}
