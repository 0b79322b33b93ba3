//! What each rule recommends.
//!
//! A rule never sees what other rules want, and never turns a missing value into a number: what then counts is what the
//! document says about missing metrics.

mod expression;
mod forecast;
mod load;
mod number;
mod step;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use expression::ExpressionMemory;
pub use forecast::{Expectation, ForecastMemory, lead};
pub use load::Turn;
pub use number::{plus, units_for};
pub use step::StepMemory;

use super::super::alias::Alias;
use super::super::capacity::Capacity;
use super::super::reading::Status;
use super::super::time::Timestamp;
use super::climb::Pace;
use super::document::{Follow, MetricSpec, OnMissing, Rule, RuleKind, StepRule, Utilization};
use super::inputs::Foreseen;
use super::metric::{MetricState, Sample, Series};
use super::name::Name;
use super::number_words::number;
use super::timer::Timer;
use expression::recommend_by_expression;
use forecast::recommend_by_forecast;
use load::Wish;
use number::rounded_up;

/// A metric as the rules see it.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// What the document says about it.
    pub spec: &'a MetricSpec,
    /// Its samples.
    pub series: &'a Series,
    /// Its present value, or why there is none.
    pub state: MetricState,
}

/// What the rules look at.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The metrics of the policy.
    pub metrics: &'a BTreeMap<Name, Observed<'a>>,
    /// The targets of other resources.
    pub followed: &'a BTreeMap<Alias, Capacity>,
    /// The capacity of the last usable reading.
    pub capacity: Capacity,
    /// That capacity less the extra units of claims in it.
    pub reached: Capacity,
    /// The status of that reading.
    pub status: &'a Status,
    /// Whether the resource is at rest.
    pub at_rest: bool,
    /// What there is: the target less the extra units of claims in it.
    pub present: Capacity,
    /// When the last change took effect.
    pub settled_at: Option<Timestamp>,
    /// What metrics are expected to be.
    pub foreseen: &'a Foreseen,
    /// How fast changes are.
    pub pace: Pace,
    /// When the next change can be sent at the earliest.
    pub first_change_at: Timestamp,
    /// Least capacity of the policy.
    pub min: Capacity,
    /// Largest capacity of the policy.
    pub max: Capacity,
    /// The time.
    pub now: Timestamp,
}

impl View<'_> {
    /// From when on values that average over `window` say something about the present capacity.
    fn counted_from(&self, window: Duration) -> Option<Timestamp> {
        self.settled_at.map(|settled_at| settled_at + window)
    }
}

/// What a rule remembers from one decision to the next.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RuleMemory {
    /// Of a `utilization` or `expression` rule: its last wish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wish: Option<Capacity>,
    /// Of a `step` rule: the breach.
    #[serde(default)]
    pub step: StepMemory,
    /// Of a `forecast` rule: how good it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forecast: Option<ForecastMemory>,
    /// Of an `expression` rule: what it has seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression: Option<ExpressionMemory>,
}

impl RuleMemory {
    /// Applies `change` to each point in time in it.
    pub fn change_times(&mut self, change: &mut impl FnMut(&mut Timestamp)) {
        let StepMemory { breach, anew_from } = &mut self.step;
        let of_expression = self.expression.iter_mut();
        let of_expression =
            of_expression.flat_map(|memory| [&mut memory.failing_since, &mut memory.counted_at]).flatten();
        let of_step = breach.iter_mut().map(|breach| &mut breach.since).chain(anew_from);
        of_step.chain(of_expression).for_each(&mut *change);
        if let Some(ForecastMemory { trust, through }) = &mut self.forecast {
            trust.change_times(change);
            through.iter_mut().for_each(change);
        }
    }
}

/// What a rule recommends.
#[derive(Clone, Debug, PartialEq)]
pub struct Recommendation {
    /// The capacity, or no opinion.
    pub wants: Option<Capacity>,
    /// Why, as a sentence fragment.
    pub detail: String,
    /// Whether something it needs to know is missing.
    pub lacks_input: bool,
    /// Whether it can only ask for more or keep what there is: alone it takes nothing away.
    pub raises_only: bool,
    /// The nearest values at which it would want another capacity.
    pub turns: Vec<Turn>,
}

impl Recommendation {
    /// A value that no double can be is none at which anything changes.
    fn of((wants, detail): Wish, mut turns: Vec<Turn>) -> Self {
        turns.retain(|(at, _)| at.value().is_finite());
        Self { wants: Some(wants), detail, lacks_input: false, raises_only: false, turns }
    }

    fn without_alternatives(wants: Option<Capacity>, detail: impl Into<String>) -> Self {
        Self { wants, detail: detail.into(), lacks_input: false, raises_only: false, turns: Vec::new() }
    }
}

/// What `rule` recommends; nothing if it is a schedule.
pub fn recommend(rule: &Rule, view: &View<'_>, memory: &mut RuleMemory, timer: &mut Timer) -> Option<Recommendation> {
    let on_metric = match &rule.kind {
        RuleKind::Schedule(_) => return None,
        RuleKind::Follow(follow) => return Some(recommend_following(follow, view)),
        RuleKind::Expression(expression) => return Some(recommend_by_expression(expression, view, memory, timer)),
        RuleKind::Forecast(forecast) => {
            return Some(recommend_by_forecast(forecast, &rule.name, view, &mut memory.forecast, timer));
        }
        RuleKind::Target(target) => (&target.metric, target.on_missing),
        RuleKind::Band(band) => (&band.metric, band.on_missing),
        RuleKind::Utilization(utilization) => (&utilization.metric, utilization.on_missing),
        RuleKind::Step(step) => (&step.metric, step.on_missing),
    };
    let (metric, on_missing) = on_metric;
    // A document without the metric is refused. The rule has no value then, and that is missing.
    let observed = view.metrics.get(metric);
    let Some((observed, sample)) = observed.and_then(|observed| Some((observed, observed.state.fresh()?))) else {
        memory.step.breach = None;
        return Some(recommend_without_value(metric, observed, on_missing, view, timer));
    };
    Some(match &rule.kind {
        RuleKind::Target(rule) => {
            Recommendation::of(load::target(rule, sample.value), load::target_turns(rule, sample.value))
        }
        RuleKind::Band(rule) => Recommendation::of(
            load::band(rule, sample.value, view.present),
            load::band_turns(rule, sample.value, view.present),
        ),
        RuleKind::Utilization(rule) => recommend_by_utilization(rule, observed, sample, view, &mut memory.wish),
        RuleKind::Step(rule) => recommend_by_step(rule, observed, view, &mut memory.step, timer),
        RuleKind::Follow(_) | RuleKind::Expression(_) | RuleKind::Forecast(_) | RuleKind::Schedule(_) => return None,
    })
}

fn recommend_by_utilization(
    rule: &Utilization,
    observed: &Observed<'_>,
    sample: Sample,
    view: &View<'_>,
    last: &mut Option<Capacity>,
) -> Recommendation {
    if view.capacity == Capacity::ZERO {
        *last = None;
        return Recommendation::without_alternatives(None, "no average per unit at capacity 0");
    }
    if view.counted_from(observed.spec.window).is_some_and(|from| sample.at < from) {
        return as_before(*last, "no value is from after the last change yet");
    }
    let wish = load::utilization(rule, sample.value, view.capacity, view.present);
    *last = Some(wish.0);
    Recommendation::of(wish, load::utilization_turns(rule, sample.value, view.capacity, view.present))
}

fn recommend_by_step(
    rule: &StepRule,
    observed: &Observed<'_>,
    view: &View<'_>,
    memory: &mut StepMemory,
    timer: &mut Timer,
) -> Recommendation {
    if view.capacity == Capacity::ZERO {
        *memory = StepMemory::default();
        return Recommendation::without_alternatives(None, "no opinion at capacity 0");
    }
    let (wants, detail) = step::step(rule, observed, view, memory, timer);
    Recommendation::without_alternatives(wants, detail)
}

/// The last wish, as long as nothing new can be said.
fn as_before(last: Option<Capacity>, why: &str) -> Recommendation {
    let detail = last.map_or_else(|| why.to_owned(), |wish| format!("{wish} as before, since {why}"));
    Recommendation::without_alternatives(last, detail)
}

/// An unknown target of the other resource holds what there is, like a missing metric.
fn recommend_following(rule: &Follow, view: &View<'_>) -> Recommendation {
    let Follow { resource, ratio, offset } = rule;
    let Some(target) = view.followed.get(resource) else {
        let detail = format!("the target of {resource} is not known, so not below {}", view.present);
        return Recommendation {
            lacks_input: true,
            ..Recommendation::without_alternatives(Some(view.present), detail)
        };
    };
    let wants = plus(rounded_up(f64::from(target.units()) * ratio), i64::from(*offset));
    Recommendation::without_alternatives(
        Some(wants),
        format!("{target} of {resource} at {}{} makes {wants}", number(*ratio), describe_offset(*offset)),
    )
}

fn describe_offset(offset: i32) -> String {
    match offset {
        0 => String::new(),
        1.. => format!(" and {offset} more"),
        _ => format!(" and {} less", offset.unsigned_abs()),
    }
}

fn recommend_without_value(
    metric: &Name,
    observed: Option<&Observed<'_>>,
    on_missing: OnMissing,
    view: &View<'_>,
    timer: &mut Timer,
) -> Recommendation {
    let lack = observed.and_then(|observed| observed.series.lack(observed.state));
    let lack = format!("{metric} {}", lack.as_deref().unwrap_or("is not there"));
    let since = observed.and_then(|observed| observed.state.missing_since());
    recommend_without_input(&lack, since, on_missing, view, timer)
}

/// What a rule says that lacks what it needs since `since`. What counts depends on that time alone, so that it changes once
/// and not back.
fn recommend_without_input(
    lack: &str,
    since: Option<Timestamp>,
    on_missing: OnMissing,
    view: &View<'_>,
    timer: &mut Timer,
) -> Recommendation {
    let (wants, what) = match on_missing {
        OnMissing::Hold => (Some(view.present), format!("so not below {}", view.present)),
        OnMissing::Ignore => (None, "so no opinion".to_owned()),
        OnMissing::Capacity { capacity, after } => {
            let at = since.unwrap_or(view.now) + after;
            timer.note(at);
            if at <= view.now {
                (Some(capacity), format!("for {} s or longer, so {capacity} as the policy says", after.as_secs_f64()))
            } else {
                (Some(view.present), format!("so not below {}", view.present))
            }
        }
    };
    let detail = format!("{lack}, {what}");
    Recommendation { lacks_input: true, ..Recommendation::without_alternatives(wants, detail) }
}
