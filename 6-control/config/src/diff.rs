//! What another configuration would change, in words.
//!
//! Things are compared key by key as the file would write them, so that no key can be forgotten here. Those
//! that have a name (rules, interfaces, sets) are the same thing if they have the same name, others if
//! they stand for the same: routes to one network, forwards of the same ports.

mod items;
mod matching;
mod words;

use std::fmt;

use crate::document::Config;
use crate::firewall::Firewall;
use items::Item;
use matching::{Event, events};

/// How something changes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is there no more.
    Removed,
    /// It is there, and not the same.
    Changed,
    /// It is at another place among its like.
    Moved,
}

/// One thing that changes. Displayed, it is one line of a diff.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Change {
    /// How.
    pub kind: ChangeKind,
    /// What: `firewall rule "web in"`.
    pub what: String,
    /// In words: "destination 10.0.0.5 becomes 10.0.0.6".
    pub text: String,
    /// Whether the gateway must be started anew for it.
    pub restart: bool,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.kind {
            ChangeKind::Added => '+',
            ChangeKind::Removed => '-',
            ChangeKind::Changed => '~',
            ChangeKind::Moved => '>',
        };
        write!(f, "{sign} {}: {}", self.what, self.text)?;
        if self.restart {
            f.write_str(" (needs a restart)")?;
        }
        Ok(())
    }
}

/// What becomes different from `old` to `new`, in the order of the sections.
pub(crate) fn changes(old: &Config, new: &Config) -> Vec<Change> {
    let mut found = Vec::new();
    one(old.gateway(), new.gateway(), &mut found);
    many(old.interfaces(), new.interfaces(), &mut found);
    many(old.routes(), new.routes(), &mut found);
    many(&old.nat().masquerades, &new.nat().masquerades, &mut found);
    many(&old.nat().forwards, &new.nat().forwards, &mut found);
    many(&old.nat().statics, &new.nat().statics, &mut found);
    firewall(old.firewall(), new.firewall(), &mut found);
    one(&old.timeouts(), &new.timeouts(), &mut found);
    one(&old.limits(), &new.limits(), &mut found);
    one(old.dpdk(), new.dpdk(), &mut found);
    found
}

fn firewall<'f>(old: Option<&'f Firewall>, new: Option<&'f Firewall>, found: &mut Vec<Change>) {
    let policy = |firewall: Option<&Firewall>| firewall.map(Firewall::policy);
    many(policy(old).as_slice(), policy(new).as_slice(), found);
    let parts = |firewall: Option<&'f Firewall>| {
        firewall.map(|one| (&one.addresses[..], &one.services[..], &one.rules[..]))
    };
    let ((old_addresses, old_services, old_rules), (new_addresses, new_services, new_rules)) =
        (parts(old).unwrap_or_default(), parts(new).unwrap_or_default());
    many(old_addresses, new_addresses, found);
    many(old_services, new_services, found);
    many(old_rules, new_rules, found);
}

/// A section that is always there.
fn one<T: Item>(old: &T, new: &T, found: &mut Vec<Change>) {
    found.extend((old != new).then(|| changed(old, new)).flatten());
}

/// The elements of a list.
fn many<T: Item>(old: &[T], new: &[T], found: &mut Vec<Change>) {
    let mut moved = None;
    for event in events(old, new, T::what) {
        found.extend(match event {
            Event::Removed(item) => Some(whole(item, ChangeKind::Removed)),
            Event::Added(item) => Some(whole(item, ChangeKind::Added)),
            Event::Changed(old, new) => changed(old, new),
            Event::Moved { item, from, to } => match T::UNORDERED {
                None => Some(Change {
                    kind: ChangeKind::Moved,
                    what: item.what(),
                    text: format!("moves from place {from} to place {to}"),
                    restart: false,
                }),
                Some(all) => {
                    moved = Some(all);
                    None
                }
            },
        });
    }
    found.extend(moved.map(|all| Change {
        kind: ChangeKind::Moved,
        what: all.to_owned(),
        text: "in another order".to_owned(),
        restart: T::ORDER_RESTARTS,
    }));
}

fn whole<T: Item>(item: &T, kind: ChangeKind) -> Change {
    Change { kind, what: item.what(), text: item.summary(), restart: T::EXISTENCE_RESTARTS }
}

/// `None` if the two are written alike: they differ by what they refer to, which is said there.
fn changed<T: Item>(old: &T, new: &T) -> Option<Change> {
    let differences = words::differences(&old.fields(), &new.fields(), T::ABSENT);
    (!differences.is_empty()).then(|| Change {
        kind: ChangeKind::Changed,
        what: new.what(),
        text: differences.join(", "),
        restart: T::restarts(old, new),
    })
}
