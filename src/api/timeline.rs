//! A resource's timeline: what has happened to it, newest first.

use actix_web::{HttpRequest, HttpResponse, get, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::caller::Caller;
use super::problem::{ApiError, TimelineProblems};
use super::query::{self, Paging};
use super::view::{ErrorCodeName, OpName, OutcomeName, StateView, WireTime};
use super::{ApiState, input, openapi};
use crate::domain::{Ending, Goal, Happening, HistoryEntry, StepOutcome};

/// Read a resource's timeline
///
/// What has happened to a resource, newest first, a page at a time: readings that showed something new, jobs, changes and
/// what became of them, and changes by somebody else. Readings are made while jobs run, and when somebody looks at a
/// resource that is listed in the configuration or was scaled lately. The newest 10,000 entries are kept, for as long as finished jobs are.
#[utoipa::path(
    operation_id = "getTimeline", tag = "resources",
    security(("apiKey" = ["read"])),
    params(
        ("alias" = String, Path, description = "The resource's alias.", example = "worker",
            pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"),
        ("pageSize" = Option<u16>, Query, description = "Most entries on the page; 50 by default.", minimum = 1, maximum = 200, example = 50),
        ("pageToken" = Option<String>, Query, description = "The `nextPageToken` of the page before.", pattern = "^[1-9a-f][0-9a-f]{0,14}$", example = "1f"),
    ),
    responses(
        (status = 200, description = "A page of the timeline. A resource that nothing is known of has an empty one.",
            body = Timeline, example = json!(openapi::example_timeline())),
        TimelineProblems,
    )
)]
#[get("/v1/resources/{alias}/timeline")]
pub async fn get_timeline(
    state: web::Data<ApiState>,
    request: HttpRequest,
    caller: Caller,
    path: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let alias = input::alias(&path)?;
    caller.may_touch(&alias)?;
    let paging = Paging::parse(request.query_string())?;
    let page =
        state.read_catalog("timeline", move |catalog| catalog.timeline(&alias, paging.after, paging.size)).await?;
    let entries = page.entries.iter().map(TimelineEntry::from).collect();
    Ok(HttpResponse::Ok().json(Timeline { entries, next_page_token: page.next.map(query::page_token) }))
}

/// A page of a resource's timeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Timeline {
    /// Newest first.
    pub entries: Vec<TimelineEntry>,
    /// The `pageToken` of the next page; `null` on the last one.
    pub next_page_token: Option<String>,
}

/// One thing that happened to a resource. All have `at` and `detail`, the same in words; the rest goes by the `kind`.
///
/// The common fields are in every variant, because a schema of variants on top of them would be one that few generators
/// of clients understand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TimelineEntry {
    /// A reading differed from the one before, or was the first since the gateway started.
    Reading {
        /// When.
        #[schema(value_type = String, format = DateTime)]
        at: WireTime,
        /// The same in words.
        detail: String,
        /// Status in the sidecar's words.
        status: String,
        /// Capacity.
        capacity: u32,
    },
    /// A job was accepted.
    #[serde(rename_all = "camelCase")]
    JobAccepted {
        /// When.
        #[schema(value_type = String, format = DateTime)]
        at: WireTime,
        /// The same in words.
        detail: String,
        /// The job.
        job: Uuid,
        /// The capacity asked for, unless it was a delta.
        target_capacity: Option<u32>,
        /// The delta asked for, if it was one.
        delta: Option<i32>,
        /// The submitter's note.
        reason: Option<String>,
    },
    /// Work on a job began.
    JobStarted {
        /// When.
        #[schema(value_type = String, format = DateTime)]
        at: WireTime,
        /// The same in words.
        detail: String,
        /// The job.
        job: Uuid,
    },
    /// A job ended.
    #[serde(rename_all = "camelCase")]
    JobEnded {
        /// When.
        #[schema(value_type = String, format = DateTime)]
        at: WireTime,
        /// The same in words.
        detail: String,
        /// The job.
        job: Uuid,
        /// How.
        state: StateView,
        /// Why it failed, if it did.
        #[schema(value_type = Option<ErrorCodeName>)]
        error_code: Option<String>,
    },
    /// A change was sent, or may have been just before the gateway died.
    #[serde(rename_all = "camelCase")]
    ChangeSent {
        /// When.
        #[schema(value_type = String, format = DateTime)]
        at: WireTime,
        /// The same in words.
        detail: String,
        /// The job.
        job: Uuid,
        /// Direction.
        #[schema(value_type = OpName)]
        op: String,
        /// Units.
        #[schema(minimum = 1)]
        units: u32,
        /// Capacity before.
        from_capacity: u32,
        /// Capacity asked for.
        to_capacity: u32,
    },
    /// It was established what became of a change. Its job may have ended before.
    #[serde(rename_all = "camelCase")]
    ChangeResolved {
        /// When.
        #[schema(value_type = String, format = DateTime)]
        at: WireTime,
        /// The same in words.
        detail: String,
        /// The job.
        job: Uuid,
        /// Direction.
        #[schema(value_type = OpName)]
        op: String,
        /// Units.
        #[schema(minimum = 1)]
        units: u32,
        /// Capacity before.
        from_capacity: u32,
        /// Capacity asked for.
        to_capacity: u32,
        /// What became of it.
        #[schema(value_type = OutcomeName)]
        outcome: String,
    },
    /// Somebody else changed the capacity.
    #[serde(rename_all = "camelCase")]
    ExternalChange {
        /// When.
        #[schema(value_type = String, format = DateTime)]
        at: WireTime,
        /// The same in words.
        detail: String,
        /// The job that noticed it.
        job: Uuid,
        /// The capacity expected.
        from_capacity: u32,
        /// The capacity found.
        to_capacity: u32,
    },
}

impl From<&HistoryEntry> for TimelineEntry {
    fn from(entry: &HistoryEntry) -> Self {
        let (at, detail) = (WireTime(entry.at), sentence(&entry.what));
        match &entry.what {
            Happening::Reading { status, capacity } => {
                Self::Reading { at, detail, status: status.as_str().to_owned(), capacity: capacity.units() }
            }
            Happening::JobAccepted { job, goal, reason } => {
                let (target_capacity, delta) = match goal {
                    Goal::Target(target) => (Some(target.units()), None),
                    Goal::Delta(delta) => (None, Some(*delta)),
                };
                Self::JobAccepted { at, detail, job: *job, target_capacity, delta, reason: reason.clone() }
            }
            Happening::JobStarted { job } => Self::JobStarted { at, detail, job: *job },
            Happening::JobEnded { job, ending } => {
                let error_code = match ending {
                    Ending::Failed(error) => Some(error.code.as_str().to_owned()),
                    _ => None,
                };
                Self::JobEnded { at, detail, job: *job, state: StateView::from(ending), error_code }
            }
            Happening::ChangeSent { job, movement } => Self::ChangeSent {
                at,
                detail,
                job: *job,
                op: movement.op.as_str().to_owned(),
                units: movement.units,
                from_capacity: movement.from.units(),
                to_capacity: movement.to.units(),
            },
            Happening::ChangeResolved { job, movement, outcome } => Self::ChangeResolved {
                at,
                detail,
                job: *job,
                op: movement.op.as_str().to_owned(),
                units: movement.units,
                from_capacity: movement.from.units(),
                to_capacity: movement.to.units(),
                outcome: outcome.as_str().to_owned(),
            },
            Happening::ExternalChange { job, from, to } => {
                Self::ExternalChange { at, detail, job: *job, from_capacity: from.units(), to_capacity: to.units() }
            }
        }
    }
}

fn sentence(what: &Happening) -> String {
    match what {
        Happening::Reading { status, capacity } if status.as_str().is_empty() => format!("Capacity {capacity}."),
        Happening::Reading { status, capacity } => format!("{status} at capacity {capacity}."),
        Happening::JobAccepted { goal, reason, .. } => {
            reason.as_ref().map_or(format!("Asked to scale {goal}."), |why| format!("Asked to scale {goal}: {why}"))
        }
        Happening::JobStarted { .. } => "Work on the job began.".into(),
        Happening::JobEnded { ending: Ending::Succeeded, .. } => "The job succeeded.".into(),
        Happening::JobEnded { ending: Ending::Failed(error), .. } => format!("The job failed: {}", error.message),
        Happening::JobEnded { ending: Ending::Canceled, .. } => "The job was canceled.".into(),
        Happening::JobEnded { ending: Ending::Superseded { by }, .. } => format!("The job made way for job {by}."),
        Happening::ChangeSent { movement, .. } => format!("Sent {movement}."),
        Happening::ChangeResolved { movement, outcome, .. } => match outcome {
            StepOutcome::Confirmed => format!("{movement} took effect."),
            StepOutcome::NotApplied => format!("{movement} had no effect."),
            StepOutcome::Rejected => format!("The sidecar refused {movement}."),
            StepOutcome::Unknown | StepOutcome::Pending => format!("What became of {movement} is unknown."),
        },
        Happening::ExternalChange { from, to, .. } => {
            format!("Somebody else changed the capacity from {from} to {to}.")
        }
    }
}
