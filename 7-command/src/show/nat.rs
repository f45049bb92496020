//! Address translation: a table for each kind of row.

use std::io::Write;
use std::mem::discriminant;

use portcullis_api::rows::NatRow;
use portcullis_api::{Answer, ClientError};

use super::endpoint;
use crate::error::Error;
use crate::output::{Paint, buffered_stdout};
use crate::table::{Align, Cell, Look, Table};
use crate::text::{first_of, grouped, printable};

const POOLS: [(&str, Align); 10] = [
    ("MASQUERADE", Align::Right),
    ("SOURCE", Align::Left),
    ("OUT", Align::Left),
    ("ADDRESS", Align::Left),
    ("PROTOCOL", Align::Left),
    ("PORTS", Align::Right),
    ("IN USE", Align::Right),
    ("RESTING", Align::Right),
    ("MAPPINGS", Align::Right),
    ("RAN OUT", Align::Right),
];

const FORWARDS: [(&str, Align); 5] = [
    ("FORWARD IN", Align::Left),
    ("PROTOCOL", Align::Left),
    ("DESTINATION", Align::Left),
    ("TO", Align::Left),
    ("FLOWS SO FAR", Align::Right),
];

const STATICS: [(&str, Align); 3] =
    [("STATIC ON", Align::Left), ("EXTERNAL", Align::Left), ("INTERNAL", Align::Left)];

const MAPPINGS: [(&str, Align); 6] = [
    ("MAPPING OF", Align::Right),
    ("PROTOCOL", Align::Left),
    ("INSIDE", Align::Left),
    ("OUTSIDE", Align::Left),
    ("FLOWS", Align::Right),
    ("WORKER", Align::Right),
];

/// The rows as tables, one below the other.
pub(super) fn tables(answer: Answer<'_, NatRow>) -> Result<(), Error> {
    let mut out = buffered_stdout();
    let mut answer = answer.peekable();
    let mut empty = true;
    while let Some(Ok(first)) = answer.peek() {
        let kind = discriminant(first);
        if !empty {
            writeln!(out)?;
        }
        empty = false;
        let mut table = Table::new(&mut out, Paint::of_stdout(), columns(first));
        let alike = |row: &Result<NatRow, ClientError>| {
            row.as_ref().is_ok_and(|row| discriminant(row) == kind)
        };
        while let Some(row) = answer.next_if(alike) {
            table.row(line(&row?))?;
        }
        table.end("none")?;
    }
    match answer.next() {
        Some(Err(error)) => return Err(error.into()),
        Some(Ok(_)) | None if empty => writeln!(out, "no address translation")?,
        Some(Ok(_)) | None => {}
    }
    Ok(out.flush()?)
}

fn columns(row: &NatRow) -> &'static [(&'static str, Align)] {
    match row {
        NatRow::Pool { .. } => &POOLS,
        NatRow::Forward { .. } => &FORWARDS,
        NatRow::Static { .. } => &STATICS,
        NatRow::Mapping { .. } => &MAPPINGS,
    }
}

fn line(row: &NatRow) -> Vec<Cell> {
    match row {
        NatRow::Pool {
            masquerade,
            out,
            sources,
            address,
            protocol,
            ports,
            in_use,
            resting,
            mappings,
            exhausted,
        } => vec![
            masquerade.to_string().into(),
            first_of(sources).into(),
            printable(out).into(),
            address.to_string().into(),
            printable(protocol).into(),
            grouped(*ports).into(),
            share(*in_use, *ports).into(),
            grouped(*resting).into(),
            grouped(*mappings).into(),
            count_of_failures(*exhausted),
        ],
        NatRow::Forward { interface, protocol, destination, to, hits } => vec![
            printable(interface).into(),
            printable(protocol).into(),
            printable(destination).into(),
            printable(to).into(),
            hits.map(grouped).unwrap_or_default().into(),
        ],
        NatRow::Static { on, external, internal } => {
            vec![printable(on).into(), external.to_string().into(), internal.to_string().into()]
        }
        NatRow::Mapping {
            masquerade,
            protocol,
            inside,
            inside_port,
            external,
            external_port,
            flows,
            worker,
        } => vec![
            masquerade.to_string().into(),
            printable(protocol).into(),
            endpoint(protocol, *inside, *inside_port).into(),
            endpoint(protocol, *external, *external_port).into(),
            grouped(u64::from(*flows)).into(),
            worker.to_string().into(),
        ],
    }
}

/// A part, and how much of the whole it is.
fn share(part: u64, whole: u64) -> String {
    match part.saturating_mul(100).checked_div(whole) {
        Some(percent) => format!("{} ({percent} %)", grouped(part)),
        None => grouped(part),
    }
}

fn count_of_failures(number: u64) -> Cell {
    Cell::new(grouped(number)).look(if number == 0 { Look::Plain } else { Look::Bad })
}
