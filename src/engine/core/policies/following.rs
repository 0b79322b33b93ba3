//! What policies learn from the jobs and readings of their resources, and how they come and go with their lanes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::{Core, Effect};
use super::deciding::own_job;
use super::{InForce, Standing, StoredState, changes_of, first_reading, pulled};
use crate::domain::forecast::Prediction;
use crate::domain::policy::{JobEnd, Name, NoValue, Policy, Sample, Series, TOGETHER, Trigger, direction_of};
use crate::domain::{Actor, Alias, Ending, ErrorCode, HistoryEntry, Job, ResourceEvent, StepOutcome, Timestamp};
use crate::policy::{Document, Problem};
use crate::sources::problems_of;
use crate::store::{PolicyChange, PolicyRecord, PolicyWrite, Revision, Unit};

impl Core {
    /// What the policy of `resource` has to remember of these versions of jobs, and of what has just happened.
    pub(in crate::engine::core) fn follow_jobs(
        &mut self,
        resource: &Alias,
        jobs: &[Arc<Job>],
        history: &[HistoryEntry],
        now: Timestamp,
    ) -> Vec<PolicyChange> {
        if history.iter().any(|entry| matches!(entry.what, ResourceEvent::JobAccepted { .. })) {
            self.trigger_followers(resource);
        }
        let Some(in_force) = self.standings.in_force_mut(resource) else { return Vec::new() };
        let capacity = in_force.last_capacity();
        let mut is_changed = false;
        for job in jobs.iter().filter(|job| job.is_of_policy()) {
            if let Some(end) = job.ended().and_then(|ending| end_of(job, ending)) {
                in_force.state.on_job_ended(direction_of(job, capacity), end, now);
                is_changed = true;
            }
        }
        for entry in history {
            match entry.what {
                ResourceEvent::ChangeResolved { outcome: StepOutcome::Confirmed, .. } => {
                    in_force.last_effect_at = Some(entry.at);
                }
                ResourceEvent::ExternalChange { .. } => {
                    in_force.state.on_external_change();
                    is_changed = true;
                }
                _ => {}
            }
        }
        let is_news = |what: &ResourceEvent| {
            matches!(
                what,
                ResourceEvent::JobAccepted { .. }
                    | ResourceEvent::JobEnded { .. }
                    | ResourceEvent::ExternalChange { .. }
            )
        };
        let changes = if is_changed {
            in_force.unwritten.state = false;
            changes_of(resource, vec![PolicyWrite::State(in_force.stored_state())])
        } else {
            Vec::new()
        };
        if history.iter().any(|entry| is_news(&entry.what)) {
            self.standings.trigger(resource, Trigger::Job);
        }
        changes
    }

    /// A metric of `resource` that is pulled was asked for at `at`, with this result.
    pub fn on_metric(
        &mut self,
        resource: &Alias,
        name: &Name,
        at: Timestamp,
        result: Result<f64, NoValue>,
        now: Timestamp,
    ) {
        let Some(in_force) = self.standings.in_force_mut(resource) else { return };
        if !in_force.policy.metrics.contains_key(name) {
            return;
        }
        match result {
            Ok(value) => drop(in_force.take_in(name, vec![Sample { at, value }])),
            Err(no_value) => in_force.series.entry(name.clone()).or_default().fail(at, no_value),
        }
        self.standings.write_soon(resource, now);
        self.standings.trigger(resource, Trigger::Metric);
    }

    /// Takes over what stands about `resource` with its lane: the policy in the configuration file, or else the stored one.
    /// The revision that ends the stored one, or the one that is no longer in the file, is to be committed.
    pub(in crate::engine::core) fn adopt_standing(
        &mut self,
        resource: &Alias,
        record: PolicyRecord,
        now: Timestamp,
    ) -> Option<Revision> {
        let is_stored = record.revision.as_ref().is_some_and(|revision| revision.document.is_some());
        let in_file = self.scaling.policies.get(resource).map(Arc::clone);
        // A policy in the file leaves a state without a revision.
        let is_over = if in_file.is_some() { is_stored } else { !is_stored && record.state.is_some() };
        let last = record.revision.as_ref().map_or(0, |revision| revision.number);
        let end = Revision { number: last + 1, at: now, by: Some(Actor::Operator), document: None };
        let (record, end) = if is_over {
            (PolicyRecord { revision: Some(end.clone()), hold: record.hold, ..PolicyRecord::default() }, Some(end))
        } else {
            (record, None)
        };
        match in_file {
            Some(policy) => self.adopt_from_file(resource, policy, record, now),
            None => self.adopt_stored(resource, record, now),
        }
        self.tell_of_circle(resource);
        end
    }

    /// Tells of the circle in which resources follow each other through `resource`, and has their policies decide anew. Callers
    /// cannot make one, but the file can.
    fn tell_of_circle(&mut self, resource: &Alias) {
        let in_force = self.standings.in_force(resource);
        let Some(circle) = in_force.and_then(|in_force| self.circle(resource, &in_force.policy)) else { return };
        circle.iter().for_each(|member| self.standings.trigger(member, Trigger::Followed));
        self.effects.push(Effect::FollowInCircle(circle));
    }

    fn adopt_from_file(&mut self, resource: &Alias, policy: Arc<Policy>, record: PolicyRecord, now: Timestamp) {
        let PolicyRecord { revision, state, claims, hold, samples, predictions, last_decision } = record;
        let last_revision = revision.as_ref().map_or(0, |revision| revision.number);
        let refused_sources = self.watch(resource, &policy, true);
        let revision = Revision { number: last_revision, at: now, by: Some(Actor::Operator), document: None };
        let mut in_force = InForce::new(revision, policy, true, first_reading(resource, now));
        in_force.refused_sources = refused_sources;
        // Without a state, the last decision is one of a policy that was deleted.
        in_force.decision = last_decision.filter(|_| state.is_some()).map(|decision| *decision);
        in_force.carry_on(state, samples, predictions, now);
        // The state tells a later process that there was a policy.
        in_force.unwritten.state = true;
        self.standings.change(resource, |standing| {
            *standing = Standing { hold, claims, in_force: Some(in_force), last_revision, ..Standing::default() };
        });
        self.standings.write_soon(resource, now);
    }

    fn adopt_stored(&mut self, resource: &Alias, record: PolicyRecord, now: Timestamp) {
        let PolicyRecord { revision, state, claims, hold, samples, predictions, last_decision } = record;
        let last_revision = revision.as_ref().map_or(0, |revision| revision.number);
        let in_force = revision.and_then(|revision| {
            let document = revision.document.as_deref()?;
            let policy = match Document::from_json(document).map(|document| document.policy()) {
                Ok(Ok(policy)) => Arc::new(policy),
                // Another release wrote it: it is not followed, and not lost.
                _ => {
                    self.effects.push(Effect::UnreadablePolicy(resource.clone()));
                    return None;
                }
            };
            let refused_sources = self.watch(resource, &policy, false);
            let mut in_force = InForce::new(revision, policy, false, first_reading(resource, now));
            in_force.refused_sources = refused_sources;
            in_force.decision = last_decision.map(|decision| *decision);
            in_force.carry_on(state, samples, predictions, now);
            Some(in_force)
        });
        self.standings.change(resource, |standing| {
            *standing = Standing { hold, claims, in_force, last_revision, ..Standing::default() };
        });
    }

    /// Makes the `end` of a policy of `resource` durable, and cancels its job unless another policy takes it over.
    pub(in crate::engine::core) fn end_policy(&mut self, resource: &Alias, end: Revision, now: Timestamp) {
        let revision = end.number;
        let is_in_file = self.standings.in_force(resource).is_some();
        self.effects.push(Effect::PolicyEnded { resource: resource.clone(), is_in_file });
        self.commit_standing(resource, vec![PolicyWrite::Revision(end)], Unit::default(), Vec::new());
        let own_job = self.lane(resource).and_then(own_job).filter(|_| self.standings.in_force(resource).is_none());
        if let Some(job) = own_job {
            self.cancel_for_policy(job.id, resource, revision, Unit::default(), now);
        }
    }

    /// Has the metrics of `policy` pulled from now on, as far as the operator lets it; what is not pulled and why.
    pub(super) fn watch(&mut self, resource: &Alias, policy: &Policy, is_in_file: bool) -> Vec<Problem> {
        let hosts = (!is_in_file).then_some(&self.sources.hosts);
        let problems = problems_of(policy, hosts, &self.sources.secrets);
        self.effects.push(Effect::Watch(resource.clone(), pulled(policy, &problems)));
        if !problems.is_empty() {
            self.effects.push(Effect::SourcesRefused(resource.clone(), problems.clone()));
        }
        problems
    }

    /// Gives up what stands about `resource` with its lane.
    pub(in crate::engine::core) fn abandon_standing(&mut self, resource: &Alias) {
        if self.standings.in_force(resource).is_some() {
            self.effects.push(Effect::Watch(resource.clone(), BTreeMap::new()));
        }
        self.standings.remove(resource);
    }
}

impl InForce {
    /// Takes over what a process before it knew, and decides at once.
    fn carry_on(
        &mut self,
        state: Option<StoredState>,
        samples: BTreeMap<Name, Vec<Sample>>,
        predictions: BTreeMap<Name, Prediction>,
        now: Timestamp,
    ) {
        if let Some(state) = state {
            self.take_over_state(&state, now);
        }
        self.series = series_of(samples, self, now);
        self.take_over_predictions(predictions);
        self.trigger = Some(Trigger::Start);
    }
}

/// The series of `samples`. Those from after `now` are left out: the clock was set backwards while it was not watched, and
/// they would keep every new value away for as long. What rounding of the clock makes of a sample of now is not meant.
fn series_of(samples: BTreeMap<Name, Vec<Sample>>, in_force: &InForce, now: Timestamp) -> BTreeMap<Name, Series> {
    let known = samples.into_iter().filter(|(name, _)| in_force.policy.metrics.contains_key(name));
    let series = known.map(|(name, samples)| {
        let (mut series, span) = (Series::new(), in_force.policy.history_of(&name));
        for sample in samples.into_iter().filter(|sample| sample.at <= now + TOGETHER) {
            series.insert(sample, span);
        }
        (name, series)
    });
    series.collect()
}

/// What the end of its job means to a policy.
fn end_of(job: &Job, ending: &Ending) -> Option<JobEnd> {
    Some(match ending {
        Ending::Succeeded => JobEnd::Succeeded,
        Ending::Failed(error) => {
            let rejected = job.steps.last().filter(|step| step.outcome == StepOutcome::Rejected);
            let refused = rejected.filter(|_| error.code == ErrorCode::SidecarRejected);
            JobEnd::Failed { code: error.code, refused: refused.map(|step| step.to) }
        }
        Ending::Canceled if job.is_canceled_by_policy() => JobEnd::Replaced,
        Ending::Canceled => JobEnd::CanceledByPerson,
        Ending::Superseded { .. } => JobEnd::Replaced,
    })
}
