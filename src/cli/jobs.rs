//! `scalegate jobs`: look at the jobs of a running gateway, follow them, cancel them.

mod details;
mod table;
#[cfg(test)]
mod tests;

use clap::ValueEnum;
use clap::builder::PossibleValue;
use uuid::Uuid;

use super::client::{Client, Failure, ListQuery, ServerArgs};
use super::exit::{self, Exit};
use super::follow::{self, FollowArgs};
use super::output::Output;
use super::words;
use crate::api::view::{JobList, JobView, StateView};
use crate::domain::Alias;

/// Most jobs on a page of the gateway's.
const MAX_PAGE_SIZE: usize = 200;

/// List, show, follow or cancel the jobs of a running gateway.
///
/// Without an ID, lists jobs, newest first. With an ID, shows that job: its steps, what it waits for and until when.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = HELP.as_str())]
pub struct JobsArgs {
    /// The job to show
    #[arg(value_name = "ID")]
    pub id: Option<Uuid>,

    #[command(flatten)]
    pub server: ServerArgs,

    /// List only jobs for this resource
    #[arg(long, value_name = "ALIAS", conflicts_with = "id")]
    pub resource: Option<Alias>,

    /// List only jobs in this state; may be repeated
    #[arg(long = "state", value_name = "STATE", value_enum, hide_possible_values = false, conflicts_with = "id")]
    pub states: Vec<StateView>,

    /// List at most this many jobs
    #[arg(long, value_name = "N", default_value_t = 20, conflicts_with = "id",
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,

    #[command(flatten)]
    pub follow: FollowArgs,

    /// Cancel the job; with --wait, until it has ended
    #[arg(long, requires = "id")]
    pub cancel: bool,

    /// Print JSON and nothing else: the job (with --wait, as it ended), or the list as the gateway gives it
    #[arg(long)]
    pub json: bool,
}

static HELP: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
    format!("{}\n\nWith --cancel --wait, a job that ends as canceled is what was asked for: 0.", exit::HELP)
});

/// Runs the command. Must be called within an actix runtime.
pub async fn run(args: JobsArgs) -> Exit {
    let mut output = Output::standard();
    let exit = args.run(&mut output).await;
    output.finish(exit)
}

impl JobsArgs {
    async fn run(self, output: &mut Output) -> Exit {
        let done = match (self.id, self.server.url()) {
            (_, Err(usage)) => Err(usage),
            (None, _) if self.follow.wait => Err(Failure::Usage("--wait needs the ID of a job".to_owned())),
            (Some(id), Ok(server)) => self.run_for(id, &Client::new(server), output).await,
            (None, Ok(server)) => self.list(&Client::new(server), output).await,
        };
        done.unwrap_or_else(|failure| {
            output.notice(&failure);
            failure.exit()
        })
    }

    async fn run_for(&self, id: Uuid, client: &Client, output: &mut Output) -> Result<Exit, Failure> {
        let job = if self.cancel { client.cancel(id).await? } else { client.job(id).await? };
        if self.follow.wait {
            if !self.json {
                output.line(headline(&job));
            }
            let ended = follow::to_the_end(client, job, &self.follow, self.json, output).await?;
            let as_asked = self.cancel && ended.state == StateView::Canceled;
            return Ok(if as_asked { Exit::Done } else { Exit::of_job(&ended) });
        }
        if self.json {
            output.json(&job);
        } else if self.cancel {
            output.line(canceled(&job));
        } else {
            output.line(details::text(&job, words::now()));
        }
        Ok(Exit::Done)
    }

    async fn list(&self, client: &Client, output: &mut Output) -> Result<Exit, Failure> {
        let list = self.fetch(client).await?;
        if self.json {
            output.json(&list);
            return Ok(Exit::Done);
        }
        if list.jobs.is_empty() {
            output.notice("no such jobs");
            return Ok(Exit::Done);
        }
        output.line(table::text(&list.jobs, words::now()));
        if list.next_page_token.is_some() {
            output.notice("there are more; --limit shows them");
        }
        Ok(Exit::Done)
    }

    /// As many pages as it takes. The token for the page after them tells that there are more.
    async fn fetch(&self, client: &Client) -> Result<JobList, Failure> {
        let limit = self.limit as usize;
        let mut query = ListQuery {
            resource: self.resource.as_ref().map(|resource| resource.as_str().to_owned()),
            states: self.states.iter().map(|state| words::state(*state)).collect(),
            ..ListQuery::default()
        };
        let mut jobs = Vec::new();
        loop {
            query.page_size = MAX_PAGE_SIZE.min(limit - jobs.len());
            let page = client.list(&query).await?;
            jobs.extend(page.jobs);
            query.page_token = page.next_page_token;
            if query.page_token.is_none() || jobs.len() >= limit {
                return Ok(JobList { jobs, next_page_token: query.page_token });
            }
        }
    }
}

fn headline(job: &JobView) -> String {
    format!("Job {}: {} {}, {}", job.id, job.resource, words::aim(job), words::state(job.state))
}

fn canceled(job: &JobView) -> String {
    if job.state.is_over() {
        format!("Job {} is canceled.", job.id)
    } else {
        format!("Job {} will end as canceled when the outcome of its change in flight is known.", job.id)
    }
}

impl ValueEnum for StateView {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Queued, Self::Running, Self::Succeeded, Self::Failed, Self::Canceled, Self::Superseded]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(words::state(*self)))
    }
}
