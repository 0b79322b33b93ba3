//! How watched jobs are shown: as progress bars on a terminal, as a line per change elsewhere, or as JSON.

use super::picture::{Change, Picture};
use super::rows::rows;
use crate::cli::board::Board;
use crate::cli::follow::news::{self, News};
use crate::cli::output::Output;
use crate::cli::words;

/// How watched jobs are shown.
pub enum Display {
    /// Each version of a job as JSON, on a line of its own.
    Json,
    /// A line for each change.
    Lines,
    /// A bar for each job, and above them a line for each one that has left.
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

    /// Shows a change that has led to `picture`; `options` say which gateway has the job.
    pub(super) fn show(&mut self, change: &Change, picture: &Picture, options: &str, output: &mut Output) {
        match self {
            Self::Json => output.json(&change.now),
            Self::Lines => lines(change).iter().for_each(|line| output.line(line)),
            Self::Board(board) if !change.stays => {
                board.draw(|size| rows(picture, words::now(), size));
                board.above(|| output.line(departure(change, options)));
            }
            // Drawn soon, with whatever else is new.
            Self::Board(_) => {}
        }
    }

    /// Tells what is not part of the result.
    pub(super) fn notice(&mut self, text: &str, output: &mut Output) {
        match self {
            Self::Board(board) => board.above(|| output.notice(text)),
            Self::Json | Self::Lines => output.notice(text),
        }
    }

    /// Takes away what is drawn, because something else has to be said.
    pub(super) fn clear(&mut self) {
        if let Self::Board(board) = self {
            board.clear();
        }
    }

    /// Draws the jobs as they are, with their countdowns.
    pub(super) fn draw(&mut self, picture: &Picture) {
        if let Self::Board(board) = self {
            board.draw(|size| rows(picture, words::now(), size));
        }
    }
}

/// What has happened, each with the time, the resource and the whole id of the job: this is read by programs, and by
/// people who search a log.
fn lines(change: &Change) -> Vec<String> {
    let Change { before, now, stays } = change;
    let mut news = match before {
        Some(before) => news::between(Some(before), now),
        None if *stays => vec![news::first(now)],
        None => Vec::new(),
    };
    if !stays {
        // What led to the end matters, and that it came; of a job that goes on elsewhere, only that.
        news.truncate(if now.state.is_over() { news.len().saturating_sub(1) } else { 0 });
        news.push(departed(change));
    }
    news.iter()
        .map(|News { at, text, .. }| format!("{}  {}  {}  {text}", words::clock_time(*at), now.resource, now.id))
        .collect()
}

/// The line of a job that has left the picture. The id matters to him who wants to know more.
fn departure(change: &Change, options: &str) -> String {
    let job = &change.now;
    let News { at, text, .. } = departed(change);
    let mut line = format!("{}  {}  {text}", words::clock_time(at), job.resource);
    if job.error.is_some() {
        line.push_str(&format!("\n  To look at that job: scalegate jobs {}{options}", job.id));
    }
    line
}

fn departed(change: &Change) -> News {
    let job = &change.now;
    let (at, text) = if job.state.is_over() {
        (job.finished_at.unwrap_or(job.updated_at), words::ending_there(job))
    } else {
        (job.updated_at, format!("{} now", job.state.as_str()))
    };
    News { at: at.0, text, passing: false }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::client::stub::{failed, job_view, succeeded};

    const ID: &str = "0198c3f2-7a00-7000-8000-000000000001";

    #[test]
    fn lines_tell_what_is_new() {
        let change = |before: Option<serde_json::Value>, now, stays| {
            lines(&Change { before: before.map(job_view), now: job_view(now), stays }).join("\n")
        };
        let cooling = json!({});
        assert_eq!(
            change(None, cooling.clone(), true),
            format!("12:01:02Z  worker  {ID}  running, 2 → 5, 1/4 steps; waiting for the cooldown until 12:05:00Z")
        );
        assert_eq!(
            change(Some(cooling.clone()), succeeded(), false),
            format!("12:16:00Z  worker  {ID}  succeeded at capacity 5 after 4 steps in 15m 59s")
        );
        // Not the steps before.
        assert_eq!(change(None, succeeded(), false).lines().count(), 1);
        let queued = json!({"state": "queued", "steps": [], "waitingFor": null});
        assert_eq!(change(Some(queued), cooling, false), format!("12:01:02Z  worker  {ID}  running now"));
    }

    #[test]
    fn a_job_leaves_with_one_line_and_a_failed_one_with_a_hint() {
        let change = |now| departure(&Change { before: None, now: job_view(now), stays: false }, " --server x");
        let line = "12:16:00Z  worker  succeeded at capacity 5 after 4 steps in 15m 59s";
        assert_eq!(change(succeeded()), line);
        let told = change(failed());
        assert!(told.starts_with("12:03:00Z  worker  failed at capacity 2 (sidecar_rejected): "), "{told}");
        assert!(told.ends_with(&format!("\n  To look at that job: scalegate jobs {ID} --server x")), "{told}");
    }
}
