//! What can be asked of the engine, and what it answers.

use std::sync::Arc;

use crate::domain::{
    Alias, Bounds, Capacity, CompletionEstimate, InvalidSetting, Job, JobId, KeyId, Reading, ResourceConfig, Settings,
    Timestamp,
};

/// Identifies a request that waits for its answer.
pub type ReplyTo = u64;

/// An idempotency key with the fingerprint of the request it came with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubmitKey {
    /// The key, told apart from the same one of other owners.
    pub key: String,
    /// SHA-256 of the request in a canonical form.
    pub fingerprint: [u8; 32],
}

/// Stands between the owner of an idempotency key and the key; it cannot be part of either.
const OWNER_END: char = '\n';

impl SubmitKey {
    /// The idempotency key `key` as sent with the API key `owner`. Two owners who choose the same key, by accident or in
    /// bad faith, do not get into each other's way.
    pub fn new(owner: Option<&KeyId>, key: String, fingerprint: [u8; 32]) -> Self {
        let key = owner.map(|owner| format!("{owner}{OWNER_END}{key}")).unwrap_or(key);
        Self { key, fingerprint }
    }

    /// The owner of a `key` made by [`SubmitKey::new`].
    pub(super) fn owner(key: &str) -> Option<KeyId> {
        key.split_once(OWNER_END).and_then(|(owner, _)| owner.parse().ok())
    }
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A job was made of it.
    Created(Arc<Job>),
    /// An unfinished job does the same already.
    Joined(Arc<Job>),
    /// The job is canceled, or will be once its change in flight is resolved.
    Canceled(Arc<Job>),
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
    /// Nobody wants to wait for so many steps.
    TooManySteps {
        /// From here.
        start: Capacity,
        /// To there.
        target: Capacity,
        /// In steps of this size.
        step_size: u32,
    },
    /// The resource has an unfinished job.
    Busy {
        /// That job.
        by: Arc<Job>,
    },
    /// Too many jobs wait for the resource.
    QueueFull {
        /// So many may.
        limit: usize,
    },
    /// Too many jobs are unfinished.
    TooManyJobs {
        /// So many may be.
        limit: usize,
    },
    /// Too many jobs that were submitted with the same API key are unfinished.
    TooManyJobsOfKey {
        /// So many may be.
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
    /// Too many idempotency keys were used lately.
    TooManyKeys {
        /// So many may be.
        limit: usize,
    },
    /// The idempotency key came with another request before.
    KeyReused,
    /// There is no unfinished job with that id.
    NotUnfinished,
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

/// Everything known about a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
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
}
