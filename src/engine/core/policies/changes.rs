//! What callers change: how a change becomes durable with its answer, and policies themselves.
//!
//! A caller is answered when the change is durable, except for values and predictions of metrics.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::{Core, Effect};
use super::deciding::own_job;
use super::demands::Claimant;
use super::forecasting::forecasts_of;
use super::{Change, InForce, changes_of, metrics_of};
use crate::domain::policy::{Policy, PolicyNews, Trigger};
use crate::domain::{Action, Actor, Alias, Attempt, AuditEntry, AuditVerdict, KeyId, Subject, Timestamp};
use crate::engine::policy_requests::{PolicyAnswer, PolicyChangeRequest, PolicyRefusal, PolicyRequest, Precondition};
use crate::engine::requests::{Answer, Refusal, ReplyTo};
use crate::policy::{canonical, problems_for};
use crate::sources::problems_of;
use crate::store::{LaneChange, PolicyWrite, RecordChange, Revision, Unit, Wish};

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
            let (key, jobs) = (Some(key.clone()), Vec::new());
            let wish = Wish { owner, key, jobs, limits: self.scaling.limits, now };
            self.keyed_claims.insert(reply_to, request);
            return self.effects.push(Effect::Reserve(reply_to, Box::new(wish)));
        }
        let PolicyRequest { resource, change, attempt, .. } = request;
        // Senders of alerts tell of each again and again.
        let is_alert = matches!(change, PolicyChangeRequest::FireAlert { .. });
        let answer = match change {
            PolicyChangeRequest::Push(samples) => self.push(&resource, samples, now),
            PolicyChangeRequest::Predict { name, points } => self.predict(&resource, name, points, now),
            change => {
                return match self.make_change(&resource, change, attempt.as_ref(), now) {
                    Err(refusal) => self.after_pending(&resource, refused(reply_to, refusal)),
                    Ok(change) => {
                        let recorded = attempt.filter(|_| !(is_alert && change.writes.is_empty()));
                        self.commit_change(&resource, change, recorded, Unit::default(), reply_to, now);
                    }
                };
            }
        };
        self.effects.push(Effect::Reply(reply_to, Answer::Policy(answer)));
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
            PolicyChangeRequest::FireAlert { alert, claim } => self.fire_alert(resource, alert, claim, now),
            PolicyChangeRequest::ResolveAlert(alert) => self.resolve_alert(resource, alert, by, now),
            PolicyChangeRequest::Push(_) | PolicyChangeRequest::Predict { .. } => Err(PolicyRefusal::NoPolicy),
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
            PolicyChangeRequest::RenewClaim { .. }
            | PolicyChangeRequest::EndClaim { .. }
            | PolicyChangeRequest::ResolveAlert(_) => Some(PolicyRefusal::NoClaim),
            PolicyChangeRequest::Claim(_) | PolicyChangeRequest::FireAlert { .. } => {
                Some(PolicyRefusal::NoActivePolicy)
            }
            PolicyChangeRequest::Delete { .. } | PolicyChangeRequest::Push(_) | PolicyChangeRequest::Predict { .. } => {
                Some(PolicyRefusal::NoPolicy)
            }
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

    /// Makes durable what stands about `resource`, with what else is in `unit`. Another policy, or the end of one, is told of
    /// then.
    pub(super) fn commit_standing(
        &mut self,
        resource: &Alias,
        writes: Vec<PolicyWrite>,
        unit: Unit,
        mut effects: Vec<Effect>,
    ) {
        let Some(epoch) = self.lanes.epoch(resource) else { return };
        if writes.iter().any(|write| matches!(write, PolicyWrite::Revision(_))) {
            let in_force = self.standings.in_force(resource);
            let in_force = in_force.map(|in_force| (in_force.revision.number, in_force.policy.mode));
            effects.push(Effect::PublishPolicy(PolicyNews { resource: resource.clone(), in_force }));
        }
        let lanes = vec![LaneChange { resource: resource.clone(), epoch, record: RecordChange::Keep }];
        let unit = Unit { lanes, policies: changes_of(resource, writes), ..unit };
        self.commit(unit, effects);
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
        self.check_policy(resource, &policy)?;
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

    /// Checks that `policy` may be put in force on `resource`.
    pub(super) fn check_policy(&self, resource: &Alias, policy: &Policy) -> Result<(), PolicyRefusal> {
        let mut problems = problems_for(policy, resource, &self.scaling.in_force(resource));
        problems.extend(problems_of(policy, Some(&self.sources.hosts), &self.sources.secrets));
        if !problems.is_empty() {
            return Err(PolicyRefusal::BeyondLimits { problems });
        }
        self.check_circle(resource, policy)
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
            let Some(mut before) = before else { return standing.in_force = Some(new) };
            before.unwritten.take_away(&before.foreseen.predictions, &new.policy);
            standing.in_force = Some(InForce {
                state: before.state.adapt(&before.policy, &new.policy),
                series: metrics_of(&before.series, &new.policy, &before.policy),
                foreseen: forecasts_of(&before.foreseen, &new.policy, &before.policy),
                last_effect_at: before.last_effect_at,
                unwritten: before.unwritten,
                decision: before.decision,
                decided_claims: before.decided_claims,
                ..new
            });
        });
        // A prediction of a metric that is gone is taken away.
        self.standings.write_soon(resource, now);
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
