//! `scalegate openapi`.

use std::io::Write as _;
use std::process::ExitCode;

use crate::api::openapi;

/// Prints the OpenAPI document.
pub fn run() -> ExitCode {
    match std::io::stdout().write_all(openapi::text().as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
