//! Alerts: one that fires is a claim, which every notification renews, and which ends when the alert is resolved.
//!
//! Notifications come repeatedly, from several senders, and late: their number and order must not change the result. A
//! notification that an alert fires must not bring back a claim whose alert was resolved meanwhile, and a late resolution
//! must not end the claim of a later occurrence. What was resolved is remembered for as long as a claim lasts, in memory:
//! after a restart a late notification can bring a claim back, which ends by itself. Rejected: to store it, because it would
//! be written at each resolution for a case that takes a restart within seconds of it.

use std::collections::VecDeque;
use std::time::Duration;

use super::super::Core;
use super::Change;
use crate::domain::policy::{Alert, Claim};
use crate::domain::{Action, Actor, Alias, AuditVerdict, Timestamp};
use crate::engine::policy_requests::{ClaimView, PolicyAnswer, PolicyRefusal};
use crate::store::PolicyWrite;

/// How long a resolution is remembered. Senders give a notification up long before.
const REMEMBERED_FOR: Duration = Duration::from_hours(1);
/// Most resolutions remembered of a resource: as many as there can be claims.
const MAX_REMEMBERED: usize = 100;
/// A notification that gives a claim less time than this beyond what it has writes nothing.
const LEAST_RENEWAL: Duration = Duration::from_mins(1);

/// The alerts of a resource that were resolved lately, oldest first.
#[derive(Default)]
pub(in crate::engine::core) struct ResolvedAlerts(VecDeque<Resolved>);

struct Resolved {
    alert: Alert,
    by: Option<Actor>,
    at: Timestamp,
}

impl ResolvedAlerts {
    fn remember(&mut self, alert: Alert, by: Option<Actor>, now: Timestamp) {
        let is_same = |known: &Resolved| known.alert.is_of(&alert) && known.by == by;
        // The resolution of an earlier occurrence may come after that of a later one.
        let known = self.0.iter().filter(|known| is_same(known)).map(|known| known.alert.started_at);
        let started_at = known.fold(alert.started_at, Timestamp::max);
        self.0.retain(|known| !is_same(known) && now.since(known.at) < REMEMBERED_FOR);
        self.0.push_back(Resolved { alert: Alert { started_at, ..alert }, by, at: now });
        self.0.drain(..self.0.len().saturating_sub(MAX_REMEMBERED));
    }

    /// Whether this occurrence of the alert is over, as `by` told.
    fn has(&self, alert: &Alert, by: Option<&Actor>, now: Timestamp) -> bool {
        self.0.iter().any(|known| {
            known.alert.is_of(alert)
                && known.by.as_ref() == by
                && alert.started_at <= known.alert.started_at
                && now.since(known.at) < REMEMBERED_FOR
        })
    }
}

impl Core {
    /// The alert fires: `claim` is made, or the one that stands for the alert lasts as long as it.
    pub(super) fn fire_alert(
        &mut self,
        resource: &Alias,
        alert: Alert,
        claim: Claim,
        now: Timestamp,
    ) -> Result<Change, PolicyRefusal> {
        let standing = self.standings.get(resource);
        if standing.is_some_and(|standing| standing.resolved.has(&alert, claim.by.as_ref(), now)) {
            return Err(PolicyRefusal::AlertResolved);
        }
        let Some(known) = self.claim_for(resource, &alert, claim.by.as_ref(), now).cloned() else {
            return self.make_claim(resource, Claim { alert: Some(alert), ..claim }, now);
        };
        if claim.units != known.units {
            // Another alert of the same name: what may be claimed is checked as for a new claim.
            self.check_units(resource, claim.units)?;
        }
        let until = known.until.max(claim.until);
        let is_same = claim.units == known.units && until < known.until + LEAST_RENEWAL;
        let started_at = known.alert.as_ref().map_or(alert.started_at, |known| known.started_at.max(alert.started_at));
        let renewed = Claim { until, units: claim.units, alert: Some(Alert { started_at, ..alert }), ..known.clone() };
        // A later occurrence is written, or a late resolution of the one before would end it after a restart.
        if is_same && renewed.alert == known.alert {
            return Ok(self.unchanged(resource, known, now));
        }
        self.standings.change(resource, |standing| {
            if let Some(claim) = standing.claims.iter_mut().find(|claim| claim.id == renewed.id) {
                *claim = renewed.clone();
            }
        });
        let change = self.claimed(resource, renewed, Action::RenewClaim, now);
        Ok(Change { answer: same(change.answer), ..change })
    }

    /// The alert is resolved: its claim ends, unless that stands for a later occurrence.
    pub(super) fn resolve_alert(
        &mut self,
        resource: &Alias,
        alert: Alert,
        by: Option<Actor>,
        now: Timestamp,
    ) -> Result<Change, PolicyRefusal> {
        let claim = self.claim_for(resource, &alert, by.as_ref(), now).cloned();
        let is_later = |claim: &Claim| claim.alert.as_ref().is_some_and(|known| known.started_at > alert.started_at);
        let ended = claim.filter(|claim| !is_later(claim)).map(|claim| claim.id);
        self.standings.change(resource, |standing| {
            standing.resolved.remember(alert, by, now);
            standing.claims.retain(|claim| Some(claim.id) != ended);
        });
        let id = ended.ok_or(PolicyRefusal::NoClaim)?;
        Ok(Change {
            writes: vec![PolicyWrite::ClaimEnded(id)],
            action: Action::DeleteClaim,
            verdict: AuditVerdict::Accepted,
            answer: PolicyAnswer::Gone,
            trigger: Some(super::Trigger::Claim),
        })
    }

    /// The claim that stands for the alert, as `by` told of it.
    fn claim_for(&self, resource: &Alias, alert: &Alert, by: Option<&Actor>, now: Timestamp) -> Option<&Claim> {
        let claims = self.standings.get(resource).map_or(&[][..], |standing| &standing.claims);
        let is_its = |claim: &Claim| claim.alert.as_ref().is_some_and(|known| known.is_of(alert));
        claims.iter().find(|claim| is_its(claim) && claim.by.as_ref() == by && now < claim.until)
    }

    fn unchanged(&self, resource: &Alias, claim: Claim, now: Timestamp) -> Change {
        Change {
            writes: Vec::new(),
            action: Action::RenewClaim,
            verdict: AuditVerdict::Unchanged,
            answer: PolicyAnswer::SameClaim(ClaimView { is_satisfied: self.satisfies(resource, &claim, now), claim }),
            trigger: None,
        }
    }
}

/// That it is a claim that was there before.
fn same(answer: PolicyAnswer) -> PolicyAnswer {
    match answer {
        PolicyAnswer::Claim(view) => PolicyAnswer::SameClaim(view),
        other => other,
    }
}
