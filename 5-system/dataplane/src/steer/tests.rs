use super::*;
use ipnet::Ipv4Net;
use portcullis_nat::{Filtering, MasqueradeSpec, NatPolicy, NatSpec};
use portcullis_packet::{DropReason, IfIndex, Mac};
use portcullis_wire::IpProtocol;
use portcullis_wire::build::{self, Echo, Frame, Tcp};
use std::net::IpAddr;

const WORKERS: u16 = 4;

/// Two ends of flows: each of the other family's kind in turn, so that both are tried.
fn ends(n: u8) -> (IpAddr, IpAddr) {
    if n.is_multiple_of(2) {
        ([10, 0, 0, n].into(), [192, 0, 2, n / 3].into())
    } else {
        let address = |net: u16| [0x2001, 0xdb8, net, 0, 0, 0, 0, u16::from(n)].into();
        (address(1), address(2))
    }
}

fn policy(spec: NatSpec) -> SteerByFlow {
    SteerByFlow::new(Arc::new(Steering::new(&NatPolicy::new(spec), WORKERS, 0x5eed)))
}

fn plain() -> SteerByFlow {
    policy(NatSpec::default())
}

fn worker(steer: &SteerByFlow, frame: &[u8]) -> Option<WorkerId> {
    steer.worker(&Packet::from_bytes(frame))
}

fn with_ports(steer: &SteerByFlow, frame: &[u8], ports: Ports) -> Option<WorkerId> {
    let mut packet = Packet::from_bytes(frame);
    packet.meta_mut().ports = ports;
    steer.worker(&packet)
}

/// The error that the far end of a packet answers it with.
fn error(from: IpAddr, to: IpAddr, quoted: &[u8]) -> Vec<u8> {
    let kind = if from.is_ipv4() { 3 } else { 1 };
    Frame::between(from, to).icmp(kind, 4, [0; 4], quoted)
}

/// A masquerade of 10.0.0.0/8 behind 198.51.100.1.
fn masquerade() -> SteerByFlow {
    let external = u32::from_be_bytes([198, 51, 100, 1]);
    policy(NatSpec {
        masquerades: vec![MasqueradeSpec {
            sources: vec!["10.0.0.0/8".parse::<Ipv4Net>().expect("a network")],
            except: vec![],
            out: IfIndex(1),
            pool: vec![external..=external],
            ports: 1024..=65535,
            filtering: Filtering::default(),
            ports_per_source: 0,
            block_size: None,
        }],
        ..NatSpec::default()
    })
}

#[test]
fn both_directions_of_a_flow_and_its_errors_go_to_one_worker_and_flows_to_many() {
    let steer = plain();
    let mut seen = [0; WORKERS as usize];
    for n in 0..100 {
        let (one, other) = ends(n);
        let (there, back) = (Frame::between(one, other), Frame::between(other, one));
        let port = 1000 + u16::from(n);
        let home = worker(&steer, &there.tcp(Tcp::syn(port, 80), b"")).expect("an IP packet");
        assert_eq!(worker(&steer, &back.tcp(Tcp::data(80, port, 7), b"data")), Some(home));
        let sent = there.tcp(Tcp::data(port, 80, 1), b"");
        let quoted = sent.get(ethernet::LEN..).expect("an IP packet");
        assert_eq!(worker(&steer, &error(other, one, quoted)), Some(home), "{one}");
        // A router on the way says the same.
        let router = if one.is_ipv4() { [203, 0, 113, 7].into() } else { ends(255).1 };
        assert_eq!(worker(&steer, &error(router, one, quoted)), Some(home), "{one}");
        seen[usize::from(home.0)] += 1;
    }
    assert!(seen.iter().all(|&flows| flows > 5), "{seen:?}");
}

#[test]
fn an_error_about_what_was_translated_goes_to_the_worker_that_translated_it() {
    let steer = masquerade();
    let (host, outside, external) = ([10, 0, 0, 7], [203, 0, 113, 9], [198, 51, 100, 1]);
    let home = worker(&steer, &Frame::v4(host, outside).udp(5000, 53, b"?")).expect("steered");
    let of = |port| {
        let reply = Frame::v4(outside, external).udp(53, port, b"!");
        worker(&steer, &reply).expect("steered")
    };
    let port = (1024..).step_by(64).find(|&port| of(port) == home).expect("one of its own");
    let left = Frame::v4(external, outside).udp(port, 53, b"?");
    let error = error(outside.into(), external.into(), &left[ethernet::LEN..]);
    assert_eq!(worker(&steer, &error), Some(home));
}

#[test]
fn queries_and_answers_of_icmp_go_to_one_worker() {
    let steer = plain();
    for n in 0..40 {
        let (one, other) = ends(n);
        let request = Frame::between(one, other).echo(Echo::Request, n.into(), 1, b"ping");
        let reply = Frame::between(other, one).echo(Echo::Reply, n.into(), 1, b"ping");
        assert_eq!(worker(&steer, &request), worker(&steer, &reply));
        assert!(worker(&steer, &request).is_some());
    }
}

#[test]
fn all_fragments_go_one_way_and_with_ports_that_are_known_to_the_flows_worker() {
    let steer = masquerade();
    let mut apart = 0;
    for n in 0..100 {
        // Where ports decide: from outside to an external address.
        let (remote, external) = ([203, 0, 113, n], [198, 51, 100, 1]);
        let ports = Ports { src: 53, dst: 1024 + 64 * u16::from(n) };
        let frame = Frame::v4(remote, external);
        let home = worker(&steer, &frame.udp(ports.src, ports.dst, &[0; 64]));
        let first = frame.clone().fragment(0, true).udp(ports.src, ports.dst, &[0; 64]);
        let later = frame.clone().fragment(72, false).raw(IpProtocol::UDP, &[0; 12]);
        assert_eq!(worker(&steer, &first), worker(&steer, &later));
        apart += u32::from(worker(&steer, &first) != home);
        assert_eq!(with_ports(&steer, &first, ports), home);
        assert_eq!(with_ports(&steer, &later, ports), home);
    }
    assert!(apart > 20, "ports make no difference");
}

#[test]
fn a_fragment_that_has_no_ports_goes_to_the_worker_of_the_whole_packet() {
    let steer = masquerade();
    for n in 0..40 {
        let frame = Frame::v4([203, 0, 113, n], [198, 51, 100, 1]);
        let whole = worker(&steer, &frame.raw(IpProtocol(47), &[0; 64]));
        let later = frame.fragment(64, false).raw(IpProtocol(47), &[0; 64]);
        assert_eq!(with_ports(&steer, &later, NO_PORTS), whole);
        assert!(whole.is_some());
    }
}

#[test]
fn the_padding_of_a_short_frame_is_no_part_of_a_fragment() {
    let steer = plain();
    let frame = Frame::v4([10, 0, 0, 1], [10, 0, 0, 2]);
    let mut first = frame.clone().fragment(0, true).udp(1, 2, &[0; 8]);
    let expected = worker(&steer, &first);
    first.resize(60, 0);
    assert_eq!(worker(&steer, &first), expected);
    assert!(expected.is_some());
}

#[test]
fn a_super_frame_whose_length_is_not_said_is_steered_like_others() {
    let steer = plain();
    let (one, other) = ends(1);
    let mut frame = Frame::between(one, other).tcp(Tcp::data(9, 10, 1), &[0; 100]);
    let expected = worker(&steer, &frame);
    frame[ethernet::LEN + 4..ethernet::LEN + 6].fill(0);
    assert_eq!(worker(&steer, &frame), expected);
    assert!(expected.is_some());
}

#[test]
fn errors_that_quote_nothing_readable_go_to_one_worker_all_the_same() {
    let steer = plain();
    for n in 0..20 {
        let (one, other) = ends(n);
        let short = error(other, one, &[0x45; 12]);
        assert!(worker(&steer, &short).is_some());
        assert_eq!(worker(&steer, &short), worker(&steer, &error(one, other, &[])));
    }
}

#[test]
fn what_is_no_ip_packet_or_is_sent_to_a_group_stays_where_it_is() {
    let steer = plain();
    let whole = Frame::v4([10, 0, 0, 1], [10, 0, 0, 2]).udp(1, 2, b"whole");
    assert!(worker(&steer, &whole).is_some());
    let arp = build::arp_request(Mac([2; 6]), [10, 0, 0, 1].into(), [10, 0, 0, 2].into());
    assert_eq!(worker(&steer, &arp), None);
    let group =
        Frame::v4([10, 0, 0, 1], [224, 0, 0, 5]).macs(Mac([2; 6]), Mac([1, 0, 0x5e, 0, 0, 5]));
    assert_eq!(worker(&steer, &group.udp(1, 2, b"to many")), None);
    for len in 0..whole.len() {
        assert_eq!(worker(&steer, &whole[..len]), None, "{len} bytes");
    }
    let mut wrong = whole;
    // A UDP length beyond the packet's end: the pipeline drops it by name.
    wrong[ethernet::LEN + 20 + 4] = 0xff;
    assert_eq!(dissect::v4(&wrong), Err(DropReason::TransportMalformed));
    assert_eq!(worker(&steer, &wrong), None);
}

#[test]
fn a_packet_is_steered_by_the_tuple_of_its_direction() {
    let tuple = |frame: &[u8], known| {
        let seen = dissect::v4(frame).expect("a sound packet");
        flow(frame, &seen, known, dissect::quoted_v4)
    };
    let (one, other) = ([10, 0, 0, 1], [10, 0, 0, 2]);
    let (there, back) = (Frame::v4(one, other), Frame::v4(other, one));
    let (sent, reply) = (there.udp(7, 9, b"quoted"), back.udp(9, 7, b"answer"));
    let quote = sent.get(ethernet::LEN..).expect("a packet");
    let answered = error(other.into(), one.into(), quote);
    assert_eq!(tuple(&answered, Ports::NONE), tuple(&reply, Ports::NONE));
    let unreadable = tuple(&error(other.into(), one.into(), &[0; 8]), Ports::NONE);
    assert_eq!((unreadable.ports, unreadable.protocol), (Ports::NONE, IpProtocol::ICMP));
    let later = there.fragment(64, false).udp(7, 9, b"not a header");
    assert_eq!(tuple(&later, NO_PORTS).ports, Ports::NONE);
    let known = Ports { src: 3, dst: 4 };
    assert_eq!((tuple(&later, known).ports, tuple(&sent, known).ports.src), (known, 7));
}
