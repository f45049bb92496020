//! What is wrong with a file, place by place.

use std::collections::BTreeSet;
use std::fmt;

use crate::render;
use crate::source::{Lines, Located, Span};

/// Most errors that are shown. A file with more is not being written by hand.
const MAX_SHOWN: usize = 1000;

/// How much a diagnostic says when the file is not even TOML.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// The text is not TOML.
    Syntax,
    /// Something stands in the file that must not stand there, or not so.
    Presence,
    /// Something does not stand in the file. It may stand in what could not be read.
    Absence,
}

/// One thing that is wrong: where, what was found there, and what was expected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    pub(crate) kind: Kind,
    pub(crate) span: Span,
    pub(crate) found: String,
    pub(crate) expected: String,
    pub(crate) help: Option<String>,
    pub(crate) related: Option<Located<String>>,
    line: usize,
    column: usize,
}

impl Diagnostic {
    pub(crate) fn new(span: &Span, found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self {
            kind: Kind::Presence,
            span: span.clone(),
            found: found.into(),
            expected: expected.into(),
            help: None,
            related: None,
            line: 0,
            column: 0,
        }
    }

    pub(crate) fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// Adds a line of advice.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Points at a second place in the file.
    pub(crate) fn related(mut self, span: &Span, label: impl Into<String>) -> Self {
        self.related = Some(Located { value: label.into(), span: span.clone() });
        self
    }

    /// The line, counted from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// The column, counted in characters from 1.
    #[must_use]
    pub fn column(&self) -> usize {
        self.column
    }

    /// What was found there.
    #[must_use]
    pub fn found(&self) -> &str {
        &self.found
    }

    /// What was expected instead.
    #[must_use]
    pub fn expected(&self) -> &str {
        &self.expected
    }
}

/// Diagnostics while they are being collected.
#[derive(Default, Debug)]
pub(crate) struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    pub(crate) fn extend(&mut self, diagnostics: impl IntoIterator<Item = Diagnostic>) {
        self.0.extend(diagnostics);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The diagnostics with their places, in the order of the file. Where the text is not TOML,
    /// what follows from that (something not there, or on the same line) is left out.
    pub(crate) fn into_report(self, file: &str, text: &str) -> Report {
        let lines = Lines::new(text);
        let mut errors = self.0;
        for error in &mut errors {
            let line = lines.line(error.span.start);
            error.line = line.number;
            error.column = lines.column(error.span.start);
        }
        let broken: BTreeSet<usize> =
            errors.iter().filter(|error| error.kind == Kind::Syntax).map(|e| e.line).collect();
        if !broken.is_empty() {
            errors.retain(|error| match error.kind {
                Kind::Syntax => true,
                Kind::Presence => !broken.contains(&error.line),
                Kind::Absence => false,
            });
        }
        errors.sort_by_key(|error| error.span.start);
        Report { file: file.to_owned(), text: text.to_owned(), errors }
    }
}

/// Everything that is wrong with a file. Displayed, it shows each error with the line it is in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    file: String,
    text: String,
    errors: Vec<Diagnostic>,
}

impl Report {
    /// The errors, in the order of the file.
    #[must_use]
    pub fn errors(&self) -> &[Diagnostic] {
        &self.errors
    }

    /// The report as text for a terminal, with colours.
    #[must_use]
    pub fn colored(&self) -> impl fmt::Display {
        fmt::from_fn(|f| self.write(f, render::Paint::Ansi))
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, paint: render::Paint) -> fmt::Result {
        let lines = Lines::new(&self.text);
        for error in self.errors.iter().take(MAX_SHOWN) {
            render::diagnostic(f, &self.file, &lines, error, paint)?;
        }
        let count = self.errors.len();
        let errors = if count == 1 { "error" } else { "errors" };
        write!(f, "{}: {count} {errors}", self.file)?;
        if count > MAX_SHOWN {
            write!(f, ", of which the first {MAX_SHOWN} are shown")?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, render::Paint::Plain)
    }
}

impl std::error::Error for Report {}
