//! Any frame taken apart, translated there and back, and answered for.

use portcullis_packet::{Mac, Offload, Packet, Ports};
use portcullis_wire::checksum::Sum;
use portcullis_wire::dissect::{self, Dissected, Kind};
use portcullis_wire::rewrite::{Rewrite4, translate_error4, translate_error6};
use portcullis_wire::{EtherType, IpProtocol, Tuple, ethernet, ipv4, mss, proxy, reset};

/// What is translated must read as what it was translated to, keep its checksums, and come back the same.
pub(crate) fn exercise(frame: &[u8]) {
    let _ = (proxy::arp_target(frame), proxy::nd_target(frame));
    let mac = Mac([2, 0, 0, 0, 0, 1]);
    let answered = proxy::answer_arp(&mut Packet::from_bytes(frame), mac);
    assert!(!answered || proxy::arp_target(frame).is_some());
    let answered = proxy::answer_nd(&mut Packet::from_bytes(frame), mac);
    assert!(!answered || proxy::nd_target(frame).is_some());
    match ethernet::network(frame) {
        Some((EtherType::IPV4, ethernet::LEN)) => v4(frame),
        Some((EtherType::IPV6, ethernet::LEN)) => v6(frame),
        _ => {}
    }
}

fn v4(frame: &[u8]) {
    let l3 = &frame[ethernet::LEN..];
    if ipv4::Header::checked(l3).is_err() {
        return;
    }
    let Ok(seen) = dissect::v4(frame) else { return };
    let upper = usize::from(seen.upper);
    let to = Tuple { src: 0xc633_6401, dst: 0xcb00_7102, ..seen.tuple };
    if seen.kind == Kind::IcmpError {
        error4(frame, upper, &seen);
        return;
    }
    let has_ports = seen.tuple.ports != Ports::default() && seen.fragment.is_none();
    let to = match seen.kind {
        Kind::Tcp | Kind::Udp if has_ports => Tuple { ports: Ports { src: 4000, dst: 5 }, ..to },
        _ => to,
    };
    let was_sound = transport_is_sound(frame, &seen);
    let mut there = frame.to_vec();
    let later = seen.fragment.is_some_and(|part| part.offset > 0);
    let protocol = seen.tuple.protocol;
    let translate = |frame: &mut [u8], from: &Tuple<u32>, to: &Tuple<u32>| {
        Rewrite4::new(from, to).apply(frame, upper, protocol, Offload::NONE, later);
    };
    translate(&mut there, &seen.tuple, &to);
    assert!(ipv4::Header::checked(&there[ethernet::LEN..]).is_ok(), "the header is sound");
    let now = dissect::v4(&there).expect("what was whole is whole");
    assert_eq!((now.tuple, now.kind, now.fragment), (to, seen.kind, seen.fragment));
    assert_eq!(transport_is_sound(&there, &now), was_sound, "as sound as before");
    translate(&mut there, &to, &seen.tuple);
    let back = dissect::v4(&there).expect("what was whole is whole");
    assert_eq!(back, seen);
    // Zero and ones are one number to a checksum, so it may not come back the same; all else does.
    let differs = there.iter().zip(frame).filter(|(now, before)| now != before).count();
    assert!(differs <= 4, "only checksums differ: {there:x?} {frame:x?}");
    if seen.kind == Kind::Tcp && !later {
        tcp(frame, upper);
    }
}

/// Whether a whole TCP or UDP packet has the checksum that its bytes ask for; true of all others.
fn transport_is_sound(frame: &[u8], seen: &Dissected<u32>) -> bool {
    let whole = seen.fragment.is_none() && matches!(seen.kind, Kind::Tcp | Kind::Udp);
    let Ok(parts) = ipv4::Parts::new(&frame[ethernet::LEN..]) else { return true };
    let is_none = seen.kind == Kind::Udp && parts.payload.get(6..8) == Some(&[0, 0]);
    if !whole || is_none {
        return true;
    }
    let length = parts.payload.len() as u16;
    let (src, dst) = (seen.tuple.src.into(), seen.tuple.dst.into());
    (Sum::pseudo_v4(src, dst, seen.tuple.protocol, length) + Sum::of(parts.payload)).is_sound()
}

fn error4(frame: &[u8], upper: usize, seen: &Dissected<u32>) {
    let Some(quoted) = dissect::quoted_v4(frame, upper) else { return };
    let end = ethernet::LEN + usize::from(u16::from_be_bytes([frame[16], frame[17]]));
    let was_sound = dissect::is_sound_icmp4(frame, upper, end);
    let to = Tuple { src: 0x0a00_0002, ..quoted };
    let mut there = frame.to_vec();
    assert!(translate_error4(&mut there, upper, (seen.tuple.src, to.src), &to));
    assert_eq!(dissect::quoted_v4(&there, upper), Some(to));
    assert!(ipv4::Header::checked(&there[ethernet::LEN..]).is_ok(), "the header is sound");
    // Bytes behind the packet are not under its checksum, but may be part of a damaged quote.
    if end == frame.len() {
        assert_eq!(dissect::is_sound_icmp4(&there, upper, end), was_sound);
    }
}

fn tcp(frame: &[u8], upper: usize) {
    let _ = dissect::tcp_segment(frame, upper);
    let mut clamped = frame.to_vec();
    if mss::clamp(&mut clamped, upper, 1000, false) {
        assert!(!mss::clamp(&mut clamped, upper, 1000, false), "once is enough");
    }
    let mut packet = Packet::from_bytes(frame);
    if reset::reset_v4(&mut packet, upper) {
        let answer = dissect::v4(packet.data()).expect("a sound answer");
        assert!(transport_is_sound(packet.data(), &answer));
        assert_eq!(answer.kind, Kind::Tcp);
    }
}

fn v6(frame: &[u8]) {
    let Ok(seen) = dissect::v6(frame) else { return };
    let upper = usize::from(seen.upper);
    if seen.kind == Kind::IcmpError
        && let Some(quoted) = dissect::quoted_v6(frame, upper)
    {
        let was_sound = dissect::is_sound_icmp6(frame, upper, frame.len());
        let mut there = frame.to_vec();
        let to = (quoted.src ^ 0xff << 64, quoted.dst);
        assert!(translate_error6(&mut there, upper, (seen.tuple.src, to.0), to));
        let now = dissect::quoted_v6(&there, upper).expect("it can be read as before");
        assert_eq!((now.src, now.dst, now.ports), (to.0, to.1, quoted.ports));
        assert_eq!(dissect::is_sound_icmp6(&there, upper, frame.len()), was_sound);
    }
    if seen.tuple.protocol == IpProtocol::TCP && seen.fragment.is_none() {
        let mut packet = Packet::from_bytes(frame);
        if reset::reset_v6(&mut packet, upper) {
            dissect::v6(packet.data()).expect("a sound answer");
        }
    }
}
