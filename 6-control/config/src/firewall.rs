//! `[firewall]`.

mod rule;

use std::fmt;

use crate::check::Checker;
use crate::decode::Place;
use crate::diagnostic::Diagnostic;
use crate::document::list;
use crate::interface::Draft;
use crate::name::{GATEWAY_ZONE, ZoneName};
use crate::range::AddressRange;
use crate::raw::{NamedList, NamedLists, RawFirewall};
use crate::service::Service;
use crate::sets::{NamedSet, Sets};
use crate::source::Located;
use crate::word::word_type;

pub use rule::Rule;

word_type! {
    /// What becomes of a flow.
    #[derive(PartialOrd, Ord)]
    Action {
        /// It passes, and so do replies and what ICMP says about it.
        Accept = "accept",
        /// Its packets are dropped.
        Drop = "drop",
        /// Its packets are dropped and their sender is told.
        Reject = "reject",
    }
}

/// Where a flow goes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Zone {
    /// To the gateway itself.
    Gateway,
    /// Through an interface of this zone.
    Named(ZoneName),
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gateway => f.pad(GATEWAY_ZONE),
            Self::Named(name) => f.pad(name.as_str()),
        }
    }
}

/// The firewall.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Firewall {
    /// For flows through the gateway that no rule names.
    pub default: Action,
    /// For flows to the gateway itself that no rule names.
    pub gateway_default: Action,
    /// Whether what the defaults drop or reject is logged.
    pub log_default: bool,
    /// Whether TCP connections whose beginning was not seen may be taken up in the middle, if a
    /// rule accepts them.
    pub tcp_pickup: bool,
    /// The sets of addresses, by name.
    pub addresses: Vec<NamedSet<AddressRange>>,
    /// The sets of services, by name.
    pub services: Vec<NamedSet<Service>>,
    /// The rules: the first that matches decides.
    pub rules: Vec<Rule>,
}

impl Firewall {
    pub(crate) fn check(
        raw: &RawFirewall,
        zones: &Zones<'_>,
        checker: &mut Checker<'_>,
    ) -> Option<Self> {
        let default = match &raw.default {
            Some(given) => checker.parse("default", given),
            None => Some(Action::Drop),
        };
        let gateway_default = match &raw.gateway_default {
            Some(given) => checker.parse("gateway-default", given),
            None => Some(Action::Accept),
        };
        let complete = !raw.has_unread;
        let mut addresses = Sets::new(raw.addresses.as_ref(), complete, checker);
        let mut services = Sets::new(raw.services.as_ref(), complete, checker);
        let mut context =
            rule::Context { zones, addresses: &mut addresses, services: &mut services };
        let rules = rule::check(list(raw.rule.as_ref()), &mut context, checker);
        let flag = |given: &Option<Located<bool>>, default| {
            given.as_ref().map_or(default, |given| given.value)
        };
        Some(Self {
            default: default?,
            gateway_default: gateway_default?,
            log_default: flag(&raw.log_default, false),
            tcp_pickup: flag(&raw.tcp_pickup, true),
            addresses: addresses.finish()?,
            services: services.finish()?,
            rules: rules?,
        })
    }

    /// The firewall without its rules and sets.
    pub(crate) fn policy(&self) -> Self {
        let Self { default, gateway_default, log_default, tcp_pickup, .. } = *self;
        let (addresses, services, rules) = (Vec::new(), Vec::new(), Vec::new());
        Self { default, gateway_default, log_default, tcp_pickup, addresses, services, rules }
    }

    pub(crate) fn to_raw(&self) -> RawFirewall {
        let word = |action: Action| Some(Located::nowhere(action.to_string()));
        let flag = |flag| Some(Located::nowhere(flag));
        let rules = self.rules.iter().map(|rule| Located::nowhere(rule.to_raw()));
        RawFirewall {
            default: word(self.default),
            gateway_default: word(self.gateway_default),
            log_default: flag(self.log_default),
            tcp_pickup: flag(self.tcp_pickup),
            addresses: sets_to_raw(&self.addresses),
            services: sets_to_raw(&self.services),
            rule: Some(Located::nowhere(rules.collect())).filter(|_| !self.rules.is_empty()),
            has_unread: false,
        }
    }
}

fn sets_to_raw<T>(sets: &[NamedSet<T>]) -> Option<Located<NamedLists>> {
    let lists = sets.iter().map(|set| NamedList {
        name: Located::nowhere(set.name.to_string()),
        list: Some(set.members.to_raw()),
    });
    Some(Located::nowhere(NamedLists(lists.collect()))).filter(|_| !sets.is_empty())
}

/// The zones that the interfaces are in.
pub(crate) struct Zones<'d> {
    names: Vec<&'d ZoneName>,
    /// Whether all of them are known. If not, what is not found here may be there.
    complete: bool,
}

impl<'d> Zones<'d> {
    pub(crate) fn new(interfaces: &'d [Draft], has_unread: bool) -> Self {
        let mut names: Vec<_> = interfaces.iter().filter_map(|one| one.zone.as_ref()).collect();
        names.sort_unstable();
        names.dedup();
        Self { names, complete: !has_unread && interfaces.iter().all(Draft::has_zone) }
    }

    /// The zones that `to` names.
    fn destination(&self, given: &Located<String>, checker: &mut Checker<'_>) -> Option<Zone> {
        if given.value == GATEWAY_ZONE {
            return Some(Zone::Gateway);
        }
        self.find("to", given, checker).map(Zone::Named)
    }

    /// A zone that `from` names.
    fn origin(&self, given: &Located<String>, checker: &mut Checker<'_>) -> Option<ZoneName> {
        if given.value == GATEWAY_ZONE {
            let found = Place::Value("from").found("\"gateway\"");
            let expected = "another zone: what the gateway itself sends is always allowed";
            checker.report(Diagnostic::new(&given.span, found, expected));
            return None;
        }
        self.find("from", given, checker)
    }

    fn find(
        &self,
        key: &'static str,
        given: &Located<String>,
        checker: &mut Checker<'_>,
    ) -> Option<ZoneName> {
        let found = self.names.binary_search_by(|zone| zone.as_str().cmp(&given.value));
        let found = found.ok().and_then(|at| self.names.get(at).copied());
        if found.is_none() && self.complete {
            let expected = "the zone of an [[interface]], or `gateway`";
            let expected = if key == "to" { expected } else { "the zone of an [[interface]]" };
            let names = self.names.iter().map(|zone| zone.as_str());
            let count = self.names.len();
            let own = (key == "to").then_some(GATEWAY_ZONE);
            checker.unknown_name(Place::Value(key), given, expected, count, names.chain(own));
        }
        found.cloned()
    }
}
