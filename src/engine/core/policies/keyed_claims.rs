//! Claims with an idempotency key: the same request gets the same claim again.
//!
//! They share their keys and reservations with jobs: a key stands for one request, which is for a job or for a claim. The key is
//! durable with the claim, in one unit: a process that is killed in between has neither or both.

use super::super::submissions::entry;
use super::super::{Core, Effect};
use super::changes::refused;
use crate::domain::policy::ClaimId;
use crate::domain::{Alias, Timestamp};
use crate::engine::policy_requests::{ClaimView, PolicyAnswer, PolicyRefusal, PolicyRequest};
use crate::engine::requests::{Answer, ReplyTo};
use crate::store::{NoRoom, Reserved, Unit};

impl Core {
    /// Makes the claim of `request`, whose idempotency key was looked up: the reservation and the key are part of its unit.
    pub(in crate::engine::core) fn on_claim_reserved(
        &mut self,
        request: PolicyRequest,
        reply_to: ReplyTo,
        decided: Option<Result<Reserved, NoRoom>>,
        now: Timestamp,
    ) {
        let resource = request.resource.clone();
        let reservation = match decided {
            None => return self.effects.push(Effect::Abandon(reply_to)),
            Some(Err(no_room)) => return self.effects.push(refused(reply_to, PolicyRefusal::NoRoom(no_room))),
            Some(Ok(Reserved::Replay { made, .. })) => return self.show_claim_again(&resource, made, reply_to, now),
            Some(Ok(Reserved::Granted(reservation))) => reservation,
        };
        let PolicyRequest { change, attempt, key, .. } = request;
        // The lane may have been evicted meanwhile, or the gateway be on its way down.
        let made = if self.draining || self.lane(&resource).is_none() {
            None
        } else {
            Some(self.make_change(&resource, change, attempt.as_ref(), now))
        };
        match made {
            None => self.effects.extend([Effect::GiveBack(reservation), Effect::Abandon(reply_to)]),
            Some(Err(refusal)) => {
                self.effects.push(Effect::GiveBack(reservation));
                self.after_pending(&resource, refused(reply_to, refusal));
            }
            Some(Ok(change)) => {
                let claim = match &change.answer {
                    PolicyAnswer::Claim(view) => Some(view.claim.id),
                    _ => None,
                };
                let entries = key.zip(claim).map(|(key, claim)| entry(key, false, claim, now)).into_iter().collect();
                let unit = Unit { entries, reservation: Some(reservation), ..Unit::default() };
                self.commit_change(&resource, change, attempt, unit, reply_to, now);
            }
        }
    }

    /// Answers a request that made the claim `id` before.
    fn show_claim_again(&mut self, resource: &Alias, id: ClaimId, reply_to: ReplyTo, now: Timestamp) {
        if self.lane(resource).is_none() {
            return self.effects.push(Effect::Abandon(reply_to));
        }
        let claims = self.standings.get(resource).map_or(&[][..], |standing| &standing.claims);
        let claim = claims.iter().find(|claim| claim.id == id && now < claim.until).cloned();
        let answer = match claim {
            Some(claim) => {
                let is_satisfied = self.satisfies(resource, &claim, now);
                PolicyAnswer::SameClaim(ClaimView { is_satisfied, claim })
            }
            None => PolicyAnswer::Refused(PolicyRefusal::SameClaimEnded),
        };
        self.after_pending(resource, Effect::Reply(reply_to, Answer::Policy(answer)));
    }
}
