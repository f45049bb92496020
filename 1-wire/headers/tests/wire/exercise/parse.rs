//! Every view and walk over any bytes.

use portcullis_wire::{EtherType, arp, ethernet, flow_hash, icmpv4, icmpv6, ipv4, ipv6, tcp, udp};

/// Reads a frame in every way there is; panics if a promise is broken.
pub(crate) fn exercise(frame: &[u8]) {
    for l3 in [0, 14, 18, frame.len()] {
        for is_v6 in [false, true] {
            assert_ne!(flow_hash(frame, l3, is_v6, 0), 0);
        }
    }
    let Some((ether_type, l3)) = ethernet::network(frame) else { return };
    let packet = &frame[l3..];
    match ether_type {
        EtherType::IPV4 => v4(packet),
        EtherType::IPV6 => v6(packet),
        EtherType::ARP => drop(arp::Message::new(packet)),
        _ => {}
    }
}

fn v4(packet: &[u8]) {
    let Ok(parts) = ipv4::Parts::new(packet) else { return };
    let len = ipv4::LEN + parts.options.len() + parts.payload.len();
    assert_eq!(len, usize::from(parts.header.total_len()));
    transport(parts.payload);
    let mut forwarded = packet.to_vec();
    if let Ok(mut header) = ipv4::Header::checked_mut(&mut forwarded)
        && header.decrement_ttl()
    {
        assert!(ipv4::is_sound(&forwarded), "a sound header stays sound");
    }
}

fn v6(packet: &[u8]) {
    let Ok(upper) = ipv6::upper(packet) else { return };
    let parts = ipv6::Parts::new(packet).expect("the walk checks the header");
    assert!(upper.offset <= ipv6::LEN + parts.payload.len());
    assert_eq!(ipv6::quoted_upper(packet), Ok(upper), "less is asked of a quote");
    transport(&packet[upper.offset..]);
}

fn transport(bytes: &[u8]) {
    if let Some(header) = tcp::Header::new(bytes) {
        assert!((tcp::LEN..=bytes.len()).contains(&header.header_len()));
    }
    assert_eq!(udp::Header::new(bytes).is_some(), bytes.len() >= udp::LEN);
    assert_eq!(icmpv4::Header::new(bytes).is_some(), bytes.len() >= icmpv4::LEN);
    assert_eq!(icmpv6::Header::new(bytes).is_some(), bytes.len() >= icmpv6::LEN);
}
