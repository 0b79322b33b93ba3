//! `scalegate policy get`.

use clap::Args;
use serde_json::Value;

use crate::cli::client::{Client, Failure, GatewayArgs};
use crate::cli::exit::{self, Exit};
use crate::cli::output::Output;
use crate::domain::Alias;
use crate::policy::{Document, canonical};
use crate::printable;

/// Print the policy of a resource, with all defaults.
///
/// What is printed can be changed and put again. Its revision is told on standard error.
#[derive(Clone, Debug, Args)]
#[command(after_help = exit::HELP)]
pub struct GetArgs {
    /// The resource, by its alias
    #[arg(value_name = "RESOURCE")]
    resource: Alias,

    #[command(flatten)]
    gateway: GatewayArgs,

    /// Print one line of JSON, with revision, summary and warnings
    #[arg(long)]
    json: bool,
}

impl GetArgs {
    pub(super) async fn run(self, output: &mut Output) -> Exit {
        self.gateway.run(output, async |client, output| self.run_at(client, output).await).await
    }

    async fn run_at(&self, client: &Client, output: &mut Output) -> Result<Exit, Failure> {
        let document = client.policy_document(&self.resource).await?;
        if self.json {
            output.json(&document);
            return Ok(Exit::Done);
        }
        let revision = document["revision"].as_u64().unwrap_or_default();
        output.lines(printable::json(&text(document)).lines());
        output.notice(format_args!(
            "this is revision {revision}\n  To replace only this one: scalegate policy put {} FILE --if-revision {revision}{}",
            self.resource,
            self.gateway.given()
        ));
        Ok(Exit::Done)
    }
}

/// The text of a policy, in the order of its fields and without what only answers have. What is not understood is shown as it
/// came.
fn text(document: Value) -> String {
    let pretty = match Document::from(document.clone()).policy() {
        Ok(policy) => serde_json::to_string_pretty(&canonical(&policy)),
        Err(_) => serde_json::to_string_pretty(&document),
    };
    // Both are made of nothing but what JSON has.
    pretty.unwrap_or_default()
}
