use std::collections::HashSet;

use super::*;
use crate::domain::{
    Alias, Capacity, Change, Ending, ErrorCode, ExternalChange, Goal, JobError, JobRequest, JobState, Ledger, Move,
    OnConflict, Op, Patience, SentChange, Settings, SidecarAnswer, Stage, Step, StepOutcome, Trouble, WaitReason,
};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const ALL_KEPT: Retention = Retention { age: Duration::from_hours(24), count: 1000 };

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

fn open(directory: &Path) -> SqliteJournal {
    SqliteJournal::open(directory).expect("a store")
}

/// Somebody with an `sqlite3` shell.
fn shell(directory: &Path) -> Connection {
    Connection::open(database_path(directory)).expect("a database")
}

fn units(units: i64) -> Capacity {
    Capacity::new(units).expect("a small number")
}

fn alias(name: &str) -> Alias {
    name.parse().expect("an alias")
}

fn job(id: u128, resource: &str) -> Job {
    let request = JobRequest {
        resource: alias(resource),
        goal: Goal::Target(units(5)),
        overrides: Default::default(),
        on_conflict: OnConflict::Reject,
        reason: None,
        labels: Default::default(),
    };
    Job { version: 1, ..Job::accept(JobId::from_u128(id), request, Settings::DEFAULT, NOW) }
}

fn ended(id: u128, ending: Ending, at: Timestamp) -> Job {
    let mut job = job(id, "worker");
    job.end(ending, at);
    job
}

/// A job in which nothing is left out.
fn eventful_job() -> Job {
    let movement = Move::toward(units(1), units(5), 2).expect("a distance");
    let answer = SidecarAnswer { status: 500, body: "{\"name\":\"fault\"}".into() };
    let mut job = Job { goal: Goal::Delta(4), target: Some(units(5)), ..job(0x7, "worker") };
    job.reason = Some("queue depth 812".into());
    job.labels.insert("team".into(), "data".into());
    job.state = JobState::Running;
    job.ending = Some(Ending::Superseded { by: JobId::from_u128(8) });
    job.start = Some(units(1));
    job.current = Some(units(3));
    job.wait(WaitReason::Cooldown, NOW + Duration::from_secs(300), "Cooling down.".into());
    job.steps = vec![
        Step { outcome: StepOutcome::Confirmed, sent_at: Some(NOW), resolved_at: Some(NOW), ..Step::pending(movement) },
        Step::pending(Move::toward(units(3), units(1), 1).expect("a distance")),
    ];
    job.external_changes = vec![ExternalChange { noticed_at: NOW, from: units(3), to: units(4) }];
    job.patience = Patience { active_by: Some(NOW), reading_by: None, fresh_by: Some(NOW) };
    job.trouble = Some(Trouble { detail: "status 500".into(), answer: Some(answer) });
    job.estimated_completion_at = Some(NOW + Duration::from_secs(600));
    job.started_at = Some(NOW);
    job.version = 17;
    job
}

fn lane(resource: &str, stage: Option<Stage>) -> LaneRecord {
    let sent =
        SentChange { at: NOW, op: Some(Op::Add), cooldown: Duration::from_secs(300), settle: Duration::from_secs(90) };
    let movement = Move::toward(units(1), units(5), 2).expect("a distance");
    let patience = Duration::from_secs(900);
    LaneRecord {
        resource: alias(resource),
        ledger: Ledger {
            last_change: Some(sent),
            fresh_from: Some(NOW),
            expected: Some(units(3)),
            provisioning: Some(Duration::from_secs(60)),
        },
        change: stage.map(|stage| Change { job: JobId::from_u128(7), movement, sent, patience, stage }),
    }
}

fn answer(key: &str, answered_at: Timestamp) -> KeyedAnswer {
    KeyedAnswer { key: key.into(), fingerprint: [7; 32], joined: true, job: Arc::new(job(7, "worker")), answered_at }
}

fn anchor(boot: &str) -> Anchor {
    Anchor { boot: boot.into(), uptime: Duration::from_secs(5), shown: NOW }
}

fn of_lanes(lanes: Vec<LaneRecord>) -> Snapshot {
    Snapshot { lanes, ..Snapshot::default() }
}

fn jobs(jobs: impl IntoIterator<Item = Job>) -> Batch {
    Batch { jobs: jobs.into_iter().map(Arc::new).collect(), ..Batch::default() }
}

fn loaded_ids(journal: &mut SqliteJournal) -> Vec<u128> {
    journal.load().expect("readable").jobs.iter().map(|job| job.id.as_u128()).collect()
}

// ---- what is kept -----------------------------------------------------------------------------------------------

#[test]
fn what_is_committed_comes_back_after_a_restart() {
    let error = JobError {
        code: ErrorCode::SidecarRejected,
        message: "The sidecar refused.".into(),
        sidecar: Some(SidecarAnswer { status: 400, body: "no".into() }),
    };
    let batch = Batch {
        jobs: [
            job(1, "worker"),
            Job { state: JobState::Running, ..job(2, "worker") },
            ended(3, Ending::Succeeded, NOW),
            ended(4, Ending::Failed(error), NOW),
            ended(5, Ending::Canceled, NOW),
            ended(6, Ending::Superseded { by: JobId::from_u128(5) }, NOW),
            eventful_job(),
        ]
        .map(Arc::new)
        .into(),
        lanes: vec![
            LaneRecord { resource: alias("new"), ledger: Ledger::default(), change: None },
            lane("quiet", None),
            lane("intended", Some(Stage::Intended)),
            lane("acknowledged", Some(Stage::Acknowledged)),
            lane("unknown", Some(Stage::Unknown { since: NOW })),
        ],
        forgotten_lanes: vec![],
        answers: vec![answer("key", NOW)],
    };
    let directory = directory();
    let mut journal = open(directory.path());
    assert_eq!(journal.load().expect("readable"), Snapshot::default(), "a new store is empty");
    journal.commit(std::slice::from_ref(&batch)).expect("committed");
    let keys = vec![UsedKey {
        key: "key".into(),
        resource: "worker".parse().expect("an alias"),
        fingerprint: [7; 32],
        answered_at: NOW,
    }];
    let expected = Snapshot { lanes: batch.lanes, jobs: batch.jobs, keys };
    assert_eq!(journal.load().expect("readable"), expected);
    drop(journal);
    let mut reopened = open(directory.path());
    assert_eq!(reopened.load().expect("readable"), expected);
    assert_eq!(reopened.answer("key").expect("readable"), Some(answer("key", NOW)));
    assert_eq!(reopened.answer("another").expect("readable"), None);
}

#[test]
fn a_new_version_takes_the_place_of_the_old_one_and_keeps_its_rank() {
    let directory = directory();
    let mut journal = open(directory.path());
    journal.commit(&[jobs([job(3, "worker"), job(1, "worker")]), jobs([job(2, "api")])]).expect("committed");
    let changed = Job { version: 2, ..ended(3, Ending::Canceled, NOW) };
    journal.commit(&[jobs([changed.clone()])]).expect("committed");
    let snapshot = journal.load().expect("readable");
    assert_eq!(snapshot.jobs.iter().map(|job| job.id.as_u128()).collect::<Vec<_>>(), [3, 1, 2]);
    assert_eq!(*snapshot.jobs[0], changed);

    journal
        .commit(&[Batch { lanes: vec![lane("worker", None), lane("api", None)], ..Batch::default() }])
        .expect("committed");
    let update = Batch { lanes: vec![lane("worker", Some(Stage::Intended))], ..Batch::default() };
    let forget = Batch { forgotten_lanes: vec![alias("api"), alias("never-seen")], ..Batch::default() };
    journal.commit(&[update.clone(), forget]).expect("committed");
    assert_eq!(journal.load().expect("readable").lanes, update.lanes);
}

#[test]
fn a_group_of_batches_is_committed_whole_or_not_at_all() {
    let directory = directory();
    let mut journal = open(directory.path());
    journal.commit(&[jobs([job(1, "worker")])]).expect("committed");
    shell(directory.path())
        .execute_batch(
            "CREATE TRIGGER refuse BEFORE INSERT ON lanes WHEN NEW.resource = 'cursed' \
             BEGIN SELECT RAISE(ABORT, 'cursed'); END",
        )
        .expect("a trigger");
    let cursed = Batch { lanes: vec![lane("cursed", None)], ..jobs([job(3, "worker")]) };
    let error = journal.commit(&[jobs([job(2, "worker")]), cursed.clone()]).expect_err("refused");
    assert!(matches!(error, StoreError::Sqlite { .. }), "{error}");
    assert_eq!(loaded_ids(&mut journal), [1], "nothing of the group is there");
    shell(directory.path()).execute_batch("DROP TRIGGER refuse").expect("no trigger");
    journal.commit(&[jobs([job(2, "worker")]), cursed]).expect("it works again");
    assert_eq!(loaded_ids(&mut journal), [1, 2, 3]);
}

#[test]
fn the_last_clock_comes_back_after_a_restart_with_the_lanes_that_are_by_it() {
    let directory = directory();
    let mut journal = open(directory.path());
    assert_eq!(journal.clock_anchor().expect("readable"), None);
    journal.commit(&[Batch { lanes: vec![lane("a", None), lane("b", None)], ..Batch::default() }]).expect("committed");
    for (boot, lanes) in
        [("first", vec![]), ("second", vec![LaneRecord { ledger: Ledger::default(), ..lane("b", None) }])]
    {
        journal.change_clock(Some(&anchor(boot)), &of_lanes(lanes), 0).expect("changed");
    }
    drop(journal);
    let mut journal = open(directory.path());
    assert_eq!(journal.clock_anchor().expect("readable"), Some(anchor("second")));
    let ledgers: Vec<Ledger> = journal.load().expect("readable").lanes.iter().map(|lane| lane.ledger).collect();
    assert_eq!(ledgers, [lane("a", None).ledger, Ledger::default()]);
    journal.change_clock(None, &of_lanes(vec![]), 0).expect("changed");
    assert_eq!(journal.clock_anchor().expect("readable"), None);
}

/// A clock that was two days behind is right now: what ended, and was answered, a minute ago did so a minute ago.
#[test]
fn ages_stay_the_same_when_the_clock_changes() {
    let directory = directory();
    let mut journal = open(directory.path());
    let two_days = Duration::from_hours(48);
    let ended = Job { state: JobState::Ended(Ending::Succeeded), finished_at: Some(NOW), ..job(1, "worker") };
    let batch = Batch { answers: vec![answer("key", NOW)], ..jobs([ended]) };
    journal.commit(&[batch]).expect("committed");
    journal.change_clock(Some(&anchor("this")), &Snapshot::default(), two_days.as_millis() as i64).expect("changed");
    let retention = Retention { age: Duration::from_hours(1), count: 10 };
    let later = NOW + two_days;
    assert_eq!(journal.prune(retention, later + Duration::from_mins(1)).expect("pruned").len(), 0);
    assert_eq!(journal.answer("key").expect("readable").map(|answer| answer.answered_at), Some(later));
    assert_eq!(journal.prune(retention, later + retention.age).expect("pruned").len(), 1);
}

#[test]
fn a_clock_changes_together_with_the_lanes_or_not_at_all() {
    let directory = directory();
    let mut journal = open(directory.path());
    journal.change_clock(Some(&anchor("first")), &of_lanes(vec![lane("a", None)]), 0).expect("changed");
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON clock BEGIN SELECT RAISE(ABORT, 'refused'); END";
    shell(directory.path()).execute_batch(refuse).expect("a trigger");
    let moved = LaneRecord { ledger: Ledger::default(), ..lane("a", None) };
    assert!(journal.change_clock(Some(&anchor("second")), &of_lanes(vec![moved]), 0).is_err());
    assert_eq!(journal.clock_anchor().expect("readable"), Some(anchor("first")));
    assert_eq!(journal.load().expect("readable").lanes, [lane("a", None)]);
}

#[test]
fn a_clock_that_makes_no_sense_is_none() {
    let directory = directory();
    let mut journal = open(directory.path());
    for nonsense in ["uptime_ms = -1", "uptime_ms = 'long'", "shown_ms = 0.5", "boot = x'00'"] {
        journal.change_clock(Some(&anchor("this")), &of_lanes(vec![]), 0).expect("changed");
        shell(directory.path()).execute_batch(&format!("UPDATE clock SET {nonsense}")).expect("updated");
        assert_eq!(journal.clock_anchor().expect("readable"), None, "{nonsense}");
    }
}

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

#[test]
fn a_store_of_version_1_becomes_a_current_one_and_loses_nothing() {
    let directory = directory();
    let old = shell(directory.path());
    old.execute_batch(VERSION_1).expect("version 1");
    let contents =
        Batch { lanes: vec![lane("worker", None)], answers: vec![answer("key", NOW)], ..jobs([eventful_job()]) };
    write_batch(&old, &contents).expect("the statements of today fit");
    drop(old);
    let mut journal = open(directory.path());
    let snapshot = journal.load().expect("readable");
    assert_eq!((&snapshot.jobs, &snapshot.lanes), (&contents.jobs, &contents.lanes));
    assert_eq!(journal.answer("key").expect("readable").as_ref(), contents.answers.first());
    assert_eq!(journal.clock_anchor().expect("readable"), None);
    journal.change_clock(Some(&anchor("this")), &of_lanes(vec![]), 0).expect("changed");
    drop(journal);
    assert_eq!(open(directory.path()).clock_anchor().expect("readable"), Some(anchor("this")));
    let version: i64 =
        shell(directory.path()).pragma_query_value(None, "user_version", |row| row.get(0)).expect("a version");
    assert_eq!(version, 2);
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
        journal.load().expect("a new connection");
    }
}

/// The stored form outlives releases: what fails here needs a migration, or a default for what older records lack.
#[test]
fn the_stored_form_is_this() {
    let directory = directory();
    let mut journal = open(directory.path());
    let since = NOW + Duration::from_secs(60);
    let unknown = Batch { lanes: vec![lane("worker", Some(Stage::Unknown { since }))], ..jobs([eventful_job()]) };
    journal.commit(&[unknown]).expect("committed");
    let stored = |sql: &str| -> String { shell(directory.path()).query_row(sql, [], |row| row.get(0)).expect("a row") };
    assert_eq!(
        stored("SELECT record FROM jobs"),
        concat!(
            r#"{"id":"00000000-0000-0000-0000-000000000007","resource":"worker","goal":{"delta":4},"#,
            r#""settings":{"step_size":1,"cooldown":300000,"active_timeout":900000,"poll_interval":30000,"#,
            r#""settle":90000,"deadline":86400000},"reason":"queue depth 812","labels":{"team":"data"},"#,
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
            r#""finished_at":null,"version":17}"#,
        )
    );
    assert_eq!(
        stored("SELECT record FROM lanes"),
        concat!(
            r#"{"resource":"worker","ledger":{"last_change":{"at":1800000000000,"op":"add","cooldown":300000,"settle":90000},"#,
            r#""fresh_from":1800000000000,"expected":3,"provisioning":60000},"#,
            r#""change":{"job":"00000000-0000-0000-0000-000000000007","op":"add","units":2,"from":1,"to":3,"#,
            r#""sent":{"at":1800000000000,"op":"add","cooldown":300000,"settle":90000},"patience":900000,"#,
            r#""stage":{"unknown":{"since":1800000060000}}}}"#,
        )
    );
    let schema = stored("SELECT group_concat(sql, ';' || char(10)) FROM sqlite_schema WHERE sql IS NOT NULL");
    for column in ["seq         INTEGER PRIMARY KEY", "id          TEXT    NOT NULL UNIQUE", "finished_ms INTEGER"] {
        assert!(schema.contains(column), "{schema}");
    }
    journal.change_clock(Some(&anchor("this")), &of_lanes(vec![]), 0).expect("changed");
    assert_eq!(stored("SELECT only || boot || uptime_ms || '-' || shown_ms FROM clock"), "1this5000-1800000000000");
    let columns = "SELECT id || resource || state || created_at || coalesce(finished_ms, '-') FROM jobs";
    assert_eq!(stored(columns), "00000000-0000-0000-0000-000000000007workerrunning2027-01-15T08:00:00.000Z-");
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

// ---- what is removed --------------------------------------------------------------------------------------------

fn prune_all(journal: &mut SqliteJournal, retention: Retention, now: Timestamp) -> Vec<usize> {
    let mut rounds = Vec::new();
    loop {
        let removed = journal.prune(retention, now).expect("pruned");
        if removed.is_empty() {
            return rounds;
        }
        rounds.push(removed.len());
    }
}

#[test]
fn finished_jobs_are_removed_by_age_and_unfinished_ones_never() {
    let directory = directory();
    let mut journal = open(directory.path());
    let hour = Duration::from_hours(1);
    let running = Job { state: JobState::Running, ..job(2, "worker") };
    let old = ended(3, Ending::Succeeded, NOW + hour);
    let young = ended(4, Ending::Canceled, NOW + hour + Duration::from_millis(1));
    journal.commit(&[jobs([job(1, "worker"), running, old, young])]).expect("committed");
    let at = |age: Duration| NOW + hour + age;
    let kept = journal.prune(ALL_KEPT, at(ALL_KEPT.age) - Duration::from_millis(1)).expect("pruned");
    assert!(kept.is_empty(), "{kept:?}");
    assert_eq!(journal.prune(ALL_KEPT, at(ALL_KEPT.age)).expect("pruned"), [JobId::from_u128(3)]);
    assert_eq!(loaded_ids(&mut journal), [1, 2, 4]);
    let none_kept = Retention { age: Duration::ZERO, count: 0 };
    assert_eq!(prune_all(&mut journal, none_kept, NOW + Duration::from_hours(100_000)), [1]);
    assert_eq!(loaded_ids(&mut journal), [1, 2]);
}

#[test]
fn too_many_finished_jobs_are_removed_oldest_end_first_a_chunk_at_a_time() {
    let directory = directory();
    let mut journal = open(directory.path());
    let total = PRUNE_CHUNK as u128 * 2 + 10;
    // The later submitted, the earlier ended.
    let later = |id: u128| NOW + Duration::from_millis((total - id) as u64);
    journal.commit(&[jobs((0..total).map(|id| ended(id, Ending::Succeeded, later(id))))]).expect("committed");
    journal.commit(&[jobs([job(total, "worker")])]).expect("committed");
    let retention = Retention { count: 7, ..ALL_KEPT };
    assert_eq!(prune_all(&mut journal, retention, NOW), [PRUNE_CHUNK, PRUNE_CHUNK, 3]);
    assert_eq!(loaded_ids(&mut journal), [0, 1, 2, 3, 4, 5, 6, total]);
}

#[test]
fn jobs_that_ended_together_are_not_all_removed_because_one_is_too_many() {
    let directory = directory();
    let mut journal = open(directory.path());
    journal.commit(&[jobs((0..10).map(|id| ended(id, Ending::Canceled, NOW)))]).expect("committed");
    assert_eq!(prune_all(&mut journal, Retention { count: 8, ..ALL_KEPT }, NOW), [2]);
    assert_eq!(loaded_ids(&mut journal), [2, 3, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn answers_are_kept_for_as_long_as_promised() {
    let directory = directory();
    let mut journal = open(directory.path());
    let later = NOW + Duration::from_millis(1);
    journal
        .commit(&[Batch { answers: vec![answer("old", NOW), answer("young", later)], ..Batch::default() }])
        .expect("committed");
    journal.prune(ALL_KEPT, NOW + KEY_RETENTION - Duration::from_millis(1)).expect("pruned");
    assert!(journal.answer("old").expect("readable").is_some());
    journal.prune(ALL_KEPT, NOW + KEY_RETENTION).expect("pruned");
    assert_eq!(journal.answer("old").expect("readable"), None);
    assert_eq!(journal.answer("young").expect("readable"), Some(answer("young", later)));
    assert_eq!(journal.load().expect("readable").keys.len(), 1);
}

// ---- lists ------------------------------------------------------------------------------------------------------

/// All pages, joined.
fn list(catalog: &SqliteCatalog, filter: &JobFilter, size: usize) -> Vec<u128> {
    let mut ids = Vec::new();
    let mut after = None;
    loop {
        let page = catalog.page(filter, after, size).expect("a page");
        assert!(page.jobs.len() <= size && (page.next.is_none() || page.jobs.len() == size));
        ids.extend(page.jobs.iter().map(|id| id.as_u128()));
        after = page.next;
        if after.is_none() {
            return ids;
        }
    }
}

#[test]
fn lists_every_combination_of_filters_newest_first() {
    let directory = directory();
    let mut journal = open(directory.path());
    let error = JobError::new(ErrorCode::NoProgress, "");
    let state = |id: u128| match id % 6 {
        0 => JobState::Queued,
        1 => JobState::Running,
        2 => JobState::Ended(Ending::Succeeded),
        3 => JobState::Ended(Ending::Failed(error.clone())),
        4 => JobState::Ended(Ending::Canceled),
        _ => JobState::Ended(Ending::Superseded { by: JobId::from_u128(0) }),
    };
    let all: Vec<Job> = (0..40_u128)
        .map(|id| Job { state: state(id), ..job(id, ["worker", "api", "db"][(id * 7 % 11 % 3) as usize]) })
        .collect();
    journal.commit(&[jobs(all.clone())]).expect("committed");
    let catalog = SqliteCatalog::open(directory.path()).expect("readable");
    for resource in [None, Some(alias("worker")), Some(alias("db")), Some(alias("unheard-of"))] {
        for chosen in 0..1_u32 << ListedState::ALL.len() {
            let states: Vec<_> =
                (0..).zip(ListedState::ALL).filter(|(bit, _)| chosen & 1 << bit != 0).map(|(_, state)| state).collect();
            let wanted = |job: &&Job| {
                resource.as_ref().is_none_or(|resource| job.resource == *resource)
                    && (states.is_empty() || states.contains(&ListedState::of(job)))
            };
            let expected: Vec<u128> = all.iter().rev().filter(wanted).map(|job| job.id.as_u128()).collect();
            let filter = JobFilter { resource: resource.clone(), states: states.clone() };
            for size in [1, 3, 40] {
                assert_eq!(list(&catalog, &filter, size), expected, "{filter:?}, {size} a page");
            }
        }
    }
    let twice = JobFilter { resource: None, states: vec![ListedState::Running; 2] };
    assert_eq!(list(&catalog, &twice, 2).len(), 7, "a state given twice counts once");
}

#[test]
fn a_page_ends_where_the_next_begins_whatever_happens_in_between() {
    let directory = directory();
    let mut journal = open(directory.path());
    journal.commit(&[jobs((0..10).map(|id| ended(id, Ending::Succeeded, NOW)))]).expect("committed");
    let catalog = SqliteCatalog::open(directory.path()).expect("readable");
    let all = JobFilter::default();
    let first = catalog.page(&all, None, 4).expect("a page");
    assert_eq!(first.jobs, [9, 8, 7, 6].map(JobId::from_u128));
    // New jobs come, and what the next page was to begin with goes.
    journal.commit(&[jobs((10..13).map(|id| job(id, "worker")))]).expect("committed");
    shell(directory.path()).execute("DELETE FROM jobs WHERE seq BETWEEN 6 AND 7", []).expect("removed");
    let second = catalog.page(&all, first.next, 4).expect("a page");
    assert_eq!(second, Page { jobs: [4, 3, 2, 1].map(JobId::from_u128).into(), next: second.next });
    let last = catalog.page(&all, second.next, 4).expect("a page");
    assert_eq!(last, Page { jobs: vec![JobId::from_u128(0)], next: None });
}

#[test]
fn no_query_reads_more_than_it_shows() {
    let directory = directory();
    let mut journal = open(directory.path());
    journal.commit(&[jobs((0..100).map(|id| ended(id, Ending::Succeeded, NOW)))]).expect("committed");
    let db = shell(directory.path());
    let plan = |sql: &str| -> String {
        let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("a plan");
        let parameters = rusqlite::params_from_iter(vec!["1"; statement.parameter_count()]);
        let steps = statement
            .query_map(parameters, |row| row.get::<_, String>(3))
            .expect("a plan")
            .collect::<Result<Vec<_>, _>>()
            .expect("a plan");
        steps.join("; ")
    };
    for (by_resource, by_state, index) in [
        (false, false, "INTEGER PRIMARY KEY (rowid<?)"),
        (true, false, "jobs_by_resource (resource=? AND seq<?)"),
        (false, true, "jobs_by_state (state=? AND seq<?)"),
        (true, true, "jobs_by_resource_and_state (resource=? AND state=? AND seq<?)"),
    ] {
        let plan = plan(page_sql(by_resource, by_state));
        assert!(plan.contains(index), "{plan}");
        assert!(!plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{plan}");
    }
}

// ---- what is refused --------------------------------------------------------------------------------------------

fn refusal(directory: &Path) -> StoreError {
    match SqliteJournal::open(directory) {
        Ok(_) => panic!("it was opened"),
        Err(error) => error,
    }
}

#[track_caller]
fn assert_says(error: &StoreError, words: &[&str]) {
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "\"{word}\" is missing: {text}");
    }
}

/// A store with some hundred jobs in one file, without a write-ahead log beside it.
fn settled_store() -> tempfile::TempDir {
    let directory = directory();
    let mut journal = open(directory.path());
    journal.commit(&[jobs((0..300).map(|id| job(id, "worker")))]).expect("committed");
    drop(journal);
    assert!(!directory.path().join("scalegate.db-wal").exists(), "closing moves it into the database");
    directory
}

#[test]
fn refuses_records_that_make_no_sense_and_names_them() {
    for (statement, detail) in [
        ("UPDATE jobs SET record = '{}'", "job 00000000-0000-0000-0000-000000000001: missing field `id`"),
        ("UPDATE lanes SET record = x'FF'", "lane api: "),
        ("UPDATE answers SET job = 'null and void'", "the requests with a key: malformed JSON"),
        ("UPDATE answers SET job = '{}'", "the requests with a key: "),
    ] {
        let directory = directory();
        let mut journal = open(directory.path());
        let batch =
            Batch { lanes: vec![lane("api", None)], answers: vec![answer("key", NOW)], ..jobs([job(1, "worker")]) };
        journal.commit(&[batch]).expect("committed");
        shell(directory.path()).execute_batch(statement).expect("updated");
        let error = journal.load().expect_err("no sense");
        assert_says(&error, &["is corrupt (", detail]);
        if statement.contains("answers") {
            let error = journal.answer("key").expect_err("no sense");
            assert_says(&error, &["is corrupt (the answer for key key: "]);
        }
    }
}

#[test]
fn refuses_a_directory_that_is_in_use_and_names_the_process() {
    let directory = directory();
    let journal = open(directory.path());
    let error = refusal(directory.path());
    let pid = std::process::id();
    assert!(matches!(error, StoreError::InUse { holder, .. } if holder == Some(pid)), "{error:?}");
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
    assert!(matches!(error, StoreError::Directory { .. }), "{error:?}");
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
    journal.load().expect("a new connection can write");
}

#[test]
fn creates_missing_directories_and_can_be_read_with_a_shell_meanwhile() {
    let directory = directory();
    let nested = directory.path().join("a/b");
    let mut journal = open(&nested);
    let reader = shell(&nested);
    reader.execute_batch("BEGIN; SELECT count(*) FROM jobs").expect("a read transaction");
    journal.commit(&[jobs([job(1, "worker")])]).expect("a reader does not stop the writer");
    let ids: HashSet<u128> = loaded_ids(&mut journal).into_iter().collect();
    assert_eq!(ids, [1].into());
}
