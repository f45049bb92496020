//! `portcullis apply` and `portcullis diff`: another configuration for a gateway that runs.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use portcullis_api::rows::{ChangeKind, ChangeRow};
use portcullis_api::{Change, Client, ClientError, ConfigFile, Request};
use portcullis_config::{Config, Host, LoadError, MAX_FILE_BYTES};

use crate::cli::ChangeArgs;
use crate::error::Error;
use crate::output::{self, Paint};
use crate::table::Look;
use crate::text::{counted, grouped, printable};
use crate::{host, socket};

/// Has the gateway take the file, and says what that changed.
pub(crate) fn apply(args: &ChangeArgs) -> Result<(), Error> {
    let (mut client, file) = prepare(args)?;
    let answer = ask(&mut client, Change::Apply(file))?;
    if let Some(error) = answer.refused {
        // Those that it is refused for.
        write(&mut io::stderr().lock(), Paint::of_stderr(), &answer.rows)?;
        return Err(error.into());
    }
    let summary = match answer.rows.len() as u64 {
        0 => "no changes".to_owned(),
        count => format!("{} applied", counted(count, "change")),
    };
    say(&client, &answer.rows, &summary)
}

/// Says what `apply` would change.
pub(crate) fn diff(args: &ChangeArgs) -> Result<(), Error> {
    let (mut client, file) = prepare(args)?;
    let answer = ask(&mut client, Change::Diff(file))?;
    if let Some(error) = answer.refused {
        return Err(error.into());
    }
    let restarts = answer.rows.iter().filter(|row| row.restart).count() as u64;
    let summary = match (answer.rows.len() as u64, restarts) {
        (0, _) => "no changes".to_owned(),
        (count, 0) => counted(count, "change"),
        (count, _) => {
            let all = counted(count, "change");
            format!("{all}, {} by a restart only: `apply` would refuse the file", grouped(restarts))
        }
    };
    say(&client, &answer.rows, &summary)
}

/// What the gateway answered.
struct Answer {
    rows: Vec<ChangeRow>,
    refused: Option<ClientError>,
}

/// Checks the file here, where an error can be shown best, and connects to the gateway that it is
/// for.
fn prepare(args: &ChangeArgs) -> Result<(Client, ConfigFile), Error> {
    let (config, text) = load(&args.file)?;
    let of_gateway = || socket::of_gateway(&config.gateway().name);
    let socket = args.socket.clone().unwrap_or_else(of_gateway);
    // Shown to people who may be somewhere else.
    let file = std::path::absolute(&args.file).unwrap_or_else(|_| args.file.clone());
    let file = ConfigFile { file: file.display().to_string(), text };
    Ok((Client::connect(&socket)?, file))
}

/// The configuration, and the text that it was read from: a file that is a pipe can be read only once.
fn load(path: &Path) -> Result<(Config, String), LoadError> {
    let host = host::name();
    let host = Host { name: &host };
    let unreadable = |source| LoadError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    let acceptable = Some(bytes).filter(|bytes| bytes.len() as u64 <= MAX_FILE_BYTES);
    match acceptable.and_then(|bytes| String::from_utf8(bytes).ok()) {
        Some(text) => Ok((Config::parse(&path.display().to_string(), &text, &host)?, text)),
        // It is not text that could be a configuration: that is said as `check` says it.
        None => Err(Config::load(path, &host)
            .err()
            .unwrap_or_else(|| unreadable(io::Error::other("it changes while it is read")))),
    }
}

fn ask(client: &mut Client, change: Change) -> Result<Answer, ClientError> {
    let mut answer = Answer { rows: Vec::new(), refused: None };
    for row in client.ask(&Request::Change(change))? {
        match row {
            Ok(row) => answer.rows.push(row),
            Err(error) => answer.refused = Some(error),
        }
    }
    Ok(answer)
}

fn say(client: &Client, changes: &[ChangeRow], summary: &str) -> Result<(), Error> {
    let mut out = output::buffered_stdout();
    write(&mut out, Paint::of_stdout(), changes)?;
    writeln!(out, "{}: {summary}", printable(&client.greeting().gateway))?;
    Ok(out.flush()?)
}

/// The changes, a line each, and one more for every further line that the gateway has about it.
fn write(out: &mut impl Write, paint: Paint, changes: &[ChangeRow]) -> io::Result<()> {
    for change in changes {
        let (sign, look) = match change.kind {
            ChangeKind::Added => ('+', Look::Good),
            ChangeKind::Removed => ('-', Look::Bad),
            ChangeKind::Changed | ChangeKind::Moved => ('~', Look::Notable),
        };
        let mut text = change.text.lines();
        let mut line = format!("{sign} {}", printable(&change.what));
        if let Some(first) = text.next() {
            line.push_str(": ");
            line.push_str(&printable(first));
        }
        write!(out, "{}", look.on(&line, paint))?;
        if change.restart {
            write!(out, " {}", Look::Bad.on("(by a restart only)", paint))?;
        }
        writeln!(out)?;
        for further in text {
            writeln!(out, "    {}", look.on(&printable(further), paint))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_coloured_for_terminals_and_cannot_colour_themselves() {
        let change = ChangeRow {
            kind: ChangeKind::Added,
            what: "route\u{1b}[31m".into(),
            text: "via a\nby b".into(),
            restart: true,
        };
        let mut out = Vec::new();
        write(&mut out, Paint::Ansi, &[change]).expect("written");
        assert_eq!(
            String::from_utf8(out).expect("text"),
            "\x1b[32m+ route\u{fffd}[31m: via a\x1b[0m \x1b[1;31m(by a restart only)\x1b[0m\n    \x1b[32mby b\x1b[0m\n"
        );
    }
}
