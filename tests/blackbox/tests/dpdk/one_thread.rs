//! Workers that are one thread each.

use std::time::Duration;

use portcullis_blackbox::{
    Dial, Forwarder, Gateway, Host, IperfServer, Lab, Plan, Port, Reflector, Transport,
};

const ENOUGH_BITS_PER_SECOND: f64 = 50e6;

/// Inside hosts share the address of `wan`, and only they begin.
const POLICY: &str = "
[firewall]
default = \"drop\"
gateway-default = \"accept\"
[[firewall.rule]]
name = \"out\"
from = \"lan\"
to = \"wan\"
action = \"accept\"
[[nat.masquerade]]
source = [\"10.1.0.0/24\"]
out = \"wan\"
";

fn start(lab: &Lab, gateway: &str, file: &str) -> (Host, Host, Gateway) {
    let (near, far) = (lab.host("near"), lab.host("far"));
    let plan = Plan {
        ports: vec![
            Port::new("lan", &near, &["10.1.0.1/24"]).on_dpdk("net_af_packet0,iface=eth1"),
            Port::new("wan", &far, &["10.2.0.1/24"]).on_dpdk("net_af_packet1,iface=eth2"),
        ],
        gateway: format!("threads-per-worker = 1\n{gateway}"),
        file: file.to_owned(),
        ..Plan::default()
    };
    let gateway = Gateway::start(lab, Forwarder::Portcullis, &plan);
    for (host, number) in [(&near, 1), (&far, 2)] {
        crate::without_offloads(host, "eth0");
        crate::configure(host, number);
    }
    near.reaches_within(Duration::from_secs(10), "10.2.0.2");
    (near, far, gateway)
}

#[test]
fn a_worker_of_one_thread_does_all_that_two_do() {
    let lab = Lab::new("a_worker_of_one_thread_does_all_that_two_do");
    let (near, far, gateway) = start(&lab, "workers = 2", POLICY);
    for number in 10..18 {
        near.run(&format!("ip address add 10.1.0.{number}/24 dev eth0"));
    }
    let _reflector = Reflector::start(&far, "7000");
    // Flows of both workers, in both directions: some packets are handed over.
    for number in 10..18 {
        let from = format!("10.1.0.{number}:4000");
        let seen = Dial::udp("10.2.0.2:7000").from(&from).seen(&near);
        assert_eq!(seen.ip().to_string(), "10.2.0.1", "{from}");
    }
    let _server = IperfServer::start(&far);
    for direction in ["", "-R"] {
        let stream = near.iperf("10.2.0.2", Transport::Tcp, 4, direction);
        assert!(stream.bits_per_second > ENOUGH_BITS_PER_SECOND, "{direction} {stream:?}");
    }
    let refused = far.attempt("ping -c 1 -W 1 10.1.0.2");
    assert!(!refused.status.success(), "nobody outside begins");
    assert!(gateway.drops("firewall-drop") > Some(0));

    let threads = gateway.show("threads").unwrap_or_default();
    let name = |thread: &serde_json::Value| thread["name"].as_str().unwrap_or_default().to_owned();
    for worker in ["pc-worker-0", "pc-worker-1"] {
        let thread = threads.iter().find(|thread| name(thread) == worker);
        let thread = thread.unwrap_or_else(|| panic!("no {worker}: {threads:?}"));
        assert_eq!(thread["role"], "worker", "{thread}");
        assert_eq!(thread["cap_permitted"], serde_json::json!([]), "{thread}");
    }
    let of_two = |thread| ["pc-io-", "pc-pipe-"].iter().any(|of| name(thread).starts_with(of));
    assert!(!threads.iter().any(of_two), "{threads:?}");
}

#[test]
fn an_idle_worker_of_one_thread_wakes_for_taps_and_news() {
    let lab = Lab::new("an_idle_worker_of_one_thread_wakes_for_taps_and_news");
    let (near, far, gateway) = start(&lab, "", "");
    let vpc = gateway.control();
    for round in 0..20 {
        // From a tap, and by a route that was not there a moment ago.
        vpc.run("ping -q -c 1 -W 1 10.2.0.2");
        let new = format!("10.9.{round}.1");
        far.run(&format!("ip address add {new}/32 dev eth0"));
        vpc.run(&format!("ip route add {new}/32 via 10.2.0.2"));
        near.reaches_within(Duration::from_secs(2), &new);
    }
}
