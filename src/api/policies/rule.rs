//! Rules on the wire.
//!
//! A schedule has three forms, which its fields tell apart. They are one type here, because few generators of clients
//! understand a choice of types within a choice.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::domain::Alias;
use crate::domain::policy::{DayOfWeek, ForecastSource, Ready};

/// A rule of a policy. Its `type` says what the rule does, and which fields there are besides `name`.
// The common fields are in every variant: few generators of clients understand variants on top of a common schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = PolicyRule)]
pub enum RuleDocument {
    /// Wants one unit for every `perUnit` of a metric, rounded up.
    #[serde(rename_all = "camelCase")]
    Target {
        /// The name of the rule, unique in the policy.
        #[schema(max_length = 63, example = "queue")]
        name: String,
        /// The metric, which is the load of the whole resource.
        #[schema(max_length = 63, example = "queue")]
        metric: String,
        /// How much of the metric one unit carries, above 0.
        #[schema(example = 100)]
        per_unit: f64,
        /// What counts while the metric is missing: `hold` (not below what there is), `ignore`, or an object with `capacity` and
        /// `afterSeconds`; `hold` if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Value)]
        on_missing: Option<Value>,
    },
    /// Wants as few changes as keep the load per unit between two numbers.
    #[serde(rename_all = "camelCase")]
    Band {
        /// The name of the rule, unique in the policy.
        #[schema(max_length = 63, example = "band")]
        name: String,
        /// The metric, which is the load of the whole resource.
        #[schema(max_length = 63, example = "queue")]
        metric: String,
        /// The most load per unit, above 0.
        #[schema(example = 100)]
        high: f64,
        /// The least load per unit, above 0 and not above `high`.
        #[schema(example = 50)]
        low: f64,
        /// What counts while the metric is missing: `hold` (not below what there is), `ignore`, or an object with `capacity` and
        /// `afterSeconds`; `hold` if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Value)]
        on_missing: Option<Value>,
    },
    /// Wants as many units as bring an average per unit to a number.
    #[serde(rename_all = "camelCase")]
    Utilization {
        /// The name of the rule, unique in the policy.
        #[schema(max_length = 63, example = "cpu")]
        name: String,
        /// The metric, which is an average per unit.
        #[schema(max_length = 63, example = "cpu")]
        metric: String,
        /// What the average should be, above 0.
        #[schema(example = 60)]
        target: f64,
        /// How far off the average may be, as a share of `target`, below 1; 0.1 if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(minimum = 0, maximum = 1)]
        tolerance: Option<f64>,
        /// What counts while the metric is missing: `hold` (not below what there is), `ignore`, or an object with `capacity` and
        /// `afterSeconds`; `hold` if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Value)]
        on_missing: Option<Value>,
    },
    /// Wants units more or fewer while a metric is beyond a threshold.
    #[serde(rename_all = "camelCase")]
    Step {
        /// The name of the rule, unique in the policy.
        #[schema(max_length = 63, example = "latency")]
        name: String,
        /// The metric that is compared with the thresholds.
        #[schema(max_length = 63, example = "p99")]
        metric: String,
        /// For how long all values must lie beyond a threshold, in seconds; 0 if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(minimum = 0, maximum = 3600)]
        for_seconds: Option<f64>,
        /// The thresholds and what is changed beyond each.
        #[schema(min_items = 1, max_items = 16)]
        steps: Vec<StepDocument>,
        /// What counts while the metric is missing: `hold` (not below what there is), `ignore`, or an object with `capacity` and
        /// `afterSeconds`; `hold` if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Value)]
        on_missing: Option<Value>,
    },
    /// Wants a share of the target of another resource.
    #[serde(rename_all = "camelCase")]
    Follow {
        /// The name of the rule, unique in the policy.
        #[schema(max_length = 63, example = "follow")]
        name: String,
        /// The alias of the other resource.
        #[schema(value_type = Alias)]
        resource: String,
        /// What its target is multiplied with, above 0; 1 if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ratio: Option<f64>,
        /// How many units are added; fewer if negative, 0 if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(minimum = -1_000_000, maximum = 1_000_000)]
        offset: Option<i32>,
    },
    /// Wants what a formula gives, rounded up.
    #[serde(rename_all = "camelCase")]
    Expression {
        /// The name of the rule, unique in the policy.
        #[schema(max_length = 63, example = "own")]
        name: String,
        /// The formula, in a part of CEL. It gives a number, or `null` for no opinion.
        #[schema(max_length = 1024, example = "metrics.queue > 1000.0 ? capacity + 2 : null")]
        expression: String,
        /// What counts while a metric of the formula is missing, or it has no result: `hold` (not below what there is), `ignore`, or an object with `capacity` and
        /// `afterSeconds`; `hold` if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Value)]
        on_missing: Option<Value>,
    },
    /// Wants what it takes to meet in time what the metric is expected to be. It raises and holds, and never lowers.
    #[serde(rename_all = "camelCase")]
    Forecast {
        /// The name of the rule, unique in the policy.
        #[schema(max_length = 63, example = "ahead")]
        name: String,
        /// The metric, which is the load of the whole resource.
        #[schema(max_length = 63, example = "rps")]
        metric: String,
        /// How much of the metric one unit carries, above 0.
        #[schema(example = 100)]
        per_unit: f64,
        /// Where expectations come from; `learned` if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<ForecastSource>,
        /// With which probability the capacity is to be enough; 0.7 if left out. Only of a learned forecast.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(minimum = 0.5, maximum = 0.99)]
        quantile: Option<f64>,
        /// The name of the time zone whose clock the load follows; UTC if left out. Only of a learned forecast.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(example = "Europe/Berlin")]
        time_zone: Option<String>,
        /// What counts while the metric is missing: `hold` (not below what there is), `ignore`, or an object with `capacity` and
        /// `afterSeconds`; `hold` if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Value)]
        on_missing: Option<Value>,
    },
    /// Raises `min`, lowers `max`, or both, while its window is open. A window has `days`, `from` and `to`; or `cron` and
    /// `forSeconds`; or `at` and `until`.
    #[serde(rename_all = "camelCase")]
    Schedule {
        /// The name of the rule, unique in the policy.
        #[schema(max_length = 63, example = "office")]
        name: String,
        /// The name of the time zone; only and always with `days` or `cron`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(example = "Europe/Berlin")]
        time_zone: Option<String>,
        /// The days on which the window begins, each once.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(min_items = 1, max_items = 7)]
        days: Option<Vec<DayOfWeek>>,
        /// The time of day at which the window begins; with `days`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(example = "09:00")]
        from: Option<String>,
        /// The time of day at which the window ends; with `days`. At or before `from` it is on the next day.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(example = "17:00")]
        to: Option<String>,
        /// The local times at which the window begins, in five fields; with `forSeconds`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(example = "30 2 * * *")]
        cron: Option<String>,
        /// How long the window is, in seconds; with `cron`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(minimum = 1)]
        for_seconds: Option<f64>,
        /// Dates on which the window does not begin; with `days` or `cron`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(max_items = 400)]
        except: Option<Vec<String>>,
        /// When the window begins; with `until`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(example = "2026-12-01T08:00:00Z")]
        at: Option<String>,
        /// When the window ends; with `at`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(example = "2026-12-01T20:00:00Z")]
        until: Option<String>,
        /// The least capacity in the window. This, `max` or both are required.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(maximum = 1_000_000)]
        min: Option<u32>,
        /// The largest capacity in the window.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(maximum = 1_000_000)]
        max: Option<u32>,
        /// When the least capacity is there; `before` if left out. Only with `min`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ready: Option<Ready>,
    },
}

impl RuleDocument {
    /// The name of the rule.
    pub fn name(&self) -> &str {
        match self {
            Self::Target { name, .. }
            | Self::Band { name, .. }
            | Self::Utilization { name, .. }
            | Self::Step { name, .. }
            | Self::Follow { name, .. }
            | Self::Expression { name, .. }
            | Self::Forecast { name, .. }
            | Self::Schedule { name, .. } => name,
        }
    }

    /// The metric of the rule, if it has one of its own.
    pub fn metric(&self) -> Option<&str> {
        match self {
            Self::Target { metric, .. }
            | Self::Band { metric, .. }
            | Self::Utilization { metric, .. }
            | Self::Step { metric, .. }
            | Self::Forecast { metric, .. } => Some(metric),
            Self::Follow { .. } | Self::Expression { .. } | Self::Schedule { .. } => None,
        }
    }
}

/// What is changed beyond a threshold. It has either `above` or `below`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = PolicyStep)]
pub struct StepDocument {
    /// The threshold that values are above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above: Option<f64>,
    /// The threshold that values are below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below: Option<f64>,
    /// How many units are added, or removed if negative; not 0.
    #[schema(minimum = -1_000_000, maximum = 1_000_000)]
    pub change: i32,
}
