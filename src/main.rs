//! The `scalegate` command.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    match scalegate::cli::Cli::try_parse() {
        Ok(cli) => cli.run(),
        Err(error) => scalegate::cli::explain(&error),
    }
}
