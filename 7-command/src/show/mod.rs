//! `portcullis show`: asks a running gateway, and prints a table or JSON.

mod counts;
mod interfaces;
mod neighbors;
mod routes;
mod threads;

use std::io::Write;

use portcullis_api::rows::{ConfigRow, Row};
use portcullis_api::{Answer, Client, NeighborFilter, Request, RouteFilter, Show};
use serde_json::value::RawValue;

use crate::cli::{ShowArgs, What};
use crate::error::Error;
use crate::output::{Paint, buffered_stdout};
use crate::table::{Align, Cell, Table};
use crate::{host, socket};

/// Asks, and prints the answer.
pub(crate) fn show(args: &ShowArgs) -> Result<(), Error> {
    let socket = match &args.socket {
        Some(socket) => socket.clone(),
        None => socket::find(&host::name())?,
    };
    let request = request(&args.what);
    let mut client = Client::connect(&socket)?;
    match &args.what {
        What::Config => config(client.ask(&request)?, args.json),
        _ if args.json => json(client.ask(&request)?),
        What::Threads => table(client.ask(&request)?, &threads::COLUMNS, NONE, threads::rows),
        What::Interfaces => {
            table(client.ask(&request)?, &interfaces::COLUMNS, NONE, interfaces::rows)
        }
        What::Routes { .. } => table(client.ask(&request)?, &routes::COLUMNS, NONE, routes::rows),
        What::Neighbors { .. } => {
            table(client.ask(&request)?, &neighbors::COLUMNS, NONE, neighbors::rows)
        }
        What::Drops { all } => {
            let empty = "no packet was dropped";
            table(client.ask(&request)?, &counts::DROPS, empty, |row| counts::drops(row, *all))
        }
        What::Counters { name, all } => {
            let named = name.as_deref().unwrap_or("");
            table(client.ask(&request)?, &counts::COUNTERS, NONE, |row| {
                counts::counters(row, named, *all)
            })
        }
    }
}

/// What is printed instead of an empty table.
const NONE: &str = "none";

fn request(what: &What) -> Request {
    Request::Show(match what {
        What::Threads => Show::Threads {},
        What::Interfaces => Show::Interfaces {},
        What::Routes { prefix, to, protocol } => {
            Show::Routes(RouteFilter { to: *to, prefix: *prefix, protocol: protocol.clone() })
        }
        What::Neighbors { interface } => {
            Show::Neighbors(NeighborFilter { interface: interface.clone() })
        }
        What::Drops { .. } => Show::Drops {},
        What::Counters { .. } => Show::Counters {},
        What::Config => Show::Config {},
    })
}

/// The rows as one JSON array, written as they come. It is closed only if the answer is complete.
fn json(answer: Answer<'_, Box<RawValue>>) -> Result<(), Error> {
    let mut out = buffered_stdout();
    let mut separator = "[\n";
    for row in answer {
        match row {
            Ok(row) => write!(out, "{separator}{row}")?,
            Err(error) => {
                out.flush()?;
                return Err(error.into());
            }
        }
        separator = ",\n";
    }
    out.write_all(if separator == "[\n" { b"[]\n" } else { b"\n]\n" })?;
    Ok(out.flush()?)
}

/// The rows as a table; `lines` says which lines of it show a row.
fn table<R: Row>(
    answer: Answer<'_, R>,
    columns: &[(&str, Align)],
    empty: &str,
    lines: impl Fn(&R) -> Vec<Vec<Cell>>,
) -> Result<(), Error> {
    let mut table = Table::new(buffered_stdout(), Paint::of_stdout(), columns);
    for row in answer {
        match row {
            Ok(row) => {
                for line in lines(&row) {
                    table.row(line)?;
                }
            }
            Err(error) => {
                // What came is shown before what went wrong.
                table.end(empty)?;
                return Err(error.into());
            }
        }
    }
    Ok(table.end(empty)?)
}

fn config(answer: Answer<'_, ConfigRow>, json: bool) -> Result<(), Error> {
    let mut out = buffered_stdout();
    for row in answer {
        let row = row?;
        if json {
            writeln!(out, "{:#}", row.config)?;
        } else {
            write!(out, "# {}\n\n{}", row.file, row.toml)?;
        }
    }
    Ok(out.flush()?)
}
