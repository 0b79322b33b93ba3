//! `scalegate why`: the last decision about a resource, as a person would tell it.
//!
//! It shows what was recorded and computes nothing anew: what the policy would decide now is another question, and the answer
//! to it could differ from what happened.

mod story;
#[cfg(test)]
mod tests;

use self::story::Story;
use super::client::{Client, Failure, GatewayArgs};
use super::exit::{self, Exit};
use super::output::Output;
use super::words;
use crate::api::view::DecisionView;
use crate::domain::Alias;

/// How far ahead windows and claims are looked for, in hours.
const AHEAD_HOURS: u32 = 48;

/// Tell why a resource has the target that it has.
///
/// Shows the last decision of its policy: in a sentence, with the metrics it was taken on, what each rule said, what changed the
/// number, what was done, what would have to change for another outcome, what keeps the policy from acting now, and what is ahead.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = exit::HELP)]
pub struct WhyArgs {
    /// The resource, by its alias
    #[arg(value_name = "RESOURCE")]
    resource: Alias,

    #[command(flatten)]
    gateway: GatewayArgs,

    /// Print the decision as JSON and nothing else
    #[arg(long)]
    json: bool,
}

/// Runs the command. Must be called within an actix runtime.
pub async fn run(args: WhyArgs) -> Exit {
    let mut output = Output::standard();
    let exit = args.run(&mut output).await;
    output.finish(exit)
}

impl WhyArgs {
    async fn run(self, output: &mut Output) -> Exit {
        self.gateway.run(output, async |client, output| self.run_at(client, output).await).await
    }

    async fn run_at(&self, client: &Client, output: &mut Output) -> Result<Exit, Failure> {
        let Some(decision) = client.last_decision(&self.resource).await? else {
            // Without a policy this is a failure that says so.
            let policy = client.policy(&self.resource).await?;
            if self.json {
                output.json(&());
                return Ok(Exit::Done);
            }
            let mode = words::mode(policy.mode);
            output
                .notice(format_args!("the policy of {} has decided nothing so far; its mode is {mode}", self.resource));
            return Ok(Exit::Done);
        };
        if self.json {
            output.json(&decision);
            return Ok(Exit::Done);
        }
        let story = self.story(client, decision).await?;
        output.lines(story.lines(words::now()));
        Ok(Exit::Done)
    }

    /// What else is needed to tell of `decision`. A policy can be deleted at any time, also in between.
    async fn story(&self, client: &Client, decision: DecisionView) -> Result<Story, Failure> {
        let policy = client.find_policy(&self.resource).await?;
        let resource = client.find_resource(&self.resource).await?;
        let outlook = client.find_outlook(&self.resource, AHEAD_HOURS).await?;
        Ok(Story { decision, policy, resource, outlook })
    }
}
