//! A job: the wish "scale this resource to that capacity", and everything that has happened to it.

mod request;
mod retarget;
mod state;
mod step;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use request::{Goal, JobRequest, OnConflict};
pub use retarget::{MAX_RETARGETS, Retarget, Retargets};
pub use state::{Ending, ErrorCode, JobError, JobState, StateName};
pub use step::{ExternalChange, LastChangeError, Step, StepOutcome};

use super::access::{Actor, KeyId};
use super::alias::Alias;
use super::capacity::Capacity;
use super::job_id::JobId;
use super::membership::Membership;
use super::settings::Settings;
use super::time::Timestamp;
use super::trace::{Origin, TraceContext};
use super::waiting::{WaitReason, Waiting};

/// Most steps one job may take. With the default cooldown that is three and a half days; a job that needs more has a
/// step size that does not fit its target, and its record would grow beyond what is pleasant to poll.
pub const MAX_STEPS: usize = 1000;

/// Least time that a wait has left after a restart. The sidecar and the resource are often restarted together with the
/// gateway, and a minute is what they may take.
const RESTART_PATIENCE: Duration = Duration::from_mins(1);

/// The points in time at which waits are given up. Each is set when a wait of its kind begins and cleared only by what
/// was waited for, so that taking turns with other waits does not prolong it, and a restart hardly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitDeadlines {
    /// The resource must be at rest by then.
    pub active_by: Option<Timestamp>,
    /// The sidecar must have given a reading by then.
    pub reading_by: Option<Timestamp>,
    /// A reading must be fresh enough to be used by then.
    pub fresh_by: Option<Timestamp>,
}

impl WaitDeadlines {
    /// Whether no wait has a limit at present.
    fn is_unlimited(&self) -> bool {
        *self == Self::default()
    }
}

/// A job. Immutable once [`JobState::Ended`].
///
/// What a job does not have is not in its record, which makes a start faster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Id, in order of submission.
    pub id: JobId,
    /// The resource to scale.
    pub resource: Alias,
    /// What was asked for.
    pub goal: Goal,
    /// Settings, complete.
    pub settings: Settings,
    /// The submitter's note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The submitter's labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Where in a distributed trace its submission belongs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceContext>,
    /// Who submitted it; `None` for a caller without a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submitted_by: Option<Actor>,
    /// Who canceled it; `None` for a caller without a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canceled_by: Option<Actor>,
    /// The group that it belongs to, if it belongs to one.
    #[serde(default, rename = "group", skip_serializing_if = "Option::is_none")]
    pub membership: Option<Membership>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it must be over.
    pub deadline_at: Timestamp,

    /// State.
    pub state: JobState,
    /// How it will end as soon as the change in flight is resolved: canceled or superseded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
    /// The capacity to reach; known from the start unless the goal is a delta.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Capacity>,
    /// The capacity the first usable reading showed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Capacity>,
    /// The capacity the last usable reading showed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<Capacity>,
    /// What it waits for; `None` once ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// Its changes, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// What others did meanwhile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub external_changes: Vec<ExternalChange>,
    /// The targets it was given instead of its first one.
    #[serde(default, skip_serializing_if = "Retargets::is_empty")]
    pub retargets: Retargets,
    /// When its waits are given up.
    #[serde(default, rename = "patience", skip_serializing_if = "WaitDeadlines::is_unlimited")]
    pub wait_deadlines: WaitDeadlines,
    /// What last went wrong with one of its changes.
    #[serde(default, rename = "trouble", skip_serializing_if = "Option::is_none")]
    pub last_change_error: Option<LastChangeError>,
    /// When it will probably be over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_completion_at: Option<Timestamp>,
    /// When work on it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// Counts the times it was handed out to be committed; 0 before the first.
    pub version: u64,
}

impl Job {
    /// The length of what its submitter wrote freely, its reason and labels, in bytes.
    pub fn text_bytes(&self) -> u64 {
        request::text_bytes(self.reason.as_deref(), &self.labels)
    }

    /// The API key it was submitted with.
    pub fn submitted_with(&self) -> Option<&KeyId> {
        self.submitted_by.as_ref().and_then(Actor::key)
    }

    /// Whether the policy of the resource submitted it.
    pub fn is_of_policy(&self) -> bool {
        self.submitted_by.as_ref().is_some_and(Actor::is_policy)
    }

    /// Whether it waits for its stage in its group.
    pub fn awaits_stage(&self) -> bool {
        self.membership.as_ref().is_some_and(|membership| membership.awaits_stage)
    }

    /// Whether the policy of the resource canceled it, or has it end as canceled.
    pub fn is_canceled_by_policy(&self) -> bool {
        self.canceled_by.as_ref().is_some_and(Actor::is_policy)
    }

    /// A job as it is when it is accepted.
    pub fn accept(id: JobId, request: JobRequest, settings: Settings, now: Timestamp) -> Self {
        let deadline_at = now + settings.deadline;
        let target = match request.goal {
            Goal::Target(target) => Some(target),
            Goal::Delta(_) => None,
        };
        Self {
            id,
            resource: request.resource,
            goal: request.goal,
            settings,
            reason: request.reason,
            labels: request.labels,
            trace: request.trace,
            submitted_by: request.attempt.and_then(|attempt| attempt.actor),
            canceled_by: None,
            membership: None,
            created_at: now,
            deadline_at,
            state: JobState::Queued,
            ending: None,
            target,
            start: None,
            current: None,
            waiting: None,
            steps: Vec::new(),
            external_changes: Vec::new(),
            retargets: Retargets::default(),
            wait_deadlines: WaitDeadlines::default(),
            last_change_error: None,
            estimated_completion_at: None,
            started_at: None,
            updated_at: now,
            finished_at: None,
            version: 0,
        }
    }

    /// How it ended, if it has.
    pub fn ended(&self) -> Option<&Ending> {
        match &self.state {
            JobState::Ended(ending) => Some(ending),
            JobState::Queued | JobState::Running => None,
        }
    }

    /// On whose behalf the sidecar is called for it.
    pub fn origin(&self) -> Origin {
        Origin { job: Some(self.id), trace: self.trace.clone() }
    }

    /// The job that takes or took its place.
    pub fn superseded_by(&self) -> Option<JobId> {
        match self.ended().or(self.ending.as_ref()) {
            Some(Ending::Superseded { by }) => Some(*by),
            _ => None,
        }
    }

    /// Ends the job.
    pub fn end(&mut self, ending: Ending, now: Timestamp) {
        for step in self.steps.iter_mut().filter(|step| step.outcome == StepOutcome::Pending) {
            step.outcome = StepOutcome::Unknown;
            step.resolved_at = Some(now);
        }
        self.state = JobState::Ended(ending);
        self.ending = None;
        self.waiting = None;
        self.wait_deadlines = WaitDeadlines::default();
        self.estimated_completion_at = None;
        self.finished_at = Some(now);
    }

    /// Notes what the job waits for.
    pub fn wait(&mut self, reason: WaitReason, until: Timestamp, detail: String) {
        self.waiting = Some(Waiting { reason, until, detail });
    }

    /// Steps that did what they were to do, since it has its present target.
    pub fn completed_steps(&self) -> usize {
        self.counted_steps().iter().filter(|step| step.outcome == StepOutcome::Confirmed).count()
    }

    /// Steps still to go, as far as is known.
    pub fn remaining_steps(&self) -> Option<u32> {
        let distance = self.current?.distance(self.target?);
        let in_flight = self.steps.last().is_some_and(|step| step.outcome == StepOutcome::Pending);
        let steps = distance.div_ceil(self.settings.step_size.max(1));
        // While a change is in flight the last usable reading is the one it was based on.
        Some(if in_flight { steps.max(1) } else { steps })
    }

    /// Consecutive changes without any effect, most recent first. One that was withdrawn does not count: it says nothing
    /// about the resource.
    pub fn fruitless_steps(&self) -> usize {
        let fruitless = self.steps.iter().rev().take_while(|step| step.outcome == StepOutcome::NotApplied);
        fruitless.filter(|step| step.sent_at.is_some()).count()
    }

    /// Fits the limits of waits to a process that starts at `now`: cuts back what lies in a future that a clock set
    /// backwards has taken away, so that no wait grows longer than its setting allows, and leaves some time for what could
    /// not be waited for while no process ran. Most jobs fit already and stay as they are, shared with others.
    /// `settle` is how long things may take to settle.
    pub fn rebase(self: &mut Arc<Self>, now: Timestamp, settle: Duration) {
        let least = now + self.settings.active_timeout.min(RESTART_PATIENCE);
        let most = now + self.settings.active_timeout + settle * 2;
        let fit = |limit: Option<Timestamp>| limit.map(|at| at.clamp(least, most));
        let WaitDeadlines { active_by, reading_by, fresh_by } = self.wait_deadlines;
        let wait_deadlines =
            WaitDeadlines { active_by: fit(active_by), reading_by: fit(reading_by), fresh_by: fit(fresh_by) };
        let deadline_at = self.deadline_at.min(now + self.settings.deadline);
        if (deadline_at, wait_deadlines) != (self.deadline_at, self.wait_deadlines) {
            let job = Arc::make_mut(self);
            (job.deadline_at, job.wait_deadlines) = (deadline_at, wait_deadlines);
        }
    }

    /// When a wait that begins now is given up.
    pub fn wait_limit_from(&self, now: Timestamp) -> Timestamp {
        now + self.settings.active_timeout
    }

    /// The least time between two readings.
    pub fn shortest_poll(&self) -> Duration {
        self.settings.poll_interval.min(Duration::from_secs(1))
    }
}
