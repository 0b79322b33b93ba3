//! Records as rows have them, and all jobs: what a process carries on with, and what readers are shown at first.
//!
//! A record that makes no sense is an error with the name of its row. It must never be skipped: its job may have a change
//! under way.

use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, Row};

use super::StoreError;
use super::connection::explain;
use crate::domain::JobEvent;

/// Why not all records could be read.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// The file is at fault.
    File(rusqlite::Error),
    /// What is in the row called so, such as `lane worker`, makes no sense, for that reason.
    Row(String, String),
}

impl From<rusqlite::Error> for Unreadable {
    fn from(error: rusqlite::Error) -> Self {
        Self::File(error)
    }
}

/// What it means to the operator of the store at `path`.
pub(super) fn unreadable(path: &Path, error: Unreadable) -> StoreError {
    match error {
        Unreadable::File(error) => explain(path, error),
        Unreadable::Row(row, why) => StoreError::Corrupt { path: path.to_owned(), detail: format!("{row}: {why}") },
    }
}

/// `record` as it is stored.
pub(super) fn json(record: &impl serde::Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(record).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

/// All jobs, in the order of their submission.
pub(super) fn read_jobs(db: &Connection) -> Result<Vec<JobEvent>, Unreadable> {
    let mut statement = db.prepare("SELECT id, record, event FROM jobs ORDER BY seq")?;
    let mut rows = statement.query([])?;
    let mut jobs = Vec::new();
    while let Some(row) = rows.next()? {
        // What is no text is no JSON either, and is found out as that.
        let record = row.get_ref(1)?.as_str().unwrap_or_default();
        match serde_json::from_str(record) {
            Ok(job) => jobs.push(JobEvent { id: row.get::<_, i64>(2)?.unsigned_abs(), job: Arc::new(job) }),
            Err(error) => return Err(Unreadable::Row(format!("job {}", name_of(row)), error.to_string())),
        }
    }
    Ok(jobs)
}

/// What the first column says of a row.
pub(super) fn name_of(row: &Row) -> String {
    row.get(0).unwrap_or_else(|_| "without a name".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::*;
    use super::super::{Batch, Journal as _};
    use super::*;

    /// A store with ten jobs, of which the first and some others are gone, and those that are left.
    fn store() -> (tempfile::TempDir, Vec<JobEvent>) {
        let directory = directory();
        // Their ids are in the opposite order.
        let job = |number: u64| JobEvent { id: number + 1000, job: Arc::new(job((99 - number).into(), "worker")) };
        let jobs: Vec<JobEvent> = (1..=10).map(job).collect();
        open(directory.path()).commit(&[Batch { jobs: jobs.clone(), ..Batch::default() }]).expect("committed");
        let is_gone = "seq = 1 OR seq BETWEEN 4 AND 5";
        shell(directory.path()).execute(&format!("DELETE FROM jobs WHERE {is_gone}"), []).expect("removed");
        let left = (1..=10).zip(jobs).filter(|(seq, _)| ![1, 4, 5].contains(seq)).map(|(_, job)| job);
        (directory, left.collect())
    }

    #[test]
    fn all_jobs_come_in_the_order_of_their_submission() {
        let (directory, left) = store();
        assert_eq!(read_jobs(&shell(directory.path())).expect("readable"), left);
        let empty = super::super::fixtures::directory();
        drop(open(empty.path()));
        assert_eq!(read_jobs(&shell(empty.path())).expect("readable"), []);
    }

    #[test]
    fn the_first_that_makes_no_sense_is_named() {
        for wrong in [2, 7] {
            let (directory, _) = store();
            let shell = shell(directory.path());
            shell.execute("UPDATE jobs SET record = '{' WHERE seq >= ?1", [wrong]).expect("changed");
            let name: String =
                shell.query_row("SELECT id FROM jobs WHERE seq = ?1", [wrong], |row| row.get(0)).expect("a row");
            let refused = read_jobs(&shell);
            assert!(
                matches!(refused, Err(Unreadable::Row(named, why)) if named == format!("job {name}") && !why.is_empty()),
                "{wrong}"
            );
        }
    }
}
