//! Any frame taken apart, translated there and back, and answered.

use portcullis_packet::{Mac, Offload, Packet, Ports};
use portcullis_wire::checksum::Sum;
use portcullis_wire::dissect::{self, Kind};
use portcullis_wire::rewrite::{Rewrite4, rewrite6, translate_error4, translate_error6};
use portcullis_wire::{Tuple, ipv4, mss, proxy, reset};

/// Bytes before the frame: where an upper header might be, a port, and flags.
const PREFIX: usize = 4;

/// Does with a frame all that a translation does, at the right place and at any.
pub(crate) fn exercise(input: &[u8]) {
    let Some(([upper, port_high, port_low, flags], frame)) = input.split_first_chunk::<PREFIX>()
    else {
        return;
    };
    let upper = usize::from(*upper);
    let port = u16::from_be_bytes([*port_high, *port_low]);
    let needs_csum = flags & 1 != 0;
    let offload = Offload { needs_csum, csum_start: upper as u16, ..Offload::NONE };
    anywhere(frame, upper, port, offload);
    v4(frame, port, offload);
    if let Ok(found) = dissect::v6(frame) {
        let upper = usize::from(found.upper);
        assert!((54..=frame.len()).contains(&upper));
        anywhere(frame, upper, port, offload);
        let mut there = frame.to_vec();
        rewrite6(&mut there, Some(1), Some(2));
        rewrite6(&mut there, Some(found.tuple.src), Some(found.tuple.dst));
        assert_eq!(there, frame);
    }
}

fn v4(frame: &[u8], port: u16, offload: Offload) {
    let Ok(found) = dissect::v4(frame) else { return };
    let (from, upper) = (found.tuple, usize::from(found.upper));
    assert!((14..=frame.len()).contains(&upper));
    anywhere(frame, upper, port, offload);
    let later = found.fragment.is_some_and(|fragment| fragment.offset > 0);
    // The type of a query is no port of its own, and stays.
    let ports = match found.kind {
        Kind::IcmpQuery if dissect::is_request_port(from.ports.dst) => {
            Ports { src: port, ..from.ports }
        }
        Kind::IcmpQuery => Ports { dst: port, ..from.ports },
        Kind::Tcp | Kind::Udp => Ports { src: port, dst: port.rotate_left(8) },
        // What stands for ports there is not written.
        Kind::IcmpError | Kind::IcmpOther | Kind::Other => from.ports,
    };
    if upper < 34 || matches!(found.kind, Kind::IcmpError | Kind::IcmpOther) {
        return;
    }
    let to = Tuple { src: 0xc633_6401, dst: 0xcb00_7109, ports, ..from };
    let mut there = frame.to_vec();
    Rewrite4::new(&from, &to).apply(&mut there, upper, from.protocol, offload, later);
    let was_sound = ipv4::is_sound(&frame[14..]);
    assert_eq!(ipv4::is_sound(&there[14..]), was_sound, "wrong stays wrong, right stays right");
    let seen = dissect::v4(&there).expect("as sound as before").tuple;
    let expected = if later { Tuple { ports: from.ports, ..to } } else { to };
    assert_eq!(seen, expected);
}

/// What must not panic wherever it is told that the upper header begins.
fn anywhere(frame: &[u8], upper: usize, port: u16, offload: Offload) {
    let ports = Ports { src: port, dst: 53 };
    let quoted = dissect::quoted_v4(frame, upper);
    let _ = dissect::quoted_v6(frame, upper);
    let _ = dissect::quoted_sequence(frame, upper, false);
    let _ = dissect::quoted_sequence(frame, upper, true);
    let _ = dissect::tcp_segment(frame, upper);
    let sound = dissect::is_sound_icmp4(frame, upper, frame.len());
    let _ = dissect::is_sound_icmp6(frame, upper, frame.len());
    let mut copy = frame.to_vec();
    let _ = mss::clamp(&mut copy, upper, port, offload.needs_csum);
    if let Some(old) = quoted {
        let mut there = frame.to_vec();
        let new = Tuple { src: 1, dst: 2, ports: Ports { src: port, ..old.ports }, ..old };
        if translate_error4(&mut there, upper, (3, 4), &new) && upper >= 34 {
            let message = there.get(upper..).map_or(Sum::ZERO, Sum::of);
            assert_eq!(message.is_sound(), sound, "the checksum follows the quote");
        }
    }
    let mut there = frame.to_vec();
    let _ = translate_error6(&mut there, upper, (1, 2), (3, 4));
    for protocol in [1, 6, 17, 132, 136].map(portcullis_wire::IpProtocol) {
        let tuple = Tuple { src: 1, dst: 2, ports, protocol };
        let rewrite = Rewrite4::new(&tuple, &tuple.reversed());
        rewrite.apply(&mut there, upper, protocol, offload, false);
    }
    for reset in [reset::reset_v4, reset::reset_v6] {
        let mut packet = Packet::from_bytes(frame);
        let was_made = reset(&mut packet, upper);
        assert!(was_made || packet.data() == frame);
    }
    for answer in [proxy::answer_arp, proxy::answer_nd] {
        let mut packet = Packet::from_bytes(frame);
        let was_made = answer(&mut packet, Mac([2; 6]));
        assert!(was_made || packet.data() == frame);
    }
}
