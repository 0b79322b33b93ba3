//! `scalegate scale`: submit a job to a running gateway.

mod plan;
mod target;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use clap::ValueEnum;
use clap::builder::PossibleValue;
use uuid::Uuid;

pub use target::Target;

use super::client::{Client, Failure, GatewayArgs, Submitted};
use super::exit::{self, Exit};
use super::follow::{self, FollowArgs};
use super::output::Output;
use super::words;
use crate::api::Submission;
use crate::config::parse_duration;
use crate::domain::{Alias, OnConflict};

/// Longest idempotency key a gateway takes, in characters.
const MAX_KEY_CHARS: usize = 255;

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

    /// Submissions with the same key are one job [default: a new key]
    #[arg(long, value_name = "KEY", value_parser = parse_key)]
    pub idempotency_key: Option<String>,

    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// Settings of the job that differ from the resource's.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Settings of the job (durations such as 90s, 5m, 1h 30m) [default: the gateway's]")]
pub struct SettingsArgs {
    /// Most units changed in one step
    #[arg(long, value_name = "UNITS")]
    pub step_size: Option<i64>,

    /// Least time between two changes of the resource
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub cooldown: Option<Duration>,

    /// Longest wait for the resource to become ACTIVE, for a change to show, or for the sidecar to answer
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub active_timeout: Option<Duration>,

    /// Longest time between two readings while the job waits
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub poll_interval: Option<Duration>,

    /// How long a change may take to have its effect and to be seen in readings
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub settle: Option<Duration>,

    /// Longest life of the job
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub deadline: Option<Duration>,
}

/// Runs the command. Must be called within an actix runtime.
pub async fn run(args: ScaleArgs) -> Exit {
    let mut output = Output::standard();
    let exit = args.run(&mut output).await;
    output.finish(exit)
}

impl ScaleArgs {
    async fn run(self, output: &mut Output) -> Exit {
        let done = match self.gateway.client(output) {
            Ok(client) => self.run_at(&client, output).await,
            Err(usage) => Err(usage),
        };
        done.unwrap_or_else(|failure| {
            output.notice(&failure);
            failure.exit()
        })
    }

    async fn run_at(self, client: &Client, output: &mut Output) -> Result<Exit, Failure> {
        let submission = self.submission()?;
        if self.plan {
            let plan = client.plan(&submission).await?;
            if self.json {
                output.json(&plan)
            } else {
                output.lines(plan::lines(&plan, words::now()))
            }
            return Ok(Exit::Done);
        }
        let key = self.idempotency_key.unwrap_or_else(|| Uuid::now_v7().to_string());
        let submitted =
            client.submit(&submission, &key, |failure| output.notice(format_args!("{failure}\n  Trying again.")));
        let Submitted { job, joined } = submitted.await?;
        if !self.json {
            let verb = if joined { "Joined a job that does the same" } else { "Submitted" };
            output.line(format_args!("{verb}: {} {}, job {}", job.resource, words::aim(&job), job.id));
        }
        if !self.follow.wait {
            if self.json {
                output.json(&job);
            }
            return Ok(Exit::Done);
        }
        let ended = follow::to_the_end(client, job, &self.follow, self.json, output).await?;
        Ok(Exit::of_job(&ended))
    }

    fn submission(&self) -> Result<Submission, Failure> {
        let mut labels = BTreeMap::new();
        for (name, value) in &self.labels {
            if labels.insert(name.clone(), value.clone()).is_some() {
                return Err(Failure::Usage(format!("--label: {name:?} is given twice")));
            }
        }
        let (target_capacity, delta) = match self.target {
            Target::Capacity(units) => (Some(units), None),
            Target::Delta(units) => (None, Some(units)),
        };
        let seconds = |duration: Option<Duration>| duration.map(|duration| duration.as_secs_f64());
        Ok(Submission {
            resource: self.resource.as_str().to_owned(),
            target_capacity,
            delta,
            step_size: self.settings.step_size,
            cooldown_seconds: seconds(self.settings.cooldown),
            active_timeout_seconds: seconds(self.settings.active_timeout),
            poll_interval_seconds: seconds(self.settings.poll_interval),
            settle_seconds: seconds(self.settings.settle),
            deadline_seconds: seconds(self.settings.deadline),
            on_conflict: self.on_conflict,
            reason: self.reason.clone(),
            labels: (!labels.is_empty()).then_some(labels),
        })
    }
}

fn parse_label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a label is written as key=value".to_owned()),
    }
}

fn parse_key(text: &str) -> Result<String, String> {
    let printable = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    if text.trim().is_empty() || text.len() > MAX_KEY_CHARS || !printable {
        return Err(format!("a key has 1 to {MAX_KEY_CHARS} printable ASCII characters"));
    }
    Ok(text.to_owned())
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
