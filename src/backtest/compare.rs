//! A policy beside others, a fixed capacity and the limit.

use super::recording::with_ends;
use super::{Demand, Limit, Need, Recording, Recordings, Run, Score, Setup, Span, fixed, limit, play, score};
use crate::domain::policy::Policy;
use crate::domain::{Bounds, Capacity};

/// A run with its name and what it was worth.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// Its name.
    pub name: String,
    /// How it went.
    pub run: Run,
    /// What it was worth.
    pub score: Score,
    /// Its unit-hours as a multiple of those of the limit; `None` if the limit has none.
    pub cost_ratio: Option<f64>,
}

/// What came of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// What was needed.
    pub needs: Vec<Need>,
    /// The policies in their order, the limit unless only its bound is known, and the fixed capacities.
    pub runs: Vec<Judged>,
    /// Unit-hours below which no plan can be, if the limit could not be worked out.
    pub bound: Option<f64>,
}

/// Tries `policies`, each with its name; the limit has the bounds of the first one.
pub fn compare(
    policies: &[(String, Policy)],
    recordings: &Recordings,
    demand: &Demand<'_>,
    setup: &Setup,
) -> Comparison {
    let span = setup.span;
    let needs = demand.needs(span);
    let mut runs: Vec<(String, Run)> =
        policies.iter().map(|(name, policy)| (name.clone(), play(policy, recordings, setup))).collect();
    let bounds = policies.first().map_or(Bounds::NONE, |(_, policy)| Bounds { min: policy.min, max: policy.max });
    let (unit_hours, bound) = match limit(&needs, bounds, spacing(demand.recording, span), setup) {
        Limit::Plan(plan) => {
            let unit_hours = score(&plan, &needs, span).unit_hours;
            runs.push(("limit".to_owned(), plan));
            (unit_hours, None)
        }
        Limit::Bound { unit_hours } => (unit_hours, Some(unit_hours)),
    };
    let (mean, peak) = mean_and_peak(&needs, span);
    runs.push(("fixed mean".to_owned(), fixed(mean, span)));
    runs.push(("fixed peak".to_owned(), fixed(peak, span)));
    let judge = |(name, run): (String, Run)| {
        let score = score(&run, &needs, span);
        let cost_ratio = (unit_hours > 0.0).then(|| score.unit_hours / unit_hours);
        Judged { name, run, score, cost_ratio }
    };
    Comparison { runs: runs.into_iter().map(judge).collect(), needs, bound }
}

/// The usual time between rows, or all the time there is if there is one row.
fn spacing(recording: &Recording, span: Span) -> std::time::Duration {
    recording.spacing().unwrap_or_else(|| span.to.since(span.from))
}

/// What is needed on average, rounded up, and at most.
fn mean_and_peak(needs: &[Need], span: Span) -> (Capacity, Capacity) {
    let (mut sum, mut millis, mut peak) = (0_u128, 0, 0);
    for (need, end) in with_ends(needs, span) {
        if let Some(units) = need.units {
            let length = end.since(need.at).as_millis();
            (sum, millis, peak) = (sum + u128::from(units) * length, millis + length, peak.max(units));
        }
    }
    let mean = if millis == 0 { 0 } else { sum.div_ceil(millis) };
    let capacity =
        |units: u128| i64::try_from(units).ok().and_then(|units| Capacity::new(units).ok()).unwrap_or(Capacity::MAX);
    (capacity(mean), capacity(u128::from(peak)))
}
