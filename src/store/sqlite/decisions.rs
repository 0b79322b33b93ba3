//! Decisions as rows, in the order in which they were written.
//!
//! Rejected: their ids as keys, because the clock that ids are made by can be set back.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::records::{Unreadable, json};
use crate::domain::Alias;
use crate::domain::policy::Decision;

/// Writes `decision` in place of the newest one about `resource` if it has the same id, or after it.
pub(super) fn write(db: &Connection, resource: &Alias, decision: &Decision) -> rusqlite::Result<()> {
    let id = decision.id.to_string();
    let mut newest =
        db.prepare_cached("SELECT seq, id FROM decisions WHERE resource = ?1 ORDER BY seq DESC LIMIT 1")?;
    let newest = newest.query_row([resource.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let same = newest.filter(|(_, of_newest): &(i64, String)| *of_newest == id).map(|(seq, _)| seq);
    let (last_ms, record) = (decision.last_at.as_millis(), json(decision)?);
    match same {
        Some(seq) => {
            let mut update = db.prepare_cached("UPDATE decisions SET last_ms = ?2, record = ?3 WHERE seq = ?1")?;
            update.execute(params![seq, last_ms, record])
        }
        None => {
            let mut insert =
                db.prepare_cached("INSERT INTO decisions (resource, id, last_ms, record) VALUES (?1, ?2, ?3, ?4)")?;
            insert.execute(params![resource.as_str(), id, last_ms, record])
        }
    }
    .map(drop)
}

/// The newest one about `resource`.
pub(super) fn newest(db: &Connection, resource: &Alias) -> Result<Option<Decision>, Unreadable> {
    let found = find(db, resource, i64::MAX, 1)?.pop();
    let parse = |(_, record): (i64, String)| {
        serde_json::from_str(&record)
            .map_err(|error| Unreadable::Row(format!("newest decision about {resource}"), error.to_string()))
    };
    found.map(parse).transpose()
}

/// At most `limit` decisions about `resource` before the place `before`, newest first.
pub(super) fn find(
    db: &Connection,
    resource: &Alias,
    before: i64,
    limit: usize,
) -> rusqlite::Result<Vec<(i64, String)>> {
    let mut statement = db.prepare_cached(
        "SELECT seq, record FROM decisions WHERE resource = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![resource.as_str(), before, limit], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}
