//! Packets between an AF_PACKET device and one of DPDK's.

use std::time::Duration;

use portcullis_blackbox::{Forwarder, Gateway, IperfServer, Lab, Plan, Port, Transport};

const ENOUGH_BITS_PER_SECOND: f64 = 50e6;

#[test]
fn super_frames_of_one_driver_cross_to_the_other_in_segments() {
    let lab = Lab::quiet("super_frames_of_one_driver_cross_to_the_other_in_segments");
    let (near, far) = (lab.host("near"), lab.host("far"));
    let plan = Plan {
        ports: vec![
            Port::new("lan", &near, &["10.1.0.1/24", "2001:db8:1::1/64"]),
            Port::new("wan", &far, &["10.2.0.1/24", "2001:db8:2::1/64"])
                .on_dpdk("net_af_packet0,iface=eth2"),
        ],
        ..Plan::default()
    };
    let gateway = Gateway::start(&lab, Forwarder::Portcullis, &plan);
    crate::without_offloads(&far, "eth0");
    crate::configure(&near, 1);
    crate::configure(&far, 2);
    for to in ["10.2.0.2", "2001:db8:2::2"] {
        near.reaches_within(Duration::from_secs(10), to);
    }
    let _server = IperfServer::start(&far);
    for (to, direction) in [("10.2.0.2", ""), ("10.2.0.2", "-R"), ("2001:db8:2::2", "")] {
        let stream = near.iperf(to, Transport::Tcp, 1, direction);
        assert!(stream.bits_per_second > ENOUGH_BITS_PER_SECOND, "{to} {direction} {stream:?}");
    }
    for reason in ["tx-error", "segment-no-buffer", "tx-gone"] {
        assert_eq!(gateway.drops(reason), Some(0), "{reason}");
    }
}
