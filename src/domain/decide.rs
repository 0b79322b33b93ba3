//! What to do next, given a usable reading.

use super::capacity::{Capacity, Move};
use super::change_state::ChangeState;
use super::job::{Ending, ErrorCode, Goal, Job, JobError, MAX_STEPS};
use super::reading::Reading;
use super::settings::Bounds;
use super::time::Timestamp;

/// Consecutive changes without effect after which a job gives up. The platform's guide advises three to five tries.
pub const MAX_FRUITLESS_STEPS: usize = 5;
/// Movements by another program after which a job gives up: it is then in a tug of war that no number of steps will win.
pub const MAX_EXTERNAL_CHANGES: usize = 20;

/// What a job is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextAction {
    /// It is over.
    End(Ending),
    /// Wait for the resource to come to rest, until this time at the latest.
    AwaitRest(Timestamp),
    /// Wait for the cooldown to end at this time.
    AwaitCooldown(Timestamp),
    /// Wait until this time, when readings cannot be from before the last change any more: the next one leads back there.
    AwaitReversal(Timestamp),
    /// Change the capacity.
    Change(Move),
}

/// Decides what `job` does at `now` on the strength of `reading`, which must be usable.
pub fn decide(job: &Job, reading: &Reading, change_state: &ChangeState, bounds: Bounds, now: Timestamp) -> NextAction {
    match try_decide(job, reading, change_state, bounds, now) {
        Ok(action) => action,
        Err(error) => NextAction::End(Ending::Failed(error)),
    }
}

fn try_decide(
    job: &Job,
    reading: &Reading,
    change_state: &ChangeState,
    bounds: Bounds,
    now: Timestamp,
) -> Result<NextAction, JobError> {
    let capacity = reading.capacity;
    if reading.status.is_failed() {
        return Err(resource_failed(capacity));
    }
    let target = resolve_goal(job, capacity, bounds)?;
    if !reading.status.is_at_rest(capacity) {
        return await_rest(job, reading, now);
    }
    let Some(change) = Move::toward(capacity, target, job.settings.step_size) else {
        return Ok(NextAction::End(Ending::Succeeded));
    };
    check_effort(job, capacity, target)?;
    match (change_state.next_change_at(job.settings.cooldown), change_state.reversal_allowed_at(change.op)) {
        (Some(at), _) if now < at => Ok(NextAction::AwaitCooldown(at)),
        (_, Some(at)) if now < at => Ok(NextAction::AwaitReversal(at)),
        _ => Ok(NextAction::Change(change)),
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

fn await_rest(job: &Job, reading: &Reading, now: Timestamp) -> Result<NextAction, JobError> {
    let until = job.wait_deadlines.active_by.unwrap_or_else(|| job.wait_limit_from(now));
    if now < until {
        return Ok(NextAction::AwaitRest(until));
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
    if job.counted_steps().is_empty() && ahead > MAX_STEPS {
        return Err(JobError::new(
            ErrorCode::OutOfBounds,
            format!(
                "From {capacity} to {target} takes {ahead} steps; a job may take {MAX_STEPS}. Use a larger stepSize, if the operator \
                 allows it, or a nearer target."
            ),
        ));
    }
    if job.fruitless_steps() >= MAX_FRUITLESS_STEPS {
        return Err(fruitless(job, capacity));
    }
    if job.counted_external_changes().len() >= MAX_EXTERNAL_CHANGES {
        return Err(JobError::new(
            ErrorCode::NoProgress,
            format!("Another program changed the capacity {MAX_EXTERNAL_CHANGES} times while this job ran."),
        ));
    }
    if job.counted_steps().len() >= MAX_STEPS {
        return Err(JobError::new(ErrorCode::NoProgress, format!("The target was not reached in {MAX_STEPS} steps.")));
    }
    Ok(())
}

fn fruitless(job: &Job, capacity: Capacity) -> JobError {
    let last =
        job.last_change_error.as_ref().map_or(String::new(), |error| format!(" The last one: {}.", error.detail));
    JobError {
        code: ErrorCode::NoProgress,
        message: format!(
            "{MAX_FRUITLESS_STEPS} changes in a row had no effect; the capacity is still {capacity}.{last}"
        ),
        sidecar: job.last_change_error.as_ref().and_then(|error| error.answer.clone()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::capacity::Op;
    use crate::domain::change_state::SentChange;
    use crate::domain::job::{ExternalChange, JobRequest, LastChangeError, Step, StepOutcome, WaitDeadlines};
    use crate::domain::reading::Status;
    use crate::domain::settings::Settings;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn units(units: i64) -> Capacity {
        Capacity::new(units).expect("a small number")
    }

    fn job(goal: Goal) -> Job {
        let request = JobRequest::for_worker(goal);
        Job::accept(uuid::Uuid::nil(), request, Settings { step_size: 2, ..Settings::DEFAULT }, NOW)
    }

    fn to(target: i64) -> Job {
        job(Goal::Target(units(target)))
    }

    fn reading(status: &str, capacity: i64) -> Reading {
        let capacity = units(capacity);
        Reading {
            status: Status::new(status),
            capacity,
            stamp: Some(NOW),
            wall_set_at: None,
            asked_at: NOW,
            received_at: NOW,
        }
    }

    fn decided(job: &Job, status: &str, capacity: i64) -> NextAction {
        let bounds = Bounds { min: units(0), max: units(10) };
        decide(job, &reading(status, capacity), &ChangeState::default(), bounds, NOW)
    }

    fn failure(decision: &NextAction) -> Option<ErrorCode> {
        match decision {
            NextAction::End(Ending::Failed(error)) => Some(error.code),
            _ => None,
        }
    }

    fn change(op: crate::domain::Op, moved: u32, from: i64, to: i64) -> NextAction {
        NextAction::Change(Move { op, units: moved, from: units(from), to: units(to) })
    }

    #[test]
    fn by_status_capacity_and_target() {
        use crate::domain::Op::{Add, Remove};
        let patience = NOW + Settings::DEFAULT.active_timeout;
        for (target, status, capacity, expected) in [
            (5, "ACTIVE", 1, change(Add, 2, 1, 3)),
            (5, "active", 4, change(Add, 1, 4, 5)),
            (1, "ACTIVE", 4, change(Remove, 2, 4, 2)),
            (5, "ACTIVE", 5, NextAction::End(Ending::Succeeded)),
            (5, "MODIFYING", 5, NextAction::AwaitRest(patience)),
            (5, "PAUSED", 1, NextAction::AwaitRest(patience)),
            (5, "NOVEL", 1, NextAction::AwaitRest(patience)),
            (5, "PAUSED", 0, change(Add, 2, 0, 2)),
            (5, "UNKNOWN", 0, change(Add, 2, 0, 2)),
            (5, "DEPLOYING", 0, NextAction::AwaitRest(patience)),
            (0, "PAUSED", 0, NextAction::End(Ending::Succeeded)),
            (0, "SCALING_DOWN", 0, NextAction::AwaitRest(patience)),
            (0, "ACTIVE", 1, change(Remove, 1, 1, 0)),
        ] {
            assert_eq!(decided(&to(target), status, capacity), expected, "{status} at {capacity}, target {target}");
        }
    }

    #[test]
    fn failures_come_with_their_code() {
        for (job, status, capacity, code, why) in [
            (to(5), "FAILED", 5, ErrorCode::ResourceFailed, "even at the target"),
            (to(5), "FAILED", 0, ErrorCode::ResourceFailed, "even at zero"),
            (to(11), "ACTIVE", 5, ErrorCode::OutOfBounds, "the bounds may have changed since it was accepted"),
            (job(Goal::Delta(6)), "ACTIVE", 5, ErrorCode::OutOfBounds, "above"),
            (job(Goal::Delta(-6)), "ACTIVE", 5, ErrorCode::OutOfBounds, "below zero"),
        ] {
            assert_eq!(failure(&decided(&job, status, capacity)), Some(code), "{why}");
        }
        let wide = decide(&to(5000), &reading("ACTIVE", 1), &ChangeState::default(), Bounds::NONE, NOW);
        assert_eq!(failure(&wide), Some(ErrorCode::OutOfBounds), "too many steps");
    }

    #[test]
    fn waits_end() {
        let impatient = WaitDeadlines { active_by: Some(NOW), ..WaitDeadlines::default() };
        let waited = Job { wait_deadlines: impatient, ..to(5) };
        assert_eq!(failure(&decided(&waited, "STARTING", 1)), Some(ErrorCode::ActiveTimeout));
        assert_eq!(failure(&decided(&waited, "ACTIVE", 1)), None, "in time after all");
    }

    #[test]
    fn no_change_inside_a_cooldown_but_success() {
        let cooldown = Settings::DEFAULT.cooldown;
        let sent = |ago| {
            let last = SentChange { at: NOW - ago, op: Some(Op::Add), cooldown, settle: Duration::ZERO };
            ChangeState { last_change: Some(last), ..ChangeState::default() }
        };
        let decide = |ago, capacity| decide(&to(3), &reading("ACTIVE", capacity), &sent(ago), Bounds::NONE, NOW);
        let over = cooldown;
        let tick = Duration::from_millis(1);
        assert_eq!(decide(over - tick, 1), NextAction::AwaitCooldown(NOW + tick));
        assert_eq!(decide(over, 1), change(crate::domain::Op::Add, 2, 1, 3));
        assert_eq!(decide(tick, 3), NextAction::End(Ending::Succeeded));
    }

    #[test]
    fn a_change_of_direction_waits_until_the_last_change_has_settled() {
        let settle = Duration::from_secs(90);
        let sent = |ago, op| {
            let last = SentChange { at: NOW - ago, op, cooldown: Duration::ZERO, settle };
            ChangeState { last_change: Some(last), ..ChangeState::default() }
        };
        let job = Job { settings: Settings { cooldown: Duration::ZERO, ..Settings::DEFAULT }, ..to(3) };
        let decide = |ago, op| decide(&job, &reading("ACTIVE", 1), &sent(ago, op), Bounds::NONE, NOW);
        let (tick, add) = (Duration::from_millis(1), change(Op::Add, 1, 1, 2));
        assert_eq!(decide(tick, Some(Op::Add)), add, "further the same way");
        assert_eq!(decide(settle - tick, Some(Op::Remove)), NextAction::AwaitReversal(NOW + tick));
        assert_eq!(decide(settle, Some(Op::Remove)), add);
        assert_eq!(decide(settle - tick, None), NextAction::AwaitReversal(NOW + tick), "the direction is not recorded");
    }

    #[test]
    fn effort_is_limited() {
        let step = |outcome| {
            let movement = Move::toward(units(1), units(3), 2).expect("a distance");
            Step { outcome, sent_at: Some(NOW), ..Step::pending(movement) }
        };
        let fruitless = |count| Job { steps: vec![step(StepOutcome::NotApplied); count], ..to(5) };
        assert_eq!(failure(&decided(&fruitless(MAX_FRUITLESS_STEPS - 1), "ACTIVE", 1)), None);
        let mut tired = fruitless(MAX_FRUITLESS_STEPS);
        tired.last_change_error = Some(LastChangeError { detail: "status 500".into(), answer: None });
        let NextAction::End(Ending::Failed(error)) = decided(&tired, "ACTIVE", 1) else { panic!("it goes on") };
        assert_eq!(error.code, ErrorCode::NoProgress);
        assert!(error.message.contains("status 500"), "{}", error.message);
        let withdrawn = Job { steps: vec![Step { sent_at: None, ..step(StepOutcome::NotApplied) }; 9], ..to(5) };
        assert_eq!(failure(&decided(&withdrawn, "ACTIVE", 1)), None, "what was never sent is no failure");
        tired.steps.push(step(StepOutcome::Confirmed));
        assert_eq!(failure(&decided(&tired, "ACTIVE", 3)), None, "one success makes up for all");

        let long = Job { steps: vec![step(StepOutcome::Confirmed); MAX_STEPS], ..to(5) };
        assert_eq!(failure(&decided(&long, "ACTIVE", 1)), Some(ErrorCode::NoProgress));
        let external = ExternalChange { noticed_at: NOW, from: units(1), to: units(2) };
        let fought_over = Job { external_changes: vec![external; MAX_EXTERNAL_CHANGES], ..to(5) };
        assert_eq!(failure(&decided(&fought_over, "ACTIVE", 1)), Some(ErrorCode::NoProgress));
        assert_eq!(decided(&fought_over, "ACTIVE", 5), NextAction::End(Ending::Succeeded), "unless it is there");
    }
}
