use std::sync::Arc;
use std::time::Duration;

use rusqlite::params;

use super::super::fixtures::*;
use super::super::{Journal as _, SqliteReader};
use super::*;
use crate::domain::{ChangeState, Job, JobEvent, JobId, LaneRecord, SentChange, Stage, StepDurations};
use crate::store::{EventFilter, Position, StoreReader as _, Unit};

/// As version 1 was released.
const VERSION_1: &str = "
    PRAGMA application_id = 1935894388;
    PRAGMA user_version = 1;
    CREATE TABLE jobs (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, resource TEXT NOT NULL, state TEXT NOT NULL,
        created_at TEXT NOT NULL, finished_ms INTEGER, record TEXT NOT NULL);
    CREATE INDEX jobs_by_state ON jobs (state, seq);
    CREATE INDEX jobs_by_resource ON jobs (resource, seq);
    CREATE INDEX jobs_by_resource_and_state ON jobs (resource, state, seq);
    CREATE INDEX jobs_by_end ON jobs (finished_ms) WHERE finished_ms IS NOT NULL;
    CREATE TABLE lanes (seq INTEGER PRIMARY KEY, resource TEXT NOT NULL UNIQUE, record TEXT NOT NULL);
    CREATE TABLE answers (seq INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, fingerprint BLOB NOT NULL,
        joined INTEGER NOT NULL, answered_ms INTEGER NOT NULL, job TEXT NOT NULL);
    CREATE INDEX answers_by_age ON answers (answered_ms);
";

/// Lanes were records up to version 5. The first releases did not note the direction of a change.
const LANES_OF_VERSION_1: [(&str, &str); 3] = [
    (
        "worker",
        r#"{"resource":"worker","ledger":{"last_change":{"at":1800000000000,"cooldown":300000,"settle":90000},
        "fresh_from":1800000000000,"expected":3,"provisioning":60000},"change":null}"#,
    ),
    (
        "unused",
        r#"{"resource":"unused","ledger":{"last_change":null,"fresh_from":null,"expected":null},"change":null}"#,
    ),
    (
        "api",
        r#"{"resource":"api","ledger":{"last_change":{"at":1800000000000,"op":"add","cooldown":300000,"settle":90000},
        "fresh_from":1800000000000,"expected":3,"provisioning":60000},
        "change":{"job":"00000000-0000-0000-0000-000000000007","op":"add","units":2,"from":1,"to":3,
        "sent":{"at":1800000000000,"op":"add","cooldown":300000,"settle":90000},"patience":900000,
        "stage":{"unknown":{"since":1800000060000}}}}"#,
    ),
];

#[test]
fn a_store_of_version_1_becomes_a_current_one_and_loses_nothing() {
    let directory = directory();
    let old = shell(directory.path());
    old.execute_batch(VERSION_1).expect("version 1");
    let (job, entry) = (eventful_job(), entry("key", NOW));
    old.execute(
        "INSERT INTO jobs (id, resource, state, created_at, finished_ms, record) VALUES (?1, 'worker', 'running', '', NULL, ?2)",
        [job.id.to_string(), serde_json::to_string(&job).expect("serialisable")],
    )
    .expect("a job");
    for (resource, record) in LANES_OF_VERSION_1 {
        old.execute("INSERT INTO lanes (resource, record) VALUES (?1, ?2)", [resource, record]).expect("a lane");
    }
    old.execute(
        "INSERT INTO answers (key, fingerprint, joined, answered_ms, job) VALUES ('key', ?1, ?2, ?3, ?4)",
        params![entry.fingerprint, entry.joined, NOW.as_millis(), serde_json::to_string(&job).expect("serialisable")],
    )
    .expect("an answer");
    drop(old);
    let mut journal = open(directory.path());
    let snapshot = journal.contents().expect("readable");
    assert_eq!(snapshot.jobs, [JobEvent { id: 0, job: Arc::new(job) }], "older than the log of versions");
    let since = NOW + Duration::from_secs(60);
    let unused = LaneRecord::new(alias("unused"));
    let not_noted = |record: LaneRecord| LaneRecord { step_durations: StepDurations::default(), ..record };
    let mut nameless = not_noted(lane("worker", None));
    nameless.change_state = ChangeState {
        last_change: nameless.change_state.last_change.map(|last| SentChange { op: None, ..last }),
        ..nameless.change_state
    };
    assert_eq!(snapshot.lanes, [not_noted(lane("api", Some(Stage::Unknown { since }))), unused, nameless]);
    assert_eq!(snapshot.entries, [entry]);
    assert_eq!(journal.clock_anchor().expect("readable"), None);
    journal.change_clock(Some(&anchor("this")), NOW, NOW).expect("changed");
    drop(journal);
    assert_eq!(open(directory.path()).clock_anchor().expect("readable"), Some(anchor("this")));
    let version: i64 =
        shell(directory.path()).pragma_query_value(None, "user_version", |row| row.get(0)).expect("a version");
    assert_eq!(version, VERSION);
}

/// A database as a release left it that had this schema `version`.
fn store_of_version(version: usize) -> (tempfile::TempDir, rusqlite::Connection) {
    let directory = directory();
    let old = shell(directory.path());
    MIGRATIONS[..version].iter().for_each(|statements| old.execute_batch(statements).expect("a migration"));
    old.pragma_update(None, "application_id", APPLICATION_ID).expect("ours");
    old.pragma_update(None, "user_version", version as i64).expect("a version");
    (directory, old)
}

#[test]
fn a_lane_whose_old_record_makes_no_sense_is_refused_rather_than_forgotten() {
    const CHANGED: &str = r#"{"ledger":{"last_change":{"at":1,"cooldown":2,"settle":3}}}"#;
    for (record, why) in [
        ("''", "its record is no JSON"),
        ("x'FF'", "its record is no JSON"),
        ("'{}'", "its record has no ledger"),
        ("'[]'", "its record has no ledger"),
        ("json_remove(?1, '$.ledger.last_change')", "its last change is incomplete"),
        ("json_remove(?1, '$.ledger.last_change.at')", "its last change is incomplete"),
        ("json_remove(?1, '$.ledger.last_change.settle')", "its last change is incomplete"),
        ("json_set(?1, '$.ledger.last_change.cooldown', 'long')", "its last change is incomplete"),
    ] {
        let (directory, old) = store_of_version(5);
        let insert = format!("INSERT INTO lanes (resource, record) SELECT 'api', {record} WHERE ?1 IS NOT NULL");
        old.execute(&insert, [CHANGED]).expect("a lane");
        drop(old);
        assert_says(&refusal(directory.path()), &["is corrupt (lane api: ", why]);
        let old = shell(directory.path());
        old.execute("UPDATE lanes SET record = ?1", [CHANGED]).expect("mended");
        drop(old);
        assert_eq!(open(directory.path()).contents().expect("readable").lanes.len(), 1, "nothing was changed before");
    }
}

/// What had indexes of its own in version 4 is found in other ways since.
#[tokio::test]
async fn the_logs_of_a_store_of_version_4_go_on() {
    let (directory, old) = store_of_version(4);
    let text = |record: &Job| serde_json::to_string(record).expect("serialisable");
    let (one, two) = (job(1, "worker"), job(2, "worker"));
    for (seq, job) in [(10, &one), (11, &two), (12, &one), (15, &one)] {
        old.execute(
            "INSERT INTO versions (seq, job, resource, earlier_steps, record) VALUES (?1, ?2, 'worker', 0, ?3)",
            params![seq, job.id.to_string(), text(job)],
        )
        .expect("a version");
    }
    for (event, job) in [(15, &one), (11, &two)] {
        old.execute(
            "INSERT INTO jobs (id, resource, state, created_at, record, event) VALUES (?1, 'worker', 'queued', '', ?2, ?3)",
            params![job.id.to_string(), text(job), event],
        )
        .expect("a job");
    }
    for (number, (_, entry)) in (70..).zip(readings(NOW, 1..=3)) {
        let record = serde_json::to_string(&entry).expect("serialisable");
        old.execute(
            "INSERT INTO timeline (resource, number, at_ms, record) VALUES ('worker', ?1, 0, ?2)",
            params![number, record],
        )
        .expect("an entry");
    }
    let attempt = |seq, shelf, action| {
        let row = params![seq, shelf, format!(r#"{{"at":{seq},"action":"{action}","outcome":"accepted"}}"#)];
        old.execute("INSERT INTO audit (seq, shelf, number, at, record) VALUES (?1, ?2, ?1 * 7, '', ?3)", row)
    };
    for (seq, shelf, action) in [
        (2, "obeyed", "create_key"),
        (3, "obeyed", "submit_job"),
        (4, "refused", "revoke_key"),
        (5, "obeyed", "revoke_key"),
    ] {
        attempt(seq, shelf, action).expect("an attempt");
    }
    drop(old);

    let mut journal = open(directory.path());
    let batch = Unit { history: readings(NOW, 4..=4), audit: vec![accepted_at(6)], ..Unit::default() };
    journal.put(&[batch]).expect("committed");
    journal.commit(&[jobs([one])], 16).expect("committed");
    let reader = SqliteReader::open(directory.path()).expect("readable");
    let versions = reader.versions(&EventFilter::Job(JobId::from_u128(1)), 10, 99, 9).await.expect("readable").versions;
    assert_eq!(versions.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [12, 15, 16]);
    let timeline = reader.timeline(&alias("worker"), None, 2).await.expect("readable");
    assert_eq!((timeline.entries.len(), timeline.next), (2, Some(Position(72))));
    let audit = reader.audit(None, 9).await.expect("readable").items();
    assert_eq!(audit.iter().map(|entry| entry.at.as_millis()).collect::<Vec<_>>(), [6, 5, 4, 3, 2]);
    let sql = "SELECT group_concat(shelf || seq, ' ') FROM audit";
    let shelves: String = shell(directory.path()).query_row(sql, [], |row| row.get(0)).expect("text");
    assert_eq!(shelves, "keys2 keys5 obeyed3 obeyed6 refused4");
}
