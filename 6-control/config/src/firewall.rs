//! `[firewall]`.

use std::collections::HashMap;

use crate::check::{Checker, Expected};
use crate::decode::Place;
use crate::diagnostic::Diagnostic;
use crate::document::list;
use crate::name::{RuleName, ZoneName};
use crate::range::AddressRange;
use crate::raw::{OneOrMany, RawFirewall, RawRule};
use crate::service::Service;
use crate::sets::{Addresses, NamedSet, Services, Sets};
use crate::source::{Located, Span};
use crate::word::word_type;

word_type! {
    /// What becomes of a flow.
    Action {
        /// It passes, and so do its answers.
        Accept = "accept",
        /// It is dropped without a word.
        Drop = "drop",
        /// It is dropped, and its sender told.
        Reject = "reject",
    }
}

/// Where traffic comes from or goes to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Zone {
    /// The gateway itself.
    Gateway,
    /// Interfaces.
    Named(ZoneName),
}

const GATEWAY: &str = "gateway";

impl std::fmt::Display for Zone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Gateway => f.pad(GATEWAY),
            Self::Named(name) => f.pad(name.as_str()),
        }
    }
}

/// A rule. What it does not say matches everything.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Rule {
    /// Its name, which no other rule has.
    pub name: RuleName,
    /// Where a flow comes from; none but named zones are there.
    pub from: Option<Vec<Zone>>,
    /// Where it goes.
    pub to: Option<Vec<Zone>>,
    /// Its source.
    pub source: Option<Addresses>,
    /// Its destination, as the inside host is addressed.
    pub destination: Option<Addresses>,
    /// What it is.
    pub service: Option<Services>,
    /// What becomes of it.
    pub action: Action,
    /// Whether it is logged.
    pub log: bool,
}

/// The firewall.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Firewall {
    /// What becomes of what no rule names.
    pub default: Action,
    /// The same of what is for the gateway itself.
    pub gateway_default: Action,
    /// Whether what the defaults drop or reject is logged.
    pub log_default: bool,
    /// Whether TCP connections are taken up in the middle.
    pub tcp_pickup: bool,
    /// Sets of addresses, by name.
    pub addresses: Vec<NamedSet<AddressRange>>,
    /// Sets of services, by name.
    pub services: Vec<NamedSet<Service>>,
    /// The rules; the first that matches decides.
    pub rules: Vec<Rule>,
}

/// The zones that there are.
pub(crate) struct Zones<'z> {
    pub(crate) names: Vec<&'z ZoneName>,
    /// Whether all interfaces were understood. If not, what is not found here may be there.
    pub(crate) complete: bool,
}

impl Firewall {
    /// `Some(None)` if there is none.
    pub(crate) fn check(
        raw: Option<&Located<RawFirewall>>,
        zones: &Zones<'_>,
        checker: &mut Checker<'_>,
    ) -> Option<Option<Self>> {
        let Some(Located { value: raw, .. }) = raw else { return Some(None) };
        let action = |key, given: &Option<Located<String>>, default, checker: &mut Checker<'_>| {
            given.as_ref().map_or(Some(default), |given| checker.parse(key, given))
        };
        let default = action("default", &raw.default, Action::Drop, checker);
        let gateway_default =
            action("gateway-default", &raw.gateway_default, Action::Accept, checker);
        let complete = !raw.has_unread;
        let mut addresses = Sets::new(raw.addresses.as_ref(), complete, checker);
        let mut services = Sets::new(raw.services.as_ref(), complete, checker);
        let mut names = HashMap::new();
        let rules: Vec<_> = list(raw.rule.as_ref())
            .iter()
            .map(|rule| {
                once(rule, &mut names, checker);
                check_rule(&rule.value, zones, &mut addresses, &mut services, checker)
            })
            .collect();
        Some(Some(Self {
            default: default?,
            gateway_default: gateway_default?,
            log_default: raw.log_default.as_ref().is_some_and(|given| given.value),
            tcp_pickup: raw.tcp_pickup.as_ref().is_none_or(|given| given.value),
            addresses: addresses.finish()?,
            services: services.finish()?,
            rules: rules.into_iter().collect::<Option<_>>()?,
        }))
    }

    pub(crate) fn to_raw(&self) -> RawFirewall {
        let word = |action: Action| Some(Located::nowhere(action.to_string()));
        let rules: Vec<_> = self.rules.iter().map(|rule| Located::nowhere(rule.to_raw())).collect();
        RawFirewall {
            default: word(self.default),
            gateway_default: word(self.gateway_default),
            log_default: Some(Located::nowhere(self.log_default)),
            tcp_pickup: Some(Located::nowhere(self.tcp_pickup)),
            addresses: crate::sets::to_raw(&self.addresses),
            services: crate::sets::to_raw(&self.services),
            rule: Some(Located::nowhere(rules)).filter(|_| !self.rules.is_empty()),
            ..RawFirewall::default()
        }
    }
}

/// Complains of a rule whose name another one has.
fn once<'r>(
    rule: &'r Located<RawRule>,
    names: &mut HashMap<&'r str, &'r Span>,
    checker: &mut Checker<'_>,
) {
    let Some(name) = &rule.value.name else { return };
    if let Some(first) = names.insert(name.value.as_str(), &name.span) {
        let found = format!("a second rule of the name `{}`", name.value);
        let error = Diagnostic::new(&name.span, found, "another name");
        checker.report(error.related(first, "the first one"));
    }
}

fn check_rule(
    raw: &RawRule,
    zones: &Zones<'_>,
    addresses: &mut Sets<'_, AddressRange>,
    services: &mut Sets<'_, Service>,
    checker: &mut Checker<'_>,
) -> Option<Rule> {
    let name = raw.name.as_ref().and_then(|given| checker.parse("name", given));
    let from = checker
        .optional(raw.from.as_ref(), |checker, given| check_zones("from", given, zones, checker));
    let to = checker
        .optional(raw.to.as_ref(), |checker, given| check_zones("to", given, zones, checker));
    let source = checker
        .optional(raw.source.as_ref(), |checker, given| addresses.list("source", given, checker));
    let destination = checker.optional(raw.destination.as_ref(), |checker, given| {
        addresses.list("destination", given, checker)
    });
    let service = checker
        .optional(raw.service.as_ref(), |checker, given| services.list("service", given, checker));
    let action = raw.action.as_ref().and_then(|given| checker.parse("action", given));
    Some(Rule {
        name: name?,
        from: from?,
        to: to?,
        source: source?,
        destination: destination?,
        service: service?,
        action: action?,
        log: raw.log.as_ref().is_some_and(|given| given.value),
    })
}

fn check_zones(
    key: &'static str,
    given: &Located<OneOrMany>,
    zones: &Zones<'_>,
    checker: &mut Checker<'_>,
) -> Option<Vec<Zone>> {
    let names = &given.value.0;
    if names.is_empty() {
        checker.empty(key, &given.span, "one zone or more");
        return None;
    }
    let found: Vec<_> = names.iter().filter_map(|name| zone(key, name, zones, checker)).collect();
    (found.len() == names.len()).then_some(found)
}

fn zone(
    key: &'static str,
    given: &Located<String>,
    zones: &Zones<'_>,
    checker: &mut Checker<'_>,
) -> Option<Zone> {
    if given.value == GATEWAY {
        if key == "to" {
            return Some(Zone::Gateway);
        }
        let found = "a rule for what comes from the gateway itself";
        let expected =
            "no such rule: what the gateway sends is always allowed, and so are the answers";
        checker.report(Diagnostic::new(&given.span, found, expected));
        return None;
    }
    let parsed: Result<ZoneName, Expected> = given.value.parse();
    let known = parsed.ok().filter(|name| zones.names.contains(&name));
    if known.is_none() && zones.complete {
        let expected = "the zone of an [[interface]], or `gateway`";
        let candidates = zones.names.iter().map(|name| name.as_str()).chain([GATEWAY]);
        let count = zones.names.len() + 1;
        checker.unknown_name(Place::Value(key), given, expected, count, candidates);
    }
    known.map(Zone::Named)
}

impl Rule {
    fn to_raw(&self) -> RawRule {
        let zones = |zones: &Option<Vec<Zone>>| {
            zones.as_ref().map(|zones| {
                let names = zones.iter().map(|zone| Located::nowhere(zone.to_string()));
                Located::nowhere(OneOrMany(names.collect()))
            })
        };
        RawRule {
            name: Some(Located::nowhere(self.name.to_string())),
            from: zones(&self.from),
            to: zones(&self.to),
            source: self.source.as_ref().map(|list| list.to_raw()),
            destination: self.destination.as_ref().map(|list| list.to_raw()),
            service: self.service.as_ref().map(|list| list.to_raw()),
            action: Some(Located::nowhere(self.action.to_string())),
            log: Some(Located::nowhere(self.log)),
        }
    }

    /// The rule in a line: `accept tcp/443 from untrusted to trusted 10.0.0.5`.
    #[must_use]
    pub fn sentence(&self) -> String {
        let words = |list: &[String]| match list {
            [first, rest @ ..] if rest.len() > 3 => format!("{first} and {} others", rest.len()),
            some => some.join(", "),
        };
        let mut text = self.action.to_string();
        if let Some(service) = &self.service {
            text += &format!(" {}", words(service.written()));
        }
        let end = |zones: &Option<Vec<Zone>>, addresses: &Option<Addresses>| {
            let zones = zones
                .as_ref()
                .map(|zones| words(&zones.iter().map(Zone::to_string).collect::<Vec<_>>()));
            let addresses = addresses.as_ref().map(|list| words(list.written()));
            match (zones, addresses) {
                (None, None) => None,
                (Some(zones), None) => Some(zones),
                (None, Some(addresses)) => Some(addresses),
                (Some(zones), Some(addresses)) => Some(format!("{zones} {addresses}")),
            }
        };
        if let Some(from) = end(&self.from, &self.source) {
            text += &format!(" from {from}");
        }
        if let Some(to) = end(&self.to, &self.destination) {
            text += &format!(" to {to}");
        }
        if self.log {
            text += ", logged";
        }
        text
    }
}
