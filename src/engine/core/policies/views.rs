//! What stands about resources, as it is shown, and what a hold means to requests.

use std::sync::Arc;

use super::super::Core;
use super::InForce;
use super::deciding::own_job;
use crate::domain::policy::{
    self, Claim, ClaimKind, Decision, Foresight, Hold, HoldKind, JobNote, Mode, Pace, PinNote, Planned, Policy,
    Prospects, Whereabouts,
};
use crate::domain::{Alias, Capacity, Goal, Job, JobRequest, Lane, Reach, ResourceConfig, Timestamp};
use crate::engine::policy_requests::{ClaimView, PolicyRefusal, PolicyView, StandingView, TrialBasis};
use crate::engine::requests::NotedJob;

impl Core {
    /// What stands about `resource` at `now`.
    pub fn standing(&self, resource: &Alias, now: Timestamp) -> StandingView {
        let Some(standing) = self.standings.get(resource) else { return StandingView::default() };
        let rules = self.scaling.in_force(resource);
        let claims = standing
            .claims
            .iter()
            .filter(|claim| now < claim.until)
            .map(|claim| ClaimView { is_satisfied: self.satisfies(resource, claim, now), claim: claim.clone() });
        let hold = standing.hold.clone().filter(|hold| hold.counts_at(now));
        StandingView {
            policy: standing.in_force.as_ref().map(|in_force| in_force.view(rules)),
            own_job: self.lane(resource).and_then(own_job).map(|job| job.id),
            pin_note: hold.as_ref().and_then(|hold| self.pin_note(resource, hold)),
            hold,
            claims: claims.collect(),
            foresights: standing.in_force.as_ref().map(|in_force| in_force.foresights(now)).unwrap_or_default(),
            prospects: standing.in_force.as_ref().and_then(|in_force| self.prospects(resource, in_force, now)),
        }
    }

    /// How `hold` and the bounds of the policy of `resource` contradict each other.
    pub(super) fn pin_note(&self, resource: &Alias, hold: &Hold) -> Option<PinNote> {
        let in_force = self.standings.in_force(resource)?;
        PinNote::about(hold, &in_force.policy, self.scaling.in_force(resource).bounds)
    }

    /// Where a plan of the policy in force begins.
    fn prospects(&self, resource: &Alias, in_force: &InForce, now: Timestamp) -> Option<Prospects> {
        let (rules, lane) = (self.scaling.in_force(resource), self.lane(resource)?);
        let settings = rules.settings.with(&in_force.policy.job).within(&rules.setting_limits);
        let pace = Pace::learned(&settings, lane.step_durations(), in_force.policy.expected_change);
        let reading = self.usable_reading(resource, lane, &settings)?;
        let wanted = in_force.present_decision().and_then(|decision| decision.wanted);
        let next_change_at = self.next_change_at(resource, &settings, &pace, Some(&reading));
        let under_way = lane.change().map(|change| {
            let takes = pace.time_of_change(change.movement.op);
            Planned { at: (change.sent.at + takes).max(now), capacity: change.movement.to }
        });
        let (capacity, file_bounds) = (reading.capacity, rules.bounds);
        let wanted = wanted.unwrap_or(capacity);
        Some(Prospects { at: now, capacity, under_way, wanted, pace, next_change_at, file_bounds })
    }

    /// The policies of the resources within `reach`, by the names of these: the first `size` of those that come after
    /// `after`.
    pub fn policies(&self, reach: &Reach, after: Option<&Alias>, size: usize) -> Vec<(Alias, PolicyView)> {
        let all = self.standings.with_policies(after).filter(|(resource, _)| reach.includes(resource));
        let views = all.map(|(resource, in_force)| (resource.clone(), in_force.view(self.scaling.in_force(resource))));
        views.take(size).collect()
    }

    /// What a backtest of `policy`, or else of the one in force, on `resource` rests on.
    ///
    /// # Errors
    /// If the policy could not be put, or there is none.
    pub fn trial_basis(&self, resource: &Alias, policy: Option<Box<Policy>>) -> Result<TrialBasis, PolicyRefusal> {
        let rules = self.scaling.resource(resource).ok_or(PolicyRefusal::ResourceNotListed)?;
        let policy = match policy {
            Some(policy) => {
                self.check_policy(resource, &policy)?;
                Arc::from(policy)
            }
            None => Arc::clone(&self.standings.in_force(resource).ok_or(PolicyRefusal::NoPolicy)?.policy),
        };
        let settings = rules.settings.with(&policy.job).within(&rules.setting_limits);
        let lane = self.lane(resource);
        let reading = lane.and_then(|lane| self.usable_reading(resource, lane, &settings));
        Ok(TrialBasis {
            policy,
            rules,
            settings,
            step_durations: lane.map(Lane::step_durations).cloned().unwrap_or_default(),
            capacity: reading.map(|reading| reading.capacity),
        })
    }

    /// Whether `claim` counts and `resource` is at rest with at least what its policy decided with it. What the policy is still to
    /// decide on, such as another end of the claim, takes nothing away from that.
    pub(super) fn satisfies(&self, resource: &Alias, claim: &Claim, now: Timestamp) -> bool {
        let in_force = self.standings.in_force(resource);
        let Some((in_force, lane)) = in_force.zip(self.lane(resource)) else { return false };
        let decision = in_force.present_decision().filter(|_| in_force.decided_claims.contains(&claim.id));
        let decided = decision.and_then(|decision| decision.decided);
        let settings = self.scaling.in_force(resource).settings.with(&in_force.policy.job);
        let reading = self.usable_reading(resource, lane, &settings);
        let least = if claim.kind == ClaimKind::AtLeast { claim.units } else { Capacity::ZERO };
        let is_met = decided.zip(reading).is_some_and(|(decided, reading)| {
            reading.capacity >= decided.max(least) && reading.status.is_at_rest(reading.capacity)
        });
        claim.counts_at(now) && is_met
    }

    /// What a caller who asks about `job` should know.
    fn note_about(&self, job: &Job) -> Option<JobNote> {
        let Some(in_force) = self.standings.in_force(&job.resource) else {
            let is_first = job.current.is_none() && job.ended().is_none() && !self.is_recognised(&job.resource);
            return is_first.then_some(JobNote::UnknownResource);
        };
        let active = Some(in_force).filter(|in_force| in_force.policy.mode == Mode::Active)?;
        JobNote::about(job, active.last_capacity())
    }

    /// `job` with what its caller should know.
    pub fn noted(&self, job: Arc<Job>) -> NotedJob {
        NotedJob { note: self.note_about(&job), job }
    }

    /// The hold that stops `request`, if there is one.
    pub(in crate::engine::core) fn hold_against(&self, request: &JobRequest) -> Option<&Hold> {
        let hold = self.standings.get(&request.resource)?.hold.as_ref()?;
        let present = self.present_capacity(&request.resource);
        let change = self.lane(&request.resource).and_then(|lane| lane.change());
        let there = present.map(|present| Whereabouts::of(present, change.map(|change| change.movement.to)));
        let target = match request.goal {
            Goal::Target(target) => Some(target),
            Goal::Delta(delta) => {
                present.and_then(|present| Capacity::new(i64::from(present.units()) + i64::from(delta)).ok())
            }
        };
        let is_free = match (hold.kind, target, there) {
            (HoldKind::Capacity(pinned), target, _) => target == Some(pinned),
            (HoldKind::Direction(_), Some(target), Some(there)) => !hold.blocks(there, target),
            // Without a usable reading the direction is not known.
            (HoldKind::Direction(_), _, _) => false,
        };
        (!is_free).then_some(hold)
    }

    /// The capacity by the last usable reading.
    pub(super) fn present_capacity(&self, resource: &Alias) -> Option<Capacity> {
        let lane = self.lane(resource)?;
        let settings = self.scaling.in_force(resource).settings;
        self.usable_reading(resource, lane, &settings).map(|reading| reading.capacity)
    }
}

impl InForce {
    /// Its last decision, unless it is off: what it decided before that says nothing about the present.
    pub(super) fn present_decision(&self) -> Option<&Decision> {
        self.decision.as_ref().filter(|_| self.policy.mode != Mode::Off)
    }

    /// How its `forecast` rules stand, unless it is off.
    fn foresights(&self, now: Timestamp) -> Vec<Foresight> {
        if self.policy.mode == Mode::Off {
            return Vec::new();
        }
        policy::foresights(&self.policy, &self.foreseen, &self.series, &self.state, now)
    }

    /// The capacity that it decided at last.
    pub(super) fn last_capacity(&self) -> Option<Capacity> {
        self.decision.as_ref().and_then(|decision| decision.capacity)
    }

    /// How it is shown.
    pub(super) fn view(&self, rules: ResourceConfig) -> PolicyView {
        PolicyView {
            revision: self.revision.number,
            since: self.revision.at,
            by: self.revision.by.clone(),
            policy: Arc::clone(&self.policy),
            rules,
            is_in_file: self.is_in_file,
            decision: self.present_decision().cloned(),
            conditions: self.conditions.clone(),
        }
    }
}
