//! `scalegate jobs --watch`: the unfinished jobs, kept current by the stream of events.
//!
//! The jobs are listed *after* the stream has said from where it goes on: what happens between the two is told by the
//! stream as well, and told a second time it is no news. The other way round it would be missed.

mod display;
mod picture;
mod rows;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use display::Display;
use picture::Picture;
use tokio::time::{Interval, MissedTickBehavior, interval};
use uuid::Uuid;

use crate::api::view::JobView;
use crate::cli::client::{Client, Failure, GatewayArgs, Heard, ListQuery, Subscription};
use crate::cli::follow::{BACK, TICK};
use crate::cli::output::Output;
use crate::cli::words;
use crate::domain::StateName;

/// Most jobs listed. A gateway has no more unfinished ones unless it is configured to; the rest appears when it
/// changes.
const MAX_LISTED: usize = 10_000;

/// Which jobs to watch.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only those for this resource.
    pub resource: Option<String>,
    /// Only those in one of these states. All unfinished ones, if there are none.
    pub states: Vec<StateName>,
}

/// Watches jobs of `gateway`, and shows them, until the output is closed.
///
/// # Errors
/// If the gateway cannot be reached at first, is away for longer than `patience`, refuses, or does not answer like a
/// gateway.
pub async fn watch(
    (client, gateway): (&Client, &GatewayArgs),
    filter: Filter,
    patience: Duration,
    display: Display,
    output: &mut Output,
) -> Result<(), Failure> {
    let events = client.events(filter.resource.as_deref(), patience);
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let picture = Picture::new(&filter.states);
    let options = gateway.given();
    let mut watch = Watch { client, options, filter, patience, picture, display, ticks, output, listed: false };
    let ended = watch.follow(events).await;
    watch.display.clear();
    ended
}

struct Watch<'a> {
    client: &'a Client,
    /// Which gateway it is.
    options: String,
    filter: Filter,
    patience: Duration,
    picture: Picture,
    display: Display,
    /// When to draw. Not at each change: there may be thousands in a second.
    ticks: Interval,
    output: &'a mut Output,
    /// Whether the jobs were listed once.
    listed: bool,
}

impl Watch<'_> {
    async fn follow(&mut self, mut events: Subscription<'_>) -> Result<(), Failure> {
        while !self.output.is_closed() {
            match self.ticking(events.next()).await? {
                Heard::Ready { resumed, back } => {
                    if back {
                        self.notice(BACK);
                    }
                    if (!resumed || !self.listed)
                        && let Err(failure) = self.list().await
                        && let Some(failure) = events.begin_anew(failure)?
                    {
                        self.away(failure)?;
                    }
                }
                Heard::Job(job) => self.take(*job),
                Heard::Group(_) | Heard::Other => {}
                Heard::Away(failure) => self.away(failure)?,
            }
        }
        Ok(())
    }

    /// Shows the jobs that there are, and what has become of those that are not there any more.
    async fn list(&mut self) -> Result<(), Failure> {
        let states = if self.filter.states.is_empty() { &UNFINISHED[..] } else { &self.filter.states };
        let query = ListQuery {
            resource: self.filter.resource.clone(),
            states: states.iter().map(|state| state.as_str()).collect(),
            ..ListQuery::default()
        };
        let list = super::fetch(self.client, query, MAX_LISTED).await?;
        let is_partial = list.next_page_token.is_some();
        let missing = if is_partial { Vec::new() } else { self.picture.missing_in(&list.jobs) };
        // Oldest first.
        list.jobs.into_iter().rev().for_each(|job| self.take(job));
        for id in missing {
            self.look_after(id).await?;
        }
        if is_partial {
            self.notice(&format!("more than {MAX_LISTED} jobs; the oldest ones are shown when they change"));
        }
        self.listed = true;
        self.display.draw(&self.picture);
        Ok(())
    }

    /// Shows what has become of a job while nothing was heard of it.
    async fn look_after(&mut self, id: Uuid) -> Result<(), Failure> {
        match self.client.job(id).await {
            Ok(job) => self.take(job),
            Err(Failure::Problem { problem, .. }) if problem.status == 404 => {
                self.picture.forget(id);
                self.notice(&format!("job {id} is over, and the gateway does not keep it any more"));
            }
            Err(failure) => return Err(failure),
        }
        Ok(())
    }

    fn take(&mut self, job: JobView) {
        if let Some(change) = self.picture.take(job) {
            self.display.show(&change, &self.picture, &self.options, self.output);
        }
    }

    /// Tells that the gateway is away. One that was never there is more likely an error of him who calls.
    fn away(&mut self, failure: Failure) -> Result<(), Failure> {
        if !self.listed {
            return Err(failure);
        }
        let patience = words::brief(self.patience);
        self.notice(&format!("{failure}\n  The jobs are not affected. Trying again for up to {patience}."));
        Ok(())
    }

    fn notice(&mut self, text: &str) {
        self.display.notice(text, self.output);
    }

    /// What `work` gives, with the picture drawn meanwhile.
    async fn ticking<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                _ = self.ticks.tick() => if self.listed { self.display.draw(&self.picture) },
            }
        }
    }
}

/// The states in which a job is not over.
pub const UNFINISHED: [StateName; 2] = [StateName::Running, StateName::Queued];
