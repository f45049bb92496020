//! The pipeline measured in memory: no device, no second thread, one core.
//!
//! `cargo run --release -p portcullis-bench` prints a table, with `--json` a JSON array. What is timed
//! is [`Worker::process`](portcullis_pipeline::Worker::process) over batches of 64 packets of 64 bytes, with every check and counter on.
//! Before each pass over the pool of 4,096 packets the generator writes all their headers anew, each with the
//! next random destination;
//! that is not timed. Time is the processor's time-stamp counter, read before and after each batch.
//!
//! `--only CASE` measures one case; `--samples N` sets how many; `--instructions` counts them under valgrind; `--rounds CASE N` does N batches of
//! one case and nothing else, for callgrind; `--setup N` measures, in N samples, how fast flows begin, what applying many rules
//! costs, and the memory of a flow.

mod alloc;
mod cases;
mod instructions;
mod policy;
mod rng;
mod routes;
mod run;
mod setup;
mod table;

use std::process::ExitCode;

use cases::Case;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (cases, samples, json, count) = match parse(&words) {
        Ok(Plan::Measure { cases, samples, json, count }) => (cases, samples, json, count),
        Ok(Plan::Setup { samples }) => {
            println!("{}", setup::json(samples));
            return ExitCode::SUCCESS;
        }
        Ok(Plan::Rounds { case, count }) => {
            run::Bench::new(case).rounds(count);
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            eprintln!(
                "{message}\nusage: portcullis-bench [--json] [--instructions] [--only CASE]... [--samples N]"
            );
            eprintln!("       portcullis-bench --rounds CASE N");
            eprintln!("       portcullis-bench --setup SAMPLES");
            eprintln!("cases: {}", Case::ALL.map(Case::name).join(" "));
            return ExitCode::from(2);
        }
    };
    let mut results = run::measure(&cases, samples);
    if count {
        for result in &mut results {
            result.instructions = instructions::count(result.case);
        }
    }
    if json {
        println!("{}", table::json(&results));
    } else {
        print!("{}", table::text(&results));
    }
    ExitCode::SUCCESS
}

enum Plan {
    Measure { cases: Vec<Case>, samples: usize, json: bool, count: bool },
    Rounds { case: Case, count: u64 },
    Setup { samples: usize },
}

fn parse(words: &[&str]) -> Result<Plan, String> {
    let (mut cases, mut samples, mut json, mut count) = (Vec::new(), 9, false, false);
    let mut words = words.iter();
    while let Some(&word) = words.next() {
        let mut value = || words.next().copied().ok_or(format!("{word} needs a value"));
        match word {
            "--json" => json = true,
            "--instructions" => count = true,
            "--only" => cases.push(Case::named(value()?)?),
            "--samples" => samples = number(value()?)? as usize,
            "--setup" => return Ok(Plan::Setup { samples: number(value()?)? as usize }),
            "--rounds" => {
                let case = Case::named(value()?)?;
                return Ok(Plan::Rounds { case, count: number(value()?)? });
            }
            _ => return Err(format!("unknown argument {word}")),
        }
    }
    if cases.is_empty() {
        cases = Case::ALL.to_vec();
    }
    Ok(Plan::Measure { cases, samples: samples.max(1), json, count })
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text} is no number"))
}
