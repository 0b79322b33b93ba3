//! A group as readers see it: what its jobs make of it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strum::{EnumMessage, VariantArray};
use utoipa::ToSchema;

use super::super::capacity::Capacity;
use super::super::job::{Ending, Job, JobError, StateName};
use super::super::time::Timestamp;
use super::super::waiting::Waiting;
use super::{Group, GroupEnd, GroupJobs, Member};

/// Where a group is in its life.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    ToSchema,
    EnumMessage,
    VariantArray,
)]
#[serde(rename_all = "lowercase")]
pub enum GroupState {
    /// Accepted; all of its members wait.
    Queued,
    /// The gateway works on it.
    Running,
    /// A member did not reach its target, and those that moved are taken back.
    Restoring,
    /// Over: all members reached their targets.
    Succeeded,
    /// Over: a member did not reach its target.
    Failed,
    /// Over: it was canceled.
    Canceled,
}

impl GroupState {
    /// All states, in the order of a life.
    pub const ALL: [Self; 6] =
        [Self::Queued, Self::Running, Self::Restoring, Self::Succeeded, Self::Failed, Self::Canceled];

    /// The state as it appears in the API and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Restoring => "restoring",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    /// Whether a group in this state is over.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Canceled)
    }
}

/// A member of a group, as its jobs show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemberStatus {
    /// The state of its job.
    pub state: StateName,
    /// The capacity to reach, if it is known.
    pub target: Option<Capacity>,
    /// The capacity it began at, if it has.
    pub start: Option<Capacity>,
    /// The capacity by the last usable reading of any of its jobs.
    pub current: Option<Capacity>,
    /// What its job waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// Why its job failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<JobError>,
    /// Steps of its job that did what they were to do.
    pub completed_steps: usize,
    /// Steps of its job still to go, as far as is known.
    pub remaining_steps: Option<u32>,
    /// When its job will probably be over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_completion_at: Option<Timestamp>,
    /// What became of the way back, if it was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<RestoreStatus>,
}

/// The way back of a member.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RestoreStatus {
    /// The state of its job.
    pub state: StateName,
    /// What its job waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// Why it could not be taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<JobError>,
}

impl MemberStatus {
    fn of(member: &Member, jobs: &GroupJobs) -> Option<Self> {
        let job = jobs.get(&member.job)?;
        let restore = jobs.get(&member.restore);
        Some(Self {
            state: job.state.name(),
            target: job.target,
            start: job.start,
            current: restore.and_then(|restore| restore.current).or(job.current),
            waiting: job.waiting.clone(),
            error: error_of(job),
            completed_steps: job.completed_steps(),
            remaining_steps: if job.ended().is_some() { Some(0) } else { job.remaining_steps() },
            estimated_completion_at: job.estimated_completion_at,
            restore: restore.map(|restore| RestoreStatus {
                state: restore.state.name(),
                waiting: restore.waiting.clone(),
                error: error_of(restore),
            }),
        })
    }
}

fn error_of(job: &Job) -> Option<JobError> {
    match job.ended() {
        Some(Ending::Failed(error)) => Some(error.clone()),
        _ => None,
    }
}

/// A group with its members, as its durable jobs show them.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupStatus {
    /// The group.
    pub group: Arc<Group>,
    /// Where it is in its life.
    pub state: GroupState,
    /// Its members, in their order.
    pub members: Vec<MemberStatus>,
    /// Grows with every change of the group and of its jobs.
    pub version: u64,
}

impl GroupStatus {
    /// The status of `group`, whose durable jobs are `jobs`; of one that is over they are not needed. `None` if one is missing.
    pub fn of(group: Arc<Group>, jobs: &GroupJobs) -> Option<Self> {
        if let Some(GroupEnd { state, members, version, .. }) = &group.end {
            let (state, members, version) = (*state, members.clone(), *version);
            return Some(Self { group, state, members, version });
        }
        let members = group.members.iter().map(|member| MemberStatus::of(member, jobs)).collect::<Option<Vec<_>>>()?;
        let version = group.version + jobs.values().map(|job| job.version).sum::<u64>();
        Some(Self { state: group.state(jobs), group, members, version })
    }
}

impl Group {
    /// Where the group is in its life, by its durable jobs.
    fn state(&self, jobs: &GroupJobs) -> GroupState {
        if let Some(end) = &self.end {
            return end.state;
        }
        if self.is_to_be_restored(jobs) {
            return GroupState::Restoring;
        }
        let has_begun = |job: &Arc<Job>| job.started_at.is_some() || job.ended().is_some();
        let has_begun = self.members.iter().filter_map(|member| jobs.get(&member.job)).any(has_begun);
        if has_begun { GroupState::Running } else { GroupState::Queued }
    }

    /// The group as it ends at `at` in this `state`, its last jobs being `jobs`.
    #[must_use]
    pub fn ended(&self, state: GroupState, jobs: &GroupJobs, at: Timestamp) -> Self {
        let members = self.members.iter().filter_map(|member| MemberStatus::of(member, jobs)).collect();
        let version = self.version + 1 + jobs.values().map(|job| job.version).sum::<u64>();
        self.changed(|group| group.end = Some(GroupEnd { state, at, members, version }))
    }
}
