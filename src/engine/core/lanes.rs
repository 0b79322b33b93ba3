//! All lanes, by name and by number, in partitions.
//!
//! A start puts the partitions together side by side, each of them small enough to stay near a processor meanwhile. One large
//! map lost: a start with a million lanes spent nearly all of its time on fetching the map's memory, on one core. And timers
//! have numbers instead of names: to tell which of two names comes first, both have to be fetched.

use std::hash::{BuildHasher as _, DefaultHasher, Hash as _, Hasher as _, RandomState};

use hashbrown::HashTable;
use slab::Slab;

use crate::domain::{Alias, Lane, Timestamp};

/// With a million lanes, each partition has some thousands, in some hundred kilobytes.
pub(super) const PARTITIONS: usize = 256;
const _: () = assert!(PARTITIONS.is_power_of_two() && PARTITIONS > 1, "the first bits of a hash say which it is");

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

/// The hash of a lane's name. A start computes it once for each name, and fetches the name again only to compare it. The same in
/// each process: what happens at the same time happens in the same order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NameHash(pub(super) u64);

impl NameHash {
    pub fn of(resource: &Alias) -> Self {
        let mut hasher = DefaultHasher::new();
        resource.hash(&mut hasher);
        Self(hasher.finish())
    }

    /// In which partition the lane belongs; in the order of the hashes. Whoever chooses names so that they all belong in the same
    /// one gets what everybody would get without partitions.
    pub const fn place(self) -> usize {
        // Less than that many, whatever it is.
        (self.0 >> (u64::BITS - PARTITIONS.ilog2())) as usize
    }
}

/// Where a lane is in its partition.
struct Entry {
    hash: NameHash,
    index: usize,
}

/// Some of the lanes: those whose names belong at its place.
pub(super) struct Partition {
    place: usize,
    /// Whoever chooses names cannot tell which of them get in each other's way.
    seed: RandomState,
    entries: HashTable<Entry>,
    slots: Slab<LaneSlot>,
}

impl Partition {
    /// An empty one for `place`, with room for so many `lanes`.
    pub fn with_capacity(place: usize, lanes: usize) -> Self {
        let (entries, slots) = (HashTable::with_capacity(lanes), Slab::with_capacity(lanes));
        Self { place, seed: RandomState::new(), entries, slots }
    }

    /// Puts in a lane that is not there yet and belongs here; `hash` is that of its name.
    pub fn insert(&mut self, hash: NameHash, lane: Lane, timer: Option<Timestamp>) -> LaneNumber {
        let index = self.slots.insert(LaneSlot { lane, timer });
        let seeded = |entry: &Entry| self.seed.hash_one(entry.hash.0);
        let entry = Entry { hash, index };
        self.entries.insert_unique(seeded(&entry), entry, seeded);
        LaneNumber::new(self.place, index)
    }

    fn find(&self, hash: NameHash, resource: &Alias) -> Option<usize> {
        let is_it = |entry: &Entry| entry.hash == hash && self.is_at(entry.index, resource);
        self.entries.find(self.seed.hash_one(hash.0), is_it).map(|entry| entry.index)
    }

    fn is_at(&self, index: usize, resource: &Alias) -> bool {
        self.slots.get(index).is_some_and(|slot| slot.lane.resource() == resource)
    }

    fn remove(&mut self, hash: NameHash, resource: &Alias) {
        if let Some(found) = self.find(hash, resource)
            && let Ok(entry) = self.entries.find_entry(self.seed.hash_one(hash.0), |entry| entry.index == found)
        {
            entry.remove();
            self.slots.remove(found);
        }
        // Neither of them gives back memory by itself.
        if self.slots.is_empty() {
            *self = Self::with_capacity(self.place, 0);
        }
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
    pub fn find(&self, resource: &Alias) -> Option<LaneNumber> {
        let hash = NameHash::of(resource);
        let partition = &self.0[hash.place()];
        partition.find(hash, resource).map(|index| LaneNumber::new(partition.place, index))
    }

    pub fn get(&self, number: LaneNumber) -> Option<&LaneSlot> {
        self.0[number.place()].slots.get(number.index())
    }

    pub fn get_mut(&mut self, number: LaneNumber) -> Option<&mut LaneSlot> {
        self.0[number.place()].slots.get_mut(number.index())
    }

    /// Puts in the lane of a resource that has none.
    pub fn insert(&mut self, lane: Lane) {
        let hash = NameHash::of(lane.resource());
        self.0[hash.place()].insert(hash, lane, None);
    }

    pub fn remove(&mut self, resource: &Alias) {
        let hash = NameHash::of(resource);
        self.0[hash.place()].remove(hash, resource);
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
            lanes.insert(Lane::new(named(number)));
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
        lanes.insert(Lane::new(named(0)));
        assert_eq!(lanes.all().filter(|lane| *lane.resource() == named(0)).count(), 1);
    }

    #[test]
    fn names_with_the_same_hash_are_told_apart() {
        let mut partition = Partition::with_capacity(0, 0);
        for number in 0..3 {
            partition.insert(NameHash(7), Lane::new(named(number)), None);
        }
        for number in 0..3 {
            let found = partition.find(NameHash(7), &named(number)).and_then(|index| partition.slots.get(index));
            assert_eq!(found.map(|slot| slot.lane.resource()), Some(&named(number)));
        }
        assert!(partition.find(NameHash(7), &named(3)).is_none() && partition.find(NameHash(8), &named(0)).is_none());
        partition.remove(NameHash(7), &named(1));
        partition.remove(NameHash(7), &named(3));
        let left = (0..3).filter(|number| partition.find(NameHash(7), &named(*number)).is_some());
        assert_eq!(left.collect::<Vec<_>>(), [0, 2]);
        assert_eq!(partition.slots.len(), 2);
    }
}
