//! Writes the seeds of the fuzz corpora: packets of each kind, cut short and damaged ones.
//!
//! `cargo run -p portcullis-wire --example seeds -- fuzz/corpus`

use std::path::Path;
use std::{env, fs, io};

use portcullis_wire::build::{self, Echo, Frame, Tcp};
use portcullis_wire::tcp::Flags;
use portcullis_wire::{EtherType, IpProtocol};

type Seeds = Vec<(String, Vec<u8>)>;

fn main() -> io::Result<()> {
    let Some(corpus) = env::args_os().nth(1) else {
        return Err(io::Error::other("name the folder of the corpora"));
    };
    let corpus = Path::new(&corpus);
    let frames = frames();
    write(&corpus.join("parse"), &[frames.clone(), damaged(&frames)].concat())?;
    write(&corpus.join("icmp_error"), &[frames.clone(), damaged(&frames)].concat())?;
    write(&corpus.join("translate"), &[frames.clone(), damaged(&frames)].concat())?;
    write(&corpus.join("fragment"), &for_fragments())?;
    write(&corpus.join("offload"), &for_offload())
}

fn write(folder: &Path, seeds: &Seeds) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    seeds.iter().try_for_each(|(name, bytes)| fs::write(folder.join(name), bytes))
}

fn v4() -> Frame {
    Frame::v4([10, 1, 2, 3], [192, 0, 2, 7])
}

fn v6() -> Frame {
    let host = |n| [0x2001, 0xdb8, n, 0, 0, 0, 0, 7];
    Frame::v6(host(1), host(2)).flow_label(0xbeef)
}

fn named(seeds: Vec<(&str, Vec<u8>)>) -> Seeds {
    seeds.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect()
}

/// One valid frame of each kind.
fn frames() -> Seeds {
    let probe4 = v4().hops(1).udp(33_434, 33_435, b"probe");
    let probe6 = v6().hops(1).udp(33_434, 33_435, b"probe");
    let options = v6().extension(IpProtocol::HOP_BY_HOP, &[5, 2, 0, 0, 1, 0]);
    let routed = options.clone().extension(IpProtocol::ROUTING, &[4, 0, 0, 0, 0, 0]);
    named(vec![
        ("v4-udp", v4().udp(5353, 53, b"query")),
        ("v4-tcp", v4().tcp(Tcp { options: vec![2, 4, 5, 180], ..Tcp::syn(1024, 80) }, b"")),
        ("v4-sctp", v4().sctp(5000, 5001, &[1, 0, 0, 4])),
        ("v4-echo", v4().echo(Echo::Request, 7, 1, b"ping")),
        ("v4-time-exceeded", v4().icmp(11, 0, [0; 4], &probe4[14..])),
        ("v4-options", v4().options(&[0x94, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0]).udp(1, 2, b"x")),
        ("v4-first-fragment", v4().fragment(0, true).udp(1, 2, b"12345678")),
        ("v4-last-fragment", v4().fragment(16, false).raw(IpProtocol::UDP, b"123")),
        ("v4-gre", v4().raw(IpProtocol(47), &[0, 0, 8, 0])),
        ("v4-padded", [v4().udp(1, 2, b"").as_slice(), &[0; 18]].concat()),
        ("v4-multicast", Frame::v4([10, 1, 2, 3], [224, 0, 0, 5]).raw(IpProtocol::OSPF, &[2, 1])),
        ("v4-tagged", build::tagged(&v4().udp(1, 2, b"x"), EtherType::VLAN, 7)),
        ("v6-udp", v6().udp(5353, 53, b"query")),
        ("v6-tcp", v6().tcp(Tcp::syn(1024, 80), b"")),
        ("v6-echo", v6().echo(Echo::Reply, 7, 1, b"pong")),
        ("v6-too-big", v6().icmp(2, 0, [0, 0, 5, 0], &probe6[14..])),
        ("v6-solicitation", v6().icmp(135, 0, [0; 4], &[0; 16])),
        ("v6-options", options.tcp(Tcp::data(1, 2, 3), b"data")),
        ("v6-routed", routed.udp(1, 2, b"x")),
        ("v6-authenticated", v6().extension(IpProtocol::AUTHENTICATION, &[0; 22]).udp(1, 2, b"")),
        ("v6-first-fragment", v6().fragment(0, true).udp(1, 2, b"12345678")),
        ("v6-last-fragment", v6().fragment(16, false).raw(IpProtocol::UDP, b"123")),
        ("v6-no-next-header", v6().raw(IpProtocol::NO_NEXT_HEADER, b"")),
        ("arp", build::arp_request(build::SRC_MAC, [10, 0, 0, 1].into(), [10, 0, 0, 2].into())),
        ("stp", build::ethernet(build::DST_MAC, build::SRC_MAC, EtherType(38), &[0x42; 38])),
    ])
}

/// Each frame cut short, and with one byte of its headers changed.
fn damaged(frames: &Seeds) -> Seeds {
    let mut seeds = Seeds::new();
    for (index, (name, frame)) in frames.iter().enumerate() {
        let cut = 14 + (index * 13) % (frame.len() - 14);
        seeds.push((format!("{name}-cut"), frame[..cut].to_vec()));
        let mut changed = frame.clone();
        let at = 12 + (index * 5) % (frame.len() - 12);
        changed[at] ^= 1 << (index % 8);
        seeds.push((format!("{name}-changed"), changed));
    }
    seeds
}

/// The MTU's choice and a frame.
fn for_fragments() -> Seeds {
    let long = [0x5a; 200];
    let options = v4().options(&[7, 7, 4, 0, 0, 0, 0, 0x94, 4, 0, 0, 1]);
    let mut seeds = Seeds::new();
    for (name, frame) in [
        ("plain", v4().udp(1, 2, &long)),
        ("options", options.udp(1, 2, &long)),
        ("dont-fragment", v4().dont_fragment().udp(1, 2, &long)),
        ("fragment", v4().fragment(800, true).raw(IpProtocol::UDP, &long)),
        ("beyond", v4().fragment(65_400, false).raw(IpProtocol::UDP, &long)),
        ("v6", v6().udp(1, 2, &long)),
    ] {
        for choice in [0, 7, 20] {
            let input = [&[choice], frame.as_slice()].concat();
            seeds.push((format!("{name}-{choice}"), input.clone()));
            if choice == 7 {
                let mut changed = input.clone();
                changed[15] ^= 3;
                seeds.push((format!("{name}-changed"), changed));
            }
        }
    }
    seeds
}

/// Flags, kind, checksum start and offset, segment size, free buffers; and a frame.
fn for_offload() -> Seeds {
    let (long, flags) = ([0xc3; 300], Flags::PSH.with(Flags::CWR).with(Flags::ACK));
    let tcp = Tcp { flags, ..Tcp::data(80, 1024, u32::MAX - 9) };
    let inner = v4().tcp(Tcp::syn(1, 2), b"");
    let tunnel = v4().udp(4789, 4789, &[&[8, 0, 0, 0, 0, 0, 1, 0], inner.as_slice()].concat());
    let mut seeds = Seeds::new();
    for (name, prefix, frame) in [
        ("none", [0, 0, 0, 0, 0, 0, 0, 0], v4().udp(1, 2, b"x")),
        ("checksum-tcp4", [1, 0, 0, 34, 16, 0, 0, 0], v4().tcp(tcp.clone(), b"x")),
        ("checksum-tcp6", [1, 0, 0, 54, 16, 0, 0, 0], v6().tcp(tcp.clone(), b"x")),
        ("checksum-udp4", [1, 0, 0, 34, 6, 0, 0, 0], v4().udp(1, 2, b"x")),
        ("checksum-udp6", [1, 0, 0, 54, 6, 0, 0, 0], v6().udp(1, 2, b"x")),
        ("checksum-sctp", [1, 0, 0, 34, 8, 0, 0, 0], v4().sctp(1, 2, &[1, 0, 0, 4])),
        ("checksum-tunnel", [1, 0, 0, 84, 16, 0, 0, 0], tunnel),
        ("segment-tcp4", [3, 1, 0, 34, 16, 0, 100, 64], v4().tcp(tcp.clone(), &long)),
        ("segment-tcp6", [3, 2, 0, 54, 16, 0, 100, 64], v6().tcp(tcp.clone(), &long)),
        ("segment-udp4", [1, 3, 0, 34, 6, 0, 100, 64], v4().udp(1, 2, &long)),
        ("segment-udp6", [1, 3, 0, 54, 6, 0, 100, 64], v6().udp(1, 2, &long)),
        ("segment-starved", [1, 1, 0, 34, 16, 0, 9, 3], v4().tcp(tcp, &long)),
    ] {
        let input = [prefix.as_slice(), &frame].concat();
        for (kind, at) in [("start", 3), ("offset", 4), ("size", 6), ("length", 8 + 17)] {
            let mut changed = input.clone();
            changed[at] ^= 0x11;
            seeds.push((format!("{name}-bad-{kind}"), changed));
        }
        seeds.push((name.to_owned(), input));
    }
    seeds
}
