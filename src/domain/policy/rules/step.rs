//! The rule that adds or removes units while a threshold is breached.
//!
//! A breach asks for one change, however often it is looked at: what there was at its beginning and the change are
//! remembered, and are wanted until the breach ends or the change has taken effect. Rejected: adding to what there is at
//! each evaluation, which adds a unit for every sample while the platform is still busy with the first.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::super::capacity::Capacity;
use super::super::super::time::Timestamp;
use super::super::document::{StepRule, Threshold, ThresholdChange};
use super::super::metric::Sample;
use super::super::number_words::number;
use super::super::timer::Timer;
use super::number::plus;
use super::{Observed, View};

/// What a step rule remembers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepMemory {
    /// The breach that goes on.
    pub breach: Option<Breach>,
    /// When the last change that it asked for had taken effect: samples before it do not count.
    pub anew_from: Option<Timestamp>,
}

/// A breach and what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Breach {
    /// Since when it has been one.
    pub since: Timestamp,
    /// What there was then.
    pub base: Capacity,
    /// The farthest change so far.
    pub change: i32,
}

impl Breach {
    fn wants(&self) -> Capacity {
        plus(self.base, i64::from(self.change))
    }

    fn took_effect(&self, view: &View<'_>) -> bool {
        let reached = if self.change > 0 { view.reached >= self.wants() } else { view.reached <= self.wants() };
        view.at_rest && reached
    }
}

/// What the rule wants, if anything, and why. The metric is fresh and the capacity above 0.
pub fn step(
    rule: &StepRule,
    observed: &Observed<'_>,
    view: &View<'_>,
    memory: &mut StepMemory,
    timer: &mut Timer,
) -> (Option<Capacity>, String) {
    if let Some(breach) = memory.breach.filter(|breach| breach.took_effect(view)) {
        let effect_at = view.settled_at.map_or(view.now, |settled_at| settled_at.max(breach.since));
        *memory = StepMemory { breach: None, anew_from: Some(effect_at) };
    }
    let counted_from = [view.counted_from(observed.spec.window), memory.anew_from].into_iter().flatten().max();
    let samples: Vec<Sample> =
        observed.series.samples().filter(|sample| counted_from.is_none_or(|from| sample.at >= from)).collect();
    let Some(newest) = samples.last() else {
        return match memory.breach {
            Some(breach) => (
                Some(breach.wants()),
                format!("{} as before, since no value is from after the last change yet", breach.wants()),
            ),
            None => (None, "no value from after the last change yet".to_owned()),
        };
    };
    memory.breach = memory.breach.filter(|breach| goes_on(rule, breach, &samples));
    if let Some(farthest) = farthest(rule, &samples, observed.spec.max_age, view.now, timer) {
        memory.breach = Some(match memory.breach {
            Some(breach) if breach.change.signum() == farthest.change.signum() => {
                Breach { change: further(breach.change, farthest.change), ..breach }
            }
            _ => Breach { since: view.now, base: view.present, change: farthest.change },
        });
    }
    let shown = number(newest.value);
    match memory.breach {
        Some(breach) => {
            let sign = if breach.change < 0 { '-' } else { '+' };
            let threshold = describe_threshold(rule, breach.change);
            let detail = format!("{shown} {threshold}, so {} {sign} {}", breach.base, breach.change.unsigned_abs());
            (Some(breach.wants()), detail)
        }
        None => (None, format!("{shown} has breached no threshold for long enough")),
    }
}

/// Whether every sample since its beginning lies beyond a threshold that asks for a change this way.
fn goes_on(rule: &StepRule, breach: &Breach, samples: &[Sample]) -> bool {
    let same_way = |step: &&ThresholdChange| step.change.signum() == breach.change.signum();
    let breaching =
        |sample: &Sample| rule.steps.iter().filter(same_way).any(|step| step.threshold.is_breached_by(sample.value));
    let newest = samples.last();
    newest.is_some_and(breaching) && samples.iter().filter(|sample| sample.at >= breach.since).all(breaching)
}

/// The breached step with the farthest change; if they lead both ways, up.
fn farthest(
    rule: &StepRule,
    samples: &[Sample],
    max_age: Duration,
    now: Timestamp,
    timer: &mut Timer,
) -> Option<ThresholdChange> {
    let mut breached = Vec::new();
    for step in &rule.steps {
        let Some(begin) = breached_since(step.threshold, samples, max_age) else { continue };
        let at = begin + rule.breach_time;
        if at <= now { breached.push(*step) } else { timer.note(at) }
    }
    let up = breached.iter().filter(|step| step.change > 0).max_by_key(|step| step.change);
    up.or_else(|| breached.iter().min_by_key(|step| step.change)).copied()
}

/// The first sample of those up to the newest that all lie beyond the threshold, none further apart than `max_age`.
fn breached_since(threshold: Threshold, samples: &[Sample], max_age: Duration) -> Option<Timestamp> {
    let mut begin = None;
    for sample in samples.iter().rev() {
        let too_far = begin.is_some_and(|begin: Timestamp| begin.since(sample.at) > max_age);
        if too_far || !threshold.is_breached_by(sample.value) {
            break;
        }
        begin = Some(sample.at);
    }
    begin
}

fn further(one: i32, other: i32) -> i32 {
    if one.unsigned_abs() >= other.unsigned_abs() { one } else { other }
}

fn describe_threshold(rule: &StepRule, change: i32) -> String {
    let threshold = rule.steps.iter().find(|step| step.change == change).map(|step| step.threshold);
    let seconds = rule.breach_time.as_secs_f64();
    let beyond = match threshold {
        Some(Threshold::Above(limit)) => format!("is above {}", number(limit)),
        Some(Threshold::Below(limit)) => format!("is below {}", number(limit)),
        None => "is beyond a threshold".to_owned(),
    };
    if rule.breach_time.is_zero() { beyond } else { format!("{beyond} for {seconds} s") }
}
