//! The journal in an SQLite file.
//!
//! Write-ahead log with `synchronous = FULL`: a commit is on the disk when it returns, and readers (lists, the
//! `sqlite3` shell) never wait for the writer.
//!
//! After a failed commit the store is opened anew, with the old connections still open: SQLite's index of the log lives
//! on with them, and does not have the failed commit in it, which the next one overwrites. A process that dies before
//! that leaves it to the next process, which reads the log itself and may find it whole: then it is a commit like any
//! other. Whether it is on the *disk* is another question, which [`wal`] sees to.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, Row, TransactionBehavior};

use super::backup;
use super::clock_row;
use super::connection::{check, configure, explain, open_to_read};
use super::directory::{self, database_path};
use super::key_rows;
use super::lane_reader::{self, LaneReader};
use super::lock::lock;
use super::log_length::LogKeeper;
use super::prune::{self, Removed, Turns};
use super::records::{Unreadable, name_of, parsed, parsed_or_null, unreadable};
use super::reserve::Reserve;
use super::rows;
use super::schema::{self, Kind};
use super::spare_room::SpareRoom;
use super::wal;
use super::writer::{Journal, Opened};
use super::{SqliteError, lanes};
use crate::clock::Anchor;
use crate::domain::{EventId, KeyRecord, Retention, Timestamp};
use crate::files::FileId;
use crate::store::{
    AdmissionRecords, Excess, Held, Holder, IdempotencyEntry, KeyChange, Observations, Pruned, UnfinishedJob, Unit,
};

/// The size of the largest store that is checked whole when it is opened; that takes a tenth of a second.
const CHECKED_AT_ONCE_BYTES: u64 = 128 << 20;
/// Most audit entries that are written before it is looked whether there are too many: one in a hundred of those that
/// are kept.
const ATTEMPTS_UNCOUNTED: usize = 1000;
/// How long to wait for another process that uses the directory: one that only makes a key is done in milliseconds, and
/// a gateway that starts meanwhile should not have to be started again.
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
    /// Resources take turns in being looked at for what is too old.
    turns: Turns,
    /// Audit entries that were written since they were last counted; `None` if they never were.
    attempts_since_count: Option<usize>,
    log: LogKeeper,
    reserve: Reserve,
    spare_room: SpareRoom,
    /// Held for as long as the journal lives; the system lets go of it if the process dies.
    _lock: File,
}

impl SqliteJournal {
    /// Opens the store in `directory`, creating both if need be.
    ///
    /// # Errors
    /// If the directory cannot be used, is used by another process, or holds something that is not a store this release
    /// can read.
    pub fn open(directory: &Path) -> Result<Self, SqliteError> {
        let give_up_at = Instant::now() + LOCK_PATIENCE;
        loop {
            match Self::open_at_once(directory) {
                Err(SqliteError::InUse { .. }) if Instant::now() < give_up_at => std::thread::sleep(LOCK_PAUSE),
                opened => return opened,
            }
        }
    }

    /// The same, without waiting for another process that may be done in a moment.
    ///
    /// # Errors
    /// As for [`SqliteJournal::open`].
    pub(super) fn open_at_once(directory: &Path) -> Result<Self, SqliteError> {
        let is_ours = directory::create(directory)?;
        let lock = lock(directory)?;
        let path = database_path(directory);
        wal::check(&path)?;
        directory::create_database(directory)?;
        let mut db =
            directory::connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(|error| explain(&path, error))?;
        prepare(&path, &mut db)?;
        // Not before it is known to be a store of ours: that of another program is not changed.
        directory::close_to_others(directory, is_ours);
        let mut reserve = Reserve::of(directory);
        reserve.make();
        let files = [identify(&path)?, identify(&wal::path(&path))?];
        let log = LogKeeper::of(&path);
        Ok(Self {
            path,
            db,
            just_opened: true,
            files,
            turns: Turns::default(),
            attempts_since_count: None,
            log,
            reserve,
            spare_room: SpareRoom::of(directory),
            _lock: lock,
        })
    }

    /// Fails if the files are not where they were: what is written to files that another program has removed succeeds, and is
    /// gone when the process ends.
    fn still_there(&self) -> Result<(), SqliteError> {
        for (path, known) in [self.path.clone(), wal::path(&self.path)].into_iter().zip(self.files) {
            if identify(&path)? != known {
                return Err(SqliteError::Removed { path });
            }
        }
        Ok(())
    }

    /// The anchor of the clock that the points in time in here are by, if there is one that makes sense.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn clock_anchor(&self) -> Result<Option<Anchor>, SqliteError> {
        clock_row::read(&self.db).map_err(|error| self.explain(error))
    }

    /// Carries what is finished over to another clock: at a moment when the one that the points in time in here are by
    /// shows `from`, it shows `to`, and has this `anchor`, if it has any. How long ago anything was stays the same.
    ///
    /// # Errors
    /// If that may not be durable.
    pub fn change_clock(&mut self, anchor: Option<&Anchor>, from: Timestamp, to: Timestamp) -> Result<(), SqliteError> {
        let mut records = lanes::read(&self.db).map_err(|error| unreadable(&self.path, error))?;
        for record in &mut records {
            record.change_state.carry_over(from, to);
        }
        clock_row::write(&mut self.db, anchor, &records, from, to).map_err(|error| unreadable(&self.path, error))
    }

    pub(super) fn read_api_keys(&self) -> rusqlite::Result<Vec<KeyRecord>> {
        key_rows::read(&self.db)
    }

    /// Another connection to its database.
    #[cfg(test)]
    pub(super) fn shell(&self) -> Connection {
        Connection::open(&self.path).expect("a database")
    }

    /// A connection that failed may be stuck in its error; a new one begins from what is on the disk.
    fn connect_anew(&mut self) -> Result<(), SqliteError> {
        self.still_there()?;
        let opened = directory::connect(&self.path, OpenFlags::SQLITE_OPEN_READ_WRITE);
        let mut db = opened.map_err(|error| self.explain(error))?;
        prepare(&self.path, &mut db)?;
        self.db = db;
        Ok(())
    }

    fn explain(&self, error: rusqlite::Error) -> SqliteError {
        explain(&self.path, error)
    }

    fn write(&mut self, units: &[Unit], first_event: EventId) -> rusqlite::Result<()> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        rows::write(&transaction, units, first_event)?;
        transaction.commit()
    }

    /// Without waiting for the disk: the next commit does so for this as well. Otherwise what is written every second would
    /// hold up jobs, and wake the disk of a gateway on which nothing else happens.
    fn write_unsynced(&mut self, observations: &[Observations]) -> rusqlite::Result<()> {
        self.db.pragma_update(None, "synchronous", "NORMAL")?;
        let written = self.db.transaction_with_behavior(TransactionBehavior::Immediate).and_then(|transaction| {
            rows::write_observations(&transaction, observations)?;
            transaction.commit()
        });
        self.db.pragma_update(None, "synchronous", "FULL").and(written)
    }

    /// Notes that the configuration gives an API key, at `at`.
    ///
    /// # Errors
    /// If that may not be durable.
    pub fn note_configured_key(&mut self, at: Timestamp) -> Result<(), SqliteError> {
        let unit = Unit { keys: vec![KeyChange::Configured { at }], ..Unit::default() };
        // It has no job that could become a version.
        self.commit(&[unit], 0)
    }

    /// Notes, if it is a backup that no gateway was started on yet, that one is at `now`, by the clock that the points
    /// in time in here are by; when the backup was made.
    ///
    /// # Errors
    /// If that may not be durable.
    pub fn carry_on_from_backup(&mut self, now: Timestamp) -> Result<Option<Timestamp>, SqliteError> {
        backup::carry_on(&mut self.db, now).map_err(|error| self.explain(error))
    }

    /// Whether anything is unfinished: a job, or a change of unknown outcome.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn has_work(&self) -> Result<bool, SqliteError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM jobs WHERE state IN ('queued', 'running')) \
            OR EXISTS (SELECT 1 FROM lanes WHERE change IS NOT NULL)";
        self.db.query_row(sql, [], |row| row.get(0)).map_err(|error| self.explain(error))
    }

    /// The id of the next version of a job.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn next_event(&self) -> Result<EventId, SqliteError> {
        lane_reader::next_event(&self.db).map_err(|error| self.explain(error))
    }

    fn read_admissions(&self) -> Result<AdmissionRecords, Unreadable> {
        let entries = "SELECT key, fingerprint, joined, job, answered_ms FROM answers";
        let entries = self.collect("idempotency key", entries, parse_entry)?;
        let unfinished = "SELECT id, owner, coalesce(record ->> '$.submitted_by.kind', '') = 'policy' \
            FROM jobs WHERE state IN ('queued', 'running')";
        let unfinished = self.collect("job", unfinished, |row| {
            let (id, owner) = (parsed(row, 0)?, parsed_or_null(row, 1)?);
            Ok(UnfinishedJob { id, owner, is_of_policy: row.get(2)? })
        })?;
        let held = |row: &Row| -> rusqlite::Result<Held> { Ok(Held { jobs: row.get(1)?, text_bytes: row.get(2)? }) };
        let by_resource = "SELECT resource, count(*), sum(text_bytes) FROM jobs GROUP BY resource";
        let mut holders =
            self.collect("jobs of", by_resource, |row| Ok((Holder::Resource(parsed(row, 0)?), held(row)?)))?;
        let by_owner = "SELECT owner, count(*), sum(text_bytes) FROM jobs WHERE owner IS NOT NULL GROUP BY owner";
        holders.extend(self.collect("jobs of", by_owner, |row| Ok((Holder::Owner(parsed(row, 0)?), held(row)?)))?);
        let finished = "SELECT count(*) FROM jobs WHERE finished_ms IS NOT NULL";
        let finished = self.db.query_row(finished, [], |row| row.get(0))?;
        Ok(AdmissionRecords { entries, unfinished, held: holders, finished })
    }

    /// What `parse` makes of the rows of a query, each about a `what`.
    fn collect<T>(
        &self,
        what: &str,
        sql: &str,
        parse: impl Fn(&Row) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Unreadable> {
        let mut statement = self.db.prepare(sql)?;
        let mut rows = statement.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(
                parse(row).map_err(|error| Unreadable::Row(format!("{what} {}", name_of(row)), error.to_string()))?,
            );
        }
        Ok(found)
    }

    fn remove_old(
        &mut self,
        retention: Retention,
        now: Timestamp,
        excess: Option<&Excess>,
    ) -> rusqlite::Result<Removed> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut removed = prune::remove_old(&transaction, retention, now, self.turns.clone(), excess)?;
        let is_time_to_count = self.attempts_since_count.is_none_or(|written| written >= ATTEMPTS_UNCOUNTED);
        let too_many_attempts = is_time_to_count && prune::remove_attempts(&transaction)?;
        removed.more |= too_many_attempts;
        transaction.commit()?;
        if is_time_to_count {
            self.attempts_since_count = (!too_many_attempts).then_some(0);
        }
        Ok(removed)
    }
}

impl Journal for SqliteJournal {
    fn commit(&mut self, units: &[Unit], first_event: EventId) -> Result<(), SqliteError> {
        self.write(units, first_event).map_err(|error| self.explain(error))?;
        if let Some(written) = &mut self.attempts_since_count {
            *written += units.iter().map(|unit| unit.audit.len()).sum::<usize>();
        }
        self.still_there()?;
        self.log.keep_short(&self.db, Instant::now());
        Ok(())
    }

    fn commit_urgently(&mut self, units: &[Unit]) -> Result<(), SqliteError> {
        let reserve = Reserve::of(directory::parent_of(&self.path));
        reserve.spend(|| {
            self.connect_anew()?;
            // They have no jobs that could become versions.
            self.commit(units, 0)
        })
    }

    fn has_spare_room(&mut self) -> bool {
        self.spare_room.is_there()
    }

    fn record(&mut self, observations: &[Observations]) -> Result<(), SqliteError> {
        self.write_unsynced(observations).map_err(|error| self.explain(error))?;
        self.still_there()?;
        self.log.keep_short(&self.db, Instant::now());
        Ok(())
    }

    fn reopen(&mut self) -> Result<Opened, SqliteError> {
        if !std::mem::take(&mut self.just_opened) {
            self.connect_anew()?;
            self.reserve.make();
        }
        let admissions = self.read_admissions().map_err(|error| unreadable(&self.path, error))?;
        Ok(Opened { next_event: self.next_event()?, admissions })
    }

    fn lane_reader(&self) -> Result<LaneReader, SqliteError> {
        LaneReader::open(&self.path)
    }

    fn prune(&mut self, retention: Retention, now: Timestamp, excess: Option<&Excess>) -> Result<Pruned, SqliteError> {
        let Removed { jobs, turns, more } =
            self.remove_old(retention, now, excess).map_err(|error| self.explain(error))?;
        self.turns = turns;
        self.reserve.make();
        // Once a minute, also where nothing else is written.
        self.log.keep_short(&self.db, Instant::now());
        Ok(Pruned { jobs, more })
    }
}

/// Which file there is at `path`, which was there.
fn identify(path: &Path) -> Result<FileId, SqliteError> {
    FileId::at(path).map_err(|_| SqliteError::Removed { path: path.to_owned() })
}

fn parse_entry(row: &Row) -> rusqlite::Result<IdempotencyEntry> {
    Ok(IdempotencyEntry {
        key: row.get(0)?,
        fingerprint: row.get(1)?,
        joined: row.get(2)?,
        made: parsed(row, 3)?,
        answered_at: Timestamp::from_millis(row.get(4)?),
    })
}

/// Whether a store is so large that it is opened before all of it was checked.
fn takes_long_to_check(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| file.len() > CHECKED_AT_ONCE_BYTES)
}

/// Checks a store in `directory` that was too large to be checked when it was opened; reads all of it, and the log of
/// the store grows meanwhile.
///
/// # Errors
/// If it is damaged, or cannot be read.
pub fn check_large(directory: &Path) -> Result<(), SqliteError> {
    let path = database_path(directory);
    if !takes_long_to_check(&path) {
        return Ok(());
    }
    check(&path, &open_to_read(&path).map_err(|error| explain(&path, error))?)
}

/// Checks that `db` is a sound store of ours and brings it up to date.
fn prepare(path: &Path, db: &mut Connection) -> Result<(), SqliteError> {
    let version = match schema::identify(db).map_err(|error| explain(path, error))? {
        Kind::Foreign => return Err(SqliteError::Foreign { path: path.to_owned() }),
        Kind::Ours { version } => version,
    };
    if version > schema::VERSION {
        return Err(SqliteError::NewerSchema { path: path.to_owned(), found: version, known: schema::VERSION });
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
#[path = "journal_tests.rs"]
mod tests;
