//! How the `forecast` rules of a policy stand, and what they expect: for those who look ahead.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strum::{EnumMessage, VariantArray};
use utoipa::ToSchema;

use super::super::forecast::{Accuracy, Deviation, Expected, Learned, Pattern, Prediction};
use super::super::time::Timestamp;
use super::document::{Forecast, ForecastSource, Policy, RuleKind};
use super::inputs::Foreseen;
use super::metric::Series;
use super::name::Name;
use super::rules::Expectation;
use super::state::PolicyState;

/// How a `forecast` rule stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, EnumMessage, VariantArray)]
#[serde(rename_all = "snake_case")]
pub enum ForecastState {
    /// There is nothing to go by: the history is being read, or no prediction was pushed, or it has ended.
    Waiting,
    /// Too little is known of the metric's past.
    Learning,
    /// The rule counts.
    Trusted,
    /// The rule does not count: its expectations were no better than the guess that all stays as it is.
    Distrusted,
}

/// A `forecast` rule and what it expects.
#[derive(Clone, Debug, PartialEq)]
pub struct Foresight {
    /// The rule.
    pub rule: Name,
    /// What it says.
    pub forecast: Forecast,
    /// How it stands.
    pub state: ForecastState,
    /// What it was learned from ends here.
    pub through: Option<Timestamp>,
    /// How good it was, as far as that could be compared.
    pub accuracy: Option<Accuracy>,
    basis: Option<Basis>,
}

/// What expectations rest on.
#[derive(Clone, Debug, PartialEq)]
enum Basis {
    Pattern(Arc<Pattern>, Deviation, Timestamp),
    Prediction(Prediction),
}

impl Foresight {
    /// What is expected of the metric at `at`.
    pub fn expect(&self, at: Timestamp) -> Option<Expected> {
        let expectation = match self.basis.as_ref()? {
            Basis::Pattern(pattern, deviation, now) => Expectation::Pattern(pattern, *deviation, *now),
            Basis::Prediction(prediction) => Expectation::Prediction(prediction),
        };
        expectation.at(at)
    }
}

#[cfg(test)]
impl Foresight {
    /// A trusted rule that goes by `prediction`, at 100 a unit.
    pub fn by(prediction: Prediction) -> Self {
        let name: Name = "ahead".parse().expect("a name");
        let (zone, on_missing) = (jiff::tz::TimeZone::UTC, super::document::OnMissing::Hold);
        let source = ForecastSource::Push;
        let forecast = Forecast { metric: name.clone(), per_unit: 100.0, quantile: 0.7, source, zone, on_missing };
        let basis = Some(Basis::Prediction(prediction));
        Self { rule: name, forecast, state: ForecastState::Trusted, through: None, accuracy: None, basis }
    }
}

/// All `forecast` rules of `policy`, in its order.
pub fn foresights(
    policy: &Policy,
    foreseen: &Foreseen,
    metrics: &BTreeMap<Name, Series>,
    state: &PolicyState,
    now: Timestamp,
) -> Vec<Foresight> {
    let forecasts = policy.rules.iter().filter_map(|rule| match &rule.kind {
        RuleKind::Forecast(forecast) => Some((&rule.name, forecast)),
        _ => None,
    });
    let foresight = |(name, forecast): (&Name, &Forecast)| {
        let learned = foreseen.learned.get(name);
        let basis = basis(forecast, learned, foreseen, metrics, now);
        let trust = state.trust_in(name);
        let state = match (learned, &basis, trust) {
            (Some(Learned::Learning { .. }), ..) => ForecastState::Learning,
            (_, Some(_), Some(trust)) if !trust.is_trusted() => ForecastState::Distrusted,
            (_, Some(_), Some(_)) => ForecastState::Trusted,
            _ => ForecastState::Waiting,
        };
        Foresight {
            rule: name.clone(),
            forecast: forecast.clone(),
            state,
            through: learned.map(Learned::through),
            accuracy: trust.and_then(super::super::forecast::Trust::accuracy),
            basis,
        }
    };
    forecasts.map(foresight).collect()
}

fn basis(
    forecast: &Forecast,
    learned: Option<&Learned>,
    foreseen: &Foreseen,
    metrics: &BTreeMap<Name, Series>,
    now: Timestamp,
) -> Option<Basis> {
    if forecast.source == ForecastSource::Push {
        let prediction = foreseen.predictions.get(&forecast.metric)?;
        return prediction.end().filter(|end| now < *end).map(|_| Basis::Prediction(prediction.clone()));
    }
    let Learned::Pattern(pattern) = learned? else { return None };
    let samples = metrics.get(&forecast.metric)?.samples().map(|sample| (sample.at, sample.value));
    let samples: Vec<(Timestamp, f64)> = samples.collect();
    let deviation = pattern.deviation(samples.into_iter(), now)?;
    Some(Basis::Pattern(Arc::clone(pattern), deviation, now))
}
