//! Lanes as rows: a column each for what earlier changes mean for later ones, and JSON for what is read and written
//! whole: the change that is unresolved, which few have, and how long steps took.
//!
//! Rejected: a record in JSON, as jobs have one, because of the time that a start with very many jobs spends on making
//! sense of records, a fifth went to those of lanes.

use std::fmt::Display;
use std::time::Duration;

use rusqlite::types::FromSql;
use rusqlite::{Connection, Row, params};
use serde::de::DeserializeOwned;

use super::records::{Unreadable, json, name_of};
use crate::domain::{Alias, Capacity, ChangeState, LaneRecord, Op, SentChange, Timestamp};
use crate::store::Unit;
use crate::store::unit::latest_records;

/// Writes each lane as it is after the last of `units`, or removes it if that one does.
pub(super) fn write(db: &Connection, units: &[Unit]) -> rusqlite::Result<()> {
    write_records(db, latest_records(units))
}

/// Writes `records`, and removes those that are none.
pub(super) fn write_records<'a>(
    db: &Connection,
    records: impl IntoIterator<Item = (&'a Alias, Option<&'a LaneRecord>)>,
) -> rusqlite::Result<()> {
    let mut replace = db.prepare_cached(
        "REPLACE INTO lanes (resource, changed_ms, op, cooldown_ms, settle_ms, fresh_from_ms, expected, provisioning_ms, change, \
         step_durations) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    let mut forget = db.prepare_cached("DELETE FROM lanes WHERE resource = ?1")?;
    for (resource, lane) in records {
        let Some(LaneRecord { resource: _, change_state, change, step_durations }) = lane else {
            forget.execute([resource.as_str()])?;
            continue;
        };
        let ChangeState { last_change, fresh_from, expected, provisioning } = change_state;
        replace.execute(params![
            resource.as_str(),
            last_change.map(|last| last.at.as_millis()),
            last_change.and_then(|last| last.op).map(Op::as_str),
            last_change.map(|last| millis(last.cooldown)),
            last_change.map(|last| millis(last.settle)),
            fresh_from.map(Timestamp::as_millis),
            expected.map(Capacity::units),
            provisioning.map(millis),
            change.as_ref().map(json).transpose()?,
            (!step_durations.is_empty()).then(|| json(step_durations)).transpose()?,
        ])?;
    }
    Ok(())
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

const COLUMNS: &str = "resource, changed_ms, op, cooldown_ms, settle_ms, fresh_from_ms, expected, provisioning_ms, change, step_durations";

/// All lanes, by name.
pub(super) fn read(db: &Connection) -> Result<Vec<LaneRecord>, Unreadable> {
    read_where(db, &format!("SELECT {COLUMNS} FROM lanes ORDER BY resource"), [])
}

/// The lane of `resource`, if it has a record.
pub(super) fn read_one(db: &Connection, resource: &Alias) -> Result<Option<LaneRecord>, Unreadable> {
    let sql = format!("SELECT {COLUMNS} FROM lanes WHERE resource = ?1");
    Ok(read_where(db, &sql, [resource.as_str()])?.pop())
}

fn read_where(db: &Connection, sql: &str, parameters: impl rusqlite::Params) -> Result<Vec<LaneRecord>, Unreadable> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    let mut lanes = Vec::new();
    while let Some(row) = rows.next()? {
        lanes.push(understand(row).map_err(|why| Unreadable::Row(format!("lane {}", name_of(row)), why))?);
    }
    Ok(lanes)
}

/// The lane in `row`, or why it makes no sense.
fn understand(row: &Row) -> Result<LaneRecord, String> {
    let resource = row.get_ref(0).map_err(text)?.as_str().map_err(text)?.parse().map_err(text)?;
    let change_state = ChangeState {
        last_change: last_change(row)?,
        fresh_from: column::<i64>(row, 5)?.map(Timestamp::from_millis),
        expected: column::<i64>(row, 6)?.map(Capacity::new).transpose().map_err(text)?,
        provisioning: column::<u64>(row, 7)?.map(Duration::from_millis),
    };
    let (change, step_durations) = (record(row, 8)?, record(row, 9)?.unwrap_or_default());
    Ok(LaneRecord { resource, change_state, change, step_durations })
}

/// The record in JSON at `place`, if there is one.
fn record<T: DeserializeOwned>(row: &Row, place: usize) -> Result<Option<T>, String> {
    let record = row.get_ref(place).map_err(text)?.as_str_or_null().map_err(text)?;
    record.map(serde_json::from_str).transpose().map_err(text)
}

fn last_change(row: &Row) -> Result<Option<SentChange>, String> {
    let Some(at) = column::<i64>(row, 1)? else { return Ok(None) };
    let op = match row.get_ref(2).map_err(text)?.as_str_or_null().map_err(text)? {
        Some(name) => Some(Op::named(name).ok_or_else(|| format!("there is no operation {name}"))?),
        None => None,
    };
    let wait = |place| column(row, place)?.map(Duration::from_millis).ok_or_else(|| "a wait is missing".to_owned());
    Ok(Some(SentChange { at: Timestamp::from_millis(at), op, cooldown: wait(3)?, settle: wait(4)? }))
}

fn column<T: FromSql>(row: &Row, place: usize) -> Result<Option<T>, String> {
    row.get(place).map_err(text)
}

fn text(error: impl Display) -> String {
    error.to_string()
}
