//! The command line.

mod audit;
mod backtest;
mod backup;
mod board;
mod cancel;
mod claim;
mod client;
mod command_line;
mod completions;
mod demo;
mod directory;
mod exit;
mod follow;
mod group;
mod groups;
mod healthcheck;
mod hold;
mod idempotency;
mod jobs;
mod keys;
mod listing;
mod metric;
mod openapi;
mod output;
mod policy;
mod resources;
mod scale;
mod serve;
mod simulate;
mod table;
#[cfg(test)]
mod testing;
mod timeline;
mod whoami;
mod why;
mod words;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::access::masked;
use crate::config::ServeArgs;
use crate::printable;
use crate::telemetry::FlushAtEnd;

/// A scaling API one can trust, on top of a capacity sidecar.
///
/// Containers POST "scale worker to 5", get a job id and poll; the gateway carries the job through cooldowns, waiting
/// for ACTIVE, steps, retries, lost answers and crashes.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Box<ServeArgs>),
    Demo(Box<demo::DemoArgs>),
    Scale(Box<scale::ScaleArgs>),
    Group(Box<group::GroupArgs>),
    Groups(Box<groups::GroupsArgs>),
    Resources(Box<resources::ResourcesArgs>),
    Jobs(Box<jobs::JobsArgs>),
    Cancel(Box<cancel::CancelArgs>),
    Timeline(Box<timeline::TimelineArgs>),
    Why(Box<why::WhyArgs>),
    Policy(Box<policy::PolicyArgs>),
    Metric(Box<metric::MetricArgs>),
    Hold(Box<hold::HoldArgs>),
    Claim(Box<claim::ClaimArgs>),
    Backtest(Box<backtest::BacktestArgs>),
    Keys(Box<keys::KeysArgs>),
    Whoami(Box<whoami::WhoamiArgs>),
    Audit(Box<audit::AuditArgs>),
    Backup(Box<backup::BackupArgs>),
    Simulate(Box<simulate::SimulateArgs>),
    Healthcheck(Box<healthcheck::HealthcheckArgs>),
    Completions(Box<completions::CompletionsArgs>),
    /// Print the OpenAPI document.
    Openapi,
}

impl Cli {
    /// Does what the command line says.
    pub fn run(self) -> ExitCode {
        // Outlives the runtime, which may have something to say when it ends.
        let _log = FlushAtEnd;
        let command = match self.command {
            Command::Keys(args) => return keys::run(*args).into(),
            Command::Backup(args) => return backup::run(*args).into(),
            Command::Backtest(args) => return backtest::run(*args).into(),
            Command::Completions(args) => return completions::run(&args),
            Command::Openapi => return openapi::run(),
            command => command,
        };
        actix_web::rt::System::new().block_on(async {
            match command {
                Command::Serve(args) => serve::run(*args).await,
                Command::Demo(args) => demo::run(*args).await,
                Command::Scale(args) => scale::run(*args).await.into(),
                Command::Group(args) => group::run(*args).await.into(),
                Command::Groups(args) => groups::run(*args).await.into(),
                Command::Jobs(args) => jobs::run(*args).await.into(),
                Command::Resources(args) => resources::run(*args).await.into(),
                Command::Cancel(args) => cancel::run(*args).await.into(),
                Command::Timeline(args) => timeline::run(*args).await.into(),
                Command::Audit(args) => audit::run(*args).await.into(),
                Command::Policy(args) => policy::run(*args).await.into(),
                Command::Metric(args) => metric::run(*args).await.into(),
                Command::Hold(args) => hold::run(*args).await.into(),
                Command::Claim(args) => claim::run(*args).await.into(),
                Command::Whoami(args) => whoami::run(*args).await.into(),
                Command::Why(args) => why::run(*args).await.into(),
                Command::Simulate(args) => simulate::run(*args).await,
                Command::Healthcheck(args) => healthcheck::run(*args).await.into(),
                // These need no runtime.
                Command::Keys(args) => keys::run(*args).into(),
                Command::Backup(args) => backup::run(*args).into(),
                Command::Backtest(args) => backtest::run(*args).into(),
                Command::Completions(args) => completions::run(&args),
                Command::Openapi => openapi::run(),
            }
        })
    }
}

/// Says what is wrong with a command line, or what was asked about the commands. A key that was given in the wrong
/// place is not repeated.
pub fn explain(error: &clap::Error) -> ExitCode {
    // If it cannot be written, there is no other place to say so.
    let _ = if error.use_stderr() {
        std::io::stderr().write_all(complaint(&error.render().to_string()).as_bytes())
    } else {
        error.print()
    };
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// What is wrong with a command line, in the parser's `plain` words, as it may be written. They repeat arguments, which
/// a script may have from elsewhere. Colours are for help alone: here, they could not be told from codes in an
/// argument.
fn complaint(plain: &str) -> String {
    masked(plain).split('\n').map(printable::one_line).collect::<Vec<_>>().join("\n")
}

/// Ends on SIGINT or SIGTERM. It listens from this call on, also before it is awaited.
fn until_told_to_stop() -> impl Future<Output = ()> {
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    async move {
        let (Ok(mut terminate), Ok(mut interrupt)) = signals else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn a_misspelt_command_or_option_is_told_with_the_right_one() {
        for (written, meant) in [
            (&["resource"][..], "resources"),
            (&["scael", "worker", "5"], "scale"),
            (&["policy", "delte", "worker"], "delete"),
            (&["keys", "creat"], "create"),
            (&["jobs", "--wach"], "--watch"),
        ] {
            let error = Cli::try_parse_from([&["scalegate"], written].concat()).expect_err("no such thing");
            let told = complaint(&error.render().to_string());
            assert!(told.contains("similar") && told.contains(&format!("'{meant}'")), "{told}");
        }
    }

    #[test]
    fn an_argument_cannot_command_the_terminal() {
        let given = "a\u{1b}]0;title\u{7}\u{202e}\u{9b}31mb";
        let error = Cli::try_parse_from(["scalegate", "scale", given]).expect_err("no such thing");
        let written = complaint(&error.render().to_string());
        assert!(written.contains("b") && written.contains("\\u{202e}"), "{written}");
        assert!(!written.contains(|c| printable::is_hidden(c) && c != '\n'), "{written:?}");
    }
}
