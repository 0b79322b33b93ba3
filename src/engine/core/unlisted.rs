//! Lanes of resources that the configuration does not list, and who made them: what keeps made-up aliases from growing
//! without a limit.
//!
//! Each alias that is scaled leaves a lane, in memory and in the store, until its last change is a day old and it has no
//! jobs. This must never refuse a job for a resource that has a lane already, and never count resources that are listed.
//!
//! Who made a lane is not stored: after a restart, a lane belongs to the submitter of its first unfinished job, and one
//! without jobs to no key. Rejected: a column for it, because what is left of a lane without jobs matters for a day,
//! and the limit for all keys together holds in any case.

use std::collections::HashMap;

use super::super::requests::Refusal;
use crate::domain::{Alias, KeyId};

/// Most resources that are not listed. A deployment has dozens of services; an operator with more than a thousand can
/// list them. The limit keeps what all of them cost together, from a start to a scrape of the metrics, within
/// milliseconds.
pub(super) const MAX_UNLISTED: usize = 1000;
/// Most of them made with one API key: a fifth, so that one program that makes up names leaves room for the others.
pub(super) const MAX_UNLISTED_OF_KEY: usize = 200;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct UnlistedLanes {
    /// By the name of its resource, the key that made the lane.
    made_with: HashMap<Alias, Option<KeyId>>,
    of_key: HashMap<KeyId, usize>,
}

impl UnlistedLanes {
    /// Whether `resource` has a lane or there is room for one more, made with `key`.
    ///
    /// # Errors
    /// Which limit is reached.
    pub fn admit(&self, resource: &Alias, key: Option<&KeyId>) -> Result<(), Refusal> {
        self.admit_all(std::iter::once(resource), key)
    }

    /// The same for several resources at once.
    ///
    /// # Errors
    /// Which limit is reached.
    pub fn admit_all<'a>(
        &self,
        resources: impl Iterator<Item = &'a Alias>,
        key: Option<&KeyId>,
    ) -> Result<(), Refusal> {
        let new = resources.filter(|resource| !self.made_with.contains_key(*resource)).count();
        if new == 0 {
            return Ok(());
        }
        if self.made_with.len() + new > MAX_UNLISTED {
            return Err(Refusal::TooManyResources { limit: MAX_UNLISTED });
        }
        let of_key = key.and_then(|key| self.of_key.get(key)).copied().unwrap_or(0);
        if key.is_some() && of_key + new > MAX_UNLISTED_OF_KEY {
            return Err(Refusal::TooManyResourcesOfKey { limit: MAX_UNLISTED_OF_KEY });
        }
        Ok(())
    }

    /// Counts in the lane of `resource`, made with `key`, if it is not counted in yet.
    pub fn add(&mut self, resource: &Alias, key: Option<&KeyId>) {
        if self.made_with.contains_key(resource) {
            return;
        }
        if let Some(key) = key {
            *self.of_key.entry(key.clone()).or_default() += 1;
        }
        self.made_with.insert(resource.clone(), key.cloned());
    }

    /// Counts out the lane of `resource`, if it was counted in.
    pub fn remove(&mut self, resource: &Alias) {
        let Some(Some(key)) = self.made_with.remove(resource) else { return };
        if let Some(lanes) = self.of_key.get_mut(&key) {
            *lanes -= 1;
            if *lanes == 0 {
                self.of_key.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(number: usize) -> Alias {
        format!("r{number}").parse().expect("an alias")
    }

    fn key(number: usize) -> KeyId {
        format!("{number:010}").parse().expect("an id")
    }

    #[test]
    fn one_key_leaves_room_for_others_and_all_are_bounded() {
        let (mut lanes, new) = (UnlistedLanes::default(), named(MAX_UNLISTED));
        for number in 0..MAX_UNLISTED_OF_KEY {
            assert_eq!(lanes.admit(&new, Some(&key(1))), Ok(()));
            lanes.add(&named(number), Some(&key(1)));
            lanes.add(&named(number), Some(&key(1)));
        }
        let full = Err(Refusal::TooManyResourcesOfKey { limit: MAX_UNLISTED_OF_KEY });
        assert_eq!(
            (lanes.admit(&new, Some(&key(1))), lanes.admit(&new, Some(&key(2))), lanes.admit(&new, None)),
            (full, Ok(()), Ok(()))
        );
        assert_eq!(lanes.admit(&named(0), Some(&key(1))), Ok(()), "it has a lane");
        lanes.remove(&named(0));
        lanes.remove(&named(0));
        assert_eq!(lanes.admit(&new, Some(&key(1))), Ok(()));
        lanes.add(&named(0), None);
        assert_eq!(lanes.admit(&new, Some(&key(1))), Ok(()), "it was not made with the key");
        for number in MAX_UNLISTED_OF_KEY..MAX_UNLISTED {
            lanes.add(&named(number), None);
        }
        let full = Err(Refusal::TooManyResources { limit: MAX_UNLISTED });
        assert_eq!((lanes.admit(&new, Some(&key(2))), lanes.admit(&new, None)), (full.clone(), full));
    }
}
