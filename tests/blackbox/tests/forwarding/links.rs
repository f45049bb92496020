//! What happens to a link happens on both of its sides.

use std::time::Duration;

use portcullis_blackbox::{
    Capture, Forwarder, Host, Lab, Pair, by_portcullis_as_by_the_kernel, sees_the_wire, wait_until,
};

by_portcullis_as_by_the_kernel! {
    carrier_follows_the_wire,
    taking_the_interface_down_stops_the_port,
    a_new_mtu_is_used_at_once,
    a_neighbours_new_mac_address_is_used_at_once,
    a_new_mac_address_of_the_gateway_is_answered_to,
}

const SOON: Duration = Duration::from_secs(3);

fn has_carrier(host: &Host, interface: &str) -> bool {
    host.run(&format!("ip link show dev {interface}")).contains("LOWER_UP")
}

fn carrier_follows_the_wire(forwarder: Forwarder) {
    if forwarder == Forwarder::Portcullis && !sees_the_wire() {
        return;
    }
    let lab = Lab::new("carrier_follows_the_wire");
    let pair = Pair::new(&lab, forwarder);
    let control = pair.gateway.control();
    assert!(has_carrier(control, "wan"));
    pair.far.run("ip link set eth0 down");
    wait_until("wan loses carrier", SOON, || !has_carrier(control, "wan"));
    assert!(has_carrier(control, "lan"));
    pair.far.run("ip link set eth0 up");
    wait_until("wan has carrier again", SOON, || has_carrier(control, "wan"));
    // The far host forgot its routes and its IPv6 address with the link.
    pair.far.run("ip route replace default via 10.2.0.1");
    pair.near.reaches_within(SOON, "10.2.0.2");
}

fn taking_the_interface_down_stops_the_port(forwarder: Forwarder) {
    let lab = Lab::new("taking_the_interface_down_stops_the_port");
    let pair = Pair::new(&lab, forwarder);
    let control = pair.gateway.control();
    control.run("ip link set wan down");
    wait_until("nothing crosses", SOON, || !pair.near.reaches("10.2.0.2"));
    assert!(!pair.far.reaches("10.2.0.1"), "the port still answers");
    control.run("ip link set wan up");
    pair.near.reaches_within(SOON, "10.2.0.2");
}

fn a_new_mtu_is_used_at_once(forwarder: Forwarder) {
    let lab = Lab::new("a_new_mtu_is_used_at_once");
    let pair = Pair::new(&lab, forwarder);
    // What the near host learns of the path's MTU is to be forgotten before the next probe.
    let probe = |size: u32| {
        pair.near.run("ip route flush cache");
        pair.near.ping(&format!("-M do -c 1 -W 1 -s {size}"), "10.2.0.2")
    };
    assert_eq!(probe(1472).received, 1);
    pair.gateway.control().run("ip link set wan mtu 1300");
    wait_until("the new MTU is answered", SOON, || probe(1273).said.contains("mtu = 1300"));
    assert_eq!(probe(1272).received, 1);
    pair.gateway.control().run("ip link set wan mtu 1500");
    wait_until("the old MTU is back", SOON, || probe(1472).received == 1);
}

fn a_neighbours_new_mac_address_is_used_at_once(forwarder: Forwarder) {
    let lab = Lab::new("a_neighbours_new_mac_address_is_used_at_once");
    let pair = Pair::new(&lab, forwarder);
    let control = pair.gateway.control();
    let mac = pair.far.mac("eth0");
    let capture = Capture::start(&pair.far, "eth0", "icmp");
    control.run("ip neigh replace 10.2.0.2 lladdr 02:00:00:00:77:77 dev wan nud permanent");
    wait_until("frames go to the new address", SOON, || {
        let _ = pair.near.ping("-c 1 -W 0.2", "10.2.0.2");
        capture.lines().iter().any(|line| line.contains("> 02:00:00:00:77:77"))
    });
    control.run(&format!("ip neigh replace 10.2.0.2 lladdr {mac} dev wan nud reachable"));
    pair.near.reaches_within(SOON, "10.2.0.2");
}

fn a_new_mac_address_of_the_gateway_is_answered_to(forwarder: Forwarder) {
    let lab = Lab::new("a_new_mac_address_of_the_gateway_is_answered_to");
    let pair = Pair::new(&lab, forwarder);
    pair.gateway.control().run("ip link set wan address 02:00:00:00:55:55");
    wait_until("the far host is answered by the new address", SOON, || {
        pair.far.run("ip neigh flush dev eth0");
        pair.far.reaches("10.1.0.2")
            && pair.far.run("ip neigh show 10.2.0.1").contains("02:00:00:00:55:55")
    });
    assert!(pair.near.reaches("10.2.0.2"));
}
