//! Minutes of samples: worked out once they are over, a little at a time, and what is removed of samples when it is old.
//!
//! A minute is worked out for some series at a time, in the order of their ids; how far that has got is in the row of
//! [`MinutesDone`], which is locked meanwhile, so that no sample of a minute is written while it is read. Samples that come
//! later are added to their minute when they are written.

use std::collections::BTreeMap;

use tokio_postgres::Client;

use super::batch::{Batch, parameters, query};
use super::error::Fault;
use super::records::{Named, count};
use super::rows::samples::{MinutesDone, second, write_minutes};
use crate::domain::Timestamp;
use crate::store::series::Values;
use crate::store::{MINUTE_RETENTION, RAW_RETENTION, RETIRED_RETENTION};

/// Most series of which a minute is worked out in one go: with a sample each second, twelve thousand rows are read.
const SERIES_TOGETHER: i64 = 200;
/// Most samples and minutes that are removed in one go.
const ROWS_TOGETHER: i64 = 2000;

/// Works out minutes that were over at `now`, and removes what is too old; whether there is more of either. Must be called
/// within a transaction.
pub(super) async fn keep_up(db: &Client, now: Timestamp) -> Result<bool, Fault> {
    let done = query(db, format!("{} FOR UPDATE", MinutesDone::SQL), Vec::new()).await?;
    let Some(done) = done.first().map(MinutesDone::read).transpose()? else { return Ok(false) };
    let (done, is_open) = work_out(db, done, now).await?;
    let raw_left = remove_raw(db, done, now).await?;
    let first_kept = second(now - MINUTE_RETENTION).0.div_euclid(60);
    let sql = "WITH old AS (DELETE FROM samples_minute WHERE (series, minute) IN ( \
        SELECT series, minute FROM samples_minute WHERE minute < $1 ORDER BY minute LIMIT $2) RETURNING 1) \
        SELECT count(*) FROM old";
    let minutes = count(&query(db, sql, parameters![first_kept, ROWS_TOGETHER]).await?)?;
    let series_left = remove_series(db, now).await?;
    Ok(is_open || raw_left || minutes >= ROWS_TOGETHER || series_left)
}

/// How far minutes are worked out then, and whether there are more.
async fn work_out(db: &Client, done: MinutesDone, now: Timestamp) -> Result<(MinutesDone, bool), Fault> {
    let MinutesDone { minute, series: after } = done;
    // What was observed at the end of a minute is written a moment later.
    let end = second(now).0.div_euclid(60).saturating_sub(1);
    if minute >= end {
        return Ok((done, false));
    }
    let sql = "SELECT max(id) FROM (SELECT id FROM series WHERE id > $1 ORDER BY id LIMIT $2) AS next";
    let up_to = query(db, sql, parameters![after, SERIES_TOGETHER]).await?;
    let up_to: Option<i64> = up_to.first().map(|row| Named::new("series", row).get(0)).transpose()?.flatten();
    let next = match up_to {
        Some(up_to) => {
            let values = read_minute(db, minute, after, up_to).await?;
            let mut batch = Batch::default();
            write_minutes(&mut batch, &values);
            batch.run(db).await?;
            MinutesDone { minute, series: up_to }
        }
        None => {
            let sql = "SELECT min(second) FROM samples_raw WHERE second >= $1";
            let begin = minute.saturating_add(1).saturating_mul(60);
            let found = query(db, sql, parameters![begin]).await?;
            let found: Option<i64> = found.first().map(|row| Named::new("second", row).get(0)).transpose()?.flatten();
            MinutesDone { minute: found.map_or(end, |second| second.div_euclid(60).min(end)), series: 0 }
        }
    };
    query(db, "UPDATE minutes_done SET minute = $1, series = $2", parameters![next.minute, next.series]).await?;
    Ok((next, next.minute < end))
}

/// What was observed in a minute of the series after one and up to another.
async fn read_minute(db: &Client, minute: i64, after: i64, up_to: i64) -> Result<BTreeMap<(i64, i64), Values>, Fault> {
    let sql = "SELECT series, value FROM samples_raw WHERE second >= $1 AND second < $1 + 60 \
        AND series > $2 AND series <= $3 ORDER BY series, second";
    let rows = query(db, sql, parameters![minute.saturating_mul(60), after, up_to]).await?;
    let mut found: BTreeMap<(i64, i64), Values> = BTreeMap::new();
    for row in &rows {
        let sample = Named::new("sample of", row);
        let value = Values::of(sample.get(1)?);
        found.entry((sample.get(0)?, minute)).and_modify(|values| *values = values.and(value)).or_insert(value);
    }
    Ok(found)
}

/// Removes samples as they came that are too old, and are in their minutes; whether there may be more.
async fn remove_raw(db: &Client, done: MinutesDone, now: Timestamp) -> Result<bool, Fault> {
    let too_old = second(now - RAW_RETENTION).0.min(done.minute.saturating_mul(60));
    let sql = "WITH old AS (DELETE FROM samples_raw WHERE (series, second) IN ( \
        SELECT series, second FROM samples_raw WHERE second < $1 ORDER BY second LIMIT $2) RETURNING 1) \
        SELECT count(*) FROM old";
    Ok(count(&query(db, sql, parameters![too_old, ROWS_TOGETHER]).await?)? >= ROWS_TOGETHER)
}

/// Removes a series that has been out of use, or was not observed, for too long; whether there may be more.
async fn remove_series(db: &Client, now: Timestamp) -> Result<bool, Fault> {
    let sql = "SELECT id FROM series WHERE retired_ms <= $1 OR newest_ms <= $2 LIMIT 1";
    let [retired, silent] = [now - RETIRED_RETENTION, now - MINUTE_RETENTION].map(Timestamp::as_millis);
    let found = query(db, sql, parameters![retired, silent]).await?;
    let Some(series) = found.first() else { return Ok(false) };
    let series: i64 = Named::new("series", series).get(0)?;
    let sql = "WITH old AS (DELETE FROM samples_minute WHERE series = $1 AND minute IN ( \
        SELECT minute FROM samples_minute WHERE series = $1 ORDER BY minute LIMIT $2) RETURNING 1) \
        SELECT count(*) FROM old";
    if count(&query(db, sql, parameters![series, ROWS_TOGETHER]).await?)? < ROWS_TOGETHER {
        query(db, "DELETE FROM samples_raw WHERE series = $1", parameters![series]).await?;
        query(db, "DELETE FROM series WHERE id = $1", parameters![series]).await?;
    }
    Ok(true)
}
