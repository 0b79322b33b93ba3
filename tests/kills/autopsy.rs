//! The files a killed process leaves behind.
//!
//! A copy of them is looked at: a program that opens the store itself also recovers it, and the next process would find
//! nothing left to recover.

use std::collections::HashSet;
use std::path::Path;

use rusqlite::Connection;
use tempfile::TempDir;
use uuid::Uuid;

use super::policies::POLICED;
use super::referee::Referee;

/// Fails if the store in `data_dir`, which no process uses now, is damaged, lacks a job that was accepted or a decision
/// that acted, has half a group, or has two jobs or two changes of one resource under way. Returns the number of changes
/// under way.
pub fn examine(data_dir: &Path, referee: &Referee) -> usize {
    if !data_dir.join("scalegate.db").exists() {
        return 0;
    }
    let copy = TempDir::new().expect("a directory");
    for file in ["scalegate.db", "scalegate.db-wal"] {
        if data_dir.join(file).exists() {
            std::fs::copy(data_dir.join(file), copy.path().join(file)).expect("it can be copied");
        }
    }
    let db = Connection::open(copy.path().join("scalegate.db")).expect("it can be opened");
    assert_eq!(texts(&db, "PRAGMA integrity_check"), ["ok"]);
    if texts(&db, "SELECT name FROM sqlite_schema WHERE name = 'jobs'").is_empty() {
        assert_eq!(referee.accepted().first(), None, "jobs were accepted before there was a place for them");
        return 0;
    }
    let kept: HashSet<Uuid> = texts(&db, "SELECT id FROM jobs").iter().map(|id| id.parse().expect("an id")).collect();
    let lost: Vec<Uuid> = referee.accepted().into_iter().filter(|id| !kept.contains(id)).collect();
    assert!(lost.is_empty(), "accepted, and not in the store: {lost:?}");
    let crowded = "SELECT resource FROM jobs WHERE state = 'running' GROUP BY resource HAVING count(*) > 1";
    assert_eq!(texts(&db, crowded), [""; 0], "resources with two jobs at a time");
    let crowded = "SELECT resource FROM jobs, json_each(record, '$.steps') WHERE value ->> 'outcome' = 'pending' \
                   GROUP BY resource HAVING count(*) > 1";
    assert_eq!(texts(&db, crowded), [""; 0], "resources with two unresolved changes");
    let of_policies = format!("resource IN ('{}')", POLICED.join("', '"));
    let submitted = format!(
        "SELECT id FROM jobs WHERE {of_policies} AND id NOT IN \
         (SELECT record ->> '$.job_id' FROM decisions WHERE record ->> '$.action' = 'submitted')"
    );
    let retargeted = format!(
        "SELECT jobs.id FROM jobs, json_each(record, '$.retargets.newest') WHERE {of_policies} AND value ->> 'decision' \
         NOT IN (SELECT id FROM decisions)"
    );
    for sql in [submitted, retargeted] {
        assert_eq!(texts(&db, &sql), [""; 0], "jobs of policies without the decisions that acted");
    }
    let half = "SELECT groups.id FROM groups, json_each(groups.record, '$.members') AS member \
                WHERE member.value ->> 'job' NOT IN (SELECT id FROM jobs) \
                UNION SELECT id FROM jobs WHERE group_id IS NOT NULL AND group_id NOT IN (SELECT id FROM groups)";
    assert_eq!(texts(&db, half), [""; 0], "groups without all of their jobs, or jobs without their group");
    texts(&db, "SELECT resource FROM lanes WHERE change IS NOT NULL").len()
}

fn texts(db: &Connection, sql: &str) -> Vec<String> {
    let mut statement = db.prepare(sql).expect("it is SQL");
    let rows = statement.query_map([], |row| row.get(0)).expect("it can be asked");
    rows.collect::<Result<_, _>>().expect("texts")
}
