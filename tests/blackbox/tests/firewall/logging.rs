//! What the gateway says of what it decides.

use std::time::Duration;

use portcullis_blackbox::{Action, Dial, Forwarder, Lab, Outcome, Reflector, Rule, wait_until};

use crate::{guarded, inward};

#[test]
fn a_rule_that_is_logged_names_itself_and_the_flow() {
    let lab = Lab::new("a_rule_that_is_logged_names_itself_and_the_flow");
    let refused = Rule::new("telnet is refused", Action::Reject).between("wan", "lan");
    let rules = vec![
        inward("web is served", &["tcp/80"]).logged(),
        refused.services(&["tcp/23"]).logged(),
        inward("quiet", &["tcp/81"]),
    ];
    let mut site = guarded(&lab, Forwarder::Portcullis, rules);
    let _inside = Reflector::start(&site.inside, "80 81");
    let _seen = Dial::tcp("10.1.0.2:81").from("203.0.113.254:3001").seen(&site.outside);
    let _seen = Dial::tcp("10.1.0.2:80").from("203.0.113.254:3002").seen(&site.outside);
    let answer = Dial::tcp("10.1.0.2:23").from("203.0.113.254:3003").by(&site.outside);
    assert_eq!(answer.outcome, Outcome::Refused);
    let portcullis = site.gateway.portcullis();
    let lines = |name: &str| -> Vec<String> {
        let log = portcullis.log();
        log.lines().filter(|line| line.contains(name)).map(str::to_owned).collect()
    };
    for (name, parts) in [
        ("web is served", ["accept", "203.0.113.254", "3002", "10.1.0.2", "80"]),
        ("telnet is refused", ["reject", "203.0.113.254", "3003", "10.1.0.2", "23"]),
    ] {
        wait_until("it is logged", Duration::from_secs(5), || !lines(name).is_empty());
        let lines = lines(name);
        assert_eq!(lines.len(), 1, "one line for the flow: {lines:?}");
        for part in parts {
            assert!(lines[0].contains(part), "{part}: {lines:?}");
        }
    }
    assert_eq!(lines("quiet"), Vec::<String>::new());
}

#[test]
fn a_flood_of_logged_packets_is_no_flood_of_lines() {
    let lab = Lab::new("a_flood_of_logged_packets_is_no_flood_of_lines");
    let dropped = Rule::new("dropped and logged", Action::Drop).between("wan", "lan").logged();
    let mut site = guarded(&lab, Forwarder::Portcullis, vec![dropped]);
    let mac = site.gateway.control().mac("wan");
    site.outside.scapy(&format!(
        "link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
link.bind(('eth0', 0))
base = Ether(dst='{mac}', src=get_if_hwaddr('eth0'))/IP(src='203.0.113.254', dst='10.1.0.2')
for port in range(5000):
    link.send(raw(base/UDP(sport=1024 + port, dport=9)/Raw(b'x' * 20)))"
    ));
    let portcullis = site.gateway.portcullis();
    wait_until("all are counted", Duration::from_secs(10), || {
        let rules = portcullis.show("firewall");
        let rule = rules.iter().find(|rule| rule["name"] == "dropped and logged");
        rule.is_some_and(|rule| rule["hits"] == 5000)
    });
    let lines = portcullis.log().lines().filter(|line| line.contains("dropped and logged")).count();
    assert!((1..500).contains(&lines), "{lines} lines for 5000 packets");
}
