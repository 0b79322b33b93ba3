//! What a policy decided, and everything that explains it.
//!
//! The derived JSON is the one that is kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strum::{EnumMessage, IntoStaticStr, VariantArray};
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::alias::Alias;
use super::super::capacity::Capacity;
use super::super::job_id::JobId;
use super::super::reading::Status;
use super::super::time::Timestamp;
use super::condition::ConditionCode;
use super::document::Mode;
use super::metric::{MetricState, Missing};
use super::name::Name;

/// Identifies a decision.
pub type DecisionId = Uuid;

/// One decision of a policy. Equal ones that follow each other are one, with a count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Its id, in order of time.
    pub id: DecisionId,
    /// The resource.
    pub resource: Alias,
    /// When it was taken first.
    pub at: Timestamp,
    /// What it was taken for.
    pub trigger: Trigger,
    /// The mode of the policy.
    pub mode: Mode,
    /// The revision of the policy.
    pub policy_revision: u64,
    /// The capacity of the last usable reading, if there is one.
    pub capacity: Option<Capacity>,
    /// The status of that reading.
    pub status: Option<Status>,
    /// The target of the policy's unfinished job, or what was decided last.
    pub target: Option<Capacity>,
    /// The metrics as they were.
    pub metrics: BTreeMap<Name, MetricState>,
    /// The metrics of the last of several equal decisions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_metrics: Option<BTreeMap<Name, MetricState>>,
    /// What each rule said, in the order of the document.
    pub rules: Vec<Opinion>,
    /// The first stage, and those that changed the number, in their order.
    pub stages: Vec<StageValue>,
    /// The capacity after the first stage; none if there is nothing to decide on.
    pub wanted: Option<Capacity>,
    /// The capacity after the last stage.
    pub decided: Option<Capacity>,
    /// The last stage that changed the number.
    pub limited_by: Option<Limiter>,
    /// What was done.
    pub action: Action,
    /// What kept the policy from doing more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked_by: Option<ConditionCode>,
    /// The job that it was done with.
    pub job_id: Option<JobId>,
    /// The nearest values at which a rule would want another capacity.
    pub otherwise_if: Vec<Alternative>,
    /// All of it in a sentence or two.
    pub detail: String,
    /// How many decisions in a row were equal to this one, itself included.
    pub count: u64,
    /// When the last of them was taken.
    pub last_at: Timestamp,
}

impl Decision {
    /// Whether `later`, which follows it, is the same decision again: nothing was done, and nothing else came of it. Values
    /// may differ, as long as every rule wants the same.
    pub fn is_like(&self, later: &Self) -> bool {
        let says = |decision: &Self| -> Vec<Says> { decision.rules.iter().map(|rule| rule.says).collect() };
        let states = |decision: &Self| -> Vec<Option<Missing>> {
            decision.metrics.values().map(MetricState::missing_reason).collect()
        };
        matches!(self.action, Action::None | Action::Advised)
            && (self.action, self.blocked_by) == (later.action, later.blocked_by)
            && (self.policy_revision, self.mode) == (later.policy_revision, later.mode)
            && (self.decided, self.wanted, self.limited_by) == (later.decided, later.wanted, later.limited_by)
            && says(self) == says(later)
            && self.metrics.keys().eq(later.metrics.keys())
            && states(self) == states(later)
    }

    /// Counts `later`, an equal decision, as this one. Its words and values are the last ones: a sentence that says "now 3"
    /// must not stay for hours. What it was taken for, when, and the metrics then, are those of the first.
    pub fn absorb(&mut self, later: Self) {
        *self = Self {
            id: self.id,
            at: self.at,
            trigger: self.trigger,
            count: self.count.saturating_add(later.count),
            last_metrics: Some(later.last_metrics.unwrap_or(later.metrics)),
            metrics: std::mem::take(&mut self.metrics),
            ..later
        };
    }
}

/// What a decision was taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, EnumMessage, VariantArray)]
#[serde(rename_all = "snake_case")]
#[schema(as = DecisionTrigger)]
pub enum Trigger {
    /// A new value of a metric, or the news that there is none.
    Metric,
    /// A reading of the resource.
    Reading,
    /// Time has passed: a window opened, a wait ended, a value became too old.
    Time,
    /// A claim was made, renewed, deleted or ended.
    Claim,
    /// A hold was made, deleted or ended.
    Hold,
    /// A job of the resource ended or was submitted.
    Job,
    /// The policy changed.
    Policy,
    /// The target of a followed resource changed.
    Followed,
    /// The gateway started.
    Start,
    /// It was asked for, and nothing is done about it.
    Request,
}

impl Trigger {
    /// The one of two that is told, where `later` came before a decision for this one was taken: what a person did comes
    /// before what became of a job, and that before the rest; of the same rank the first.
    #[must_use]
    pub fn with(self, later: Self) -> Self {
        if later.rank() > self.rank() { later } else { self }
    }

    fn rank(self) -> u8 {
        match self {
            Self::Policy | Self::Hold | Self::Claim => 2,
            Self::Job | Self::Start => 1,
            Self::Metric | Self::Reading | Self::Time | Self::Followed | Self::Request => 0,
        }
    }
}

/// What was done about a decision.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    ToSchema,
    EnumMessage,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[schema(as = DecisionAction)]
pub enum Action {
    /// A job was submitted.
    Submitted,
    /// The unfinished job of the policy was given another target.
    Retargeted,
    /// The unfinished job of the policy was canceled.
    Canceled,
    /// Nothing was done.
    #[default]
    None,
    /// Nothing, since the policy only advises: it would have acted.
    Advised,
}

impl Action {
    /// The action's name in the API.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// What one rule said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Opinion {
    /// The rule.
    pub name: Name,
    /// What it said.
    #[serde(flatten)]
    pub says: Says,
    /// Why, as a sentence fragment.
    pub detail: String,
}

/// What a rule said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Says {
    /// It recommends this capacity, or has no opinion.
    Wants(Option<Capacity>),
    /// Its window, or the climb ahead of it, sets these bounds.
    Bounds {
        /// Least capacity.
        min: Option<Capacity>,
        /// Largest capacity.
        max: Option<Capacity>,
    },
}

/// A stage and the number after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageValue {
    /// The stage.
    pub stage: Limiter,
    /// The capacity after it.
    pub value: Capacity,
    /// Why it changed the number, as a sentence fragment; of the first stage none.
    pub detail: Option<String>,
}

/// The stages of a decision, in their order, and what else can limit it.
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
#[serde(rename_all = "snake_case")]
#[schema(as = DecisionStage)]
pub enum Limiter {
    /// The highest wish of the rules.
    Rules,
    /// How fast wishes are followed.
    Behavior,
    /// The way to 0 and back.
    Idle,
    /// The claims of callers.
    Claims,
    /// The windows of schedules.
    Windows,
    /// The bounds of the policy.
    Bounds,
    /// A hold on the resource.
    Hold,
    /// The bounds in the configuration.
    File,
    /// A capacity that the platform refused.
    Platform,
}

/// A value at which a rule would want another capacity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alternative {
    /// The rule.
    pub rule: Name,
    /// Where its metric would have to be.
    #[serde(flatten)]
    pub at: Beyond,
    /// The capacity that it would want then.
    pub wants: Capacity,
}

/// One side of a value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Beyond {
    /// Above it.
    Above(f64),
    /// At it or below.
    AtMost(f64),
    /// At it or above.
    AtLeast(f64),
    /// Below it.
    Below(f64),
}

impl Beyond {
    /// The value.
    pub fn value(self) -> f64 {
        match self {
            Self::Above(value) | Self::AtMost(value) | Self::AtLeast(value) | Self::Below(value) => value,
        }
    }
}
