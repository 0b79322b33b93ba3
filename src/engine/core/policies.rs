//! What stands about the resources of adopted lanes besides their jobs: holds, claims and policies, with what each policy
//! decides on and when it decides anew.
//!
//! It must never change capacity by itself: what a policy decides becomes a job, in the lane of the resource, and in the
//! same unit as the decision and the policy's state. What changes nothing is written with the samples it rests on, once a
//! second, so that a restart begins with what was decided on.
//!
//! Rejected: a task for each policy, because what it waits for could be neither seen nor stored nor simulated.

mod alerts;
mod changes;
mod circles;
mod deciding;
mod demands;
mod following;
mod forecasting;
mod keyed_claims;
mod predictions;
mod recording;
mod samples;
#[cfg(test)]
mod tests;
mod views;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use alerts::ResolvedAlerts;
use recording::Unwritten;
use serde::{Deserialize, Serialize};

use crate::domain::policy::{
    Claim, ClaimId, Condition, Decision, Foreseen, Hold, MetricSpec, Name, Policy, PolicyState, Series, Source,
    TOGETHER, Trigger,
};
use crate::domain::{Action, Alias, AuditVerdict, Timestamp};
use crate::engine::policy_requests::PolicyAnswer;
use crate::policy::Problem;
use crate::store::{PolicyChange, PolicyState as StoredState, PolicyWrite, Revision};

/// The time over which the first readings of adopted resources are spread: a thousand of them are one in two milliseconds.
const FIRST_READINGS: Duration = Duration::from_secs(2);

/// What stands about one resource besides its jobs.
#[derive(Default)]
pub(super) struct Standing {
    pub hold: Option<Hold>,
    pub claims: Vec<Claim>,
    pub resolved: ResolvedAlerts,
    pub in_force: Option<InForce>,
    /// The number of the last revision, also if that was the end of the policy.
    pub last_revision: u64,
}

impl Standing {
    /// Whether anything stands.
    fn stands(&self) -> bool {
        self.hold.is_some() || !self.claims.is_empty() || self.in_force.is_some()
    }

    /// When it is to be attended to next.
    fn due_at(&self) -> Option<Timestamp> {
        let policy = self.in_force.as_ref().and_then(InForce::due_at);
        // The end of a hold is written down, and that of a claim.
        let ends = self.hold.iter().map(|hold| hold.until).chain(self.claims.iter().map(|claim| claim.until));
        ends.chain(policy).min()
    }
}

/// What a change that a caller asked for comes to.
struct Change {
    writes: Vec<PolicyWrite>,
    action: Action,
    verdict: AuditVerdict,
    answer: PolicyAnswer,
    trigger: Option<Trigger>,
}

/// A policy in force.
pub(super) struct InForce {
    pub revision: Revision,
    pub policy: Arc<Policy>,
    pub is_in_file: bool,
    pub state: PolicyState,
    pub series: BTreeMap<Name, Series>,
    /// What its metrics are expected to be.
    pub foreseen: Foreseen,
    /// The rules whose patterns are being learned, and when that is asked for again if no answer came.
    pub lessons: BTreeMap<Name, Timestamp>,
    /// Its last decision.
    pub decision: Option<Decision>,
    /// The claims that counted in that decision.
    pub decided_claims: Vec<ClaimId>,
    pub conditions: Vec<Condition>,
    /// The sources that are not asked, and why.
    pub refused_sources: Vec<Problem>,
    /// When the last change of the resource took effect, as far as this process knows.
    pub last_effect_at: Option<Timestamp>,
    /// What it is to decide for, if there is anything.
    pub trigger: Option<Trigger>,
    pub decided_at: Option<Timestamp>,
    /// When time alone can change the decision.
    pub wake_at: Option<Timestamp>,
    /// When the resource is read next, unless a job reads it.
    pub read_at: Timestamp,
    unwritten: Unwritten,
}

impl InForce {
    /// A policy that comes into force, and decides at once.
    fn new(revision: Revision, policy: Arc<Policy>, is_in_file: bool, read_at: Timestamp) -> Self {
        Self {
            revision,
            policy,
            is_in_file,
            state: PolicyState::new(),
            series: BTreeMap::new(),
            foreseen: Foreseen::default(),
            lessons: BTreeMap::new(),
            decision: None,
            decided_claims: Vec::new(),
            conditions: Vec::new(),
            refused_sources: Vec::new(),
            last_effect_at: None,
            trigger: None,
            decided_at: None,
            wake_at: None,
            read_at,
            unwritten: Unwritten::default(),
        }
    }

    fn due_at(&self) -> Option<Timestamp> {
        self.decides_at().into_iter().chain([self.read_at]).min()
    }

    /// What it remembers, as it is stored.
    fn stored_state(&self) -> StoredState {
        let at = self.decided_at.unwrap_or(self.revision.at);
        // A state has no maps with keys that are not texts, and no numbers that are not finite.
        StoredState { at, text: serde_json::to_string(&Dated { at, state: &self.state }).unwrap_or_default() }
    }

    /// Takes over what was stored, by the clock that it is stored by now.
    fn take_over_state(&mut self, stored: &StoredState, now: Timestamp) {
        let Ok(Dated { at, mut state }) = serde_json::from_str::<Dated<PolicyState>>(&stored.text) else { return };
        state.carry_over(at, stored.at);
        state.rebase(now);
        self.state = state;
    }
}

/// A state and the time beside which it was stored. The store moves that time with its clock, but not this one, which tells by
/// how much.
#[derive(Serialize, Deserialize)]
struct Dated<S> {
    at: Timestamp,
    state: S,
}

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Standings {
    all: BTreeMap<Alias, Standing>,
    timers: BTreeSet<(Timestamp, Alias)>,
    /// What the timers have for each resource.
    set: BTreeMap<Alias, Timestamp>,
    /// The resources of which something is to be written, and when.
    unwritten: BTreeSet<Alias>,
    write_at: Option<Timestamp>,
    /// Whether what was handed over last is still on its way to the disk.
    is_recording: bool,
}

impl Standings {
    pub fn get(&self, resource: &Alias) -> Option<&Standing> {
        self.all.get(resource)
    }

    pub fn in_force(&self, resource: &Alias) -> Option<&InForce> {
        self.all.get(resource).and_then(|standing| standing.in_force.as_ref())
    }

    fn in_force_mut(&mut self, resource: &Alias) -> Option<&mut InForce> {
        self.all.get_mut(resource).and_then(|standing| standing.in_force.as_mut())
    }

    /// Changes what stands about `resource`, and sets its timer.
    fn change<T>(&mut self, resource: &Alias, change: impl FnOnce(&mut Standing) -> T) -> T {
        let changed = change(self.all.entry(resource.clone()).or_default());
        self.set_timer(resource);
        changed
    }

    /// Whether anything stands about `resource`, so that its lane has to stay.
    pub fn stands(&self, resource: &Alias) -> bool {
        self.all.get(resource).is_some_and(Standing::stands)
    }

    /// The resources that have a policy, by name: those that come after `after`.
    pub fn with_policies(&self, after: Option<&Alias>) -> impl Iterator<Item = (&Alias, &InForce)> {
        let from = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let all = self.all.range::<Alias, _>(from);
        all.filter_map(|(resource, standing)| Some((resource, standing.in_force.as_ref()?)))
    }

    /// The resources whose policies follow `resource`.
    pub fn followers_of<'a>(&'a self, resource: &'a Alias) -> impl Iterator<Item = &'a Alias> {
        let all = self.all.iter();
        let follows = move |standing: &Standing| {
            standing.in_force.as_ref().is_some_and(|in_force| deciding::follows(&in_force.policy, resource))
        };
        all.filter(move |(_, standing)| follows(standing)).map(|(follower, _)| follower)
    }

    /// Forgets what stands about `resource`: its lane does not belong to this process any more.
    pub fn remove(&mut self, resource: &Alias) {
        self.all.remove(resource);
        self.unwritten.remove(resource);
        self.set_timer(resource);
    }

    fn set_timer(&mut self, resource: &Alias) {
        let wanted = self.all.get(resource).and_then(Standing::due_at);
        if self.set.get(resource).copied() == wanted {
            return;
        }
        if let Some(before) = self.set.remove(resource) {
            self.timers.remove(&(before, resource.clone()));
        }
        if let Some(at) = wanted {
            self.timers.insert((at, resource.clone()));
            self.set.insert(resource.clone(), at);
        }
    }

    /// When there is something to do next.
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _)| *at).into_iter().chain(self.writes_at()).min()
    }

    /// When what is unwritten is handed over, unless that has to wait for what was handed over before.
    fn writes_at(&self) -> Option<Timestamp> {
        self.write_at.filter(|_| !self.is_recording)
    }

    /// A resource to be attended to by `now`; its timer is gone then.
    fn take_due(&mut self, now: Timestamp) -> Option<Alias> {
        self.timers.first().filter(|(at, _)| *at <= now)?;
        let (_, resource) = self.timers.pop_first()?;
        self.set.remove(&resource);
        Some(resource)
    }

    /// Has the policy of `resource` decide anew, for `trigger`.
    pub fn trigger(&mut self, resource: &Alias, trigger: Trigger) {
        if let Some(in_force) = self.in_force_mut(resource) {
            in_force.trigger = Some(in_force.trigger.map_or(trigger, |earlier| earlier.with(trigger)));
            self.set_timer(resource);
        }
    }

    /// Has the policy of `resource` decide anew for a reading, at once if it is the first one: without one, nothing was decided
    /// that this would come too soon after.
    fn decide_for_reading(&mut self, resource: &Alias, is_first: bool) {
        if let Some(in_force) = self.in_force_mut(resource).filter(|_| is_first) {
            in_force.decided_at = None;
        }
        self.trigger(resource, Trigger::Reading);
    }

    /// Notes that something about `resource` is to be written within a second.
    fn write_soon(&mut self, resource: &Alias, now: Timestamp) {
        self.unwritten.insert(resource.clone());
        self.write_at.get_or_insert(now + TOGETHER);
    }
}

/// When `resource` is read for the first time after its lane was adopted at `now`: soon, since nothing is decided before, and
/// with many resources not all at once.
fn first_reading(resource: &Alias, now: Timestamp) -> Timestamp {
    let place = crc32fast::hash(resource.as_str().as_bytes());
    now + FIRST_READINGS.mul_f64(f64::from(place) / f64::from(u32::MAX))
}

/// The metrics that are pulled: those of sources that have no problem.
fn pulled(policy: &Policy, problems: &[Problem]) -> BTreeMap<Name, MetricSpec> {
    let is_refused = |name: &Name| {
        let place = format!("/metrics/{name}/");
        problems.iter().any(|problem| problem.pointer.starts_with(&place))
    };
    let pulled = policy.metrics.iter().filter(|(name, spec)| spec.source != Source::Push && !is_refused(name));
    pulled.map(|(name, spec)| (name.clone(), spec.clone())).collect()
}

/// Those of `series`, which were kept for `before`, that `policy` has from the same sources.
fn metrics_of(series: &BTreeMap<Name, Series>, policy: &Policy, before: &Policy) -> BTreeMap<Name, Series> {
    let source = |policy: &Policy, name: &Name| policy.metrics.get(name).map(|metric| metric.source.clone());
    let is_same = |name: &Name| source(policy, name).is_some() && source(policy, name) == source(before, name);
    series.iter().filter(|(name, _)| is_same(name)).map(|(name, series)| (name.clone(), series.clone())).collect()
}

fn changes_of(resource: &Alias, writes: Vec<PolicyWrite>) -> Vec<PolicyChange> {
    writes.into_iter().map(|write| PolicyChange { resource: resource.clone(), write }).collect()
}
