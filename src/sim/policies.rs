//! What the model [`Disk`](super::Disk) keeps about policies, as the real store does.
//!
//! Samples are kept as they came and for good: a simulated life is short.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::forecast::Prediction;
use crate::domain::policy::{Claim, ClaimId, Decision, Hold, Name, Sample};
use crate::domain::{Alias, Timestamp};
use crate::store::{
    ADOPTED_SAMPLES, MAX_REVISIONS, Observations, PolicyChange, PolicyRecord, PolicyState, PolicyWrite, Revision,
};

/// See the module's documentation.
#[derive(Clone, Debug, Default)]
pub(super) struct KeptPolicies(BTreeMap<Alias, Kept>);

/// What is kept about one resource.
#[derive(Clone, Debug, Default)]
struct Kept {
    /// Oldest first.
    revisions: Vec<Revision>,
    state: Option<PolicyState>,
    claims: BTreeMap<ClaimId, Claim>,
    hold: Option<Hold>,
    /// Oldest first.
    decisions: Vec<Decision>,
    /// Of each metric, by the second.
    samples: BTreeMap<Name, BTreeMap<i64, Sample>>,
    predictions: BTreeMap<Name, Prediction>,
    /// The metrics that were not observed since the policy was deleted.
    retired: BTreeSet<Name>,
}

impl KeptPolicies {
    /// Writes `changes` in their order.
    pub fn write(&mut self, changes: Vec<PolicyChange>) {
        for PolicyChange { resource, write } in changes {
            let kept = self.0.entry(resource).or_default();
            match write {
                PolicyWrite::Revision(revision) => kept.revise(revision),
                PolicyWrite::State(state) => kept.state = Some(state),
                PolicyWrite::Claim(claim) => drop(kept.claims.insert(claim.id, claim)),
                PolicyWrite::ClaimEnded(id) => drop(kept.claims.remove(&id)),
                PolicyWrite::Hold(hold) => kept.hold = hold,
                PolicyWrite::Decision(decision) => kept.decide(*decision),
            }
        }
    }

    /// Writes `observations`, whose resource belongs to the process.
    pub fn record(&mut self, observations: Observations) {
        let Observations { resource, epoch: _, samples, predictions, state, decisions } = observations;
        let kept = self.0.entry(resource).or_default();
        for (metric, sample) in samples {
            let second = sample.at.as_millis().div_euclid(1000);
            kept.retired.remove(&metric);
            kept.samples.entry(metric).or_default().insert(second, sample);
        }
        kept.predictions.extend(predictions);
        kept.predictions.retain(|_, prediction| !prediction.points().is_empty());
        kept.state = state.or(kept.state.take());
        decisions.into_iter().for_each(|decision| kept.decide(decision));
    }

    /// What was observed and remembered is by another clock from now on. Claims and holds end when their callers were told,
    /// and predictions are about such times.
    pub fn change_clock(&mut self, before: Timestamp, after: Timestamp) {
        for kept in self.0.values_mut() {
            if let Some(state) = &mut kept.state {
                state.at = state.at.on_another_clock(before, after);
            }
            for samples in kept.samples.values_mut() {
                let moved = std::mem::take(samples).into_values().map(|sample| {
                    let at = sample.at.on_another_clock(before, after);
                    (at.as_millis().div_euclid(1000), Sample { at, ..sample })
                });
                *samples = moved.collect();
            }
        }
    }

    /// The resources about which something is in force, by name.
    pub fn in_force(&self) -> impl Iterator<Item = &Alias> {
        let is_in_force = |kept: &Kept| {
            let has_policy = kept.revisions.last().is_some_and(|revision| revision.document.is_some());
            has_policy || kept.state.is_some() || !kept.claims.is_empty() || kept.hold.is_some()
        };
        self.0.iter().filter(move |(_, kept)| is_in_force(kept)).map(|(resource, _)| resource)
    }

    /// What a new process is given about `resource`, in the form in which it is stored.
    pub fn adopt(&self, resource: &Alias) -> Option<Box<PolicyRecord>> {
        let kept = self.0.get(resource)?;
        let in_use = kept.samples.iter().filter(|(metric, _)| !kept.retired.contains(*metric));
        let record = PolicyRecord {
            revision: kept.revisions.last().cloned(),
            state: kept.state.clone(),
            claims: kept.claims.values().map(stored).collect(),
            hold: kept.hold.as_ref().map(stored),
            samples: in_use.filter_map(|(metric, samples)| recent(metric, samples)).collect(),
            predictions: kept.predictions.clone(),
            last_decision: kept.decisions.last().map(stored).map(Box::new),
        };
        (record != PolicyRecord::default()).then(|| Box::new(record))
    }

    /// The decisions about `resource`, oldest first.
    pub fn decisions(&self, resource: &Alias) -> &[Decision] {
        self.0.get(resource).map_or(&[], |kept| &kept.decisions)
    }
}

impl Kept {
    fn revise(&mut self, revision: Revision) {
        if revision.document.is_none() {
            self.state = None;
            self.claims.clear();
            self.predictions.clear();
            self.retired = self.samples.keys().cloned().collect();
        }
        self.revisions.push(revision);
        let too_many = self.revisions.len().saturating_sub(MAX_REVISIONS as usize);
        self.revisions.drain(..too_many);
    }

    fn decide(&mut self, decision: Decision) {
        match self.decisions.last_mut().filter(|newest| newest.id == decision.id) {
            Some(newest) => *newest = decision,
            None => self.decisions.push(decision),
        }
    }
}

/// The samples of a metric that a new process is given.
fn recent(metric: &Name, samples: &BTreeMap<i64, Sample>) -> Option<(Name, Vec<Sample>)> {
    let from = samples.values().next_back()?.at - ADOPTED_SAMPLES;
    Some((metric.clone(), samples.values().filter(|sample| sample.at >= from).copied().collect()))
}

/// `record` as it comes out of a store.
fn stored<T: serde::Serialize + serde::de::DeserializeOwned>(record: &T) -> T {
    serde_json::from_str(&serde_json::to_string(record).expect("serialisable")).expect("readable")
}
