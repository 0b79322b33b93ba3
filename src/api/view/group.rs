//! A group, and pages of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::WireTime;
use super::job::{ActorView, JobErrorView, ProgressView, WaitingView};
use super::plan::Plan;
use crate::api::openapi::examples;
use crate::domain::{
    Alias, Capacity, GroupState, GroupStatus, Member, MemberStatus, OnFailure, RestoreStatus, StateName, Timestamp,
};

/// The address of group `id`.
pub fn group_path(id: Uuid) -> String {
    format!("/v1/groups/{id}")
}

/// A group: a request to scale several resources, and what has become of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Group, example = json!(examples::example_group()))]
pub struct GroupView {
    /// The id of the group, a UUIDv7.
    pub id: Uuid,
    /// Where the group is in its life.
    pub state: GroupState,
    /// The resources of the group, by alias.
    pub members: Vec<GroupMemberView>,
    /// What is done when a member does not reach its target.
    pub on_failure: OnFailure,
    /// How far the members have come, taken together.
    pub progress: ProgressView,
    /// Why the group failed; `null` if it did not.
    pub error: Option<GroupErrorView>,
    /// The note that came with the group; `null` if none did.
    pub reason: Option<String>,
    /// The labels that came with the group; empty if none did.
    pub labels: BTreeMap<String, String>,
    /// Who submitted the group; `null` for a caller without a key.
    pub submitted_by: Option<ActorView>,
    /// Whether the group was canceled, if it is not over by then with all targets reached.
    pub canceled: bool,
    /// Who canceled the group; `null` if it was not canceled, or by a caller without a key.
    pub canceled_by: Option<ActorView>,
    /// When the group was accepted.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: WireTime,
    /// When the group ended; `null` before.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<WireTime>,
    /// The number of this version of the group; each change of it or of its jobs adds at least 1.
    #[schema(minimum = 1)]
    pub version: u64,
}

/// A resource of a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = GroupMember)]
pub struct GroupMemberView {
    /// The resource that is scaled.
    #[schema(value_type = Alias)]
    pub resource: String,
    /// The id of the job that scales it.
    pub job_id: Uuid,
    /// The number of its stage, from 1.
    #[schema(minimum = 1, maximum = 64)]
    pub stage: u32,
    /// Where its job is in its life.
    pub state: StateName,
    /// The capacity to reach. `null` as long as a delta has not met its first reading.
    #[schema(maximum = 1_000_000)]
    pub target_capacity: Option<u32>,
    /// The capacity when its job began; `null` until the first reading.
    #[schema(maximum = 1_000_000)]
    pub start_capacity: Option<u32>,
    /// The capacity by the last reading that could be used; `null` until there is one.
    #[schema(maximum = 1_000_000)]
    pub current_capacity: Option<u32>,
    /// What its job waits for. `null` once that is over.
    pub waiting_for: Option<WaitingView>,
    /// Why its job failed; `null` if it did not.
    pub error: Option<JobErrorView>,
    /// The way back to its start capacity; `null` if it is not, or not yet, taken.
    pub restore: Option<GroupRestoreView>,
}

/// The way of a member back to its start capacity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = GroupRestore)]
pub struct GroupRestoreView {
    /// The id of the job that takes it back.
    pub job_id: Uuid,
    /// Where that job is in its life: `succeeded` when the member is back.
    pub state: StateName,
    /// What that job waits for. `null` once it is over.
    pub waiting_for: Option<WaitingView>,
    /// Why that job failed; `null` if it did not.
    pub error: Option<JobErrorView>,
}

/// Why a group failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = GroupError)]
pub struct GroupErrorView {
    /// Which members did not reach their targets, and which of them could not be taken back, in a sentence or two.
    pub message: String,
}

impl From<&GroupStatus> for GroupView {
    fn from(status: &GroupStatus) -> Self {
        let GroupStatus { group, state, members, version } = status;
        let each = || group.members.iter().zip(members);
        Self {
            id: group.id,
            state: *state,
            members: each().map(|(member, status)| GroupMemberView::of(member, status)).collect(),
            on_failure: group.on_failure,
            progress: progress(*state, members),
            error: (*state == GroupState::Failed).then(|| error_of(group.on_failure, each())),
            reason: group.reason.clone(),
            labels: group.labels.clone(),
            submitted_by: group.submitted_by.as_ref().map(ActorView::from),
            canceled: group.cancellation.is_some(),
            canceled_by: group.cancellation.as_ref().and_then(|it| it.by.as_ref()).map(ActorView::from),
            created_at: WireTime(group.created_at),
            finished_at: group.end.as_ref().map(|end| WireTime(end.at)),
            version: *version,
        }
    }
}

impl GroupMemberView {
    fn of(member: &Member, status: &MemberStatus) -> Self {
        let restore = |restore: &RestoreStatus| GroupRestoreView {
            job_id: member.restore,
            state: restore.state,
            waiting_for: restore.waiting.as_ref().map(WaitingView::from),
            error: restore.error.as_ref().map(JobErrorView::from),
        };
        Self {
            resource: member.resource.as_str().to_owned(),
            job_id: member.job,
            stage: stage_number(member.stage),
            state: status.state,
            target_capacity: status.target.map(Capacity::units),
            start_capacity: status.start.map(Capacity::units),
            current_capacity: status.current.map(Capacity::units),
            waiting_for: status.waiting.as_ref().map(WaitingView::from),
            error: status.error.as_ref().map(JobErrorView::from),
            restore: status.restore.as_ref().map(restore),
        }
    }
}

fn stage_number(stage: usize) -> u32 {
    u32::try_from(stage).unwrap_or(u32::MAX).saturating_add(1)
}

fn error_of<'a>(
    on_failure: OnFailure,
    members: impl Iterator<Item = (&'a Member, &'a MemberStatus)>,
) -> GroupErrorView {
    let (mut unreached, mut not_restored) = (Vec::new(), Vec::new());
    for (member, status) in members {
        if status.state != StateName::Succeeded {
            let why = status.error.as_ref().map(|error| format!(": {}", error.message)).unwrap_or_default();
            unreached.push(format!("{} {}{}", member.resource, status.state.as_str(), why.trim_end_matches('.')));
        }
        let is_taken_over = on_failure == OnFailure::Restore && status.state == StateName::Superseded;
        let stays = is_taken_over && status.completed_steps > 0;
        if status.restore.as_ref().map_or(stays, |restore| restore.state != StateName::Succeeded) {
            not_restored.push(member.resource.as_str());
        }
    }
    let mut message = format!("Not all targets were reached: {}.", unreached.join("; "));
    if !not_restored.is_empty() {
        message.push_str(&format!(" Not taken back to where they began: {}.", not_restored.join(", ")));
    }
    GroupErrorView { message }
}

fn progress(state: GroupState, members: &[MemberStatus]) -> ProgressView {
    let completed: usize = members.iter().map(|member| member.completed_steps).sum();
    let completed = u32::try_from(completed).unwrap_or(u32::MAX);
    let remaining: Option<u32> = members.iter().map(|member| member.remaining_steps).sum();
    let reached = members.iter().filter(|member| member.state == StateName::Succeeded).count();
    let percent = match (state, remaining) {
        (GroupState::Succeeded, _) => 100,
        (_, Some(remaining)) if completed + remaining > 0 => {
            (u64::from(completed) * 100 / (u64::from(completed) + u64::from(remaining))).min(99)
        }
        _ => (reached as u64 * 100 / members.len().max(1) as u64).min(99),
    };
    ProgressView {
        completed_steps: completed,
        total_steps: remaining.map(|remaining| completed.saturating_add(remaining)),
        percent: u8::try_from(percent).unwrap_or(99),
        estimated_completion_at: completion(members).map(WireTime),
    }
}

/// When the last of the members that are not over will be, if that can be told of all of them.
fn completion(members: &[MemberStatus]) -> Option<Timestamp> {
    let unfinished = members.iter().filter(|member| !member.state.is_over());
    unfinished.map(|member| member.estimated_completion_at).collect::<Option<Vec<_>>>()?.into_iter().max()
}

/// A page of groups.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupList {
    /// The groups of the page, newest first.
    pub groups: Vec<GroupView>,
    /// The `pageToken` of the next page; `null` on the last one.
    pub next_page_token: Option<String>,
}

/// What a request to scale several resources would do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupPlan {
    /// The stages of the group, in order; none if it joins another one.
    pub stages: Vec<GroupPlanStage>,
    /// When the group would probably be over; the present time if that cannot be told of the one that it joins. An estimate, not a
    /// promise.
    #[schema(value_type = String, format = DateTime)]
    pub estimated_completion_at: WireTime,
    /// The id of the unfinished group that does the same and would be joined; `null` if there is none.
    pub joins: Option<Uuid>,
}

/// A stage of a group that is planned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupPlanStage {
    /// The number of the stage, from 1.
    #[schema(minimum = 1, maximum = 64)]
    pub stage: u32,
    /// The plans of its members, by alias, as if the stage began now.
    pub members: Vec<Plan>,
    /// How long the stage would probably take, in seconds.
    #[schema(minimum = 0)]
    pub estimated_seconds: f64,
}

impl GroupPlan {
    /// The plan at `now` of a request that would join the group `id`, as far as its `status` is known.
    pub fn joining(id: Uuid, status: Option<&GroupStatus>, now: Timestamp) -> Self {
        let over_at = status.and_then(|status| completion(&status.members)).unwrap_or(now);
        Self { stages: Vec::new(), estimated_completion_at: WireTime(over_at), joins: Some(id) }
    }

    /// The plan at `now` whose stages have these `plans`.
    pub fn new(plans: BTreeMap<usize, Vec<Plan>>, now: Timestamp) -> Self {
        let mut over_at = now;
        let stages = plans.into_iter().map(|(stage, members)| {
            let last = members.iter().map(|plan| plan.estimated_completion_at.0).max().unwrap_or(now);
            let takes = last.since(now);
            over_at = over_at + takes;
            GroupPlanStage { stage: stage_number(stage), members, estimated_seconds: takes.as_secs_f64() }
        });
        let stages = stages.collect();
        Self { stages, estimated_completion_at: WireTime(over_at), joins: None }
    }
}
