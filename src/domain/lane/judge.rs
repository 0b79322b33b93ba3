//! What a reading means for the active job.

use super::super::assess::{Inconclusive, ReadingVerdict, assess};
use super::super::capacity::Capacity;
use super::super::change_state::{Change, Stage};
use super::super::decide::{MAX_EXTERNAL_CHANGES, NextAction, decide, resolve_goal, resource_failed};
use super::super::history::ResourceEvent;
use super::super::job::{Ending, ErrorCode, ExternalChange, Job, JobError, StepOutcome};
use super::super::reading::{ReadFailure, Reading};
use super::super::time::Timestamp;
use super::super::waiting::{WaitReason, Waiting};
use super::{Lane, Next, Turn, pace, words};

/// Consecutive "no such resource" answers after which a job believes it. One may be a hiccup of a restarting sidecar;
/// three, with the usual backoff, cost a mistyped alias three seconds.
const NOT_FOUND_BELIEVED: u32 = 3;

impl Lane {
    pub(super) fn judge(&mut self, job: &mut Job, reading: &Reading, turn: &mut Turn) -> Next {
        self.failed_reads = 0;
        self.not_found_reads = 0;
        job.wait_deadlines.reading_by = None;
        match assess(reading, &self.change_state, self.change.as_ref(), job.settings.settle) {
            ReadingVerdict::NotYet { observed_at, lacks } => {
                self.on_inconclusive_reading(job, reading, observed_at, lacks, turn)
            }
            ReadingVerdict::Usable { observed_at, outcome, instead_of } => {
                self.accept_reading(job, reading, observed_at, outcome, instead_of, turn);
                if let Some(ending) = job.ending.clone() {
                    return Next::End(ending);
                }
                self.act(job, reading, turn)
            }
        }
    }

    /// A reading that cannot be used: read again, within limits.
    fn on_inconclusive_reading(
        &mut self,
        job: &mut Job,
        reading: &Reading,
        observed_at: Timestamp,
        lacks: Inconclusive,
        turn: &mut Turn,
    ) -> Next {
        let now = turn.now;
        if reading.status.is_failed() && self.change_state.fresh_from.is_none_or(|from| from <= observed_at) {
            return Next::End(Ending::Failed(resource_failed(reading.capacity)));
        }
        let Some(change) = self.change else {
            return self.on_inconclusive_reading_without_change(job, lacks, now);
        };
        if now < change.give_up_at() {
            let (reason, detail) = match lacks {
                Inconclusive::Settling(at) => {
                    (WaitReason::Settle, format!("Whether {} took effect can be told from {at} on.", change.movement))
                }
                Inconclusive::Freshness => (
                    WaitReason::Change,
                    format!("Sent {}; the sidecar still shows a state from before it.", change.movement),
                ),
                Inconclusive::Progress => (
                    WaitReason::Change,
                    format!(
                        "{} is not to be seen yet: the status is {} at capacity {}.",
                        change.movement, reading.status, reading.capacity
                    ),
                ),
            };
            job.wait(reason, change.give_up_at(), detail);
            let settling = match (change.stage, lacks) {
                (Stage::Unknown { .. }, Inconclusive::Settling(at)) => Some(at),
                _ => None,
            };
            let next = pace::next_reading(job, &self.change_state, change.movement.to, now);
            return Next::Sleep(settling.map_or(next, |at| at.max(next)).min(change.give_up_at()));
        }
        let error = words::given_up(&change, reading, lacks, job.last_change_error.as_ref());
        self.give_up(job, change, reading, observed_at, lacks, turn);
        if change.job == job.id { Next::End(Ending::Failed(error)) } else { Next::Sleep(now + job.shortest_poll()) }
    }

    fn on_inconclusive_reading_without_change(&mut self, job: &mut Job, lacks: Inconclusive, now: Timestamp) -> Next {
        // A reading without a timestamp is fresh two settle times after the change; the limit counts from then.
        let settle = self.change_state.longest_settle(job.settings.settle);
        let limit = now + settle * 2 + job.settings.active_timeout;
        let limit = *job.wait_deadlines.fresh_by.get_or_insert(limit);
        if limit <= now {
            return Next::End(Ending::Failed(JobError::new(
                ErrorCode::OutcomeUnknown,
                "The sidecar answers, but its readings stay older than the last change of the resource.",
            )));
        }
        let (detail, from) = match lacks {
            Inconclusive::Settling(at) => {
                (format!("The reading contradicts an earlier one and is believed from {at} on."), at)
            }
            Inconclusive::Freshness | Inconclusive::Progress => {
                ("The reading is older than what is already known of the resource.".into(), now)
            }
        };
        job.wait(WaitReason::Settle, limit, detail);
        let next = pace::next_reading(job, &self.change_state, job.current.unwrap_or(Capacity::ZERO), now);
        Next::Sleep(next.max(from).min(limit))
    }

    fn give_up(
        &mut self,
        job: &mut Job,
        change: Change,
        reading: &Reading,
        observed_at: Timestamp,
        lacks: Inconclusive,
        turn: &mut Turn,
    ) {
        // A settled reading of a resource at rest, as it was before, shows that nothing happened; anything else shows
        // nothing. A reading can be unsettled however late it is: its answer may have been slow.
        let as_before = reading.capacity == change.movement.from && reading.status.is_at_rest(reading.capacity);
        let settled = change.sent.settled_at() <= observed_at;
        let nothing_happened = lacks == Inconclusive::Progress && as_before && settled;
        let outcome = if nothing_happened { StepOutcome::NotApplied } else { StepOutcome::Unknown };
        self.resolve(job, outcome, turn);
        self.change_state.fresh_from = self.change_state.fresh_from.max(self.change_state.settled_at());
        self.change_state.expected = None;
    }

    fn accept_reading(
        &mut self,
        job: &mut Job,
        reading: &Reading,
        observed_at: Timestamp,
        outcome: Option<StepOutcome>,
        instead_of: Option<Capacity>,
        turn: &mut Turn,
    ) {
        let capacity = reading.capacity;
        job.wait_deadlines.fresh_by = None;
        if let (Some(outcome), Some(change)) = (outcome, self.change) {
            self.resolve(job, outcome, turn);
            let message = format!("{} {}: the capacity is {capacity}", change.movement, outcome.as_str());
            if outcome == StepOutcome::Confirmed { turn.note(job.id, message) } else { turn.warn(job.id, message) }
        }
        if let Some(expected) = instead_of {
            self.watched = None;
            turn.warn(job.id, format!("another program changed the capacity from {expected} to {capacity}"));
            turn.record(ResourceEvent::ExternalChange { job: job.id, from: expected, to: capacity });
            // What happened before the job began is not the job's business.
            if job.start.is_some() && job.counted_external_changes().len() < MAX_EXTERNAL_CHANGES {
                job.external_changes.push(ExternalChange { noticed_at: turn.now, from: expected, to: capacity });
            }
        }
        self.change_state.record_seen(capacity, observed_at);
        job.current = Some(capacity);
        job.start.get_or_insert(capacity);
        if reading.status.is_at_rest(capacity) {
            let after_a_change = job.steps.last().is_some_and(|step| step.outcome == StepOutcome::Confirmed);
            if job.wait_deadlines.active_by.take().is_some() && after_a_change {
                self.change_state.provisioning = self.change_state.last_change.map(|last| observed_at.since(last.at));
            }
            let rested = self.watched.take();
            if let Some((op, duration)) =
                rested.and_then(|watched| watched.duration_until(reading.received_at, job.settings.poll_interval))
            {
                self.step_durations.note(op, duration);
                turn.outcome.record = true;
            }
        } else {
            let limit = job.wait_limit_from(turn.now);
            job.wait_deadlines.active_by.get_or_insert(limit);
        }
    }

    fn act(&mut self, job: &mut Job, reading: &Reading, turn: &mut Turn) -> Next {
        let now = turn.now;
        if let Ok(target) = resolve_goal(job, reading.capacity, turn.rules.bounds) {
            job.target = Some(target);
        }
        match decide(job, reading, &self.change_state, turn.rules.bounds, now) {
            NextAction::End(ending) => Next::End(ending),
            NextAction::Change(change) => Next::Intend(change),
            NextAction::AwaitRest(until) => {
                let detail = format!(
                    "The status is {} at capacity {}; waiting for the resource to become ready.",
                    reading.status, reading.capacity
                );
                if job.waiting.as_ref().is_none_or(|waiting| waiting.detail != detail) {
                    turn.note(job.id, format!("waiting: status {} at capacity {}", reading.status, reading.capacity));
                }
                job.wait(WaitReason::Active, until, detail);
                Next::Sleep(pace::next_reading(job, &self.change_state, reading.capacity, now).min(until))
            }
            NextAction::AwaitCooldown(until) => {
                let last = self
                    .change_state
                    .last_change
                    .map_or(String::new(), |last| format!(" after the change at {}", last.at));
                turn.note(job.id, format!("cooling down until {until}{last}"));
                job.waiting = Some(Waiting::for_cooldown(until, self.change_state.last_change.map(|last| last.at)));
                Next::Sleep(until)
            }
            NextAction::AwaitReversal(until) => {
                turn.note(job.id, format!("waiting until {until} before changing direction"));
                let detail = format!(
                    "Changing direction: until {until} a reading from before the last change could pass for the success of \
                     the next one."
                );
                job.wait(WaitReason::Settle, until, detail);
                Next::Sleep(until)
            }
        }
    }

    /// No reading: try again, within limits.
    pub(super) fn on_read_failure(&mut self, job: &mut Job, failure: ReadFailure, turn: &mut Turn) -> Next {
        let now = turn.now;
        self.failed_reads = self.failed_reads.saturating_add(1);
        self.not_found_reads = if failure.not_found { self.not_found_reads.saturating_add(1) } else { 0 };
        let limit = job.wait_limit_from(now);
        let limit = *job.wait_deadlines.reading_by.get_or_insert(limit);
        let code = match (self.not_found_reads >= NOT_FOUND_BELIEVED, limit <= now) {
            (true, _) => ErrorCode::ResourceNotFound,
            (false, true) => ErrorCode::SidecarUnreachable,
            (false, false) => {
                let detail = format!("No reading from the sidecar, trying again: {}.", failure.detail);
                if job.waiting.as_ref().is_none_or(|waiting| waiting.detail != detail) {
                    turn.warn(job.id, format!("no reading from the sidecar: {}", failure.detail));
                }
                job.wait(WaitReason::Sidecar, limit, detail);
                return Next::Sleep((now + pace::backoff(job, self.failed_reads)).min(limit));
            }
        };
        let message = match code {
            ErrorCode::ResourceNotFound => format!("The sidecar does not know a resource \"{}\".", job.resource),
            _ => format!(
                "The sidecar gave no reading for {} s: {}.",
                job.settings.active_timeout.as_secs_f64(),
                failure.detail
            ),
        };
        Next::End(Ending::Failed(JobError { code, message, sidecar: failure.answer }))
    }
}
