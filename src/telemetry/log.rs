//! The log: where it goes and what it looks like.
//!
//! Writing a line must never hold up the engine or an answer. The reader of standard error may be slow or stop: a pipe
//! takes 64 KiB, and then the next write waits for him. So lines go into a [queue](Queue); what does not fit is dropped
//! and counted, and a later line tells how many were dropped. Queued lines are written before the process ends, for a
//! second at most.
//!
//! Every line has its API keys [masked](masked) and its hidden characters escaped, here at the sink, so that no caller
//! can forget it.

mod queue;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::borrow::Cow;
use std::fmt;
use std::io::{self, IsTerminal as _};
use std::panic::PanicHookInfo;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tracing::Metadata;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::{DefaultFields, Writer};
use tracing_subscriber::fmt::{FormatFields, MakeWriter};

use self::queue::Queue;
use crate::access::masked;
use crate::config::LogFormat;
use crate::printable::{self, Escaping, is_hidden};

/// The environment variable with the log filter, in the syntax of `RUST_LOG`: `info`, `scalegate=debug`, ….
pub const FILTER_VARIABLE: &str = "SCALEGATE_LOG";
/// Everything scalegate has to say, and of the HTTP server only what goes wrong. A client that sends nonsense to
/// the port must not fill the log.
const DEFAULT_FILTER: &str = "info,actix_server=warn,actix_http=off";
/// The target of the line that tells how many were dropped. It must not be dropped itself.
const LOST: &str = "scalegate::log::lost";
/// Longest wait for queued lines to be written when the process ends. A reader that reads at all needs less for a full
/// queue; the operator who stopped the process waits too.
const PATIENCE: Duration = Duration::from_secs(1);

/// The log of this process, if it has one.
static LOG: OnceLock<Log> = OnceLock::new();

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter cannot be understood.
    #[error("{FILTER_VARIABLE} is not a log filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// The system refuses a thread.
    #[error("the system refuses a thread for the log: {0}")]
    System(#[from] io::Error),
}

/// Sends the log to standard error from now on, together with what panics say. Later calls in the same process change
/// nothing.
///
/// # Errors
/// If the filter in the environment cannot be understood, or the system refuses a thread.
pub fn init(format: LogFormat, default_filter: Option<&str>) -> Result<(), LogError> {
    let filter = match std::env::var(FILTER_VARIABLE) {
        Ok(filter) if !filter.trim().is_empty() => EnvFilter::builder().parse(filter)?,
        _ => EnvFilter::new(default_filter.unwrap_or(DEFAULT_FILTER)),
    };
    // Whatever the filter lets through: the number of dropped lines belongs to it.
    let filter = filter.add_directive(format!("{LOST}=warn").parse()?);
    if LOG.get().is_some() {
        return Ok(());
    }
    let queue = Queue::start(io::stderr(), |lost| {
        tracing::warn!(target: LOST, lost, "log lines were lost: they were not read in time");
    })?;
    let log = Log { queue, is_json: format == LogFormat::Json };
    if LOG.set(log.clone()).is_err() {
        return Ok(());
    }
    std::panic::set_hook(Box::new(say_panic));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(log)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty()));
    // An error means that there is a log already.
    let _ = match format {
        LogFormat::Text => builder.fmt_fields(Escaped(DefaultFields::new())).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init(),
    };
    Ok(())
}

/// Waits until all queued lines are written, a second at most. Must precede every end of the process.
pub fn flush() {
    if let Some(log) = LOG.get() {
        log.queue.flush(PATIENCE);
    }
}

/// [Flushes](flush) the log when it is dropped, however that comes about.
#[derive(Debug)]
#[must_use]
pub struct FlushAtEnd;

impl Drop for FlushAtEnd {
    fn drop(&mut self) {
        flush();
    }
}

/// Tells the user why the command cannot go on: after everything in the log, and in the same place, but in plain words.
pub fn complain(what: impl fmt::Display) {
    let line = format!("scalegate: {}\n", printable::paragraph(masked(&what.to_string())));
    match LOG.get() {
        Some(log) => log.queue.insist(line.as_bytes()),
        None => eprint!("{line}"),
    }
}

/// What the standard library says about a panic, in order with the log. Its own hook would wait for the reader of the
/// log, and with it a thread whose death other threads may have to notice. The process may end with this, and not by
/// way of `main`.
fn say_panic(panic: &PanicHookInfo<'_>) {
    let Some(log) = LOG.get() else { return };
    let thread = std::thread::current();
    let place = panic.location().map_or_else(|| "somewhere".to_owned(), ToString::to_string);
    let said = printable::one_line(panic.payload_as_str().unwrap_or("without a message"));
    let mut text = format!("\nthread '{}' panicked at {place}:\n{said}\n", thread.name().unwrap_or("<unnamed>"));
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        text.push_str(&format!("stack backtrace:\n{backtrace}"));
    }
    log.queue.insist(masked(&text).as_bytes());
    flush();
}

/// Where the lines go.
#[derive(Clone, Debug)]
struct Log {
    queue: Arc<Queue>,
    is_json: bool,
}

/// Writes fields as another one does, with everything from outside escaped: all of it is in fields, of lines or of
/// spans. Names of fields have no colours then.
struct Escaped(DefaultFields);

impl<'a> FormatFields<'a> for Escaped {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'a>, fields: R) -> fmt::Result {
        self.0.format_fields(Writer::new(&mut Escaping(&mut writer)), fields)
    }
}

/// One line, written at once.
struct Line<'a> {
    log: &'a Log,
    is_about_lost_ones: bool,
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { log: self, is_about_lost_ones: false }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line<'a> {
        Line { log: self, is_about_lost_ones: metadata.target() == LOST }
    }
}

impl io::Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let Log { queue, is_json } = self.log;
        let text = String::from_utf8_lossy(line);
        let text = masked(&text);
        let text = match text.trim_end().contains(is_hidden) {
            true if *is_json => Cow::Owned(printable::json(&text)),
            _ => text,
        };
        if self.is_about_lost_ones {
            queue.insist(text.as_bytes());
        } else {
            queue.say(text.as_bytes());
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `error` and everything behind it, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// The end of a process that is not even unwound. The test runs in a process of its own, and again in its child,
    /// which dies.
    #[test]
    fn the_last_lines_before_an_abort_are_written_in_order() {
        const DIES: &str = "THIS_PROCESS_DIES";
        const THIS: &str = "telemetry::log::tests::the_last_lines_before_an_abort_are_written_in_order";
        if std::env::var_os(DIES).is_some() {
            die();
        }
        let mut child = Command::new(std::env::current_exe().expect("a test program"));
        child.args(["--nocapture", "--exact", THIS]).env_remove(FILTER_VARIABLE).env(DIES, "yes");
        let output = child.stdout(Stdio::null()).output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), None, "killed by a signal: {said}");
        let panicked = format!("\nthread '{THIS}' panicked at src/telemetry/log.rs:");
        let mut rest = said.as_str();
        for part in ["the last line\n", &panicked, "\nthe first panic\n", &panicked, "\nthe second panic\n"] {
            rest = rest.split_once(part).unwrap_or_else(|| panic!("no {part:?} where it should be: {said}")).1;
        }
    }

    /// What comes from outside makes no lines, obeys no terminal, and turns nothing around, wherever it stands in a
    /// line.
    #[test]
    fn a_line_of_the_log_stays_one_line() {
        const SAYS: &str = "THIS_PROCESS_SAYS";
        const THIS: &str = "telemetry::log::tests::a_line_of_the_log_stays_one_line";
        const HOSTILE: &str = "x\n2026-01-31T12:00:00Z ERROR forged \u{1b}[31m\u{202e}\u{2028}\u{9b}\u{e0041}";
        if let Ok(format) = std::env::var(SAYS) {
            init(if format == "json" { LogFormat::Json } else { LogFormat::Text }, None).expect("a log");
            let _span = tracing::info_span!("request", path = HOSTILE).entered();
            let error: Box<dyn std::error::Error> = HOSTILE.into();
            tracing::info!(reason = HOSTILE, shown = %HOSTILE, debug = ?HOSTILE, error = &*error, "{HOSTILE}");
            complain(format_args!("wrong\n  {HOSTILE}"));
            flush();
            return;
        }
        for format in ["text", "json"] {
            let mut child = Command::new(std::env::current_exe().expect("a test program"));
            child.args(["--nocapture", "--exact", THIS]).env_remove(FILTER_VARIABLE).env(SAYS, format);
            let output = child.stdout(Stdio::null()).output().expect("it starts");
            let said = String::from_utf8(output.stderr).expect("text");
            assert!(!said.contains(|c| is_hidden(c) && c != '\n'), "{said:?}");
            let lines: Vec<&str> = said.lines().collect();
            assert_eq!(lines.len(), 3, "{said}");
            assert!(lines[0].matches("forged").count() == 6 && !lines[0].starts_with("2026-01-31"), "{said}");
            assert!(lines[2].starts_with("  x\\n2026-01-31"), "{said}");
            if format == "json" {
                let line: serde_json::Value = serde_json::from_str(lines[0]).expect("JSON");
                assert_eq!((&line["reason"], &line["span"]["path"]), (&HOSTILE.into(), &HOSTILE.into()));
            }
        }
    }

    fn die() {
        struct Panics;
        impl Drop for Panics {
            fn drop(&mut self) {
                panic!("the second panic");
            }
        }
        init(LogFormat::Text, None).expect("a log");
        tracing::info!("the last line");
        let _panics = Panics;
        panic!("the first panic");
    }
}
