//! What a diff of two files says.

use std::fmt::Write;
use std::time::{Duration, Instant};

use portcullis_config::{ChangeKind, Config, Host};
use proptest::prelude::*;

const BASE: &str = include_str!("cases/nat-and-firewall/portcullis.toml");

fn parse(text: &str) -> Config {
    Config::parse("f.toml", text, &Host { name: "host1" })
        .unwrap_or_else(|report| panic!("{report}"))
}

/// The lines of the diff from the base to the base with something in it replaced.
fn told(replaced: &[(&str, &str)]) -> Vec<String> {
    let mut text = BASE.to_owned();
    for (from, to) in replaced {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    parse(BASE).changes(&parse(&text)).iter().map(ToString::to_string).collect()
}

#[test]
fn a_rule_that_changes_is_said_key_by_key() {
    assert_eq!(
        told(&[
            ("destination = [\"web\"]", "destination = [\"10.0.0.6\"]"),
            ("log = true\n\n", "\n")
        ]),
        ["~ firewall rule \"web in\": destination web becomes 10.0.0.6, log true becomes false"]
    );
    assert_eq!(
        told(&[("name = \"rest\"\n", "name = \"rest\"\nfrom = \"trusted\"\n")]),
        ["~ firewall rule \"rest\": from any becomes trusted"]
    );
}

#[test]
fn a_new_rule_is_summed_up() {
    let rule = "[[firewall.rule]]\nname = \"ssh\"\nfrom = \"untrusted\"\nto = \"trusted\"\n\
                destination = [\"10.0.0.5\"]\nservice = [\"tcp/22\"]\naction = \"accept\"\n\n[timeouts]";
    assert_eq!(
        told(&[("[timeouts]", rule)]),
        ["+ firewall rule \"ssh\": accept tcp/22 from untrusted to trusted 10.0.0.5"]
    );
    assert_eq!(
        told(&[("[[firewall.rule]]\nname = \"rest\"\naction = \"drop\"\n", "")]),
        ["- firewall rule \"rest\": drop from any to any"]
    );
}

#[test]
fn a_rule_that_moves_is_the_only_one_that_does() {
    let rest = "[[firewall.rule]]\nname = \"rest\"\naction = \"drop\"\n\n";
    let first = format!("{rest}[[firewall.rule]]\nname = \"web in\"");
    assert_eq!(
        told(&[(rest, ""), ("[[firewall.rule]]\nname = \"web in\"", &first)]),
        ["> firewall rule \"rest\": moves from place 3 to place 1"]
    );
}

#[test]
fn what_a_running_gateway_cannot_do_is_marked() {
    for (from, to, said) in [
        ("device = \"eth1\"", "device = \"eth7\"", "~ interface \"wan\": device eth1 becomes eth7"),
        (
            "flows = 5000",
            "flows = 5001",
            "~ limits: flows 5000 becomes 5001, flows-per-source 5000 becomes 5001",
        ),
        (
            "[[interface]]",
            "[gateway]\nworkers = 2\n\n[[interface]]",
            "~ gateway: workers not given becomes 2",
        ),
    ] {
        assert_eq!(told(&[(from, to)]), [format!("{said} (needs a restart)")]);
    }
    for (from, to, said) in [
        (
            "zone = \"trusted\"",
            "mtu = 9000\nzone = \"trusted\"",
            "~ interface \"lan\": mtu 1500 becomes 9000",
        ),
        (
            "mss-clamp = true",
            "mss-clamp = false",
            "~ interface \"wan\": mss-clamp true becomes false",
        ),
        ("udp = 30", "udp = 31", "~ timeouts: udp 30 becomes 31"),
        (
            "flows = 5000",
            "flows = 400",
            "~ limits: flows 5000 becomes 400, flows-per-source 5000 becomes 400",
        ),
        ("default = \"reject\"", "default = \"drop\"", "~ firewall: default reject becomes drop"),
        (
            "web = [\"10.0.0.5\", ",
            "web = [",
            "~ address set \"web\": content 10.0.0.5, 10.0.0.6-10.0.0.9 becomes 10.0.0.6-10.0.0.9",
        ),
        (
            "ports = \"10000-19999\"",
            "ports = \"10000-20000\"",
            "~ masquerade of 0.0.0.0/0 out of \"wan\": ports 10000-19999 becomes 10000-20000",
        ),
        (
            "to = \"10.0.0.5:443\"",
            "to = \"10.0.0.5:444\"",
            "~ forward of tcp 203.0.113.1:8443 on \"wan\": to 10.0.0.5:443 becomes 10.0.0.5:444",
        ),
        (
            "internal = \"10.0.0.64/28\"",
            "internal = \"10.0.0.80/28\"",
            "~ static translation of 203.0.113.64/28 on \"wan\": internal 10.0.0.64/28 becomes 10.0.0.80/28",
        ),
    ] {
        assert_eq!(told(&[(from, to)]), [said]);
    }
}

#[cfg(feature = "dpdk")]
#[test]
fn an_interface_on_dpdk_gets_a_larger_mtu_by_a_restart_and_a_smaller_one_without() {
    let with = |mtu: u16| {
        parse(&format!(
            "[[interface]]\nname = \"lan\"\ndriver = \"dpdk\"\ndevice = \"net_null0\"\nmtu = {mtu}\n"
        ))
    };
    let restarts = |old, new| with(old).changes(&with(new)).iter().any(|change| change.restart);
    assert!(restarts(1500, 1501));
    assert!(!restarts(1501, 1500));
}

#[test]
fn a_firewall_or_an_interface_can_come_and_go() {
    let smallest = "[[interface]]\nname = \"wan\"\ndevice = \"eth1\"\n";
    let with = format!("{smallest}[firewall]\n[firewall.addresses]\nweb = [\"10.0.0.5\"]\n");
    let two = format!("{smallest}[[interface]]\nname = \"lan\"\ndevice = \"eth2\"\n");
    let told = |old: &str, new: &str| -> Vec<String> {
        parse(old).changes(&parse(new)).iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        told(smallest, &with),
        [
            "+ firewall: default drop, gateway-default accept, tcp-pickup",
            "+ address set \"web\": content 10.0.0.5",
        ]
    );
    assert_eq!(told(&with, smallest).len(), 2);
    assert_eq!(
        told(smallest, &two),
        [
            "+ interface \"lan\": anti-spoofing off, device eth2, driver af-packet, mtu 1500, zone lan (needs a restart)"
        ]
    );
    assert!(parse(&two).changes(&parse(smallest)).iter().all(|change| change.restart));
}

/// A configuration with a few of everything, each of which may be there or not, and so or so.
fn some_configuration() -> impl Strategy<Value = String> {
    let rules = Just(["a", "b", "c", "d"]).prop_shuffle();
    let rules = (rules, 0..5_usize, prop::collection::vec(0..4_u8, 4));
    let flags = prop::collection::vec(any::<bool>(), 10);
    (rules, flags, 1..4_u32).prop_map(|((names, count, forms), flags, number)| {
        let when = |at: usize, text: &str| if flags[at] { text.to_owned() } else { String::new() };
        let mut text = format!(
            "[[interface]]\nname = \"wan\"\ndevice = \"eth1\"\naddresses = [\"192.0.2.{number}/24\"]\n{}\
             [[interface]]\nname = \"lan\"\ndevice = \"eth2\"\n{}{}{}{}{}{}{}{}\
             [timeouts]\nudp = {number}\n",
            when(0, "anti-spoofing = \"strict\"\n"),
            when(1, "mss-clamp = true\n"),
            when(2, "[[route]]\nto = \"10.0.0.0/8\"\nblackhole = true\n"),
            when(3, "[[route]]\nto = \"0.0.0.0/0\"\nvia = [\"192.0.2.9\"]\n"),
            when(4, "[[nat.masquerade]]\nsource = [\"10.0.0.0/8\"]\nout = \"wan\"\n"),
            when(5, "[[nat.forward]]\nin = \"wan\"\nprotocol = \"udp\"\ndestination = \"192.0.2.1:5\"\nto = \"10.0.0.1:5\"\n"),
            when(6, "[[nat.static]]\non = \"wan\"\nexternal = \"192.0.2.64/28\"\ninternal = \"10.0.0.64/28\"\n"),
            when(7, "[limits]\nflows = 7\n"),
            when(8, "[gateway]\nworkers = 2\n"),
        );
        if flags[9] {
            let _ = write!(text, "[firewall.addresses]\nset = [\"inner\", \"10.0.0.1\"]\ninner = [\"10.0.1.{number}\"]\n");
            for (name, form) in names.iter().zip(forms).take(count) {
                let form = match form {
                    0 => "action = \"accept\"",
                    1 => "action = \"drop\"\nsource = [\"set\"]",
                    2 => "action = \"drop\"\nfrom = \"wan\"\nto = [\"gateway\", \"lan\"]",
                    _ => "action = \"reject\"\nservice = [\"icmp\", \"tcp/80\"]\nlog = true",
                };
                let _ = write!(text, "[[firewall.rule]]\nname = \"{name}\"\n{form}\n");
            }
        }
        text
    })
}

proptest! {
    #[test]
    fn a_configuration_does_not_differ_from_itself_and_does_from_any_other(
        old in some_configuration(),
        new in some_configuration(),
    ) {
        let (old, new) = (parse(&old), parse(&new));
        prop_assert!(old.changes(&old.clone()).is_empty());
        prop_assert_eq!(old.changes(&new).is_empty(), old == new);
        prop_assert_eq!(new.changes(&old).len(), old.changes(&new).len());
        for config in [&old, &new] {
            let again = Config::parse("b", &config.to_toml(), &Host { name: "another" });
            prop_assert_eq!(again.as_ref(), Ok(config));
        }
    }
}

#[test]
fn ten_thousand_rules_are_read_and_compared_at_once() {
    let with_rules = |numbers: &mut dyn Iterator<Item = u32>| {
        let mut text =
            String::from("[[interface]]\nname = \"wan\"\ndevice = \"eth1\"\n[firewall]\n");
        for number in numbers {
            let (high, low) = (number / 256, number % 256);
            let _ = write!(
                text,
                "[[firewall.rule]]\nname = \"rule {number}\"\nfrom = \"wan\"\nto = \"gateway\"\n\
                 source = [\"10.{high}.{low}.0/24\", \"2001:db8:{number:x}::/48\"]\n\
                 service = [\"tcp/443\", \"udp/5000-5010\"]\naction = \"accept\"\n"
            );
        }
        parse(&text)
    };
    let started = Instant::now();
    let (old, new) = (with_rules(&mut (0..10_000)), with_rules(&mut (5..10_005).rev()));
    let read = started.elapsed();
    let changes = old.changes(&new);
    let count = |kind| changes.iter().filter(|change| change.kind == kind).count();
    assert_eq!(count(ChangeKind::Added), 5);
    assert_eq!(count(ChangeKind::Removed), 5);
    assert_eq!(count(ChangeKind::Moved), 9_994);
    // Unoptimized, and beside other tests.
    assert!(started.elapsed() < Duration::from_secs(20), "{read:?}, {:?}", started.elapsed());
    println!("two files read in {read:?}, compared in {:?}", started.elapsed() - read);
}
