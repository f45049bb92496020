//! Our decoder against messages of a kernel and of somebody else's encoder, and our encoder against
//! somebody else's parser.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAttribute, RouteMessage, RouteMetric, RouteNextHop, RouteNextHopFlags, RouteProtocol,
    RouteType, RouteVia,
};
use portcullis_packet::Mac;
use proptest::prelude::*;

use super::*;
use crate::event::{
    Address, Event, KernelIndex, Link, Neighbor, NeighborKey, NeighborState, Object, ObjectId,
    Path, Placement, Protocol, Route, Table, Target,
};
use crate::request::{LinkChange, Request, Router, StaticAction, StaticRoute};

fn answers(datagram: &[u8]) -> Vec<Answer> {
    let messages = Messages(datagram).map(|message| message.expect("a message"));
    messages.map(|(header, body)| decode(header, body).expect("it makes sense")).collect()
}

/// What we make of somebody else's message.
fn event(message: RouteNetlinkMessage, flags: u16) -> Answer {
    let mut message = NetlinkMessage::from(message);
    message.finalize();
    message.header.flags = flags;
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    answers(&bytes).remove(0)
}

/// What somebody else makes of our request.
fn parsed(request: &Request) -> RouteNetlinkMessage {
    let mut encoder = Encoder::default();
    let bytes = encoder.request(request, 7).to_vec();
    let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&bytes).expect("a message");
    assert_eq!(message.header.sequence_number, 7);
    match message.payload {
        NetlinkPayload::InnerMessage(inner) => inner,
        other => panic!("{other:?}"),
    }
}

fn v4(address: [u8; 4]) -> IpAddr {
    address.into()
}

fn route_message(to: [u8; 4], length: u8) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = netlink_packet_route::AddressFamily::Inet;
    message.header.destination_prefix_length = length;
    message.header.table = 254;
    message.header.protocol = RouteProtocol::Bgp;
    message.header.kind = RouteType::Unicast;
    message.attributes.push(RouteAttribute::Destination(Ipv4Addr::from(to).into()));
    message
}

fn gateway(address: [u8; 4]) -> RouteAttribute {
    RouteAttribute::Gateway(Ipv4Addr::from(address).into())
}

fn target(message: RouteMessage) -> Option<Target> {
    match event(RouteNetlinkMessage::NewRoute(message), 0) {
        Answer::Event(Event::Route(route, _)) => Some(route.target),
        Answer::Nothing => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_route_is_read_with_all_that_matters() {
    let mut message = route_message([198, 51, 100, 0], 24);
    message.attributes.extend([
        gateway([10, 0, 0, 2]),
        RouteAttribute::Oif(3),
        RouteAttribute::Priority(20),
        RouteAttribute::Metrics(vec![RouteMetric::Lock(4), RouteMetric::Mtu(1400)]),
    ]);
    let path = Path { index: KernelIndex(3), gateway: Some(v4([10, 0, 0, 2])) };
    let route = Route {
        table: Table::Main,
        prefix: "198.51.100.0/24".parse().unwrap(),
        metric: 20,
        protocol: Protocol(186),
        target: Target::Via(path),
        mtu: Some(1400),
    };
    let flags = |flags: i32| u16::try_from(flags).unwrap();
    for (flags, placement) in [
        (flags(libc::NLM_F_CREATE | libc::NLM_F_EXCL), Placement::First),
        (flags(libc::NLM_F_CREATE | libc::NLM_F_APPEND), Placement::Last),
        (flags(libc::NLM_F_CREATE | libc::NLM_F_REPLACE), Placement::Replace),
        (flags(libc::NLM_F_MULTI), Placement::Dumped),
    ] {
        let answer = event(RouteNetlinkMessage::NewRoute(message.clone()), flags);
        assert_eq!(answer, Answer::Event(Event::Route(route.clone(), placement)));
    }
    let answer = event(RouteNetlinkMessage::DelRoute(message), 0);
    assert_eq!(answer, Answer::Event(Event::RouteGone(route)));
}

#[test]
fn the_paths_of_a_route_are_read_with_their_weights() {
    let mut message = route_message([198, 51, 100, 0], 24);
    let mut next_hop = RouteNextHop::default();
    next_hop.interface_index = 3;
    next_hop.attributes = vec![gateway([10, 0, 0, 2])];
    let mut other = next_hop.clone();
    other.hops = 2;
    other.attributes = vec![RouteAttribute::Via(RouteVia::Inet6(Ipv6Addr::LOCALHOST))];
    message.attributes.push(RouteAttribute::MultiPath(vec![next_hop.clone(), other]));
    let path = |gateway| Path { index: KernelIndex(3), gateway: Some(gateway) };
    let paths = [(path(v4([10, 0, 0, 2])), 1), (path(IpAddr::from(Ipv6Addr::LOCALHOST)), 3)];
    assert_eq!(target(message), Some(Target::Multipath(paths.into())));
    let mut message = route_message([198, 51, 100, 0], 24);
    message.attributes.push(RouteAttribute::MultiPath(vec![next_hop]));
    assert_eq!(target(message), Some(Target::Via(path(v4([10, 0, 0, 2])))));
}

#[test]
fn an_object_counts_more_than_the_paths_that_repeat_it() {
    let mut message = route_message([198, 51, 100, 0], 24);
    message.attributes.extend([gateway([10, 0, 0, 2]), RouteAttribute::Oif(3)]);
    message.attributes.push(RouteAttribute::NhId(10));
    assert_eq!(target(message.clone()), Some(Target::Object(ObjectId(10))));
    message.header.kind = RouteType::BlackHole;
    assert_eq!(target(message), Some(Target::Object(ObjectId(10))));
}

#[test]
fn every_type_of_route_is_known_and_what_is_none_is_left_out() {
    let kinds = [
        (RouteType::Local, Some(Target::Local)),
        (RouteType::Anycast, Some(Target::Local)),
        (RouteType::Broadcast, Some(Target::Broadcast(KernelIndex(3)))),
        (RouteType::Multicast, Some(Target::Multicast)),
        (RouteType::BlackHole, Some(Target::Blackhole)),
        (RouteType::Unreachable, Some(Target::Unreachable)),
        (RouteType::Prohibit, Some(Target::Prohibit)),
        (RouteType::Throw, Some(Target::Throw)),
        (RouteType::Nat, None),
    ];
    for (kind, wanted) in kinds {
        let mut message = route_message([198, 51, 100, 0], 24);
        message.header.kind = kind;
        message.attributes.push(RouteAttribute::Oif(3));
        assert_eq!(target(message), wanted, "{kind:?}");
    }
    let mut other_table = route_message([198, 51, 100, 0], 24);
    other_table.attributes.push(RouteAttribute::Table(1000));
    assert_eq!(target(other_table), None);
    let mut for_a_tos = route_message([198, 51, 100, 0], 24);
    for_a_tos.header.tos = 4;
    assert_eq!(target(for_a_tos), None);
    let mut encapsulated = route_message([198, 51, 100, 0], 24);
    let mpls = netlink_packet_route::route::RouteLwEnCapType::Mpls;
    encapsulated.attributes.extend([RouteAttribute::Oif(3), RouteAttribute::EncapType(mpls)]);
    assert_eq!(target(encapsulated), Some(Target::Unsupported));
}

#[test]
fn links_addresses_and_neighbours_are_read() {
    let mut link = LinkMessage::default();
    link.header.index = 3;
    link.header.flags = LinkFlags::Up;
    link.attributes = vec![
        LinkAttribute::IfName("wan".into()),
        LinkAttribute::Address(vec![2, 0, 0, 0, 0, 1]),
        LinkAttribute::Mtu(1400),
        LinkAttribute::Carrier(1),
    ];
    let wanted = Link {
        index: KernelIndex(3),
        name: "wan".into(),
        mac: Mac([2, 0, 0, 0, 0, 1]),
        mtu: 1400,
        up: true,
        carrier: true,
    };
    let answer = event(RouteNetlinkMessage::NewLink(link.clone()), 0);
    assert_eq!(answer, Answer::Event(Event::Link(wanted)));
    let answer = event(RouteNetlinkMessage::DelLink(link), 0);
    assert_eq!(answer, Answer::Event(Event::LinkGone(KernelIndex(3))));

    let mut address = AddressMessage::default();
    address.header.family = netlink_packet_route::AddressFamily::Inet;
    address.header.index = 3;
    address.header.prefix_len = 24;
    address.attributes = vec![
        AddressAttribute::Address(v4([10, 0, 0, 9])),
        AddressAttribute::Local(v4([10, 0, 0, 1])),
    ];
    let net = "10.0.0.1/24".parse().unwrap();
    let (index, protocol) = (KernelIndex(3), Protocol(0));
    let wanted = Address { index, net, flags: 0, protocol };
    let answer = event(RouteNetlinkMessage::NewAddress(address), 0);
    assert_eq!(answer, Answer::Event(Event::Address(wanted)));

    let mut neighbor = NeighbourMessage::default();
    neighbor.header.family = netlink_packet_route::AddressFamily::Inet;
    neighbor.header.ifindex = 3;
    neighbor.header.state = NeighbourState::Stale;
    neighbor.attributes = vec![
        NeighbourAttribute::Destination(NeighbourAddress::Inet([10, 0, 0, 2].into())),
        NeighbourAttribute::LinkLayerAddress(vec![2, 0, 0, 0, 0, 2]),
    ];
    let key = NeighborKey { index, address: v4([10, 0, 0, 2]) };
    let (state, mac) = (NeighborState::Stale, Some(Mac([2, 0, 0, 0, 0, 2])));
    let answer = event(RouteNetlinkMessage::NewNeighbour(neighbor.clone()), 0);
    assert_eq!(answer, Answer::Event(Event::Neighbor(Neighbor { key, state, mac })));
    neighbor.header.flags = NeighbourFlags::Proxy;
    assert_eq!(event(RouteNetlinkMessage::NewNeighbour(neighbor), 0), Answer::Nothing);
}

/// `ip nexthop` on Linux 6.18: one by one an IPv4 and an IPv6 router, a blackhole, another IPv4
/// router, a group of two with weights 3 and 200, a resilient group, the end of the dump.
fn recorded() -> Vec<u8> {
    const BODIES: [&[u8]; 6] = [
        b"\x02\xfd\0\0\0\0\0\0\x08\0\x01\0\x01\0\0\0\x08\0\x05\0\x03\0\0\0\x08\0\x06\0\x0a\0\0\x02",
        b"\x0a\xfd\0\0\0\0\0\0\x08\0\x01\0\x02\0\0\0\x08\0\x05\0\x03\0\0\0\x14\0\x06\0\x20\x01\x0d\
          \xb8\0\0\0\0\0\0\0\0\0\0\0\x02",
        b"\x02\0\0\0\0\0\0\0\x08\0\x01\0\x03\0\0\0\x04\0\x04\0",
        b"\x02\xfd\0\0\0\0\0\0\x08\0\x01\0\x04\0\0\0\x08\0\x05\0\x03\0\0\0\x08\0\x06\0\x0a\0\0\x03",
        b"\0\0\0\0\0\0\0\0\x08\0\x01\0\x0a\0\0\0\x06\0\x03\0\0\0\0\0\x14\0\x02\0\x01\0\0\0\x02\0\0\
          \0\x04\0\0\0\xc7\0\0\0\x08\0\x0e\0\0\0\0\x80",
        b"\0\0\0\0\0\0\0\0\x08\0\x01\0\x0b\0\0\0\x06\0\x03\0\x01\0\0\0\x14\0\x02\0\x01\0\0\0\0\0\0\
          \0\x04\0\0\0\0\0\0\0\x28\0\x0c\x80\x06\0\x01\0\x08\0\0\0\x08\0\x02\0\xe0\x2e\0\0\x08\0\
          \x03\0\0\0\0\0\x0c\0\x04\0\0\0\0\0\0\0\0\0\x08\0\x0e\0\0\0\0\x80",
    ];
    let bodies = BODIES.iter().map(|body| (104_u16, *body));
    let mut datagram = vec![];
    for (kind, body) in bodies.chain([(3, &[0_u8; 4][..])]) {
        datagram.extend((16 + u32::try_from(body.len()).unwrap()).to_ne_bytes());
        datagram.extend(kind.to_ne_bytes());
        datagram.extend(2_u16.to_ne_bytes());
        datagram.extend([0; 8]);
        datagram.extend(body);
    }
    datagram
}

#[test]
fn nexthop_objects_are_read_as_a_kernel_wrote_them() {
    let id = ObjectId;
    let via = |gateway: &str| {
        let gateway = Some(gateway.parse().unwrap());
        Object::Via(Path { index: KernelIndex(3), gateway })
    };
    let wanted = [
        (id(1), via("10.0.0.2")),
        (id(2), via("2001:db8::2")),
        (id(3), Object::Blackhole),
        (id(4), via("10.0.0.3")),
        (id(10), Object::Group([(id(1), 3), (id(4), 200)].into())),
        (id(11), Object::Group([(id(1), 1), (id(4), 1)].into())),
    ];
    let mut answers = answers(&recorded());
    assert_eq!(answers.pop(), Some(Answer::Done));
    let wanted: Vec<_> = wanted.map(|(id, object)| Answer::Event(Event::Object(id, object))).into();
    assert_eq!(answers, wanted);
}

#[test]
fn a_refusal_is_read_with_the_kernels_reason() {
    // NLM_F_CAPPED | NLM_F_ACK_TLVS: the request's header only, then attributes.
    let reason = b"Nexthop id does not exist.\0";
    let mut bytes = vec![];
    let attribute = u16::try_from(4 + reason.len()).unwrap();
    let length = 16 + 4 + 16 + u32::from(attribute).next_multiple_of(4);
    bytes.extend(length.to_ne_bytes());
    bytes.extend(2_u16.to_ne_bytes());
    bytes.extend(0x300_u16.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend((-libc::EINVAL).to_ne_bytes());
    bytes.extend(100_u32.to_ne_bytes());
    bytes.extend([0; 12]);
    bytes.extend(attribute.to_ne_bytes());
    bytes.extend(1_u16.to_ne_bytes());
    bytes.extend(reason);
    bytes.resize(length as usize, 0);
    let reason = Some("Nexthop id does not exist.".into());
    assert_eq!(answers(&bytes), [Answer::Acknowledged(libc::EINVAL, reason)]);
}

#[test]
fn others_understand_our_requests() {
    let index = KernelIndex(3);
    let change = LinkChange::Mtu(1400);
    let RouteNetlinkMessage::SetLink(link) = parsed(&Request::SetLink { index, change }) else {
        panic!("no change of a link")
    };
    assert_eq!((link.header.index, link.attributes), (3, vec![LinkAttribute::Mtu(1400)]));

    let net = "2001:db8::1/64".parse().unwrap();
    let request = Request::AddAddress { index, net };
    let RouteNetlinkMessage::NewAddress(address) = parsed(&request) else { panic!("no address") };
    assert_eq!((address.header.index, address.header.prefix_len), (3, 64));
    assert!(address.attributes.contains(&AddressAttribute::Local(net.addr())));

    let key = NeighborKey { index, address: v4([10, 0, 0, 2]) };
    let RouteNetlinkMessage::NewNeighbour(neighbor) = parsed(&Request::Probe(key)) else {
        panic!("no neighbour")
    };
    assert_eq!(neighbor.header.flags, NeighbourFlags::Use);
    assert_eq!((neighbor.header.ifindex, neighbor.header.state), (3, NeighbourState::None));
    let destination = NeighbourAddress::Inet([10, 0, 0, 2].into());
    assert_eq!(neighbor.attributes, [NeighbourAttribute::Destination(destination)]);
}

#[test]
fn a_static_route_reads_back_as_what_it_was() {
    let on_link = Some(KernelIndex(3));
    let routers = vec![
        Router { address: v4([10, 0, 0, 2]), on_link },
        Router { address: "2001:db8::2".parse().unwrap(), on_link: None },
    ];
    let to = "198.51.100.0/24".parse().unwrap();
    let route = StaticRoute { to, action: StaticAction::Via(routers) };
    let request = Request::SetRoute { route, replace: true };
    let RouteNetlinkMessage::NewRoute(message) = parsed(&request) else { panic!("no route") };
    assert_eq!(message.header.protocol, RouteProtocol::from(Protocol::OURS.0));
    let next_hops = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::MultiPath(next_hops) => Some(next_hops),
        _ => None,
    });
    let next_hops = next_hops.expect("several paths");
    assert_eq!(next_hops[0].attributes, [gateway([10, 0, 0, 2])]);
    assert_eq!((next_hops[0].interface_index, next_hops[1].interface_index), (3, 0));
    assert_eq!(next_hops[0].flags, RouteNextHopFlags::Onlink);
    assert!(next_hops[1].flags.is_empty());
    let via = RouteVia::Inet6("2001:db8::2".parse().unwrap());
    assert_eq!(next_hops[1].attributes, [RouteAttribute::Via(via)]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_arrives_makes_the_decoder_panic(
        kind in 0_u16..110,
        flags in any::<u16>(),
        body in prop::collection::vec(any::<u8>(), 0..200),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
    ) {
        let header = Header { kind, flags, sequence: 0 };
        let _ = decode(header, &body);
        let mut recorded = recorded();
        for (at, byte) in damage {
            let at = at.index(recorded.len());
            recorded[at] = byte;
        }
        for (header, body) in Messages(&recorded).flatten() {
            let _ = decode(Header { kind, ..header }, body);
            let _ = decode(header, body);
        }
    }
}
