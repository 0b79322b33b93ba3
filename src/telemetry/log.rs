//! The log: where it goes and what it looks like.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// The environment variable with the log filter, in the syntax of `RUST_LOG`: `info`, `scalegate=debug`, ….
pub const FILTER_VARIABLE: &str = "SCALEGATE_LOG";
/// Everything scalegate has to say, and of the HTTP server only what goes wrong. What goes wrong with single connections
/// is up to whoever sends nonsense to the port, and must not fill the log.
const DEFAULT_FILTER: &str = "info,actix_server=warn,actix_http=off";

/// A log filter that cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error("{FILTER_VARIABLE} is not a log filter: {0}")]
pub struct InvalidFilter(#[from] tracing_subscriber::filter::ParseError);

/// Sends the log to standard error from now on. Later calls in the same process change nothing.
///
/// # Errors
/// If the filter in the environment cannot be understood.
pub fn init(format: LogFormat, default_filter: Option<&str>) -> Result<(), InvalidFilter> {
    let filter = match std::env::var(FILTER_VARIABLE) {
        Ok(filter) if !filter.trim().is_empty() => EnvFilter::builder().parse(filter)?,
        _ => EnvFilter::new(default_filter.unwrap_or(DEFAULT_FILTER)),
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal());
    // An error means that there is a log already.
    let _ = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init(),
    };
    Ok(())
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
