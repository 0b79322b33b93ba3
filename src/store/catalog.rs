//! The reading side of the store: lists, the log of versions, timelines.
//!
//! Connections of its own, so that readers and the writer never wait for each other. Readers wait for one another, but for those of
//! the keys, which every request may need.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};

use super::directory::database_path;
use super::identity;
use super::keys;
use super::sqlite::{explain, open_to_read};
use super::wal;
use super::{Catalog, EventFilter, JobFilter, LogPage, Page, Position, StoreError};
use crate::domain::{
    AbridgedJob, Alias, AuditEntry, EventId, HistoryEntry, JobId, KeyRecord, Reach, RetentionClass, StateName,
};

/// The reading side of the store.
pub struct SqliteCatalog {
    path: PathBuf,
    db: Mutex<Connection>,
    /// For the keys alone.
    keys: Mutex<Connection>,
}

impl SqliteCatalog {
    /// Opens the store in `directory`, where a journal is open already.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let path = database_path(directory);
        let open = || open_to_read(&path).map(Mutex::new).map_err(|error| explain(&path, error));
        Ok(Self { db: open()?, keys: open()?, path })
    }
}

impl SqliteCatalog {
    fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        self.read_over(&self.db, read)
    }

    /// Everything `read` reads is as of one moment.
    fn read_over<T>(
        &self,
        db: &Mutex<Connection>,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let mut db = db.lock().unwrap_or_else(PoisonError::into_inner);
        db.transaction().and_then(|snapshot| read(&snapshot)).map_err(|error| explain(&self.path, error))
    }

    fn corrupt(&self, what: &str, error: impl std::fmt::Display) -> StoreError {
        StoreError::Corrupt { path: self.path.clone(), detail: format!("{what}: {error}") }
    }
}

impl Catalog for SqliteCatalog {
    fn page(&self, filter: &JobFilter, after: Option<Position>, size: usize) -> Result<Page<JobId>, StoreError> {
        // As of one moment: a job that goes from one state asked for to another must not slip through between.
        let found = self.read(|db| find(db, filter, after, size + 1))?;
        page(found, size, |_, id| id.parse().map_err(|error| self.corrupt("a job's id", error)))
    }

    fn versions(
        &self,
        filter: &EventFilter,
        after: EventId,
        until: EventId,
        size: usize,
    ) -> Result<LogPage, StoreError> {
        let (oldest, rows) =
            self.read(|db| Ok((oldest_version(db)?, find_versions(db, filter, after, until, size)?)))?;
        let versions = rows.into_iter().map(|(id, earlier_steps, record)| {
            let job = serde_json::from_str(&record).map_err(|error| self.corrupt(&format!("version {id}"), error))?;
            Ok((id, AbridgedJob { job, earlier_steps }))
        });
        Ok(LogPage { oldest, versions: versions.collect::<Result<_, StoreError>>()? })
    }

    fn changed_jobs(
        &self,
        filter: &EventFilter,
        after: EventId,
        until: EventId,
    ) -> Result<(Option<EventId>, Vec<JobId>), StoreError> {
        let (oldest, ids) = self.read(|db| {
            let mut statement = db.prepare_cached(&versions_sql(filter, "DISTINCT job", ""))?;
            let ids = statement.query_map(params![after, until, whose(filter)], |row| row.get::<_, String>(0))?;
            Ok((oldest_version(db)?, ids.collect::<rusqlite::Result<Vec<_>>>()?))
        })?;
        let ids = ids.into_iter().map(|id| id.parse().map_err(|error| self.corrupt("a job's id", error)));
        Ok((oldest, ids.collect::<Result<_, StoreError>>()?))
    }

    fn timeline(
        &self,
        resource: &Alias,
        after: Option<Position>,
        size: usize,
    ) -> Result<Page<HistoryEntry>, StoreError> {
        let found = self.read(|db| find_entries(db, resource, after, size + 1))?;
        page(found, size, |number, record| {
            let corrupt = |error| self.corrupt(&format!("entry {number} of the timeline of {resource}"), error);
            serde_json::from_str(&record).map_err(corrupt)
        })
    }

    fn keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        self.read_over(&self.keys, keys::read)
    }

    fn ever_had_key(&self) -> Result<bool, StoreError> {
        self.read_over(&self.keys, keys::were_there)
    }

    fn audit(&self, after: Option<Position>, size: usize) -> Result<Page<AuditEntry>, StoreError> {
        let found = self.read(|db| find_attempts(db, after, size + 1))?;
        page(found, size, |seq, record| {
            serde_json::from_str(&record).map_err(|error| self.corrupt(&format!("audit entry {seq}"), error))
        })
    }

    fn log_length(&self) -> Result<u64, StoreError> {
        let path = wal::path(&self.path);
        identity::length(&path).map_err(|source| StoreError::Log { path, source })
    }
}

/// The first `size` of what was `found`, as `parse` reads them. There is a next page if more was found.
fn page<T>(
    mut found: Vec<(i64, String)>,
    size: usize,
    parse: impl Fn(i64, String) -> Result<T, StoreError>,
) -> Result<Page<T>, StoreError> {
    let has_more = found.len() > size;
    found.truncate(size);
    let entries = found.into_iter().map(|(seq, text)| Ok((Position(seq), parse(seq, text)?)));
    let entries = entries.collect::<Result<Vec<_>, StoreError>>()?;
    let next = entries.last().filter(|_| has_more).map(|(position, _)| *position);
    Ok(Page { entries, next })
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
                return "SELECT seq, id FROM jobs WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2".to_owned();
            }
            None => ("", 3),
            Some(_) => ("resource = ?3 AND ", 4),
        };
        let states = first..first + self.each_state().count();
        merged(
            states.map(|number| format!("SELECT seq, id FROM jobs WHERE {of_resource}state = ?{number} AND seq < ?1")),
        )
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

/// At most `limit` jobs after `after`, newest first, each found through an index whatever the filter.
fn find(
    db: &Connection,
    filter: &JobFilter,
    after: Option<Position>,
    limit: usize,
) -> rusqlite::Result<Vec<(i64, String)>> {
    let after = after.map_or(i64::MAX, |position| position.0);
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    let states: BTreeSet<StateName> = filter.states.iter().copied().collect();
    let states: Vec<StateName> = states.into_iter().collect();
    let mut found: Vec<(i64, String)> = Vec::new();
    for run in Run::of(&filter.resources, &states) {
        let mut statement = db.prepare_cached(&run.sql())?;
        let rows =
            statement.query_map(params_from_iter(run.parameters(after, most)), |row| Ok((row.get(0)?, row.get(1)?)))?;
        for job in rows {
            found.push(job?);
        }
    }
    found.sort_unstable_by_key(|(seq, _)| std::cmp::Reverse(*seq));
    found.truncate(limit);
    Ok(found)
}

#[cfg(test)]
#[path = "catalog_tests.rs"]
mod tests;
