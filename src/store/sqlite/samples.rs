//! Samples of metrics as rows: as they came, and by the minute.
//!
//! All times in these tables are seconds by a clock of their own ([`SamplesClock`]), so that carrying them over to
//! another clock is one row, whatever there is of them.
//!
//! A sample is written once, into a table in the order of time: a second of a thousand metrics is a few pages. Its
//! minute is worked out once that is over ([`minutes`]). Rejected: keeping the minute up with every sample, because it
//! changes a page for each metric every second.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::minutes;
use super::records::{Unreadable, collect, parsed};
use super::samples_clock::SamplesClock;
use crate::domain::policy::{MAX_METRICS, Name, Sample};
use crate::domain::{Alias, Timestamp};
use crate::store::ADOPTED_SAMPLES;

/// Carries all samples over to a clock that is so far ahead of the one before.
pub(super) fn carry_over(db: &Connection, forward_millis: i64) -> rusqlite::Result<()> {
    // To the nearest second: samples of one clock cannot come to lie in the same.
    let seconds = forward_millis.saturating_add(500).div_euclid(1000);
    db.execute("UPDATE samples_clock SET behind = behind + ?1", [seconds])?;
    db.execute("UPDATE series SET newest_ms = newest_ms + ?1, retired_ms = retired_ms + ?1", [seconds * 1000]).map(drop)
}

/// Writes `samples` of `resource`, in their order. Of one metric in one second, the last one stays.
pub(super) fn write(db: &Connection, resource: &Alias, samples: &[(Name, Sample)]) -> rusqlite::Result<()> {
    let clock = SamplesClock::read(db)?;
    let mut insert = db.prepare_cached(
        "INSERT INTO samples_raw (second, series, millis, value) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT DO UPDATE SET millis = ?3, value = ?4",
    )?;
    for (metric, Sample { at, value }) in samples {
        let series = series(db, resource, metric, *at, *value)?;
        let (second, millis) = clock.second(*at);
        insert.execute(params![second, series, millis, value])?;
        let minute = second.div_euclid(60);
        if minute < clock.first_open_minute(series) {
            minutes::add(db, series, minute, *value)?;
        }
    }
    Ok(())
}

/// The series of a metric, whose newest sample is this one unless there is a newer one.
fn series(db: &Connection, resource: &Alias, metric: &Name, at: Timestamp, value: f64) -> rusqlite::Result<i64> {
    let row = params![resource.as_str(), metric.as_str(), at.as_millis(), value];
    let mut update = db.prepare_cached(
        "UPDATE series SET newest_ms = max(newest_ms, ?3), newest = iif(?3 >= newest_ms, ?4, newest), retired_ms = NULL \
         WHERE resource = ?1 AND metric = ?2 RETURNING id",
    )?;
    if let Some(id) = update.query_row(row, |row| row.get(0)).optional()? {
        return Ok(id);
    }
    let sql = "INSERT INTO series (resource, metric, newest_ms, newest) VALUES (?1, ?2, ?3, ?4)";
    db.prepare_cached(sql)?.execute(row)?;
    let id = db.last_insert_rowid();
    // Metrics that were renamed make room for those of now.
    let mut retire = db.prepare_cached(
        "UPDATE series SET retired_ms = ?2 WHERE resource = ?1 AND retired_ms IS NULL AND id NOT IN ( \
         SELECT id FROM series WHERE resource = ?1 AND retired_ms IS NULL ORDER BY newest_ms DESC, id DESC LIMIT ?3)",
    )?;
    retire.execute(params![resource.as_str(), at.as_millis(), MAX_METRICS as i64])?;
    Ok(id)
}

/// The policy of `resource` was deleted at this moment.
pub(super) fn retire(db: &Connection, resource: &Alias, at: Timestamp) -> rusqlite::Result<()> {
    let sql = "UPDATE series SET retired_ms = ?2 WHERE resource = ?1 AND retired_ms IS NULL";
    db.prepare_cached(sql)?.execute(params![resource.as_str(), at.as_millis()]).map(drop)
}

/// The metrics of `resource` that are in use: their series, and their newest samples.
pub(super) fn metrics(db: &Connection, resource: &Alias) -> Result<Vec<(i64, Name, Sample)>, Unreadable> {
    let sql = "SELECT resource, id, metric, newest_ms, newest FROM series \
        WHERE resource = ?1 AND retired_ms IS NULL ORDER BY metric";
    collect(db, "metric of", sql, [resource.as_str()], |row| Ok((row.get(1)?, parsed(row, 2)?, newest_sample(row)?)))
}

/// The newest sample in a row of a series.
fn newest_sample(row: &Row) -> rusqlite::Result<Sample> {
    Ok(Sample { at: Timestamp::from_millis(row.get("newest_ms")?), value: row.get("newest")? })
}

/// What the owner of `resource` carries on with.
pub(super) fn adopted(db: &Connection, resource: &Alias) -> Result<BTreeMap<Name, Vec<Sample>>, Unreadable> {
    let clock = SamplesClock::read(db)?;
    let of_metric = |(series, metric, newest): (i64, Name, Sample)| {
        let (from, until) = (clock.second(newest.at - ADOPTED_SAMPLES).0, clock.second(newest.at).0 + 1);
        Ok((metric, up_to(raw(db, clock, series, from..until)?, newest)))
    };
    metrics(db, resource)?.into_iter().map(of_metric).collect()
}

/// The same of all resources, in one look at the samples of the last hours: each second of each metric looked up by itself
/// would take many times as long.
pub(super) fn all_adopted(db: &Connection) -> Result<HashMap<Alias, BTreeMap<Name, Vec<Sample>>>, Unreadable> {
    let clock = SamplesClock::read(db)?;
    let sql = "SELECT resource, id, metric, newest_ms, newest FROM series WHERE retired_ms IS NULL";
    let of_row = |row: &Row| Ok((row.get::<_, i64>(1)?, (parsed(row, 0)?, parsed(row, 2)?, newest_sample(row)?)));
    let metrics = collect(db, "metric of", sql, [], of_row)?;
    let mut samples: HashMap<i64, (i64, Vec<Sample>)> = HashMap::new();
    for (series, (_, _, newest)) in &metrics {
        samples.insert(*series, (clock.second(newest.at - ADOPTED_SAMPLES).0, Vec::new()));
    }
    let mut statement = db.prepare_cached("SELECT second, series, millis, value FROM samples_raw ORDER BY second")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let second = row.get(0)?;
        if let Some((_, samples)) = samples.get_mut(&row.get(1)?).filter(|(from, _)| *from <= second) {
            samples.push(Sample { at: clock.moment(second, row.get(2)?), value: row.get(3)? });
        }
    }
    let mut found: HashMap<Alias, BTreeMap<Name, Vec<Sample>>> = HashMap::new();
    for (series, (resource, metric, newest)) in metrics {
        let (_, samples) = samples.remove(&series).unwrap_or_default();
        found.entry(resource).or_default().insert(metric, up_to(samples, newest));
    }
    Ok(found)
}

/// Samples of a metric as they are kept, and its newest one, which may have been so long ago that it is not kept as it
/// came.
fn up_to(mut samples: Vec<Sample>, newest: Sample) -> Vec<Sample> {
    if samples.last().is_none_or(|last| last.at < newest.at) {
        samples.push(newest);
    }
    samples
}

/// Samples of a series as they came, oldest first: each second is looked up, so that those of others are not read.
pub(super) fn raw(
    db: &Connection,
    clock: SamplesClock,
    series: i64,
    seconds: std::ops::Range<i64>,
) -> rusqlite::Result<Vec<Sample>> {
    let mut statement = db.prepare_cached(
        "WITH RECURSIVE seconds (second) AS ( \
             SELECT ?2 WHERE ?2 < ?3 UNION ALL SELECT second + 1 FROM seconds WHERE second + 1 < ?3 \
         ) SELECT second, millis, value FROM seconds CROSS JOIN samples_raw USING (second) \
         WHERE series = ?1",
    )?;
    let sample = |row: &Row| Ok(Sample { at: clock.moment(row.get(0)?, row.get(1)?), value: row.get(2)? });
    let rows = statement.query_map(params![series, seconds.start, seconds.end], sample)?;
    rows.collect()
}

/// The metrics of `resource` of which there are samples, in use or not, by name.
pub(super) fn names(db: &Connection, resource: &Alias) -> Result<Vec<Name>, Unreadable> {
    let sql = "SELECT resource, metric FROM series WHERE resource = ?1 ORDER BY metric";
    collect(db, "metric of", sql, [resource.as_str()], |row| parsed(row, 1))
}
