//! A whole gateway in virtual time: the engine's real core, a store in memory, a simulated sidecar.
//!
//! Time passes only from event to event, so that hours of scaling take milliseconds and every run is the same. A crash
//! can be put between any two events: what was not committed is lost, what was sent stays sent.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use scalegate::domain::{
    Alias, Call, CallId, Capacity, ChangeAnswer, Ending, ErrorCode, Goal, Job, JobId, JobRequest, LaneRecord,
    OnConflict, Policy, ReadFailure, Reading, Settings, SettingsOverrides, Timestamp,
};
use scalegate::engine::{Answer, Core, Effect};
use scalegate::sidecar::{interpret_change, interpret_reading};
use scalegate::simulator::{Behaviour, Model, Record, RecordKind, Reply};
use scalegate::store::{Batch, Snapshot};

/// How long a commit takes, unless the disk is slow.
const COMMIT: Duration = Duration::from_millis(2);
/// How long the sidecar takes to answer, unless it is slow.
const CALL: Duration = Duration::from_millis(3);
/// How long the real client waits for an answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Something that is going to happen.
#[derive(Debug)]
enum Event {
    Committed(Batch),
    Reading(Alias, CallId, Result<Reading, ReadFailure>),
    Answered(Alias, CallId, ChangeAnswer),
}

/// The store: what it holds survives [`World::crash`].
#[derive(Default)]
struct Disk {
    lanes: BTreeMap<Alias, LaneRecord>,
    order: Vec<JobId>,
    jobs: HashMap<JobId, Arc<Job>>,
}

impl Disk {
    fn write(&mut self, batch: &Batch) {
        for job in &batch.jobs {
            match self.jobs.insert(job.id, Arc::clone(job)) {
                None => self.order.push(job.id),
                Some(before) => {
                    assert!(before.version < job.version, "a version that does not grow: {before:#?} {job:#?}");
                    assert!(before.ended().is_none(), "changed after its end: {before:#?} {job:#?}");
                }
            }
        }
        for lane in &batch.lanes {
            self.lanes.insert(lane.resource.clone(), lane.clone());
        }
        for resource in &batch.forgotten_lanes {
            self.lanes.remove(resource);
        }
    }

    /// Everything, having gone through the stored form.
    fn read(&self) -> Snapshot {
        let thaw = |job: &Arc<Job>| -> Arc<Job> {
            serde_json::from_str(&serde_json::to_string(job).expect("serialisable")).expect("readable")
        };
        Snapshot {
            lanes: self.lanes.values().cloned().collect(),
            jobs: self.order.iter().map(|id| thaw(&self.jobs[id])).collect(),
            keys: Vec::new(),
        }
    }
}

pub struct World {
    pub now: Timestamp,
    pub model: Model,
    pub reads: usize,
    pub answers: Vec<Answer>,
    policy: Arc<Policy>,
    core: Core,
    disk: Disk,
    events: BTreeMap<(Timestamp, u64), Event>,
    next_event: u64,
    disk_busy_until: Timestamp,
    next_job: u128,
    /// Whether the sidecar refuses connections.
    pub sidecar_down: bool,
    /// How long a commit takes.
    pub commit_takes: Duration,
    /// How long it takes until a change that is handed over is on its way.
    pub dispatch_takes: Duration,
}

impl World {
    pub fn new(behaviour: Behaviour) -> Self {
        Self::with_policy(behaviour, Policy::default())
    }

    pub fn with_policy(behaviour: Behaviour, policy: Policy) -> Self {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let policy = Arc::new(policy);
        Self {
            now,
            model: Model::new(Behaviour { max_records: None, ..behaviour }, 1),
            reads: 0,
            answers: Vec::new(),
            core: Core::recover(Arc::clone(&policy), Snapshot::default(), now),
            policy,
            disk: Disk::default(),
            events: BTreeMap::new(),
            next_event: 0,
            disk_busy_until: now,
            next_job: 1,
            sidecar_down: false,
            commit_takes: COMMIT,
            dispatch_takes: Duration::ZERO,
        }
    }

    /// Submits a job for `worker`, waits for the answer, and returns the id it was to have.
    pub fn submit(&mut self, target: u32, overrides: SettingsOverrides) -> JobId {
        self.submit_request(request(Goal::Target(Capacity::try_from(target).expect("small")), overrides))
    }

    pub fn submit_request(&mut self, request: JobRequest) -> JobId {
        let id = JobId::from_u128(self.next_job);
        self.next_job += 1;
        let answered = self.answers.len();
        self.core.submit(id, request, None, 0, self.now);
        self.perform();
        self.run_until(|world| world.answers.len() > answered);
        id
    }

    pub fn cancel(&mut self, id: JobId) {
        self.core.cancel(id, 0, self.now);
        self.perform();
    }

    /// All jobs as the store has them, in order of submission.
    pub fn jobs(&self) -> impl Iterator<Item = &Arc<Job>> {
        self.disk.order.iter().map(|id| &self.disk.jobs[id])
    }

    /// The job as the store has it.
    pub fn job(&self, id: JobId) -> Arc<Job> {
        Arc::clone(&self.disk.jobs[&id])
    }

    pub fn core(&self) -> &Core {
        &self.core
    }

    pub fn capacity(&mut self) -> u32 {
        self.model.true_capacity(self.now, &worker()).units()
    }

    pub fn largest_capacity(&mut self) -> u32 {
        self.model.largest_capacity(self.now, &worker()).units()
    }

    /// The changes that reached the sidecar, oldest first.
    pub fn changes(&mut self) -> Vec<Record> {
        let is_change = |record: &&Record| matches!(record.kind, RecordKind::Add | RecordKind::Remove);
        self.model.records(self.now).iter().filter(is_change).cloned().collect()
    }

    /// Lets one thing happen; whether there was one.
    pub fn step(&mut self) -> bool {
        let event_at = self.events.keys().next().map(|(at, _)| *at);
        match (event_at, self.core.next_wake()) {
            (None, None) => return false,
            (Some(event_at), wake_at) if wake_at.is_none_or(|wake_at| event_at <= wake_at) => self.deliver(),
            (_, Some(wake_at)) => {
                self.now = self.now.max(wake_at);
                self.core.wake_due(self.now);
            }
            (Some(_), None) => self.deliver(),
        }
        self.perform();
        true
    }

    fn deliver(&mut self) {
        let Some(((at, _), event)) = self.events.pop_first() else { return };
        self.now = self.now.max(at);
        match event {
            Event::Committed(batch) => {
                self.disk.write(&batch);
                self.core.committed(self.now);
            }
            Event::Reading(resource, call, reading) => self.core.reading_arrived(&resource, call, reading, self.now),
            Event::Answered(resource, call, answer) => self.core.change_answered(&resource, call, answer, self.now),
        }
    }

    /// Runs until the job is over, and returns it.
    pub fn run(&mut self, id: JobId) -> Arc<Job> {
        self.run_until(|world| world.disk.jobs.get(&id).is_some_and(|job| job.ended().is_some()));
        self.job(id)
    }

    pub fn run_until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        for _ in 0..2_000_000 {
            if done(self) {
                return;
            }
            assert!(self.step(), "nothing is going to happen any more");
        }
        panic!("it takes too long");
    }

    /// Runs on for some virtual time.
    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.next_at().is_some_and(|at| at <= end) {
            self.step();
        }
        self.now = end;
    }

    fn next_at(&self) -> Option<Timestamp> {
        self.events.keys().next().map(|(at, _)| *at).into_iter().chain(self.core.next_wake()).min()
    }

    /// The process dies, and another one starts after `pause`, with its clock off by `skew_ms`.
    pub fn crash(&mut self, pause: Duration, skew_ms: i64) {
        self.crash_after_commits(0, pause, skew_ms);
    }

    /// As [`World::crash`], except that the first `durable` of the commits under way have reached the disk, only that
    /// nobody has heard of it any more.
    pub fn crash_after_commits(&mut self, durable: usize, pause: Duration, skew_ms: i64) {
        let events = std::mem::take(&mut self.events);
        let commits = events.into_values().filter_map(|event| match event {
            Event::Committed(batch) => Some(batch),
            Event::Reading(..) | Event::Answered(..) => None,
        });
        for batch in commits.take(durable) {
            self.disk.write(&batch);
        }
        self.now = self.now + pause;
        self.now = Timestamp::from_millis(self.now.as_millis() + skew_ms);
        self.disk_busy_until = self.now;
        self.core = Core::recover(Arc::clone(&self.policy), self.disk.read(), self.now);
        self.perform();
    }

    fn schedule(&mut self, after: Duration, event: Event) {
        self.next_event += 1;
        self.events.insert((self.now + after, self.next_event), event);
    }

    fn perform(&mut self) {
        for effect in self.core.take_effects() {
            match effect {
                Effect::Commit(batch) => {
                    // One after the other, also when the disk gets faster.
                    self.disk_busy_until = self.disk_busy_until.max(self.now + self.commit_takes);
                    self.schedule(self.disk_busy_until.since(self.now), Event::Committed(batch));
                }
                Effect::Call { resource, id, call: Call::Read } => self.read(resource, id),
                Effect::Call { resource, id, call: Call::Change(change) } => {
                    let (after, answer) = if self.sidecar_down {
                        (CALL, ChangeAnswer::NotSent { detail: "connection refused".into() })
                    } else {
                        let sent_at = self.now + self.dispatch_takes;
                        let answer = self.model.change(sent_at, &resource, change.op, change.units.into());
                        arrival(self.dispatch_takes + answer.delay, answer.reply, |reply| match reply {
                            Reply::Response { status, body } => interpret_change(status, body.as_bytes()),
                            Reply::ConnectionClosed => unknown("connection closed"),
                        })
                        .unwrap_or_else(|| (CALL_TIMEOUT, unknown("no answer")))
                    };
                    self.schedule(after, Event::Answered(resource, id, answer));
                }
                Effect::Publish(job) => assert_eq!(self.disk.jobs.get(&job.id), Some(&job), "published, not stored"),
                Effect::Reply(_, answer) => self.answers.push(answer),
                Effect::Replay(..) => panic!("no keys are used here"),
                Effect::Log(resource, notice) => {
                    if std::env::var_os("WORLD_LOG").is_some() {
                        println!("{} {resource} {}", self.now, notice.message);
                    }
                }
            }
        }
    }

    fn read(&mut self, resource: Alias, id: CallId) {
        self.reads += 1;
        let asked_at = self.now;
        let failure = |detail: &str| Err(ReadFailure { not_found: false, detail: detail.into(), answer: None });
        let (after, raw) = if self.sidecar_down {
            (CALL, failure("connection refused"))
        } else {
            let answer = self.model.read(self.now, &resource);
            arrival(answer.delay, answer.reply, |reply| match reply {
                Reply::Response { status, body } => interpret_reading(status, body.as_bytes()),
                Reply::ConnectionClosed => failure("connection closed"),
            })
            .unwrap_or_else(|| (CALL_TIMEOUT, failure("no answer")))
        };
        let reading = raw.map(|raw| Reading {
            status: raw.status,
            capacity: raw.capacity,
            stamp: raw.stamp,
            asked_at,
            received_at: asked_at + after,
        });
        self.schedule(after, Event::Reading(resource, id, reading));
    }
}

/// When an answer arrives and what it means, or `None` if the client gives up before.
fn arrival<T>(delay: Duration, reply: Reply, meaning: impl FnOnce(Reply) -> T) -> Option<(Duration, T)> {
    let after = delay + CALL;
    (after < CALL_TIMEOUT).then(|| (after, meaning(reply)))
}

fn unknown(detail: &str) -> ChangeAnswer {
    ChangeAnswer::Unknown { detail: detail.into(), answer: None }
}

pub use super::sidecar::worker;

pub fn request(goal: Goal, overrides: SettingsOverrides) -> JobRequest {
    JobRequest {
        resource: worker(),
        goal,
        overrides,
        on_conflict: OnConflict::Reject,
        reason: None,
        labels: BTreeMap::new(),
    }
}

/// Settings as they are by default.
pub fn defaults() -> SettingsOverrides {
    SettingsOverrides::default()
}

/// The default settings with this cooldown.
pub fn cooldown(seconds: u64) -> SettingsOverrides {
    SettingsOverrides { cooldown: Some(Duration::from_secs(seconds)), ..defaults() }
}

pub const SETTINGS: Settings = Settings::DEFAULT;

pub const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A sidecar whose resources begin at `capacity` and take a minute for a change.
pub fn start_at(capacity: u32) -> Behaviour {
    Behaviour { start_capacity: super::sidecar::units(capacity), provisioning: secs(60), ..Behaviour::default() }
}

pub fn error_code(job: &Job) -> Option<ErrorCode> {
    match job.ended() {
        Some(Ending::Failed(error)) => Some(error.code),
        _ => None,
    }
}
