//! How a group is canceled on request.

use std::sync::Arc;

use super::super::requests::audited_group;
use super::super::{Core, Effect};
use super::Batch;
use crate::domain::{
    Action, Alias, Attempt, AuditEntry, AuditVerdict, Group, GroupCancellation, GroupId, JobId, Timestamp,
};
use crate::engine::requests::{Answer, Refusal, ReplyTo};

impl Core {
    /// Cancels the group `id`, if it is unfinished, with all of its jobs: in one unit, so that none goes on alone.
    pub fn cancel_group(&mut self, id: GroupId, attempt: Option<Attempt>, reply_to: ReplyTo, now: Timestamp) {
        let Some(group) = self.groups.latest(id).filter(|group| group.end.is_none()).cloned() else {
            return self.effects.push(Effect::Reply(reply_to, Answer::Refused(Refusal::NotUnfinished)));
        };
        // A lane that was evicted is adopted again soon.
        if self.draining || !self.has_lanes_of(&group) {
            return self.effects.push(Effect::Abandon(reply_to));
        }
        let by = attempt.as_ref().and_then(|attempt| attempt.actor.clone());
        let is_new = group.cancellation.is_none();
        let verdict = if is_new { AuditVerdict::Accepted } else { AuditVerdict::Unchanged };
        let audit: Option<AuditEntry> = audited_group(attempt, Action::CancelGroup, id, verdict, now);
        let mut batch = Batch::default();
        if is_new {
            for (resource, job) in jobs_of(&group) {
                let by = by.clone();
                let outcome = self.run(&resource, now, |lane, turn| {
                    lane.cancel(job, by, turn);
                });
                self.add(&mut batch, &resource, outcome, now);
            }
        }
        let changed = self.groups.change(id, |group| {
            group.cancellation.get_or_insert(GroupCancellation { by });
        });
        batch.unit.audit.extend(audit);
        batch.effects.push(Effect::Reply(reply_to, Answer::GroupChanged(id)));
        self.put_group(&mut batch, changed.unwrap_or(group));
        self.commit_batch(batch);
    }
}

fn jobs_of(group: &Arc<Group>) -> Vec<(Alias, JobId)> {
    let jobs = group.members.iter().flat_map(|member| [member.job, member.restore].map(|job| (&member.resource, job)));
    jobs.map(|(resource, job)| (resource.clone(), job)).collect()
}
