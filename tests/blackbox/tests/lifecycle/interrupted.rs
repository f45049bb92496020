//! Runs that are cut off, and what somebody else did to their devices meanwhile.

use std::fs;
use std::time::Duration;

use portcullis_blackbox::{Forwarder, Lab, Pair, Portcullis, binary, takes_devices, wait_until};

const SOON: Duration = Duration::from_secs(10);

/// Ends both processes, the parent first unable to do anything about it.
fn kill_both(portcullis: &mut Portcullis) {
    let gateway = portcullis.gateway_pid();
    portcullis.signal("STOP");
    portcullis.signal_pid(gateway, "KILL");
    portcullis.signal("KILL");
    portcullis.end();
}

fn edit(portcullis: &Portcullis, from: &str, to: &str) {
    let text = fs::read_to_string(portcullis.file()).expect("the file was written");
    assert!(text.contains(from), "{text}");
    fs::write(portcullis.file(), text.replacen(from, to, 1)).expect("the file can be written");
}

#[test]
fn a_device_that_was_renamed_goes_home_under_its_own_name() {
    if !takes_devices() {
        return;
    }
    let lab = Lab::new("a_device_that_was_renamed_goes_home_under_its_own_name");
    let mut pair = Pair::new(&lab, Forwarder::Portcullis);
    let host = pair.gateway.host.clone();
    let portcullis = pair.gateway.portcullis();
    portcullis.link.run("ip link set eth1 down");
    portcullis.link.run("ip link set eth1 name other");
    assert_eq!(portcullis.stop().code(), Some(0), "{}", portcullis.log());
    assert!(host.run("ip -br link").contains("eth1@"));
}

#[test]
fn a_device_whose_name_is_taken_goes_home_under_another_one() {
    if !takes_devices() {
        return;
    }
    let lab = Lab::new("a_device_whose_name_is_taken_goes_home_under_another_one");
    let mut pair = Pair::new(&lab, Forwarder::Portcullis);
    let host = pair.gateway.host.clone();
    let portcullis = pair.gateway.portcullis();
    host.run("ip link add eth1 type veth peer name peer");
    assert_eq!(portcullis.stop().code(), Some(0), "{}", portcullis.log());
    assert!(host.run("ip -br link").contains("eth1_1@"));
    assert!(portcullis.log().contains("eth1_1"), "{}", portcullis.log());
}

#[test]
fn a_device_that_was_in_the_link_namespace_before_stays_as_it_was() {
    if !takes_devices() {
        return;
    }
    let lab = Lab::new("a_device_that_was_in_the_link_namespace_before_stays_as_it_was");
    let link = lab.host("link");
    let mut pair = Pair::new(&lab, Forwarder::Portcullis);
    let host = pair.gateway.host.clone();
    assert_eq!(pair.gateway.portcullis().stop().code(), Some(0));
    host.run(&format!("ip link set eth2 down mtu 1400 netns {}", link.namespace()));
    pair.gateway.portcullis().start_again();
    assert!(link.run("ip link show eth2").contains("mtu 1500"));
    assert_eq!(pair.gateway.portcullis().stop().code(), Some(0));
    let shown = link.run("ip link show eth2");
    assert!(shown.contains("mtu 1400") && !shown.contains(",UP"), "{shown}");
}

#[test]
fn a_start_with_another_name_and_namespaces_takes_over_what_was_cut_off() {
    if !takes_devices() {
        return;
    }
    let lab = Lab::new("a_start_with_another_name_and_namespaces_takes_over_what_was_cut_off");
    let mut pair = Pair::new(&lab, Forwarder::Portcullis);
    let host = pair.gateway.host.clone();
    let portcullis = pair.gateway.portcullis();
    let (old_link, old_vpc) = (portcullis.link.clone(), portcullis.vpc.clone());
    kill_both(portcullis);
    let prefix = lab.prefix();
    edit(portcullis, &format!("name = \"{prefix}\""), &format!("name = \"{prefix}-new\""));
    edit(portcullis, &format!("\"{}\"", old_link.namespace()), &format!("\"{prefix}-link2\""));
    portcullis.start_again();
    assert!(!old_link.exists(), "{}", portcullis.log());
    assert!(lab.adopt("link2").run("ip -br link").contains("eth2"));
    assert_eq!(portcullis.stop().code(), Some(0), "{}", portcullis.log());
    assert!(!lab.adopt("link2").exists() && !old_vpc.exists());
    let links = host.run("ip -br link");
    assert!(links.contains("eth1@") && links.contains("eth2@"), "{links}");
}

#[test]
fn a_tap_outlives_the_gateway_and_goes_with_its_interface() {
    let lab = Lab::new("a_tap_outlives_the_gateway_and_goes_with_its_interface");
    let vpc = lab.host("vpc");
    let mut pair = Pair::new(&lab, Forwarder::Portcullis);
    let portcullis = pair.gateway.portcullis();
    assert_eq!(portcullis.stop().code(), Some(0));
    assert!(vpc.run("ip -br link").contains("wan "));
    edit(portcullis, "name = \"wan\"", "name = \"dmz\"");
    portcullis.start_again();
    let taps = vpc.run("ip -br link");
    assert!(taps.contains("dmz ") && !taps.contains("wan "), "{taps}");
}

#[test]
fn a_namespace_that_was_half_made_is_no_obstacle() {
    let lab = Lab::new("a_namespace_that_was_half_made_is_no_obstacle");
    let mut pair = Pair::new(&lab, Forwarder::Portcullis);
    let host = pair.gateway.host.clone();
    let portcullis = pair.gateway.portcullis();
    kill_both(portcullis);
    host.run(&format!("umount -l /run/netns/{}", portcullis.vpc.namespace()));
    portcullis.start_again();
    pair.near.reaches_within(SOON, "10.2.0.2");
    assert_eq!(pair.gateway.portcullis().stop().code(), Some(0));
}

#[test]
fn a_stop_at_any_moment_of_the_start_is_a_clean_one() {
    let lab = Lab::new("a_stop_at_any_moment_of_the_start_is_a_clean_one");
    let mut pair = Pair::new(&lab, Forwarder::Portcullis);
    let host = pair.gateway.host.clone();
    let portcullis = pair.gateway.portcullis();
    assert_eq!(portcullis.stop().code(), Some(0));
    let file = portcullis.file().to_string_lossy().into_owned();
    let socket = portcullis.socket().to_string_lossy().into_owned();
    for tenths in 1..=6 {
        // `timeout` says how what it runs ended.
        let said = host.run(&format!(
            "timeout --preserve-status -s TERM 0.{tenths} {} run -c {file} --socket {socket}",
            binary(false).display()
        ));
        let links = host.run("ip -br link");
        assert!(links.contains("eth1@") && links.contains("eth2@"), "{links}{said}");
    }
}

#[test]
fn when_all_processes_are_told_to_stop_at_once_the_stop_is_clean() {
    let lab = Lab::new("when_all_processes_are_told_to_stop_at_once_the_stop_is_clean");
    let mut pair = Pair::new(&lab, Forwarder::Portcullis);
    let portcullis = pair.gateway.portcullis();
    portcullis.signal("TERM");
    portcullis.signal_pid(portcullis.gateway_pid(), "TERM");
    assert_eq!(portcullis.end().code(), Some(0), "{}", portcullis.log());
}

#[test]
fn a_gateway_whose_log_nobody_reads_any_more_strands_nothing() {
    let lab = Lab::new("a_gateway_whose_log_nobody_reads_any_more_strands_nothing");
    let mut pair = Pair::new(&lab, Forwarder::Portcullis);
    let host = pair.gateway.host.clone();
    let portcullis = pair.gateway.portcullis();
    assert_eq!(portcullis.stop().code(), Some(0));
    let (file, program) = (portcullis.file().display(), binary(false));
    let line = format!("timeout 2 {} run -c {file} 2>&1 | head -1", program.display());
    host.run_words(&["sh", "-c", &line]);
    wait_until("the devices are back", SOON, || {
        let links = host.run("ip -br link");
        links.contains("eth1@") && links.contains("eth2@")
    });
}
