//! Jobs as a table.

use crate::api::view::JobView;
use crate::cli::{table, words};
use crate::domain::{StateName, Timestamp};

const HEADER: [&str; 6] = ["ID", "RESOURCE", "STATE", "PROGRESS", "WAITING FOR", "AGE"];

/// `jobs` as a table with a header. A line each.
pub fn lines(jobs: &[JobView], now: Timestamp) -> Vec<String> {
    table::lines(HEADER, jobs.iter().map(|job| row(job, now)))
}

fn row(job: &JobView, now: Timestamp) -> [String; HEADER.len()] {
    [
        job.id.to_string(),
        job.resource.clone(),
        state(job),
        format!("{} → {}", words::steps(&job.progress), words::goal(job)),
        waiting(job, now),
        words::brief(now.since(job.created_at.0)),
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

fn waiting(job: &JobView, now: Timestamp) -> String {
    let Some(waiting) = &job.waiting_for else { return "-".to_owned() };
    if words::ends_by_itself(waiting) {
        return format!("{}, {} left", waiting.reason, words::brief(waiting.until.0.since(now)));
    }
    waiting.reason.clone()
}
