//! Reads from an SQLite store: lists, the log of versions, timelines, keys.
//!
//! Connections of its own, so that readers and the writer never wait for each other. They take turns in the order in which
//! they come, each with a thread to itself; one piece of work is bounded by [`PIECE_ROWS`], so that a turn comes soon. The
//! keys, which every request may need, have a connection that nothing else waits for. That one caller does not take all
//! turns is the business of those who call.
//!
//! Rejected: one connection for all, because a list then takes as long as the longest continuation before it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, params, params_from_iter};
use tokio::sync::Semaphore;

use super::directory::database_path;
use super::identity;
use super::keys;
use super::records::Unreadable;
use super::sqlite::{explain, open_to_read};
use super::wal;
use super::{EventFilter, JobCounts, JobFilter, LogPage, Page, Position, StoreError, StoreReader, begins_after};
use crate::domain::{
    AbridgedJob, Alias, AuditEntry, EventId, HistoryEntry, JobEvent, JobId, KeyRecord, Reach, RetentionClass, StateName,
};

/// Reads at a time, those of the keys aside. A read takes a processor, and two to four are there.
const READERS: usize = 4;
/// Most rows of the log of versions that are looked at in one turn; some milliseconds.
const PIECE_ROWS: usize = 2000;
/// Bytes of records after which a page of jobs ends: twice of what an answer holds.
const PAGE_BYTES: usize = 1024 * 1024;

/// See the module's documentation.
pub struct SqliteReader {
    readers: Arc<Connections>,
    /// For the keys alone.
    keys: Arc<Connections>,
}

impl SqliteReader {
    /// Opens the store in `directory`, where a journal is open already.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let path = database_path(directory);
        let open = |number| Connections::open(&path, number).map(Arc::new);
        Ok(Self { readers: open(READERS)?, keys: open(1)? })
    }
}

/// The length of the write-ahead log of the store in `directory`, in bytes; `None` if there is none. The log is not read, so
/// that this takes microseconds.
pub fn log_length(directory: &Path) -> Option<u64> {
    identity::length(&wal::path(&database_path(directory))).ok()
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
    fn open(path: &Path, number: usize) -> Result<Self, StoreError> {
        let first = open_to_read(path).map_err(|error| explain(path, error))?;
        Ok(Self { path: path.to_owned(), turns: Arc::new(Semaphore::new(number)), idle: Mutex::new(vec![first]) })
    }

    /// What `read` reads, as of one moment, on a thread of its own. It goes on, and keeps its connection, if the future is
    /// dropped.
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
            Ok(found) => found,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(StoreError::Closed),
            },
        }
    }

    fn read_now<T>(&self, read: impl FnOnce(&Connection) -> Result<T, Unreadable>) -> Result<T, StoreError> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = idle().pop();
        let mut db = taken.map_or_else(|| open_to_read(&self.path), Ok).map_err(|error| explain(&self.path, error))?;
        let found = db.transaction().map_err(Unreadable::File).and_then(|snapshot| read(&snapshot));
        idle().push(db);
        found.map_err(|error| match error {
            Unreadable::File(error) => explain(&self.path, error),
            Unreadable::Row(row, why) => {
                StoreError::Corrupt { path: self.path.clone(), detail: format!("{row}: {why}") }
            }
        })
    }
}

#[async_trait]
impl StoreReader for SqliteReader {
    async fn job(&self, id: JobId) -> Result<Option<JobEvent>, StoreError> {
        let read =
            move |db: &Connection| read_job(db, "SELECT id, record, event FROM jobs WHERE id = ?1", id.to_string());
        Ok(self.readers.read(read).await?.map(|(job, _)| job))
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

    async fn last_event(&self) -> Result<EventId, StoreError> {
        let sql = "SELECT coalesce((SELECT max(seq) FROM versions), (SELECT first - 1 FROM versions_begin))";
        self.readers.read(move |db| Ok(db.query_row(sql, [], |row| row.get(0))?)).await
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
            let found = find_entries(db, &resource, after, size + 1)?;
            page(found, size, |number| format!("entry {number} of the timeline of {resource}"))
        };
        self.readers.read(read).await
    }

    async fn audit(&self, after: Option<Position>, size: usize) -> Result<Page<AuditEntry>, StoreError> {
        let read =
            move |db: &Connection| page(find_attempts(db, after, size + 1)?, size, |seq| format!("audit entry {seq}"));
        self.readers.read(read).await
    }

    async fn keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        self.keys.read(|db| Ok(keys::read(db)?)).await
    }

    async fn ever_had_key(&self) -> Result<bool, StoreError> {
        self.keys.read(|db| Ok(keys::were_there(db)?)).await
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

/// The first `size` of what was `found`; each is called as `name` says. There is a next page if more was found.
fn page<T: serde::de::DeserializeOwned>(
    mut found: Vec<(i64, String)>,
    size: usize,
    name: impl Fn(i64) -> String,
) -> Result<Page<T>, Unreadable> {
    let has_more = found.len() > size;
    found.truncate(size);
    let entries = found.into_iter().map(|(seq, text)| Ok((Position(seq), parse(&text, || name(seq))?)));
    let entries = entries.collect::<Result<Vec<_>, Unreadable>>()?;
    let next = entries.last().filter(|_| has_more).map(|(position, _)| *position);
    Ok(Page { entries, next })
}

/// Up to where the log is read in one turn. The versions of a single job are found without the others, and are few.
fn piece_end(db: &Connection, filter: &EventFilter, after: EventId, until: EventId) -> rusqlite::Result<EventId> {
    if matches!(filter, EventFilter::Job(_)) {
        return Ok(until);
    }
    let sql = "SELECT seq FROM versions WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT 1 OFFSET ?3";
    let last = db.prepare_cached(sql)?.query_row(params![after, until, PIECE_ROWS - 1], |row| row.get(0)).optional()?;
    Ok(last.unwrap_or(until))
}

/// Whether there is a version after `after` and up to `until` whose job is not kept any more.
fn lacks_a_job(db: &Connection, filter: &EventFilter, after: EventId, until: EventId) -> rusqlite::Result<bool> {
    if let EventFilter::Job(id) = filter {
        let sql = "SELECT NOT EXISTS (SELECT 1 FROM jobs WHERE id = ?1)";
        return db.prepare_cached(sql)?.query_row([id.to_string()], |row| row.get(0));
    }
    let sql = versions_sql(filter, "1", "AND NOT EXISTS (SELECT 1 FROM jobs WHERE id = versions.job) LIMIT 1");
    let found = db.prepare_cached(&sql)?.query_row(params![after, until, whose(filter)], |_| Ok(())).optional()?;
    Ok(found.is_some())
}

/// At most `limit` versions after `after` and up to `until`: their ids, the number of steps left out, and the records.
fn find_versions(
    db: &Connection,
    filter: &EventFilter,
    after: EventId,
    until: EventId,
    limit: usize,
) -> rusqlite::Result<Vec<(EventId, usize, String)>> {
    let mut statement = db.prepare_cached(&versions_sql(filter, VERSION, "ORDER BY seq LIMIT ?4"))?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement
        .query_map(params![after, until, whose(filter), limit], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    rows.collect()
}

fn oldest_version(db: &Connection) -> rusqlite::Result<Option<EventId>> {
    db.prepare_cached("SELECT min(seq) FROM versions")?.query_row([], |row| row.get(0))
}

/// What makes a version.
const VERSION: &str = "seq, earlier_steps, record";

fn versions_sql(filter: &EventFilter, columns: &str, more: &str) -> String {
    let (with, condition) = match filter {
        EventFilter::Resources(reach) if reach.resources().is_none() => ("", "?3 = ''"),
        // Read along the whole log, which is bounded: an index would cost more with every commit.
        EventFilter::Resources(_) => ("", "resource IN (SELECT value FROM json_each(?3))"),
        EventFilter::Job(_) => (VERSIONS_OF_JOB, "seq IN of_job"),
    };
    format!("{with} SELECT {columns} FROM versions WHERE {condition} AND seq > ?1 AND seq <= ?2 {more}")
}

/// Each version of a job refers to the one before it, and the job to its latest.
const VERSIONS_OF_JOB: &str = "WITH RECURSIVE of_job (seq) AS (SELECT event FROM jobs WHERE id = ?3 \
    UNION ALL SELECT previous FROM versions JOIN of_job USING (seq) WHERE previous > ?1)";

/// The third parameter of [`versions_sql`].
fn whose(filter: &EventFilter) -> String {
    match filter {
        // Texts in a list always become JSON.
        EventFilter::Resources(reach) => {
            reach.resources().map_or_else(String::new, |resources| serde_json::to_string(resources).unwrap_or_default())
        }
        EventFilter::Job(id) => id.to_string(),
    }
}

const ENTRIES_SQL: &str =
    "SELECT number, record FROM timeline WHERE resource = ?1 AND number < ?2 ORDER BY number DESC LIMIT ?3";

/// At most `limit` entries of a timeline after `after`, newest first.
fn find_entries(
    db: &Connection,
    resource: &Alias,
    after: Option<Position>,
    limit: usize,
) -> rusqlite::Result<Vec<(i64, String)>> {
    let after = after.map_or(i64::MAX, |position| position.0);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = db.prepare_cached(ENTRIES_SQL)?;
    let rows = statement.query_map(params![resource.as_str(), after, limit], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

/// What is on each shelf is in order, and only has to be merged.
pub(super) fn attempts_sql() -> String {
    let of_one = |shelf: RetentionClass| {
        format!("SELECT seq, record FROM audit WHERE shelf = '{}' AND seq < ?1", shelf.as_str())
    };
    merged(RetentionClass::ALL.map(of_one))
}

/// The rows of several queries that are each in the order of `seq`, newest first, until there are enough.
fn merged(queries: impl IntoIterator<Item = String>) -> String {
    let queries: Vec<String> = queries.into_iter().collect();
    format!("{} ORDER BY seq DESC LIMIT ?2", queries.join(" UNION ALL "))
}

/// At most `limit` attempts to change something after `after`, newest first.
fn find_attempts(db: &Connection, after: Option<Position>, limit: usize) -> rusqlite::Result<Vec<(i64, String)>> {
    let after = after.map_or(i64::MAX, |position| position.0);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = db.prepare_cached(&attempts_sql())?;
    let rows = statement.query_map(params![after, limit], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

/// Jobs that an index has in the order of their submission: all of them, or those in each state, which only have to be merged.
struct Run<'a> {
    resource: Option<&'a Alias>,
    /// Each once. Empty means any.
    states: &'a [StateName],
}

impl<'a> Run<'a> {
    /// The runs that together are what is asked for; `states` are each there once.
    fn of(resources: &'a Reach, states: &'a [StateName]) -> Vec<Self> {
        match resources.resources() {
            None => vec![Self { resource: None, states }],
            Some(resources) => resources.iter().map(|resource| Self { resource: Some(resource), states }).collect(),
        }
    }

    /// The same for all runs of a kind and as many states: only so many statements are kept.
    fn sql(&self) -> String {
        let (of_resource, first) = match self.resource {
            None if self.states.is_empty() => {
                return "SELECT seq FROM jobs WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2".to_owned();
            }
            None => ("", 3),
            Some(_) => ("resource = ?3 AND ", 4),
        };
        let states = first..first + self.each_state().count();
        merged(states.map(|number| format!("SELECT seq FROM jobs WHERE {of_resource}state = ?{number} AND seq < ?1")))
    }

    fn parameters(&self, after: i64, limit: i64) -> impl Iterator<Item = Value> {
        let text = |text: &str| Value::from(text.to_owned());
        let resource = self.resource.map(|resource| text(resource.as_str()));
        let states = self.each_state().map(move |state| text(state.as_str()));
        [Value::from(after), Value::from(limit)].into_iter().chain(resource).chain(states)
    }

    /// The states that are each looked up; none, if all jobs are looked through.
    fn each_state(&self) -> impl Iterator<Item = StateName> {
        let any: &[StateName] = if self.resource.is_some() { &StateName::ALL } else { &[] };
        if self.states.is_empty() { any } else { self.states }.iter().copied()
    }
}

/// The places of at most `limit` jobs after `after`, newest first, each found through an index whatever the filter.
fn find(db: &Connection, filter: &JobFilter, after: Option<Position>, limit: usize) -> rusqlite::Result<Vec<i64>> {
    let after = after.map_or(i64::MAX, |position| position.0);
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    let states: BTreeSet<StateName> = filter.states.iter().copied().collect();
    let states: Vec<StateName> = states.into_iter().collect();
    let mut found: Vec<i64> = Vec::new();
    for run in Run::of(&filter.resources, &states) {
        let mut statement = db.prepare_cached(&run.sql())?;
        let rows = statement.query_map(params_from_iter(run.parameters(after, most)), |row| row.get(0))?;
        for job in rows {
            found.push(job?);
        }
    }
    found.sort_unstable_by_key(|seq| std::cmp::Reverse(*seq));
    found.truncate(limit);
    Ok(found)
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
