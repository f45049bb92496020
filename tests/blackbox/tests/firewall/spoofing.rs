//! Sources that can't be where they come from (RFC 3704).

use std::time::Duration;

use portcullis_blackbox::{
    AntiSpoofing, Capture, Forwarder, Host, Lab, Site, SiteOptions, by_portcullis_as_by_the_kernel,
    wait_until,
};

by_portcullis_as_by_the_kernel! {
    strict_wants_the_way_back_by_the_same_interface,
    loose_wants_a_way_back,
    off_wants_nothing,
}

/// Which of some sources arrive at the other side.
fn arriving(
    site: &Site,
    from: &Host,
    port: &str,
    to: (&Host, &str),
    sources: &[&str],
) -> Vec<String> {
    let capture = Capture::start(to.0, "eth0", "udp port 4242");
    let mac = site.gateway.control().mac(port);
    let list = sources.join("', '");
    from.scapy(&format!(
        "for source in ('{list}'):
    ip = IPv6 if ':' in source else IP
    to = '{}'.split()[ip == IPv6]
    sendp(Ether(dst='{mac}')/ip(src=source, dst=to)/UDP(sport=4242, dport=4242)/Raw(b'x' * 20),
          iface='eth0')",
        to.1
    ));
    // The last source is an honest one.
    let last = sources.last().copied().unwrap_or_default().to_owned();
    let seen = || -> Vec<String> {
        let rows =
            capture.fields("udp.dstport == 4242 && !icmp && !icmpv6", &["ip.src", "ipv6.src"]);
        rows.into_iter().map(|row| row.concat()).collect()
    };
    wait_until("the honest one arrives", Duration::from_secs(5), || seen().contains(&last));
    seen()
}

fn site(lab: &Lab, forwarder: Forwarder, anti_spoofing: Option<AntiSpoofing>) -> Site {
    let options = SiteOptions { anti_spoofing, routed: true, ..SiteOptions::default() };
    Site::with(lab, forwarder, &options)
}

const OUTSIDE: &str = "203.0.113.254 2001:db8:2::2";
const INSIDE: &str = "10.1.0.2 2001:db8:1::2";

/// The outside's own address, one without a route, and an honest one; in both families.
const FROM_INSIDE: [&str; 6] = [
    "203.0.113.77",
    "2001:db8:2::77",
    "198.51.100.1",
    "2001:db8:99::1",
    "2001:db8:1::77",
    "10.1.0.77",
];

fn strict_wants_the_way_back_by_the_same_interface(forwarder: Forwarder) {
    let lab = Lab::new("strict_wants_the_way_back_by_the_same_interface");
    let site = site(&lab, forwarder, Some(AntiSpoofing::Strict));
    let seen = arriving(&site, &site.inside, "lan", (&site.outside, OUTSIDE), &FROM_INSIDE);
    assert_eq!(seen, ["2001:db8:1::77", "10.1.0.77"]);
    let seen = arriving(
        &site,
        &site.outside,
        "wan",
        (&site.inside, INSIDE),
        &["10.1.0.77", "2001:db8:1::77", "2001:db8:2::77", "203.0.113.77"],
    );
    assert_eq!(seen, ["2001:db8:2::77", "203.0.113.77"]);
    // Neighbours are asked for, and answer, all the same.
    site.inside.run("ip neigh flush dev eth0");
    site.inside.reaches_within(Duration::from_secs(5), "2001:db8:2::2");
    site.inside.reaches_within(Duration::from_secs(5), "203.0.113.254");
}

fn loose_wants_a_way_back(forwarder: Forwarder) {
    let lab = Lab::new("loose_wants_a_way_back");
    let site = site(&lab, forwarder, Some(AntiSpoofing::Loose));
    let seen = arriving(&site, &site.inside, "lan", (&site.outside, OUTSIDE), &FROM_INSIDE);
    assert_eq!(seen, ["203.0.113.77", "2001:db8:2::77", "2001:db8:1::77", "10.1.0.77"]);
}

fn off_wants_nothing(forwarder: Forwarder) {
    let lab = Lab::new("off_wants_nothing");
    let site = site(&lab, forwarder, None);
    let seen = arriving(&site, &site.inside, "lan", (&site.outside, OUTSIDE), &FROM_INSIDE);
    assert_eq!(seen, FROM_INSIDE);
}
