//! `scalegate policy delete`.

use clap::Args;

use crate::cli::client::{Client, Failure, GatewayArgs};
use crate::cli::exit::{self, Exit};
use crate::cli::output::Output;
use crate::domain::Alias;

/// Delete the policy of a resource.
///
/// Ends its claims and its unfinished job as well. A hold stays.
#[derive(Clone, Debug, Args)]
#[command(after_help = exit::HELP)]
pub struct DeleteArgs {
    /// The resource, by its alias
    #[arg(value_name = "RESOURCE")]
    resource: Alias,

    #[command(flatten)]
    gateway: GatewayArgs,
}

impl DeleteArgs {
    pub(super) async fn run(self, output: &mut Output) -> Exit {
        self.gateway.run(output, async |client, output| self.run_at(client, output).await).await
    }

    async fn run_at(&self, client: &Client, output: &mut Output) -> Result<Exit, Failure> {
        client.delete_policy(&self.resource).await?;
        output.line(format_args!("The policy of {} is deleted.", self.resource));
        Ok(Exit::Done)
    }
}
