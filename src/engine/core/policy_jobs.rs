//! The jobs of policies: how one is submitted, retargeted and canceled.
//!
//! They need no reservation: no caller waits for an answer, there is no idempotency key, and a resource has at most one such
//! job besides the one that it supersedes. They go through the same lanes as the jobs of people, which come first. What
//! explains them, the decision above all, is in the same unit.

use std::collections::BTreeMap;

use super::Core;
use crate::domain::policy::DecisionId;
use crate::domain::{
    Actor, Alias, Attempt, Capacity, Goal, Job, JobId, JobRequest, OnConflict, SettingsOverrides, Timestamp,
};
use crate::store::Unit;

impl Core {
    /// Submits a job for revision `revision` of the policy of `resource`, which becomes job `id`; an unfinished job of the
    /// policy ends as superseded by it. Settings that ask for less care than the operator lets jobs take are held to the
    /// limits. Without the policy's lane, or with an unfinished job of a person, there is no job, and `unit` is committed
    /// without it.
    pub(super) fn submit_for_policy(
        &mut self,
        id: JobId,
        (resource, target): (&Alias, Capacity),
        overrides: &SettingsOverrides,
        revision: u64,
        unit: Unit,
        now: Timestamp,
    ) {
        let rules = self.scaling.in_force(resource);
        let request = JobRequest {
            resource: resource.clone(),
            goal: Goal::Target(target),
            overrides: *overrides,
            on_conflict: OnConflict::Supersede,
            reason: None,
            labels: BTreeMap::new(),
            trace: None,
            attempt: Some(Attempt { request: None, actor: Some(Actor::Policy { revision }), address: None }),
        };
        let settings = rules.settings.with(overrides).within(&rules.setting_limits);
        let job = Job::accept(id, request, settings, now);
        let outcome = self.run(resource, now, |lane, turn| {
            if lane.admit_policy().is_ok() {
                lane.submit(job, OnConflict::Supersede, turn);
            }
        });
        self.apply_outcome(resource, outcome, unit, Vec::new(), now);
    }

    /// Gives the unfinished job `id` of the policy of `resource` the target `to`, as `decision` asks for.
    pub(super) fn retarget(
        &mut self,
        id: JobId,
        (resource, to): (&Alias, Capacity),
        decision: DecisionId,
        unit: Unit,
        now: Timestamp,
    ) {
        let outcome = self.run(resource, now, |lane, turn| {
            lane.retarget(id, to, decision, turn);
        });
        self.apply_outcome(resource, outcome, unit, Vec::new(), now);
    }

    /// Cancels the unfinished job `id` for revision `revision` of the policy of `resource`.
    pub(super) fn cancel_for_policy(&mut self, id: JobId, resource: &Alias, revision: u64, unit: Unit, now: Timestamp) {
        let outcome = self.run(resource, now, |lane, turn| {
            if lane.job(id).is_some_and(|job| job.is_of_policy()) {
                lane.cancel(id, Some(Actor::Policy { revision }), turn);
            }
        });
        self.apply_outcome(resource, outcome, unit, Vec::new(), now);
    }
}
