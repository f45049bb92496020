//! Threads, a line each.

use portcullis_api::rows::{SeccompMode, ThreadRow};

use crate::table::{Align, Cell, Look};
use crate::text::printable;

pub(super) const COLUMNS: [(&str, Align); 10] = [
    ("THREAD", Align::Left),
    ("TID", Align::Right),
    ("NAMESPACE", Align::Left),
    ("CPUS", Align::Left),
    ("ON", Align::Right),
    ("CAPABILITIES", Align::Left),
    ("COULD GET", Align::Left),
    ("SECCOMP", Align::Left),
    ("CPU TIME", Align::Right),
    ("STATE", Align::Left),
];

pub(super) fn rows(thread: &ThreadRow) -> Vec<Vec<Cell>> {
    let seccomp = match thread.seccomp {
        SeccompMode::Disabled => Cell::new("none").look(Look::Bad),
        mode @ (SeccompMode::Strict | SeccompMode::Filter) => Cell::new(mode.name()),
    };
    vec![vec![
        printable(&thread.name).into(),
        thread.tid.to_string().into(),
        printable(&thread.namespace).into(),
        printable(&thread.cpus_allowed).into(),
        thread.last_cpu.to_string().into(),
        names(&thread.cap_effective).into(),
        could_get(thread),
        seccomp,
        cpu_time(thread.cpu_time_seconds).into(),
        state(&thread.state).into(),
    ]]
}

/// The capabilities that the thread does not have and could come to have: by itself, or by
/// starting a program unless that is ruled out.
fn could_get(thread: &ThreadRow) -> Cell {
    let mut beyond: Vec<String> =
        [&thread.cap_permitted, &thread.cap_inheritable, &thread.cap_ambient, &thread.cap_bounding]
            .into_iter()
            .flatten()
            .filter(|capability| !thread.cap_effective.contains(capability))
            .cloned()
            .collect();
    beyond.sort();
    beyond.dedup();
    let text = names(&beyond);
    if beyond.is_empty() || thread.no_new_privs {
        Cell::new(text)
    } else {
        Cell::new(format!("{text} by execve")).look(Look::Bad)
    }
}

/// Names of capabilities, as short as they are clear.
fn names(capabilities: &[String]) -> String {
    /// More of them than this are counted.
    const LISTED: usize = 5;
    match capabilities.len() {
        0 => "none".to_owned(),
        1..=LISTED => {
            let short = capabilities.iter().map(|name| name.strip_prefix("CAP_").unwrap_or(name));
            printable(&short.collect::<Vec<_>>().join(","))
        }
        count => format!("{count} of them"),
    }
}

fn cpu_time(seconds: f64) -> String {
    /// From here on nobody wants fractions of seconds.
    const MINUTES: f64 = 600.0;
    if seconds < MINUTES {
        return format!("{seconds:.1} s");
    }
    let minutes = (seconds / 60.0) as u64;
    if minutes < 600 { format!("{minutes} min") } else { format!("{} h", minutes / 60) }
}

/// The letters of proc(5) in words.
fn state(letter: &str) -> String {
    match letter {
        "R" => "running".to_owned(),
        "S" => "sleeping".to_owned(),
        "D" => "blocked".to_owned(),
        "T" | "t" => "stopped".to_owned(),
        "Z" | "X" => "dead".to_owned(),
        other => printable(other),
    }
}
