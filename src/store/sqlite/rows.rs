//! What units write into which table.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, params};

use super::decisions::TRIMMED_TOGETHER;
use super::records::json;
use super::{decisions, groups, key_rows, lanes, policies, samples};
use crate::domain::{
    AbridgedJob, Actor, Alias, AuditEntry, EventId, HistoryEntry, JobEvent, JobId, KeyId, RetentionClass, Timestamp,
};
use crate::store::{IdempotencyEntry, MAX_LOGGED_VERSIONS, MAX_TIMELINE, Observations, Unit};

/// Writes all of `units`, in their order; their jobs become the versions `first_event` and following. Must be called
/// within a transaction.
///
/// Logs get an entry for everything; of a job or a lane that several units change, only the last state is written.
pub(super) fn write(db: &Connection, units: &[Unit], first_event: EventId) -> rusqlite::Result<()> {
    let jobs = units.iter().flat_map(|unit| &unit.jobs);
    write_jobs(db, (first_event..).zip(jobs).map(|(id, job)| JobEvent { id, job: Arc::clone(job) }))?;
    groups::write(db, units)?;
    lanes::write(db, units)?;
    policies::write(db, units.iter().flat_map(|unit| &unit.policies))?;
    for unit in units {
        write_entries(db, &unit.entries)?;
        write_history(db, &unit.history)?;
        key_rows::write(db, &unit.keys)?;
    }
    write_audit(db, units.iter().flat_map(|unit| &unit.audit))
}

/// Writes what was observed, in its order. Must be called within a transaction.
pub(super) fn write_observations(db: &Connection, observations: &[Observations]) -> rusqlite::Result<()> {
    for Observations { resource, epoch: _, samples, predictions, state, decisions } in observations {
        samples::write(db, resource, samples)?;
        policies::write_predictions(db, resource, predictions)?;
        state.iter().try_for_each(|state| policies::write_state(db, resource, state))?;
        decisions.iter().try_for_each(|decision| decisions::write(db, resource, decision))?;
    }
    Ok(())
}

/// The last of some versions of a job.
struct Latest {
    event: JobEvent,
    /// Its record, if that was needed before.
    record: Option<String>,
}

/// Writes all versions into the log, and each job as it is after the last of them. A new job takes its place among the
/// others by its first version.
fn write_jobs(db: &Connection, events: impl Iterator<Item = JobEvent>) -> rusqlite::Result<()> {
    let mut jobs: Vec<Latest> = Vec::new();
    let mut places: HashMap<JobId, usize> = HashMap::new();
    for event in events {
        let place = *places.entry(event.job.id).or_insert(jobs.len());
        let record = write_version(db, &event, jobs.get(place).map(|before| before.event.id))?;
        let latest = Latest { event, record };
        match jobs.get_mut(place) {
            Some(before) => *before = latest,
            None => jobs.push(latest),
        }
    }
    let mut upsert = db.prepare_cached(
        "INSERT INTO jobs (id, resource, state, created_at, finished_ms, record, event, owner, text_bytes, group_id) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) \
         ON CONFLICT (id) DO UPDATE SET state = ?3, finished_ms = ?5, record = ?6, event = ?7",
    )?;
    for Latest { event: JobEvent { id, job }, record } in jobs {
        upsert.execute(params![
            job.id.to_string(),
            job.resource.as_str(),
            job.state.name().as_str(),
            job.created_at.to_string(),
            job.finished_at.map(Timestamp::as_millis),
            record.map_or_else(|| json(&job), Ok)?,
            id,
            job.submitted_with().map(|key| key.as_str()),
            job.text_bytes(),
            job.membership.as_ref().map(|membership| membership.group.to_string()),
        ])?;
    }
    Ok(())
}

/// Writes a version into the log. The one before it is `previous`, or else what the row of the job says. The record of
/// the job itself, if it is the same.
fn write_version(
    db: &Connection,
    JobEvent { id, job }: &JobEvent,
    previous: Option<EventId>,
) -> rusqlite::Result<Option<String>> {
    let mut insert = db.prepare_cached(
        "INSERT INTO versions (seq, job, resource, earlier_steps, record, previous) \
         VALUES (?1, ?2, ?3, ?4, ?5, coalesce(?6, (SELECT event FROM jobs WHERE id = ?2), 0))",
    )?;
    let (job_id, resource) = (job.id.to_string(), job.resource.as_str());
    let record = if job.steps.len() > 1 || job.text_bytes() > 0 {
        let AbridgedJob { job: abridged, earlier_steps } = AbridgedJob::of(job);
        insert.execute(params![id, job_id, resource, earlier_steps as i64, json(&abridged)?, previous])?;
        None
    } else {
        let record = json(job)?;
        insert.execute(params![id, job_id, resource, 0, record, previous])?;
        Some(record)
    };
    if id.is_multiple_of(TRIMMED_TOGETHER) {
        let too_old = id.saturating_sub(MAX_LOGGED_VERSIONS);
        db.prepare_cached("DELETE FROM versions WHERE seq <= ?1")?.execute([too_old])?;
    }
    Ok(record)
}

fn write_entries(db: &Connection, entries: &[IdempotencyEntry]) -> rusqlite::Result<()> {
    let mut insert = db.prepare_cached(
        "INSERT OR REPLACE INTO answers (key, fingerprint, joined, answered_ms, job) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for IdempotencyEntry { key, fingerprint, joined, made, answered_at } in entries {
        insert.execute(params![key, fingerprint, joined, answered_at.as_millis(), made.to_string()])?;
    }
    Ok(())
}

/// Numbers the entries of each resource, so that keeping the newest ones is a range in an index. The first number is
/// the time in milliseconds: where all entries have been removed, none is given out again.
fn write_history(db: &Connection, history: &[(Alias, HistoryEntry)]) -> rusqlite::Result<()> {
    let mut insert = db.prepare_cached(
        "INSERT INTO timeline (resource, number, at_ms, record) \
         SELECT ?1, coalesce(max(number) + 1, ?2), ?2, ?3 FROM timeline WHERE resource = ?1 RETURNING number",
    )?;
    let mut trim = db.prepare_cached("DELETE FROM timeline WHERE resource = ?1 AND number <= ?2")?;
    for (resource, entry) in history {
        let row = params![resource.as_str(), entry.at.as_millis(), json(entry)?];
        let number: i64 = insert.query_row(row, |row| row.get(0))?;
        if is_time_to_trim(number) {
            trim.execute(params![resource.as_str(), number - i64::from(MAX_TIMELINE)])?;
        }
    }
    Ok(())
}

fn is_time_to_trim(number: i64) -> bool {
    number.unsigned_abs().is_multiple_of(TRIMMED_TOGETHER)
}

/// Numbers all entries in the order in which they are listed.
fn write_audit<'a>(db: &Connection, entries: impl Iterator<Item = &'a AuditEntry>) -> rusqlite::Result<()> {
    let mut entries = entries.peekable();
    if entries.peek().is_none() {
        return Ok(());
    }
    let next_seq = {
        let mut last = db.prepare_cached("SELECT coalesce(max(seq), 0) FROM audit WHERE shelf = ?1")?;
        let last = RetentionClass::ALL.map(|class| last.query_row([class.as_str()], |row| row.get::<_, i64>(0)));
        last.into_iter().try_fold(0, |latest: i64, of_class| of_class.map(|seq| seq.max(latest)))? + 1
    };
    let mut insert =
        db.prepare_cached("INSERT INTO audit (shelf, seq, at, owner, record) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for (seq, entry) in (next_seq..).zip(entries) {
        let owner = entry.attempt.actor.as_ref().and_then(Actor::key).map(KeyId::as_str);
        insert.execute(params![entry.retention_class().as_str(), seq, entry.at.to_string(), owner, json(entry)?])?;
    }
    Ok(())
}
