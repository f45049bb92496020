//! Interfaces on net_tap: a device that finishes checksums.

use std::time::Duration;

use portcullis_blackbox::{
    Capture, Dial, Forwarder, Gateway, Host, Lab, Outcome, Plan, Port, Reflector, join, link,
    wait_until,
};

struct Layout {
    near: Host,
    far: Host,
    gateway: Gateway,
    _lab: Lab,
}

/// The near host is behind packet sockets, the far one behind net_tap, whose end in the kernel is joined with the host's wire.
fn layout(name: &str) -> Layout {
    let lab = Lab::quiet(name);
    let (near, far) = (lab.host("near"), lab.host("far"));
    let plan = Plan {
        ports: vec![
            Port::new("lan", &near, &["10.1.0.1/24", "2001:db8:1::1/64"]),
            Port::new("wan", &far, &["10.2.0.1/24", "2001:db8:2::1/64"])
                .on_dpdk("net_tap0,iface=dtap0,mac=02:70:63:00:00:01"),
        ],
        ..Plan::default()
    };
    let mut gateway = Gateway::start(&lab, Forwarder::Portcullis, &plan);
    let devices = gateway.portcullis().link.clone();
    link((&devices, "wire"), (&far, "eth0"));
    devices.run("ip link set wire up");
    join(&devices, "wire", "dtap0");
    crate::configure(&near, 1);
    crate::configure(&far, 2);
    for to in ["10.2.0.2", "2001:db8:2::2"] {
        near.reaches_within(Duration::from_secs(10), to);
    }
    Layout { near, far, gateway, _lab: lab }
}

fn converse(from: &Host) {
    for to in ["10.2.0.2:7000", "[2001:db8:2::2]:7000"] {
        for (dial, bytes) in [(Dial::udp(to), 1001), (Dial::tcp(to), 100_001)] {
            let answer = dial.bytes(bytes).by(from);
            assert!(matches!(answer.outcome, Outcome::Seen(_)), "{to}: {answer:?}");
        }
    }
}

#[test]
fn unfinished_checksums_leave_finished_by_a_device_that_finishes_them() {
    let layout = layout("unfinished_checksums_leave_finished_by_a_device_that_finishes_them");
    let wan = layout.gateway.interface("wan");
    assert_eq!(wan["offloads"], serde_json::json!(["rx-checksum", "tx-checksum"]), "{wan}");
    // So nobody else finishes them: not the kernel of the gateway's own packets, nor that of the near host.
    let vpc = layout.gateway.control();
    for (host, interface) in [(vpc, "wan"), (&layout.near, "eth0")] {
        let features = host.run(&format!("ethtool -k {interface}"));
        assert!(features.contains("tx-checksumming: on"), "{features}");
    }
    let _reflector = Reflector::start(&layout.far, "7000");
    let capture = Capture::start(&layout.far, "eth0", "tcp or udp");
    converse(vpc);
    converse(&layout.near);
    let statuses =
        |filter: &str| capture.fields(filter, &["udp.checksum.status", "tcp.checksum.status"]);
    for source in [
        "ip.src == 10.2.0.1",
        "ipv6.src == 2001:db8:2::1",
        "ip.src == 10.1.0.2",
        "ipv6.src == 2001:db8:1::2",
    ] {
        for protocol in ["udp", "tcp && tcp.len > 0"] {
            let filter = format!("{source} && {protocol}");
            wait_until("they are captured", Duration::from_secs(5), || {
                !statuses(&filter).is_empty()
            });
            for row in statuses(&filter) {
                assert!(row.iter().any(|status| status == "1"), "{filter}: {row:?}");
            }
        }
    }
    for reason in ["tx-error", "segment-no-buffer"] {
        assert_eq!(layout.gateway.drops(reason), Some(0), "{reason}");
    }
}

#[test]
fn the_carrier_of_a_tap_is_that_of_its_end_in_the_kernel() {
    let mut layout = layout("the_carrier_of_a_tap_is_that_of_its_end_in_the_kernel");
    let devices = layout.gateway.portcullis().link.clone();
    let control = layout.gateway.control();
    let has_carrier = || control.run("ip -br link show dev wan").contains("LOWER_UP");
    assert!(has_carrier());
    devices.run("ip link set dtap0 carrier off");
    wait_until("wan loses carrier", Duration::from_secs(3), || !has_carrier());
    devices.run("ip link set dtap0 carrier on");
    wait_until("wan has carrier again", Duration::from_secs(3), has_carrier);
    layout.near.reaches_within(Duration::from_secs(5), "10.2.0.2");
}

#[test]
fn an_end_in_the_kernel_that_is_deleted_is_made_again() {
    let mut layout = layout("an_end_in_the_kernel_that_is_deleted_is_made_again");
    let devices = layout.gateway.portcullis().link.clone();
    devices.run("ip link delete dtap0");
    wait_until("it is gone", Duration::from_secs(5), || {
        layout.gateway.portcullis().log().contains("interface wan: its device is gone")
    });
    wait_until("it is made again", Duration::from_secs(10), || {
        devices.attempt("ip link show dtap0").status.success()
    });
    join(&devices, "wire", "dtap0");
    layout.near.reaches_within(Duration::from_secs(10), "10.2.0.2");
}
