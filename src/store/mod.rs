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

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::{
    AbridgedJob, Alias, AuditEntry, EventId, HistoryEntry, Job, JobEvent, JobId, KeyId, KeyRecord, LaneRecord, Reach,
    Retention, Timestamp,
};

pub use audit_file::{AuditFile, AuditLine, AuditedJournal};
pub use backup::{Backup, BackupError, back_up};
pub use catalog::SqliteCatalog;
pub use directory::{KeyChangesSeen, KeyChangesWatch};
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
            lane.ledger.carry_over(here, there);
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
    pub states: Vec<ListedState>,
}

impl JobFilter {
    /// Whether `job` as it is here belongs on the list.
    pub fn admits(&self, job: &Job) -> bool {
        self.resources.includes(&job.resource)
            && (self.states.is_empty() || self.states.contains(&ListedState::of(job)))
    }
}

/// A job's state as a list can be filtered by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum ListedState {
    Queued,
    Running,
    Succeeded,
    Failed,
    Canceled,
    Superseded,
}

impl ListedState {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Queued, Self::Running, Self::Succeeded, Self::Failed, Self::Canceled, Self::Superseded];

    /// The state of `job`.
    pub fn of(job: &Job) -> Self {
        use crate::domain::{Ending, JobState};
        match &job.state {
            JobState::Queued => Self::Queued,
            JobState::Running => Self::Running,
            JobState::Ended(Ending::Succeeded) => Self::Succeeded,
            JobState::Ended(Ending::Failed(_)) => Self::Failed,
            JobState::Ended(Ending::Canceled) => Self::Canceled,
            JobState::Ended(Ending::Superseded { .. }) => Self::Superseded,
        }
    }

    /// The state as it appears in the API and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Superseded => "superseded",
        }
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

/// What can be wrong with a store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory or a file in it cannot be used.
    #[error("the data directory {path} cannot be used: {}, or choose another one", file_remedy(source))]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another process has it open.
    #[error(
        "the data directory {path} is in use by another scalegate process{}: stop that one, or choose another directory",
        pid_suffix(holder)
    )]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The process id the other one left in the lock file.
        holder: Option<u32>,
    },
    /// It was written by a later release.
    #[error(
        "the store {path} has schema version {found}, but this release knows only versions up to {known}: run the release \
         that wrote it, or a later one"
    )]
    NewerSchema {
        /// The database file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The latest version known.
        known: i64,
    },
    /// Another process has it open, and that one is of another release.
    #[error(
        "the store {path} is in use by a gateway of another release (schema version {found}, not {known}): use the \
         scalegate that runs there, or wait until it has started"
    )]
    OtherRelease {
        /// The database file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The version of this release.
        known: i64,
    },
    /// Other users can write to the directory, or to a file of the store, or could have put it there.
    #[error("{path} is not trusted: {why}; {}", trust_remedy(path, why))]
    Untrusted {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        why: Distrust,
    },
    /// The file is some other program's database.
    #[error("{path} is an SQLite database, but not one of scalegate's: choose another data directory")]
    Foreign {
        /// The database file.
        path: PathBuf,
    },
    /// It is damaged.
    #[error(
        "the store {path} is corrupt ({detail}): move it and the {name}-* files beside it away, and restore a backup, or \
         start empty; unfinished jobs and running cooldowns in it are then lost",
        name = file_name(path)
    )]
    Corrupt {
        /// The database file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// A log lies beside it that belongs to another one.
    #[error(
        "a write-ahead log of another store lies beside {path}, which is a backup: put the backup into an empty directory, \
         as scalegate.db and with nothing beside it"
    )]
    StrayLog {
        /// The database file.
        path: PathBuf,
    },
    /// Somebody took its files away while it was open. What was written to them since is nowhere to be found.
    #[error(
        "the store {path} was removed or replaced while it was in use: put back the very files that were there (moved away, \
         they can be moved back), or restart the gateway to go on with what is there now; jobs and running cooldowns that \
         are not in it are then lost"
    )]
    Removed {
        /// The file that is not there any more.
        path: PathBuf,
    },
    /// An operation on the write-ahead log failed.
    #[error("the store's log {path} failed: {}", file_remedy(source))]
    Log {
        /// The log.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// An operation failed.
    #[error("the store {path} failed: {}", sqlite_remedy(source))]
    Sqlite {
        /// The database file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// An earlier commit failed, and the store was not read again since.
    #[error("an earlier commit failed, and what is on the disk is uncertain")]
    Uncertain,
    /// It takes too long.
    #[error("the store does not answer in time")]
    Slow,
    /// Too much waits for it already.
    #[error("too much waits to be written already")]
    Congested,
    /// The thread that writes is gone.
    #[error("the store is closed")]
    Closed,
}

const MAKE_ROOM: &str = "its disk is full, make room on it";
const LOOK_AT_DISK: &str = "its disk does not work, the system's log should say why";
const LET_WRITE: &str = "let this process write to it";

/// What to do about a file that cannot be used.
fn file_remedy(error: &std::io::Error) -> &'static str {
    /// Linux; the standard library has no name for it.
    const INPUT_OUTPUT_ERROR: i32 = 5;
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => MAKE_ROOM,
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => LET_WRITE,
        ErrorKind::AlreadyExists | ErrorKind::NotADirectory => "move away what is there and is no directory",
        _ if error.raw_os_error() == Some(INPUT_OUTPUT_ERROR) => LOOK_AT_DISK,
        _ => "see that it is there and that this process may write to it",
    }
}

/// What to do about a database that cannot be used.
fn sqlite_remedy(error: &rusqlite::Error) -> &'static str {
    use rusqlite::ErrorCode;
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => MAKE_ROOM,
        Some(ErrorCode::SystemIoFailure) => LOOK_AT_DISK,
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => LET_WRITE,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another program has locked it, end what it does there"
        }
        _ => "see that its disk has space and that this process may write to it",
    }
}

/// What to do about a file or directory that is not trusted.
fn trust_remedy(path: &std::path::Path, why: &Distrust) -> String {
    let path = path.display();
    match why {
        Distrust::NoFile => format!("move away what is at {path}, and put the file itself there if it is needed"),
        Distrust::SecondName => format!("copy it, and put the copy at {path}"),
        Distrust::Owner { owner, user } => format!(
            "run this as the user {owner}, or, if nothing in the data directory is of strangers, \
             `chown -R {user} DIRECTORY`, or choose another directory"
        ),
        Distrust::Everyone => {
            format!("look at what is there and `chmod o-w {path}`, or choose a directory that does not exist so far")
        }
        Distrust::Group { .. } => {
            format!("look at what is there and `chmod g-w {path}`, or choose a directory that does not exist so far")
        }
    }
}

fn file_name(path: &std::path::Path) -> std::borrow::Cow<'_, str> {
    path.file_name().map_or("".into(), |name| name.to_string_lossy())
}

fn pid_suffix(pid: &Option<u32>) -> String {
    pid.map_or(String::new(), |pid| format!(" (process {pid})"))
}
