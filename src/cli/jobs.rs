//! `scalegate jobs`: look at the jobs of a running gateway, follow them, cancel them.

mod details;
mod id;
mod table;
#[cfg(test)]
mod tests;
mod watch;

use clap::ValueEnum;
use clap::builder::PossibleValue;
use uuid::Uuid;

pub use self::id::JobRef;
pub use self::watch::UNFINISHED;
use self::watch::{Display, Filter};
use super::client::{Client, Failure, GatewayArgs, ListQuery};
use super::exit::{self, Exit};
use super::follow::{self, FollowArgs};
use super::output::Output;
use super::words;
use crate::api::view::{JobList, JobView};
use crate::domain::{Alias, StateName};

/// Most jobs on a page of the gateway's.
const MAX_PAGE_SIZE: usize = 200;

/// List, watch, show, follow or cancel the jobs of a running gateway.
///
/// Without an ID, lists jobs, newest first. With an ID, shows that job: its steps, what it waits for and until when.
///
/// With --watch, shows the unfinished jobs and keeps them current: on a terminal as progress bars, with a line for each
/// job that ends; elsewhere as a line per change, with the time, the resource and the job.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = HELP.as_str())]
pub struct JobsArgs {
    /// The job to show: its id, or the beginning or the end of it
    #[arg(value_name = "ID")]
    pub id: Option<JobRef>,

    #[command(flatten)]
    pub gateway: GatewayArgs,

    /// List or watch only jobs for this resource
    #[arg(long, value_name = "ALIAS", conflicts_with = "id")]
    pub resource: Option<Alias>,

    /// List or watch only jobs in this state; may be repeated
    #[arg(long = "state", value_name = "STATE", value_enum, hide_possible_values = false, conflicts_with = "id")]
    pub states: Vec<StateName>,

    /// List at most this many jobs
    #[arg(long, value_name = "N", default_value_t = 20, conflicts_with = "id",
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,

    /// Show the unfinished jobs and keep them current, until Ctrl-C
    #[arg(long, conflicts_with_all = ["id", "wait", "cancel", "limit"])]
    pub watch: bool,

    #[command(flatten)]
    pub follow: FollowArgs,

    /// Cancel the job; with --wait, until it has ended
    #[arg(long, requires = "id")]
    pub cancel: bool,

    /// Print JSON and nothing else: the job (with --wait, as it ended), the list as the gateway gives it, or with
    /// --watch a job per line, first those that are unfinished and then each one that has changed
    #[arg(long)]
    pub json: bool,
}

static HELP: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
    format!(
        "{}\n\nWith --cancel --wait, a job that ends as canceled is what was asked for: 0.\n\
         With --watch, Ctrl-C is how it ends: 0.",
        exit::HELP
    )
});

/// Runs the command. Must be called within an actix runtime.
pub async fn run(args: JobsArgs) -> Exit {
    let mut output = Output::standard();
    let exit = args.run(super::until_told_to_stop(), &mut output).await;
    output.finish(exit)
}

impl JobsArgs {
    /// The arguments that cancel the job `id`.
    pub fn canceling(id: JobRef, gateway: GatewayArgs, follow: FollowArgs, json: bool) -> Self {
        Self {
            id: Some(id),
            gateway,
            resource: None,
            states: Vec::new(),
            limit: 0,
            watch: false,
            follow,
            cancel: true,
            json,
        }
    }

    /// Runs the command. One that has no end of its own ends with `stop`; the others do not look at it.
    async fn run(self, stop: impl Future<Output = ()>, output: &mut Output) -> Exit {
        let done = match (self.id.clone(), self.gateway.client(output)) {
            (_, Err(usage)) => Err(usage),
            (None, _) if self.follow.wait => Err(Failure::Usage("--wait needs the ID of a job".to_owned())),
            (_, Ok(client)) if self.watch => self.watch(&client, stop, output).await,
            (Some(id), Ok(client)) => self.run_for(&id, &client, stop, output).await,
            (None, Ok(client)) => self.list(&client, output).await,
        };
        self.gateway.told(done, output)
    }

    async fn run_for(
        &self,
        id: &JobRef,
        client: &Client,
        stop: impl Future<Output = ()>,
        output: &mut Output,
    ) -> Result<Exit, Failure> {
        let id = id.resolve(client).await?;
        let job = if self.cancel { cancel(client, id).await? } else { client.job(id).await? };
        if self.follow.wait {
            if !self.json {
                output.line(headline(&job));
                output.lines(words::note(&job));
            }
            let ended =
                follow::to_the_end((client, &self.gateway), job, (&self.follow, self.json), stop, output).await?;
            let as_asked = self.cancel && ended.state == StateName::Canceled;
            return Ok(if as_asked { Exit::Done } else { Exit::of_job(&ended) });
        }
        if self.json {
            output.json(&job);
        } else if self.cancel {
            output.line(canceled(&job));
            output.lines(words::note(&job));
        } else {
            output.lines(details::lines(&job, words::now()));
        }
        Ok(Exit::Done)
    }

    async fn watch(
        &self,
        client: &Client,
        stop: impl Future<Output = ()>,
        output: &mut Output,
    ) -> Result<Exit, Failure> {
        if let Some(state) = self.states.iter().find(|state| state.is_over()) {
            let state = state.as_str();
            return Err(Failure::Usage(format!("--watch shows unfinished jobs, and a job that is {state} is over")));
        }
        let filter = Filter { resource: self.resource_name(), states: self.states.clone() };
        let display = Display::of(output, self.json);
        let stopped = tokio::select! {
            watched = watch::watch((client, &self.gateway), filter, self.follow.patience, display, output) => watched.map(|()| false)?,
            () = stop => true,
        };
        if stopped && output.is_interactive() && !self.json {
            // What was drawn last stays, and the terminal is somewhere in it.
            output.line("");
        }
        Ok(Exit::Done)
    }

    fn resource_name(&self) -> Option<String> {
        self.resource.as_ref().map(|resource| resource.as_str().to_owned())
    }

    async fn list(&self, client: &Client, output: &mut Output) -> Result<Exit, Failure> {
        let query = ListQuery {
            resource: self.resource_name(),
            states: self.states.iter().map(|state| state.as_str()).collect(),
            ..ListQuery::default()
        };
        let list = fetch(client, query, self.limit as usize).await?;
        if self.json {
            output.json(&list);
            return Ok(Exit::Done);
        }
        if list.jobs.is_empty() {
            let is_filtered = self.resource.is_some() || !self.states.is_empty();
            output.notice(if is_filtered { "no such jobs" } else { "no jobs yet" });
            return Ok(Exit::Done);
        }
        output.table(table::HEADER, table::rows(&list.jobs, words::now()));
        output.more(list.next_page_token.is_some());
        Ok(Exit::Done)
    }
}

/// Cancels a job. Asked again, for instance because the first answer was lost, a job that has been canceled is as good.
async fn cancel(client: &Client, id: Uuid) -> Result<JobView, Failure> {
    let refused = match client.cancel(id).await {
        Err(failure) if failure.is_about_a_finished_job() => failure,
        answered => return answered,
    };
    let job = client.job(id).await?;
    if job.state == StateName::Canceled { Ok(job) } else { Err(refused) }
}

/// At most `limit` jobs, in as many pages as it takes. The token for the page after them tells that there are more.
pub async fn fetch(client: &Client, mut query: ListQuery, limit: usize) -> Result<JobList, Failure> {
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

fn headline(job: &JobView) -> String {
    format!("Job {}: {} {}, {}", job.id, job.resource, words::aim(job), job.state.as_str())
}

fn canceled(job: &JobView) -> String {
    if job.state.is_over() {
        format!("Job {} is canceled.", job.id)
    } else {
        format!("Job {} will end as canceled when the outcome of its change in flight is known.", job.id)
    }
}

impl ValueEnum for StateName {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Queued, Self::Running, Self::Succeeded, Self::Failed, Self::Canceled, Self::Superseded]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.as_str()))
    }
}
