//! Writes what policies observed and decided without acting: together, once a second, and never two batches at a time. While
//! the store is busy with one, what comes meanwhile becomes the next.
//!
//! What waits must never grow without end: while a store is stuck, the oldest samples and decisions are lost. Rejected: a batch each
//! second without waiting for the one before, because batches would pile up before a slow disk.

use std::collections::BTreeSet;

use super::super::{Core, Effect};
use super::InForce;
use crate::domain::policy::{Decision, Name, Sample};
use crate::domain::{Alias, Timestamp};
use crate::store::Observations;

/// Most samples of a policy that wait to be written: ten minutes of sixteen metrics that have one a second.
const MAX_SAMPLES: usize = 10_000;
/// Most decisions of a policy that wait to be written.
const MAX_DECISIONS: usize = 100;

/// What is to be written with the next observations.
#[derive(Default)]
pub(super) struct Unwritten {
    pub samples: Vec<(Name, Sample)>,
    /// The metrics whose predictions are to be written, or taken away if there is none.
    pub predictions: BTreeSet<Name>,
    pub state: bool,
    /// Whether the last decision is to be written.
    pub decision: bool,
    /// The decisions before the last one that are.
    pub earlier_decisions: Vec<Decision>,
}

impl Unwritten {
    pub fn add_sample(&mut self, name: &Name, sample: Sample) {
        if self.samples.len() >= MAX_SAMPLES {
            self.samples.drain(..MAX_SAMPLES / 2);
        }
        self.samples.push((name.clone(), sample));
    }
}

impl InForce {
    /// Notes `decision` as the last one. Equal ones that follow each other are one.
    pub(super) fn take_decision(&mut self, decision: Decision) {
        let unwritten = &mut self.unwritten;
        match &mut self.decision {
            Some(last) if last.is_like(&decision) => last.absorb(decision),
            last => {
                let before = last.replace(decision).filter(|_| unwritten.decision);
                if unwritten.earlier_decisions.len() >= MAX_DECISIONS {
                    unwritten.earlier_decisions.remove(0);
                }
                unwritten.earlier_decisions.extend(before);
            }
        }
        unwritten.decision = true;
    }

    /// Takes the decisions that are to be written, oldest first: from now on they count as written.
    pub(super) fn take_unwritten_decisions(&mut self) -> Vec<Decision> {
        let earlier = std::mem::take(&mut self.unwritten.earlier_decisions);
        let is_unwritten = std::mem::take(&mut self.unwritten.decision);
        earlier.into_iter().chain(self.decision.clone().filter(|_| is_unwritten)).collect()
    }
}

impl Core {
    /// The last [`Effect::Record`] is written, or lost.
    pub fn on_recorded(&mut self) {
        self.standings.is_recording = false;
    }

    /// Whether all that was observed and decided is written, or lost.
    pub fn is_recorded(&self) -> bool {
        self.standings.write_at.is_none() && !self.standings.is_recording
    }

    /// Hands over what is to be written by `now`.
    pub(super) fn record_due(&mut self, now: Timestamp) {
        if self.standings.writes_at().is_none_or(|at| now < at) {
            return;
        }
        self.standings.write_at = None;
        let resources = std::mem::take(&mut self.standings.unwritten);
        let observations: Vec<Observations> =
            resources.iter().filter_map(|resource| self.take_observations(resource)).collect();
        if !observations.is_empty() {
            self.standings.is_recording = true;
            self.effects.push(Effect::Record(observations));
        }
    }

    fn take_observations(&mut self, resource: &Alias) -> Option<Observations> {
        let epoch = self.lanes.epoch(resource)?;
        let in_force = self.standings.in_force_mut(resource)?;
        let decisions = in_force.take_unwritten_decisions();
        let samples = std::mem::take(&mut in_force.unwritten.samples);
        let predictions = in_force.take_unwritten_predictions();
        let state = std::mem::take(&mut in_force.unwritten.state).then(|| in_force.stored_state());
        Some(Observations { resource: resource.clone(), epoch, samples, predictions, state, decisions })
    }
}
