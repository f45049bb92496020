//! Sets that have names, and lists that name them.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

use crate::check::{Checker, Expected};
use crate::decode::{Place, quoted};
use crate::diagnostic::Diagnostic;
use crate::name::SetName;
use crate::range::AddressRange;
use crate::raw::{NamedList, NamedLists};
use crate::service::{self, Service};
use crate::source::Located;

/// Most ranges of addresses, and most services, in all sets and rules together, with the sets that
/// are named in them written out. A file that names large sets in many rules would otherwise become
/// the product of the two.
pub const MAX_EXPANDED: usize = 4_000_000;

/// A list of a rule or of a set: as it is written, and with the sets in it written out, sorted, and
/// what touches joined. It derefs to the latter, which is never empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed<T> {
    written: Vec<String>,
    expanded: Arc<[T]>,
}

/// Ranges of addresses.
pub type Addresses = Listed<AddressRange>;

/// Services.
pub type Services = Listed<Service>;

impl<T> Listed<T> {
    /// The elements as the file has them.
    #[must_use]
    pub fn written(&self) -> &[String] {
        &self.written
    }

    pub(crate) fn to_raw(&self) -> Located<Vec<Located<String>>> {
        Located::nowhere(self.written.iter().cloned().map(Located::nowhere).collect())
    }
}

impl<T> Deref for Listed<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.expanded
    }
}

/// A set of the file: `[firewall.addresses]`, `[firewall.services]`.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct NamedSet<T> {
    /// Its name, which no other set of the same kind has.
    pub name: SetName,
    /// What is in it.
    pub members: Listed<T>,
}

/// What can be in a set.
pub(crate) trait Member: Clone {
    /// What a list of such can hold.
    const EXPECTED: &'static str;

    /// The members that a text stands for; `None` if it is a name.
    fn parse(text: &str) -> Result<Option<Vec<Self>>, Expected>;

    /// Names that mean something by themselves.
    fn own_names() -> impl ExactSizeIterator<Item = &'static str>;

    /// Sorts, and joins what touches.
    fn compact(members: &mut Vec<Self>);
}

impl Member for AddressRange {
    const EXPECTED: &'static str =
        "an address, a network, a range, or the name of a set in [firewall.addresses]";

    fn parse(text: &str) -> Result<Option<Vec<Self>>, Expected> {
        if is_name(text) { Ok(None) } else { text.parse().map(|range| Some(vec![range])) }
    }

    fn own_names() -> impl ExactSizeIterator<Item = &'static str> {
        std::iter::empty()
    }

    fn compact(members: &mut Vec<Self>) {
        members.sort_unstable_by_key(Self::first);
        members.dedup_by(|next, kept| kept.absorb(next));
    }
}

impl Member for Service {
    const EXPECTED: &'static str = "a protocol, ports (`tcp/443`), a type (`icmp/echo-request`), or the name of a set in [firewall.services]";

    fn parse(text: &str) -> Result<Option<Vec<Self>>, Expected> {
        service::parse(text)
    }

    fn own_names() -> impl ExactSizeIterator<Item = &'static str> {
        service::protocol_names()
    }

    fn compact(members: &mut Vec<Self>) {
        members.sort_unstable_by_key(Self::key);
        members.dedup_by(|next, kept| kept.absorb(next));
    }
}

/// Whether a text is the name of a set rather than an address: IPv4 addresses begin with a digit,
/// and IPv6 addresses have colons.
fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && !text.contains([':', '/'])
}

/// An element of a list.
enum Part<T> {
    Members(Vec<T>),
    /// The set at this place.
    Set(usize),
}

/// How far a set has been written out.
enum State<T> {
    New,
    /// Sets inside of it are being written out.
    Open,
    /// `None`: something is wrong with it, and has been said.
    Done(Option<Arc<[T]>>),
}

/// The sets of a file, of one kind.
pub(crate) struct Sets<'r, T> {
    raw: &'r [NamedList],
    places: HashMap<&'r str, usize>,
    names: Vec<Option<SetName>>,
    states: Vec<State<T>>,
    /// Whether all sets were read. If not, what is not found here may be there.
    complete: bool,
    /// How many more members there may be.
    room: usize,
}

impl<'r, T: Member> Sets<'r, T> {
    pub(crate) fn new(
        raw: Option<&'r Located<NamedLists>>,
        complete: bool,
        checker: &mut Checker<'_>,
    ) -> Self {
        let raw = raw.map_or(&[][..], |raw| &raw.value.0);
        let mut sets = Self {
            raw,
            places: raw.iter().enumerate().map(|(at, set)| (set.name.value.as_str(), at)).collect(),
            names: raw.iter().map(|set| set_name::<T>(&set.name, checker)).collect(),
            states: raw.iter().map(|_| State::New).collect(),
            complete,
            room: MAX_EXPANDED,
        };
        let parts: Vec<Option<Vec<Part<T>>>> =
            raw.iter().map(|set| sets.set_parts(set, checker)).collect();
        for at in 0..raw.len() {
            sets.write_out(at, &parts, checker);
        }
        sets
    }

    /// A list of a rule. `None` if something is wrong with it.
    pub(crate) fn list(
        &mut self,
        key: &'static str,
        given: &Located<Vec<Located<String>>>,
        checker: &mut Checker<'_>,
    ) -> Option<Listed<T>> {
        if given.value.is_empty() {
            checker.empty(key, &given.span, "one element or more, or it to be left out: any");
            return None;
        }
        let parts = self.parts(key, given, checker)?;
        let expanded = self.join(&parts, given, checker)?;
        Some(Listed { written: written(given), expanded })
    }

    /// The sets, if nothing was wrong with any.
    pub(crate) fn finish(self) -> Option<Vec<NamedSet<T>>> {
        let all = self.raw.iter().zip(self.names).zip(self.states);
        all.map(|((raw, name), state)| {
            let State::Done(Some(expanded)) = state else { return None };
            let members = Listed { written: written(raw.list.as_ref()?), expanded };
            Some(NamedSet { name: name?, members })
        })
        .collect()
    }

    fn set_parts(&self, set: &NamedList, checker: &mut Checker<'_>) -> Option<Vec<Part<T>>> {
        let (name, list) = (&set.name.value, set.list.as_ref()?);
        if list.value.is_empty() {
            checker.empty(name, &list.span, "one element or more");
            return None;
        }
        self.parts(name, list, checker)
    }

    fn parts(
        &self,
        key: &str,
        given: &Located<Vec<Located<String>>>,
        checker: &mut Checker<'_>,
    ) -> Option<Vec<Part<T>>> {
        let parts: Vec<_> =
            given.value.iter().filter_map(|element| self.part(key, element, checker)).collect();
        (parts.len() == given.value.len()).then_some(parts)
    }

    fn part(
        &self,
        key: &str,
        given: &Located<String>,
        checker: &mut Checker<'_>,
    ) -> Option<Part<T>> {
        let place = Place::Element(key);
        if let Some(members) = checker.parse_with(place, given, T::parse)? {
            return Some(Part::Members(members));
        }
        let found = self.places.get(given.value.as_str()).copied();
        if found.is_none() && self.complete {
            let names = self.raw.iter().map(|set| set.name.value.as_str());
            let own = T::own_names().map(|name| -> &'r str { name });
            let (count, names) = (names.len(), names.chain(own));
            checker.unknown_name(place, given, T::EXPECTED, count, names);
        }
        found.map(Part::Set)
    }

    /// Writes out a set and those inside of it. The stack is one of our own: sets can be nested as
    /// deep as the file is long.
    fn write_out(
        &mut self,
        root: usize,
        parts: &[Option<Vec<Part<T>>>],
        checker: &mut Checker<'_>,
    ) {
        let mut stack = vec![(root, 0)];
        while let Some((at, next)) = stack.pop() {
            if matches!(self.states.get(at), Some(State::Done(_)) | None) {
                continue;
            }
            self.set_state(at, State::Open);
            let parts_here = parts.get(at).and_then(Option::as_ref);
            match parts_here.and_then(|parts| parts.get(next)) {
                Some(Part::Members(_)) => stack.push((at, next + 1)),
                Some(&Part::Set(inner)) => {
                    stack.push((at, next + 1));
                    match self.states.get(inner) {
                        Some(State::New) => stack.push((inner, 0)),
                        Some(State::Open) => {
                            self.cycle(at, next, checker);
                            self.set_state(at, State::Done(None));
                        }
                        Some(State::Done(_)) | None => {}
                    }
                }
                None => {
                    let list = self.raw.get(at).and_then(|set| set.list.as_ref());
                    let members = match (parts_here, list) {
                        (Some(parts), Some(list)) => self.join(parts, list, checker),
                        _ => None,
                    };
                    self.set_state(at, State::Done(members));
                }
            }
        }
    }

    fn set_state(&mut self, at: usize, state: State<T>) {
        if let Some(place) = self.states.get_mut(at) {
            *place = state;
        }
    }

    /// Complains of a set that is inside of itself.
    fn cycle(&self, at: usize, element: usize, checker: &mut Checker<'_>) {
        let Some(set) = self.raw.get(at) else { return };
        let list = set.list.as_ref().map_or(&[][..], |list| &list.value);
        let Some(inner) = list.get(element) else { return };
        let found = if inner.value == set.name.value {
            format!("the set `{}` holds itself", inner.value)
        } else {
            format!("the set `{}` holds `{}`, which holds it", set.name.value, inner.value)
        };
        checker.report(Diagnostic::new(&inner.span, found, "no set inside of itself"));
    }

    /// What is in all of these. One set alone is shared, not copied.
    fn join(
        &mut self,
        parts: &[Part<T>],
        given: &Located<Vec<Located<String>>>,
        checker: &mut Checker<'_>,
    ) -> Option<Arc<[T]>> {
        let mut size = 0;
        for part in parts {
            size += self.members(part)?.len();
        }
        let exhausted = self.room == 0;
        self.room = self.room.saturating_sub(size);
        if self.room == 0 {
            if !exhausted {
                let found = "all sets and rules, with the sets they name written out";
                let expected = format!("fewer than {MAX_EXPANDED} elements up to here");
                checker.report(Diagnostic::new(&given.span, found, expected));
            }
            return None;
        }
        if let [Part::Set(one)] = parts
            && let Some(State::Done(Some(members))) = self.states.get(*one)
        {
            return Some(Arc::clone(members));
        }
        let mut members = Vec::with_capacity(size);
        for part in parts {
            members.extend_from_slice(self.members(part)?);
        }
        T::compact(&mut members);
        Some(members.into())
    }

    fn members<'p>(&'p self, part: &'p Part<T>) -> Option<&'p [T]> {
        match part {
            Part::Members(members) => Some(members),
            Part::Set(at) => match self.states.get(*at) {
                Some(State::Done(Some(members))) => Some(members),
                _ => None,
            },
        }
    }
}

fn set_name<T: Member>(given: &Located<String>, checker: &mut Checker<'_>) -> Option<SetName> {
    let means_something = |name: &SetName| T::own_names().any(|own| own == name.as_str());
    match given.value.parse::<SetName>() {
        Ok(name) if means_something(&name) => {
            let found = format!("a set of the name `{name}`");
            let expected = format!("another name: `{name}` is a service itself");
            checker.report(Diagnostic::new(&given.span, found, expected));
            None
        }
        Ok(name) => Some(name),
        Err(expected) => {
            let found = format!("a set of the name {}", quoted(&given.value));
            checker.report(Diagnostic::new(&given.span, found, expected.to_string()));
            None
        }
    }
}

fn written(given: &Located<Vec<Located<String>>>) -> Vec<String> {
    given.value.iter().map(|element| element.value.clone()).collect()
}
