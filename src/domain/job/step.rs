//! The changes of capacity in the record of a job: its own steps, and those of others.

use serde::{Deserialize, Serialize};
use strum::{EnumMessage, VariantArray};
use utoipa::ToSchema;

use super::super::capacity::{Capacity, Move, Op};
use super::super::reading::SidecarAnswer;
use super::super::time::Timestamp;

/// One change of capacity that a job made or tried to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Direction.
    pub op: Op,
    /// Number of units.
    pub units: u32,
    /// Capacity before.
    pub from: Capacity,
    /// Capacity asked for.
    pub to: Capacity,
    /// When it was sent. `None` before, and for ever if it was withdrawn.
    pub sent_at: Option<Timestamp>,
    /// When its outcome was established.
    pub resolved_at: Option<Timestamp>,
    /// What became of it.
    pub outcome: StepOutcome,
}

impl Step {
    /// A step about to be sent.
    pub fn pending(change: Move) -> Self {
        Self {
            op: change.op,
            units: change.units,
            from: change.from,
            to: change.to,
            sent_at: None,
            resolved_at: None,
            outcome: StepOutcome::Pending,
        }
    }
}

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, EnumMessage, VariantArray)]
#[serde(rename_all = "snake_case")]
pub enum StepOutcome {
    /// The outcome is not established yet.
    Pending,
    /// The capacity moved as asked.
    Confirmed,
    /// The outcome could not be established.
    Unknown,
    /// The change had no effect.
    NotApplied,
    /// The sidecar refused the change.
    Rejected,
}

impl StepOutcome {
    /// The outcome as it appears in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::Unknown => "unknown",
            Self::NotApplied => "not_applied",
            Self::Rejected => "rejected",
        }
    }
}

/// A movement of capacity that scalegate did not ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalChange {
    /// When it was noticed.
    pub noticed_at: Timestamp,
    /// The capacity expected.
    pub from: Capacity,
    /// The capacity found.
    pub to: Capacity,
}

/// A change that did not go as it should.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastChangeError {
    /// What happened, as a sentence fragment.
    pub detail: String,
    /// The sidecar's answer, if it gave one.
    pub answer: Option<SidecarAnswer>,
}
