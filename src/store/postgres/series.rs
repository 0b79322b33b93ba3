//! The values of a metric in steps, from samples as they came and from minutes.
//!
//! What is not kept as it came is read by the minute, and so is what is asked for in steps of minutes, but for the last minutes,
//! which are not worked out yet.

use std::time::Duration;

use tokio_postgres::Client;

use super::batch::{Batch, parameters};
use super::error::Fault;
use super::records::{Named, read_count, short_answer};
use super::rows::samples::{MinutesDone, moment, second};
use super::transaction::{begin_to_read, commit};
use crate::domain::policy::Name;
use crate::domain::{Alias, Timestamp};
use crate::store::Series;
use crate::store::series::{MINUTE_MILLIS, Points, SECOND_MILLIS, Span, Values, div_ceil};

/// See [`crate::store::StoreReader::series`].
pub(super) async fn read(
    db: &Client,
    resource: &Alias,
    metric: &Name,
    from: Timestamp,
    to: Timestamp,
    step: Duration,
) -> Result<Series, Fault> {
    let span = Span::new(from, to, step);
    let mut points = Points::new(&span);
    let mut opening = Batch::default();
    begin_to_read(&mut opening);
    opening.add(
        "SELECT id, newest_ms FROM series WHERE resource = $1 AND metric = $2",
        parameters![resource.as_str().to_owned(), metric.as_str().to_owned()],
    );
    opening.add(MinutesDone::SQL, Vec::new());
    opening.add("SELECT min(second) FROM samples_raw", Vec::new());
    let answers = opening.run(db).await?;
    let [_, series, done, oldest] = &answers[..] else { return Err(short_answer()) };
    let done = MinutesDone::read(done.first().ok_or_else(short_answer)?)?;
    let oldest: Option<i64> = Named::new("second", oldest.first().ok_or_else(short_answer)?).get(0)?;
    let mut reading = Batch::default();
    if let Some(series) = series.first() {
        let series = Named::new("series", series);
        let (series, newest_ms): (i64, i64) = (series.get(0)?, series.get(1)?);
        add_queries(&mut reading, &span, series, newest_ms, done, oldest);
    }
    commit(&mut reading);
    let answers = reading.run(db).await?;
    if let [minutes, raw, _] = &answers[..] {
        for row in minutes {
            let minute = Named::new("minute", row);
            let values = Values { sum: minute.get(1)?, most: minute.get(2)?, count: read_count(minute.get(3)?) };
            points.add(moment(minute.get::<i64>(0)?.saturating_mul(60), 0), values);
        }
        for row in raw {
            let sample = Named::new("second", row);
            points.add(moment(sample.get(0)?, sample.get(1)?), Values::of(sample.get(2)?));
        }
    }
    Ok(points.finish())
}

/// Adds the queries for minutes and for samples as they came.
fn add_queries(batch: &mut Batch, span: &Span, series: i64, newest_ms: i64, done: MinutesDone, oldest: Option<i64>) {
    let second = |millis: i64| second(Timestamp::from_millis(millis)).0;
    let (first, end) = (second(span.from), second(span.to.min(newest_ms).saturating_add(SECOND_MILLIS)));
    // There may be none as it came.
    let oldest = oldest.unwrap_or(end);
    let first_open = done.first_open(series);
    // Of the minute that the oldest second is in, some may be gone.
    let minutes_end = if span.step < MINUTE_MILLIS { div_ceil(oldest, 60).min(first_open) } else { first_open };
    batch.add(
        "SELECT minute, sum, most, count FROM samples_minute \
         WHERE series = $1 AND minute >= $2 AND minute < $3 ORDER BY minute",
        parameters![series, div_ceil(first, 60), div_ceil(end, 60).min(minutes_end)],
    );
    batch.add(
        "SELECT second, millis, value FROM samples_raw WHERE series = $1 AND second >= $2 AND second < $3 ORDER BY second",
        parameters![series, first.max(oldest).max(minutes_end.saturating_mul(60)), end],
    );
}
