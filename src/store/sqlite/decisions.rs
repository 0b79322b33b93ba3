//! Decisions as rows, those of each resource numbered in the order in which they were written.
//!
//! Rejected: their ids as keys, because the clock that ids are made by can be set back.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::records::{Unreadable, json};
use super::samples_clock::SamplesClock;
use crate::domain::Alias;
use crate::domain::policy::Decision;
use crate::store::MAX_DECISIONS;

/// What is too many in a log is removed when so many more are in it: each removal costs a search, even of nothing.
pub(super) const TRIMMED_TOGETHER: u64 = 64;

/// Writes `decision` in place of the newest one about `resource` if it has the same id, or after it.
pub(super) fn write(db: &Connection, resource: &Alias, decision: &Decision) -> rusqlite::Result<()> {
    let (resource, id, record) = (resource.as_str(), decision.id.to_string(), json(decision)?);
    let (last, _) = SamplesClock::read(db)?.second(decision.last_at);
    let mut newest =
        db.prepare_cached("SELECT number, id FROM decisions WHERE resource = ?1 ORDER BY number DESC LIMIT 1")?;
    let newest: Option<(u64, String)> =
        newest.query_row([resource], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let number = match newest {
        Some((number, of_newest)) if of_newest == id => {
            let mut update =
                db.prepare_cached("UPDATE decisions SET last = ?3, record = ?4 WHERE resource = ?1 AND number = ?2")?;
            return update.execute(params![resource, number, last, record]).map(drop);
        }
        newest => newest.map_or(1, |(number, _)| number.saturating_add(1)),
    };
    let mut insert =
        db.prepare_cached("INSERT INTO decisions (resource, number, id, last, record) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    insert.execute(params![resource, number, id, last, record])?;
    if number.is_multiple_of(TRIMMED_TOGETHER) {
        let mut trim = db.prepare_cached("DELETE FROM decisions WHERE resource = ?1 AND number <= ?2")?;
        trim.execute(params![resource, number.saturating_sub(MAX_DECISIONS.into())])?;
    }
    Ok(())
}

/// The newest one about `resource`.
pub(super) fn newest(db: &Connection, resource: &Alias) -> Result<Option<Decision>, Unreadable> {
    let sql = "SELECT record FROM decisions WHERE resource = ?1 ORDER BY number DESC LIMIT 1";
    let found: Option<String> = db.prepare_cached(sql)?.query_row([resource.as_str()], |row| row.get(0)).optional()?;
    let parse = |record: String| {
        serde_json::from_str(&record)
            .map_err(|error| Unreadable::Row(format!("newest decision about {resource}"), error.to_string()))
    };
    found.map(parse).transpose()
}
