//! The committed fuzz corpora, replayed.

use std::fs;
use std::path::Path;

use crate::exercise::{fragment, icmp_error, offload, parse, translate};

/// Feeds every input of a corpus, whole and cut short, to what its target runs.
fn replay(target: &str, exercise: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut inputs = 0;
    for entry in fs::read_dir(&folder).expect("a folder of inputs") {
        let path = entry.expect("a folder entry").path();
        let input = fs::read(&path).expect("an input");
        println!("{}", path.display());
        exercise(&input);
        exercise(&input[..input.len() / 2]);
        inputs += 1;
    }
    assert!(inputs >= 10, "{inputs} inputs in {}", folder.display());
}

#[test]
fn the_parse_corpus_breaks_nothing() {
    replay("parse", parse::exercise);
}

#[test]
fn the_offload_corpus_breaks_nothing() {
    replay("offload", offload::exercise);
}

#[test]
fn the_icmp_error_corpus_breaks_nothing() {
    replay("icmp_error", icmp_error::exercise);
}

#[test]
fn the_fragment_corpus_breaks_nothing() {
    replay("fragment", fragment::exercise);
}

#[test]
fn the_translate_corpus_breaks_nothing() {
    replay("translate", translate::exercise);
}
