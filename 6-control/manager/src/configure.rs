//! What the configuration file says of `vpc`: addresses and static routes, put into the kernel and
//! kept apart from everybody else's by their protocol number.
//!
//! Addresses are set once, when a tap appears: an operator may take one away later. Static routes
//! are set again whenever they are missing, because the kernel itself takes routes away when a link
//! goes down. What a former run set and the file no longer says is removed at the start.

use std::collections::HashSet;
use std::time::Duration;

use ipnet::IpNet;
use portcullis_packet::{IfIndex, Instant};

use crate::event::{KernelIndex, Path, Protocol, Route, Table, Target};
use crate::mirror::Mirror;
use crate::request::{LinkChange, Request, Router, StaticAction, StaticRoute};
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
        self.addresses(mirror, &mut requests);
        for wanted in &mut self.routes {
            let tap = |interface| mirror.ports.tap_index(interface);
            let Some(route) = wanted.route.on_taps(tap) else { continue };
            if is_set(mirror, &route) {
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
            let replace = !ours(mirror, route.to).is_empty();
            requests.push(Request::SetRoute { route, replace });
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Address, Event, Link, Placement};
    use crate::mirrored::Origin;
    use crate::setup::InterfaceSetup;

    const TAP: KernelIndex = KernelIndex(3);

    fn mirror(addresses: &[&str]) -> Mirror {
        let wan = InterfaceSetup {
            name: "wan".into(),
            device: None,
            mac: portcullis_packet::Mac::default(),
            mtu: None,
            addresses: addresses.iter().map(|net| net.parse().expect("a network")).collect(),
            offload: portcullis_packet::TxOffload::default(),
        };
        let mut mirror = Mirror::new(vec![wan], 1);
        let tap = Link { index: TAP, name: "wan".into(), up: true, ..Link::default() };
        mirror.handle(Event::Link(tap), Origin::Announced);
        mirror
    }

    fn route(to: &str, via: &str) -> Route {
        let gateway = Some(via.parse().expect("an address"));
        Route {
            table: Table::Main,
            prefix: to.parse().expect("a network"),
            metric: 0,
            protocol: Protocol::OURS,
            target: Target::Via(Path { index: TAP, gateway }),
            mtu: None,
        }
    }

    fn wanted(to: &str, via: &str) -> StaticRoute {
        let via = via.parse::<std::net::IpAddr>().expect("an address");
        let action = StaticAction::Via(vec![via.into()]);
        StaticRoute { to: to.parse().expect("a network"), action }
    }

    fn asked(route: &StaticRoute) -> StaticRoute<KernelIndex> {
        route.on_taps(|_| Some(TAP)).expect("all taps are there")
    }

    fn at(seconds: u64) -> Instant {
        Instant(seconds * 1_000_000_000)
    }

    #[test]
    fn addresses_are_set_once_and_those_of_a_former_run_are_removed() {
        let mut mirror = mirror(&["10.0.0.1/24", "10.0.1.1/24"]);
        let address = |net: &str, protocol| Address {
            index: TAP,
            net: net.parse().expect("a network"),
            flags: 0,
            protocol,
        };
        let old = address("10.0.9.1/24", Protocol::OURS);
        for present in
            [address("10.0.0.1/24", Protocol::OURS), old, address("10.0.8.1/24", Protocol(0))]
        {
            mirror.handle(Event::Address(present), Origin::Announced);
        }
        let mut configuration = Configuration::new(vec![]);
        let net = "10.0.1.1/24".parse().expect("a network");
        let wanted = [Request::RemoveAddress(old), Request::AddAddress { index: TAP, net }];
        assert_eq!(configuration.requests(&mirror, at(1), false), wanted);
        assert_eq!(configuration.requests(&mirror, at(2), true), [], "it is the operator's now");
    }

    #[test]
    fn a_route_that_is_refused_is_tried_less_and_less_often_and_at_once_when_it_may_be_possible() {
        let mirror = mirror(&[]);
        let mut configuration = Configuration::new(vec![wanted("0.0.0.0/0", "10.0.0.2")]);
        let mut tries = |seconds: std::ops::Range<u64>| {
            let tries = seconds
                .filter(|now| !configuration.requests(&mirror, at(*now), false).is_empty())
                .collect::<Vec<_>>();
            let possible = configuration.requests(&mirror, at(1000), true).len();
            (tries, possible)
        };
        assert_eq!(tries(1..60), (vec![1, 2, 4, 8, 16, 32, 48], 1));
    }

    #[test]
    fn a_route_that_is_there_is_left_alone_and_one_that_says_something_else_is_replaced() {
        let mut mirror = mirror(&[]);
        let there = route("198.51.100.0/24", "10.0.0.2");
        mirror.handle(Event::Route(there.clone(), Placement::First), Origin::Announced);
        let mut same = Configuration::new(vec![wanted("198.51.100.0/24", "10.0.0.2")]);
        assert_eq!(same.requests(&mirror, at(1), true), []);

        let other = wanted("198.51.100.0/24", "10.0.0.3");
        let mut changed = Configuration::new(vec![other.clone()]);
        let replace = Request::SetRoute { route: asked(&other), replace: true };
        assert_eq!(changed.requests(&mirror, at(1), true), [replace]);

        let router = Router { address: "10.0.0.2".parse().expect("v4"), on_link: Some(IfIndex(0)) };
        let on_link = StaticRoute { action: StaticAction::Via(vec![router]), ..other.clone() };
        let mut same = Configuration::new(vec![on_link.clone()]);
        assert_eq!(same.requests(&mirror, at(1), true), [], "there, and on that very link");
        let router = Router { on_link: Some(IfIndex(9)), ..router };
        let elsewhere = StaticRoute { action: StaticAction::Via(vec![router]), ..on_link };
        let mut waiting = Configuration::new(vec![elsewhere]);
        assert_eq!(waiting.requests(&mirror, at(1), true), [], "its interface has no tap yet");

        let mut gone = Configuration::new(vec![]);
        assert_eq!(gone.requests(&mirror, at(1), true), [Request::RemoveRoute(there)]);
        assert_eq!(gone.requests(&mirror, at(2), true), [], "once, at the start");
    }
}
