//! Stores for the tests of this one.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use super::directory::database_path;
use super::records::{parse_job, unreadable};
use super::writer::Opened;
use super::{Journal as _, SqliteError, SqliteJournal, lanes};
use crate::clock::Anchor;
use crate::domain::{EventId, JobEvent, LaneRecord, Timestamp};
pub(super) use crate::store::fixtures::*;
use crate::store::{IdempotencyEntry, Unit, Which};

pub(super) fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

pub(super) fn open(directory: &Path) -> SqliteJournal {
    SqliteJournal::open(directory).expect("a store")
}

/// An operator's `sqlite3` shell.
pub(super) fn shell(directory: &Path) -> Connection {
    Connection::open(database_path(directory)).expect("a database")
}

pub(super) fn anchor(boot: &str) -> Anchor {
    Anchor { boot: boot.into(), uptime: Duration::from_secs(5), shown: NOW }
}

/// All that is in a store, but for what only readers see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Contents {
    pub lanes: Vec<LaneRecord>,
    pub jobs: Vec<JobEvent>,
    pub entries: Vec<IdempotencyEntry>,
    pub next_event: EventId,
    pub restored_at: Option<Timestamp>,
}

impl SqliteJournal {
    /// Commits `units` as the next versions.
    pub(super) fn put(&mut self, units: &[Unit]) -> Result<(), SqliteError> {
        let next_event = self.next_event()?;
        self.commit(units, next_event)
    }

    /// All that is in it, after it was opened anew.
    pub(super) fn contents(&mut self) -> Result<Contents, SqliteError> {
        let Opened { next_event, admissions } = self.reopen()?;
        let restored_at = self.lane_reader()?.adopt(&Which::All, |_| 0)?.restored_at;
        let db = self.shell();
        let lanes = lanes::read(&db).map_err(|error| unreadable(&database_path(Path::new("")), error))?;
        let mut statement = db.prepare("SELECT id, record, event FROM jobs ORDER BY seq").expect("a table");
        let mut rows = statement.query([]).expect("rows");
        let mut jobs = Vec::new();
        while let Some(row) = rows.next().expect("a row") {
            jobs.push(parse_job(row).expect("a job"));
        }
        Ok(Contents { lanes, jobs, entries: admissions.entries, next_event, restored_at })
    }
}

pub(super) fn loaded_ids(journal: &mut SqliteJournal) -> Vec<u128> {
    journal.contents().expect("readable").jobs.iter().map(|event| event.job.id.as_u128()).collect()
}

/// Why the store in `directory` is refused.
pub(super) fn refusal(directory: &Path) -> SqliteError {
    match SqliteJournal::open(directory) {
        Ok(_) => panic!("it was opened"),
        Err(error) => error,
    }
}

#[track_caller]
pub(super) fn assert_says(error: &SqliteError, words: &[&str]) {
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "\"{word}\" is missing: {text}");
    }
}
