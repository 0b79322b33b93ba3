//! `scalegate keys`: make, list and revoke API keys in a data directory, whether a gateway is running there or not.
//!
//! It must never write a key anywhere but to standard output, once, when it is made; and it must never repeat what was
//! given to it in place of an id, which may be a key.

mod create;
mod generate;
mod list;
mod revoke;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::directory::DirectoryArgs;
use super::exit::Exit;
use super::output::Output;
use super::words::quoted;
use crate::clock::wall_now;
use crate::config::ConfigError;
use crate::domain::{Action, Actor, Attempt, AuditEntry, AuditVerdict, KeyId, Subject};
use crate::files::absolute;
use crate::store::sqlite::SqliteError;

/// The exit codes, for the end of `--help`.
const HELP: &str = "\
Exit codes:
  0  done
  1  the data directory cannot be used, or no gateway has used it so far
  2  the command line makes no sense
  4  refused: there is no such key, or there are too many";

/// Make, list and revoke the API keys of a gateway.
///
/// Works on the gateway's data directory, as the user the gateway runs as, whether it is running or not. A running
/// gateway obeys at once. Over HTTP, holders of an admin key can do the same with /v1/keys.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    Create(create::CreateArgs),
    List(list::ListArgs),
    Revoke(revoke::RevokeArgs),
    Generate(generate::GenerateArgs),
}

/// Why a command about keys did not work.
#[derive(Debug, thiserror::Error)]
enum KeysError {
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Store(#[from] SqliteError),
    #[error(
        "no gateway has used the data directory {} so far, and no key was made there: --data-dir says where to look",
        .0.display()
    )]
    NothingThere(PathBuf),
    #[error("the system gives no randomness for a key: {0}")]
    Randomness(#[from] getrandom::Error),
    #[error("{0}")]
    NotWritten(String),
}

/// Runs the command.
pub fn run(args: KeysArgs) -> Exit {
    let mut output = Output::standard();
    let exit = args.run(&mut output);
    output.finish(exit)
}

impl KeysArgs {
    fn run(self, output: &mut Output) -> Exit {
        let done = match self.command {
            KeysCommand::Create(args) => args.run(output),
            KeysCommand::List(args) => args.run(output),
            KeysCommand::Revoke(args) => args.run(output),
            KeysCommand::Generate(args) => args.run(output),
        };
        let Err(error) = done else { return Exit::Done };
        output.notice(&error);
        error.exit()
    }
}

impl KeysError {
    fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) | Self::Config(_) => Exit::Usage,
            Self::Refused(_) => Exit::Refused,
            Self::Store(_) | Self::NothingThere(_) | Self::Randomness(_) | Self::NotWritten(_) => Exit::Failed,
        }
    }
}

/// The record of what the command line did to the key `id`: any user who can write to the data directory acts as the
/// operator.
fn entry(action: Action, id: &KeyId, verdict: AuditVerdict) -> AuditEntry {
    AuditEntry {
        at: wall_now(),
        attempt: Attempt { request: None, actor: Some(Actor::Operator), address: None },
        action,
        subject: Subject { key: Some(id.clone()), ..Subject::default() },
        verdict,
    }
}

/// The command `scalegate keys` with these `arguments`, for the gateway whose data is in `directory`, as a shell takes it.
fn command(arguments: &str, directory: &Path) -> String {
    format!("scalegate keys {arguments} --data-dir {}", quoted(&absolute(directory).to_string_lossy()))
}
