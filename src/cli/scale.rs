//! `scalegate scale`: submit a job to a running gateway.

mod plan;
mod target;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use clap::ValueEnum;
use clap::builder::PossibleValue;

pub use target::Target;

use super::client::{Client, Failure, GatewayArgs, Submitted};
use super::exit::{self, Exit};
use super::follow::{self, FollowArgs};
use super::idempotency::IdempotencyArgs;
use super::output::Output;
use super::words;
use crate::api::Submission;
use crate::domain::{Alias, OnConflict, SettingsOverrides};

/// Scale a resource by way of a running gateway.
///
/// Submits a job and prints its id. With --wait, follows it to its end: as a progress bar on a terminal, as a line per
/// event elsewhere. Ctrl-C ends the following, not the job.
///
/// Every submission has an idempotency key and is sent again under the same key if its answer is lost, so that it never
/// becomes two jobs.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = exit::HELP)]
pub struct ScaleArgs {
    /// The resource to scale, by its alias
    #[arg(value_name = "RESOURCE")]
    pub resource: Alias,

    /// The capacity to reach (5), or units to add (+2) or to remove (-1)
    #[arg(value_name = "TARGET", allow_negative_numbers = true)]
    pub target: Target,

    #[command(flatten)]
    pub gateway: GatewayArgs,

    #[command(flatten)]
    pub follow: FollowArgs,

    /// Only show what the job would do; nothing is submitted
    #[arg(long, conflicts_with_all = ["wait", "idempotency_key"])]
    pub plan: bool,

    /// Print the job (with --wait, as it ended; with --plan, the plan) as JSON and nothing else
    #[arg(long)]
    pub json: bool,

    /// What to do if the resource has an unfinished job with another target
    #[arg(long, value_name = "WHAT", value_enum)]
    pub on_conflict: Option<OnConflict>,

    /// A note for people
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,

    /// A label of the job; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = parse_label)]
    pub labels: Vec<(String, String)>,

    #[command(flatten)]
    pub idempotency: IdempotencyArgs,

    /// Settings of the job that differ from the resource's.
    #[command(flatten)]
    pub settings: SettingsOverrides,
}

/// Runs the command. Must be called within an actix runtime.
pub async fn run(args: ScaleArgs) -> Exit {
    let mut output = Output::standard();
    let exit = args.run(super::until_told_to_stop(), &mut output).await;
    output.finish(exit)
}

impl ScaleArgs {
    /// Runs the command. `stop` ends the following of the job.
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
            let plan = client.plan(&submission).await?;
            if self.json {
                output.json(&plan)
            } else {
                output.lines(plan::lines(&plan, &self.gateway.given(), words::now()))
            }
            return Ok(Exit::Done);
        }
        let key = self.idempotency.key();
        let submitted =
            client.submit(&submission, &key, |failure| output.notice(format_args!("{failure}\n  Trying again.")));
        let Submitted { job, joined } = submitted.await?;
        if !self.json {
            let verb = if joined { "Joined a job that does the same" } else { "Submitted" };
            output.line(format_args!("{verb}: {} {}, job {}", job.resource, words::aim(&job), job.id));
            output.lines(words::note(&job));
        }
        if !self.follow.wait {
            if self.json {
                output.json(&job);
            }
            return Ok(Exit::Done);
        }
        let ended = follow::to_the_end((client, &self.gateway), job, (&self.follow, self.json), stop, output).await?;
        Ok(Exit::of_job(&ended))
    }

    fn submission(&self) -> Result<Submission, Failure> {
        let (target_capacity, delta) = match self.target {
            Target::Capacity(units) => (Some(units), None),
            Target::Delta(units) => (None, Some(units)),
        };
        let submission = Submission {
            resource: self.resource.as_str().to_owned(),
            target_capacity,
            delta,
            on_conflict: self.on_conflict,
            reason: self.reason.clone(),
            labels: unique_labels(&self.labels)?,
            ..Submission::default()
        };
        Ok(submission.with_settings(&self.settings))
    }
}

/// The labels that were given, if any were.
///
/// # Errors
/// That one is given twice.
pub(super) fn unique_labels(given: &[(String, String)]) -> Result<Option<BTreeMap<String, String>>, Failure> {
    let mut labels = BTreeMap::new();
    for (name, value) in given {
        if labels.insert(name.clone(), value.clone()).is_some() {
            return Err(Failure::Usage(format!("--label: {name:?} is given twice")));
        }
    }
    Ok((!labels.is_empty()).then_some(labels))
}

pub(super) fn parse_label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a label is written as key=value".to_owned()),
    }
}

impl ValueEnum for OnConflict {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Reject, Self::Queue, Self::Supersede]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Reject => PossibleValue::new("reject").help("Refuse this job; what happens by default"),
            Self::Queue => PossibleValue::new("queue").help("Let it wait for its turn"),
            Self::Supersede => PossibleValue::new("supersede").help("End all unfinished jobs of the resource"),
        })
    }
}
