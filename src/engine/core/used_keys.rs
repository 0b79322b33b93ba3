//! The idempotency keys that were used lately.
//!
//! The answers are in the store; here is only what tells a repetition from another request with the same key. Their number is
//! limited, and no resource or API key can use up all of them.

use std::collections::HashMap;

use super::super::requests::{Refusal, SubmitKey};
use crate::domain::{Alias, KeyId, Timestamp};
use crate::store::{KEY_RETENTION, UsedKey};

/// Most idempotency keys remembered at a time, about 20 MB. At one submission a second a day's worth of keys.
const MOST: usize = 100_000;
/// Most of them for one resource or with one API key, so that whoever sends a new one with every request does not use up
/// all.
const MOST_PER_SHARE: usize = MOST / 2;

/// See the module's documentation.
#[derive(Default)]
pub(super) struct UsedKeys {
    entries: HashMap<String, Entry>,
    /// How many of them are counted in each share.
    shares: HashMap<Share, usize>,
}

struct Entry {
    resource: Alias,
    fingerprint: [u8; 32],
    answered_at: Timestamp,
}

/// What can use up only a part of all keys.
#[derive(PartialEq, Eq, Hash)]
enum Share {
    Resource(Alias),
    Owner(KeyId),
}

impl Share {
    /// The shares that `key`, used for `resource`, is counted in.
    fn of(key: &str, resource: &Alias) -> impl Iterator<Item = Self> {
        std::iter::once(Self::Resource(resource.clone())).chain(SubmitKey::owner(key).map(Self::Owner))
    }
}

impl UsedKeys {
    /// The fingerprint of the request that `key` was used for.
    pub fn fingerprint(&self, key: &str) -> Option<&[u8; 32]> {
        self.entries.get(key).map(|entry| &entry.fingerprint)
    }

    /// Whether there is room for another key.
    pub fn admit(&self, key: &str, resource: &Alias) -> Result<(), Refusal> {
        if self.entries.len() >= MOST {
            return Err(Refusal::TooManyKeys { limit: MOST });
        }
        let used = |share| self.shares.get(&share).copied().unwrap_or(0);
        if Share::of(key, resource).any(|share| used(share) >= MOST_PER_SHARE) {
            return Err(Refusal::TooManyKeys { limit: MOST_PER_SHARE });
        }
        Ok(())
    }

    pub fn insert(&mut self, UsedKey { key, resource, fingerprint, answered_at }: UsedKey) {
        for share in Share::of(&key, &resource) {
            *self.shares.entry(share).or_default() += 1;
        }
        self.entries.insert(key, Entry { resource, fingerprint, answered_at });
    }

    /// Forgets those whose answer is no longer kept.
    pub fn forget(&mut self, now: Timestamp) {
        let shares = &mut self.shares;
        self.entries.retain(|key, entry| {
            if now < entry.answered_at + KEY_RETENTION {
                return true;
            }
            for share in Share::of(key, &entry.resource) {
                if let Some(count) = shares.get_mut(&share) {
                    *count -= 1;
                }
            }
            false
        });
        shares.retain(|_, count| *count > 0);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn use_key(keys: &mut UsedKeys, resource: &str, number: usize, now: Timestamp) -> Result<(), Refusal> {
        let (key, resource) = (format!("{resource}-{number}"), resource.parse().expect("an alias"));
        keys.admit(&key, &resource)?;
        keys.insert(UsedKey { key, resource, fingerprint: [0; 32], answered_at: now });
        Ok(())
    }

    #[test]
    fn a_storm_of_keys_for_one_resource_leaves_room_for_others() {
        let mut keys = UsedKeys::default();
        for number in 0..MOST_PER_SHARE {
            assert_eq!(use_key(&mut keys, "noisy", number, NOW), Ok(()));
        }
        let refused = use_key(&mut keys, "noisy", usize::MAX, NOW);
        assert_eq!(refused, Err(Refusal::TooManyKeys { limit: MOST_PER_SHARE }));
        assert_eq!(use_key(&mut keys, "quiet", 0, NOW), Ok(()));
        for number in 0..MOST_PER_SHARE - 1 {
            assert_eq!(use_key(&mut keys, &format!("other-{}", number % 2), number, NOW), Ok(()));
        }
        assert_eq!(use_key(&mut keys, "late", 0, NOW), Err(Refusal::TooManyKeys { limit: MOST }));
    }

    #[test]
    fn a_key_is_remembered_as_long_as_its_answer_is_kept() {
        let mut keys = UsedKeys::default();
        use_key(&mut keys, "worker", 0, NOW).expect("room");
        let later = NOW + KEY_RETENTION;
        keys.forget(later - Duration::from_millis(1));
        assert_eq!(keys.fingerprint("worker-0"), Some(&[0; 32]));
        keys.forget(later);
        assert_eq!(keys.fingerprint("worker-0"), None);
        assert!(keys.shares.is_empty());
    }
}
