//! Lanes and their unfinished jobs as their owner takes them over.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;

use super::connection::{explain, open_to_read};
use super::records::{Unreadable, read_jobs, unreadable};
use super::{SqliteError, backup, groups, lanes, policies};
use crate::domain::{Alias, EventId, JobEvent, LaneRecord};
use crate::store::{AdoptedLane, Adoption, Epoch, Which};

/// A connection for adoptions, so that they never wait for a commit.
pub struct LaneReader {
    path: PathBuf,
    db: Mutex<Connection>,
}

impl LaneReader {
    /// Opens the database at `path`, which is sound.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn open(path: &Path) -> Result<Self, SqliteError> {
        let db = open_to_read(path).map_err(|error| explain(path, error))?;
        Ok(Self { path: path.to_owned(), db: Mutex::new(db) })
    }

    /// The lanes that are asked for, each in the adoption that `begin` gives to it before it is read.
    ///
    /// # Errors
    /// If they cannot be read or make no sense.
    pub fn adopt(&self, which: &Which, begin: impl Fn(&Alias) -> Epoch) -> Result<Adoption, SqliteError> {
        let mut db = self.db.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = |error| explain(&self.path, error);
        let adoption = match which {
            Which::All => {
                let snapshot = db.transaction().map_err(failed)?;
                all(&snapshot, begin)
            }
            Which::These(resources) => {
                let epochs: Vec<Epoch> = resources.iter().map(begin).collect();
                let snapshot = db.transaction().map_err(failed)?;
                let lanes = resources.iter().zip(epochs).map(|(resource, epoch)| one(&snapshot, resource, epoch));
                lanes.collect::<Result<_, _>>().and_then(|lanes| {
                    let groups = groups::unfinished_of(&snapshot, resources)?;
                    Ok(Adoption { lanes, groups, restored_at: backup::restored_at(&snapshot)? })
                })
            }
        };
        adoption.map_err(|error| unreadable(&self.path, error))
    }
}

/// The id of the next version of a job. The newest version is never removed, so that its id tells.
pub(super) fn next_event(db: &Connection) -> rusqlite::Result<EventId> {
    let sql = "SELECT coalesce((SELECT max(seq) + 1 FROM versions), (SELECT first FROM versions_begin))";
    db.query_row(sql, [], |row| row.get(0))
}

fn all(db: &Connection, begin: impl Fn(&Alias) -> Epoch) -> Result<Adoption, Unreadable> {
    let mut jobs_of: HashMap<Alias, Vec<JobEvent>> = HashMap::new();
    let mut in_order: Vec<Alias> = Vec::new();
    let sql = "SELECT id, record, event FROM jobs WHERE state IN ('queued', 'running') ORDER BY seq";
    for job in read_jobs(db, sql, [])? {
        let jobs = jobs_of.entry(job.job.resource.clone()).or_default();
        if jobs.is_empty() {
            in_order.push(job.job.resource.clone());
        }
        jobs.push(job);
    }
    let recorded = lanes::read(db)?;
    let has_record: BTreeSet<&Alias> = recorded.iter().map(|record| &record.resource).collect();
    in_order.retain(|resource| !has_record.contains(resource));
    let mut policy_of = policies::read(db)?;
    let is_among = |resource: &&Alias| has_record.contains(*resource) || jobs_of.contains_key(*resource);
    in_order.extend(policy_of.keys().filter(|resource| !is_among(resource)).cloned());
    let groups = groups::unfinished(db)?;
    let mut others: BTreeSet<&Alias> =
        groups.iter().flat_map(|group| &group.group.members).map(|member| &member.resource).collect();
    others.retain(|resource| !is_among(resource) && !policy_of.contains_key(*resource));
    in_order.extend(others.into_iter().cloned());
    let unrecorded: Vec<LaneRecord> = in_order.into_iter().map(LaneRecord::new).collect();
    let lanes = recorded.into_iter().chain(unrecorded).map(|record| AdoptedLane {
        epoch: begin(&record.resource),
        jobs: jobs_of.remove(&record.resource).unwrap_or_default(),
        policy: policy_of.remove(&record.resource).map(Box::new),
        record,
    });
    let lanes = lanes.collect();
    Ok(Adoption { lanes, groups, restored_at: backup::restored_at(db)? })
}

fn one(db: &Connection, resource: &Alias, epoch: Epoch) -> Result<AdoptedLane, Unreadable> {
    let record = lanes::read_one(db, resource)?.unwrap_or_else(|| LaneRecord::new(resource.clone()));
    let sql = "SELECT id, record, event FROM jobs WHERE resource = ?1 AND state IN ('queued', 'running') ORDER BY seq";
    let (jobs, policy) = (read_jobs(db, sql, [resource.as_str()])?, policies::read_one(db, resource)?.map(Box::new));
    Ok(AdoptedLane { epoch, record, jobs, policy })
}
