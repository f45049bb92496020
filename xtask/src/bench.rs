//! `cargo xtask bench`: the gateway beside its peers, in one run.

mod dpdk;
mod flows;
mod huge_pages;
mod memory;
mod table;
mod veth;

use std::fmt::Write as _;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use huge_pages::HugePages;
use portcullis_blackbox::{interrupted, unwind_on_interrupts};

use crate::packages;
use crate::run::{need_root, output};

/// What to measure, and how often.
#[derive(Debug)]
pub(crate) struct Options {
    rounds: usize,
    memory: bool,
    veth: bool,
    dpdk: bool,
    markdown: Option<String>,
}

impl Options {
    /// Reads the command line.
    pub(crate) fn parse(words: &[&str]) -> Result<Self, String> {
        let mut options = Self { rounds: 5, memory: true, veth: true, dpdk: true, markdown: None };
        let mut words = words.iter();
        while let Some(&word) = words.next() {
            let mut value = || words.next().copied().ok_or(format!("{word} needs a value"));
            match word {
                "--rounds" => {
                    let text = value()?;
                    options.rounds = text.parse().map_err(|_| format!("{text} is no number"))?;
                }
                "--only" => {
                    let only = value()?;
                    if !["memory", "veth", "dpdk"].contains(&only) {
                        return Err(format!("--only memory, veth or dpdk, not {only}"));
                    }
                    options.memory = only == "memory";
                    options.veth = only == "veth";
                    options.dpdk = only == "dpdk";
                }
                "--markdown" => options.markdown = Some(value()?.to_owned()),
                _ => return Err(format!("unknown option {word}")),
            }
        }
        options.rounds = options.rounds.max(1);
        Ok(options)
    }
}

/// Measures, and prints tables that are Markdown as well.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    need_root()?;
    packages::install(packages::LAB)?;
    packages::install(packages::BENCH)?;
    let mut report = heading()?;
    let _pages = HugePages::reserve(1100);
    if options.memory {
        report += &memory::run(options.rounds)?;
    }
    if options.veth {
        report += &veth::run(options.rounds)?;
    }
    if options.dpdk {
        report += &dpdk::run(options.rounds)?;
    }
    println!("\n{report}");
    match &options.markdown {
        Some(file) => fs::write(file, report).map_err(|error| format!("{file}: {error}")),
        None => Ok(()),
    }
}

/// Where and when this was measured.
fn heading() -> Result<String, String> {
    let cpus = fs::read_to_string("/proc/cpuinfo").map_err(|error| error.to_string())?;
    let mut models = cpus.lines().filter_map(|line| line.strip_prefix("model name"));
    let model = models.next().unwrap_or("unknown").trim_start_matches([' ', '\t', ':']);
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = output("uname", &["-r"])?;
    let date = output("date", &["--utc", "+%Y-%m-%d %H:%M"])?;
    let commit = output("git", &["rev-parse", "--short", "HEAD"])?;
    let load = fs::read_to_string("/proc/loadavg").map_err(|error| error.to_string())?;
    let load = load.split_whitespace().next().unwrap_or_default();
    let mut text = String::new();
    let _ = writeln!(
        text,
        "Measured {} UTC at commit {}, on {count} x {model}, Linux {}, load {load} before.\n",
        date.trim(),
        commit.trim(),
        kernel.trim()
    );
    Ok(text)
}

/// Measures each contender once a round, so that what changes on the machine in the meantime changes for all. The results of
/// each, in the order of the contenders.
fn alternate<C, R>(
    what: &str,
    rounds: usize,
    contenders: &[C],
    name: impl Fn(&C) -> &str,
    measure: impl Fn(&C) -> R,
) -> Result<Vec<Vec<R>>, String> {
    unwind_on_interrupts();
    let measured = catch_unwind(AssertUnwindSafe(|| {
        let mut results: Vec<Vec<R>> = contenders.iter().map(|_| Vec::new()).collect();
        for round in 1..=rounds {
            for (contender, results) in contenders.iter().zip(&mut results) {
                println!("{what}, round {round} of {rounds}: {}", name(contender));
                results.push(measure(contender));
            }
        }
        results
    }));
    measured.map_err(|_| match interrupted() {
        true => "interrupted; everything has been taken away again".to_owned(),
        false => "a measurement failed, see above".to_owned(),
    })
}

/// The middle one of some values.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
