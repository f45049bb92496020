//! Files that nobody would write.

use std::fmt::Write;
use std::time::{Duration, Instant};

use portcullis_config::{Config, Host, MAX_EXPANDED, MAX_INTERFACES, MAX_NEXT_HOPS, Report};
use proptest::prelude::*;

fn parse(text: &str) -> Result<Config, Report> {
    Config::parse("f.toml", text, &Host { name: "host1" })
}

/// What is said about a text can be shown, and every error is at a place that the text has.
fn is_shown(text: &str) {
    if let Err(report) = parse(text) {
        assert!(!report.errors().is_empty(), "refused without a reason:\n{text}");
        let shown = report.to_string();
        assert!(!shown.contains('\x1b'), "control characters reach the terminal");
        for error in report.errors() {
            assert!(error.line() <= 1 + text.matches('\n').count(), "{error:?}");
            assert!(error.column() >= 1, "{error:?}");
        }
    }
}

const EXAMPLE: &str = include_str!("cases/everything/portcullis.toml");

const STATEFUL: &str = include_str!("cases/nat-and-firewall/portcullis.toml");

/// The text with another one in place of some of it.
fn with_slip(text: &str, at: usize, length: usize, instead: &str) -> String {
    let end = (at + length).min(text.len());
    format!("{}{instead}{}", &text[..at], &text[end..])
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text: String) {
        is_shown(&text);
    }

    #[test]
    fn no_text_of_likely_pieces_makes_the_reader_panic(
        pieces in prop::collection::vec(
            prop::sample::select(vec![
                "[gateway]", "[[interface]]", "[[route]]", "[nat]", "interface", "via", "to", "mtu",
                "name", "addresses", " = ", "=", "\n", "[", "]", "{", "}", ",", "\"", "\"10.0.0.1/8\"",
                "[firewall]", "[[firewall.rule]]", "[[nat.static]]", "[firewall.addresses]", "from",
                "source", "service", "\"tcp/1-2\"", "\"icmp/3\"", "ports", "\"10.0.0.1-10.0.0.2\"",
                "\"::/0\"", "1", "-1", "true", "1e9", "\u{1b}", "ü", ".", "#", "\r\n", "\t",
            ]),
            0..60,
        )
    ) {
        is_shown(&pieces.concat());
    }

    #[test]
    fn a_good_file_with_a_slip_in_it_is_read_or_refused_with_a_reason(
        at in 0..EXAMPLE.len(),
        length in 0_usize..20,
        instead in "[ -~\n]{0,3}",
    ) {
        prop_assume!(EXAMPLE.is_ascii());
        is_shown(&with_slip(EXAMPLE, at, length, &instead));
    }

    #[test]
    fn a_firewall_with_a_slip_in_it_is_read_or_refused_with_a_reason(
        at in 0..STATEFUL.len(),
        length in 0_usize..20,
        instead in "[ -~\n]{0,3}",
    ) {
        prop_assume!(STATEFUL.is_ascii());
        let text = with_slip(STATEFUL, at, length, &instead);
        is_shown(&text);
        if let Ok(config) = parse(&text) {
            prop_assert_eq!(parse(&config.to_toml()), Ok(config));
        }
    }
}

/// A firewall with these sets of addresses and rules.
fn firewall(sets: &str, rules: &str) -> String {
    format!("{}[firewall]\n[firewall.addresses]\n{sets}\n{rules}", interfaces(1))
}

fn rules(count: usize, source: &str) -> String {
    (0..count).fold(String::new(), |mut text, number| {
        let _ = write!(
            text,
            "[[firewall.rule]]\nname = \"r{number}\"\nsource = [\"{source}\"]\naction = \"drop\"\n"
        );
        text
    })
}

#[test]
fn sets_can_be_nested_as_deep_as_the_file_is_long() {
    let mut sets = String::from("s0 = [\"10.0.0.1\"]\n");
    for number in 1..50_000 {
        let _ = writeln!(sets, "s{number} = [\"s{}\"]", number - 1);
    }
    let config = parse(&firewall(&sets, &rules(1, "s49999"))).expect("it is all right");
    let rule = &config.firewall().expect("there is one").rules[0];
    assert_eq!(rule.source.as_ref().map(|source| source.len()), Some(1));
    let report =
        parse(&firewall(&sets.replacen("10.0.0.1", "s49999", 1), "")).expect_err("a circle");
    assert_eq!(report.errors().len(), 1, "{report}");
}

#[test]
fn sets_that_double_one_another_stay_small() {
    let mut sets = String::from("s0 = [\"10.0.0.1\", \"10.0.0.3\"]\n");
    for number in 1..100 {
        let _ = writeln!(sets, "s{number} = [\"s{0}\", \"s{0}\"]", number - 1);
    }
    let config = parse(&firewall(&sets, "")).expect("it is all right");
    let sets = &config.firewall().expect("there is one").addresses;
    assert!(sets.iter().all(|set| set.members.len() == 2));
}

#[test]
fn large_sets_in_many_rules_are_refused_once() {
    let addresses: Vec<String> =
        (0..5000).map(|n| format!("\"10.0.{}.{}\"", n * 2 / 256, n * 2 % 256)).collect();
    let sets = format!("large = [{}]", addresses.join(", "));
    let config = parse(&firewall(&sets, &rules(700, "large"))).expect("it is all right");
    let rules_of = |config: &Config| config.firewall().expect("there is one").rules.len();
    assert_eq!(rules_of(&config), 700);
    let report = parse(&firewall(&sets, &rules(900, "large"))).expect_err("too many");
    assert_eq!(report.errors().len(), 1, "{report}");
    const { assert!(MAX_EXPANDED < 900 * 5000 && MAX_EXPANDED > 700 * 5000) };
}

#[test]
fn many_names_that_are_not_there_are_found_in_seconds() {
    let sets = (0..20_000).fold(String::new(), |mut text, number| {
        let _ = writeln!(text, "set-{number} = [\"10.0.0.1\"]");
        text
    });
    let started = Instant::now();
    let report = parse(&firewall(&sets, &rules(20_000, "ste-1"))).expect_err("none is there");
    assert_eq!(report.errors().len(), 20_000);
    assert!(report.to_string().contains("did you mean `set-1`?"));
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

#[test]
fn ten_thousand_translations_are_checked_against_each_other_in_seconds() {
    let mut text = interfaces(1);
    for number in 0..10_000 {
        let (high, low) = (number >> 8, number & 255);
        let _ = write!(
            text,
            "[[nat.static]]\non = \"i0\"\nexternal = \"100.64.{high}.{low}/32\"\n\
             internal = \"172.16.{high}.{low}/32\"\n\
             [[nat.forward]]\nin = \"i0\"\nprotocol = \"tcp\"\n\
             destination = \"10.0.0.1:{}\"\nto = \"172.16.0.1:80\"\n",
            number + 1
        );
    }
    let started = Instant::now();
    assert_eq!(parse(&text).expect("it is all right").nat().statics.len(), 10_000);
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

fn interfaces(count: usize) -> String {
    (0..count).fold(String::new(), |mut text, number| {
        let (high, low) = (number / 256, number % 256);
        let _ = write!(
            text,
            "[[interface]]\nname = \"i{number}\"\ndevice = \"e{number}\"\n\
             addresses = [\"10.{high}.{low}.1/24\"]\n"
        );
        text
    })
}

#[test]
fn as_many_interfaces_as_there_may_be_are_taken_and_one_more_is_not() {
    let config = parse(&interfaces(MAX_INTERFACES)).expect("it is all right");
    assert_eq!(config.interfaces().len(), MAX_INTERFACES);
    let report = parse(&interfaces(MAX_INTERFACES + 1)).expect_err("one too many");
    assert_eq!(report.errors().len(), 1);
    assert_eq!(report.errors()[0].found(), "1025 interfaces");
    assert_eq!(report.errors()[0].line(), MAX_INTERFACES * 4 + 1);
}

#[test]
fn as_many_next_hops_as_there_may_be_are_taken_and_one_more_is_not() {
    let with_hops = |count: usize| {
        let hops: Vec<String> = (0..count).map(|hop| format!("\"10.0.0.{}\"", hop + 2)).collect();
        format!("{}[[route]]\nto = \"0.0.0.0/0\"\nvia = [{}]\n", interfaces(1), hops.join(", "))
    };
    assert!(parse(&with_hops(MAX_NEXT_HOPS)).is_ok());
    let report = parse(&with_hops(MAX_NEXT_HOPS + 1)).expect_err("one too many");
    assert_eq!(report.errors()[0].found(), "65 next hops");
}

#[test]
fn a_hundred_thousand_routes_are_read_in_seconds() {
    let mut text = interfaces(100);
    for number in 0..100_000 {
        let (a, b, c) = (number >> 16, number >> 8 & 255, number & 255);
        let _ = write!(
            text,
            "[[route]]\nto = \"100.{a}.{b}.{c}/32\"\nvia = [\"10.0.{}.9\"]\n",
            c % 100
        );
    }
    let started = Instant::now();
    assert_eq!(parse(&text).expect("it is all right").routes().len(), 100_000);
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

#[test]
fn a_hundred_thousand_errors_in_one_line_are_found_in_seconds_and_a_thousand_are_shown() {
    let text = format!("interface = [{}]\n", "\"ü\", ".repeat(100_000));
    let started = Instant::now();
    let report = parse(&text).expect_err("none is an interface");
    assert_eq!(report.errors().len(), 100_000);
    assert_eq!(report.errors()[99_999].column(), "interface = [".len() + 99_999 * 5 + 1);
    let shown = report.to_string();
    assert!(shown.ends_with("f.toml: 100000 errors, of which the first 1000 are shown"));
    assert!(shown.len() < 1_000_000, "{} bytes", shown.len());
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}
