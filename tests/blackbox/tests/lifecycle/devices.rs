//! No device is ever stranded.

use std::time::Duration;

use portcullis_blackbox::{Forwarder, Host, Lab, Pair, takes_devices, wait_until};

/// What the gateway promises after it was killed: a device is back, or found by the next start.
const SOON: Duration = Duration::from_secs(10);

fn has_devices(host: &Host) -> bool {
    let links = host.run("ip -br link");
    ["eth1", "eth2"].iter().all(|device| links.contains(device))
}

fn expect_traffic(pair: &Pair) {
    pair.near.reaches_within(SOON, "10.2.0.2");
    pair.near.reaches_within(SOON, "2001:db8:2::2");
}

#[test]
fn while_it_runs_the_devices_are_in_the_quiet_namespace_and_taps_stand_for_them() {
    if !takes_devices() {
        return;
    }
    let lab = Lab::new("while_it_runs_the_devices_are_in_the_quiet_namespace");
    let mut pair = Pair::new(&lab, Forwarder::Portcullis);
    assert!(!has_devices(&pair.gateway.host));
    let portcullis = pair.gateway.portcullis();
    assert!(has_devices(&portcullis.link));
    let addresses = portcullis.link.run("ip -br addr show up");
    for line in addresses.lines().filter(|line| line.contains("eth")) {
        let words = line.split_whitespace().count();
        assert_eq!(words, 2, "the link namespace has an address: {line}");
    }
    assert_eq!(portcullis.link.run("sysctl -n net.ipv4.ip_forward").trim(), "0");
    assert_eq!(portcullis.vpc.run("sysctl -n net.ipv4.ip_forward").trim(), "0");
    assert_eq!(portcullis.vpc.run("sysctl -n net.ipv6.conf.all.forwarding").trim(), "0");
    for (tap, device) in [("lan", "eth1"), ("wan", "eth2")] {
        assert_eq!(portcullis.vpc.mac(tap), portcullis.link.mac(device));
    }
}

#[test]
fn a_clean_stop_gives_the_devices_back_and_takes_its_namespaces_away() {
    let lab = Lab::new("a_clean_stop_gives_the_devices_back_and_takes_its_namespaces_away");
    let mut pair = Pair::new(&lab, Forwarder::Portcullis);
    for signal in ["TERM", "INT"] {
        let portcullis = pair.gateway.portcullis();
        portcullis.signal(signal);
        let status = portcullis.end();
        assert_eq!(status.code(), Some(0), "{}", portcullis.log());
        assert!(!portcullis.link.exists() && !portcullis.vpc.exists());
        assert!(has_devices(&pair.gateway.host));
        pair.gateway.portcullis().start_again();
        expect_traffic(&pair);
    }
}

#[test]
fn namespaces_that_were_there_before_stay() {
    let lab = Lab::new("namespaces_that_were_there_before_stay");
    let (vpc, link) = (lab.host("vpc"), lab.host("link"));
    let mut pair = Pair::new(&lab, Forwarder::Portcullis);
    assert_eq!(pair.gateway.portcullis().stop().code(), Some(0));
    assert!(vpc.exists() && link.exists());
    assert!(has_devices(&pair.gateway.host));
}

#[test]
fn when_the_gateway_process_is_killed_its_parent_gives_the_devices_back() {
    let lab = Lab::new("when_the_gateway_process_is_killed_its_parent_gives_the_devices_back");
    let mut pair = Pair::new(&lab, Forwarder::Portcullis);
    let portcullis = pair.gateway.portcullis();
    portcullis.signal_pid(portcullis.gateway_pid(), "KILL");
    let status = portcullis.end();
    assert_ne!(status.code(), Some(0), "a crash is no clean stop");
    assert!(has_devices(&pair.gateway.host));
    pair.gateway.portcullis().start_again();
    expect_traffic(&pair);
}

#[test]
fn when_the_parent_is_killed_the_next_start_finds_the_devices() {
    let lab = Lab::new("when_the_parent_is_killed_the_next_start_finds_the_devices");
    let mut pair = Pair::new(&lab, Forwarder::Portcullis);
    let portcullis = pair.gateway.portcullis();
    let gateway = portcullis.gateway_pid();
    portcullis.signal("KILL");
    portcullis.end();
    wait_until("the gateway process does not outlive its parent", SOON, || {
        !std::fs::exists(format!("/proc/{gateway}/ns/net")).unwrap_or(false)
    });
    portcullis.start_again();
    expect_traffic(&pair);
    assert_eq!(pair.gateway.portcullis().stop().code(), Some(0));
    assert!(has_devices(&pair.gateway.host));
}

#[test]
fn when_both_are_killed_at_once_the_next_start_finds_the_devices() {
    let lab = Lab::new("when_both_are_killed_at_once_the_next_start_finds_the_devices");
    let mut pair = Pair::new(&lab, Forwarder::Portcullis);
    let portcullis = pair.gateway.portcullis();
    let gateway = portcullis.gateway_pid();
    portcullis.signal("STOP");
    portcullis.signal_pid(gateway, "KILL");
    portcullis.signal("KILL");
    portcullis.end();
    portcullis.start_again();
    expect_traffic(&pair);
    assert_eq!(pair.gateway.portcullis().stop().code(), Some(0));
    assert!(has_devices(&pair.gateway.host));
}

#[test]
fn a_device_that_vanishes_does_not_take_the_others_along() {
    let lab = Lab::new("a_device_that_vanishes_does_not_take_the_others_along");
    let mut pair = Pair::new(&lab, Forwarder::Portcullis);
    pair.far.run("ip link delete eth0");
    assert_eq!(pair.near.ping("-c 5 -i 0.1 -W 1", "10.1.0.1").received, 5);
    if takes_devices() {
        wait_until("it is said that the device is not there", SOON, || {
            pair.gateway.interface("wan")["problem"].is_string()
        });
    }
    let portcullis = pair.gateway.portcullis();
    assert!(portcullis.show("interfaces").len() >= 2);
    assert_eq!(portcullis.stop().code(), Some(0));
    assert!(pair.gateway.host.run("ip -br link").contains("eth1"));
}

#[test]
fn a_device_that_was_changed_is_given_back_as_it_was() {
    const ANOTHER: &str = "02:00:00:00:be:ef";
    if !takes_devices() {
        return;
    }
    let lab = Lab::new("a_device_that_was_changed_is_given_back_as_it_was");
    let mut pair = Pair::new(&lab, Forwarder::Portcullis);
    let link = pair.gateway.portcullis().link.clone();
    let mac = link.mac("eth2");
    let control = pair.gateway.control();
    control.run(&format!("ip link set wan mtu 1400 address {ANOTHER}"));
    wait_until("the device has both", SOON, || {
        link.mac("eth2") == ANOTHER && link.run("ip link show eth2").contains("mtu 1400")
    });
    assert_eq!(pair.gateway.portcullis().stop().code(), Some(0));
    let host = &pair.gateway.host;
    assert_eq!(host.mac("eth2"), mac);
    assert!(host.run("ip link show eth2").contains("mtu 1500"));
}
