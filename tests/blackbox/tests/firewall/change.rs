//! Another file while traffic runs: what is still allowed does not notice.

use std::time::Duration;

use portcullis_blackbox::{
    Action, Dial, Firewall, Forwarder, Lab, Masquerade, NumberedStream, Outcome, Policy, Reflector,
    Rule, Site, by_portcullis_as_by_the_kernel, second_device, wait_until,
};

use crate::{guarded, out, policy};

by_portcullis_as_by_the_kernel! {
    what_stays_allowed_loses_nothing_and_what_does_not_ends,
}

fn rules(services: &[&str]) -> Vec<Rule> {
    vec![Rule::new("some", Action::Accept).between("lan", "wan").services(services)]
}

fn stream(site: &Site, port: u16) -> NumberedStream {
    let stream = NumberedStream::start(
        &site.inside,
        "203.0.113.254",
        (&site.outside, "203.0.113.254"),
        port,
    );
    stream.until_more_arrive(10);
    stream
}

/// Waits until nothing of a stream arrives any more.
fn expect_end(stream: &NumberedStream) {
    wait_until("the stream ends", Duration::from_secs(5), || {
        let before = stream.received().len();
        stream.until_more_are_sent(20);
        stream.received().len() == before
    });
}

fn what_stays_allowed_loses_nothing_and_what_does_not_ends(forwarder: Forwarder) {
    let lab = Lab::new("what_stays_allowed_loses_nothing_and_what_does_not_ends");
    let site = guarded(&lab, forwarder, rules(&["udp/7001", "udp/7002"]));
    let (allowed, forbidden) = (stream(&site, 7001), stream(&site, 7002));
    site.gateway.change(&policy(Firewall::of(rules(&["udp/7001"]))));
    expect_end(&forbidden);
    allowed.until_more_arrive(20);
    // And the other way round, several times.
    for _ in 0..5 {
        site.gateway.change(&policy(Firewall::of(rules(&["udp/7001", "udp/7002"]))));
        forbidden.until_more_arrive(10);
        site.gateway.change(&policy(Firewall::of(rules(&["udp/7001"]))));
    }
    expect_end(&forbidden);
    assert_eq!(allowed.lost().len(), 0, "{:?}", allowed.lost());
}

#[test]
fn a_new_file_is_taken_on_a_hangup_too() {
    let lab = Lab::new("a_new_file_is_taken_on_a_hangup_too");
    let mut site = guarded(&lab, Forwarder::Portcullis, rules(&["udp/7001", "udp/7002"]));
    let (allowed, forbidden) = (stream(&site, 7001), stream(&site, 7002));
    let portcullis = site.gateway.portcullis();
    portcullis.write_file(&portcullis.file_with(&policy(Firewall::of(rules(&["udp/7001"])))));
    portcullis.signal("HUP");
    expect_end(&forbidden);
    // A file that can't be used changes nothing, and is complained about.
    portcullis.write_file("[firewall]\ndefault = \"perhaps\"\n");
    portcullis.signal("HUP");
    wait_until("it is said in the log", Duration::from_secs(5), || {
        portcullis.log().contains("perhaps")
    });
    allowed.until_more_arrive(20);
    assert_eq!(allowed.lost().len(), 0, "{:?}", allowed.lost());
}

#[test]
fn a_file_that_cannot_be_used_changes_nothing() {
    let lab = Lab::new("a_file_that_cannot_be_used_changes_nothing");
    let mut site = guarded(&lab, Forwarder::Portcullis, rules(&["udp/7001"]));
    let allowed = stream(&site, 7001);
    let portcullis = site.gateway.portcullis();
    let before = portcullis.show("firewall").len();
    let good = portcullis.file_with(&policy(Firewall::of(rules(&["udp/7002"]))));
    let [device, other] = second_device();
    for (bad, named) in [
        (good.replace("udp/7002", "udp/70000"), "udp/70000"),
        (good.replace("\"some\"", "\"some\"\ncolour = 3"), "colour"),
        (good.replace("to = \"wan\"", "to = \"nowhere\""), "nowhere"),
        // Right in itself; only a start can move devices.
        (good.replace(device, other), other),
    ] {
        let said = portcullis.apply(&bad).failure();
        assert!(said.contains(named), "{named}: {said}");
    }
    assert_eq!(portcullis.show("firewall").len(), before);
    allowed.until_more_arrive(20);
    assert_eq!(allowed.lost().len(), 0, "{:?}", allowed.lost());
}

#[test]
fn diff_says_what_apply_does_and_does_nothing() {
    let lab = Lab::new("diff_says_what_apply_does_and_does_nothing");
    let mut site = guarded(&lab, Forwarder::Portcullis, rules(&["udp/7001"]));
    let allowed = stream(&site, 7001);
    let portcullis = site.gateway.portcullis();
    let same = portcullis.file_with(&policy(Firewall::of(rules(&["udp/7001"]))));
    assert!(portcullis.diff(&same).success().contains("no changes"));
    let other = portcullis.file_with(&policy(Firewall::of(rules(&["udp/7002"]))));
    let said = portcullis.diff(&other).success();
    assert!(said.contains("some") && said.contains("7002"), "{said}");
    allowed.until_more_arrive(20);
    let applied = portcullis.apply(&other).success();
    assert!(applied.contains("some"), "{applied}");
    assert!(portcullis.diff(&other).success().contains("no changes"));
    expect_end(&allowed);
}

/// A firewall, and a masquerade, where there was none; and away with them.
#[test]
fn nat_and_firewall_come_and_go() {
    let lab = Lab::new("nat_and_firewall_come_and_go");
    let site = guarded(&lab, Forwarder::Portcullis, vec![out()]);
    let _outside = Reflector::start(&site.outside, "7000");
    let seen = || Dial::tcp("203.0.113.254:7000").seen(&site.inside).ip().to_string();
    assert_eq!(seen(), "10.1.0.2");
    let masquerades = vec![Masquerade::new("10.1.0.0/24", "wan")];
    let firewall = Some(Firewall::of(vec![out()]));
    site.gateway.change(&Policy { masquerades, firewall, ..Policy::default() });
    assert_eq!(seen(), "203.0.113.1");
    site.gateway.change(&policy(Firewall::of(Vec::new())));
    let wait = Duration::from_millis(700);
    let answer = Dial::tcp("203.0.113.254:7000").patience(wait).by(&site.inside);
    assert_eq!(answer.outcome, Outcome::Silence);
    site.gateway.change(&Policy::default());
    assert_eq!(seen(), "10.1.0.2");
}
