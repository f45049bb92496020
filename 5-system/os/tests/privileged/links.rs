//! Devices by rtnetlink, compared with what `ip` says.

use portcullis_os::links::{LinkErrorKind, LinkFlags, Links, OperState};
use portcullis_packet::Mac;

use crate::support::TestNetns;

#[test]
fn a_veth_pair_is_made_configured_and_deleted() {
    let netns = TestNetns::new("veth");
    let mut links = Links::open_in(&netns.handle).unwrap();
    links.add_veth("a", "b").unwrap();
    assert!(netns.run("ip -d link show a").contains("veth"));
    let mac = Mac([2, 0, 0, 0, 0, 9]);
    links.set_mac("a", mac).unwrap();
    links.set_mtu("a", 1400).unwrap();
    links.set_promiscuous("a", true).unwrap();
    links.set_up("a", true).unwrap();

    let a = links.find("a").unwrap();
    let b = links.find("b").unwrap();
    assert_eq!((a.mac, a.mtu, a.kind.as_deref()), (Some(mac), 1400, Some("veth")));
    assert!(a.is_up() && a.flags.contains(LinkFlags::PROMISCUOUS));
    assert!(!a.carrier, "its peer is down");
    assert_eq!(a.oper_state, OperState::LowerLayerDown);
    assert_eq!((a.peer, b.peer), (Some(b.index), Some(a.index)));

    links.set_up("b", true).unwrap();
    let a = links.find("a").unwrap();
    assert!(a.carrier && a.oper_state == OperState::Up);
    let by_ip = netns.run("ip -o link show a");
    assert!(by_ip.contains("02:00:00:00:00:09") && by_ip.contains("mtu 1400"), "{by_ip}");

    links.rename("b", "c").unwrap();
    let names: Vec<_> = links.list().unwrap().into_iter().map(|link| link.name).collect();
    assert_eq!(names.len(), 3);
    assert!(["lo", "a", "c"].iter().all(|name| names.iter().any(|found| found == name)));
    links.delete("a").unwrap();
    assert_eq!(links.look_for("c").unwrap(), None);
}

#[test]
fn a_device_moves_to_another_namespace_and_back() {
    let (one, two) = (TestNetns::new("one"), TestNetns::new("two"));
    let mut here = Links::open_in(&one.handle).unwrap();
    let mut there = Links::open_in(&two.handle).unwrap();
    here.add_veth("a", "b").unwrap();
    here.move_to("a", &two.handle).unwrap();
    assert_eq!(here.look_for("a").unwrap(), None);
    assert!(two.run("ip link show a").contains("a@"));
    there.move_to_as("a", &one.handle, "again").unwrap();
    assert_eq!(there.look_for("a").unwrap(), None);
    assert!(here.find("again").is_ok());

    // The name is taken over there.
    here.move_to("again", &two.handle).unwrap();
    here.add_veth("again", "d").unwrap();
    let error = here.move_to("again", &two.handle).unwrap_err();
    assert!(matches!(error.kind, LinkErrorKind::Exists(_)), "{error}");
}

#[test]
fn addresses_are_given_and_taken() {
    let netns = TestNetns::new("addr");
    let mut links = Links::open_in(&netns.handle).unwrap();
    links.add_veth("a", "b").unwrap();
    links.set_up("a", true).unwrap();
    links.set_up("b", true).unwrap();
    for address in ["192.0.2.1/24", "2001:db8::1/64"] {
        links.add_address("a", address.parse().unwrap()).unwrap();
        assert!(netns.run("ip addr show a").contains(address), "{address}");
        let error = links.add_address("a", address.parse().unwrap()).unwrap_err();
        assert!(matches!(error.kind, LinkErrorKind::Exists(_)), "{error}");
    }
    assert!(netns.run("ip route").contains("192.0.2.0/24"), "the prefix has its route");
    links.add_address_without_dad("b", "2001:db8:1::1/64".parse().unwrap()).unwrap();
    assert!(!netns.run("ip addr show b").contains("2001:db8:1::1/64 scope global tentative"));
    links.remove_address("a", "192.0.2.1/24".parse().unwrap()).unwrap();
    assert!(!netns.run("ip addr show a").contains("192.0.2.1"));
}

#[test]
fn errors_name_the_device_the_namespace_and_the_reason() {
    let netns = TestNetns::new("err");
    let mut links = Links::open_in(&netns.handle).unwrap();
    let name = &netns.name;
    for error in [
        links.find("nope").unwrap_err(),
        links.set_up("nope", true).unwrap_err(),
        links.set_mtu("nope", 1500).unwrap_err(),
        links.move_to("nope", &netns.handle).unwrap_err(),
        links.delete("nope").unwrap_err(),
    ] {
        assert_eq!(error.kind, LinkErrorKind::NotFound, "{error}");
        assert_eq!(error.device.as_deref(), Some("nope"));
        assert!(error.to_string().contains(name), "{error}");
    }
    let error = links.delete("lo").unwrap_err();
    assert!(matches!(error.kind, LinkErrorKind::NotSupported(_)), "{error}");
    links.add_veth("a", "b").unwrap();
    let error = links.set_mtu("a", 10).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "device a in namespace {name}: cannot set the MTU to 10: Invalid argument (os error 22) \
             (the kernel says: mtu less than device minimum)"
        )
    );
}

#[test]
fn without_the_rights_the_error_says_which_are_missing() {
    let netns = TestNetns::new("perm");
    let mut links = Links::open_in(&netns.handle).unwrap();
    links.add_veth("a", "b").unwrap();
    let error = std::thread::spawn(move || {
        portcullis_os::privileges::cut_to(portcullis_os::privileges::Privileges::NONE).unwrap();
        links.set_up("a", true).unwrap_err()
    })
    .join()
    .unwrap();
    assert_eq!(error.kind, LinkErrorKind::NotPermitted);
    let name = &netns.name;
    assert_eq!(
        error.to_string(),
        format!(
            "device a in namespace {name}: cannot set up: not permitted (CAP_NET_ADMIN is needed)"
        )
    );
}
