//! The jobs of policies: how one is submitted, retargeted and canceled.
//!
//! They need no reservation: no caller waits for an answer, there is no idempotency key, and a resource has at most one such
//! job besides the one that it supersedes. They go through the same lanes as the jobs of people, which come first.

use std::sync::Arc;

use super::Core;
use crate::domain::policy::DecisionId;
use crate::domain::{
    Actor, Alias, Attempt, Capacity, Goal, Job, JobId, JobRequest, OnConflict, ResourceConfig, SettingsOverrides,
    Timestamp,
};
use crate::engine::requests::Refusal;
use crate::store::Unit;

impl Core {
    /// Submits a job for revision `revision` of the policy of `resource`, which becomes job `id`; an unfinished job of the
    /// policy ends as superseded by it. Settings that ask for less care than the operator lets jobs take are held to the
    /// limits. `None` if the lane is not adopted yet, which is asked for: to be tried again after [`Core::adopt`].
    ///
    /// # Errors
    /// Why it is refused; among others, because of the unfinished job of a person.
    pub fn submit_for_policy(
        &mut self,
        id: JobId,
        (resource, target): (&Alias, Capacity),
        overrides: &SettingsOverrides,
        revision: u64,
        now: Timestamp,
    ) -> Result<Option<Arc<Job>>, Refusal> {
        let rules = self.policy_rules(resource, target)?;
        if self.draining {
            return Ok(None);
        }
        let Some(lane) = self.lane(resource) else {
            if !self.scaling.resources.contains_key(resource) {
                self.unlisted.admit(resource, None)?;
                self.unlisted.add(resource, None);
            }
            self.ask_for_lane(resource);
            return Ok(None);
        };
        lane.admit_policy().map_err(|by| Refusal::Busy { by })?;
        let request = JobRequest {
            resource: resource.clone(),
            goal: Goal::Target(target),
            overrides: *overrides,
            on_conflict: OnConflict::Supersede,
            reason: None,
            labels: std::collections::BTreeMap::new(),
            trace: None,
            attempt: Some(Attempt { request: None, actor: Some(Actor::Policy { revision }), address: None }),
        };
        let settings = rules.settings.with(overrides).within(&rules.setting_limits);
        let job = Job::accept(id, request, settings, now);
        let outcome = self.run(resource, now, |lane, turn| lane.submit(job, OnConflict::Supersede, turn));
        let accepted = outcome.jobs.iter().find(|job| job.id == id).cloned();
        self.apply_outcome(resource, outcome, Unit::default(), Vec::new());
        Ok(accepted)
    }

    /// Gives the unfinished job `id` of the policy of `resource` the target `to`, as `decision` asks for.
    ///
    /// # Errors
    /// If the target is out of bounds, or there is no such job that goes on.
    pub fn retarget(
        &mut self,
        id: JobId,
        (resource, to): (&Alias, Capacity),
        decision: DecisionId,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        self.policy_rules(resource, to)?;
        if self.draining {
            return Err(Refusal::NotUnfinished);
        }
        let mut is_done = false;
        self.turn(resource, now, |lane, turn| is_done = lane.retarget(id, to, decision, turn));
        if is_done { Ok(()) } else { Err(Refusal::NotUnfinished) }
    }

    /// Cancels the unfinished job `id` for revision `revision` of the policy of `resource`; whether there is one.
    pub fn cancel_for_policy(&mut self, id: JobId, resource: &Alias, revision: u64, now: Timestamp) -> bool {
        if !self.lane(resource).and_then(|lane| lane.job(id)).is_some_and(|job| job.is_of_policy()) {
            return false;
        }
        self.turn(resource, now, |lane, turn| {
            lane.cancel(id, Some(Actor::Policy { revision }), turn);
        });
        true
    }

    /// The rules for `resource`, which a job of its policy for `target` must keep to.
    fn policy_rules(&self, resource: &Alias, target: Capacity) -> Result<ResourceConfig, Refusal> {
        let rules =
            self.scaling.resource(resource).ok_or_else(|| Refusal::ResourceNotListed { resource: resource.clone() })?;
        let bounds = rules.bounds;
        if bounds.contains(target) { Ok(rules) } else { Err(Refusal::OutOfBounds { target, bounds }) }
    }
}
