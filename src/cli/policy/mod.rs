//! `scalegate policy`: the policies of resources.

mod check;
#[cfg(test)]
mod tests;

use clap::{Args, Subcommand};

use super::exit::Exit;
use super::output::Output;

/// Check policies.
#[derive(Debug, Args)]
pub struct PolicyArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::CheckArgs),
}

/// Runs the command.
pub fn run(args: PolicyArgs) -> Exit {
    let mut output = Output::standard();
    let exit = match args.command {
        Command::Check(args) => args.run(&mut output),
    };
    output.finish(exit)
}
