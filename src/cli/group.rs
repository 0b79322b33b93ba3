//! `scalegate group`: scale several resources by way of a running gateway.

mod follow;
mod member;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeMap;

use clap::ValueEnum;
use clap::builder::PossibleValue;

pub use self::follow::to_the_end;
pub use self::member::{GroupMember, StageArg};
pub use self::words::details;
use super::client::{Client, Failure, GatewayArgs, SubmittedGroup};
use super::exit::{self, Exit};
use super::follow::FollowArgs;
use super::idempotency::IdempotencyArgs;
use super::output::Output;
use super::scale::{parse_label, unique_labels};
use crate::api::GroupSubmission;
use crate::domain::{OnConflict, OnFailure, SettingsOverrides};

/// Scale several resources as one piece of work.
///
/// Submits a group and prints its id. With --wait, follows it to its end, with a line per event. Ctrl-C ends the following,
/// not the group.
///
/// Every submission has an idempotency key and is sent again under the same key if its answer is lost, so that it never
/// becomes two groups.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = exit::HELP)]
pub struct GroupArgs {
    /// A resource, and the capacity to reach (db=3), or units to add (api=+2) or to remove (api=-1)
    #[arg(value_name = "RESOURCE=TARGET", required = true)]
    pub members: Vec<GroupMember>,

    /// The resources of each stage; a stage begins when the one before has reached its targets [default: all in one]
    #[arg(long, value_name = "A,B+C", value_delimiter = ',')]
    pub stages: Vec<StageArg>,

    /// What to do when a resource does not reach its target
    #[arg(long, value_name = "WHAT", value_enum)]
    pub on_failure: Option<OnFailure>,

    #[command(flatten)]
    pub gateway: GatewayArgs,

    #[command(flatten)]
    pub follow: FollowArgs,

    /// Only show what the group would do; nothing is submitted
    #[arg(long, conflicts_with_all = ["wait", "idempotency_key"])]
    pub plan: bool,

    /// Print the group (with --wait, as it ended; with --plan, the plan) as JSON and nothing else
    #[arg(long)]
    pub json: bool,

    /// What to do if resources have unfinished jobs
    #[arg(long, value_name = "WHAT", value_enum)]
    pub on_conflict: Option<OnConflict>,

    /// A note for people
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,

    /// A label of the group; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = parse_label)]
    pub labels: Vec<(String, String)>,

    #[command(flatten)]
    pub idempotency: IdempotencyArgs,

    /// Settings of all members that differ from the resources'.
    #[command(flatten)]
    pub settings: SettingsOverrides,
}

/// Runs the command. Must be called within an actix runtime.
pub async fn run(args: GroupArgs) -> Exit {
    let mut output = Output::standard();
    let exit = args.run(super::until_told_to_stop(), &mut output).await;
    output.finish(exit)
}

impl GroupArgs {
    /// Runs the command. `stop` ends the following of the group.
    async fn run(self, stop: impl Future<Output = ()>, output: &mut Output) -> Exit {
        self.gateway.run(output, async |client, output| self.run_at(client, stop, output).await).await
    }

    async fn run_at(
        &self,
        client: &Client,
        stop: impl Future<Output = ()>,
        output: &mut Output,
    ) -> Result<Exit, Failure> {
        let submission = self.submission()?;
        if self.plan {
            let plan = client.plan_group(&submission).await?;
            if self.json {
                output.json(&plan)
            } else {
                output.lines(words::plan(&plan, &self.gateway.given(), super::words::now()))
            }
            return Ok(Exit::Done);
        }
        let key = self.idempotency.key();
        let submitted = client
            .submit_group(&submission, &key, |failure| output.notice(format_args!("{failure}\n  Trying again.")))
            .await?;
        let SubmittedGroup { group, joined } = submitted;
        if !self.json {
            let verb = if joined { "Joined a group that does the same" } else { "Submitted" };
            output.line(format_args!("{verb}: group {}", group.id));
            output.lines(words::members(&group));
        }
        if !self.follow.wait {
            if self.json {
                output.json(&group);
            }
            return Ok(Exit::Done);
        }
        let ended = to_the_end((client, &self.gateway), group, (&self.follow, self.json), stop, output).await?;
        Ok(Exit::of_group(&ended))
    }

    fn submission(&self) -> Result<GroupSubmission, Failure> {
        let mut targets = BTreeMap::new();
        for GroupMember { resource, target } in &self.members {
            if targets.insert(resource.as_str().to_owned(), (*target).into()).is_some() {
                return Err(Failure::Usage(format!("{resource} is given twice")));
            }
        }
        let stages: Vec<Vec<String>> = self.stages.iter().map(|stage| stage.resources.clone()).collect();
        let submission = GroupSubmission {
            targets,
            stages: (!stages.is_empty()).then_some(stages),
            on_failure: self.on_failure,
            on_conflict: self.on_conflict,
            reason: self.reason.clone(),
            labels: unique_labels(&self.labels)?,
            ..GroupSubmission::default()
        };
        Ok(submission.with_settings(&self.settings))
    }
}

impl ValueEnum for OnFailure {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Stop, Self::Continue, Self::Restore]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Stop => PossibleValue::new("stop").help("Cancel the others; what happens by default"),
            Self::Continue => PossibleValue::new("continue").help("Let the others go on"),
            Self::Restore => {
                PossibleValue::new("restore").help("Cancel the others, and take back to where it began what has moved")
            }
        })
    }
}
