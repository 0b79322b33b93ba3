//! The durable journal: what is in it survives `kill -9`, and nothing is promised to anybody that is not in it.
//!
//! [`Journal`] is all the engine knows of storage: whole batches go in, one snapshot comes out at start. It must never
//! decide anything, and no SQL, lease or lock leaves this module, so that another store can take the place of SQLite
//! without the engine noticing. A log of events instead of current records lost: jobs are small, their records are what
//! readers want, and a log would need snapshots and compaction of its own.

mod audit_file;
mod backup;
mod connection;
mod directory;
mod error;
#[cfg(test)]
mod fixtures;
mod identity;
mod key_rows;
mod keys;
mod lanes;
mod log_length;
mod metered;
mod prune;
mod queries;
mod read;
mod reader;
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
    Alias, AuditEntry, EventId, HistoryEntry, Job, JobEvent, JobId, KeyId, KeyRecord, LaneRecord, Retention, Timestamp,
};

pub use audit_file::{AuditFile, AuditLine, AuditedJournal};
pub use backup::{Backup, BackupError, back_up};
pub use directory::{KeyChangesSeen, KeyChangesWatch, is_of_store};
pub use error::StoreError;
pub use keys::KeyStore;
pub use metered::MeteredJournal;
pub use read::{EventFilter, JobCounts, JobFilter, LogPage, Page, Position, StoreReader, begins_after};
pub use reader::{SqliteReader, log_length};
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
