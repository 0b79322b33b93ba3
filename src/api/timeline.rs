//! A resource's timeline: what has happened to it, newest first.

use actix_web::{HttpRequest, HttpResponse, get, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::caller::Caller;
use super::openapi::examples;
use super::problem::ApiError;
use super::query::Paging;
use super::routes::{Route, problems};
use super::view::WireTime;
use super::{ApiState, input, list};
use crate::domain::{Alias, Ending, ErrorCode, Goal, HistoryEntry, Op, ResourceEvent, Scope, StateName, StepOutcome};

/// The scopes, the audit action and the problems of each operation.
pub(super) const ROUTES: &[Route] = &[Route::get("/v1/resources/{alias}/timeline")
    .needs(&[Scope::Read])
    .problems(problems![ResourceForbidden ValidationFailed Overloaded])];

/// Read a resource's timeline
///
/// What has happened to a resource, newest first, a page at a time: readings that showed something new, jobs, changes and
/// what became of them, and external changes. Readings are made while jobs run, and when a caller looks at a
/// resource that is listed in the configuration or was scaled lately. The newest 10,000 entries are kept, for as long as finished jobs are.
/// A page also ends at about half a megabyte, with a token.
#[utoipa::path(
    operation_id = "listTimelineEntries", tag = "resources",
    params(
        ("alias" = Alias, Path, description = "The alias of the resource.", example = "worker"),
        Paging,
    ),
    responses(
        (status = 200, description = "A page of the timeline. A resource that nothing is known of has an empty one.",
            body = Timeline, example = json!(examples::example_timeline())),
    )
)]
#[get("/v1/resources/{alias}/timeline")]
pub async fn list_timeline_entries(
    state: web::Data<ApiState>,
    request: HttpRequest,
    caller: Caller,
    path: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let alias = input::alias(&path)?;
    caller.may_touch(&alias)?;
    let paging = Paging::parse(request.query_string())?;
    let page = state
        .read(&caller, "timeline", async move |reader| reader.timeline(&alias, paging.after, paging.size).await)
        .await?;
    Ok(list::answer(&request, "entries", page, |entry| list::json(&TimelineEntry::from(entry))))
}

/// A page of a resource's timeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Timeline {
    /// The entries of the page, newest first.
    pub entries: Vec<TimelineEntry>,
    /// The `pageToken` of the next page; `null` on the last one.
    pub next_page_token: Option<String>,
}

/// Something that happened to a resource. `kind` says what, and which fields there are besides `at` and `detail`. Later
/// releases may add kinds.
// The common fields are in every variant: few generators of clients understand variants on top of a common schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TimelineEntry {
    /// A reading differed from the one before, or was the first since the gateway started.
    Reading {
        /// When it happened.
        #[schema(value_type = String, format = DateTime)]
        at: WireTime,
        /// What happened, in a sentence.
        detail: String,
        /// The status of the resource, in the sidecar's words.
        status: String,
        /// The capacity that was read.
        #[schema(maximum = 1_000_000)]
        capacity: u32,
    },
    /// A job was accepted.
    #[serde(rename_all = "camelCase")]
    JobAccepted {
        /// When it happened.
        #[schema(value_type = String, format = DateTime)]
        at: WireTime,
        /// What happened, in a sentence.
        detail: String,
        /// The id of the job.
        job: Uuid,
        /// The capacity that was asked for; `null` if it was a delta.
        #[schema(maximum = 1_000_000)]
        target_capacity: Option<u32>,
        /// The delta that was asked for; `null` if it was a capacity.
        #[schema(minimum = -1_000_000, maximum = 1_000_000)]
        delta: Option<i32>,
        /// The note that came with the job; `null` if none did.
        reason: Option<String>,
    },
    /// Work on a job began.
    JobStarted {
        /// When it happened.
        #[schema(value_type = String, format = DateTime)]
        at: WireTime,
        /// What happened, in a sentence.
        detail: String,
        /// The id of the job.
        job: Uuid,
    },
    /// A job ended.
    #[serde(rename_all = "camelCase")]
    JobEnded {
        /// When it happened.
        #[schema(value_type = String, format = DateTime)]
        at: WireTime,
        /// What happened, in a sentence.
        detail: String,
        /// The id of the job.
        job: Uuid,
        /// The state in which the job ended.
        state: StateName,
        /// Why the job failed; `null` if it did not.
        #[schema(value_type = Option<ErrorCode>)]
        error_code: Option<String>,
    },
    /// A change was sent, or may have been just before the gateway died.
    #[serde(rename_all = "camelCase")]
    ChangeSent {
        /// When it happened.
        #[schema(value_type = String, format = DateTime)]
        at: WireTime,
        /// What happened, in a sentence.
        detail: String,
        /// The id of the job.
        job: Uuid,
        /// Whether units are added or removed.
        #[schema(value_type = Op)]
        op: String,
        /// How many units are added or removed.
        #[schema(minimum = 1, maximum = 1_000_000)]
        units: u32,
        /// The capacity before the change.
        #[schema(maximum = 1_000_000)]
        from_capacity: u32,
        /// The capacity that the change asks for.
        #[schema(maximum = 1_000_000)]
        to_capacity: u32,
    },
    /// It was established what became of a change. Its job may have ended before.
    #[serde(rename_all = "camelCase")]
    ChangeResolved {
        /// When it happened.
        #[schema(value_type = String, format = DateTime)]
        at: WireTime,
        /// What happened, in a sentence.
        detail: String,
        /// The id of the job.
        job: Uuid,
        /// Whether units are added or removed.
        #[schema(value_type = Op)]
        op: String,
        /// How many units are added or removed.
        #[schema(minimum = 1, maximum = 1_000_000)]
        units: u32,
        /// The capacity before the change.
        #[schema(maximum = 1_000_000)]
        from_capacity: u32,
        /// The capacity that the change asks for.
        #[schema(maximum = 1_000_000)]
        to_capacity: u32,
        /// What became of the change.
        #[schema(value_type = StepOutcome)]
        outcome: String,
    },
    /// The capacity changed, and not by a job of this gateway.
    #[serde(rename_all = "camelCase")]
    ExternalChange {
        /// When it happened.
        #[schema(value_type = String, format = DateTime)]
        at: WireTime,
        /// What happened, in a sentence.
        detail: String,
        /// The id of the job that noticed it.
        job: Uuid,
        /// The capacity that was expected.
        #[schema(maximum = 1_000_000)]
        from_capacity: u32,
        /// The capacity that was found.
        #[schema(maximum = 1_000_000)]
        to_capacity: u32,
    },
}

impl From<&HistoryEntry> for TimelineEntry {
    fn from(entry: &HistoryEntry) -> Self {
        let (at, detail) = (WireTime(entry.at), sentence(&entry.what));
        match &entry.what {
            ResourceEvent::Reading { status, capacity } => {
                Self::Reading { at, detail, status: status.as_str().to_owned(), capacity: capacity.units() }
            }
            ResourceEvent::JobAccepted { job, goal, reason } => {
                let (target_capacity, delta) = match goal {
                    Goal::Target(target) => (Some(target.units()), None),
                    Goal::Delta(delta) => (None, Some(*delta)),
                };
                Self::JobAccepted { at, detail, job: *job, target_capacity, delta, reason: reason.clone() }
            }
            ResourceEvent::JobStarted { job } => Self::JobStarted { at, detail, job: *job },
            ResourceEvent::JobEnded { job, ending } => {
                let error_code = match ending {
                    Ending::Failed(error) => Some(error.code.as_str().to_owned()),
                    _ => None,
                };
                Self::JobEnded { at, detail, job: *job, state: ending.name(), error_code }
            }
            ResourceEvent::ChangeSent { job, movement } => Self::ChangeSent {
                at,
                detail,
                job: *job,
                op: movement.op.as_str().to_owned(),
                units: movement.units,
                from_capacity: movement.from.units(),
                to_capacity: movement.to.units(),
            },
            ResourceEvent::ChangeResolved { job, movement, outcome } => Self::ChangeResolved {
                at,
                detail,
                job: *job,
                op: movement.op.as_str().to_owned(),
                units: movement.units,
                from_capacity: movement.from.units(),
                to_capacity: movement.to.units(),
                outcome: outcome.as_str().to_owned(),
            },
            ResourceEvent::ExternalChange { job, from, to } => {
                Self::ExternalChange { at, detail, job: *job, from_capacity: from.units(), to_capacity: to.units() }
            }
        }
    }
}

fn sentence(what: &ResourceEvent) -> String {
    match what {
        ResourceEvent::Reading { status, capacity } if status.as_str().is_empty() => format!("Capacity {capacity}."),
        ResourceEvent::Reading { status, capacity } => format!("{status} at capacity {capacity}."),
        ResourceEvent::JobAccepted { goal, reason, .. } => {
            reason.as_ref().map_or(format!("Asked to scale {goal}."), |why| format!("Asked to scale {goal}: {why}"))
        }
        ResourceEvent::JobStarted { .. } => "Work on the job began.".into(),
        ResourceEvent::JobEnded { ending: Ending::Succeeded, .. } => "The job succeeded.".into(),
        ResourceEvent::JobEnded { ending: Ending::Failed(error), .. } => format!("The job failed: {}", error.message),
        ResourceEvent::JobEnded { ending: Ending::Canceled, .. } => "The job was canceled.".into(),
        ResourceEvent::JobEnded { ending: Ending::Superseded { by }, .. } => format!("The job made way for job {by}."),
        ResourceEvent::ChangeSent { movement, .. } => format!("Sent {movement}."),
        ResourceEvent::ChangeResolved { movement, outcome, .. } => match outcome {
            StepOutcome::Confirmed => format!("{movement} took effect."),
            StepOutcome::NotApplied => format!("{movement} had no effect."),
            StepOutcome::Rejected => format!("The sidecar refused {movement}."),
            StepOutcome::Unknown | StepOutcome::Pending => format!("What became of {movement} is unknown."),
        },
        ResourceEvent::ExternalChange { from, to, .. } => {
            format!("The capacity was changed from {from} to {to}, not by this gateway.")
        }
    }
}
