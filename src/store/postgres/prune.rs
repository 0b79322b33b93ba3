//! What is removed because it is no longer kept.
//!
//! A little at a time, so that commits are not held up, and by one replica at a time: another one that is told to do the same
//! meanwhile has nothing to do.

use std::collections::BTreeSet;

use tokio_postgres::Client;

use super::batch::{Batch, Parameter, parameters, query};
use super::error::Fault;
use super::minutes;
use super::records::{Named, count, read_count, stored};
use super::transaction::{Promise, begin, commit};
use crate::domain::{GroupId, KeyId, Retention, RetentionClass, Timestamp};
use crate::store::{
    AuditExcess, DECISION_RETENTION, Excess, Held, Holder, Holdings, KEY_RETENTION, Pruned, PrunedJob,
    REVISION_RETENTION,
};

/// Most rows of a kind that are removed in one go: commits wait for some milliseconds at the most.
const CHUNK: i64 = 500;
/// Most audit entries that are written before it is looked whether there are too many: one in a hundred of those that are
/// kept.
const ATTEMPTS_UNCOUNTED: i64 = 1000;

const TRY_LOCK: &str = "SELECT pg_try_advisory_xact_lock(hashtextextended('scalegate prunes', 0))";

/// Finished jobs that no live idempotency key needs. A job of a group stays as long as the group is not over or a live
/// idempotency key needs the group.
const REMOVABLE: &str = "\
    finished_ms IS NOT NULL AND NOT EXISTS (SELECT 1 FROM answers WHERE made = jobs.id) \
    AND (group_id IS NULL OR NOT EXISTS (SELECT 1 FROM groups WHERE groups.id = jobs.group_id \
        AND (ended_ms IS NULL OR EXISTS (SELECT 1 FROM answers WHERE made = groups.id))))";

/// Removes finished jobs that no live idempotency key needs, and takes them off the tallies. `{which}` says which, and has the
/// second parameter.
const REMOVE_JOBS: &str = "\
    WITH removed AS ( \
        DELETE FROM jobs WHERE seq IN (SELECT seq FROM jobs WHERE {removable} AND {which} LIMIT $1) \
        RETURNING id, resource, owner, text_bytes, group_id \
    ), counted AS ( \
        UPDATE tallies SET jobs = tallies.jobs - gone.jobs, text_bytes = tallies.text_bytes - gone.text_bytes FROM ( \
            SELECT kind, name, count(*) AS jobs, sum(text_bytes) AS text_bytes FROM ( \
                SELECT 'all' AS kind, '' AS name, text_bytes FROM removed \
                UNION ALL SELECT 'resource', resource, text_bytes FROM removed \
                UNION ALL SELECT 'owner', owner, text_bytes FROM removed WHERE owner IS NOT NULL \
            ) AS each GROUP BY kind, name \
        ) AS gone WHERE tallies.kind = gone.kind AND tallies.name = gone.name \
    ) SELECT id, resource, owner, text_bytes, group_id FROM removed";

/// What goes by age alone: each statement has the age and the most rows.
const TIMELINES: &str = "DELETE FROM timeline WHERE (resource, number) IN ( \
    SELECT resource, number FROM timeline WHERE at_ms <= $1 ORDER BY at_ms LIMIT $2)";
const DECISIONS: &str = "DELETE FROM decisions WHERE last_ms <= $1 AND (resource, number) IN ( \
    SELECT resource, number FROM decisions WHERE last_ms <= $1 ORDER BY last_ms LIMIT $2)";
/// Those of policies that were deleted, but for the last ones, which remember the numbers.
const REVISIONS: &str = "\
    DELETE FROM policy_revisions WHERE (resource, number) IN ( \
        SELECT old.resource, old.number FROM policy_revisions AS old CROSS JOIN LATERAL ( \
            SELECT number, at_ms, document FROM policy_revisions AS last WHERE last.resource = old.resource \
            ORDER BY number DESC LIMIT 1 \
        ) AS last WHERE old.number < last.number AND last.at_ms <= $1 AND last.document IS NULL LIMIT $2)";

/// Up to which audit entry it was looked whether there are too many.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counted(Option<i64>);

/// Removes some of what `retention` does not cover at `now`.
///
/// # Errors
/// If the database fails. Some of it may be removed all the same.
pub(super) async fn remove_old(
    db: &Client,
    retention: Retention,
    now: Timestamp,
    counted: &mut Counted,
) -> Result<Pruned, Fault> {
    let Some(records) = remove_records(db, retention, now, counted).await? else { return Ok(Pruned::default()) };
    let has_more = remove_history(db, retention, now).await?;
    Ok(Pruned { jobs: records.jobs, more: records.more || has_more })
}

/// Begins, with the lock; whether another replica has it.
async fn begin_alone(db: &Client) -> Result<bool, Fault> {
    let mut opening = Batch::default();
    begin(&mut opening, Promise::Soon);
    opening.add(TRY_LOCK, Vec::new());
    let answers = opening.run(db).await?;
    let is_alone = answers.last().and_then(|rows| rows.first()).is_some_and(|row| row.try_get(0).unwrap_or(false));
    if !is_alone {
        end(db).await?;
    }
    Ok(!is_alone)
}

async fn end(db: &Client) -> Result<(), Fault> {
    let mut closing = Batch::default();
    commit(&mut closing);
    closing.run(db).await?;
    Ok(())
}

/// Jobs, answers and attempts. None, if another replica is at it.
async fn remove_records(
    db: &Client,
    retention: Retention,
    now: Timestamp,
    counted: &mut Counted,
) -> Result<Option<Pruned>, Fault> {
    if begin_alone(db).await? {
        return Ok(None);
    }
    query(db, "SELECT next_event FROM log FOR UPDATE", Vec::new()).await?;
    let (holdings, finished) = read_holdings(db).await?;
    let excess = holdings.excess(retention);
    let jobs = remove_jobs(db, retention, now, excess.as_ref(), finished).await?;
    let too_old = (now - KEY_RETENTION).as_millis();
    let sql = "WITH old AS (DELETE FROM answers WHERE key IN ( \
        SELECT key FROM answers WHERE answered_ms <= $1 ORDER BY answered_ms LIMIT $2) RETURNING 1) SELECT count(*) FROM old";
    let answers = count(&query(db, sql, parameters![too_old, CHUNK]).await?)?;
    query(db, "DELETE FROM tallies WHERE kind <> 'all' AND jobs <= 0", Vec::new()).await?;
    let (attempts, too_many) = remove_attempts(db, *counted).await?;
    end(db).await?;
    *counted = attempts;
    let is_full = excess.is_some() && !jobs.is_empty() || stored(jobs.len()) >= CHUNK || answers >= CHUNK;
    Ok(Some(Pruned { jobs, more: is_full || too_many }))
}

/// Those who hold most, of jobs and of text, and the number of finished jobs.
async fn read_holdings(db: &Client) -> Result<(Holdings, usize), Fault> {
    let sql = "(SELECT name, kind, jobs, text_bytes, unfinished FROM tallies WHERE kind = 'all') \
        UNION ALL (SELECT name, kind, jobs, text_bytes, unfinished FROM tallies WHERE kind <> 'all' \
            ORDER BY text_bytes DESC LIMIT 1) \
        UNION ALL (SELECT name, kind, jobs, text_bytes, unfinished FROM tallies WHERE kind <> 'all' \
            ORDER BY jobs DESC LIMIT 1)";
    let (mut held, mut finished) = (Vec::new(), 0);
    for row in &query(db, sql, Vec::new()).await? {
        let row = Named::new("tally of", row);
        let [jobs, text_bytes, unfinished] = [row.get(2)?, row.get(3)?, row.get(4)?].map(read_count);
        let number = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let holder = match row.get(1)? {
            "resource" => Holder::Resource(row.parsed(0)?),
            "owner" => Holder::Owner(row.parsed(0)?),
            _ => {
                finished = number(jobs.saturating_sub(unfinished));
                continue;
            }
        };
        held.push((holder, Held { jobs: number(jobs), text_bytes }));
    }
    Ok((Holdings::new(held, finished), finished))
}

/// Removes the jobs that are too old; then those of the resource or API key that has more than its `excess` allows; and if none
/// of those can be removed, those that are too many, the oldest first.
async fn remove_jobs(
    db: &Client,
    retention: Retention,
    now: Timestamp,
    excess: Option<&Excess>,
    finished: usize,
) -> Result<Vec<PrunedJob>, Fault> {
    let too_old = (now - retention.age).as_millis();
    let mut removed =
        remove_oldest(db, "finished_ms <= $2 ORDER BY finished_ms, seq", CHUNK, parameters![too_old]).await?;
    let room = CHUNK - stored(removed.len());
    let of_excess = match excess {
        Some(Excess { holder: Holder::Resource(resource), jobs }) => {
            let of = parameters![resource.as_str().to_owned()];
            remove_oldest(db, "resource = $2 ORDER BY seq", room.min(stored(*jobs)), of).await?
        }
        Some(Excess { holder: Holder::Owner(key), jobs }) => {
            let of = parameters![key.as_str().to_owned()];
            remove_oldest(db, "owner = $2 ORDER BY seq", room.min(stored(*jobs)), of).await?
        }
        None => Vec::new(),
    };
    // Without looking at each, if there cannot be too many.
    if of_excess.is_empty() && finished.saturating_sub(removed.len()) > retention.count {
        let sql = format!("SELECT count(*) FROM jobs WHERE {REMOVABLE}");
        let kept = count(&query(db, sql, Vec::new()).await?)?;
        let too_many = room.min(kept.saturating_sub(stored(retention.count)));
        let all = parameters![i64::MAX];
        removed.extend(remove_oldest(db, "finished_ms <= $2 ORDER BY finished_ms, seq", too_many, all).await?);
    }
    removed.extend(of_excess);
    let groups: BTreeSet<GroupId> = removed.iter().filter_map(|job| job.group).collect();
    if !groups.is_empty() {
        let groups: Vec<String> = groups.iter().map(GroupId::to_string).collect();
        let sql =
            "DELETE FROM groups WHERE id = ANY($1) AND NOT EXISTS (SELECT 1 FROM jobs WHERE group_id = groups.id)";
        query(db, sql, parameters![groups]).await?;
    }
    Ok(removed)
}

/// Removes at most `limit` of the jobs that can be removed and are `which`.
async fn remove_oldest(
    db: &Client,
    which: &str,
    limit: i64,
    parameter: Vec<Parameter>,
) -> Result<Vec<PrunedJob>, Fault> {
    if limit <= 0 {
        return Ok(Vec::new());
    }
    let mut all = parameters![limit];
    all.extend(parameter);
    let removed = query(db, REMOVE_JOBS.replace("{removable}", REMOVABLE).replace("{which}", which), all).await?;
    let job = |row| {
        let job = Named::new("job", row);
        let (id, resource, owner) = (job.parsed(0)?, job.parsed(1)?, job.parsed_or_null(2)?);
        let group = job.parsed_or_null(4)?;
        Ok(PrunedJob { id, resource, owner, text_bytes: read_count(job.get(3)?), group })
    };
    removed.iter().map(job).collect()
}

/// Removes audit entries that are too many in their class, if it is time to count them; whether there may be more of them.
async fn remove_attempts(db: &Client, counted: Counted) -> Result<(Counted, bool), Fault> {
    let last = count(&query(db, "SELECT coalesce(max(seq), 0) FROM audit", Vec::new()).await?)?;
    if counted.0.is_some_and(|counted| last - counted < ATTEMPTS_UNCOUNTED) {
        return Ok((counted, false));
    }
    let sql = "SELECT class, owner, count(*) FROM audit GROUP BY class, owner";
    let found = query(db, sql, Vec::new()).await?;
    let mut more = false;
    for class in RetentionClass::ALL {
        let mut kept: Vec<(Option<KeyId>, usize)> = Vec::new();
        for row in &found {
            let row = Named::new("audit entries of class", row);
            if row.get::<&str>(0)? == class.as_str() {
                let number = usize::try_from(read_count(row.get(2)?)).unwrap_or(usize::MAX);
                kept.push((row.parsed_or_null(1)?, number));
            }
        }
        let Some(AuditExcess { of, entries }) = AuditExcess::find(class, &kept) else { continue };
        let owner = of.as_ref().and_then(Option::as_ref).map(|key| key.as_str().to_owned());
        let sql = "DELETE FROM audit WHERE seq IN (SELECT seq FROM audit WHERE class = $1 \
            AND ($2 OR owner IS NOT DISTINCT FROM $3) ORDER BY seq LIMIT $4)";
        let limit = stored(entries).min(CHUNK);
        query(db, sql, parameters![class.as_str().to_owned(), of.is_none(), owner, limit]).await?;
        // The share of another key may come next.
        more = true;
    }
    Ok((if more { counted } else { Counted(Some(last)) }, more))
}

/// What goes by age, and samples; whether there is more.
async fn remove_history(db: &Client, retention: Retention, now: Timestamp) -> Result<bool, Fault> {
    if begin_alone(db).await? {
        return Ok(false);
    }
    let samples_left = minutes::keep_up(db, now).await?;
    let mut is_full = false;
    for (sql, age) in [(TIMELINES, retention.age), (DECISIONS, DECISION_RETENTION), (REVISIONS, REVISION_RETENTION)] {
        let sql = format!("WITH old AS ({sql} RETURNING 1) SELECT count(*) FROM old");
        is_full |= count(&query(db, sql, parameters![(now - age).as_millis(), CHUNK]).await?)? >= CHUNK;
    }
    end(db).await?;
    Ok(samples_left || is_full)
}
