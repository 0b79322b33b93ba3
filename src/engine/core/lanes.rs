//! All lanes, by name and by number, in partitions.
//!
//! A start puts the partitions together side by side, each of them small enough to stay near a processor meanwhile. One large
//! map lost: a start with a million lanes spent nearly all of its time on fetching the map's memory, on one core. And timers
//! have numbers instead of names: to tell which of two names comes first, both have to be fetched.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use slab::Slab;

use crate::domain::{Alias, Lane, Timestamp};

/// With a million lanes, each partition has some thousands, in some hundred kilobytes.
pub(super) const PARTITIONS: usize = 256;

/// A lane, and when it is to be woken.
pub(super) struct LaneSlot {
    pub lane: Lane,
    /// What the timers say.
    pub timer: Option<Timestamp>,
}

/// Where a lane is for as long as it is there; another one may be there later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LaneNumber(usize);

impl LaneNumber {
    const fn new(place: usize, index: usize) -> Self {
        Self(index * PARTITIONS + place)
    }

    const fn place(self) -> usize {
        self.0 % PARTITIONS
    }

    const fn index(self) -> usize {
        self.0 / PARTITIONS
    }
}

/// Some of the lanes: those whose names belong at its place.
pub(super) struct Partition {
    place: usize,
    numbers: HashMap<Alias, LaneNumber>,
    slots: Slab<LaneSlot>,
}

impl Partition {
    /// An empty one for `place`, with room for so many `lanes`.
    pub fn with_capacity(place: usize, lanes: usize) -> Self {
        Self { place, numbers: HashMap::with_capacity(lanes), slots: Slab::with_capacity(lanes) }
    }

    /// Puts in a lane that is not there yet and belongs here.
    pub fn insert(&mut self, lane: Lane, timer: Option<Timestamp>) -> LaneNumber {
        let resource = lane.resource().clone();
        let number = LaneNumber::new(self.place, self.slots.insert(LaneSlot { lane, timer }));
        self.numbers.insert(resource, number);
        number
    }
}

/// See the module's documentation.
pub(super) struct Lanes(Vec<Partition>);

impl Default for Lanes {
    fn default() -> Self {
        (0..PARTITIONS).map(|place| Partition::with_capacity(place, 0)).collect()
    }
}

impl FromIterator<Partition> for Lanes {
    /// Of all partitions, in the order of their places.
    fn from_iter<T: IntoIterator<Item = Partition>>(partitions: T) -> Self {
        Self(partitions.into_iter().collect())
    }
}

impl Lanes {
    /// In which partition `resource` belongs. Whoever chooses names so that they all belong in the same one gets what
    /// everybody would get without partitions.
    pub fn place_of(resource: &Alias) -> usize {
        let mut hasher = DefaultHasher::new();
        resource.hash(&mut hasher);
        // Less than that many, whatever it is.
        (hasher.finish() % PARTITIONS as u64) as usize
    }

    pub fn find(&self, resource: &Alias) -> Option<LaneNumber> {
        self.0[Self::place_of(resource)].numbers.get(resource).copied()
    }

    pub fn get(&self, number: LaneNumber) -> Option<&LaneSlot> {
        self.0[number.place()].slots.get(number.index())
    }

    pub fn get_mut(&mut self, number: LaneNumber) -> Option<&mut LaneSlot> {
        self.0[number.place()].slots.get_mut(number.index())
    }

    /// Puts in a lane that was never scaled, unless there is one.
    pub fn ensure(&mut self, resource: &Alias) {
        let partition = &mut self.0[Self::place_of(resource)];
        if !partition.numbers.contains_key(resource) {
            partition.insert(Lane::new(resource.clone()), None);
        }
    }

    pub fn remove(&mut self, resource: &Alias) {
        let partition = &mut self.0[Self::place_of(resource)];
        if let Some(number) = partition.numbers.remove(resource) {
            partition.slots.try_remove(number.index());
        }
        // Neither of them gives back memory by itself.
        if partition.slots.is_empty() {
            *partition = Partition::with_capacity(partition.place, 0);
        }
    }

    /// In no particular order.
    pub fn all(&self) -> impl Iterator<Item = &Lane> {
        self.0.iter().flat_map(|partition| &partition.slots).map(|(_, slot)| &slot.lane)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(number: usize) -> Alias {
        format!("resource-{number}").parse().expect("an alias")
    }

    #[test]
    fn each_is_found_by_name_and_by_number_until_it_is_removed() {
        let mut lanes = Lanes::default();
        for number in 0..3 * PARTITIONS {
            lanes.ensure(&named(number));
            lanes.ensure(&named(number / 2));
        }
        assert_eq!(lanes.all().count(), 3 * PARTITIONS);
        for number in (0..3 * PARTITIONS).step_by(3) {
            lanes.remove(&named(number));
            lanes.remove(&named(number));
        }
        for number in 0..3 * PARTITIONS {
            let found = lanes.find(&named(number));
            assert_eq!(found.is_some(), number % 3 != 0);
            let slot = found.and_then(|number| lanes.get(number));
            assert_eq!(slot.map(|slot| slot.lane.resource()), found.map(|_| named(number)).as_ref());
        }
        assert_eq!(lanes.all().count(), 2 * PARTITIONS);
        // The place of one that is gone is given to another.
        lanes.ensure(&named(0));
        assert_eq!(lanes.all().filter(|lane| *lane.resource() == named(0)).count(), 1);
    }
}
