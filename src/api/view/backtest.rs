//! How a backtest is shown.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::WireTime;
use crate::backtest::{Change, Comparison, DemandSpec, Judged, Setup, Trial};
use crate::domain::{Alias, Op};
use crate::policy::Warning;

/// What a policy would have done with recorded metrics, and what that would have cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Backtest)]
pub struct BacktestReport {
    /// The alias of the resource.
    #[schema(value_type = Alias)]
    pub resource: String,
    /// The beginning of the time that was played.
    #[schema(value_type = String, format = DateTime)]
    pub from: WireTime,
    /// The end of that time.
    #[schema(value_type = String, format = DateTime)]
    pub to: WireTime,
    /// Values from then on were known at the beginning.
    #[schema(value_type = String, format = DateTime)]
    pub learn_from: WireTime,
    /// What says how many units were needed.
    pub demand: BacktestDemand,
    /// How the resource was modelled.
    pub plant: BacktestPlant,
    /// Unit-hours below which no plan can be; `null` if there is a run `limit`, which is the best plan.
    #[schema(minimum = 0)]
    pub least_unit_hours: Option<f64>,
    /// The policy, those it was compared with, the `limit`, which knows the future, and two capacities that never change.
    pub runs: Vec<BacktestRun>,
    /// What in the policy is probably not meant.
    pub warnings: Vec<Warning>,
    /// What in the backtest is probably not meant, such as a metric without values.
    pub remarks: Vec<String>,
}

/// The metric that says how many units are needed: its value divided by `perUnit`, rounded up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BacktestDemand {
    /// The name of the metric.
    #[schema(example = "queue")]
    pub metric: String,
    /// The load that one unit carries, above 0.
    #[schema(example = 100)]
    pub per_unit: f64,
}

impl From<&DemandSpec> for BacktestDemand {
    fn from(demand: &DemandSpec) -> Self {
        Self { metric: demand.metric.to_string(), per_unit: demand.per_unit }
    }
}

/// A modelled resource: one change at a time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BacktestPlant {
    /// How long units that are added take until they are ready, in seconds.
    #[schema(minimum = 0)]
    pub provisioning_seconds: f64,
    /// How long units that are removed are still paid for, in seconds.
    #[schema(minimum = 0)]
    pub removal_seconds: f64,
    /// Most units in one change.
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub step_size: u32,
    /// Least time between two changes, in seconds.
    #[schema(minimum = 0)]
    pub cooldown_seconds: f64,
    /// The capacity at the beginning.
    #[schema(maximum = 1_000_000)]
    pub capacity: u32,
}

impl From<&Setup> for BacktestPlant {
    fn from(setup: &Setup) -> Self {
        Self {
            provisioning_seconds: setup.plant.provisioning.as_secs_f64(),
            removal_seconds: setup.plant.removal.as_secs_f64(),
            step_size: setup.plant.step_size,
            cooldown_seconds: setup.plant.cooldown.as_secs_f64(),
            capacity: setup.capacity.units(),
        }
    }
}

/// One run, and what it was worth. Where no value of the demand counts, nothing is judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BacktestRun {
    /// The name of the run.
    #[schema(example = "policy")]
    pub name: String,
    /// Units that were needed and not ready, in unit-hours.
    #[schema(minimum = 0)]
    pub unmet_unit_hours: f64,
    /// The same as a share of all units that were needed.
    #[schema(minimum = 0, maximum = 1)]
    pub unmet_share: f64,
    /// The share of the time in which units were missing.
    #[schema(minimum = 0, maximum = 1)]
    pub under_provisioned_share: f64,
    /// Units that were paid for, in unit-hours.
    #[schema(minimum = 0)]
    pub unit_hours: f64,
    /// The unit-hours as a multiple of those of `limit`, or else of `leastUnitHours`; `null` if those are 0.
    #[schema(minimum = 0)]
    pub cost_ratio: Option<f64>,
    /// How many changes were sent.
    #[schema(minimum = 0)]
    pub changes: usize,
    /// How many changes had another direction than the one before.
    #[schema(minimum = 0)]
    pub reversals: usize,
    /// Most units that were paid for at a time.
    pub peak: u32,
    /// The changes that were sent, oldest first; over HTTP at most the first 10,000.
    pub events: Vec<BacktestEvent>,
}

/// A change that was sent in a backtest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BacktestEvent {
    /// When the change was sent.
    #[schema(value_type = String, format = DateTime)]
    pub at: WireTime,
    /// Whether units were added or removed.
    pub op: Op,
    /// How many units were added or removed.
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub units: u32,
    /// The capacity before the change.
    #[schema(maximum = 1_000_000)]
    pub from: u32,
    /// The capacity that the change asked for.
    #[schema(maximum = 1_000_000)]
    pub to: u32,
    /// When the change was over.
    #[schema(value_type = String, format = DateTime)]
    pub ready_at: WireTime,
}

impl BacktestReport {
    /// What is shown of a `trial` and what came of it, with the `warnings` about its policy.
    pub fn of(trial: &Trial, comparison: &Comparison, warnings: Vec<Warning>) -> Self {
        let setup = trial.setup();
        Self {
            resource: setup.resource.as_str().to_owned(),
            from: WireTime(setup.span.from),
            to: WireTime(setup.span.to),
            learn_from: WireTime(setup.learn_from),
            demand: BacktestDemand::from(trial.demand()),
            plant: BacktestPlant::from(setup),
            least_unit_hours: comparison.bound,
            runs: comparison.runs.iter().map(BacktestRun::from).collect(),
            warnings,
            remarks: trial.remarks(),
        }
    }
}

impl From<&Judged> for BacktestRun {
    fn from(judged: &Judged) -> Self {
        let score = judged.score;
        Self {
            name: judged.name.clone(),
            unmet_unit_hours: score.unmet_unit_hours,
            unmet_share: score.unmet_share,
            under_provisioned_share: score.under_provisioned_share,
            unit_hours: score.unit_hours,
            cost_ratio: judged.cost_ratio,
            changes: score.changes,
            reversals: score.reversals,
            peak: score.peak,
            events: judged.run.changes.iter().map(BacktestEvent::from).collect(),
        }
    }
}

impl From<&Change> for BacktestEvent {
    fn from(change: &Change) -> Self {
        let movement = change.movement;
        Self {
            at: WireTime(change.at),
            op: movement.op,
            units: movement.units,
            from: movement.from.units(),
            to: movement.to.units(),
            ready_at: WireTime(change.ready_at),
        }
    }
}
