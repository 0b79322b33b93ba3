//! Groups as they are read: their records, and their jobs beside those of others.

use std::collections::HashMap;
use std::sync::Arc;

use tokio_postgres::Row;

use super::batch::{Batch, Parameter, parameters};
use super::error::Fault;
use super::records::{Named, short_answer, stored};
use super::rows::read_job;
use super::transaction::{begin_to_read, commit};
use crate::domain::{Group, GroupId, GroupJobs, GroupState, GroupStatus, JobEvent};
use crate::store::{AdoptedGroup, GroupFilter, Page, Position};

/// Most groups that are looked at for a page, of a few kilobytes each, beside their jobs.
const PAGE_ROWS: usize = 200;

/// Unfinished groups in rows of `id` and `record`, with all of their jobs.
pub(super) fn read_adopted(groups: &[Row], jobs: &[Row]) -> Result<Vec<AdoptedGroup>, Fault> {
    let mut jobs_of = read_jobs(jobs)?;
    let adopted = groups.iter().map(|row| {
        let group: Group = Named::new("group", row).record(1)?;
        Ok(AdoptedGroup { jobs: jobs_of.remove(&group.id).unwrap_or_default(), group })
    });
    adopted.collect()
}

/// The queries for the group `id`.
pub(super) fn find(id: GroupId) -> Batch {
    reading("id = $1", || parameters![id.to_string()], "")
}

/// The group that [`find`] finds.
pub(super) fn read_found(answers: &[Vec<Row>]) -> Result<Option<GroupStatus>, Fault> {
    let [_, groups, jobs, _] = answers else { return Err(short_answer()) };
    let mut jobs_of = read_jobs(jobs)?;
    groups.first().map(|row| read_status(row, &mut jobs_of)).transpose()
}

/// The queries for a page.
pub(super) fn candidates(filter: &GroupFilter, after: Option<Position>) -> Batch {
    let over = filter.states.iter().filter(|state| GroupState::is_over(**state)).count();
    let which = match over {
        0 if !filter.states.is_empty() => "seq < $1 AND ended_ms IS NULL",
        over if over > 0 && over == filter.states.len() => "seq < $1 AND ended_ms IS NOT NULL",
        _ => "seq < $1",
    };
    let after = after.map_or(i64::MAX, |position| position.0);
    reading(which, || parameters![after, stored(PAGE_ROWS + 1)], "ORDER BY seq DESC LIMIT $2")
}

/// The page of those that [`candidates`] finds and `filter` admits.
pub(super) fn read_page(answers: &[Vec<Row>], filter: &GroupFilter, size: usize) -> Result<Page<GroupStatus>, Fault> {
    let [_, groups, jobs, _] = answers else { return Err(short_answer()) };
    let mut jobs_of = read_jobs(jobs)?;
    let (mut entries, mut looked_at, mut rows) = (Vec::new(), None, groups.iter().peekable());
    for row in rows.by_ref().take(PAGE_ROWS) {
        let position = Position(Named::new("group", row).get(2)?);
        looked_at = Some(position);
        let status = read_status(row, &mut jobs_of)?;
        if filter.admits(&status) {
            entries.push((position, status));
        }
        if entries.len() >= size {
            break;
        }
    }
    Ok(Page { entries, next: looked_at.filter(|_| rows.peek().is_some()) })
}

/// Queries, as of one moment, for the groups that are `which`, and for the jobs of those of them that are not over.
fn reading(which: &str, values: impl Fn() -> Vec<Parameter>, order: &str) -> Batch {
    let mut batch = Batch::default();
    begin_to_read(&mut batch);
    batch.add(format!("SELECT id, record, seq FROM groups WHERE {which} {order}"), values());
    batch.add(
        format!(
            "SELECT id, record, event FROM jobs WHERE group_id IN (SELECT id FROM (SELECT id, ended_ms FROM groups \
             WHERE {which} {order}) AS found WHERE ended_ms IS NULL) ORDER BY seq"
        ),
        values(),
    );
    commit(&mut batch);
    batch
}

type JobsOf = HashMap<GroupId, Vec<JobEvent>>;

fn read_jobs(rows: &[Row]) -> Result<JobsOf, Fault> {
    let mut jobs_of = JobsOf::new();
    for row in rows {
        let job = read_job(row)?;
        let membership = job.job.membership.as_ref();
        let group = membership.ok_or_else(|| Named::new("job", row).senseless("it belongs to no group"))?.group;
        jobs_of.entry(group).or_default().push(job);
    }
    Ok(jobs_of)
}

fn read_status(row: &Row, jobs_of: &mut JobsOf) -> Result<GroupStatus, Fault> {
    let named = Named::new("group", row);
    let group: Group = named.record(1)?;
    let jobs = jobs_of.remove(&group.id).unwrap_or_default();
    let jobs: GroupJobs = jobs.into_iter().map(|event| (event.job.id, event.job)).collect();
    GroupStatus::of(Arc::new(group), &jobs).ok_or_else(|| named.senseless("it lacks a job"))
}
