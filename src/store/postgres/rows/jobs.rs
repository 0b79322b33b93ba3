//! Jobs and the log of their versions.

use std::collections::HashMap;
use std::sync::Arc;

use tokio_postgres::Row;

use super::super::batch::{Batch, parameters};
use super::super::error::Fault;
use super::super::records::{Named, json, read_count, stored};
use super::TRIMMED_TOGETHER;
use crate::domain::{AbridgedJob, EventId, Job, JobEvent, JobId, Timestamp};
use crate::store::MAX_LOGGED_VERSIONS;

const WRITE_VERSIONS: &str = "\
    INSERT INTO versions (seq, job, resource, earlier_steps, record, previous) \
    SELECT seq, job, resource, earlier_steps, record, coalesce(previous, (SELECT event FROM jobs WHERE id = job), 0) \
    FROM unnest($1, $2, $3, $4, $5, $6) AS new (seq, job, resource, earlier_steps, record, previous)";

/// Writes each job, and into the tallies what that changes. All parts of the statement see the jobs as they were before.
const WRITE_JOBS: &str = "\
    WITH new AS ( \
        SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
        AS new (seq, id, resource, state, created_at, finished_ms, record, event, owner, text_bytes, of_policy, group_id) \
    ), before AS ( \
        SELECT id, jobs.finished_ms IS NULL AS unfinished FROM jobs JOIN new USING (id) \
    ), written AS ( \
        INSERT INTO jobs (seq, id, resource, state, created_at, finished_ms, record, event, owner, text_bytes, of_policy, \
            group_id) \
        SELECT * FROM new ON CONFLICT (id) DO UPDATE SET state = excluded.state, finished_ms = excluded.finished_ms, \
        record = excluded.record, event = excluded.event \
    ), change AS ( \
        SELECT new.resource, new.owner, (before.id IS NULL)::INT AS jobs, \
            CASE WHEN before.id IS NULL THEN new.text_bytes ELSE 0 END AS text_bytes, \
            (new.finished_ms IS NULL)::INT - coalesce(before.unfinished, false)::INT AS unfinished, \
            CASE WHEN new.of_policy \
                THEN (new.finished_ms IS NULL)::INT - coalesce(before.unfinished, false)::INT ELSE 0 END AS of_policy \
        FROM new LEFT JOIN before USING (id) \
    ) \
    INSERT INTO tallies AS tally (kind, name, jobs, text_bytes, unfinished, of_policy) \
    SELECT kind, name, sum(jobs), sum(text_bytes), sum(unfinished), sum(of_policy) FROM ( \
        SELECT 'all' AS kind, '' AS name, change.* FROM change \
        UNION ALL SELECT 'resource', resource, change.* FROM change \
        UNION ALL SELECT 'owner', owner, change.* FROM change WHERE owner IS NOT NULL \
    ) AS each GROUP BY kind, name \
    HAVING sum(jobs) <> 0 OR sum(text_bytes) <> 0 OR sum(unfinished) <> 0 OR sum(of_policy) <> 0 \
    ON CONFLICT (kind, name) DO UPDATE SET jobs = tally.jobs + excluded.jobs, \
    text_bytes = tally.text_bytes + excluded.text_bytes, unfinished = tally.unfinished + excluded.unfinished, \
    of_policy = tally.of_policy + excluded.of_policy";

/// Versions as columns.
#[derive(Default)]
struct Versions {
    ids: Vec<i64>,
    jobs: Vec<String>,
    resources: Vec<String>,
    earlier_steps: Vec<i64>,
    records: Vec<String>,
    previous: Vec<Option<i64>>,
}

/// The last of some versions of a job.
struct Latest<'a> {
    job: &'a Arc<Job>,
    first: EventId,
    event: EventId,
    /// Its record, if that was needed before.
    record: Option<String>,
}

/// Writes all versions into the log, and each job as it is after the last of them. A new job takes its place among the
/// others by its first version.
pub(super) fn write<'a>(
    batch: &mut Batch,
    jobs: impl Iterator<Item = &'a Arc<Job>>,
    first_event: EventId,
) -> Result<(), Fault> {
    let (mut versions, mut latest): (Versions, Vec<Latest>) = Default::default();
    let mut places: HashMap<JobId, usize> = HashMap::new();
    for (event, job) in (first_event..).zip(jobs) {
        let place = *places.entry(job.id).or_insert(latest.len());
        let record = versions.add(event, job, latest.get(place).map(|before| before.event))?;
        match latest.get_mut(place) {
            Some(before) => *before = Latest { job, first: before.first, event, record },
            None => latest.push(Latest { job, first: event, event, record }),
        }
    }
    let Some(last) = versions.ids.last().copied() else { return Ok(()) };
    let trims = versions.ids.iter().any(|id| id % TRIMMED_TOGETHER == 0);
    let Versions { ids, jobs, resources, earlier_steps, records, previous } = versions;
    batch.add(WRITE_VERSIONS, parameters![ids, jobs, resources, earlier_steps, records, previous]);
    if trims {
        let too_old = last.saturating_sub(stored(MAX_LOGGED_VERSIONS));
        batch.add("DELETE FROM versions WHERE seq <= $1", parameters![too_old]);
    }
    write_jobs(batch, latest)
}

impl Versions {
    /// The record of the job itself, if it is the same.
    fn add(&mut self, event: EventId, job: &Job, previous: Option<EventId>) -> Result<Option<String>, Fault> {
        let (record, earlier_steps, whole) = if job.steps.len() > 1 || job.text_bytes() > 0 {
            let AbridgedJob { job: abridged, earlier_steps } = AbridgedJob::of(job);
            (json(&abridged)?, earlier_steps, None)
        } else {
            let record = json(job)?;
            (record.clone(), 0, Some(record))
        };
        self.ids.push(stored(event));
        self.jobs.push(job.id.to_string());
        self.resources.push(job.resource.as_str().to_owned());
        self.earlier_steps.push(stored(earlier_steps));
        self.records.push(record);
        self.previous.push(previous.map(stored));
        Ok(whole)
    }
}

fn write_jobs(batch: &mut Batch, latest: Vec<Latest>) -> Result<(), Fault> {
    let records = latest.iter().map(|of| of.record.clone().map_or_else(|| json(of.job), Ok));
    let records = records.collect::<Result<Vec<String>, Fault>>()?;
    let text = |of: &dyn Fn(&Job) -> String| latest.iter().map(|latest| of(latest.job)).collect::<Vec<String>>();
    let owners = latest.iter().map(|latest| latest.job.submitted_with().map(|key| key.as_str().to_owned()));
    let groups = latest.iter().map(|latest| latest.job.membership.as_ref().map(|of| of.group.to_string()));
    let finished = latest.iter().map(|latest| latest.job.finished_at.map(Timestamp::as_millis));
    batch.add(
        WRITE_JOBS,
        parameters![
            latest.iter().map(|latest| stored(latest.first)).collect::<Vec<i64>>(),
            text(&|job| job.id.to_string()),
            text(&|job| job.resource.as_str().to_owned()),
            text(&|job| job.state.name().as_str().to_owned()),
            text(&|job| job.created_at.to_string()),
            finished.collect::<Vec<Option<i64>>>(),
            records,
            latest.iter().map(|latest| stored(latest.event)).collect::<Vec<i64>>(),
            owners.collect::<Vec<Option<String>>>(),
            latest.iter().map(|latest| stored(latest.job.text_bytes())).collect::<Vec<i64>>(),
            latest.iter().map(|latest| latest.job.is_of_policy()).collect::<Vec<bool>>(),
            groups.collect::<Vec<Option<String>>>(),
        ],
    );
    Ok(())
}

/// The job in a row of `id`, `record` and `event`.
pub(in super::super) fn read(row: &Row) -> Result<JobEvent, Fault> {
    let job = Named::new("job", row);
    Ok(JobEvent { id: read_count(job.get(2)?), job: Arc::new(job.record(1)?) })
}
