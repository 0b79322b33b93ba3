//! Following a job to its end, live.
//!
//! By its stream of events: a poll would show the job as it is, and leave out what it was between two of them.

pub(super) mod news;
mod overdue;
mod screen;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use screen::{Screen, bar_columns};

use self::overdue::Overdue;
use super::client::{Client, Failure, Followed, GatewayArgs, Heard};
use super::output::Output;
use super::words;
use crate::api::view::JobView;

/// What is said when a gateway that was away has answered.
pub(super) const BACK: &str = "the gateway is back";
/// Time between two updates of a countdown.
pub(super) const TICK: Duration = Duration::from_millis(250);

/// How a client command follows a job.
#[derive(Clone, Debug, clap::Args)]
pub struct FollowArgs {
    /// Follow the job to its end; the exit code tells what became of it
    #[arg(long)]
    pub wait: bool,

    /// When following: how long to keep trying while the gateway cannot be reached
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = crate::config::parse_duration)]
    pub patience: Duration,
}

/// Follows `job`, which `gateway` has, to its end as a client command does, and prints the job if `json` is asked for. `stop`
/// ends the following.
///
/// # Errors
/// As [`follow`], and [`Failure::Stopped`].
pub async fn to_the_end(
    (client, gateway): (&Client, &GatewayArgs),
    job: JobView,
    (args, json): (&FollowArgs, bool),
    stop: impl Future<Output = ()>,
    output: &mut Output,
) -> Result<JobView, Failure> {
    let mut screen = if json { Screen::quiet(output) } else { Screen::live(output) };
    let stopped = Failure::Stopped { what: Followed::Job(job.id), options: gateway.given() };
    let ended = tokio::select! {
        ended = follow(client, job, args.patience, &mut screen) => ended?,
        () = stop => return Err(stopped),
    };
    drop(screen);
    if json {
        output.json(&ended);
    }
    Ok(ended)
}

/// Follows `job` to its end and shows on `screen` what happens to it. Gives the job as it ended.
///
/// # Errors
/// If the gateway is away for longer than `patience`, does not know the job any more, or does not answer like a
/// gateway.
pub async fn follow(
    client: &Client,
    job: JobView,
    patience: Duration,
    screen: &mut Screen<'_>,
) -> Result<JobView, Failure> {
    follow_with(client, job, patience, Overdue::default(), screen).await
}

/// The same, with waits looked into as `overdue` says.
async fn follow_with(
    client: &Client,
    mut job: JobView,
    patience: Duration,
    mut overdue: Overdue,
    screen: &mut Screen<'_>,
) -> Result<JobView, Failure> {
    let mut events = client.job_events(job.id, patience);
    screen.show(None, &job);
    while !job.state.is_over() {
        match ticking(screen, (client, &job, &mut overdue), events.next()).await? {
            // A stream that begins anew repeats what was shown; of that there is nothing to show.
            Heard::Job(newer) => {
                screen.show(Some(&job), &newer);
                job = *newer;
            }
            Heard::Ready { back: true, .. } => screen.notice(BACK),
            Heard::Ready { back: false, .. } | Heard::Group(_) | Heard::Other => {}
            Heard::Away(failure) => {
                let patience = words::brief(patience);
                screen.notice(&format!("{failure}\n  The job is not affected. Trying again for up to {patience}."));
            }
        }
    }
    screen.close();
    Ok(job)
}

/// What `work` gives, with countdowns on `screen` going on meanwhile, and a look into a wait that is overdue.
async fn ticking<T>(
    screen: &mut Screen<'_>,
    (client, job, overdue): (&Client, &JobView, &mut Overdue),
    work: impl Future<Output = T>,
) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            () = tokio::time::sleep(TICK) => {}
        }
        screen.tick(job);
        let now = words::now();
        if overdue.is_due(job, now)
            && let Some(cause) = overdue.ask(client, now).await
        {
            screen.notice(&cause);
        }
    }
}
