//! What is counted: dropped packets, and everything.

use portcullis_api::rows::{CounterRow, DropRow};

use crate::table::{Align, Cell};
use crate::text::{grouped, printable};

pub(super) const DROPS: [(&str, Align); 3] =
    [("PACKETS", Align::Right), ("REASON", Align::Left), ("MEANING", Align::Left)];

pub(super) const COUNTERS: [(&str, Align); 3] =
    [("COUNT", Align::Right), ("COUNTER", Align::Left), ("OF", Align::Left)];

/// A reason, if there is something to say of it.
pub(super) fn drops(row: &DropRow, all: bool) -> Vec<Vec<Cell>> {
    if row.packets == 0 && !all {
        return Vec::new();
    }
    let cells =
        [grouped(row.packets), printable(&row.reason), printable(&row.help)].map(Cell::from);
    vec![cells.into()]
}

/// A counter, if it is asked for and there is something to say of it.
pub(super) fn counters(row: &CounterRow, named: &str, all: bool) -> Vec<Vec<Cell>> {
    if (row.value == 0 && !all) || !row.name.contains(named) {
        return Vec::new();
    }
    let labels: Vec<String> =
        row.labels.iter().map(|(label, value)| format!("{label} {value}")).collect();
    let cells = [grouped(row.value), printable(&row.name), printable(&labels.join(", "))];
    vec![cells.map(Cell::from).into()]
}
