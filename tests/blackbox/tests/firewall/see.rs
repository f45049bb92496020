//! What `show` says of what was sent, and `flush`.

use std::time::Duration;

use portcullis_blackbox::{
    Action, Dial, Firewall, Forwarder, Lab, Masquerade, Outcome, Policy, PortForward, Reflector,
    Rule, Site, StaticNat, wait_until,
};
use serde_json::Value;

use crate::{guarded, out};

fn row<'a>(rows: &'a [Value], conditions: &[(&str, Value)]) -> &'a Value {
    let fits = |row: &&Value| conditions.iter().all(|(key, value)| row[*key] == *value);
    rows.iter().find(fits).unwrap_or_else(|| panic!("no {conditions:?} in {rows:#?}"))
}

/// A site with all kinds of translation.
fn translated(lab: &Lab) -> Site {
    let policy = Policy {
        masquerades: vec![Masquerade::new("10.0.0.0/8", "wan")],
        forwards: vec![PortForward {
            on: "wan".to_owned(),
            protocol: "tcp".to_owned(),
            address: "203.0.113.1".to_owned(),
            ports: 8443..=8443,
            to: "10.1.0.3".to_owned(),
            to_port: 443,
        }],
        statics: vec![StaticNat {
            on: "wan".to_owned(),
            external: "203.0.113.64/28".to_owned(),
            internal: "10.1.0.64/28".to_owned(),
        }],
        firewall: Some(Firewall::of(vec![
            out(),
            Rule::new("in", Action::Accept).between("wan", "lan").services(&["tcp/443"]),
        ])),
    };
    Site::new(lab, Forwarder::Portcullis, &policy)
}

#[test]
fn flows_are_shown_as_they_were_sent() {
    let lab = Lab::new("flows_are_shown_as_they_were_sent");
    let mut site = translated(&lab);
    let _outside = Reflector::start(&site.outside, "7000");
    let _second = Reflector::start(&site.second, "443");
    let udp = Dial::udp("203.0.113.254:7000").from("10.1.0.2:4000").bytes(100).seen(&site.inside);
    let _back = Dial::tcp("203.0.113.1:8443").from("203.0.113.254:3000").seen(&site.outside);
    assert!(site.inside.reaches("203.0.113.254"));
    let flows = site.gateway.portcullis().show("flows");

    let flow = row(&flows, &[("protocol", "udp".into()), ("source_port", 4000.into())]);
    for (key, value) in [
        ("source", Value::from("10.1.0.2")),
        ("destination", "203.0.113.254".into()),
        ("destination_port", 7000.into()),
        ("reply_source", "203.0.113.254".into()),
        ("reply_source_port", 7000.into()),
        ("reply_destination", udp.ip().to_string().into()),
        ("reply_destination_port", udp.port().into()),
        ("in_interface", "lan".into()),
        ("out_interface", "wan".into()),
        ("rule", "out".into()),
        ("nat", "masquerade".into()),
        ("packets", 1.into()),
        ("bytes", 128.into()),
        ("reply_packets", 1.into()),
        // Its own name on a line, before what it was sent.
        ("reply_bytes", (128 + format!("{} {}\n", udp.ip(), udp.port()).len()).into()),
        ("icmp_type", Value::Null),
    ] {
        assert_eq!(flow[key], value, "{key}: {flow:#}");
    }

    let flow = row(&flows, &[("protocol", "tcp".into()), ("source_port", 3000.into())]);
    for (key, value) in [
        ("destination", Value::from("203.0.113.1")),
        ("destination_port", 8443.into()),
        ("reply_source", "10.1.0.3".into()),
        ("reply_source_port", 443.into()),
        ("reply_destination", "203.0.113.254".into()),
        ("rule", "in".into()),
        ("nat", "forward".into()),
        ("in_interface", "wan".into()),
        ("out_interface", "lan".into()),
    ] {
        assert_eq!(flow[key], value, "{key}: {flow:#}");
    }
    // Both sides have closed it.
    assert_ne!(flow["state"], "established", "{flow:#}");

    let flow = row(&flows, &[("protocol", "icmp".into()), ("source", "10.1.0.2".into())]);
    assert_eq!(flow["icmp_type"], 8, "{flow:#}");
    let ids: std::collections::BTreeSet<_> =
        flows.iter().map(|flow| flow["id"].as_u64().expect("a number")).collect();
    assert_eq!(ids.len(), flows.len());
}

#[test]
fn mappings_pools_and_forwards_are_shown() {
    let lab = Lab::new("mappings_pools_and_forwards_are_shown");
    let mut site = translated(&lab);
    let _outside = Reflector::start(&site.outside, "7000 7001");
    let _second = Reflector::start(&site.second, "443");
    let udp = Dial::udp("203.0.113.254:7000").from("10.1.0.2:4000").seen(&site.inside);
    assert_eq!(Dial::udp("203.0.113.254:7001").from("10.1.0.2:4000").seen(&site.inside), udp);
    let _back = Dial::tcp("203.0.113.1:8443").seen(&site.outside);
    let portcullis = site.gateway.portcullis();
    let few = portcullis.show("nat");
    assert!(few.iter().all(|row| row["kind"] != "mapping"), "mappings only if asked for: {few:#?}");
    let rows = portcullis.show("nat --mappings");
    let mapping = row(&rows, &[("kind", "mapping".into()), ("inside_port", 4000.into())]);
    for (key, value) in [
        ("protocol", Value::from("udp")),
        ("inside", "10.1.0.2".into()),
        ("external", udp.ip().to_string().into()),
        ("external_port", udp.port().into()),
        ("flows", 2.into()),
    ] {
        assert_eq!(mapping[key], value, "{key}: {mapping:#}");
    }
    let pool = row(&rows, &[("kind", "pool".into()), ("protocol", "udp".into())]);
    assert_eq!((&pool["address"], &pool["out"]), (&"203.0.113.1".into(), &"wan".into()));
    assert_eq!(pool["mappings"], 1, "{pool:#}");
    assert_eq!(pool["exhausted"], 0, "{pool:#}");
    let forward = row(&rows, &[("kind", "forward".into())]);
    assert_eq!(forward["destination"], "203.0.113.1:8443");
    assert_eq!(forward["to"], "10.1.0.3:443");
    assert_eq!(forward["hits"], 1, "{forward:#}");
    let fixed = row(&rows, &[("kind", "static".into())]);
    assert_eq!(fixed["external"], "203.0.113.64/28");
    assert_eq!(fixed["internal"], "10.1.0.64/28");
}

#[test]
fn rules_count_the_flows_that_they_decide_on() {
    let lab = Lab::new("rules_count_the_flows_that_they_decide_on");
    let refused = Rule::new("refused", Action::Reject).between("wan", "lan").services(&["tcp/23"]);
    let mut site = guarded(&lab, Forwarder::Portcullis, vec![out(), refused]);
    let _outside = Reflector::start(&site.outside, "7000");
    for port in 4000..4005 {
        let dial = Dial::udp("203.0.113.254:7000").from(&format!("10.1.0.2:{port}"));
        let _seen = dial.seen(&site.inside);
    }
    for _ in 0..3 {
        assert_eq!(Dial::tcp("10.1.0.2:23").by(&site.outside).outcome, Outcome::Refused);
    }
    let wait = Duration::from_millis(500);
    let _silence = Dial::udp("10.1.0.2:24").patience(wait).by(&site.outside);
    let rows = site.gateway.portcullis().show("firewall");
    let hits = |name: &str| row(&rows, &[("name", name.into())])["hits"].clone();
    assert_eq!(hits("out"), 5);
    assert_eq!(hits("refused"), 3);
    assert_eq!(hits("default"), 1);
    let names: Vec<_> = rows.iter().map(|row| &row["name"]).collect();
    assert_eq!(names, ["out", "refused", "default", "gateway-default"], "in the order asked");
    let refused = row(&rows, &[("name", "refused".into())]);
    assert_eq!((&refused["action"], &refused["place"]), (&"reject".into(), &2.into()));
}

#[test]
fn drops_by_the_firewall_are_counted() {
    let lab = Lab::new("drops_by_the_firewall_are_counted");
    let mut site = guarded(&lab, Forwarder::Portcullis, vec![out()]);
    let portcullis = site.gateway.portcullis();
    let total = |rows: &[Value]| -> u64 {
        let firewall = rows.iter().filter(|row| {
            row["reason"].as_str().is_some_and(|reason| reason.starts_with("firewall"))
        });
        firewall.filter_map(|row| row["packets"].as_u64()).sum()
    };
    let before = total(&portcullis.show("drops"));
    let ping = site.outside.ping("-c 5 -i 0.05 -W 0.3", "10.1.0.2");
    assert_eq!(ping.received, 0, "{}", ping.said);
    let rows = portcullis.show("drops");
    assert_eq!(total(&rows), before + 5, "{rows:#?}");
}

#[test]
fn flows_end_when_they_are_flushed() {
    let lab = Lab::new("flows_end_when_they_are_flushed");
    let mut site = translated(&lab);
    let _outside = Reflector::start(&site.outside, "7000");
    for port in [4000, 4001] {
        let _seen =
            Dial::udp("203.0.113.254:7000").from(&format!("10.1.0.2:{port}")).seen(&site.inside);
    }
    let portcullis = site.gateway.portcullis();
    let ports = |rows: Vec<Value>| -> Vec<u64> {
        let udp = rows.iter().filter(|row| row["protocol"] == "udp");
        let mut ports: Vec<_> = udp.filter_map(|row| row["source_port"].as_u64()).collect();
        ports.sort_unstable();
        ports
    };
    assert_eq!(ports(portcullis.show("flows")), [4000, 4001]);
    let said = portcullis.command(&["flush", "flows"]).failure();
    assert!(said.contains("--all"), "it is not guessed which: {said}");
    let said = portcullis.command(&["flush", "flows", "--port", "4000"]).success();
    assert!(said.contains("1 flow ended"), "{said}");
    assert_eq!(ports(portcullis.show("flows")), [4001]);
    let _said = portcullis.command(&["flush", "flows", "--all"]).success();
    wait_until("all are gone", Duration::from_secs(5), || {
        ports(portcullis.show("flows")).is_empty()
    });
    let _seen = Dial::udp("203.0.113.254:7000").from("10.1.0.2:4000").seen(&site.inside);
}
