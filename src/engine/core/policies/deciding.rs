//! When a policy decides, on what, and what is done about it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::{Core, Effect};
use super::forecasting::forecasts_of;
use super::{InForce, Standing, changes_of, metrics_of};
use crate::domain::policy::{
    self, Act, Condition, ConditionCode, Decision, DecisionId, Foreseen, Inputs, LastReading, Mode, Name, OwnJob, Pace,
    Policy, RuleKind, Sample, Series, TOGETHER, Trigger,
};
use crate::domain::{Alias, Capacity, ChangeState, JobId, Lane, Op, Settings, Status, Timestamp};
use crate::engine::policy_requests::{EvaluationRequest, PolicyRefusal};
use crate::policy::Problem;
use crate::policy::followed;
use crate::store::{PolicyWrite, Unit};

impl Core {
    /// Attends to all resources whose time has come; to none any more once the process is about to end.
    pub(in crate::engine::core) fn attend_due(&mut self, now: Timestamp) {
        if self.draining {
            return;
        }
        while let Some(resource) = self.standings.take_due(now) {
            self.attend(&resource, now);
            self.standings.set_timer(&resource);
        }
        self.record_due(now);
    }

    fn attend(&mut self, resource: &Alias, now: Timestamp) {
        self.end_what_is_over(resource, now);
        self.read_if_due(resource, now);
        let Some(in_force) = self.standings.in_force_mut(resource) else { return };
        if in_force.wake_at.is_some_and(|at| at <= now) {
            in_force.trigger.get_or_insert(Trigger::Time);
        }
        if in_force.decides_at().is_some_and(|at| at <= now) {
            self.decide(resource, now);
        }
    }

    /// Takes away the hold and the claims whose time is over.
    fn end_what_is_over(&mut self, resource: &Alias, now: Timestamp) {
        let Some(standing) = self.standings.get(resource) else { return };
        let is_released = standing.hold.as_ref().is_some_and(|hold| !hold.counts_at(now));
        let ended: Vec<_> = standing.claims.iter().filter(|claim| claim.until <= now).map(|claim| claim.id).collect();
        if !is_released && ended.is_empty() {
            return;
        }
        let mut writes: Vec<PolicyWrite> = ended.into_iter().map(PolicyWrite::ClaimEnded).collect();
        if is_released {
            writes.push(PolicyWrite::Hold(None));
        }
        self.standings.change(resource, |standing| {
            standing.claims.retain(|claim| now < claim.until);
            standing.hold.take_if(|hold| !hold.counts_at(now));
        });
        self.commit_standing(resource, writes, Unit::default(), Vec::new());
        self.standings.trigger(resource, if is_released { Trigger::Hold } else { Trigger::Claim });
    }

    /// Has the resource read, unless a job reads it, and those that it follows, unless a policy of theirs has them read.
    fn read_if_due(&mut self, resource: &Alias, now: Timestamp) {
        let is_idle = self.lane(resource).is_some_and(|lane| lane.active().is_none());
        let scaling = self.scaling.in_force(resource);
        let due = self.standings.in_force_mut(resource).filter(|in_force| in_force.read_at <= now);
        let Some(in_force) = due else { return };
        in_force.read_at = now + scaling.settings.with(&in_force.policy.job).poll_interval;
        if in_force.policy.mode == Mode::Off {
            return;
        }
        let policy = Arc::clone(&in_force.policy);
        if is_idle {
            self.effects.push(Effect::Observe(resource.clone()));
        }
        let unread: Vec<Alias> = followed(&policy).into_iter().filter(|other| !self.is_read(other)).cloned().collect();
        self.effects.extend(unread.into_iter().map(Effect::Observe));
    }

    /// Whether a job or a policy of its own has `resource` read.
    fn is_read(&self, resource: &Alias) -> bool {
        let has_job = self.lane(resource).is_some_and(|lane| lane.active().is_some());
        has_job || self.standings.in_force(resource).is_some_and(|in_force| in_force.policy.mode != Mode::Off)
    }

    /// Has the policy of `resource` decide, and does what it says.
    fn decide(&mut self, resource: &Alias, now: Timestamp) {
        let id = self.ids.next(now);
        let Some(standing) = self.standings.get(resource) else { return };
        let Some(in_force) = &standing.in_force else { return };
        let (trigger, policy) = (in_force.trigger.unwrap_or(Trigger::Time), &in_force.policy);
        let (revision, series) = (in_force.revision.number, &in_force.series);
        let foreseen = &in_force.foreseen;
        let with = Given { id, trigger, revision, policy, series, foreseen, reading: None };
        let outcome = self.evaluate_with(resource, standing, &with, now);
        let counting = standing.claims.iter().filter(|claim| claim.counts_at(now));
        let decided_claims = counting.map(|claim| claim.id).collect();
        let target_before = in_force.decision.as_ref().and_then(|decision| decision.decided);
        let policy::Outcome { decision, state, conditions, act, wake_at } = outcome;
        self.learn_if_due(resource, &state, now);
        let Some(in_force) = self.standings.in_force_mut(resource) else { return };
        in_force.trigger = None;
        in_force.decided_at = Some(now);
        in_force.wake_at = wake_at;
        in_force.decided_claims = decided_claims;
        in_force.conditions = conditions;
        in_force.conditions.extend(in_force.refused_sources.iter().map(source_refused));
        in_force.unwritten.state |= in_force.state != state;
        in_force.state = state;
        let is_new_target = decision.as_ref().is_some_and(|decision| decision.decided != target_before);
        self.carry_out(resource, act, decision, now);
        if is_new_target {
            self.trigger_followers(resource);
        }
    }

    /// Does what a decision says, with the decision in the same unit; or notes the decision to be written soon.
    fn carry_out(&mut self, resource: &Alias, act: Act, decision: Option<Decision>, now: Timestamp) {
        let job = match act {
            Act::Submit { .. } => Some(self.ids.next(now)),
            Act::Nothing | Act::Retarget { .. } | Act::Cancel { .. } => None,
        };
        let decision = decision.map(|mut decision| {
            decision.job_id = decision.job_id.or(job);
            decision
        });
        let Some(in_force) = self.standings.in_force_mut(resource) else { return };
        let has_decided = decision.is_some();
        if let Some(decision) = decision {
            in_force.take_decision(decision);
        }
        let (revision, overrides) = (in_force.revision.number, in_force.policy.job);
        let id = in_force.decision.as_ref().map_or_else(DecisionId::nil, |decision| decision.id);
        if act == Act::Nothing {
            self.standings.write_soon(resource, now);
        } else {
            let unit = self.unit_of_decision(resource);
            match act {
                Act::Nothing => {}
                Act::Submit { target } => {
                    let job = job.unwrap_or_default();
                    self.submit_for_policy(job, (resource, target), &overrides, revision, unit, now);
                }
                Act::Retarget { job, target } => self.retarget(job, (resource, target), id, unit, now),
                Act::Cancel { job } => self.cancel_for_policy(job, resource, revision, unit, now),
            }
        }
        let last = self.standings.in_force(resource).and_then(|in_force| in_force.decision.clone());
        if let Some(decision) = last.filter(|_| has_decided) {
            // Its job is not shown before it is durable.
            self.after_pending(resource, Effect::PublishDecision(Box::new(decision)));
        }
    }

    /// A unit with the last decision of `resource`, and what the policy remembers after it.
    fn unit_of_decision(&mut self, resource: &Alias) -> Unit {
        let Some(in_force) = self.standings.in_force_mut(resource) else { return Unit::default() };
        in_force.unwritten.state = false;
        let decisions = in_force.take_unwritten_decisions().into_iter();
        let decisions = decisions.map(|decision| PolicyWrite::Decision(Box::new(decision)));
        let writes = decisions.chain([PolicyWrite::State(in_force.stored_state())]).collect();
        Unit { policies: changes_of(resource, writes), ..Unit::default() }
    }

    /// The decision that would be taken at `now` on what `asked` gives, and on what is held where it gives nothing.
    ///
    /// # Errors
    /// If there is no policy, or it has no such metric, or it would be refused if it was put.
    pub fn evaluate(
        &self,
        resource: &Alias,
        asked: &EvaluationRequest,
        now: Timestamp,
    ) -> Result<Decision, PolicyRefusal> {
        self.scaling.resource(resource).ok_or(PolicyRefusal::ResourceNotListed)?;
        let empty = Standing::default();
        let standing = self.standings.get(resource).unwrap_or(&empty);
        let in_force = standing.in_force.as_ref();
        if let Some(policy) = &asked.policy {
            self.check_policy(resource, policy)?;
        }
        let policy = asked.policy.as_deref().or(in_force.map(|in_force| &*in_force.policy));
        let policy = policy.ok_or(PolicyRefusal::NoPolicy)?;
        let mut series: BTreeMap<Name, Series> =
            in_force.map(|in_force| metrics_of(&in_force.series, policy, &in_force.policy)).unwrap_or_default();
        for (name, value) in &asked.values {
            if !policy.metrics.contains_key(name) {
                return Err(PolicyRefusal::NoMetric { name: name.clone() });
            }
            let mut given = Series::new();
            given.insert(Sample { at: now, value: *value }, std::time::Duration::ZERO);
            series.insert(name.clone(), given);
        }
        // A policy that is off is tried as if it advised.
        let advising = Policy { mode: Mode::Advise, ..policy.clone() };
        let policy = if policy.mode == Mode::Off { &advising } else { policy };
        let revision = in_force.map_or(0, |in_force| in_force.revision.number);
        let given = self.reading_to_try(resource, asked)?;
        let reading =
            given.as_ref().map(|(capacity, status)| LastReading { capacity: *capacity, status, observed_at: now });
        let (id, trigger) = (DecisionId::nil(), Trigger::Request);
        let foreseen = in_force.map(|in_force| forecasts_of(&in_force.foreseen, policy, &in_force.policy));
        let foreseen = &foreseen.unwrap_or_default();
        let with = Given { id, trigger, revision, policy, series: &series, foreseen, reading };
        let decision = self.evaluate_with(resource, standing, &with, now).decision;
        decision.ok_or(PolicyRefusal::NoPolicy)
    }

    /// The capacity and the status that `asked` gives in place of a reading, if it does.
    fn reading_to_try(
        &self,
        resource: &Alias,
        asked: &EvaluationRequest,
    ) -> Result<Option<(Capacity, Status)>, PolicyRefusal> {
        if asked.capacity.is_none() && asked.status.is_none() {
            return Ok(None);
        }
        let capacity = asked.capacity.or_else(|| self.present_capacity(resource)).ok_or(PolicyRefusal::NoCapacity)?;
        Ok(Some((capacity, asked.status.clone().unwrap_or_else(|| Status::new("ACTIVE")))))
    }

    fn evaluate_with(
        &self,
        resource: &Alias,
        standing: &Standing,
        with: &Given<'_>,
        now: Timestamp,
    ) -> policy::Outcome {
        let rules = self.scaling.in_force(resource);
        let settings = rules.settings.with(&with.policy.job).within(&rules.setting_limits);
        let lane = self.lane(resource);
        let (followed, pace) = (self.followed(with.policy), self.pace_of(resource, with.policy));
        let reading = with.reading.or_else(|| lane.and_then(|lane| self.usable_reading(resource, lane, &settings)));
        let change = lane.and_then(|lane| lane.change());
        let circle = self.circle(resource, with.policy).unwrap_or_default();
        let inputs = Inputs {
            id: with.id,
            resource,
            trigger: with.trigger,
            revision: with.revision,
            reading,
            own_job: lane.and_then(own_job),
            ending_job: lane.and_then(ending_job),
            others_job: lane.and_then(|lane| lane.jobs_of_people().next()).map(|job| job.id),
            metrics: with.series,
            foreseen: with.foreseen,
            followed: &followed,
            circle: &circle,
            claims: &standing.claims,
            hold: standing.hold.as_ref(),
            file_bounds: rules.bounds,
            pace,
            in_flight: change.map(|change| change.movement.to),
            next_change_at: self.next_change_at(resource, &settings, &pace, reading.as_ref()),
            last_effect_at: standing.in_force.as_ref().and_then(|in_force| in_force.last_effect_at),
        };
        let fresh = policy::PolicyState::new();
        let state = standing.in_force.as_ref().map_or(&fresh, |in_force| &in_force.state);
        policy::decide(with.policy, &inputs, state, now)
    }

    /// When the next change of `resource` can be sent at the earliest, as far as is known.
    pub(super) fn next_change_at(
        &self,
        resource: &Alias,
        settings: &Settings,
        pace: &Pace,
        reading: Option<&LastReading<'_>>,
    ) -> Option<Timestamp> {
        let lane = self.lane(resource);
        let change_state = self.change_state_of(resource, lane);
        let is_at_rest = reading.is_none_or(|reading| reading.status.is_at_rest(reading.capacity));
        let in_flight = lane.and_then(|lane| lane.change()).map(|change| change.sent);
        let under_way = in_flight.or(change_state.last_change.filter(|_| !is_at_rest));
        let rest_at = under_way.and_then(|sent| Some(sent.at + pace.time_of_change(sent.op?)));
        let with_change = ChangeState { last_change: in_flight.or(change_state.last_change), ..change_state };
        // What waits for a time is a rise: a fall has nothing to be late for.
        let settled_at = with_change.reversal_allowed_at(Op::Add);
        with_change.next_change_at(settings.cooldown).max(settled_at).max(rest_at)
    }

    /// The last reading that shows what became of all changes, if there is one.
    pub(super) fn usable_reading<'a>(
        &'a self,
        resource: &Alias,
        lane: &Lane,
        settings: &Settings,
    ) -> Option<LastReading<'a>> {
        let reading = self.observations.get(resource)?;
        let change_state = lane.change_state();
        let observed_at = reading.observed_at(change_state.longest_settle(settings.settle));
        // While a job works, it knows better than the last reading which capacity can be believed.
        let believed = lane.active().and_then(|job| job.current);
        let is_usable = lane.change().is_none() && change_state.fresh_from.is_none_or(|from| observed_at >= from);
        // A change that its job has left behind is resolved by the next job, and without a capacity there would be none.
        let is_left = lane.change().is_some() && lane.active().is_none();
        let shown = (is_usable || is_left).then_some(reading.capacity);
        let capacity = believed.or(shown).or(change_state.expected)?;
        Some(LastReading { capacity, status: &reading.status, observed_at })
    }

    /// Has the policy of `resource` decide anew if the last usable reading is not the one it decided on: most readings show
    /// nothing new, and a decision for each would make the values of metrics wait.
    pub(in crate::engine::core) fn trigger_if_news(&mut self, resource: &Alias) {
        let Some((in_force, lane)) = self.standings.in_force(resource).zip(self.lane(resource)) else { return };
        let settings = self.scaling.in_force(resource).settings.with(&in_force.policy.job);
        let shown = self.usable_reading(resource, lane, &settings).map(|reading| (reading.capacity, reading.status));
        let decision = in_force.decision.as_ref();
        let known = decision.and_then(|decision| Some((decision.capacity?, decision.status.as_ref()?)));
        let is_first = known.is_none();
        if shown != known {
            self.standings.decide_for_reading(resource, is_first);
        }
    }

    /// The targets of the resources that `policy` follows, as far as they are known.
    fn followed(&self, policy: &Policy) -> BTreeMap<Alias, Capacity> {
        let followed = followed(policy).into_iter();
        followed.filter_map(|resource| Some((resource.clone(), self.target_of(resource)?))).collect()
    }

    /// The capacity that `resource` is on its way to, or else has.
    fn target_of(&self, resource: &Alias) -> Option<Capacity> {
        let lane = self.lane(resource);
        let of_job = lane.and_then(|lane| lane.jobs().last()).and_then(|job| job.target);
        of_job.or_else(|| self.observations.get(resource).map(|reading| reading.capacity))
    }

    /// Has the policies decide anew that follow `resource`.
    pub(in crate::engine::core) fn trigger_followers(&mut self, resource: &Alias) {
        let followers: Vec<Alias> = self.standings.followers_of(resource).cloned().collect();
        followers.iter().for_each(|follower| self.standings.trigger(follower, Trigger::Followed));
    }
}

/// Before everything.
const LONG_AGO: Timestamp = Timestamp::from_millis(i64::MIN);

/// What is given from outside for an evaluation.
struct Given<'a> {
    id: DecisionId,
    trigger: Trigger,
    revision: u64,
    policy: &'a Policy,
    series: &'a BTreeMap<Name, Series>,
    foreseen: &'a Foreseen,
    /// What stands in for the last usable reading.
    reading: Option<LastReading<'a>>,
}

fn source_refused(problem: &Problem) -> Condition {
    let Problem { pointer, detail } = problem;
    let detail = format!("A source is not asked, and its metric is missing: {pointer} {detail}.");
    Condition { code: ConditionCode::SourceRefused, direction: None, detail, until: None }
}

/// The unfinished job of the policy, unless it is about to end.
pub(super) fn own_job(lane: &Lane) -> Option<OwnJob> {
    let own = lane.jobs().filter(|job| job.is_of_policy() && job.ending.is_none()).last()?;
    Some(OwnJob { id: own.id, target: own.target?, is_worn_out: own.is_worn_out() })
}

/// The job of the policy that is about to end.
fn ending_job(lane: &Lane) -> Option<JobId> {
    lane.jobs().find(|job| job.is_of_policy() && job.ending.is_some()).map(|job| job.id)
}

impl InForce {
    /// When the policy decides next.
    pub(super) fn decides_at(&self) -> Option<Timestamp> {
        let triggered = self.trigger.map(|_| self.decided_at.map_or(LONG_AGO, |at| at + TOGETHER));
        triggered.into_iter().chain(self.wake_at).min()
    }
}

/// Whether a rule of `policy` follows `resource`.
pub(super) fn follows(policy: &Policy, resource: &Alias) -> bool {
    policy.rules.iter().any(|rule| matches!(&rule.kind, RuleKind::Follow(follow) if follow.resource == *resource))
}
