//! The queries of [`reader`](super::reader). Each finds its rows through an index.
//!
//! It must never read what is in a record: rows go out as they are.

use std::collections::BTreeSet;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, params, params_from_iter};

use crate::domain::{Alias, EventId, Reach, RetentionClass, StateName};
use crate::store::{EventFilter, JobFilter, Position};

/// Most rows of the log of versions that are looked at in one turn; some milliseconds.
pub(super) const PIECE_ROWS: usize = 2000;

/// Up to where the log is read in one turn. The versions of a single job are found without the others, and are few.
pub(super) fn piece_end(
    db: &Connection,
    filter: &EventFilter,
    after: EventId,
    until: EventId,
) -> rusqlite::Result<EventId> {
    if matches!(filter, EventFilter::Job(_)) {
        return Ok(until);
    }
    let sql = "SELECT seq FROM versions WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT 1 OFFSET ?3";
    let last = db.prepare_cached(sql)?.query_row(params![after, until, PIECE_ROWS - 1], |row| row.get(0)).optional()?;
    Ok(last.unwrap_or(until))
}

/// Whether there is a version after `after` and up to `until` whose job is not kept any more.
pub(super) fn lacks_a_job(
    db: &Connection,
    filter: &EventFilter,
    after: EventId,
    until: EventId,
) -> rusqlite::Result<bool> {
    if let EventFilter::Job(id) = filter {
        let sql = "SELECT NOT EXISTS (SELECT 1 FROM jobs WHERE id = ?1)";
        return db.prepare_cached(sql)?.query_row([id.to_string()], |row| row.get(0));
    }
    let sql = versions_sql(filter, "1", "AND NOT EXISTS (SELECT 1 FROM jobs WHERE id = versions.job) LIMIT 1");
    let found = db.prepare_cached(&sql)?.query_row(params![after, until, whose(filter)], |_| Ok(())).optional()?;
    Ok(found.is_some())
}

/// At most `limit` versions after `after` and up to `until`: their ids, the number of steps left out, and the records.
pub(super) fn find_versions(
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

pub(super) fn oldest_version(db: &Connection) -> rusqlite::Result<Option<EventId>> {
    db.prepare_cached("SELECT min(seq) FROM versions")?.query_row([], |row| row.get(0))
}

/// What makes a version.
pub(super) const VERSION: &str = "seq, earlier_steps, record";

pub(super) fn versions_sql(filter: &EventFilter, columns: &str, more: &str) -> String {
    let (with, condition) = match filter {
        EventFilter::Resources(reach) if reach.resources().is_none() => ("", "?3 = ''"),
        // Read along the whole log, which is bounded: an index would cost more with every commit.
        EventFilter::Resources(_) => ("", "resource IN (SELECT value FROM json_each(?3))"),
        EventFilter::Job(_) => (VERSIONS_OF_JOB, "seq IN of_job"),
    };
    format!("{with} SELECT {columns} FROM versions WHERE {condition} AND seq > ?1 AND seq <= ?2 {more}")
}

/// Each version of a job refers to the one before it, and the job to its latest.
pub(super) const VERSIONS_OF_JOB: &str = "WITH RECURSIVE of_job (seq) AS (SELECT event FROM jobs WHERE id = ?3 \
    UNION ALL SELECT previous FROM versions JOIN of_job USING (seq) WHERE previous > ?1)";

/// The third parameter of [`versions_sql`].
pub(super) fn whose(filter: &EventFilter) -> String {
    match filter {
        // Texts in a list always become JSON.
        EventFilter::Resources(reach) => {
            reach.resources().map_or_else(String::new, |resources| serde_json::to_string(resources).unwrap_or_default())
        }
        EventFilter::Job(id) => id.to_string(),
    }
}

pub(super) const ENTRIES_SQL: &str =
    "SELECT number, record FROM timeline WHERE resource = ?1 AND number < ?2 ORDER BY number DESC LIMIT ?3";

/// At most `limit` entries of a timeline after `after`, newest first.
pub(super) fn find_entries(
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

/// Of the newest job of a resource that succeeded and the newest that failed, the one that ended last.
pub(super) const LAST_OUTCOME_SQL: &str = "SELECT id, record FROM jobs WHERE seq IN ( \
    (SELECT max(seq) FROM jobs WHERE resource = ?1 AND state = 'succeeded'), \
    (SELECT max(seq) FROM jobs WHERE resource = ?1 AND state = 'failed')) ORDER BY finished_ms DESC, seq DESC LIMIT 1";

pub(super) const DECISIONS_SQL: &str =
    "SELECT number, record FROM decisions WHERE resource = ?1 AND number < ?2 ORDER BY number DESC LIMIT ?3";

/// The decisions about `resource` after `after`, newest first, at most `size` and those that begin within the first
/// `bytes`, and whether there are more.
pub(super) fn find_decisions(
    db: &Connection,
    resource: &Alias,
    after: Option<Position>,
    size: usize,
    bytes: usize,
) -> rusqlite::Result<(Vec<(i64, String)>, bool)> {
    let after = after.map_or(i64::MAX, |position| position.0);
    let limit = i64::try_from(size).unwrap_or(i64::MAX).saturating_add(1);
    let mut statement = db.prepare_cached(DECISIONS_SQL)?;
    let mut rows = statement.query(params![resource.as_str(), after, limit])?;
    let (mut found, mut length) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        if found.len() == size || length >= bytes {
            return Ok((found, true));
        }
        let record: String = row.get(1)?;
        length += record.len();
        found.push((row.get(0)?, record));
    }
    Ok((found, false))
}

/// The entries of each class are in order, and only have to be merged.
pub(super) fn attempts_sql() -> String {
    let of_one = |class: RetentionClass| {
        format!("SELECT seq, record FROM audit WHERE shelf = '{}' AND seq < ?1", class.as_str())
    };
    merged(RetentionClass::ALL.map(of_one))
}

/// The rows of several queries that are each in the order of `seq`, newest first, until there are enough.
pub(super) fn merged(queries: impl IntoIterator<Item = String>) -> String {
    let queries: Vec<String> = queries.into_iter().collect();
    format!("{} ORDER BY seq DESC LIMIT ?2", queries.join(" UNION ALL "))
}

/// At most `limit` attempts to change something after `after`, newest first.
pub(super) fn find_attempts(
    db: &Connection,
    after: Option<Position>,
    limit: usize,
) -> rusqlite::Result<Vec<(i64, String)>> {
    let after = after.map_or(i64::MAX, |position| position.0);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = db.prepare_cached(&attempts_sql())?;
    let rows = statement.query_map(params![after, limit], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

/// Jobs that an index has in the order of their submission: all of them, or those in each state, which only have to be
/// merged.
pub(super) struct Run<'a> {
    resource: Option<&'a Alias>,
    /// Each once. Empty means any.
    states: &'a [StateName],
}

impl<'a> Run<'a> {
    /// The runs that together are what is asked for; `states` are each there once.
    pub(super) fn of(resources: &'a Reach, states: &'a [StateName]) -> Vec<Self> {
        match resources.resources() {
            None => vec![Self { resource: None, states }],
            Some(resources) => resources.iter().map(|resource| Self { resource: Some(resource), states }).collect(),
        }
    }

    /// The same for all runs of a kind and as many states: only so many statements are kept.
    pub(super) fn sql(&self) -> String {
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

/// The places of at most `limit` jobs after `after`, newest first, each found through an index.
pub(super) fn find(
    db: &Connection,
    filter: &JobFilter,
    after: Option<Position>,
    limit: usize,
) -> rusqlite::Result<Vec<i64>> {
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
