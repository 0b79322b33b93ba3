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
use scalegate::engine::{Answer, Core, Effect, ReplyTo};
use scalegate::sidecar::RawReading;
use scalegate::store::{
    AdmissionRecords, Admissions, AdoptedLane, Adoption, Epoch, Held, Holder, IdempotencyEntry, LaneChange,
    RecordChange, SubmitKey, Unit, Wish,
};

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

    /// A request is answered with the job of the same one before.
    fn replayed(&mut self, _now: Timestamp, _to: ReplyTo, _job: JobId, _disk: &Disk) {}

    /// The operator is told something.
    fn noticed(&mut self, _now: Timestamp, _resource: &Alias, _notice: &Notice) {}
}

/// The store: what it holds survives [`Machine::crash`].
#[derive(Default)]
pub struct Disk {
    lanes: BTreeMap<Alias, LaneRecord>,
    order: Vec<JobId>,
    jobs: HashMap<JobId, Arc<Job>>,
    entries: HashMap<String, IdempotencyEntry>,
    /// The versions of all jobs, in order.
    versions: Vec<JobEvent>,
    timelines: HashMap<Alias, Vec<HistoryEntry>>,
    clock: Option<Anchor>,
    /// What a broken store does to its records before it writes them.
    pub corrupt: Option<fn(&mut Unit)>,
    /// What a broken store does to its records before it gives them back.
    pub forget: Option<fn(&mut Restored)>,
}

/// What the store gives back to a new process.
pub struct Restored {
    pub adoption: Adoption,
    pub admissions: AdmissionRecords,
    /// The id of the next version of a job.
    pub next_event: EventId,
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

    /// What the request with this `key` led to.
    pub fn entry(&self, key: &str) -> Option<&IdempotencyEntry> {
        self.entries.get(key)
    }

    /// The id of the next version of a job.
    fn next_event(&self) -> EventId {
        self.versions.last().map_or(FIRST_EVENT, |last| last.id + 1)
    }

    fn write(&mut self, unit: Unit, first_event: EventId) {
        for event in (first_event..).zip(unit.jobs).map(|(id, job)| JobEvent { id, job }) {
            if self.jobs.insert(event.job.id, Arc::clone(&event.job)).is_none() {
                self.order.push(event.job.id);
            }
            self.versions.push(event);
        }
        for (resource, entry) in unit.history {
            self.timelines.entry(resource).or_default().push(entry);
        }
        for LaneChange { resource, record, .. } in unit.lanes {
            match record {
                RecordChange::Keep => {}
                RecordChange::Write(record) => drop(self.lanes.insert(resource, *record)),
                RecordChange::Remove => drop(self.lanes.remove(&resource)),
            }
        }
        for entry in unit.entries {
            self.entries.insert(entry.key.clone(), entry);
        }
    }

    /// Everything finished in here is by another clock from now on.
    fn change_clock(&mut self, before: Timestamp, after: Timestamp) {
        for record in self.lanes.values_mut() {
            record.change_state.carry_over(before, after);
        }
        for entry in self.entries.values_mut() {
            entry.answered_at = entry.answered_at.on_another_clock(before, after);
        }
    }

    fn unfinished(&self) -> impl Iterator<Item = &Arc<Job>> {
        self.jobs().filter(|job| job.ended().is_none())
    }

    /// Whether anything is unfinished.
    fn has_work(&self) -> bool {
        self.unfinished().next().is_some() || self.lanes.values().any(|lane| lane.change.is_some())
    }

    /// The lane of `resource`, having gone through the stored form.
    fn adopt(&self, resource: &Alias, epoch: Epoch) -> AdoptedLane {
        let thaw = |job: &Arc<Job>| JobEvent {
            id: 0,
            job: serde_json::from_str(&serde_json::to_string(job).expect("serialisable")).expect("readable"),
        };
        let jobs = self.unfinished().filter(|job| job.resource == *resource).map(thaw).collect();
        let record = self.lanes.get(resource).cloned().unwrap_or_else(|| LaneRecord::new(resource.clone()));
        AdoptedLane { epoch, record, jobs }
    }

    /// All lanes, those with a record first.
    fn adopt_all(&self) -> Adoption {
        let mut resources: Vec<&Alias> = self.lanes.keys().collect();
        for job in self.unfinished() {
            if !resources.contains(&&job.resource) {
                resources.push(&job.resource);
            }
        }
        let lanes = resources.into_iter().zip(1..).map(|(resource, epoch)| self.adopt(resource, epoch));
        Adoption { lanes: lanes.collect(), restored_at: None }
    }

    fn restore(&self) -> Restored {
        let (adoption, admissions, next_event) = (self.adopt_all(), self.admissions(), self.next_event());
        let mut restored = Restored { adoption, admissions, next_event };
        if let Some(forget) = self.forget {
            forget(&mut restored);
        }
        restored
    }

    /// What admissions are decided by.
    fn admissions(&self) -> AdmissionRecords {
        let mut held: HashMap<Holder, Held> = HashMap::new();
        for job in self.jobs() {
            let held = held.entry(Holder::Resource(job.resource.clone())).or_default();
            held.jobs += 1;
            held.text_bytes += job.text_bytes();
        }
        AdmissionRecords {
            entries: self.entries.values().cloned().collect(),
            unfinished: self.unfinished().map(|job| (job.id, job.submitted_with().cloned())).collect(),
            held: held.into_iter().collect(),
            finished: self.jobs().filter(|job| job.ended().is_some()).count(),
        }
    }
}

/// Something that is going to happen.
enum Event {
    /// A unit is on the disk; its first job is this version.
    Committed(Unit, EventId),
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
    /// What the process knows of the limits.
    admissions: Admissions,
    /// Requests that wait for another one with the same key.
    reserving: Vec<(ReplyTo, Wish)>,
    next_version: EventId,
    last_epoch: Epoch,
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
            core: Core::new(Arc::clone(&scaling), None),
            admissions: Admissions::default(),
            reserving: Vec::new(),
            next_version: FIRST_EVENT,
            last_epoch: 0,
            scaling,
            events: BTreeMap::new(),
            next_event: 0,
            commits_under_way: 0,
            disk_busy_until: BEGIN,
            next_job: 1,
            resources: HashMap::new(),
            next_request: 1,
        };
        machine.start_clock();
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
        self.admissions.forget(clock);
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
            Event::Committed(unit, first_event) => {
                self.commits_under_way -= 1;
                self.admissions.committed(&unit);
                self.write(unit, first_event);
                if !self.commits_early {
                    self.core.on_committed(Some(first_event), clock);
                }
                self.reserve_again();
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

    fn write(&mut self, mut unit: Unit, first_event: EventId) {
        if let Some(corrupt) = self.disk.corrupt {
            corrupt(&mut unit);
        }
        for (id, job) in (first_event..).zip(&unit.jobs) {
            self.surroundings.written(self.now, &JobEvent { id, job: Arc::clone(job) }, &self.disk);
        }
        self.disk.write(unit, first_event);
    }

    /// Has those decided that waited for another request.
    fn reserve_again(&mut self) {
        for (to, wish) in std::mem::take(&mut self.reserving) {
            self.reserve(to, wish);
        }
    }

    fn reserve(&mut self, to: ReplyTo, wish: Wish) {
        match self.admissions.reserve(&wish) {
            Some(decided) => self.core.on_reserved(to, Some(decided), self.clock()),
            None => self.reserving.push((to, wish)),
        }
    }

    /// The process dies, the first `durable` of the commits under way having reached the disk without anybody hearing of
    /// it, and another one starts after `pause`.
    pub fn crash(&mut self, durable: usize, pause: Duration) {
        let mut commits = 0;
        for event in std::mem::take(&mut self.events).into_values() {
            if let Event::Committed(unit, first_event) = event {
                commits += 1;
                if commits <= durable {
                    self.write(unit, first_event);
                }
            }
        }
        self.commits_under_way = 0;
        self.now = self.now + pause;
        self.disk_busy_until = self.now;
        self.start_clock();
        self.admissions = Admissions::default();
        let Restored { adoption, admissions, next_event } = self.disk.restore();
        self.admissions.restore(admissions);
        self.reserving.clear();
        self.next_version = next_event;
        self.last_epoch = adoption.lanes.len() as Epoch;
        self.core = Core::recover(Arc::clone(&self.scaling), adoption, self.clock());
        self.perform();
    }

    /// Decides what the clock of a new process shows, as the real one does.
    fn start_clock(&mut self) {
        let wall = shifted(self.now, self.wall_error);
        let present = Present { wall, uptime: UPTIME + self.now.since(BEGIN), boot: Some(self.boots.to_string()) };
        let was_set = present.may_have_been_set_since(self.disk.clock.as_ref());
        let shows = match Start::decide(self.disk.clock.as_ref(), &present, self.disk.has_work()) {
            Start::Resume(shows) => shows,
            Start::Wall { before } => {
                let before = before.unwrap_or(wall);
                self.disk.change_clock(before, wall);
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
            Effect::Commit(unit) => {
                let first_event = self.next_version;
                self.next_version += unit.jobs.len() as EventId;
                // One after the other, also when the disk gets faster.
                self.disk_busy_until = self.disk_busy_until.max(now + self.commit_takes);
                self.commits_under_way += 1;
                self.schedule(self.disk_busy_until.since(now), Event::Committed(unit, first_event));
                if self.commits_early {
                    self.core.on_committed(Some(first_event), clock);
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
            Effect::Replay { to, job, .. } => self.surroundings.replayed(now, to, job, &self.disk),
            Effect::Reserve(to, wish) => self.reserve(to, *wish),
            Effect::GiveBack(reservation) => {
                self.admissions.give_back(reservation);
                self.reserve_again();
            }
            Effect::Adopt(resource) => {
                self.last_epoch += 1;
                self.core.adopt(self.disk.adopt(&resource, self.last_epoch), clock);
            }
            // Commits of this store do not fail, and a request to a process that stops gets no answer.
            Effect::Evicted { .. } | Effect::Abandon(_) => {}
            Effect::Log(resource, notice) => self.surroundings.noticed(now, &resource, &notice),
        }
    }
}

/// `at`, so many milliseconds later.
pub fn shifted(at: Timestamp, millis: i64) -> Timestamp {
    Timestamp::from_millis(at.as_millis().saturating_add(millis))
}
