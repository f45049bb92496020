//! The flow hash: which packets share one, and how evenly it spreads the rest.

use portcullis_packet::Packet;
use portcullis_wire::build::{Echo, Frame, Tcp};
use portcullis_wire::icmp_error::{Icmp4Error, Icmp6Error, rewrite_v4, rewrite_v6};
use portcullis_wire::{IpProtocol, flow_hash};
use proptest::prelude::*;

use crate::common::{DST4, DST6, SRC4, SRC6, v4, v6};

fn hash(frame: &[u8]) -> u32 {
    flow_hash(frame, 14, frame[12] == 0x86, 42)
}

#[test]
fn the_packets_of_a_flow_share_a_hash_and_those_of_another_do_not() {
    for frame in [v4(), v6()] {
        let flow = hash(&frame.udp(1, 2, b"a"));
        assert_eq!(flow, hash(&frame.clone().hops(3).traffic_class(4).udp(1, 2, b"other payload")));
        assert_ne!(flow, hash(&frame.udp(1, 3, b"a")));
        assert_ne!(flow, hash(&frame.udp(2, 1, b"a")));
        assert_ne!(flow, hash(&frame.tcp(Tcp::syn(1, 2), b"a")));
        let first = hash(&frame.tcp(Tcp::syn(1, 2), b""));
        assert_eq!(first, hash(&frame.tcp(Tcp::data(1, 2, 1000), b"data")));
        assert_ne!(hash(&frame.sctp(1, 2, b"")), hash(&frame.sctp(1, 3, b"")));
        let ping = hash(&frame.echo(Echo::Request, 7, 1, b""));
        assert_eq!(ping, hash(&frame.echo(Echo::Request, 7, 2, b"")));
        assert_ne!(ping, hash(&frame.echo(Echo::Request, 8, 1, b"")));
    }
    assert_ne!(hash(&v4().udp(1, 2, b"")), hash(&Frame::v4(DST4, SRC4).udp(1, 2, b"")));
}

#[test]
fn a_reset_seed_gives_other_hashes() {
    let frame = v4().udp(1, 2, b"");
    assert_ne!(flow_hash(&frame, 14, false, 1), flow_hash(&frame, 14, false, 2));
}

#[test]
fn all_fragments_of_a_packet_share_a_hash() {
    for frame in [v4(), v6().flow_label(77)] {
        let first = hash(&frame.clone().fragment(0, true).udp(1, 2, b"12345678"));
        let middle = hash(&frame.clone().fragment(16, true).raw(IpProtocol::UDP, b"abcdefgh"));
        let last = hash(&frame.clone().fragment(24, false).raw(IpProtocol::UDP, b"ijk"));
        assert_eq!((first, middle), (middle, last));
    }
    let first =
        v6().fragment(0, true).raw(IpProtocol::DESTINATION_OPTIONS, &[17, 0, 1, 4, 0, 0, 0, 0]);
    let later = v6().fragment(8, false).raw(IpProtocol::UDP, b"abcdefgh");
    assert_eq!(hash(&first), hash(&later), "their next headers may differ");
    let atomic = v6().fragment(0, false).udp(1, 2, b"");
    assert_eq!(hash(&atomic), hash(&v6().udp(1, 2, b"")), "a whole packet in spite of its header");
}

#[test]
fn the_flow_label_counts_where_there_are_no_ports() {
    let with = |label| v6().flow_label(label);
    assert_ne!(hash(&with(1).raw(IpProtocol::ESP, b"")), hash(&with(2).raw(IpProtocol::ESP, b"")));
    assert_eq!(hash(&with(1).udp(1, 2, b"")), hash(&with(2).udp(1, 2, b"")));
    let hidden = with(3).extension(IpProtocol::DESTINATION_OPTIONS, &[0; 6]).udp(1, 2, b"");
    assert_eq!(hash(&hidden), hash(&with(3).udp(1, 2, b"")), "extension headers are stepped over");
}

#[test]
fn an_error_goes_the_way_of_the_flow_it_is_about() {
    let payload = vec![1; 2000];
    for (forth, back) in [
        (v4().udp(1000, 53, &payload), Frame::v4(DST4, SRC4).udp(53, 1000, b"")),
        (v4().tcp(Tcp::syn(9, 80), b""), Frame::v4(DST4, SRC4).tcp(Tcp::syn(80, 9), b"")),
        (v4().echo(Echo::Request, 5, 1, b""), Frame::v4(DST4, SRC4).echo(Echo::Reply, 5, 1, b"")),
    ] {
        let mut error = Packet::from_bytes(&forth);
        let router = [198, 51, 100, 1].into();
        rewrite_v4(&mut error, 14, Icmp4Error::TimeExceeded, router, 64).expect("room");
        assert_eq!(hash(error.data()), hash(&back));
    }
    for (forth, back) in [
        (v6().flow_label(1).udp(1000, 53, &payload), Frame::v6(DST6, SRC6).udp(53, 1000, b"")),
        (
            v6().extension(IpProtocol::DESTINATION_OPTIONS, &[0; 6]).tcp(Tcp::syn(9, 80), b""),
            Frame::v6(DST6, SRC6).flow_label(2).tcp(Tcp::syn(80, 9), b""),
        ),
    ] {
        let mut error = Packet::from_bytes(&forth);
        let router = [0x2001, 0xdb8, 0xff, 0, 0, 0, 0, 1].into();
        let too_big = Icmp6Error::PacketTooBig { mtu: 1280 };
        rewrite_v6(&mut error, 14, too_big, router, 64).expect("room");
        assert_eq!(hash(error.data()), hash(&back));
    }
}

#[test]
fn flows_spread_evenly_over_any_number_of_paths() {
    for paths in [2, 3, 7, 8, 16] {
        for frame in [v4(), v6()] {
            let mut counts = vec![0u32; paths];
            for flow in 0..10_000u16 {
                counts[hash(&frame.udp(1024 + flow % 100, 8000 + flow / 100, b"")) as usize
                    % paths] += 1;
            }
            let mean = 10_000.0 / paths as f64;
            for count in counts {
                let off = (f64::from(count) - mean).abs();
                assert!(off < 5.0 * mean.sqrt(), "{count} of {mean} on one of {paths}");
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_have_a_hash_and_it_is_not_zero(
        bytes in prop::collection::vec(any::<u8>(), 0..150), l3 in 0usize..160,
        is_v6 in any::<bool>(), seed in any::<u64>(),
    ) {
        prop_assert_ne!(flow_hash(&bytes, l3, is_v6, seed), 0);
    }
}
