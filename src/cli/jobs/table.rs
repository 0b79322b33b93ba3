//! Jobs as a table.

use crate::api::view::JobView;
use crate::cli::words;
use crate::domain::{StateName, Timestamp};

/// What is shown of each job. What can be long stands last, where it can be cut.
pub const HEADER: [&str; 7] = ["ID", "RESOURCE", "STATE", "CAPACITY", "STEPS", "AGE", "NOW"];

/// A row for each of `jobs`.
pub fn rows(jobs: &[JobView], now: Timestamp) -> impl Iterator<Item = [String; HEADER.len()]> {
    jobs.iter().map(move |job| row(job, now))
}

fn row(job: &JobView, now: Timestamp) -> [String; HEADER.len()] {
    [
        words::short_id(job.id),
        job.resource.clone(),
        state(job),
        if job.current_capacity.is_some() { words::way(job) } else { words::aim(job) },
        words::steps_in_brief(&job.progress),
        words::brief(now.since(job.created_at.0)),
        job.waiting_for.as_ref().map_or("-".to_owned(), |waiting| words::going_on(waiting, now)),
    ]
}

fn state(job: &JobView) -> String {
    let state = job.state.as_str();
    match (&job.error, job.ending_as) {
        (Some(error), _) if job.state == StateName::Failed => format!("{state} ({})", error.code),
        (_, Some(ending)) if !job.state.is_over() => format!("{state} (to be {})", ending.as_str()),
        _ => state.to_owned(),
    }
}
