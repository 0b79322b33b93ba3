//! The `scalegate` command.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    scalegate::cli::Cli::parse().run()
}
