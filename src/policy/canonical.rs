//! A policy as a document again: with all defaults, in a fixed order.
//!
//! Equal policies have equal texts, so the text is what is stored and what versions are compared by. Rejected: deriving
//! it from the types of the domain, whose shape serves those who decide, and the library's own objects, which sort their
//! fields by name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::Value;
use strum::VariantArray as _;

use super::scalars::name_of;
use crate::domain::policy::{
    Aggregate, ForecastSource, MetricSpec, OnMissing, Policy, Rule, RuleKind, Smoothing, Source, StepRule, Threshold,
    When, Window,
};
use crate::domain::{Capacity, Setting, SettingValue};

/// A JSON object of which the fields keep their order. As text it has no white space.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object(Vec<(String, Node)>);

/// A value in it.
#[derive(Clone, Debug, PartialEq)]
enum Node {
    Value(Value),
    List(Vec<Node>),
    Object(Object),
}

impl Object {
    /// This object with one more field, for what an answer adds.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.add(name, Node::Value(value.into()));
        self
    }

    fn add(&mut self, name: &str, value: impl Into<Node>) {
        self.0.push((name.to_owned(), value.into()));
    }

    fn add_given(&mut self, name: &str, value: Option<impl Into<Node>>) {
        if let Some(value) = value {
            self.add(name, value);
        }
    }

    fn add_filled(&mut self, name: &str, entries: &BTreeMap<String, String>) {
        if !entries.is_empty() {
            let entries = entries.iter().map(|(name, value)| (name.clone(), Node::from(value.as_str())));
            self.add(name, Self(entries.collect()));
        }
    }
}

impl<T: Into<Value>> From<T> for Node {
    fn from(value: T) -> Self {
        Self::Value(value.into())
    }
}

impl From<Object> for Node {
    fn from(object: Object) -> Self {
        Self::Object(object)
    }
}

impl FromIterator<Node> for Node {
    fn from_iter<I: IntoIterator<Item = Self>>(items: I) -> Self {
        Self::List(items.into_iter().collect())
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Value(value) => value.serialize(serializer),
            Self::List(items) => serializer.collect_seq(items),
            Self::Object(object) => object.serialize(serializer),
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, (name, value)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{}:{value}", Value::from(name.as_str()))?;
        }
        f.write_str("}")
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => write!(f, "{value}"),
            Self::Object(object) => write!(f, "{object}"),
            Self::List(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(f, "{comma}{item}")?;
                }
                f.write_str("]")
            }
        }
    }
}

/// The document of `policy` with all defaults. What is not given and has no default is left out.
pub fn canonical(policy: &Policy) -> Object {
    let mut document = Object::default();
    document.add("mode", name_of(&policy.mode));
    document.add("min", policy.min.units());
    document.add("max", policy.max.units());
    let metrics = policy.metrics.iter().map(|(name, spec)| (name.to_string(), metric(spec).into()));
    document.add("metrics", Object(metrics.collect()));
    document.add("rules", policy.rules.iter().map(|rule| Node::from(self::rule(rule))).collect::<Node>());
    let mut behavior = Object::default();
    behavior.add("up", smoothing(&policy.behavior.up));
    behavior.add("down", smoothing(&policy.behavior.down));
    document.add("behavior", behavior);
    if let Some(after) = policy.idle_after {
        let mut idle = Object::default();
        idle.add("afterSeconds", seconds(after));
        document.add("idle", idle);
    }
    document.add("job", job(policy));
    document
}

/// A number as people write it: without a point where it is whole.
fn number(number: f64) -> Value {
    /// Up to here all whole numbers can be told apart.
    const MOST: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= MOST { (number as i64).into() } else { number.into() }
}

fn seconds(duration: Duration) -> Value {
    number(duration.as_secs_f64())
}

fn job(policy: &Policy) -> Object {
    let mut job = Object::default();
    for setting in Setting::VARIANTS {
        job.add_given(
            &setting.field(),
            policy.job.get(*setting).map(|value| match value {
                SettingValue::Units(units) => units.into(),
                SettingValue::Duration(duration) => seconds(duration),
            }),
        );
    }
    job.add("expectedChangeSeconds", seconds(policy.expected_change));
    job
}

fn smoothing(smoothing: &Smoothing) -> Object {
    let mut object = Object::default();
    object.add("stabilizationSeconds", seconds(smoothing.stabilization));
    object.add_given("maxUnits", smoothing.max_units);
    object.add_given("maxPercent", smoothing.max_percent.map(number));
    if smoothing.max_units.is_some() || smoothing.max_percent.is_some() {
        object.add("periodSeconds", seconds(smoothing.period));
    }
    object
}

fn metric(spec: &MetricSpec) -> Object {
    let mut object = Object::default();
    object.add("source", source(&spec.source));
    if spec.source != Source::Push {
        object.add("intervalSeconds", seconds(spec.interval));
    }
    object.add("maxAgeSeconds", seconds(spec.max_age));
    object.add("windowSeconds", seconds(spec.window));
    object.add("allowNegative", spec.allow_negative);
    object
}

fn source(source: &Source) -> Object {
    let mut object = Object::default();
    let aggregated = |object: &mut Object, aggregate: &Option<Aggregate>| {
        object.add_given("aggregate", aggregate.as_ref().map(name_of));
    };
    match source {
        Source::Push => object.add("type", "push"),
        Source::Http { url, pointer, headers } => {
            object.add("type", "http");
            object.add("url", url.as_str());
            object.add("pointer", pointer.as_str());
            object.add_filled("headers", headers);
        }
        Source::Scrape { url, headers, metric, labels, aggregate, rate } => {
            object.add("type", "scrape");
            object.add("url", url.as_str());
            object.add("metric", metric.as_str());
            object.add_filled("labels", labels);
            aggregated(&mut object, aggregate);
            object.add("rate", *rate);
            object.add_filled("headers", headers);
        }
        Source::Prometheus { url, headers, query, aggregate } => {
            object.add("type", "prometheus");
            object.add("url", url.as_str());
            object.add("query", query.as_str());
            aggregated(&mut object, aggregate);
            object.add_filled("headers", headers);
        }
    }
    object
}

fn rule(rule: &Rule) -> Object {
    let mut object = Object::default();
    object.add("name", rule.name.as_str());
    match &rule.kind {
        RuleKind::Target(target) => {
            object.add("type", "target");
            object.add("metric", target.metric.as_str());
            object.add("perUnit", number(target.per_unit));
            object.add("onMissing", on_missing(target.on_missing));
        }
        RuleKind::Band(band) => {
            object.add("type", "band");
            object.add("metric", band.metric.as_str());
            object.add("high", number(band.high));
            object.add("low", number(band.low));
            object.add("onMissing", on_missing(band.on_missing));
        }
        RuleKind::Utilization(utilization) => {
            object.add("type", "utilization");
            object.add("metric", utilization.metric.as_str());
            object.add("target", number(utilization.target));
            object.add("tolerance", number(utilization.tolerance));
            object.add("onMissing", on_missing(utilization.on_missing));
        }
        RuleKind::Step(step) => add_step(&mut object, step),
        RuleKind::Follow(follow) => {
            object.add("type", "follow");
            object.add("resource", follow.resource.as_str());
            object.add("ratio", number(follow.ratio));
            object.add("offset", follow.offset);
        }
        RuleKind::Expression(rule) => {
            object.add("type", "expression");
            object.add("expression", rule.expression.as_str());
            object.add("onMissing", on_missing(rule.on_missing));
        }
        RuleKind::Forecast(forecast) => {
            object.add("type", "forecast");
            object.add("metric", forecast.metric.as_str());
            object.add("perUnit", number(forecast.per_unit));
            object.add("source", name_of(&forecast.source));
            if forecast.source == ForecastSource::Learned {
                object.add("quantile", number(forecast.quantile));
                object.add("timeZone", zone_name(&forecast.zone));
            }
            object.add("onMissing", on_missing(forecast.on_missing));
        }
        RuleKind::Schedule(window) => add_window(&mut object, window),
    }
    object
}

fn on_missing(on_missing: OnMissing) -> Node {
    match on_missing {
        OnMissing::Hold => "hold".into(),
        OnMissing::Ignore => "ignore".into(),
        OnMissing::Capacity { capacity, after } => {
            let mut object = Object::default();
            object.add("capacity", capacity.units());
            object.add("afterSeconds", seconds(after));
            object.into()
        }
    }
}

fn add_step(object: &mut Object, step: &StepRule) {
    object.add("type", "step");
    object.add("metric", step.metric.as_str());
    object.add("forSeconds", seconds(step.breach_time));
    let steps = step.steps.iter().map(|step| {
        let mut object = Object::default();
        match step.threshold {
            Threshold::Above(limit) => object.add("above", number(limit)),
            Threshold::Below(limit) => object.add("below", number(limit)),
        }
        object.add("change", step.change);
        Node::from(object)
    });
    object.add("steps", steps.collect::<Node>());
    object.add("onMissing", on_missing(step.on_missing));
}

fn add_window(object: &mut Object, window: &Window) {
    object.add("type", "schedule");
    match &window.when {
        When::Weekly(weekly) => {
            object.add("timeZone", zone_name(&weekly.zone));
            object.add("days", weekly.days.iter().map(|day| Node::from(name_of(day))).collect::<Node>());
            object.add("from", time(weekly.from));
            let is_whole_day = weekly.from == weekly.to;
            object.add("to", if is_whole_day { "24:00".to_owned() } else { time(weekly.to) });
            add_except(object, &weekly.except);
        }
        When::Cron(cron) => {
            object.add("timeZone", zone_name(&cron.zone));
            object.add("cron", cron.cron.as_str());
            object.add("forSeconds", seconds(cron.length));
            add_except(object, &cron.except);
        }
        When::Once(once) => {
            object.add("at", instant(once.opens));
            object.add("until", instant(once.closes));
        }
    }
    object.add_given("min", window.min.map(Capacity::units));
    object.add_given("max", window.max.map(Capacity::units));
    if window.min.is_some() {
        object.add("ready", name_of(&window.ready));
    }
}

fn add_except(object: &mut Object, dates: &BTreeSet<Date>) {
    if !dates.is_empty() {
        object.add("except", dates.iter().map(|date| Node::from(date.to_string())).collect::<Node>());
    }
}

/// The name of a zone that was found by its name.
pub(super) fn zone_name(zone: &TimeZone) -> &str {
    zone.iana_name().unwrap_or("UTC")
}

/// A time of day, with seconds only if there are any.
pub(super) fn time(time: Time) -> String {
    let format = if time.second() == 0 { "%H:%M" } else { "%H:%M:%S" };
    time.strftime(format).to_string()
}

/// An instant in UTC, with milliseconds only if there are any.
pub(super) fn instant(at: crate::domain::Timestamp) -> String {
    match jiff::Timestamp::from_millisecond(at.as_millis()) {
        Ok(instant) => instant.to_string(),
        Err(_) => at.to_string(),
    }
}
