//! Sentences about a job's life, for its record and for the log.

use std::time::Duration;

use super::super::assess::Inconclusive;
use super::super::change_state::{Change, Stage};
use super::super::job::{Ending, ErrorCode, Job, JobError, LastChangeError};
use super::super::reading::Reading;
use super::super::settings::Settings;

pub(super) fn accepted(job: &Job) -> String {
    let goal = job.goal;
    match &job.reason {
        Some(reason) => format!("accepted: scale {goal} ({reason})"),
        None => format!("accepted: scale {goal}"),
    }
}

/// What the operator's limits have made of a job's settings.
pub(super) fn held_to_limits(before: &Settings, after: &Settings) -> String {
    let seconds = |duration: Duration| format!("{} s", duration.as_secs_f64());
    let changes = [
        ("step size", before.step_size.to_string(), after.step_size.to_string()),
        ("cooldown", seconds(before.cooldown), seconds(after.cooldown)),
        ("settle", seconds(before.settle), seconds(after.settle)),
    ];
    let changes = changes.iter().filter(|(_, before, after)| before != after);
    let changes: Vec<String> = changes.map(|(name, before, after)| format!("{name} {before} → {after}")).collect();
    format!("held to the operator's limits: {}", changes.join(", "))
}

pub(super) fn ended(ending: &Ending) -> String {
    match ending {
        Ending::Succeeded => "succeeded".into(),
        Ending::Failed(error) => format!("failed ({}): {}", error.code.as_str(), error.message),
        Ending::Canceled => "canceled".into(),
        Ending::Superseded { by } => format!("superseded by {by}"),
    }
}

pub(super) fn deadline_exceeded(job: &Job) -> JobError {
    let reached = match (job.current, job.target) {
        (Some(current), Some(target)) => format!(" at capacity {current} on the way to {target}"),
        _ => String::new(),
    };
    JobError::new(
        ErrorCode::DeadlineExceeded,
        format!("The job was not over within its {} s; it ended{reached}.", job.settings.deadline.as_secs_f64()),
    )
}

/// The error of a job whose `change` cannot be resolved within its time.
pub(super) fn given_up(
    change: &Change,
    reading: &Reading,
    lacks: Inconclusive,
    last_error: Option<&LastChangeError>,
) -> JobError {
    let within = change.effect_timeout.as_secs_f64();
    let movement = change.movement;
    if lacks == Inconclusive::Progress && !reading.status.is_at_rest(reading.capacity) {
        let message = format!(
            "{movement} was sent, but after {within} s the resource is still {} at capacity {}.",
            reading.status, reading.capacity
        );
        return JobError::new(ErrorCode::ActiveTimeout, message);
    }
    match change.stage {
        Stage::Acknowledged if lacks == Inconclusive::Progress => JobError::new(
            ErrorCode::NoProgress,
            format!(
                "The sidecar accepted {movement}, but after {within} s the capacity is still {} (status {}).",
                reading.capacity, reading.status
            ),
        ),
        Stage::Acknowledged | Stage::Intended => JobError::new(
            ErrorCode::NoProgress,
            format!("The sidecar accepted {movement}, but for {within} s its readings were older than that."),
        ),
        Stage::Unknown { .. } => JobError {
            code: ErrorCode::OutcomeUnknown,
            message: format!(
                "Whether {movement} took effect could not be told within {within} s: the sidecar's readings are too old{}.",
                last_error.map_or(String::new(), |error| format!(". The change itself: {}", error.detail))
            ),
            sidecar: last_error.and_then(|error| error.answer.clone()),
        },
    }
}
