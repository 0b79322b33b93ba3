//! What can be read from a store, whichever keeps it: the reading half of the port.
//!
//! It must never name a path, a connection or a query: each implementation has those to itself, and no caller may rest
//! on them. Every method reads as of one moment, unless it says otherwise.
//!
//! The trait is asynchronous because a store on another machine is; `async-trait` boxes the futures, so that there can
//! be one `Arc<dyn StoreReader>` for all handlers. Rejected: a type parameter instead, because it would run through
//! every handler; and boxes written by hand, because they say the same in three times as many words.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;

use super::{Revision, StoreError};
use crate::domain::forecast::Prediction;
use crate::domain::policy::{Decision, Name};
use crate::domain::{
    AbridgedJob, Alias, AuditEntry, Ending, ErrorCode, EventId, GroupId, GroupState, GroupStatus, HistoryEntry, Job,
    JobEvent, JobId, JobState, KeyRecord, Reach, StateName, Timestamp,
};

/// Which jobs to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Of these resources only. If it is not all of them, each is looked up by itself.
    pub resources: Reach,
    /// In one of these states only; empty means any.
    pub states: Vec<StateName>,
}

impl JobFilter {
    /// Whether `job` as it is here belongs on the list.
    pub fn admits(&self, job: &Job) -> bool {
        self.resources.includes(&job.resource) && (self.states.is_empty() || self.states.contains(&job.state.name()))
    }
}

/// Which groups to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupFilter {
    /// Only those whose members are all among these resources.
    pub reach: Reach,
    /// Only those with a member for this resource.
    pub resource: Option<Alias>,
    /// In one of these states only; empty means any.
    pub states: Vec<GroupState>,
}

impl GroupFilter {
    /// Whether `status` belongs on the list.
    pub fn admits(&self, status: &GroupStatus) -> bool {
        let GroupStatus { group, state, .. } = status;
        group.members.iter().all(|member| self.reach.includes(&member.resource))
            && self.resource.as_ref().is_none_or(|resource| group.concerns(resource))
            && (self.states.is_empty() || self.states.contains(state))
    }
}

/// A place in a list, newest first; further pages begin after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(pub i64);

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// Newest first, each with the position after which a page begins that does not have it any more.
    pub entries: Vec<(Position, T)>,
    /// Where the next page begins, if there is one.
    pub next: Option<Position>,
}

#[cfg(test)]
impl<T> Page<T> {
    /// What is on it.
    pub fn items(self) -> Vec<T> {
        self.entries.into_iter().map(|(_, item)| item).collect()
    }
}

/// Whose versions to read from the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventFilter {
    /// Those of the jobs for these resources.
    Resources(Reach),
    /// Those of this job.
    Job(JobId),
}

impl EventFilter {
    /// Those of all jobs.
    pub const ALL: Self = Self::Resources(Reach::EVERYTHING);
}

/// A part of the log of versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPage {
    /// The oldest id in the log, of whichever job; `None` if the log is empty.
    pub oldest: Option<EventId>,
    /// In order.
    pub versions: Vec<(EventId, AbridgedJob)>,
    /// The log was read up to this id: the next part begins after it.
    pub until: EventId,
}

/// Whether what came right after `after` is no longer in a log whose oldest entry is `oldest` and whose latest is
/// `latest` at least.
pub fn begins_after(oldest: Option<EventId>, after: EventId, latest: EventId) -> bool {
    oldest.unwrap_or(latest + 1) > after + 1
}

/// How the last job of a resource ended that succeeded or failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastOutcome {
    /// The job.
    pub job: JobId,
    /// Why it failed; `None` if it succeeded.
    pub error: Option<ErrorCode>,
    /// When it ended.
    pub at: Timestamp,
}

impl LastOutcome {
    /// What the record of the job with this `id`, which ended, says; or why that makes no sense.
    pub(super) fn of_record(id: &str, record: &str) -> Result<Self, String> {
        /// What tells how a job ended, without its steps.
        #[derive(serde::Deserialize)]
        struct End {
            state: JobState,
            finished_at: Timestamp,
        }
        let End { state, finished_at: at } = serde_json::from_str(record).map_err(|error| error.to_string())?;
        let error = match state {
            JobState::Ended(Ending::Failed(error)) => Some(error.code),
            _ => None,
        };
        let job = id.parse().map_err(|error: uuid::Error| error.to_string())?;
        Ok(Self { job, error, at })
    }
}

/// How many jobs are in each state, in the order of [`StateName::ALL`].
pub type JobCounts = [(StateName, u64); StateName::ALL.len()];

/// Tells one state of the API keys from another. Only whether two are equal means anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeysState(pub [u64; 5]);

/// Most points in a series.
pub const MAX_POINTS: usize = 5000;

/// The values of a metric in steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// The length of each step.
    pub step: Duration,
    /// Those steps in which there was a value, oldest first; at most [`MAX_POINTS`].
    pub points: Vec<Point>,
}

/// The values of a metric in one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// When the step begins.
    pub at: Timestamp,
    /// The mean of the values.
    pub mean: f64,
    /// The largest of them.
    pub max: f64,
    /// How many there were.
    pub count: u64,
}

/// The reading side of a store. All methods fail if it cannot be read, or if what is in it makes no sense.
///
/// A read that was begun may go on when its future is dropped.
#[async_trait]
pub trait StoreReader: Send + Sync + 'static {
    /// The job `id` with the id of its present version; 0 if that is older than the log of versions.
    async fn job(&self, id: JobId) -> Result<Option<JobEvent>, StoreError>;

    /// The id of the latest version of any job.
    async fn last_event(&self) -> Result<EventId, StoreError>;

    /// At most `size` jobs after `after`, newest first; fewer, but one at least, if they are large.
    async fn jobs_page(
        &self,
        filter: &JobFilter,
        after: Option<Position>,
        size: usize,
    ) -> Result<Page<JobEvent>, StoreError>;

    /// How the last job of each of `resources` ended that succeeded or failed; without those of which no such job is kept.
    /// A job that was canceled or superseded says nothing about its resource.
    async fn last_outcomes(&self, resources: Vec<Alias>) -> Result<HashMap<Alias, LastOutcome>, StoreError>;

    /// How many jobs are in each state.
    async fn job_counts(&self) -> Result<JobCounts, StoreError>;

    /// The group `id` with what its jobs show.
    async fn group(&self, id: GroupId) -> Result<Option<GroupStatus>, StoreError>;

    /// At most `size` groups after `after`, newest first. A page with fewer is not the last one, unless it has no `next`: a long
    /// list is looked through in parts, so that other readers have their turn in between.
    async fn groups_page(
        &self,
        filter: &GroupFilter,
        after: Option<Position>,
        size: usize,
    ) -> Result<Page<GroupStatus>, StoreError>;

    /// At most `size` versions after `after` and up to `until`, in order. A page with fewer is not the last one, unless
    /// its `until` is the one asked for: a long log is read in parts, so that other readers have their turn in between.
    async fn versions(
        &self,
        filter: &EventFilter,
        after: EventId,
        until: EventId,
        size: usize,
    ) -> Result<LogPage, StoreError>;

    /// Whether all versions after `after` and up to `until` can be told: they are in the log, and their jobs are kept.
    /// May be read in parts, each as of its own moment.
    async fn has_all_after(&self, filter: &EventFilter, after: EventId, until: EventId) -> Result<bool, StoreError>;

    /// At most `size` entries of the timeline of `resource` after `after`, newest first.
    async fn timeline(
        &self,
        resource: &Alias,
        after: Option<Position>,
        size: usize,
    ) -> Result<Page<HistoryEntry>, StoreError>;

    /// At most `size` attempts to change something after `after`, newest first.
    async fn audit(&self, after: Option<Position>, size: usize) -> Result<Page<AuditEntry>, StoreError>;

    /// The revisions of the policy of `resource` that are kept, newest first, its end among them if it was deleted.
    async fn policy_revisions(&self, resource: &Alias) -> Result<Vec<Revision>, StoreError>;

    /// At most `size` decisions about `resource` after `after`, newest first; fewer, but one at least, if they are large.
    async fn decisions(
        &self,
        resource: &Alias,
        after: Option<Position>,
        size: usize,
    ) -> Result<Page<Decision>, StoreError>;

    /// The metrics of `resource` of which samples are kept, in use or not, by name.
    async fn metric_names(&self, resource: &Alias) -> Result<Vec<Name>, StoreError>;

    /// The values of a metric from `from` to before `to`; none if it was never observed.
    ///
    /// The length of a step is at least `step`, but longer if there would be more than [`MAX_POINTS`], and a whole number
    /// of seconds, or of minutes if it is longer than one. Steps begin at multiples of it, the first one at `from` or
    /// before. A minute whose samples are not kept as they came counts in the step in which it begins.
    async fn series(
        &self,
        resource: &Alias,
        metric: &Name,
        from: Timestamp,
        to: Timestamp,
        step: Duration,
    ) -> Result<Series, StoreError>;

    /// The prediction of a metric that was pushed last, also if its time is over.
    async fn prediction(&self, resource: &Alias, metric: &Name) -> Result<Option<Prediction>, StoreError>;

    /// All API keys, oldest first. Never waits for other reads.
    async fn keys(&self) -> Result<Vec<KeyRecord>, StoreError>;

    /// The state that the API keys are in, as far as other processes change them: as long as it stays equal, none has.
    /// `None` if that cannot be told. Asked with every request, so that it neither waits nor reads any key.
    fn keys_state(&self) -> Option<KeysState>;

    /// Whether there was ever a key, also if it is gone or was only in the configuration. Never waits for other reads.
    async fn ever_had_key(&self) -> Result<bool, StoreError>;
}
