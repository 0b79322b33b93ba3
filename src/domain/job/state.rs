//! The states of a job, and why a job can fail.
//!
//! [`JobState`] is what a job has: the state with the outcome that belongs to it. [`StateName`] is the state alone, as it
//! stands in the API, in filters and in the columns of the store.
//!
//! Rejected: a type of its own for the API, because a second list of the same states has to be kept equal by hand. The
//! descriptions of [`StateName`] and [`ErrorCode`] appear in the OpenAPI document.

use serde::{Deserialize, Serialize};
use strum::{EnumMessage, VariantArray};
use utoipa::ToSchema;

use super::super::job_id::JobId;
use super::super::reading::SidecarAnswer;

/// Where a job is in its life, with how it ended. The derived JSON is part of stored jobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Accepted, waiting for earlier jobs on the same resource.
    Queued,
    /// Being worked on.
    Running,
    /// Over.
    Ended(Ending),
}

/// How a job ended, or is about to end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The target was reached and the resource is at rest.
    Succeeded,
    /// It cannot be reached.
    Failed(JobError),
    /// It was canceled.
    Canceled,
    /// Another job took its place.
    Superseded {
        /// That job.
        by: JobId,
    },
}

impl JobState {
    /// The state without what belongs to it.
    pub const fn name(&self) -> StateName {
        match self {
            Self::Queued => StateName::Queued,
            Self::Running => StateName::Running,
            Self::Ended(ending) => ending.name(),
        }
    }
}

impl Ending {
    /// The state of a job that ended so.
    pub const fn name(&self) -> StateName {
        match self {
            Self::Succeeded => StateName::Succeeded,
            Self::Failed(_) => StateName::Failed,
            Self::Canceled => StateName::Canceled,
            Self::Superseded { .. } => StateName::Superseded,
        }
    }
}

/// Where a job is in its life.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    ToSchema,
    EnumMessage,
    VariantArray,
)]
#[serde(rename_all = "lowercase")]
#[schema(as = JobState)]
pub enum StateName {
    /// Accepted; it waits for earlier jobs on the same resource.
    Queued,
    /// The gateway works on it.
    Running,
    /// Over: the target is reached and the resource is ready.
    Succeeded,
    /// Over: it failed, and `error` says why.
    Failed,
    /// Over: it was canceled.
    Canceled,
    /// Over: another job took its place.
    Superseded,
}

impl StateName {
    /// All states, in the order of a life.
    pub const ALL: [Self; 6] =
        [Self::Queued, Self::Running, Self::Succeeded, Self::Failed, Self::Canceled, Self::Superseded];

    /// Whether a job in this state is over.
    pub const fn is_over(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }

    /// The state as it appears in the API and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Superseded => "superseded",
        }
    }
}

/// Why a job failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobError {
    /// For programs.
    pub code: ErrorCode,
    /// For people.
    pub message: String,
    /// What the sidecar said, if that explains it.
    pub sidecar: Option<SidecarAnswer>,
}

impl JobError {
    /// An error without an answer of the sidecar.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), sidecar: None }
    }
}

/// The reasons for which a job can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, EnumMessage, VariantArray)]
#[serde(rename_all = "snake_case")]
#[schema(as = JobErrorCode)]
pub enum ErrorCode {
    /// The sidecar does not know the resource.
    ResourceNotFound,
    /// The status of the resource is FAILED.
    ResourceFailed,
    /// The resource did not become ready in time.
    ActiveTimeout,
    /// Changes are accepted but do not show, or are undone again and again, or there are too many steps.
    NoProgress,
    /// It cannot be established whether a change took effect.
    OutcomeUnknown,
    /// The sidecar refused a change.
    SidecarRejected,
    /// The sidecar gives no readings.
    SidecarUnreachable,
    /// The target is outside the bounds of the resource.
    OutOfBounds,
    /// The job was not over before its own deadline.
    DeadlineExceeded,
}

impl ErrorCode {
    /// The code as it appears in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ResourceNotFound => "resource_not_found",
            Self::ResourceFailed => "resource_failed",
            Self::ActiveTimeout => "active_timeout",
            Self::NoProgress => "no_progress",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::SidecarRejected => "sidecar_rejected",
            Self::SidecarUnreachable => "sidecar_unreachable",
            Self::OutOfBounds => "out_of_bounds",
            Self::DeadlineExceeded => "deadline_exceeded",
        }
    }
}
