//! What callers change: policies, holds, claims, and values of metrics.
//!
//! A caller is answered when the change is durable, except for values of metrics: those are written within a second, and the
//! answer does not wait.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::{Core, Effect};
use super::deciding::own_job;
use super::{InForce, changes_of, metrics_of};
use crate::domain::policy::{
    Claim, ClaimId, ConditionCode, Hold, HoldKind, Insertion, Mode, Name, Policy, Sample, Source, Trigger,
};
use crate::domain::{
    Action, Actor, Alias, Attempt, AuditEntry, AuditVerdict, KeyId, ResourceConfig, Subject, Timestamp,
};
use crate::engine::policy_requests::{
    ClaimView, PolicyAnswer, PolicyChangeRequest, PolicyRefusal, PolicyRequest, PolicyView, Precondition,
};
use crate::engine::requests::{Answer, Refusal, ReplyTo};
use crate::policy::{canonical, followed, problems_for};
use crate::sources::problems_of;
use crate::store::{LaneChange, PolicyWrite, RecordChange, Revision, Unit, Wish};

/// Most claims on a resource.
const MAX_CLAIMS: usize = 100;
/// Most of them that were made with one key.
const MAX_CLAIMS_OF_KEY: usize = 20;

/// What a change comes to.
pub(super) struct Change {
    writes: Vec<PolicyWrite>,
    action: Action,
    verdict: AuditVerdict,
    pub(super) answer: PolicyAnswer,
    trigger: Option<Trigger>,
}

impl Core {
    /// Changes what stands about a resource. Its lane is adopted first, if it was not.
    pub fn change_policy(&mut self, request: PolicyRequest, reply_to: ReplyTo, now: Timestamp) {
        let resource = request.resource.clone();
        if let Some(refusal) = self.refuse_resource(&request) {
            return self.effects.push(refused(reply_to, refusal));
        }
        if self.draining {
            return self.effects.push(Effect::Abandon(reply_to));
        }
        if self.lane(&resource).is_none() {
            self.ask_for_lane(&resource);
            return self.changes.entry(resource).or_default().push((request, reply_to));
        }
        if let Some(key) = &request.key {
            let owner = key_of(&request).cloned();
            let wish = Wish { resource, owner, key: Some(key.clone()), job: None, limits: self.scaling.limits, now };
            self.keyed_claims.insert(reply_to, request);
            return self.effects.push(Effect::Reserve(reply_to, Box::new(wish)));
        }
        let PolicyRequest { resource, change, attempt, .. } = request;
        if let PolicyChangeRequest::Push(samples) = change {
            let answer = self.push(&resource, samples, now);
            return self.effects.push(Effect::Reply(reply_to, Answer::Policy(answer)));
        }
        match self.make_change(&resource, change, attempt.as_ref(), now) {
            Err(refusal) => self.after_pending(&resource, refused(reply_to, refusal)),
            Ok(change) => self.commit_change(&resource, change, attempt, Unit::default(), reply_to, now),
        }
    }

    pub(super) fn make_change(
        &mut self,
        resource: &Alias,
        change: PolicyChangeRequest,
        attempt: Option<&Attempt>,
        now: Timestamp,
    ) -> Result<Change, PolicyRefusal> {
        let by = attempt.and_then(|attempt| attempt.actor.clone());
        let claimant = |is_admin| if is_admin { Claimant::Admin } else { Claimant::Key(by.clone()) };
        match change {
            PolicyChangeRequest::Put { policy, precondition } => {
                self.put_policy(resource, policy, &precondition, by, now)
            }
            PolicyChangeRequest::Delete { precondition } => self.delete_policy(resource, &precondition, by, now),
            PolicyChangeRequest::Hold(hold) => self.put_hold(resource, hold),
            PolicyChangeRequest::EndHold => self.end_hold(resource, now),
            PolicyChangeRequest::Claim(claim) => self.make_claim(resource, claim, now),
            PolicyChangeRequest::RenewClaim { id, until, is_admin } => {
                self.renew_claim(resource, id, until, &claimant(is_admin), now)
            }
            PolicyChangeRequest::EndClaim { id, is_admin } => self.end_claim(resource, id, &claimant(is_admin), now),
            PolicyChangeRequest::Push(_) => Err(PolicyRefusal::NoPolicy),
        }
    }

    /// Why nothing can be changed about the resource, if that is so. What is not listed has a place only with a lane, and gets
    /// one for a policy or a hold alone.
    fn refuse_resource(&mut self, request: &PolicyRequest) -> Option<PolicyRefusal> {
        let resource = &request.resource;
        if self.scaling.resource(resource).is_none() {
            return Some(PolicyRefusal::ResourceNotListed);
        }
        if self.lane(resource).is_some() || self.scaling.resources.contains_key(resource) {
            return None;
        }
        let key = key_of(request);
        match &request.change {
            PolicyChangeRequest::Put { .. } | PolicyChangeRequest::Hold(_) => {
                match self.unlisted.admit(resource, key) {
                    Ok(()) => {
                        self.unlisted.add(resource, key);
                        None
                    }
                    Err(Refusal::TooManyResources { limit } | Refusal::TooManyResourcesOfKey { limit }) => {
                        Some(PolicyRefusal::TooManyResources { limit })
                    }
                    Err(_) => Some(PolicyRefusal::ResourceNotListed),
                }
            }
            PolicyChangeRequest::EndHold => Some(PolicyRefusal::NoHold),
            PolicyChangeRequest::RenewClaim { .. } | PolicyChangeRequest::EndClaim { .. } => {
                Some(PolicyRefusal::NoClaim)
            }
            PolicyChangeRequest::Claim(_) => Some(PolicyRefusal::NoActivePolicy),
            PolicyChangeRequest::Delete { .. } | PolicyChangeRequest::Push(_) => Some(PolicyRefusal::NoPolicy),
        }
    }

    pub(super) fn commit_change(
        &mut self,
        resource: &Alias,
        change: Change,
        attempt: Option<Attempt>,
        mut unit: Unit,
        reply_to: ReplyTo,
        now: Timestamp,
    ) {
        let Change { writes, action, verdict, answer, trigger } = change;
        let subject = Subject { resource: Some(resource.clone()), ..Subject::default() };
        unit.audit.extend(attempt.map(|attempt| AuditEntry { at: now, attempt, action, subject, verdict }));
        let reply = Effect::Reply(reply_to, Answer::Policy(answer));
        if writes.is_empty() && unit.audit.is_empty() {
            self.after_pending(resource, reply);
        } else {
            self.commit_standing(resource, writes, unit, vec![reply]);
        }
        self.standings.set_timer(resource);
        if let Some(trigger) = trigger {
            self.standings.trigger(resource, trigger);
        }
    }

    /// Makes durable what stands about `resource`, with what else is in `unit`.
    pub(super) fn commit_standing(
        &mut self,
        resource: &Alias,
        writes: Vec<PolicyWrite>,
        unit: Unit,
        effects: Vec<Effect>,
    ) {
        let Some(epoch) = self.lanes.epoch(resource) else { return };
        let lanes = vec![LaneChange { resource: resource.clone(), epoch, record: RecordChange::Keep }];
        let unit = Unit { lanes, policies: changes_of(resource, writes), ..unit };
        self.commit(unit, effects, None);
    }
}

// ---- policies -------------------------------------------------------------------------------------------------------

impl Core {
    fn put_policy(
        &mut self,
        resource: &Alias,
        policy: Box<Policy>,
        precondition: &Precondition,
        by: Option<Actor>,
        now: Timestamp,
    ) -> Result<Change, PolicyRefusal> {
        let before = self.standings.in_force(resource);
        check(before, precondition)?;
        let rules = self.scaling.in_force(resource);
        let mut problems = problems_for(&policy, resource, &rules);
        problems.extend(problems_of(&policy, Some(&self.sources.hosts), &self.sources.secrets));
        if !problems.is_empty() {
            return Err(PolicyRefusal::BeyondLimits { problems });
        }
        self.check_circle(resource, &policy)?;
        let action = Action::PutPolicy;
        if let Some(before) = before.filter(|before| *before.policy == *policy) {
            let view = Box::new(before.view(rules));
            let answer = PolicyAnswer::Put { view, is_new: false };
            return Ok(Change { writes: Vec::new(), action, verdict: AuditVerdict::Unchanged, answer, trigger: None });
        }
        let is_new = before.is_none();
        let number = self.standings.get(resource).map_or(0, |standing| standing.last_revision) + 1;
        let revision = Revision { number, at: now, by, document: Some(canonical(&policy).to_string()) };
        self.enforce(resource, revision.clone(), Arc::from(policy), false, now);
        let in_force = self.standings.in_force(resource);
        let writes = vec![PolicyWrite::Revision(revision)];
        let writes = writes.into_iter().chain(in_force.map(|it| PolicyWrite::State(it.stored_state()))).collect();
        let view = in_force.map(|in_force| Box::new(in_force.view(rules))).ok_or(PolicyRefusal::NoPolicy)?;
        let answer = PolicyAnswer::Put { view, is_new };
        Ok(Change { writes, action, verdict: AuditVerdict::Accepted, answer, trigger: Some(Trigger::Policy) })
    }

    /// Puts `policy` in force in place of the one before, of which it keeps what still makes sense.
    pub(in crate::engine::core) fn enforce(
        &mut self,
        resource: &Alias,
        revision: Revision,
        policy: Arc<Policy>,
        is_in_file: bool,
        now: Timestamp,
    ) {
        let refused_sources = self.watch(resource, &policy, is_in_file);
        self.standings.change(resource, |standing| {
            standing.last_revision = revision.number;
            let before = standing.in_force.take();
            let new = InForce { refused_sources, ..InForce::new(revision, policy, is_in_file, now) };
            standing.in_force = Some(match before {
                None => new,
                Some(before) => InForce {
                    state: before.state.adapt(&before.policy, &new.policy),
                    series: metrics_of(&before.series, &new.policy, &before.policy),
                    last_effect_at: before.last_effect_at,
                    unwritten: before.unwritten,
                    decision: before.decision,
                    ..new
                },
            });
        });
        self.trigger_circles();
    }

    fn delete_policy(
        &mut self,
        resource: &Alias,
        precondition: &Precondition,
        by: Option<Actor>,
        now: Timestamp,
    ) -> Result<Change, PolicyRefusal> {
        let before = self.standings.in_force(resource).ok_or(PolicyRefusal::NoPolicy)?;
        check(Some(before), precondition)?;
        let revision = Revision { number: before.revision.number + 1, at: now, by, document: None };
        let own_job = self.lane(resource).and_then(own_job);
        if let Some(job) = own_job {
            self.cancel_for_policy(job.id, resource, revision.number, Unit::default(), now);
        }
        self.effects.push(Effect::Watch(resource.clone(), BTreeMap::new()));
        self.standings.change(resource, |standing| {
            standing.last_revision = revision.number;
            standing.in_force = None;
            standing.claims.clear();
        });
        self.trigger_circles();
        Ok(Change {
            writes: vec![PolicyWrite::Revision(revision)],
            action: Action::DeletePolicy,
            verdict: AuditVerdict::Accepted,
            answer: PolicyAnswer::Gone,
            trigger: None,
        })
    }

    /// Fails if resources would follow each other in a circle with `policy` for `resource`.
    fn check_circle(&self, resource: &Alias, policy: &Policy) -> Result<(), PolicyRefusal> {
        match self.circle(resource, policy) {
            Some(circle) => Err(PolicyRefusal::FollowsItself { circle }),
            None => Ok(()),
        }
    }

    /// The circle in which resources would follow each other through `resource` with `policy`, from it and back to it.
    pub(super) fn circle(&self, resource: &Alias, policy: &Policy) -> Option<Vec<Alias>> {
        // Each with one that follows it. None is looked at twice: resources can follow each other in very many ways.
        let mut followers: BTreeMap<Alias, Alias> = BTreeMap::new();
        let mut open = Vec::new();
        let mut note = |follower: &Alias, policy: &Policy, open: &mut Vec<Alias>| {
            for followed in followed(policy) {
                followers.entry(followed.clone()).or_insert_with(|| {
                    open.push(followed.clone());
                    follower.clone()
                });
            }
        };
        note(resource, policy, &mut open);
        while let Some(next) = open.pop().filter(|next| next != resource) {
            if let Some(in_force) = self.standings.in_force(&next) {
                note(&next, &in_force.policy, &mut open);
            }
        }
        let mut circle = vec![resource.clone()];
        let mut last = followers.get(resource)?;
        while last != resource {
            circle.push(last.clone());
            last = followers.get(last)?;
        }
        circle.push(resource.clone());
        circle.reverse();
        Some(circle)
    }

    /// Has the policies decide anew that follow each other in a circle, which may be over.
    fn trigger_circles(&mut self) {
        let in_circle =
            |in_force: &InForce| in_force.conditions.iter().any(|it| it.code == ConditionCode::FollowsItself);
        let all = self.standings.with_policies(None).filter(|(_, in_force)| in_circle(in_force));
        let members: Vec<Alias> = all.map(|(resource, _)| resource.clone()).collect();
        members.iter().for_each(|member| self.standings.trigger(member, Trigger::Followed));
    }
}

/// The API key that a request was made with.
fn key_of(request: &PolicyRequest) -> Option<&KeyId> {
    request.attempt.as_ref()?.actor.as_ref()?.key()
}

pub(super) fn refused(reply_to: ReplyTo, refusal: PolicyRefusal) -> Effect {
    Effect::Reply(reply_to, Answer::Policy(PolicyAnswer::Refused(refusal)))
}

fn check(before: Option<&InForce>, precondition: &Precondition) -> Result<(), PolicyRefusal> {
    let revision = before.map(|before| before.revision.number);
    if before.is_some_and(|before| before.is_in_file) {
        return Err(PolicyRefusal::InFile);
    }
    if !precondition.holds(revision) {
        return Err(PolicyRefusal::Precondition { revision });
    }
    Ok(())
}

// ---- holds and claims -----------------------------------------------------------------------------------------------

impl Core {
    fn put_hold(&mut self, resource: &Alias, hold: Hold) -> Result<Change, PolicyRefusal> {
        if matches!(hold.kind, HoldKind::Capacity(_)) {
            self.active_policy(resource)?;
        }
        self.standings.change(resource, |standing| standing.hold = Some(hold.clone()));
        Ok(Change {
            writes: vec![PolicyWrite::Hold(Some(hold.clone()))],
            action: Action::PutHold,
            verdict: AuditVerdict::Accepted,
            answer: PolicyAnswer::Hold(hold),
            trigger: Some(Trigger::Hold),
        })
    }

    fn end_hold(&mut self, resource: &Alias, now: Timestamp) -> Result<Change, PolicyRefusal> {
        let held = self.standings.get(resource).and_then(|standing| standing.hold.as_ref());
        held.filter(|hold| hold.counts_at(now)).ok_or(PolicyRefusal::NoHold)?;
        self.standings.change(resource, |standing| standing.hold = None);
        Ok(Change {
            writes: vec![PolicyWrite::Hold(None)],
            action: Action::DeleteHold,
            verdict: AuditVerdict::Accepted,
            answer: PolicyAnswer::Gone,
            trigger: Some(Trigger::Hold),
        })
    }

    /// The policy of `resource`, if it acts.
    fn active_policy(&self, resource: &Alias) -> Result<&InForce, PolicyRefusal> {
        let in_force = self.standings.in_force(resource).filter(|in_force| in_force.policy.mode == Mode::Active);
        in_force.ok_or(PolicyRefusal::NoActivePolicy)
    }

    fn make_claim(&mut self, resource: &Alias, claim: Claim, now: Timestamp) -> Result<Change, PolicyRefusal> {
        let max = self.active_policy(resource)?.policy.max;
        if claim.units > max {
            return Err(PolicyRefusal::ClaimAboveMax { max });
        }
        let claims = self.standings.get(resource).map_or(&[][..], |standing| &standing.claims);
        let live = || claims.iter().filter(|claim| now < claim.until);
        if live().count() >= MAX_CLAIMS {
            return Err(PolicyRefusal::TooManyClaims { limit: MAX_CLAIMS });
        }
        if live().filter(|other| other.by.is_some() && other.by == claim.by).count() >= MAX_CLAIMS_OF_KEY {
            return Err(PolicyRefusal::TooManyClaimsOfKey { limit: MAX_CLAIMS_OF_KEY });
        }
        self.standings.change(resource, |standing| standing.claims.push(claim.clone()));
        Ok(self.claimed(resource, claim, Action::CreateClaim, now))
    }

    fn renew_claim(
        &mut self,
        resource: &Alias,
        id: ClaimId,
        until: Timestamp,
        owner: &Claimant,
        now: Timestamp,
    ) -> Result<Change, PolicyRefusal> {
        self.own_claim(resource, id, owner, now)?;
        let renewed = self.standings.change(resource, |standing| {
            let claim = standing.claims.iter_mut().find(|claim| claim.id == id)?;
            claim.until = until;
            Some(claim.clone())
        });
        let claim = renewed.ok_or(PolicyRefusal::NoClaim)?;
        Ok(self.claimed(resource, claim, Action::RenewClaim, now))
    }

    fn end_claim(
        &mut self,
        resource: &Alias,
        id: ClaimId,
        owner: &Claimant,
        now: Timestamp,
    ) -> Result<Change, PolicyRefusal> {
        self.own_claim(resource, id, owner, now)?;
        self.standings.change(resource, |standing| standing.claims.retain(|claim| claim.id != id));
        Ok(Change {
            writes: vec![PolicyWrite::ClaimEnded(id)],
            action: Action::DeleteClaim,
            verdict: AuditVerdict::Accepted,
            answer: PolicyAnswer::Gone,
            trigger: Some(Trigger::Claim),
        })
    }

    /// Checks that there is a claim `id` which `owner` may change.
    fn own_claim(&self, resource: &Alias, id: ClaimId, owner: &Claimant, now: Timestamp) -> Result<(), PolicyRefusal> {
        let claims = self.standings.get(resource).map_or(&[][..], |standing| &standing.claims);
        let claim = claims.iter().find(|claim| claim.id == id && now < claim.until).ok_or(PolicyRefusal::NoClaim)?;
        match owner {
            Claimant::Admin => Ok(()),
            Claimant::Key(actor) if *actor == claim.by => Ok(()),
            Claimant::Key(_) => Err(PolicyRefusal::NotYours),
        }
    }

    fn claimed(&self, resource: &Alias, claim: Claim, action: Action, now: Timestamp) -> Change {
        Change {
            writes: vec![PolicyWrite::Claim(claim.clone())],
            action,
            verdict: AuditVerdict::Accepted,
            answer: PolicyAnswer::Claim(ClaimView { is_satisfied: self.satisfies(resource, &claim, now), claim }),
            trigger: Some(Trigger::Claim),
        }
    }
}

/// Who wants to change a claim.
enum Claimant {
    /// A caller who may change all of them.
    Admin,
    /// A caller who may change its own.
    Key(Option<Actor>),
}

// ---- metrics --------------------------------------------------------------------------------------------------------

impl Core {
    /// Takes in values that a caller sent: all of them, or none if one is refused.
    fn push(&mut self, resource: &Alias, samples: BTreeMap<Name, Vec<Sample>>, now: Timestamp) -> PolicyAnswer {
        let Some(in_force) = self.standings.in_force_mut(resource) else {
            return PolicyAnswer::Refused(PolicyRefusal::NoPolicy);
        };
        for (name, samples) in &samples {
            if let Some(refusal) = refuse_samples(&in_force.policy, name, samples) {
                return PolicyAnswer::Refused(refusal);
            }
        }
        let (mut all, mut accepted) = (0, 0);
        for (name, mut samples) in samples {
            samples.sort_by_key(|sample| sample.at);
            all += samples.len() as u64;
            accepted += in_force.take_in(&name, samples);
        }
        if accepted > 0 {
            self.standings.write_soon(resource, now);
            self.standings.trigger(resource, Trigger::Metric);
        }
        PolicyAnswer::Pushed { accepted, ignored: all - accepted }
    }
}

fn refuse_samples(policy: &Policy, name: &Name, samples: &[Sample]) -> Option<PolicyRefusal> {
    let name = name.clone();
    let Some(metric) = policy.metrics.get(&name) else { return Some(PolicyRefusal::NoMetric { name }) };
    if metric.source != Source::Push {
        return Some(PolicyRefusal::NotPushed { name });
    }
    let is_negative = !metric.allow_negative && samples.iter().any(|sample| sample.value < 0.0);
    is_negative.then_some(PolicyRefusal::Negative { name })
}

impl InForce {
    /// Takes in `samples` of a metric, oldest first; how many of them are newer than those before.
    pub(super) fn take_in(&mut self, name: &Name, samples: Vec<Sample>) -> u64 {
        let span = self.policy.history_of(name);
        let series = self.series.entry(name.clone()).or_default();
        let mut accepted = 0;
        for sample in samples {
            if series.insert(sample, span) == Insertion::Accepted {
                accepted += 1;
                self.unwritten.add_sample(name, sample);
            }
        }
        accepted
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
            decision: self.decision.clone(),
            conditions: self.conditions.clone(),
        }
    }
}
