//! Interfaces, a line each, and one more for every further address.

use std::io::Write;

use portcullis_api::Answer;
use portcullis_api::rows::InterfaceRow;

use super::{NONE, table};
use crate::error::Error;
use crate::output::{Paint, stdout};
use crate::table::{Align, Cell, Look};
use crate::text::{bytes, grouped, printable};

const COLUMNS: [(&str, Align); 12] = [
    ("INTERFACE", Align::Left),
    ("STATE", Align::Left),
    ("DEVICE", Align::Left),
    ("MAC", Align::Left),
    ("MTU", Align::Right),
    ("ZONE", Align::Left),
    ("RECEIVED", Align::Right),
    ("", Align::Right),
    ("SENT", Align::Right),
    ("", Align::Right),
    ("DROPPED", Align::Right),
    ("ADDRESSES", Align::Left),
];

/// Prints the table, and below it what keeps devices from being used.
pub(super) fn show(answer: Answer<'_, InterfaceRow>) -> Result<(), Error> {
    let mut problems = Vec::new();
    let shown = table(answer, &COLUMNS, NONE, |interface| {
        let name = printable(&interface.name);
        problems.extend(interface.problem.as_deref().map(|p| format!("{name}: {}", printable(p))));
        rows(interface)
    });
    let mut separator = "\n";
    for problem in &problems {
        writeln!(stdout(), "{separator}{}", Look::Bad.on(problem, Paint::of_stdout()))?;
        separator = "";
    }
    shown
}

fn rows(interface: &InterfaceRow) -> Vec<Vec<Cell>> {
    let mut addresses = interface.addresses.iter().map(ToString::to_string);
    let first = vec![
        printable(&interface.name).into(),
        state(interface),
        printable(&interface.device).into(),
        printable(&interface.mac).into(),
        interface.mtu.to_string().into(),
        printable(&interface.zone).into(),
        grouped(interface.rx_packets).into(),
        bytes(interface.rx_bytes).into(),
        grouped(interface.tx_packets).into(),
        bytes(interface.tx_bytes).into(),
        grouped(interface.drops).into(),
        addresses.next().unwrap_or_default().into(),
    ];
    let further = addresses.map(|address| {
        let mut line = vec![Cell::new(""); COLUMNS.len() - 1];
        line.push(address.into());
        line
    });
    std::iter::once(first).chain(further).collect()
}

fn state(interface: &InterfaceRow) -> Cell {
    match (interface.admin_up, interface.carrier) {
        _ if interface.problem.is_some() => Cell::new("no device").look(Look::Bad),
        (true, true) => Cell::new("up").look(Look::Good),
        (true, false) => Cell::new("no carrier").look(Look::Bad),
        (false, _) => Cell::new("down").look(Look::Bad),
    }
}
