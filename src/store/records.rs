//! Reads the records of all jobs: some of them on each core at a time, each with a connection of its own.
//!
//! Making sense of a record takes longer than anything else that is done with it at a start, and everybody waits for that. One
//! thread that reads and hands what it has read to others lost: it copies everything once more, and they wait for it.

use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, Row};

use super::sqlite::open_to_read;
use crate::domain::JobEvent;
use crate::parallel;

/// The fewest rows of a piece, those that are gone among them: a millisecond of work.
const LEAST_PIECE: i64 = 1000;
/// Pieces for each of them: no thread is left alone for long with what remains.
const PIECES_EACH: i64 = 16;

/// The first and the last row. Each is looked up by itself: asked for both at once, SQLite reads a whole index.
const ENDS: &str = "SELECT coalesce((SELECT min(seq) FROM jobs), 0), coalesce((SELECT max(seq) FROM jobs), -1)";

/// Why not all records could be read.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// The file is at fault.
    File(rusqlite::Error),
    /// What is in the row called so makes no sense, for that reason.
    Row(String, String),
}

impl From<rusqlite::Error> for Unreadable {
    fn from(error: rusqlite::Error) -> Self {
        Self::File(error)
    }
}

/// All jobs of the store at `path`, in the order of their submission. Nobody may write to it meanwhile: what is read at the
/// same time is from different moments.
pub(super) fn read_jobs(path: &Path) -> Result<Vec<JobEvent>, Unreadable> {
    let db = open_to_read(path)?;
    let (first, last): (i64, i64) = db.query_row(ENDS, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let threads = parallel::threads();
    let length = (last.saturating_sub(first) / (threads as i64 * PIECES_EACH) + 1).max(LEAST_PIECE);
    let begins = (first..=last).step_by(usize::try_from(length).unwrap_or(usize::MAX));
    let pieces = begins.map(|begin| (begin, begin.saturating_add(length - 1))).collect();
    let read = parallel::map(threads, pieces, |(begin, end)| read_between(&open_to_read(path)?, begin, end));
    // Of several that make no sense, the first one is named, whoever found one first.
    let read = read.into_iter().collect::<Result<Vec<_>, _>>()?;
    let mut jobs = Vec::with_capacity(read.iter().map(Vec::len).sum());
    read.into_iter().for_each(|piece| jobs.extend(piece));
    Ok(jobs)
}

/// The jobs in the rows from `begin` to `end`.
fn read_between(db: &Connection, begin: i64, end: i64) -> Result<Vec<JobEvent>, Unreadable> {
    let mut statement = db.prepare("SELECT id, record, event FROM jobs WHERE seq BETWEEN ?1 AND ?2 ORDER BY seq")?;
    let mut rows = statement.query([begin, end])?;
    let mut jobs = Vec::new();
    while let Some(row) = rows.next()? {
        // What is no text is no JSON either, and is found out as that.
        let record = row.get_ref(1)?.as_str().unwrap_or_default();
        match serde_json::from_str(record) {
            Ok(job) => jobs.push(JobEvent { id: row.get::<_, i64>(2)?.unsigned_abs(), job: Arc::new(job) }),
            Err(error) => return Err(Unreadable::Row(name_of(row), error.to_string())),
        }
    }
    Ok(jobs)
}

fn name_of(row: &Row) -> String {
    row.get(0).unwrap_or_else(|_| "without a name".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::directory::database_path;
    use super::super::fixtures::*;
    use super::super::{Batch, Journal as _};
    use super::*;

    /// A store with so many jobs, of which some at the begin and here and there are gone.
    fn store(count: u64) -> (tempfile::TempDir, Vec<JobEvent>) {
        let directory = directory();
        let job = |id: u64| JobEvent { id: id + 1000, job: Arc::new(job(id.into(), "worker")) };
        let jobs: Vec<JobEvent> = (0..count).map(job).collect();
        open(directory.path()).commit(&[Batch { jobs: jobs.clone(), ..Batch::default() }]).expect("committed");
        let is_gone = "seq <= 40 OR seq % 7 = 0 OR seq BETWEEN 2100 AND 3900";
        shell(directory.path()).execute(&format!("DELETE FROM jobs WHERE {is_gone}"), []).expect("removed");
        let is_left = |seq: &u64| !(*seq <= 40 || seq.is_multiple_of(7) || (2100..=3900).contains(seq));
        (directory, (1..=count).zip(jobs).filter(|(seq, _)| is_left(seq)).map(|(_, job)| job).collect())
    }

    #[test]
    fn however_many_there_are_they_come_in_order() {
        for count in [0, 41, LEAST_PIECE as u64, 10 * LEAST_PIECE as u64 + 3] {
            let (directory, left) = store(count);
            assert_eq!(read_jobs(&database_path(directory.path())).expect("readable"), left);
        }
    }

    #[test]
    fn the_first_that_makes_no_sense_is_named() {
        for wrong in [41, 9876] {
            let (directory, _) = store(10_000);
            let shell = shell(directory.path());
            shell.execute("UPDATE jobs SET record = '{' WHERE seq >= ?1", [wrong]).expect("changed");
            let name: String =
                shell.query_row("SELECT id FROM jobs WHERE seq = ?1", [wrong], |row| row.get(0)).expect("a row");
            let refused = read_jobs(&database_path(directory.path()));
            assert!(matches!(refused, Err(Unreadable::Row(named, why)) if named == name && !why.is_empty()), "{wrong}");
        }
    }

    #[test]
    fn the_ends_are_looked_up_and_not_searched_for() {
        let (directory, _) = store(50);
        let shell = shell(directory.path());
        let mut plan = shell.prepare(&format!("EXPLAIN QUERY PLAN {ENDS}")).expect("SQL");
        let steps = plan.query_map([], |row| row.get::<_, String>(3)).expect("a plan");
        let steps: Vec<String> = steps.map(|step| step.expect("text")).collect();
        assert_eq!(steps.iter().filter(|step| step.starts_with("SEARCH jobs")).count(), 2, "{steps:?}");
        assert!(!steps.iter().any(|step| step.contains("SCAN jobs")), "{steps:?}");
    }
}
