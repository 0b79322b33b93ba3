//! Records as rows have them.
//!
//! A record that makes no sense is an error with the name of its row. It must never be skipped: its job may have a
//! change under way.

use std::error::Error;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use rusqlite::types::Type;
use rusqlite::{Connection, Row};

use super::SqliteError;
use super::connection::explain;
use crate::domain::JobEvent;
use crate::store::PrunedJob;

/// Why not all records could be read.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// The file is at fault.
    File(rusqlite::Error),
    /// What is in this row makes no sense, for that reason.
    Row(String, String),
}

impl From<rusqlite::Error> for Unreadable {
    fn from(error: rusqlite::Error) -> Self {
        Self::File(error)
    }
}

/// What [`Unreadable`] means to the operator of the store at `path`.
pub(super) fn unreadable(path: &Path, error: Unreadable) -> SqliteError {
    match error {
        Unreadable::File(error) => explain(path, error),
        Unreadable::Row(row, why) => SqliteError::Corrupt { path: path.to_owned(), detail: format!("{row}: {why}") },
    }
}

/// The job in a row of `id`, `record` and `event`.
pub(super) fn parse_job(row: &Row) -> Result<JobEvent, Unreadable> {
    // What is no text is no JSON either, and is found out as that.
    let record = row.get_ref(1)?.as_str().unwrap_or_default();
    match serde_json::from_str(record) {
        Ok(job) => Ok(JobEvent { id: row.get::<_, i64>(2)?.unsigned_abs(), job: Arc::new(job) }),
        Err(error) => Err(Unreadable::Row(format!("job {}", name_of(row)), error.to_string())),
    }
}

/// The jobs that `sql` finds, in rows as [`parse_job`] reads them.
pub(super) fn read_jobs(
    db: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
) -> Result<Vec<JobEvent>, Unreadable> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    let mut jobs = Vec::new();
    while let Some(row) = rows.next()? {
        jobs.push(parse_job(row)?);
    }
    Ok(jobs)
}

/// A job that was removed, in a row of `id`, `resource`, `owner`, `text_bytes` and `group_id`.
pub(super) fn parse_pruned_job(row: &Row) -> rusqlite::Result<PrunedJob> {
    Ok(PrunedJob {
        id: parsed(row, 0)?,
        resource: parsed(row, 1)?,
        owner: parsed_or_null(row, 2)?,
        text_bytes: row.get(3)?,
        group: parsed_or_null(row, 4)?,
    })
}

/// The text in a column, parsed.
pub(super) fn parsed<T: FromStr<Err: Into<Box<dyn Error + Send + Sync>>>>(
    row: &Row,
    column: usize,
) -> rusqlite::Result<T> {
    row.get_ref(column)?.as_str()?.parse().map_err(|error| senseless(column, error))
}

/// The text in a column that may have none, parsed.
pub(super) fn parsed_or_null<T>(row: &Row, column: usize) -> rusqlite::Result<Option<T>>
where
    T: FromStr<Err: Into<Box<dyn Error + Send + Sync>>>,
{
    let text = row.get_ref(column)?.as_str_or_null()?;
    text.map(|text| text.parse().map_err(|error| senseless(column, error))).transpose()
}

/// That the text in a column makes no sense.
pub(super) fn senseless(column: usize, error: impl Into<Box<dyn Error + Send + Sync>>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into())
}

/// What `parse` makes of the rows of a query, each about a `what` that its first column names.
pub(super) fn collect<T>(
    db: &Connection,
    what: &str,
    sql: &str,
    parameters: impl rusqlite::Params,
    parse: impl Fn(&Row) -> rusqlite::Result<T>,
) -> Result<Vec<T>, Unreadable> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(parse(row).map_err(|error| Unreadable::Row(format!("{what} {}", name_of(row)), error.to_string()))?);
    }
    Ok(found)
}

/// The record as it is stored.
pub(super) fn json(record: &impl serde::Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(record).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

/// What the first column says of a row.
pub(super) fn name_of(row: &Row) -> String {
    row.get(0).unwrap_or_else(|_| "without a name".to_owned())
}
