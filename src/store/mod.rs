//! The durable journal: what is in it survives `kill -9`, and nothing is promised to anybody that is not in it.
//!
//! [`Journal`] is all the engine knows of storage: whole batches go in, one snapshot comes out at start. It must never
//! decide anything, and no SQL, lease or lock leaves this module, so that another store can take the place of SQLite
//! without the engine noticing. A log of events instead of current records lost: jobs are small, their records are what
//! readers want, and a log would need snapshots and compaction of its own.

mod audit_file;
mod backup;
mod catalog;
mod directory;
mod error;
#[cfg(test)]
mod fixtures;
mod identity;
mod keys;
mod lanes;
mod log_length;
mod metered;
mod prune;
mod records;
mod rows;
mod schema;
mod sqlite;
mod trust;
mod wal;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use crate::domain::{
    AbridgedJob, Alias, AuditEntry, EventId, HistoryEntry, Job, JobEvent, JobId, KeyId, KeyRecord, LaneRecord, Reach,
    Retention, StateName, Timestamp,
};

pub use audit_file::{AuditFile, AuditLine, AuditedJournal};
pub use backup::{Backup, BackupError, back_up};
pub use catalog::SqliteCatalog;
pub use directory::{KeyChangesSeen, KeyChangesWatch, is_of_store};
pub use error::StoreError;
pub use keys::KeyStore;
pub use metered::MeteredJournal;
pub use sqlite::{SqliteJournal, check_large};
pub use trust::Distrust;
pub use writer::{Acknowledgement, StoreClient, StoreInbox, StoreWriter};

/// Records that become durable together or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Jobs, new or in a new version, which also goes into the log of versions.
    pub jobs: Vec<JobEvent>,
    /// Lanes, new or changed.
    pub lanes: Vec<LaneRecord>,
    /// Lanes with nothing left worth remembering.
    pub forgotten_lanes: Vec<Alias>,
    /// Answers to requests that carried an idempotency key.
    pub answers: Vec<KeyedAnswer>,
    /// What happened to resources, in order.
    pub history: Vec<(Alias, HistoryEntry)>,
    /// Changes of the keys that callers show.
    pub keys: Vec<KeyChange>,
    /// Who tried to change something.
    pub audit: Vec<AuditEntry>,
}

/// A change of the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyChange {
    /// A new one.
    Added(KeyRecord),
    /// The configuration gives one. Of this one the store remembers only that it was there.
    Configured {
        /// Since when.
        at: Timestamp,
    },
    /// One was revoked.
    Revoked {
        /// Which.
        id: KeyId,
        /// When, if it was not revoked before.
        at: Timestamp,
    },
    /// One was used.
    Used {
        /// Which.
        id: KeyId,
        /// When.
        at: Timestamp,
    },
}

/// The answer once given to a request with an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyedAnswer {
    /// The key.
    pub key: String,
    /// SHA-256 of the request in a canonical form.
    pub fingerprint: [u8; 32],
    /// Whether the request joined a job that was there already.
    pub joined: bool,
    /// The job as it was in the answer.
    pub job: Arc<Job>,
    /// When it was given.
    pub answered_at: Timestamp,
}

/// A key that was used, without the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsedKey {
    /// The key.
    pub key: String,
    /// The resource the request was about.
    pub resource: Alias,
    /// SHA-256 of the request in a canonical form.
    pub fingerprint: [u8; 32],
    /// When the request was answered.
    pub answered_at: Timestamp,
}

/// Everything a process needs to carry on where another one stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// All lanes.
    pub lanes: Vec<LaneRecord>,
    /// All jobs, in order of submission, each with the id of its present version; 0 if it is older than the log.
    pub jobs: Vec<JobEvent>,
    /// All keys.
    pub keys: Vec<UsedKey>,
    /// The id of the next version of a job.
    pub next_event: EventId,
    /// When the store was restored from a backup, if it was: of what was done since the backup and before this, nothing is in it.
    pub restored_at: Option<Timestamp>,
}

impl Snapshot {
    /// Carries what is finished over to a clock that shows `there` when the one so far shows `here`: how long ago it was
    /// stays the same. What jobs show of their past stays as it was shown.
    pub fn carry_over(&mut self, here: Timestamp, there: Timestamp) {
        for lane in &mut self.lanes {
            lane.change_state.carry_over(here, there);
        }
        for key in &mut self.keys {
            key.answered_at = key.answered_at.on_another_clock(here, there);
        }
        self.restored_at = self.restored_at.map(|at| at.on_another_clock(here, there));
    }
}

/// Most versions of jobs in the log, the newest ones, give or take some dozens. At ten for a step and a step in five minutes, twenty resources that
/// are scaled all the time fill it in a day, and it takes some 50 MB of disk. Whoever was away for longer begins anew.
pub const MAX_LOGGED_VERSIONS: u64 = 50_000;
/// Most entries in the timeline of one resource, the newest ones, give or take some dozens: at about ten for a step, the last thousand steps, in some
/// megabytes. They also go when they are older than what is kept of jobs.
pub const MAX_TIMELINE: u32 = 10_000;

/// Most revoked and expired API keys that are kept, so that whoever still uses one is told what is wrong with it.
pub const MAX_DEAD_KEYS: u32 = 1000;

/// How long an answer to a request with an idempotency key is kept: a day is promised, the hour on top makes up for
/// clocks that differ.
pub const KEY_RETENTION: Duration = Duration::from_hours(25);

/// A store of jobs and lanes with one writer. Calls block.
pub trait Journal: Send + 'static {
    /// Makes `batches` durable, all of them or none.
    ///
    /// # Errors
    /// If they may not be durable. Which ones are, the next [`Journal::load`] tells.
    fn commit(&mut self, batches: &[Batch]) -> Result<(), StoreError>;

    /// Reads everything. Also the way to make a store usable again after an error.
    ///
    /// # Errors
    /// If the store cannot be read or makes no sense.
    fn load(&mut self) -> Result<Snapshot, StoreError>;

    /// The answer given to the request with `key`.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn answer(&mut self, key: &str) -> Result<Option<KeyedAnswer>, StoreError>;

    /// Removes some of what `retention` no longer covers. Short, so that commits are not held up.
    ///
    /// # Errors
    /// If the store cannot be written.
    fn prune(&mut self, retention: Retention, now: Timestamp) -> Result<Pruned, StoreError>;
}

/// What was removed because it is no longer kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// These jobs.
    pub jobs: Vec<JobId>,
    /// Whether something is left to be removed.
    pub more: bool,
}

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
    /// The oldest id in the log, whosever it is; `None` if the log is empty.
    pub oldest: Option<EventId>,
    /// In order.
    pub versions: Vec<(EventId, AbridgedJob)>,
}

/// A view of the store for lists. Calls block, and may be made from several threads.
pub trait Catalog: Send + Sync + 'static {
    /// At most `size` jobs after `after`, newest first.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn page(&self, filter: &JobFilter, after: Option<Position>, size: usize) -> Result<Page<JobId>, StoreError>;

    /// At most `size` versions after `after` and up to `until`, in order.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn versions(
        &self,
        filter: &EventFilter,
        after: EventId,
        until: EventId,
        size: usize,
    ) -> Result<LogPage, StoreError>;

    /// Which jobs have versions after `after` and up to `until`, and the oldest id in the log.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn changed_jobs(
        &self,
        filter: &EventFilter,
        after: EventId,
        until: EventId,
    ) -> Result<(Option<EventId>, Vec<JobId>), StoreError>;

    /// At most `size` entries of the timeline of `resource` after `after`, newest first.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn timeline(
        &self,
        resource: &Alias,
        after: Option<Position>,
        size: usize,
    ) -> Result<Page<HistoryEntry>, StoreError>;

    /// All API keys, oldest first.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn keys(&self) -> Result<Vec<KeyRecord>, StoreError>;

    /// Whether there was ever a key, also if it is gone or was only in the configuration.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn ever_had_key(&self) -> Result<bool, StoreError>;

    /// At most `size` attempts to change something after `after`, newest first.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn audit(&self, after: Option<Position>, size: usize) -> Result<Page<AuditEntry>, StoreError>;

    /// The length of the write-ahead log in bytes. It is not read, so that this takes microseconds.
    ///
    /// # Errors
    /// If there is none.
    fn log_length(&self) -> Result<u64, StoreError>;
}
