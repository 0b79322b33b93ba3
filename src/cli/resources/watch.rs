//! `scalegate resources --watch`: the resources, kept current.
//!
//! The stream of events says when there is something new, and the list is fetched again, at most once a second. The stream alone
//! would not do: it has jobs, but not what the list says about resources. Rejected: to fetch the list at fixed times, because that
//! is late when something happens and useless when nothing does.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::{HEADER, all, line, row, unfinished};
use crate::api::view::{JobView, Resource};
use crate::cli::board::{Board, Row, Size};
use crate::cli::client::{Client, Failure, Heard, Subscription};
use crate::cli::follow::{BACK, TICK};
use crate::cli::output::Output;
use crate::cli::{table, words};
use crate::domain::{Alias, Timestamp};

/// Least time between two fetches of the list: there may be thousands of changes in a second.
const FETCH_PAUSE: Duration = Duration::from_secs(1);

/// How resources are shown.
pub enum Display {
    /// Each resource as JSON, on a line of its own, and again when it has changed.
    Json,
    /// A line for each resource, and again when it has changed.
    Lines,
    /// The table, drawn anew.
    Board(Board),
}

impl Display {
    /// What suits `output`.
    pub fn of(output: &Output, json: bool) -> Self {
        if json {
            Self::Json
        } else if output.is_interactive() {
            Self::Board(Board::on_terminal())
        } else {
            Self::Lines
        }
    }
}

/// Watches the resources, or `only` one of them, and shows them, until the output is closed.
///
/// # Errors
/// If the gateway cannot be reached at first, is away for longer than `patience`, refuses, or does not answer like a
/// gateway.
pub async fn watch(
    client: &Client,
    only: Option<&Alias>,
    patience: Duration,
    display: Display,
    output: &mut Output,
) -> Result<(), Failure> {
    let events = client.events(only.map(Alias::as_str), patience);
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut watch = Watch {
        client,
        only,
        patience,
        display,
        output,
        ticks,
        is_stale: false,
        fetched_at: None,
        shown: BTreeMap::new(),
    };
    let ended = watch.follow(events).await;
    if let Display::Board(board) = &mut watch.display {
        board.clear();
    }
    ended
}

struct Watch<'a> {
    client: &'a Client,
    only: Option<&'a Alias>,
    patience: Duration,
    display: Display,
    output: &'a mut Output,
    ticks: Interval,
    /// Whether something has happened since the list was fetched.
    is_stale: bool,
    /// When the list was fetched.
    fetched_at: Option<Instant>,
    /// The resources as they were fetched last.
    shown: BTreeMap<String, Shown>,
}

struct Shown {
    resource: Resource,
    job: Option<JobView>,
    /// What was written of it, unless the table is drawn.
    line: String,
}

/// What ends a wait.
enum Next {
    Heard(Heard),
    NotFetched(Failure),
}

impl Watch<'_> {
    async fn follow(&mut self, mut events: Subscription<'_>) -> Result<(), Failure> {
        while !self.output.is_closed() {
            let failed = match self.next(&mut events).await? {
                Next::Heard(Heard::Ready { back, .. }) => {
                    if back {
                        self.notice(BACK);
                    }
                    self.fetch().await.err()
                }
                Next::Heard(Heard::Job(_) | Heard::Group(_) | Heard::Other) => {
                    self.is_stale = true;
                    None
                }
                Next::Heard(Heard::Away(failure)) => {
                    self.away(failure)?;
                    None
                }
                Next::NotFetched(failure) => Some(failure),
            };
            if let Some(failure) = failed
                && let Some(failure) = events.begin_anew(failure)?
            {
                self.away(failure)?;
            }
        }
        Ok(())
    }

    /// What is heard next. Meanwhile the list is fetched when it is out of date, and countdowns go on.
    async fn next(&mut self, events: &mut Subscription<'_>) -> Result<Next, Failure> {
        let mut heard = pin!(events.next());
        loop {
            tokio::select! {
                heard = &mut heard => return heard.map(Next::Heard),
                _ = self.ticks.tick() => {}
            }
            let is_due = self.fetched_at.is_none_or(|at| at.elapsed() >= FETCH_PAUSE);
            if self.is_stale
                && is_due
                && let Err(failure) = self.fetch().await
            {
                return Ok(Next::NotFetched(failure));
            }
            self.draw();
        }
    }

    /// Fetches the list and shows what is new in it.
    async fn fetch(&mut self) -> Result<(), Failure> {
        let resources = all(self.client).await?.resources;
        let jobs = unfinished(self.client, self.only.map(|alias| alias.as_str().to_owned())).await?;
        let now = words::now();
        (self.is_stale, self.fetched_at) = (false, Some(Instant::now()));
        let mut before = std::mem::take(&mut self.shown);
        for resource in resources {
            if self.only.is_some_and(|only| only.as_str() != resource.resource) {
                continue;
            }
            let job = super::active(&resource, &jobs).cloned();
            let line = self.written(&resource, job.as_ref(), now);
            if before.remove(&resource.resource).is_none_or(|known| known.line != line) {
                self.write(&line, now);
            }
            self.shown.insert(resource.resource.clone(), Shown { resource, job, line });
        }
        if matches!(self.display, Display::Lines) {
            before.into_keys().for_each(|gone| self.write(&format!("{gone}  is no longer known"), now));
        }
        self.draw();
        Ok(())
    }

    /// What is written of a resource. It does not change with time alone.
    fn written(&self, resource: &Resource, job: Option<&JobView>, now: Timestamp) -> String {
        match self.display {
            Display::Json => {
                let timeless = Resource { cooldown_remaining_seconds: 0.0, ..resource.clone() };
                serde_json::to_string(&timeless).unwrap_or_default()
            }
            Display::Lines => line(resource, job, now),
            Display::Board(_) => String::new(),
        }
    }

    fn write(&mut self, line: &str, now: Timestamp) {
        match self.display {
            Display::Json => self.output.line(line),
            Display::Lines => self.output.line(format_args!("{}  {line}", words::clock_time(now))),
            Display::Board(_) => {}
        }
    }

    fn draw(&mut self) {
        let Display::Board(board) = &mut self.display else { return };
        if let Some(fetched_at) = self.fetched_at {
            let (shown, elapsed) = (&self.shown, fetched_at.elapsed());
            board.draw(|size| rows(shown, elapsed, words::now(), size));
        }
    }

    fn notice(&mut self, text: &str) {
        match &self.display {
            Display::Board(board) => board.above(|| self.output.notice(text)),
            Display::Json | Display::Lines => self.output.notice(text),
        }
    }

    /// Tells that the gateway is away. One that was never there is more likely an error of the user.
    fn away(&mut self, failure: Failure) -> Result<(), Failure> {
        if self.fetched_at.is_none() {
            return Err(failure);
        }
        let patience = words::brief(self.patience);
        self.notice(&format!("{failure}\n  The resources are not affected. Trying again for up to {patience}."));
        Ok(())
    }
}

/// The table on a terminal of this `size`, so long after the list was fetched.
fn rows(shown: &BTreeMap<String, Shown>, elapsed: Duration, now: Timestamp, size: Size) -> Vec<Row> {
    if shown.is_empty() {
        return vec![Row::Text("No resources. Ctrl-C ends this.".to_owned())];
    }
    let cells = |Shown { resource, job, .. }: &Shown| {
        let left = (resource.cooldown_remaining_seconds - elapsed.as_secs_f64()).max(0.0);
        row(&Resource { cooldown_remaining_seconds: left, ..resource.clone() }, job.as_ref(), now)
    };
    // Of the lines, one is the header's.
    let room = size.room() - 1;
    let fitting = if shown.len() <= room { shown.len() } else { room.saturating_sub(1) };
    let lines = table::lines(HEADER, shown.values().take(fitting).map(cells));
    let mut rows: Vec<Row> = lines.iter().map(|line| Row::Text(table::cut(line, size.columns))).collect();
    if fitting < shown.len() {
        rows.push(Row::Text(format!("and {} more", shown.len() - fitting)));
    }
    rows
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::openapi::examples::example_listed_resource;
    use crate::cli::board::in_memory::board;
    use crate::cli::client::stub::job_view;

    const NOW: Timestamp = Timestamp::from_millis(1_769_861_040_000);

    fn shown(number: usize) -> BTreeMap<String, Shown> {
        let resource = |index: usize| {
            let mut resource: Resource = serde_json::from_value(example_listed_resource()).expect("a resource");
            resource.resource = format!("web-{index:02}");
            (resource.resource.clone(), Shown { resource, job: Some(job_view(json!({}))), line: String::new() })
        };
        (1..=number).map(resource).collect()
    }

    #[test]
    fn countdowns_go_on_between_two_fetches() {
        let (mut board, terminal) = board(24, 120);
        let shown = shown(1);
        board.draw(|size| rows(&shown, Duration::ZERO, NOW, size));
        assert!(terminal.contents().contains("  3m 58s  "), "{}", terminal.contents());
        board.draw(|size| rows(&shown, Duration::from_secs(8), NOW, size));
        assert!(terminal.contents().contains("  3m 50s  "), "{}", terminal.contents());
        board.draw(|size| rows(&BTreeMap::new(), Duration::ZERO, NOW, size));
        assert_eq!(terminal.contents(), "No resources. Ctrl-C ends this.");
    }

    #[test]
    fn a_table_is_never_longer_or_wider_than_the_terminal() {
        for (resources, last) in [(8, "web-08"), (9, "and 2 more"), (30, "and 23 more")] {
            let (mut board, terminal) = board(10, 40);
            board.draw(|size| rows(&shown(resources), Duration::ZERO, NOW, size));
            let drawn = terminal.contents();
            assert_eq!(drawn.lines().count(), 9, "{drawn}");
            assert!(drawn.starts_with("RESOURCE"), "{drawn}");
            assert!(drawn.lines().last().is_some_and(|line| line.starts_with(last)), "{drawn}");
            assert!(drawn.lines().all(|line| line.chars().count() <= 40), "{drawn}");
        }
    }
}
