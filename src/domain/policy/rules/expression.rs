//! The rule that works out a formula.
//!
//! Like `utilization`, it must not act twice on one sample, nor on an average from before a change: what uses `capacity` counts
//! only values from after the last change, and what uses `target` is worked out once for each new value, because its own
//! wish moves the target. Rejected: working it out again at each decision, which would add units for as long as the platform
//! is busy with the first ones.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::super::super::time::Timestamp;
use super::super::document::ExpressionRule;
use super::super::expression::Given;
use super::super::metric::Sample;
use super::super::name::Name;
use super::super::number_words::number;
use super::super::timer::Timer;
use super::number::rounded_up;
use super::{Observed, Recommendation, RuleMemory, View, as_before, recommend_without_input, recommend_without_value};

/// How often an expression with `now` is worked out at least, in milliseconds: at each full minute.
const MINUTE_MS: i64 = 60_000;

/// What an expression remembers, besides its last wish.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ExpressionMemory {
    /// Since when it has had no result, although its metrics have values.
    pub failing_since: Option<Timestamp>,
    /// Of one with `target`: when the newest value was observed that it was worked out with.
    pub counted_at: Option<Timestamp>,
}

/// What the rule recommends.
pub fn recommend_by_expression(
    rule: &ExpressionRule,
    view: &View<'_>,
    memory: &mut RuleMemory,
    timer: &mut Timer,
) -> Recommendation {
    let uses = rule.expression.uses();
    if uses.now {
        timer.note(Timestamp::from_millis((view.now.as_millis().div_euclid(MINUTE_MS) + 1).saturating_mul(MINUTE_MS)));
    }
    let samples = match samples(&uses.metrics, view) {
        Ok(samples) => samples,
        Err((metric, observed)) => {
            memory.expression.get_or_insert_default().failing_since = None;
            return recommend_without_value(metric, observed, rule.on_missing, view, timer);
        }
    };
    let is_old = |(name, sample): (&&Name, &Sample)| {
        let window = view.metrics.get(*name).map(|observed| observed.spec.window).unwrap_or_default();
        view.counted_from(window).is_some_and(|from| sample.at < from)
    };
    if uses.capacity && samples.iter().any(is_old) {
        return as_before(memory.wish, "no value is from after the last change yet");
    }
    let newest = samples.values().map(|sample| sample.at).max();
    let counted_at = memory.expression.and_then(|memory| memory.counted_at);
    if uses.target && newest.is_some() && counted_at == newest {
        return as_before(memory.wish, "there is no newer value yet");
    }
    let metrics: BTreeMap<Name, f64> = samples.iter().map(|(name, sample)| ((*name).clone(), sample.value)).collect();
    let given = Given {
        capacity: view.capacity,
        target: view.present,
        status: view.status.as_str(),
        now: view.now,
        metrics: &metrics,
    };
    match rule.expression.evaluate(&given) {
        Err(why) => {
            let failing_since = &mut memory.expression.get_or_insert_default().failing_since;
            let since = *failing_since.get_or_insert(view.now);
            recommend_without_input(&format!("no result, as {why}"), Some(since), rule.on_missing, view, timer)
        }
        Ok(result) => {
            let counted_at = newest.filter(|_| uses.target);
            memory.wish = result.map(rounded_up);
            memory.expression = counted_at.map(|at| ExpressionMemory { failing_since: None, counted_at: Some(at) });
            let detail = match (result, memory.wish) {
                (Some(result), Some(wants)) if result == f64::from(wants.units()) => {
                    format!("the formula gives {wants}")
                }
                (Some(result), Some(wants)) => format!("the formula gives {}, which makes {wants}", number(result)),
                _ => "the formula gives null".to_owned(),
            };
            Recommendation::without_alternatives(memory.wish, detail)
        }
    }
}

/// The newest samples of `metrics`, or the one that has been missing for longest.
fn samples<'a>(
    metrics: &'a BTreeSet<Name>,
    view: &View<'a>,
) -> Result<BTreeMap<&'a Name, Sample>, (&'a Name, Option<&'a Observed<'a>>)> {
    let all = metrics.iter().map(|name| (name, view.metrics.get(name)));
    let fresh = |observed: Option<&Observed<'_>>| observed.and_then(|observed| observed.state.fresh());
    let since = |observed: Option<&Observed<'_>>| observed.and_then(|observed| observed.state.missing_since());
    let missing = all.clone().filter(|(_, observed)| fresh(*observed).is_none());
    match missing.min_by_key(|(_, observed)| since(*observed)) {
        Some(missing) => Err(missing),
        None => Ok(all.filter_map(|(name, observed)| Some((name, fresh(observed)?))).collect()),
    }
}
