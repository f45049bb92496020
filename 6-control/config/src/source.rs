//! Places in the text of the file.

use std::ops::Range;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};
use std::borrow::Cow;

/// A range of bytes in the text.
pub(crate) type Span = Range<usize>;

/// A value, and where in the file it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Located<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

impl<T> Located<T> {
    /// A value that comes from no file: a default, or one on its way back to text.
    pub(crate) fn nowhere(value: T) -> Self {
        Self { value, span: 0..0 }
    }

    /// Another value from the same place.
    pub(crate) fn with<U>(&self, value: U) -> Located<U> {
        Located { value, span: self.span.clone() }
    }
}

impl<T: Serialize> Serialize for Located<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

impl<T: JsonSchema> JsonSchema for Located<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// Finds lines and columns in a text.
#[derive(Debug)]
pub(crate) struct Lines<'t> {
    text: &'t str,
    /// Where each line begins.
    starts: Vec<usize>,
    /// How many characters stand before each multiple of [`STRIDE`] bytes. Without this, a million
    /// errors in one line would each count that line's characters.
    counted: Vec<usize>,
}

/// Bytes between two counts of characters.
const STRIDE: usize = 1024;

/// One line of the text, without its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'t> {
    /// Counted from 1.
    pub(crate) number: usize,
    /// Offset of its first byte.
    pub(crate) start: usize,
    pub(crate) text: &'t str,
}

impl<'t> Lines<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        let ends =
            text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n').map(|(at, _)| at + 1);
        let starts = std::iter::once(0).chain(ends).collect();
        let mut total = 0;
        let counted = text
            .as_bytes()
            .chunks(STRIDE)
            .map(|chunk| {
                let before = total;
                total += characters(chunk);
                before
            })
            .collect();
        Self { text, starts, counted }
    }

    /// The column of a byte offset, counted in characters from 1.
    pub(crate) fn column(&self, offset: usize) -> usize {
        let line = self.line(offset);
        let end = line.start + line.text.len();
        1 + self.characters_before(offset.min(end)) - self.characters_before(line.start)
    }

    fn characters_before(&self, offset: usize) -> usize {
        let at = (offset / STRIDE).min(self.counted.len().saturating_sub(1));
        let rest = self.text.as_bytes().get(at * STRIDE..offset).unwrap_or_default();
        self.counted.get(at).copied().unwrap_or(0) + characters(rest)
    }

    /// The line that holds the byte at `offset`.
    pub(crate) fn line(&self, offset: usize) -> Line<'t> {
        let number = self.starts.partition_point(|&start| start <= offset).max(1);
        let start = self.starts.get(number - 1).copied().unwrap_or(0);
        let end = self.starts.get(number).map_or(self.text.len(), |&next| next - 1);
        let text = self.text.get(start..end).unwrap_or("");
        Line { number, start, text: text.strip_suffix('\r').unwrap_or(text) }
    }
}

/// How many characters begin in these bytes of UTF-8.
fn characters(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte & 0xc0 != 0x80).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_characters_from_one() {
        let lines = Lines::new("a = 1\r\nümlaut = 2\n");
        assert_eq!(lines.line(0).number, 1);
        assert_eq!(lines.line(0).text, "a = 1");
        let at = "a = 1\r\nüm".len();
        let second = lines.line(at);
        assert_eq!((second.number, second.text), (2, "ümlaut = 2"));
        assert_eq!(lines.column(at), 3);
    }

    #[test]
    fn an_offset_past_the_end_is_on_the_last_line() {
        let lines = Lines::new("a\nb");
        assert_eq!((lines.line(99).number, lines.column(99)), (2, 2));
        assert_eq!(Lines::new("").line(0).number, 1);
        assert_eq!(Lines::new("a\n").line(2).number, 2);
    }

    #[test]
    fn columns_are_right_far_into_a_long_line() {
        let text = format!("first\n{}", "ü".repeat(5 * STRIDE));
        let lines = Lines::new(&text);
        assert_eq!(lines.column("first\n".len() + 2 * 4000), 4001);
        assert_eq!(lines.column(text.len()), 5 * STRIDE + 1);
    }
}
