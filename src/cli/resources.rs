//! `scalegate resources`: the resources of a running gateway, and what goes on with each.

mod details;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::HashMap;
use std::time::Duration;

use uuid::Uuid;

use super::client::{Client, Failure, GatewayArgs, ListQuery};
use super::exit::{self, Exit};
use super::follow::news;
use super::jobs::{UNFINISHED, fetch};
use super::output::Output;
use super::{hold, words};
use crate::api::view::{JobView, Resource, ResourceList};
use crate::domain::{Alias, StateName, Timestamp};

const HEADER: [&str; 6] = ["RESOURCE", "STATUS", "CAPACITY", "TARGET", "COOLDOWN", "WHY"];
/// Most unfinished jobs that are looked at.
const MAX_JOBS: usize = 10_000;

/// List the resources, show one, or watch them.
///
/// With --watch, keeps them current: on a terminal as a table, elsewhere as a line for each resource, and another one when it
/// has changed.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = exit::HELP)]
pub struct ResourcesArgs {
    /// The resource to show
    #[arg(value_name = "RESOURCE")]
    resource: Option<Alias>,

    #[command(flatten)]
    gateway: GatewayArgs,

    /// Keep them current, until Ctrl-C
    #[arg(long)]
    watch: bool,

    /// When watching: how long to keep trying while the gateway cannot be reached
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = crate::config::parse_duration)]
    patience: Duration,

    /// Print JSON and nothing else: the resource, the list as the gateway gives it, or with --watch a resource per line, first
    /// all of them and then each one that has changed
    #[arg(long)]
    json: bool,
}

/// Runs the command. Must be called within an actix runtime.
pub async fn run(args: ResourcesArgs) -> Exit {
    let mut output = Output::standard();
    let exit = args.run(super::until_told_to_stop(), &mut output).await;
    output.finish(exit)
}

impl ResourcesArgs {
    /// Runs the command. Watching ends with `stop`.
    async fn run(self, stop: impl Future<Output = ()>, output: &mut Output) -> Exit {
        let run = async |client: &Client, output: &mut Output| {
            if self.watch { self.watch(client, stop, output).await } else { self.run_at(client, output).await }
        };
        self.gateway.run(output, run).await
    }

    async fn watch(
        &self,
        client: &Client,
        stop: impl Future<Output = ()>,
        output: &mut Output,
    ) -> Result<Exit, Failure> {
        let display = watch::Display::of(output, self.json);
        let stopped = tokio::select! {
            watched = watch::watch(client, self.resource.as_ref(), self.patience, display, output) => watched.map(|()| false)?,
            () = stop => true,
        };
        if stopped && output.is_interactive() && !self.json {
            // What was drawn last stays, and the terminal is somewhere in it.
            output.line("");
        }
        Ok(Exit::Done)
    }

    async fn run_at(&self, client: &Client, output: &mut Output) -> Result<Exit, Failure> {
        match &self.resource {
            Some(alias) => {
                let resource: Resource = client.look_at(&format!("/v1/resources/{alias}")).await?;
                if self.json {
                    output.json(&resource);
                    return Ok(Exit::Done);
                }
                let jobs = unfinished(client, Some(alias.as_str().to_owned())).await?;
                output.lines(details::lines(&resource, active(&resource, &jobs), &self.gateway.given(), words::now()));
            }
            None => {
                let list = all(client).await?;
                if self.json {
                    output.json(&list);
                } else if list.resources.is_empty() {
                    output.notice("no resources yet: one appears with its first job, or by [resources.ALIAS] in the configuration");
                } else {
                    let (jobs, now) = (unfinished(client, None).await?, words::now());
                    output.table(
                        HEADER,
                        list.resources.iter().map(|resource| row(resource, active(resource, &jobs), now)),
                    );
                }
            }
        }
        Ok(Exit::Done)
    }
}

/// All resources, in as many pages as it takes.
async fn all(client: &Client) -> Result<ResourceList, Failure> {
    let mut list: ResourceList = client.look_at("/v1/resources").await?;
    while let Some(token) = list.next_page_token.take() {
        let page: ResourceList = client.look_at(&format!("/v1/resources?pageToken={token}")).await?;
        list.resources.extend(page.resources);
        list.next_page_token = page.next_page_token;
    }
    Ok(list)
}

async fn unfinished(client: &Client, resource: Option<String>) -> Result<HashMap<Uuid, JobView>, Failure> {
    let states = UNFINISHED.map(StateName::as_str).to_vec();
    let jobs = fetch(client, ListQuery { resource, states, ..ListQuery::default() }, MAX_JOBS).await?.jobs;
    Ok(jobs.into_iter().map(|job| (job.id, job)).collect())
}

/// The job that is being worked on. It can end, or begin, between two requests.
fn active<'a>(resource: &Resource, jobs: &'a HashMap<Uuid, JobView>) -> Option<&'a JobView> {
    resource.active_job.and_then(|id| jobs.get(&id))
}

fn row(resource: &Resource, job: Option<&JobView>, now: Timestamp) -> [String; HEADER.len()] {
    [
        resource.resource.clone(),
        status(resource),
        resource.capacity.map_or("not read".to_owned(), |capacity| capacity.to_string()),
        job.map_or("-".to_owned(), words::goal),
        words::remaining(resource.cooldown_remaining_seconds).unwrap_or_else(|| "-".to_owned()),
        why(resource, job, now).unwrap_or_default(),
    ]
}

/// `resource` on one line, in words that do not change with time alone.
fn line(resource: &Resource, job: Option<&JobView>, now: Timestamp) -> String {
    let capacity = resource.capacity.map_or("capacity not read".to_owned(), |capacity| format!("capacity {capacity}"));
    let what = match job {
        Some(job) => Some(format!("job {} {}", words::short_id(job.id), news::first(job).text)),
        None => why(resource, None, now),
    };
    let what = what.map_or(String::new(), |what| format!("; {what}"));
    format!("{}  {}, {capacity}{what}", resource.resource, status(resource))
}

fn status(resource: &Resource) -> String {
    resource.status.clone().unwrap_or_else(|| "not read".to_owned())
}

/// What a person should know first about `resource`.
fn why(resource: &Resource, job: Option<&JobView>, now: Timestamp) -> Option<String> {
    if let Some(job) = job {
        let situation = words::situation(job, now);
        return Some(format!("job {}: {situation}", words::short_id(job.id)).trim_end_matches(": ").to_owned());
    }
    if let Some(held) = &resource.hold {
        return Some(format!("held, {}, until {}", hold::described(held), words::time_near(held.until.0, now)));
    }
    let failed = resource.last_outcome.as_ref().filter(|last| last.state == StateName::Failed);
    if let Some(last) = failed {
        let code = last.error_code.map_or(String::new(), |code| format!(" ({})", code.as_str()));
        return Some(format!("job {} failed{code} at {}", words::short_id(last.job), words::time_near(last.at.0, now)));
    }
    resource.policy.as_ref().map(|policy| format!("policy, {}", words::mode(policy.mode)))
}
