//! What the builders write, read back by our views and by somebody else's parser.

use std::net::Ipv4Addr;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use portcullis_packet::Mac;
use portcullis_wire::build::{self, Frame, Tcp};
use portcullis_wire::{EtherType, IpProtocol, arp, ethernet, ipv4, ipv6, tcp, udp};
use proptest::prelude::*;

use crate::common::{DST4, DST6, SRC4, SRC6};

#[test]
fn an_ipv4_udp_frame_reads_as_it_was_built() {
    let frame = Frame::v4(SRC4, DST4).hops(9).traffic_class(0x2e << 2).identification(0x1234);
    let bytes = frame.dont_fragment().options(&[1, 1, 1]).udp(5353, 53, b"payload");
    let (ether_type, l3) = ethernet::network(&bytes).expect("a network header");
    assert_eq!((ether_type, l3), (EtherType::IPV4, 14));
    let eth = ethernet::Header::new(&bytes).expect("Ethernet");
    assert_eq!((eth.src(), eth.dst()), (build::SRC_MAC, build::DST_MAC));
    ipv4::Header::checked(&bytes[l3..]).expect("sound");
    let parts = ipv4::Parts::new(&bytes[l3..]).expect("well-formed");
    let ip = parts.header;
    assert_eq!((ip.src(), ip.dst(), ip.ttl(), ip.tos()), (SRC4, DST4, 9, 0xb8));
    assert_eq!((ip.identification(), ip.protocol()), (0x1234, IpProtocol::UDP));
    assert!(ip.dont_fragment() && !ip.more_fragments() && !ip.is_fragment() && ip.has_options());
    assert_eq!((parts.options, ip.header_len()), ([1, 1, 1, 0].as_slice(), 24));
    let header = udp::Header::new(parts.payload).expect("UDP");
    assert_eq!((header.src_port(), header.dst_port(), header.length()), (5353, 53, 15));
    assert_eq!(&parts.payload[udp::LEN..], b"payload");

    let theirs = SlicedPacket::from_ethernet(&bytes).expect("etherparse agrees");
    let Some(NetSlice::Ipv4(net)) = theirs.net else { panic!("not IPv4") };
    assert_eq!(net.header().to_header().calc_header_checksum(), ip.checksum());
    let Some(TransportSlice::Udp(datagram)) = theirs.transport else { panic!("not UDP") };
    let sum = datagram.to_header().calc_checksum_ipv4_raw(SRC4.octets(), DST4.octets(), b"payload");
    assert_eq!(sum.expect("fits"), header.checksum());
}

#[test]
fn an_ipv6_tcp_frame_reads_as_it_was_built() {
    let segment = Tcp { options: vec![2, 4, 5, 0xb4], ..Tcp::syn(40_000, 443) };
    let bytes =
        Frame::v6(SRC6, DST6).hops(3).flow_label(0xabcde).traffic_class(0x17).tcp(segment, b"");
    let header = ipv6::Header::new(&bytes[14..]).expect("well-formed");
    assert_eq!((header.src(), header.dst(), header.hop_limit()), (SRC6, DST6, 3));
    assert_eq!((header.flow_label(), header.traffic_class()), (0xabcde, 0x17));
    let upper = ipv6::upper(&bytes[14..]).expect("no extension headers");
    assert_eq!(upper, ipv6::Upper { protocol: IpProtocol::TCP, offset: 40, fragment: None });
    let header = tcp::Header::new(&bytes[54..]).expect("TCP");
    assert_eq!((header.src_port(), header.dst_port()), (40_000, 443));
    assert_eq!((header.header_len(), header.flags()), (24, tcp::Flags::SYN));

    let theirs = SlicedPacket::from_ethernet(&bytes).expect("etherparse agrees");
    let Some(TransportSlice::Tcp(segment)) = theirs.transport else { panic!("not TCP") };
    let sum = segment.to_header().calc_checksum_ipv6_raw(SRC6.octets(), DST6.octets(), b"");
    assert_eq!(sum.expect("fits"), header.checksum());
}

#[test]
fn an_ipv4_packet_is_refused_for_the_reason_it_deserves() {
    use ipv4::Malformed::{BadChecksum, BadHeader, Truncated};
    let good = Frame::v4(SRC4, DST4).udp(1, 2, b"abc").split_off(14);
    let refused = |change: fn(&mut Vec<u8>)| {
        let mut packet = good.clone();
        change(&mut packet);
        ipv4::Header::checked(&packet).expect_err("malformed")
    };
    assert_eq!(refused(|p| p.truncate(19)), Truncated);
    assert_eq!(refused(|p| p.truncate(30)), Truncated, "less than the total length");
    assert_eq!(refused(|p| p[0] = 0x65), BadHeader, "version 6");
    assert_eq!(refused(|p| p[0] = 0x44), BadHeader, "a header of 16 bytes");
    assert_eq!(refused(|p| p[2..4].copy_from_slice(&[0, 19])), BadHeader);
    assert_eq!(refused(|p| p[16] ^= 1), BadChecksum);
    let padded = [good.as_slice(), &[0xff; 9]].concat();
    assert!(ipv4::Header::checked(&padded).is_ok(), "padding is not the packet's");
    assert_eq!(ipv4::Parts::new(&padded).expect("well-formed").payload.len(), 11);
}

#[test]
fn tags_are_stepped_over_up_to_two() {
    let frame = Frame::v4(SRC4, DST4).udp(1, 2, b"");
    let one = build::tagged(&frame, EtherType::VLAN, 7);
    let two = build::tagged(&one, EtherType::SERVICE_VLAN, 8);
    let three = build::tagged(&two, EtherType::SERVICE_VLAN, 9);
    assert_eq!(ethernet::network(&one), Some((EtherType::IPV4, 18)));
    assert_eq!(ethernet::network(&two), Some((EtherType::IPV4, 22)));
    assert_eq!(ethernet::network(&three), Some((EtherType::VLAN, 22)));
    assert_eq!(ethernet::network(&one[..17]), None);
}

#[test]
fn arp_reads_as_it_was_built_and_only_for_ipv4_over_ethernet() {
    let (mac, ip) = (Mac([2, 0, 0, 0, 0, 9]), Ipv4Addr::new(10, 0, 0, 9));
    let frame = build::arp_reply((mac, ip), (build::SRC_MAC, SRC4));
    let message = arp::Message::new(&frame[14..]).expect("ARP");
    assert_eq!(message.operation(), arp::Operation::REPLY);
    assert_eq!((message.sender_mac(), message.sender_ip()), (mac, ip));
    assert_eq!((message.target_mac(), message.target_ip()), (build::SRC_MAC, SRC4));
    let request = build::arp_request(mac, ip, SRC4);
    let message = arp::Message::new(&request[14..]).expect("ARP");
    assert_eq!((message.operation(), message.target_ip()), (arp::Operation::REQUEST, SRC4));
    let mut odd = request.clone();
    odd[14 + 4] = 8;
    assert!(arp::Message::new(&odd[14..]).is_none());
}

/// Addresses and ports changed as a NAT would; every checksum must come out as if built so.
#[test]
fn rewritten_addresses_and_ports_leave_the_checksums_of_a_fresh_packet() {
    let new = Ipv4Addr::new(203, 0, 113, 200);
    let mut bytes = Frame::v4(SRC4, DST4).udp(5353, 53, b"x");
    let mut header = ipv4::Header::checked_mut(&mut bytes[14..]).expect("sound");
    header.set_src(new);
    let mut datagram = udp::Header::new_mut(&mut bytes[34..]).expect("UDP");
    datagram.set_src_port(60_000);
    datagram.update_checksum(|sum| {
        portcullis_wire::checksum::update_u32(sum, SRC4.to_bits(), new.to_bits())
    });
    assert_eq!(bytes, Frame::v4(new, DST4).udp(60_000, 53, b"x"));
}

fn extension() -> impl Strategy<Value = (IpProtocol, Vec<u8>)> {
    let kind = prop_oneof![
        Just(IpProtocol::DESTINATION_OPTIONS),
        Just(IpProtocol::ROUTING),
        Just(IpProtocol::MOBILITY),
    ];
    // Nothing but padding inside (Pad1), so that etherparse has nothing to object to.
    (kind, (0usize..40).prop_map(|len| vec![0; len]))
}

proptest! {
    #[test]
    fn the_walk_finds_the_upper_layer_behind_any_chain(
        chain in prop::collection::vec(extension(), 0..7),
        fragment in prop::option::of((0u16..8000, any::<bool>())),
        id in any::<u32>(),
    ) {
        let mut frame = Frame::v6(SRC6, DST6).identification(id);
        let mut offset = 40;
        for (kind, body) in &chain {
            frame = frame.extension(*kind, body);
            offset += (body.len() + 2).next_multiple_of(8);
        }
        if let Some((at, more)) = fragment {
            frame = frame.fragment(at * 8, more);
            offset += 8;
        }
        let bytes = frame.udp(1000, 2000, b"data");
        let upper = ipv6::upper(&bytes[14..]).expect("a chain");
        prop_assert_eq!((upper.protocol, upper.offset), (IpProtocol::UDP, offset));
        let start = offset as u16;
        let expected = fragment.map(|(at, more)| ipv6::Fragment { offset: at * 8, more, id, start });
        prop_assert_eq!(upper.fragment, expected);
    }

    #[test]
    fn no_bytes_make_a_view_or_the_walk_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(upper) = ipv6::upper(&bytes) {
            prop_assert!(upper.offset <= bytes.len());
        }
        if let Ok(parts) = ipv4::Parts::new(&bytes) {
            let whole = 20 + parts.options.len() + parts.payload.len();
            prop_assert_eq!(whole, usize::from(parts.header.total_len()));
        }
    }

    /// Ours is stricter than theirs nowhere: what etherparse takes for IPv4 or IPv6, so do we.
    #[test]
    fn what_etherparse_can_read_of_a_damaged_frame_so_can_we(
        at in 14usize..40, to in any::<u8>(), six in any::<bool>(),
    ) {
        let mut bytes = if six {
            Frame::v6(SRC6, DST6).udp(1, 2, b"12345678")
        } else {
            Frame::v4(SRC4, DST4).udp(1, 2, b"12345678")
        };
        bytes[at] = to;
        let theirs = SlicedPacket::from_ethernet(&bytes).is_ok();
        let ours = if six {
            ipv6::Header::new(&bytes[14..]).is_ok()
        } else {
            ipv4::Header::new(&bytes[14..]).is_ok()
        };
        prop_assert!(ours || !theirs);
    }
}

#[test]
fn a_chain_that_is_too_long_cut_short_or_out_of_order_has_its_error() {
    use ipv6::BadChain::{Malformed, Misplaced, TooLong, Truncated};
    let chain = |kinds: &[IpProtocol]| {
        kinds.iter().fold(Frame::v6(SRC6, DST6), |frame, &kind| frame.extension(kind, &[0; 6]))
    };
    let walk = |frame: &Frame| ipv6::upper(&frame.udp(1, 2, b"")[14..]);
    let dst = IpProtocol::DESTINATION_OPTIONS;
    assert!(walk(&chain(&[dst; 8])).is_ok());
    assert_eq!(walk(&chain(&[dst; 9])), Err(TooLong));
    assert!(walk(&chain(&[IpProtocol::HOP_BY_HOP, dst])).is_ok());
    assert_eq!(walk(&chain(&[dst, IpProtocol::HOP_BY_HOP])), Err(Misplaced));
    assert_eq!(walk(&chain(&[IpProtocol::FRAGMENT; 2])), Err(Misplaced));
    let mut bytes = chain(&[dst]).udp(1, 2, b"");
    bytes[14 + 40 + 1] = 2;
    assert_eq!(ipv6::upper(&bytes[14..]), Err(Truncated));
    assert_eq!(ipv6::upper(&bytes[14..40]), Err(Malformed(ipv6::Malformed::Truncated)));
    let bytes = chain(&[]).extension(IpProtocol::AUTHENTICATION, &[0; 22]).udp(1, 2, b"");
    assert_eq!(ipv6::upper(&bytes[14..]).expect("a chain").offset, 40 + 24);
}

#[test]
fn what_is_wrong_with_a_header_is_a_drop_reason() {
    use portcullis_packet::DropReason as Reason;
    assert_eq!(Reason::from(ipv4::Malformed::Truncated), Reason::Ip4Truncated);
    assert_eq!(Reason::from(ipv4::Malformed::BadHeader), Reason::Ip4BadHeader);
    assert_eq!(Reason::from(ipv4::Malformed::BadChecksum), Reason::Ip4BadChecksum);
    assert_eq!(Reason::from(ipv6::Malformed::Truncated), Reason::Ip6Truncated);
    assert_eq!(Reason::from(ipv6::Malformed::BadHeader), Reason::Ip6BadHeader);
    assert_eq!(Reason::from(ipv6::BadChain::Truncated), Reason::Ip6Truncated);
    assert_eq!(Reason::from(ipv6::BadChain::TooLong), Reason::Ip6BadHeader);
    assert_eq!(Reason::from(ipv6::BadChain::Misplaced), Reason::Ip6BadHeader);
    let malformed = ipv6::BadChain::Malformed(ipv6::Malformed::BadHeader);
    assert_eq!(Reason::from(malformed), Reason::Ip6BadHeader);
}
