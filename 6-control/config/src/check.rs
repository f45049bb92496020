//! What the checks of the sections have in common.

use std::fmt;
use std::str::FromStr;

use crate::decode::{Place, quoted};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::source::Located;

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
}

impl<'d> Checker<'d> {
    pub(crate) fn new(errors: &'d mut Diagnostics) -> Self {
        Self { errors }
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
}
