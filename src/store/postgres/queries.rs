//! The queries of [`reader`](super::reader) that depend on what is asked for. Each finds its rows through an index.

use tokio_postgres::Row;

use super::batch::{Parameter, parameters};
use super::error::Fault;
use super::records::{Named, read_count, stored};
use crate::domain::{AbridgedJob, EventId, Reach, StateName};
use crate::store::EventFilter;

/// Most rows of the log of versions that are looked at in one turn; some milliseconds.
pub(super) const PIECE_ROWS: i64 = 2000;

/// The id of the oldest version, and of the last one that is looked at in this turn, if there are more.
pub(super) const PIECE: &str = "SELECT (SELECT min(seq) FROM versions), \
    (SELECT seq FROM versions WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT 1 OFFSET $3)";

/// Of the newest job of each resource that succeeded and the newest that failed, the one that ended last.
pub(super) const LAST_OUTCOMES: &str = "\
    SELECT last.id, last.record, asked.resource FROM unnest($1) AS asked (resource) CROSS JOIN LATERAL ( \
        SELECT id, record, finished_ms, seq FROM jobs WHERE seq IN ( \
            (SELECT max(seq) FROM jobs WHERE resource = asked.resource AND state = 'succeeded'), \
            (SELECT max(seq) FROM jobs WHERE resource = asked.resource AND state = 'failed') \
        ) ORDER BY finished_ms DESC, seq DESC LIMIT 1 \
    ) AS last";

/// The decisions about a resource before a number, newest first, at most so many and those that begin within so many bytes;
/// and how many there are, however long.
pub(super) const DECISIONS: &str = "\
    SELECT number, record, found FROM ( \
        SELECT number, record, count(*) OVER () AS found, \
            sum(octet_length(record)) OVER (ORDER BY number DESC) - octet_length(record) AS bytes_before \
        FROM (SELECT number, record FROM decisions WHERE resource = $4 AND number < $1 ORDER BY number DESC LIMIT $2) AS all_of \
    ) AS each WHERE bytes_before < $3 ORDER BY number DESC";

/// The same of jobs: their ids, records, events, places, and how many there are. The places are those that `{found}` finds.
const JOBS: &str = "\
    SELECT id, record, event, seq, found FROM ( \
        SELECT id, record, event, seq, count(*) OVER () AS found, \
            sum(octet_length(record)) OVER (ORDER BY seq DESC) - octet_length(record) AS bytes_before \
        FROM jobs WHERE seq IN ({found}) \
    ) AS each WHERE bytes_before < $3 ORDER BY seq DESC";

/// The query for jobs of `resources` in `states`, each there once, before a place; and its parameters from the fourth on.
/// Jobs of a resource in a state are found by an index in their order, and only have to be merged.
pub(super) fn jobs(resources: &Reach, states: &[StateName]) -> (String, Vec<Parameter>) {
    let names = |states: &[StateName]| states.iter().map(|state| state.as_str().to_owned()).collect::<Vec<String>>();
    let (found, values) = match resources.resources() {
        None if states.is_empty() => {
            ("SELECT seq FROM jobs WHERE seq < $1 ORDER BY seq DESC LIMIT $2".to_owned(), Vec::new())
        }
        None => (merged("unnest($4) AS wanted (state)", "jobs.state = wanted.state"), parameters![names(states)]),
        Some(resources) => {
            let resources: Vec<String> = resources.iter().map(|resource| resource.as_str().to_owned()).collect();
            let states = if states.is_empty() { names(&StateName::ALL) } else { names(states) };
            let wanted = "(SELECT resource, state FROM unnest($4) AS r (resource), unnest($5) AS s (state)) AS wanted";
            let is_wanted = "jobs.resource = wanted.resource AND jobs.state = wanted.state";
            (merged(wanted, is_wanted), parameters![resources, states])
        }
    };
    (JOBS.replace("{found}", &found), values)
}

/// The places of the first jobs that are `wanted`, each kind of them found by itself.
fn merged(wanted: &str, is_wanted: &str) -> String {
    format!(
        "SELECT of.seq FROM {wanted} CROSS JOIN LATERAL ( \
         SELECT jobs.seq FROM jobs WHERE {is_wanted} AND jobs.seq < $1 ORDER BY jobs.seq DESC LIMIT $2) AS of \
         ORDER BY of.seq DESC LIMIT $2"
    )
}

/// Each version of a job refers to the one before it, and the job to its latest.
const VERSIONS_OF_JOB: &str = "\
    WITH RECURSIVE of_job (seq) AS (SELECT event FROM jobs WHERE id = $4 \
    UNION ALL SELECT previous FROM versions JOIN of_job USING (seq) WHERE previous > $1)";

/// The query for versions after the first parameter and up to the second; the third is for `more`. Its parameters from the
/// fourth on.
pub(super) fn versions(filter: &EventFilter, columns: &str, more: &str) -> (String, Vec<Parameter>) {
    let (with, condition, values) = match filter {
        EventFilter::Resources(reach) => match reach.resources() {
            None => ("", "true", Vec::new()),
            // Read along the whole log, which is bounded: an index would cost more with every commit.
            Some(resources) => {
                let names: Vec<String> = resources.iter().map(|resource| resource.as_str().to_owned()).collect();
                ("", "resource = ANY($4)", parameters![names])
            }
        },
        EventFilter::Job(id) => (VERSIONS_OF_JOB, "seq IN (SELECT seq FROM of_job)", parameters![id.to_string()]),
    };
    (format!("{with} SELECT {columns} FROM versions WHERE {condition} AND seq > $1 AND seq <= $2 {more}"), values)
}

/// The query for whether there is a version after `after` and up to `until` whose job is not kept any more.
pub(super) fn lacks_a_job(filter: &EventFilter, after: EventId, until: EventId) -> (String, Vec<Parameter>) {
    if let EventFilter::Job(id) = filter {
        return ("SELECT NOT EXISTS (SELECT 1 FROM jobs WHERE id = $1)".to_owned(), parameters![id.to_string()]);
    }
    let without_job = "AND NOT EXISTS (SELECT 1 FROM jobs WHERE id = versions.job) LIMIT $3";
    let (sql, mut values) = versions(filter, "1", without_job);
    let mut all = parameters![stored(after), stored(until), 1_i64];
    all.append(&mut values);
    (format!("SELECT EXISTS ({sql})"), all)
}

/// The version in a row of `seq`, `earlier_steps` and `record`.
pub(super) fn read_version(row: &Row) -> Result<(EventId, AbridgedJob), Fault> {
    let version = Named::new("version", row);
    let earlier_steps = usize::try_from(read_count(version.get(1)?)).unwrap_or(usize::MAX);
    Ok((read_count(version.get(0)?), AbridgedJob { job: version.record(2)?, earlier_steps }))
}
