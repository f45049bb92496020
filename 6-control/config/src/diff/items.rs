//! What is compared.

use serde::Serialize;
use serde_json::{Map, Value};

use super::words;
use crate::Driver;
use crate::dpdk::Dpdk;
use crate::firewall::{Firewall, Rule};
use crate::gateway::Gateway;
use crate::interface::Interface;
use crate::limits::{Limits, Timeouts};
use crate::nat::{Forward, Masquerade, Static};
use crate::range::AddressRange;
use crate::route::Route;
use crate::service::Service;
use crate::sets::NamedSet;

/// A section of the file, or an element of one.
pub(super) trait Item: PartialEq {
    /// Keys that say which one it is.
    const IDENTITY: &'static [&'static str] = &[];
    /// What it means that a key is left out.
    const ABSENT: &'static str = "not given";
    /// If the order of such has no meaning, what they are called together.
    const UNORDERED: Option<&'static str> = None;
    /// Whether one more or one less needs a restart.
    const EXISTENCE_RESTARTS: bool = false;
    /// Whether another order needs a restart.
    const ORDER_RESTARTS: bool = false;

    /// Which one it is.
    fn what(&self) -> String;

    /// Its keys and values.
    fn fields(&self) -> Map<String, Value>;

    /// It in a few words.
    fn summary(&self) -> String {
        words::summary(&self.fields(), Self::IDENTITY)
    }

    /// Whether this becomes that only by a restart.
    fn restarts(_: &Self, _: &Self) -> bool {
        false
    }
}

/// The keys and values of a table of the file.
fn table(raw: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(raw) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

impl Item for Gateway {
    fn what(&self) -> String {
        "gateway".to_owned()
    }

    fn fields(&self) -> Map<String, Value> {
        table(&self.to_raw())
    }

    fn restarts(_: &Self, _: &Self) -> bool {
        true
    }
}

impl Item for Interface {
    const IDENTITY: &'static [&'static str] = &["name"];
    const UNORDERED: Option<&'static str> = Some("interfaces");
    const EXISTENCE_RESTARTS: bool = true;
    // Threads know interfaces by their place.
    const ORDER_RESTARTS: bool = true;

    fn what(&self) -> String {
        format!("interface \"{}\"", self.name)
    }

    fn fields(&self) -> Map<String, Value> {
        table(&self.to_raw())
    }

    fn restarts(old: &Self, new: &Self) -> bool {
        // Buffers of DPDK's are as large as they were made.
        let outgrows = new.driver == Driver::Dpdk && new.mtu > old.mtu;
        old.device != new.device || old.driver != new.driver || outgrows
    }
}

impl Item for Route {
    const IDENTITY: &'static [&'static str] = &["to"];
    const UNORDERED: Option<&'static str> = Some("routes");

    fn what(&self) -> String {
        format!("route to {}", self.to)
    }

    fn fields(&self) -> Map<String, Value> {
        table(&self.to_raw())
    }
}

impl Item for Masquerade {
    const IDENTITY: &'static [&'static str] = &["source", "out"];

    fn what(&self) -> String {
        let source: Vec<String> = self.source.iter().map(ToString::to_string).collect();
        format!("masquerade of {} out of \"{}\"", source.join(", "), self.out)
    }

    fn fields(&self) -> Map<String, Value> {
        table(&self.to_raw())
    }
}

impl Item for Forward {
    const IDENTITY: &'static [&'static str] = &["in", "protocol", "destination"];
    const UNORDERED: Option<&'static str> = Some("forwards");

    fn what(&self) -> String {
        let Self { protocol, destination, interface, .. } = self;
        format!("forward of {protocol} {destination} on \"{interface}\"")
    }

    fn fields(&self) -> Map<String, Value> {
        table(&self.to_raw())
    }
}

impl Item for Static {
    const IDENTITY: &'static [&'static str] = &["on", "external"];
    const UNORDERED: Option<&'static str> = Some("static translations");

    fn what(&self) -> String {
        format!("static translation of {} on \"{}\"", self.external, self.on)
    }

    fn fields(&self) -> Map<String, Value> {
        table(&self.to_raw())
    }
}

/// What the firewall does where no rule says anything.
impl Item for Firewall {
    fn what(&self) -> String {
        "firewall".to_owned()
    }

    fn fields(&self) -> Map<String, Value> {
        table(&self.to_raw())
    }
}

impl Item for NamedSet<AddressRange> {
    const UNORDERED: Option<&'static str> = Some("address sets");

    fn what(&self) -> String {
        format!("address set \"{}\"", self.name)
    }

    fn fields(&self) -> Map<String, Value> {
        Map::from_iter([("content".to_owned(), self.members.written().into())])
    }
}

impl Item for NamedSet<Service> {
    const UNORDERED: Option<&'static str> = Some("service sets");

    fn what(&self) -> String {
        format!("service set \"{}\"", self.name)
    }

    fn fields(&self) -> Map<String, Value> {
        Map::from_iter([("content".to_owned(), self.members.written().into())])
    }
}

impl Item for Rule {
    const ABSENT: &'static str = "any";

    fn what(&self) -> String {
        format!("firewall rule \"{}\"", self.name)
    }

    fn fields(&self) -> Map<String, Value> {
        table(&self.to_raw())
    }

    /// "accept tcp/443 from untrusted to trusted 10.0.0.5"
    fn summary(&self) -> String {
        let fields = self.fields();
        let value = |key: &str| fields.get(key).map(words::text);
        let mut said = self.action.to_string();
        if let Some(service) = value("service") {
            said = format!("{said} {service}");
        }
        for (preposition, addresses) in [("from", "source"), ("to", "destination")] {
            let place = match (value(preposition), value(addresses)) {
                (Some(zones), Some(addresses)) => format!("{zones} {addresses}"),
                (Some(one), None) | (None, Some(one)) => one,
                (None, None) => "any".to_owned(),
            };
            said = format!("{said} {preposition} {place}");
        }
        if self.log { format!("{said}, logged") } else { said }
    }
}

impl Item for Timeouts {
    fn what(&self) -> String {
        "timeouts".to_owned()
    }

    fn fields(&self) -> Map<String, Value> {
        table(&self.to_raw())
    }
}

impl Item for Dpdk {
    fn what(&self) -> String {
        "dpdk".to_owned()
    }

    fn fields(&self) -> Map<String, Value> {
        table(&self.to_raw())
    }

    /// It is started once.
    fn restarts(_: &Self, _: &Self) -> bool {
        true
    }
}

impl Item for Limits {
    fn what(&self) -> String {
        "limits".to_owned()
    }

    fn fields(&self) -> Map<String, Value> {
        table(&self.to_raw())
    }

    /// The memory for flows is taken at the start.
    fn restarts(old: &Self, new: &Self) -> bool {
        new.flows > old.flows
    }
}
