//! A group: several resources scaled as one piece of work, in stages.
//!
//! Its members are jobs like all others, which the lanes carry out. What a group adds is told by [`Group::next`] from the states of
//! these jobs, at any time and as often as wished: that a stage begins, that members are canceled, that they are taken back to where
//! they began, and that the group is over. It must never rest on anything but the group and its durable jobs, so that a process that
//! dies between any two commits needs no rule of its own.
//!
//! Rejected: a state machine of groups with a state for each stage, because two records of one fact, the state of a member and
//! that of its group, have to be kept equal across crashes.

mod next;
mod status;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strum::{EnumMessage, VariantArray};
use utoipa::ToSchema;

pub use next::GroupAction;
pub use status::{GroupState, GroupStatus, MemberStatus, RestoreStatus};

use super::access::Actor;
use super::alias::Alias;
use super::audit::Attempt;
use super::job::{Goal, Job, JobRequest};
use super::job_id::JobId;
use super::membership::GroupId;
use super::time::Timestamp;

/// The jobs of a group that are durable, by their ids.
pub type GroupJobs = BTreeMap<JobId, Arc<Job>>;

/// Most members of a group. All of them are accepted in one commit, and a deployment has dozens of services.
pub const MAX_MEMBERS: usize = 64;

/// What becomes of a group when a member does not reach its target: it failed, or was canceled or superseded by itself.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, EnumMessage, VariantArray,
)]
#[serde(rename_all = "lowercase")]
#[schema(default = "stop")]
pub enum OnFailure {
    /// Members that have not begun are canceled. Those that run end as canceled when their change in flight is resolved.
    #[default]
    Stop,
    /// The other members go on, and the next stage begins when all members of the one before are over.
    Continue,
    /// As `stop`; then every member that moved and was not superseded goes back to where it began, the last stage first.
    Restore,
}

/// A resource of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The resource. Each has one member of a group at most.
    pub resource: Alias,
    /// What was asked for.
    pub goal: Goal,
    /// Its stage, from 0.
    pub stage: usize,
    /// The job that scales it.
    pub job: JobId,
    /// The job that takes it back, if there will be one. The id is given out beforehand: whether the job was submitted can be told
    /// after a crash.
    pub restore: JobId,
}

/// A request to scale several resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRequest {
    /// What is asked of each resource, with its stage, from 0; no resource twice.
    pub members: Vec<(JobRequest, usize)>,
    /// What to do when a member does not reach its target.
    pub on_failure: OnFailure,
    /// A note.
    pub reason: Option<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Who asks, if that is to be recorded.
    pub attempt: Option<Attempt>,
}

/// How a group was canceled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupCancellation {
    /// By whom; `None` for a caller without a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Actor>,
}

/// How a group ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupEnd {
    /// `succeeded`, `failed` or `canceled`.
    pub state: GroupState,
    /// When.
    pub at: Timestamp,
    /// Its members as they were then: their jobs may be kept for a shorter time.
    pub members: Vec<MemberStatus>,
    /// [`GroupStatus::version`] from then on.
    pub version: u64,
}

/// A group. Immutable once it has its end, and before that but for the cancellation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Id, in order of submission.
    pub id: GroupId,
    /// Its members, in the order in which they were given.
    pub members: Vec<Member>,
    /// What to do when a member does not reach its target.
    pub on_failure: OnFailure,
    /// The submitter's note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The submitter's labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Who submitted it; `None` for a caller without a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submitted_by: Option<Actor>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// That it was canceled, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancellation: Option<GroupCancellation>,
    /// How it ended, if it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<GroupEnd>,
    /// Counts the times it was handed out to be committed.
    pub version: u64,
}

impl Group {
    /// A group as it is when it is accepted; `id` makes the ids of its jobs.
    pub fn accept(id: GroupId, request: &GroupRequest, mut new_id: impl FnMut() -> JobId, now: Timestamp) -> Self {
        let members = request.members.iter().map(|(request, stage)| Member {
            resource: request.resource.clone(),
            goal: request.goal,
            stage: *stage,
            job: new_id(),
            restore: new_id(),
        });
        Self {
            id,
            members: members.collect(),
            on_failure: request.on_failure,
            reason: request.reason.clone(),
            labels: request.labels.clone(),
            submitted_by: request.attempt.as_ref().and_then(|attempt| attempt.actor.clone()),
            created_at: now,
            cancellation: None,
            end: None,
            version: 1,
        }
    }

    /// The same in its next version, changed by `change`.
    #[must_use]
    pub fn changed(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut next = Self { version: self.version + 1, ..self.clone() };
        change(&mut next);
        next
    }

    /// Whether it has a member for `resource`.
    pub fn concerns(&self, resource: &Alias) -> bool {
        self.members.iter().any(|member| member.resource == *resource)
    }

    /// Whether it does what `request` asks for. As with jobs, a delta is never the same as another one, and settings do not count.
    pub fn does(&self, request: &GroupRequest) -> bool {
        let is_member = |(wanted, stage): &(JobRequest, usize)| {
            let is_same = |member: &Member| {
                member.resource == wanted.resource && member.goal == wanted.goal && member.stage == *stage
            };
            matches!(wanted.goal, Goal::Target(_)) && self.members.iter().any(is_same)
        };
        self.cancellation.is_none()
            && self.end.is_none()
            && self.on_failure == request.on_failure
            && self.members.len() == request.members.len()
            && request.members.iter().all(is_member)
    }
}
