//! The document as a whole.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::document::Document;
use super::fields::{Fields, Place};
use super::metrics;
use super::problem::{Problem, Problems};
use super::rules::{self, Surroundings};
use super::scalars::{between, capacity, choice, duration, seconds_by, units, whole};
use crate::domain::policy::{Behavior, Mode, Policy, RuleKind, Smoothing};
use crate::domain::{MAX_WAIT, SettingsOverrides, seconds};

/// What an answer adds to a document. It is accepted in a document and ignored, so that an answer can be sent back.
pub const READ_ONLY: [&str; 7] = ["resource", "revision", "summary", "warnings", "createdAt", "updatedAt", "updatedBy"];

/// Longest stabilisation.
const MAX_STABILIZATION: Duration = Duration::from_hours(1);
/// Longest time that a limit of rises or falls, or the wait before idle, is about.
const MAX_PERIOD: Duration = Duration::from_hours(24);
/// Largest share of what there is that a rise may be limited to: from one unit to the most there can be.
const MAX_PERCENT: f64 = 100_000_000.0;

impl Document {
    /// The policy that it describes.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn policy(&self) -> Result<Policy, Vec<Problem>> {
        let mut problems = Problems::from(self.problems.clone());
        let policy = policy(&Place { value: &self.value, at: String::new() }, &mut problems);
        match (policy, problems.into_all()) {
            (Some(policy), problems) if problems.is_empty() => Ok(policy),
            (_, problems) => Err(problems),
        }
    }
}

fn policy(place: &Place, problems: &mut Problems) -> Option<Policy> {
    let mut fields = Fields::of(place, problems)?;
    for name in READ_ONLY {
        fields.given(name);
    }
    let mode = fields.or("mode", Mode::default(), choice);
    let min = fields.required("min", capacity);
    let max = fields.required("max", capacity);
    let bounds = min.zip(max);
    if let Some((min, max)) = bounds
        && min > max
    {
        fields.refuse("max", format!("must be at least min, which is {min}"));
    }
    let metrics = match fields.given("metrics") {
        Some(place) => metrics::read(&place, fields.problems),
        None => Some(BTreeMap::new()),
    };
    let surroundings = Surroundings {
        bounds: bounds.filter(|(min, max)| min <= max),
        metrics: metrics
            .as_ref()
            .map(|metrics| metrics.iter().map(|(name, declared)| (name.clone(), declared.allow_negative)).collect()),
    };
    let rules = fields.needed("rules").and_then(|place| rules::read(&place, &surroundings, fields.problems));
    let behavior = match fields.given("behavior") {
        Some(place) => behavior(&place, fields.problems),
        None => Some(Behavior::DEFAULT),
    };
    let idle_after = match fields.given("idle") {
        Some(place) => idle(&place, fields.problems).map(Some),
        None => Some(None),
    };
    let job = match fields.given("job") {
        Some(place) => job(&place, fields.problems),
        None => Some((SettingsOverrides::default(), Policy::DEFAULT_EXPECTED_CHANGE)),
    };
    fields.end();
    let metrics = metrics?.into_iter().map(|(name, declared)| declared.spec.map(|spec| (name, spec)));
    let (job, expected_change) = job?;
    let policy = Policy {
        mode: mode?,
        min: min?,
        max: max?,
        metrics: metrics.collect::<Option<_>>()?,
        rules: rules?.into_iter().collect::<Option<_>>()?,
        behavior: behavior?,
        idle_after: idle_after?,
        job,
        expected_change,
    };
    check_ways_from_zero(&policy, problems);
    Some(policy)
}

/// `utilization` and `step` have no opinion at capacity 0, so a policy with nothing else would never leave it.
fn check_ways_from_zero(policy: &Policy, problems: &mut Problems) {
    let is_stuck = |kind: &RuleKind| matches!(kind, RuleKind::Utilization(_) | RuleKind::Step(_));
    let recommending: Vec<usize> = policy
        .rules
        .iter()
        .enumerate()
        .filter(|(_, rule)| !matches!(rule.kind, RuleKind::Schedule(_)))
        .map(|(index, _)| index)
        .collect();
    if recommending.is_empty() || !recommending.iter().all(|index| is_stuck(&policy.rules[*index].kind)) {
        return;
    }
    let why = "utilization and step have no opinion at capacity 0, so the resource would never leave it";
    if policy.min.units() == 0 {
        for index in recommending {
            problems.add(format!("/rules/{index}"), format!("may not be alone with a min of 0: {why}"));
        }
    } else if policy.idle_after.is_some() {
        problems.add("/idle", format!("needs a rule of another type: {why}"));
    }
}

fn behavior(place: &Place, problems: &mut Problems) -> Option<Behavior> {
    let mut fields = Fields::of(place, problems)?;
    let up = side(&mut fields, "up", Behavior::DEFAULT.up);
    let down = side(&mut fields, "down", Behavior::DEFAULT.down);
    fields.end();
    Some(Behavior { up: up?, down: down? })
}

fn side(fields: &mut Fields, name: &'static str, default: Smoothing) -> Option<Smoothing> {
    match fields.given(name) {
        Some(place) => smoothing(&place, default, fields.problems),
        None => Some(default),
    }
}

fn smoothing(place: &Place, default: Smoothing, problems: &mut Problems) -> Option<Smoothing> {
    const PERIOD: &str = "periodSeconds";
    let mut fields = Fields::of(place, problems)?;
    let stabilization =
        fields.or("stabilizationSeconds", default.stabilization, duration(Duration::ZERO, MAX_STABILIZATION));
    let max_units = fields.optional("maxUnits", units);
    let max_percent = fields.optional("maxPercent", between(0.0, MAX_PERCENT));
    let is_limited = fields.has("maxUnits") || fields.has("maxPercent");
    let period = fields.optional(PERIOD, duration(Duration::from_secs(1), MAX_PERIOD));
    match (is_limited, fields.has(PERIOD)) {
        (true, false) => fields.refuse(PERIOD, "is required with maxUnits or maxPercent"),
        (false, true) => fields.refuse(PERIOD, "needs maxUnits or maxPercent: without them nothing is limited"),
        _ => {}
    }
    fields.end();
    Some(Smoothing {
        stabilization: stabilization?,
        max_units: max_units?,
        max_percent: max_percent?,
        period: period?.unwrap_or_default(),
    })
}

fn idle(place: &Place, problems: &mut Problems) -> Option<Duration> {
    let mut fields = Fields::of(place, problems)?;
    let after = fields.required("afterSeconds", duration(Duration::ZERO, MAX_PERIOD));
    fields.end();
    after
}

/// The settings of jobs, checked by their own ranges, and how long a change is expected to take.
fn job(place: &Place, problems: &mut Problems) -> Option<(SettingsOverrides, Duration)> {
    let mut fields = Fields::of(place, problems)?;
    let expected =
        fields.or("expectedChangeSeconds", Policy::DEFAULT_EXPECTED_CHANGE, duration(Duration::ZERO, MAX_WAIT));
    let exact = overrides(&mut fields, seconds::unrounded);
    for invalid in exact.iter().flat_map(SettingsOverrides::problems) {
        fields.refuse(&invalid.setting.field(), invalid.detail);
    }
    let rounded = overrides(&mut fields, seconds::rounded);
    for name in ["targetCapacity", "delta", "onConflict", "reason", "labels"] {
        fields.forbid(name, "belongs into a job that a caller submits; here are the settings of the policy's jobs");
    }
    fields.end();
    Some((rounded?, expected?))
}

fn overrides(fields: &mut Fields, read: fn(f64) -> Duration) -> Option<SettingsOverrides> {
    // What does not fit is outside of the range in any case.
    let step_size = |value: &Value| {
        let units = whole(i64::MIN, i64::MAX)(value)?;
        Ok(u32::try_from(units).unwrap_or(0))
    };
    let step_size = fields.optional("stepSize", step_size);
    let cooldown = fields.optional("cooldownSeconds", seconds_by(read));
    let active_timeout = fields.optional("activeTimeoutSeconds", seconds_by(read));
    let poll_interval = fields.optional("pollIntervalSeconds", seconds_by(read));
    let settle = fields.optional("settleSeconds", seconds_by(read));
    let deadline = fields.optional("deadlineSeconds", seconds_by(read));
    Some(SettingsOverrides {
        step_size: step_size?,
        cooldown: cooldown?,
        active_timeout: active_timeout?,
        poll_interval: poll_interval?,
        settle: settle?,
        deadline: deadline?,
    })
}
