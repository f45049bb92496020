//! What the checks of the sections have in common.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::decode::{Place, quoted};
use crate::diagnostic::{Diagnostic, Diagnostics, Kind};
use crate::source::{Located, Span};
use crate::suggest;

/// Most names that are compared with misspelt ones. A file with a million names that are not there
/// gets no suggestions for most of them, instead of the square of that many comparisons.
const MAX_COMPARED: usize = 200_000;

/// What was expected where a value is not right. Its text follows the word "expected".
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub struct Expected(String);

impl Expected {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Collects what the checks find.
#[derive(Debug)]
pub(crate) struct Checker<'d> {
    errors: &'d mut Diagnostics,
    /// How many names may still be compared with misspelt ones.
    comparisons: usize,
}

impl<'d> Checker<'d> {
    pub(crate) fn new(errors: &'d mut Diagnostics) -> Self {
        Self { errors, comparisons: MAX_COMPARED }
    }

    pub(crate) fn report(&mut self, error: Diagnostic) {
        self.errors.push(error);
    }

    /// The value of a key as the type that checks it.
    pub(crate) fn parse<T: FromStr<Err = Expected>>(
        &mut self,
        key: &'static str,
        given: &Located<String>,
    ) -> Option<T> {
        self.parse_with(Place::Value(key), given, str::parse)
    }

    /// The same, and where it stands; `None` too if it is not there.
    pub(crate) fn located<T: FromStr<Err = Expected>>(
        &mut self,
        key: &'static str,
        given: Option<&Located<String>>,
    ) -> Option<Located<T>> {
        let given = given?;
        self.parse(key, given).map(|value| given.with(value))
    }

    /// A text, by a function that says what it expected.
    pub(crate) fn parse_with<T>(
        &mut self,
        place: Place<'_>,
        given: &Located<String>,
        parse: impl FnOnce(&str) -> Result<T, Expected>,
    ) -> Option<T> {
        match parse(&given.value) {
            Ok(value) => Some(value),
            Err(Expected(expected)) => {
                let found = place.found(&quoted(&given.value));
                self.report(Diagnostic::new(&given.span, found, expected));
                None
            }
        }
    }

    /// A key that may be left out: `Some(None)` if it was, `None` if its value is wrong.
    pub(crate) fn optional<R, T>(
        &mut self,
        given: Option<&Located<R>>,
        check: impl FnOnce(&mut Self, &Located<R>) -> Option<T>,
    ) -> Option<Option<T>> {
        match given {
            None => Some(None),
            Some(given) => check(self, given).map(Some),
        }
    }

    /// A number out of a range.
    pub(crate) fn number<T: TryFrom<i64> + PartialOrd + Copy + fmt::Display>(
        &mut self,
        key: &'static str,
        given: &Located<i64>,
        range: RangeInclusive<T>,
        unit: Unit,
    ) -> Option<T> {
        let number = T::try_from(given.value).ok().filter(|number| range.contains(number));
        if number.is_none() {
            let (first, last) = (range.start(), range.end());
            let expected = match unit {
                Unit::None => format!("a number from {first} to {last}"),
                Unit::Seconds => format!("{first} to {last} (seconds)"),
            };
            let found = Place::Value(key).found(&given.value.to_string());
            self.report(Diagnostic::new(&given.span, found, expected));
        }
        number
    }

    /// Complains of a name that nothing has, and suggests the nearest of `count` candidates.
    pub(crate) fn unknown_name<'c>(
        &mut self,
        place: Place<'_>,
        given: &Located<String>,
        expected: &str,
        count: usize,
        candidates: impl Iterator<Item = &'c str>,
    ) {
        let found = place.found(&quoted(&given.value));
        let mut error = Diagnostic::new(&given.span, found, expected).kind(Kind::Absence);
        if let Some(left) = self.comparisons.checked_sub(count) {
            self.comparisons = left;
            if let Some(meant) = suggest::nearest(&given.value, candidates) {
                error = error.help(format!("did you mean `{meant}`?"));
            }
        }
        self.report(error);
    }

    /// Complains of a list in which nothing stands.
    pub(crate) fn empty(&mut self, key: &str, span: &Span, expected: &str) {
        self.report(Diagnostic::new(span, format!("`{key}` is empty"), expected));
    }
}

/// What a number counts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unit {
    None,
    Seconds,
}

/// Complains of what is there twice.
pub(crate) fn unique<'d, T: Eq + Hash + fmt::Display + 'd>(
    what: &str,
    names: impl IntoIterator<Item = &'d Located<T>>,
    checker: &mut Checker<'_>,
) {
    let mut seen = HashMap::new();
    for name in names {
        let first = *seen.entry(&name.value).or_insert(name);
        if !std::ptr::eq(first, name) {
            let found = format!("{what} `{}` is there twice", name.value);
            checker.report(
                Diagnostic::new(&name.span, found, "another one")
                    .related(&first.span, "it is taken here"),
            );
        }
    }
}
