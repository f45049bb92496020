//! Taps: made, found again, refused.

use portcullis_os::links::Links;
use portcullis_os::netns::run_in;
use portcullis_os::tap::{Tap, TapError, TapErrorKind, TapName};
use portcullis_packet::Mac;

use crate::support::TestNetns;

fn open(netns: &TestNetns, name: &str) -> Result<Tap, TapError> {
    run_in(&netns.handle, || Tap::open(&TapName::new(name).unwrap())).unwrap()
}

#[test]
fn a_tap_survives_its_process_and_is_opened_again() {
    let netns = TestNetns::new("tap");
    let mut links = Links::open_in(&netns.handle).unwrap();
    let tap = open(&netns, "wan").unwrap();
    let mac = Mac([2, 0, 0, 0, 0, 1]);
    tap.set_mac(mac).unwrap();
    let first = links.find("wan").unwrap();
    assert_eq!((first.kind.as_deref(), first.mac), (Some("tun"), Some(mac)));
    links.add_address("wan", "192.0.2.1/24".parse().unwrap()).unwrap();
    assert_eq!(open(&netns, "wan").unwrap_err().kind, TapErrorKind::Busy);

    drop(tap);
    let again = open(&netns, "wan").unwrap();
    assert_eq!(again.name().as_str(), "wan");
    assert_eq!(links.find("wan").unwrap(), first);
    assert!(netns.run("ip addr show wan").contains("192.0.2.1/24"));
}

#[test]
fn a_name_that_belongs_to_another_kind_of_device_is_refused() {
    let netns = TestNetns::new("tapkind");
    Links::open_in(&netns.handle).unwrap().add_veth("wan", "b").unwrap();
    assert_eq!(open(&netns, "wan").unwrap_err().kind, TapErrorKind::OtherKind);
    netns.run("ip tuntap add mode tun name tun0");
    assert_eq!(open(&netns, "tun0").unwrap_err().kind, TapErrorKind::OtherKind);
}

#[test]
fn carrier_is_told_to_the_kernel() {
    let netns = TestNetns::new("tapcar");
    let mut links = Links::open_in(&netns.handle).unwrap();
    let _tap = open(&netns, "wan").unwrap();
    links.set_up("wan", true).unwrap();
    assert!(links.find("wan").unwrap().carrier);
    links.set_carrier("wan", false).unwrap();
    assert!(!links.find("wan").unwrap().carrier);
    links.set_carrier("wan", true).unwrap();
    assert!(links.find("wan").unwrap().carrier);
}

#[test]
fn frames_cross_with_a_header_of_ten_bytes_and_reading_never_waits() {
    let netns = TestNetns::new("tapio");
    let mut links = Links::open_in(&netns.handle).unwrap();
    let tap = open(&netns, "wan").unwrap();
    let mut buffer = [0; 2048];
    let down = rustix::io::write(&tap, &[0; Tap::HEADER + 60]);
    assert_eq!(down, Err(rustix::io::Errno::IO), "it is down");
    netns.run("sysctl -qw net.ipv6.conf.wan.disable_ipv6=1");
    links.set_up("wan", true).unwrap();
    assert_eq!(rustix::io::read(&tap, &mut buffer), Err(rustix::io::Errno::AGAIN));
    links.add_address("wan", "192.0.2.1/24".parse().unwrap()).unwrap();
    netns.try_run("ping -c1 -W1 192.0.2.2");
    let length = rustix::io::read(&tap, &mut buffer).unwrap();
    let frame = &buffer[Tap::HEADER..length];
    assert_eq!(frame[..6], Mac::BROADCAST.0);
    assert_eq!(frame[12..14], [8, 6], "an ARP request");
}

#[test]
fn without_the_rights_the_error_says_which_are_missing() {
    let netns = TestNetns::new("tapperm");
    let handle = netns.handle.clone();
    let error = std::thread::spawn(move || {
        handle.enter().unwrap();
        portcullis_os::privileges::cut_to(portcullis_os::privileges::Privileges::NONE).unwrap();
        Tap::open(&TapName::new("wan").unwrap()).unwrap_err()
    })
    .join()
    .unwrap();
    assert_eq!(error.to_string(), "cannot open tap wan: not permitted (CAP_NET_ADMIN is needed)");
}
