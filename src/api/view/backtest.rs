//! How a backtest is shown.

use serde::Serialize;

use super::WireTime;
use crate::backtest::{Change, Comparison, Judged, PlantSpec, Span};

/// What policies would have done with a recorded metric.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BacktestReport {
    /// The beginning of the time that was played.
    pub from: WireTime,
    /// The end of that time.
    pub to: WireTime,
    /// How the resource was modelled.
    pub plant: PlantView,
    /// Unit-hours below which no plan can be; `null` if the run `limit` reaches the least.
    pub least_unit_hours: Option<f64>,
    /// The policy and those it was compared with, the limit, and fixed capacities.
    pub runs: Vec<BacktestRun>,
}

/// A modelled resource.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlantView {
    /// How long units that are added take until they are ready, in seconds.
    pub provisioning_seconds: f64,
    /// How long units that are removed are still paid for, in seconds.
    pub removal_seconds: f64,
    /// Most units in one change.
    pub step_size: u32,
    /// Least time between two changes, in seconds.
    pub cooldown_seconds: f64,
}

/// One run, and what it was worth.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BacktestRun {
    /// The name of the run.
    pub name: String,
    /// Units that were missing, in unit-hours.
    pub unmet_unit_hours: f64,
    /// The same as a share of all units that were needed.
    pub unmet_share: f64,
    /// The share of the time in which units were missing.
    pub under_provisioned_share: f64,
    /// Units that were paid for, in unit-hours.
    pub unit_hours: f64,
    /// The unit-hours as a multiple of the least possible; `null` if nothing was needed.
    pub cost_ratio: Option<f64>,
    /// How many changes were sent.
    pub changes: usize,
    /// How many changes had another direction than the one before.
    pub reversals: usize,
    /// Most units that were paid for at a time.
    pub peak: u32,
    /// The changes that were sent, oldest first.
    pub events: Vec<BacktestEvent>,
}

/// A change that was sent.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BacktestEvent {
    /// When the change was sent.
    pub at: WireTime,
    /// Whether units were added or removed.
    pub op: &'static str,
    /// How many units were added or removed.
    pub units: u32,
    /// The capacity before the change.
    pub from: u32,
    /// The capacity that the change asked for.
    pub to: u32,
    /// When the change was over.
    pub ready_at: WireTime,
}

impl BacktestReport {
    /// What is shown of `comparison`.
    pub fn of(comparison: &Comparison, plant: PlantSpec, span: Span) -> Self {
        Self {
            from: WireTime(span.from),
            to: WireTime(span.to),
            plant: PlantView {
                provisioning_seconds: plant.provisioning.as_secs_f64(),
                removal_seconds: plant.removal.as_secs_f64(),
                step_size: plant.step_size,
                cooldown_seconds: plant.cooldown.as_secs_f64(),
            },
            least_unit_hours: comparison.bound,
            runs: comparison.runs.iter().map(BacktestRun::from).collect(),
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
            op: movement.op.as_str(),
            units: movement.units,
            from: movement.from.units(),
            to: movement.to.units(),
            ready_at: WireTime(change.ready_at),
        }
    }
}
