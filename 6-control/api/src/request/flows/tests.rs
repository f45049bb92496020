use super::*;
use crate::{Flush, Request, Show};

/// `10.0.0.5:1234` to `198.51.100.7:443`, masqueraded as `203.0.113.1:40001`.
fn flow() -> FlowRow {
    let address = |text: &str| text.parse().expect("an address");
    FlowRow {
        id: 7,
        worker: 0,
        protocol: "tcp".into(),
        state: "established".into(),
        source: address("10.0.0.5"),
        source_port: Some(1234),
        destination: address("198.51.100.7"),
        destination_port: Some(443),
        reply_source: address("198.51.100.7"),
        reply_source_port: Some(443),
        reply_destination: address("203.0.113.1"),
        reply_destination_port: Some(40_001),
        icmp_type: None,
        icmp_code: None,
        in_interface: Some("lan".into()),
        out_interface: Some("wan".into()),
        rule: Some("out".into()),
        nat: Some("masquerade".into()),
        packets: 10,
        bytes: 1000,
        reply_packets: 20,
        reply_bytes: 20_000,
        age_seconds: 60.0,
        idle_seconds: 1.0,
        timeout_seconds: 7439.0,
    }
}

/// The filter of a `show` request with these fields.
fn filter(fields: &str) -> FlowFilter {
    match parsed(&format!(r#"{{"show":"flows",{fields}}}"#)) {
        Ok(Request::Show(Show::Flows(query))) => query.filter,
        other => panic!("{fields}: {other:?}"),
    }
}

fn parsed(line: &str) -> Result<Request, String> {
    Request::parse(line.as_bytes()).map_err(|error| error.to_string())
}

#[test]
fn a_flow_is_found_by_what_it_is_before_and_after_translation() {
    for fields in [
        r#""source":"10.0.0.0/8""#,
        r#""source":"203.0.113.1""#,
        r#""destination":"198.51.100.7""#,
        r#""host":"10.0.0.5/32""#,
        r#""host":"198.51.100.0/24""#,
        r#""port":1234"#,
        r#""port":40001"#,
        r#""port":443"#,
        r#""protocol":"tcp""#,
        r#""protocol":6"#,
        r#""interface":"lan""#,
        r#""interface":"wan""#,
        r#""rule":"out""#,
        r#""state":"established""#,
        r#""nat":true"#,
        r#""source":null"#,
        r#""source":"10.0.0.5","port":443,"protocol":"tcp","nat":true"#,
    ] {
        assert!(filter(fields).admits(&flow()), "{fields}");
    }
}

#[test]
fn a_flow_is_not_found_by_what_it_is_not() {
    for fields in [
        r#""source":"198.51.100.7""#,
        r#""destination":"10.0.0.5""#,
        r#""destination":"203.0.113.1""#,
        r#""host":"10.0.0.6""#,
        r#""host":"2001:db8::/32""#,
        r#""port":80"#,
        r#""protocol":"udp""#,
        r#""interface":"dmz""#,
        r#""rule":"in""#,
        r#""state":"closing""#,
        r#""nat":false"#,
        r#""source":"10.0.0.5","port":80"#,
    ] {
        assert!(!filter(fields).admits(&flow()), "{fields}");
    }
}

#[test]
fn flows_are_sorted_by_what_matters_most() {
    let big = FlowRow { id: 1, reply_bytes: 1 << 40, ..flow() };
    let chatty = FlowRow { id: 2, packets: 1 << 20, ..flow() };
    let old = FlowRow { id: 3, age_seconds: 9e9, ..flow() };
    let idle = FlowRow { id: 4, idle_seconds: 500.0, ..flow() };
    let low = FlowRow { id: 5, source: "9.9.9.9".parse().expect("an address"), ..flow() };
    for (sort, first) in [
        (FlowSort::Bytes, 1),
        (FlowSort::Packets, 2),
        (FlowSort::Age, 3),
        (FlowSort::Idle, 4),
        (FlowSort::Source, 5),
    ] {
        let mut flows = [&flow(), &big, &chatty, &old, &idle, &low].map(Clone::clone);
        flows.sort_by(|a, b| sort.compare(a, b));
        assert_eq!(flows[0].id, first, "{sort}");
    }
}

#[test]
fn a_query_is_written_as_it_is_read() {
    let filter = FlowFilter { source: parse_network("10.0.0.0/8").ok(), ..FlowFilter::default() };
    let query = FlowQuery { filter, sort: Some(FlowSort::Age), top: Some(10) };
    let request = Request::Show(Show::Flows(query));
    let line = serde_json::to_string(&request).expect("serializable");
    assert_eq!(line, r#"{"show":"flows","source":"10.0.0.0/8","sort":"age","top":10}"#);
    assert_eq!(parsed(&line), Ok(request));
    let all = Request::Show(Show::Flows(FlowQuery::default()));
    assert_eq!(parsed(r#"{"show":"flows"}"#), Ok(all));
    let mappings = NatQuery { mappings: true, source: parse_network("10.0.0.5").ok() };
    let request = Request::Show(Show::Nat(mappings));
    assert_eq!(parsed(r#"{"show":"nat","mappings":true,"source":"10.0.0.5"}"#), Ok(request));
}

#[test]
fn all_flows_are_ended_only_if_all_is_said() {
    let all = Request::Flush(Flush::Flows(FlushFlows { filter: FlowFilter::default() }));
    let line = serde_json::to_string(&all).expect("serializable");
    assert_eq!(line, r#"{"flush":"flows","all":true}"#);
    assert_eq!(parsed(&line), Ok(all));
    let some = FlowFilter { port: Some(22), ..FlowFilter::default() };
    let some = Request::Flush(Flush::Flows(FlushFlows { filter: some }));
    let line = serde_json::to_string(&some).expect("serializable");
    assert_eq!(line, r#"{"flush":"flows","port":22}"#);
    assert_eq!(parsed(&line), Ok(some));
    for (line, expected) in [
        (r#"{"flush":"flows"}"#, "to end all flows, say `\"all\":true`"),
        (r#"{"flush":"flows","all":false}"#, "to end all flows, say `\"all\":true`"),
        (r#"{"flush":"flows","all":true,"port":22}"#, "all flows, or only some?"),
        (r#"{"flush":"flows","prot":22}"#, "unknown field `prot`"),
        (r#"{"flush":"routes"}"#, "unknown variant `routes`"),
    ] {
        let error = parsed(line).expect_err(line);
        assert!(error.contains(expected), "{line}: {error}");
    }
}

#[test]
fn what_is_wrong_with_a_query_is_said() {
    for (fields, expected) in [
        (r#""source":"here""#, "invalid IP address"),
        (r#""port":65536"#, "invalid value: integer `65536`"),
        (r#""protocol":"tpc""#, "no protocol is called `tpc`"),
        (r#""sort":"size""#, "`sort`: unknown variant `size`, expected one of `bytes`, `packets`"),
        (r#""top":-1"#, "`top`: invalid value"),
        (r#""zone":"trusted""#, "unknown field `zone`, expected one of `source`, `destination`"),
    ] {
        let error = parsed(&format!(r#"{{"show":"flows",{fields}}}"#)).expect_err(fields);
        assert!(error.contains(expected), "{fields}: {error}");
    }
}
