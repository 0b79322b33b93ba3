//! Keeps the write-ahead log short.
//!
//! SQLite copies the log into the database every 16 MiB and then writes over it from its beginning, but only once no
//! reader is left that began before; until then the log grows, and its file never becomes shorter by itself. One
//! `sqlite3` shell with an open transaction is enough.
//!
//! The writer truncates it, between two commits, and never waits for a reader. What a reader kept from being copied may
//! be hundreds of megabytes, which would hold up commits for seconds: a thread of its own copies it while commits go
//! on, and the writer copies what has been added since. Rejected: `journal_size_limit`, because it does nothing before
//! the next commit after the reader is gone, copies everything within that commit, and does not tell that there is a
//! reader.

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

use super::connection::{BUSY_TIMEOUT, CHECKPOINT_PAGES};
use super::directory;
use super::wal;
use crate::files;

/// The length from which on the log is truncated: twice what it grows to when nothing keeps it from being written over,
/// so that an undisturbed store never truncates, which would cost the next commits an allocation on the disk each.
pub(super) const LONG: u64 = 32 << 20;
/// Pause between two attempts: commits come in thousands a second, and readers mostly stay for milliseconds.
const ATTEMPT_PAUSE: Duration = Duration::from_secs(1);
/// How long attempts must fail before the operator is told: lists of the API and the check of a large store end by
/// then.
const TOLD_AFTER: Duration = Duration::from_secs(5);
/// How often the operator is told again.
const TOLD_EVERY: Duration = Duration::from_mins(10);

/// Truncates the log of one database when it can.
pub(super) struct LogKeeper {
    database: PathBuf,
    log: PathBuf,
    /// When the last attempt began.
    attempted_at: Option<Instant>,
    /// Copies the log into the database; whether it could copy all of it.
    copying: Option<JoinHandle<rusqlite::Result<bool>>>,
    pinned: Option<Pinned>,
}

/// A log that is long and cannot be truncated.
#[derive(Clone, Copy)]
struct Pinned {
    since: Instant,
    told_at: Option<Instant>,
}

impl LogKeeper {
    /// For the log of `database`.
    pub(super) fn of(database: &Path) -> Self {
        let (log, database) = (wal::path(database), database.to_owned());
        Self { database, log, attempted_at: None, copying: None, pinned: None }
    }

    /// Goes a step towards a short log, if it is long; `db` is the connection that writes, between two transactions. A
    /// failure is left to the next commit, which copies the log itself then, and meets it too.
    pub(super) fn keep_short(&mut self, db: &Connection, now: Instant) {
        if let Err(error) = self.advance(db, now).inspect_err(|_| drop(copy_with_commits(db))) {
            tracing::debug!(error = &*error, "the store's log is not truncated");
        }
    }

    fn advance(&mut self, db: &Connection, now: Instant) -> Result<(), Box<dyn std::error::Error>> {
        let length = files::length(&self.log)?;
        if self.copying.as_ref().is_some_and(|copying| !copying.is_finished()) {
            return Ok(());
        }
        if let Some(copied) = self.copying.take() {
            let is_copied = copied.join().map_err(|_| "the thread that copies the store's log panicked")??;
            if is_copied && truncate(db)? {
                self.note_short(0);
            } else {
                self.note_pinned(length, now);
            }
            return Ok(());
        }
        if length < LONG {
            self.note_short(length);
        } else if self.attempted_at.is_none_or(|at| now.duration_since(at) >= ATTEMPT_PAUSE) {
            self.attempted_at = Some(now);
            // Not the commit after which the reader is gone.
            db.pragma_update(None, "wal_autocheckpoint", 0)?;
            let database = self.database.clone();
            let copying = std::thread::Builder::new().name("store log".into()).spawn(move || copy(&database))?;
            self.copying = Some(copying);
        }
        Ok(())
    }

    fn note_short(&mut self, length: u64) {
        if let Some(Pinned { told_at: Some(_), .. }) = self.pinned.take() {
            tracing::info!(bytes = length, "the store's log is short again");
        }
    }

    fn note_pinned(&mut self, length: u64, now: Instant) {
        let pinned = self.pinned.get_or_insert(Pinned { since: now, told_at: None });
        let lasts = now.duration_since(pinned.since);
        let is_due = match pinned.told_at {
            None => lasts >= TOLD_AFTER,
            Some(told_at) => now.duration_since(told_at) >= TOLD_EVERY,
        };
        if is_due {
            pinned.told_at = Some(now);
            tracing::warn!(
                log = %self.log.display(),
                bytes = length,
                "the store's log grows, because another program has kept a transaction open on the store for {} s or more: \
                 find the program with `fuser {}` and end its transaction; a backup ends by itself",
                lasts.as_secs(),
                self.log.display(),
            );
        }
    }
}

/// Copies the log into the database beside the writer; whether all of it could be copied.
fn copy(database: &Path) -> rusqlite::Result<bool> {
    // Never creating one where it was moved away.
    let db = directory::connect(database, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| Ok(row.get::<_, i64>(1)? == row.get::<_, i64>(2)?))
}

/// Copies the rest of the log and truncates it; false if a reader needs it, or another program is writing.
fn truncate(db: &Connection) -> rusqlite::Result<bool> {
    db.busy_timeout(Duration::ZERO)?;
    let is_busy = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0));
    db.busy_timeout(BUSY_TIMEOUT)?;
    copy_with_commits(db)?;
    is_busy.map(|is_busy| !is_busy)
}

/// Has SQLite copy the log within commits again.
fn copy_with_commits(db: &Connection) -> rusqlite::Result<()> {
    db.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)
}

#[cfg(test)]
mod tests {
    use super::super::connection::configure;
    use super::super::fixtures;
    use super::*;

    struct Scene {
        keeper: LogKeeper,
        writer: Connection,
        reader: Connection,
        _directory: tempfile::TempDir,
    }

    fn scene() -> Scene {
        let directory = fixtures::directory();
        let path = directory.path().join("some.db");
        let writer = Connection::open(&path).expect("a database");
        configure(&writer).expect("configured");
        writer.execute_batch("CREATE TABLE things (thing)").expect("made");
        let reader = Connection::open(&path).expect("a database");
        Scene { keeper: LogKeeper::of(&path), writer, reader, _directory: directory }
    }

    impl Scene {
        fn log_length(&self) -> u64 {
            files::length(&self.keeper.log).expect("a log")
        }

        fn write(&self, bytes: u64) {
            self.writer.execute("INSERT INTO things VALUES (randomblob(?1))", [bytes]).expect("written");
        }

        /// A whole attempt.
        fn attempt(&mut self, now: Instant) {
            self.keeper.keep_short(&self.writer, now);
            while self.keeper.copying.as_ref().is_some_and(|copying| !copying.is_finished()) {
                std::thread::yield_now();
            }
            self.keeper.keep_short(&self.writer, now);
        }

        /// Whether the operator is told by an attempt at `now` that the log is pinned.
        fn tells(&mut self, now: Instant) -> bool {
            self.attempt(now);
            self.keeper.pinned.is_some_and(|pinned| pinned.told_at == Some(now))
        }
    }

    #[test]
    fn a_long_log_is_truncated_once_its_last_reader_is_gone() {
        let mut scene = scene();
        scene.reader.execute_batch("BEGIN; SELECT count(*) FROM things").expect("readable");
        for _ in 0..5 {
            scene.write(LONG / 4);
        }
        let begin = Instant::now();
        assert!(!scene.tells(begin));
        assert!(begin.elapsed() < BUSY_TIMEOUT / 2, "it waits for no reader");
        assert!(scene.log_length() > LONG);
        scene.reader.execute_batch("ROLLBACK").expect("over");
        scene.attempt(begin + ATTEMPT_PAUSE / 2);
        assert!(scene.log_length() > LONG, "not at every commit");
        scene.attempt(begin + ATTEMPT_PAUSE);
        assert_eq!(scene.log_length(), 0);
        scene.write(1);
        assert!(scene.log_length() > 0);
        let things: u64 =
            scene.reader.query_row("SELECT count(*) FROM things", [], |row| row.get(0)).expect("readable");
        assert_eq!(things, 6);
        // From here on SQLite copies by itself again.
        for _ in 0..20 {
            scene.write(LONG / 8);
        }
        assert!(scene.log_length() < LONG);
    }

    #[test]
    fn a_log_that_cannot_be_copied_is_left_to_the_commits() {
        let mut scene = scene();
        scene.keeper.database.push("missing");
        scene.write(LONG);
        scene.attempt(Instant::now());
        assert!(scene.keeper.copying.is_none(), "it has failed");
        let pages = scene.writer.query_row("PRAGMA wal_autocheckpoint", [], |row| row.get(0));
        assert_eq!(pages, Ok(CHECKPOINT_PAGES));
    }

    #[test]
    fn a_log_that_nothing_pins_is_left_as_long_as_it_gets() {
        let mut scene = scene();
        for _ in 0..20 {
            scene.write(LONG / 8);
            scene.keeper.keep_short(&scene.writer, Instant::now());
        }
        let length = scene.log_length();
        assert!(length > 0 && length < LONG, "{length}");
        assert!(scene.keeper.attempted_at.is_none());
    }

    #[test]
    fn the_operator_is_told_when_it_lasts_and_then_seldom() {
        let mut scene = scene();
        let begin = Instant::now();
        scene.reader.execute_batch("BEGIN; SELECT count(*) FROM things").expect("readable");
        scene.write(LONG);
        assert!(!scene.tells(begin));
        assert!(!scene.tells(begin + TOLD_AFTER - Duration::from_millis(1)));
        let told_at = begin + TOLD_AFTER + ATTEMPT_PAUSE;
        assert!(scene.tells(told_at));
        assert!(!scene.tells(told_at + TOLD_EVERY / 2));
        assert!(scene.tells(told_at + TOLD_EVERY));
        scene.reader.execute_batch("ROLLBACK").expect("over");
        scene.attempt(told_at + TOLD_EVERY + ATTEMPT_PAUSE);
        assert!(scene.keeper.pinned.is_none());
    }
}
