//! `portcullis show`, against a gateway whose answers are known. The tables are recorded in
//! `golden`; `BLESS=1` records what is printed now.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::support::{self, FakeGateway, Outcome, golden, portcullis};
use serde_json::Value;

#[test]
fn every_table_is_as_recorded() {
    let gateway = FakeGateway::start("tables");
    for (name, arguments) in [
        ("threads", &["threads"][..]),
        ("interfaces", &["interfaces"]),
        ("routes", &["routes"]),
        ("routes-to", &["routes", "--to", "198.51.100.9"]),
        ("routes-in", &["routes", "10.0.0.0/8", "--protocol", "kernel"]),
        ("neighbors", &["neighbors"]),
        ("neighbors-on", &["neighbors", "--interface", "lan"]),
        ("drops", &["drops"]),
        ("drops-all", &["drops", "--all"]),
        ("counters", &["counters"]),
        ("counters-named", &["counters", "rx", "--all"]),
        ("config", &["config"]),
        ("flows", &["flows"]),
        ("flows-top", &["flows", "--top", "2"]),
        ("flows-of", &["flows", "--host", "10.0.0.5", "--nat", "--sort", "age"]),
        ("nat", &["nat"]),
        ("nat-mappings", &["nat", "--source", "10.0.0.0/24"]),
        ("firewall", &["firewall"]),
    ] {
        let shown = gateway.show(arguments);
        assert_eq!((shown.code, shown.stderr.as_str()), (Some(0), ""), "{arguments:?}");
        golden(name, &shown.stdout);
    }
}

#[test]
fn nothing_to_show_is_said_in_words() {
    let gateway = FakeGateway::start("nothing");
    assert_eq!(gateway.show(&["routes", "--protocol", "isis"]).stdout, "none\n");
    assert_eq!(gateway.show(&["flows", "--port", "9"]).stdout, "no flows\n");
}

#[test]
fn json_has_every_row_whole_and_in_the_order_of_its_documentation() {
    let gateway = FakeGateway::start("json");
    let json = |arguments: &[&str]| {
        let shown = gateway.show(arguments);
        assert_eq!(shown.code, Some(0), "{shown:?}");
        shown.stdout
    };
    let routes: Value = serde_json::from_str(&json(&["routes", "--json"])).expect("JSON");
    assert_eq!(routes.as_array().map(Vec::len), Some(8));
    assert_eq!(routes[6]["next_hops"][1]["weight"], 3);
    let drops = json(&["drops", "--json"]);
    assert!(drops.starts_with("[\n{\"reason\":\"ttl-exceeded\",\"packets\":12,"), "{drops}");
    assert!(drops.contains("tx-full"), "reasons without packets are there too");
    assert_eq!(json(&["routes", "--protocol", "isis", "--json"]), "[]\n");
    let config: Value = serde_json::from_str(&json(&["config", "--json"])).expect("JSON");
    assert_eq!(config["interface"][0]["device"], "eth1");
}

#[test]
fn flows_are_sorted_whoever_sorts_them() {
    let gateway = FakeGateway::start("sorted");
    for (arguments, expected) in [
        (&["flows", "--json"][..], &[1, 2, 3, 4, 5][..]),
        (&["flows", "--sort", "bytes", "--json"], &[1, 4, 3, 5, 2]),
        (&["flows", "--sort", "packets", "--json"], &[1, 4, 3, 5, 2]),
        (&["flows", "--sort", "age", "--top", "2", "--json"], &[4, 1]),
        (&["flows", "--sort", "idle", "--json"], &[4, 5, 2, 3, 1]),
        (&["flows", "--sort", "source", "--top", "1", "--json"], &[5]),
        (&["flows", "--top", "3", "--protocol", "TCP", "--json"], &[1, 4, 2]),
    ] {
        let shown = gateway.show(arguments);
        let flows: Vec<Value> = serde_json::from_str(&shown.stdout).expect("JSON");
        let ids: Vec<_> = flows.iter().map(|flow| flow["id"].as_u64().unwrap_or(0)).collect();
        assert_eq!(ids, expected, "{arguments:?}");
    }
}

#[test]
fn an_answer_that_breaks_off_shows_what_came_and_fails() {
    let gateway = FakeGateway::start("breaks");
    let shown = gateway.show(&["routes", "--protocol", "broken"]);
    assert_eq!(shown.code, Some(1));
    assert!(shown.stdout.contains("198.51.100.0/24"), "{}", shown.stdout);
    assert_eq!(shown.stderr, "portcullis: the gateway says: the table is being rebuilt\n");
    let shown = gateway.show(&["routes", "--protocol", "broken", "--json"]);
    assert_eq!(shown.code, Some(1));
    assert!(serde_json::from_str::<Value>(&shown.stdout).is_err(), "not to be taken for whole");
}

#[test]
fn a_reader_that_has_had_enough_is_no_error() {
    let gateway = FakeGateway::start("head");
    let mut command = gateway.command(&["show", "routes", "--protocol", "endless"]);
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command runs");
    let mut reader = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    reader.read_line(&mut line).expect("a line");
    assert!(line.starts_with("TO "), "{line}");
    drop(reader);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn a_gateway_that_is_not_there_is_one_sentence() {
    let shown = Outcome::of(portcullis(&["show", "threads", "--socket", "/nonexistent/gw.sock"]));
    let sentence =
        "portcullis: no gateway answers at /nonexistent/gw.sock: there is no such socket\n";
    let expected = Outcome { code: Some(1), stdout: String::new(), stderr: sentence.to_owned() };
    assert_eq!(shown, expected);
}

#[test]
fn a_gateway_that_went_without_a_word_is_one_sentence() {
    let directory = support::Directory::new("left");
    let path = directory.path().join("gw1.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket"));
    let shown = Outcome::of(portcullis(&["show", "drops", "--socket", &path.to_string_lossy()]));
    assert_eq!(shown.code, Some(1));
    assert!(shown.stderr.ends_with(": it was left behind by one that is gone\n"), "{shown:?}");
}
