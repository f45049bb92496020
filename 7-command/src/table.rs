//! Tables for people.

use std::fmt::{self, Display};
use std::io::{self, Write};

use crate::output::Paint;

/// Rows that are kept until the widths of columns are decided. Later rows that are wider stand out:
/// the price for showing a million of them as they come.
const LOOKAHEAD: usize = 1000;

/// What stands between columns.
const GAP: &str = "  ";

/// To which side a column is aligned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Align {
    Left,
    Right,
}

/// How something looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Look {
    Plain,
    Good,
    Bad,
    Notable,
    Heading,
}

impl Look {
    fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Good => Some("32"),
            Self::Bad => Some("1;31"),
            Self::Notable => Some("33"),
            Self::Heading => Some("1"),
        }
    }

    /// The text, looking so.
    pub(crate) fn on(self, text: &str, paint: Paint) -> impl Display {
        fmt::from_fn(move |f| match (paint, self.code()) {
            (Paint::Ansi, Some(code)) => write!(f, "\x1b[{code}m{text}\x1b[0m"),
            (Paint::Ansi | Paint::Plain, _) => f.write_str(text),
        })
    }
}

/// One field of a table.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    look: Look,
}

impl Cell {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), look: Look::Plain }
    }

    pub(crate) fn look(mut self, look: Look) -> Self {
        self.look = look;
        self
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text)
    }
}

/// A table, written as its rows come.
#[derive(Debug)]
pub(crate) struct Table<W> {
    out: W,
    paint: Paint,
    aligns: Vec<Align>,
    /// Decided once there are as many rows as are looked ahead.
    widths: Option<Vec<usize>>,
    waiting: Vec<Vec<Cell>>,
    empty: bool,
}

impl<W: Write> Table<W> {
    pub(crate) fn new(out: W, paint: Paint, columns: &[(&str, Align)]) -> Self {
        let heading = columns.iter().map(|&(title, _)| Cell::new(title).look(Look::Heading));
        Self {
            out,
            paint,
            aligns: columns.iter().map(|&(_, align)| align).collect(),
            widths: None,
            waiting: vec![heading.collect()],
            empty: true,
        }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: Vec<Cell>) -> io::Result<()> {
        self.empty = false;
        match &self.widths {
            Some(widths) => write_row(&mut self.out, self.paint, &self.aligns, widths, &cells),
            None => {
                self.waiting.push(cells);
                if self.waiting.len() > LOOKAHEAD { self.decide() } else { Ok(()) }
            }
        }
    }

    /// Ends the table. One without rows is not shown; `otherwise` is said instead.
    pub(crate) fn end(mut self, otherwise: &str) -> io::Result<()> {
        if self.empty {
            writeln!(self.out, "{otherwise}")?;
        } else if self.widths.is_none() {
            self.decide()?;
        }
        self.out.flush()
    }

    fn decide(&mut self) -> io::Result<()> {
        let mut widths = vec![0; self.aligns.len()];
        for row in &self.waiting {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.width().max(*width);
            }
        }
        for row in std::mem::take(&mut self.waiting) {
            write_row(&mut self.out, self.paint, &self.aligns, &widths, &row)?;
        }
        self.widths = Some(widths);
        // What was looked at may be all there is for a while.
        self.out.flush()
    }
}

fn write_row(
    out: &mut impl Write,
    paint: Paint,
    aligns: &[Align],
    widths: &[usize],
    cells: &[Cell],
) -> io::Result<()> {
    // Nothing is written after the last text of a row: no spaces at the ends of lines.
    let used = cells.iter().rposition(|cell| !cell.text.is_empty()).map_or(0, |last| last + 1);
    for (at, (cell, (&align, &width))) in
        cells.iter().zip(aligns.iter().zip(widths)).take(used).enumerate()
    {
        if at > 0 {
            out.write_all(GAP.as_bytes())?;
        }
        let padding = width.saturating_sub(cell.width());
        if align == Align::Right {
            write!(out, "{:padding$}", "")?;
        }
        write!(out, "{}", cell.look.on(&cell.text, paint))?;
        if align == Align::Left && at + 1 < used {
            write!(out, "{:padding$}", "")?;
        }
    }
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [(&str, Align); 3] =
        [("NAME", Align::Left), ("COUNT", Align::Right), ("NOTE", Align::Left)];

    fn table(paint: Paint, rows: Vec<Vec<Cell>>) -> String {
        let mut out = Vec::new();
        let mut table = Table::new(&mut out, paint, &COLUMNS);
        for row in rows {
            table.row(row).expect("written");
        }
        table.end("nothing").expect("written");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_and_lines_end_with_text() {
        let rows = vec![
            vec!["a".into(), "1,000".into(), "good".into()],
            vec!["longest".into(), "7".into(), "".into()],
        ];
        let shown = table(Paint::Plain, rows);
        assert_eq!(shown, "NAME     COUNT  NOTE\na        1,000  good\nlongest      7\n");
    }

    #[test]
    fn colours_do_not_count_as_width() {
        let row = vec![Cell::new("a").look(Look::Bad), "1".into(), "x".into()];
        let shown = table(Paint::Ansi, vec![row]);
        assert!(shown.ends_with("\x1b[1;31ma\x1b[0m         1  x\n"), "{shown:?}");
    }

    #[test]
    fn an_empty_table_is_one_sentence() {
        assert_eq!(table(Paint::Plain, Vec::new()), "nothing\n");
    }

    #[test]
    fn rows_beyond_the_lookahead_are_written_at_once() {
        let mut out = Vec::new();
        let mut table = Table::new(&mut out, Paint::Plain, &COLUMNS);
        for number in 0..LOOKAHEAD * 3 {
            table.row(vec!["row".into(), number.to_string().into(), "".into()]).expect("written");
            assert!(table.waiting.len() <= LOOKAHEAD);
        }
        table.end("nothing").expect("written");
        assert_eq!(String::from_utf8(out).expect("text").lines().count(), LOOKAHEAD * 3 + 1);
    }
}
