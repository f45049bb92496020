//! What is let through, and what those hear who are not.

use std::time::Duration;

use portcullis_blackbox::{
    Action, Dial, Firewall, Forwarder, Lab, Outcome, Reflector, Rule, Site, SiteOptions,
    by_portcullis_as_by_the_kernel,
};

use crate::{guarded, inward, out, policy, with_firewall};

by_portcullis_as_by_the_kernel! {
    accepted_is_answered_rejected_is_refused_and_dropped_is_silence,
    what_no_rule_names_is_treated_as_the_default_says,
    the_first_rule_that_matches_decides,
    a_rule_holds_for_its_addresses_only,
    a_rule_of_one_direction_is_none_of_the_other,
    the_gateway_itself_is_a_zone,
    pings_are_let_through_by_their_type,
}

/// A refusal comes at once; silence takes as long as one waits.
const QUICKLY: Duration = Duration::from_millis(700);

fn expect_seen(outcome: &Outcome, what: &str) {
    assert!(matches!(outcome, Outcome::Seen(_)), "{what}: {outcome:?}");
}

fn expect_refused_quickly(site: &Site, dial: &Dial) {
    let answer = dial.by(&site.outside);
    // Of UDP, it depends on the error how the system calls it.
    let refused = matches!(&answer.outcome, Outcome::Refused | Outcome::Failed(_));
    assert!(refused && answer.took < QUICKLY, "{dial:?}: {answer:?}");
}

fn expect_silence(site: &Site, dial: &Dial) {
    let answer = dial.clone().patience(Duration::from_millis(1500)).by(&site.outside);
    assert_eq!(answer.outcome, Outcome::Silence, "{dial:?}");
}

fn accepted_is_answered_rejected_is_refused_and_dropped_is_silence(forwarder: Forwarder) {
    let lab = Lab::new("accepted_is_answered_rejected_is_refused_and_dropped_is_silence");
    let refused = Rule::new("refused", Action::Reject).between("wan", "lan");
    let dropped = Rule::new("dropped", Action::Drop).between("wan", "lan");
    let rules = vec![
        inward("served", &["tcp/80", "udp/80"]),
        refused.services(&["tcp/81", "udp/81"]),
        dropped.services(&["tcp/82", "udp/82"]),
        inward("rest", &[]),
    ];
    let site = guarded(&lab, forwarder, rules);
    let _inside = Reflector::start(&site.inside, "80-83");
    for address in ["10.1.0.2", "[2001:db8:1::2]"] {
        for protocol in ["tcp", "udp"] {
            let dial = |port: u16| Dial::new(protocol, &format!("{address}:{port}"));
            expect_seen(&dial(80).by(&site.outside).outcome, "accepted");
            expect_seen(&dial(83).by(&site.outside).outcome, "accepted by the last rule");
            expect_refused_quickly(&site, &dial(81));
            expect_silence(&site, &dial(82));
        }
    }
    let refused = Dial::tcp("10.1.0.2:81").by(&site.outside).outcome;
    assert_eq!(refused, Outcome::Refused, "a connection is refused by a reset");
}

fn what_no_rule_names_is_treated_as_the_default_says(forwarder: Forwarder) {
    for default in [Action::Accept, Action::Drop, Action::Reject] {
        let lab = Lab::new("what_no_rule_names_is_treated_as_the_default_says");
        let firewall = Firewall { default, ..Firewall::of(vec![inward("served", &["tcp/80"])]) };
        let site = with_firewall(&lab, forwarder, firewall);
        let _inside = Reflector::start(&site.inside, "80 90");
        expect_seen(&Dial::tcp("10.1.0.2:80").by(&site.outside).outcome, "the rule's");
        let dial = Dial::tcp("10.1.0.2:90");
        match default {
            Action::Accept => expect_seen(&dial.by(&site.outside).outcome, "the default's"),
            Action::Drop => expect_silence(&site, &dial),
            Action::Reject => expect_refused_quickly(&site, &dial),
        }
    }
}

fn the_first_rule_that_matches_decides(forwarder: Forwarder) {
    let lab = Lab::new("the_first_rule_that_matches_decides");
    let rules = vec![
        Rule::new("not this one", Action::Reject).services(&["tcp/80-89"]),
        inward("served", &["tcp/85-95"]),
        Rule::new("too late", Action::Reject).services(&["tcp/90"]),
    ];
    let site = guarded(&lab, forwarder, rules);
    let _inside = Reflector::start(&site.inside, "85 90");
    expect_refused_quickly(&site, &Dial::tcp("10.1.0.2:85"));
    expect_seen(&Dial::tcp("10.1.0.2:90").by(&site.outside).outcome, "the second rule's");
}

fn a_rule_holds_for_its_addresses_only(forwarder: Forwarder) {
    let lab = Lab::new("a_rule_holds_for_its_addresses_only");
    let rules = vec![
        inward("friend", &["tcp/80"])
            .source(&["203.0.113.253", "2001:db8:2::/64"])
            .destination(&["10.1.0.2", "2001:db8:1::2"]),
    ];
    let site = guarded(&lab, forwarder, rules);
    let _inside = Reflector::start(&site.inside, "80");
    let _second = Reflector::start(&site.second, "80");
    let friend = Dial::tcp("10.1.0.2:80").from("203.0.113.253:3000");
    expect_seen(&friend.by(&site.outside).outcome, "from the friend");
    expect_silence(&site, &Dial::tcp("10.1.0.2:80").from("203.0.113.254:3000"));
    expect_silence(&site, &Dial::tcp("10.1.0.3:80").from("203.0.113.253:3000"));
    expect_seen(&Dial::tcp("[2001:db8:1::2]:80").by(&site.outside).outcome, "from the network");
    expect_silence(&site, &Dial::tcp("[2001:db8:1::3]:80"));
}

fn a_rule_of_one_direction_is_none_of_the_other(forwarder: Forwarder) {
    let lab = Lab::new("a_rule_of_one_direction_is_none_of_the_other");
    let site = guarded(&lab, forwarder, vec![out()]);
    let _inside = Reflector::start(&site.inside, "80");
    let _outside = Reflector::start(&site.outside, "7000");
    for protocol in ["tcp", "udp"] {
        for (to, inside) in
            [("203.0.113.254:7000", "10.1.0.2:80"), ("[2001:db8:2::2]:7000", "[2001:db8:1::2]:80")]
        {
            let answer = Dial::new(protocol, to).bytes(5000).by(&site.inside);
            expect_seen(&answer.outcome, "what the inside began");
            expect_silence(&site, &Dial::new(protocol, inside));
        }
    }
    assert!(site.inside.reaches("203.0.113.254") && site.inside.reaches("2001:db8:2::2"));
    assert!(!site.outside.reaches("10.1.0.2") && !site.outside.reaches("2001:db8:1::2"));
}

fn the_gateway_itself_is_a_zone(forwarder: Forwarder) {
    let lab = Lab::new("the_gateway_itself_is_a_zone");
    let rules = vec![
        Rule::new("manage", Action::Accept)
            .between("lan", "gateway")
            .services(&["tcp/22", "icmp", "icmpv6"]),
        // A rule between two other zones is none for the gateway.
        inward("served", &["tcp/22"]),
        out(),
    ];
    let firewall = Firewall { gateway_default: Action::Drop, ..Firewall::of(rules) };
    let policy = policy(firewall);
    let options = SiteOptions { policy, routed: true, cold: true, ..SiteOptions::default() };
    let site = Site::with(&lab, forwarder, &options);
    site.inside.reaches_within(Duration::from_secs(10), "10.1.0.1");
    site.inside.reaches_within(Duration::from_secs(10), "2001:db8:1::1");
    assert!(!site.outside.reaches("203.0.113.1") && !site.outside.reaches("2001:db8:2::1"));
    let _gateway = Reflector::start(site.gateway.control(), "22 23");
    let by = |dial: Dial, host| dial.patience(Duration::from_millis(1500)).by(host).outcome;
    for inside in ["10.1.0.1", "[2001:db8:1::1]"] {
        expect_seen(&by(Dial::tcp(&format!("{inside}:22")), &site.inside), inside);
        assert_eq!(by(Dial::tcp(&format!("{inside}:23")), &site.inside), Outcome::Silence);
    }
    for outside in ["203.0.113.1:22", "[2001:db8:2::1]:22", "10.1.0.1:22"] {
        assert_eq!(by(Dial::tcp(outside), &site.outside), Outcome::Silence, "{outside}");
    }
    // What the gateway asks for itself is answered to it.
    for address in ["203.0.113.254", "2001:db8:2::2"] {
        site.gateway.control().reaches_within(Duration::from_secs(5), address);
    }
}

fn pings_are_let_through_by_their_type(forwarder: Forwarder) {
    let lab = Lab::new("pings_are_let_through_by_their_type");
    let site = guarded(&lab, forwarder, vec![inward("ping", &["icmp/echo-request"])]);
    // Both versions have a message of this name.
    for address in ["10.1.0.2", "2001:db8:1::2"] {
        let ping = site.outside.ping("-c 3 -i 0.1 -W 1", address);
        assert_eq!(ping.received, 3, "{}", ping.said);
    }
    let mac = site.gateway.control().mac("wan");
    let capture = portcullis_blackbox::Capture::start(&site.inside, "eth0", "icmp");
    site.outside.scapy(&format!(
        "ether = Ether(dst='{mac}')/IP(src='203.0.113.254', dst='10.1.0.2')
sendp(ether/ICMP(type=13)/Raw(b'x' * 12), iface='eth0')
sendp(ether/ICMP(type=0, id=5)/Raw(b'x' * 12), iface='eth0')"
    ));
    assert!(site.outside.reaches("10.1.0.2"), "later packets have come through");
    let others = capture.fields("ip.src == 203.0.113.254 && icmp.type != 8", &["icmp.type"]);
    assert_eq!(others, Vec::<Vec<String>>::new());
}
