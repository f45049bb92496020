//! Neighbours, a line each.

use portcullis_api::rows::{NeighborRow, NeighborState};

use crate::table::{Align, Cell, Look};
use crate::text::printable;

pub(super) const COLUMNS: [(&str, Align); 4] = [
    ("NEIGHBOR", Align::Left),
    ("INTERFACE", Align::Left),
    ("MAC", Align::Left),
    ("STATE", Align::Left),
];

pub(super) fn rows(neighbor: &NeighborRow) -> Vec<Vec<Cell>> {
    let look = match neighbor.state {
        NeighborState::Failed => Look::Bad,
        NeighborState::None
        | NeighborState::Incomplete
        | NeighborState::Reachable
        | NeighborState::Stale
        | NeighborState::Delay
        | NeighborState::Probe
        | NeighborState::Permanent
        | NeighborState::NoArp => Look::Plain,
    };
    vec![vec![
        neighbor.address.to_string().into(),
        printable(&neighbor.interface).into(),
        neighbor.mac.as_deref().map_or_else(|| "unknown".to_owned(), printable).into(),
        Cell::new(neighbor.state.name()).look(look),
    ]]
}
