//! What the configuration file says of `vpc`: addresses and static routes, put into the kernel and
//! kept apart from everybody else's by their protocol number.
//!
//! Addresses are set once, when a tap appears or the file begins to say them: an operator may take one
//! away later. Static routes are set again whenever they are missing, because the kernel itself takes
//! routes away when a link goes down. What a former run set and the file no longer says is removed at
//! the start; what this run set, when another file takes the place of the one that said it. What both
//! say is left alone.

mod addresses;
mod retry;
#[cfg(test)]
mod tests;
mod withdrawn;

use std::collections::{HashMap, HashSet};

use ipnet::IpNet;
use portcullis_packet::Instant;

use self::addresses::Addresses;
use self::retry::Retry;
use self::withdrawn::Withdrawn;
use crate::event::{KernelIndex, Path, Protocol, Route, Table, Target};
use crate::mirror::Mirror;
use crate::request::{LinkChange, Request, Router, StaticAction, StaticRoute};
use crate::rib::RibRoute;

/// A static route and when it may be tried.
#[derive(Debug)]
struct Wanted {
    route: StaticRoute,
    retry: Retry,
    /// The kernel has taken it, and has not announced it yet.
    accepted: bool,
}

impl Wanted {
    fn new(route: StaticRoute) -> Self {
        Self { route, retry: Retry::new(), accepted: false }
    }
}

/// What is to be in the kernel.
#[derive(Debug)]
pub(crate) struct Configuration {
    routes: Vec<Wanted>,
    /// Destinations of static routes that are no more.
    withdrawn: Withdrawn<IpNet>,
    addresses: Addresses,
    cleaned: bool,
}

impl Configuration {
    pub(crate) fn new(routes: Vec<StaticRoute>) -> Self {
        Self {
            routes: routes.into_iter().map(Wanted::new).collect(),
            withdrawn: Withdrawn::default(),
            addresses: Addresses::default(),
            cleaned: false,
        }
    }

    /// Other static routes take the place of those before.
    pub(crate) fn change_routes(&mut self, routes: Vec<StaticRoute>, now: Instant) {
        let before = std::mem::take(&mut self.routes).into_iter();
        let mut before: HashMap<IpNet, Wanted> =
            before.map(|wanted| (wanted.route.to.trunc(), wanted)).collect();
        let keep_or_make = |route: StaticRoute| match before.remove(&route.to.trunc()) {
            Some(same) if same.route == route => same,
            Some(_) | None => Wanted::new(route),
        };
        self.routes = routes.into_iter().map(keep_or_make).collect();
        let wanted = |to: &IpNet| self.routes.iter().any(|wanted| wanted.route.to.trunc() == *to);
        self.withdrawn.retain(|to| !wanted(to));
        for to in before.into_keys() {
            self.withdrawn.add(to, now);
        }
    }

    /// What to ask the kernel for now.
    ///
    /// `possible`: something has changed by which a route that the kernel refused may be possible
    /// now.
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
        self.withdraw(mirror, now, &mut requests);
        self.addresses.requests(mirror, now, &mut requests);
        for wanted in &mut self.routes {
            let tap = |interface| mirror.ports.tap_index(interface);
            let Some(route) = wanted.route.on_taps(tap) else { continue };
            let set = is_set(mirror, &route);
            if set || possible && !wanted.accepted {
                wanted.retry.reset();
            }
            if set || !wanted.retry.is_due(now) {
                wanted.accepted &= !set;
                continue;
            }
            wanted.accepted = false;
            let replace = !ours(mirror, route.to).is_empty();
            requests.push(Request::SetRoute { route, replace });
        }
        requests
    }

    /// The kernel has taken the routes to these, which [`Self::requests`] asked for.
    pub(crate) fn accepted(&mut self, destinations: &HashSet<IpNet>) {
        for wanted in &mut self.routes {
            wanted.accepted |= destinations.contains(&wanted.route.to);
        }
    }

    fn raise_loopback(&self, mirror: &Mirror, requests: &mut Vec<Request>) {
        let down = mirror.links().filter(|link| &*link.name == "lo" && !link.up);
        requests.extend(
            down.map(|link| Request::SetLink { index: link.index, change: LinkChange::Up(true) }),
        );
    }

    /// Removes static routes that a former run set and the file no longer says.
    fn clean(&self, mirror: &Mirror, requests: &mut Vec<Request>) {
        let made4 = mirror.rib4.made_by(Protocol::OURS).into_iter();
        let made6 = mirror.rib6.made_by(Protocol::OURS).into_iter();
        let made = made4.map(|(net, route)| (net.into(), route));
        for (prefix, route) in made.chain(made6.map(|(net, route)| (IpNet::from(net), route))) {
            if self.routes.iter().all(|wanted| wanted.route.to != prefix) {
                requests.extend(removal(mirror, prefix, route));
            }
        }
    }

    /// Removes static routes that this run set and the file no longer says.
    fn withdraw(&mut self, mirror: &Mirror, now: Instant, requests: &mut Vec<Request>) {
        let certain = !mirror.resync.is_running();
        for to in self.withdrawn.due(now, certain, |to| !ours(mirror, *to).is_empty()) {
            let routes = ours(mirror, to).into_iter();
            requests.extend(routes.filter_map(|route| removal(mirror, to, route)));
        }
    }
}

/// What takes a route away that the kernel has.
fn removal(mirror: &Mirror, prefix: IpNet, route: RibRoute) -> Option<Request> {
    let spec = mirror.specs.get(route.spec)?;
    Some(Request::RemoveRoute(Route {
        table: route.table,
        prefix,
        metric: route.metric,
        protocol: route.protocol,
        target: spec.target.clone(),
        mtu: spec.mtu,
    }))
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
fn is_set(mirror: &Mirror, route: &StaticRoute<KernelIndex>) -> bool {
    ours(mirror, route.to).iter().any(|there| {
        let target = mirror.specs.target(there.spec);
        target.is_some_and(|target| says_the_same(&route.action, target))
    })
}

fn says_the_same(action: &StaticAction<KernelIndex>, target: &Target) -> bool {
    let is = |path: &Path, router: &Router<KernelIndex>| {
        path.gateway == Some(router.address)
            && router.on_link.is_none_or(|index| index == path.index)
    };
    match (action, target) {
        (StaticAction::Via(routers), Target::Via(path)) => {
            matches!(routers.as_slice(), [router] if is(path, router))
        }
        (StaticAction::Via(routers), Target::Multipath(paths)) => {
            paths.len() == routers.len()
                && routers.iter().all(|router| paths.iter().any(|(path, _)| is(path, router)))
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
