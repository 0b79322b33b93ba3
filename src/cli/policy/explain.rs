//! `scalegate policy explain`.

use clap::Args;
use serde::Serialize;

use super::words;
use crate::api::Outlook;
use crate::cli;
use crate::cli::client::{Client, Failure, GatewayArgs};
use crate::cli::exit::{self, Exit};
use crate::cli::output::Output;
use crate::domain::Alias;
use crate::policy::Warning;

/// How far ahead the beginnings and ends of windows are asked for, in hours: as far as a gateway looks.
const AHEAD_HOURS: u32 = 400;

/// Say what the policy of a resource does.
///
/// In English sentences, with what in it is surely not meant, with what its schedules do next, and with the capacities that follow
/// from them and from claims while metrics stay as they are.
#[derive(Clone, Debug, Args)]
#[command(after_help = exit::HELP)]
pub struct ExplainArgs {
    /// The resource, by its alias
    #[arg(value_name = "RESOURCE")]
    resource: Alias,

    #[command(flatten)]
    gateway: GatewayArgs,

    /// Print what is shown as JSON and nothing else
    #[arg(long)]
    json: bool,
}

/// What is shown, for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Explanation {
    warnings: Vec<Warning>,
    summary: Vec<String>,
    /// What is ahead; `null` if the policy was deleted meanwhile.
    outlook: Option<Outlook>,
}

impl ExplainArgs {
    pub(super) async fn run(self, output: &mut Output) -> Exit {
        self.gateway.run(output, async |client, output| self.run_at(client, output).await).await
    }

    async fn run_at(&self, client: &Client, output: &mut Output) -> Result<Exit, Failure> {
        let policy = client.policy(&self.resource).await?;
        let outlook = client.find_outlook(&self.resource, AHEAD_HOURS).await?;
        if self.json {
            let (warnings, summary) = (policy.warnings.unwrap_or_default(), policy.summary.unwrap_or_default());
            output.json(&Explanation { warnings, summary, outlook });
            return Ok(Exit::Done);
        }
        output.lines(words::explanation(&policy));
        output.lines(outlook.iter().flat_map(|outlook| words::transitions(&outlook.transitions)));
        let now = cli::words::now();
        output.lines(outlook.iter().flat_map(|outlook| words::planned(&outlook.planned, now)));
        Ok(Exit::Done)
    }
}
