//! The log, on stderr.
//!
//! For people: time, level, text. For the journal, when systemd has connected stderr to it: no
//! time, which the journal adds, and the level as a syslog priority in front (sd-daemon(3)).

use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use crate::output::Paint;

/// The environment variable that says what to log, where the command line does not.
const VARIABLE: &str = "PORTCULLIS_LOG";

/// What is logged where nothing is said.
const DEFAULT: &str = "info";

/// What was said to log makes no sense.
#[derive(Debug, thiserror::Error)]
#[error(
    "{source_name} is \"{given}\": expected error, warn, info, debug or trace, or a list like info,portcullis_manager=debug"
)]
pub(crate) struct BadFilter {
    source_name: &'static str,
    given: String,
}

/// Begins to log, from here on in all threads.
pub(crate) fn start(given: Option<&str>) -> Result<(), BadFilter> {
    let from_environment = std::env::var(VARIABLE).ok().filter(|filter| !filter.is_empty());
    let (source_name, given) = match (given, from_environment) {
        (Some(given), _) => ("--log-level", given.to_owned()),
        (None, Some(given)) => (VARIABLE, given),
        (None, None) => ("the default", DEFAULT.to_owned()),
    };
    let filter = filter(&given).ok_or(BadFilter { source_name, given })?;
    // A log that nobody reads any more (a pipe that was closed) is no reason to panic.
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .log_internal_errors(false);
    if stderr_is_the_journal() {
        log.with_ansi(false).event_format(Journal).init();
    } else {
        log.with_target(false).with_ansi(Paint::of_stderr() == Paint::Ansi).init();
    }
    Ok(())
}

/// A filter, but for a misspelt level: as a directive it would be a target's name, and everything of
/// that target would be logged, which is nothing.
fn filter(given: &str) -> Option<EnvFilter> {
    let levels = ["off", "error", "warn", "info", "debug", "trace"];
    let plausible = given.split(',').all(|directive| {
        directive.contains('=') || levels.contains(&directive.to_ascii_lowercase().as_str())
    });
    if plausible { EnvFilter::try_new(given).ok() } else { None }
}

/// Whether stderr is the stream that systemd has set up (systemd.exec(5), `$JOURNAL_STREAM`), and
/// not redirected since.
fn stderr_is_the_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let stderr = io::stderr();
    let metadata = stderr.as_fd().try_clone_to_owned().and_then(|fd| File::from(fd).metadata());
    !stderr.is_terminal()
        && metadata.is_ok_and(|file| stream == format!("{}:{}", file.dev(), file.ino()))
}

/// Writes events as the journal likes them.
struct Journal;

impl<S, N> FormatEvent<S, N> for Journal
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        write!(writer, "<{}>", priority(*event.metadata().level()))?;
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            write!(writer, "{}", span.name())?;
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>()
                && !fields.is_empty()
            {
                write!(writer, "{{{fields}}}")?;
            }
            writer.write_str(": ")?;
        }
        context.field_format().format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

/// The level as syslog(3) numbers it.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        // Two levels, one priority: the journal knows nothing below debug.
        Level::DEBUG | Level::TRACE => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no writer panicked").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_journal_gets_a_priority_and_plain_text_in_one_line() {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .event_format(Journal)
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let _span = tracing::info_span!("start", worker = 1).entered();
            tracing::warn!(cpu = 3, "no sibling");
        });
        let bytes = written.0.lock().expect("no writer panicked").clone();
        let text = String::from_utf8(bytes).expect("text");
        assert_eq!(text, "<4>start{worker=1}: no sibling cpu=3\n");
    }

    #[test]
    fn levels_and_lists_are_filters_and_slips_are_not() {
        for good in ["info", "WARN", "off", "info,portcullis_manager=debug"] {
            assert!(filter(good).is_some(), "{good}");
        }
        for bad in ["infoo", "", "info,", "portcullis=loud"] {
            assert!(filter(bad).is_none(), "{bad}");
        }
    }
}
