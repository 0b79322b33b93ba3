//! What a policy looks like on the wire: for the OpenAPI document, and for programs that use this crate.
//!
//! Requests are not read into these types: `crate::policy` reads them, and tells all mistakes at once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::rule::RuleDocument;
use super::source::SourceDocument;
use crate::api::view::{ActorView, WireTime};
use crate::domain::Alias;
use crate::domain::policy::Mode;
use crate::policy::Warning;

/// A policy: how the target of one resource follows metrics, schedules, other resources and claims. `min`, `max` and one rule
/// are required.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = Policy)]
pub struct PolicyDocument {
    /// Whether the policy acts; `active` if left out.
    #[serde(default)]
    pub mode: Mode,
    /// Least capacity of the resource.
    #[schema(maximum = 1_000_000)]
    pub min: u32,
    /// Largest capacity, not below `min`.
    #[schema(maximum = 1_000_000)]
    pub max: u32,
    /// The metrics that rules use, by name: at most 16.
    #[serde(default)]
    pub metrics: BTreeMap<String, MetricDocument>,
    /// The rules, in any order: 1 to 32 with unique names.
    #[schema(min_items = 1, max_items = 32)]
    pub rules: Vec<RuleDocument>,
    /// How fast what rules recommend is followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behavior: Option<BehaviorDocument>,
    /// When a resource without demand goes to 0, although `min` may be higher; it does not if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<IdleDocument>,
    /// Settings of the policy's jobs, where they differ from those of the resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<PolicyJobDocument>,
    /// The alias of the resource. Only in answers; ignored in requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Alias>)]
    pub resource: Option<String>,
    /// The number of the revision. Only in answers; ignored in requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// When the revision was made. Only in answers; ignored in requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub updated_at: Option<WireTime>,
    /// Who made the revision; `null` if no key was shown. Only in answers; ignored in requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_by: Option<ActorView>,
    /// What the policy does, in English sentences. Only in answers; ignored in requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<Vec<String>>,
    /// What in the policy is probably not meant. Only in answers; ignored in requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warnings: Option<Vec<Warning>>,
}

/// Where a metric comes from, and how long a value counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = PolicyMetric)]
pub struct MetricDocument {
    /// Where the metric comes from.
    pub source: SourceDocument,
    /// How often a source that is pulled is asked, in seconds; 30 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 3600)]
    pub interval_seconds: Option<f64>,
    /// How old a value may be, in seconds; 3 intervals if left out, and 300 for one that is pushed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 86_400)]
    pub max_age_seconds: Option<f64>,
    /// The time that a value is an average of, in seconds; 0 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 3600)]
    pub window_seconds: Option<f64>,
    /// Whether negative values make sense; not so if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_negative: Option<bool>,
}

/// How fast what rules recommend is followed, by direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = PolicyBehavior)]
pub struct BehaviorDocument {
    /// For changes that add units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up: Option<SmoothingDocument>,
    /// For changes that remove units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down: Option<SmoothingDocument>,
}

/// How fast recommendations in one direction are followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = PolicySmoothing)]
pub struct SmoothingDocument {
    /// For how long all wishes must agree, in seconds; 0 up and 300 down if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 3600)]
    pub stabilization_seconds: Option<f64>,
    /// Most units in `periodSeconds`; the larger of this and `maxPercent` counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 1_000_000)]
    pub max_units: Option<u32>,
    /// Most units in `periodSeconds`, in percent of what there was, rounded up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0)]
    pub max_percent: Option<f64>,
    /// The time that the two limits are about, in seconds; needed with either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 86_400)]
    pub period_seconds: Option<f64>,
}

/// When a resource without demand goes to 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = PolicyIdle)]
pub struct IdleDocument {
    /// How long every opinion must have been 0, in seconds.
    #[schema(minimum = 0, maximum = 86_400)]
    pub after_seconds: f64,
}

/// Settings of a policy's jobs; each one left out is that of the resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = PolicyJob)]
pub struct PolicyJobDocument {
    /// Most units that are changed in one step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub step_size: Option<u32>,
    /// Least time between two changes of the resource, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 86_400)]
    pub cooldown_seconds: Option<f64>,
    /// Longest wait for the resource to become ready, for a change to show, or for a reading, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0.01, maximum = 86_400)]
    pub active_timeout_seconds: Option<f64>,
    /// Longest time between two readings of the resource, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0.01, maximum = 3600)]
    pub poll_interval_seconds: Option<f64>,
    /// How long a change may take to have its effect and to show in readings, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 86_400)]
    pub settle_seconds: Option<f64>,
    /// Longest life of a job, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0.01, maximum = 2_592_000)]
    pub deadline_seconds: Option<f64>,
    /// How long a change is expected to take until the resource is ready, in seconds, as long as fewer than 5 were seen; 300
    /// if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 86_400)]
    pub expected_change_seconds: Option<f64>,
}
