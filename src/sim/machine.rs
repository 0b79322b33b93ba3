//! A gateway's process in virtual time: the engine's real core and real recovery over a model disk.
//!
//! Time passes only from event to event, so that hours of scaling take milliseconds and every run is the same. A crash
//! can be put between any two events: what was not committed is gone, what was sent stays sent. A commit can fail as well.
//! What is outside of the process is [`Surroundings`].

mod commits;
mod policies;

pub use self::commits::CommitFailure;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::{Delayed, Disk, Restored};
use crate::clock::{Present, Start, WallWatch};
use crate::domain::forecast::{History, learn};
use crate::domain::policy::{Decision, MetricSpec, Name};
use crate::domain::{
    Alias, Call, CallId, ChangeAnswer, EventId, GroupId, GroupRequest, GroupedAnswer, HistoryEntry, JobEvent, JobId,
    JobRequest, Move, Notice, ReadFailure, Reading, ScalingConfig, Timestamp,
};
use crate::engine::{Answer, Core, Effect, GroupedChange, JobChange, ReplyTo};
use crate::sidecar::RawReading;
use crate::store::{Admissions, Epoch, Observations, SubmitKey, Unit, Wish};

/// When every run begins.
pub const BEGIN: Timestamp = Timestamp::from_millis(1_800_000_000_000);
/// How long the computer has been running then.
const UPTIME: Duration = Duration::from_hours(1);
/// How long a commit takes, unless the disk is slow.
const COMMIT: Duration = Duration::from_millis(2);

/// What the process talks to, and who watches it do so. Times are true ones, whatever the process's clock shows.
pub trait Surroundings {
    /// The sidecar is asked for the capacity of `resource`; the answer's stamp is by the wall's clock.
    fn read(&mut self, now: Timestamp, resource: &Alias) -> Delayed<Result<RawReading, ReadFailure>>;

    /// The sidecar is asked to change the capacity of `resource`, which only what is on `disk` can justify.
    fn change(&mut self, now: Timestamp, resource: &Alias, change: Move, disk: &Disk) -> Delayed<ChangeAnswer>;

    /// The sidecar is asked for `changes` in one request, which only what is on `disk` can justify.
    fn change_together(&mut self, now: Timestamp, changes: &[(Alias, Move)], disk: &Disk) -> Delayed<GroupedAnswer>;

    /// The engine asks for `unit` to be made durable.
    fn asked(&mut self, _now: Timestamp, _unit: &Unit) {}

    /// The engine hands over `change` of `resource`, which reaches the sidecar some time later.
    fn handed_over(&mut self, _now: Timestamp, _resource: &Alias, _change: Move) {}

    /// `event` is about to take the place of the older version of its job on `disk`.
    fn written(&mut self, _now: Timestamp, _event: &JobEvent, _disk: &Disk) {}

    /// Readers see the job from now on.
    fn published(&mut self, _now: Timestamp, _event: &JobEvent, _disk: &Disk) {}

    /// A commit failed; these versions of jobs are on the disk all the same.
    fn commit_failed(&mut self, _now: Timestamp, _written: Range<EventId>) {}

    /// Readers see these jobs as they are on `disk` from now on.
    fn read_again(&mut self, _now: Timestamp, _jobs: &BTreeSet<JobId>, _disk: &Disk) {}

    /// A request is told that what it asked for may be done or not.
    fn abandoned(&mut self, _now: Timestamp, _to: ReplyTo) {}

    /// Those who watch are told of something that happened to `resource`.
    fn told(&mut self, _now: Timestamp, _resource: &Alias, _entry: &HistoryEntry, _disk: &Disk) {}

    /// A request is answered.
    fn answered(&mut self, _now: Timestamp, _to: ReplyTo, _answer: Answer, _disk: &Disk) {}

    /// A request is answered with the job of the same one before.
    fn replayed(&mut self, _now: Timestamp, _to: ReplyTo, _job: JobId, _disk: &Disk) {}

    /// These metrics of `resource` are to be pulled from now on.
    fn watched(&mut self, _now: Timestamp, _resource: &Alias, _metrics: &BTreeMap<Name, MetricSpec>) {}

    /// Those who watch are told of a decision.
    fn decided(&mut self, _now: Timestamp, _decision: &Decision, _disk: &Disk) {}

    /// The operator is told something.
    fn noticed(&mut self, _now: Timestamp, _resource: &Alias, _notice: &Notice) {}
}

/// Something that is going to happen.
enum Event {
    /// A commit is done.
    Committed(Unit),
    /// What was observed is on the disk.
    Recorded(Vec<Observations>),
    /// The lanes whose commits failed are adopted again.
    RetryDue,
    /// A change is on its way to the sidecar.
    Dispatched(Alias, CallId, Move),
    /// A request with several changes is on its way to the sidecar.
    DispatchedTogether(Vec<GroupedChange>),
    AnsweredTogether(Vec<(Alias, CallId)>, GroupedAnswer),
    Reading(Alias, CallId, Timestamp, Result<RawReading, ReadFailure>),
    Answered(Alias, CallId, ChangeAnswer),
    /// A reading that no job asked for.
    Observed(Alias, Timestamp, Result<RawReading, ReadFailure>),
}

impl Event {
    fn is_call_of(&self, resource: &Alias) -> bool {
        match self {
            Self::Dispatched(of, ..) | Self::Reading(of, ..) | Self::Answered(of, ..) => of == resource,
            Self::Observed(of, ..) => of == resource,
            // The other lanes wait for the answer too.
            Self::DispatchedTogether(_) | Self::AnsweredTogether(..) => false,
            Self::Committed(_) | Self::Recorded(_) | Self::RetryDue => false,
        }
    }
}

/// A process, its disk and its clock. See the module's documentation.
pub struct Machine<S> {
    /// The true time.
    pub now: Timestamp,
    /// How far the process's clock is ahead of the true time, in milliseconds.
    pub clock_error: i64,
    /// How far the wall's clock is ahead of the true time, in milliseconds.
    pub wall_error: i64,
    /// How often the computer was started.
    pub boots: u64,
    /// What the process talks to.
    pub surroundings: S,
    /// What survives it.
    pub disk: Disk,
    /// How long a commit takes.
    pub commit_takes: Duration,
    /// How long it takes until a change that is handed over is on its way.
    pub dispatch_takes: Duration,
    /// How the next commits fail.
    pub commit_failures: VecDeque<CommitFailure>,
    /// Whether the store says of commits that they are on the disk when they are not yet. For tests that must notice.
    pub commits_early: bool,
    /// Whether nothing happens by itself. For tests that must notice.
    pub ignores_timers: bool,
    /// Whether an intent that was withdrawn before it was on the disk is sent all the same. For tests that must notice.
    pub sends_withdrawn: bool,
    /// The process that died last, as if it had not. It hears the readings and the values of metrics of the one that runs,
    /// and decides by itself: what it decides is what a restart must not change.
    pub predecessor: Option<Core>,
    wall: WallWatch,
    core: Core,
    /// What the process knows of the limits.
    admissions: Admissions,
    /// Whether a commit failed, so that nothing is written before lanes are adopted again.
    is_broken: bool,
    /// Requests that wait for another one with the same key.
    reserving: Vec<(ReplyTo, Wish)>,
    next_version: EventId,
    last_epoch: Epoch,
    /// The lanes that belong to the process, in which adoption.
    owned: HashMap<Alias, Epoch>,
    /// The lanes that were evicted, with the jobs of which more may be on the disk than is shown.
    evicted: BTreeMap<Alias, BTreeSet<JobId>>,
    scaling: Arc<ScalingConfig>,
    events: BTreeMap<(Timestamp, u64), Event>,
    next_event: u64,
    commits_under_way: usize,
    disk_busy_until: Timestamp,
    next_job: u128,
    /// The resource of each job that was asked for.
    resources: HashMap<JobId, Alias>,
    next_request: ReplyTo,
    /// How many processes there were.
    processes: u32,
}

impl<S: Surroundings> Machine<S> {
    /// A process that has just started, with nothing on its disk.
    pub fn new(surroundings: S, scaling: ScalingConfig) -> Self {
        let scaling = Arc::new(scaling);
        let disk = Disk::default();
        let mut machine = Self {
            now: BEGIN,
            clock_error: 0,
            wall_error: 0,
            boots: 1,
            surroundings,
            next_version: disk.next_event(),
            disk,
            commit_takes: COMMIT,
            dispatch_takes: Duration::ZERO,
            commit_failures: VecDeque::new(),
            commits_early: false,
            ignores_timers: false,
            sends_withdrawn: false,
            predecessor: None,
            wall: WallWatch::begin(BEGIN, BEGIN, false),
            core: Core::new(Arc::clone(&scaling), None).with_ids(ids_of(1)),
            admissions: Admissions::default(),
            is_broken: false,
            reserving: Vec::new(),
            last_epoch: 0,
            owned: HashMap::new(),
            evicted: BTreeMap::new(),
            scaling,
            events: BTreeMap::new(),
            next_event: 0,
            commits_under_way: 0,
            disk_busy_until: BEGIN,
            next_job: 1,
            resources: HashMap::new(),
            next_request: 1,
            processes: 1,
        };
        machine.start_clock();
        machine
    }

    /// The time by the process's clock.
    pub fn clock(&self) -> Timestamp {
        shifted(self.now, self.clock_error)
    }

    /// The engine's core.
    pub fn core(&self) -> &Core {
        &self.core
    }

    /// Whether everything the engine wants on the disk is there, and shown as it is there.
    pub fn is_committed(&self) -> bool {
        self.commits_under_way == 0 && self.evicted.is_empty()
    }

    /// Changes the operator's rules for the next process.
    pub fn change_scaling(&mut self, change: impl FnOnce(&mut ScalingConfig)) {
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

    /// Submits a request to scale several resources.
    pub fn submit_group(&mut self, request: GroupRequest, key: Option<SubmitKey>) {
        let (to, clock) = (self.take_request(), self.clock());
        self.core.submit_group(request, key, to, clock);
        self.perform();
    }

    /// Cancels the group `id`.
    pub fn cancel_group(&mut self, id: GroupId) {
        let (to, clock) = (self.take_request(), self.clock());
        self.core.cancel_group(id, None, to, clock);
        self.perform();
    }

    /// Cancels the job that [`Machine::submit`] returned the id of.
    pub fn cancel(&mut self, id: JobId) {
        let resource = self.resources[&id].clone();
        self.cancel_on(&resource, id);
    }

    /// Cancels a job of `resource`.
    pub fn cancel_on(&mut self, resource: &Alias, id: JobId) {
        let (to, clock) = (self.take_request(), self.clock());
        self.core.change(id, JobChange::Cancel, resource, None, to, clock);
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
        let of_predecessor = self.predecessor.as_ref().and_then(Core::next_wake);
        let wake_at = wake_at.into_iter().chain(of_predecessor).min().map(|at| shifted(at, -self.clock_error));
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
        self.move_predecessor();
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
            Event::Committed(unit) => self.end_commit(unit),
            Event::Recorded(batch) => self.end_record(batch),
            Event::RetryDue => self.adopt_evicted(),
            Event::Dispatched(resource, call, change) => {
                let (after, answer) = self.surroundings.change(self.now, &resource, change, &self.disk);
                self.schedule(after, Event::Answered(resource, call, answer));
            }
            Event::DispatchedTogether(parts) => {
                let calls = parts.iter().map(|part| (part.resource.clone(), part.id)).collect();
                let changes: Vec<(Alias, Move)> = parts.into_iter().map(|part| (part.resource, part.change)).collect();
                let (after, answer) = self.surroundings.change_together(self.now, &changes, &self.disk);
                self.schedule(after, Event::AnsweredTogether(calls, answer));
            }
            Event::AnsweredTogether(calls, answer) => self.core.on_grouped_answer(calls, answer, clock),
            Event::Reading(resource, call, asked_at, raw) => {
                let reading = raw.map(|raw| self.timed(raw, asked_at));
                if let Ok(reading) = &reading {
                    self.tell_predecessor(&resource, reading);
                }
                self.core.on_reading(&resource, call, reading, clock);
            }
            Event::Observed(resource, asked_at, raw) => {
                if let Ok(raw) = raw {
                    let reading = self.timed(raw, asked_at);
                    self.tell_predecessor(&resource, &reading);
                    self.core.on_observation(&resource, &reading, clock);
                }
            }
            Event::Answered(resource, call, answer) => self.core.on_change_answer(&resource, call, answer, clock),
        }
    }

    fn timed(&mut self, raw: RawReading, asked_at: Timestamp) -> Reading {
        let RawReading { status, capacity, stamp } = raw;
        let (clock, wall) = (self.clock(), shifted(self.now, self.wall_error));
        let stamp = stamp.map(|stamp| stamp.on_another_clock(wall, clock));
        let wall_set_at = self.wall.check(clock, wall);
        Reading { status, capacity, stamp, wall_set_at, asked_at, received_at: clock }
    }

    /// The process dies, the first `durable` of the commits under way having reached the disk without the process hearing of
    /// it, and another one starts after `pause`.
    pub fn crash(&mut self, durable: usize, pause: Duration) {
        let mut commits = 0;
        for event in std::mem::take(&mut self.events).into_values() {
            if let Event::Committed(unit) = event {
                commits += 1;
                if commits <= durable && self.owns(&unit) {
                    self.write(unit);
                }
            }
        }
        self.evicted.clear();
        self.is_broken = false;
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
        self.owned = adoption.lanes.iter().map(|lane| (lane.record.resource.clone(), lane.epoch)).collect();
        self.processes += 1;
        let core = Core::new(Arc::clone(&self.scaling), None).with_ids(ids_of(self.processes));
        let core = core.carry_on(adoption, self.clock());
        let died = std::mem::replace(&mut self.core, core);
        self.predecessor = Some(died);
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
                self.surroundings.asked(now, &unit);
                // One after the other, also when the disk gets faster.
                self.disk_busy_until = self.disk_busy_until.max(now + self.commit_takes);
                self.commits_under_way += 1;
                let said = self.commits_early.then(|| self.next_version + self.versions_under_way());
                self.schedule(self.disk_busy_until.since(now), Event::Committed(unit));
                if said.is_some() {
                    self.core.on_committed(said, clock);
                }
            }
            Effect::Call { resource, id, call: Call::Read, .. } => {
                let (after, raw) = self.surroundings.read(now, &resource);
                self.schedule(after, Event::Reading(resource, id, clock, raw));
            }
            Effect::Call { resource, id, call: Call::Change(change), .. } => {
                self.surroundings.handed_over(now, &resource, change);
                self.schedule(self.dispatch_takes, Event::Dispatched(resource, id, change));
            }
            Effect::ChangeTogether(parts) => {
                parts.iter().for_each(|part| self.surroundings.handed_over(now, &part.resource, part.change));
                self.schedule(self.dispatch_takes, Event::DispatchedTogether(parts));
            }
            Effect::Record(observations) => self.record(observations),
            Effect::Observe(resource) => {
                let (after, raw) = self.surroundings.read(now, &resource);
                self.schedule(after, Event::Observed(resource, clock, raw));
            }
            // Nothing is kept here for long enough to learn from.
            Effect::Learn(resource, assignment) => {
                let learned = learn(&History::new(assignment.max_age), &assignment.lesson);
                self.core.on_learned(&resource, &assignment.rule, Some(learned), now);
            }
            Effect::Watch(resource, metrics) => self.surroundings.watched(now, &resource, &metrics),
            Effect::UnreadablePolicy(_)
            | Effect::PolicyEnded { .. }
            | Effect::FollowInCircle(_)
            | Effect::SourcesRefused(..)
            | Effect::PublishPolicy(_)
            | Effect::PublishGroup(_)
            | Effect::ForgetGroup(_) => {}
            Effect::PublishDecision(decision) => self.surroundings.decided(now, &decision, &self.disk),
            Effect::PublishJob(event) => self.surroundings.published(now, &event, &self.disk),
            Effect::PublishHistory(resource, entry) => self.surroundings.told(now, &resource, &entry, &self.disk),
            Effect::Reply(to, answer) => self.surroundings.answered(now, to, answer, &self.disk),
            Effect::Replay { to, job, .. } => self.surroundings.replayed(now, to, job, &self.disk),
            Effect::Reserve(to, wish) => self.reserve(to, *wish),
            Effect::GiveBack(reservation) => {
                self.admissions.give_back(reservation);
                self.reserve_again();
            }
            // It is adopted again with the others.
            Effect::Adopt(resource) if self.evicted.contains_key(&resource) => {}
            Effect::Adopt(resource) => self.adopt(resource),
            Effect::Evicted { resource, jobs } => self.evict(resource, jobs),
            Effect::Abandon(to) => self.surroundings.abandoned(now, to),
            Effect::Log(resource, notice) => self.surroundings.noticed(now, &resource, &notice),
        }
    }
}

/// What tells the ids that one process makes from those of another.
fn ids_of(process: u32) -> [u8; 6] {
    let [a, b, c, d] = process.to_be_bytes();
    [0, 0, a, b, c, d]
}

/// `at`, so many milliseconds later.
pub fn shifted(at: Timestamp, millis: i64) -> Timestamp {
    Timestamp::from_millis(at.as_millis().saturating_add(millis))
}
