//! Records for the tests of stores.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::forecast::Prediction;
use crate::domain::policy::{
    Alert, Beyond, Claim, ClaimKind, Decision, Direction, Hold, HoldKind, Limiter, MetricState, Mode, Name, Opinion,
    Sample, Says, StageValue, Trigger,
};
use crate::domain::{
    Action, Actor, Alias, Attempt, AuditEntry, AuditVerdict, Capacity, Change, ChangeState, Ending, ExternalChange,
    Goal, HistoryEntry, Job, JobId, JobRequest, JobState, KeyId, KeyRecord, LaneRecord, LastChangeError, Move,
    OnConflict, Op, Reach, ResourceEvent, Retention, Scope, SentChange, Settings, SidecarAnswer, Stage, Status, Step,
    StepDurations, StepOutcome, Subject, Timestamp, TraceContext, WaitDeadlines, WaitReason,
};
use crate::store::{
    Epoch, IdempotencyEntry, LaneChange, Observations, PolicyChange, PolicyState, PolicyWrite, RecordChange, Revision,
    Unit,
};

pub(super) const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
pub(super) const ALL_KEPT: Retention = Retention { age: Duration::from_hours(24), count: 1000 };

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
    Actor::Key { key: "Ab0Ab0Ab0A".parse().expect("an id"), name: "ci".into() }
}

pub(super) fn lane(resource: &str, stage: Option<Stage>) -> LaneRecord {
    let sent =
        SentChange { at: NOW, op: Some(Op::Add), cooldown: Duration::from_secs(300), settle: Duration::from_secs(90) };
    let movement = Move::toward(units(1), units(5), 2).expect("a distance");
    let effect_timeout = Duration::from_secs(900);
    let mut step_durations = StepDurations::default();
    for (op, seconds) in [(Op::Add, 60), (Op::Add, 61), (Op::Remove, 7)] {
        step_durations.note(op, Duration::from_secs(seconds));
    }
    LaneRecord {
        resource: alias(resource),
        change_state: ChangeState {
            last_change: Some(sent),
            fresh_from: Some(NOW),
            expected: Some(units(3)),
            provisioning: Some(Duration::from_secs(60)),
        },
        change: stage.map(|stage| Change { job: JobId::from_u128(7), movement, sent, effect_timeout, stage }),
        step_durations,
    }
}

pub(super) fn entry(key: &str, answered_at: Timestamp) -> IdempotencyEntry {
    IdempotencyEntry { key: key.into(), fingerprint: [7; 32], joined: true, made: JobId::from_u128(7), answered_at }
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

pub(super) fn key_id(number: u32) -> KeyId {
    format!("{number:010}").parse().expect("an id")
}

pub(super) fn key(number: u32) -> KeyRecord {
    KeyRecord {
        id: key_id(number),
        name: format!("key {number}"),
        hash: [number as u8; 32],
        scope: Scope::ALL[number as usize % Scope::ALL.len()],
        reach: if number.is_multiple_of(2) { Reach::EVERYTHING } else { Reach::only([alias("worker"), alias("api")]) },
        created_at: NOW,
        expires_at: (number == 3).then_some(NOW + Duration::from_secs(1)),
        revoked_at: None,
        last_used_at: None,
    }
}

pub(super) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) fn name(name: &str) -> Name {
    name.parse().expect("a name")
}

pub(super) fn revision(number: u64, document: Option<&str>) -> Revision {
    Revision { number, at: NOW + seconds(number), by: Some(actor()), document: document.map(str::to_owned) }
}

pub(super) fn state(text: &str) -> PolicyState {
    PolicyState { at: NOW, text: text.into() }
}

pub(super) fn claim(id: u128) -> Claim {
    Claim {
        id: JobId::from_u128(id),
        units: units(8),
        kind: ClaimKind::Extra,
        from: NOW,
        until: NOW + seconds(3600),
        owner: Some("nightly".into()),
        reason: None,
        by: Some(actor()),
        created_at: NOW,
        alert: Some(Alert { fingerprint: "c5e1a0b3f7d29846".into(), started_at: NOW }),
    }
}

pub(super) fn hold() -> Hold {
    let kind = HoldKind::Direction(Direction::Down);
    Hold { kind, until: NOW + seconds(60), reason: Some("a release".into()), by: None, created_at: NOW }
}

/// A decision about `worker` in which nothing is left out.
pub(super) fn decision(id: u128) -> Decision {
    let opinion = |name_of: &str, says| Opinion { name: name(name_of), says, detail: "because".into() };
    let missing = MetricState::Missing { reason: crate::domain::policy::Missing::Stale, last: None, since: Some(NOW) };
    Decision {
        id: JobId::from_u128(id),
        resource: alias("worker"),
        at: NOW,
        trigger: Trigger::Metric,
        mode: Mode::Active,
        policy_revision: 7,
        capacity: Some(units(3)),
        status: Some(Status::new("ACTIVE")),
        target: Some(units(3)),
        metrics: [(name("queue"), MetricState::Fresh(Sample { at: NOW, value: 812.5 })), (name("rps"), missing)].into(),
        last_metrics: None,
        rules: vec![
            opinion("queue", Says::Wants(Some(units(9)))),
            opinion("ahead", Says::Wants(None)),
            opinion("office", Says::Bounds { min: Some(units(10)), max: None }),
        ],
        stages: vec![StageValue { stage: Limiter::Rules, value: units(9), detail: None }],
        wanted: Some(units(9)),
        decided: Some(units(10)),
        limited_by: Some(Limiter::Windows),
        action: crate::domain::policy::Action::Submitted,
        blocked_by: None,
        job_id: Some(JobId::from_u128(7)),
        otherwise_if: vec![crate::domain::policy::Alternative {
            rule: name("queue"),
            at: Beyond::Above(900.0),
            wants: units(10),
        }],
        detail: "From 3 to 10: office needs 10.".into(),
        count: 1,
        last_at: NOW,
    }
}

/// So many seconds after [`NOW`].
pub(super) fn sample(second: u64, value: f64) -> Sample {
    Sample { at: NOW + seconds(second), value }
}

/// Samples of the metric `queue` of `resource`, observed by the owner of this adoption of its lane.
pub(super) fn observed(resource: &str, epoch: Epoch, samples: impl IntoIterator<Item = Sample>) -> Observations {
    let samples = samples.into_iter().map(|sample| (name("queue"), sample)).collect();
    Observations {
        resource: alias(resource),
        epoch,
        samples,
        predictions: Vec::new(),
        state: None,
        decisions: Vec::new(),
    }
}

/// A prediction of these values, one a minute from [`NOW`] on, received a second before.
pub(super) fn prediction(values: impl IntoIterator<Item = f64>) -> Prediction {
    Prediction::new((0..).map(|minute| NOW + seconds(minute * 60)).zip(values).collect()).received(NOW - seconds(1))
}

/// Changes of what is kept about the policy of `resource`.
pub(super) fn changes(resource: &str, writes: impl IntoIterator<Item = PolicyWrite>) -> Vec<PolicyChange> {
    let change = |write| PolicyChange { resource: alias(resource), write };
    writes.into_iter().map(change).collect()
}
