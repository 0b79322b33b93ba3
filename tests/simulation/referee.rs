//! Watches a life from outside and knows the truth: one check per promise, made at the moment it could be broken.
//!
//! It never looks at how the engine decides. What it knows is what reached the disk, the sidecar, the readers and the
//! clients, and what the resources really were.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use scalegate::domain::policy::Decision;
use scalegate::domain::{
    Alias, ChangeAnswer, Ending, ErrorCode, EventId, Goal, GroupedAnswer, HistoryEntry, Job, JobEvent, JobId, JobState,
    Move, Notice, ReadFailure, ResourceEvent, SettingLimits, Step, StepOutcome, Timestamp,
};
use scalegate::engine::{Answer, Refusal, ReplyTo};
use scalegate::sidecar::{REQUEST_TIMEOUT, RawReading, interpret_change};
use scalegate::sim::{BEGIN, Delayed, Disk, Machine, Surroundings, shifted};
use scalegate::store::Unit;

use crate::coverage::Coverage;
use crate::groups::{self, GroupWatch};
use crate::policies::Watch;
use crate::sabotage::Sabotage;
use crate::scenario::{MOST_UNITS, RESOURCES, ReadFate, Scenario};
use crate::sidecar::{Changed, Sidecar, index_of};

/// How long a limit may be overrun: by the longest call, which is waited for, and by the slowest commits around it.
const GRACE: Duration = REQUEST_TIMEOUT.saturating_add(Duration::from_secs(30));
/// How long what is decided can take to be on the disk.
const SLOWEST_COMMITS: Duration = Duration::from_secs(20);
/// What a job has at least, also after a restart, however long its own patience is.
const LEAST_PATIENCE: Duration = Duration::from_secs(60);
/// How long the answer to an idempotency key is promised to be kept.
const KEYS_KEPT: Duration = Duration::from_hours(24);

/// The names of the resources.
pub static ALIASES: LazyLock<[Alias; RESOURCES.len()]> =
    LazyLock::new(|| RESOURCES.map(|name| name.parse().expect("an alias")));

/// Which promise was broken, and how.
pub type Violation = String;

/// What is true of capacities in this life besides what the gateway does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rigour {
    /// No other program changes them, and every delay keeps to the settings.
    Exact,
    /// Another program changes them too.
    Interference,
    /// The sidecar, or the clock of a machine that was off, breaks what the promises assume of it.
    Lawless,
}

/// A change that reached the sidecar.
struct Arrival {
    at: Timestamp,
    cooldown: Duration,
    /// How much of the cooldown a clock set forward while the machine was off takes away, which no process can know.
    forgiven: Duration,
}

/// What a client is waiting for.
pub struct Request {
    pub key: Option<String>,
}

pub struct Referee {
    pub sidecar: Sidecar,
    pub coverage: Coverage,
    pub violation: Option<Violation>,
    /// What happened, in words, if they are asked for.
    pub story: Option<Vec<String>>,
    pub requests: HashMap<ReplyTo, Request>,
    pub policies: Watch,
    pub groups: GroupWatch,
    /// How far the process's clock is ahead of the true time, in milliseconds.
    pub clock_error: i64,
    /// Whether every change takes the same time and is seen at once.
    pub is_steady: bool,
    /// Whether the clock that readings are stamped by is right.
    has_honest_clocks: bool,
    rigour: Rigour,
    /// Whether nothing happens in this life that could make a job fail.
    is_calm: bool,
    sabotage: Option<Sabotage>,
    /// By the process's clock.
    pub restarted_at: Timestamp,
    /// When the sidecar gave a reading at once; the process has it unless it died right then.
    readings: [Vec<Timestamp>; RESOURCES.len()],
    /// What readers see.
    table: HashMap<JobId, Arc<Job>>,
    /// The last version in the log.
    logged: EventId,
    /// The last version that a client knows that watches from the beginning, and comes back after every restart.
    watched: EventId,
    /// Versions that are in the log, although their commit failed: those who watch read them from there.
    unnoticed: HashSet<EventId>,
    promised: HashSet<JobId>,
    promised_for: HashMap<String, (JobId, Timestamp)>,
    arrivals: [Option<Arrival>; RESOURCES.len()],
    /// How little care the operator lets jobs take.
    limits: SettingLimits,
    /// How much older a reading can be than it says, which only matters if another program changes capacities.
    hidden_age: Duration,
    /// When the last change that takes effect reached the sidecar.
    last_effects: [Timestamp; RESOURCES.len()],
    /// Every change that was sent, by job and step, and whether it takes effect.
    sent: HashMap<(JobId, usize), bool>,
}

impl Referee {
    pub fn new(scenario: &Scenario, sabotage: Option<Sabotage>, with_story: bool) -> Self {
        let rigour = if scenario.is_lawless() {
            Rigour::Lawless
        } else if scenario.is_interfered_with() {
            Rigour::Interference
        } else {
            Rigour::Exact
        };
        Self {
            sidecar: Sidecar::new(&scenario.nature),
            coverage: Coverage::default(),
            violation: None,
            story: with_story.then(Vec::new),
            requests: HashMap::new(),
            policies: Watch::default(),
            groups: GroupWatch::default(),
            clock_error: 0,
            is_steady: scenario.is_steady(),
            has_honest_clocks: scenario.has_honest_clocks(),
            rigour,
            is_calm: scenario.is_calm(),
            sabotage,
            restarted_at: BEGIN,
            readings: [const { Vec::new() }; RESOURCES.len()],
            table: HashMap::new(),
            logged: 0,
            watched: 0,
            unnoticed: HashSet::new(),
            promised: HashSet::new(),
            promised_for: HashMap::new(),
            arrivals: [const { None }; RESOURCES.len()],
            limits: SettingLimits::NONE,
            hidden_age: scenario.nature.hidden_age(),
            last_effects: [BEGIN; RESOURCES.len()],
            sent: HashMap::new(),
        }
    }

    /// Adds a line to the story.
    pub fn tell(&mut self, now: Timestamp, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            let seconds = now.since(BEGIN).as_secs_f64();
            story.push(format!("{seconds:>10.3}  {}", line()));
        }
    }

    /// Unless `holds`, a promise is broken. Only the first time is worth telling. Of a broken gateway only the rule
    /// matters that is to catch it.
    pub fn demand(&mut self, holds: bool, violation: impl FnOnce() -> Violation) {
        if holds || self.violation.is_some() {
            return;
        }
        let violation = violation();
        if self.sabotage.is_none_or(|sabotage| violation.starts_with(sabotage.breaks())) {
            self.violation = Some(violation);
        }
    }

    /// Takes over what is wrong with policies, and what befell them.
    fn hear_policies(&mut self) {
        for violation in std::mem::take(&mut self.policies.violations) {
            self.demand(false, || violation);
        }
        for what in std::mem::take(&mut self.policies.counts) {
            self.coverage.count(what);
        }
    }

    fn hear_groups(&mut self, violations: impl IntoIterator<Item = Violation>) {
        violations.into_iter().for_each(|violation| self.demand(false, || violation));
    }

    /// A job or a group that a client was told of, and that is gone.
    fn lost(&self, disk: &Disk) -> Option<JobId> {
        let job = self.promised.iter().find(|id| disk.job(**id).is_none()).copied();
        job.or_else(|| self.groups.lost(disk))
    }

    /// The process is back; its clock moved on by `clock_gain` more than the time that passed. The operator may ask for
    /// more care from now on.
    pub fn restarted(&mut self, clock: Timestamp, clock_gain: i64, limits: Option<SettingLimits>, disk: &Disk) {
        if let Some(limits) = limits {
            self.limits = limits;
            self.coverage.count("limits of settings tightened");
        }
        self.restarted_at = clock;
        self.groups.is_stopping = false;
        self.table = disk.jobs().map(|job| (job.id, Arc::clone(job))).collect();
        // A client that watches reads up to here from the log.
        self.watched = self.logged;
        self.requests.clear();
        let gain = Duration::from_millis(u64::try_from(clock_gain).unwrap_or(0));
        if gain > Duration::ZERO {
            self.rigour = Rigour::Lawless;
        }
        for arrival in self.arrivals.iter_mut().flatten() {
            arrival.forgiven += gain;
        }
        let lost = self.lost(disk);
        self.demand(lost.is_none(), || format!("accepted is durable: {lost:?} was promised and is gone"));
    }

    /// What must hold between any two events.
    pub fn check(machine: &mut Machine<Self>) {
        let (clock, is_committed) = (machine.clock(), machine.is_committed());
        let patience_ends = |until: Timestamp, since: Timestamp| until.max(since) + GRACE;
        for name in ALIASES.iter() {
            let Some(lane) = machine.core().lane(name) else { continue };
            let is_let_in = lane.queue().next().is_some_and(|first| !first.awaits_stage());
            let idle_queue = lane.active().is_none() && is_let_in;
            let waiting = lane.active().map(|job| (job.id, job.waiting.as_ref().map(|waiting| waiting.until)));
            let referee = &mut machine.surroundings;
            let restarted_at = referee.restarted_at;
            referee.demand(!idle_queue, || format!("never stuck: jobs of {name} wait behind no other job"));
            if let Some((id, until)) = waiting {
                let patient = until.is_some_and(|until| clock <= patience_ends(until, restarted_at));
                referee.demand(patient, || format!("never stuck: {id} waits until {until:?}, and it is {clock}"));
            }
        }
        for (resource, name) in ALIASES.iter().enumerate().filter(|_| is_committed) {
            if machine.surroundings.policies.is_due(resource) {
                let standing = machine.core().standing(name, clock);
                machine.surroundings.policies.check_standing(resource, &standing, clock);
            }
        }
        let Machine { surroundings: referee, disk, .. } = machine;
        referee.policies.check_explained(disk);
        referee.hear_policies();
        let violations = referee.groups.check(disk, is_committed);
        referee.hear_groups(violations);
        let mut unresolved = [0; RESOURCES.len()];
        let mut of_policies = [0; RESOURCES.len()];
        for job in disk.jobs() {
            let is_of_policy = job.is_of_policy() && job.ended().is_none() && job.ending.is_none();
            of_policies[index_of(&job.resource)] += u32::from(is_of_policy);
            let pending = job.steps.iter().filter(|step| step.outcome == StepOutcome::Pending).count();
            unresolved[index_of(&job.resource)] += pending;
            if is_committed {
                let same = referee.table.get(&job.id).is_some_and(|seen| Arc::ptr_eq(seen, job) || seen == job);
                referee.demand(same, || format!("readers see what is stored: not so for {job:#?}"));
            }
        }
        let one_at_most = unresolved.iter().all(|count| *count <= 1);
        referee.demand(one_at_most, || format!("one change at a time: unresolved are {unresolved:?}"));
        let one_at_most = of_policies.iter().all(|count| *count <= 1);
        referee.demand(one_at_most, || format!("one job of a policy at a time: unfinished are {of_policies:?}"));
    }

    /// What must hold when everything is over.
    pub fn check_end(machine: &mut Machine<Self>) {
        let Machine { surroundings: referee, disk, .. } = machine;
        for job in disk.jobs() {
            referee.coverage.life(job);
            referee.demand(job.ended().is_some(), || format!("every job ends: not so {job:#?}"));
            let told = |wanted: fn(&ResourceEvent) -> Option<JobId>| {
                disk.timeline(&job.resource).iter().filter(|entry| wanted(&entry.what) == Some(job.id)).count()
            };
            let (sent, steps_sent) =
                (told(change_sent), job.steps.iter().filter(|step| step.sent_at.is_some()).count());
            referee.demand(sent == steps_sent, || format!("the timeline has every change: {sent} of {job:#?}"));
            let ended = told(job_ended);
            referee.demand(ended == 1, || format!("the timeline has every end: {ended} of {job:#?}"));
            let resolved = job.steps.iter().all(|step| step.resolved_at.is_some());
            referee.demand(resolved, || format!("every step is resolved: not so in {job:#?}"));
            if referee.rigour == Rigour::Exact {
                for (index, step) in job.steps.iter().enumerate() {
                    let accepted = referee.sent.get(&(job.id, index)).copied();
                    let honest = is_honest(step, accepted);
                    referee.demand(honest, || format!("step {index} is not what happened ({accepted:?}): {job:#?}"));
                }
            }
        }
        disk.groups().for_each(|group| referee.coverage.group(group));
        referee.hear_groups(groups::check_end(disk));
        let lost = referee.lost(disk);
        referee.demand(lost.is_none(), || format!("accepted is durable: {lost:?} is gone"));
    }

    fn check_history(&mut self, before: &Job, after: &Job) {
        let grows = before.version < after.version
            && before.created_at == after.created_at
            && before.settings.within(&self.limits) == after.settings
            && rank(&before.state) <= rank(&after.state)
            && before.external_changes.len() <= after.external_changes.len()
            && before.steps.len() <= after.steps.len()
            && (before.target.is_none()
                || before.target == after.target
                || before.retargets.count < after.retargets.count)
            && before.retargets.count <= after.retargets.count
            && before.steps.iter().zip(&after.steps).all(|(before, after)| is_history_of(before, after));
        self.demand(grows, || format!("no history goes backwards: {before:#?} became {after:#?}"));
        self.demand(before.ended().is_none(), || format!("what has ended stays: {before:#?} became {after:#?}"));
    }

    fn check_form(&mut self, now: Timestamp, job: &Job) {
        let consistent = match &job.state {
            JobState::Queued | JobState::Running => job.waiting.is_some() && job.finished_at.is_none(),
            JobState::Ended(_) => job.waiting.is_none() && job.finished_at.is_some(),
        };
        self.demand(consistent, || format!("never stuck: it waits for nothing and has not ended {job:#?}"));
        let Some(ending) = job.ended() else { return };
        if let Some(finished_at) = job.finished_at {
            let limit = job.deadline_at.max(self.restarted_at) + GRACE;
            self.demand(finished_at <= limit, || format!("within its limits: not so {job:#?}"));
        }
        if let Ending::Failed(error) = ending {
            let explained = !error.message.is_empty() && self.is_to_blame(now, error.code, job);
            self.demand(explained, || format!("ends with its reason: not so {job:#?}"));
        }
    }

    fn check_success(&mut self, now: Timestamp, job: &Job) {
        if self.rigour != Rigour::Exact || job.ended() != Some(&Ending::Succeeded) {
            return;
        }
        let units = self.sidecar.resource(now, index_of(&job.resource)).booked();
        let reached = job.target.is_some_and(|target| target.units() == units);
        self.demand(reached, || format!("success means reached: the capacity is {units} after {job:#?}"));
    }

    /// A client is told of `job`.
    fn promise(&mut self, job: &Arc<Job>, disk: &Disk) {
        let durable = disk.job(job.id).is_some_and(|stored| stored.version >= job.version);
        self.demand(durable, || format!("accepted is durable: {job:#?} is not on disk"));
        let shown = self.table.get(&job.id).is_some_and(|shown| shown.version >= job.version);
        self.demand(shown, || format!("a client that is answered finds the job: {job:#?} is not shown"));
        self.promised.insert(job.id);
    }

    /// Whether something happened that explains the failure.
    fn is_to_blame(&self, now: Timestamp, code: ErrorCode, job: &Job) -> bool {
        match code {
            ErrorCode::ResourceNotFound => self.coverage.readings(ReadFate::NotFound) > 0,
            ErrorCode::ResourceFailed => self.coverage.has("status FAILED"),
            ErrorCode::SidecarRejected => job.steps.iter().any(|step| step.outcome == StepOutcome::Rejected),
            ErrorCode::OutOfBounds => matches!(job.goal, Goal::Delta(_)),
            ErrorCode::DeadlineExceeded => job.finished_at.is_some_and(|at| job.deadline_at <= at),
            ErrorCode::SidecarUnreachable => self.has_been_unreachable(now, job),
            ErrorCode::ActiveTimeout | ErrorCode::NoProgress | ErrorCode::OutcomeUnknown => !self.is_calm,
        }
    }

    /// Whether there was no reading for as long as `job` must be patient. What was read while its end was written is
    /// for the next job.
    fn has_been_unreachable(&self, now: Timestamp, job: &Job) -> bool {
        let patience = job.settings.active_timeout.min(LEAST_PATIENCE);
        let mut readings = self.readings[index_of(&job.resource)].iter().rev();
        let last = readings.find(|at| **at + SLOWEST_COMMITS <= now).copied().unwrap_or(BEGIN);
        now.since(last) >= patience
    }

    /// Whether `disk` justifies sending `change` now; the job and step it belongs to.
    fn check_intent(&mut self, resource: &Alias, change: Move, disk: &Disk) -> Option<(Arc<Job>, usize)> {
        let mut intended = disk.jobs().filter(|job| job.resource == *resource).filter_map(|job| {
            let step = job.steps.iter().position(|step| step.outcome == StepOutcome::Pending)?;
            Some((Arc::clone(job), step))
        });
        let (first, second) = (intended.next(), intended.next());
        self.demand(second.is_none(), || format!("one change at a time: {first:#?} and {second:#?}"));
        let Some((job, index)) = first else {
            self.demand(false, || format!("intended before sent: no intent of {change} is on disk"));
            return None;
        };
        let step = &job.steps[index];
        let as_intended =
            (step.op, step.units, step.from, step.to) == (change.op, change.units, change.from, change.to);
        self.demand(as_intended, || format!("intended before sent: {change} is not {step:?}"));
        let first_time = !self.sent.contains_key(&(job.id, index));
        self.demand(first_time, || format!("never twice: {change} of {} was sent before", job.id));
        // A policy may have given the job another target while the change was on its way.
        let asked_for = self.policies.handed_target(index_of(resource)).or(job.target);
        let target = asked_for.unwrap_or(change.from);
        let toward = change.from.distance(target) == change.units + change.to.distance(target);
        // Whichever program put it beyond the bounds, going back toward them is right.
        let bounded = change.to.units() <= MOST_UNITS.max(change.from.units());
        let within = toward && bounded && change.units <= job.settings.step_size;
        self.demand(within, || format!("never past the target or the bounds: {change} in {job:#?}"));
        Some((job, index))
    }

    fn check_cooldown(&mut self, now: Timestamp, index: usize, cooldown: Duration) {
        let Some(Arrival { at, cooldown: earlier, forgiven }) = &self.arrivals[index] else { return };
        let (apart, least) = (now.since(*at), cooldown.max(*earlier).saturating_sub(*forgiven));
        self.demand(apart >= least, || {
            format!("never inside a cooldown: {apart:?} after a change instead of {least:?}")
        });
    }

    /// Whatever a job was accepted with.
    fn check_care(&mut self, now: Timestamp, index: usize, change: Move, job: &Job) {
        let SettingLimits { min_cooldown, max_step_size, min_settle } = self.limits;
        let earlier = self.arrivals[index].as_ref();
        let earlier_at = earlier.map(|earlier| earlier.at);
        let apart =
            earlier.is_none_or(|earlier| now.since(earlier.at) >= min_cooldown.saturating_sub(earlier.forgiven));
        let (units, settle) = (change.units, job.settings.settle);
        self.demand(apart && units <= max_step_size && min_settle <= settle, || {
            format!("never with less care than the operator asks for: {change} after {earlier_at:?} in {job:#?}")
        });
    }

    fn check_reading(&mut self, now: Timestamp, index: usize, change: Move) {
        let since = self.last_effects[index] - self.hidden_age;
        let resource = self.sidecar.resource(now, index);
        let (from, booked) = (change.from.units(), resource.booked());
        let was_so = match self.rigour {
            Rigour::Exact => booked == from,
            Rigour::Interference => resource.was(from, since),
            Rigour::Lawless => true,
        };
        self.demand(was_so, || format!("never on a stale reading: {change} at a capacity of {booked}"));
    }
}

impl Surroundings for Referee {
    fn read(&mut self, now: Timestamp, resource: &Alias) -> Delayed<Result<RawReading, ReadFailure>> {
        let index = index_of(resource);
        let ((after, mut reading), fate) = self.sidecar.read(now, index);
        if let (Ok(reading), Some(Sabotage::ActOnReRead)) = (&mut reading, self.sabotage) {
            reading.capacity = self.sidecar.observe(now, index).capacity;
        }
        if reading.is_ok() && fate.is_none() {
            self.readings[index].push(now);
        }
        self.coverage.reading(fate);
        self.tell(now, || match &reading {
            Ok(RawReading { status, capacity, stamp }) => {
                let age = stamp.map_or("without a timestamp".into(), |stamp| format!("of {stamp}"));
                format!("reading of {resource}: {status} at {capacity}, {age}{}", told(fate))
            }
            Err(failure) => format!("reading of {resource}: {}", failure.detail),
        });
        (after, reading)
    }

    fn change(&mut self, now: Timestamp, resource: &Alias, change: Move, disk: &Disk) -> Delayed<ChangeAnswer> {
        let index = index_of(resource);
        let change = match self.sabotage {
            Some(Sabotage::OneUnitTooMany) => Move { units: change.units + 1, ..change },
            _ => change,
        };
        let intent = self.check_intent(resource, change, disk);
        if let Some((job, _)) = &intent {
            if job.is_of_policy() {
                self.policies.check_sent(index, change);
                self.hear_policies();
            }
            self.check_cooldown(now, index, job.settings.cooldown);
            self.check_care(now, index, change, job);
            self.hear_groups(groups::check_sent(job, disk));
        }
        self.check_reading(now, index, change);
        let Changed { answer, fate, arrived, accepted } = self.sidecar.change(now, index, change);
        self.coverage.change(fate);
        self.tell(now, || {
            format!("{change} reaches {resource}: {:?}{}, takes effect: {accepted}", answer.1, told(fate))
        });
        if accepted {
            self.last_effects[index] = now;
        }
        if let Some((job, step)) = intent {
            self.sent.insert((job.id, step), accepted);
            if arrived {
                let cooldown = job.settings.cooldown;
                self.arrivals[index] = Some(Arrival { at: now, cooldown, forgiven: Duration::ZERO });
            }
        }
        let is_unknown = matches!(answer.1, ChangeAnswer::Unknown { .. });
        if is_unknown && self.sabotage == Some(Sabotage::ResendOnTimeout) && self.violation.is_none() {
            return self.change(now, resource, change, disk);
        }
        answer
    }

    fn change_together(&mut self, now: Timestamp, changes: &[(Alias, Move)], disk: &Disk) -> Delayed<GroupedAnswer> {
        self.coverage.count("several resources changed in one request");
        let parts: Vec<Delayed<ChangeAnswer>> =
            changes.iter().map(|(resource, change)| self.change(now, resource, *change, disk)).collect();
        let (after, answers) = together(parts);
        let is_unknown = answers.iter().any(|answer| matches!(answer, ChangeAnswer::Unknown { .. }));
        if is_unknown && self.sabotage == Some(Sabotage::ResendTogether) && self.violation.is_none() {
            return self.change_together(now, changes, disk);
        }
        let answers = match self.sabotage {
            Some(Sabotage::RefusalOfAll) if is_unknown => answers.into_iter().map(|_| rejected()).collect(),
            _ => answers,
        };
        (after, GroupedAnswer { answers, has_path: true })
    }

    fn asked(&mut self, _: Timestamp, unit: &Unit) {
        self.policies.asked_to_write(unit);
    }

    fn handed_over(&mut self, now: Timestamp, resource: &Alias, change: Move) {
        let clock = shifted(now, self.clock_error);
        self.policies.handed_over(index_of(resource), change, clock);
        self.hear_policies();
    }

    fn decided(&mut self, now: Timestamp, decision: &Decision, _: &Disk) {
        self.tell(now, || format!("decision for {}: {:?}, {}", decision.resource, decision.action, decision.detail));
        let effect = self.has_honest_clocks.then(|| {
            let (since, units) = self.sidecar.resource(now, index_of(&decision.resource)).last_change();
            (shifted(since, self.clock_error), units)
        });
        self.policies.decided(decision, effect);
        self.hear_policies();
    }

    fn written(&mut self, now: Timestamp, event: &JobEvent, disk: &Disk) {
        let job = &event.job;
        if job.is_of_policy() {
            self.policies.written(disk.job(job.id).map(AsRef::as_ref), job, disk);
            self.hear_policies();
        }
        if let Some(before) = disk.job(job.id) {
            self.check_history(before, job);
            // The log of versions keeps the last step of each, and takes those before it from later versions.
            let settled = &before.steps[..before.steps.len().saturating_sub(1)];
            self.demand(job.steps.starts_with(settled), || {
                format!("the log gives back every version: not {before:#?} from {job:#?}")
            });
        } else {
            self.hear_groups(groups::check_new(job, disk));
        }
        let last = std::mem::replace(&mut self.logged, event.id);
        self.demand(event.id == last + 1, || format!("no change is missed: {} follows {last} in the log", event.id));
        self.check_form(now, job);
        self.check_success(now, job);
        self.tell(now, || {
            let waiting = job.waiting.as_ref().map_or(String::new(), |waiting| format!(", {}", waiting.detail));
            format!("on disk: {} v{} {:?}{waiting}", short(job.id), job.version, job.state)
        });
    }

    fn published(&mut self, _: Timestamp, event: &JobEvent, disk: &Disk) {
        let job = &event.job;
        let told_before = std::mem::replace(&mut self.watched, event.id);
        let missed = (told_before + 1..event.id).find(|id| !self.unnoticed.contains(id));
        self.demand(told_before < event.id && missed.is_none(), || {
            format!("no change is missed: {} is told after {told_before}", event.id)
        });
        let logged = disk.versions().iter().rev().any(|logged| logged == event);
        self.demand(logged, || format!("no change is missed: {event:#?} is told, not logged"));
        let stored = disk.job(job.id);
        let durable = stored.is_some_and(|stored| stored.version > job.version || stored == job);
        self.demand(durable, || format!("readers see what is stored: {job:#?} is not"));
        let before = self.table.insert(job.id, Arc::clone(job));
        let newer = before.is_none_or(|before| before.version < job.version);
        self.demand(newer, || format!("no history goes backwards: {job:#?} is shown again"));
    }

    fn commit_failed(&mut self, now: Timestamp, written: Range<EventId>) {
        self.coverage.count(if written.is_empty() { "commit failed" } else { "commit failed, but is on the disk" });
        self.tell(now, || format!("a commit failed; on disk all the same: {written:?}"));
        self.unnoticed.extend(written);
    }

    fn read_again(&mut self, _: Timestamp, jobs: &BTreeSet<JobId>, disk: &Disk) {
        self.policies.adopted_again();
        for job in jobs.iter().filter_map(|id| disk.job(*id)) {
            self.table.insert(job.id, Arc::clone(job));
        }
    }

    fn abandoned(&mut self, now: Timestamp, to: ReplyTo) {
        self.requests.remove(&to);
        self.policies.abandoned(to);
        self.tell(now, || format!("answer {to}: it may be done or not"));
    }

    fn told(&mut self, _: Timestamp, resource: &Alias, entry: &HistoryEntry, disk: &Disk) {
        let kept = disk.timeline(resource).iter().rev().any(|kept| kept == entry);
        self.demand(kept, || format!("what is told is kept: {entry:?} of {resource} is not"));
    }

    fn answered(&mut self, now: Timestamp, to: ReplyTo, answer: Answer, disk: &Disk) {
        if let Answer::GroupReplayed { group, .. } = answer {
            return self.replayed(now, to, group, disk);
        }
        let request = self.requests.remove(&to);
        self.tell(now, || format!("answer {to}: {}", summary(&answer)));
        if let Answer::Policy(answer) = &answer {
            self.policies.answered(to, answer, shifted(now, self.clock_error));
            self.hear_policies();
        }
        let promised = match &answer {
            Answer::Created(noted) | Answer::Joined(noted) | Answer::Changed(noted) => {
                self.promise(&noted.job, disk);
                noted.job.id
            }
            Answer::GroupCreated(id) | Answer::GroupJoined(id) | Answer::GroupChanged(id) => {
                self.demand(disk.group(*id).is_some(), || format!("accepted is durable: group {id} is not on disk"));
                self.groups.promise(*id);
                *id
            }
            Answer::Refused(Refusal::MembersBusy { .. }) => return self.coverage.count("group refused"),
            _ => return,
        };
        if let Some(key) = request.and_then(|request| request.key) {
            let known = self.promised_for.get(&key).is_some_and(|(_, at)| now.since(*at) < KEYS_KEPT);
            self.demand(!known, || format!("the same key gets the same answer: {key} was answered before"));
            self.promised_for.insert(key, (promised, now));
        }
    }

    fn replayed(&mut self, now: Timestamp, to: ReplyTo, job: JobId, disk: &Disk) {
        let key = self.requests.remove(&to).and_then(|request| request.key);
        self.tell(now, || format!("answer {to}: as before for key {key:?}: {}", short(job)));
        let stored = key.as_ref().and_then(|key| disk.entry(key)).map(|entry| entry.made);
        self.demand(stored == Some(job), || format!("accepted is durable: {key:?} has {stored:?} on disk, not {job}"));
        let promised = key.as_ref().and_then(|key| self.promised_for.get(key));
        let promised = promised.filter(|(_, at)| now.since(*at) < KEYS_KEPT).map(|(id, _)| *id);
        let same = promised.is_none_or(|promised| promised == job);
        self.demand(same, || format!("the same key gets the same answer: {promised:?} became {job}"));
        self.coverage.count("answers given again");
    }

    fn noticed(&mut self, now: Timestamp, resource: &Alias, notice: &Notice) {
        self.tell(now, || format!("log: {resource} {} {}", short(notice.job), notice.message));
    }
}

/// Whether the outcome that `step` shows agrees with whether its change takes effect; `None` is never sent.
fn is_honest(step: &Step, accepted: Option<bool>) -> bool {
    match step.outcome {
        StepOutcome::Confirmed => accepted == Some(true),
        StepOutcome::NotApplied | StepOutcome::Rejected => accepted != Some(true),
        StepOutcome::Pending | StepOutcome::Unknown => true,
    }
}

/// Whether a step may have become another.
fn is_history_of(before: &Step, after: &Step) -> bool {
    let same = (before.op, before.units, before.from, before.to) == (after.op, after.units, after.from, after.to);
    let resolved = before.outcome != StepOutcome::Pending;
    same && if resolved { before == after } else { before.sent_at.is_none() || before.sent_at == after.sent_at }
}

fn rank(state: &JobState) -> u8 {
    match state {
        JobState::Queued => 0,
        JobState::Running => 1,
        JobState::Ended(_) => 2,
    }
}

/// The number of a job, which is all that its id consists of here; the ids that the gateway gives out have more.
pub fn short(id: JobId) -> String {
    let number = id.as_u128();
    if number < 1 << 64 { format!("job {number}") } else { format!("job {id}") }
}

fn told(fate: Option<impl std::fmt::Debug>) -> String {
    fate.map_or(String::new(), |fate| format!(" ({fate:?})"))
}

fn summary(answer: &Answer) -> String {
    match answer {
        Answer::Created(noted) => format!("created {}", short(noted.job.id)),
        Answer::Joined(noted) => format!("joined {}", short(noted.job.id)),
        Answer::Changed(noted) => format!("changed {}", short(noted.job.id)),
        Answer::Refused(Refusal::Busy { by }) => format!("busy with {}", short(by.id)),
        Answer::Policy(answer) => format!("about a policy: {answer:?}"),
        Answer::Refused(refusal) => format!("refused: {refusal:?}"),
        Answer::GroupCreated(id) => format!("created group {id}"),
        Answer::GroupJoined(id) => format!("joined group {id}"),
        Answer::GroupPlanned { joins } => format!("planned a group, which joins {joins:?}"),
        Answer::GroupChanged(id) => format!("changed group {id}"),
        Answer::GroupReplayed { group, .. } => format!("as before: group {group}"),
    }
}

fn change_sent(what: &ResourceEvent) -> Option<JobId> {
    match what {
        ResourceEvent::ChangeSent { job, .. } => Some(*job),
        _ => None,
    }
}

fn job_ended(what: &ResourceEvent) -> Option<JobId> {
    match what {
        ResourceEvent::JobEnded { job, .. } => Some(*job),
        _ => None,
    }
}

/// What the answer to a request with these parts says of each, and when it comes. It lists what was accepted, if the first one
/// was; otherwise nothing is known of any, unless nothing was sent.
fn together(parts: Vec<Delayed<ChangeAnswer>>) -> (Duration, Vec<ChangeAnswer>) {
    let after = parts.iter().map(|(after, _)| *after).max().unwrap_or_default();
    let answers: Vec<ChangeAnswer> = parts.into_iter().map(|(_, answer)| answer).collect();
    let is_unsent = answers.iter().all(|answer| matches!(answer, ChangeAnswer::NotSent { .. }));
    let lists = answers.first() == Some(&ChangeAnswer::Acknowledged);
    let of = |answer: ChangeAnswer| match answer {
        ChangeAnswer::NotSent { .. } if is_unsent => answer,
        ChangeAnswer::Acknowledged if lists => answer,
        _ => ChangeAnswer::Unknown { detail: "nothing is said of it".into(), answer: None },
    };
    (after, answers.into_iter().map(of).collect())
}

fn rejected() -> ChangeAnswer {
    interpret_change(409, b"{}")
}
