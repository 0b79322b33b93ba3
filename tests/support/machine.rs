//! A gateway's process in virtual time: the engine's real core and real recovery over a model disk.
//!
//! Time passes only from event to event, so that hours of scaling take milliseconds and every run is the same. A crash
//! can be put between any two events: what was not committed is lost, what was sent stays sent. Whatever is outside of
//! the process is [`Surroundings`].

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use scalegate::clock::{Anchor, Present, Start, WallWatch};
use scalegate::domain::{
    Alias, Call, CallId, ChangeAnswer, EventId, HistoryEntry, Job, JobEvent, JobId, JobRequest, LaneRecord, Move,
    Notice, ReadFailure, Reading, ScalingConfig, Timestamp,
};
use scalegate::engine::{Answer, Core, Effect, ReplyTo, SubmitKey};
use scalegate::sidecar::RawReading;
use scalegate::store::{Batch, KeyedAnswer, Snapshot, UsedKey};

/// When every life begins.
pub const BEGIN: Timestamp = Timestamp::from_millis(1_800_000_000_000);
/// How long the real client waits for an answer.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the machine has been running when a life begins.
const UPTIME: Duration = Duration::from_hours(1);
/// The id of the first version of a job.
const FIRST_EVENT: EventId = 1;
/// How long a commit takes, unless the disk is slow.
const COMMIT: Duration = Duration::from_millis(2);

/// Something together with the time it takes to arrive.
pub type Delayed<T> = (Duration, T);

/// What the process talks to, and who watches it do so. Times are true ones, whatever the process's clock shows.
pub trait Surroundings {
    /// The sidecar is asked for the capacity of `resource`; the answer's stamp is by the wall's clock.
    fn read(&mut self, now: Timestamp, resource: &Alias) -> Delayed<Result<RawReading, ReadFailure>>;

    /// The sidecar is asked to change the capacity of `resource`, which only what is on `disk` can justify.
    fn change(&mut self, now: Timestamp, resource: &Alias, change: Move, disk: &Disk) -> Delayed<ChangeAnswer>;

    /// `event` is about to take the place of the older version of its job on `disk`.
    fn written(&mut self, _now: Timestamp, _event: &JobEvent, _disk: &Disk) {}

    /// Readers see the job from now on.
    fn published(&mut self, _now: Timestamp, _event: &JobEvent, _disk: &Disk) {}

    /// Those who watch are told of something that happened to `resource`.
    fn told(&mut self, _now: Timestamp, _resource: &Alias, _entry: &HistoryEntry, _disk: &Disk) {}

    /// A request is answered.
    fn answered(&mut self, _now: Timestamp, _to: ReplyTo, _answer: Answer, _disk: &Disk) {}

    /// A request is answered with what is stored for its key.
    fn replayed(&mut self, _now: Timestamp, _to: ReplyTo, _key: &str, _disk: &Disk) {}

    /// The operator is told something.
    fn noticed(&mut self, _now: Timestamp, _resource: &Alias, _notice: &Notice) {}
}

/// The store: what it holds survives [`Machine::crash`].
#[derive(Default)]
pub struct Disk {
    lanes: BTreeMap<Alias, LaneRecord>,
    order: Vec<JobId>,
    jobs: HashMap<JobId, Arc<Job>>,
    answers: HashMap<String, KeyedAnswer>,
    /// The versions of all jobs, in order.
    versions: Vec<JobEvent>,
    timelines: HashMap<Alias, Vec<HistoryEntry>>,
    clock: Option<Anchor>,
    /// What a broken store does to its records before it writes them.
    pub corrupt: Option<fn(&mut Batch)>,
    /// What a broken store does to its records before it gives them back.
    pub forget: Option<fn(&mut Snapshot)>,
}

impl Disk {
    pub fn job(&self, id: JobId) -> Option<&Arc<Job>> {
        self.jobs.get(&id)
    }

    /// All jobs in order of submission.
    pub fn jobs(&self) -> impl Iterator<Item = &Arc<Job>> {
        self.order.iter().map(|id| &self.jobs[id])
    }

    /// The versions of all jobs, in the order in which they were written.
    pub fn versions(&self) -> &[JobEvent] {
        &self.versions
    }

    /// What has happened to `resource`.
    pub fn timeline(&self, resource: &Alias) -> &[HistoryEntry] {
        self.timelines.get(resource).map_or(&[], Vec::as_slice)
    }

    pub fn answer(&self, key: &str) -> Option<&KeyedAnswer> {
        self.answers.get(key)
    }

    fn write(&mut self, batch: Batch) {
        for event in batch.jobs {
            if self.jobs.insert(event.job.id, Arc::clone(&event.job)).is_none() {
                self.order.push(event.job.id);
            }
            self.versions.push(event);
        }
        for (resource, entry) in batch.history {
            self.timelines.entry(resource).or_default().push(entry);
        }
        for lane in batch.lanes {
            self.lanes.insert(lane.resource.clone(), lane);
        }
        for resource in &batch.forgotten_lanes {
            self.lanes.remove(resource);
        }
        for answer in batch.answers {
            self.answers.insert(answer.key.clone(), answer);
        }
    }

    /// The points in time in here are by another clock from now on, and those of `snapshot` already so.
    fn change_clock(&mut self, snapshot: &Snapshot, before: Timestamp, after: Timestamp) {
        self.write(Batch { lanes: snapshot.lanes.clone(), ..Batch::default() });
        for answer in self.answers.values_mut() {
            answer.answered_at = answer.answered_at.on_another_clock(before, after);
        }
    }

    /// What is needed to carry on, having gone through the stored form.
    fn load(&self) -> Snapshot {
        // Of finished jobs the engine wants to know nothing, and their versions are not its business either.
        let thaw = |job: &Arc<Job>| JobEvent {
            id: 0,
            job: serde_json::from_str(&serde_json::to_string(job).expect("serialisable")).expect("readable"),
        };
        let used = |answer: &KeyedAnswer| UsedKey {
            key: answer.key.clone(),
            resource: answer.job.resource.clone(),
            fingerprint: answer.fingerprint,
            answered_at: answer.answered_at,
        };
        let mut snapshot = Snapshot {
            lanes: self.lanes.values().cloned().collect(),
            jobs: self.jobs().filter(|job| job.ended().is_none()).map(thaw).collect(),
            keys: self.answers.values().map(used).collect(),
            next_event: self.versions.last().map_or(FIRST_EVENT, |last| last.id + 1),
            restored_at: None,
        };
        if let Some(forget) = self.forget {
            forget(&mut snapshot);
        }
        snapshot
    }
}

/// Something that is going to happen.
enum Event {
    Committed(Batch),
    /// A change is on its way to the sidecar: too late to be held back by a crash.
    Dispatched(Alias, CallId, Move),
    Reading(Alias, CallId, Timestamp, Result<RawReading, ReadFailure>),
    Answered(Alias, CallId, ChangeAnswer),
}

/// A process, its disk and its clock. See the module's documentation.
pub struct Machine<S> {
    /// The true time.
    pub now: Timestamp,
    /// How far the process's clock is ahead of the true time, in milliseconds.
    pub clock_error: i64,
    /// How far the wall's clock is ahead of the true time, in milliseconds.
    pub wall_error: i64,
    /// How often the machine that it runs on was started.
    pub boots: u64,
    pub surroundings: S,
    pub disk: Disk,
    /// How long a commit takes.
    pub commit_takes: Duration,
    /// How long it takes until a change that is handed over is on its way.
    pub dispatch_takes: Duration,
    /// Whether the store says of commits that they are on the disk when they are not yet.
    pub commits_early: bool,
    /// Whether nothing happens by itself.
    pub ignores_timers: bool,
    wall: WallWatch,
    core: Core,
    scaling: Arc<ScalingConfig>,
    events: BTreeMap<(Timestamp, u64), Event>,
    next_event: u64,
    commits_under_way: usize,
    disk_busy_until: Timestamp,
    next_job: u128,
    /// The resource of each job that was asked for.
    resources: HashMap<JobId, Alias>,
    next_request: ReplyTo,
}

impl<S: Surroundings> Machine<S> {
    pub fn new(surroundings: S, scaling: ScalingConfig) -> Self {
        let scaling = Arc::new(scaling);
        let mut machine = Self {
            now: BEGIN,
            clock_error: 0,
            wall_error: 0,
            boots: 1,
            surroundings,
            disk: Disk::default(),
            commit_takes: COMMIT,
            dispatch_takes: Duration::ZERO,
            commits_early: false,
            ignores_timers: false,
            wall: WallWatch::begin(BEGIN, BEGIN, false),
            core: Core::recover(Arc::clone(&scaling), &Disk::default().load(), BEGIN),
            scaling,
            events: BTreeMap::new(),
            next_event: 0,
            commits_under_way: 0,
            disk_busy_until: BEGIN,
            next_job: 1,
            resources: HashMap::new(),
            next_request: 1,
        };
        machine.start_clock(&mut Snapshot::default());
        machine
    }

    /// The time by the process's clock.
    pub fn clock(&self) -> Timestamp {
        shifted(self.now, self.clock_error)
    }

    pub fn core(&self) -> &Core {
        &self.core
    }

    /// Whether everything the engine wants on the disk is there.
    pub fn is_committed(&self) -> bool {
        self.commits_under_way == 0
    }

    /// Changes the operator's rules for the next process.
    pub fn change_policy(&mut self, change: impl FnOnce(&mut ScalingConfig)) {
        change(Arc::make_mut(&mut self.scaling));
    }

    /// The number under which the next request will be answered.
    pub fn next_request(&self) -> ReplyTo {
        self.next_request
    }

    /// Submits a request, which gets the returned id if it becomes a job.
    pub fn submit(&mut self, request: JobRequest, key: Option<SubmitKey>) -> JobId {
        let id = JobId::from_u128(self.next_job);
        self.next_job += 1;
        self.resources.insert(id, request.resource.clone());
        let (to, clock) = (self.take_request(), self.clock());
        self.core.submit(id, request, key, to, clock);
        self.perform();
        id
    }

    pub fn cancel(&mut self, id: JobId) {
        let (to, clock) = (self.take_request(), self.clock());
        self.core.cancel(id, &self.resources[&id], None, to, clock);
        self.perform();
    }

    fn take_request(&mut self) -> ReplyTo {
        self.next_request += 1;
        self.next_request - 1
    }

    /// Begins nothing new from now on.
    pub fn drain(&mut self) {
        self.core.drain();
        self.perform();
    }

    /// Forgets what can no longer matter.
    pub fn clean_up(&mut self) {
        let clock = self.clock();
        self.core.forget(clock);
        self.perform();
    }

    /// When something is going to happen next.
    pub fn next_at(&self) -> Option<Timestamp> {
        let wake_at = self.core.next_wake().filter(|_| !self.ignores_timers);
        let wake_at = wake_at.map(|at| shifted(at, -self.clock_error));
        self.next_event_at().into_iter().chain(wake_at).min()
    }

    fn next_event_at(&self) -> Option<Timestamp> {
        self.events.keys().next().map(|(at, _)| *at)
    }

    /// Lets one thing happen; whether there was one.
    pub fn step(&mut self) -> bool {
        let Some(at) = self.next_at() else { return false };
        self.now = self.now.max(at);
        if self.next_event_at() == Some(at) {
            self.deliver();
        } else {
            let clock = self.clock();
            self.core.wake_due(clock);
        }
        self.perform();
        true
    }

    /// Lets everything happen that happens within `duration`.
    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.next_at().is_some_and(|at| at <= end) {
            self.step();
        }
        self.now = end;
    }

    fn deliver(&mut self) {
        let Some((_, event)) = self.events.pop_first() else { return };
        let clock = self.clock();
        match event {
            Event::Committed(batch) => {
                self.commits_under_way -= 1;
                self.write(batch);
                if !self.commits_early {
                    self.core.committed(clock);
                }
            }
            Event::Dispatched(resource, call, change) => {
                let (after, answer) = self.surroundings.change(self.now, &resource, change, &self.disk);
                self.schedule(after, Event::Answered(resource, call, answer));
            }
            Event::Reading(resource, call, asked_at, raw) => {
                let reading = raw.map(|raw| self.timed(raw, asked_at));
                self.core.on_reading(&resource, call, reading, clock);
            }
            Event::Answered(resource, call, answer) => self.core.on_change_answer(&resource, call, answer, clock),
        }
    }

    fn timed(&mut self, raw: RawReading, asked_at: Timestamp) -> Reading {
        let RawReading { status, capacity, stamp } = raw;
        let (clock, wall) = (self.clock(), shifted(self.now, self.wall_error));
        let stamp = stamp.map(|stamp| stamp.on_another_clock(wall, clock));
        let wall_set_at = self.wall.look(clock, wall);
        Reading { status, capacity, stamp, wall_set_at, asked_at, received_at: clock }
    }

    fn write(&mut self, mut batch: Batch) {
        if let Some(corrupt) = self.disk.corrupt {
            corrupt(&mut batch);
        }
        for event in &batch.jobs {
            self.surroundings.written(self.now, event, &self.disk);
        }
        self.disk.write(batch);
    }

    /// The process dies, the first `durable` of the commits under way having reached the disk without anybody hearing of
    /// it, and another one starts after `pause`.
    pub fn crash(&mut self, durable: usize, pause: Duration) {
        let mut commits = 0;
        for event in std::mem::take(&mut self.events).into_values() {
            if let Event::Committed(batch) = event {
                commits += 1;
                if commits <= durable {
                    self.write(batch);
                }
            }
        }
        self.commits_under_way = 0;
        self.now = self.now + pause;
        self.disk_busy_until = self.now;
        let mut snapshot = self.disk.load();
        self.start_clock(&mut snapshot);
        self.core = Core::recover(Arc::clone(&self.scaling), &snapshot, self.clock());
        self.perform();
    }

    /// Decides what the clock of a new process shows, as the real one does.
    fn start_clock(&mut self, snapshot: &mut Snapshot) {
        let wall = shifted(self.now, self.wall_error);
        let present = Present { wall, uptime: UPTIME + self.now.since(BEGIN), boot: Some(self.boots.to_string()) };
        let was_set = present.may_have_been_set_since(self.disk.clock.as_ref());
        let shows = match Start::decide(self.disk.clock.as_ref(), &present, has_work(snapshot)) {
            Start::Resume(shows) => shows,
            Start::Wall { before } => {
                let before = before.unwrap_or(wall);
                snapshot.carry_over(before, wall);
                self.disk.change_clock(snapshot, before, wall);
                self.disk.clock = present.anchor();
                wall
            }
        };
        self.wall = WallWatch::begin(shows, wall, was_set);
        self.clock_error = shows.as_millis() - self.now.as_millis();
    }

    fn schedule(&mut self, after: Duration, event: Event) {
        self.next_event += 1;
        self.events.insert((self.now + after, self.next_event), event);
    }

    fn perform(&mut self) {
        loop {
            let effects = self.core.take_effects();
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                self.perform_one(effect);
            }
        }
    }

    fn perform_one(&mut self, effect: Effect) {
        let (now, clock) = (self.now, self.clock());
        match effect {
            Effect::Commit(batch) => {
                // One after the other, also when the disk gets faster.
                self.disk_busy_until = self.disk_busy_until.max(now + self.commit_takes);
                self.commits_under_way += 1;
                self.schedule(self.disk_busy_until.since(now), Event::Committed(batch));
                if self.commits_early {
                    self.core.committed(clock);
                }
            }
            Effect::Call { resource, id, call: Call::Read, .. } => {
                let (after, raw) = self.surroundings.read(now, &resource);
                self.schedule(after, Event::Reading(resource, id, clock, raw));
            }
            Effect::Call { resource, id, call: Call::Change(change), .. } => {
                self.schedule(self.dispatch_takes, Event::Dispatched(resource, id, change));
            }
            Effect::PublishJob(event) => self.surroundings.published(now, &event, &self.disk),
            Effect::PublishHistory(resource, entry) => self.surroundings.told(now, &resource, &entry, &self.disk),
            Effect::Reply(to, answer) => self.surroundings.answered(now, to, answer, &self.disk),
            Effect::Replay(to, key) => self.surroundings.replayed(now, to, &key, &self.disk),
            Effect::Log(resource, notice) => self.surroundings.noticed(now, &resource, &notice),
        }
    }
}

/// `at`, so many milliseconds later.
pub fn shifted(at: Timestamp, millis: i64) -> Timestamp {
    Timestamp::from_millis(at.as_millis().saturating_add(millis))
}

/// Whether anything is unfinished.
fn has_work(snapshot: &Snapshot) -> bool {
    snapshot.jobs.iter().any(|event| event.job.ended().is_none())
        || snapshot.lanes.iter().any(|lane| lane.change.is_some())
}
