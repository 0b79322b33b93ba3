//! Units on their way to the disk, and what waits for them.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::Effect;
use crate::domain::{Alias, Group, Job, JobId};
use crate::store::{RecordChange, Unit};

/// The units that were handed over, in order; their results come in the same order.
#[derive(Default)]
pub(super) struct PendingUnits(VecDeque<PendingUnit>);

/// See the module's documentation.
pub(super) struct PendingUnit {
    /// The lanes that it is about, but those that it releases: no later unit can be about them.
    pub lanes: Vec<Alias>,
    /// The jobs that are shown once it is durable.
    pub jobs: Vec<Arc<Job>>,
    /// The groups in it.
    pub groups: Vec<Arc<Group>>,
    /// What is done after that.
    pub effects: Vec<Effect>,
    /// The lanes whose intents are in it.
    pub intents_of: Vec<Alias>,
    /// Whether one of its lanes was evicted since: it cannot become durable any more.
    pub is_evicted: bool,
}

impl PendingUnits {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn push(&mut self, unit: &Unit, effects: Vec<Effect>, intents_of: Vec<Alias>) {
        let kept = unit.lanes.iter().filter(|lane| lane.record != RecordChange::Remove);
        let lanes = kept.map(|lane| lane.resource.clone()).collect();
        let (jobs, groups) = (unit.jobs.clone(), unit.groups.clone());
        self.0.push_back(PendingUnit { lanes, jobs, groups, effects, intents_of, is_evicted: false });
    }

    /// Takes out the oldest one.
    pub fn pop(&mut self) -> Option<PendingUnit> {
        self.0.pop_front()
    }

    /// What waits for the last one about `resource`.
    pub fn last_about(&mut self, resource: &Alias) -> Option<&mut Vec<Effect>> {
        let is_about = |unit: &&mut PendingUnit| unit.lanes.contains(resource);
        self.0.iter_mut().rev().find(is_about).map(|unit| &mut unit.effects)
    }

    /// The lanes that units on their way are about.
    pub fn lanes(&self) -> BTreeSet<&Alias> {
        self.0.iter().flat_map(|unit| &unit.lanes).collect()
    }

    /// Notes of all units about `resource` that they will be refused.
    pub fn evict(&mut self, resource: &Alias) -> Dependents {
        let mut dependents = Dependents::default();
        for unit in self.0.iter_mut().filter(|unit| unit.lanes.contains(resource)) {
            unit.is_evicted = true;
            dependents.jobs.extend(unit.jobs.iter().map(|job| job.id));
            dependents.lanes.extend(unit.lanes.iter().filter(|lane| *lane != resource).cloned());
        }
        dependents
    }
}

/// What depends on units that will be refused.
#[derive(Default)]
pub(super) struct Dependents {
    /// The jobs in them.
    pub jobs: Vec<JobId>,
    /// The other lanes that they are about.
    pub lanes: Vec<Alias>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::LaneChange;

    #[test]
    fn lanes_that_share_a_unit_depend_on_each_other() {
        let lane =
            |name: &str| LaneChange { resource: name.parse().expect("an alias"), epoch: 1, record: RecordChange::Keep };
        let mut pending = PendingUnits::default();
        for names in [&["a", "b"][..], &["b"], &["c"]] {
            let unit = Unit { lanes: names.iter().map(|name| lane(name)).collect(), ..Unit::default() };
            pending.push(&unit, Vec::new(), Vec::new());
        }
        let Dependents { lanes, .. } = pending.evict(&lane("a").resource);
        assert_eq!(lanes, [lane("b").resource]);
        let evicted: Vec<bool> = pending.0.iter().map(|unit| unit.is_evicted).collect();
        assert_eq!(evicted, [true, false, false], "those of b are evicted with b");
    }
}
