//! Shows a diagnostic with the lines of the file that it is about.
//!
//! The first line has the form `file:line:column: error: ...`, which editors and CI systems find
//! their way by. Below it are the lines of the file, with what is meant underlined.

use std::fmt::{self, Write};

use crate::diagnostic::Diagnostic;
use crate::source::{Line, Lines, Span};

/// Most characters of a line that are shown.
const WIDTH: usize = 120;

/// Characters shown before the place, where a line is too long to be shown whole.
const LEAD: usize = 40;

/// Whether to use colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Paint {
    Plain,
    Ansi,
}

/// What a piece of text is, which decides its colour.
#[derive(Clone, Copy)]
enum Role {
    Error,
    Note,
    Frame,
    Strong,
}

impl Paint {
    fn write(self, f: &mut fmt::Formatter<'_>, role: Role, text: &str) -> fmt::Result {
        let code = match role {
            Role::Error => "1;31",
            Role::Note => "1;36",
            Role::Frame => "34",
            Role::Strong => "1",
        };
        match self {
            Self::Plain => f.write_str(text),
            Self::Ansi => write!(f, "\x1b[{code}m{text}\x1b[0m"),
        }
    }
}

/// A place, with what to write under it.
struct Mark<'d> {
    span: &'d Span,
    label: &'d str,
    rule: char,
    role: Role,
}

/// Writes one diagnostic, ended by an empty line.
pub(crate) fn diagnostic(
    f: &mut fmt::Formatter<'_>,
    file: &str,
    lines: &Lines<'_>,
    error: &Diagnostic,
    paint: Paint,
) -> fmt::Result {
    paint.write(f, Role::Strong, &format!("{file}:{}:{}: ", error.line(), error.column()))?;
    paint.write(f, Role::Error, "error")?;
    paint.write(f, Role::Strong, &format!(": {}", printable(&error.found)))?;
    f.write_char('\n')?;

    let expected = format!("expected {}", error.expected);
    let mut marks =
        vec![Mark { span: &error.span, label: &expected, rule: '^', role: Role::Error }];
    if let Some(related) = &error.related {
        marks.push(Mark {
            span: &related.span,
            label: &related.value,
            rule: '-',
            role: Role::Note,
        });
    }
    marks.sort_by_key(|mark| mark.span.start);
    let gutter = marks
        .iter()
        .map(|mark| lines.line(mark.span.start).number.to_string().len())
        .max()
        .unwrap_or(1);

    paint.write(f, Role::Frame, &format!("{:gutter$} |\n", ""))?;
    let mut shown: Option<(usize, usize)> = None;
    for mark in &marks {
        let line = lines.line(mark.span.start);
        let from = first_shown(&line, mark);
        if shown.is_some_and(|(number, _)| line.number > number + 1) {
            paint.write(f, Role::Frame, "...\n")?;
        }
        if shown != Some((line.number, from)) {
            let text = line.text.get(from..).unwrap_or("");
            paint.write(f, Role::Frame, &format!("{:gutter$} |", line.number))?;
            writeln!(f, " {}", printable(clip(text)).trim_end())?;
        }
        underline(f, gutter, &line, from, mark, paint)?;
        shown = Some((line.number, from));
    }
    if let Some(help) = &error.help {
        paint.write(f, Role::Frame, &format!("{:gutter$} = ", ""))?;
        writeln!(f, "help: {}", printable(help))?;
    }
    f.write_char('\n')
}

/// Where the shown part of a line begins: at its start if all of it can be shown, else somewhat
/// before the mark.
fn first_shown(line: &Line<'_>, mark: &Mark<'_>) -> usize {
    if clip(line.text).len() == line.text.len() {
        return 0;
    }
    let before = line.text.get(..mark.span.start - line.start).unwrap_or(line.text);
    before.char_indices().rev().nth(LEAD).map_or(0, |(at, _)| at)
}

/// What can be shown of a text.
fn clip(text: &str) -> &str {
    text.char_indices().nth(WIDTH).and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

/// The line with the mark and its label, below what is shown of a line from byte `from` on.
fn underline(
    f: &mut fmt::Formatter<'_>,
    gutter: usize,
    line: &Line<'_>,
    from: usize,
    mark: &Mark<'_>,
    paint: Paint,
) -> fmt::Result {
    let start = (mark.span.start - line.start).min(line.text.len());
    let end = (mark.span.end.max(mark.span.start) - line.start).min(line.text.len());
    let indent = line.text.get(from..start).map_or(0, |text| text.chars().count());
    let marked = line.text.get(start..end).unwrap_or("");
    let length = clip(marked).chars().count().min(WIDTH.saturating_sub(indent)).max(1);
    let rule: String = std::iter::repeat_n(mark.rule, length).collect();
    paint.write(f, Role::Frame, &format!("{:gutter$} |", ""))?;
    write!(f, " {:indent$}", "")?;
    paint.write(f, mark.role, &format!("{rule} {}", printable(mark.label)))?;
    f.write_char('\n')
}

/// The text with each control character replaced by one visible character, so that a file cannot
/// write to the terminal of whoever checks it.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' => ' ',
            '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'),
            _ if c.is_control() => '\u{fffd}',
            _ => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::diagnostic::{Diagnostic, Diagnostics};

    fn report(text: &str, diagnostic: Diagnostic) -> String {
        let mut diagnostics = Diagnostics::default();
        diagnostics.push(diagnostic);
        diagnostics.into_report("f.toml", text).to_string()
    }

    #[test]
    fn both_places_are_shown_in_the_order_of_the_file() {
        let text = "a = 1\nb = 2\nc = 3\na = 4\n";
        let shown = report(
            text,
            Diagnostic::new(&(18..19), "`a` twice", "it once").related(&(0..1), "first here"),
        );
        let expected = "\
f.toml:4:1: error: `a` twice
  |
1 | a = 1
  | - first here
...
4 | a = 4
  | ^ expected it once

f.toml: 1 error";
        assert_eq!(shown, expected);
    }

    #[test]
    fn control_characters_and_tabs_do_not_reach_the_terminal_or_move_the_mark() {
        let text = "\tk = \"\x1b[2J\"\n";
        let shown = report(text, Diagnostic::new(&(5..11), "`k` is \"\x1b[2J\"", "a name"));
        assert!(!shown.contains('\x1b'), "{shown}");
        assert!(
            shown.contains("1 |  k = \"\u{241b}[2J\"\n  |      ^^^^^^ expected a name"),
            "{shown}"
        );
    }

    #[test]
    fn a_long_line_is_cut_around_its_mark() {
        let text = format!("k = \"{}\" x", "y".repeat(100_000));
        let at = text.len() - 1;
        let shown = report(&text, Diagnostic::new(&(at..at + 1), "an x", "none"));
        assert!(shown.len() < 600, "{} bytes", shown.len());
        assert!(shown.contains("y\" x\n"), "{shown}");
    }
}
