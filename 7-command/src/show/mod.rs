//! `portcullis show`: asks a running gateway, and prints a table or JSON.

mod counts;
mod firewall;
mod flows;
mod interfaces;
mod nat;
mod neighbors;
mod routes;
mod threads;

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};

use portcullis_api::rows::ConfigRow;
use portcullis_api::{
    Answer, Client, ClientError, NatQuery, NeighborFilter, Request, RouteFilter, Show,
};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::cli::{ShowArgs, What};
use crate::error::Error;
use crate::output::{Paint, buffered_stdout};
use crate::socket;
use crate::table::{Align, Cell, Table};

/// Asks, and prints the answer.
pub(crate) fn show(args: &ShowArgs) -> Result<(), Error> {
    let socket = socket::given_or_found(args.socket.as_deref())?;
    let request = request(&args.what);
    let mut client = Client::connect(&socket)?;
    match &args.what {
        What::Config => config(client.ask(&request)?, args.json),
        What::Flows(flows) => flows::show(&mut client, &request, flows, args.json),
        _ if args.json => json(client.ask::<Box<RawValue>>(&request)?),
        What::Threads => table(client.ask(&request)?, &threads::COLUMNS, NONE, threads::rows),
        What::Interfaces => interfaces::show(client.ask(&request)?),
        What::Routes { .. } => table(client.ask(&request)?, &routes::COLUMNS, NONE, routes::rows),
        What::Neighbors { .. } => {
            table(client.ask(&request)?, &neighbors::COLUMNS, NONE, neighbors::rows)
        }
        What::Nat { .. } => nat::tables(client.ask(&request)?),
        What::Firewall => {
            table(client.ask(&request)?, &firewall::COLUMNS, "no firewall", firewall::rows)
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
        What::Flows(args) => Show::Flows(flows::query(args)),
        What::Nat { mappings, source } => {
            Show::Nat(NatQuery { mappings: *mappings || source.is_some(), source: *source })
        }
        What::Firewall => Show::Firewall {},
        What::Drops { .. } => Show::Drops {},
        What::Counters { .. } => Show::Counters {},
        What::Config => Show::Config {},
    })
}

/// The rows as one JSON array, written as they come. It is closed only if the answer is complete.
fn json<R: Serialize>(answer: impl Iterator<Item = Result<R, ClientError>>) -> Result<(), Error> {
    let mut out = buffered_stdout();
    let mut separator = "[\n";
    for row in answer {
        match row {
            Ok(row) => {
                out.write_all(separator.as_bytes())?;
                serde_json::to_writer(&mut out, &row).map_err(io::Error::from)?;
            }
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
fn table<R>(
    answer: impl Iterator<Item = Result<R, ClientError>>,
    columns: &[(&str, Align)],
    empty: &str,
    mut lines: impl FnMut(&R) -> Vec<Vec<Cell>>,
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

/// An address with a port, or with what ICMP has instead.
fn endpoint(protocol: &str, address: IpAddr, port: u16) -> String {
    if protocol.starts_with("icmp") {
        format!("{address} id {port}")
    } else {
        SocketAddr::new(address, port).to_string()
    }
}
