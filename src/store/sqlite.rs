//! The journal in an SQLite file.
//!
//! Write-ahead log with `synchronous = FULL`: a commit is on the disk when it returns, and readers (lists, the `sqlite3`
//! shell) never wait for the writer.
//!
//! After a failed commit the store is opened anew, with the old connections still open: SQLite's index of the log lives
//! on with them, and does not have the failed commit in it, which the next one overwrites. A process that dies before
//! that leaves it to the next process, which reads the log itself and may find it whole: then it is a commit like any
//! other. Whether it is on the *disk* is another question, which [`wal`] sees to.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::types::Type;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _, TransactionBehavior, params};

use super::backup;
use super::connection::{check, configure, explain, open_to_read};
use super::directory::{self, database_path};
use super::identity::FileId;
use super::key_rows;
use super::lanes;
use super::log_length::LogKeeper;
use super::prune::{self, Removed};
use super::records::{self, unreadable};
use super::rows;
use super::schema::{self, Kind};
use super::wal;
use super::{Batch, Journal, KeyedAnswer, Pruned, Snapshot, StoreError, UsedKey};
use crate::clock::Anchor;
use crate::domain::{EventId, KeyRecord, Retention, Timestamp};

/// By how much a clock must differ from the one before to matter for what is kept for days.
const LEAST_SHIFT_MILLIS: u64 = 1000;
/// The size of the largest store that is checked whole when it is opened; that takes a tenth of a second.
const CHECKED_AT_ONCE_BYTES: u64 = 128 << 20;
/// How long to wait for another process that uses the directory: one that only makes a key is done in milliseconds, and a
/// gateway that starts meanwhile should not have to be started again.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);
/// Pause between two attempts.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// The writing side of the store. At most one exists per data directory, on this machine.
pub struct SqliteJournal {
    path: PathBuf,
    db: Connection,
    /// Whether the connection was checked and is unused since.
    just_opened: bool,
    /// The database and its log, as they were found.
    files: [FileId; 2],
    /// Timelines take turns in being looked at for what is too old.
    timelines_pruned_up_to: Option<String>,
    log: LogKeeper,
    /// Held for as long as the journal lives; the system lets go of it if the process dies.
    _lock: File,
}

impl SqliteJournal {
    /// Opens the store in `directory`, creating both if need be.
    ///
    /// # Errors
    /// If the directory cannot be used, is used by another process, or holds something that is not a store this release
    /// can read.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let give_up_at = Instant::now() + LOCK_PATIENCE;
        loop {
            match Self::open_at_once(directory) {
                Err(StoreError::InUse { .. }) if Instant::now() < give_up_at => std::thread::sleep(LOCK_PAUSE),
                opened => return opened,
            }
        }
    }

    /// The same, without waiting for another process that may be done in a moment.
    ///
    /// # Errors
    /// As for [`SqliteJournal::open`].
    pub(super) fn open_at_once(directory: &Path) -> Result<Self, StoreError> {
        let is_ours = directory::create(directory)?;
        let lock = lock(directory)?;
        let path = database_path(directory);
        wal::check(&path)?;
        directory::create_database(directory)?;
        let mut db =
            directory::connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(|error| explain(&path, error))?;
        prepare(&path, &mut db)?;
        // Not before it is known to be a store of ours: nobody else's is changed.
        directory::close_to_others(directory, is_ours);
        let files = [FileId::at(&path)?, FileId::at(&wal::path(&path))?];
        let log = LogKeeper::of(&path);
        Ok(Self { path, db, just_opened: true, files, timelines_pruned_up_to: None, log, _lock: lock })
    }

    /// Fails if the files are not where they were: what is written to files that somebody has removed succeeds, and is
    /// gone when the process ends.
    fn still_there(&self) -> Result<(), StoreError> {
        for (path, known) in [self.path.clone(), wal::path(&self.path)].into_iter().zip(self.files) {
            if FileId::at(&path)? != known {
                return Err(StoreError::Removed { path });
            }
        }
        Ok(())
    }

    /// The anchor of the clock that the points in time in here are by, if there is one that makes sense.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn clock_anchor(&self) -> Result<Option<Anchor>, StoreError> {
        let row = |row: &rusqlite::Row| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let found: (String, i64, i64) =
            match self.db.query_row("SELECT boot, uptime_ms, shown_ms FROM clock", [], row).optional() {
                Ok(Some(found)) => found,
                // A clock that cannot be understood is as good as none; no job is lost with it.
                Ok(None) | Err(rusqlite::Error::InvalidColumnType(..)) => return Ok(None),
                Err(error) => return Err(self.explain(error)),
            };
        let (boot, uptime_ms, shown_ms) = found;
        let (uptime, shown) = (u64::try_from(uptime_ms).ok(), Timestamp::from_millis(shown_ms));
        Ok(uptime.map(|uptime_ms| Anchor { boot, uptime: Duration::from_millis(uptime_ms), shown }))
    }

    /// Notes that the points in time in here are by another clock from now on: the one with this `anchor`, if it has any.
    /// The lanes of `snapshot` are by the new clock already, and become durable together with it; so do the ages of what is
    /// kept for some time, by a clock that shows `forward_millis` more than the one before.
    ///
    /// # Errors
    /// If that may not be durable.
    pub fn change_clock(
        &mut self,
        anchor: Option<&Anchor>,
        snapshot: &Snapshot,
        forward_millis: i64,
    ) -> Result<(), StoreError> {
        let batch = Batch { lanes: snapshot.lanes.clone(), ..Batch::default() };
        self.write_clock(anchor, &batch, forward_millis).map_err(|error| self.explain(error))
    }

    fn write_clock(&mut self, anchor: Option<&Anchor>, batch: &Batch, forward_millis: i64) -> rusqlite::Result<()> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        rows::write(&transaction, std::slice::from_ref(batch))?;
        // What is kept for days is not rewritten for the few milliseconds that two clocks are always apart.
        if forward_millis.unsigned_abs() >= LEAST_SHIFT_MILLIS {
            transaction.execute("UPDATE answers SET answered_ms = answered_ms + ?1", [forward_millis])?;
            transaction.execute("UPDATE jobs SET finished_ms = finished_ms + ?1", [forward_millis])?;
            transaction.execute("UPDATE timeline SET at_ms = at_ms + ?1", [forward_millis])?;
        }
        transaction.execute("UPDATE backup SET restored_ms = restored_ms + ?1", [forward_millis])?;
        transaction.execute("DELETE FROM clock", [])?;
        if let Some(Anchor { boot, uptime, shown }) = anchor {
            let uptime_ms = i64::try_from(uptime.as_millis()).unwrap_or(i64::MAX);
            let row = params![boot, uptime_ms, shown.as_millis()];
            transaction.execute("INSERT INTO clock (only, boot, uptime_ms, shown_ms) VALUES (1, ?1, ?2, ?3)", row)?;
        }
        transaction.commit()
    }

    pub(super) fn read_api_keys(&self) -> rusqlite::Result<Vec<KeyRecord>> {
        key_rows::read(&self.db)
    }

    fn explain(&self, error: rusqlite::Error) -> StoreError {
        explain(&self.path, error)
    }

    fn corrupt(&self, what: &str, error: impl std::fmt::Display) -> StoreError {
        StoreError::Corrupt { path: self.path.clone(), detail: format!("{what}: {error}") }
    }

    fn write(&mut self, batches: &[Batch]) -> rusqlite::Result<()> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        rows::write(&transaction, batches)?;
        transaction.commit()
    }

    /// Notes, if it is a backup that no gateway was started on yet, that one is at `now`, by the clock that the points in time in
    /// here are by; when the backup was made.
    ///
    /// # Errors
    /// If that may not be durable.
    pub fn carry_on_from_backup(&mut self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        backup::carry_on(&mut self.db, now).map_err(|error| self.explain(error))
    }

    /// Whether anything is unfinished: a job, or a change that nobody knows the outcome of.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn has_work(&self) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM jobs WHERE state IN ('queued', 'running')) \
            OR EXISTS (SELECT 1 FROM lanes WHERE change IS NOT NULL)";
        self.db.query_row(sql, [], |row| row.get(0)).map_err(|error| self.explain(error))
    }

    /// The id of the next version of a job. The newest version is never removed, so that its id tells.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn next_event(&self) -> Result<EventId, StoreError> {
        let sql = "SELECT coalesce((SELECT max(seq) + 1 FROM versions), (SELECT first FROM versions_begin))";
        self.db.query_row(sql, [], |row| row.get(0)).map_err(|error| self.explain(error))
    }

    fn read_keys(&self) -> Result<Vec<UsedKey>, StoreError> {
        self.select_keys().map_err(|error| match error.sqlite_error_code() {
            // Not the file is at fault, but what is in it.
            None | Some(ErrorCode::Unknown) => self.corrupt("the requests with a key", error),
            Some(_) => self.explain(error),
        })
    }

    fn select_keys(&self) -> rusqlite::Result<Vec<UsedKey>> {
        let sql = "SELECT key, fingerprint, answered_ms, job ->> '$.resource' FROM answers";
        let mut statement = self.db.prepare(sql)?;
        let keys = statement.query_map([], |row| {
            let not_an_alias = |error| rusqlite::Error::FromSqlConversionFailure(3, Type::Text, Box::new(error));
            let resource = row.get::<_, String>(3)?.parse().map_err(not_an_alias)?;
            let answered_at = Timestamp::from_millis(row.get(2)?);
            Ok(UsedKey { key: row.get(0)?, resource, fingerprint: row.get(1)?, answered_at })
        })?;
        keys.collect()
    }

    fn remove_old(&mut self, retention: Retention, now: Timestamp) -> rusqlite::Result<Removed> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let removed = prune::remove_old(&transaction, retention, now, self.timelines_pruned_up_to.as_deref())?;
        transaction.commit()?;
        Ok(removed)
    }
}

impl Journal for SqliteJournal {
    fn commit(&mut self, batches: &[Batch]) -> Result<(), StoreError> {
        self.write(batches).map_err(|error| self.explain(error))?;
        self.still_there()?;
        self.log.keep_short(&self.db, Instant::now());
        Ok(())
    }

    fn load(&mut self) -> Result<Snapshot, StoreError> {
        if !std::mem::take(&mut self.just_opened) {
            self.still_there()?;
            // A connection that failed may be stuck in its error; a new one begins from what is on the disk.
            let opened = directory::connect(&self.path, OpenFlags::SQLITE_OPEN_READ_WRITE);
            let mut db = opened.map_err(|error| self.explain(error))?;
            prepare(&self.path, &mut db)?;
            self.db = db;
        }
        // The holder of the lock is the only writer: no other commit comes between these.
        Ok(Snapshot {
            lanes: lanes::read(&self.db).map_err(|error| unreadable(&self.path, error))?,
            jobs: records::read_jobs(&self.db).map_err(|error| unreadable(&self.path, error))?,
            keys: self.read_keys()?,
            next_event: self.next_event()?,
            restored_at: backup::restored_at(&self.db).map_err(|error| self.explain(error))?,
        })
    }

    fn answer(&mut self, key: &str) -> Result<Option<KeyedAnswer>, StoreError> {
        let found = self
            .db
            .prepare_cached("SELECT fingerprint, joined, answered_ms, job FROM answers WHERE key = ?1")
            .and_then(|mut statement| {
                statement
                    .query_row([key], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get::<_, String>(3)?)))
                    .optional()
            })
            .map_err(|error| self.explain(error))?;
        let Some((fingerprint, joined, answered_ms, job)) = found else { return Ok(None) };
        let job =
            serde_json::from_str(&job).map_err(|error| self.corrupt(&format!("the answer for key {key}"), error))?;
        let answered_at = Timestamp::from_millis(answered_ms);
        Ok(Some(KeyedAnswer { key: key.to_owned(), fingerprint, joined, job, answered_at }))
    }

    fn prune(&mut self, retention: Retention, now: Timestamp) -> Result<Pruned, StoreError> {
        let Removed { jobs, timelines_up_to, more } =
            self.remove_old(retention, now).map_err(|error| self.explain(error))?;
        self.timelines_pruned_up_to = timelines_up_to;
        // Once a minute, also where nothing else is written.
        self.log.keep_short(&self.db, Instant::now());
        let jobs = jobs.iter().map(|id| id.parse().map_err(|error| self.corrupt("a job's id", error)));
        Ok(Pruned { jobs: jobs.collect::<Result<_, _>>()?, more })
    }
}

/// Takes the lock on `directory`, leaving the process id in it for whoever comes second.
fn lock(directory: &Path) -> Result<File, StoreError> {
    let unusable = |source| StoreError::Directory { path: directory.to_owned(), source };
    let path = directory::lock_path(directory);
    let mut file = directory::open(&path, File::options().read(true).write(true).create(true).truncate(false))
        .map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let holder = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
            return Err(StoreError::InUse { path: directory.to_owned(), holder });
        }
        Err(TryLockError::Error(source)) => return Err(unusable(source)),
    }
    let note_pid = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    note_pid(&mut file).map_err(unusable)?;
    Ok(file)
}

/// Whether a store is so large that it is opened before all of it was checked.
fn takes_long_to_check(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| file.len() > CHECKED_AT_ONCE_BYTES)
}

/// Checks a store in `directory` that was too large to be checked when it was opened; reads all of it, and the log of the
/// store grows meanwhile.
///
/// # Errors
/// If it is damaged, or cannot be read.
pub fn check_large(directory: &Path) -> Result<(), StoreError> {
    let path = database_path(directory);
    if !takes_long_to_check(&path) {
        return Ok(());
    }
    check(&path, &open_to_read(&path).map_err(|error| explain(&path, error))?)
}

/// Checks that `db` is a sound store of ours and brings it up to date.
fn prepare(path: &Path, db: &mut Connection) -> Result<(), StoreError> {
    let version = match schema::identify(db).map_err(|error| explain(path, error))? {
        Kind::Foreign => return Err(StoreError::Foreign { path: path.to_owned() }),
        Kind::Ours { version } => version,
    };
    if version > schema::VERSION {
        return Err(StoreError::NewerSchema { path: path.to_owned(), found: version, known: schema::VERSION });
    }
    configure(db).map_err(|error| explain(path, error))?;
    if !takes_long_to_check(path) {
        check(path, db)?;
    }
    schema::migrate(db, version).map_err(|error| unreadable(path, error))?;
    wal::write_again(path, db)?;
    schema::try_to_write(db).map_err(|error| explain(path, error))
}

#[cfg(test)]
#[path = "sqlite_tests.rs"]
mod tests;
