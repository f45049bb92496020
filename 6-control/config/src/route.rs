//! `[[route]]`.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::Deref;

use ipnet::IpNet;

use crate::address;
use crate::check::{Checker, Expected};
use crate::decode::Place;
use crate::diagnostic::{Diagnostic, Kind};
use crate::links::Links;
use crate::name::InterfaceName;
use crate::raw::RawRoute;
use crate::source::{Located, Span};

/// Most next hops that a route can have.
pub const MAX_NEXT_HOPS: usize = 64;

/// A static route.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Route {
    /// The network it leads to; no other route has the same.
    pub to: IpNet,
    /// What becomes of packets to that network.
    pub action: RouteAction,
}

/// What a route does with packets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RouteAction {
    /// They are forwarded by one of these next hops.
    Via(NextHops),
    /// They are dropped without an answer.
    Blackhole,
    /// They are dropped and answered with destination unreachable.
    Unreachable,
    /// They are dropped and answered with administratively prohibited.
    Prohibit,
}

/// One next hop at least, [`MAX_NEXT_HOPS`] at most, no two the same.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NextHops(Vec<NextHop>);

impl Deref for NextHops {
    type Target = [NextHop];

    fn deref(&self) -> &[NextHop] {
        &self.0
    }
}

/// A neighbour that takes packets further.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct NextHop {
    /// Its address, of the same family as the route.
    pub address: IpAddr,
    /// The interface by which it is reached.
    pub interface: InterfaceName,
    /// Whether its address is outside the interface's networks, so that the kernel has to be told
    /// that it is on the link all the same.
    pub on_link: bool,
}

/// The routes of a file. `None` if something was wrong.
pub(crate) fn check(
    raw: &[Located<RawRoute>],
    links: &Links<'_>,
    checker: &mut Checker<'_>,
) -> Option<Vec<Route>> {
    let mut destinations: HashMap<IpNet, &Span> = HashMap::new();
    let mut routes = Some(Vec::with_capacity(raw.len()));
    for raw in raw {
        let to = raw.value.to.as_ref().and_then(|given| {
            let to = checker.parse_with(Place::Value("to"), given, address::destination)?;
            Some(given.with(to))
        });
        if let Some(to) = &to {
            match destinations.get(&to.value) {
                None => _ = destinations.insert(to.value, &raw.value.to.as_ref()?.span),
                Some(first) => checker.report(
                    Diagnostic::new(
                        &to.span,
                        format!("a second route to {}", to.value),
                        "one: several next hops go into one route's `via`",
                    )
                    .related(first, "the first one"),
                ),
            }
        }
        let action = action(raw, to.as_ref().map(|to| to.value), links, checker);
        routes = match (routes, to, action) {
            (Some(mut routes), Some(to), Some(action)) => {
                routes.push(Route { to: to.value, action });
                Some(routes)
            }
            _ => None,
        };
    }
    routes
}

/// What the route does: one of four, no less and no more.
fn action(
    route: &Located<RawRoute>,
    to: Option<IpNet>,
    links: &Links<'_>,
    checker: &mut Checker<'_>,
) -> Option<RouteAction> {
    let raw = &route.value;
    let refusals = [
        ("blackhole", &raw.blackhole, RouteAction::Blackhole),
        ("unreachable", &raw.unreachable, RouteAction::Unreachable),
        ("prohibit", &raw.prohibit, RouteAction::Prohibit),
    ];
    let mut chosen = Vec::new();
    if let Some(via) = &raw.via {
        chosen.push(("via", &via.span, None));
    }
    for (key, given, refusal) in refusals {
        if let Some(given) = given.as_ref().filter(|given| given.value) {
            chosen.push((key, &given.span, Some(refusal)));
        }
    }
    chosen.sort_by_key(|(_, span, _)| span.start);
    let mut chosen = chosen.into_iter();
    let Some((first, first_span, refusal)) = chosen.next() else {
        if raw.has_unread {
            return None;
        }
        let expected = "`via`, or one of `blackhole`, `unreachable` and `prohibit` to be true";
        let error = Diagnostic::new(&route.span, "a route that leads nowhere", expected);
        checker.report(error.kind(Kind::Absence));
        return None;
    };
    let mut only = true;
    for (key, span, _) in chosen {
        only = false;
        let found = format!("`{key}` beside `{first}`");
        let error = Diagnostic::new(span, found, "one of them");
        checker.report(error.related(first_span, "the other one"));
    }
    let action = match refusal {
        Some(refusal) => {
            if let Some(interface) = &raw.interface {
                only = false;
                let found = format!("`interface` beside `{first}`");
                let error = Diagnostic::new(&interface.span, found, "`interface` with `via` only");
                checker.report(error.related(first_span, "no packet leaves by this route"));
            }
            refusal
        }
        None => RouteAction::Via(next_hops(raw, to, links, checker)?),
    };
    only.then_some(action)
}

fn next_hops(
    raw: &RawRoute,
    to: Option<IpNet>,
    links: &Links<'_>,
    checker: &mut Checker<'_>,
) -> Option<NextHops> {
    let via = raw.via.as_ref()?;
    let interface = checker.optional(raw.interface.as_ref(), |checker, given| {
        links.named("interface", given, checker)
    })?;
    if via.value.is_empty() {
        checker.report(Diagnostic::new(&via.span, "`via` is empty", "one address or more"));
        return None;
    }
    if let Some(excess) = via.value.get(MAX_NEXT_HOPS) {
        let found = format!("{} next hops", via.value.len());
        let expected = format!("{MAX_NEXT_HOPS} at most");
        checker.report(Diagnostic::new(&excess.span, found, expected));
    }
    let mut seen: HashMap<IpAddr, &Span> = HashMap::new();
    let mut hops = Vec::with_capacity(via.value.len());
    for given in &via.value {
        let Some(address) = checker.parse_with(Place::Element("via"), given, neighbour) else {
            continue;
        };
        if let Some(first) = seen.insert(address, &given.span) {
            let found = format!("the next hop {address} is there twice");
            let error = Diagnostic::new(&given.span, found, "another one");
            checker.report(error.related(first, "the first one"));
        }
        if let Some(to) = to.filter(|to| to.addr().is_ipv4() != address.is_ipv4()) {
            let family = |is_ipv4| if is_ipv4 { "IPv4" } else { "IPv6" };
            let found = format!("an {} next hop of a route to {to}", family(address.is_ipv4()));
            let expected = format!("an {} address", family(to.addr().is_ipv4()));
            checker.report(Diagnostic::new(&given.span, found, expected));
            continue;
        }
        hops.extend(links.next_hop(&given.with(address), interface, checker));
    }
    (hops.len() == via.value.len()).then_some(NextHops(hops))
}

fn neighbour(text: &str) -> Result<IpAddr, Expected> {
    let address = text.parse().map_err(|_| Expected::new("an IP address: `192.0.2.1`"))?;
    address::host(address).map(|()| address)
}

impl Route {
    pub(crate) fn to_raw(&self) -> RawRoute {
        let yes = || Some(Located::nowhere(true));
        let mut raw =
            RawRoute { to: Some(Located::nowhere(self.to.to_string())), ..RawRoute::default() };
        match &self.action {
            RouteAction::Via(hops) => {
                let via = hops.iter().map(|hop| Located::nowhere(hop.address.to_string()));
                raw.via = Some(Located::nowhere(via.collect()));
                raw.interface = hops
                    .iter()
                    .find(|hop| hop.on_link || address::is_link_local(hop.address))
                    .map(|hop| Located::nowhere(hop.interface.to_string()));
            }
            RouteAction::Blackhole => raw.blackhole = yes(),
            RouteAction::Unreachable => raw.unreachable = yes(),
            RouteAction::Prohibit => raw.prohibit = yes(),
        }
        raw
    }
}
