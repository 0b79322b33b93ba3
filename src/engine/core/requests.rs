//! Requests other than to scale: changes of jobs, plans, and views of a resource.

use super::{Core, Effect};
use crate::domain::{
    Action, Alias, Attempt, AuditEntry, AuditVerdict, Capacity, Goal, GroupId, Job, JobId, JobRequest, OnConflict,
    Reading, Subject, Timestamp, estimate,
};
use crate::engine::requests::{Answer, JobChange, JobPlan, Refusal, ReplyTo, ResourceView};
use crate::store::Unit;

impl Core {
    /// Changes the job `id` for `resource`, if it is unfinished.
    pub fn change(
        &mut self,
        id: JobId,
        change: JobChange,
        resource: &Alias,
        attempt: Option<Attempt>,
        reply_to: ReplyTo,
        now: Timestamp,
    ) {
        let Some(before) = self.lane(resource).and_then(|lane| lane.job(id)).cloned() else {
            self.refuse(resource, reply_to, Refusal::NotUnfinished);
            return;
        };
        let by = attempt.as_ref().and_then(|attempt| attempt.actor.clone());
        let action = match change {
            JobChange::Cancel => Action::CancelJob,
        };
        let outcome = self.run(resource, now, |lane, turn| match change {
            JobChange::Cancel => {
                lane.cancel(id, by, turn);
            }
        });
        let changed = outcome.jobs.iter().find(|job| job.id == id).cloned();
        let verdict = if changed.is_some() { AuditVerdict::Accepted } else { AuditVerdict::Unchanged };
        let job = changed.unwrap_or(before);
        let audit: Vec<AuditEntry> = audited(attempt, action, &job, verdict, now).into_iter().collect();
        let reply = Effect::Reply(reply_to, Answer::Changed(self.noted(job)));
        let changes_nothing = outcome.jobs.is_empty() && audit.is_empty();
        let (at_once, after) = if changes_nothing { (Some(reply), None) } else { (None, Some(reply)) };
        let unit = Unit { audit, ..Unit::default() };
        self.apply_outcome(resource, outcome, unit, after.into_iter().collect(), now);
        if let Some(reply) = at_once {
            self.after_pending(resource, reply);
        }
    }

    /// What `request` would do, given `reading`.
    ///
    /// # Errors
    /// As the request itself would be refused.
    pub fn plan(&self, request: &JobRequest, reading: &Reading, now: Timestamp) -> Result<JobPlan, Refusal> {
        let (rules, joined) = self.admit(request)?;
        let lane = self.lane(&request.resource);
        let settings = rules.settings.with(&request.overrides);
        let waits_for = lane
            .filter(|_| request.on_conflict == OnConflict::Queue || joined.is_some())
            .and_then(|lane| lane.jobs_of_people().last());
        let (start, begin) = match waits_for {
            Some(job) => (job.target.unwrap_or(reading.capacity), job.estimated_completion_at.unwrap_or(now).max(now)),
            None => (reading.capacity, now),
        };
        let target = match request.goal {
            Goal::Target(target) => target,
            Goal::Delta(delta) => Capacity::new(i64::from(start.units()) + i64::from(delta))
                .ok()
                .filter(|target| rules.bounds.contains(*target))
                .ok_or(Refusal::DeltaOutOfBounds { start, delta, bounds: rules.bounds })?,
        };
        let change_state = self.change_state_of(&request.resource, lane);
        let durations = lane.map(|lane| lane.step_durations().clone()).unwrap_or_default();
        let too_many = Refusal::TooManySteps { start, target, step_size: settings.step_size };
        let estimate = estimate(start, target, &settings, &change_state, &durations, begin).ok_or(too_many)?;
        Ok(JobPlan { start, target, settings, estimate, joins: joined })
    }

    /// Everything known about `resource`, or `None` if it may not be scaled here.
    pub fn resource(&self, resource: &Alias, now: Timestamp) -> Option<ResourceView> {
        let lane = self.lane(resource);
        let rules = self.scaling.resource(resource)?;
        Some(ResourceView {
            resource: resource.clone(),
            listed: self.scaling.resources.contains_key(resource),
            rules,
            observation: self.observations.get(resource).cloned(),
            next_change_at: self.change_state_of(resource, lane).next_change_at(rules.settings.cooldown),
            active: lane.and_then(|lane| lane.active().cloned()),
            queue: lane.map_or_else(Vec::new, |lane| lane.queue().map(|job| job.id).collect()),
            step_durations: lane.map(|lane| lane.step_durations().clone()).unwrap_or_default(),
            standing: self.standing(resource, now),
        })
    }
}

/// The record of an attempt that was obeyed, if it is to be recorded.
pub(super) fn audited(
    attempt: Option<Attempt>,
    action: Action,
    job: &Job,
    verdict: AuditVerdict,
    now: Timestamp,
) -> Option<AuditEntry> {
    let subject = Subject { resource: Some(job.resource.clone()), job: Some(job.id), ..Subject::default() };
    attempt.map(|attempt| AuditEntry { at: now, attempt, action, subject, verdict })
}

/// The same for an attempt on a group.
pub(super) fn audited_group(
    attempt: Option<Attempt>,
    action: Action,
    group: GroupId,
    verdict: AuditVerdict,
    now: Timestamp,
) -> Option<AuditEntry> {
    let subject = Subject { group: Some(group), ..Subject::default() };
    attempt.map(|attempt| AuditEntry { at: now, attempt, action, subject, verdict })
}
