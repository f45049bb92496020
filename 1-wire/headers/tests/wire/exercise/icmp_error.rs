//! Any frame turned into an ICMP error.

use std::net::{Ipv4Addr, Ipv6Addr};

use portcullis_packet::Packet;
use portcullis_wire::checksum::Sum;
use portcullis_wire::icmp_error::{
    Icmp4Error, Icmp6Error, MAX_V4, MAX_V6, may_answer_v4, may_answer_v6, rewrite_v4, rewrite_v6,
};
use portcullis_wire::{EtherType, IpProtocol, ethernet, ipv4, ipv6};

/// Makes the error about a frame, if it may be made, and an error about that, which never may.
pub(crate) fn exercise(frame: &[u8]) {
    let Some((ether_type, l3)) = ethernet::network(frame) else { return };
    match ether_type {
        EtherType::IPV4 => v4(frame, l3),
        EtherType::IPV6 => v6(frame, l3),
        _ => {}
    }
}

fn v4(frame: &[u8], l3: usize) {
    let mut packet = Packet::from_bytes(frame);
    let may = may_answer_v4(&frame[l3..], false);
    let source = Ipv4Addr::new(192, 0, 2, 1);
    let error = Icmp4Error::FragmentationNeeded { mtu: 1300 };
    let made = rewrite_v4(&mut packet, l3, error, source, 64).is_ok();
    assert!(made || !may, "what may be answered can be");
    if made {
        let answer = &packet.data()[14..];
        ipv4::Header::checked(answer).expect("sound");
        let parts = ipv4::Parts::new(answer).expect("sound");
        assert!(answer.len() <= MAX_V4 && parts.payload.len() + 20 == answer.len());
        assert!(Sum::of(parts.payload).is_sound());
        assert_eq!(parts.header.protocol(), IpProtocol::ICMP);
        assert!(!may_answer_v4(answer, false));
    }
}

fn v6(frame: &[u8], l3: usize) {
    let mut packet = Packet::from_bytes(frame);
    let error = Icmp6Error::PacketTooBig { mtu: 1300 };
    let may = may_answer_v6(&frame[l3..], false, error);
    let source = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    let made = rewrite_v6(&mut packet, l3, error, source, 64).is_ok();
    assert!(made || !may, "what may be answered can be");
    if made {
        let answer = &packet.data()[14..];
        let parts = ipv6::Parts::new(answer).expect("sound");
        assert!(answer.len() <= MAX_V6 && parts.payload.len() + 40 == answer.len());
        let pseudo = parts.header.pseudo_sum(IpProtocol::ICMPV6, parts.payload.len() as u32);
        assert!((pseudo + Sum::of(parts.payload)).is_sound());
        assert!(!may_answer_v6(answer, false, error));
    }
}
