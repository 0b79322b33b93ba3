//! `scalegate policy`: the policies of resources.

mod check;
mod delete;
mod explain;
mod file;
mod get;
mod put;
#[cfg(test)]
mod tests;
mod words;

use clap::{Args, Subcommand};

pub use file::{NoDocument, document};

use super::exit::Exit;
use super::output::Output;

/// Check, put, read and delete policies.
///
/// A policy says how the target of one resource follows metrics, schedules and other resources.
#[derive(Debug, Args)]
pub struct PolicyArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::CheckArgs),
    Put(put::PutArgs),
    Get(get::GetArgs),
    Explain(explain::ExplainArgs),
    Delete(delete::DeleteArgs),
}

/// Runs the command. Must be called within an actix runtime.
pub async fn run(args: PolicyArgs) -> Exit {
    let mut output = Output::standard();
    let exit = match args.command {
        Command::Check(args) => args.run(&mut output),
        Command::Put(args) => args.run(&mut output).await,
        Command::Get(args) => args.run(&mut output).await,
        Command::Explain(args) => args.run(&mut output).await,
        Command::Delete(args) => args.run(&mut output).await,
    };
    output.finish(exit)
}
