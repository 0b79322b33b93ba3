use std::collections::HashSet;

use rusqlite::types::Value;

use super::super::fixtures::*;
use super::super::prune::PRUNE_CHUNK;
use super::*;
use crate::domain::{ChangeState, Ending, ErrorCode, Job, JobError, JobId, JobState, LaneRecord, Stage};
use crate::store::KEY_RETENTION;

// ---- what is kept -----------------------------------------------------------------------------------------------

/// All rows of the tables that batches go into, but for the one of keys.
fn contents(directory: &Path) -> Vec<String> {
    let db = shell(directory);
    let rows = |table: &str| -> Vec<String> {
        let mut statement = db.prepare(&format!("SELECT * FROM {table}")).expect("a table");
        let columns = statement.column_count();
        let text = |row: &rusqlite::Row| {
            (0..columns).map(|column| row.get::<_, Value>(column)).map(|value| format!("{value:?}")).collect()
        };
        statement.query_map([], |row| Ok(text(row))).expect("rows").map(|row| row.expect("a row")).collect()
    };
    ["jobs", "lanes", "versions", "timeline", "audit", "answers"].into_iter().flat_map(rows).collect()
}

/// Whether the disk is slow, so that many batches wait for it and are committed together, or quick: what is on it is
/// the same.
#[test]
fn a_group_of_batches_leaves_behind_what_single_ones_do() {
    let step = |id, version| Job { id: JobId::from_u128(id), version, ..eventful_job() };
    let lanes = |lanes: Vec<LaneRecord>| Unit { lanes: written(lanes), ..Unit::default() };
    let forget = |name| Unit { lanes: removed(&[name]), ..Unit::default() };
    let batches = [
        Unit { lanes: written([lane("api", None), lane("worker", None)]), ..jobs([step(1, 1), step(2, 1)]) },
        Unit { history: readings(NOW, 1..=2), audit: vec![accepted_at(1)], ..jobs([step(2, 2), step(3, 1)]) },
        Unit { audit: vec![accepted_at(2), accepted_at(3)], ..jobs([step(2, 3), step(1, 2)]) },
        lanes(vec![lane("worker", Some(Stage::Intended)), lane("web", None)]),
        forget("api"),
        lanes(vec![lane("worker", Some(Stage::Acknowledged)), lane("api", None)]),
        Unit { entries: vec![entry("key", NOW)], history: readings(NOW, 3..=3), ..forget("web") },
        jobs([Job { state: JobState::Ended(Ending::Canceled), ..step(2, 4) }, step(3, 2), step(3, 3)]),
    ];
    let store = |groups: Vec<&[Unit]>| {
        let directory = directory();
        let mut journal = open(directory.path());
        let mut next_event = 1;
        for group in groups {
            journal.commit(group, next_event).expect("committed");
            next_event += group.iter().map(|unit| unit.jobs.len() as EventId).sum::<EventId>();
        }
        contents(directory.path())
    };
    let one_by_one = store(batches.chunks(1).collect());
    assert!(one_by_one.len() > 20, "{one_by_one:?}");
    for size in 2..=batches.len() {
        assert_eq!(store(batches.chunks(size).collect()), one_by_one, "in groups of {size}");
    }
}

#[test]
fn a_group_of_batches_is_committed_whole_or_not_at_all() {
    let directory = directory();
    let mut journal = open(directory.path());
    journal.put(&[jobs([job(1, "worker")])]).expect("committed");
    shell(directory.path())
        .execute_batch(
            "CREATE TRIGGER refuse BEFORE INSERT ON lanes WHEN NEW.resource = 'cursed' \
             BEGIN SELECT RAISE(ABORT, 'cursed'); END",
        )
        .expect("a trigger");
    let cursed = Unit { lanes: written([lane("cursed", None)]), ..jobs([job(3, "worker")]) };
    let error = journal.put(&[jobs([job(2, "worker")]), cursed.clone()]).expect_err("refused");
    assert!(matches!(error, SqliteError::Sqlite { .. }), "{error}");
    assert_eq!(loaded_ids(&mut journal), [1], "nothing of the group is there");
    shell(directory.path()).execute_batch("DROP TRIGGER refuse").expect("no trigger");
    journal.put(&[jobs([job(2, "worker")]), cursed]).expect("it works again");
    assert_eq!(loaded_ids(&mut journal), [1, 2, 3]);
}

#[test]
fn the_last_clock_comes_back_after_a_restart_with_the_lanes_that_are_by_it() {
    let directory = directory();
    let mut journal = open(directory.path());
    assert_eq!(journal.clock_anchor().expect("readable"), None);
    journal.put(&[Unit { lanes: written([lane("a", None), lane("b", None)]), ..Unit::default() }]).expect("committed");
    let hour = Duration::from_hours(1);
    for (boot, forward) in [("first", Duration::ZERO), ("second", hour)] {
        journal.change_clock(Some(&anchor(boot)), NOW, NOW + forward).expect("changed");
    }
    drop(journal);
    let mut journal = open(directory.path());
    assert_eq!(journal.clock_anchor().expect("readable"), Some(anchor("second")));
    let change_states: Vec<ChangeState> =
        journal.contents().expect("readable").lanes.iter().map(|lane| lane.change_state).collect();
    let mut moved = lane("a", None).change_state;
    moved.carry_over(NOW, NOW + hour);
    assert_ne!(moved, lane("a", None).change_state);
    assert_eq!(change_states, [moved; 2]);
    journal.change_clock(None, NOW, NOW).expect("changed");
    assert_eq!(journal.clock_anchor().expect("readable"), None);
}

/// A clock that was two days behind is right now: what ended, and was answered, a minute ago did so a minute ago.
#[test]
fn ages_stay_the_same_when_the_clock_changes() {
    let directory = directory();
    let mut journal = open(directory.path());
    let two_days = Duration::from_hours(48);
    let ended = Job { state: JobState::Ended(Ending::Succeeded), finished_at: Some(NOW), ..job(1, "worker") };
    let batch = Unit { entries: vec![entry("key", NOW)], history: readings(NOW, 1..=1), ..jobs([ended]) };
    journal.put(&[batch]).expect("committed");
    journal.change_clock(Some(&anchor("this")), NOW, NOW + two_days).expect("changed");
    let retention = Retention { age: Duration::from_hours(1), count: 10 };
    let later = NOW + two_days;
    assert_eq!(journal.prune(retention, later + Duration::from_mins(1), None).expect("pruned").jobs.len(), 0);
    assert_eq!(timeline_length(directory.path()), 1);
    assert_eq!(kept_entry(&mut journal, "key").map(|answer| answer.answered_at), Some(later));
    assert_eq!(journal.prune(retention, later + retention.age, None).expect("pruned").jobs.len(), 1);
    assert_eq!(timeline_length(directory.path()), 0);
}

#[test]
fn a_clock_changes_together_with_the_lanes_or_not_at_all() {
    let directory = directory();
    let mut journal = open(directory.path());
    journal.put(&[Unit { lanes: written([lane("a", None)]), ..Unit::default() }]).expect("committed");
    journal.change_clock(Some(&anchor("first")), NOW, NOW).expect("changed");
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON clock BEGIN SELECT RAISE(ABORT, 'refused'); END";
    shell(directory.path()).execute_batch(refuse).expect("a trigger");
    assert!(journal.change_clock(Some(&anchor("second")), NOW, NOW + Duration::from_hours(1)).is_err());
    assert_eq!(journal.clock_anchor().expect("readable"), Some(anchor("first")));
    assert_eq!(journal.contents().expect("readable").lanes, [lane("a", None)]);
}

#[test]
fn a_clock_that_makes_no_sense_is_none() {
    let directory = directory();
    let mut journal = open(directory.path());
    for nonsense in ["uptime_ms = -1", "uptime_ms = 'long'", "shown_ms = 0.5", "boot = x'00'"] {
        journal.change_clock(Some(&anchor("this")), NOW, NOW).expect("changed");
        shell(directory.path()).execute_batch(&format!("UPDATE clock SET {nonsense}")).expect("updated");
        assert_eq!(journal.clock_anchor().expect("readable"), None, "{nonsense}");
    }
}

#[test]
fn every_commit_is_synced() {
    let directory = directory();
    let mut journal = open(directory.path());
    for _ in 0..2 {
        let pragma = |name| journal.db.pragma_query_value(None, name, |row| row.get::<_, String>(0));
        assert_eq!(pragma("journal_mode"), Ok("wal".into()));
        let level: i64 = journal.db.pragma_query_value(None, "synchronous", |row| row.get(0)).expect("a level");
        assert_eq!(level, 2, "FULL");
        journal.contents().expect("a new connection");
        journal.record(&[observed("worker", 0, [sample(1, 1.0)])]).expect("recorded");
    }
}

/// The settings of a job in their stored form, which is pinned beside them.
fn default_settings() -> String {
    serde_json::to_string(&crate::domain::Settings::DEFAULT).expect("serialisable")
}

/// The stored form outlives releases: what fails here needs a migration, or a default for what older records lack.
#[test]
fn the_stored_form_is_this() {
    let directory = directory();
    let mut journal = open(directory.path());
    let since = NOW + Duration::from_secs(60);
    let unknown = Unit { lanes: written([lane("worker", Some(Stage::Unknown { since }))]), ..jobs([eventful_job()]) };
    journal.put(&[unknown]).expect("committed");
    let stored = |sql: &str| -> String { shell(directory.path()).query_row(sql, [], |row| row.get(0)).expect("a row") };
    assert_eq!(
        stored("SELECT record FROM jobs").replace(&default_settings(), "…"),
        concat!(
            r#"{"id":"00000000-0000-0000-0000-000000000007","resource":"worker","goal":{"delta":4},"#,
            r#""settings":…,"reason":"queue depth 812","labels":{"team":"data"},"#,
            r#""trace":{"traceparent":"00-00000000000000000000000000000007-0000000000000008-01","tracestate":"vendor=1"},"#,
            r#""submitted_by":{"key":"Ab0Ab0Ab0A","name":"ci"},"canceled_by":{"key":"Ab0Ab0Ab0A","name":"ci"},"#,
            r#""created_at":1800000000000,"deadline_at":1800086400000,"state":"running","#,
            r#""ending":{"superseded":{"by":"00000000-0000-0000-0000-000000000008"}},"target":5,"start":1,"#,
            r#""current":3,"waiting":{"reason":"cooldown","until":1800000300000,"detail":"Cooling down."},"#,
            r#""steps":[{"op":"add","units":2,"from":1,"to":3,"sent_at":1800000000000,"#,
            r#""resolved_at":1800000000000,"outcome":"confirmed"},{"op":"remove","units":1,"from":3,"to":2,"#,
            r#""sent_at":null,"resolved_at":null,"outcome":"pending"}],"#,
            r#""external_changes":[{"noticed_at":1800000000000,"from":3,"to":4}],"#,
            r#""patience":{"active_by":1800000000000,"reading_by":null,"fresh_by":1800000000000},"#,
            r#""trouble":{"detail":"status 500","answer":{"status":500,"body":"{\"name\":\"fault\"}"}},"#,
            r#""estimated_completion_at":1800000600000,"started_at":1800000000000,"updated_at":1800000000000,"#,
            r#""version":17}"#,
        )
    );
    let columns =
        "concat_ws(' ', resource, changed_ms, op, cooldown_ms, settle_ms, fresh_from_ms, expected, provisioning_ms)";
    assert_eq!(
        stored(&format!("SELECT {columns} FROM lanes")),
        "worker 1800000000000 add 300000 90000 1800000000000 3 60000"
    );
    assert_eq!(stored("SELECT step_durations FROM lanes"), r#"{"up":[60000,61000],"down":[7000]}"#);
    assert_eq!(
        stored("SELECT change FROM lanes"),
        concat!(
            r#"{"job":"00000000-0000-0000-0000-000000000007","op":"add","units":2,"from":1,"to":3,"#,
            r#""sent":{"at":1800000000000,"op":"add","cooldown":300000,"settle":90000},"patience":900000,"#,
            r#""stage":{"unknown":{"since":1800000060000}}}"#,
        )
    );
    let schema = stored("SELECT group_concat(sql, ';' || char(10)) FROM sqlite_schema WHERE sql IS NOT NULL");
    for column in ["seq         INTEGER PRIMARY KEY", "id          TEXT    NOT NULL UNIQUE", "finished_ms INTEGER"] {
        assert!(schema.contains(column), "{schema}");
    }
    journal.change_clock(Some(&anchor("this")), NOW, NOW).expect("changed");
    assert_eq!(stored("SELECT only || boot || uptime_ms || '-' || shown_ms FROM clock"), "1this5000-1800000000000");
    let columns = "SELECT id || resource || state || created_at || coalesce(finished_ms, '-') FROM jobs";
    assert_eq!(stored(columns), "00000000-0000-0000-0000-000000000007workerrunning2027-01-15T08:00:00.000Z-");
}

/// Earlier releases wrote down what a job does not have, too.
#[test]
fn what_a_job_does_not_have_may_be_in_its_record_or_not() {
    let job = job(7, "worker");
    let written = serde_json::to_string(&job).expect("serialisable");
    assert_eq!(
        written.replace(&default_settings(), "…"),
        concat!(
            r#"{"id":"00000000-0000-0000-0000-000000000007","resource":"worker","goal":{"target":5},"#,
            r#""settings":…,"created_at":1800000000000,"deadline_at":1800086400000,"#,
            r#""state":"queued","target":5,"updated_at":1800000000000,"version":1}"#,
        )
    );
    let nothing = concat!(
        r#","reason":null,"labels":{},"ending":null,"start":null,"current":null,"waiting":null,"steps":[],"#,
        r#""external_changes":[],"patience":{"active_by":null,"reading_by":null,"fresh_by":null},"trouble":null,"#,
        r#""estimated_completion_at":null,"started_at":null,"finished_at":null}"#,
    );
    let earlier = written.strip_suffix('}').map(|fields| format!("{fields}{nothing}")).expect("an object");
    for record in [written, earlier] {
        assert_eq!(serde_json::from_str::<Job>(&record).expect("a job"), job);
    }
}

#[test]
fn endings_are_stored_like_this() {
    let error = JobError::new(ErrorCode::DeadlineExceeded, "Too late.");
    for (ending, expected) in [
        (Ending::Succeeded, r#"{"ended":"succeeded"}"#),
        (Ending::Canceled, r#"{"ended":"canceled"}"#),
        (
            Ending::Failed(error),
            r#"{"ended":{"failed":{"code":"deadline_exceeded","message":"Too late.","sidecar":null}}}"#,
        ),
    ] {
        assert_eq!(serde_json::to_string(&JobState::Ended(ending)).expect("serialisable"), expected);
    }
    for (stage, expected) in [(Stage::Intended, r#""intended""#), (Stage::Acknowledged, r#""acknowledged""#)] {
        assert_eq!(serde_json::to_string(&stage).expect("serialisable"), expected);
    }
}

fn kept_entry(journal: &mut SqliteJournal, key: &str) -> Option<IdempotencyEntry> {
    journal.contents().expect("readable").entries.into_iter().find(|entry| entry.key == key)
}

// ---- what is removed --------------------------------------------------------------------------------------------

fn prune_all(journal: &mut SqliteJournal, retention: Retention, now: Timestamp) -> Vec<usize> {
    let mut rounds = Vec::new();
    loop {
        let pruned = journal.prune(retention, now, None).expect("pruned");
        rounds.push(pruned.jobs.len());
        if !pruned.more {
            return rounds;
        }
    }
}

#[test]
fn too_many_finished_jobs_are_removed_oldest_end_first_a_chunk_at_a_time() {
    let directory = directory();
    let mut journal = open(directory.path());
    let total = PRUNE_CHUNK as u128 * 2 + 10;
    // The later submitted, the earlier ended.
    let later = |id: u128| NOW + Duration::from_millis((total - id) as u64);
    journal.put(&[jobs((0..total).map(|id| ended(id, Ending::Succeeded, later(id))))]).expect("committed");
    journal.put(&[jobs([job(total, "worker")])]).expect("committed");
    let retention = Retention { count: 7, ..ALL_KEPT };
    assert_eq!(prune_all(&mut journal, retention, NOW), [PRUNE_CHUNK, PRUNE_CHUNK, 3]);
    assert_eq!(loaded_ids(&mut journal), [0, 1, 2, 3, 4, 5, 6, total]);
}

#[test]
fn jobs_that_ended_together_are_not_all_removed_because_one_is_too_many() {
    let directory = directory();
    let mut journal = open(directory.path());
    journal.put(&[jobs((0..10).map(|id| ended(id, Ending::Canceled, NOW)))]).expect("committed");
    assert_eq!(prune_all(&mut journal, Retention { count: 8, ..ALL_KEPT }, NOW), [2]);
    assert_eq!(loaded_ids(&mut journal), [2, 3, 4, 5, 6, 7, 8, 9]);
}

fn timeline_length(directory: &Path) -> usize {
    shell(directory).query_row("SELECT count(*) FROM timeline", [], |row| row.get(0)).expect("a number")
}

#[test]
fn timelines_are_removed_by_age_a_chunk_at_a_time() {
    let directory = directory();
    let mut journal = open(directory.path());
    let total = PRUNE_CHUNK as u32 + 10;
    let young = NOW + Duration::from_millis(1);
    let history = readings(NOW, 1..=total).into_iter().chain(readings(young, 1..=1)).collect();
    journal.put(&[Unit { history, ..Unit::default() }]).expect("committed");
    journal.prune(ALL_KEPT, NOW + ALL_KEPT.age - Duration::from_millis(1), None).expect("pruned");
    assert_eq!(timeline_length(directory.path()), PRUNE_CHUNK + 11, "none is old enough");
    assert_eq!(prune_all(&mut journal, ALL_KEPT, NOW + ALL_KEPT.age), [0, 0]);
    assert_eq!(timeline_length(directory.path()), 1);
    // Where nothing is left, no number is given out again: a caller may still have it in a page token.
    let largest = || -> i64 {
        shell(directory.path()).query_row("SELECT max(number) FROM timeline", [], |row| row.get(0)).expect("a number")
    };
    let before = largest();
    prune_all(&mut journal, ALL_KEPT, young + ALL_KEPT.age);
    assert_eq!(timeline_length(directory.path()), 0);
    let later = NOW + Duration::from_secs(1);
    journal.put(&[Unit { history: readings(later, 1..=1), ..Unit::default() }]).expect("committed");
    assert!(largest() > before, "{} after {before}", largest());
}

#[test]
fn ids_of_versions_begin_with_the_time_and_go_on_after_a_restart() {
    let directory = directory();
    let mut journal = open(directory.path());
    let first = journal.contents().expect("readable").next_event;
    let now = u64::try_from(crate::clock::wall_now().as_millis()).expect("after 1970");
    assert!((now - 60_000..=now).contains(&first), "{first} at {now}");
    assert_eq!(journal.contents().expect("readable").next_event, first, "as long as none is used");
    journal.commit(&[jobs([ended(1, Ending::Canceled, NOW)])], first + 7).expect("committed");
    journal.prune(Retention { age: Duration::ZERO, count: 0 }, NOW + Duration::from_secs(1), None).expect("pruned");
    drop(journal);
    let snapshot = open(directory.path()).contents().expect("readable");
    assert_eq!((snapshot.jobs.len(), snapshot.next_event), (0, first + 8), "also if no job is left");
}

#[test]
fn answers_are_removed_a_chunk_at_a_time() {
    let directory = directory();
    let mut journal = open(directory.path());
    let entries = (0..=PRUNE_CHUNK).map(|number| entry(&number.to_string(), NOW));
    journal.put(&[Unit { entries: entries.collect(), ..Unit::default() }]).expect("committed");
    for (is_more, left) in [(true, 1), (false, 0)] {
        assert_eq!(journal.prune(ALL_KEPT, NOW + KEY_RETENTION, None).expect("pruned").more, is_more);
        assert_eq!(journal.contents().expect("readable").entries.len(), left);
    }
}

// ---- what is refused --------------------------------------------------------------------------------------------

/// A store with some hundred jobs in one file, without a write-ahead log beside it.
fn settled_store() -> tempfile::TempDir {
    let directory = directory();
    let mut journal = open(directory.path());
    journal.put(&[jobs((0..300).map(|id| job(id, "worker")))]).expect("committed");
    drop(journal);
    assert!(!directory.path().join("scalegate.db-wal").exists(), "closing moves it into the database");
    directory
}

#[test]
fn refuses_records_that_make_no_sense_and_names_them() {
    for (statement, detail) in [
        ("UPDATE jobs SET record = '{}'", "job 00000000-0000-0000-0000-000000000001: missing field `id`"),
        ("UPDATE lanes SET change = x'FF'", "lane api: "),
        ("UPDATE lanes SET change = '{}'", "lane api: missing field `job`"),
        ("UPDATE lanes SET op = 'double'", "lane api: there is no operation double"),
        ("UPDATE lanes SET settle_ms = NULL", "lane api: a wait is missing"),
        ("UPDATE lanes SET cooldown_ms = -1", "lane api: "),
        ("UPDATE lanes SET expected = 'many'", "lane api: "),
        ("UPDATE lanes SET resource = '../api'", "lane ../api: must begin with a letter or a digit"),
        ("UPDATE answers SET job = 'null and void'", "idempotency key key: "),
    ] {
        let directory = directory();
        let mut journal = open(directory.path());
        let batch =
            Unit { lanes: written([lane("api", None)]), entries: vec![entry("key", NOW)], ..jobs([job(1, "worker")]) };
        journal.put(&[batch]).expect("committed");
        shell(directory.path()).execute_batch(statement).expect("updated");
        let error = journal.contents().expect_err("no sense");
        assert_says(&error, &["is corrupt (", detail]);
    }
}

#[test]
fn refuses_a_directory_that_is_in_use_and_names_the_process() {
    let directory = directory();
    let journal = open(directory.path());
    let error = refusal(directory.path());
    let pid = std::process::id();
    assert!(matches!(error, SqliteError::InUse { holder, .. } if holder == Some(pid)), "{error:?}");
    assert_says(&error, &[&format!("(process {pid})"), "stop that one, or choose another directory"]);
    drop(journal);
    open(directory.path());
}

#[test]
fn refuses_a_directory_that_cannot_be_used() {
    let directory = directory();
    let file = directory.path().join("file");
    std::fs::write(&file, "").expect("written");
    let error = refusal(&file.join("data"));
    assert!(matches!(error, SqliteError::Directory { .. }), "{error:?}");
    assert_says(&error, &["file/data", "choose another one"]);
    assert!(std::error::Error::source(&error).is_some(), "the system's reason goes with it");
}

#[test]
fn refuses_a_store_it_can_only_read() {
    let directory = settled_store();
    let mut journal = open(directory.path());
    journal.db.pragma_update(None, "query_only", true).expect("read only");
    let error = schema::try_to_write(&mut journal.db).expect_err("read only");
    assert_says(&journal.explain(error), &["scalegate.db", "let this process write to it"]);
    journal.contents().expect("a new connection can write");
}

#[test]
fn creates_missing_directories_and_can_be_read_with_a_shell_meanwhile() {
    let directory = directory();
    let nested = directory.path().join("a/b");
    let mut journal = open(&nested);
    let reader = shell(&nested);
    reader.execute_batch("BEGIN; SELECT count(*) FROM jobs").expect("a read transaction");
    journal.put(&[jobs([job(1, "worker")])]).expect("a reader does not stop the writer");
    let ids: HashSet<u128> = loaded_ids(&mut journal).into_iter().collect();
    assert_eq!(ids, [1].into());
}

/// A statement that is parsed anew with each commit takes longer than what it does.
#[test]
fn statements_are_parsed_once() {
    let directory = directory();
    let journal = open(directory.path());
    let parsed = || {
        let sql = "SELECT max(number) FROM timeline WHERE resource = ?1";
        let mut statement = journal.db.prepare_cached(sql).expect("a statement");
        for name in ["one", "two", "three"] {
            statement.query_row([name], |row| row.get::<_, Option<i64>>(0)).expect("a row");
        }
        statement.get_status(rusqlite::StatementStatus::RePrepare)
    };
    assert_eq!(parsed(), 0);
}

/// Too large to be checked when it is opened, and no less checked for that.
#[test]
fn a_large_store_is_checked_after_it_was_opened() {
    use std::os::unix::fs::FileExt as _;
    const PAGE_BYTES: u64 = 4096;
    let directory = directory();
    drop(open(directory.path()));
    let megabytes = CHECKED_AT_ONCE_BYTES >> 20;
    let db = shell(directory.path());
    db.execute(
        "WITH RECURSIVE numbers (seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM numbers WHERE seq < ?1) \
         INSERT INTO versions (seq, job, resource, earlier_steps, record) \
         SELECT seq, '', '', 0, zeroblob(1 << 20) FROM numbers",
        [megabytes as i64],
    )
    .expect("filled");
    let sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'jobs_by_state'";
    let page: u64 = db.query_row(sql, [], |row| row.get(0)).expect("an index");
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("written back");
    drop(db);
    check_large(directory.path()).expect("sound");
    let file = File::options().write(true).open(database_path(directory.path())).expect("a database");
    file.write_all_at(&[0xff; 100], (page - 1) * PAGE_BYTES).expect("damaged");
    let journal = open(directory.path());
    assert_says(&check_large(directory.path()).expect_err("damaged"), &["is corrupt (", "restore a backup"]);
    drop(journal);
}
