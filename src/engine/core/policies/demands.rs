//! Holds and claims, as callers make and end them.

use super::super::Core;
use super::{Change, InForce};
use crate::domain::policy::{Claim, ClaimId, Hold, HoldKind, Mode, Trigger};
use crate::domain::{Action, Actor, Alias, AuditVerdict, Capacity, Timestamp};
use crate::engine::policy_requests::{ClaimView, PolicyAnswer, PolicyRefusal};
use crate::store::PolicyWrite;

/// Most claims on a resource.
const MAX_CLAIMS: usize = 100;
/// Most of them that were made with one key.
const MAX_CLAIMS_OF_KEY: usize = 20;

impl Core {
    pub(super) fn put_hold(&mut self, resource: &Alias, hold: Hold) -> Result<Change, PolicyRefusal> {
        if matches!(hold.kind, HoldKind::Capacity(_)) {
            self.active_policy(resource)?;
        }
        self.standings.change(resource, |standing| standing.hold = Some(hold.clone()));
        Ok(Change {
            writes: vec![PolicyWrite::Hold(Some(hold.clone()))],
            action: Action::PutHold,
            verdict: AuditVerdict::Accepted,
            answer: PolicyAnswer::Hold { note: self.pin_note(resource, &hold), hold },
            trigger: Some(Trigger::Hold),
        })
    }

    pub(super) fn end_hold(&mut self, resource: &Alias, now: Timestamp) -> Result<Change, PolicyRefusal> {
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

    pub(super) fn make_claim(
        &mut self,
        resource: &Alias,
        claim: Claim,
        now: Timestamp,
    ) -> Result<Change, PolicyRefusal> {
        self.check_units(resource, claim.units)?;
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

    /// Checks that the policy of `resource` acts and may give so many `units`.
    pub(super) fn check_units(&self, resource: &Alias, units: Capacity) -> Result<(), PolicyRefusal> {
        let max = self.active_policy(resource)?.policy.max;
        if units > max { Err(PolicyRefusal::ClaimAboveMax { max }) } else { Ok(()) }
    }

    pub(super) fn renew_claim(
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

    pub(super) fn end_claim(
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

    pub(super) fn claimed(&self, resource: &Alias, claim: Claim, action: Action, now: Timestamp) -> Change {
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
pub(super) enum Claimant {
    /// A caller who may change all of them.
    Admin,
    /// A caller who may change its own.
    Key(Option<Actor>),
}
