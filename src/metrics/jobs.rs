//! What becomes of jobs, read off the versions in which they are published.
//!
//! Each version is compared to the one before it. That needs no word from the domain, and it counts right across a restart
//! and a failed commit, because both versions are durable. Rejected: the entries of a resource's history, because they say
//! nothing of waits, those of a commit that failed but was durable are never told, and a change whose job ended before its
//! outcome was known is resolved in them with the next job only, or never. Here it is `unknown`, as in the job.

use prometheus::{CounterVec, HistogramVec, IntCounter, IntCounterVec, Registry};
use prometheus::{
    histogram_opts, opts, register_counter_vec_with_registry, register_histogram_vec_with_registry,
    register_int_counter_vec_with_registry, register_int_counter_with_registry,
};

use super::buckets;
use crate::domain::{Ending, ErrorCode, Job, Op, StepOutcome, WaitReason};

/// A job without a step takes seconds, one with a step a minute or so, each further step a cooldown (five minutes by
/// default), and a day is when jobs are given up by default.
const DURATION_SECONDS: [f64; 14] =
    [5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_200.0, 1_800.0, 3_600.0, 7_200.0, 21_600.0, 86_400.0, 259_200.0];
/// What the `error_code` of a job is that did not fail.
const NO_ERROR: &str = "none";

const ERROR_CODES: [ErrorCode; 9] = [
    ErrorCode::ResourceNotFound,
    ErrorCode::ResourceFailed,
    ErrorCode::ActiveTimeout,
    ErrorCode::NoProgress,
    ErrorCode::OutcomeUnknown,
    ErrorCode::SidecarRejected,
    ErrorCode::SidecarUnreachable,
    ErrorCode::OutOfBounds,
    ErrorCode::DeadlineExceeded,
];
const OUTCOMES: [StepOutcome; 4] =
    [StepOutcome::Confirmed, StepOutcome::Unknown, StepOutcome::NotApplied, StepOutcome::Rejected];

/// Counts jobs, their steps and their waits.
pub struct JobMetrics {
    accepted: IntCounter,
    versions: IntCounter,
    ended: IntCounterVec,
    durations: HistogramVec,
    waited: CounterVec,
    steps: IntCounterVec,
    external_changes: IntCounter,
}

impl JobMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            accepted: register_int_counter_with_registry!(
                "scalegate_jobs_accepted_total",
                "Jobs accepted. Requests that were refused, or joined an unfinished job, are not among them.",
                registry
            )?,
            versions: register_int_counter_with_registry!(
                "scalegate_job_events_total",
                "Changes of jobs shown to those who poll or watch.",
                registry
            )?,
            ended: register_int_counter_vec_with_registry!(
                "scalegate_jobs_ended_total",
                "Jobs that are over, by the state they ended in and, for failed ones, the code of the error; the job itself \
                 has a sentence about it.",
                &["state", "error_code"],
                registry
            )?,
            durations: register_histogram_vec_with_registry!(
                histogram_opts!(
                    "scalegate_job_duration_seconds",
                    "Time from the submission of a job to its end, waiting for its turn included, by the state it ended in.",
                    buckets(&DURATION_SECONDS)
                ),
                &["state"],
                registry
            )?,
            waited: register_counter_vec_with_registry!(
                opts!(
                    "scalegate_job_waiting_seconds_total",
                    "Time that jobs have waited, all together, by what for: turn: earlier jobs on the resource; sidecar: a \
                     reading; active: the resource to become ready; cooldown; change: one that was sent, to show; settle: \
                     readings to become certain. A wait is added when it ends or its details change."
                ),
                &["reason"],
                registry
            )?,
            steps: register_int_counter_vec_with_registry!(
                "scalegate_steps_total",
                "Changes of capacity that are resolved, by operation and outcome: confirmed: the capacity moved as asked; \
                 not_applied: it had no effect; rejected: the sidecar refused it; unknown: it cannot be told.",
                &["op", "outcome"],
                registry
            )?,
            external_changes: register_int_counter_with_registry!(
                "scalegate_external_changes_total",
                "Times that the capacity of a resource was changed by something else while a job was scaling it.",
                registry
            )?,
        };
        metrics.begin_at_zero();
        Ok(metrics)
    }

    /// So that the first of a kind already shows as an increase.
    fn begin_at_zero(&self) {
        for state in ["succeeded", "canceled", "superseded"] {
            self.ended.with_label_values(&[state, NO_ERROR]);
            self.durations.with_label_values(&[state]);
        }
        self.durations.with_label_values(&["failed"]);
        for code in ERROR_CODES {
            self.ended.with_label_values(&["failed", code.as_str()]);
        }
        for reason in WaitReason::ALL {
            self.waited.with_label_values(&[reason.as_str()]);
        }
        for (op, outcome) in [Op::Add, Op::Remove].into_iter().flat_map(|op| OUTCOMES.map(|outcome| (op, outcome))) {
            self.steps.with_label_values(&[op.as_str(), outcome.as_str()]);
        }
    }

    /// `job` is shown, in place of its version `previous` if there was one. Nothing is new if they are the same.
    pub fn published(&self, previous: Option<&Job>, job: &Job) {
        if previous.is_some_and(|previous| previous.version >= job.version) {
            return;
        }
        self.versions.inc();
        match previous {
            None => self.accepted.inc(),
            Some(previous) => {
                if let Some(waiting) = &previous.waiting {
                    let waited = job.updated_at.since(previous.updated_at);
                    self.waited.with_label_values(&[waiting.reason.as_str()]).inc_by(waited.as_secs_f64());
                }
            }
        }
        // At most the last step of a version is unresolved.
        let resolved_before = previous.map_or(0, |previous| {
            let is_pending = previous.steps.last().is_some_and(|step| step.outcome == StepOutcome::Pending);
            previous.steps.len() - usize::from(is_pending)
        });
        for step in job.steps.iter().skip(resolved_before).filter(|step| step.outcome != StepOutcome::Pending) {
            self.steps.with_label_values(&[step.op.as_str(), step.outcome.as_str()]).inc();
        }
        let known_before = previous.map_or(0, |previous| previous.external_changes.len());
        self.external_changes.inc_by(job.external_changes.len().saturating_sub(known_before) as u64);
        if previous.is_none_or(|previous| previous.ended().is_none())
            && let Some(ending) = job.ended()
        {
            self.ended(job, ending);
        }
    }

    fn ended(&self, job: &Job, ending: &Ending) {
        let (state, code) = match ending {
            Ending::Succeeded => ("succeeded", NO_ERROR),
            Ending::Failed(error) => ("failed", error.code.as_str()),
            Ending::Canceled => ("canceled", NO_ERROR),
            Ending::Superseded { .. } => ("superseded", NO_ERROR),
        };
        self.ended.with_label_values(&[state, code]).inc();
        let took = job.finished_at.unwrap_or(job.updated_at).since(job.created_at);
        self.durations.with_label_values(&[state]).observe(took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::{Capacity, ExternalChange, Goal, JobError, JobId, JobRequest, Move, Settings, Step, Timestamp};

    const NOON: Timestamp = Timestamp::from_millis(1_769_860_800_000);

    fn metrics() -> JobMetrics {
        JobMetrics::register(&Registry::new()).expect("consistent")
    }

    fn units(units: i64) -> Capacity {
        Capacity::new(units).expect("a small number")
    }

    fn step(outcome: StepOutcome) -> Step {
        Step { outcome, ..Step::pending(Move::toward(units(1), units(2), 1).expect("a distance")) }
    }

    fn new_job() -> Job {
        Job::accept(JobId::from_u128(1), JobRequest::for_worker(Goal::Target(units(3))), Settings::DEFAULT, NOON)
    }

    fn at(job: &Job, seconds: u64) -> Job {
        Job { updated_at: NOON + Duration::from_secs(seconds), version: job.version + 1, ..job.clone() }
    }

    #[test]
    fn waits_are_attributed_to_what_was_waited_for_before() {
        let metrics = metrics();
        let mut turn = new_job();
        turn.wait(WaitReason::Turn, NOON + Duration::from_hours(1), "turn".into());
        let mut cooldown = at(&turn, 10);
        cooldown.wait(WaitReason::Cooldown, NOON + Duration::from_hours(1), "cooldown".into());
        let mut over = at(&cooldown, 15);
        over.end(Ending::Succeeded, over.updated_at);
        metrics.published(None, &turn);
        metrics.published(Some(&turn), &cooldown);
        metrics.published(Some(&cooldown), &over);
        let waited = |reason: &str| metrics.waited.with_label_values(&[reason]).get();
        assert_eq!((waited("turn"), waited("cooldown"), waited("active")), (10.0, 5.0, 0.0));
        assert_eq!((metrics.accepted.get(), metrics.versions.get()), (1, 3));
        assert_eq!(metrics.ended.with_label_values(&["succeeded", NO_ERROR]).get(), 1);
        let durations = metrics.durations.with_label_values(&["succeeded"]);
        assert_eq!((durations.get_sample_count(), durations.get_sample_sum()), (1, 15.0));
    }

    #[test]
    fn each_step_and_each_external_change_counts_once() {
        let metrics = metrics();
        let count = |outcome: StepOutcome| metrics.steps.with_label_values(&["add", outcome.as_str()]).get();
        let pending = Job { steps: vec![step(StepOutcome::Pending)], ..new_job() };
        let external = ExternalChange { noticed_at: NOON, from: units(2), to: units(1) };
        let resolved =
            Job { steps: vec![step(StepOutcome::Unknown)], external_changes: vec![external], ..at(&pending, 1) };
        let both = Job { steps: vec![step(StepOutcome::Unknown), step(StepOutcome::Pending)], ..at(&resolved, 2) };
        let done = Job { steps: vec![step(StepOutcome::Unknown), step(StepOutcome::Confirmed)], ..at(&both, 3) };
        let mut previous = None;
        for (job, unknown, confirmed, external) in
            [(&pending, 0, 0, 0), (&resolved, 1, 0, 1), (&both, 1, 0, 1), (&done, 1, 1, 1), (&done, 1, 1, 1)]
        {
            metrics.published(previous, job);
            let counted = (count(StepOutcome::Unknown), count(StepOutcome::Confirmed), metrics.external_changes.get());
            assert_eq!(counted, (unknown, confirmed, external));
            previous = Some(job);
        }
        assert_eq!(count(StepOutcome::Pending), 0);
        // A job that was committed in several versions before any of them was shown.
        metrics.published(None, &done);
        assert_eq!((count(StepOutcome::Unknown), count(StepOutcome::Confirmed)), (2, 2));
    }

    #[test]
    fn a_job_ends_once() {
        let metrics = metrics();
        let job = new_job();
        let mut failed = at(&job, 7);
        failed.end(Ending::Failed(JobError::new(ErrorCode::NoProgress, "no")), failed.updated_at);
        metrics.published(Some(&job), &failed);
        metrics.published(Some(&failed), &failed);
        assert_eq!(metrics.ended.with_label_values(&["failed", "no_progress"]).get(), 1);
        assert_eq!(metrics.durations.with_label_values(&["failed"]).get_sample_count(), 1);
    }
}
