//! Reads from an SQLite store: lists, the log of versions, timelines, keys.
//!
//! Connections of its own, so that readers and the writer never wait for each other. They take turns in the order in
//! which they come, each with a thread to itself; one piece of work is bounded by
//! [`PIECE_ROWS`](super::queries::PIECE_ROWS), so that a turn comes soon. The keys, which every request may need, have
//! a connection that nothing else waits for. It does not see to it that one caller leaves turns for others: its callers
//! do.
//!
//! Rejected: one connection for all, because a list then takes as long as the longest continuation before it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _};
use tokio::sync::Semaphore;

use super::SqliteError;
use super::connection::{explain, open_to_read};
use super::directory::database_path;
use super::key_changes::{self, key_changes_path};
use super::key_rows;
use super::lane_reader::next_event;
use super::queries::{
    LAST_OUTCOME_SQL, find, find_attempts, find_decisions, find_entries, find_versions, lacks_a_job, oldest_version,
    piece_end,
};
use super::records::{Unreadable, unreadable};
use super::{groups, policies, samples, series, wal};
use crate::domain::forecast::Prediction;
use crate::domain::policy::{Decision, Name};
use crate::domain::{
    AbridgedJob, Alias, AuditEntry, EventId, GroupId, GroupStatus, HistoryEntry, JobEvent, JobId, KeyRecord, StateName,
    Timestamp,
};
use crate::files;
use crate::store::{
    EventFilter, GroupFilter, JobCounts, JobFilter, KeysState, LastOutcome, LogPage, MAX_REVISIONS, Page, Position,
    Revision, Series, StoreError, StoreReader, begins_after,
};

/// Reads at a time, those of the keys aside. A read takes a processor, and two to four are there.
const READERS: usize = 4;
/// Bytes of records after which a page of jobs or decisions ends: twice of what an answer holds.
const PAGE_BYTES: usize = 1024 * 1024;

/// See the module's documentation.
pub struct SqliteReader {
    readers: Arc<Connections>,
    /// For the keys alone.
    keys: Arc<Connections>,
    key_changes: PathBuf,
}

impl SqliteReader {
    /// Opens the store in `directory`, where a journal is open already.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn open(directory: &Path) -> Result<Self, SqliteError> {
        let path = database_path(directory);
        let open = |number| Connections::open(&path, number).map(Arc::new);
        Ok(Self { readers: open(READERS)?, keys: open(1)?, key_changes: key_changes_path(directory) })
    }
}

/// The length of the write-ahead log of the store in `directory`, in bytes; `None` if there is none. The log is not
/// read, so that this takes microseconds.
pub fn log_length(directory: &Path) -> Option<u64> {
    files::length(&wal::path(&database_path(directory))).ok()
}

/// A bounded number of connections, opened when they are needed. The next one goes to the read that has waited longest.
struct Connections {
    path: PathBuf,
    turns: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

impl Connections {
    /// At most `number` connections to the store at `path`, of which one is opened now.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn open(path: &Path, number: usize) -> Result<Self, SqliteError> {
        let first = open_to_read(path).map_err(|error| explain(path, error))?;
        Ok(Self { path: path.to_owned(), turns: Arc::new(Semaphore::new(number)), idle: Mutex::new(vec![first]) })
    }

    /// What `read` reads, as of one moment, on a thread of its own. It goes on, and keeps its connection, if the future
    /// is dropped.
    ///
    /// # Errors
    /// If the store cannot be read, or the process ends.
    async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Connection) -> Result<T, Unreadable> + Send + 'static,
    ) -> Result<T, StoreError> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let connections = Arc::clone(self);
        let reading = tokio::task::spawn_blocking(move || {
            let found = connections.read_now(read);
            drop(turn);
            found
        });
        match reading.await {
            Ok(found) => Ok(found?),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(StoreError::Closed),
            },
        }
    }

    fn read_now<T>(&self, read: impl FnOnce(&Connection) -> Result<T, Unreadable>) -> Result<T, SqliteError> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = idle().pop();
        let mut db = taken.map_or_else(|| open_to_read(&self.path), Ok).map_err(|error| explain(&self.path, error))?;
        let found = db.transaction().map_err(Unreadable::File).and_then(|snapshot| read(&snapshot));
        idle().push(db);
        found.map_err(|error| unreadable(&self.path, error))
    }
}

#[async_trait]
impl StoreReader for SqliteReader {
    async fn job(&self, id: JobId) -> Result<Option<JobEvent>, StoreError> {
        let read =
            move |db: &Connection| read_job(db, "SELECT id, record, event FROM jobs WHERE id = ?1", id.to_string());
        Ok(self.readers.read(read).await?.map(|(job, _)| job))
    }

    async fn last_event(&self) -> Result<EventId, StoreError> {
        let read = |db: &Connection| Ok(next_event(db)?.saturating_sub(1));
        self.readers.read(read).await
    }

    async fn jobs_page(
        &self,
        filter: &JobFilter,
        after: Option<Position>,
        size: usize,
    ) -> Result<Page<JobEvent>, StoreError> {
        let filter = filter.clone();
        // As of one moment: a job that goes from one state asked for to another must not slip through between.
        self.readers.read(move |db| read_jobs_page(db, &filter, after, size)).await
    }

    async fn last_outcomes(&self, resources: Vec<Alias>) -> Result<HashMap<Alias, LastOutcome>, StoreError> {
        let read = |db: &Connection| {
            let found = resources.into_iter().filter_map(|resource| {
                read_last_outcome(db, &resource).map(|outcome| Some((resource, outcome?))).transpose()
            });
            found.collect()
        };
        self.readers.read(read).await
    }

    async fn job_counts(&self) -> Result<JobCounts, StoreError> {
        let read = |db: &Connection| {
            let mut count = db.prepare_cached("SELECT count(*) FROM jobs WHERE state = ?1")?;
            let mut counts = StateName::ALL.map(|state| (state, 0));
            for (state, number) in &mut counts {
                *number = count.query_row([state.as_str()], |row| row.get(0))?;
            }
            Ok(counts)
        };
        self.readers.read(read).await
    }

    async fn group(&self, id: GroupId) -> Result<Option<GroupStatus>, StoreError> {
        self.readers.read(move |db| groups::find(db, id)).await
    }

    async fn groups_page(
        &self,
        filter: &GroupFilter,
        after: Option<Position>,
        size: usize,
    ) -> Result<Page<GroupStatus>, StoreError> {
        let filter = filter.clone();
        self.readers.read(move |db| groups::page(db, &filter, after, size)).await
    }

    async fn versions(
        &self,
        filter: &EventFilter,
        after: EventId,
        until: EventId,
        size: usize,
    ) -> Result<LogPage, StoreError> {
        let filter = filter.clone();
        let read = move |db: &Connection| {
            let end = piece_end(db, &filter, after, until)?;
            let versions =
                find_versions(db, &filter, after, end, size)?.into_iter().map(|(id, earlier_steps, record)| {
                    parse(&record, || format!("version {id}")).map(|job| (id, AbridgedJob { job, earlier_steps }))
                });
            let versions: Vec<_> = versions.collect::<Result<_, Unreadable>>()?;
            let until = versions.last().filter(|_| versions.len() == size).map_or(end, |(id, _)| *id);
            Ok(LogPage { oldest: oldest_version(db)?, versions, until })
        };
        self.readers.read(read).await
    }

    async fn has_all_after(&self, filter: &EventFilter, after: EventId, until: EventId) -> Result<bool, StoreError> {
        let mut read_up_to = after;
        loop {
            let (filter, begin) = (filter.clone(), read_up_to);
            let read = move |db: &Connection| {
                let end = piece_end(db, &filter, begin, until)?;
                let has_all =
                    !begins_after(oldest_version(db)?, after, until) && !lacks_a_job(db, &filter, begin, end)?;
                Ok((end, has_all))
            };
            let (end, has_all) = self.readers.read(read).await?;
            if !has_all || end >= until {
                return Ok(has_all);
            }
            read_up_to = end;
        }
    }

    async fn timeline(
        &self,
        resource: &Alias,
        after: Option<Position>,
        size: usize,
    ) -> Result<Page<HistoryEntry>, StoreError> {
        let resource = resource.clone();
        let read = move |db: &Connection| {
            let (found, has_more) = first(find_entries(db, &resource, after, size + 1)?, size);
            page(found, has_more, |number| format!("entry {number} of the timeline of {resource}"))
        };
        self.readers.read(read).await
    }

    async fn audit(&self, after: Option<Position>, size: usize) -> Result<Page<AuditEntry>, StoreError> {
        let read = move |db: &Connection| {
            let (found, has_more) = first(find_attempts(db, after, size + 1)?, size);
            page(found, has_more, |seq| format!("audit entry {seq}"))
        };
        self.readers.read(read).await
    }

    async fn policy_revisions(&self, resource: &Alias) -> Result<Vec<Revision>, StoreError> {
        let resource = resource.clone();
        self.readers.read(move |db| policies::revisions(db, &resource, MAX_REVISIONS)).await
    }

    async fn decisions(
        &self,
        resource: &Alias,
        after: Option<Position>,
        size: usize,
    ) -> Result<Page<Decision>, StoreError> {
        let resource = resource.clone();
        let read = move |db: &Connection| {
            let (found, has_more) = find_decisions(db, &resource, after, size, PAGE_BYTES)?;
            page(found, has_more, |number| format!("decision {number} about {resource}"))
        };
        self.readers.read(read).await
    }

    async fn metric_names(&self, resource: &Alias) -> Result<Vec<Name>, StoreError> {
        let resource = resource.clone();
        self.readers.read(move |db| samples::names(db, &resource)).await
    }

    async fn series(
        &self,
        resource: &Alias,
        metric: &Name,
        from: Timestamp,
        to: Timestamp,
        step: Duration,
    ) -> Result<Series, StoreError> {
        let (resource, metric) = (resource.clone(), metric.clone());
        self.readers.read(move |db| Ok(series::read(db, &resource, &metric, from, to, step)?)).await
    }

    async fn prediction(&self, resource: &Alias, metric: &Name) -> Result<Option<Prediction>, StoreError> {
        let (resource, metric) = (resource.clone(), metric.clone());
        self.readers.read(move |db| policies::read_prediction(db, &resource, &metric)).await
    }

    async fn keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        self.keys.read(|db| Ok(key_rows::read(db)?)).await
    }

    fn keys_state(&self) -> Option<KeysState> {
        key_changes::look(&self.key_changes)
    }

    async fn ever_had_key(&self) -> Result<bool, StoreError> {
        self.keys.read(|db| Ok(key_rows::were_there(db)?)).await
    }
}

fn parse<T: serde::de::DeserializeOwned>(record: &str, name: impl FnOnce() -> String) -> Result<T, Unreadable> {
    serde_json::from_str(record).map_err(|error| Unreadable::Row(name(), error.to_string()))
}

/// The job that `sql` finds with `key`, and the length of its record in bytes.
fn read_job(db: &Connection, sql: &str, key: impl rusqlite::ToSql) -> Result<Option<(JobEvent, usize)>, Unreadable> {
    let row = |row: &rusqlite::Row| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let found: Option<(String, String, EventId)> = db.prepare_cached(sql)?.query_row([key], row).optional()?;
    let event = |(name, record, id): (String, String, EventId)| {
        Ok((JobEvent { id, job: parse(&record, || format!("job {name}"))? }, record.len()))
    };
    found.map(event).transpose()
}

fn read_last_outcome(db: &Connection, resource: &Alias) -> Result<Option<LastOutcome>, Unreadable> {
    let row = |row: &rusqlite::Row| Ok((row.get(0)?, row.get(1)?));
    let mut statement = db.prepare_cached(LAST_OUTCOME_SQL)?;
    let found: Option<(String, String)> = statement.query_row([resource.as_str()], row).optional()?;
    let outcome = |(id, record): (String, String)| {
        LastOutcome::of_record(&id, &record).map_err(|why| Unreadable::Row(format!("job {id}"), why))
    };
    found.map(outcome).transpose()
}

fn read_jobs_page(
    db: &Connection,
    filter: &JobFilter,
    after: Option<Position>,
    size: usize,
) -> Result<Page<JobEvent>, Unreadable> {
    let found = find(db, filter, after, size + 1)?;
    let (mut entries, mut bytes) = (Vec::new(), 0);
    for seq in &found {
        if entries.len() == size || bytes >= PAGE_BYTES {
            break;
        }
        // It was found as of the same moment.
        if let Some((job, length)) = read_job(db, "SELECT id, record, event FROM jobs WHERE seq = ?1", seq)? {
            bytes += length;
            entries.push((Position(*seq), job));
        }
    }
    let next = entries.last().map(|(position, _)| *position).filter(|_| entries.len() < found.len());
    Ok(Page { entries, next })
}

/// The first `size` of what was `found`, and whether there is more.
fn first(mut found: Vec<(i64, String)>, size: usize) -> (Vec<(i64, String)>, bool) {
    let has_more = found.len() > size;
    found.truncate(size);
    (found, has_more)
}

/// What was `found`; each is called as `name` says.
fn page<T: serde::de::DeserializeOwned>(
    found: Vec<(i64, String)>,
    has_more: bool,
    name: impl Fn(i64) -> String,
) -> Result<Page<T>, Unreadable> {
    let entries = found.into_iter().map(|(seq, text)| Ok((Position(seq), parse(&text, || name(seq))?)));
    let entries = entries.collect::<Result<Vec<_>, Unreadable>>()?;
    let next = entries.last().filter(|_| has_more).map(|(position, _)| *position);
    Ok(Page { entries, next })
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
