//! Devices that are not there when the gateway starts.

use std::time::Duration;

use portcullis_blackbox::{
    Forwarder, Gateway, Host, Lab, Plan, Port, Portcullis, link, wait_until,
};

#[test]
fn without_the_huge_pages_that_it_is_to_have_it_does_not_start_and_says_why() {
    let lab = Lab::new("without_the_huge_pages_that_it_is_to_have_it_does_not_start_and_says_why");
    let host = lab.host("gw");
    let plan = Plan {
        ports: vec![Port::new("lan", &host, &["10.1.0.1/24"]).on_dpdk("net_null0")],
        file: "[dpdk]\nhugepages = true\nmemory = 1000000".to_owned(),
        ..Plan::default()
    };
    let said = Portcullis::refusal(&lab, &host, &plan, &[]);
    assert!(said.contains("1000000 MiB of huge pages are asked for"), "{said}");
    assert!(said.contains("nr_hugepages"), "{said}");
}

#[test]
fn what_dpdk_prints_is_not_taken_for_a_status() {
    let lab = Lab::new("what_dpdk_prints_is_not_taken_for_a_status");
    let host = lab.host("gw");
    let plan = Plan {
        ports: vec![Port::new("lan", &host, &["10.1.0.1/24"]).on_dpdk("net_null0")],
        file: "[dpdk]\neal-arguments = [\"--bogus\"]".to_owned(),
        ..Plan::default()
    };
    let said = Portcullis::refusal(&lab, &host, &plan, &[]);
    assert!(said.contains("DPDK does not start with"), "{said}");
    assert!(said.contains("EAL common options"), "its usage is to be read: {said}");
    assert!(!said.contains("INFO ready"), "{said}");
}

#[test]
fn a_device_without_an_address_of_a_stations_gets_one() {
    let lab = Lab::new("a_device_without_an_address_of_a_stations_gets_one");
    let near = lab.host("near");
    let plan = Plan {
        ports: vec![Port::new("lan", &near, &["10.1.0.1/24"]).on_dpdk("net_ring0")],
        ..Plan::default()
    };
    let gateway = Gateway::start(&lab, Forwarder::Portcullis, &plan);
    let mac = gateway.interface("lan")["mac"].to_string();
    assert!(mac.starts_with("\"02:"), "{mac}");
    assert_eq!(mac.trim_matches('"'), gateway.control().mac("lan"));
}

#[test]
fn a_device_that_fails_to_start_is_an_error_and_comes_when_it_can() {
    let lab = Lab::new("a_device_that_fails_to_start_is_an_error_and_comes_when_it_can");
    let near = lab.host("near");
    let frames = lab.folder().join("frames.pcap");
    let device = format!("net_pcap0,rx_pcap={},infinite_rx=0", frames.display());
    let plan = Plan {
        ports: vec![
            Port::new("lan", &near, &["10.1.0.1/24"]),
            Port::new("late", &near, &["10.2.0.1/24"]).on_dpdk(&device),
        ],
        ..Plan::default()
    };
    let mut gateway = Gateway::start(&lab, Forwarder::Portcullis, &plan);
    near.configure("eth0", &["10.1.0.2/24"]);
    near.reaches_within(Duration::from_secs(10), "10.1.0.1");
    let log = gateway.portcullis().log();
    let complaint = log.lines().find(|line| line.contains("ERROR interface late"));
    assert!(complaint.is_some_and(|line| line.contains(&device)), "{log}");
    let late = gateway.interface("late");
    assert_eq!(late["carrier"], false);
    let problem = late["problem"].as_str();
    assert!(problem.is_some_and(|problem| problem.contains(&device)), "{late}");
    near.scapy(&format!(
        "wrpcap('{}', [raw(Ether(dst='02:70:63:61:70:00')/IP(dst='10.1.0.2')/UDP())] * 5, linktype=1)",
        frames.display()
    ));
    wait_until("it is there", Duration::from_secs(20), || {
        gateway.interface("late")["carrier"] == true
    });
    wait_until("its frames came in", Duration::from_secs(10), || {
        gateway.interface("late")["rx_packets"] == 5
    });
    assert_eq!(gateway.interface("late")["problem"], serde_json::Value::Null);
    assert!(gateway.portcullis().log().contains("interface late: its device is there"));
}

#[test]
fn a_pci_device_that_is_not_there_keeps_nothing_else_from_running() {
    let lab = Lab::new("a_pci_device_that_is_not_there_keeps_nothing_else_from_running");
    let near = lab.host("near");
    let plan = Plan {
        ports: vec![
            Port::new("lan", &near, &["10.1.0.1/24"]),
            Port::new("wan", &near, &["10.2.0.1/24"]).on_dpdk("FF:1f.7,arg=1"),
        ],
        ..Plan::default()
    };
    let mut gateway = Gateway::start(&lab, Forwarder::Portcullis, &plan);
    near.configure("eth0", &["10.1.0.2/24"]);
    near.reaches_within(Duration::from_secs(10), "10.1.0.1");
    let problem = gateway.interface("wan")["problem"].to_string();
    assert!(problem.contains("0000:ff:1f.7,arg=1"), "{problem}");
    let threads = gateway.show("threads").expect("it answers");
    let dpdk = threads.iter().find(|thread| thread["name"] == "pc-dpdk").expect("its thread");
    assert_eq!(dpdk["cap_effective"], serde_json::json!(["CAP_IPC_LOCK"]), "{dpdk}");
    assert_eq!(gateway.portcullis().stop().code(), Some(0));
}

#[test]
fn a_kernels_device_that_is_made_anew_is_taken_into_use() {
    let lab = Lab::new("a_kernels_device_that_is_made_anew_is_taken_into_use");
    let (near, far) = (lab.host("near"), lab.host("far"));
    let plan = Plan {
        ports: vec![
            Port::new("lan", &near, &["10.1.0.1/24"]).on_dpdk("net_af_packet0,iface=eth1"),
            Port::new("wan", &far, &["10.2.0.1/24"]).on_dpdk("net_af_packet1,iface=eth2"),
        ],
        ..Plan::default()
    };
    let mut gateway = Gateway::start(&lab, Forwarder::Portcullis, &plan);
    crate::configure(&near, 1);
    crate::configure(&far, 2);
    near.reaches_within(Duration::from_secs(10), "10.2.0.2");
    for time in 1..=2 {
        far.run("ip link delete eth0");
        wait_until("it is gone", Duration::from_secs(5), || {
            gateway.interface("wan")["carrier"] == false
        });
        near.reaches_within(Duration::from_secs(5), "10.1.0.1");
        // The new one may have the number that the old one had.
        wait_until("it is given up", Duration::from_secs(5), || {
            let log = gateway.portcullis().log();
            log.matches("interface wan: its device is gone").count() == time
        });
        wait_until("it is said what is missing", Duration::from_secs(5), || {
            let problem = gateway.interface("wan")["problem"].to_string();
            problem.contains("no device") && problem.contains("eth2")
        });
        link((&gateway.portcullis().link, "eth2"), (&far, "eth0"));
        crate::configure(&far, 2);
        near.reaches_within(Duration::from_secs(10), "10.2.0.2");
    }
    let is_promiscuous = |host: &Host| host.run("ip link show eth1").contains("PROMISC");
    assert!(is_promiscuous(&gateway.portcullis().link), "DPDK wants it so");
    assert_eq!(gateway.portcullis().stop().code(), Some(0));
    assert!(!is_promiscuous(&gateway.host), "it is given back as it was");
}
