//! Frames that must not be forwarded, each counted under its own name.

use std::collections::BTreeMap;
use std::time::Duration;

use portcullis_blackbox::{
    Capture, Forwarder, Lab, Pair, by_portcullis_as_by_the_kernel, wait_until,
};

by_portcullis_as_by_the_kernel! {
    martians_are_dropped_and_counted,
    broken_headers_are_dropped_and_counted,
    a_directed_broadcast_is_not_forwarded,
    multicast_is_not_forwarded,
    a_unicast_packet_in_a_broadcast_frame_is_not_forwarded,
    frames_for_other_stations_are_not_forwarded,
    tagged_frames_and_strange_protocols_are_not_forwarded,
}

/// The kernel forwards these (RFC 1812, 5.3.7 does not let a router).
#[test]
fn reserved_addresses_are_martians() {
    let frames = [
        ("ether/IP(src='240.0.0.1', dst='10.2.0.2')/payload", "martian-source"),
        ("ether/IP(src='0.1.2.3', dst='10.2.0.2')/payload", "martian-source"),
    ];
    refuse(Forwarder::Portcullis, "reserved_addresses_are_martians", &frames);
}

/// How often each frame is sent.
const TIMES: u32 = 5;

/// Sends frames (what follows the Ethernet header, in scapy's words), and expects that none crosses
/// and that each is counted under its reason.
#[track_caller]
fn refuse(forwarder: Forwarder, test: &str, frames: &[(&str, &str)]) {
    let lab = Lab::new(test);
    let pair = Pair::new(&lab, forwarder);
    let capture = Capture::start(&pair.far, "eth0", "udp port 4242");
    // Neighbours of other tests' scapy need no help: the gateway's MAC is given.
    let gateway = pair.gateway.control().mac("lan");
    let mut expected: BTreeMap<&str, u64> = BTreeMap::new();
    for (_, reason) in frames {
        *expected.entry(reason).or_default() += u64::from(TIMES);
    }
    let before: BTreeMap<_, _> =
        expected.keys().map(|&reason| (reason, pair.gateway.drops(reason))).collect();

    let mut script = format!(
        "ether = Ether(dst='{gateway}', src=get_if_hwaddr('eth0'))\n\
         payload = UDP(sport=4242, dport=4242)/Raw(b'x' * 40)\n"
    );
    for (frame, _) in frames {
        script.push_str(&format!("sendp({frame}, iface='eth0', count={TIMES})\n"));
    }
    // A last frame that does cross shows that the others have had their turn.
    script.push_str("sendp(ether/IP(src='10.1.0.2', dst='10.2.0.2')/payload, iface='eth0')\n");
    pair.near.scapy(&script);
    wait_until("the good frame crosses", Duration::from_secs(5), || {
        capture.lines().iter().any(|line| line.contains("10.1.0.2.4242 > 10.2.0.2.4242"))
    });

    let crossed = capture.lines();
    assert_eq!(crossed.len(), 1, "{crossed:#?}");
    for (reason, count) in expected {
        let now = pair.gateway.drops(reason);
        assert_eq!(now, before[reason].map(|before| before + count), "{reason}");
    }
}

fn martians_are_dropped_and_counted(forwarder: Forwarder) {
    let to = |source: &str, destination: &str| {
        let layer = if destination.contains(':') { "IPv6" } else { "IP" };
        format!("ether/{layer}(src='{source}', dst='{destination}')/payload")
    };
    let frames = [
        (to("127.0.0.1", "10.2.0.2"), "martian-source"),
        (to("224.0.0.5", "10.2.0.2"), "martian-source"),
        (to("255.255.255.255", "10.2.0.2"), "martian-source"),
        (to("10.1.0.2", "127.0.0.1"), "martian-destination"),
        (to("10.1.0.2", "0.1.2.3"), "martian-destination"),
        (to("10.1.0.2", "240.0.0.1"), "martian-destination"),
        (to("::1", "2001:db8:2::2"), "martian-source"),
        (to("ff02::1", "2001:db8:2::2"), "martian-source"),
        (to("::", "2001:db8:2::2"), "martian-source"),
        (to("2001:db8:1::2", "::1"), "martian-destination"),
        (to("fe80::1", "2001:db8:2::2"), "link-local-scope"),
    ];
    let frames: Vec<_> = frames.iter().map(|(frame, reason)| (frame.as_str(), *reason)).collect();
    refuse(forwarder, "martians_are_dropped_and_counted", &frames);
}

fn broken_headers_are_dropped_and_counted(forwarder: Forwarder) {
    let broken = |field: &str| format!("ether/IP(src='10.1.0.2', dst='10.2.0.2', {field})/payload");
    let frames = [
        (broken("chksum=0x1234"), "ip4-bad-checksum"),
        (broken("version=5"), "ip4-bad-header"),
        (broken("ihl=4"), "ip4-bad-header"),
        (broken("len=19"), "ip4-bad-header"),
        (broken("len=400"), "ip4-truncated"),
        (
            "Ether(dst=ether.dst, src=ether.src, type=0x0800)/\
             Raw(bytes(IP(src='10.1.0.2', dst='10.2.0.2'))[:12])"
                .into(),
            "ip4-truncated",
        ),
        (broken("options=[IPOption_LSRR(routers=['10.2.0.9'])]"), "ip4-source-route"),
        (
            "ether/IPv6(src='2001:db8:1::2', dst='2001:db8:2::2', plen=900)/payload".into(),
            "ip6-truncated",
        ),
        (
            "ether/IPv6(src='2001:db8:1::2', dst='2001:db8:2::2', version=7)/payload".into(),
            "ip6-bad-header",
        ),
    ];
    let frames: Vec<_> = frames.iter().map(|(frame, reason)| (frame.as_str(), *reason)).collect();
    refuse(forwarder, "broken_headers_are_dropped_and_counted", &frames);
}

fn a_directed_broadcast_is_not_forwarded(forwarder: Forwarder) {
    let frames = [("ether/IP(src='10.1.0.2', dst='10.2.0.255')/payload", "directed-broadcast")];
    refuse(forwarder, "a_directed_broadcast_is_not_forwarded", &frames);
}

fn multicast_is_not_forwarded(forwarder: Forwarder) {
    let frame = "Ether(dst='01:00:5e:01:02:03', src=get_if_hwaddr('eth0'))/\
                 IP(src='10.1.0.2', dst='239.1.2.3', ttl=9)/payload";
    let lab = Lab::new("multicast_is_not_forwarded");
    let pair = Pair::new(&lab, forwarder);
    let capture = Capture::start(&pair.far, "eth0", "udp port 4242");
    pair.near.scapy(&format!(
        "payload = UDP(sport=4242, dport=4242)/Raw(b'x' * 40)\n\
         sendp({frame}, iface='eth0', count={TIMES})"
    ));
    assert!(pair.near.reaches("10.2.0.2"));
    assert_eq!(capture.lines(), Vec::<String>::new());
}

fn a_unicast_packet_in_a_broadcast_frame_is_not_forwarded(forwarder: Forwarder) {
    let frames = [(
        "Ether(dst='ff:ff:ff:ff:ff:ff', src=get_if_hwaddr('eth0'))/\
         IP(src='10.1.0.2', dst='10.2.0.2')/payload",
        "link-broadcast-unicast",
    )];
    refuse(forwarder, "a_unicast_packet_in_a_broadcast_frame_is_not_forwarded", &frames);
}

fn frames_for_other_stations_are_not_forwarded(forwarder: Forwarder) {
    let frames = [(
        "Ether(dst='02:00:00:00:99:99', src=get_if_hwaddr('eth0'))/\
         IP(src='10.1.0.2', dst='10.2.0.2')/payload",
        "not-for-us",
    )];
    refuse(forwarder, "frames_for_other_stations_are_not_forwarded", &frames);
}

fn tagged_frames_and_strange_protocols_are_not_forwarded(forwarder: Forwarder) {
    let frames = [
        (
            "Ether(dst=ether.dst, src=ether.src)/Dot1Q(vlan=7)/\
             IP(src='10.1.0.2', dst='10.2.0.2')/payload",
            "unknown-vlan",
        ),
        ("Ether(dst=ether.dst, src=ether.src, type=0x88b5)/Raw(b'x' * 60)", "unknown-ethertype"),
    ];
    refuse(forwarder, "tagged_frames_and_strange_protocols_are_not_forwarded", &frames);
}
