//! What a policy says, once every field is checked.
//!
//! The text of a document and its errors are not here: the code that builds a [`Policy`] keeps to the ranges that the fields
//! name. Rejected: one type that derives its own JSON, because `serde` stops at the first mistake and callers are told
//! all of them at once.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use strum::{EnumMessage, IntoStaticStr, VariantArray};
use utoipa::ToSchema;

use super::super::alias::Alias;
use super::super::capacity::Capacity;
use super::super::settings::SettingsOverrides;
use super::expression::Expression;
use super::name::Name;
use super::schedule::Window;

/// Most metrics of a policy: each one may be pulled every second.
pub const MAX_METRICS: usize = 16;
/// Most rules of a policy: a decision names each of them.
pub const MAX_RULES: usize = 32;

/// The policy of one resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Whether it acts.
    pub mode: Mode,
    /// Least capacity.
    pub min: Capacity,
    /// Largest capacity, not below `min`.
    pub max: Capacity,
    /// Its metrics, at most [`MAX_METRICS`].
    pub metrics: BTreeMap<Name, MetricSpec>,
    /// Its rules in the order of the document, 1 to [`MAX_RULES`], with unique names. Rules with a metric name one of `metrics`.
    pub rules: Vec<Rule>,
    /// How fast recommendations are followed.
    pub behavior: Behavior,
    /// After how long without demand the resource goes to 0, although `min` may be higher.
    pub idle_after: Option<Duration>,
    /// Settings of its jobs, where they differ from those of the resource.
    pub job: SettingsOverrides,
    /// How long one change takes, at most 24 h, until the resource has taught better.
    pub expected_change: Duration,
}

impl Policy {
    /// What a change is expected to take unless the policy says so: the cooldown that the platform's guide advises, which
    /// is about the time a unit takes to start.
    pub const DEFAULT_EXPECTED_CHANGE: Duration = Duration::from_mins(5);

    /// How far back its rules look at the samples of `metric`; zero if the newest one is enough.
    pub fn history_of(&self, metric: &Name) -> Duration {
        let looked_at = self.rules.iter().map(|rule| match &rule.kind {
            RuleKind::Step(step) if step.metric == *metric => step.breach_time,
            RuleKind::Forecast(forecast) if forecast.metric == *metric => Forecast::HISTORY,
            RuleKind::Step(_)
            | RuleKind::Target(_)
            | RuleKind::Band(_)
            | RuleKind::Utilization(_)
            | RuleKind::Follow(_)
            | RuleKind::Expression(_)
            | RuleKind::Forecast(_)
            | RuleKind::Schedule(_) => Duration::ZERO,
        });
        looked_at.max().unwrap_or_default()
    }
}

/// Whether a policy acts on what it decides.
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
#[schema(as = PolicyMode)]
pub enum Mode {
    /// It decides and scales.
    #[default]
    Active,
    /// It decides and records what it would do; it changes nothing.
    Advise,
    /// It neither decides nor scales.
    Off,
}

/// The news that a resource has another policy, or none any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyNews {
    /// The resource.
    pub resource: Alias,
    /// The revision in force and its mode, if there is one.
    pub in_force: Option<(u64, Mode)>,
}

impl Mode {
    /// The mode's name in the API.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Where a metric comes from and how long a value counts.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricSpec {
    /// Where it comes from.
    pub source: Source,
    /// How often a pulled source is asked, 1 s to 1 h; of no use for a pushed one.
    pub interval: Duration,
    /// How old the newest value may be, at most 24 h.
    pub max_age: Duration,
    /// The time a value averages over, at most 1 h: what was observed less than this after a change says nothing about it.
    pub window: Duration,
    /// Whether values below 0 make sense.
    pub allow_negative: bool,
}

impl MetricSpec {
    /// How old the newest value of a pushed metric may be unless the policy says so: five times a push every minute.
    pub const PUSHED_MAX_AGE: Duration = Duration::from_mins(5);
}

/// Where the values of a metric come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Callers send them.
    Push,
    /// A number in a JSON document.
    Http {
        /// Its address.
        url: String,
        /// Where in the document the number is: a JSON pointer.
        pointer: String,
        /// Request headers: of each, the name of the secret that is its value.
        headers: BTreeMap<String, String>,
    },
    /// A metric in the text format of Prometheus or OpenMetrics.
    Scrape {
        /// Its address.
        url: String,
        /// Request headers: of each, the name of the secret that is its value.
        headers: BTreeMap<String, String>,
        /// The name of the metric.
        metric: String,
        /// Labels that a series must have.
        labels: BTreeMap<String, String>,
        /// How several series become one number; without it they are an error.
        aggregate: Option<Aggregate>,
        /// Whether the metric is a counter, of which the increase by the second is meant.
        rate: bool,
    },
    /// The answer of a Prometheus server to a query.
    Prometheus {
        /// Its address.
        url: String,
        /// Request headers: of each, the name of the secret that is its value.
        headers: BTreeMap<String, String>,
        /// The query, in PromQL.
        query: String,
        /// How several series become one number; without it they are an error.
        aggregate: Option<Aggregate>,
    },
}

/// How the values of several series become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, EnumMessage, VariantArray)]
#[serde(rename_all = "snake_case")]
#[schema(as = MetricAggregate)]
pub enum Aggregate {
    /// The sum of all values.
    Sum,
    /// The mean of all values.
    Avg,
    /// The least of all values.
    Min,
    /// The greatest of all values.
    Max,
}

/// One rule of a policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Its name, unique in the policy.
    pub name: Name,
    /// What it does.
    pub kind: RuleKind,
}

/// What a rule does. A schedule moves bounds; all others recommend a capacity.
#[derive(Clone, Debug, PartialEq)]
pub enum RuleKind {
    /// So many units per load.
    Target(Target),
    /// As few changes as keep the load per unit in a band.
    Band(Band),
    /// As many units as bring an average per unit to a value.
    Utilization(Utilization),
    /// So many more or less while a threshold is breached.
    Step(StepRule),
    /// A share of another resource's target.
    Follow(Follow),
    /// What a formula gives.
    Expression(ExpressionRule),
    /// What it takes to meet what is expected.
    Forecast(Forecast),
    /// Windows of time with bounds of their own.
    Schedule(Window),
}

/// ⌈value / per_unit⌉.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The load of the whole resource.
    pub metric: Name,
    /// Load that one unit carries, above 0.
    pub per_unit: f64,
    /// What counts while the metric is missing.
    pub on_missing: OnMissing,
}

/// What there is, as long as the load per unit is between `low` and `high`.
#[derive(Clone, Debug, PartialEq)]
pub struct Band {
    /// The load of the whole resource.
    pub metric: Name,
    /// Most load per unit, above 0.
    pub high: f64,
    /// Least load per unit, above 0 and not above `high`.
    pub low: f64,
    /// What counts while the metric is missing.
    pub on_missing: OnMissing,
}

/// ⌈capacity × value / target⌉.
#[derive(Clone, Debug, PartialEq)]
pub struct Utilization {
    /// An average per unit.
    pub metric: Name,
    /// What it should be, above 0.
    pub target: f64,
    /// How far off it may be, as a share of `target`; from 0 to below 1.
    pub tolerance: f64,
    /// What counts while the metric is missing.
    pub on_missing: OnMissing,
}

/// Units to add or remove while thresholds are breached.
#[derive(Clone, Debug, PartialEq)]
pub struct StepRule {
    /// What is compared.
    pub metric: Name,
    /// For how long all samples must lie beyond a threshold; at most 1 h.
    pub breach_time: Duration,
    /// The thresholds, one at least.
    pub steps: Vec<ThresholdChange>,
    /// What counts while the metric is missing.
    pub on_missing: OnMissing,
}

/// What happens beyond one threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ThresholdChange {
    /// The threshold.
    pub threshold: Threshold,
    /// Units to add, or to remove if negative; not 0. Above a threshold it adds, below one it removes, or the other way round.
    pub change: i32,
}

/// A number that a value is beyond or not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Threshold {
    /// Values above it are beyond.
    Above(f64),
    /// Values below it are beyond.
    Below(f64),
}

impl Threshold {
    /// Whether `value` lies beyond it.
    pub fn is_breached_by(self, value: f64) -> bool {
        match self {
            Self::Above(limit) => value > limit,
            Self::Below(limit) => value < limit,
        }
    }
}

/// ⌈ratio × target of another resource⌉ + offset.
#[derive(Clone, Debug, PartialEq)]
pub struct Follow {
    /// The other resource.
    pub resource: Alias,
    /// Finite and above 0.
    pub ratio: f64,
    /// Units to add; may be negative.
    pub offset: i32,
}

/// What a formula gives, rounded up.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpressionRule {
    /// The formula. The policy has all metrics that it uses.
    pub expression: Expression,
    /// What counts while one of its metrics is missing, or while it has no result.
    pub on_missing: OnMissing,
}

/// Enough units ahead of what a metric is expected to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// The load of the whole resource.
    pub metric: Name,
    /// Load that one unit carries, above 0.
    pub per_unit: f64,
    /// With which probability what is there is to be enough; from 0.5 to 0.99. Of no use for a prediction made elsewhere.
    pub quantile: f64,
    /// Where expectations come from.
    pub source: ForecastSource,
    /// The zone whose clock the load follows.
    pub zone: TimeZone,
    /// What counts while the metric is missing.
    pub on_missing: OnMissing,
}

impl Forecast {
    /// How far back it looks for how far the metric is off its pattern.
    pub const HISTORY: Duration = Duration::from_hours(1);
    /// The probability unless the document says another.
    pub const DEFAULT_QUANTILE: f64 = 0.7;
}

/// Where the expectations of a forecast come from.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    ToSchema,
    EnumMessage,
    VariantArray,
    IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ForecastSource {
    /// The pattern of the metric's past.
    #[default]
    Learned,
    /// Callers send predictions.
    Push,
}

/// What a rule says while its metric is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnMissing {
    /// Not below what there is.
    #[default]
    Hold,
    /// Nothing.
    Ignore,
    /// This capacity, once the metric has been missing for so long; until then not below what there is.
    Capacity {
        /// The capacity.
        capacity: Capacity,
        /// How long the metric must have been missing.
        after: Duration,
    },
}

/// How fast recommendations are followed, by direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Behavior {
    /// For rises.
    pub up: Smoothing,
    /// For falls.
    pub down: Smoothing,
}

impl Behavior {
    /// Up at once, down after five minutes, as far as is asked for.
    pub const DEFAULT: Self = Self {
        up: Smoothing { stabilization: Duration::ZERO, max_units: None, max_percent: None, period: Duration::ZERO },
        down: Smoothing {
            stabilization: Duration::from_mins(5),
            max_units: None,
            max_percent: None,
            period: Duration::ZERO,
        },
    };
}

/// How fast recommendations in one direction are followed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Smoothing {
    /// For how long all wishes must agree; at most 1 h.
    pub stabilization: Duration,
    /// Most units in `period`, if that is limited.
    pub max_units: Option<u32>,
    /// Most units in `period` as a share of what there was, in percent, if that is limited. The larger of both counts.
    pub max_percent: Option<f64>,
    /// The time that the two limits are about, 1 s to 24 h; zero if neither is given.
    pub period: Duration,
}
