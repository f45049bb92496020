//! Sources that can't be where they come from (RFC 3704).

use std::collections::BTreeSet;
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

/// Sends from some sources, and expects some of them to arrive at the other side, the last of each family
/// among them.
fn expect(
    site: &Site,
    (from, port): (&Host, &str),
    (to, addresses): (&Host, &str),
    sources: &[&str],
    arriving: &[&str],
) {
    let capture = Capture::start(to, "eth0", "udp port 4242");
    let mac = site.gateway.control().mac(port);
    let list = sources.join("', '");
    from.scapy(&format!(
        "for source in ('{list}'):
    ip = IPv6 if ':' in source else IP
    to = '{addresses}'.split()[ip == IPv6]
    sendp(Ether(dst='{mac}')/ip(src=source, dst=to)/UDP(sport=4242, dport=4242)/Raw(b'x' * 20),
          iface='eth0')"
    ));
    let seen = || -> BTreeSet<String> {
        let filter = "udp.dstport == 4242 && !icmp && !icmpv6";
        let rows = capture.fields(filter, &["ip.src", "ipv6.src"]);
        rows.into_iter().map(|row| row.concat()).collect()
    };
    let arriving: BTreeSet<String> = arriving.iter().map(|&source| source.to_owned()).collect();
    wait_until("the honest ones arrive", Duration::from_secs(5), || seen().is_superset(&arriving));
    assert_eq!(seen(), arriving);
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

/// Sends from inside as somebody from outside, from nowhere, and from inside.
fn expect_from_inside(site: &Site, arriving: &[&str]) {
    expect(site, (&site.inside, "lan"), (&site.outside, OUTSIDE), &FROM_INSIDE, arriving);
}

fn strict_wants_the_way_back_by_the_same_interface(forwarder: Forwarder) {
    let lab = Lab::new("strict_wants_the_way_back_by_the_same_interface");
    let site = site(&lab, forwarder, Some(AntiSpoofing::Strict));
    expect_from_inside(&site, &["2001:db8:1::77", "10.1.0.77"]);
    expect(
        &site,
        (&site.outside, "wan"),
        (&site.inside, INSIDE),
        &["10.1.0.77", "2001:db8:1::77", "2001:db8:2::77", "203.0.113.77"],
        &["2001:db8:2::77", "203.0.113.77"],
    );
    // Neighbours are asked for, and answer, all the same.
    site.inside.run("ip neigh flush dev eth0");
    site.inside.reaches_within(Duration::from_secs(5), "2001:db8:2::2");
    site.inside.reaches_within(Duration::from_secs(5), "203.0.113.254");
}

fn loose_wants_a_way_back(forwarder: Forwarder) {
    let lab = Lab::new("loose_wants_a_way_back");
    let site = site(&lab, forwarder, Some(AntiSpoofing::Loose));
    expect_from_inside(&site, &["203.0.113.77", "2001:db8:2::77", "2001:db8:1::77", "10.1.0.77"]);
}

fn off_wants_nothing(forwarder: Forwarder) {
    let lab = Lab::new("off_wants_nothing");
    let site = site(&lab, forwarder, None);
    expect_from_inside(&site, &FROM_INSIDE);
}
