//! Several workers, each with flows of its own: what belongs together meets on one of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use portcullis_nat::{NatPolicy, NatSpec, Steering};
use portcullis_packet::{IfIndex, Packet, Verdict, WorkerId};
use portcullis_pipeline::{State, StateConfig};
use portcullis_wire::IpProtocol;
use portcullis_wire::build::{Echo, Frame, Tcp};
use portcullis_wire::dissect::{self, Kind};
use portcullis_wire::tcp::Flags;

use super::fragments::{cut, joined, payload};
use super::setup::{
    A, A2, B, EXTERNAL, Setup, forward, from_a, from_a2, from_b, masquerade, seen, static4,
};
use crate::gateway::{Gateway, LAN, WAN, arrived};
use crate::reasons::NOW;

const WORKERS: u16 = 4;

/// Workers of one gateway, and what says whose a packet is.
struct Workers {
    workers: Vec<Gateway>,
    steering: Arc<Steering>,
    /// Those that had packets.
    busy: BTreeSet<WorkerId>,
}

impl Workers {
    fn new(nat: NatSpec) -> Self {
        let setup = || Setup { nat: nat.clone(), ..Setup::default() };
        let steering = Arc::new(Steering::new(&NatPolicy::new(nat.clone()), WORKERS, 5));
        let worker = |worker| {
            let mut gateway = setup().gateway();
            let config =
                StateConfig { worker: WorkerId(worker), workers: WORKERS, flows: 256, seed: 7 };
            gateway.worker.equip(Box::new(State::new(config)));
            let steering = Some(Arc::clone(&steering));
            let policy = setup().policy(1);
            gateway.snapshot.policy = Arc::new(portcullis_policy::Policy {
                steering,
                hits: (0..WORKERS).map(|_| Arc::clone(&policy.hits[0])).collect(),
                ..policy
            });
            gateway
        };
        let workers = (0..WORKERS).map(worker).collect();
        Self { workers, steering, busy: BTreeSet::new() }
    }

    /// As an I/O thread does it: whole packets by their tuples, errors by what they quote, fragments by their ports
    /// once those are known.
    fn owner(&self, packet: &Packet) -> WorkerId {
        let seen = dissect::v4(packet.data()).expect("a sound packet");
        let mut tuple = seen.tuple;
        if seen.fragment.is_some() {
            tuple.ports = packet.meta().ports;
        } else if seen.kind == Kind::IcmpError {
            let quoted = dissect::quoted_v4(packet.data(), usize::from(seen.upper));
            tuple = quoted.expect("a quote").reversed();
        }
        self.steering.worker4(&tuple)
    }

    /// Passes a frame on until some worker has sent it, and what waited for it.
    #[track_caller]
    fn pass(&mut self, on: IfIndex, frame: &[u8]) -> Vec<Vec<u8>> {
        let mut under_way = vec![(0, arrived(on, frame))];
        let mut sent = vec![];
        while let Some((hops, packet)) = under_way.pop() {
            assert!(hops < 3, "goes round in circles");
            let owner = self.owner(&packet);
            self.busy.insert(owner);
            let gateway = &mut self.workers[usize::from(owner.0)];
            for packet in gateway.process(NOW, vec![packet]) {
                match packet.meta().verdict {
                    Verdict::Transmit => {
                        sent.push(packet.data().to_vec());
                    }
                    Verdict::Again => under_way.push((hops + 1, packet)),
                    other => panic!("{other:?} by {owner:?}: {:?}", gateway.counters.drops),
                }
            }
        }
        sent
    }

    #[track_caller]
    fn sent(&mut self, on: IfIndex, frame: &[u8]) -> Vec<u8> {
        let [sent] = self.pass(on, frame).try_into().expect("one packet");
        sent
    }

    fn flows(&mut self) -> usize {
        self.workers.iter_mut().map(Gateway::flows).sum()
    }
}

fn all_kinds() -> NatSpec {
    NatSpec { masquerades: vec![masquerade()], forwards: vec![forward()], ..NatSpec::default() }
}

#[test]
fn answers_find_the_worker_that_has_their_mapping_and_no_two_workers_give_one_port() {
    let mut workers = Workers::new(all_kinds());
    let mut ports = BTreeSet::new();
    for n in 0..60u8 {
        let inside = [10, 0, 0, 10 + 3 * n];
        let source = u16::from(n) + 4000;
        let header = || Frame::v4(inside, B).macs(crate::world::A_MAC, crate::gateway::LAN_MAC);
        let out = seen(&workers.sent(LAN, &header().udp(source, 53, b"query")));
        assert!(ports.insert(out.src_port), "{} was given twice", out.src_port);
        // The inside host need not be known as a neighbour: an answer that waits has found its flow.
        let answer = from_b(EXTERNAL).udp(53, out.src_port, b"answer");
        let owner = workers.owner(&arrived(WAN, &answer));
        let gateway = &mut workers.workers[usize::from(owner.0)];
        gateway.learn(LAN, inside.into(), crate::world::A_MAC);
        let back = seen(&workers.sent(WAN, &answer));
        assert_eq!((back.dst, back.dst_port), (inside, source));
    }
    assert_eq!(workers.flows(), 60);
    assert!(workers.busy.len() > 1, "all on one worker");
}

#[test]
fn pings_and_errors_find_their_worker() {
    let mut workers = Workers::new(all_kinds());
    for (id, header) in [(7, from_a(B)), (8, from_a2(B))] {
        let out = workers.sent(LAN, &header.echo(Echo::Request, id, 1, b"ping"));
        let reply = from_b(EXTERNAL).echo(Echo::Reply, seen(&out).src_port, 1, b"ping");
        assert_eq!(seen(&workers.sent(WAN, &reply)).dst_port, id);
        let out = workers.sent(LAN, &header.udp(4000 + id, 53, b"query"));
        let error = from_b(EXTERNAL).icmp(3, 3, [0; 4], &out[14..]);
        let told = crate::answer::Answer::parse(&workers.sent(WAN, &error));
        assert_eq!(told.to, std::net::IpAddr::from(if id == 7 { A } else { A2 }));
    }
}

#[test]
fn forwarded_and_static_connections_meet_their_answers() {
    let mut workers = Workers::new(all_kinds());
    let flags = Flags::SYN.with(Flags::ACK);
    for port in 7000..7020 {
        workers.sent(WAN, &from_b(EXTERNAL).tcp(Tcp::syn(port, 8443), b""));
        let answer = Tcp { acknowledgment: 1, flags, ..Tcp::syn(443, port) };
        let out = seen(&workers.sent(LAN, &from_a(B).tcp(answer, b"")));
        assert_eq!((out.src, out.src_port), (EXTERNAL, 8443));
    }
    assert_eq!(workers.flows(), 20);
    let mut workers = Workers::new(NatSpec { statics4: vec![static4()], ..NatSpec::default() });
    for port in 7000..7020 {
        workers.sent(WAN, &from_b([192, 0, 2, 66]).udp(port, 53, b"query"));
        let out = seen(&workers.sent(LAN, &from_a(B).udp(53, port, b"answer")));
        assert_eq!(out.src, [192, 0, 2, 66]);
    }
    assert_eq!(workers.flows(), 20);
}

#[test]
fn fragments_find_the_worker_of_their_first_ones_ports() {
    const GRE: IpProtocol = IpProtocol(47);
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
        let mut workers = Workers::new(all_kinds());
        for n in 0..10u16 {
            let whole = from_a(B).udp(4000 + n, 53, &payload());
            let pieces = cut(&from_a(B), n.into(), &whole, IpProtocol::UDP, &[64, 1296]);
            let sent = order.iter().flat_map(|&at| workers.pass(LAN, &pieces[at])).collect();
            let port = seen(&joined(sent)).src_port;
            let whole = from_b(EXTERNAL).udp(53, port, &payload());
            let pieces = cut(&from_b(EXTERNAL), n.into(), &whole, IpProtocol::UDP, &[64, 1296]);
            let sent = order.iter().flat_map(|&at| workers.pass(WAN, &pieces[at])).collect();
            assert_eq!(seen(&joined(sent)).dst_port, 4000 + n);
        }
        let pieces = cut(&from_a(B), 99, &from_a(B).raw(GRE, &payload()), GRE, &[64, 1296]);
        let sent = order.iter().flat_map(|&at| workers.pass(LAN, &pieces[at])).collect();
        assert_eq!(joined(sent)[26..30], EXTERNAL);
        assert_eq!(workers.flows(), 11);
    }
}

#[test]
fn a_hairpin_and_its_answer_meet_wherever_the_mappings_are() {
    let mut workers = Workers::new(all_kinds());
    for n in 0..20 {
        let query = from_a2(B).udp(5000 + n, 53, b"x");
        let of_a2 = seen(&workers.sent(LAN, &query)).src_port;
        let hello = from_a(EXTERNAL).udp(4000 + n, of_a2, b"hello");
        let there = seen(&workers.sent(LAN, &hello));
        assert_eq!((there.src, there.dst, there.dst_port), (EXTERNAL, A2, 5000 + n));
        let hi = from_a2(EXTERNAL).udp(5000 + n, there.src_port, b"hi");
        let back = seen(&workers.sent(LAN, &hi));
        assert_eq!((back.src, back.src_port), (EXTERNAL, of_a2));
        assert_eq!((back.dst, back.dst_port), (A, 4000 + n));
    }
}
