//! The rules of a document.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::tz::TimeZone;
use serde_json::Value;

use super::fields::{Fields, Place};
use super::problem::Problems;
use super::scalars::{
    above_zero, alias, between, capacity, change, choice, duration, kind_of, name, none_of, number, string,
};
use super::schedule;
use crate::domain::Capacity;
use crate::domain::policy::{
    Band, Expression, ExpressionRule, Follow, Forecast, ForecastSource, InvalidExpression, MAX_RULES, Name, OnMissing,
    Rule, RuleKind, StepRule, Target, Threshold, ThresholdChange, Utilization, number as shown,
};
use crate::suggest;

/// Longest time for which a threshold must be breached.
const MAX_BREACH: Duration = Duration::from_hours(1);
/// Longest time that a metric must have been missing: that of ages.
const MAX_MISSING: Duration = Duration::from_hours(24);
/// Most thresholds of a rule: each one is compared with every sample of the last hour.
const MAX_STEPS: usize = 16;
/// How far off the target of a utilization may be unless the document says so: what the well-known autoscalers tolerate.
const DEFAULT_TOLERANCE: f64 = 0.1;

/// Least and largest probability of a forecast: below the middle it would ask for less than what is as likely as not, and
/// beyond one in a hundred the past has too few examples.
const MIN_QUANTILE: f64 = 0.5;
const MAX_QUANTILE: f64 = 0.99;

const TYPES: [&str; 8] = ["target", "band", "utilization", "step", "schedule", "follow", "forecast", "expression"];

/// What rules refer to.
pub(super) struct Surroundings {
    /// The bounds of the policy, unless they are wrong.
    pub bounds: Option<(Capacity, Capacity)>,
    /// Whether each metric may be negative; none if the metrics as a whole are wrong.
    pub metrics: Option<BTreeMap<Name, bool>>,
}

/// The rules in the list at `place`. Of each that is wrong there is none.
pub(super) fn read(place: &Place, around: &Surroundings, problems: &mut Problems) -> Option<Vec<Option<Rule>>> {
    let Value::Array(list) = place.value else {
        problems.add(&place.at, format!("must be an array, not {}", kind_of(place.value)));
        return None;
    };
    if list.is_empty() || list.len() > MAX_RULES {
        problems.add(&place.at, format!("must have 1 to {MAX_RULES} rules"));
        return None;
    }
    let mut names = BTreeSet::new();
    let read = list.iter().enumerate().map(|(index, value)| {
        let at = format!("{}/{index}", place.at);
        let rule = rule(&Place { value, at: at.clone() }, around, problems);
        let name = value.get("name").and_then(Value::as_str);
        if name.is_some_and(|name| !names.insert(name)) {
            problems.add(format!("{at}/name"), "is the name of an earlier rule");
        }
        rule
    });
    Some(read.collect())
}

fn rule(place: &Place, around: &Surroundings, problems: &mut Problems) -> Option<Rule> {
    let mut fields = Fields::of(place, problems)?;
    let name = fields.required("name", name);
    let kind = fields.required("type", |value| {
        let given = string(value)?;
        TYPES.into_iter().find(|kind| *kind == given).ok_or_else(|| none_of(given, &TYPES))
    })?;
    let kind = match kind {
        "target" => target(&mut fields, around),
        "band" => band(&mut fields, around),
        "utilization" => utilization(&mut fields, around),
        "step" => step(&mut fields, around),
        "follow" => follow(&mut fields),
        "expression" => expression(&mut fields, around),
        "forecast" => forecast(&mut fields, around),
        _ => schedule::read(&mut fields, around.bounds).map(RuleKind::Schedule),
    };
    fields.end();
    Some(Rule { name: name?, kind: kind? })
}

fn target(fields: &mut Fields, around: &Surroundings) -> Option<RuleKind> {
    let metric = load(fields, around, "target");
    let per_unit = fields.required("perUnit", above_zero);
    let on_missing = on_missing(fields);
    Some(RuleKind::Target(Target { metric: metric?, per_unit: per_unit?, on_missing: on_missing? }))
}

fn band(fields: &mut Fields, around: &Surroundings) -> Option<RuleKind> {
    let metric = load(fields, around, "band");
    let high = fields.required("high", above_zero);
    let low = fields.required("low", above_zero);
    if let Some((high, low)) = high.zip(low)
        && low > high
    {
        fields.refuse("low", format!("must not be above high, which is {}", shown(high)));
    }
    let on_missing = on_missing(fields);
    Some(RuleKind::Band(Band { metric: metric?, high: high?, low: low?, on_missing: on_missing? }))
}

fn utilization(fields: &mut Fields, around: &Surroundings) -> Option<RuleKind> {
    let metric = load(fields, around, "utilization");
    let target = fields.required("target", above_zero);
    let tolerance = fields.or("tolerance", DEFAULT_TOLERANCE, |value| {
        let tolerance = number(value)?;
        let is_share = (0.0..1.0).contains(&tolerance);
        if is_share { Ok(tolerance) } else { Err("must be at least 0 and below 1: a share of target".to_owned()) }
    });
    let on_missing = on_missing(fields);
    Some(RuleKind::Utilization(Utilization {
        metric: metric?,
        target: target?,
        tolerance: tolerance?,
        on_missing: on_missing?,
    }))
}

fn step(fields: &mut Fields, around: &Surroundings) -> Option<RuleKind> {
    let metric = metric(fields, around);
    let breach_time = fields.or("forSeconds", Duration::ZERO, duration(Duration::ZERO, MAX_BREACH));
    let steps = fields.needed("steps").and_then(|place| steps(&place, fields.problems));
    let on_missing = on_missing(fields);
    Some(RuleKind::Step(StepRule {
        metric: metric?,
        breach_time: breach_time?,
        steps: steps?,
        on_missing: on_missing?,
    }))
}

fn steps(place: &Place, problems: &mut Problems) -> Option<Vec<ThresholdChange>> {
    let Value::Array(list) = place.value else {
        problems.add(&place.at, format!("must be an array, not {}", kind_of(place.value)));
        return None;
    };
    if list.is_empty() || list.len() > MAX_STEPS {
        problems.add(&place.at, format!("must have 1 to {MAX_STEPS} entries"));
        return None;
    }
    let mut steps: Vec<Option<ThresholdChange>> = Vec::new();
    for (index, value) in list.iter().enumerate() {
        let at = format!("{}/{index}", place.at);
        let step = threshold_change(&Place { value, at: at.clone() }, problems);
        let is_known =
            |other: &Option<ThresholdChange>| other.map(|other| other.threshold) == step.map(|step| step.threshold);
        if step.is_some() && steps.iter().any(is_known) {
            problems.add(at, "has the threshold of an earlier entry");
        }
        steps.push(step);
    }
    steps.into_iter().collect()
}

fn threshold_change(place: &Place, problems: &mut Problems) -> Option<ThresholdChange> {
    let mut fields = Fields::of(place, problems)?;
    let above = fields.optional("above", number);
    let below = fields.optional("below", number);
    let change = fields.required("change", |value| match change(value)? {
        0 => Err("must not be 0".to_owned()),
        change => Ok(change),
    });
    let threshold = match (above, below) {
        (Some(Some(above)), Some(None)) => Some(Threshold::Above(above)),
        (Some(None), Some(Some(below))) => Some(Threshold::Below(below)),
        (Some(_), Some(_)) => {
            fields.refuse_all("must have either above or below");
            None
        }
        _ => None,
    };
    fields.end();
    Some(ThresholdChange { threshold: threshold?, change: change? })
}

fn follow(fields: &mut Fields) -> Option<RuleKind> {
    let resource = fields.required("resource", alias);
    let ratio = fields.or("ratio", 1.0, above_zero);
    let offset = fields.or("offset", 0, change);
    Some(RuleKind::Follow(Follow { resource: resource?, ratio: ratio?, offset: offset? }))
}

fn expression(fields: &mut Fields, around: &Surroundings) -> Option<RuleKind> {
    let expression = fields.required("expression", |value| {
        let expression: Expression =
            Expression::compile(string(value)?).map_err(|invalid: InvalidExpression| invalid.to_string())?;
        match &around.metrics {
            None => Ok(expression),
            Some(metrics) => match expression.uses().metrics.iter().find(|name| !metrics.contains_key(*name)) {
                Some(unknown) => Err(format!("has metrics.{unknown}, which {}", no_metric(unknown, metrics))),
                None => Ok(expression),
            },
        }
    });
    let on_missing = on_missing(fields);
    Some(RuleKind::Expression(ExpressionRule { expression: expression?, on_missing: on_missing? }))
}

fn forecast(fields: &mut Fields, around: &Surroundings) -> Option<RuleKind> {
    let metric = load(fields, around, "forecast");
    let per_unit = fields.required("perUnit", above_zero);
    let source = fields.or("source", ForecastSource::default(), choice);
    let quantile = fields.or("quantile", Forecast::DEFAULT_QUANTILE, between(MIN_QUANTILE, MAX_QUANTILE));
    let zone = fields.or("timeZone", TimeZone::UTC, schedule::zone_named);
    if source == Some(ForecastSource::Push) {
        fields.forbid("quantile", "is for learned forecasts: a pushed prediction is taken as it is");
        fields.forbid("timeZone", "is for learned forecasts: a pushed prediction has instants");
    }
    let on_missing = on_missing(fields);
    Some(RuleKind::Forecast(Forecast {
        metric: metric?,
        per_unit: per_unit?,
        quantile: quantile?,
        source: source?,
        zone: zone?,
        on_missing: on_missing?,
    }))
}

/// The metric of a rule.
fn metric(fields: &mut Fields, around: &Surroundings) -> Option<Name> {
    fields.required("metric", |value| {
        let given = name(value)?;
        let Some(metrics) = &around.metrics else { return Ok(given) };
        if metrics.contains_key(&given) { Ok(given) } else { Err(no_metric(&given, metrics)) }
    })
}

fn no_metric(given: &Name, metrics: &BTreeMap<Name, bool>) -> String {
    let names: Vec<&str> = metrics.keys().map(Name::as_str).collect();
    match (names.as_slice(), suggest::nearest(given.as_str(), &names)) {
        (_, Some(meant)) => format!("is not one of the metrics; did you mean {meant}?"),
        ([], None) => "is not one of the metrics: there are none".to_owned(),
        (names, None) => format!("is not one of the metrics; there are: {}", names.join(", ")),
    }
}

/// The metric of a rule of a type that divides it by units.
fn load(fields: &mut Fields, around: &Surroundings, kind: &str) -> Option<Name> {
    let metric = metric(fields, around)?;
    if around.metrics.as_ref().and_then(|metrics| metrics.get(&metric)) == Some(&true) {
        let detail = format!("must be a metric without allowNegative: for {kind}, less than no load makes no sense");
        fields.refuse("metric", detail);
    }
    Some(metric)
}

/// What counts while the metric is missing.
fn on_missing(fields: &mut Fields) -> Option<OnMissing> {
    let Some(place) = fields.given("onMissing") else { return Some(OnMissing::default()) };
    match place.value {
        Value::String(word) if word == "hold" => Some(OnMissing::Hold),
        Value::String(word) if word == "ignore" => Some(OnMissing::Ignore),
        Value::Object(_) => fallback(&place, fields.problems),
        other => {
            let said = match other {
                Value::String(_) => String::new(),
                other => format!(", not {}", kind_of(other)),
            };
            fields
                .refuse("onMissing", format!("must be hold, ignore or an object with capacity and afterSeconds{said}"));
            None
        }
    }
}

fn fallback(place: &Place, problems: &mut Problems) -> Option<OnMissing> {
    let mut fields = Fields::of(place, problems)?;
    let capacity = fields.required("capacity", capacity);
    let after = fields.required("afterSeconds", duration(Duration::ZERO, MAX_MISSING));
    fields.end();
    Some(OnMissing::Capacity { capacity: capacity?, after: after? })
}
