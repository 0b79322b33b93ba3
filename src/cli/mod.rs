//! The command line.

mod openapi;
mod serve;
mod simulate;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::ServeArgs;

/// A scaling API one can trust, on top of a capacity sidecar.
///
/// Containers POST "scale worker to 5", get a job id and poll; the gateway carries the job through cooldowns, waiting for
/// ACTIVE, steps, retries, lost answers and crashes.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Box<ServeArgs>),
    Simulate(Box<simulate::SimulateArgs>),
    /// Print the OpenAPI document.
    Openapi,
}

impl Cli {
    /// Does what the command line says.
    pub fn run(self) -> ExitCode {
        if matches!(self.command, Command::Openapi) {
            return openapi::run();
        }
        actix_web::rt::System::new().block_on(async {
            match self.command {
                Command::Serve(args) => serve::run(*args).await,
                Command::Simulate(args) => simulate::run(*args).await,
                Command::Openapi => openapi::run(),
            }
        })
    }
}

/// Returns on SIGINT or SIGTERM.
async fn until_told_to_stop() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
