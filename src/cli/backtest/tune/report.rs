//! A search in JSON.

use serde::Serialize;

use crate::api::view::{BacktestDemand, BacktestPlant, WireTime};
use crate::backtest::{LoadSetting, Score, Shown, Span, Trial, Tried, Tuned, TunedSettings};
use crate::policy::{Object, Warning, canonical};

/// What came of a search.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TuneReport {
    resource: String,
    demand: BacktestDemand,
    plant: BacktestPlant,
    learn_from: WireTime,
    /// Most that may be unmet, as a share of what is needed.
    most_unmet_share: f64,
    chosen_on: Part,
    held_out: Part,
    forecasts_tried: bool,
    /// Whether the proposed policy leaves no more unmet where it was chosen.
    meets: bool,
    /// Whether it does where it is judged.
    meets_held_out: bool,
    given: Row,
    proposed: Row,
    curve: Vec<Row>,
    tried: Vec<TriedRow>,
    /// The proposed policy.
    policy: Object,
    warnings: Vec<Warning>,
    remarks: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Part {
    from: WireTime,
    to: WireTime,
}

impl From<Span> for Part {
    fn from(span: Span) -> Self {
        Self { from: WireTime(span.from), to: WireTime(span.to) }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TriedRow {
    #[serde(skip_serializing_if = "Option::is_none")]
    per_unit: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    low: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    high: Option<f64>,
    down_stabilization_seconds: f64,
    /// `null` without a `forecast` rule.
    quantile: Option<f64>,
    chosen_on: Score,
}

impl From<&Tried> for TriedRow {
    fn from(tried: &Tried) -> Self {
        let TunedSettings { load, down_stabilization, quantile } = tried.settings;
        let (per_unit, low, high) = match load {
            None => (None, None, None),
            Some(LoadSetting::PerUnit(per_unit)) => (Some(per_unit), None, None),
            Some(LoadSetting::Band { low, high }) => (None, Some(low), Some(high)),
        };
        let down_stabilization_seconds = down_stabilization.as_secs_f64();
        Self { per_unit, low, high, down_stabilization_seconds, quantile, chosen_on: tried.chosen_on }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    #[serde(flatten)]
    tried: TriedRow,
    held_out: Score,
}

impl From<&Shown> for Row {
    fn from(shown: &Shown) -> Self {
        Self { tried: TriedRow::from(&shown.tried), held_out: shown.held_out }
    }
}

impl TuneReport {
    /// What is shown of `tuned`, with the `warnings` about the proposed policy.
    pub fn of(trial: &Trial, tuned: &Tuned, warnings: Vec<Warning>) -> Self {
        Self {
            resource: tuned.setup.resource.as_str().to_owned(),
            demand: BacktestDemand::from(trial.demand()),
            plant: BacktestPlant::from(&tuned.setup),
            learn_from: WireTime(tuned.setup.learn_from),
            most_unmet_share: tuned.most_unmet,
            chosen_on: tuned.parts.chosen_on.into(),
            held_out: tuned.parts.held_out.into(),
            forecasts_tried: tuned.forecasts_tried,
            meets: tuned.meets(&tuned.proposed.tried.chosen_on),
            meets_held_out: tuned.meets(&tuned.proposed.held_out),
            given: Row::from(&tuned.given),
            proposed: Row::from(&tuned.proposed),
            curve: tuned.curve.iter().map(Row::from).collect(),
            tried: tuned.tried.iter().map(TriedRow::from).collect(),
            policy: canonical(&tuned.policy),
            warnings,
            remarks: trial.remarks(),
        }
    }
}
