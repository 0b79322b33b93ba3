//! What is durable: what is in the store survives `kill -9`, and a promise is made only of what is in it.
//!
//! [`Store`] is all that the engine knows of storage: lanes are adopted, units are committed. It must never decide anything
//! about scaling, and no SQL, path or lock leaves this module, so that another store can take the place of SQLite without the
//! engine noticing. Rejected: a log of events instead of current records, because jobs are small, their records are what
//! readers want, and a log would need snapshots and compaction of its own.

mod admissions;
mod adoption;
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
mod observer;
mod prune;
mod queries;
mod read;
mod reader;
mod records;
mod rows;
mod schema;
mod sqlite;
mod trust;
mod unit;
mod wal;
mod writer;

use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use crate::domain::{Alias, EventId, JobEvent, LaneRecord, Retention, Timestamp};

pub use admissions::{
    AdmissionRecords, Admissions, Excess, Held, Holder, JobWish, MAX_IDEMPOTENCY_KEYS, MAX_TEXT_BYTES, NoRoom,
    PrunedJob, ReservationId, Reserved, Wish,
};
pub use adoption::LaneReader;
pub use audit_file::{AuditFile, AuditLine};
pub use backup::{Backup, BackupError, back_up};
pub use directory::{KeyChangesSeen, KeyChangesWatch, is_of_store};
pub use error::StoreError;
pub use keys::KeyStore;
pub use observer::Observer;
pub use read::{EventFilter, JobCounts, JobFilter, LogPage, Page, Position, StoreReader, begins_after};
pub use reader::{SqliteReader, log_length};
pub use sqlite::{SqliteJournal, check_large};
pub use trust::Distrust;
pub use unit::{Epoch, IdempotencyEntry, KeyChange, LaneChange, RecordChange, SubmitKey, Unit};
pub use writer::{Journal, Opened, SqliteStore, StoreInbox};

/// The lanes to be adopted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// All that have a record or an unfinished job.
    All,
    /// Those of these resources, whether there is anything about them or not.
    These(Vec<Alias>),
}

/// What an owner needs to carry on with lanes where another one stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Adoption {
    /// The lanes: first those with a record, by name, then those with jobs only, in the order of their first jobs.
    pub lanes: Vec<AdoptedLane>,
    /// When the store was restored from a backup, if it was: nothing in it tells what was done since the backup and before this.
    pub restored_at: Option<Timestamp>,
}

/// A lane that belongs to whom it was given, until a unit about it is refused or another one adopts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdoptedLane {
    /// Identifies the adoption.
    pub epoch: Epoch,
    /// What is remembered of the lane.
    pub record: LaneRecord,
    /// Its unfinished jobs, in order of submission, each with the id of its present version; 0 if that is older than the log.
    pub jobs: Vec<JobEvent>,
}

impl Adoption {
    /// Carries what is finished over to a clock that shows `there` when the one so far shows `here`: how long ago it was
    /// stays the same. What jobs show of their past stays as it was shown.
    pub fn carry_over(&mut self, here: Timestamp, there: Timestamp) {
        for lane in &mut self.lanes {
            lane.record.change_state.carry_over(here, there);
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

/// The results of the units of a commit, in their order: of each, the id of the version that its first job became, by which
/// those of the others follow.
pub type Commit = BoxFuture<'static, Vec<Result<EventId, StoreError>>>;

/// A store of jobs and lanes. Times in it are by the clock that it was opened with.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Makes `units` durable, in their order. They are handed over when this is called, not when its result is awaited: the
    /// units of a later call come after those of an earlier one, and results are known in the same order.
    ///
    /// A unit that fails, or that is about a lane whose adoption does not count any more, takes all its lanes from their
    /// owner: no later unit about them is made durable before they are adopted again. Whether a unit that failed is durable
    /// itself, only the next adoption tells.
    fn commit(&self, units: Vec<Unit>) -> Commit;

    /// Takes lanes over, from an earlier owner too. Also the way to make a store usable again after an error.
    ///
    /// # Errors
    /// If the store cannot be read or makes no sense.
    async fn adopt(&self, which: Which) -> Result<Adoption, StoreError>;

    /// Reserves what `wish` needs. Waits as long as another request with the same idempotency key is on its way.
    ///
    /// # Errors
    /// If the store cannot tell.
    async fn reserve(&self, wish: Wish) -> Result<Result<Reserved, NoRoom>, StoreError>;

    /// Gives back a reservation that no unit has used up.
    fn give_back(&self, reservation: ReservationId);

    /// Removes some of what `retention` no longer covers. Short, so that commits are not held up.
    ///
    /// # Errors
    /// If the store cannot be written.
    async fn prune(&self, retention: Retention, now: Timestamp) -> Result<Pruned, StoreError>;
}

/// Makes `unit`, which is about no lane, durable, however long that takes.
///
/// # Errors
/// If it may not be; with [`StoreError::Congested`] it is not.
pub async fn commit_one(store: &dyn Store, unit: Unit) -> Result<(), StoreError> {
    store.commit(vec![unit]).await.pop().unwrap_or(Err(StoreError::Closed)).map(drop)
}

/// What was removed because it is no longer kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// These jobs.
    pub jobs: Vec<PrunedJob>,
    /// Whether something is left to be removed.
    pub more: bool,
}
