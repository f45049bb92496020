//! What portcullis.toml says about routes, and who may not starve whom on the way to FRR.

use std::time::Duration;

use portcullis_blackbox::{Daemon, Forwarder, Lab, Pair, PairOptions, Target};

use crate::{FAR_BGP, GATEWAY_BGP, Routed};

#[test]
fn routes_of_the_file_are_forwarded_by_and_stand_in_the_kernel() {
    let lab = Lab::new("routes_of_the_file_are_forwarded_by_and_stand_in_the_kernel");
    let file = "
        [[route]]
        to = \"10.77.0.0/16\"
        via = [\"10.2.0.2\"]
        [[route]]
        to = \"2001:db8:77::/48\"
        via = [\"2001:db8:2::2\"]
        [[route]]
        to = \"10.77.9.0/24\"
        prohibit = true
    ";
    let options = PairOptions { file: file.to_owned(), ..PairOptions::default() };
    let pair = Pair::with(&lab, Forwarder::Portcullis, &options);
    pair.far.run("ip addr add 10.77.0.1/32 dev lo");
    pair.far.run("ip addr add 10.77.9.1/32 dev lo");
    pair.far.run("ip addr add 2001:db8:77::1/128 dev lo");
    for to in ["10.77.0.1", "2001:db8:77::1"] {
        pair.near.reaches_within(Duration::from_secs(3), to);
    }
    let ping = pair.near.ping("-c 1 -W 1", "10.77.9.1");
    assert!(ping.said.contains("From 10.1.0.1 icmp_seq=1 Packet filtered"), "{}", ping.said);
    let kernel = pair.gateway.control().run("ip route");
    assert!(kernel.contains("10.77.0.0/16 via 10.2.0.2 dev wan"), "{kernel}");
    assert!(kernel.contains("prohibit 10.77.9.0/24"), "{kernel}");
}

/// The gateway's own address is flooded with what its kernel has no use for.
#[test]
fn a_flood_to_the_gateway_itself_takes_nothing_from_bfd_and_bgp() {
    let lab = Lab::quiet("a_flood_to_the_gateway_itself_takes_nothing_from_bfd_and_bgp");
    let daemons = [Daemon::Bfd, Daemon::Bgp];
    let routed = Routed::new(&lab, Forwarder::Portcullis, &daemons, GATEWAY_BGP, FAR_BGP);
    routed.gateway_frr.configure("router bgp 65001\nneighbor 10.2.0.2 bfd");
    routed.far_frr.configure("router bgp 65002\nneighbor 10.2.0.1 bfd");
    routed.pair.near.reaches_within(Duration::from_secs(40), "10.77.0.1");
    routed.gateway_frr.ask_until("show bfd peers brief", " up");

    let control = routed.pair.gateway.control();
    let mac = control.mac("lan");
    let received =
        || routed.pair.gateway.interface("lan")["rx_packets"].as_u64().expect("a number");
    let held_back = || routed.pair.gateway.drops("punt-rate-other").expect("an answer");
    let (held_before, received_before) = (held_back(), received());
    let target = Target::new(control, "lan", "10.1.0.1");
    let flood = target.flood(&routed.pair.near, "10.1.0.2", &mac, 4.0, 100_000);
    let (held, received) = (held_back() - held_before, received() - received_before);
    // The class may have 50,000 a second and 5,000 at once. On a busy machine the device's ring overflows before as many are
    // taken out of it.
    assert!(held > 0 || received <= 205_000, "nothing of {received} was held back");
    assert!(flood.delivered < flood.offered * 0.75, "{flood:?}");

    let peers = routed.gateway_frr.ask("show bfd peers counters");
    let downs = peers.lines().filter(|line| line.contains("Session down events"));
    assert!(downs.clone().count() > 0, "{peers}");
    assert!(downs.into_iter().all(|line| line.ends_with(": 0")), "{peers}");
    assert!(routed.pair.near.reaches("10.77.0.1"));
}
