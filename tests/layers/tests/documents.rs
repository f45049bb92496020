//! What the documents say of the code is so.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Whether a word between backticks is the name of a test: tests are named by sentences.
fn is_sentence(word: &str) -> bool {
    word.matches('_').count() >= 2
        && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// Names of all functions below a folder.
fn functions(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            functions(&path, found);
        } else if name.ends_with(".rs") {
            let source = fs::read_to_string(&path).expect("a readable source file");
            let lines = source.lines().filter_map(|line| line.trim_start().split_once("fn "));
            found.extend(lines.filter_map(|(_, rest)| {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
                Some(rest[..end].to_owned())
            }));
        }
    }
}

#[test]
fn each_test_that_the_page_on_rfcs_names_exists() {
    let root: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut functions_there = BTreeSet::new();
    functions(&root, &mut functions_there);
    let page = fs::read_to_string(root.join("docs/rfc-compliance.md")).expect("the page");
    let named: BTreeSet<&str> = page.split('`').filter(|word| is_sentence(word)).collect();
    assert!(named.len() > 60, "only {} tests are named", named.len());
    let missing: Vec<_> = named.iter().filter(|name| !functions_there.contains(**name)).collect();
    // Keys of the file look like names of tests.
    let missing: Vec<_> = missing
        .into_iter()
        .filter(|name| !["ports_per_source", "flows_per_source"].contains(name))
        .collect();
    assert!(missing.is_empty(), "no such tests: {missing:?}");
}
