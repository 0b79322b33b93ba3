//! What capacity a policy leads to in the coming hours, as far as that is laid down already.
//!
//! The plan is a run of [`decide`] in time that has not come yet, so that a climb ahead of a window begins when it really
//! will. It must never make up what metrics will be: they are what trusted forecasts expect, and where there are none, rules
//! go on to want what they want now. Left out besides are what `behavior` and `idle` do to wishes, holds, jobs of callers, and changes
//! that fail. Rejected: a second calculation from windows and claims alone, because it would not agree with the decisions that follow.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::alias::Alias;
use super::super::capacity::{Capacity, Move};
use super::super::forecast::{BIN, Prediction};
use super::super::reading::Status;
use super::super::settings::Bounds;
use super::super::time::Timestamp;
use super::climb::Pace;
use super::decide::decide;
use super::decision::{DecisionId, Trigger};
use super::demand::Claim;
use super::document::{
    Behavior, ExpressionRule, Forecast, ForecastSource, MetricSpec, Mode, OnMissing, Policy, Rule, RuleKind, Smoothing,
    Source, Target,
};
use super::expression::Expression;
use super::foresight::{ForecastState, Foresight};
use super::inputs::{Foreseen, Inputs, LastReading};
use super::metric::{Sample, Series};
use super::name::Name;
use super::state::PolicyState;

/// Most points of a plan, and most decisions for it: what people look at, and what takes some milliseconds.
const MAX_POINTS: usize = 1000;

/// Where a plan begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prospects {
    /// The present time.
    pub at: Timestamp,
    /// The capacity of the last usable reading.
    pub capacity: Capacity,
    /// What the change under way leads to, if there is one, and when that is expected to be there.
    pub under_way: Option<Planned>,
    /// What the rules want now.
    pub wanted: Capacity,
    /// How fast changes are.
    pub pace: Pace,
    /// When the next change can be sent at the earliest.
    pub next_change_at: Option<Timestamp>,
    /// The bounds of the configuration.
    pub file_bounds: Bounds,
}

/// A capacity from a point in time on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// When the capacity is there.
    pub at: Timestamp,
    /// The capacity.
    pub capacity: Capacity,
}

/// The capacities from `start` until `until`, the present one first; nothing more after the last one that is worked out.
///
/// Where `foresights` are trusted, metrics become what they expect, and all rules on them follow; all else goes on to want what
/// it wants now.
pub fn plan(
    policy: &Policy,
    resource: &Alias,
    claims: &[Claim],
    start: &Prospects,
    foresights: &[Foresight],
    until: Timestamp,
) -> Vec<Planned> {
    let foreseen = Ahead::new(foresights, start.at, until);
    let policy = foreseen.policy(policy, start.wanted);
    let status = Status::new("ACTIVE");
    let (mut now, mut capacity, mut next_change_at) = (start.at, start.capacity, start.next_change_at);
    let mut state = PolicyState::new();
    let mut planned = vec![Planned { at: now, capacity }];
    if let Some(under_way) = start.under_way {
        (now, capacity) = (now.max(under_way.at), under_way.capacity);
        if now >= until {
            return planned;
        }
        planned.push(Planned { at: now, capacity });
    }
    for _ in 0..MAX_POINTS {
        let reading = LastReading { capacity, status: &status, observed_at: now };
        let inputs = Inputs {
            id: DecisionId::nil(),
            resource,
            trigger: Trigger::Time,
            revision: 0,
            reading: Some(reading),
            own_job: None,
            ending_job: None,
            others_job: None,
            metrics: &foreseen.metrics_at(now),
            foreseen: &foreseen.predicted,
            followed: &BTreeMap::new(),
            circle: &[],
            claims,
            hold: None,
            file_bounds: start.file_bounds,
            pace: start.pace,
            in_flight: None,
            next_change_at,
            last_effect_at: None,
        };
        let outcome = decide(&policy, &inputs, &state, now);
        state = outcome.state;
        let decided = outcome.decision.and_then(|decision| decision.decided).unwrap_or(capacity);
        let waits_until = next_change_at.filter(|at| *at > now);
        match (Move::toward(capacity, decided, start.pace.step_size.max(1)), waits_until) {
            (Some(movement), None) => {
                let takes = start.pace.time_of_change(movement.op);
                next_change_at = Some(now + start.pace.cooldown.max(takes));
                (now, capacity) = (now + takes, movement.to);
                if now >= until {
                    break;
                }
                planned.push(Planned { at: now, capacity });
            }
            (Some(_), Some(at)) => now = outcome.wake_at.map_or(at, |wake_at| wake_at.min(at)),
            (None, _) => match outcome.wake_at {
                Some(at) => now = at,
                None => break,
            },
        }
        if now >= until {
            break;
        }
    }
    planned
}

/// What trusted forecasts expect until a plan ends.
struct Ahead<'a> {
    trusted: Vec<&'a Foresight>,
    predicted: Foreseen,
}

impl<'a> Ahead<'a> {
    fn new(foresights: &'a [Foresight], from: Timestamp, until: Timestamp) -> Self {
        let trusted: Vec<&Foresight> =
            foresights.iter().filter(|foresight| foresight.state == ForecastState::Trusted).collect();
        let bins = || std::iter::successors(Some(from), |at| Some(*at + BIN)).take(MAX_POINTS);
        let predictions = trusted.iter().map(|foresight| {
            let points = bins().take_while(|at| *at < until + BIN);
            let points = points.filter_map(|at| Some((at, foresight.expect(at)?.upper)));
            (foresight.rule.clone(), Prediction::new(points.collect()))
        });
        let predicted = Foreseen { learned: BTreeMap::new(), predictions: predictions.collect() };
        Self { trusted, predicted }
    }

    /// The metrics as they are expected to be at `now`.
    fn metrics_at(&self, now: Timestamp) -> BTreeMap<Name, Series> {
        let metrics = self.trusted.iter().enumerate().filter_map(|(index, foresight)| {
            let mut series = Series::new();
            series.insert(Sample { at: now, value: foresight.expect(now)?.middle }, Duration::ZERO);
            Some((present(index)?, series))
        });
        metrics.collect()
    }

    /// `policy` with a constant wish in place of those that recommend, or, where forecasts are trusted, with what these expect;
    /// followed at once.
    fn policy(&self, policy: &Policy, wanted: Capacity) -> Policy {
        const AT_ONCE: Smoothing =
            Smoothing { stabilization: Duration::ZERO, max_units: None, max_percent: None, period: Duration::ZERO };
        let (mut rules, recommending): (Vec<Rule>, Vec<Rule>) =
            policy.rules.iter().cloned().partition(|rule| matches!(rule.kind, RuleKind::Schedule(_)));
        if self.trusted.is_empty() {
            let constant = recommending.into_iter().next().zip(Expression::compile(&wanted.to_string()).ok());
            rules.extend(constant.map(|(Rule { name, .. }, expression)| {
                let kind = RuleKind::Expression(ExpressionRule { expression, on_missing: OnMissing::Hold });
                Rule { name, kind }
            }));
        }
        let spec = MetricSpec {
            source: Source::Push,
            interval: Duration::ZERO,
            max_age: MetricSpec::PUSHED_MAX_AGE,
            window: Duration::ZERO,
            allow_negative: false,
        };
        let on_missing = OnMissing::Ignore;
        let mut metrics = BTreeMap::new();
        for (index, Foresight { rule, forecast, .. }) in self.trusted.iter().enumerate() {
            // What is predicted has no values of its own: nothing there is that it could be compared with.
            let (metric, source) = (rule.clone(), ForecastSource::Push);
            let ahead = RuleKind::Forecast(Forecast { metric, source, on_missing, ..forecast.clone() });
            rules.push(Rule { name: rule.clone(), kind: ahead });
            metrics.insert(rule.clone(), spec.clone());
            if let Some(name) = present(index) {
                let target = Target { metric: name.clone(), per_unit: forecast.per_unit, on_missing };
                rules.push(Rule { name: name.clone(), kind: RuleKind::Target(target) });
                metrics.insert(name, spec.clone());
            }
        }
        Policy {
            mode: Mode::Active,
            rules,
            metrics,
            behavior: Behavior { up: AT_ONCE, down: AT_ONCE },
            idle_after: None,
            ..policy.clone()
        }
    }
}

/// The metric that is what the forecast with this index expects at each moment, and the rule on it.
fn present(index: usize) -> Option<Name> {
    format!("expected_{index}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::policy::{ClaimKind, Occurrence, Ready, Target, When, Window};
    use crate::domain::settings::SettingsOverrides;

    /// 2027-01-15T08:00:00Z.
    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn units(units: u32) -> Capacity {
        Capacity::try_from(units).expect("a small number")
    }

    fn at(minutes: u64) -> Timestamp {
        NOW + Duration::from_mins(minutes)
    }

    fn window(opens: u64, closes: u64, min: u32) -> Rule {
        let when = When::Once(Occurrence::new(at(opens), at(closes)).expect("a window"));
        let kind = RuleKind::Schedule(Window { when, min: Some(units(min)), max: None, ready: Ready::Before });
        Rule { name: format!("at_{opens}").parse().expect("a name"), kind }
    }

    fn by_queue() -> Rule {
        let name: crate::domain::policy::Name = "queue".parse().expect("a name");
        let kind = RuleKind::Target(Target { metric: name.clone(), per_unit: 100.0, on_missing: OnMissing::Hold });
        Rule { name, kind }
    }

    fn policy(rules: Vec<Rule>) -> Policy {
        Policy {
            mode: Mode::Active,
            min: units(1),
            max: units(20),
            metrics: BTreeMap::new(),
            rules,
            behavior: Behavior::DEFAULT,
            idle_after: Some(Duration::ZERO),
            job: SettingsOverrides::default(),
            expected_change: Duration::from_mins(1),
        }
    }

    /// Steps of 1, five minutes apart, each of which takes a minute.
    fn start(capacity: u32, wanted: u32) -> Prospects {
        let (cooldown, minute) = (Duration::from_mins(5), Duration::from_mins(1));
        let pace = Pace { step_size: 1, cooldown, settle: Duration::ZERO, up: minute, down: minute };
        let (capacity, wanted) = (units(capacity), units(wanted));
        Prospects { at: NOW, capacity, under_way: None, wanted, pace, next_change_at: None, file_bounds: Bounds::NONE }
    }

    fn planned(policy: &Policy, claims: &[Claim], start: &Prospects, minutes: u64) -> Vec<(u64, u32)> {
        let resource = "worker".parse().expect("an alias");
        let points = plan(policy, &resource, claims, start, &[], at(minutes)).into_iter();
        points.map(|point| (point.at.since(NOW).as_secs() / 60, point.capacity.units())).collect()
    }

    #[test]
    fn a_climb_is_planned_so_that_it_ends_when_the_window_begins() {
        // 36 minutes from 2 to 10, and down again afterwards.
        let points = planned(&policy(vec![by_queue(), window(120, 180, 10)]), &[], &start(2, 2), 200);
        let climb: Vec<(u64, u32)> = (3..=10).map(|units| (120 - (10 - u64::from(units)) * 5, units)).collect();
        assert_eq!(points[0], (0, 2));
        assert_eq!(points[1..9], climb);
        assert_eq!(points[9..], [(181, 9), (186, 8), (191, 7), (196, 6)]);
        let before_the_end = planned(&policy(vec![by_queue(), window(120, 180, 10)]), &[], &start(2, 2), 100);
        assert_eq!(before_the_end, [(0, 2), (85, 3), (90, 4), (95, 5)]);
    }

    #[test]
    fn rules_go_on_to_want_what_they_want_now_within_what_is_asked_for() {
        assert_eq!(planned(&policy(vec![by_queue()]), &[], &start(2, 4), 600), [(0, 2), (1, 3), (6, 4)]);
        assert_eq!(planned(&policy(vec![by_queue()]), &[], &start(2, 0), 600), [(0, 2), (1, 1)], "the policy's min");
        let waiting = Prospects { next_change_at: Some(at(3)), ..start(2, 4) };
        assert_eq!(planned(&policy(vec![by_queue()]), &[], &waiting, 600), [(0, 2), (4, 3), (9, 4)]);
        let under_way = Some(Planned { at: at(1), capacity: units(3) });
        let sent = Prospects { next_change_at: Some(at(5)), under_way, ..start(2, 4) };
        assert_eq!(planned(&policy(vec![by_queue()]), &[], &sent, 600), [(0, 2), (1, 3), (6, 4)], "not sent twice");
        let alone = policy(vec![window(600, 700, 3)]);
        assert_eq!(planned(&alone, &[], &start(2, 9), 60), [(0, 2), (1, 1)], "without such a rule it is the min");
    }

    #[test]
    fn claims_raise_the_plan_while_they_count() {
        let claim = |kind, asked| Claim {
            id: uuid::Uuid::nil(),
            units: units(asked),
            kind,
            from: at(10),
            until: at(30),
            owner: None,
            reason: None,
            by: None,
            created_at: NOW,
            alert: None,
        };
        let plan = |kind, asked| planned(&policy(vec![by_queue()]), &[claim(kind, asked)], &start(2, 2), 600);
        assert_eq!(plan(ClaimKind::AtLeast, 4), [(0, 2), (11, 3), (16, 4), (31, 3), (36, 2)]);
        assert_eq!(plan(ClaimKind::Extra, 1), [(0, 2), (11, 3), (31, 2)]);
    }

    #[test]
    fn where_a_forecast_is_trusted_the_plan_climbs_ahead_and_falls_afterwards() {
        let points = vec![(at(0), 250.0), (at(120), 450.0), (at(180), 150.0), (at(6000), 150.0)];
        let trusted = Foresight::by(Prediction::new(points));
        let planned = |foresight: Foresight| {
            let resource = "worker".parse().expect("an alias");
            let points = plan(&policy(vec![by_queue()]), &resource, &[], &start(3, 3), &[foresight], at(300));
            let points = points.into_iter().map(|point| (point.at.since(NOW).as_secs() / 60, point.capacity.units()));
            points.collect::<Vec<_>>()
        };
        let found = planned(trusted.clone());
        let units: Vec<u32> = found.iter().map(|(_, units)| *units).collect();
        assert_eq!(units, [3, 4, 5, 4, 3, 2], "{found:?}");
        assert!(found[2].0 <= 120 && found[1].0 > 90 && found[3].0 >= 180, "{found:?}");
        let mut distrusted = trusted;
        distrusted.state = ForecastState::Distrusted;
        assert_eq!(planned(distrusted), [(0, 3)]);
    }

    #[test]
    fn a_plan_ends() {
        let instant = Pace { cooldown: Duration::ZERO, up: Duration::ZERO, down: Duration::ZERO, ..start(1, 1).pace };
        let far = Policy { max: Capacity::MAX, ..policy(vec![by_queue()]) };
        let start = Prospects { pace: instant, ..start(1, 1_000_000) };
        assert_eq!(planned(&far, &[], &start, 600).len(), MAX_POINTS + 1);
    }
}
