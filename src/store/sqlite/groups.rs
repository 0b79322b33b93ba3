//! Groups as rows: their records, and their jobs beside those of others.

use std::sync::Arc;

use rusqlite::{Connection, Params, Row, params};

use super::records::{Unreadable, json, name_of, read_jobs};
use crate::domain::{Alias, Group, GroupId, GroupJobs, GroupState, GroupStatus, JobEvent};
use crate::store::{AdoptedGroup, GroupFilter, Page, Position, Unit};

/// Most groups that are looked at for a page, of a few kilobytes each.
const PAGE_ROWS: usize = 500;

/// Writes each group as it is in `units`.
pub(super) fn write(db: &Connection, units: &[Unit]) -> rusqlite::Result<()> {
    let mut upsert = db.prepare_cached(
        "INSERT INTO groups (id, created_at, ended_ms, record) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (id) DO UPDATE SET ended_ms = ?3, record = ?4",
    )?;
    for group in units.iter().flat_map(|unit| &unit.groups) {
        let ended_ms = group.end.as_ref().map(|end| end.at.as_millis());
        upsert.execute(params![group.id.to_string(), group.created_at.to_string(), ended_ms, json(group)?])?;
    }
    Ok(())
}

/// The groups that are not over, in order of submission.
pub(super) fn unfinished(db: &Connection) -> Result<Vec<AdoptedGroup>, Unreadable> {
    let sql = "SELECT id, record FROM groups WHERE ended_ms IS NULL ORDER BY seq";
    let found = read(db, sql, [])?;
    found.into_iter().map(|group| Ok(AdoptedGroup { jobs: jobs_of(db, group.id)?, group })).collect()
}

/// The same, but only those with a member among `resources`.
pub(super) fn unfinished_of(db: &Connection, resources: &[Alias]) -> Result<Vec<AdoptedGroup>, Unreadable> {
    let mut found = unfinished(db)?;
    found.retain(|adopted| resources.iter().any(|resource| adopted.group.concerns(resource)));
    Ok(found)
}

/// The group `id`.
pub(super) fn find(db: &Connection, id: GroupId) -> Result<Option<GroupStatus>, Unreadable> {
    let found = read(db, "SELECT id, record FROM groups WHERE id = ?1", [id.to_string()])?;
    found.into_iter().next().map(|group| status(db, group)).transpose()
}

/// A page of the groups that `filter` admits.
pub(super) fn page(
    db: &Connection,
    filter: &GroupFilter,
    after: Option<Position>,
    size: usize,
) -> Result<Page<GroupStatus>, Unreadable> {
    let candidates = candidates(&filter.states);
    let sql = format!("SELECT id, record, seq FROM groups WHERE {candidates} AND seq < ?1 ORDER BY seq DESC LIMIT ?2");
    let after = after.map_or(i64::MAX, |position| position.0);
    let (mut entries, mut looked_at) = (Vec::new(), None);
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query(params![after, PAGE_ROWS as i64])?;
    while entries.len() < size
        && let Some(row) = rows.next()?
    {
        let position = Position(row.get(2)?);
        looked_at = Some(position);
        let status = status(db, parse(row)?)?;
        if filter.admits(&status) {
            entries.push((position, status));
        }
    }
    let sql = format!("SELECT EXISTS (SELECT 1 FROM groups WHERE {candidates} AND seq < ?1)");
    let next = match looked_at {
        Some(last) if db.prepare_cached(&sql)?.query_row([last.0], |row| row.get(0))? => Some(last),
        _ => None,
    };
    Ok(Page { entries, next })
}

/// The condition for groups that can be in one of `states`, as far as a column tells: the rest follows from their jobs.
fn candidates(states: &[GroupState]) -> &'static str {
    let over = states.iter().filter(|state| state.is_over()).count();
    match over {
        0 if !states.is_empty() => "ended_ms IS NULL",
        over if over > 0 && over == states.len() => "ended_ms IS NOT NULL",
        _ => "TRUE",
    }
}

fn status(db: &Connection, group: Group) -> Result<GroupStatus, Unreadable> {
    let jobs = if group.end.is_some() { Vec::new() } else { jobs_of(db, group.id)? };
    let jobs: GroupJobs = jobs.into_iter().map(|event| (event.job.id, event.job)).collect();
    let name = group.id;
    GroupStatus::of(Arc::new(group), &jobs)
        .ok_or_else(|| Unreadable::Row(format!("group {name}"), "it lacks a job".to_owned()))
}

fn jobs_of(db: &Connection, group: GroupId) -> Result<Vec<JobEvent>, Unreadable> {
    read_jobs(db, "SELECT id, record, event FROM jobs WHERE group_id = ?1 ORDER BY seq", [group.to_string()])
}

fn read(db: &Connection, sql: &str, parameters: impl Params) -> Result<Vec<Group>, Unreadable> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(parse(row)?);
    }
    Ok(found)
}

fn parse(row: &Row) -> Result<Group, Unreadable> {
    // What is no text is no JSON either, and is found out as that.
    let record = row.get_ref(1)?.as_str().unwrap_or_default();
    serde_json::from_str(record).map_err(|error| Unreadable::Row(format!("group {}", name_of(row)), error.to_string()))
}
