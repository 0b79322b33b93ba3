//! What policies expect of their metrics: when patterns are learned, and what became of it.
//!
//! Learning takes a history that is not in memory and some of a core's time, so that it is done elsewhere. A pattern that is
//! old goes on to count until the new one is there.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::{Core, Effect};
use crate::domain::forecast::Learned;
use crate::domain::policy::{Foreseen, Name, Pace, Policy, PolicyState, RuleKind, Trigger, assignments};
use crate::domain::{Alias, StepDurations, Timestamp};

/// When an answer that did not come is given up: far longer than a thousand histories take to be learned from.
const GIVEN_UP_AFTER: Duration = Duration::from_hours(1);
/// When what failed is tried again.
const AGAIN_AFTER: Duration = Duration::from_mins(5);

impl Core {
    /// Has the patterns learned that are due and not being learned.
    pub(super) fn learn_if_due(&mut self, resource: &Alias, state: &PolicyState, now: Timestamp) {
        let Some(in_force) = self.standings.in_force(resource) else { return };
        let pace = || self.pace_of(resource, &in_force.policy);
        let mut due = assignments(&in_force.policy, &in_force.foreseen, state, pace, now);
        due.retain(|assignment| in_force.lessons.get(&assignment.rule).is_none_or(|again_at| *again_at <= now));
        let Some(in_force) = self.standings.in_force_mut(resource) else { return };
        for assignment in due {
            in_force.lessons.insert(assignment.rule.clone(), now + GIVEN_UP_AFTER);
            self.effects.push(Effect::Learn(resource.clone(), Box::new(assignment)));
        }
    }

    /// How fast the changes of `policy` are.
    pub(super) fn pace_of(&self, resource: &Alias, policy: &Policy) -> Pace {
        let rules = self.scaling.in_force(resource);
        let settings = rules.settings.with(&policy.job).within(&rules.setting_limits);
        let unknown = StepDurations::default();
        let durations = self.lane(resource).map_or(&unknown, |lane| lane.step_durations());
        Pace::learned(&settings, durations, policy.expected_change)
    }

    /// What was learned for `rule`, or that it could not be.
    pub fn on_learned(&mut self, resource: &Alias, rule: &Name, learned: Option<Learned>, now: Timestamp) {
        let Some(in_force) = self.standings.in_force_mut(resource) else { return };
        // A rule that was changed meanwhile has asked anew.
        if !in_force.lessons.contains_key(rule) {
            return;
        }
        match learned {
            Some(learned) => {
                in_force.lessons.remove(rule);
                in_force.foreseen.learned.insert(rule.clone(), learned);
                self.standings.trigger(resource, Trigger::Time);
            }
            None => drop(in_force.lessons.insert(rule.clone(), now + AGAIN_AFTER)),
        }
    }
}

/// What is expected by the rules of `policy` that are as they were in the policy `before`.
pub(super) fn forecasts_of(foreseen: &Foreseen, policy: &Policy, before: &Policy) -> Foreseen {
    let forecast = |policy: &Policy, name: &Name| {
        policy.rules.iter().find(|rule| rule.name == *name).and_then(|rule| match &rule.kind {
            RuleKind::Forecast(forecast) => Some(forecast.clone()),
            _ => None,
        })
    };
    let is_same = |name: &Name| {
        forecast(policy, name).is_some_and(|now| {
            let source = |policy: &Policy| policy.metrics.get(&now.metric).map(|metric| metric.source.clone());
            forecast(before, name).as_ref() == Some(&now) && source(policy) == source(before)
        })
    };
    let learned = foreseen.learned.iter().filter(|(name, _)| is_same(name));
    let learned: BTreeMap<Name, Learned> = learned.map(|(name, learned)| (name.clone(), learned.clone())).collect();
    let predictions = foreseen.predictions.iter().filter(|(name, _)| policy.metrics.contains_key(*name));
    Foreseen { learned, predictions: predictions.map(|(name, points)| (name.clone(), points.clone())).collect() }
}
