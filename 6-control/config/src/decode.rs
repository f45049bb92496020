//! From the TOML document to the raw types.
//!
//! Each raw type says which keys it has by asking a [`Table`] for them. The table notes what it was
//! asked for, so whatever else stands in the file is an unknown key, and the list of known keys
//! can't differ from the keys that are read.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::{Diagnostic, Diagnostics, Kind};
use crate::source::{Located, Span};
use crate::suggest;

/// Where a value stands, in words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place<'k> {
    /// It is the value of this key.
    Value(&'k str),
    /// It is an element of the array under this key.
    Element(&'k str),
}

impl Place<'_> {
    /// "`key` is ..." or "`key` holds ...".
    pub(crate) fn found(self, what: &str) -> String {
        match self {
            Self::Value(key) => format!("`{key}` is {what}"),
            Self::Element(key) => format!("`{key}` holds {what}"),
        }
    }
}

/// A type that can be read from a TOML value.
pub(crate) trait Decode: Sized {
    /// How a table of this type is called in messages; `None` for what is no table.
    const SECTION: Option<&'static str> = None;

    /// Reads the value, or says what is wrong with it.
    fn decode(
        value: &Spanned<DeValue<'_>>,
        place: Place<'_>,
        errors: &mut Diagnostics,
    ) -> Option<Self>;
}

/// A type that can be read from a TOML table.
pub(crate) trait DecodeTable: Sized {
    /// How the table is called in messages, `[gateway]`.
    const TITLE: &'static str;

    /// Asks the table for each key.
    fn fields(table: &mut Table<'_, '_>) -> Self;
}

/// A table of the document while it is being read.
pub(crate) struct Table<'t, 'i> {
    title: &'static str,
    span: Span,
    entries: &'t DeTable<'i>,
    known: Vec<&'static str>,
    /// Those of the known keys that this version serves.
    offered: Vec<&'static str>,
    /// Whether a value could not be read.
    unread: bool,
    errors: &'t mut Diagnostics,
}

impl<'t, 'i> Table<'t, 'i> {
    /// Reads a table whole, and complains of the keys that were not asked for.
    pub(crate) fn read<T: DecodeTable>(
        entries: &'t DeTable<'i>,
        span: Span,
        errors: &'t mut Diagnostics,
    ) -> T {
        let mut table = Self::new(T::TITLE, entries, span, errors);
        let fields = T::fields(&mut table);
        table.complain_of_the_unknown();
        fields
    }

    fn new(
        title: &'static str,
        entries: &'t DeTable<'i>,
        span: Span,
        errors: &'t mut Diagnostics,
    ) -> Self {
        let (known, offered) = (Vec::new(), Vec::new());
        Self { title, span, entries, known, offered, unread: false, errors }
    }

    /// A key that may be left out.
    pub(crate) fn optional<T: Decode>(&mut self, key: &'static str) -> Option<Located<T>> {
        self.known.push(key);
        self.offered.push(key);
        let value = self.entries.get(key)?;
        let decoded = T::decode(value, Place::Value(key), self.errors);
        self.unread |= decoded.is_none();
        Some(Located { value: decoded?, span: value.span() })
    }

    /// A key that must be there.
    pub(crate) fn required<T: Decode>(&mut self, key: &'static str) -> Option<Located<T>> {
        if !self.entries.contains_key(key) {
            let found = format!("no `{key}` in {}", self.title);
            let expected = format!("a key `{key}`");
            self.errors.push(Diagnostic::new(&self.span, found, expected).kind(Kind::Absence));
        }
        self.optional(key)
    }

    /// A key that this version knows and does not serve.
    pub(crate) fn unavailable<T>(&mut self, key: &'static str, without: &str) -> Option<T> {
        self.known.push(key);
        let (name, _) = self.entries.get_key_value(key)?;
        let found = format!("`{key}` is not available in this version of Portcullis");
        let expected = format!("it to be left out: {without}");
        self.errors.push(Diagnostic::new(&name.span(), found, expected));
        None
    }

    /// Whether something stands in the table that was not understood, so that what seems to be
    /// missing may be just that. To be asked last.
    pub(crate) fn has_unread(&self) -> bool {
        self.unread || self.unknown().next().is_some()
    }

    fn unknown(&self) -> impl Iterator<Item = (&'t str, Span)> {
        self.entries
            .iter()
            .map(|(key, _)| (key.get_ref().as_ref(), key.span()))
            .filter(|(name, _)| !self.known.contains(name))
    }

    fn complain_of_the_unknown(self) {
        let mut errors = Vec::new();
        for (name, span) in self.unknown() {
            let found = format!("unknown key `{name}` in {}", self.title);
            let expected = format!("one of `{}`", self.offered.join("`, `"));
            let mut error = Diagnostic::new(&span, found, expected);
            if let Some(meant) = suggest::nearest(name, self.offered.iter().copied()) {
                error = error.help(format!("did you mean `{meant}`?"));
            }
            errors.push(error);
        }
        self.errors.extend(errors);
    }
}

/// The keys that a table of this type may have.
#[cfg(test)]
pub(crate) fn known_keys<T: DecodeTable>() -> Vec<&'static str> {
    let empty = DeTable::new();
    let mut errors = Diagnostics::default();
    let mut table = Table::new(T::TITLE, &empty, 0..0, &mut errors);
    let _ = T::fields(&mut table);
    table.known
}

impl<T: DecodeTable> Decode for T {
    const SECTION: Option<&'static str> = Some(T::TITLE);

    fn decode(
        value: &Spanned<DeValue<'_>>,
        place: Place<'_>,
        errors: &mut Diagnostics,
    ) -> Option<Self> {
        match value.get_ref() {
            DeValue::Table(entries) => Some(Table::read(entries, value.span(), errors)),
            other => mismatch(other, value.span(), place, "a table", errors),
        }
    }
}

impl<T: Decode> Decode for Vec<Located<T>> {
    fn decode(
        value: &Spanned<DeValue<'_>>,
        place: Place<'_>,
        errors: &mut Diagnostics,
    ) -> Option<Self> {
        let Place::Value(key) = place else {
            return mismatch(value.get_ref(), value.span(), place, "no array in an array", errors);
        };
        let DeValue::Array(elements) = value.get_ref() else {
            let expected = match T::SECTION {
                Some(section) => format!("an array of tables, `{section}`"),
                None => "an array, in `[` and `]`".to_owned(),
            };
            return mismatch(value.get_ref(), value.span(), place, &expected, errors);
        };
        let mut decoded = Vec::with_capacity(elements.len());
        let mut complete = true;
        for element in elements.iter() {
            match T::decode(element, Place::Element(key), errors) {
                Some(value) => decoded.push(Located { value, span: element.span() }),
                None => complete = false,
            }
        }
        complete.then_some(decoded)
    }
}

impl Decode for String {
    fn decode(
        value: &Spanned<DeValue<'_>>,
        place: Place<'_>,
        errors: &mut Diagnostics,
    ) -> Option<Self> {
        match value.get_ref() {
            DeValue::String(text) => Some(text.clone().into_owned()),
            other => mismatch(other, value.span(), place, "a string, in quotes", errors),
        }
    }
}

impl Decode for bool {
    fn decode(
        value: &Spanned<DeValue<'_>>,
        place: Place<'_>,
        errors: &mut Diagnostics,
    ) -> Option<Self> {
        match value.get_ref() {
            DeValue::Boolean(flag) => Some(*flag),
            other => mismatch(other, value.span(), place, "`true` or `false`", errors),
        }
    }
}

impl Decode for i64 {
    fn decode(
        value: &Spanned<DeValue<'_>>,
        place: Place<'_>,
        errors: &mut Diagnostics,
    ) -> Option<Self> {
        let found = value.get_ref();
        match found {
            DeValue::Integer(digits) => Self::from_str_radix(digits.as_str(), digits.radix())
                .ok()
                .or_else(|| mismatch(found, value.span(), place, "a smaller number", errors)),
            other => mismatch(other, value.span(), place, "a number, without quotes", errors),
        }
    }
}

/// Complains of a value of the wrong type.
pub(crate) fn mismatch<T>(
    found: &DeValue<'_>,
    span: Span,
    place: Place<'_>,
    expected: &str,
    errors: &mut Diagnostics,
) -> Option<T> {
    errors.push(Diagnostic::new(&span, place.found(&describe(found)), expected));
    None
}

/// A value in words.
fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the string {}", quoted(text)),
        DeValue::Integer(digits) => format!("the number {digits}"),
        DeValue::Float(digits) => format!("the fraction {digits}"),
        DeValue::Boolean(flag) => format!("`{flag}`"),
        DeValue::Datetime(_) => "a date or time".to_owned(),
        DeValue::Array(_) => "an array".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// The text in quotes; cut where it is too long to be read.
pub(crate) fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("\"{}...\"", text.get(..end).unwrap_or(text)),
        None => format!("\"{text}\""),
    }
}
