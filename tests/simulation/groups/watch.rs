//! What groups must keep to, as far as the disk and the sidecar show it.

use std::collections::BTreeSet;

use scalegate::domain::{
    Ending, Goal, Group, GroupId, GroupState, Job, JobId, JobState, Member, Membership, OnFailure, Step, StepOutcome,
};
use scalegate::sim::Disk;

use crate::referee::{Violation, short};

/// See the module's documentation.
#[derive(Default)]
pub struct GroupWatch {
    /// Those that a client was told of.
    promised: BTreeSet<GroupId>,
    /// Whether the process was told to stop, and begins nothing any more.
    pub is_stopping: bool,
}

impl GroupWatch {
    /// A client hears of the group `id`.
    pub fn promise(&mut self, id: GroupId) {
        self.promised.insert(id);
    }

    /// A group that a client was told of, and that is gone.
    pub fn lost(&self, disk: &Disk) -> Option<GroupId> {
        self.promised.iter().find(|id| disk.group(**id).is_none()).copied()
    }

    /// What must hold between any two events; `is_committed` says whether all that was decided is on the disk.
    pub fn check(&self, disk: &Disk, is_committed: bool) -> Vec<Violation> {
        let mut violations = Vec::new();
        for group in disk.groups() {
            for member in group.members.iter().filter(|member| disk.job(member.job).is_none()) {
                violations.push(format!("a group is accepted whole: {} has no job of {}", member.resource, group.id));
            }
            let is_due = |member: &&Member| is_committed && !self.is_stopping && is_due(group, member, disk);
            for member in group.members.iter().filter(is_due) {
                violations.push(format!("never stuck: {} waits for no member of {}", member.resource, group.id));
            }
        }
        let grouped = disk.jobs().filter_map(|job| Some((job.id, job.membership.as_ref()?.group)));
        for (job, group) in grouped.filter(|(_, group)| disk.group(*group).is_none()) {
            violations.push(format!("a group is accepted whole: {} has no group {group}", short(job)));
        }
        violations
    }
}

/// What must hold when a change of `job` reaches the sidecar.
pub fn check_sent(job: &Job, disk: &Disk) -> Option<Violation> {
    let membership = job.membership.as_ref()?;
    let group = disk.group(membership.group)?;
    let overlapped =
        |id: JobId| format!("stages never overlap: {} is sent before the end of {}", short(job.id), short(id));
    if membership.restores {
        return unfinished_before_restore(group, membership, disk).map(overlapped);
    }
    let earlier = group.members.iter().filter(|member| member.stage < membership.stage);
    earlier.map(|member| member.job).find(|id| !lets_begin(group, *id, disk)).map(overlapped)
}

/// What must hold when `job` is written for the first time.
pub fn check_new(job: &Job, disk: &Disk) -> Option<Violation> {
    let membership = job.membership.as_ref().filter(|membership| membership.restores)?;
    let group = disk.group(membership.group)?;
    let member = group.members.iter().find(|member| member.restore == job.id);
    let start = member.and_then(|member| disk.job(member.job)?.start);
    let goes_back = start.is_some_and(|start| job.goal == Goal::Target(start));
    let too_early = unfinished_before_restore(group, membership, disk);
    let is_right = goes_back && too_early.is_none() && group.cancellation.is_none();
    (!is_right).then(|| format!("a restore goes where it began: {start:?}, {too_early:?}, {job:#?}"))
}

/// What must hold when everything is over.
pub fn check_end(disk: &Disk) -> Vec<Violation> {
    disk.groups().filter_map(|group| check_end_of(group, disk)).collect()
}

fn check_end_of(group: &Group, disk: &Disk) -> Option<Violation> {
    let Some(end) = &group.end else { return Some(format!("every group ends: not so {group:#?}")) };
    let all_succeeded = group.members.iter().all(|member| has_succeeded(member.job, disk));
    let state = match (&group.cancellation, all_succeeded) {
        (_, true) => GroupState::Succeeded,
        (Some(_), false) => GroupState::Canceled,
        (None, false) => GroupState::Failed,
    };
    if end.state != state {
        return Some(format!("a group ends as its members did: not so {group:#?}"));
    }
    for (member, status) in group.members.iter().zip(&end.members) {
        let is_told = disk.job(member.job).is_some_and(|job| job.state.name() == status.state);
        if !is_told {
            return Some(format!("a group ends as its members did: {} in {group:#?}", member.resource));
        }
        let wants_back = state == GroupState::Failed && group.on_failure == OnFailure::Restore;
        let told = status.restore.as_ref().map(|restore| (restore.state, restore.error.is_some()));
        let done =
            disk.job(member.restore).map(|job| (job.state.name(), matches!(job.ended(), Some(Ending::Failed(_)))));
        let has_to = wants_back && disk.job(member.job).is_some_and(|job| has_moved(job));
        if told != done || (has_to && done.is_none()) {
            return Some(format!("a restore ends where it began or says why not: {} in {group:#?}", member.resource));
        }
    }
    None
}

/// Whether the member waits although there is nothing to wait for, or although it is not wanted any more.
fn is_due(group: &Group, member: &Member, disk: &Disk) -> bool {
    let is_queued = |job: &&std::sync::Arc<Job>| job.state == JobState::Queued;
    let Some(job) = disk.job(member.job).filter(is_queued) else { return false };
    let earlier = group.members.iter().filter(|other| other.stage < member.stage);
    let may_begin = earlier.map(|other| other.job).all(|id| lets_begin(group, id, disk));
    let has_failed = group.members.iter().any(|other| has_ended(other.job, disk) && !has_succeeded(other.job, disk));
    let is_unwanted = group.cancellation.is_some() || (group.on_failure != OnFailure::Continue && has_failed);
    is_unwanted || (may_begin && job.awaits_stage())
}

/// Whether the member with the job `id` is over in a way that lets the next stage begin.
fn lets_begin(group: &Group, id: JobId, disk: &Disk) -> bool {
    match group.on_failure {
        OnFailure::Continue => has_ended(id, disk),
        OnFailure::Stop | OnFailure::Restore => has_succeeded(id, disk),
    }
}

/// A job that has to be over before one with this `membership` takes its member back.
fn unfinished_before_restore(group: &Group, membership: &Membership, disk: &Disk) -> Option<JobId> {
    let members = group.members.iter().map(|member| member.job);
    let later = group.members.iter().filter(|member| member.stage > membership.stage).map(|member| member.restore);
    let later = later.filter(|id| disk.job(*id).is_some());
    members.chain(later).find(|id| !has_ended(*id, disk))
}

fn has_ended(id: JobId, disk: &Disk) -> bool {
    disk.job(id).is_some_and(|job| job.ended().is_some())
}

fn has_succeeded(id: JobId, disk: &Disk) -> bool {
    disk.job(id).is_some_and(|job| job.ended() == Some(&Ending::Succeeded))
}

/// Whether a change of the job may have had its effect. A job that was superseded left its resource to the other one.
fn has_moved(job: &Job) -> bool {
    let may_have =
        |step: &Step| step.sent_at.is_some() && matches!(step.outcome, StepOutcome::Confirmed | StepOutcome::Unknown);
    !matches!(job.ended(), Some(Ending::Superseded { .. })) && job.steps.iter().any(may_have)
}
