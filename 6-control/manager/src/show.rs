//! Answers to those who want to see the tables.
//!
//! A million routes are told in chunks, each a question of its own, so that the manager never
//! spends more than a millisecond or so on a reader, and a reader that is slow holds nothing up.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use portcullis_api::rows::{
    NeighborRow, NeighborState as ShownState, NextHopRow, NextHopState, RouteKind, RouteRow,
};
use portcullis_api::{NeighborFilter, RouteFilter};
use portcullis_packet::VrfId;

use crate::event::{NeighborState, Object, Path, Protocol, Target, Weight};
use crate::mirror::Mirror;
use crate::rib::{Line, Net, Rib, Spec};

/// Prefixes looked at for one chunk.
const CHUNK: usize = 1024;

/// Where the next chunk begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Cursor {
    /// At the beginning.
    #[default]
    Start,
    /// After this IPv4 prefix.
    After4(Ipv4Net),
    /// At the first IPv6 prefix.
    Start6,
    /// After this IPv6 prefix.
    After6(Ipv6Net),
}

/// Some routes, and where to go on.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) rows: Vec<RouteRow>,
    pub(crate) next: Option<Cursor>,
}

/// The next routes that a filter lets pass.
pub(crate) fn routes(mirror: &Mirror, filter: &RouteFilter, cursor: Cursor) -> Chunk {
    if let Some(address) = filter.to {
        return Chunk { rows: longest_match(mirror, filter, address), next: None };
    }
    let (start4, start6) = match filter.prefix.map(|net| net.trunc()) {
        Some(IpNet::V4(net)) => (Some(net), None),
        Some(IpNet::V6(net)) => (None, Some(net)),
        None => (
            Some(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0)),
            Some(Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0)),
        ),
    };
    let mut rows = vec![];
    match cursor {
        Cursor::Start | Cursor::After4(_) => {
            let from = match cursor {
                Cursor::After4(net) => Some((net, true)),
                _ => start4.map(|net| (net, false)),
            };
            let last = from.and_then(|(net, beyond)| {
                family(mirror, &mirror.rib4, filter, net, beyond, &mut rows)
            });
            Chunk { rows, next: Some(last.map_or(Cursor::Start6, Cursor::After4)) }
        }
        Cursor::Start6 | Cursor::After6(_) => {
            let from = match cursor {
                Cursor::After6(net) => Some((net, true)),
                _ => start6.map(|net| (net, false)),
            };
            let last = from.and_then(|(net, beyond)| {
                family(mirror, &mirror.rib6, filter, net, beyond, &mut rows)
            });
            Chunk { rows, next: last.map(Cursor::After6) }
        }
    }
}

/// Adds the rows of a chunk of prefixes. The last prefix, if there may be more after it.
fn family<N: Net>(
    mirror: &Mirror,
    rib: &Rib<N>,
    filter: &RouteFilter,
    first: N,
    beyond: bool,
    rows: &mut Vec<RouteRow>,
) -> Option<N> {
    let mut last = None;
    let mut seen = 0;
    for (prefix, lines) in rib.lines_from(first, beyond, &mirror.specs).take(CHUNK) {
        let net: IpNet = prefix.into();
        // In the order of prefixes, those inside of one follow it without a gap.
        if filter.prefix.is_some_and(|outer| !outer.trunc().contains(&net)) {
            return None;
        }
        let lines = lines.iter().filter_map(|line| row(mirror, net, line));
        rows.extend(lines.filter(|row| filter.admits(&row.prefix, &row.protocol)));
        last = Some(prefix);
        seen += 1;
    }
    last.filter(|_| seen == CHUNK)
}

fn longest_match(mirror: &Mirror, filter: &RouteFilter, address: IpAddr) -> Vec<RouteRow> {
    let (lines, prefix) = match IpNet::from(address) {
        IpNet::V4(host) => {
            let found = mirror.rib4.longest_match(host, &mirror.specs);
            found.map(|(net, lines)| (lines, IpNet::V4(net)))
        }
        IpNet::V6(host) => {
            let found = mirror.rib6.longest_match(host, &mirror.specs);
            found.map(|(net, lines)| (lines, IpNet::V6(net)))
        }
    }
    .unwrap_or((vec![], IpNet::from(address)));
    let chosen = lines.iter().filter(|line| line.chosen);
    let rows = chosen.filter_map(|line| row(mirror, prefix, line));
    rows.filter(|row| filter.admits(&row.prefix, &row.protocol)).collect()
}

fn row(mirror: &Mirror, prefix: IpNet, line: &Line) -> Option<RouteRow> {
    let spec = mirror.specs.get(line.route.spec)?;
    let next_hops = next_hops(mirror, spec);
    let ours = next_hops.is_empty() || next_hops.iter().any(|(ours, _)| *ours);
    Some(RouteRow {
        vrf: VrfId::DEFAULT.0,
        prefix,
        kind: kind(mirror, &spec.target),
        protocol: protocol_name(line.route.protocol),
        metric: line.route.metric,
        next_hops: next_hops.into_iter().map(|(_, row)| row).collect(),
        installed: line.installed && ours,
    })
}

fn kind(mirror: &Mirror, target: &Target) -> RouteKind {
    match target {
        Target::Via(path) if path.gateway.is_none() => RouteKind::Connected,
        Target::Via(_) | Target::Multipath(_) => RouteKind::Unicast,
        Target::Object(id) => match mirror.object(*id) {
            Some(Object::Via(path)) if path.gateway.is_none() => RouteKind::Connected,
            Some(Object::Blackhole) => RouteKind::Blackhole,
            Some(Object::Via(_) | Object::Group(_)) => RouteKind::Unicast,
            Some(Object::Unsupported) | None => RouteKind::Unreachable,
        },
        Target::Local | Target::Broadcast(_) | Target::Multicast => RouteKind::Local,
        Target::Blackhole => RouteKind::Blackhole,
        Target::Prohibit => RouteKind::Prohibit,
        Target::Unreachable | Target::Throw | Target::Unsupported => RouteKind::Unreachable,
    }
}

/// Next hops, and whether each leaves by an interface of the gateway.
fn next_hops(mirror: &Mirror, spec: &Spec) -> Vec<(bool, NextHopRow)> {
    let one = |path: &Path| vec![next_hop(mirror, path, 1)];
    match &spec.target {
        Target::Via(path) => one(path),
        Target::Multipath(paths) => {
            paths.iter().map(|(path, weight)| next_hop(mirror, path, *weight)).collect()
        }
        Target::Object(id) => match mirror.object(*id) {
            Some(Object::Via(path)) => one(path),
            Some(Object::Group(members)) => members
                .iter()
                .filter_map(|(id, weight)| match mirror.object(*id)? {
                    Object::Via(path) => Some(next_hop(mirror, path, *weight)),
                    Object::Group(_) | Object::Blackhole | Object::Unsupported => None,
                })
                .collect(),
            Some(Object::Blackhole | Object::Unsupported) | None => vec![],
        },
        Target::Local
        | Target::Broadcast(_)
        | Target::Multicast
        | Target::Blackhole
        | Target::Unreachable
        | Target::Prohibit
        | Target::Throw
        | Target::Unsupported => vec![],
    }
}

fn next_hop(mirror: &Mirror, path: &Path, weight: Weight) -> (bool, NextHopRow) {
    let interface = mirror.ports.of_tap(path.index);
    let port = interface.and_then(|interface| mirror.ports.get(interface));
    let state = match (interface, path.gateway) {
        _ if !port.is_some_and(|port| port.is_usable()) => NextHopState::Down,
        (Some(interface), Some(gateway)) => {
            let neighbor = mirror.neighbor_state(interface, gateway);
            if neighbor.is_some_and(NeighborState::is_usable) {
                NextHopState::Resolved
            } else {
                NextHopState::Unresolved
            }
        }
        (Some(_) | None, _) => NextHopState::Resolved,
    };
    let name = mirror.link_name(path.index).map(str::to_owned);
    (interface.is_some(), NextHopRow { via: path.gateway, interface: name, weight, state })
}

/// Neighbours on the gateway's interfaces that a filter lets pass.
pub(crate) fn neighbors(mirror: &Mirror, filter: &NeighborFilter) -> Vec<NeighborRow> {
    let rows = mirror.neighbors().filter_map(|(interface, neighbor)| {
        let name = &mirror.ports.get(interface)?.setup.name;
        Some(NeighborRow {
            interface: name.to_string(),
            address: neighbor.key.address,
            mac: neighbor.mac.map(|mac| mac.to_string()),
            state: shown(neighbor.state),
        })
    });
    rows.filter(|row| filter.interface.as_ref().is_none_or(|name| *name == row.interface)).collect()
}

const fn shown(state: NeighborState) -> ShownState {
    match state {
        NeighborState::None => ShownState::None,
        NeighborState::Incomplete => ShownState::Incomplete,
        NeighborState::Reachable => ShownState::Reachable,
        NeighborState::Stale => ShownState::Stale,
        NeighborState::Delay => ShownState::Delay,
        NeighborState::Probe => ShownState::Probe,
        NeighborState::Failed => ShownState::Failed,
        NeighborState::NoArp => ShownState::NoArp,
        NeighborState::Permanent => ShownState::Permanent,
    }
}

/// As `/etc/iproute2/rt_protos` has it, which the gateway does not read: its own number is not in
/// it, and there may be no such file.
fn protocol_name(protocol: Protocol) -> String {
    let name = match protocol.0 {
        0 => "unspec",
        1 => "redirect",
        2 => "kernel",
        3 => "boot",
        // 196 is what FRR's static routes have.
        4 | 196 => "static",
        8 => "gated",
        9 => "ra",
        10 => "mrt",
        11 => "zebra",
        12 => "bird",
        16 => "dhcp",
        18 => "keepalived",
        42 => "babel",
        99 => "openr",
        112 => "portcullis",
        186 => "bgp",
        187 => "isis",
        188 => "ospf",
        189 => "rip",
        190 => "ripng",
        191 => "nhrp",
        192 => "eigrp",
        193 => "ldp",
        194 => "sharp",
        195 => "pbr",
        197 => "openfabric",
        number => return number.to_string(),
    };
    name.to_owned()
}
