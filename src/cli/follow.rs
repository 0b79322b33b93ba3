//! Following a job to its end, live.
//!
//! By polling, not by the event stream: a poll tells all there is to know of the job, so that nothing can be missed
//! while the gateway restarts. The gateway holds each answer back for the time between two polls unless the job ends;
//! the end is thereby noticed at once.

mod news;
mod screen;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::time::Instant;

pub use screen::Screen;

use super::client::{Client, Failure, Polled};
use super::output::Output;
use super::words;
use crate::api::view::JobView;

/// Time between two polls where somebody watches.
pub const LIVE: Duration = Duration::from_secs(1);
/// Time between two polls where nobody does: the gateway holds its answer back until the job ends.
pub const QUIET: Duration = Duration::from_secs(30);
/// Shortest time between two polls that the gateway answers at once although it was asked to wait.
const LEAST_PAUSE: Duration = Duration::from_secs(1);
/// First and longest pause while the gateway is away. It should be back in seconds, or else it is being repaired.
const ABSENCE_PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
/// Time between two updates of a countdown.
const TICK: Duration = Duration::from_millis(250);

/// How a client command follows a job.
#[derive(Clone, Debug, clap::Args)]
pub struct FollowArgs {
    /// Follow the job to its end; the exit code tells what became of it
    #[arg(long)]
    pub wait: bool,

    /// With --wait: how long to keep trying while the gateway cannot be reached
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = crate::config::parse_duration)]
    pub patience: Duration,
}

/// How often to look, and how long to keep trying.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Time between two polls: [`LIVE`], [`QUIET`], or less for jobs whose steps take no longer than that.
    pub every: Duration,
    /// How long the gateway may be away.
    pub patience: Duration,
}

/// Follows `job` to its end as a client command does, and prints the job if `json` is asked for.
///
/// # Errors
/// As [`follow`].
pub async fn to_the_end(
    client: &Client,
    job: JobView,
    args: &FollowArgs,
    json: bool,
    output: &mut Output,
) -> Result<JobView, Failure> {
    let pace = Pace { every: if json { QUIET } else { LIVE }, patience: args.patience };
    let mut screen = if json { Screen::quiet(output) } else { Screen::live(output) };
    let ended = follow(client, job, pace, &mut screen).await?;
    drop(screen);
    if json {
        output.json(&ended);
    }
    Ok(ended)
}

/// Follows `job` to its end and shows on `screen` what happens to it. Gives the job as it ended.
///
/// # Errors
/// If the gateway is away for longer than `pace.patience`, does not know the job any more, or does not answer like a
/// gateway.
pub async fn follow(
    client: &Client,
    mut job: JobView,
    pace: Pace,
    screen: &mut Screen<'_>,
) -> Result<JobView, Failure> {
    let mut tag: Option<String> = None;
    let mut absence: Option<Absence> = None;
    screen.show(None, &job);
    while !job.state.is_over() {
        let asked_at = Instant::now();
        let wait = Duration::from_secs(pace.every.as_secs());
        let polled = ticking(screen, &job, client.poll(job.id, tag.as_deref(), wait)).await;
        match polled {
            Ok(polled) => {
                if absence.take().is_some() {
                    screen.notice("the gateway is back");
                }
                if let Polled::Job(newer, newer_tag) = polled {
                    screen.show(Some(&job), &newer);
                    (job, tag) = (*newer, newer_tag);
                }
                if !job.state.is_over() {
                    let next_at = asked_at + pace.every.min(LEAST_PAUSE);
                    ticking(screen, &job, tokio::time::sleep_until(next_at)).await;
                }
            }
            Err(failure) if failure.is_absence() => {
                let absence = absence.get_or_insert_with(|| {
                    let patience = words::brief(pace.patience);
                    screen.notice(&format!("{failure}\n  The job is not affected. Trying again for up to {patience}."));
                    Absence { give_up_at: asked_at + pace.patience, pause: ABSENCE_PAUSES.0 }
                });
                let Some(pause) = absence.next_pause() else { return Err(failure) };
                ticking(screen, &job, tokio::time::sleep(pause)).await;
            }
            Err(failure) => return Err(failure),
        }
    }
    screen.close();
    Ok(job)
}

/// A time without a gateway.
struct Absence {
    give_up_at: Instant,
    pause: Duration,
}

impl Absence {
    /// How long to wait before the next try, unless it is time to give up.
    fn next_pause(&mut self) -> Option<Duration> {
        let left = self.give_up_at.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
        let pause = self.pause.min(left);
        self.pause = (self.pause * 2).min(ABSENCE_PAUSES.1);
        Some(pause)
    }
}

/// What `work` gives, with countdowns on `screen` going on meanwhile.
async fn ticking<T>(screen: &mut Screen<'_>, job: &JobView, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            () = tokio::time::sleep(TICK) => screen.tick(job),
        }
    }
}
