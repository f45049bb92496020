//! Standard output: buffered, and coloured only where somebody can see it.

use std::env;
use std::io::{self, BufWriter, IsTerminal, StdoutLock};

/// Whether to use colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Paint {
    Plain,
    Ansi,
}

impl Paint {
    pub(crate) fn of_stdout() -> Self {
        Self::of(io::stdout().is_terminal())
    }

    pub(crate) fn of_stderr() -> Self {
        Self::of(io::stderr().is_terminal())
    }

    fn of(is_terminal: bool) -> Self {
        // https://no-color.org: set and not empty.
        let unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || env::var_os("TERM").is_some_and(|value| value == "dumb");
        if is_terminal && !unwanted { Self::Ansi } else { Self::Plain }
    }
}

/// Standard output, to be flushed by its owner: what goes wrong when it is dropped is not seen.
pub(crate) fn buffered_stdout() -> BufWriter<StdoutLock<'static>> {
    BufWriter::with_capacity(64 << 10, stdout())
}

/// Standard output for a few lines.
pub(crate) fn stdout() -> StdoutLock<'static> {
    io::stdout().lock()
}
