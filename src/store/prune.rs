//! What is removed because it is no longer kept.
//!
//! A little at a time, so that commits are not held up. An index of everything by its age lost: each commit would have to
//! keep it up, for something that is done once a minute and may be late.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::KEY_RETENTION;
use crate::domain::{Retention, Timestamp};

/// Most jobs, most answers, and most entries of timelines, removed in one go: at a few microseconds each, commits wait for some
/// milliseconds at the most.
pub(super) const PRUNE_CHUNK: usize = 500;
/// Most timelines looked at in one go, at a few microseconds each. Ten thousand have their turn in twenty minutes.
const TIMELINES_TOGETHER: usize = 500;

/// What was removed in one go.
pub(super) struct Removed {
    /// The ids of these jobs.
    pub jobs: Vec<String>,
    /// The resource whose timeline was looked at last; none if that was the last one.
    pub timelines_up_to: Option<String>,
    /// Whether something is left to be removed.
    pub more: bool,
}

/// Removes some of what `retention` does not cover at `now`; of timelines, those of the resources after `timelines_after`.
/// Must be called within a transaction.
pub(super) fn remove_old(
    db: &Connection,
    retention: Retention,
    now: Timestamp,
    timelines_after: Option<&str>,
) -> rusqlite::Result<Removed> {
    let jobs = remove_jobs(db, retention, now)?;
    let answers = remove_answers(db, (now - KEY_RETENTION).as_millis())?;
    let (timelines_up_to, entries_left) = remove_entries(db, (now - retention.age).as_millis(), timelines_after)?;
    let more = jobs.len() == PRUNE_CHUNK || answers == PRUNE_CHUNK || entries_left;
    Ok(Removed { jobs, timelines_up_to, more })
}

fn remove_jobs(db: &Connection, retention: Retention, now: Timestamp) -> rusqlite::Result<Vec<String>> {
    // The latest end no longer kept, and the latest of the jobs that ended right then.
    let too_old = ((now - retention.age).as_millis(), i64::MAX);
    let too_many: Option<(i64, i64)> = db
        .prepare_cached(
            "SELECT finished_ms, seq FROM jobs WHERE finished_ms IS NOT NULL ORDER BY finished_ms DESC, seq DESC \
             LIMIT 1 OFFSET ?1",
        )?
        .query_row([i64::try_from(retention.count).unwrap_or(i64::MAX)], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (end, seq) = too_many.map_or(too_old, |last| last.max(too_old));
    db.prepare_cached(
        "DELETE FROM jobs WHERE seq IN (SELECT seq FROM jobs WHERE finished_ms <= ?1 \
         AND (finished_ms < ?1 OR seq <= ?2) ORDER BY finished_ms, seq LIMIT ?3) RETURNING id",
    )?
    .query_map(params![end, seq, PRUNE_CHUNK as i64], |row| row.get(0))?
    .collect()
}

/// Removes answers given up to `too_old_ms`; how many.
fn remove_answers(db: &Connection, too_old_ms: i64) -> rusqlite::Result<usize> {
    db.prepare_cached(
        "DELETE FROM answers WHERE seq IN (SELECT seq FROM answers WHERE answered_ms <= ?1 ORDER BY answered_ms LIMIT ?2)",
    )?
    .execute(params![too_old_ms, PRUNE_CHUNK as i64])
}

/// Removes entries up to `too_old_ms`; the resource looked at last, and whether there is more to be removed at once.
fn remove_entries(db: &Connection, too_old_ms: i64, after: Option<&str>) -> rusqlite::Result<(Option<String>, bool)> {
    let mut oldest = db
        .prepare_cached("SELECT resource, at_ms FROM timeline WHERE resource > ?1 ORDER BY resource, number LIMIT 1")?;
    let mut remove = db.prepare_cached(
        "DELETE FROM timeline WHERE resource = ?1 AND at_ms <= ?2 \
         AND number IN (SELECT number FROM timeline WHERE resource = ?1 ORDER BY number LIMIT ?3)",
    )?;
    // No resource has an empty name.
    let mut last = after.unwrap_or_default().to_owned();
    let mut room = PRUNE_CHUNK;
    for _ in 0..TIMELINES_TOGETHER {
        let next: Option<(String, i64)> = oldest.query_row([&last], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let Some((resource, oldest_ms)) = next else { return Ok((None, false)) };
        if oldest_ms <= too_old_ms {
            room -= remove.execute(params![resource, too_old_ms, room as i64])?;
            if room == 0 {
                // There may be more of this one.
                return Ok((Some(last), true));
            }
        }
        last = resource;
    }
    Ok((Some(last), false))
}
