//! Files that nobody would write.

use std::fmt::Write;
use std::time::{Duration, Instant};

use portcullis_config::{Config, Host, MAX_INTERFACES, MAX_NEXT_HOPS, Report};
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
        let end = (at + length).min(EXAMPLE.len());
        is_shown(&format!("{}{instead}{}", &EXAMPLE[..at], &EXAMPLE[end..]));
    }
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
