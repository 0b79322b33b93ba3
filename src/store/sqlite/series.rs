//! The values of a metric in steps, from samples as they came and from minutes.
//!
//! Each second or minute is read once and put into its step. What is not kept as it came is read by the minute, and so is
//! what is asked for in steps of minutes, but for the last minutes, which are not worked out yet.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::samples;
use super::samples_clock::SamplesClock;
use crate::domain::policy::Name;
use crate::domain::{Alias, Timestamp};
use crate::store::Series;
use crate::store::series::{MINUTE_MILLIS, Points, SECOND_MILLIS, Span, Values, div_ceil};

/// See [`crate::store::StoreReader::series`].
pub(super) fn read(
    db: &Connection,
    resource: &Alias,
    metric: &Name,
    from: Timestamp,
    to: Timestamp,
    step: Duration,
) -> rusqlite::Result<Series> {
    let span = Span::new(from, to, step);
    let mut points = Points::new(&span);
    let sql = "SELECT id, newest_ms FROM series WHERE resource = ?1 AND metric = ?2";
    let mut found = db.prepare_cached(sql)?;
    let found =
        found.query_row([resource.as_str(), metric.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    if let Some((series, newest_ms)) = found {
        let clock = SamplesClock::read(db)?;
        let second = |millis: i64| clock.second(Timestamp::from_millis(millis)).0;
        let (first, end) = (second(span.from), second(span.to.min(newest_ms).saturating_add(SECOND_MILLIS)));
        let oldest: Option<i64> =
            db.prepare_cached("SELECT min(second) FROM samples_raw")?.query_row([], |row| row.get(0))?;
        // There may be none as it came.
        let oldest = oldest.unwrap_or(end);
        let first_open = clock.first_open_minute(series);
        // Of the minute that the oldest second is in, some may be gone.
        let minutes_end = if span.step < MINUTE_MILLIS { div_ceil(oldest, 60).min(first_open) } else { first_open };
        read_minutes(db, series, first, end, minutes_end, |minute, values| {
            points.add(clock.moment(minute.saturating_mul(60), 0), values);
        })?;
        // No second is looked for where there is none.
        let first = first.max(oldest).max(minutes_end.saturating_mul(60));
        for sample in samples::raw(db, clock, series, first..end)? {
            points.add(sample.at, Values::of(sample.value));
        }
    }
    Ok(points.finish())
}

/// The minutes of a series that begin at `first` or later and before `end`, both seconds, and are before `minutes_end`.
fn read_minutes(
    db: &Connection,
    series: i64,
    first: i64,
    end: i64,
    minutes_end: i64,
    mut take: impl FnMut(i64, Values),
) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached(
        "SELECT minute, sum, most, count FROM samples_minute \
         WHERE series = ?1 AND minute >= ?2 AND minute < ?3 ORDER BY minute",
    )?;
    let mut rows = statement.query(params![series, div_ceil(first, 60), div_ceil(end, 60).min(minutes_end)])?;
    while let Some(row) = rows.next()? {
        take(row.get(0)?, Values { sum: row.get(1)?, most: row.get(2)?, count: row.get(3)? });
    }
    Ok(())
}
