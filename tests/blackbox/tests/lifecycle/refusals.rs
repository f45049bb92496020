//! Starts that can't succeed say why, and leave nothing behind.

use portcullis_blackbox::{Forwarder, Host, Lab, Pair, Plan, Port, Portcullis, takes_devices};

/// A host with the devices of a gateway that is not running.
fn devices(lab: &Lab) -> (Host, Plan) {
    let (near, gateway) = (lab.host("near"), lab.host("gw"));
    portcullis_blackbox::link((&gateway, "eth1"), (&near, "eth0"));
    let ports = vec![Port::new("lan", &near, &["10.1.0.1/24"])];
    (gateway, Plan { ports, ..Plan::default() })
}

fn expect_nothing_left(lab: &Lab, gateway: &Host) {
    assert!(gateway.run("ip -br link").contains("eth1"));
    assert!(!lab.adopt("link").exists() && !lab.adopt("vpc").exists());
}

#[test]
fn a_second_gateway_on_the_same_names_is_refused_and_the_first_goes_on() {
    let lab = Lab::new("a_second_gateway_on_the_same_names_is_refused_and_the_first_goes_on");
    let mut pair = Pair::new(&lab, Forwarder::Portcullis);
    let ping = pair.near.keep_pinging("10.2.0.2");
    let portcullis = pair.gateway.portcullis();
    let same_name = portcullis.run_another(lab.prefix());
    assert!(same_name.contains(lab.prefix()), "{same_name}");
    assert!(same_name.contains(&format!("process {}", portcullis.pid())), "{same_name}");
    // Another name does not make its namespaces others.
    let same_namespaces = portcullis.run_another("other");
    assert!(same_namespaces.contains(portcullis.link.namespace()), "{same_namespaces}");
    let ping = ping.stop();
    assert_eq!(ping.lost(), 0, "{}", ping.said);
    assert!(!pair.gateway.portcullis().show("interfaces").is_empty());
}

#[test]
fn a_device_that_does_not_exist_is_named() {
    if !takes_devices() {
        return;
    }
    let lab = Lab::new("a_device_that_does_not_exist_is_named");
    let (gateway, mut plan) = devices(&lab);
    let peer = lab.host("far");
    plan.ports.push(Port::new("wan", &peer, &["10.2.0.1/24"]));
    let said = Portcullis::refusal(&lab, &gateway, &plan, &[]);
    assert!(said.contains("eth2"), "{said}");
    expect_nothing_left(&lab, &gateway);
}

#[test]
fn a_right_that_is_missing_is_named() {
    let lab = Lab::new("a_right_that_is_missing_is_named");
    let (gateway, plan) = devices(&lab);
    for (right, capability) in
        [("net_admin", "CAP_NET_ADMIN"), ("sys_admin", "CAP_SYS_ADMIN"), ("net_raw", "CAP_NET_RAW")]
    {
        let bounding = format!("-{right}");
        let wrapper = ["setpriv", "--bounding-set", &bounding, "--inh-caps", &bounding];
        let said = Portcullis::refusal(&lab, &gateway, &plan, &wrapper);
        assert!(said.contains(capability), "{said}");
        expect_nothing_left(&lab, &gateway);
    }
}

#[test]
fn a_name_that_is_taken_in_the_vpc_namespace_is_named() {
    let lab = Lab::new("a_name_that_is_taken_in_the_vpc_namespace_is_named");
    let (gateway, plan) = devices(&lab);
    let vpc = lab.host("vpc");
    vpc.run("ip link add lan type veth peer name other");
    let said = Portcullis::refusal(&lab, &gateway, &plan, &[]);
    assert!(said.contains("lan"), "{said}");
    assert!(gateway.run("ip -br link").contains("eth1"));
    assert!(vpc.run("ip -br link").contains("lan@other"));
}

#[test]
fn every_mistake_in_the_file_is_shown_with_its_place() {
    let lab = Lab::new("every_mistake_in_the_file_is_shown_with_its_place");
    let (gateway, mut plan) = devices(&lab);
    plan.file = "[[route]]\nto = \"10.0.0.0/33\"\nvia = [\"10.1.0.9\"]\ncolour = 3\n".to_owned();
    let said = Portcullis::refusal(&lab, &gateway, &plan, &[]);
    for part in ["portcullis.toml", "10.0.0.0/33", "colour"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    expect_nothing_left(&lab, &gateway);
}
