//! What the configuration file says of `vpc`: addresses and static routes, put into the kernel and kept
//! apart from everybody else's by their protocol number.
//!
//! Addresses are set once, when a tap appears: an operator may take one away later. Static routes
//! are set again whenever they are missing, because the kernel itself takes routes away when a link
//! goes down. What a former run set and the file no longer says is removed at the start.

use std::collections::HashSet;
use std::time::Duration;

use ipnet::IpNet;
use portcullis_packet::{IfIndex, Instant};

use crate::event::{KernelIndex, Protocol, Route, Table, Target};
use crate::mirror::Mirror;
use crate::request::{LinkChange, Request, StaticAction, StaticRoute};
use crate::rib::{Net, Rib, RibRoute, Specs};

/// A route that the kernel does not take is tried again so soon, and then less and less often.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(16);

/// A static route and when it may be tried.
#[derive(Debug)]
struct Wanted {
    route: StaticRoute,
    next_try: Instant,
    wait: Duration,
}

/// What is to be in the kernel.
#[derive(Debug)]
pub(crate) struct Configuration {
    routes: Vec<Wanted>,
    /// Taps whose addresses were set.
    configured: HashSet<(IfIndex, KernelIndex)>,
    cleaned: bool,
}

impl Configuration {
    pub(crate) fn new(routes: Vec<StaticRoute>) -> Self {
        let wanted = |route| Wanted { route, next_try: Instant::default(), wait: FIRST_RETRY };
        let routes = routes.into_iter().map(wanted).collect();
        Self { routes, configured: HashSet::new(), cleaned: false }
    }

    /// What to ask the kernel for now.
    ///
    /// `possible`: something has changed by which a route that the kernel refused may be possible now.
    pub(crate) fn requests(
        &mut self,
        mirror: &Mirror,
        now: Instant,
        possible: bool,
    ) -> Vec<Request> {
        let mut requests = vec![];
        if !std::mem::replace(&mut self.cleaned, true) {
            self.raise_loopback(mirror, &mut requests);
            self.clean(mirror, &mut requests);
        }
        self.addresses(mirror, &mut requests);
        for wanted in &mut self.routes {
            if is_set(mirror, &wanted.route) {
                wanted.wait = FIRST_RETRY;
                continue;
            }
            if possible {
                wanted.wait = FIRST_RETRY;
            } else if now < wanted.next_try {
                continue;
            }
            wanted.next_try = now + wanted.wait;
            wanted.wait = (wanted.wait * 2).min(LAST_RETRY);
            let replace = !ours(mirror, wanted.route.to).is_empty();
            requests.push(Request::SetRoute { route: wanted.route.clone(), replace });
        }
        requests
    }

    fn raise_loopback(&self, mirror: &Mirror, requests: &mut Vec<Request>) {
        let down = mirror.links().filter(|link| &*link.name == "lo" && !link.up);
        requests.extend(
            down.map(|link| Request::SetLink { index: link.index, change: LinkChange::Up(true) }),
        );
    }

    /// Removes static routes that the file no longer says.
    fn clean(&self, mirror: &Mirror, requests: &mut Vec<Request>) {
        let mut made = routes_of(&mirror.rib4, &mirror.specs);
        made.extend(routes_of(&mirror.rib6, &mirror.specs));
        made.retain(|route| self.routes.iter().all(|wanted| wanted.route.to != route.prefix));
        requests.extend(made.into_iter().map(Request::RemoveRoute));
    }

    fn addresses(&mut self, mirror: &Mirror, requests: &mut Vec<Request>) {
        for (interface, port) in mirror.ports.iter() {
            let Some(tap) = port.tap() else { continue };
            if !self.configured.insert((interface, tap.index)) {
                continue;
            }
            let wanted = &port.setup.addresses;
            let present: Vec<_> = mirror.addresses(tap.index).copied().collect();
            let gone = present.iter().filter(|address| {
                address.protocol == Protocol::OURS && !wanted.contains(&address.net)
            });
            requests.extend(gone.copied().map(Request::RemoveAddress));
            let missing =
                wanted.iter().filter(|net| present.iter().all(|address| address.net != **net));
            requests.extend(missing.map(|net| Request::AddAddress { index: tap.index, net: *net }));
        }
    }
}

fn routes_of<N: Net>(rib: &Rib<N>, specs: &Specs) -> Vec<Route> {
    let made = rib.made_by(Protocol::OURS).into_iter();
    made.filter_map(|(prefix, route)| {
        let spec = specs.get(route.spec)?;
        Some(Route {
            table: route.table,
            prefix: prefix.into(),
            metric: route.metric,
            protocol: route.protocol,
            target: spec.target.clone(),
            mtu: spec.mtu,
        })
    })
    .collect()
}

/// Our routes of a prefix in the table main.
fn ours(mirror: &Mirror, prefix: IpNet) -> Vec<RibRoute> {
    let routes = match prefix.trunc() {
        IpNet::V4(net) => mirror.rib4.routes(net),
        IpNet::V6(net) => mirror.rib6.routes(net),
    };
    let ours = |route: &&RibRoute| route.protocol == Protocol::OURS && route.table == Table::Main;
    routes.iter().filter(ours).copied().collect()
}

/// Whether the kernel has a static route.
fn is_set(mirror: &Mirror, route: &StaticRoute) -> bool {
    ours(mirror, route.to).iter().any(|there| {
        let target = mirror.specs.target(there.spec);
        target.is_some_and(|target| says_the_same(&route.action, target))
    })
}

fn says_the_same(action: &StaticAction, target: &Target) -> bool {
    match (action, target) {
        (StaticAction::Via(routers), Target::Via(path)) => {
            path.gateway.is_some_and(|gateway| routers.as_slice() == [gateway])
        }
        (StaticAction::Via(routers), Target::Multipath(paths)) => {
            let gateways: Option<HashSet<_>> = paths.iter().map(|(path, _)| path.gateway).collect();
            gateways == Some(routers.iter().copied().collect())
        }
        (StaticAction::Blackhole, Target::Blackhole)
        | (StaticAction::Unreachable, Target::Unreachable)
        | (StaticAction::Prohibit, Target::Prohibit) => true,
        (
            StaticAction::Via(_)
            | StaticAction::Blackhole
            | StaticAction::Unreachable
            | StaticAction::Prohibit,
            _,
        ) => false,
    }
}
