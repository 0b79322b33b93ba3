//! What a policy remembers from one decision to the next.
//!
//! All of it is durable, so that the decision after a restart is the one that would have been taken without it. As JSON it
//! takes at most 32 KiB: 16 of wishes and moves, 300 bytes for each of 32 rules, 200 for each of 16 metrics, and little
//! else. It never holds what can be read from its inputs.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::capacity::{Capacity, Op};
use super::super::forecast::Trust;
use super::super::job::ErrorCode;
use super::super::time::Timestamp;
use super::behavior::BehaviorMemory;
use super::document::{MetricSpec, Mode, Policy};
use super::metric::{MetricState, Missing, Series};
use super::name::Name;
use super::rules::RuleMemory;

/// The first pause after a failed job.
const FIRST_PAUSE: Duration = Duration::from_mins(1);
/// The longest pause: a platform without quota has it back an hour later at most.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);
/// How long a refused capacity is a limit: as long as the longest pause.
const REFUSED_FOR: Duration = LONGEST_PAUSE;
/// How long a person's cancel keeps a policy from a direction: time to find out what is wrong, and to make a hold.
pub(super) const AFTER_CANCEL: Duration = Duration::from_mins(15);

/// The memory of a policy. See the module for its size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PolicyState {
    pub(super) behavior: BehaviorMemory,
    pub(super) rules: BTreeMap<Name, RuleMemory>,
    pub(super) metrics: BTreeMap<Name, MetricMemory>,
    /// Since when every opinion has been 0.
    pub(super) idle_since: Option<Timestamp>,
    /// The extra units of claims in the target, or in the capacity if there is no job.
    pub(super) extra: u32,
    /// Whether the next decision enters what there is as a wish.
    pub(super) enters_present: bool,
    pub(super) up: DirectionMemory,
    pub(super) down: DirectionMemory,
    /// Whether there was a hold.
    pub(super) was_held: bool,
    /// Whether a job of a caller was unfinished.
    pub(super) had_others_job: bool,
    /// Whether there was a job of the policy after the last decision: what it did to the capacity is no surprise.
    #[serde(default)]
    pub(super) had_own_job: bool,
    pub(super) seen: Option<SeenCapacity>,
}

/// The capacity of the last decision.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SeenCapacity {
    pub capacity: Capacity,
    /// The observation that first showed it in place of another one.
    pub since: Option<Timestamp>,
}

/// What keeps a policy from one direction.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct DirectionMemory {
    pub back_off: Option<BackOff>,
    pub canceled_until: Option<Timestamp>,
    #[serde(default)]
    pub refused: Option<Refused>,
}

/// Failed jobs since the last success, and the pause after them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct BackOff {
    pub failures: u32,
    pub code: ErrorCode,
    pub until: Timestamp,
}

/// A capacity that the platform refused: a limit for longer than the pause, or each attempt would be refused again and what is
/// free below it would never be used.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Refused {
    pub capacity: Capacity,
    pub until: Timestamp,
}

/// What is remembered of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct MetricMemory {
    waiting_since: Timestamp,
    /// Since when and why the newest value does not count: a restart brings back the value, not the failure after it.
    refuted: Option<(Timestamp, Missing)>,
}

impl MetricMemory {
    pub fn state(&self, series: &Series, spec: &MetricSpec, now: Timestamp) -> MetricState {
        match (self.refuted, series.newest()) {
            (Some((since, reason)), Some(last)) => {
                MetricState::Missing { reason, last: Some(last), since: Some(since) }
            }
            _ => series.state(spec, self.waiting_since, now),
        }
    }

    /// Takes in what the series knows of failures; a value after a failure ends it.
    fn update(&mut self, series: &Series) {
        let still = self.refuted.filter(|(since, _)| series.newest().is_none_or(|newest| newest.at < *since));
        self.refuted = series
            .refuted()
            .map(|(since, reason)| (still.map_or(since, |(first, _)| first.min(since)), reason))
            .or(still);
    }
}

/// How a job of the policy ended, as far as the policy has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobEnd {
    /// It reached its target.
    Succeeded,
    /// It failed.
    Failed {
        /// Why.
        code: ErrorCode,
        /// The capacity that the platform refused, if it did.
        refused: Option<Capacity>,
    },
    /// A person canceled it.
    CanceledByPerson,
    /// The policy or a hold ended it, or a job of a caller took its place.
    Replaced,
}

impl Default for PolicyState {
    fn default() -> Self {
        Self::new()
    }
}

impl PolicyState {
    /// The memory of a new policy: what there is counts as its first wish.
    pub fn new() -> Self {
        Self {
            behavior: BehaviorMemory::default(),
            rules: BTreeMap::new(),
            metrics: BTreeMap::new(),
            idle_since: None,
            extra: 0,
            enters_present: true,
            up: DirectionMemory::default(),
            down: DirectionMemory::default(),
            was_held: false,
            had_others_job: false,
            had_own_job: false,
            seen: None,
        }
    }

    /// The memory of `new`, which replaces `old`: wishes stay, rules that are the same keep what they remember, and pauses
    /// after failures end. A policy that did not act before begins with what there is.
    #[must_use]
    pub fn adapt(&self, old: &Policy, new: &Policy) -> Self {
        let mut state = self.clone();
        let same_rule = |name: &Name| {
            let find = |policy: &Policy| policy.rules.iter().find(|rule| rule.name == *name).cloned();
            find(old) == find(new)
        };
        state.rules.retain(|name, _| same_rule(name));
        let same_source = |name: &Name| {
            old.metrics.get(name).map(|spec| &spec.source) == new.metrics.get(name).map(|spec| &spec.source)
        };
        state.metrics.retain(|name, _| same_source(name));
        for direction in [&mut state.up, &mut state.down] {
            (direction.back_off, direction.refused) = (None, None);
        }
        if old.mode != Mode::Active && new.mode == Mode::Active {
            state.enters_present = true;
        }
        state
    }

    /// A job of the policy ended. `op` is the direction in which it was to go.
    pub fn on_job_ended(&mut self, op: Op, end: JobEnd, now: Timestamp) {
        let direction = self.direction_mut(op);
        match end {
            JobEnd::Succeeded => direction.back_off = None,
            JobEnd::Failed { code, refused } => {
                let failures = direction.back_off.as_ref().map_or(0, |before| before.failures).saturating_add(1);
                let refused = refused.filter(|_| code == ErrorCode::SidecarRejected);
                direction.back_off = Some(BackOff { failures, code, until: now + pause_after(failures) });
                let refused = refused.map(|capacity| Refused { capacity, until: now + REFUSED_FOR });
                direction.refused = refused.or(direction.refused);
            }
            JobEnd::CanceledByPerson => direction.canceled_until = Some(now + AFTER_CANCEL),
            JobEnd::Replaced => {}
        }
    }

    /// Carries it over to a clock that shows `there` when the one so far shows `here`: how long ago everything was, and how
    /// long every pause lasts, stays the same.
    pub fn carry_over(&mut self, here: Timestamp, there: Timestamp) {
        let mut carry_over = |at: &mut Timestamp| *at = at.on_another_clock(here, there);
        self.change_past(&mut carry_over);
        for direction in [&mut self.up, &mut self.down] {
            direction.back_off.iter_mut().map(|pause| &mut pause.until).for_each(&mut carry_over);
            direction.canceled_until.iter_mut().for_each(&mut carry_over);
            direction.refused.iter_mut().map(|refused| &mut refused.until).for_each(&mut carry_over);
        }
    }

    /// Cuts back what lies in the future because the clock was set backwards while it was not watched: it counts as if it
    /// had been at `now`, and no pause is longer than it can be.
    pub fn rebase(&mut self, now: Timestamp) {
        self.change_past(&mut |at| *at = (*at).min(now));
        for direction in [&mut self.up, &mut self.down] {
            if let Some(pause) = &mut direction.back_off {
                pause.until = pause.until.min(now + pause_after(pause.failures));
            }
            direction.canceled_until = direction.canceled_until.map(|until| until.min(now + AFTER_CANCEL));
            if let Some(refused) = &mut direction.refused {
                refused.until = refused.until.min(now + REFUSED_FOR);
            }
        }
    }

    /// Applies `change` to each point in time at which something happened.
    fn change_past(&mut self, change: &mut impl FnMut(&mut Timestamp)) {
        self.behavior.change_times(change);
        self.rules.values_mut().for_each(|rule| rule.change_times(change));
        for metric in self.metrics.values_mut() {
            change(&mut metric.waiting_since);
            metric.refuted.iter_mut().for_each(|(since, _)| change(since));
        }
        self.idle_since.iter_mut().for_each(&mut *change);
        self.seen.iter_mut().filter_map(|seen| seen.since.as_mut()).for_each(change);
    }

    /// Another program changed the capacity: the new capacity counts as a wish.
    pub fn on_external_change(&mut self) {
        self.enters_present = true;
    }

    /// How far a `forecast` rule is trusted, if it ever expected anything.
    pub(super) fn trust_in(&self, rule: &Name) -> Option<&Trust> {
        self.rules.get(rule)?.forecast.as_ref().map(|memory| &memory.trust)
    }

    /// Up to when the pattern of a `forecast` rule was learned, as far as it was used.
    pub(super) fn learned_through(&self, rule: &Name) -> Option<Timestamp> {
        self.rules.get(rule)?.forecast.as_ref()?.through
    }

    pub(super) fn direction(&self, op: Op) -> &DirectionMemory {
        match op {
            Op::Add => &self.up,
            Op::Remove => &self.down,
        }
    }

    fn direction_mut(&mut self, op: Op) -> &mut DirectionMemory {
        match op {
            Op::Add => &mut self.up,
            Op::Remove => &mut self.down,
        }
    }

    /// Forgets metrics and rules that the policy does not have, and takes in what the series know.
    pub(super) fn follow_metrics(&mut self, policy: &Policy, metrics: &BTreeMap<Name, Series>, now: Timestamp) {
        self.metrics.retain(|name, _| policy.metrics.contains_key(name));
        self.rules.retain(|name, _| policy.rules.iter().any(|rule| rule.name == *name));
        for name in policy.metrics.keys() {
            let memory = self.metrics.entry(name.clone());
            let memory = memory.or_insert(MetricMemory { waiting_since: now, refuted: None });
            if let Some(series) = metrics.get(name) {
                memory.update(series);
            }
        }
    }

    /// Notes since when the capacity has been what it is. One that changed without a job is another program's doing.
    pub(super) fn see_capacity(&mut self, capacity: Capacity, observed_at: Timestamp, has_job: bool) {
        let is_another = self.seen.is_some_and(|seen| seen.capacity != capacity);
        if is_another && !self.had_own_job && !self.had_others_job && !has_job {
            self.on_external_change();
        }
        self.seen = Some(match self.seen {
            Some(seen) if seen.capacity == capacity => seen,
            Some(_) => SeenCapacity { capacity, since: Some(observed_at) },
            None => SeenCapacity { capacity, since: None },
        });
    }

    /// The end of a hold and of a caller's job make what there is a wish.
    pub(super) fn see_others(&mut self, is_held: bool, has_others_job: bool) {
        if (self.was_held && !is_held) || (self.had_others_job && !has_others_job) {
            self.enters_present = true;
        }
        self.was_held = is_held;
        self.had_others_job = has_others_job;
    }
}

fn pause_after(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE)
}
