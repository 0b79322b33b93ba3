//! The engine without its I/O: all lanes, their timers, and the order of commits.
//!
//! Inputs come with the time at which they happened; what is to be done about them comes out as [`Effect`]s. Nothing is
//! published or answered before the commit it rests on is on the disk: such effects wait in a queue until
//! [`Core::committed`] says so. The same code runs live, in recovery, and under simulation in virtual time.

mod lanes;
mod recovery;
mod resources;
mod unfinished;
mod unlisted;
mod used_keys;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use lanes::Lanes;
use unfinished::Unfinished;
use unlisted::UnlistedLanes;
use used_keys::UsedKeys;

use super::requests::{Answer, JobPlan, Refusal, ReplyTo, ResourceView, SubmitKey};
use crate::domain::{
    Action, Actor, Admission, Alias, Attempt, AuditEntry, AuditVerdict, Call, CallId, ChangeAnswer, ChangeState,
    EventId, Goal, HistoryEntry, Job, JobEvent, JobId, JobRequest, Lane, LaneRecord, Notice, OnConflict, Origin,
    Outcome, ReadFailure, Reading, ResourceConfig, ResourceEvent, ScalingConfig, Subject, Timestamp, Turn, estimate,
};
use crate::store::{Batch, KeyedAnswer, UsedKey};

/// Something the engine is to do.
#[derive(Debug)]
pub enum Effect {
    /// Make this durable; [`Core::committed`] follows, in the same order.
    Commit(Batch),
    /// Ask the sidecar.
    Call {
        /// About this resource.
        resource: Alias,
        /// Identifies the answer.
        id: CallId,
        /// What to ask.
        call: Call,
        /// On whose behalf.
        origin: Origin,
    },
    /// Show the job to readers.
    PublishJob(JobEvent),
    /// Show what happened to a resource to those who watch it.
    PublishHistory(Alias, HistoryEntry),
    /// Answer a request.
    Reply(ReplyTo, Answer),
    /// Answer a request with the answer stored for its idempotency key.
    Replay(ReplyTo, String),
    /// Tell the operator.
    Log(Alias, Notice),
}

/// What waits for a commit.
#[derive(Default)]
struct AfterCommit {
    effects: Vec<Effect>,
    intent_of: Option<Alias>,
}

/// All work in progress. See the module's documentation.
pub struct Core {
    scaling: Arc<ScalingConfig>,
    lanes: Lanes,
    unfinished: Unfinished,
    unlisted: UnlistedLanes,
    keys: UsedKeys,
    /// The last reading of each resource that is listed or was scaled lately.
    observations: HashMap<Alias, Reading>,
    /// When the store was restored from a backup, if it was: no earlier change is known of.
    restored_at: Option<Timestamp>,
    next_event: EventId,
    next_call: CallId,
    sending: usize,
    draining: bool,
    uncommitted: VecDeque<AfterCommit>,
    effects: Vec<Effect>,
}

impl Core {
    /// Nothing in progress yet.
    fn new(scaling: Arc<ScalingConfig>, next_event: EventId, restored_at: Option<Timestamp>) -> Self {
        Self {
            scaling,
            lanes: Lanes::default(),
            unfinished: Unfinished::default(),
            unlisted: UnlistedLanes::default(),
            keys: UsedKeys::default(),
            observations: HashMap::new(),
            restored_at,
            next_event,
            next_call: 1,
            sending: 0,
            draining: false,
            uncommitted: VecDeque::new(),
            effects: Vec::new(),
        }
    }

    /// What is to be done, in order; empties the list.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// When [`Core::wake_due`] is to be called next.
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.lanes.next_wake()
    }

    /// Number of unfinished jobs.
    pub fn unfinished_jobs(&self) -> usize {
        self.unfinished.all()
    }

    /// Whether no change is on its way to the sidecar and no commit to the disk.
    pub fn is_quiet(&self) -> bool {
        !self.is_changing() && self.uncommitted.is_empty()
    }

    /// Whether a change is on its way to the sidecar.
    pub fn is_changing(&self) -> bool {
        self.sending > 0
    }

    /// From now on nothing new is begun: what is on its way is seen through, the rest is left for the next process.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// The lane of `resource`, if it was scaled lately.
    pub fn lane(&self, resource: &Alias) -> Option<&Lane> {
        self.lanes.get(resource)
    }

    /// The lane of a `resource` that has none.
    fn new_lane(&self, resource: &Alias) -> Lane {
        Lane::restore(
            LaneRecord { change_state: self.change_state_of(resource, None), ..LaneRecord::new(resource.clone()) },
            [],
        )
    }

    /// Puts in the `lane` of a resource that has none, made for `job`, if it was made for one.
    fn insert_lane(&mut self, lane: Lane, job: Option<&Job>) {
        if !self.scaling.resources.contains_key(lane.resource()) {
            self.unlisted.add(lane.resource(), job);
        }
        self.lanes.insert(lane);
    }

    /// What earlier changes of `resource`, which has this `lane`, mean for later ones.
    fn change_state_of(&self, resource: &Alias, lane: Option<&Lane>) -> ChangeState {
        let Some(lane) = lane else {
            let mut change_state = ChangeState::default();
            if let Some(at) = self.restored_at {
                change_state.suppose_unknown_change(at, &self.scaling.in_force(resource).settings);
            }
            return change_state;
        };
        *lane.change_state()
    }

    // ---- requests ---------------------------------------------------------------------------------------------

    /// Takes in a request to scale, which becomes job `id` if it becomes one.
    pub fn submit(
        &mut self,
        id: JobId,
        request: JobRequest,
        key: Option<SubmitKey>,
        reply_to: ReplyTo,
        now: Timestamp,
    ) {
        if let Some(key) = &key
            && let Some(used) = self.keys.fingerprint(&key.key)
        {
            if *used == key.fingerprint {
                self.after_pending_commits(Effect::Replay(reply_to, key.key.clone()));
            } else {
                self.refuse(reply_to, Refusal::KeyReused);
            }
            return;
        }
        match self.admit(&request, key.as_ref()) {
            Ok((_, Some(job))) => self.join(job, request.attempt, key, reply_to, now),
            Ok((rules, None)) => self.accept(id, request, rules, key, reply_to, now),
            Err(refusal) => self.refuse(reply_to, refusal),
        }
    }

    /// Whether `request` would be admitted now.
    ///
    /// # Errors
    /// As the request itself would be refused.
    pub fn would_admit(&self, request: &JobRequest) -> Result<(), Refusal> {
        self.admit(request, None).map(drop)
    }

    /// The rules for the resource, and the unfinished job that does the same already.
    fn admit(
        &self,
        request: &JobRequest,
        key: Option<&SubmitKey>,
    ) -> Result<(ResourceConfig, Option<Arc<Job>>), Refusal> {
        let rules = self
            .scaling
            .resource(&request.resource)
            .ok_or_else(|| Refusal::ResourceNotListed { resource: request.resource.clone() })?;
        let careless = rules.setting_limits.problems(&request.overrides);
        if !careless.is_empty() {
            return Err(Refusal::LessCare { problems: careless });
        }
        if let Goal::Target(target) = request.goal
            && !rules.bounds.contains(target)
        {
            return Err(Refusal::OutOfBounds { target, bounds: rules.bounds });
        }
        let queue_length = self.scaling.limits.queue_length;
        let lane = self.lane(&request.resource);
        let admission =
            lane.map_or(Admission::Accept, |lane| lane.admit(request.goal, request.on_conflict, queue_length));
        if let Some(key) = key {
            self.keys.admit(&key.key, &request.resource)?;
        }
        match admission {
            Admission::Join(job) => Ok((rules, Some(job))),
            Admission::Busy(job) => Err(Refusal::Busy { by: job }),
            Admission::QueueFull => Err(Refusal::QueueFull { limit: queue_length }),
            Admission::Accept => self.admit_one_more(request).map(|()| (rules, None)),
        }
    }

    /// Whether there is room for another job. Superseding frees the places of all jobs before it, one of them perhaps only
    /// when a change is resolved.
    fn admit_one_more(&self, request: &JobRequest) -> Result<(), Refusal> {
        let supersedes = request.on_conflict == OnConflict::Supersede;
        let lane = self.lane(&request.resource).filter(|lane| supersedes && lane.active().is_some());
        let (all, of_key) = (self.scaling.limits.active_jobs, self.scaling.limits.jobs_per_key);
        if self.unfinished.all() >= all && lane.is_none() {
            return Err(Refusal::TooManyJobs { limit: all });
        }
        let actor = request.attempt.as_ref().and_then(|attempt| attempt.actor.as_ref());
        if !self.is_known(&request.resource) {
            self.unlisted.admit(actor.map(|actor| &actor.key))?;
        }
        let Some(Actor { key, .. }) = actor else { return Ok(()) };
        let is_theirs = |job: &Arc<Job>| job.submitted_by.as_ref().is_some_and(|actor| actor.key == *key);
        let frees_one = || lane.is_some_and(|lane| lane.active().into_iter().chain(lane.queue()).any(is_theirs));
        if self.unfinished.of_key(key) >= of_key && !frees_one() {
            return Err(Refusal::TooManyJobsOfKey { limit: of_key });
        }
        Ok(())
    }

    fn accept(
        &mut self,
        id: JobId,
        request: JobRequest,
        rules: ResourceConfig,
        key: Option<SubmitKey>,
        reply_to: ReplyTo,
        now: Timestamp,
    ) {
        let resource = request.resource.clone();
        let on_conflict = request.on_conflict;
        let settings = rules.settings.with(&request.overrides);
        let attempt = request.attempt.clone();
        let job = Job::accept(id, request, settings, now);
        if self.lane(&resource).is_none() {
            let lane = self.new_lane(&resource);
            self.insert_lane(lane, Some(&job));
        }
        self.unfinished.add(&job);
        let outcome = self.run(&resource, now, |lane, turn| lane.submit(job, on_conflict, turn));
        let accepted = outcome.jobs.iter().find(|job| job.id == id).cloned();
        let mut batch = Batch::default();
        let mut after = AfterCommit::default();
        if let Some(job) = accepted {
            batch.audit.extend(audited(attempt, Action::SubmitJob, &job, AuditVerdict::Accepted, now));
            batch.answers.extend(key.map(|key| self.remember(key, false, &job, now)));
            after.effects.push(Effect::Reply(reply_to, Answer::Created(job)));
        }
        self.apply_outcome(&resource, outcome, batch, after);
    }

    fn join(
        &mut self,
        job: Arc<Job>,
        attempt: Option<Attempt>,
        key: Option<SubmitKey>,
        reply_to: ReplyTo,
        now: Timestamp,
    ) {
        let reply = Effect::Reply(reply_to, Answer::Joined(Arc::clone(&job)));
        let batch = Batch {
            audit: audited(attempt, Action::SubmitJob, &job, AuditVerdict::Unchanged, now).into_iter().collect(),
            answers: key.into_iter().map(|key| self.remember(key, true, &job, now)).collect(),
            ..Batch::default()
        };
        if batch == Batch::default() {
            self.after_pending_commits(reply);
        } else {
            self.commit(batch, AfterCommit { effects: vec![reply], intent_of: None });
        }
    }

    fn remember(&mut self, key: SubmitKey, joined: bool, job: &Arc<Job>, now: Timestamp) -> KeyedAnswer {
        let SubmitKey { key, fingerprint } = key;
        self.keys.insert(UsedKey { key: key.clone(), resource: job.resource.clone(), fingerprint, answered_at: now });
        KeyedAnswer { key, fingerprint, joined, job: Arc::clone(job), answered_at: now }
    }

    /// Cancels the job `id` for `resource`, if it is unfinished.
    pub fn cancel(&mut self, id: JobId, resource: &Alias, attempt: Option<Attempt>, reply_to: ReplyTo, now: Timestamp) {
        let Some(before) = self.lane(resource).and_then(|lane| lane.job(id)).cloned() else {
            self.refuse(reply_to, Refusal::NotUnfinished);
            return;
        };
        let by = attempt.as_ref().and_then(|attempt| attempt.actor.clone());
        let outcome = self.run(resource, now, |lane, turn| {
            lane.cancel(id, by, turn);
        });
        let changed = outcome.jobs.iter().find(|job| job.id == id).cloned();
        let verdict = if changed.is_some() { AuditVerdict::Accepted } else { AuditVerdict::Unchanged };
        let job = changed.unwrap_or(before);
        let audit = audited(attempt, Action::CancelJob, &job, verdict, now).into_iter().collect();
        let batch = Batch { audit, ..Batch::default() };
        let reply = Effect::Reply(reply_to, Answer::Canceled(job));
        if outcome.jobs.is_empty() && batch == Batch::default() {
            self.apply_outcome(resource, outcome, batch, AfterCommit::default());
            self.after_pending_commits(reply);
        } else {
            self.apply_outcome(resource, outcome, batch, AfterCommit { effects: vec![reply], intent_of: None });
        }
    }

    /// What `request` would do, given `reading`.
    ///
    /// # Errors
    /// As the request itself would be refused.
    pub fn plan(&self, request: &JobRequest, reading: &Reading, now: Timestamp) -> Result<JobPlan, Refusal> {
        let (rules, joined) = self.admit(request, None)?;
        let lane = self.lane(&request.resource);
        let settings = rules.settings.with(&request.overrides);
        let waits_for = lane
            .filter(|_| request.on_conflict == OnConflict::Queue || joined.is_some())
            .and_then(|lane| lane.queue().last().or(lane.active()));
        let (start, begin) = match waits_for {
            Some(job) => (job.target.unwrap_or(reading.capacity), job.estimated_completion_at.unwrap_or(now).max(now)),
            None => (reading.capacity, now),
        };
        let target = match request.goal {
            Goal::Target(target) => target,
            Goal::Delta(delta) => crate::domain::Capacity::new(i64::from(start.units()) + i64::from(delta))
                .ok()
                .filter(|target| rules.bounds.contains(*target))
                .ok_or(Refusal::DeltaOutOfBounds { start, delta, bounds: rules.bounds })?,
        };
        let change_state = self.change_state_of(&request.resource, lane);
        let estimate = estimate(start, target, &settings, &change_state, begin).ok_or(Refusal::TooManySteps {
            start,
            target,
            step_size: settings.step_size,
        })?;
        Ok(JobPlan { start, target, settings, estimate, joins: joined })
    }

    /// Everything known about `resource`, or `None` if it may not be scaled here.
    pub fn resource(&self, resource: &Alias) -> Option<ResourceView> {
        self.view(resource, self.lane(resource))
    }

    fn view(&self, resource: &Alias, lane: Option<&Lane>) -> Option<ResourceView> {
        let rules = self.scaling.resource(resource)?;
        Some(ResourceView {
            resource: resource.clone(),
            listed: self.scaling.resources.contains_key(resource),
            rules,
            observation: self.observations.get(resource).cloned(),
            next_change_at: self.change_state_of(resource, lane).next_change_at(rules.settings.cooldown),
            active: lane.and_then(|lane| lane.active().cloned()),
            queue: lane.map_or_else(Vec::new, |lane| lane.queue().map(|job| job.id).collect()),
        })
    }

    // ---- what happens -----------------------------------------------------------------------------------------

    /// The oldest [`Effect::Commit`] is on the disk.
    pub fn committed(&mut self, now: Timestamp) {
        let Some(after) = self.uncommitted.pop_front() else { return };
        self.effects.extend(after.effects);
        if let Some(resource) = after.intent_of {
            self.turn(&resource, now, |lane, turn| lane.on_intent_committed(turn));
        }
    }

    /// The sidecar answered [`Call::Read`].
    pub fn on_reading(
        &mut self,
        resource: &Alias,
        call: CallId,
        reading: Result<Reading, ReadFailure>,
        now: Timestamp,
    ) {
        if self.draining {
            return;
        }
        let noted = reading.as_ref().ok().and_then(|reading| self.note(resource, reading, now));
        let mut outcome = self.run(resource, now, |lane, turn| lane.on_reading(call, reading, turn));
        // It was read before anything followed from it.
        outcome.history.splice(..0, noted);
        self.apply_outcome(resource, outcome, Batch::default(), AfterCommit::default());
    }

    /// The sidecar answered a caller who only looks. Nothing is decided on such a reading.
    pub fn looked(&mut self, resource: &Alias, reading: &Reading, now: Timestamp) {
        if let Some(entry) = self.note(resource, reading, now) {
            let outcome = Outcome { history: vec![entry], ..Outcome::default() };
            self.apply_outcome(resource, outcome, Batch::default(), AfterCommit::default());
        }
    }

    /// Whether `resource` is listed or was scaled lately: callers can ask for any other name as well.
    pub fn is_known(&self, resource: &Alias) -> bool {
        self.scaling.resources.contains_key(resource) || self.lane(resource).is_some()
    }

    /// Keeps the reading for those who look at the resource; an entry for its history if it shows something new. What is
    /// neither listed nor was scaled lately is not kept: anybody can ask for anything.
    fn note(&mut self, resource: &Alias, reading: &Reading, now: Timestamp) -> Option<HistoryEntry> {
        if !self.is_known(resource) {
            return None;
        }
        let before = self.observations.get(resource);
        // Readings overtake each other.
        if before.is_some_and(|before| before.asked_at > reading.asked_at) {
            return None;
        }
        let Reading { status, capacity, .. } = reading.clone();
        let is_new = before.is_none_or(|before| (&before.status, before.capacity) != (&status, capacity));
        self.observations.insert(resource.clone(), reading.clone());
        is_new.then_some(HistoryEntry { at: now, what: ResourceEvent::Reading { status, capacity } })
    }

    /// The sidecar answered [`Call::Change`].
    pub fn on_change_answer(&mut self, resource: &Alias, call: CallId, answer: ChangeAnswer, now: Timestamp) {
        self.sending = self.sending.saturating_sub(1);
        self.turn(resource, now, |lane, turn| lane.on_change_answer(call, answer, turn));
    }

    /// Moves on all lanes whose time has come.
    pub fn wake_due(&mut self, now: Timestamp) {
        while let Some(resource) = self.lanes.take_due(now) {
            self.turn(&resource, now, |lane, turn| lane.wake(turn));
        }
    }

    /// Forgets keys and lanes that can no longer matter.
    pub fn forget(&mut self, now: Timestamp) {
        self.keys.forget(now);
        let forgotten = self.lanes.forget(now);
        for resource in &forgotten {
            if !self.scaling.resources.contains_key(resource) {
                self.unlisted.remove(resource);
                self.observations.remove(resource);
            }
        }
        if !forgotten.is_empty() {
            self.commit(Batch { forgotten_lanes: forgotten, ..Batch::default() }, AfterCommit::default());
        }
    }

    // ---- bookkeeping ------------------------------------------------------------------------------------------

    fn turn(&mut self, resource: &Alias, now: Timestamp, event: impl FnOnce(&mut Lane, &mut Turn)) {
        let outcome = self.run(resource, now, event);
        self.apply_outcome(resource, outcome, Batch::default(), AfterCommit::default());
    }

    fn run(&mut self, resource: &Alias, now: Timestamp, event: impl FnOnce(&mut Lane, &mut Turn)) -> Outcome {
        let rules = self.scaling.in_force(resource);
        let Some(lane) = self.lanes.get_mut(resource) else { return Outcome::default() };
        let mut turn = Turn::new(now, rules, !self.draining, &mut self.next_call);
        event(lane, &mut turn);
        turn.outcome
    }

    /// Turns what a lane asks for into effects, in the order that keeps the promises.
    fn apply_outcome(&mut self, resource: &Alias, outcome: Outcome, mut batch: Batch, mut after: AfterCommit) {
        self.lanes.set_timer(resource);
        let Outcome { jobs, record, intent, call, history, notices } = outcome;
        for job in jobs.iter().filter(|job| job.ended().is_some()) {
            self.unfinished.remove(job);
        }
        if let Some((id, call)) = call {
            self.sending += usize::from(matches!(call, Call::Change(_)));
            let origin = self.lane(resource).and_then(Lane::active).map_or_else(Origin::default, |job| job.origin());
            self.effects.push(Effect::Call { resource: resource.clone(), id, call, origin });
        }
        if record {
            batch.lanes.extend(self.lane(resource).map(Lane::record));
        }
        let mut effects = Vec::new();
        for job in jobs {
            let event = JobEvent { id: self.next_event, job };
            self.next_event += 1;
            effects.push(Effect::PublishJob(event.clone()));
            batch.jobs.push(event);
        }
        for entry in history {
            effects.push(Effect::PublishHistory(resource.clone(), entry.clone()));
            batch.history.push((resource.clone(), entry));
        }
        effects.append(&mut after.effects);
        // Last: nobody should have to wait for a line in the log.
        effects.extend(notices.into_iter().map(|notice| Effect::Log(resource.clone(), notice)));
        if batch == Batch::default() && !intent {
            self.effects.append(&mut effects);
        } else {
            self.commit(batch, AfterCommit { effects, intent_of: intent.then(|| resource.clone()) });
        }
    }

    fn commit(&mut self, batch: Batch, after: AfterCommit) {
        self.uncommitted.push_back(after);
        self.effects.push(Effect::Commit(batch));
    }

    fn refuse(&mut self, reply_to: ReplyTo, refusal: Refusal) {
        self.after_pending_commits(Effect::Reply(reply_to, Answer::Refused(refusal)));
    }

    /// An answer may speak of jobs whose commit is under way, so it does not overtake it.
    fn after_pending_commits(&mut self, effect: Effect) {
        match self.uncommitted.back_mut() {
            Some(after) => after.effects.push(effect),
            None => self.effects.push(effect),
        }
    }
}

/// The record of an attempt that was obeyed, if it is to be recorded.
fn audited(
    attempt: Option<Attempt>,
    action: Action,
    job: &Job,
    verdict: AuditVerdict,
    now: Timestamp,
) -> Option<AuditEntry> {
    let subject = Subject { resource: Some(job.resource.clone()), job: Some(job.id), key: None };
    attempt.map(|attempt| AuditEntry { at: now, attempt, action, subject, verdict })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Capacity;
    use crate::store::Snapshot;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    /// Submits a request for `resource` with a key of its own; the answer.
    fn submit(core: &mut Core, resource: &str, number: u128, now: Timestamp) -> Answer {
        let request = JobRequest {
            resource: resource.parse().expect("an alias"),
            ..JobRequest::for_worker(Goal::Target(Capacity::ZERO))
        };
        let key = SubmitKey { key: format!("{resource}-{number}"), fingerprint: [0; 32] };
        core.submit(JobId::from_u128(number), request, Some(key), 0, now);
        while !core.uncommitted.is_empty() {
            core.committed(now);
        }
        let answers = core.take_effects().into_iter().filter_map(|effect| match effect {
            Effect::Reply(_, answer) => Some(answer),
            _ => None,
        });
        answers.last().expect("an answer")
    }

    /// Anybody can look at anything: only what is listed, or was scaled lately, is remembered.
    #[test]
    fn readings_of_strangers_are_not_kept() {
        let listed: Alias = "listed".parse().expect("an alias");
        let scaling = ScalingConfig::default();
        let scaling = ScalingConfig { resources: [(listed.clone(), scaling.in_force(&listed))].into(), ..scaling };
        let mut core = Core::recover(Arc::new(scaling), &Snapshot::default(), NOW);
        submit(&mut core, "scaled", 0, NOW);
        let (scaled, stranger) = ("scaled".parse().expect("an alias"), "stranger".parse().expect("an alias"));
        let reading = Reading {
            status: crate::domain::Status::new("ACTIVE"),
            capacity: Capacity::ZERO,
            stamp: None,
            wall_set_at: None,
            asked_at: NOW,
            received_at: NOW,
        };
        for resource in [&listed, &scaled, &stranger, &listed] {
            core.looked(resource, &reading, NOW);
        }
        let told = core.take_effects().into_iter().filter_map(|effect| match effect {
            Effect::Commit(batch) => batch.history.into_iter().next().map(|(resource, _)| resource),
            _ => None,
        });
        assert_eq!(told.collect::<Vec<_>>(), [listed.clone(), scaled.clone()], "each once");
        assert!(core.observations.contains_key(&scaled));
        core.cancel(JobId::from_u128(0), &scaled, None, 0, NOW);
        core.forget(NOW);
        assert_eq!(core.observations.keys().collect::<Vec<_>>(), [&listed]);
    }

    #[test]
    fn lanes_that_nothing_has_to_remember_are_forgotten() {
        let mut core = Core::recover(Arc::new(ScalingConfig::default()), &Snapshot::default(), NOW);
        let names = ["d", "b", "c", "a"].map(|name| name.parse::<Alias>().expect("an alias"));
        for (number, name) in (0..).zip(&names) {
            submit(&mut core, name.as_str(), number, NOW);
        }
        for number in [0, 1] {
            core.cancel(JobId::from_u128(number), &names[number as usize], None, 0, NOW);
        }
        drop(core.take_effects());
        core.forget(NOW);
        let forgotten = core.take_effects().into_iter().filter_map(|effect| match effect {
            Effect::Commit(batch) => Some(batch.forgotten_lanes),
            _ => None,
        });
        assert_eq!(forgotten.collect::<Vec<_>>(), [[names[1].clone(), names[0].clone()]]);
        assert_eq!(names.map(|name| core.lane(&name).is_some()), [false, false, true, true]);
    }

    #[test]
    fn without_room_for_its_key_a_request_is_refused() {
        let mut core = Core::recover(Arc::new(ScalingConfig::default()), &Snapshot::default(), NOW);
        let noisy: Alias = "noisy".parse().expect("an alias");
        let key = |number: usize| format!("key-{number}");
        for number in 0.. {
            if core.keys.admit(&key(number), &noisy).is_err() {
                break;
            }
            let used = UsedKey { key: key(number), resource: noisy.clone(), fingerprint: [0; 32], answered_at: NOW };
            core.keys.insert(used);
        }
        let refused = submit(&mut core, "noisy", 1, NOW);
        assert!(matches!(refused, Answer::Refused(Refusal::TooManyKeys { .. })), "{refused:?}");
        assert!(matches!(submit(&mut core, "quiet", 2, NOW), Answer::Created(_)));
        // Once the answers are no longer kept, there is room again.
        let later = NOW + crate::store::KEY_RETENTION;
        core.forget(later);
        assert!(matches!(submit(&mut core, "noisy", 3, later), Answer::Created(_)));
    }

    #[test]
    fn an_older_reading_that_comes_late_is_not_shown() {
        let mut core = Core::recover(Arc::new(ScalingConfig::default()), &Snapshot::default(), NOW);
        submit(&mut core, "scaled", 0, NOW);
        drop(core.take_effects());
        let scaled: Alias = "scaled".parse().expect("an alias");
        let after = |seconds| NOW + std::time::Duration::from_secs(seconds);
        let mut look = |capacity, asked, answered| {
            let reading = Reading {
                status: crate::domain::Status::new("ACTIVE"),
                capacity: Capacity::new(capacity).expect("a small number"),
                stamp: None,
                wall_set_at: None,
                asked_at: after(asked),
                received_at: after(answered),
            };
            core.looked(&scaled, &reading, after(answered));
            let told = core.take_effects().iter().any(|effect| matches!(effect, Effect::Commit(_)));
            (core.observations[&scaled].capacity.units(), told)
        };
        assert_eq!(look(5, 6, 7), (5, true));
        assert_eq!(look(3, 0, 9), (5, false));
        assert_eq!(look(4, 8, 10), (4, true));
    }
}
