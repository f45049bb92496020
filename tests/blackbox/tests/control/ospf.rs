//! OSPF: adjacency over multicast, routes, and their loss with the link.

use std::time::Duration;

use portcullis_blackbox::{
    Daemon, Forwarder, Lab, by_portcullis_as_by_the_kernel, sees_the_wire, wait_until,
};

use crate::Routed;

by_portcullis_as_by_the_kernel! {
    ospf_routes_carry_traffic_and_leave_with_the_link,
}

fn ospf_routes_carry_traffic_and_leave_with_the_link(forwarder: Forwarder) {
    let lab = Lab::new("ospf_routes_carry_traffic_and_leave_with_the_link");
    let speaker = |interface: &str, router: &str| {
        format!(
            "interface {interface}
             ip ospf hello-interval 1
             ip ospf dead-interval 4
             exit
             router ospf
             ospf router-id {router}
             network 10.2.0.0/24 area 0
             network 10.77.0.0/16 area 0"
        )
    };
    let (near, far) = (speaker("wan", "10.2.0.1"), speaker("eth0", "10.2.0.2"));
    let routed = Routed::new(&lab, forwarder, &[Daemon::Ospf], &near, &far);
    routed.gateway_frr.ask_until("show ip ospf neighbor", "Full/");
    routed.pair.near.reaches_within(Duration::from_secs(20), "10.77.0.1");
    let routes = routed.gateway_frr.ask("show ip route");
    assert!(routes.contains("O>* 10.77.0.1/32"), "{routes}");

    if forwarder == Forwarder::Portcullis && !sees_the_wire() {
        return;
    }
    routed.pair.far.run("ip link set eth0 down");
    wait_until("the route leaves with the carrier", Duration::from_secs(3), || {
        !routed.gateway_frr.ask("show ip route").contains("10.77.0.1/32")
    });
    wait_until("nothing reaches its destination", Duration::from_secs(5), || {
        !routed.pair.near.reaches("10.77.0.1")
    });
}
