//! The engine without its I/O: the lanes that it owns, their timers, and the order of commits.
//!
//! Inputs come with the time at which they happened; what is to be done about them comes out as [`Effect`]s. Nothing is
//! published or answered before the unit it rests on is durable: such effects wait in a queue until [`Core::on_committed`] says
//! so. A unit that is refused evicts its lanes: they are adopted anew from the store, and other lanes go on. The same code runs
//! live, in recovery, and under simulation in virtual time.
//!
//! Events: [`Core::submit`], [`Core::submit_group`], [`Core::change`], [`Core::cancel_group`], [`Core::change_policy`],
//! [`Core::on_metric`], [`Core::on_recorded`], [`Core::on_reserved`], [`Core::adopt`], [`Core::adopt_groups`],
//! [`Core::on_committed`], [`Core::on_adoption_failed`], [`Core::on_reading`], [`Core::on_observation`],
//! [`Core::on_change_answer`], [`Core::on_grouped_answer`], [`Core::wake_due`], [`Core::forget`], [`Core::drain`]. After each of
//! them, [`Core::take_effects`] has what is to be done.

mod gathering;
mod groups;
mod ids;
mod lanes;
mod pending;
mod policies;
mod policy_jobs;
mod recovery;
mod requests;
mod resources;
mod submissions;
mod unlisted;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use gathering::{HeldIntents, Intent};
use groups::GroupSlots;
use ids::Ids;
use lanes::Lanes;
use pending::{Dependents, PendingUnits};
use policies::Standings;
use submissions::{Placed, Submission};
use unlisted::UnlistedLanes;

use super::policy_requests::PolicyRequest;
use super::requests::{Answer, Refusal, ReplyTo};
use crate::domain::policy::{Assignment, Decision, MetricSpec, Name, PolicyNews};
use crate::domain::{
    Alias, Call, CallId, ChangeAnswer, ChangeState, EventId, GroupId, GroupStatus, HistoryEntry, JobEvent, JobId, Lane,
    Move, Notice, Origin, Outcome, ReadFailure, Reading, ResourceEvent, ScalingConfig, Timestamp, Turn,
};
use crate::policy::Problem;
use crate::sources::SourceRules;
use crate::store::{LaneChange, Observations, RecordChange, ReservationId, Unit, Wish};

/// A change that goes into one request with others. Its intent is committed.
#[derive(Clone, Debug)]
pub struct GroupedChange {
    /// The resource.
    pub resource: Alias,
    /// Identifies the answer.
    pub id: CallId,
    /// The change.
    pub change: Move,
    /// On whose behalf.
    pub origin: Origin,
}

/// Something the engine is to do.
#[derive(Debug)]
pub enum Effect {
    /// Make this durable; [`Core::on_committed`] follows, in the same order.
    Commit(Unit),
    /// Reserve what a request needs; [`Core::on_reserved`] follows.
    Reserve(ReplyTo, Box<Wish>),
    /// Give back a reservation.
    GiveBack(ReservationId),
    /// Adopt the lane of a resource; [`Core::adopt`] or [`Core::on_adoption_failed`] follows.
    Adopt(Alias),
    /// A unit about the lane was refused: it belongs to this process no more, and is to be adopted again.
    Evicted {
        /// Its resource.
        resource: Alias,
        /// The jobs of which the store may have another version than was shown last.
        jobs: BTreeSet<JobId>,
    },
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
    /// Ask the sidecar for these changes, which all add units or all remove them, in one request; [`Core::on_grouped_answer`]
    /// follows.
    ChangeTogether(Vec<GroupedChange>),
    /// Make durable what policies observed and decided without acting; [`Core::on_recorded`] follows, and no other before it.
    Record(Vec<Observations>),
    /// Have the sidecar asked for the capacity of a resource that no job reads; [`Core::on_observation`] follows.
    Observe(Alias),
    /// Learn the pattern of a metric of a resource; [`Core::on_learned`] follows.
    Learn(Alias, Box<Assignment>),
    /// Pull these metrics of a resource from now on, and no others; [`Core::on_metric`] follows.
    Watch(Alias, BTreeMap<Name, MetricSpec>),
    /// Show the job to readers.
    PublishJob(JobEvent),
    /// Show the group to readers.
    PublishGroup(Arc<GroupStatus>),
    /// What was shown of the group may not be true any more: readers have to ask the store.
    ForgetGroup(GroupId),
    /// Tell the operator that a policy ended because the configuration file has one now, or has none any more.
    PolicyEnded {
        /// The resource.
        resource: Alias,
        /// Whether the file has a policy for it.
        is_in_file: bool,
    },
    /// Tell the operator that the policy of a resource, as it is kept, makes no sense to this release.
    UnreadablePolicy(Alias),
    /// Tell the operator that the policies of these resources follow each other in a circle, from the first back to it.
    FollowInCircle(Vec<Alias>),
    /// Tell the operator which sources of the policy of a resource are not asked, and why.
    SourcesRefused(Alias, Vec<Problem>),
    /// Show a decision to those who watch.
    PublishDecision(Box<Decision>),
    /// Show those who watch that a policy was put or deleted.
    PublishPolicy(PolicyNews),
    /// Show what happened to a resource to those who watch it.
    PublishHistory(Alias, HistoryEntry),
    /// Answer a request.
    Reply(ReplyTo, Answer),
    /// Answer a request like the same one before.
    Replay {
        /// The request.
        to: ReplyTo,
        /// The job in the answer.
        job: JobId,
        /// Whether the request joined it.
        joined: bool,
    },
    /// Tell a request that the store does not work: what was asked for may still be done.
    Abandon(ReplyTo),
    /// Tell the operator.
    Log(Alias, Notice),
}

/// All work in progress. See the module's documentation.
pub struct Core {
    scaling: Arc<ScalingConfig>,
    lanes: Lanes,
    unlisted: UnlistedLanes,
    /// Requests that wait for their reservation.
    submissions: HashMap<ReplyTo, Submission>,
    /// Claims with an idempotency key that wait for their reservation.
    keyed_claims: HashMap<ReplyTo, PolicyRequest>,
    /// Requests with a reservation that wait for their lane.
    placed: BTreeMap<Alias, Vec<Placed>>,
    /// Changes of policies, holds and claims that wait for their lane.
    changes: BTreeMap<Alias, Vec<(PolicyRequest, ReplyTo)>>,
    /// The groups in progress.
    groups: GroupSlots,
    /// Lanes whose adoption was asked for.
    adopting: BTreeSet<Alias>,
    /// What stands about resources besides their jobs.
    standings: Standings,
    /// Which sources of metrics may be asked.
    sources: SourceRules,
    ids: Ids,
    /// The last reading of each resource that is listed or was scaled lately.
    observations: HashMap<Alias, Reading>,
    /// When the store was restored from a backup, if it was: no earlier change is known of.
    restored_at: Option<Timestamp>,
    next_call: CallId,
    /// Changes on their way to the sidecar.
    sending: HashMap<CallId, Alias>,
    draining: bool,
    pending: PendingUnits,
    /// Intents that wait for others.
    intents: HeldIntents,
    effects: Vec<Effect>,
}

impl Core {
    /// Nothing in progress yet. The store was restored from a backup at `restored_at`, if it was.
    pub fn new(scaling: Arc<ScalingConfig>, restored_at: Option<Timestamp>) -> Self {
        Self {
            scaling,
            lanes: Lanes::default(),
            unlisted: UnlistedLanes::default(),
            submissions: HashMap::new(),
            keyed_claims: HashMap::new(),
            placed: BTreeMap::new(),
            changes: BTreeMap::new(),
            groups: GroupSlots::default(),
            adopting: BTreeSet::new(),
            standings: Standings::default(),
            sources: SourceRules::default(),
            ids: Ids::default(),
            observations: HashMap::new(),
            restored_at,
            next_call: 1,
            sending: HashMap::new(),
            draining: false,
            pending: PendingUnits::default(),
            intents: HeldIntents::default(),
            effects: Vec::new(),
        }
    }

    /// The same, with ids of decisions and jobs that no core with another `seed` makes.
    #[must_use]
    pub fn with_ids(self, seed: [u8; 6]) -> Self {
        Self { ids: Ids::seeded(seed), ..self }
    }

    /// The same, with these rules for the sources of metrics.
    #[must_use]
    pub fn with_sources(self, sources: SourceRules) -> Self {
        Self { sources, ..self }
    }

    /// What is to be done, in order; empties the list.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// When [`Core::wake_due`] is to be called next.
    pub fn next_wake(&self) -> Option<Timestamp> {
        let of_policies = self.standings.next_wake().filter(|_| !self.draining);
        self.lanes.next_wake().into_iter().chain(of_policies).chain(self.intents.next_wake()).min()
    }

    /// Number of unfinished jobs.
    pub fn unfinished_jobs(&self) -> usize {
        self.lanes.all().map(|lane| lane.jobs().count()).sum()
    }

    /// Whether no change is on its way to the sidecar and no commit to the disk.
    pub fn is_quiet(&self) -> bool {
        !self.is_changing() && self.pending.is_empty() && self.intents.is_empty()
    }

    /// Whether a change is on its way to the sidecar.
    pub fn is_changing(&self) -> bool {
        !self.sending.is_empty()
    }

    /// From now on nothing new is begun: what is on its way is seen through, the rest is left for the next process.
    pub fn drain(&mut self) {
        self.draining = true;
        self.release_all();
    }

    /// The lane of `resource`, if it was scaled lately.
    pub fn lane(&self, resource: &Alias) -> Option<&Lane> {
        self.lanes.get(resource)
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

    // ---- what happens -----------------------------------------------------------------------------------------

    /// The oldest [`Effect::Commit`] is durable, its jobs in versions from this one on; or it is refused.
    pub fn on_committed(&mut self, first_event: Option<EventId>, now: Timestamp) {
        let Some(unit) = self.pending.pop() else { return };
        let Some(first_event) = first_event.filter(|_| !unit.is_evicted) else {
            if !unit.is_evicted {
                let jobs: Vec<JobId> = unit.jobs.iter().map(|job| job.id).collect();
                unit.lanes.iter().for_each(|resource| self.evict(resource, &jobs));
            }
            self.effects.extend(unit.effects.into_iter().filter_map(abandoned));
            return;
        };
        let jobs = unit.jobs.clone();
        let events = (first_event..).zip(unit.jobs).map(|(id, job)| Effect::PublishJob(JobEvent { id, job }));
        self.effects.extend(events);
        self.on_groups_committed(unit.groups, &jobs, now);
        self.effects.extend(unit.effects);
        self.on_intents_committed(&unit.intents_of, now);
    }

    /// Gives up a lane, and with it all that was decided since the refused unit, which has these `jobs`. Lanes that share a unit
    /// with it are given up too.
    fn evict(&mut self, resource: &Alias, jobs: &[JobId]) {
        let Some(lane) = self.lanes.remove(resource) else { return };
        self.abandon_standing(resource);
        self.groups.evict(resource);
        self.abandon_intent(resource);
        let Dependents { jobs: later, lanes } = self.pending.evict(resource);
        let jobs = jobs.iter().copied().chain(later.iter().copied()).chain(lane.jobs().map(|job| job.id)).collect();
        self.sending.retain(|_, changing| changing != resource);
        self.effects.push(Effect::Evicted { resource: resource.clone(), jobs });
        lanes.iter().for_each(|other| self.evict(other, &later));
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
        self.apply_outcome(resource, outcome, Unit::default(), Vec::new(), now);
    }

    /// The sidecar answered a caller who only observes. Nothing is decided on such a reading.
    pub fn on_observation(&mut self, resource: &Alias, reading: &Reading, now: Timestamp) {
        if let Some(entry) = self.note(resource, reading, now) {
            let outcome = Outcome { history: vec![entry], ..Outcome::default() };
            self.apply_outcome(resource, outcome, Unit::default(), Vec::new(), now);
        }
    }

    /// Whether `resource` is listed, was scaled lately, or is followed: callers can ask for any other name as well.
    pub fn is_known(&self, resource: &Alias) -> bool {
        self.scaling.resources.contains_key(resource)
            || self.lane(resource).is_some()
            || self.standings.followers_of(resource).next().is_some()
    }

    /// Keeps the reading for callers who observe the resource; an entry for its history if it shows something new. What is
    /// not known is not kept: callers can ask for any name.
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
        let is_moved = before.is_none_or(|before| before.capacity != capacity);
        self.observations.insert(resource.clone(), reading.clone());
        self.trigger_if_news(resource);
        if is_moved {
            self.trigger_followers(resource);
        }
        is_new.then_some(HistoryEntry { at: now, what: ResourceEvent::Reading { status, capacity } })
    }

    /// The sidecar answered [`Call::Change`].
    pub fn on_change_answer(&mut self, resource: &Alias, call: CallId, answer: ChangeAnswer, now: Timestamp) {
        self.sending.remove(&call);
        self.turn(resource, now, |lane, turn| lane.on_change_answer(call, answer, turn));
    }

    /// Moves on all lanes whose time has come.
    pub fn wake_due(&mut self, now: Timestamp) {
        while let Some(resource) = self.lanes.take_due(now) {
            self.turn(&resource, now, |lane, turn| lane.on_wake(turn));
        }
        self.release_due(now);
        self.attend_due(now);
    }

    /// Forgets, and so releases, the lanes that can no longer matter, and about which no commit is under way. The lane of
    /// a listed resource stays as long as it knows how long steps take: that is as true after a quiet week, and the
    /// configuration bounds how many there are. Callers can ask for any other name.
    pub fn forget(&mut self, now: Timestamp) {
        let (pending, listed) = (self.pending.lanes(), &self.scaling.resources);
        let grouped = self.groups.resources();
        let kept = |lane: &Lane| {
            let resource = lane.resource();
            let is_learned = listed.contains_key(resource) && !lane.step_durations().is_empty();
            is_learned || pending.contains(resource) || grouped.contains(resource) || self.standings.stands(resource)
        };
        for (resource, epoch) in self.lanes.forget(now, kept) {
            if !self.scaling.resources.contains_key(&resource) {
                self.unlisted.remove(&resource);
                self.observations.remove(&resource);
            }
            let lanes = vec![LaneChange { resource, epoch, record: RecordChange::Remove }];
            self.commit(Unit { lanes, ..Unit::default() }, Vec::new());
        }
    }

    // ---- bookkeeping ------------------------------------------------------------------------------------------

    fn turn(&mut self, resource: &Alias, now: Timestamp, event: impl FnOnce(&mut Lane, &mut Turn)) {
        let outcome = self.run(resource, now, event);
        self.apply_outcome(resource, outcome, Unit::default(), Vec::new(), now);
    }

    fn run(&mut self, resource: &Alias, now: Timestamp, event: impl FnOnce(&mut Lane, &mut Turn)) -> Outcome {
        let rules = self.scaling.in_force(resource);
        let Some(lane) = self.lanes.get_mut(resource) else { return Outcome::default() };
        let mut turn = Turn::new(now, rules, !self.draining, &mut self.next_call);
        event(lane, &mut turn);
        turn.outcome
    }

    /// Turns what a lane asks for into effects, in the order that keeps the promises; `after` are those that wait for `unit`.
    pub(super) fn apply_outcome(
        &mut self,
        resource: &Alias,
        outcome: Outcome,
        mut unit: Unit,
        after: Vec<Effect>,
        now: Timestamp,
    ) {
        let (record, intent) = (outcome.record, outcome.intent);
        let mut effects = self.absorb(resource, outcome, &mut unit, after, now);
        if !record && !intent && unit == Unit::default() {
            self.effects.append(&mut effects);
            return;
        }
        if let (Some(lane), Some(epoch)) = (self.lane(resource), self.lanes.epoch(resource)) {
            let record = if record { RecordChange::Write(Box::new(lane.record())) } else { RecordChange::Keep };
            unit.lanes.push(LaneChange { resource: resource.clone(), epoch, record });
        }
        if intent {
            self.commit_intent(Intent { resource: resource.clone(), unit, effects }, now);
        } else {
            self.commit(unit, effects);
        }
    }

    /// Puts what a lane asks for into `unit`, but for its own place there; the effects that wait for the unit.
    fn absorb(
        &mut self,
        resource: &Alias,
        outcome: Outcome,
        unit: &mut Unit,
        after: Vec<Effect>,
        now: Timestamp,
    ) -> Vec<Effect> {
        self.lanes.set_timer(resource);
        let Outcome { jobs, record: _, intent: _, call, history, notices } = outcome;
        if let Some((id, call)) = call {
            if matches!(call, Call::Change(_)) {
                self.sending.insert(id, resource.clone());
            }
            let origin = self.lane(resource).and_then(Lane::active).map_or_else(Origin::default, |job| job.origin());
            self.effects.push(Effect::Call { resource: resource.clone(), id, call, origin });
        }
        let told = history.iter().map(|entry| Effect::PublishHistory(resource.clone(), entry.clone()));
        // Lines of the log come last: no answer should wait for one.
        let noted = notices.into_iter().map(|notice| Effect::Log(resource.clone(), notice));
        let effects: Vec<Effect> = told.chain(after).chain(noted).collect();
        unit.policies.extend(self.follow_jobs(resource, &jobs, &history, now));
        unit.jobs.extend(jobs);
        unit.history.extend(history.into_iter().map(|entry| (resource.clone(), entry)));
        effects
    }

    fn commit(&mut self, unit: Unit, effects: Vec<Effect>) {
        unit.lanes.iter().for_each(|lane| self.release_about(&lane.resource));
        self.pending.push(&unit, effects, Vec::new());
        self.effects.push(Effect::Commit(unit));
    }

    fn refuse(&mut self, resource: &Alias, reply_to: ReplyTo, refusal: Refusal) {
        self.after_pending(resource, Effect::Reply(reply_to, Answer::Refused(refusal)));
    }

    /// An answer may speak of jobs of `resource` whose commit is under way, so it does not overtake it.
    fn after_pending(&mut self, resource: &Alias, effect: Effect) {
        self.release_about(resource);
        match self.pending.last_about(resource) {
            Some(effects) => effects.push(effect),
            None => self.effects.push(effect),
        }
    }
}

/// What remains of an effect whose unit was refused.
fn abandoned(effect: Effect) -> Option<Effect> {
    match effect {
        Effect::Reply(to, _) => Some(Effect::Abandon(to)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
