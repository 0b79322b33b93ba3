//! What has changed between two looks at a job, in lines.

use std::fmt;

use crate::api::view::{JobView, StepView, WaitingView, WireTime};
use crate::cli::words;
use crate::domain::{StateName, Timestamp};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// When.
    pub at: Timestamp,
    /// What.
    pub text: String,
    /// Whether it is only the present state of affairs, which a progress bar shows anyway.
    pub passing: bool,
}

impl News {
    fn lasting(at: Timestamp, text: impl Into<String>) -> Self {
        Self { at, text: text.into(), passing: false }
    }

    fn passing(at: Timestamp, text: impl Into<String>) -> Self {
        Self { at, text: text.into(), passing: true }
    }
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}", words::clock_time(self.at), self.text)
    }
}

/// What there is to say of a job that is seen for the first time and was there before.
pub fn first(job: &JobView) -> News {
    let at = job.updated_at.0;
    let mut text = format!("{}, {}, {}", job.state.as_str(), words::way(job), words::steps(&job.progress));
    if let Some(waiting) = &job.waiting_for {
        text.push_str(&format!("; {}", waiting_line(waiting, at)));
    }
    News::passing(at, text)
}

/// What is new in `now` after `before`, in the order in which it happened.
pub fn between(before: Option<&JobView>, now: &JobView) -> Vec<News> {
    let mut news = Vec::new();
    for (index, step) in now.steps.iter().enumerate() {
        let known = before.and_then(|before| before.steps.get(index));
        if known.is_none_or(|known| known.outcome != step.outcome) {
            news.push(of_step(step, now.updated_at));
        }
    }
    let known_changes = before.map_or(0, |before| before.external_changes.len());
    for change in now.external_changes.iter().skip(known_changes) {
        let text = format!("changed by others: {} → {}", change.from_capacity, change.to_capacity);
        news.push(News::lasting(change.noticed_at.0, text));
    }
    // Stable: what happened at the same time keeps its order.
    news.sort_by_key(|news| news.at);
    news.extend(of_state(before, now));
    news
}

fn of_step(step: &StepView, seen_at: WireTime) -> News {
    let text = format!("{} {}", words::step(step), words::outcome(step));
    match step.resolved_at {
        Some(at) => News::lasting(at.0, text),
        None => News::passing(step.sent_at.unwrap_or(seen_at).0, text),
    }
}

fn of_state(before: Option<&JobView>, now: &JobView) -> Option<News> {
    let at = now.updated_at.0;
    if now.state.is_over() {
        let ended_at = now.finished_at.map_or(at, |at| at.0);
        return before
            .is_none_or(|before| !before.state.is_over())
            .then(|| News::lasting(ended_at, words::ending(now)));
    }
    if let Some(ending) = now.ending_as
        && before.is_none_or(|before| before.ending_as.is_none())
    {
        let name = if ending == StateName::Superseded { "superseded" } else { "canceled" };
        return Some(News::lasting(at, format!("to end as {name} as soon as the change in flight is resolved")));
    }
    // That a change was sent says already that it is waited for.
    let in_flight = now.steps.last().is_some_and(|step| step.resolved_at.is_none());
    let waiting = now.waiting_for.as_ref().filter(|waiting| !(in_flight && waiting.reason == "change"))?;
    let known = before.and_then(|before| before.waiting_for.as_ref());
    known.is_none_or(|known| differs(known, waiting)).then(|| News::passing(at, waiting_line(waiting, at)))
}

/// Whether `new` is a wait of which a reader should hear. Limits and capacities in details change with every reading;
/// the reasons why there is no usable reading change seldom and are worth knowing.
fn differs(known: &WaitingView, new: &WaitingView) -> bool {
    known.reason != new.reason
        || (words::ends_by_itself(new) && known.until != new.until)
        || (explains(new) && known.detail != new.detail)
}

fn explains(waiting: &WaitingView) -> bool {
    matches!(waiting.reason.as_str(), "sidecar" | "settle")
}

fn waiting_line(waiting: &WaitingView, at: Timestamp) -> String {
    let until = words::time_near(waiting.until.0, at);
    let awaited = words::awaited(waiting);
    if words::ends_by_itself(waiting) {
        format!("waiting for {awaited} until {until}")
    } else if explains(waiting) {
        format!("waiting for {awaited}, until {until} at the latest: {}", waiting.detail)
    } else {
        format!("waiting for {awaited}, until {until} at the latest")
    }
}
