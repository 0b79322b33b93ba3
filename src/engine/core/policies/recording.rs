//! Writes what policies observed and decided without acting: together, once a second.

use super::super::{Core, Effect};
use crate::domain::{Alias, Timestamp};
use crate::store::Observations;

impl Core {
    /// Hands over what is to be written by `now`.
    pub(super) fn record_due(&mut self, now: Timestamp) {
        if self.standings.write_at.is_none_or(|at| now < at) {
            return;
        }
        self.standings.write_at = None;
        let resources = std::mem::take(&mut self.standings.unwritten);
        let observations: Vec<Observations> =
            resources.iter().filter_map(|resource| self.take_observations(resource)).collect();
        if !observations.is_empty() {
            self.effects.push(Effect::Record(observations));
        }
    }

    fn take_observations(&mut self, resource: &Alias) -> Option<Observations> {
        let epoch = self.lanes.epoch(resource)?;
        let in_force = self.standings.in_force_mut(resource)?;
        let unwritten = std::mem::take(&mut in_force.unwritten);
        let state = unwritten.state.then(|| in_force.stored_state());
        let decisions = in_force.decision.iter().filter(|_| unwritten.decision).cloned().collect();
        Some(Observations { resource: resource.clone(), epoch, samples: unwritten.samples, state, decisions })
    }
}
