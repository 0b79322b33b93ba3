//! A job, and pages of them.

use std::collections::BTreeMap;

use actix_web::web::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::WireTime;
use crate::api::openapi::examples;
use crate::domain::{
    Actor, ActorKind, Alias, Capacity, Ending, ErrorCode, ExternalChange, Goal, Job, JobError, Op, Retarget, Settings,
    SidecarAnswer, StateName, Step, StepOutcome, Timestamp, WaitReason, Waiting,
};
use crate::engine::NotedJob;

/// The address of job `id`.
pub fn job_path(id: Uuid) -> String {
    format!("/v1/jobs/{id}")
}

/// A job: a request to scale a resource, and everything that has happened to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Job, example = json!(examples::example_job()))]
pub struct JobView {
    /// The id of the job, a UUIDv7.
    pub id: Uuid,
    /// The resource that is scaled.
    #[schema(value_type = Alias)]
    pub resource: String,
    /// Where the job is in its life.
    pub state: StateName,
    /// The capacity to reach. `null` as long as a delta has not met its first reading.
    #[schema(maximum = 1_000_000)]
    pub target_capacity: Option<u32>,
    /// The delta that was asked for; `null` if it was a capacity.
    #[schema(minimum = -1_000_000, maximum = 1_000_000)]
    pub delta: Option<i32>,
    /// The capacity when the job began; `null` until its first reading.
    #[schema(maximum = 1_000_000)]
    pub start_capacity: Option<u32>,
    /// The capacity by the last reading that could be used; `null` until there is one.
    #[schema(maximum = 1_000_000)]
    pub current_capacity: Option<u32>,
    /// What the job waits for. `null` once it is over.
    pub waiting_for: Option<WaitingView>,
    /// How far the job has come.
    pub progress: ProgressView,
    /// The changes of the capacity that the job made, in order.
    pub steps: Vec<StepView>,
    /// Changes of the capacity that were noticed while the job ran and that it did not make.
    pub external_changes: Vec<ExternalChangeView>,
    /// The newest targets that the policy gave the job instead of the one before, in order, at most 20.
    pub retargets: Vec<RetargetView>,
    /// How often the policy gave the job another target.
    pub retarget_count: u64,
    /// The settings that the job runs with.
    pub settings: SettingsView,
    /// The note that came with the job; `null` if none did.
    pub reason: Option<String>,
    /// The labels that came with the job; empty if none did.
    pub labels: BTreeMap<String, String>,
    /// Who submitted the job; `null` for a caller without a key.
    pub submitted_by: Option<ActorView>,
    /// Who canceled the job; `null` if it was not canceled, or by a caller without a key.
    pub canceled_by: Option<ActorView>,
    /// Why the job failed; `null` if it did not.
    pub error: Option<JobErrorView>,
    /// The state in which the job will end once its change in flight is resolved: `canceled` or `superseded`. `null` unless
    /// it was told to end.
    pub ending_as: Option<StateName>,
    /// The id of the job that took its place; `null` if none did.
    pub superseded_by: Option<Uuid>,
    /// The id of the group that the job belongs to; `null` if it belongs to none.
    pub group_id: Option<Uuid>,
    /// When the job was accepted.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: WireTime,
    /// When work on the job began; `null` before.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<WireTime>,
    /// When the job last changed.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: WireTime,
    /// When the job will be given up if it is not over by then.
    #[schema(value_type = String, format = DateTime)]
    pub deadline_at: WireTime,
    /// When the job ended; `null` before.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<WireTime>,
    /// The number of this version of the job; each change of the job adds at least 1.
    #[schema(minimum = 1)]
    pub version: u64,
    /// In the answer to a submission or a cancel: what the policy of the resource does not do because of it, or which resource was
    /// probably meant by an alias that was not known before, in a sentence or two. `null` if there is nothing to tell, and
    /// everywhere else.
    pub note: Option<String>,
}

impl JobView {
    /// The job in an answer at `now` to what was asked of it, perhaps for another resource than was `meant`.
    pub fn noted(noted: &NotedJob, meant: Option<&Alias>, now: Timestamp) -> Self {
        let NotedJob { job, note } = noted;
        Self { note: note.and_then(|note| note.sentence(&job.resource, meant, now)), ..Self::from(&**job) }
    }
}

impl From<&Job> for JobView {
    fn from(job: &Job) -> Self {
        let error = match job.ended() {
            Some(Ending::Failed(error)) => Some(JobErrorView::from(error)),
            _ => None,
        };
        Self {
            id: job.id,
            resource: job.resource.as_str().to_owned(),
            state: job.state.name(),
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
            retargets: job.retargets.newest.iter().map(RetargetView::from).collect(),
            retarget_count: job.retargets.count,
            settings: SettingsView::from(&job.settings),
            reason: job.reason.clone(),
            labels: job.labels.clone(),
            submitted_by: job.submitted_by.as_ref().map(ActorView::from),
            canceled_by: job.canceled_by.as_ref().map(ActorView::from),
            error,
            ending_as: job.ending.as_ref().map(Ending::name),
            superseded_by: job.superseded_by(),
            group_id: job.membership.as_ref().map(|membership| membership.group),
            created_at: WireTime(job.created_at),
            started_at: job.started_at.map(WireTime),
            updated_at: WireTime(job.updated_at),
            deadline_at: WireTime(job.deadline_at),
            finished_at: job.finished_at.map(WireTime),
            version: job.version,
            note: None,
        }
    }
}

/// Who did something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Actor)]
pub struct ActorView {
    /// Whether it was the owner of a key, a policy or the operator.
    pub kind: ActorKind,
    /// The id of the key; `null` unless `kind` is `key`.
    #[schema(example = "4fJ2kQ9xZa")]
    pub key: Option<String>,
    /// The name of the key; `null` unless `kind` is `key`.
    #[schema(example = "queue watcher")]
    pub name: Option<String>,
    /// The revision of the policy; `null` unless `kind` is `policy`.
    #[schema(minimum = 1)]
    pub revision: Option<u64>,
}

impl From<&Actor> for ActorView {
    fn from(actor: &Actor) -> Self {
        let none = Self { kind: actor.kind(), key: None, name: None, revision: None };
        match actor {
            Actor::Key { key, name } => {
                Self { key: Some(key.to_string()), name: Some(name.as_ref().to_owned()), ..none }
            }
            Actor::Policy { revision } => Self { revision: Some(*revision), ..none },
            Actor::Operator => none,
        }
    }
}

/// What a job waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Waiting)]
pub struct WaitingView {
    /// What the job waits for, for programs.
    #[schema(value_type = WaitReason)]
    pub reason: String,
    /// When the wait is over, or given up, at the latest.
    #[schema(value_type = String, format = DateTime)]
    pub until: WireTime,
    /// What the job waits for, in a sentence.
    pub detail: String,
}

impl From<&Waiting> for WaitingView {
    fn from(waiting: &Waiting) -> Self {
        Self {
            reason: waiting.reason.as_str().to_owned(),
            until: WireTime(waiting.until),
            detail: waiting.detail.clone(),
        }
    }
}

/// How far a job is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Progress)]
pub struct ProgressView {
    /// The number of steps that changed the capacity as asked.
    pub completed_steps: u32,
    /// The number of completed steps and of those still to go; `null` until the first reading.
    pub total_steps: Option<u32>,
    /// The share of the way to the target that is done, in percent.
    #[schema(minimum = 0, maximum = 100)]
    pub percent: u8,
    /// When the job will probably be over; `null` if that cannot be told. An estimate, not a promise.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub estimated_completion_at: Option<WireTime>,
}

/// One change of the capacity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Step)]
pub struct StepView {
    /// The number of the step in its job, from 1.
    #[schema(minimum = 1)]
    pub index: u32,
    /// Whether units are added or removed.
    #[schema(value_type = Op)]
    pub op: String,
    /// How many units are added or removed.
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub units: u32,
    /// The capacity before the step.
    #[schema(maximum = 1_000_000)]
    pub from_capacity: u32,
    /// The capacity that the step asks for.
    #[schema(maximum = 1_000_000)]
    pub to_capacity: u32,
    /// When the change was sent. `null` before, and for ever if it was withdrawn.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub sent_at: Option<WireTime>,
    /// When the outcome was established; `null` before.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub resolved_at: Option<WireTime>,
    /// What became of the step.
    #[schema(value_type = StepOutcome)]
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
            outcome: step.outcome.as_str().to_owned(),
        }
    }
}

/// A change of the capacity that the job did not make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ExternalChange)]
pub struct ExternalChangeView {
    /// When the change was noticed.
    #[schema(value_type = String, format = DateTime)]
    pub noticed_at: WireTime,
    /// The capacity that was expected.
    #[schema(maximum = 1_000_000)]
    pub from_capacity: u32,
    /// The capacity that was found.
    #[schema(maximum = 1_000_000)]
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

/// A target that a job was given instead of the one before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Retarget)]
pub struct RetargetView {
    /// When the job got another target.
    #[schema(value_type = String, format = DateTime)]
    pub at: WireTime,
    /// The target before.
    #[schema(maximum = 1_000_000)]
    pub from: u32,
    /// The target since.
    #[schema(maximum = 1_000_000)]
    pub to: u32,
    /// The id of the decision that asked for it.
    pub decision_id: Uuid,
}

impl From<&Retarget> for RetargetView {
    fn from(retarget: &Retarget) -> Self {
        Self {
            at: WireTime(retarget.at),
            from: retarget.from.units(),
            to: retarget.to.units(),
            decision_id: retarget.decision,
        }
    }
}

/// The settings of a job. Durations are in seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Settings)]
pub struct SettingsView {
    /// Most units that are changed in one step.
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub step_size: u32,
    /// Least time between two changes of the resource.
    pub cooldown_seconds: f64,
    /// Longest wait for the resource to become ready, for a change to show, or for a reading.
    pub active_timeout_seconds: f64,
    /// Longest time between two readings while waiting.
    pub poll_interval_seconds: f64,
    /// How long a change may take to have its effect and to show in readings.
    pub settle_seconds: f64,
    /// Longest life of a job, counted from its submission.
    pub deadline_seconds: f64,
}

impl From<&Settings> for SettingsView {
    fn from(settings: &Settings) -> Self {
        // All of them: a setting that is left out here does not compile.
        let Settings { step_size, cooldown, active_timeout, poll_interval, settle, deadline } = settings;
        Self {
            step_size: *step_size,
            cooldown_seconds: cooldown.as_secs_f64(),
            active_timeout_seconds: active_timeout.as_secs_f64(),
            poll_interval_seconds: poll_interval.as_secs_f64(),
            settle_seconds: settle.as_secs_f64(),
            deadline_seconds: deadline.as_secs_f64(),
        }
    }
}

/// Why a job failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = JobError)]
pub struct JobErrorView {
    /// The reason for programs; it is stable.
    #[schema(value_type = ErrorCode)]
    pub code: String,
    /// The reason for people, in a sentence.
    pub message: String,
    /// What the sidecar answered, if that is the reason; `null` otherwise.
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

/// An answer of the sidecar, verbatim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = SidecarAnswer)]
pub struct SidecarView {
    /// The HTTP status of the answer.
    pub status: u16,
    /// The body of the answer, cut off where it is very long.
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
    /// The jobs of the page, newest first.
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
    let percent = match (job.ended(), job.progress_start(), job.current, job.target) {
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
