//! What to do next, given a usable reading.

use super::capacity::{Capacity, Move};
use super::job::{Ending, ErrorCode, Goal, Job, JobError, MAX_STEPS};
use super::ledger::Ledger;
use super::reading::Reading;
use super::settings::Bounds;
use super::time::Timestamp;

/// Consecutive changes without effect after which a job gives up. The platform's guide advises three to five tries.
pub const MAX_FRUITLESS_STEPS: usize = 5;
/// Movements by somebody else after which a job gives up: it is then in a tug of war that no number of steps will win.
pub const MAX_EXTERNAL_CHANGES: usize = 20;

/// What a job is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is over.
    End(Ending),
    /// Wait for the resource to come to rest, until this time at the latest.
    AwaitRest(Timestamp),
    /// Wait for the cooldown to end at this time.
    AwaitCooldown(Timestamp),
    /// Change the capacity.
    Change(Move),
}

/// Decides what `job` does at `now` on the strength of `reading`, which must be usable.
pub fn decide(job: &Job, reading: &Reading, ledger: &Ledger, bounds: Bounds, now: Timestamp) -> Decision {
    match try_decide(job, reading, ledger, bounds, now) {
        Ok(decision) => decision,
        Err(error) => Decision::End(Ending::Failed(error)),
    }
}

fn try_decide(
    job: &Job,
    reading: &Reading,
    ledger: &Ledger,
    bounds: Bounds,
    now: Timestamp,
) -> Result<Decision, JobError> {
    let capacity = reading.capacity;
    if reading.status.is_failed() {
        return Err(resource_failed(capacity));
    }
    let target = resolve_goal(job, capacity, bounds)?;
    if !reading.status.is_at_rest(capacity) {
        return await_rest(job, reading, now);
    }
    let Some(change) = Move::toward(capacity, target, job.settings.step_size) else {
        return Ok(Decision::End(Ending::Succeeded));
    };
    check_effort(job, capacity, target)?;
    match ledger.next_change_at(job.settings.cooldown) {
        Some(at) if now < at => Ok(Decision::AwaitCooldown(at)),
        _ => Ok(Decision::Change(change)),
    }
}

/// The failure of a job whose resource is FAILED.
pub fn resource_failed(capacity: Capacity) -> JobError {
    JobError::new(ErrorCode::ResourceFailed, format!("The resource's status is FAILED at capacity {capacity}."))
}

/// The capacity the job is to reach, given the `current` one.
///
/// # Errors
/// `out_of_bounds` if it lies outside what the operator allows or what a capacity can be.
pub fn resolve_goal(job: &Job, current: Capacity, bounds: Bounds) -> Result<Capacity, JobError> {
    let wanted = match (job.target, job.goal) {
        (Some(target), _) | (None, Goal::Target(target)) => i64::from(target.units()),
        (None, Goal::Delta(delta)) => i64::from(current.units()) + i64::from(delta),
    };
    Capacity::new(wanted).ok().filter(|target| bounds.contains(*target)).ok_or_else(|| {
        JobError::new(
            ErrorCode::OutOfBounds,
            format!("The target {wanted} is outside the bounds of the resource, {} to {}.", bounds.min, bounds.max),
        )
    })
}

fn await_rest(job: &Job, reading: &Reading, now: Timestamp) -> Result<Decision, JobError> {
    let until = job.patience.active_by.unwrap_or_else(|| job.patience_from(now));
    if now < until {
        return Ok(Decision::AwaitRest(until));
    }
    Err(JobError::new(
        ErrorCode::ActiveTimeout,
        format!(
            "The resource did not become ACTIVE within {} s: its status is still {} at capacity {}.",
            job.settings.active_timeout.as_secs_f64(),
            reading.status,
            reading.capacity,
        ),
    ))
}

fn check_effort(job: &Job, capacity: Capacity, target: Capacity) -> Result<(), JobError> {
    let ahead = capacity.distance(target).div_ceil(job.settings.step_size.max(1)) as usize;
    if job.steps.is_empty() && ahead > MAX_STEPS {
        return Err(JobError::new(
            ErrorCode::OutOfBounds,
            format!(
                "From {capacity} to {target} takes {ahead} steps; a job may take {MAX_STEPS}. Use a larger stepSize."
            ),
        ));
    }
    if job.fruitless_steps() >= MAX_FRUITLESS_STEPS {
        return Err(fruitless(job, capacity));
    }
    if job.external_changes.len() >= MAX_EXTERNAL_CHANGES {
        return Err(JobError::new(
            ErrorCode::NoProgress,
            format!("Somebody else has changed the capacity {MAX_EXTERNAL_CHANGES} times while this job ran."),
        ));
    }
    if job.steps.len() >= MAX_STEPS {
        return Err(JobError::new(ErrorCode::NoProgress, format!("The target was not reached in {MAX_STEPS} steps.")));
    }
    Ok(())
}

fn fruitless(job: &Job, capacity: Capacity) -> JobError {
    let last = job.trouble.as_ref().map_or(String::new(), |trouble| format!(" The last one: {}.", trouble.detail));
    JobError {
        code: ErrorCode::NoProgress,
        message: format!(
            "{MAX_FRUITLESS_STEPS} changes in a row had no effect; the capacity is still {capacity}.{last}"
        ),
        sidecar: job.trouble.as_ref().and_then(|trouble| trouble.answer.clone()),
    }
}
