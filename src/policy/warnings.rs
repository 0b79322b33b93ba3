//! What a policy says that makes sense and is surely not meant.
//!
//! A warning never stops a policy. Only what can be shown to have no effect, or an effect that policies are made against,
//! is one: people stop reading warnings that are matters of taste.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use strum::{EnumMessage, VariantArray};
use utoipa::ToSchema;

use super::problem::child;
use crate::domain::policy::{
    Band, ExpressionRule, MetricSpec, Name, OnMissing, Policy, Rule, RuleKind, Source, StepRule, Threshold, When,
    Window, number, transitions,
};
use crate::domain::{ResourceConfig, Timestamp};

/// How far ahead windows are compared with each other: every day of a year.
const HORIZON: Duration = Duration::from_hours(366 * 24);
/// Most beginnings and ends that are compared: windows that contradict each other rarely need a thousandth to show it.
const MAX_TRANSITIONS: usize = 2000;

/// Something in a policy that is surely not meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = PolicyWarning)]
pub struct Warning {
    /// What it is, for programs; it is stable.
    pub code: WarningCode,
    /// Where it is: a JSON pointer into the document.
    #[schema(example = "/rules/1/low")]
    pub pointer: String,
    /// What it means, as a sentence.
    pub detail: String,
}

/// The kinds of warnings.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema, EnumMessage, VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[schema(as = PolicyWarningCode)]
pub enum WarningCode {
    /// A band adds a unit at the very load at which it removes one, so capacity goes up and down there.
    BandWithoutGap,
    /// Thresholds of a step rule are breached from both sides at once.
    ThresholdsOverlap,
    /// A schedule's window never occurs.
    WindowNeverOccurs,
    /// A window between two instants lies in the past.
    WindowIsOver,
    /// A window has the bounds that the policy has anyway.
    WindowWithoutEffect,
    /// A window needs more than another one allows at the same time.
    WindowsContradict,
    /// Capacity falls on wishes of a time that is shorter than the cooldown.
    StabilizationShorterThanCooldown,
    /// A pushed value becomes too old within one cooldown.
    AgeShorterThanCooldown,
    /// A value becomes too old before its source is asked again.
    AgeShorterThanInterval,
    /// No rule uses the metric.
    MetricUnused,
    /// A metric or label that is scraped has a name that sources do not give the gateway.
    UncommonName,
    /// There are rules, but the bounds leave no room for them.
    BoundsLeaveNoRoom,
    /// No rule ever raises capacity.
    NeverRises,
    /// No rule ever lowers capacity.
    NeverFalls,
    /// The resource can never become idle.
    IdleCannotHappen,
    /// The capacity for a missing metric lies outside of the bounds.
    FallbackOutsideBounds,
    /// An expression makes a capacity of the capacity alone.
    ExpressionWithoutMetric,
}

/// What in `policy` is surely not meant on a resource for which the operator has laid down `config`, as of `now`.
pub fn warnings(policy: &Policy, config: &ResourceConfig, now: Timestamp) -> Vec<Warning> {
    let mut found = Found(Vec::new());
    for (index, rule) in policy.rules.iter().enumerate() {
        let at = format!("/rules/{index}");
        match &rule.kind {
            RuleKind::Band(band) => found.check_band(&at, band, policy),
            RuleKind::Step(step) => found.check_thresholds(&at, step),
            RuleKind::Schedule(window) => found.check_window(&at, window, policy, now),
            RuleKind::Expression(rule) => found.check_expression(&at, rule),
            RuleKind::Target(_) | RuleKind::Utilization(_) | RuleKind::Follow(_) | RuleKind::Forecast(_) => {}
        }
        found.check_fallback(&at, &rule.kind, policy);
    }
    found.check_contradictions(policy, now);
    let cooldown = config.settings.with(&policy.job).within(&config.setting_limits).cooldown;
    let used: BTreeSet<&Name> = policy.rules.iter().flat_map(|rule| metrics_of(&rule.kind)).collect();
    for (name, spec) in &policy.metrics {
        let at = child("/metrics", name.as_str());
        if !used.contains(name) {
            found.add(WarningCode::MetricUnused, &at, "No rule uses this metric.".to_owned());
        }
        found.check_names(&at, &spec.source);
        found.check_age(&at, spec, cooldown);
    }
    found.check_reach(policy, config, cooldown);
    found.0
}

/// The metrics of a rule.
fn metrics_of(kind: &RuleKind) -> Vec<&Name> {
    match kind {
        RuleKind::Target(target) => vec![&target.metric],
        RuleKind::Band(band) => vec![&band.metric],
        RuleKind::Utilization(utilization) => vec![&utilization.metric],
        RuleKind::Step(step) => vec![&step.metric],
        RuleKind::Forecast(forecast) => vec![&forecast.metric],
        RuleKind::Expression(rule) => rule.expression.uses().metrics.iter().collect(),
        RuleKind::Follow(_) | RuleKind::Schedule(_) => Vec::new(),
    }
}

/// What a rule says while its metric is missing, if it has one.
fn on_missing_of(kind: &RuleKind) -> Option<OnMissing> {
    match kind {
        RuleKind::Target(target) => Some(target.on_missing),
        RuleKind::Band(band) => Some(band.on_missing),
        RuleKind::Utilization(utilization) => Some(utilization.on_missing),
        RuleKind::Step(step) => Some(step.on_missing),
        RuleKind::Expression(rule) => Some(rule.on_missing),
        RuleKind::Forecast(forecast) => Some(forecast.on_missing),
        RuleKind::Follow(_) | RuleKind::Schedule(_) => None,
    }
}

struct Found(Vec<Warning>);

impl Found {
    fn add(&mut self, code: WarningCode, pointer: &str, detail: String) {
        self.0.push(Warning { code, pointer: pointer.to_owned(), detail });
    }

    /// Between `n` and `n + 1` units a band adds the unit when the load exceeds `n × high`, and removes it when the load is
    /// below `(n + 1) × low` and `n` units suffice for it: there is a gap only if `(n + 1) × low` is below `n × high`. The
    /// gap is least where there are fewest units.
    fn check_band(&mut self, at: &str, band: &Band, policy: &Policy) {
        let fewest = f64::from(policy.min.units().max(1));
        let widest = band.high * fewest / (fewest + 1.0);
        // Half of `high` is what people write for a resource that goes down to one unit.
        if policy.max > policy.min && policy.max.units() > 1 && band.low > widest {
            let detail = format!(
                "From {fewest} to {} units there is no gap between adding a unit and removing it, so a load near {} keeps \
                 changing the capacity; low should be at most {}.",
                fewest + 1.0,
                number(band.high * fewest),
                number(widest)
            );
            self.add(WarningCode::BandWithoutGap, &format!("{at}/low"), detail);
        }
    }

    /// Prometheus admits any name since its version 3, but sources give others than these only to callers that ask for
    /// them. The gateway does not ask: the names that policies follow today would become others.
    fn check_names(&mut self, at: &str, source: &Source) {
        let Source::Scrape { metric, labels, .. } = source else { return };
        let is_common = |name: &str, colons: &[char]| {
            let fits = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || colons.contains(&letter);
            name.chars().all(fits) && !name.starts_with(|first: char| first.is_ascii_digit())
        };
        if !is_common(metric, &[':']) {
            let detail = "Sources give the gateway metrics of letters, digits, _ and : that do not begin with a digit.";
            self.add(WarningCode::UncommonName, &format!("{at}/source/metric"), detail.to_owned());
        }
        for label in labels.keys().filter(|label| !is_common(label, &[])) {
            let detail = "Sources give the gateway labels of letters, digits and _ that do not begin with a digit.";
            let pointer = child(&format!("{at}/source/labels"), label);
            self.add(WarningCode::UncommonName, &pointer, detail.to_owned());
        }
    }

    fn check_thresholds(&mut self, at: &str, step: &StepRule) {
        let above = step.steps.iter().filter_map(|step| match step.threshold {
            Threshold::Above(limit) => Some(limit),
            Threshold::Below(_) => None,
        });
        let below = step.steps.iter().filter_map(|step| match step.threshold {
            Threshold::Below(limit) => Some(limit),
            Threshold::Above(_) => None,
        });
        let (least, most) = (above.fold(f64::INFINITY, f64::min), below.fold(f64::NEG_INFINITY, f64::max));
        if least < most {
            let detail = format!(
                "A value between {} and {} is above one threshold and below another.",
                number(least),
                number(most)
            );
            self.add(WarningCode::ThresholdsOverlap, &format!("{at}/steps"), detail);
        }
    }

    /// Finds an expression that nothing but its own wish moves: what it adds, it adds again.
    fn check_expression(&mut self, at: &str, rule: &ExpressionRule) {
        let uses = rule.expression.uses();
        let variable = if uses.capacity { "capacity" } else { "target" };
        if uses.metrics.is_empty() && (uses.capacity || uses.target) {
            let detail = format!(
                "It uses {variable} without a metric: what it adds or removes, it adds or removes again each time."
            );
            self.add(WarningCode::ExpressionWithoutMetric, &format!("{at}/expression"), detail);
        }
    }

    fn check_window(&mut self, at: &str, window: &Window, policy: &Policy, now: Timestamp) {
        let is_once = matches!(window.when, When::Once(_));
        if window.when.is_over(now) {
            if is_once {
                self.add(WarningCode::WindowIsOver, at, "This window lies in the past.".to_owned());
            } else {
                let detail = "This window never occurs, at least not within ten years.".to_owned();
                self.add(WarningCode::WindowNeverOccurs, at, detail);
            }
        }
        // A window between two instants may be meant to lift what a recurring one asks for.
        let raises = window.min.is_some_and(|min| min > policy.min);
        let lowers = window.max.is_some_and(|max| max < policy.max);
        if !is_once && !raises && !lowers {
            let detail = "This window changes nothing: its bounds are those of the policy.".to_owned();
            self.add(WarningCode::WindowWithoutEffect, at, detail);
        }
    }

    fn check_fallback(&mut self, at: &str, kind: &RuleKind, policy: &Policy) {
        if let Some(OnMissing::Capacity { capacity, .. }) = on_missing_of(kind)
            && !(policy.min..=policy.max).contains(&capacity)
        {
            let detail =
                format!("A capacity of {capacity} lies outside of the policy's bounds and will not be reached.");
            self.add(WarningCode::FallbackOutsideBounds, &format!("{at}/onMissing/capacity"), detail);
        }
    }

    /// Finds windows of which one has a `min` above the other's `max` while both are open. Windows between two instants
    /// have precedence over those that recur, so only windows of one kind can contradict each other.
    fn check_contradictions(&mut self, policy: &Policy, now: Timestamp) {
        let windows: Vec<(usize, &Rule, &Window)> = policy
            .rules
            .iter()
            .enumerate()
            .filter_map(|(index, rule)| match &rule.kind {
                RuleKind::Schedule(window) => Some((index, rule, window)),
                _ => None,
            })
            .collect();
        let is_once = |window: &Window| matches!(window.when, When::Once(_));
        let contradict =
            |a: &Window, b: &Window| is_once(a) == is_once(b) && a.min.zip(b.max).is_some_and(|(min, max)| min > max);
        let is_concerned =
            |one: &Window| windows.iter().any(|(_, _, other)| contradict(one, other) || contradict(other, one));
        let rules: Vec<Rule> =
            windows.iter().filter(|(_, _, one)| is_concerned(one)).map(|(_, rule, _)| (*rule).clone()).collect();
        if rules.is_empty() {
            return;
        }
        let before = now - Duration::from_millis(1);
        let mut open: BTreeSet<Name> = windows
            .iter()
            .filter(|(_, _, window)| window.when.open_at(before).is_some())
            .map(|(_, rule, _)| rule.name.clone())
            .collect();
        let mut told = BTreeSet::new();
        let coming = transitions(&rules, now, now + HORIZON, MAX_TRANSITIONS);
        let moments = std::iter::once(None).chain(coming.into_iter().map(Some));
        for moment in moments {
            let when = match moment {
                None => "now".to_owned(),
                Some(transition) if transition.opens => {
                    open.insert(transition.rule.clone());
                    format!("at {}", transition.local)
                }
                Some(transition) => {
                    open.remove(&transition.rule);
                    continue;
                }
            };
            let is_open = |rule: &Rule| open.contains(&rule.name);
            for (index, one, a) in windows.iter().filter(|(_, rule, _)| is_open(rule)) {
                for (_, other, b) in windows.iter().filter(|(_, rule, _)| is_open(rule)) {
                    if contradict(a, b) && told.insert((one.name.clone(), other.name.clone())) {
                        let (min, max) = (a.min.unwrap_or(policy.min), b.max.unwrap_or(policy.max));
                        let detail = format!(
                            "Its min of {min} is above the max of {max} that {} has at the same time, for instance {when}; \
                             max wins.",
                            other.name
                        );
                        self.add(WarningCode::WindowsContradict, &format!("/rules/{index}/min"), detail);
                    }
                }
            }
        }
    }

    fn check_age(&mut self, at: &str, spec: &MetricSpec, cooldown: Duration) {
        let pointer = format!("{at}/maxAgeSeconds");
        if spec.source == Source::Push && spec.max_age < cooldown {
            let detail = format!(
                "A value that is pushed once is too old before the cooldown of {} s is over.",
                cooldown.as_secs_f64()
            );
            self.add(WarningCode::AgeShorterThanCooldown, &pointer, detail);
        }
        if spec.source != Source::Push && spec.max_age < spec.interval {
            let detail =
                "Every value is too old before the next one is asked for, so the metric is missing in between.";
            self.add(WarningCode::AgeShorterThanInterval, &pointer, detail.to_owned());
        }
    }

    /// Finds what the policy as a whole cannot reach.
    fn check_reach(&mut self, policy: &Policy, config: &ResourceConfig, cooldown: Duration) {
        let recommending: Vec<&RuleKind> =
            policy.rules.iter().map(|rule| &rule.kind).filter(|kind| !matches!(kind, RuleKind::Schedule(_))).collect();
        if policy.idle_after.is_some() {
            self.check_idle(&recommending, config);
        }
        if recommending.is_empty() {
            return;
        }
        if policy.min == policy.max && policy.idle_after.is_none() {
            let detail = "The bounds are equal, so no rule can change anything.".to_owned();
            self.add(WarningCode::BoundsLeaveNoRoom, "/max", detail);
        }
        let all_are_steps_that = |moves: fn(i32) -> bool| {
            recommending.iter().all(|kind| match kind {
                RuleKind::Step(step) => step.steps.iter().all(|step| moves(step.change)),
                _ => false,
            })
        };
        if all_are_steps_that(|change| change < 0) {
            self.add(WarningCode::NeverRises, "/rules", "No rule ever raises the capacity.".to_owned());
        }
        let all_are_forecasts = recommending.iter().all(|kind| matches!(kind, RuleKind::Forecast(_)));
        if all_are_steps_that(|change| change > 0) || all_are_forecasts {
            self.add(WarningCode::NeverFalls, "/rules", "No rule ever lowers the capacity.".to_owned());
        }
        let stabilization = policy.behavior.down.stabilization;
        if stabilization < cooldown {
            let detail = format!(
                "Capacity falls on the wishes of {} s, less than the cooldown of {} s: a short dip removes a unit that \
                 cannot be added again before the cooldown is over.",
                stabilization.as_secs_f64(),
                cooldown.as_secs_f64()
            );
            let pointer = "/behavior/down/stabilizationSeconds";
            self.add(WarningCode::StabilizationShorterThanCooldown, pointer, detail);
        }
    }

    fn check_idle(&mut self, recommending: &[&RuleKind], config: &ResourceConfig) {
        // The wish of such a rule is its offset at least.
        let always_wants = |kind: &&RuleKind| matches!(kind, RuleKind::Follow(follow) if follow.offset > 0);
        let why = if recommending.is_empty() {
            "there is no rule that could say that nothing is needed"
        } else if recommending.iter().any(always_wants) {
            "a rule of type follow always wants its offset"
        } else if config.bounds.min.units() > 0 {
            "the operator has set a min above 0"
        } else {
            return;
        };
        self.add(WarningCode::IdleCannotHappen, "/idle", format!("The resource never becomes idle: {why}."));
    }
}
