//! What the gateway that is none has of flows, of what decides on them, and of changes.

use portcullis_api::rows::{ChangeKind, ChangeRow, FlowRow, NatRow, RuleAction, RuleRow};
use portcullis_api::server::{AnswerError, Reply};
use portcullis_api::{Change, ConfigFile, FlowQuery, FlowSort};

use crate::support::rows;

fn address(text: &str) -> std::net::IpAddr {
    text.parse().expect("an address")
}

/// Flows of every kind.
fn all_flows() -> Vec<FlowRow> {
    let web = FlowRow {
        id: 1,
        worker: 0,
        protocol: "tcp".into(),
        state: "established".into(),
        source: address("10.0.0.5"),
        source_port: Some(51234),
        destination: address("198.51.100.7"),
        destination_port: Some(443),
        reply_source: address("198.51.100.7"),
        reply_source_port: Some(443),
        reply_destination: address("203.0.113.1"),
        reply_destination_port: Some(40001),
        icmp_type: None,
        icmp_code: None,
        in_interface: Some("lan".into()),
        out_interface: Some("wan".into()),
        rule: Some("out".into()),
        nat: Some("masquerade".into()),
        packets: 12_345,
        bytes: 987_654,
        reply_packets: 45_678,
        reply_bytes: 65_432_100,
        age_seconds: 754.2,
        idle_seconds: 0.2,
        timeout_seconds: 7439.8,
    };
    let forwarded = FlowRow {
        id: 2,
        state: "syn-sent".into(),
        source: address("192.0.2.99"),
        source_port: Some(3312),
        destination: address("203.0.113.1"),
        destination_port: Some(8443),
        reply_source: address("10.0.0.5"),
        reply_source_port: Some(443),
        reply_destination: address("192.0.2.99"),
        reply_destination_port: Some(3312),
        in_interface: Some("wan".into()),
        out_interface: Some("lan".into()),
        rule: Some("web in".into()),
        nat: Some("forward".into()),
        packets: 1,
        bytes: 60,
        reply_packets: 0,
        reply_bytes: 0,
        age_seconds: 2.9,
        idle_seconds: 2.9,
        timeout_seconds: 237.1,
        ..web.clone()
    };
    let ping = FlowRow {
        id: 3,
        protocol: "icmp".into(),
        state: "replied".into(),
        source_port: Some(77),
        destination: address("192.0.2.99"),
        destination_port: None,
        reply_source: address("192.0.2.99"),
        reply_source_port: None,
        reply_destination_port: Some(4711),
        icmp_type: Some(8),
        icmp_code: Some(0),
        packets: 5,
        bytes: 420,
        reply_packets: 5,
        reply_bytes: 420,
        age_seconds: 5.0,
        idle_seconds: 1.0,
        timeout_seconds: 59.0,
        ..web.clone()
    };
    let ssh = FlowRow {
        id: 4,
        source: address("2001:db8:2::5"),
        source_port: Some(50022),
        destination: address("2001:db8:1::1"),
        destination_port: Some(22),
        reply_source: address("2001:db8:1::1"),
        reply_source_port: Some(22),
        reply_destination: address("2001:db8:2::5"),
        reply_destination_port: Some(50022),
        out_interface: None,
        rule: Some("gateway-default".into()),
        nat: None,
        packets: 200,
        bytes: 20_000,
        reply_packets: 180,
        reply_bytes: 40_000,
        age_seconds: 200_000.0,
        idle_seconds: 3600.0,
        timeout_seconds: 3840.0,
        ..web.clone()
    };
    let tunnel = FlowRow {
        id: 5,
        protocol: "gre".into(),
        state: "one-way".into(),
        source_port: None,
        destination: address("10.0.1.9"),
        destination_port: None,
        reply_source: address("10.0.1.9"),
        reply_source_port: None,
        reply_destination: address("10.0.0.5"),
        reply_destination_port: None,
        rule: None,
        nat: None,
        packets: 3,
        bytes: 300,
        reply_packets: 0,
        reply_bytes: 0,
        age_seconds: 30.0,
        idle_seconds: 10.0,
        timeout_seconds: 290.0,
        ..web.clone()
    };
    vec![web, forwarded, ping, ssh, tunnel]
}

pub(crate) fn flows(query: &FlowQuery) -> Vec<FlowRow> {
    let mut found = all_flows();
    found.retain(|flow| query.filter.admits(flow));
    if let Some(top) = query.top {
        let order = query.sort.unwrap_or(FlowSort::Bytes);
        found.sort_by(|a, b| order.compare(a, b));
        found.truncate(top as usize);
    } else {
        assert_eq!(query.sort, None, "a gateway need not sort what it sends as it finds it");
    }
    found
}

pub(crate) fn nat(mappings: bool) -> Vec<NatRow> {
    let pool = |protocol: &str, in_use, resting, exhausted| NatRow::Pool {
        masquerade: 0,
        out: "wan".into(),
        sources: ["10.0.0.0/8", "192.168.0.0/16"].map(|net| net.parse().expect("a network")).into(),
        address: address("203.0.113.1"),
        protocol: protocol.into(),
        ports: 64_512,
        in_use,
        resting,
        mappings: in_use,
        exhausted,
    };
    let mapping =
        |protocol: &str, inside: &str, inside_port, external_port, flows| NatRow::Mapping {
            masquerade: 0,
            protocol: protocol.into(),
            inside: address(inside),
            inside_port,
            external: address("203.0.113.1"),
            external_port,
            flows,
            worker: 0,
        };
    let mut rows = vec![
        pool("tcp", 12_345, 678, 0),
        pool("udp", 64_512, 0, 1234),
        pool("icmp", 1, 0, 0),
        NatRow::Forward {
            interface: "wan".into(),
            protocol: "tcp".into(),
            destination: "203.0.113.1:8443".into(),
            to: "10.0.0.5:443".into(),
            hits: Some(1234),
        },
        NatRow::Static {
            on: "wan".into(),
            external: "203.0.113.64/28".parse().expect("a network"),
            internal: "10.0.0.64/28".parse().expect("a network"),
        },
    ];
    if mappings {
        rows.push(mapping("tcp", "10.0.0.5", 51_234, 40_001, 1));
        rows.push(mapping("udp", "10.0.0.6", 5060, 5060, 12));
        rows.push(mapping("icmp", "10.0.0.5", 77, 4711, 1));
    }
    rows
}

pub(crate) fn firewall() -> Vec<RuleRow> {
    let words = |words: &[&str]| words.iter().map(ToString::to_string).collect();
    let rule = RuleRow {
        place: Some(1),
        name: "web in".into(),
        from: words(&["untrusted"]),
        to: words(&["trusted"]),
        source: Vec::new(),
        destination: words(&["10.0.0.5"]),
        service: words(&["tcp/443", "udp/5000-5010", "icmp"]),
        action: RuleAction::Accept,
        log: true,
        hits: 12_345,
    };
    let out = RuleRow {
        place: Some(2),
        name: "out".into(),
        from: words(&["trusted"]),
        to: words(&["untrusted"]),
        destination: Vec::new(),
        service: Vec::new(),
        log: false,
        hits: 1_234_567,
        ..rule.clone()
    };
    let default = RuleRow {
        place: None,
        name: "default".into(),
        from: Vec::new(),
        to: Vec::new(),
        action: RuleAction::Drop,
        hits: 99,
        ..out.clone()
    };
    let gateway = RuleRow {
        name: "gateway-default".into(),
        to: words(&["gateway"]),
        action: RuleAction::Accept,
        hits: 7,
        ..default.clone()
    };
    vec![rule, out, default, gateway]
}

/// Answers by what is in the file: the gateway runs what the test of the command takes for a good
/// file, cannot change workers, and has no device for `eth9`.
pub(crate) async fn change(change: Change, reply: &mut Reply<'_>) -> Result<(), AnswerError> {
    let apply = matches!(change, Change::Apply(_));
    let (Change::Apply(ConfigFile { file, text }) | Change::Diff(ConfigFile { file, text })) =
        change;
    let row = |kind, what: &str, text: &str| ChangeRow {
        kind,
        what: what.into(),
        text: text.into(),
        restart: false,
    };
    if text.contains("eth9") {
        let reason = format!("{file}:9:10: error: there is no device `eth9`\n{file}: 1 error");
        return Err(AnswerError::Refused(reason));
    }
    let workers = ChangeRow {
        restart: true,
        ..row(ChangeKind::Changed, "`workers` in [gateway]", "from 1 to 2")
    };
    let changes = [
        row(
            ChangeKind::Added,
            "firewall rule \"web in\"",
            "accept from zone untrusted to zone trusted\ndestination 10.0.0.5\nservice tcp/443",
        ),
        row(ChangeKind::Removed, "route 198.51.100.0/24", "via 10.0.0.2"),
        row(ChangeKind::Moved, "firewall rule \"out\"", "from place 1 to place 2"),
    ];
    let restart = text.contains("workers = 2");
    match (text.contains("mtu"), restart, apply) {
        (_, true, true) => {
            rows(reply, [workers]).await?;
            let reason = "the gateway must be restarted for this file; nothing was changed";
            Err(AnswerError::Refused(reason.into()))
        }
        (true, _, _) => rows(reply, changes.into_iter().chain(restart.then_some(workers))).await,
        (false, true, false) => rows(reply, [workers]).await,
        (false, false, _) => Ok(()),
    }
}
