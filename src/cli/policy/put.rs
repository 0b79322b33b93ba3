//! `scalegate policy put`.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use super::{file, words};
use crate::cli::client::{Client, Failure, GatewayArgs};
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::domain::Alias;

/// The exit codes, for the end of `--help`.
const HELP: &str = "\
Exit codes:
  0  the policy is in force, with or without warnings
  1  the file holds no document
  2  the command line makes no sense, or the file cannot be read
  4  the gateway refused the policy
  5  the gateway could not be reached, or answered with an error of its own";

/// Put a policy in the place of the one that a resource has.
///
/// Prints what the policy does in English sentences, and what in it is surely not meant. If it is refused, tells every mistake
/// with its place.
#[derive(Clone, Debug, Args)]
#[command(after_help = HELP)]
pub struct PutArgs {
    /// The resource, by its alias
    #[arg(value_name = "RESOURCE")]
    resource: Alias,

    /// The document: TOML if its name ends with .toml, otherwise JSON; - reads JSON from standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    gateway: GatewayArgs,

    /// Replace only this revision of the policy, which `scalegate policy get` tells
    #[arg(long, value_name = "N")]
    if_revision: Option<u64>,

    /// Print the policy with its revision, summary and warnings as JSON and nothing else
    #[arg(long)]
    json: bool,
}

impl PutArgs {
    pub(super) async fn run(self, output: &mut Output) -> Exit {
        let document = match file::document(&self.file) {
            Ok(document) => document,
            Err(failure) => {
                output.notice(&failure);
                return failure.exit();
            }
        };
        match document.into_json() {
            Ok(document) => {
                self.gateway.run(output, async |client, output| self.run_at(client, &document, output).await).await
            }
            Err(errors) => {
                words::errors(&errors).for_each(|error| output.notice(error));
                Exit::Failed
            }
        }
    }

    async fn run_at(&self, client: &Client, document: &Value, output: &mut Output) -> Result<Exit, Failure> {
        let policy = client.put_policy(&self.resource, document, self.if_revision).await?;
        if self.json {
            output.json(&policy);
            return Ok(Exit::Done);
        }
        let revision = policy.revision.unwrap_or_default();
        output.line(format_args!("The policy of {} is in force as revision {revision}.", self.resource));
        output.lines(words::explanation(&policy));
        Ok(Exit::Done)
    }
}
