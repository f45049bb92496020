//! What the kernel does with packets in a quiet namespace: nothing; and what is left to packet
//! sockets: all.

use std::time::{Duration, Instant};

use portcullis_os::links::Links;
use portcullis_os::netns::{NetnsHandle, run_in};
use portcullis_os::quiet;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, eth, recv, socket_with};

use crate::support::TestNetns;

/// Two namespaces and a veth between them: `out` in a host's, `in` in the one under test.
struct Wire {
    host: TestNetns,
    inside: TestNetns,
    links: Links,
}

impl Wire {
    fn new(prepare: impl FnOnce(&NetnsHandle)) -> Self {
        let (host, inside) = (TestNetns::new("host"), TestNetns::new("in"));
        prepare(&inside.handle);
        let mut outer = Links::open_in(&host.handle).unwrap();
        outer.add_veth("out", "in").unwrap();
        outer.move_to("in", &inside.handle).unwrap();
        outer.set_up("out", true).unwrap();
        outer.add_address("out", "192.0.2.1/24".parse().unwrap()).unwrap();
        outer.add_address_without_dad("out", "2001:db8::1/64".parse().unwrap()).unwrap();
        let mut links = Links::open_in(&inside.handle).unwrap();
        links.set_up("in", true).unwrap();
        Self { host, inside, links }
    }

    fn host_pings(&self, address: &str) -> bool {
        self.host.try_run(&format!("ping -c1 -W1 {address}")).status.success()
    }

    /// A packet socket inside, which sees every frame of every device.
    fn sniff(&self) -> OwnedFd {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let open = || socket_with(AddressFamily::PACKET, SocketType::RAW, flags, Some(eth::ALL));
        run_in(&self.inside.handle, open).unwrap().unwrap()
    }
}

/// The frames that a packet socket has got, waiting a moment for the first.
fn frames(socket: &OwnedFd) -> Vec<Vec<u8>> {
    let (mut frames, until) = (Vec::new(), Instant::now() + Duration::from_secs(2));
    loop {
        let mut buffer = [0; 2048];
        match recv(socket, &mut buffer, RecvFlags::empty()) {
            Ok((_, length)) => frames.push(buffer[..length].to_vec()),
            Err(Errno::AGAIN) if frames.is_empty() && Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(Errno::AGAIN) => return frames,
            Err(errno) => panic!("{errno}"),
        }
    }
}

fn ethertypes(frames: &[Vec<u8>]) -> Vec<u16> {
    frames.iter().map(|frame| u16::from_be_bytes([frame[12], frame[13]])).collect()
}

#[test]
fn a_muted_device_answers_nothing_and_packet_sockets_see_everything() {
    // Without quiet::link, and with an address: it is the hook alone that keeps the kernel silent.
    let mut wire = Wire::new(|_| {});
    wire.links.add_address("in", "192.0.2.2/24".parse().unwrap()).unwrap();
    wire.links.add_address_without_dad("in", "2001:db8::2/64".parse().unwrap()).unwrap();
    assert!(wire.host_pings("192.0.2.2") && wire.host_pings("2001:db8::2"), "the wire works");
    wire.host.run("ip neigh flush dev out");

    wire.links.mute("in").unwrap();
    wire.links.mute("in").unwrap();
    let socket = wire.sniff();
    assert!(!wire.host_pings("192.0.2.2") && !wire.host_pings("2001:db8::2"));
    let types = ethertypes(&frames(&socket));
    assert!(types.contains(&0x0806) && types.contains(&0x86dd), "ARP and ND: {types:x?}");
    let shown = wire.inside.run("tc -s filter show dev in ingress");
    assert!(shown.contains("direct-action not_in_hw bytecode '1,6 0 0 2'"), "{shown}");
    let received = |wire: &Wire| {
        let text = wire.inside.run("cat /proc/thread-self/net/snmp");
        let line = text.lines().filter(|line| line.starts_with("Ip:")).nth(1).unwrap();
        line.split_whitespace().nth(3).unwrap().parse::<u64>().unwrap()
    };
    let before = received(&wire);
    let mac = wire.links.find("in").unwrap().mac.unwrap();
    wire.host.run(&format!("ip neigh replace 192.0.2.2 lladdr {mac} dev out"));
    assert!(!wire.host_pings("192.0.2.2"));
    assert_eq!(received(&wire), before, "the kernel's IP did not see it");
    assert!(ethertypes(&frames(&socket)).contains(&0x0800), "the socket did");

    wire.links.unmute("in").unwrap();
    wire.links.unmute("in").unwrap();
    assert!(wire.host_pings("192.0.2.2"));
    assert!(!wire.inside.run("tc qdisc show dev in").contains("clsact"));
}

#[test]
fn taking_our_classifier_away_leaves_another_s() {
    let mut wire = Wire::new(|_| {});
    wire.links.mute("in").unwrap();
    let let_pass = ["bpf", "direct-action", "bytecode", "1,6 0 0 0"];
    let add = "tc filter add dev in egress pref 7 protocol all".split(' ').chain(let_pass);
    assert!(wire.inside.command(add).status.success());
    wire.links.unmute("in").unwrap();
    assert!(wire.inside.run("tc filter show dev in egress").contains("pref 7"));
    assert_eq!(wire.inside.run("tc filter show dev in ingress").trim(), "");
}

#[test]
fn a_device_that_leaves_the_namespace_is_muted_no_more() {
    let mut wire = Wire::new(|_| {});
    wire.links.mute("in").unwrap();
    wire.links.move_to("in", &wire.host.handle).unwrap();
    assert!(!wire.host.run("tc qdisc show dev in").contains("clsact"));
}

#[test]
fn a_quiet_namespace_sends_nothing_of_its_own() {
    let mut wire = Wire::new(|netns| quiet::link(netns).unwrap());
    let out = {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let open = || socket_with(AddressFamily::PACKET, SocketType::RAW, flags, Some(eth::ALL));
        run_in(&wire.host.handle, open).unwrap().unwrap()
    };
    let own = wire.links.find("in").unwrap().mac.unwrap();
    assert!(!wire.inside.run("ip addr show in").contains("inet6"));
    assert!(!wire.host_pings("192.0.2.2"));
    // Up to two seconds of whatever the host does; nothing of it comes from the device inside.
    let from_inside = frames(&out).iter().filter(|frame| frame[6..12] == own.0).count();
    assert_eq!(from_inside, 0);
}

#[test]
fn the_settings_of_both_namespaces_are_as_they_should_be() {
    let (link, vpc) = (TestNetns::new("link"), TestNetns::new("vpc"));
    for _twice in 0..2 {
        quiet::link(&link.handle).unwrap();
        quiet::vpc(&vpc.handle).unwrap();
    }
    let value =
        |netns: &TestNetns, key: &str| netns.run(&format!("sysctl -n net.{key}")).trim().to_owned();
    for (netns, key, expected) in [
        (&link, "ipv6.conf.default.disable_ipv6", "1"),
        (&link, "ipv4.conf.all.arp_ignore", "8"),
        (&link, "ipv4.ip_forward", "0"),
        (&vpc, "ipv4.ip_forward", "0"),
        (&vpc, "ipv6.conf.all.forwarding", "0"),
        (&vpc, "ipv6.conf.default.disable_ipv6", "0"),
        (&vpc, "ipv6.conf.default.accept_ra", "0"),
        (&vpc, "ipv4.conf.default.rp_filter", "0"),
        (&vpc, "ipv4.conf.all.rp_filter", "0"),
    ] {
        assert_eq!(value(netns, key), expected, "{} {key}", netns.name);
    }
}
