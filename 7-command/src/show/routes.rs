//! Routes, a line each, and one more for every further next hop.

use portcullis_api::rows::{NextHopRow, NextHopState, RouteKind, RouteRow};

use crate::table::{Align, Cell, Look};
use crate::text::printable;

pub(super) const COLUMNS: [(&str, Align); 7] = [
    ("TO", Align::Left),
    ("VIA", Align::Left),
    ("INTERFACE", Align::Left),
    ("WEIGHT", Align::Right),
    ("STATE", Align::Left),
    ("PROTOCOL", Align::Left),
    ("METRIC", Align::Right),
];

pub(super) fn rows(route: &RouteRow) -> Vec<Vec<Cell>> {
    let to = match route.vrf {
        0 => route.prefix.to_string(),
        vrf => format!("{} in VRF {vrf}", route.prefix),
    };
    let mut hops = route.next_hops.iter();
    let [via, interface, weight, state] = match (route.kind, hops.next()) {
        (RouteKind::Unicast | RouteKind::Connected | RouteKind::Local, Some(hop)) => {
            next_hop(route, hop)
        }
        (kind, _) => [kind.name().into(), "".into(), "".into(), installed(route)],
    };
    let metric = route.metric.to_string().into();
    let first = vec![to.into(), via, interface, weight, state, protocol(route), metric];
    let further = hops.map(|hop| {
        let mut line = vec![Cell::new("")];
        line.extend(next_hop(route, hop));
        line
    });
    std::iter::once(first).chain(further).collect()
}

fn protocol(route: &RouteRow) -> Cell {
    printable(&route.protocol).into()
}

fn next_hop(route: &RouteRow, hop: &NextHopRow) -> [Cell; 4] {
    let via = hop.via.map_or_else(|| route.kind.name().to_owned(), |via| via.to_string());
    let interface = hop.interface.as_deref().map(printable).unwrap_or_default();
    let weight = if route.next_hops.len() > 1 { hop.weight.to_string() } else { String::new() };
    let state = match hop.state {
        _ if !route.installed => installed(route),
        // The network on the link itself is no single neighbour that could be resolved.
        NextHopState::Resolved | NextHopState::Unresolved if hop.via.is_none() => Cell::new("up"),
        NextHopState::Resolved => Cell::new("up"),
        NextHopState::Unresolved => Cell::new("unresolved"),
        NextHopState::Down => Cell::new("down").look(Look::Bad),
    };
    [via.into(), interface.into(), weight.into(), state]
}

fn installed(route: &RouteRow) -> Cell {
    if route.installed { "".into() } else { Cell::new("not in use").look(Look::Bad) }
}
