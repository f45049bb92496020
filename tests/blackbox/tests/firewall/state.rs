//! What belongs to a flow goes with it; what only looks like it does not.

use std::time::Duration;

use portcullis_blackbox::{
    Action, Capture, Dial, Firewall, Forwarder, Lab, Outcome, Reflector, Site,
    by_portcullis_as_by_the_kernel, wait_until,
};

use crate::{guarded, inward, out, with_firewall};

by_portcullis_as_by_the_kernel! {
    errors_about_a_flow_go_with_it,
    errors_about_no_flow_do_not_pass,
    a_connection_is_taken_up_in_the_middle_only_if_wanted,
    segments_that_open_nothing_do_not_pass,
}

fn errors_about_a_flow_go_with_it(forwarder: Forwarder) {
    let lab = Lab::new("errors_about_a_flow_go_with_it");
    let site = guarded(&lab, forwarder, vec![out(), inward("served", &["udp/53"])]);
    // From outside about what went out, and from inside about what came in.
    for (to, host) in [
        ("203.0.113.254:7999", &site.inside),
        ("[2001:db8:2::2]:7999", &site.inside),
        ("10.1.0.2:53", &site.outside),
        ("[2001:db8:1::2]:53", &site.outside),
    ] {
        assert_eq!(Dial::udp(to).by(host).outcome, Outcome::Refused, "{to}");
    }
}

fn errors_about_no_flow_do_not_pass(forwarder: Forwarder) {
    let lab = Lab::new("errors_about_no_flow_do_not_pass");
    let site = guarded(&lab, forwarder, vec![out()]);
    let _outside = Reflector::start(&site.outside, "7000");
    let _seen = Dial::udp("203.0.113.254:7000").from("10.1.0.2:4000").seen(&site.inside);
    let _seen = Dial::udp("[2001:db8:2::2]:7000").from("[2001:db8:1::2]:4000").seen(&site.inside);
    let capture = Capture::start(&site.inside, "eth0", "icmp or icmp6");
    let mac = site.gateway.control().mac("wan");
    site.outside.scapy(&format!(
        "four = Ether(dst='{mac}')/IP(src='203.0.113.9', dst='10.1.0.2')
six = Ether(dst='{mac}')/IPv6(src='2001:db8:2::9', dst='2001:db8:1::2')
def quote(sport, dport):
    sendp(four/ICMP(type=3, code=1)/IP(src='10.1.0.2', dst='203.0.113.254')/
          UDP(sport=sport, dport=dport)/Raw(b'x' * 8), iface='eth0')
    sendp(six/ICMPv6DestUnreach(code=3)/IPv6(src='2001:db8:1::2', dst='2001:db8:2::2')/
          UDP(sport=sport, dport=dport)/Raw(b'x' * 8), iface='eth0')
quote(4001, 7000)
quote(4000, 7001)
# Comes from the flow's own other end, and is about somebody else's.
sendp(four/ICMP(type=3, code=1)/IP(src='203.0.113.254', dst='10.1.0.2')/
      UDP(sport=4000, dport=7000)/Raw(b'x' * 8), iface='eth0')
# The flow's, last.
quote(4000, 7000)"
    ));
    let errors = |filter| capture.fields(filter, &["udp.srcport", "udp.dstport"]);
    wait_until("the flow's own errors come", Duration::from_secs(5), || {
        !errors("icmp.type == 3").is_empty() && !errors("icmpv6.type == 1").is_empty()
    });
    assert_eq!(errors("icmp.type == 3"), [["4000", "7000"]]);
    assert_eq!(errors("icmpv6.type == 1"), [["4000", "7000"]]);
}

fn a_connection_is_taken_up_in_the_middle_only_if_wanted(forwarder: Forwarder) {
    for tcp_pickup in [true, false] {
        let lab = Lab::new("a_connection_is_taken_up_in_the_middle_only_if_wanted");
        let firewall = Firewall { tcp_pickup, ..Firewall::of(vec![inward("served", &["tcp/80"])]) };
        let site = with_firewall(&lab, forwarder, firewall);
        let arrived = segments(&site, "A");
        assert_eq!(arrived, usize::from(tcp_pickup), "pickup: {tcp_pickup}");
    }
}

/// Sends one segment with these flags to port 80 from nowhere, then one that opens a connection;
/// returns how many of the former arrived.
fn segments(site: &Site, flags: &str) -> usize {
    let capture = Capture::start(&site.inside, "eth0", "tcp dst port 80");
    let mac = site.gateway.control().mac("wan");
    site.outside.scapy(&format!(
        "ip = Ether(dst='{mac}')/IP(src='203.0.113.77', dst='10.1.0.2')
sendp(ip/TCP(sport=3000, dport=80, flags='{flags}', seq=1000, ack=1), iface='eth0')
sendp(ip/TCP(sport=3001, dport=80, flags='S', seq=1000), iface='eth0')"
    ));
    let from = |port: &str| {
        capture.fields(&format!("tcp.srcport == {port} && tcp.dstport == 80"), &["tcp.flags"]).len()
    };
    wait_until("the last segment comes", Duration::from_secs(5), || from("3001") > 0);
    from("3000")
}

fn segments_that_open_nothing_do_not_pass(forwarder: Forwarder) {
    let lab = Lab::new("segments_that_open_nothing_do_not_pass");
    let firewall = Firewall {
        tcp_pickup: false,
        default: Action::Accept,
        ..Firewall::of(vec![inward("served", &["tcp/80"])])
    };
    let site = with_firewall(&lab, forwarder, firewall);
    // A reset, no flags at all, and combinations that no stack sends.
    for flags in ["R", "RA", "", "SF", "SR", "F", "FPU", "SA"] {
        assert_eq!(segments(&site, flags), 0, "flags {flags:?}");
    }
}
