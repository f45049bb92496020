//! Nothing is lost: whatever comes in leaves, is dropped by name, goes to the kernel, or waits.

use std::time::Duration;

use portcullis_firewall::{Action, AntiSpoofing};
use portcullis_nat::{Filtering, NatSpec, Static6Spec};
use portcullis_packet::{
    GsoKind, IfIndex, Instant, Mac, NextHopId, Offload, Packet, PoolLimits, TxOffload, Verdict,
};
use portcullis_pipeline::WorkerLimits;
use portcullis_routing::NextHop;
use portcullis_wire::IpProtocol;
use portcullis_wire::build::{self, Frame, Tcp};
use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;

use crate::flows::setup::{
    EXTERNAL, INSIDE, OUTSIDE, Setup, forward, masquerade, rule, rules, static4, tcp_port,
};
use crate::gateway::{Gateway, LAN, LAN_MAC, WAN, WAN_MAC, arrived};
use crate::world::{A_MAC, B_MAC};

/// What may happen to a gateway.
#[derive(Clone, Debug)]
enum Event {
    /// Frames come in.
    Batch(Vec<(IfIndex, Offload, Vec<u8>)>),
    /// The kernel sends a frame.
    Inject(IfIndex, Offload, Vec<u8>),
    /// The kernel learns where an address is.
    Learn(IfIndex, u8, bool),
    /// An interface changes: up, carrier, MTU, offloads.
    Change(IfIndex, bool, bool, u16, bool),
    /// Time passes, so many milliseconds of it.
    Wait(u64),
    /// A stateful gateway gets another policy, one of a few.
    Policy(u8),
}

/// Where every packet went.
#[derive(Default, Debug)]
struct Tally {
    fed: u64,
    sent: u64,
    dropped: u64,
    replaced: u64,
    punted: u64,
}

struct Run {
    gateway: Gateway,
    now: Instant,
    tally: Tally,
}

impl Run {
    fn stateless() -> Self {
        let limits = WorkerLimits { pool: PoolLimits { small: 8, large: 0 } };
        let mut gateway = Gateway::with_limits(limits);
        gateway.learn(LAN, [10, 0, 0, 2].into(), A_MAC);
        gateway.route("198.51.100.0/25", NextHop::Blackhole);
        gateway.route("198.51.100.128/26", NextHop::Unreachable);
        gateway.route("2001:db8:9::/64", NextHop::Prohibit);
        let far = NextHop::Unresolved { interface: WAN, gateway: [192, 0, 2, 254].into() };
        let near = gateway.learn(WAN, [192, 0, 2, 2].into(), B_MAC);
        let members: [NextHopId; 2] = [near, gateway.next_hop(far)];
        let group = gateway.group(&members);
        gateway.route("203.0.113.0/24", group);
        gateway.route("2001:db8:a::/48", group);
        Self { gateway, now: Instant(1_000_000_000), tally: Tally::default() }
    }

    /// The same, with everything that flows are made for.
    fn stateful() -> Self {
        let mut run = Self::stateless();
        run.gateway.equip();
        run.gateway.apply(policy(0));
        run
    }

    fn happen(&mut self, event: &Event) {
        let Gateway { worker, snapshot, outbox, .. } = &mut self.gateway;
        let mut batch = vec![];
        match event {
            Event::Batch(frames) => {
                batch.extend(frames.iter().map(|(on, offload, frame)| {
                    let mut packet = arrived(*on, frame);
                    packet.meta_mut().offload = *offload;
                    packet
                }));
                self.tally.fed += batch.len() as u64;
                worker.process(snapshot, &mut batch, self.now, outbox);
            }
            Event::Inject(on, offload, frame) => {
                let mut packet = arrived(IfIndex::NONE, frame);
                packet.meta_mut().tx_if = *on;
                packet.meta_mut().offload = *offload;
                batch.push(packet);
                self.tally.fed += 1;
                worker.inject(snapshot, &mut batch, self.now);
            }
            Event::Learn(on, host, is_v6) => {
                let address = if *is_v6 {
                    [0x20, 1, 0xd, 0xb8, 0, on.0 as u8 + 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, *host].into()
                } else if *on == LAN {
                    [10, 0, 0, *host].into()
                } else {
                    [192, 0, 2, *host].into()
                };
                self.gateway.learn(*on, address, B_MAC);
            }
            Event::Change(on, up, carrier, mtu, offloads) => {
                self.gateway.change(*on, |interface| {
                    (interface.admin_up, interface.carrier, interface.mtu) = (*up, *carrier, *mtu);
                    interface.offload = if *offloads { TxOffload::ALL } else { TxOffload::NONE };
                });
            }
            Event::Wait(millis) => self.now = self.now + Duration::from_millis(*millis),
            Event::Policy(which) => {
                if self.gateway.snapshot.policy.is_stateful() {
                    self.gateway.apply(policy(*which));
                }
            }
        }
        self.count(&batch);
        let mut batch = vec![];
        let Gateway { worker, snapshot, outbox, .. } = &mut self.gateway;
        worker.tick(snapshot, self.now, &mut batch, outbox);
        self.count(&batch);
    }

    fn count(&mut self, batch: &[Packet]) {
        for packet in batch {
            match packet.meta().verdict {
                Verdict::Transmit => {
                    let out = self.gateway.snapshot.interface(packet.meta().tx_if);
                    assert!(out.is_some(), "sent to nowhere: {:?}", packet.meta());
                    self.tally.sent += 1;
                }
                Verdict::Drop(reason) => {
                    assert!(self.gateway.drops(reason) > 0, "not counted: {reason:?}");
                    self.tally.dropped += 1;
                }
                Verdict::Replaced => self.tally.replaced += 1,
                Verdict::Pending | Verdict::Punt(_) | Verdict::Hold | Verdict::Again => {
                    panic!("left in the batch: {:?}", packet.meta());
                }
            }
        }
        self.tally.punted += self.gateway.outbox.punts.drain(..).count() as u64;
        self.gateway.outbox.resolve.clear();
    }

    /// The law of conservation, of packets and of counts.
    fn check(&mut self) -> Result<(), TestCaseError> {
        let fragments = self.gateway.worker.state().map_or(0, |state| state.fragments_held());
        let (Tally { fed, sent, dropped, replaced, punted }, counters) =
            (&self.tally, &self.gateway.counters);
        let held = self.gateway.worker.held() as u64;
        let made = counters.pieces.get();
        prop_assert_eq!(
            fed + made,
            sent + dropped + replaced + punted + held + fragments as u64,
            "{:?} {:?}",
            self.tally,
            counters
        );
        // A packet that became a message about itself was dropped, and yet it goes on.
        let answered = counters.icmp_errors.get() + counters.resets.get();
        prop_assert_eq!(counters.drops.total(), dropped + answered);
        prop_assert_eq!(counters.punted.iter().map(|c| c.get()).sum::<u64>(), *punted);
        prop_assert_eq!(counters.held.get() - counters.released.get(), held);
        Ok(())
    }
}

/// One of a few policies: all kinds of translation, and rules of every action.
fn policy(which: u8) -> Setup {
    let mut allowed = rule("out", INSIDE, OUTSIDE);
    allowed.log = true;
    let mut web = rule("web", OUTSIDE, INSIDE);
    web.service = tcp_port(179);
    let mut refused = rule("within", INSIDE, INSIDE);
    refused.action = Action::Reject;
    let mut spec = rules(vec![allowed, web, refused]);
    spec.gateway_default = if which & 1 == 0 { Action::Reject } else { Action::Accept };
    spec.default = if which & 2 == 0 { Action::Drop } else { Action::Reject };
    let mut pool = masquerade();
    pool.ports = 1024..=1087;
    pool.filtering =
        if which & 1 == 0 { Filtering::EndpointIndependent } else { Filtering::AddressDependent };
    let npt = Static6Spec {
        on: WAN,
        external: "2001:db8:a::/48".parse().expect("a prefix"),
        internal: "2001:db8:1::/48".parse().expect("a prefix"),
    };
    let statics = which & 4 != 0;
    let nat = NatSpec {
        masquerades: vec![pool],
        forwards: vec![forward()],
        statics4: if statics { vec![static4()] } else { vec![] },
        statics6: if statics { vec![npt] } else { vec![] },
    };
    let anti_spoofing = match which % 3 {
        0 => AntiSpoofing::Off,
        1 => AntiSpoofing::Loose,
        _ => AntiSpoofing::Strict,
    };
    Setup {
        nat,
        rules: (which & 8 == 0).then_some(spec),
        anti_spoofing,
        mss_clamp: which & 1 == 0,
        tcp_pickup: which & 2 == 0,
        flows: 64,
        flows_per_source: 32,
    }
}

fn interface() -> impl Strategy<Value = IfIndex> {
    prop_oneof![4 => Just(LAN), 4 => Just(WAN), 1 => Just(IfIndex(7))]
}

fn address4() -> impl Strategy<Value = [u8; 4]> {
    prop_oneof![
        4 => (1_u8..6).prop_map(|host| [10, 0, 0, host]),
        4 => (1_u8..6).prop_map(|host| [192, 0, 2, host]),
        3 => prop_oneof![Just(EXTERNAL), Just([192, 0, 2, 66])],
        2 => any::<u8>().prop_map(|host| [203, 0, 113, host]),
        2 => any::<u8>().prop_map(|host| [198, 51, 100, host]),
        1 => Just([10, 0, 0, 255]),
        1 => Just([224, 0, 0, 5]),
        1 => any::<[u8; 4]>(),
    ]
}

fn address6() -> impl Strategy<Value = [u8; 16]> {
    let in_net = |net: u8, host: u8| [0x20, 1, 0xd, 0xb8, 0, net, 0, 0, 0, 0, 0, 0, 0, 0, 0, host];
    prop_oneof![
        6 => (prop_oneof![Just(1), Just(2), Just(9), Just(10)], 1_u8..6)
            .prop_map(move |(net, host)| in_net(net, host)),
        1 => (1_u8..4).prop_map(|host| [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host]),
        1 => Just([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5]),
        1 => any::<[u8; 16]>(),
    ]
}

fn headers() -> BoxedStrategy<Frame> {
    let addresses = prop_oneof![
        (address4(), address4()).prop_map(|(from, to)| Frame::v4(from, to)),
        (address6(), address6()).prop_map(|(from, to)| Frame::v6(from, to)),
    ];
    let macs =
        prop_oneof![8 => Just(LAN_MAC), 8 => Just(WAN_MAC), 1 => any::<[u8; 6]>().prop_map(Mac)];
    let hops = prop_oneof![1 => 0_u8..3, 4 => Just(64)];
    let fragment = prop_oneof![6 => Just(None), 1 => (0_u16..200, any::<bool>()).prop_map(Some)];
    (addresses, macs, hops, any::<bool>(), fragment)
        .prop_map(|(frame, to, hops, df, fragment)| {
            let frame = frame.macs(A_MAC, to).hops(hops);
            let frame = if df { frame.dont_fragment() } else { frame };
            match fragment {
                Some((offset, more)) => frame.fragment(offset * 8, more),
                None => frame,
            }
        })
        .boxed()
}

fn opening(syn: bool, port: u16) -> Tcp {
    if syn { Tcp::syn(1, port) } else { Tcp::data(1, port, 1) }
}

fn frame() -> BoxedStrategy<Vec<u8>> {
    let payload =
        || prop_oneof![4 => 0_usize..100, 1 => 500_usize..1480].prop_map(|len| vec![5; len]);
    let sound = prop_oneof![
        (headers(), payload(), any::<u16>()).prop_map(|(h, data, port)| h.udp(1, port, &data)),
        (headers(), payload(), 1024_u16..1088).prop_map(|(h, data, port)| h.udp(1, port, &data)),
        (headers(), payload(), any::<bool>())
            .prop_map(|(h, data, syn)| h.tcp(opening(syn, 8443), &data)),
        (headers(), payload()).prop_map(|(h, data)| h.tcp(Tcp::data(1, 179, 5), &data)),
        (headers(), payload(), any::<u8>(), any::<u8>())
            .prop_map(|(h, data, kind, code)| h.icmp(kind, code, [0; 4], &data)),
        (headers(), payload(), any::<u8>()).prop_map(|(h, data, p)| h.raw(IpProtocol(p), &data)),
        address4().prop_map(|to| build::arp_request(A_MAC, [10, 0, 0, 2].into(), to.into())),
    ]
    .boxed();
    let damaged =
        (sound.clone(), any::<prop::sample::Index>(), any::<u8>(), any::<prop::sample::Index>());
    prop_oneof![
        6 => sound,
        3 => damaged.prop_map(|(mut frame, at, byte, end)| {
            let at = at.index(frame.len());
            frame[at] = byte;
            if byte % 4 == 0 {
                frame.truncate(end.index(frame.len()));
            }
            frame
        }),
        1 => proptest::collection::vec(any::<u8>(), 0..120),
    ]
    .boxed()
}

fn offload() -> BoxedStrategy<Offload> {
    let gso = prop_oneof![
        4 => Just(GsoKind::None), 1 => Just(GsoKind::Tcp4), 1 => Just(GsoKind::Tcp6), 1 => Just(GsoKind::Udp),
    ];
    let start = prop_oneof![4 => Just(34_u16), 4 => Just(54), 1 => any::<u16>()];
    let offset = prop_oneof![4 => Just(16_u16), 4 => Just(6), 1 => any::<u16>()];
    let flags = any::<(bool, bool, bool)>();
    let some = (start, offset, 0_u16..600, gso, flags).prop_map(
        |(csum_start, csum_offset, gso_size, gso, (needs_csum, ecn, ip4_checked))| Offload {
            csum_start,
            csum_offset,
            gso_size,
            gso,
            needs_csum,
            ecn,
            ip4_checked,
        },
    );
    prop_oneof![4 => Just(Offload::NONE), 1 => some].boxed()
}

fn event() -> BoxedStrategy<Event> {
    let arriving = (interface(), offload(), frame());
    prop_oneof![
        12 => proptest::collection::vec(arriving, 1..100).prop_map(Event::Batch),
        2 => (interface(), offload(), frame()).prop_map(|(on, o, f)| Event::Inject(on, o, f)),
        3 => (prop_oneof![Just(LAN), Just(WAN)], 1_u8..6, any::<bool>())
            .prop_map(|(on, host, is_v6)| Event::Learn(on, host, is_v6)),
        2 => (prop_oneof![Just(LAN), Just(WAN)], any::<bool>(), any::<bool>(), 68_u16..2000, any::<bool>())
            .prop_map(|(on, up, carrier, mtu, offloads)| Event::Change(on, up, carrier, mtu, offloads)),
        3 => (0_u64..2000).prop_map(Event::Wait),
        1 => (100_000_u64..400_000).prop_map(Event::Wait),
        2 => (0_u8..16).prop_map(Event::Policy),
    ]
    .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_in_leaves_or_is_dropped_by_name_or_goes_to_the_kernel_or_waits(
        events in proptest::collection::vec(event(), 1..20),
    ) {
        conserves(Run::stateless(), &events)?;
    }

    #[test]
    fn the_same_holds_with_flows_translation_and_a_firewall(
        events in proptest::collection::vec(event(), 1..20),
    ) {
        conserves(Run::stateful(), &events)?;
    }
}

fn conserves(mut run: Run, events: &[Event]) -> Result<(), TestCaseError> {
    for event in events {
        run.happen(event);
        run.check()?;
    }
    let mut left = vec![];
    run.gateway.worker.stop(&mut left);
    run.count(&left);
    prop_assert_eq!(run.gateway.worker.held(), 0);
    run.check()
}
