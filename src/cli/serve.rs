//! `scalegate serve`.

use std::process::ExitCode;

use super::exit::Exit;
use super::output::Output;
use crate::app::{self, ServeError};
use crate::config::{self, ServeArgs};
use crate::telemetry::{self, Traces};

/// Runs the gateway until it is told to stop.
pub async fn run(args: ServeArgs) -> ExitCode {
    let loaded = match config::load(&args, std::env::vars_os()) {
        Ok(loaded) => loaded,
        Err(error) => {
            telemetry::complain(error);
            return ExitCode::from(2);
        }
    };
    if args.print_config {
        let mut output = Output::standard();
        output.lines(loaded.to_toml().lines());
        return output.finish(Exit::Done).into();
    }
    if let Err(error) = telemetry::init(loaded.config.log_format, None) {
        telemetry::complain(error);
        return ExitCode::from(2);
    }
    if let Some(exposed) = loaded.file_with_secrets().and_then(config::exposure) {
        tracing::warn!("a secret is not secret: {exposed}");
    }
    let traces = match Traces::from_environment() {
        Ok(traces) => traces,
        Err(error) => {
            telemetry::complain(telemetry::chain(&error));
            return ExitCode::from(2);
        }
    };
    match app::serve(&loaded.config, &traces).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let what = if matches!(error, ServeError::Start(_)) { "did not start" } else { "died" };
            tracing::error!("scalegate {what}: {}", telemetry::chain(&error));
            ExitCode::FAILURE
        }
    }
}
