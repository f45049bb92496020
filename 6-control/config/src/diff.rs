//! What differs between two configurations, in words.

use std::collections::HashMap;
use std::fmt::Display;

use serde_json::Value;

use crate::document::Config;
use crate::firewall::{Firewall, Rule};
use crate::interface::Interface;

/// What becomes of a part of the configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChangeKind {
    /// It was not there.
    Added,
    /// It is there no more.
    Removed,
    /// It is another one.
    Changed,
    /// It is the same, in another place of an order that matters.
    Moved,
}

/// A difference.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Change {
    /// What becomes of it.
    pub kind: ChangeKind,
    /// The part that it is about: `firewall rule "web in"`.
    pub what: String,
    /// The difference in words; perhaps none.
    pub text: String,
    /// Whether only a restart of the gateway can make it.
    pub restart: bool,
}

impl Config {
    /// What would become of this configuration if the other one took its place, in the order of the
    /// file. Nothing if the two are equal, and something if they are not.
    #[must_use]
    pub fn changes(&self, new: &Self) -> Vec<Change> {
        let mut changes = Changes(Vec::new());
        changes.gateway(self, new);
        changes.interfaces(self.interfaces(), new.interfaces());
        let routes = |config: &Self| {
            let routes = config.routes().iter();
            routes.map(|route| (route.to.to_string(), value(&route.to_raw()))).collect()
        };
        changes.unordered("route to", routes(self), routes(new));
        changes.nat(self, new);
        changes.firewall(self.firewall(), new.firewall());
        let timeouts = |config: &Self| value(&config.timeouts().to_raw());
        changes.keys("timeouts", &timeouts(self), &timeouts(new), |_| false);
        let (old, wanted) = (self.limits(), new.limits());
        let grows = wanted.flows > old.flows;
        changes.keys("limits", &value(&old.to_raw()), &value(&wanted.to_raw()), |key| {
            key == "flows" && grows
        });
        changes.0
    }
}

/// A raw table as JSON: the names of the file, and what stands there.
fn value(raw: &impl serde::Serialize) -> Value {
    serde_json::to_value(raw).unwrap_or_default()
}

/// A value as it stands in the file, or nearly.
fn shown(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "nothing".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(elements)) if elements.is_empty() => "nothing".to_owned(),
        Some(Value::Array(elements)) => {
            let texts: Vec<_> = elements.iter().map(|one| shown(Some(one))).collect();
            texts.join(", ")
        }
        Some(other) => other.to_string(),
    }
}

/// Everything about a table in a line.
fn summary(value: &Value) -> String {
    let Value::Object(keys) = value else { return shown(Some(value)) };
    let words: Vec<_> =
        keys.iter().map(|(key, value)| format!("{key} {}", shown(Some(value)))).collect();
    words.join(", ")
}

/// What can only be set at the start of an interface: what holds a device.
fn needs_restart(key: &str) -> bool {
    matches!(key, "driver" | "device")
}

struct Changes(Vec<Change>);

impl Changes {
    fn push(&mut self, kind: ChangeKind, what: impl Display, text: String, restart: bool) {
        self.0.push(Change { kind, what: what.to_string(), text, restart });
    }

    /// The keys of one table that differ, in one change.
    fn keys(
        &mut self,
        what: impl Display,
        old: &Value,
        new: &Value,
        restart: impl Fn(&str) -> bool,
    ) {
        let empty = serde_json::Map::new();
        let (old, new) = (old.as_object().unwrap_or(&empty), new.as_object().unwrap_or(&empty));
        let mut keys: Vec<_> = old.keys().chain(new.keys()).collect();
        keys.sort();
        keys.dedup();
        let differing: Vec<_> =
            keys.into_iter().filter(|&key| old.get(key) != new.get(key)).collect();
        if differing.is_empty() {
            return;
        }
        let words: Vec<_> = differing
            .iter()
            .map(|&key| format!("{key} {} becomes {}", shown(old.get(key)), shown(new.get(key))))
            .collect();
        let restart = differing.iter().any(|key| restart(key));
        self.push(ChangeKind::Changed, what, words.join("; "), restart);
    }

    fn gateway(&mut self, old: &Config, new: &Config) {
        let raw = |config: &Config| value(&config.gateway().to_raw());
        self.keys("gateway", &raw(old), &raw(new), |_| true);
    }

    fn interfaces(&mut self, old: &[Interface], new: &[Interface]) {
        let names =
            |all: &[Interface]| -> Vec<_> { all.iter().map(|one| one.name.clone()).collect() };
        let (old_names, new_names) = (names(old), names(new));
        for gone in old.iter().filter(|one| !new_names.contains(&one.name)) {
            let what = format!("interface {}", gone.name);
            self.push(ChangeKind::Removed, what, String::new(), true);
        }
        for interface in new {
            let what = format!("interface {}", interface.name);
            match old.iter().find(|one| one.name == interface.name) {
                None => {
                    let text = summary(&value(&interface.to_raw()));
                    self.push(ChangeKind::Added, what, text, true);
                }
                Some(before) => {
                    let (before, after) = (value(&before.to_raw()), value(&interface.to_raw()));
                    self.keys(what, &before, &after, needs_restart);
                }
            }
        }
        let same_set = old_names.len() == new_names.len()
            && old_names.iter().all(|name| new_names.contains(name));
        if same_set && old_names != new_names {
            let text = "stand in another order".to_owned();
            self.push(ChangeKind::Moved, "interfaces", text, true);
        }
    }

    /// Tables that have a name, or something like it, and no order.
    fn unordered(&mut self, what: &str, old: Vec<(String, Value)>, new: Vec<(String, Value)>) {
        let mut before: HashMap<&str, Vec<&Value>> = HashMap::new();
        for (name, value) in &old {
            before.entry(name).or_default().push(value);
        }
        let mut after: HashMap<&str, Vec<&Value>> = HashMap::new();
        for (name, value) in &new {
            after.entry(name).or_default().push(value);
        }
        let mut seen: Vec<&str> = Vec::new();
        for (name, _) in old.iter().chain(&new) {
            if seen.last() == Some(&name.as_str()) {
                continue;
            }
            let gone = before.remove(name.as_str()).unwrap_or_default();
            let come = after.remove(name.as_str()).unwrap_or_default();
            seen.push(name);
            if gone == come {
                continue;
            }
            match (gone.as_slice(), come.as_slice()) {
                ([old], [new]) => self.keys(format!("{what} {name}"), old, new, |_| false),
                (gone, come) => {
                    for value in gone {
                        let (what, text) = (format!("{what} {name}"), summary(value));
                        self.push(ChangeKind::Removed, what, text, false);
                    }
                    for value in come {
                        let (what, text) = (format!("{what} {name}"), summary(value));
                        self.push(ChangeKind::Added, what, text, false);
                    }
                }
            }
        }
    }

    fn nat(&mut self, old: &Config, new: &Config) {
        let masquerades = |config: &Config| -> Vec<Value> {
            config.nat().masquerades.iter().map(|one| value(&one.to_raw())).collect()
        };
        let (before, after) = (masquerades(old), masquerades(new));
        // The first that fits counts: so their order does, and their place is their name.
        for at in 0..before.len().max(after.len()) {
            let what = format!("masquerade {}", at + 1);
            match (before.get(at), after.get(at)) {
                (Some(old), Some(new)) => self.keys(what, old, new, |_| false),
                (Some(old), None) => self.push(ChangeKind::Removed, what, summary(old), false),
                (None, Some(new)) => self.push(ChangeKind::Added, what, summary(new), false),
                (None, None) => {}
            }
        }
        let forwards = |config: &Config| {
            let all = config.nat().forwards.iter();
            all.map(|one| (format!("{} {}", one.protocol, one.destination), value(&one.to_raw())))
                .collect()
        };
        self.unordered("forward of", forwards(old), forwards(new));
        let statics = |config: &Config| {
            let all = config.nat().statics.iter();
            all.map(|one| (one.external.to_string(), value(&one.to_raw()))).collect()
        };
        self.unordered("static translation of", statics(old), statics(new));
    }

    fn firewall(&mut self, old: Option<&Firewall>, new: Option<&Firewall>) {
        let (old, new) = match (old, new) {
            (None, None) => return,
            (Some(_), None) => {
                let text = "everything is forwarded".to_owned();
                return self.push(ChangeKind::Removed, "firewall", text, false);
            }
            (None, Some(new)) => {
                let text = format!("{} rules, default {}", new.rules.len(), new.default);
                return self.push(ChangeKind::Added, "firewall", text, false);
            }
            (Some(old), Some(new)) => (old, new),
        };
        let keys = |firewall: &Firewall| {
            let mut raw = firewall.to_raw();
            (raw.rule, raw.addresses, raw.services) = (None, None, None);
            value(&raw)
        };
        self.keys("firewall", &keys(old), &keys(new), |_| false);
        let sets = |firewall: &Firewall| -> (Vec<_>, Vec<_>) {
            let list = |written: &[String]| Value::String(written.join(", "));
            let addresses = firewall.addresses.iter();
            let services = firewall.services.iter();
            (
                addresses.map(|s| (s.name.to_string(), list(s.members.written()))).collect(),
                services.map(|s| (s.name.to_string(), list(s.members.written()))).collect(),
            )
        };
        let ((old_addresses, old_services), (new_addresses, new_services)) = (sets(old), sets(new));
        self.sets("addresses", &old_addresses, &new_addresses);
        self.sets("services", &old_services, &new_services);
        self.rules(&old.rules, &new.rules);
    }

    fn sets(&mut self, kind: &str, old: &[(String, Value)], new: &[(String, Value)]) {
        let before: HashMap<_, _> = old.iter().map(|(name, value)| (name, value)).collect();
        let after: HashMap<_, _> = new.iter().map(|(name, value)| (name, value)).collect();
        for (name, value) in old.iter().filter(|(name, _)| !after.contains_key(name)) {
            let what = format!("set of {kind} \"{name}\"");
            self.push(ChangeKind::Removed, what, shown(Some(value)), false);
        }
        for (name, value) in new {
            let what = format!("set of {kind} \"{name}\"");
            match before.get(name) {
                None => self.push(ChangeKind::Added, what, shown(Some(value)), false),
                Some(&old) if old != value => {
                    let text = format!("{} becomes {}", shown(Some(old)), shown(Some(value)));
                    self.push(ChangeKind::Changed, what, text, false);
                }
                Some(_) => {}
            }
        }
    }

    fn rules(&mut self, old: &[Rule], new: &[Rule]) {
        let places = |rules: &[Rule]| -> HashMap<String, usize> {
            rules.iter().enumerate().map(|(at, rule)| (rule.name.to_string(), at)).collect()
        };
        let (before, after) = (places(old), places(new));
        for rule in old.iter().filter(|rule| !after.contains_key(rule.name.as_str())) {
            let what = format!("firewall rule \"{}\"", rule.name);
            self.push(ChangeKind::Removed, what, rule.sentence(), false);
        }
        // Those that stay: the longest run that keeps its order has not moved, the others have.
        let stay: Vec<usize> =
            new.iter().filter_map(|rule| before.get(rule.name.as_str()).copied()).collect();
        let unmoved = longest_increasing(&stay);
        for (at, rule) in new.iter().enumerate() {
            let what = format!("firewall rule \"{}\"", rule.name);
            let Some((place, known)) =
                before.get(rule.name.as_str()).and_then(|&p| Some((p, old.get(p)?)))
            else {
                self.push(ChangeKind::Added, what, rule.sentence(), false);
                continue;
            };
            if known != rule {
                let text = if known.sentence() == rule.sentence() {
                    // What differs is in a list too long to be shown, or in a set.
                    format!("{}, with other contents", rule.sentence())
                } else {
                    format!("{} becomes {}", known.sentence(), rule.sentence())
                };
                self.push(ChangeKind::Changed, what.clone(), text, false);
            }
            if !unmoved.contains(&place) {
                let text = format!("from place {} to place {}", place + 1, at + 1);
                self.push(ChangeKind::Moved, what, text, false);
            }
        }
    }
}

/// The members of a longest increasing subsequence (patience sorting).
fn longest_increasing(numbers: &[usize]) -> std::collections::HashSet<usize> {
    let mut tails: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(numbers.len());
    for (at, number) in numbers.iter().enumerate() {
        let pile = tails.partition_point(|&tail| numbers.get(tail).is_some_and(|n| n < number));
        before.push(pile.checked_sub(1).and_then(|pile| tails.get(pile)).copied());
        match tails.get_mut(pile) {
            Some(tail) => *tail = at,
            None => tails.push(at),
        }
    }
    let mut found = std::collections::HashSet::new();
    let mut at = tails.last().copied();
    while let Some(place) = at {
        found.extend(numbers.get(place));
        at = before.get(place).copied().flatten();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Host;

    const BASE: &str = r#"
[gateway]
name = "gw"
workers = 1
[[interface]]
name = "wan"
device = "eth1"
addresses = ["203.0.113.1/24"]
zone = "untrusted"
[[interface]]
name = "lan"
device = "eth2"
addresses = ["10.0.0.1/24"]
zone = "trusted"
[[route]]
to = "0.0.0.0/0"
via = ["203.0.113.254"]
[[nat.masquerade]]
source = ["10.0.0.0/8"]
out = "wan"
[[nat.forward]]
in = "wan"
protocol = "tcp"
destination = "203.0.113.1:8443"
to = "10.0.0.5:443"
[firewall]
[[firewall.rule]]
name = "a"
from = "trusted"
action = "accept"
[[firewall.rule]]
name = "b"
to = "trusted"
service = ["tcp/443"]
action = "accept"
[[firewall.rule]]
name = "c"
action = "reject"
"#;

    fn config(text: &str) -> Config {
        Config::parse("f.toml", text, &Host { name: "h" }).unwrap_or_else(|error| panic!("{error}"))
    }

    fn differences(from: &str, to: &str) -> Vec<(ChangeKind, String, String, bool)> {
        let changes = config(BASE).changes(&config(&BASE.replace(from, to)));
        changes.into_iter().map(|c| (c.kind, c.what, c.text, c.restart)).collect()
    }

    #[test]
    fn equal_files_do_not_differ() {
        assert!(differences("", "").is_empty());
    }

    #[test]
    fn each_difference_is_told_in_words() {
        use ChangeKind::{Added, Changed, Moved, Removed};
        let changed = |what: &str, text: &str, restart| {
            vec![(Changed, what.to_owned(), text.to_owned(), restart)]
        };
        for (from, to, expected) in [
            ("name = \"gw\"", "name = \"gx\"", changed("gateway", "name gw becomes gx", true)),
            (
                "10.0.0.1/24",
                "10.0.0.2/24",
                changed("interface lan", "addresses 10.0.0.1/24 becomes 10.0.0.2/24", false),
            ),
            ("\"eth2\"", "\"eth3\"", changed("interface lan", "device eth2 becomes eth3", true)),
            (
                "203.0.113.254",
                "203.0.113.253",
                changed("route to 0.0.0.0/0", "via 203.0.113.254 becomes 203.0.113.253", false),
            ),
            (
                "source = [\"10.0.0.0/8\"]",
                "source = [\"10.0.0.0/9\"]",
                changed("masquerade 1", "source 10.0.0.0/8 becomes 10.0.0.0/9", false),
            ),
            (
                "10.0.0.5:443",
                "10.0.0.6:443",
                changed(
                    "forward of tcp 203.0.113.1:8443",
                    "to 10.0.0.5:443 becomes 10.0.0.6:443",
                    false,
                ),
            ),
            (
                "service = [\"tcp/443\"]",
                "service = [\"tcp/444\"]",
                changed(
                    "firewall rule \"b\"",
                    "accept tcp/443 to trusted becomes accept tcp/444 to trusted",
                    false,
                ),
            ),
            (
                "[firewall]",
                "[firewall]\ndefault = \"accept\"",
                changed("firewall", "default drop becomes accept", false),
            ),
            (
                "[firewall]",
                "[timeouts]\nudp = 30\n[firewall]",
                changed("timeouts", "udp 300 becomes 30", false),
            ),
            (
                "[firewall]",
                "[limits]\nflows = 2000000\n[firewall]",
                changed(
                    "limits",
                    "flows 1000000 becomes 2000000; flows-per-source 1000000 becomes 2000000",
                    true,
                ),
            ),
        ] {
            assert_eq!(differences(from, to), expected, "{from} -> {to}");
        }
        let rule = "[[firewall.rule]]\nname = \"c\"\naction = \"reject\"\n";
        let removed = differences(rule, "");
        let what = "firewall rule \"c\"".to_owned();
        assert_eq!(removed, [(Removed, what.clone(), "reject".to_owned(), false)]);
        let back = config(&BASE.replace(rule, "")).changes(&config(BASE));
        assert_eq!((back[0].kind, &back[0].what), (Added, &what));
        let first = "[[firewall.rule]]\nname = \"a\"";
        let moved = BASE.replace(rule, "").replace(first, &format!("{rule}{first}"));
        let moved = config(BASE).changes(&config(&moved));
        assert_eq!(moved.len(), 1);
        assert_eq!((moved[0].kind, moved[0].text.as_str()), (Moved, "from place 3 to place 1"));
    }
}
