//! BGP over both families, and BFD beside it.

use std::time::Duration;

use portcullis_blackbox::{Daemon, Forwarder, Lab, by_portcullis_as_by_the_kernel, wait_until};

use crate::{FAR_BGP, GATEWAY_BGP, Routed};

by_portcullis_as_by_the_kernel! {
    routes_learnt_by_bgp_carry_traffic_until_they_are_withdrawn,
    bfd_notices_a_dead_peer_long_before_bgp_would,
    zebra_killed_and_started_again_interrupts_nothing,
}

/// Enough for a session to come up on a busy machine.
const CONVERGED: Duration = Duration::from_secs(40);

fn routes_learnt_by_bgp_carry_traffic_until_they_are_withdrawn(forwarder: Forwarder) {
    let lab = Lab::new("routes_learnt_by_bgp_carry_traffic_until_they_are_withdrawn");
    let mut routed = Routed::new(&lab, forwarder, &[Daemon::Bgp], GATEWAY_BGP, FAR_BGP);
    let near = routed.pair.near.clone();
    near.reaches_within(CONVERGED, "10.77.0.1");
    near.reaches_within(CONVERGED, "2001:db8:77::1");
    if forwarder == Forwarder::Portcullis {
        let portcullis = routed.pair.gateway.portcullis();
        assert!(portcullis.has_route("10.77.0.0/16"));
        assert!(portcullis.has_route("2001:db8:77::/48"));
    }
    routed.far_frr.configure(
        "router bgp 65002
         address-family ipv4 unicast
         no network 10.77.0.0/16
         exit-address-family
         address-family ipv6 unicast
         no network 2001:db8:77::/48
         exit-address-family",
    );
    wait_until("the routes are withdrawn", CONVERGED, || {
        !near.reaches("10.77.0.1") && !near.reaches("2001:db8:77::1")
    });
    if forwarder == Forwarder::Portcullis {
        let portcullis = routed.pair.gateway.portcullis();
        assert!(!portcullis.has_route("10.77.0.0/16"));
        assert!(!portcullis.has_route("2001:db8:77::/48"));
    }
}

fn bfd_notices_a_dead_peer_long_before_bgp_would(forwarder: Forwarder) {
    let lab = Lab::new("bfd_notices_a_dead_peer_long_before_bgp_would");
    let routed = Routed::new(&lab, forwarder, &[Daemon::Bfd, Daemon::Bgp], GATEWAY_BGP, FAR_BGP);
    routed.gateway_frr.configure("router bgp 65001\nneighbor 10.2.0.2 bfd");
    routed.far_frr.configure("router bgp 65002\nneighbor 10.2.0.1 bfd");
    routed.pair.near.reaches_within(CONVERGED, "10.77.0.1");
    routed.gateway_frr.ask_until("show bfd peers brief", " up");
    routed.far_frr.kill_daemon(Daemon::Bfd);
    // BGP alone would hold on for 180 seconds.
    wait_until("the route leaves with the peer", Duration::from_secs(5), || {
        !routed.pair.near.reaches("10.77.0.1")
    });
}

fn zebra_killed_and_started_again_interrupts_nothing(forwarder: Forwarder) {
    let lab = Lab::new("zebra_killed_and_started_again_interrupts_nothing");
    let routed = Routed::new(&lab, forwarder, &[Daemon::Bgp], GATEWAY_BGP, FAR_BGP);
    let near = &routed.pair.near;
    near.reaches_within(CONVERGED, "10.77.0.1");
    near.reaches_within(CONVERGED, "2001:db8:77::1");
    let pings = ["10.77.0.1", "2001:db8:77::1"].map(|to| near.keep_pinging(to));
    routed.gateway_frr.kill_daemon(Daemon::Zebra);
    std::thread::sleep(Duration::from_secs(1));
    routed.gateway_frr.start_daemon(Daemon::Zebra);
    routed.gateway_frr.ask_until("show ip route", "B>* 10.77.0.0/16");
    std::thread::sleep(Duration::from_secs(1));
    for ping in pings {
        let ping = ping.stop();
        assert!(ping.sent > 80, "{}", ping.said);
        assert_eq!(ping.lost(), 0, "{}", ping.said);
    }
}
