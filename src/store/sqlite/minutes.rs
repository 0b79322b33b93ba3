//! Minutes of samples: worked out once they are over, a little at a time, and what is removed of samples when it is old.
//!
//! A minute is worked out for some series at a time, in the order of their ids; how far that has got is in the row of the
//! [`SamplesClock`]. Samples that come later are added to their minute when they are written.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::samples_clock::SamplesClock;
use crate::domain::Timestamp;
use crate::store::series::Values;
use crate::store::{MINUTE_RETENTION, RAW_RETENTION, RETIRED_RETENTION};

/// Most series of which a minute is worked out in one go: with a sample each second, twelve thousand rows are read.
const SERIES_TOGETHER: i64 = 200;
/// Most samples and minutes of a series that are removed in one go: they lie next to each other.
const ROWS_TOGETHER: i64 = 2000;

/// Works out minutes that were over at `now`; whether there are more.
pub(super) fn work_out(db: &Connection, now: Timestamp) -> rusqlite::Result<bool> {
    let clock = SamplesClock::read(db)?;
    let (minute, after) = clock.worked_out;
    // What was observed at the end of a minute is written a moment later.
    let end = clock.second(now).0.div_euclid(60).saturating_sub(1);
    if minute >= end {
        return Ok(false);
    }
    let sql = "SELECT max(id) FROM (SELECT id FROM series WHERE id > ?1 ORDER BY id LIMIT ?2)";
    let up_to = db.prepare_cached(sql)?.query_row([after, SERIES_TOGETHER], |row| row.get::<_, Option<i64>>(0))?;
    let next = match up_to {
        Some(up_to) => {
            for (series, values) in read_minute(db, minute, after, up_to)? {
                write_minute(db, series, minute, values)?;
            }
            (minute, up_to)
        }
        None => {
            let sql = "SELECT min(second) FROM samples_raw WHERE second >= ?1";
            let begin = minute.saturating_add(1).saturating_mul(60);
            let second = db.prepare_cached(sql)?.query_row([begin], |row| row.get::<_, Option<i64>>(0))?;
            (second.map_or(end, |second| second.div_euclid(60).min(end)), 0)
        }
    };
    db.prepare_cached("UPDATE samples_clock SET minute = ?1, series = ?2")?.execute([next.0, next.1])?;
    Ok(next.0 < end)
}

/// What was observed in a minute of the series after one and up to another.
fn read_minute(db: &Connection, minute: i64, after: i64, up_to: i64) -> rusqlite::Result<BTreeMap<i64, Values>> {
    let mut statement = db.prepare_cached(
        "WITH RECURSIVE seconds (second) AS ( \
             SELECT ?1 UNION ALL SELECT second + 1 FROM seconds WHERE second + 1 < ?1 + 60 \
         ) SELECT series, value FROM seconds CROSS JOIN samples_raw USING (second) WHERE series > ?2 AND series <= ?3",
    )?;
    let mut rows = statement.query([minute.saturating_mul(60), after, up_to])?;
    let mut found: BTreeMap<i64, Values> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let value = Values::of(row.get(1)?);
        found.entry(row.get(0)?).and_modify(|values| *values = values.and(value)).or_insert(value);
    }
    Ok(found)
}

fn write_minute(db: &Connection, series: i64, minute: i64, values: Values) -> rusqlite::Result<()> {
    let sql = "REPLACE INTO samples_minute (series, minute, sum, most, count) VALUES (?1, ?2, ?3, ?4, ?5)";
    let Values { sum, most, count } = values;
    db.prepare_cached(sql)?.execute(params![series, minute, sum, most, count]).map(drop)
}

/// Adds a value to a minute that was worked out before.
pub(super) fn add(db: &Connection, series: i64, minute: i64, value: f64) -> rusqlite::Result<()> {
    let sql = "SELECT sum, most, count FROM samples_minute WHERE series = ?1 AND minute = ?2";
    let values = |row: &rusqlite::Row| Ok(Values { sum: row.get(0)?, most: row.get(1)?, count: row.get(2)? });
    let before = db.prepare_cached(sql)?.query_row([series, minute], values).optional()?;
    let value = Values::of(value);
    write_minute(db, series, minute, before.map_or(value, |before| before.and(value)))
}

/// Removes samples as they came that are too old at `now`, and are in their minutes; whether there may be more.
pub(super) fn remove_raw(db: &Connection, now: Timestamp) -> rusqlite::Result<bool> {
    let clock = SamplesClock::read(db)?;
    let too_old = clock.second(now - RAW_RETENTION).0.min(clock.worked_out.0.saturating_mul(60));
    let sql = "SELECT second, series FROM samples_raw WHERE second < ?1 ORDER BY second, series LIMIT 1 OFFSET ?2";
    let next: Option<(i64, i64)> =
        db.prepare_cached(sql)?.query_row([too_old, ROWS_TOGETHER], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let (second, series) = next.unwrap_or((too_old, i64::MIN));
    db.prepare_cached("DELETE FROM samples_raw WHERE (second, series) < (?1, ?2)")?.execute([second, series])?;
    Ok(next.is_some())
}

/// The first minute that is kept at `now`.
pub(super) fn first_kept(db: &Connection, now: Timestamp) -> rusqlite::Result<i64> {
    Ok(SamplesClock::read(db)?.second(now - MINUTE_RETENTION).0.div_euclid(60))
}

/// Removes a series that has been out of use, or was not observed, for too long at `now`; whether there may be more.
pub(super) fn remove_series(db: &Connection, now: Timestamp) -> rusqlite::Result<bool> {
    let sql = "SELECT id FROM series WHERE retired_ms <= ?1 OR newest_ms <= ?2 LIMIT 1";
    let too_old = [now - RETIRED_RETENTION, now - MINUTE_RETENTION].map(Timestamp::as_millis);
    let found: Option<i64> = db.prepare_cached(sql)?.query_row(too_old, |row| row.get(0)).optional()?;
    let Some(series) = found else { return Ok(false) };
    let sql = "DELETE FROM samples_minute WHERE series = ?1 \
        AND minute IN (SELECT minute FROM samples_minute WHERE series = ?1 ORDER BY minute LIMIT ?2)";
    let removed = db.prepare_cached(sql)?.execute([series, ROWS_TOGETHER])?;
    if removed < ROWS_TOGETHER as usize {
        db.prepare_cached("DELETE FROM series WHERE id = ?1")?.execute([series])?;
    }
    Ok(true)
}
