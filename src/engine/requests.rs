//! What can be asked of the engine, and what it answers.

use std::sync::Arc;

use super::policy_requests::{PolicyAnswer, StandingView};
use crate::domain::policy::{Hold, JobNote};
use crate::domain::{
    Alias, Bounds, Capacity, CompletionEstimate, GroupId, InvalidSetting, Job, JobId, JobRequest, Reading,
    ResourceConfig, Settings, StepDurations, Timestamp,
};
use crate::store::NoRoom;

/// Identifies a request that waits for its answer.
pub type ReplyTo = u64;

/// A change to an unfinished job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobChange {
    /// It ends as canceled, at once or when its change in flight is resolved.
    Cancel,
}

/// A job in an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct NotedJob {
    /// The job.
    pub job: Arc<Job>,
    /// What its caller should know about the policy of the resource.
    pub note: Option<JobNote>,
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// A job was made of it.
    Created(NotedJob),
    /// An unfinished job does the same already.
    Joined(NotedJob),
    /// The job with the [`JobChange`] that was asked for, or as it was if that changes nothing.
    Changed(NotedJob),
    /// A group was made of it.
    GroupCreated(GroupId),
    /// An unfinished group does the same already.
    GroupJoined(GroupId),
    /// The same request was answered before.
    GroupReplayed {
        /// With this group.
        group: GroupId,
        /// Whether the request joined it.
        joined: bool,
    },
    /// What such a request would come to: a group of its own, or an unfinished one that it would join.
    GroupPlanned {
        /// That one.
        joins: Option<GroupId>,
    },
    /// The group is canceled, or was.
    GroupChanged(GroupId),
    /// What came of a change of a policy, a hold, a claim or a metric.
    Policy(PolicyAnswer),
    /// No.
    Refused(Refusal),
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The operator allows only listed resources, and this is none of them.
    ResourceNotListed {
        /// The resource.
        resource: Alias,
    },
    /// It asks for less care than the operator lets jobs for the resource take.
    LessCare {
        /// Where; at least one.
        problems: Vec<InvalidSetting>,
    },
    /// The target lies outside the bounds of the resource.
    OutOfBounds {
        /// The target.
        target: Capacity,
        /// The bounds.
        bounds: Bounds,
    },
    /// The delta leads outside the bounds of the resource.
    DeltaOutOfBounds {
        /// From here.
        start: Capacity,
        /// By so much.
        delta: i32,
        /// The bounds.
        bounds: Bounds,
    },
    /// It would take more steps than a job may have.
    TooManySteps {
        /// From here.
        start: Capacity,
        /// To there.
        target: Capacity,
        /// In steps of this size.
        step_size: u32,
    },
    /// A hold stops it.
    Held(Box<Hold>),
    /// The resource has an unfinished job.
    Busy {
        /// That job.
        by: Arc<Job>,
    },
    /// Resources of a group have unfinished jobs.
    MembersBusy {
        /// Those jobs; at least one.
        by: Vec<Arc<Job>>,
    },
    /// A member of a group cannot be accepted.
    Member {
        /// Its resource.
        resource: Alias,
        /// Why.
        refusal: Box<Refusal>,
    },
    /// Too many jobs wait for the resource.
    QueueFull {
        /// So many may.
        limit: usize,
    },
    /// Too many resources that the configuration does not list are scaled.
    TooManyResources {
        /// So many may be.
        limit: usize,
    },
    /// Too many of them were made with the same API key.
    TooManyResourcesOfKey {
        /// So many may be.
        limit: usize,
    },
    /// There is no room for it.
    NoRoom(NoRoom),
    /// There is no unfinished job with that id.
    NotUnfinished,
}

impl Refusal {
    /// The refusal of a group because of this member.
    pub(super) fn of_member(member: &JobRequest, refusal: Self) -> Self {
        Self::Member { resource: member.resource.clone(), refusal: Box::new(refusal) }
    }

    /// The resource of a group that it is about.
    pub(super) fn resource(&self) -> Option<Alias> {
        match self {
            Self::Member { resource, .. } => Some(resource.clone()),
            Self::MembersBusy { by } => by.last().map(|job| job.resource.clone()),
            _ => None,
        }
    }
}

/// What a request would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobPlan {
    /// From this capacity.
    pub start: Capacity,
    /// To this one.
    pub target: Capacity,
    /// With these settings.
    pub settings: Settings,
    /// In these steps.
    pub estimate: CompletionEstimate,
    /// The unfinished job that does it already.
    pub joins: Option<Arc<Job>>,
}

/// What a caller can have meant by an alias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alternatives {
    /// Whether the gateway knows of a resource of that name.
    pub is_recognised: bool,
    /// The others that it knows of.
    pub others: Vec<Alias>,
}

/// Everything known about a resource.
#[derive(Clone, Debug, PartialEq)]
pub struct ResourceView {
    /// Its alias.
    pub resource: Alias,
    /// Whether it is listed in the configuration.
    pub listed: bool,
    /// The operator's rules for it.
    pub rules: ResourceConfig,
    /// The last reading.
    pub observation: Option<Reading>,
    /// When its cooldown ends or ended.
    pub next_change_at: Option<Timestamp>,
    /// The job being worked on.
    pub active: Option<Arc<Job>>,
    /// The jobs waiting, in order.
    pub queue: Vec<JobId>,
    /// How long its steps took.
    pub step_durations: StepDurations,
    /// What stands about it besides its jobs.
    pub standing: StandingView,
}
