//! A job, and pages of them.

use std::collections::BTreeMap;

use actix_web::web::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::WireTime;
use crate::domain::{
    Actor, Capacity, Ending, ExternalChange, Goal, Job, JobError, Settings, SidecarAnswer, Step, StepOutcome, Waiting,
};
use crate::store::ListedState;

/// The address of job `id`.
pub fn job_path(id: Uuid) -> String {
    format!("/v1/jobs/{id}")
}

/// A job: the wish to scale a resource, and everything that has happened to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Job, example = json!(crate::api::openapi::example_job()))]
pub struct JobView {
    /// Id, a UUIDv7.
    pub id: Uuid,
    /// The resource to scale.
    pub resource: String,
    /// Where the job is in its life.
    pub state: StateView,
    /// The capacity to reach. `null` as long as a delta has not met its first reading.
    pub target_capacity: Option<u32>,
    /// The delta that was asked for, if it was one.
    pub delta: Option<i32>,
    /// The capacity when the job began.
    pub start_capacity: Option<u32>,
    /// The capacity by the last reading that could be used.
    pub current_capacity: Option<u32>,
    /// What the job waits for. `null` once it is over.
    pub waiting_for: Option<WaitingView>,
    /// How far it is.
    pub progress: ProgressView,
    /// Its changes of the capacity, in order.
    pub steps: Vec<StepView>,
    /// Changes of the capacity by somebody else while the job ran.
    pub external_changes: Vec<ExternalChangeView>,
    /// The settings it runs with.
    pub settings: SettingsView,
    /// The submitter's note.
    pub reason: Option<String>,
    /// The submitter's labels.
    pub labels: BTreeMap<String, String>,
    /// Whose key it was submitted with; `null` if it was submitted without one.
    pub submitted_by: Option<ActorView>,
    /// Whose key it was canceled with, if it was.
    pub canceled_by: Option<ActorView>,
    /// Why it failed, if it did.
    pub error: Option<JobErrorView>,
    /// Set as soon as the job was told to end: as `canceled` or `superseded`, once its change in flight is resolved.
    pub ending_as: Option<StateView>,
    /// The job that took its place.
    pub superseded_by: Option<Uuid>,
    /// When it was accepted.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: WireTime,
    /// When work on it began.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<WireTime>,
    /// When it last changed.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: WireTime,
    /// When it will be given up.
    #[schema(value_type = String, format = DateTime)]
    pub deadline_at: WireTime,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<WireTime>,
    /// Counts its changes.
    #[schema(minimum = 1)]
    pub version: u64,
}

impl From<&Job> for JobView {
    fn from(job: &Job) -> Self {
        let error = match job.ended() {
            Some(Ending::Failed(error)) => Some(JobErrorView::from(&**error)),
            _ => None,
        };
        Self {
            id: job.id,
            resource: job.resource.as_str().to_owned(),
            state: ListedState::of(job).into(),
            target_capacity: job.target.map(Capacity::units),
            delta: match job.goal {
                Goal::Delta(delta) => Some(delta),
                Goal::Target(_) => None,
            },
            start_capacity: job.start.map(Capacity::units),
            current_capacity: job.current.map(Capacity::units),
            waiting_for: job.waiting.as_ref().map(WaitingView::from),
            progress: progress(job),
            steps: (1..).zip(&job.steps).map(|(index, step)| StepView::new(index, step)).collect(),
            external_changes: job.external_changes.iter().map(ExternalChangeView::from).collect(),
            settings: SettingsView::from(&job.settings()),
            reason: job.reason.as_deref().map(str::to_owned),
            labels: job.labels.as_deref().cloned().unwrap_or_default(),
            submitted_by: job.submitted_by.as_deref().map(ActorView::from),
            canceled_by: job.canceled_by.as_deref().map(ActorView::from),
            error,
            ending_as: job.ending.as_ref().map(StateView::from),
            superseded_by: job.superseded_by(),
            created_at: WireTime(job.created_at),
            started_at: job.started_at.map(WireTime),
            updated_at: WireTime(job.updated_at),
            deadline_at: WireTime(job.deadline_at),
            finished_at: job.finished_at.map(WireTime),
            version: job.version,
        }
    }
}

/// The owner of an API key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Actor)]
pub struct ActorView {
    /// The key's id.
    #[schema(example = "4fJ2kQ9xZa")]
    pub key: String,
    /// What the key is called.
    #[schema(example = "queue watcher")]
    pub name: String,
}

impl From<&Actor> for ActorView {
    fn from(actor: &Actor) -> Self {
        Self { key: actor.key.to_string(), name: actor.name.as_ref().to_owned() }
    }
}

/// Where a job is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = JobState)]
pub enum StateView {
    /// Accepted, waiting for earlier jobs on the same resource.
    Queued,
    /// Being worked on.
    Running,
    /// Over: the target is reached and the resource is ready.
    Succeeded,
    /// Over: `error` says why.
    Failed,
    /// Over: somebody canceled it.
    Canceled,
    /// Over: another job took its place.
    Superseded,
}

impl StateView {
    /// Whether a job in this state is over.
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

impl From<ListedState> for StateView {
    fn from(state: ListedState) -> Self {
        match state {
            ListedState::Queued => Self::Queued,
            ListedState::Running => Self::Running,
            ListedState::Succeeded => Self::Succeeded,
            ListedState::Failed => Self::Failed,
            ListedState::Canceled => Self::Canceled,
            ListedState::Superseded => Self::Superseded,
        }
    }
}

impl From<&Ending> for StateView {
    fn from(ending: &Ending) -> Self {
        match ending {
            Ending::Succeeded => Self::Succeeded,
            Ending::Failed(_) => Self::Failed,
            Ending::Canceled => Self::Canceled,
            Ending::Superseded { .. } => Self::Superseded,
        }
    }
}

/// What a job waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Waiting)]
pub struct WaitingView {
    /// `turn`: earlier jobs on the resource. `sidecar`: a reading. `active`: the resource to become ready.
    /// `cooldown`: the resource's cooldown. `change`: a change to be answered and to show. `settle`: enough time that a
    /// reading cannot be older than the last change.
    #[schema(value_type = WaitReasonName)]
    pub reason: String,
    /// When the wait is over, or given up, at the latest.
    #[schema(value_type = String, format = DateTime)]
    pub until: WireTime,
    /// The same in words.
    pub detail: String,
}

impl From<&Waiting> for WaitingView {
    fn from(waiting: &Waiting) -> Self {
        let detail = waiting.detail().into_owned();
        Self { reason: waiting.reason.as_str().to_owned(), until: WireTime(waiting.until), detail }
    }
}

/// What a job can wait for.
#[derive(ToSchema)]
#[schema(as = WaitReason, rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum WaitReasonName {
    Turn,
    Sidecar,
    Active,
    Cooldown,
    Change,
    Settle,
}

/// How far a job is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Progress)]
pub struct ProgressView {
    /// Steps that did what they were to do.
    pub completed_steps: u32,
    /// Those, and the ones still to go. `null` until the first reading.
    pub total_steps: Option<u32>,
    /// Share of the distance covered, in percent.
    #[schema(minimum = 0, maximum = 100)]
    pub percent: u8,
    /// When the job will probably be over. An estimate, not a promise.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub estimated_completion_at: Option<WireTime>,
}

/// One change of the capacity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Step)]
pub struct StepView {
    /// Counts from 1.
    #[schema(minimum = 1)]
    pub index: u32,
    /// Direction.
    #[schema(value_type = OpName)]
    pub op: String,
    /// Units.
    #[schema(minimum = 1)]
    pub units: u32,
    /// Capacity before.
    pub from_capacity: u32,
    /// Capacity asked for.
    pub to_capacity: u32,
    /// When it was sent. `null` before, and for ever if it was withdrawn.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub sent_at: Option<WireTime>,
    /// When its outcome was established.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub resolved_at: Option<WireTime>,
    /// `pending`: not established yet. `confirmed`: the capacity moved as asked. `unknown`: could not be established.
    /// `not_applied`: had no effect. `rejected`: the sidecar refused it.
    #[schema(value_type = OutcomeName)]
    pub outcome: String,
}

impl StepView {
    fn new(index: u32, step: &Step) -> Self {
        Self {
            index,
            op: step.op.as_str().to_owned(),
            units: step.units,
            from_capacity: step.from.units(),
            to_capacity: step.to.units(),
            sent_at: step.sent_at.map(WireTime),
            resolved_at: step.resolved_at.map(WireTime),
            outcome: StepOutcome::as_str(step.outcome).to_owned(),
        }
    }
}

/// Direction of a change.
#[derive(ToSchema)]
#[schema(as = StepOp, rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum OpName {
    Add,
    Remove,
}

/// What became of a step.
#[derive(ToSchema)]
#[schema(as = StepOutcome, rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum OutcomeName {
    Pending,
    Confirmed,
    Unknown,
    NotApplied,
    Rejected,
}

/// A change of the capacity by somebody else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ExternalChange)]
pub struct ExternalChangeView {
    /// When it was noticed.
    #[schema(value_type = String, format = DateTime)]
    pub noticed_at: WireTime,
    /// The capacity expected.
    pub from_capacity: u32,
    /// The capacity found.
    pub to_capacity: u32,
}

impl From<&ExternalChange> for ExternalChangeView {
    fn from(change: &ExternalChange) -> Self {
        Self {
            noticed_at: WireTime(change.noticed_at),
            from_capacity: change.from.units(),
            to_capacity: change.to.units(),
        }
    }
}

/// The settings of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Settings)]
pub struct SettingsView {
    /// Most units changed in one step.
    pub step_size: u32,
    /// Least time between two changes.
    pub cooldown_seconds: f64,
    /// Longest wait for the resource to become ready, for a change to show, or for a reading.
    pub active_timeout_seconds: f64,
    /// Longest time between two readings while waiting.
    pub poll_interval_seconds: f64,
    /// How long a change may take to have its effect and to show in readings.
    pub settle_seconds: f64,
    /// Longest life of the job.
    pub deadline_seconds: f64,
}

impl From<&Settings> for SettingsView {
    fn from(settings: &Settings) -> Self {
        Self {
            step_size: settings.step_size,
            cooldown_seconds: settings.cooldown.as_secs_f64(),
            active_timeout_seconds: settings.active_timeout.as_secs_f64(),
            poll_interval_seconds: settings.poll_interval.as_secs_f64(),
            settle_seconds: settings.settle.as_secs_f64(),
            deadline_seconds: settings.deadline.as_secs_f64(),
        }
    }
}

/// Why a job failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = JobError)]
pub struct JobErrorView {
    /// For programs; stable.
    #[schema(value_type = ErrorCodeName)]
    pub code: String,
    /// For people.
    pub message: String,
    /// What the sidecar said, if that explains it.
    #[serde(default)]
    pub sidecar: Option<SidecarView>,
}

impl From<&JobError> for JobErrorView {
    fn from(error: &JobError) -> Self {
        Self {
            code: error.code.as_str().to_owned(),
            message: error.message.clone(),
            sidecar: error.sidecar.clone().map(SidecarView::from),
        }
    }
}

/// The reasons for which a job can fail.
#[derive(ToSchema)]
#[schema(as = JobErrorCode, rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum ErrorCodeName {
    ResourceNotFound,
    ResourceFailed,
    ActiveTimeout,
    NoProgress,
    OutcomeUnknown,
    SidecarRejected,
    SidecarUnreachable,
    OutOfBounds,
    DeadlineExceeded,
}

/// An answer of the sidecar, verbatim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = SidecarAnswer)]
pub struct SidecarView {
    /// HTTP status.
    pub status: u16,
    /// Body, cut off where it is very long.
    pub body: String,
}

impl From<SidecarAnswer> for SidecarView {
    fn from(answer: SidecarAnswer) -> Self {
        Self { status: answer.status, body: answer.body }
    }
}

/// A page of jobs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobList {
    /// Newest first.
    pub jobs: Vec<JobView>,
    /// The `pageToken` of the next page; `null` on the last one.
    pub next_page_token: Option<String>,
}

/// `job` as JSON. The same bytes for the same version, always.
pub fn render_job(job: &Job) -> Bytes {
    // Only maps with keys that are not text can fail to become JSON, and there are none.
    Bytes::from(serde_json::to_vec(&JobView::from(job)).unwrap_or_default())
}

fn progress(job: &Job) -> ProgressView {
    let completed = u32::try_from(job.completed_steps()).unwrap_or(u32::MAX);
    let percent = match (job.ended(), job.start, job.current, job.target) {
        (Some(Ending::Succeeded), ..) => 100,
        (_, Some(start), Some(current), Some(target)) if start != target => {
            let whole = u64::from(start.distance(target));
            let left = u64::from(current.distance(target)).min(whole);
            // Below 100, since the job is not over.
            u8::try_from(((whole - left) * 100 / whole).min(99)).unwrap_or(99)
        }
        _ => 0,
    };
    ProgressView {
        completed_steps: completed,
        total_steps: job.remaining_steps().map(|remaining| completed.saturating_add(remaining)),
        percent,
        estimated_completion_at: job.estimated_completion_at.map(WireTime),
    }
}
