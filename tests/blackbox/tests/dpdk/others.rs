//! Other kinds of devices, each with a ping and a TCP stream across.

use std::time::Duration;

use portcullis_blackbox::{Forwarder, Gateway, IperfServer, Lab, Plan, Port, Transport};

const ENOUGH_BITS_PER_SECOND: f64 = 50e6;

#[test]
fn packets_cross_on_af_xdp() {
    let lab = Lab::new("packets_cross_on_af_xdp");
    let (near, far) = (lab.host("near"), lab.host("far"));
    let plan = Plan {
        ports: vec![
            Port::new("lan", &near, &["10.1.0.1/24"]).on_dpdk("net_af_xdp0,iface=eth1"),
            Port::new("wan", &far, &["10.2.0.1/24"]).on_dpdk("net_af_xdp1,iface=eth2"),
        ],
        ..Plan::default()
    };
    let mut gateway = Gateway::start(&lab, Forwarder::Portcullis, &plan);
    for (host, number) in [(&near, 1), (&far, 2)] {
        crate::without_offloads(host, "eth0");
        crate::configure(host, number);
    }
    near.reaches_within(Duration::from_secs(10), "10.2.0.2");
    near.reaches_within(Duration::from_secs(10), "10.1.0.1");
    let _server = IperfServer::start(&far);
    for direction in ["", "-R"] {
        let stream = near.iperf("10.2.0.2", Transport::Tcp, 1, direction);
        assert!(stream.bits_per_second > ENOUGH_BITS_PER_SECOND, "{direction} {stream:?}");
    }
    assert_eq!(gateway.drops("tx-error"), Some(0));
    let portcullis = gateway.portcullis();
    portcullis.signal_pid(portcullis.gateway_pid(), "KILL");
    portcullis.end();
    portcullis.start_again();
    near.reaches_within(Duration::from_secs(10), "10.2.0.2");
    assert_eq!(portcullis.stop().code(), Some(0));
    for device in ["eth1", "eth2"] {
        let link = gateway.host.run(&format!("ip -details link show {device}"));
        assert!(!link.contains("xdp"), "a program was left: {link}");
    }
}

#[test]
fn packets_as_large_as_the_mtu_cross_on_af_xdp() {
    // The largest that a file may have.
    const MTU: u32 = 3300;
    let lab = Lab::new("packets_as_large_as_the_mtu_cross_on_af_xdp");
    let (near, far) = (lab.host("near"), lab.host("far"));
    let port = |name: &str, host: &_, address: &str, device: &str| {
        Port::new(name, host, &[address]).on_dpdk(device).with_mtu(MTU)
    };
    let plan = Plan {
        ports: vec![
            port("lan", &near, "10.1.0.1/24", "net_af_xdp0,iface=eth1"),
            port("wan", &far, "10.2.0.1/24", "net_af_xdp1,iface=eth2"),
        ],
        ..Plan::default()
    };
    let gateway = Gateway::start(&lab, Forwarder::Portcullis, &plan);
    for (host, number) in [(&near, 1), (&far, 2)] {
        crate::without_offloads(host, "eth0");
        host.run(&format!("ip link set eth0 mtu {MTU}"));
        crate::configure(host, number);
    }
    near.reaches_within(Duration::from_secs(10), "10.2.0.2");
    let ping = near.ping(&format!("-c 5 -i 0.1 -W 1 -M do -s {}", MTU - 28), "10.2.0.2");
    assert_eq!(ping.received, 5, "{}", ping.said);
    assert_eq!(gateway.drops("rx-overrun"), Some(0));
}
