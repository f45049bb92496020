//! `[[firewall.rule]]`.

use super::{Action, Zone, Zones};
use crate::check::{Checker, unique};
use crate::diagnostic::Diagnostic;
use crate::name::{RuleName, ZoneName};
use crate::range::AddressRange;
use crate::raw::{OneOrMany, RawRule};
use crate::service::Service;
use crate::sets::{Addresses, Services, Sets};
use crate::source::Located;

/// A rule of the firewall. What is `None` is met by every flow.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Rule {
    /// Its name, which no other rule has.
    pub name: RuleName,
    /// The zones that the flow comes from, one at least.
    pub from: Option<Vec<ZoneName>>,
    /// The zones that it goes to, one at least.
    pub to: Option<Vec<Zone>>,
    /// The addresses that it comes from.
    pub source: Option<Addresses>,
    /// The addresses that it goes to, after forward and static translation.
    pub destination: Option<Addresses>,
    /// What it is.
    pub service: Option<Services>,
    /// What becomes of it.
    pub action: Action,
    /// Whether it is logged.
    pub log: bool,
}

/// What rules refer to.
pub(super) struct Context<'c, 'r> {
    pub(super) zones: &'c Zones<'c>,
    pub(super) addresses: &'c mut Sets<'r, AddressRange>,
    pub(super) services: &'c mut Sets<'r, Service>,
}

pub(super) fn check(
    raw: &[Located<RawRule>],
    context: &mut Context<'_, '_>,
    checker: &mut Checker<'_>,
) -> Option<Vec<Rule>> {
    let mut names = Vec::with_capacity(raw.len());
    let mut rules = Some(Vec::with_capacity(raw.len()));
    for Located { value: raw, .. } in raw {
        let name: Option<Located<RuleName>> = checker.located("name", raw.name.as_ref());
        let rule = one_rule(raw, name.as_ref(), context, checker);
        names.extend(name);
        rules = match (rules, rule) {
            (Some(mut rules), Some(rule)) => {
                rules.push(rule);
                Some(rules)
            }
            _ => None,
        };
    }
    unique("the rule name", &names, checker);
    rules
}

fn one_rule(
    raw: &RawRule,
    name: Option<&Located<RuleName>>,
    context: &mut Context<'_, '_>,
    checker: &mut Checker<'_>,
) -> Option<Rule> {
    let zones = context.zones;
    let from = checker.optional(raw.from.as_ref(), |checker, given| {
        zone_list("from", given, checker, |zone, checker| zones.origin(zone, checker))
    });
    let to = checker.optional(raw.to.as_ref(), |checker, given| {
        zone_list("to", given, checker, |zone, checker| zones.destination(zone, checker))
    });
    let source = checker.optional(raw.source.as_ref(), |checker, given| {
        context.addresses.list("source", given, checker)
    });
    let destination = checker.optional(raw.destination.as_ref(), |checker, given| {
        context.addresses.list("destination", given, checker)
    });
    let service = checker.optional(raw.service.as_ref(), |checker, given| {
        context.services.list("service", given, checker)
    });
    let action = raw.action.as_ref().and_then(|given| checker.parse("action", given));
    if let (Some(Some(source)), Some(Some(destination))) = (&source, &destination) {
        can_meet(raw, source, destination, checker);
    }
    Some(Rule {
        name: name?.value.clone(),
        from: from?,
        to: to?,
        source: source?,
        destination: destination?,
        service: service?,
        action: action?,
        log: raw.log.as_ref().is_some_and(|given| given.value),
    })
}

fn zone_list<T>(
    key: &'static str,
    given: &Located<OneOrMany>,
    checker: &mut Checker<'_>,
    mut find: impl FnMut(&Located<String>, &mut Checker<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let elements = &given.value.0;
    if elements.is_empty() {
        checker.empty(key, &given.span, "one zone or more, or it to be left out: any");
        return None;
    }
    unique("the zone", elements, checker);
    let found: Vec<T> = elements.iter().filter_map(|zone| find(zone, checker)).collect();
    (found.len() == elements.len()).then_some(found)
}

/// A packet has addresses of one family: a rule from IPv4 to IPv6 would match none.
fn can_meet(raw: &RawRule, source: &Addresses, destination: &Addresses, checker: &mut Checker<'_>) {
    let has =
        |addresses: &Addresses, is_ipv4| addresses.iter().any(|range| range.is_ipv4() == is_ipv4);
    let meets = |is_ipv4| has(source, is_ipv4) && has(destination, is_ipv4);
    if meets(true) || meets(false) {
        return;
    }
    let (Some(from), Some(to)) = (&raw.source, &raw.destination) else { return };
    let family = |addresses: &Addresses| if has(addresses, true) { "IPv4" } else { "IPv6" };
    let (inside, outside) = (family(source), family(destination));
    let found = format!("`source` has {inside} addresses only, and `destination` {outside} ones");
    let error = Diagnostic::new(&to.span, found, "both of one family: no packet has two");
    checker.report(error.related(&from.span, "the source"));
}

impl Rule {
    pub(crate) fn to_raw(&self) -> RawRule {
        let text = |text: String| Some(Located::nowhere(text));
        RawRule {
            name: text(self.name.to_string()),
            from: self.from.as_deref().map(texts),
            to: self.to.as_deref().map(texts),
            source: self.source.as_ref().map(Addresses::to_raw),
            destination: self.destination.as_ref().map(Addresses::to_raw),
            service: self.service.as_ref().map(Services::to_raw),
            action: text(self.action.to_string()),
            log: Some(Located::nowhere(self.log)),
        }
    }
}

fn texts<T: ToString>(all: &[T]) -> Located<OneOrMany> {
    let texts = all.iter().map(|one| Located::nowhere(one.to_string()));
    Located::nowhere(OneOrMany(texts.collect()))
}
