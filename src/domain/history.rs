//! What has happened to a resource, for those who look at it later.
//!
//! Entries are facts in the order in which the gateway learned of them. Nothing is ever decided by them: what decides is in
//! the job and in the change state. Rejected: the log lines of a lane as the source, because they are sentences, and a plot or a
//! program needs numbers.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::capacity::{Capacity, Move};
use super::job::{Ending, Goal, Job, Step, StepOutcome};
use super::job_id::JobId;
use super::reading::Status;
use super::time::Timestamp;

/// One thing that happened to a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// When.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub what: ResourceEvent,
}

/// What can happen to a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ResourceEvent {
    /// A reading differed from the one before, or was the first since the gateway started.
    Reading {
        /// Its status.
        status: Status,
        /// Its capacity.
        capacity: Capacity,
    },
    /// A job was accepted.
    JobAccepted {
        /// The job.
        job: JobId,
        /// What was asked for.
        goal: Goal,
        /// The submitter's note.
        reason: Option<String>,
    },
    /// Work on a job began.
    JobStarted {
        /// The job.
        job: JobId,
    },
    /// A job ended.
    JobEnded {
        /// The job.
        job: JobId,
        /// How.
        ending: Ending,
    },
    /// A change was sent, or may have been just before the gateway died.
    ChangeSent {
        /// The job that made it.
        job: JobId,
        /// The change.
        #[serde(flatten)]
        movement: Move,
    },
    /// It was established what became of a change.
    ChangeResolved {
        /// The job that made it, which may have ended before.
        job: JobId,
        /// The change.
        #[serde(flatten)]
        movement: Move,
        /// What became of it.
        outcome: StepOutcome,
    },
    /// Another program changed the capacity.
    ExternalChange {
        /// The job that noticed it.
        job: JobId,
        /// The capacity expected.
        from: Capacity,
        /// The capacity found.
        to: Capacity,
    },
}

/// Numbers all versions of all jobs in the order in which they became durable. An id is never used twice, also not by
/// stores that follow each other: a new store begins with the time of its creation, in milliseconds.
pub type EventId = u64;

/// A job in a new version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobEvent {
    /// Its place among all versions of all jobs.
    pub id: EventId,
    /// The job.
    pub job: Arc<Job>,
}

/// An earlier version of a job without what every later version of the job has as well: the steps before its last one, which
/// were settled by then, its reason and its labels. So a log of versions does not grow with the square of the number of steps,
/// nor by what callers write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbridgedJob {
    /// The job, with its last step at most, and without reason and labels.
    pub job: Job,
    /// Number of steps left out.
    pub earlier_steps: usize,
}

impl AbridgedJob {
    /// `job` without what later versions have.
    pub fn of(job: &Job) -> Self {
        let earlier_steps = job.steps.len().saturating_sub(1);
        let steps: Vec<Step> = job.steps.get(earlier_steps..).unwrap_or_default().to_vec();
        Self { job: Job { steps, reason: None, labels: BTreeMap::new(), ..job.clone() }, earlier_steps }
    }

    /// The job in full, given a `later` version of it; `None` if that one is an earlier version or another job.
    pub fn complete(self, later: &Job) -> Option<Job> {
        if later.id != self.job.id || later.version < self.job.version {
            return None;
        }
        let mut steps = later.steps.get(..self.earlier_steps)?.to_vec();
        steps.extend(self.job.steps);
        Some(Job { steps, reason: later.reason.clone(), labels: later.labels.clone(), ..self.job })
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::Settings;
    use super::super::{JobRequest, Op};
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn capacity(units: i64) -> Capacity {
        Capacity::new(units).expect("a small number")
    }

    fn job(version: u64, outcomes: &[StepOutcome]) -> Job {
        let job =
            Job::accept(JobId::from_u128(1), JobRequest::for_worker(Goal::Target(capacity(9))), Settings::DEFAULT, NOW);
        let steps = (0..).zip(outcomes).map(|(from, outcome)| {
            let change = Move { op: Op::Add, units: 1, from: capacity(from), to: capacity(from + 1) };
            Step { outcome: *outcome, ..Step::pending(change) }
        });
        Job { version, steps: steps.collect(), ..job }
    }

    #[test]
    fn an_abridged_version_is_completed_by_any_later_one() {
        use StepOutcome::{Confirmed, NotApplied, Pending};
        let last = job(9, &[Confirmed, NotApplied, Confirmed]);
        for version in [job(1, &[]), job(2, &[Pending]), job(5, &[Confirmed, NotApplied, Pending]), last.clone()] {
            let abridged = AbridgedJob::of(&version);
            assert!(abridged.job.steps.len() <= 1);
            assert_eq!(abridged.complete(&last).as_ref(), Some(&version));
        }
        assert_eq!(AbridgedJob::of(&last).complete(&job(8, &[Confirmed, NotApplied, Pending])), None, "not later");
        let other = Job { id: JobId::from_u128(2), ..last.clone() };
        assert_eq!(AbridgedJob::of(&last).complete(&other), None);
    }

    /// What is in a store must stay readable.
    #[test]
    fn entries_keep_their_stored_form() {
        let movement = Move { op: Op::Add, units: 1, from: capacity(1), to: capacity(2) };
        let job = JobId::from_u128(1);
        let id = "00000000-0000-0000-0000-000000000001";
        for (what, stored) in [
            (
                ResourceEvent::Reading { status: Status::new("ACTIVE"), capacity: capacity(3) },
                serde_json::json!({"kind": "reading", "status": "ACTIVE", "capacity": 3}),
            ),
            (
                ResourceEvent::JobAccepted { job, goal: Goal::Delta(-2), reason: None },
                serde_json::json!({"kind": "job_accepted", "job": id, "goal": {"delta": -2}, "reason": null}),
            ),
            (ResourceEvent::JobStarted { job }, serde_json::json!({"kind": "job_started", "job": id})),
            (
                ResourceEvent::JobEnded { job, ending: Ending::Succeeded },
                serde_json::json!({"kind": "job_ended", "job": id, "ending": "succeeded"}),
            ),
            (
                ResourceEvent::ChangeSent { job, movement },
                serde_json::json!({"kind": "change_sent", "job": id, "op": "add", "units": 1, "from": 1, "to": 2}),
            ),
            (
                ResourceEvent::ChangeResolved { job, movement, outcome: StepOutcome::NotApplied },
                serde_json::json!({"kind": "change_resolved", "job": id, "op": "add", "units": 1, "from": 1, "to": 2,
                    "outcome": "not_applied"}),
            ),
            (
                ResourceEvent::ExternalChange { job, from: capacity(1), to: capacity(2) },
                serde_json::json!({"kind": "external_change", "job": id, "from": 1, "to": 2}),
            ),
        ] {
            let entry = HistoryEntry { at: NOW, what };
            let mut expected = stored;
            expected["at"] = serde_json::to_value(NOW).expect("serialisable");
            assert_eq!(serde_json::to_value(&entry).expect("serialisable"), expected);
            assert_eq!(serde_json::from_value::<HistoryEntry>(expected).expect("readable"), entry);
        }
    }
}
