//! docs/configuration.md says what is true.

use std::fs;
use std::path::Path;

use portcullis_config::{Config, Host, schema};

fn page() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    fs::read_to_string(page).expect("the page is there")
}

/// The blocks of the page in this language.
fn blocks<'p>(page: &'p str, language: &str) -> Vec<&'p str> {
    let opening = format!("```{language}\n");
    let after = page.split(opening.as_str()).skip(1);
    after.filter_map(|text| text.split_once("```")).map(|(block, _)| block).collect()
}

#[test]
fn its_examples_are_good() {
    let page = page();
    let examples = blocks(&page, "toml");
    assert!(examples.len() >= 8, "{} examples", examples.len());
    // Most show one section, and refer to these interfaces.
    let interfaces = examples[1].split("\n[[route]]").next().unwrap_or_default();
    for example in &examples {
        let whole = if example.contains("[[interface]]") {
            (*example).to_owned()
        } else {
            format!("{interfaces}\n{example}")
        };
        let example = whole.as_str();
        if let Err(report) = Config::parse("example", example, &Host { name: "host1" }) {
            panic!("{report}\nin\n{example}");
        }
    }
}

#[test]
fn it_describes_every_key() {
    let page = page();
    let schema = schema();
    for section in [
        "Gateway",
        "Interface",
        "Route",
        "Masquerade",
        "Forward",
        "Static",
        "Firewall",
        "Rule",
        "Timeouts",
        "Limits",
        "Dpdk",
    ] {
        let keys = schema["$defs"][section]["properties"].as_object().expect("properties");
        for key in keys.keys() {
            assert!(page.contains(&format!("| `{key}` |")), "{section}: {key}");
        }
    }
    for list in schema["$defs"]["Nat"]["properties"].as_object().expect("properties").keys() {
        assert!(page.contains(&format!("## `[[nat.{list}]]`")), "{list}");
    }
    for section in schema["properties"].as_object().expect("properties").keys() {
        assert!(page.contains(&format!("[{section}")), "{section}");
    }
}

#[test]
fn its_errors_are_those_of_the_cases() {
    let cases = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases"));
    let recorded: String = cases
        .expect("the cases are there")
        .filter_map(|case| fs::read_to_string(case.ok()?.path().join("stderr.txt")).ok())
        .collect();
    for error in blocks(&page(), "text") {
        assert!(recorded.contains(error), "in no case:\n{error}");
    }
}
