//! Groups: how one is accepted as a whole, and how its members are led through their stages.
//!
//! What is next for a group is decided by [`Group::next`] on what is durable, whenever one of its jobs changed and after each
//! adoption, and done through the transitions of lanes that all jobs go through. So nothing here may rest on a job that is not on the
//! disk yet: a stage that began on a success that was never written would have to be taken back.
//!
//! All lanes of a group share the units that accept, cancel and end it, and so are evicted together: none of these is ever half done.

mod accept;
mod cancel;
mod slots;

use std::sync::Arc;

pub(super) use slots::GroupSlots;

use super::{Core, Effect};
use crate::domain::{
    Alias, Attempt, Goal, Group, GroupAction, GroupId, GroupState, Job, JobRequest, Member, Membership, OnConflict,
    Outcome, SettingsOverrides, Timestamp,
};
use crate::store::{AdoptedGroup, LaneChange, RecordChange, Unit};

/// What becomes durable together about several lanes.
#[derive(Default)]
pub(super) struct Batch {
    unit: Unit,
    /// What is done once it is.
    effects: Vec<Effect>,
}

impl Core {
    /// Takes over groups with the lanes of `resources`, which were adopted. One with an evicted lane that is not among them is over.
    pub fn adopt_groups(&mut self, adopted: Vec<AdoptedGroup>, resources: &[Alias], now: Timestamp) {
        for id in self.groups.forget_others(&adopted, resources) {
            self.effects.push(Effect::ForgetGroup(id));
        }
        for AdoptedGroup { group, jobs } in adopted {
            let id = group.id;
            self.groups.learn(Arc::new(group), jobs.into_iter().map(|event| event.job));
            self.show_group(id);
            self.lead_group(id, now);
        }
    }

    /// These jobs and groups are durable.
    pub(super) fn on_groups_committed(&mut self, groups: Vec<Arc<Group>>, jobs: &[Arc<Job>], now: Timestamp) {
        for id in self.groups.note_committed(groups, jobs) {
            self.show_group(id);
            self.lead_group(id, now);
        }
    }

    fn show_group(&mut self, id: GroupId) {
        self.effects.extend(self.groups.status(id).map(|status| Effect::PublishGroup(Arc::new(status))));
        self.groups.forget_ended(id);
    }

    /// Does what is next for the group `id`. Without one of its lanes, which is about to be adopted again, nothing is.
    fn lead_group(&mut self, id: GroupId, now: Timestamp) {
        if self.draining {
            return;
        }
        let Some((group, actions)) = self.groups.next(id) else { return };
        if !self.has_lanes_of(&group) {
            return;
        }
        let mut batch = Batch::default();
        for action in actions {
            match action {
                GroupAction::Begin { resource, job } => {
                    let outcome = self.run(&resource, now, |lane, turn| lane.begin_stage(job, turn));
                    self.add(&mut batch, &resource, outcome, now);
                }
                GroupAction::Cancel { resource, job } => {
                    let outcome = self.run(&resource, now, |lane, turn| {
                        lane.cancel(job, None, turn);
                    });
                    self.add(&mut batch, &resource, outcome, now);
                }
                GroupAction::Restore(member) => self.restore(&group, &member, &mut batch, now),
                GroupAction::End(state) => self.end_group(&group, state, &mut batch, now),
            }
        }
        self.commit_batch(batch);
    }

    /// Submits the job that takes `member` back, unless that was done. It needs no reservation: the job of the member has given
    /// its place back. A policy or a hold does not stop it, as they do not stop a job that was accepted.
    fn restore(&mut self, group: &Group, member: &Member, batch: &mut Batch, now: Timestamp) {
        let Some(scaled) = self.groups.job(group.id, member.job) else { return };
        let Some(start) = scaled.start.filter(|_| self.groups.note_submitted(group.id, member)) else { return };
        let request = JobRequest {
            resource: member.resource.clone(),
            goal: Goal::Target(start),
            overrides: SettingsOverrides::default(),
            on_conflict: OnConflict::Queue,
            reason: group.reason.clone(),
            labels: group.labels.clone(),
            trace: scaled.trace.clone(),
            attempt: Some(Attempt { request: None, actor: group.submitted_by.clone(), address: None }),
        };
        let membership = Membership { group: group.id, stage: member.stage, awaits_stage: false, restores: true };
        // The limits may have been tightened since the member was scaled.
        let limits = self.scaling.in_force(&member.resource).setting_limits;
        let job = Job::accept(member.restore, request, scaled.settings.within(&limits), now);
        let job = Job { membership: Some(membership), ..job };
        let outcome = self.run(&member.resource, now, |lane, turn| lane.submit(job, OnConflict::Queue, turn));
        self.add(batch, &member.resource, outcome, now);
    }

    fn end_group(&mut self, group: &Group, state: GroupState, batch: &mut Batch, now: Timestamp) {
        let Some(ended) = self.groups.end(group.id, state, now) else { return };
        self.put_group(batch, ended);
    }

    /// Adds `group` in a new version, which is about the lanes of all its members.
    fn put_group(&mut self, batch: &mut Batch, group: Arc<Group>) {
        let lanes = group.members.iter().filter_map(|member| self.lane_change(&member.resource, false));
        batch.unit.lanes.extend(lanes);
        batch.unit.groups.push(group);
    }

    fn lane_change(&self, resource: &Alias, writes: bool) -> Option<LaneChange> {
        let (lane, epoch) = (self.lane(resource)?, self.lanes.epoch(resource)?);
        let record = if writes { RecordChange::Write(Box::new(lane.record())) } else { RecordChange::Keep };
        Some(LaneChange { resource: resource.clone(), epoch, record })
    }

    fn has_lanes_of(&self, group: &Group) -> bool {
        group.members.iter().all(|member| self.lane(&member.resource).is_some())
    }

    /// Adds to `batch` what a lane asks for. There is no intent among it: a change is intended on a reading alone.
    fn add(&mut self, batch: &mut Batch, resource: &Alias, outcome: Outcome, now: Timestamp) {
        debug_assert!(!outcome.intent, "an intent has a unit of its own");
        let size = |unit: &Unit| (unit.jobs.len(), unit.policies.len(), unit.history.len());
        let (writes, before) = (outcome.record, size(&batch.unit));
        let effects = self.absorb(resource, outcome, &mut batch.unit, Vec::new(), now);
        batch.effects.extend(effects);
        if writes || size(&batch.unit) != before {
            batch.unit.lanes.extend(self.lane_change(resource, writes));
        }
    }

    fn commit_batch(&mut self, Batch { unit, effects }: Batch) {
        if unit == Unit::default() {
            self.effects.extend(effects);
        } else {
            self.commit(unit, effects);
        }
    }
}
