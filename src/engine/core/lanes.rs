//! All lanes by the name of their resource, and when each is to be woken.
//!
//! The timer of a lane must never differ from what the lane asked for at its last event: each event ends with
//! [`Lanes::set_timer`].
//!
//! Rejected: a hash map, because resources are listed and lanes forgotten in the order of their names, and because it keeps
//! the memory of its largest size.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::domain::{Alias, Lane, Timestamp};
use crate::store::Epoch;

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Lanes {
    slots: BTreeMap<Alias, Slot>,
    timers: BTreeSet<(Timestamp, Alias)>,
}

struct Slot {
    /// Boxed, since half of each node of the map is empty where lanes come in the order of their names, as they do at a start.
    lane: Box<Lane>,
    epoch: Epoch,
    /// What the timers have for it.
    timer: Option<Timestamp>,
}

impl Lanes {
    pub fn get(&self, resource: &Alias) -> Option<&Lane> {
        self.slots.get(resource).map(|slot| &*slot.lane)
    }

    pub fn get_mut(&mut self, resource: &Alias) -> Option<&mut Lane> {
        self.slots.get_mut(resource).map(|slot| &mut *slot.lane)
    }

    /// The adoption that gave the lane of `resource` to this process.
    pub fn epoch(&self, resource: &Alias) -> Option<Epoch> {
        self.slots.get(resource).map(|slot| slot.epoch)
    }

    /// Puts in the lane of a resource; it has no timer yet.
    pub fn insert(&mut self, lane: Lane, epoch: Epoch) {
        self.remove(lane.resource());
        self.slots.insert(lane.resource().clone(), Slot { lane: Box::new(lane), epoch, timer: None });
    }

    /// Takes out the lane of `resource`, with its timer.
    pub fn remove(&mut self, resource: &Alias) -> Option<Lane> {
        let Slot { lane, timer, .. } = self.slots.remove(resource)?;
        if let Some(at) = timer {
            self.timers.remove(&(at, resource.clone()));
        }
        Some(*lane)
    }

    /// All lanes, by name.
    pub fn all(&self) -> impl Iterator<Item = &Lane> {
        self.slots.values().map(|slot| &*slot.lane)
    }

    /// The names of the resources in this `range` of names that have lanes.
    pub fn names<'a>(&'a self, range: (Bound<&Alias>, Bound<&Alias>)) -> impl Iterator<Item = &'a Alias> {
        self.slots.range::<Alias, _>(range).map(|(resource, _)| resource)
    }

    /// Takes out the lanes that no later event needs, unless they are `kept`; their names and adoptions.
    pub fn forget(&mut self, now: Timestamp, kept: impl Fn(&Lane) -> bool) -> Vec<(Alias, Epoch)> {
        let forgettable = self.slots.iter().filter(|(_, slot)| slot.lane.is_forgettable(now) && !kept(&slot.lane));
        let forgettable: Vec<_> = forgettable.map(|(resource, slot)| (resource.clone(), slot.epoch)).collect();
        forgettable.iter().for_each(|(resource, _)| drop(self.remove(resource)));
        forgettable
    }

    /// Wakes the lane of `resource` when it asks for it now, instead of when it did before.
    pub fn set_timer(&mut self, resource: &Alias) {
        let Some(slot) = self.slots.get_mut(resource) else { return };
        let wanted = slot.lane.wake_at();
        if slot.timer == wanted {
            return;
        }
        if let Some(before) = std::mem::replace(&mut slot.timer, wanted) {
            self.timers.remove(&(before, resource.clone()));
        }
        if let Some(at) = wanted {
            self.timers.insert((at, resource.clone()));
        }
    }

    /// When the first lane is to be woken.
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// A lane that is to be woken by `now`, the one that waits longest; its timer is gone then.
    pub fn take_due(&mut self, now: Timestamp) -> Option<Alias> {
        self.next_wake().filter(|at| *at <= now)?;
        let (_, resource) = self.timers.pop_first()?;
        if let Some(slot) = self.slots.get_mut(&resource) {
            slot.timer = None;
        }
        Some(resource)
    }
}
