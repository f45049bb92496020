//! An inside network behind one outside address.

use std::net::IpAddr;
use std::time::Duration;

use portcullis_blackbox::{
    Capture, Dial, Forwarder, IperfServer, Lab, Outcome, Reflector, Site, SiteOptions, Transport,
    by_portcullis_as_by_the_kernel, largest_datagram, tracepath, traceroute, wait_until,
};

use crate::masquerade;

by_portcullis_as_by_the_kernel! {
    pings_udp_and_tcp_come_from_the_outside_address,
    many_hosts_and_ports_keep_apart,
    tcp_flows_both_ways,
    what_arrives_is_what_was_sent,
    the_path_is_seen_from_inside,
    the_path_mtu_is_found_from_inside,
    segments_are_made_to_fit_where_wanted,
    large_datagrams_cross_in_fragments_both_ways,
    an_error_from_the_other_end_comes_back_translated,
    errors_from_along_the_way_come_back_translated,
    what_nobody_asked_for_does_not_come_in,
}

const ENOUGH_BITS_PER_SECOND: f64 = 100e6;

fn pings_udp_and_tcp_come_from_the_outside_address(forwarder: Forwarder) {
    let lab = Lab::new("pings_udp_and_tcp_come_from_the_outside_address");
    let site = Site::new(&lab, forwarder, &masquerade());
    let _outside = Reflector::start(&site.outside, "7000");
    let capture = Capture::start(&site.outside, "eth0", "icmp");
    for host in [&site.inside, &site.second] {
        let ping = host.ping("-c 3 -i 0.1 -W 1", "203.0.113.254");
        assert_eq!(ping.received, 3, "{}", ping.said);
        for protocol in ["tcp", "udp"] {
            let seen = Dial::new(protocol, "203.0.113.254:7000").bytes(1000).seen(host);
            assert_eq!(seen.ip().to_string(), "203.0.113.1", "{protocol}");
        }
    }
    let requests =
        || capture.fields("icmp.type == 8", &["ip.src", "icmp.checksum.status", "ip.ttl"]);
    wait_until("the requests are captured", Duration::from_secs(5), || requests().len() == 6);
    assert!(requests().iter().all(|row| row == &["203.0.113.1", "1", "63"]), "{:?}", requests());
}

/// The same ports, of the same destination, by two hosts.
fn many_hosts_and_ports_keep_apart(forwarder: Forwarder) {
    let lab = Lab::new("many_hosts_and_ports_keep_apart");
    let site = Site::new(&lab, forwarder, &masquerade());
    let _outside = Reflector::start(&site.outside, "7000");
    let mut seen = Vec::new();
    for (host, address) in [(&site.inside, "10.1.0.2"), (&site.second, "10.1.0.3")] {
        for port in 4000..4008 {
            let dial = Dial::udp("203.0.113.254:7000").from(&format!("{address}:{port}"));
            seen.push(dial.seen(host));
        }
    }
    let mut apart = seen.clone();
    apart.sort();
    apart.dedup();
    assert_eq!(apart.len(), seen.len(), "{seen:?}");
    // Pings of two hosts with the same identifier, too.
    let inside = site.inside.start("stdbuf -oL ping -n -e 77 -i 0.1 -c 10 203.0.113.254");
    // Not in the same microsecond: the kernel then drops one of two that it would translate alike.
    wait_until("the first has a reply", Duration::from_secs(5), || {
        inside.log().contains("icmp_seq=1 ")
    });
    let other = site.second.ping("-e 77 -c 10 -i 0.1 -W 1", "203.0.113.254");
    assert_eq!(other.received, 10, "{}", other.said);
    wait_until("the first has its replies too", Duration::from_secs(5), || {
        inside.log().contains("10 received")
    });
}

fn tcp_flows_both_ways(forwarder: Forwarder) {
    let lab = Lab::quiet("tcp_flows_both_ways");
    let site = Site::new(&lab, forwarder, &masquerade());
    let _server = IperfServer::start(&site.outside);
    for direction in ["", "-R", "-P 4"] {
        let stream = site.inside.iperf("203.0.113.254", Transport::Tcp, 1, direction);
        assert!(stream.bits_per_second > ENOUGH_BITS_PER_SECOND, "{direction} {stream:?}");
    }
    site.inside.run("ethtool -K eth0 tx off sg off tso off gso off gro off");
    let stream = site.inside.iperf("203.0.113.254", Transport::Tcp, 1, "");
    assert!(stream.bits_per_second > ENOUGH_BITS_PER_SECOND, "offloads off: {stream:?}");
    let stream = site.inside.iperf("203.0.113.254", Transport::Udp(20), 1, "");
    assert!(stream.loss < 0.01, "{stream:?}");
}

fn what_arrives_is_what_was_sent(forwarder: Forwarder) {
    let lab = Lab::quiet("what_arrives_is_what_was_sent");
    let site = Site::new(&lab, forwarder, &masquerade());
    let _outside = Reflector::start(&site.outside, "7000");
    let dial = Dial::tcp("203.0.113.254:7000").bytes(8_000_000).patience(Duration::from_secs(30));
    assert_eq!(dial.seen(&site.inside).ip().to_string(), "203.0.113.1");
}

fn the_path_is_seen_from_inside(forwarder: Forwarder) {
    let lab = Lab::new("the_path_is_seen_from_inside");
    let site = Site::new(&lab, forwarder, &masquerade());
    let hops = ["10.1.0.1", "203.0.113.254"].map(|hop| hop.parse::<IpAddr>().ok());
    assert_eq!(traceroute(&site.inside, "203.0.113.254"), hops);
}

fn narrow(lab: &Lab, forwarder: Forwarder, mss_clamp: bool) -> Site {
    let policy = masquerade();
    let options = SiteOptions { policy, wan_mtu: Some(1400), mss_clamp, ..SiteOptions::default() };
    Site::with(lab, forwarder, &options)
}

fn the_path_mtu_is_found_from_inside(forwarder: Forwarder) {
    let lab = Lab::new("the_path_mtu_is_found_from_inside");
    let site = narrow(&lab, forwarder, false);
    let path = tracepath(&site.inside, "203.0.113.254");
    assert_eq!(path.mtu, 1400, "{path:?}");
    // The connection finds it by itself.
    let _outside = Reflector::start(&site.outside, "7000");
    let dial = Dial::tcp("203.0.113.254:7000").bytes(300_000);
    assert_eq!(dial.seen(&site.second).ip().to_string(), "203.0.113.1");
}

fn segments_are_made_to_fit_where_wanted(forwarder: Forwarder) {
    for (clamp, expected) in [(true, "1360"), (false, "1460")] {
        let lab = Lab::new("segments_are_made_to_fit_where_wanted");
        let site = narrow(&lab, forwarder, clamp);
        let capture = Capture::start(&site.outside, "eth0", "tcp port 7000");
        let _outside = Reflector::start(&site.outside, "7000");
        let _seen = Dial::tcp("203.0.113.254:7000").bytes(50_000).seen(&site.inside);
        let fields = ["tcp.options.mss_val", "tcp.checksum.status"];
        let opened = || capture.fields("tcp.flags.syn == 1 && tcp.flags.ack == 0", &fields);
        wait_until("the SYN is captured", Duration::from_secs(5), || !opened().is_empty());
        assert_eq!(opened()[0][0], expected, "clamp: {clamp}");
    }
}

/// RFC 4787, REQ-13 and REQ-14.
fn large_datagrams_cross_in_fragments_both_ways(forwarder: Forwarder) {
    let lab = Lab::new("large_datagrams_cross_in_fragments_both_ways");
    let site = narrow(&lab, forwarder, false);
    let _outside = Reflector::start(&site.outside, "7000");
    for host in [&site.inside, &site.second] {
        for bytes in [1400, 3000, largest_datagram()] {
            let dial = Dial::udp("203.0.113.254:7000").from("0.0.0.0:4000").bytes(bytes);
            assert_eq!(dial.seen(host).ip().to_string(), "203.0.113.1", "{bytes}");
        }
    }
    let ping = site.inside.ping("-M dont -s 5000 -c 3 -i 0.1 -W 1", "203.0.113.254");
    assert_eq!(ping.received, 3, "{}", ping.said);
}

/// The fields of an error that name addresses and ports, outside in.
const NAMES: [&str; 5] = ["ip.src", "ip.dst", "udp.srcport", "udp.dstport", "ip.checksum.status"];

/// RFC 5508, REQ-3 and REQ-4.
fn an_error_from_the_other_end_comes_back_translated(forwarder: Forwarder) {
    let lab = Lab::new("an_error_from_the_other_end_comes_back_translated");
    let site = Site::new(&lab, forwarder, &masquerade());
    let capture = Capture::start(&site.inside, "eth0", "icmp");
    let dial = Dial::udp("203.0.113.254:7999").from("10.1.0.2:4000");
    assert_eq!(dial.by(&site.inside).outcome, Outcome::Refused);
    let errors = || capture.fields("icmp.type == 3", &NAMES);
    wait_until("the error is captured", Duration::from_secs(5), || !errors().is_empty());
    assert_eq!(
        errors(),
        [["203.0.113.254,10.1.0.2", "10.1.0.2,203.0.113.254", "4000", "7999", "1,1"]]
    );
}

/// Errors about what was sent, from somebody who is no end of the flow.
fn errors_from_along_the_way_come_back_translated(forwarder: Forwarder) {
    let lab = Lab::new("errors_from_along_the_way_come_back_translated");
    let site = Site::new(&lab, forwarder, &masquerade());
    let _outside = Reflector::start(&site.outside, "7000");
    let seen = Dial::udp("203.0.113.254:7000").from("10.1.0.2:4000").seen(&site.inside);
    let capture = Capture::start(&site.inside, "eth0", "icmp");
    let gateway = site.gateway.control().mac("wan");
    site.outside.scapy(&format!(
        "quoted = IP(src='{}', dst='203.0.113.254', ttl=1)/UDP(sport={}, dport=7000)/Raw(b'x' * 30)
quoted = IP(raw(quoted))
outer = Ether(dst='{gateway}')/IP(src='203.0.113.77', dst='{0}')
for error in (ICMP(type=11), ICMP(type=3, code=4, nexthopmtu=1300), ICMP(type=3, code=13)):
    # As little as a router must quote, and all of it.
    sendp(outer/error/Raw(raw(quoted)[:28]), iface='eth0')
    sendp(outer/error/quoted, iface='eth0')
# What quotes a packet that was never sent comes from nobody who saw one.
quoted[UDP].sport = 999
del quoted[UDP].chksum
sendp(outer/ICMP(type=11)/IP(raw(quoted)), iface='eth0')",
        seen.ip(),
        seen.port()
    ));
    let fields = [&NAMES[..], &["icmp.checksum.status"]].concat();
    let errors = || capture.fields("icmp.type == 11 || icmp.type == 3", &fields);
    wait_until("the errors are captured", Duration::from_secs(5), || errors().len() >= 6);
    for error in errors() {
        assert_eq!(
            error,
            ["203.0.113.77,10.1.0.2", "10.1.0.2,203.0.113.254", "4000", "7000", "1,1", "1"]
        );
    }
    assert_eq!(errors().len(), 6);
    let mtus = capture.fields("icmp.type == 3 && icmp.code == 4", &["icmp.mtu"]);
    assert_eq!(mtus, [["1300"], ["1300"]]);
}

fn what_nobody_asked_for_does_not_come_in(forwarder: Forwarder) {
    let lab = Lab::new("what_nobody_asked_for_does_not_come_in");
    let site = Site::new(&lab, forwarder, &masquerade());
    let _inside = Reflector::start(&site.inside, "4000 80");
    let capture = Capture::start(&site.inside, "eth0", "host 203.0.113.254");
    for (protocol, port) in [("tcp", 80), ("udp", 4000), ("tcp", 4000)] {
        let outcome = Dial::new(protocol, &format!("203.0.113.1:{port}")).by(&site.outside).outcome;
        assert_eq!(outcome, Outcome::Refused, "the gateway's own kernel answers");
    }
    // A mapping of UDP is none of TCP.
    let outside = Reflector::start(&site.outside, "7000");
    let mapping = Dial::udp("203.0.113.254:7000").from("10.1.0.2:5000").seen(&site.inside);
    drop(outside);
    let outcome = Dial::tcp(&mapping.to_string()).by(&site.outside).outcome;
    assert_eq!(outcome, Outcome::Refused);
    let came = capture.fields("ip.src == 203.0.113.254 && tcp", &["tcp.dstport"]);
    assert_eq!(came, Vec::<Vec<String>>::new());
}
