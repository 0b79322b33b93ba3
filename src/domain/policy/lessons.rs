//! When the patterns of `forecast` rules are to be learned anew.
//!
//! Once a day, at midnight by the clock of the rule; every hour as long as too little is known. What is learned at a moment
//! depends on the history before it alone, so that after a restart the same is learned again.

use std::time::Duration;

use super::super::forecast::{Learned, Lesson, midnight};
use super::super::time::Timestamp;
use super::climb::Pace;
use super::document::{Forecast, ForecastSource, Policy, RuleKind};
use super::inputs::Foreseen;
use super::name::Name;
use super::rules::lead;
use super::state::PolicyState;

/// A lesson for one rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// The rule.
    pub rule: Name,
    /// The metric whose history it is about.
    pub metric: Name,
    /// How long a value of the metric counts.
    pub max_age: Duration,
    /// What is to be learned.
    pub lesson: Lesson,
}

/// The lessons of `policy` that are due at `now`. `pace` is asked only for these: most decisions have none.
pub fn assignments(
    policy: &Policy,
    foreseen: &Foreseen,
    state: &PolicyState,
    pace: impl Fn() -> Pace,
    now: Timestamp,
) -> Vec<Assignment> {
    let due = policy.rules.iter().filter_map(|rule| {
        let RuleKind::Forecast(forecast) = &rule.kind else { return None };
        if forecast.source != ForecastSource::Learned {
            return None;
        }
        let learned = foreseen.learned.get(&rule.name);
        let through = due_through(forecast, learned, state.learned_through(&rule.name), now);
        if learned.is_some_and(|learned| through <= learned.through()) {
            return None;
        }
        let lead = lead(&pace(), policy.min, policy.max);
        let lesson = Lesson { through, zone: forecast.zone.clone(), quantile: forecast.quantile, lead };
        let max_age = policy.metrics.get(&forecast.metric)?.max_age;
        Some(Assignment { rule: rule.name.clone(), metric: forecast.metric.clone(), max_age, lesson })
    });
    due.collect()
}

fn due_through(
    forecast: &Forecast,
    learned: Option<&Learned>,
    before_restart: Option<Timestamp>,
    now: Timestamp,
) -> Timestamp {
    const HOUR_MILLIS: i64 = 3_600_000;
    let today = midnight(&forecast.zone, now);
    match learned {
        Some(Learned::Learning { .. }) => {
            Timestamp::from_millis(now.as_millis().div_euclid(HOUR_MILLIS).saturating_mul(HOUR_MILLIS))
        }
        Some(Learned::Pattern(_)) => today,
        None => before_restart.filter(|through| *through <= now).map_or(today, |through| through.max(today)),
    }
}
