//! Reads from the database: lists, the log of versions, timelines, keys.
//!
//! Connections and a thread of its own, so that no reader waits for the writer or holds it up; records are made sense of where
//! they were asked for. The keys, which every request may need, have connections that nothing else waits for.
//!
//! It must never answer from what it read before: another replica may have written since.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use tokio_postgres::Row;

use super::address::Address;
use super::adopt::{read_prediction, read_revision};
use super::batch::{Batch, parameters};
use super::connections::Connections;
use super::error::{Fault, PostgresError};
use super::keys::{self, KeysWatch};
use super::records::{Named, only, read_count, short_answer, stored};
use super::rows::read_job;
use super::transaction::{begin_to_read, commit};
use super::worker::Worker;
use super::{groups, queries, series};
use crate::domain::forecast::Prediction;
use crate::domain::policy::{Decision, Name};
use crate::domain::{
    Alias, AuditEntry, EventId, GroupId, GroupStatus, HistoryEntry, JobEvent, JobId, KeyRecord, StateName, Timestamp,
};
use crate::store::{
    EventFilter, GroupFilter, JobCounts, JobFilter, KeysState, LastOutcome, LogPage, MAX_REVISIONS, Page, Position,
    Revision, Series, StoreError, StoreReader,
};

/// Reads at a time, those of the keys aside.
const READERS: usize = 4;
/// Reads of keys at a time: one for requests, and one that asks whether they have changed.
const KEY_READERS: usize = 2;
/// Longest time for a read.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest time for a read of the keys, for which each request waits.
const KEYS_PATIENCE: Duration = Duration::from_secs(1);
/// Bytes of records after which a page of jobs or decisions ends: twice of what an answer holds.
const PAGE_BYTES: i64 = 1024 * 1024;

/// See the module's documentation.
pub struct PostgresReader {
    worker: Worker,
    readers: Connections,
    keys: Connections,
    keys_watch: Arc<KeysWatch>,
}

impl PostgresReader {
    /// Reads the store at `address`, which was opened already.
    ///
    /// # Errors
    /// If the system's certificates are needed and cannot be had, or the system refuses one more thread.
    pub fn open(address: &Address) -> Result<Self, PostgresError> {
        let worker = Worker::start("store-reads").map_err(|error| PostgresError::Address(error.to_string()))?;
        let readers = Connections::new(address, READERS, PATIENCE)?;
        let keys = Connections::new(address, KEY_READERS, KEYS_PATIENCE)?;
        let keys_watch = Arc::new(KeysWatch::default());
        worker.begin(keys::watch(keys.clone(), Arc::downgrade(&keys_watch)));
        Ok(Self { worker, readers, keys, keys_watch })
    }

    /// What `make` makes of the rows that `batch` finds on one of these connections.
    async fn read<T>(
        &self,
        connections: &Connections,
        batch: Batch,
        make: impl FnOnce(&[Vec<Row>]) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let (of, at) = (connections.clone(), &connections.at);
        let found = self.worker.run(async move { of.query(batch).await }).await?;
        Ok(found.and_then(|answers| make(&answers)).map_err(|fault| fault.explain(at))?)
    }

    /// The same for one statement.
    async fn rows<T>(
        &self,
        sql: impl Into<std::borrow::Cow<'static, str>>,
        values: Vec<super::batch::Parameter>,
        make: impl FnOnce(&[Row]) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let mut batch = Batch::default();
        batch.add(sql, values);
        self.read(&self.readers, batch, |answers| make(answers.first().ok_or_else(short_answer)?)).await
    }

    /// Up to where the log is read in one turn, and the id of its oldest version. As of one moment with what follows, since
    /// versions only go at the old end.
    async fn piece(
        &self,
        filter: &EventFilter,
        after: EventId,
        until: EventId,
    ) -> Result<(EventId, Option<EventId>), StoreError> {
        let is_of_job = matches!(filter, EventFilter::Job(_));
        self.rows(queries::PIECE, parameters![stored(after), stored(until), queries::PIECE_ROWS - 1], |rows| {
            let row = Named::new("the log", rows.first().ok_or_else(short_answer)?);
            let (oldest, end): (Option<i64>, Option<i64>) = (row.get(0)?, row.get(1)?);
            let end = end.filter(|_| !is_of_job).map_or(until, read_count);
            Ok((end, oldest.map(read_count)))
        })
        .await
    }
}

#[async_trait]
impl StoreReader for PostgresReader {
    async fn job(&self, id: JobId) -> Result<Option<JobEvent>, StoreError> {
        let sql = "SELECT id, record, event FROM jobs WHERE id = $1";
        self.rows(sql, parameters![id.to_string()], |rows| rows.first().map(read_job).transpose()).await
    }

    async fn last_event(&self) -> Result<EventId, StoreError> {
        self.rows("SELECT next_event - 1 FROM log", Vec::new(), |rows| only(rows, "the row of the log")).await
    }

    async fn jobs_page(
        &self,
        filter: &JobFilter,
        after: Option<Position>,
        size: usize,
    ) -> Result<Page<JobEvent>, StoreError> {
        let states: BTreeSet<StateName> = filter.states.iter().copied().collect();
        let (sql, mut values) = queries::jobs(&filter.resources, &states.into_iter().collect::<Vec<_>>());
        let mut all = parameters![before(after), stored(size).saturating_add(1), PAGE_BYTES];
        all.append(&mut values);
        self.rows(sql, all, |rows| {
            page(
                rows,
                size,
                |row| {
                    let position = Named::new("job", row).get(3)?;
                    Ok((position, read_job(row)?))
                },
                4,
            )
        })
        .await
    }

    async fn last_outcomes(&self, resources: Vec<Alias>) -> Result<HashMap<Alias, LastOutcome>, StoreError> {
        let names: Vec<String> = resources.iter().map(|resource| resource.as_str().to_owned()).collect();
        self.rows(queries::LAST_OUTCOMES, parameters![names], |rows| {
            let outcome = |row| {
                let job = Named::new("job", row);
                let outcome = LastOutcome::of_record(job.get(0)?, job.get(1)?).map_err(|why| job.senseless(why))?;
                Ok((job.parsed(2)?, outcome))
            };
            rows.iter().map(outcome).collect()
        })
        .await
    }

    async fn job_counts(&self) -> Result<JobCounts, StoreError> {
        self.rows("SELECT state, count(*) FROM jobs GROUP BY state", Vec::new(), |rows| {
            let mut counts = StateName::ALL.map(|state| (state, 0));
            for row in rows {
                let found = Named::new("jobs in state", row);
                let name: &str = found.get(0)?;
                if let Some((_, number)) = counts.iter_mut().find(|(state, _)| state.as_str() == name) {
                    *number = read_count(found.get(1)?);
                }
            }
            Ok(counts)
        })
        .await
    }

    async fn group(&self, id: GroupId) -> Result<Option<GroupStatus>, StoreError> {
        self.read(&self.readers, groups::find(id), groups::read_found).await
    }

    async fn groups_page(
        &self,
        filter: &GroupFilter,
        after: Option<Position>,
        size: usize,
    ) -> Result<Page<GroupStatus>, StoreError> {
        let candidates = groups::candidates(filter, after);
        self.read(&self.readers, candidates, |answers| groups::read_page(answers, filter, size)).await
    }

    async fn versions(
        &self,
        filter: &EventFilter,
        after: EventId,
        until: EventId,
        size: usize,
    ) -> Result<LogPage, StoreError> {
        let (end, _) = self.piece(filter, after, until).await?;
        let (sql, mut values) = queries::versions(filter, "seq, earlier_steps, record", "ORDER BY seq LIMIT $3");
        let mut all = parameters![stored(after), stored(end), stored(size)];
        all.append(&mut values);
        let mut batch = Batch::default();
        begin_to_read(&mut batch);
        batch.add("SELECT min(seq) FROM versions", Vec::new());
        batch.add(sql, all);
        commit(&mut batch);
        self.read(&self.readers, batch, |answers| {
            let [_, oldest, versions, _] = answers else { return Err(short_answer()) };
            let oldest: Option<i64> = Named::new("the log", oldest.first().ok_or_else(short_answer)?).get(0)?;
            let versions = versions.iter().map(queries::read_version).collect::<Result<Vec<_>, Fault>>()?;
            let until = versions.last().filter(|_| versions.len() == size).map_or(end, |(id, _)| *id);
            Ok(LogPage { oldest: oldest.map(read_count), versions, until })
        })
        .await
    }

    async fn has_all_after(&self, filter: &EventFilter, after: EventId, until: EventId) -> Result<bool, StoreError> {
        let mut read_up_to = after;
        loop {
            let (end, oldest) = self.piece(filter, read_up_to, until).await?;
            if crate::store::begins_after(oldest, after, until) {
                return Ok(false);
            }
            let (sql, values) = queries::lacks_a_job(filter, read_up_to, end);
            let lacks = self
                .rows(sql, values, |rows| Named::new("the log", rows.first().ok_or_else(short_answer)?).get::<bool>(0));
            let has_all = !lacks.await?;
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
        let sql = "SELECT number, record, count(*) OVER () FROM ( \
            SELECT number, record FROM timeline WHERE resource = $1 AND number < $2 ORDER BY number DESC LIMIT $3 \
            ) AS found ORDER BY number DESC";
        let values = parameters![resource.as_str().to_owned(), before(after), stored(size).saturating_add(1)];
        self.rows(sql, values, |rows| page(rows, size, |row| entry("entry of a timeline", row), 2)).await
    }

    async fn audit(&self, after: Option<Position>, size: usize) -> Result<Page<AuditEntry>, StoreError> {
        let sql = "SELECT seq, record, count(*) OVER () FROM ( \
            SELECT seq, record FROM audit WHERE seq < $1 ORDER BY seq DESC LIMIT $2) AS found ORDER BY seq DESC";
        let values = parameters![before(after), stored(size).saturating_add(1)];
        self.rows(sql, values, |rows| page(rows, size, |row| entry("audit entry", row), 2)).await
    }

    async fn policy_revisions(&self, resource: &Alias) -> Result<Vec<Revision>, StoreError> {
        let sql = "SELECT resource, number, at_ms, actor, document FROM policy_revisions WHERE resource = $1 \
            ORDER BY number DESC LIMIT $2";
        let values = parameters![resource.as_str().to_owned(), stored(MAX_REVISIONS)];
        self.rows(sql, values, |rows| rows.iter().map(read_revision).collect()).await
    }

    async fn decisions(
        &self,
        resource: &Alias,
        after: Option<Position>,
        size: usize,
    ) -> Result<Page<Decision>, StoreError> {
        let values =
            parameters![before(after), stored(size).saturating_add(1), PAGE_BYTES, resource.as_str().to_owned()];
        self.rows(queries::DECISIONS, values, |rows| page(rows, size, |row| entry("decision", row), 2)).await
    }

    async fn metric_names(&self, resource: &Alias) -> Result<Vec<Name>, StoreError> {
        let sql = "SELECT metric FROM series WHERE resource = $1 ORDER BY metric";
        let values = parameters![resource.as_str().to_owned()];
        self.rows(sql, values, |rows| rows.iter().map(|row| Named::new("metric", row).parsed(0)).collect()).await
    }

    async fn series(
        &self,
        resource: &Alias,
        metric: &Name,
        from: Timestamp,
        to: Timestamp,
        step: Duration,
    ) -> Result<Series, StoreError> {
        let (readers, at) = (self.readers.clone(), &self.readers.at);
        let (resource, metric) = (resource.clone(), metric.clone());
        let read =
            async move { readers.run(async |db| series::read(db, &resource, &metric, from, to, step).await).await };
        Ok(self.worker.run(read).await?.map_err(|fault| fault.explain(at))?)
    }

    async fn prediction(&self, resource: &Alias, metric: &Name) -> Result<Option<Prediction>, StoreError> {
        let sql = "SELECT resource, metric, points, received_ms FROM predictions WHERE resource = $1 AND metric = $2";
        let values = parameters![resource.as_str().to_owned(), metric.as_str().to_owned()];
        self.rows(sql, values, |rows| rows.first().map(read_prediction).transpose()).await
    }

    async fn keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        let mut batch = Batch::default();
        batch.add(keys::ALL, Vec::new());
        let read = |answers: &[Vec<Row>]| answers.iter().flatten().map(keys::read).collect();
        self.read(&self.keys, batch, read).await
    }

    fn keys_state(&self) -> Option<KeysState> {
        self.keys_watch.state()
    }

    async fn ever_had_key(&self) -> Result<bool, StoreError> {
        let mut batch = Batch::default();
        batch.add("SELECT EXISTS (SELECT 1 FROM first_key)", Vec::new());
        let read = |answers: &[Vec<Row>]| {
            let row = answers.first().and_then(|rows| rows.first()).ok_or_else(short_answer)?;
            Named::new("the first key", row).get(0)
        };
        self.read(&self.keys, batch, read).await
    }
}

impl Drop for PostgresReader {
    fn drop(&mut self) {
        self.readers.close();
        self.keys.close();
    }
}

/// What a page begins before.
fn before(after: Option<Position>) -> i64 {
    after.map_or(i64::MAX, |position| position.0)
}

/// A position and a record.
fn entry<T: DeserializeOwned>(what: &'static str, row: &Row) -> Result<(i64, T), Fault> {
    let entry = Named::new(what, row);
    Ok((entry.get(0)?, entry.record(1)?))
}

/// A page of at most `size` of `rows`, of which a column says how many were found in all.
fn page<T>(
    rows: &[Row],
    size: usize,
    parse: impl Fn(&Row) -> Result<(i64, T), Fault>,
    found: usize,
) -> Result<Page<T>, Fault> {
    let all: i64 = rows.first().map_or(Ok(0), |row| Named::new("row", row).get(found))?;
    let entries = rows.iter().take(size).map(|row| parse(row).map(|(position, item)| (Position(position), item)));
    let entries = entries.collect::<Result<Vec<_>, Fault>>()?;
    let next = entries.last().map(|(position, _)| *position).filter(|_| stored(entries.len()) < all);
    Ok(Page { entries, next })
}
