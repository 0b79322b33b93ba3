//! Records for the tests of the store.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use super::directory::database_path;
use super::records::{parse_job, unreadable};
use super::writer::Opened;
use super::{Journal as _, SqliteError, SqliteJournal, lanes};
use crate::clock::Anchor;
use crate::domain::{
    Action, Actor, Alias, Attempt, AuditEntry, AuditVerdict, Capacity, Change, ChangeState, Ending, EventId,
    ExternalChange, Goal, HistoryEntry, Job, JobEvent, JobId, JobRequest, JobState, LaneRecord, LastChangeError, Move,
    OnConflict, Op, ResourceEvent, Retention, SentChange, Settings, SidecarAnswer, Stage, Status, Step, StepOutcome,
    Subject, Timestamp, TraceContext, WaitDeadlines, WaitReason,
};
use crate::store::{IdempotencyEntry, LaneChange, RecordChange, Unit, Which};

pub(super) const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
pub(super) const ALL_KEPT: Retention = Retention { age: Duration::from_hours(24), count: 1000 };

pub(super) fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

pub(super) fn open(directory: &Path) -> SqliteJournal {
    SqliteJournal::open(directory).expect("a store")
}

/// Somebody with an `sqlite3` shell.
pub(super) fn shell(directory: &Path) -> Connection {
    Connection::open(database_path(directory)).expect("a database")
}

pub(super) fn units(units: i64) -> Capacity {
    Capacity::new(units).expect("a small number")
}

pub(super) fn alias(name: &str) -> Alias {
    name.parse().expect("an alias")
}

pub(super) fn job(id: u128, resource: &str) -> Job {
    let request = JobRequest {
        resource: alias(resource),
        goal: Goal::Target(units(5)),
        overrides: Default::default(),
        on_conflict: OnConflict::Reject,
        reason: None,
        labels: Default::default(),
        trace: None,
        attempt: None,
    };
    Job { version: 1, ..Job::accept(JobId::from_u128(id), request, Settings::DEFAULT, NOW) }
}

pub(super) fn ended(id: u128, ending: Ending, at: Timestamp) -> Job {
    let mut job = job(id, "worker");
    job.end(ending, at);
    job
}

/// A job in which nothing is left out.
pub(super) fn eventful_job() -> Job {
    let movement = Move::toward(units(1), units(5), 2).expect("a distance");
    let answer = SidecarAnswer { status: 500, body: "{\"name\":\"fault\"}".into() };
    let mut job = Job { goal: Goal::Delta(4), target: Some(units(5)), ..job(0x7, "worker") };
    job.reason = Some("queue depth 812".into());
    job.labels = [("team".into(), "data".into())].into();
    job.trace = TraceContext::new(7, 8, 1, Some("vendor=1"));
    job.submitted_by = Some(actor());
    job.canceled_by = Some(actor());
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
    job.wait_deadlines = WaitDeadlines { active_by: Some(NOW), reading_by: None, fresh_by: Some(NOW) };
    job.last_change_error = Some(LastChangeError { detail: "status 500".into(), answer: Some(answer) });
    job.estimated_completion_at = Some(NOW + Duration::from_secs(600));
    job.started_at = Some(NOW);
    job.version = 17;
    job
}

pub(super) fn actor() -> Actor {
    Actor { key: "Ab0Ab0Ab0A".parse().expect("an id"), name: "ci".into() }
}

pub(super) fn lane(resource: &str, stage: Option<Stage>) -> LaneRecord {
    let sent =
        SentChange { at: NOW, op: Some(Op::Add), cooldown: Duration::from_secs(300), settle: Duration::from_secs(90) };
    let movement = Move::toward(units(1), units(5), 2).expect("a distance");
    let effect_timeout = Duration::from_secs(900);
    LaneRecord {
        resource: alias(resource),
        change_state: ChangeState {
            last_change: Some(sent),
            fresh_from: Some(NOW),
            expected: Some(units(3)),
            provisioning: Some(Duration::from_secs(60)),
        },
        change: stage.map(|stage| Change { job: JobId::from_u128(7), movement, sent, effect_timeout, stage }),
    }
}

pub(super) fn entry(key: &str, answered_at: Timestamp) -> IdempotencyEntry {
    IdempotencyEntry { key: key.into(), fingerprint: [7; 32], joined: true, job: JobId::from_u128(7), answered_at }
}

pub(super) fn anchor(boot: &str) -> Anchor {
    Anchor { boot: boot.into(), uptime: Duration::from_secs(5), shown: NOW }
}

/// These records, each written by the owner of its lane.
pub(super) fn written(lanes: impl IntoIterator<Item = LaneRecord>) -> Vec<LaneChange> {
    let change = |record: LaneRecord| {
        let resource = record.resource.clone();
        LaneChange { resource, epoch: 0, record: RecordChange::Write(Box::new(record)) }
    };
    lanes.into_iter().map(change).collect()
}

/// The records of these resources, removed.
pub(super) fn removed(resources: &[&str]) -> Vec<LaneChange> {
    let change = |name: &&str| LaneChange { resource: alias(name), epoch: 0, record: RecordChange::Remove };
    resources.iter().map(change).collect()
}

/// A unit of these jobs.
pub(super) fn jobs(jobs: impl IntoIterator<Item = Job>) -> Unit {
    Unit { jobs: jobs.into_iter().map(Arc::new).collect(), ..Unit::default() }
}

/// All that is in a store, but for what only readers see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Contents {
    pub lanes: Vec<LaneRecord>,
    pub jobs: Vec<JobEvent>,
    pub entries: Vec<IdempotencyEntry>,
    pub next_event: EventId,
    pub restored_at: Option<Timestamp>,
}

impl SqliteJournal {
    /// Commits `units` as the next versions.
    pub(super) fn put(&mut self, units: &[Unit]) -> Result<(), SqliteError> {
        let next_event = self.next_event()?;
        self.commit(units, next_event)
    }

    /// All that is in it, after it was opened anew.
    pub(super) fn contents(&mut self) -> Result<Contents, SqliteError> {
        let Opened { next_event, admissions } = self.reopen()?;
        let restored_at = self.lane_reader()?.adopt(&Which::All, |_| 0)?.restored_at;
        let db = self.shell();
        let lanes = lanes::read(&db).map_err(|error| unreadable(&database_path(Path::new("")), error))?;
        let mut statement = db.prepare("SELECT id, record, event FROM jobs ORDER BY seq").expect("a table");
        let mut rows = statement.query([]).expect("rows");
        let mut jobs = Vec::new();
        while let Some(row) = rows.next().expect("a row") {
            jobs.push(parse_job(row).expect("a job"));
        }
        Ok(Contents { lanes, jobs, entries: admissions.entries, next_event, restored_at })
    }
}

pub(super) fn loaded_ids(journal: &mut SqliteJournal) -> Vec<u128> {
    journal.contents().expect("readable").jobs.iter().map(|event| event.job.id.as_u128()).collect()
}

/// Readings of `worker` that show these capacities.
pub(super) fn readings(at: Timestamp, capacities: std::ops::RangeInclusive<u32>) -> Vec<(Alias, HistoryEntry)> {
    let entry = |capacity: u32| {
        let what = ResourceEvent::Reading { status: Status::new("ACTIVE"), capacity: units(capacity.into()) };
        (alias("worker"), HistoryEntry { at, what })
    };
    capacities.map(entry).collect()
}

pub(super) fn accepted_at(millis: i64) -> AuditEntry {
    AuditEntry {
        at: Timestamp::from_millis(millis),
        attempt: Attempt { request: None, actor: None, address: None },
        action: Action::SubmitJob,
        subject: Subject::default(),
        verdict: AuditVerdict::Accepted,
    }
}

/// Why the store in `directory` is refused.
pub(super) fn refusal(directory: &Path) -> SqliteError {
    match SqliteJournal::open(directory) {
        Ok(_) => panic!("it was opened"),
        Err(error) => error,
    }
}

#[track_caller]
pub(super) fn assert_says(error: &SqliteError, words: &[&str]) {
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "\"{word}\" is missing: {text}");
    }
}
