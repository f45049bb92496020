use portcullis_packet::{Mac, TxOffload};

use super::*;

const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

fn setup(device: Option<&str>) -> InterfaceSetup {
    InterfaceSetup {
        name: "wan".into(),
        device: device.map_or(DeviceSetup::Unknown, |name| DeviceSetup::Kernel(name.into())),
        mac: MAC,
        mtu: Some(1400),
        addresses: vec![],
        offload: TxOffload::default(),
    }
}

fn link(index: u32, name: &str, up: bool, carrier: bool) -> Link {
    let mac = Mac([2, 0, 0, 0, 1, u8::try_from(index).unwrap_or(0)]);
    Link { index: KernelIndex(index), name: name.into(), mac, mtu: 1500, up, carrier }
}

/// Does what is asked for, until nothing is; says what it was.
fn settle(
    ports: &mut Ports,
    accepts: impl Fn(Side, LinkChange) -> bool,
) -> Vec<(Side, LinkChange)> {
    let mut asked = vec![];
    while let Some((interface, side, request)) = ports.step() {
        let Request::SetLink { change, .. } = request else { panic!("{request:?}") };
        ports.answered(interface, side, change, accepts(side, change));
        asked.push((side, change));
        assert!(asked.len() < 20, "no end of it: {asked:?}");
    }
    asked
}

#[test]
fn a_new_tap_becomes_like_its_device_and_is_set_up() {
    let mut ports = Ports::new(vec![setup(Some("eth1"))]);
    ports.set_link(Side::Device, &link(7, "eth1", true, true));
    assert_eq!(ports.set_link(Side::Tap, &link(3, "wan", false, true)), Some(IfIndex(0)));
    assert_eq!(
        settle(&mut ports, |_, _| true),
        [
            (Side::Tap, LinkChange::Mac(Mac([2, 0, 0, 0, 1, 7]))),
            (Side::Device, LinkChange::Mtu(1400)),
            (Side::Tap, LinkChange::Mtu(1400)),
            (Side::Tap, LinkChange::Up(true)),
        ]
    );
    let port = ports.get(IfIndex(0)).expect("a port");
    assert!(port.is_usable());
    assert_eq!((port.mtu(), port.mac()), (1400, Mac([2, 0, 0, 0, 1, 7])));
}

#[test]
fn another_mtu_is_set_on_both_ends_and_the_same_one_is_not_set_again() {
    let mut ports = Ports::new(vec![setup(Some("eth1"))]);
    let device = |mtu| Link { mtu, ..link(7, "eth1", true, true) };
    let tap = |mtu| Link { index: KernelIndex(3), name: "wan".into(), ..device(mtu) };
    ports.set_link(Side::Device, &device(1400));
    ports.set_link(Side::Tap, &tap(1400));
    assert_eq!(settle(&mut ports, |_, _| true), []);
    assert!(ports.configure(IfIndex(0), vec![], Some(9000)));
    let both = [(Side::Device, LinkChange::Mtu(9000)), (Side::Tap, LinkChange::Mtu(9000))];
    assert_eq!(settle(&mut ports, |_, _| true), both);

    // An operator makes it smaller: that stays until the file says another one.
    ports.set_link(Side::Tap, &tap(1300));
    settle(&mut ports, |_, _| true);
    assert!(!ports.configure(IfIndex(0), vec![], Some(9000)));
    assert!(ports.configure(IfIndex(0), vec![], None));
    assert_eq!(settle(&mut ports, |_, _| true), []);
    assert_eq!(ports.get(IfIndex(0)).expect("a port").mtu(), 1300);
}

#[test]
fn a_tap_whose_device_no_kernel_sees_gets_what_the_driver_says() {
    let mut ports = Ports::new(vec![setup(None)]);
    ports.set_link(Side::Tap, &link(3, "wan", false, true));
    assert_eq!(
        settle(&mut ports, |_, _| true),
        [
            (Side::Tap, LinkChange::Mac(MAC)),
            (Side::Tap, LinkChange::Mtu(1400)),
            (Side::Tap, LinkChange::Up(true)),
        ]
    );
    assert!(ports.get(IfIndex(0)).expect("a port").is_usable());
}

#[test]
fn carrier_goes_from_the_device_to_the_tap_and_the_administrative_state_the_other_way() {
    let mut ports = Ports::new(vec![setup(Some("eth1"))]);
    let device = |up, carrier| Link { mtu: 1400, ..link(7, "eth1", up, carrier) };
    let tap = |up, carrier| Link { mac: device(up, carrier).mac, ..device(up, carrier) };
    let tap = |up, carrier| Link { index: KernelIndex(3), name: "wan".into(), ..tap(up, carrier) };
    ports.set_link(Side::Device, &device(true, true));
    ports.set_link(Side::Tap, &tap(true, true));
    assert_eq!(settle(&mut ports, |_, _| true), []);

    ports.set_link(Side::Device, &device(true, false));
    assert_eq!(settle(&mut ports, |_, _| true), [(Side::Tap, LinkChange::Carrier(false))]);
    ports.set_link(Side::Device, &device(true, true));
    assert_eq!(settle(&mut ports, |_, _| true), [(Side::Tap, LinkChange::Carrier(true))]);
    ports.set_link(Side::Tap, &tap(false, true));
    let down = [(Side::Device, LinkChange::Up(false)), (Side::Tap, LinkChange::Carrier(false))];
    assert_eq!(settle(&mut ports, |_, _| true), down);
    ports.remove_link(Side::Device, KernelIndex(7));
    assert!(!ports.get(IfIndex(0)).expect("a port").is_usable());
}

#[test]
fn what_is_refused_is_asked_once_until_something_changes() {
    let mut ports = Ports::new(vec![setup(Some("eth1"))]);
    ports.set_link(Side::Device, &link(7, "eth1", true, true));
    ports.set_link(Side::Tap, &link(3, "wan", false, true));
    let asked = settle(&mut ports, |_, _| false);
    assert!(asked.len() < 10, "{asked:?}");
    assert_eq!(settle(&mut ports, |_, _| false), []);
    ports.set_link(Side::Tap, &link(3, "wan", true, false));
    assert!(!settle(&mut ports, |_, _| true).is_empty());
}

#[test]
fn a_device_is_known_by_its_name_however_often_that_changes_hands() {
    let mut ports = Ports::new(vec![setup(Some("eth1"))]);
    ports.set_link(Side::Tap, &link(3, "wan", true, true));
    assert_eq!(ports.of_tap(KernelIndex(3)), Some(IfIndex(0)));
    assert_eq!(ports.set_link(Side::Tap, &link(3, "old", true, true)), Some(IfIndex(0)));
    assert_eq!(ports.of_tap(KernelIndex(3)), None);
    assert_eq!(ports.set_link(Side::Tap, &link(4, "wan", true, true)), Some(IfIndex(0)));
    assert_eq!(ports.tap_index(IfIndex(0)), Some(KernelIndex(4)));
    assert_eq!(ports.remove_link(Side::Tap, KernelIndex(3)), None);
    assert_eq!(ports.remove_link(Side::Tap, KernelIndex(4)), Some(IfIndex(0)));
}
