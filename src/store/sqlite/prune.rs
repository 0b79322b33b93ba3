//! What is removed because it is no longer kept.
//!
//! A little at a time, so that commits are not held up. Rejected: an index of everything by its age, because each
//! commit would have to keep it up, for something that is done once a minute and may be late.

use std::collections::BTreeSet;

use rusqlite::types::FromSql;
use rusqlite::{Connection, OptionalExtension as _, ToSql, params};

use super::minutes;
use super::records::{parse_pruned_job, parsed_or_null};
use super::samples_clock::SamplesClock;
use crate::domain::{KeyId, Retention, RetentionClass, Timestamp};
use crate::store::{AuditExcess, DECISION_RETENTION, Excess, Holder, KEY_RETENTION, PrunedJob, REVISION_RETENTION};

/// Most jobs, answers, entries of timelines, and audit entries of a class, removed in one go: at a few microseconds
/// each, commits wait for some milliseconds at the most.
pub(super) const PRUNE_CHUNK: usize = 500;
/// Most resources, or series, looked at in one go, at a few microseconds each. Ten thousand have their turn in twenty
/// minutes.
const TURNS_TOGETHER: usize = 500;

/// How far what takes turns was looked at: each up to this resource or series; none, if up to the last one.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns {
    timelines: Option<String>,
    decisions: Option<String>,
    revisions: Option<String>,
    minutes: Option<i64>,
}

/// What was removed in one go.
pub(super) struct Removed {
    /// These jobs.
    pub jobs: Vec<PrunedJob>,
    /// Up to where it was looked.
    pub turns: Turns,
    /// Whether something is left to be removed.
    pub more: bool,
}

/// Removes some of what `retention` does not cover at `now`; of what takes turns, after what was looked at before. Must be
/// called within a transaction.
pub(super) fn remove_old(
    db: &Connection,
    retention: Retention,
    now: Timestamp,
    turns: Turns,
    excess: Option<&Excess>,
) -> rusqlite::Result<Removed> {
    let jobs = remove_jobs(db, retention, now, excess)?;
    let answers = remove_answers(db, (now - KEY_RETENTION).as_millis())?;
    let (timelines, entries_left) = remove_in_turn(db, ENTRIES, (now - retention.age).as_millis(), turns.timelines)?;
    let too_old = SamplesClock::read(db)?.second(now - DECISION_RETENTION).0;
    let (decisions, decisions_left) = remove_in_turn(db, DECISIONS, too_old, turns.decisions)?;
    let too_old = (now - REVISION_RETENTION).as_millis();
    let (revisions, revisions_left) = remove_in_turn(db, REVISIONS, too_old, turns.revisions)?;
    let minutes_open = minutes::work_out(db, now)?;
    let samples_left = minutes::remove_raw(db, now)? | minutes::remove_series(db, now)?;
    let (minutes, minutes_left) = remove_in_turn(db, MINUTES, minutes::first_kept(db, now)? - 1, turns.minutes)?;
    let has_excess = excess.is_some() && !jobs.is_empty();
    let is_full = has_excess || jobs.len() == PRUNE_CHUNK || answers == PRUNE_CHUNK;
    let is_left = entries_left || decisions_left || revisions_left || minutes_open || samples_left || minutes_left;
    let turns = Turns { timelines, decisions, revisions, minutes };
    Ok(Removed { jobs, turns, more: is_full || is_left })
}

/// Finished jobs that no live idempotency key needs.
///
/// A job of a group stays as long as the group is not over or a live idempotency key needs the group.
const REMOVABLE: &str = "finished_ms IS NOT NULL AND id NOT IN (SELECT job FROM answers) AND (group_id IS NULL OR NOT EXISTS ( \
    SELECT 1 FROM groups WHERE groups.id = jobs.group_id \
    AND (ended_ms IS NULL OR groups.id IN (SELECT job FROM answers))))";

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
    for group in removed.iter().filter_map(|job| job.group).collect::<BTreeSet<_>>() {
        db.prepare_cached("DELETE FROM groups WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM jobs WHERE group_id = ?1)")?
            .execute([group.to_string()])?;
    }
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
         RETURNING id, resource, owner, text_bytes, group_id"
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

/// What takes turns: a query for the next holder after one, with the age of the oldest that it has, and the statement that
/// removes of a holder what is so old or older, at most so much.
type InTurn = [&'static str; 2];

const ENTRIES: InTurn = [
    "SELECT resource, at_ms FROM timeline WHERE resource > ?1 ORDER BY resource, number LIMIT 1",
    "DELETE FROM timeline WHERE resource = ?1 AND at_ms <= ?2 \
     AND number IN (SELECT number FROM timeline WHERE resource = ?1 ORDER BY number LIMIT ?3)",
];

const DECISIONS: InTurn = [
    "SELECT resource, last FROM decisions WHERE resource > ?1 ORDER BY resource, number LIMIT 1",
    "DELETE FROM decisions WHERE resource = ?1 AND last <= ?2 \
     AND number IN (SELECT number FROM decisions WHERE resource = ?1 ORDER BY number LIMIT ?3)",
];

/// Those of policies that were deleted, but for the last ones, which remember the numbers.
const REVISIONS: InTurn = [
    "SELECT resource, coalesce(( \
         SELECT iif(document IS NULL, at_ms, NULL) FROM policy_revisions AS own \
         WHERE own.resource = any.resource ORDER BY number DESC LIMIT 1 \
     ), 9223372036854775807) FROM policy_revisions AS any WHERE resource > ?1 ORDER BY resource, number LIMIT 1",
    "DELETE FROM policy_revisions WHERE resource = ?1 AND at_ms <= ?2 \
     AND number IN (SELECT number FROM policy_revisions WHERE resource = ?1 ORDER BY number LIMIT ?3) \
     AND number < (SELECT max(number) FROM policy_revisions WHERE resource = ?1)",
];

const MINUTES: InTurn = [
    "SELECT series, minute FROM samples_minute WHERE series > ?1 ORDER BY series, minute LIMIT 1",
    "DELETE FROM samples_minute WHERE series = ?1 AND minute <= ?2 \
     AND minute IN (SELECT minute FROM samples_minute WHERE series = ?1 ORDER BY minute LIMIT ?3)",
];

/// Removes what is `too_old` or older of the holders after one; the holder looked at last, and whether there is more to be
/// removed at once.
fn remove_in_turn<K: Clone + Default + FromSql + ToSql>(
    db: &Connection,
    [oldest, remove]: InTurn,
    too_old: i64,
    after: Option<K>,
) -> rusqlite::Result<(Option<K>, bool)> {
    let (mut oldest, mut remove) = (db.prepare_cached(oldest)?, db.prepare_cached(remove)?);
    // No resource has an empty name, and no series the number 0.
    let mut last = after.unwrap_or_default();
    let mut room = PRUNE_CHUNK;
    for _ in 0..TURNS_TOGETHER {
        let next: Option<(K, i64)> = oldest.query_row([&last], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let Some((holder, age)) = next else { return Ok((None, false)) };
        if age <= too_old {
            room -= remove.execute(params![holder, too_old, room as i64])?;
            if room == 0 {
                // There may be more of this one.
                return Ok((Some(last), true));
            }
        }
        last = holder;
    }
    Ok((Some(last), false))
}
