//! Which adoption of each lane counts, as far as one process knows: only the owner of a lane commits about it.

use std::collections::HashMap;

use super::{Epoch, RecordChange, Unit, Which};
use crate::domain::Alias;

/// Which adoption of each lane counts.
#[derive(Default)]
pub(super) struct Epochs {
    current: HashMap<Alias, Epoch>,
    last: Epoch,
}

impl Epochs {
    /// A lane is adopted.
    pub fn begin(&mut self, resource: &Alias) -> Epoch {
        self.last += 1;
        self.adopted(resource, self.last);
        self.last
    }

    /// A lane is adopted, as of an epoch that another one numbers.
    pub fn adopted(&mut self, resource: &Alias, epoch: Epoch) {
        self.current.insert(resource.clone(), epoch);
    }

    /// The lanes have no owner until they are adopted.
    pub fn revoke(&mut self, which: &Which) {
        match which {
            Which::All => self.current.clear(),
            Which::These(resources) => {
                for resource in resources {
                    self.current.remove(resource);
                }
            }
        }
    }

    /// Whether `unit` comes from the owner of all its lanes, and they are all that it changes anything about. If not, they
    /// have no owner from now on.
    pub fn admit(&mut self, unit: &Unit) -> bool {
        let is_owned = unit.covers_policies() && unit.lanes.iter().all(|lane| self.owns(&lane.resource, lane.epoch));
        if !is_owned {
            self.evict(unit);
        }
        is_owned
    }

    /// Whether the lane of `resource` was not adopted again since `epoch`.
    pub fn owns(&self, resource: &Alias, epoch: Epoch) -> bool {
        self.current.get(resource) == Some(&epoch)
    }

    pub fn evict(&mut self, unit: &Unit) {
        for lane in &unit.lanes {
            if self.owns(&lane.resource, lane.epoch) {
                self.current.remove(&lane.resource);
            }
        }
    }

    /// `unit` is durable.
    pub fn release(&mut self, unit: &Unit) {
        for lane in unit.lanes.iter().filter(|lane| lane.record == RecordChange::Remove) {
            self.current.remove(&lane.resource);
        }
    }
}
