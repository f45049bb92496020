//! Later fragments have no ports, and pass no rule about ports (RFC 1858, RFC 6946).

use std::time::Duration;

use portcullis_blackbox::{
    Capture, Dial, Forwarder, Lab, Reflector, Site, by_portcullis_as_by_the_kernel,
    largest_datagram, wait_until,
};

use crate::{guarded, inward};

by_portcullis_as_by_the_kernel! {
    fragments_go_the_way_of_their_first_one,
    fragments_in_any_order_are_one_packet,
    a_fragment_without_a_first_one_does_not_pass,
    fragments_that_overlap_do_not_pass,
}

fn site(lab: &Lab, forwarder: Forwarder) -> Site {
    guarded(lab, forwarder, vec![inward("served", &["udp/7000"])])
}

fn fragments_go_the_way_of_their_first_one(forwarder: Forwarder) {
    let lab = Lab::new("fragments_go_the_way_of_their_first_one");
    let site = site(&lab, forwarder);
    let _inside = Reflector::start(&site.inside, "7000 7001");
    let filter = "src host 203.0.113.254 or src host 2001:db8:2::2";
    let capture = Capture::start(&site.inside, "eth0", filter);
    let wait = Duration::from_millis(800);
    for address in ["10.1.0.2", "[2001:db8:1::2]"] {
        let refused = Dial::udp(&format!("{address}:7001")).bytes(5000).patience(wait);
        let answer = refused.by(&site.outside);
        assert_eq!(answer.outcome, portcullis_blackbox::Outcome::Silence, "{address}");
    }
    let seen =
        capture.fields("ip.flags.mf == 1 || ip.frag_offset > 0 || ipv6.fragment", &["ip.len"]);
    assert_eq!(seen, Vec::<Vec<String>>::new(), "a fragment of what is not let through");
    for address in ["10.1.0.2", "[2001:db8:1::2]"] {
        for bytes in [3000, largest_datagram()] {
            let _seen = Dial::udp(&format!("{address}:7000")).bytes(bytes).seen(&site.outside);
        }
    }
}

/// What scapy needs to cut datagrams, and the datagram of each family.
fn preamble(site: &Site) -> String {
    let mac = site.gateway.control().mac("wan");
    format!(
        "ether = Ether(dst='{mac}')
def datagram(number):
    ip = IP(src='203.0.113.254', dst='10.1.0.2', id=number)
    return ip/UDP(sport=4000, dport=7000)/Raw(bytes([number]) * 4000)
def datagram6(number):
    ip = IPv6(src='2001:db8:2::2', dst='2001:db8:1::2')/IPv6ExtHdrFragment(id=number)
    return ip/UDP(sport=4000, dport=7000)/Raw(bytes([number]) * 4000)
def send(fragments):
    for fragment in fragments:
        sendp(ether/fragment, iface='eth0')
"
    )
}

fn fragments_in_any_order_are_one_packet(forwarder: Forwarder) {
    let lab = Lab::new("fragments_in_any_order_are_one_packet");
    let site = site(&lab, forwarder);
    let _inside = Reflector::start(&site.inside, "7000");
    let capture = Capture::start(&site.outside, "eth0", "udp or ip[6:2] & 0x1fff != 0 or ip6");
    site.outside.scapy(&format!(
        "{}for (number, order) in [(1, (0, 1, 2)), (2, (2, 1, 0)), (3, (1, 0, 2))]:
    cut = fragment(datagram(number), fragsize=1400)
    send(cut[place] for place in order)
    cut = fragment6(datagram6(number), 1400)
    send(cut[place] for place in order)",
        preamble(&site)
    ));
    // The reflector, which has them whole, answers; tshark puts the answers together.
    for filter in [
        "ip.src == 10.1.0.2 && udp.length > 4000 && !icmp && !icmpv6",
        "ipv6.src == 2001:db8:1::2 && udp.length > 4000 && !icmp && !icmpv6",
    ] {
        let answers = || capture.fields(filter, &["udp.length"]).len();
        wait_until("all are answered", Duration::from_secs(5), || answers() == 3);
    }
}

fn a_fragment_without_a_first_one_does_not_pass(forwarder: Forwarder) {
    let lab = Lab::new("a_fragment_without_a_first_one_does_not_pass");
    let site = site(&lab, forwarder);
    let _inside = Reflector::start(&site.inside, "7000");
    let filter = "src host 203.0.113.254 or src host 2001:db8:2::2";
    let capture = Capture::start(&site.inside, "eth0", filter);
    site.outside.scapy(&format!(
        "{}send(fragment(datagram(1), fragsize=1400)[1:])
send(fragment6(datagram6(1), 1400)[1:])",
        preamble(&site)
    ));
    let _seen = Dial::udp("10.1.0.2:7000").seen(&site.outside);
    let _seen = Dial::udp("[2001:db8:1::2]:7000").seen(&site.outside);
    let seen = capture.fields("ip.frag_offset > 0 || ipv6.fraghdr", &["frame.number"]);
    assert_eq!(seen, Vec::<Vec<String>>::new());
}

/// A second piece that covers some of the first one (RFC 1858, 3; RFC 5722 for IPv6).
fn fragments_that_overlap_do_not_pass(forwarder: Forwarder) {
    let lab = Lab::new("fragments_that_overlap_do_not_pass");
    let site = site(&lab, forwarder);
    let _inside = Reflector::start(&site.inside, "7000 7001");
    let capture = Capture::start(&site.inside, "eth0", "src host 203.0.113.254");
    site.outside.scapy(&format!(
        "{}whole = raw(UDP(sport=4000, dport=7000, len=8 + 64, chksum=0)/Raw(b'x' * 64))
evil = raw(UDP(sport=4000, dport=7001, len=8 + 64, chksum=0)/Raw(b'y' * 64))
def piece(number, payload, start, end):
    ip = IP(src='203.0.113.254', dst='10.1.0.2', id=number, proto=17, frag=start // 8)
    if end < 72:
        ip.flags = 'MF'
    return ip/Raw(payload[start:end])
# What goes first is no matter.
send([piece(9, whole, 0, 24), piece(9, evil, 16, 40), piece(9, whole, 40, 72)])
send([piece(10, evil, 16, 40), piece(10, whole, 0, 24), piece(10, whole, 40, 72)])",
        preamble(&site)
    ));
    let _seen = Dial::udp("10.1.0.2:7000").from("203.0.113.254:4001").seen(&site.outside);
    let seen = capture.fields("udp.srcport == 4000", &["udp.dstport"]);
    assert_eq!(seen, Vec::<Vec<String>>::new(), "a datagram out of pieces that overlap");
}
