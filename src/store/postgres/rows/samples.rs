//! Samples of metrics as rows: as they came, and by the minute.
//!
//! A sample is written once, as it came. Its minute is worked out once that is over; a sample that comes later is added to
//! its minute when it is written. Rejected: keeping the minute up with every sample, because it changes a row for each
//! metric every second.

use std::collections::{BTreeMap, HashMap};

use tokio_postgres::{Client, Row};

use super::super::batch::{Batch, parameters, query};
use super::super::error::Fault;
use super::super::records::{Named, read_count, stored};
use crate::domain::policy::{MAX_METRICS, Name, Sample};
use crate::domain::{Alias, Timestamp};
use crate::store::Observations;
use crate::store::series::{SECOND_MILLIS, Values};

const WRITE_SERIES: &str = "\
    INSERT INTO series AS known (resource, metric, newest_ms, newest) SELECT * FROM unnest($1, $2, $3, $4) \
    ON CONFLICT (resource, metric) DO UPDATE SET newest_ms = greatest(known.newest_ms, excluded.newest_ms), \
    newest = CASE WHEN excluded.newest_ms >= known.newest_ms THEN excluded.newest ELSE known.newest END, retired_ms = NULL \
    RETURNING id, resource, metric, xmax = 0";

const WRITE_RAW: &str = "\
    INSERT INTO samples_raw (series, second, millis, value) SELECT * FROM unnest($1, $2, $3, $4) \
    ON CONFLICT (series, second) DO UPDATE SET millis = excluded.millis, value = excluded.value";

/// Metrics that were renamed make room for those of now.
const RETIRE: &str = "\
    UPDATE series SET retired_ms = $2 WHERE resource = $1 AND retired_ms IS NULL AND id NOT IN ( \
    SELECT id FROM series WHERE resource = $1 AND retired_ms IS NULL ORDER BY newest_ms DESC, id DESC LIMIT $3)";

/// Up to where minutes were worked out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct MinutesDone {
    pub minute: i64,
    pub series: i64,
}

impl MinutesDone {
    pub const SQL: &'static str = "SELECT minute, series FROM minutes_done";

    pub fn read(row: &Row) -> Result<Self, Fault> {
        let done = Named::new("the row of minutes", row);
        Ok(Self { minute: done.get(0)?, series: done.get(1)? })
    }

    /// The first minute of `series` that is not worked out.
    pub fn first_open(self, series: i64) -> i64 {
        if series > self.series { self.minute } else { self.minute.saturating_add(1) }
    }
}

/// The second of `at`, and the milliseconds in it.
pub(in super::super) fn second(at: Timestamp) -> (i64, i64) {
    (at.as_millis().div_euclid(SECOND_MILLIS), at.as_millis().rem_euclid(SECOND_MILLIS))
}

/// Writes the samples of `observations`, in their order. Of one metric in one second, the last one stays. Must be called
/// within a transaction, which keeps minutes from being worked out until it ends.
pub(in super::super) async fn write(db: &Client, observations: &[Observations]) -> Result<(), Fault> {
    let samples = observations.iter().flat_map(|of| of.samples.iter().map(|(metric, at)| ((&of.resource, metric), at)));
    let samples: Vec<((&Alias, &Name), &Sample)> = samples.collect();
    if samples.is_empty() {
        return Ok(());
    }
    let done = query(db, format!("{} FOR SHARE", MinutesDone::SQL), Vec::new()).await?;
    let done = done.first().map(MinutesDone::read).transpose()?.unwrap_or(MinutesDone { minute: i64::MIN, series: 0 });
    let series = write_series(db, &samples).await?;
    let mut raw: BTreeMap<(i64, i64), (i64, f64)> = BTreeMap::new();
    let mut late: BTreeMap<(i64, i64), Values> = BTreeMap::new();
    for ((resource, metric), Sample { at, value }) in samples {
        let Some(id) = series.get(&(resource.as_str(), metric.as_str())).copied() else { continue };
        let (second, millis) = second(*at);
        raw.insert((id, second), (millis, *value));
        let minute = second.div_euclid(60);
        if minute < done.first_open(id) {
            let value = Values::of(*value);
            late.entry((id, minute)).and_modify(|values| *values = values.and(value)).or_insert(value);
        }
    }
    let mut batch = Batch::default();
    batch.add(
        WRITE_RAW,
        parameters![
            raw.keys().map(|(series, _)| *series).collect::<Vec<i64>>(),
            raw.keys().map(|(_, second)| *second).collect::<Vec<i64>>(),
            raw.values().map(|(millis, _)| *millis).collect::<Vec<i64>>(),
            raw.values().map(|(_, value)| *value).collect::<Vec<f64>>(),
        ],
    );
    batch.run(db).await?;
    add_to_minutes(db, late).await
}

/// The series of all metrics that samples are of, by resource and name.
async fn write_series<'a>(
    db: &Client,
    samples: &[((&'a Alias, &'a Name), &Sample)],
) -> Result<HashMap<(&'a str, &'a str), i64>, Fault> {
    let mut newest: BTreeMap<(&'a str, &'a str), &Sample> = BTreeMap::new();
    for ((resource, metric), sample) in samples {
        let newest = newest.entry((resource.as_str(), metric.as_str())).or_insert(sample);
        if sample.at >= newest.at {
            *newest = sample;
        }
    }
    let text = |texts: Vec<&str>| texts.into_iter().map(str::to_owned).collect::<Vec<String>>();
    let written = query(
        db,
        WRITE_SERIES,
        parameters![
            text(newest.keys().map(|(resource, _)| *resource).collect()),
            text(newest.keys().map(|(_, metric)| *metric).collect()),
            newest.values().map(|sample| sample.at.as_millis()).collect::<Vec<i64>>(),
            newest.values().map(|sample| sample.value).collect::<Vec<f64>>(),
        ],
    )
    .await?;
    let mut rows: HashMap<(&str, &str), (i64, bool)> = HashMap::new();
    for row in &written {
        let series = Named::new("series", row);
        rows.insert((series.get(1)?, series.get(2)?), (series.get(0)?, series.get(3)?));
    }
    let mut grown = Batch::default();
    let mut found = HashMap::new();
    for (name, newest) in newest {
        let Some((id, is_new)) = rows.get(&name).copied() else { continue };
        found.insert(name, id);
        if is_new {
            grown.add(RETIRE, parameters![name.0.to_owned(), newest.at.as_millis(), stored(MAX_METRICS)]);
        }
    }
    grown.run(db).await?;
    Ok(found)
}

/// Adds values to minutes that were worked out before.
async fn add_to_minutes(db: &Client, late: BTreeMap<(i64, i64), Values>) -> Result<(), Fault> {
    if late.is_empty() {
        return Ok(());
    }
    let places = |of: fn(&(i64, i64)) -> i64| late.keys().map(of).collect::<Vec<i64>>();
    let sql = "SELECT series, minute, sum, most, count FROM samples_minute \
        JOIN unnest($1, $2) AS late (series, minute) USING (series, minute)";
    let known = query(db, sql, parameters![places(|(series, _)| *series), places(|(_, minute)| *minute)]).await?;
    let mut sums = late.clone();
    for row in &known {
        let minute = Named::new("minute of series", row);
        let before = Values { sum: minute.get(2)?, most: minute.get(3)?, count: read_count(minute.get(4)?) };
        sums.entry((minute.get(0)?, minute.get(1)?)).and_modify(|values| *values = before.and(*values));
    }
    let mut batch = Batch::default();
    write_minutes(&mut batch, &sums);
    batch.run(db).await?;
    Ok(())
}

/// Writes minutes of series in place of what was known of them.
pub(in super::super) fn write_minutes(batch: &mut Batch, minutes: &BTreeMap<(i64, i64), Values>) {
    batch.add(
        "INSERT INTO samples_minute (series, minute, sum, most, count) SELECT * FROM unnest($1, $2, $3, $4, $5) \
         ON CONFLICT (series, minute) DO UPDATE SET sum = excluded.sum, most = excluded.most, count = excluded.count",
        parameters![
            minutes.keys().map(|(series, _)| *series).collect::<Vec<i64>>(),
            minutes.keys().map(|(_, minute)| *minute).collect::<Vec<i64>>(),
            minutes.values().map(|values| values.sum).collect::<Vec<f64>>(),
            minutes.values().map(|values| values.most).collect::<Vec<f64>>(),
            minutes.values().map(|values| stored(values.count)).collect::<Vec<i64>>(),
        ],
    );
}

/// The moment so many milliseconds after the beginning of a second.
pub(in super::super) fn moment(second: i64, millis: i64) -> Timestamp {
    Timestamp::from_millis(second.saturating_mul(SECOND_MILLIS).saturating_add(millis))
}
