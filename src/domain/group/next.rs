//! What is next for a group.

use super::super::alias::Alias;
use super::super::job::{Ending, Job, Step, StepOutcome};
use super::super::job_id::JobId;
use super::{Group, GroupJobs, GroupState, Member, OnFailure};

/// Something that is to be done for a group. Done twice, it is as if it had been done once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupAction {
    /// The stage of this job has begun.
    Begin {
        /// Its resource.
        resource: Alias,
        /// The job.
        job: JobId,
    },
    /// Cancel this job.
    Cancel {
        /// Its resource.
        resource: Alias,
        /// The job.
        job: JobId,
    },
    /// Submit the job that takes this member back to where it began.
    Restore(Member),
    /// The group is over.
    End(GroupState),
}

impl Group {
    /// What is to be done for the group, whose durable jobs are `jobs`. Nothing, as long as one of its jobs has to go on first, and
    /// once the group is over.
    pub fn next(&self, jobs: &GroupJobs) -> Vec<GroupAction> {
        // Without one of them nothing is known; the acceptance of a group makes all of them durable at once.
        if self.end.is_some() || self.members.iter().any(|member| !jobs.contains_key(&member.job)) {
            return Vec::new();
        }
        let mut actions = if self.is_stopped(jobs) { self.cancellations(jobs) } else { self.beginnings(jobs) };
        if self.members.iter().all(|member| is_over(jobs, member.job)) {
            actions.extend(self.after_members(jobs));
        }
        actions
    }

    /// Whether a member is over without having reached its target.
    pub fn has_failed(&self, jobs: &GroupJobs) -> bool {
        self.members.iter().any(|member| is_over(jobs, member.job) && !has_succeeded(jobs, member.job))
    }

    /// Whether its members have to be taken back, as far as they moved.
    pub fn is_to_be_restored(&self, jobs: &GroupJobs) -> bool {
        self.on_failure == OnFailure::Restore && self.cancellation.is_none() && self.has_failed(jobs)
    }

    fn is_stopped(&self, jobs: &GroupJobs) -> bool {
        self.cancellation.is_some() || (self.on_failure != OnFailure::Continue && self.has_failed(jobs))
    }

    fn cancellations(&self, jobs: &GroupJobs) -> Vec<GroupAction> {
        let cancel = |member: &Member, id: JobId| {
            let is_wanted = jobs.get(&id).is_some_and(|job| job.ended().is_none() && job.ending.is_none());
            is_wanted.then(|| GroupAction::Cancel { resource: member.resource.clone(), job: id })
        };
        let restores = self.members.iter().filter(|_| self.cancellation.is_some());
        let restores = restores.filter_map(|member| cancel(member, member.restore));
        self.members.iter().filter_map(|member| cancel(member, member.job)).chain(restores).collect()
    }

    fn beginnings(&self, jobs: &GroupJobs) -> Vec<GroupAction> {
        let is_done = |member: &Member| match self.on_failure {
            OnFailure::Continue => is_over(jobs, member.job),
            OnFailure::Stop | OnFailure::Restore => has_succeeded(jobs, member.job),
        };
        let undone = self.members.iter().filter(|member| !is_done(member));
        let Some(stage) = undone.map(|member| member.stage).min() else { return Vec::new() };
        let waits = |member: &&Member| jobs.get(&member.job).is_some_and(|job| job.awaits_stage());
        let begin = |member: &Member| GroupAction::Begin { resource: member.resource.clone(), job: member.job };
        self.members.iter().filter(|member| member.stage <= stage).filter(waits).map(begin).collect()
    }

    /// What follows once all members are over.
    fn after_members(&self, jobs: &GroupJobs) -> Vec<GroupAction> {
        if !self.has_failed(jobs) {
            return vec![GroupAction::End(GroupState::Succeeded)];
        }
        if self.cancellation.is_some() {
            let is_unfinished = |member: &Member| jobs.contains_key(&member.restore) && !is_over(jobs, member.restore);
            let is_over = !self.members.iter().any(is_unfinished);
            return is_over.then_some(GroupAction::End(GroupState::Canceled)).into_iter().collect();
        }
        if self.on_failure != OnFailure::Restore {
            return vec![GroupAction::End(GroupState::Failed)];
        }
        let is_away = |member: &&Member| jobs.get(&member.job).is_some_and(|job| has_to_go_back(job));
        let to_do = self.members.iter().filter(is_away).filter(|member| !is_over(jobs, member.restore));
        let to_do: Vec<&Member> = to_do.collect();
        let Some(last_stage) = to_do.iter().map(|member| member.stage).max() else {
            return vec![GroupAction::End(GroupState::Failed)];
        };
        let due = to_do.into_iter().filter(|member| member.stage == last_stage);
        let due = due.filter(|member| !jobs.contains_key(&member.restore));
        due.map(|member| GroupAction::Restore(member.clone())).collect()
    }
}

fn is_over(jobs: &GroupJobs, id: JobId) -> bool {
    jobs.get(&id).is_some_and(|job| job.ended().is_some())
}

fn has_succeeded(jobs: &GroupJobs, id: JobId) -> bool {
    jobs.get(&id).is_some_and(|job| job.ended() == Some(&Ending::Succeeded))
}

/// Whether `job` may have changed the capacity, and that is to be undone. A job that was superseded left the resource to the
/// other one, whose work must not be undone.
fn has_to_go_back(job: &Job) -> bool {
    if matches!(job.ended(), Some(Ending::Superseded { .. })) {
        return false;
    }
    let may_have_applied = |step: &Step| !matches!(step.outcome, StepOutcome::NotApplied | StepOutcome::Rejected);
    job.start.is_some() && job.steps.iter().any(|step| step.sent_at.is_some() && may_have_applied(step))
}
