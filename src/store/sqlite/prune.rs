//! What is removed because it is no longer kept.
//!
//! A little at a time, so that commits are not held up. Rejected: an index of everything by its age, because each
//! commit would have to keep it up, for something that is done once a minute and may be late.

use rusqlite::{Connection, OptionalExtension as _, ToSql, params};

use super::records::{parse_pruned_job, parsed_or_null};
use crate::domain::{KeyId, Retention, RetentionClass, Timestamp};
use crate::store::{AuditExcess, Excess, Holder, KEY_RETENTION, PrunedJob};

/// Most jobs, answers, entries of timelines, and audit entries of a class, removed in one go: at a few microseconds
/// each, commits wait for some milliseconds at the most.
pub(super) const PRUNE_CHUNK: usize = 500;
/// Most timelines looked at in one go, at a few microseconds each. Ten thousand have their turn in twenty minutes.
const TIMELINES_TOGETHER: usize = 500;

/// What was removed in one go.
pub(super) struct Removed {
    /// These jobs.
    pub jobs: Vec<PrunedJob>,
    /// The resource whose timeline was looked at last; none if that was the last one.
    pub timelines_up_to: Option<String>,
    /// Whether something is left to be removed.
    pub more: bool,
}

/// Removes some of what `retention` does not cover at `now`; of timelines, those of the resources after
/// `timelines_after`. Must be called within a transaction.
pub(super) fn remove_old(
    db: &Connection,
    retention: Retention,
    now: Timestamp,
    timelines_after: Option<&str>,
    excess: Option<&Excess>,
) -> rusqlite::Result<Removed> {
    let jobs = remove_jobs(db, retention, now, excess)?;
    let answers = remove_answers(db, (now - KEY_RETENTION).as_millis())?;
    let (timelines_up_to, entries_left) = remove_entries(db, (now - retention.age).as_millis(), timelines_after)?;
    let has_excess = excess.is_some() && !jobs.is_empty();
    let more = has_excess || jobs.len() == PRUNE_CHUNK || answers == PRUNE_CHUNK || entries_left;
    Ok(Removed { jobs, timelines_up_to, more })
}

/// Finished jobs that no live idempotency key needs.
const REMOVABLE: &str = "finished_ms IS NOT NULL AND id NOT IN (SELECT job FROM answers)";

/// Removes the jobs that are too old; then those of the resource or API key that has more than its `excess` allows; and
/// if none of those can be removed, those that are too many, the oldest first.
fn remove_jobs(
    db: &Connection,
    retention: Retention,
    now: Timestamp,
    excess: Option<&Excess>,
) -> rusqlite::Result<Vec<PrunedJob>> {
    let too_old = (now - retention.age).as_millis();
    let mut removed = remove_oldest(db, "finished_ms <= ?2 ORDER BY finished_ms, seq", PRUNE_CHUNK, too_old)?;
    let room = PRUNE_CHUNK - removed.len();
    let of_excess = match excess {
        Some(Excess { holder: Holder::Resource(resource), jobs }) => {
            remove_oldest(db, "resource = ?2 ORDER BY seq", room.min(*jobs), resource.as_str())
        }
        Some(Excess { holder: Holder::Owner(key), jobs }) => {
            remove_oldest(db, "owner = ?2 ORDER BY seq", room.min(*jobs), key.as_str())
        }
        None => Ok(Vec::new()),
    }?;
    if of_excess.is_empty() {
        let sql = format!("SELECT count(*) FROM jobs WHERE {REMOVABLE}");
        let kept: usize = db.prepare_cached(&sql)?.query_row([], |row| row.get(0))?;
        let too_many = room.min(kept.saturating_sub(retention.count));
        removed.extend(remove_oldest(db, "finished_ms <= ?2 ORDER BY finished_ms, seq", too_many, i64::MAX)?);
    }
    removed.extend(of_excess);
    Ok(removed)
}

/// Removes audit entries that are too many in their class; whether there may be more of them.
///
/// They are counted by looking at each, some tens of milliseconds for all of them, which an index would take from every
/// commit instead. So this is not for every time.
pub(super) fn remove_attempts(db: &Connection) -> rusqlite::Result<bool> {
    let mut count = db.prepare_cached("SELECT owner, count(*) FROM audit WHERE shelf = ?1 GROUP BY owner")?;
    let mut remove = db.prepare_cached(
        "DELETE FROM audit WHERE shelf = ?1 AND seq IN ( \
         SELECT seq FROM audit WHERE shelf = ?1 AND (?2 OR owner IS ?3) ORDER BY seq LIMIT ?4)",
    )?;
    let mut more = false;
    for class in RetentionClass::ALL {
        let kept = count.query_map([class.as_str()], |row| Ok((parsed_or_null(row, 0)?, row.get(1)?)))?;
        let Some(AuditExcess { of, entries }) = AuditExcess::find(class, &kept.collect::<Result<Vec<_>, _>>()?) else {
            continue;
        };
        let owner = of.as_ref().and_then(Option::as_ref).map(KeyId::as_str);
        let limit = entries.min(PRUNE_CHUNK);
        remove.execute(params![class.as_str(), of.is_none(), owner, limit as i64])?;
        // The share of another key may come next.
        more = true;
    }
    Ok(more)
}

/// Removes at most `limit` of the jobs that can be removed and are `which`; its parameter is the second one.
fn remove_oldest(
    db: &Connection,
    which: &str,
    limit: usize,
    parameter: impl ToSql,
) -> rusqlite::Result<Vec<PrunedJob>> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    let sql = format!(
        "DELETE FROM jobs WHERE seq IN (SELECT seq FROM jobs WHERE {REMOVABLE} AND {which} LIMIT ?1) \
         RETURNING id, resource, owner, text_bytes"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let removed = statement.query_map(params![limit as i64, parameter], parse_pruned_job)?;
    removed.collect()
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
