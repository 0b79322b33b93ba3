//! The rule that looks ahead: the least capacity now from which all that is expected can be met in time.
//!
//! It may raise and hold, never lower: what it wants counts beside what the other rules want, and alone it never takes
//! anything away. It has no opinion as long as it is learning, and while its expectations are worth no more than the guess
//! that all stays as it is.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::super::capacity::Capacity;
use super::super::super::forecast::{BIN, Deviation, Expected, Learned, Pattern, Prediction, Trust};
use super::super::super::time::Timestamp;
use super::super::climb::{Due, Pace};
use super::super::document::{Forecast, ForecastSource};
use super::super::inputs::Foreseen;
use super::super::name::Name;
use super::super::number_words::number;
use super::super::time_words::local;
use super::super::timer::Timer;
use super::number::units_for;
use super::{Observed, Recommendation, View, recommend_without_input};

/// Least and longest time that the rule looks ahead.
const HORIZON: std::ops::RangeInclusive<Duration> = Duration::from_mins(30)..=Duration::from_hours(48);
/// Least and longest distance at which expectations are judged.
const LEAD: std::ops::RangeInclusive<Duration> = Duration::from_mins(15)..=Duration::from_hours(12);

/// What a `forecast` rule remembers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ForecastMemory {
    /// How good its expectations were.
    pub trust: Trust,
    /// Up to when its pattern was learned; none of a prediction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<Timestamp>,
}

/// What is expected, wherever it comes from.
#[derive(Clone, Copy)]
pub enum Expectation<'a> {
    /// A pattern, and how far the metric is off it at a time.
    Pattern(&'a Pattern, Deviation, Timestamp),
    /// A prediction made elsewhere.
    Prediction(&'a Prediction),
}

impl Expectation<'_> {
    /// What is expected at `at`.
    pub fn at(&self, at: Timestamp) -> Option<Expected> {
        match self {
            Self::Pattern(pattern, deviation, now) => pattern.expect(at, *now, *deviation),
            Self::Prediction(prediction) => prediction.expect(at),
        }
    }
}

/// How far ahead expectations of a policy within these bounds have to be good: the time of its longest climb.
pub fn lead(pace: &Pace, min: Capacity, max: Capacity) -> Duration {
    pace.time_to_climb(min, max).clamp(*LEAD.start(), *LEAD.end())
}

/// What there is to look ahead with, or what is said instead.
pub fn expectation<'a>(
    rule: &Forecast,
    name: &Name,
    foreseen: &'a Foreseen,
    observed: Option<&Observed<'_>>,
    now: Timestamp,
) -> Result<Expectation<'a>, Recommendation> {
    let no_opinion = |why: String| Err(Recommendation::without_alternatives(None, why));
    if rule.source == ForecastSource::Push {
        return match foreseen.predictions.get(&rule.metric) {
            Some(prediction) if prediction.end().is_some_and(|end| now < end) => {
                Ok(Expectation::Prediction(prediction))
            }
            Some(_) => no_opinion("the prediction has ended".to_owned()),
            None => no_opinion("no prediction was pushed".to_owned()),
        };
    }
    let pattern = match foreseen.learned.get(name) {
        Some(Learned::Pattern(pattern)) => pattern,
        Some(Learned::Learning { share, .. }) => {
            return no_opinion(format!("learning: {:.0} % of two days", (share * 100.0).floor()));
        }
        None => return no_opinion("its history is being read".to_owned()),
    };
    let samples = observed.into_iter().flat_map(|observed| observed.series.samples());
    let samples: Vec<(Timestamp, f64)> = samples.map(|sample| (sample.at, sample.value)).collect();
    match pattern.deviation(samples.iter().copied(), now) {
        Some(deviation) => Ok(Expectation::Pattern(pattern, deviation, now)),
        None => no_opinion("nothing was learned of this time of the day".to_owned()),
    }
}

/// What the rule `name` wants.
pub fn recommend_by_forecast(
    rule: &Forecast,
    name: &Name,
    view: &View<'_>,
    memory: &mut Option<ForecastMemory>,
    timer: &mut Timer,
) -> Recommendation {
    let observed = view.metrics.get(&rule.metric);
    let value = observed.and_then(|observed| observed.state.fresh()).map(|sample| sample.value);
    if value.is_none() && rule.source == ForecastSource::Learned {
        return super::recommend_without_value(&rule.metric, observed, rule.on_missing, view, timer);
    }
    let expectation = match expectation(rule, name, view.foreseen, observed, view.now) {
        Ok(expectation) => expectation,
        // A pattern that was relied on before a restart, and is not there yet.
        Err(_) if is_being_read(rule, name, view, memory.as_ref()) => {
            return recommend_without_input("its history is being read", None, rule.on_missing, view, timer);
        }
        Err(said) if said.lacks_input => return said,
        Err(said) => return Recommendation { raises_only: true, ..said },
    };
    let remembered =
        memory.get_or_insert_with(|| ForecastMemory { trust: first_trust(&expectation, view.now), through: None });
    remembered.through = match expectation {
        Expectation::Pattern(pattern, ..) => Some(pattern.through()),
        Expectation::Prediction(_) => None,
    };
    if let Some(value) = value {
        let lead = lead(&view.pace, view.min, view.max);
        remembered.trust.watch(value, view.now, lead, |at| expectation.at(at));
    }
    timer.note(next_bin(view.now));
    if !remembered.trust.is_trusted() {
        let detail = "distrusted: its error is no smaller than if all stayed as it is";
        return Recommendation { raises_only: true, ..Recommendation::without_alternatives(None, detail) };
    }
    let (wants, detail) = look_ahead(rule, &expectation, view);
    Recommendation { raises_only: true, ..Recommendation::without_alternatives(Some(wants), detail) }
}

fn is_being_read(rule: &Forecast, name: &Name, view: &View<'_>, memory: Option<&ForecastMemory>) -> bool {
    let is_loaded = rule.source == ForecastSource::Push || view.foreseen.learned.contains_key(name);
    !is_loaded && memory.is_some_and(|memory| memory.trust.is_trusted())
}

/// A prediction is believed until it proves wrong: somebody asked for it.
fn first_trust(expectation: &Expectation<'_>, now: Timestamp) -> Trust {
    match expectation {
        Expectation::Pattern(pattern, ..) => Trust::tried(pattern.accuracy(), now),
        Expectation::Prediction(_) => Trust::given(now),
    }
}

fn next_bin(now: Timestamp) -> Timestamp {
    let millis = BIN.as_millis() as i64;
    Timestamp::from_millis((now.as_millis().div_euclid(millis) + 1).saturating_mul(millis))
}

/// The most that any moment within the horizon asks for now, and that moment.
fn look_ahead(rule: &Forecast, expectation: &Expectation<'_>, view: &View<'_>) -> (Capacity, String) {
    let View { pace, first_change_at, .. } = *view;
    let climb = pace.time_to_climb(view.min, view.max);
    let horizon = view.now + climb.saturating_mul(2).clamp(*HORIZON.start(), *HORIZON.end());
    let mut most: Option<(Capacity, Due, Expected)> = None;
    let mut at = next_bin(view.now);
    while at <= horizon {
        if let Some(expected) = expectation.at(at) {
            // A bin early: the load of a bin may be there from its beginning, and a pattern may be minutes off.
            let due = Due { min: units_for(expected.upper, rule.per_unit).min(view.max), at: at - BIN };
            let floor = pace.floor_ahead(due, first_change_at);
            let is_enough = view.present > floor;
            let wants = if is_enough { pace.lowest_in_time(view.present, floor, first_change_at, due) } else { floor };
            if most.is_none_or(|(most, most_due, _)| (wants, due.min) > (most, most_due.min)) {
                most = Some((wants, due, expected));
            }
        }
        at = at + BIN;
    }
    match most {
        None => (Capacity::ZERO, "nothing is expected".to_owned()),
        Some((wants, due, expected)) => (wants, words(wants, due, expected, rule, view)),
    }
}

fn words(wants: Capacity, due: Due, expected: Expected, rule: &Forecast, view: &View<'_>) -> String {
    let load = rounded(expected.upper);
    let needs = format!("{} at {} per unit needs {}", number(load), number(rule.per_unit), due.min);
    let when = local(due.at + BIN, &rule.zone, view.now);
    if wants < due.min { format!("{needs} at {when}, so {wants} now") } else { format!("{needs} at {when}") }
}

/// Three digits: more would be made up.
fn rounded(load: f64) -> f64 {
    format!("{load:.2e}").parse().unwrap_or(load)
}
