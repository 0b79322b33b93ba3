//! The keys there are, as requests are compared with them.
//!
//! All keys are in memory, because each request needs one of them; the store is asked only when another process has changed
//! them, which shows in a state that every request asks for. Rejected: reading the store for each request, because it takes
//! ten times as long; and a pause between two looks, because a key that was revoked would go on working for that long.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use subtle::ConstantTimeEq as _;
use tokio::sync::Mutex;

use super::token::{InvalidToken, Token};
use crate::domain::{KeyId, KeyRecord, Reach, Scope, Timestamp};
use crate::store::{KeysState, StoreError, StoreReader};

/// How much newer the last use of a key must be than the one on the disk to be written there: whether a key is still
/// needed is asked in days.
const USE_GRAIN: Duration = Duration::from_mins(10);
/// The name of the key that the configuration gives.
const CONFIGURED_NAME: &str = "configured";

/// Why a key is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// It is not of the form of a key.
    Invalid(InvalidToken),
    /// There is no such key.
    Unknown,
    /// It was revoked.
    Revoked(Arc<KeyRecord>),
    /// Its time is over.
    Expired(Arc<KeyRecord>),
}

/// What there was of the revocation of a key before it was asked for again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PriorRevocation {
    /// Nothing.
    None,
    /// It holds and is on its way to the disk.
    Pending,
    /// It is on the disk, or there is no such key.
    Durable,
}

struct Entry {
    record: Arc<KeyRecord>,
    /// The last use that is on the disk or on its way there, in milliseconds; at first `i64::MIN`.
    used_at: AtomicI64,
}

#[derive(Default)]
struct Keys {
    by_id: HashMap<KeyId, Entry>,
    /// Whether there was ever one. Stays so when all of them are gone.
    had_any: bool,
    /// The state that they were in when they were read; `None` if they have to be read again in any case.
    state: Option<KeysState>,
    /// How often it was said that they have to be: what was read before the last time must not take their place.
    invalidations: u64,
    /// Revocations that may not be on the disk yet, with their times. They hold whatever the store says. At most one for each key.
    pending: BTreeMap<KeyId, Timestamp>,
}

/// See the module's documentation.
pub struct Keyring {
    keys: RwLock<Keys>,
    configured: Option<KeyRecord>,
    reader: Arc<dyn StoreReader>,
    /// Held while the store is read, so that many requests at once read it once.
    reloading: Mutex<()>,
}

impl Keyring {
    /// The keys that `reader` finds, and the one that the configuration gives, if any.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn open(reader: Arc<dyn StoreReader>, configured: Option<KeyRecord>) -> Result<Self, StoreError> {
        let keyring = Self { keys: RwLock::default(), configured, reader, reloading: Mutex::default() };
        keyring.reload().await?;
        Ok(keyring)
    }

    /// The key with the secret form `text`, if it is good at `now`; and whether its use is to be written down.
    ///
    /// # Errors
    /// If the store cannot be read although another process has changed the keys: any of them may be revoked.
    pub async fn check(
        &self,
        text: &str,
        now: Timestamp,
    ) -> Result<Result<(Arc<KeyRecord>, bool), KeyError>, StoreError> {
        let token: Token = match text.parse() {
            Ok(token) => token,
            Err(invalid) => return Ok(Err(KeyError::Invalid(invalid))),
        };
        let hash = token.hash();
        self.refresh().await?;
        let keys = self.read();
        let Some(entry) = keys.by_id.get(token.id()) else { return Ok(Err(KeyError::Unknown)) };
        let record = &entry.record;
        if !bool::from(record.hash.ct_eq(&hash)) {
            return Ok(Err(KeyError::Unknown));
        }
        Ok(usable(record, now).map(|()| (Arc::clone(record), entry.use_is_news(now))))
    }

    /// Whether the key `id`, which was accepted before, is still good at `now`.
    ///
    /// # Errors
    /// As for [`Keyring::check`].
    pub async fn recheck(&self, id: &KeyId, now: Timestamp) -> Result<Result<(), KeyError>, StoreError> {
        self.refresh().await?;
        let keys = self.read();
        Ok(keys.by_id.get(id).map_or(Err(KeyError::Unknown), |entry| usable(&entry.record, now)))
    }

    /// All keys, oldest first, the one of the configuration before all others. The last use is as of the disk.
    ///
    /// # Errors
    /// If the store cannot be read although another process has changed the keys.
    pub async fn list(&self) -> Result<Vec<Arc<KeyRecord>>, StoreError> {
        self.refresh().await?;
        let keys = self.read();
        let mut records: Vec<_> = keys.by_id.values().map(Entry::shown).collect();
        drop(keys);
        records.sort_by_key(|record| (!self.is_configured(&record.id), record.created_at, record.id.clone()));
        Ok(records)
    }

    /// The key with this id.
    ///
    /// # Errors
    /// As for [`Keyring::list`].
    pub async fn get(&self, id: &KeyId) -> Result<Option<Arc<KeyRecord>>, StoreError> {
        self.refresh().await?;
        Ok(self.read().by_id.get(id).map(Entry::shown))
    }

    /// Whether this is the key of the configuration, which only the configuration can take away.
    pub fn is_configured(&self, id: &KeyId) -> bool {
        self.configured.as_ref().is_some_and(|configured| configured.id == *id)
    }

    /// Whether there are any keys, or ever were: an operator who has made one does not want requests without, also when all
    /// keys are gone from the store.
    ///
    /// # Errors
    /// As for [`Keyring::list`].
    pub async fn has_any(&self) -> Result<bool, StoreError> {
        self.refresh().await?;
        Ok(self.read().had_any)
    }

    /// Whether any key can be used at `now`.
    ///
    /// # Errors
    /// As for [`Keyring::list`].
    pub async fn has_usable(&self, now: Timestamp) -> Result<bool, StoreError> {
        self.refresh().await?;
        Ok(self.read().by_id.values().any(|entry| entry.record.is_usable(now)))
    }

    /// Refuses the key `id` from now on, as revoked at `at`, although that is not on the disk yet. [`Keyring::revocation_written`]
    /// must follow once it is.
    ///
    /// # Errors
    /// As for [`Keyring::list`].
    pub async fn revoke(&self, id: &KeyId, at: Timestamp) -> Result<PriorRevocation, StoreError> {
        // So that a revocation by another process is not made a second time.
        self.refresh().await?;
        let mut keys = self.write();
        let Keys { by_id, pending, .. } = &mut *keys;
        if pending.contains_key(id) {
            return Ok(PriorRevocation::Pending);
        }
        let Some(entry) = by_id.get_mut(id).filter(|entry| entry.record.revoked_at.is_none()) else {
            return Ok(PriorRevocation::Durable);
        };
        pending.insert(id.clone(), at);
        Arc::make_mut(&mut entry.record).revoked_at = Some(at);
        Ok(PriorRevocation::None)
    }

    /// The revocation of the key `id` is on the disk.
    pub fn revocation_written(&self, id: &KeyId) {
        let mut keys = self.write();
        keys.pending.remove(id);
        keys.invalidate();
    }

    /// The keys on the disk have changed: they are read again before the next request is answered.
    pub fn changed(&self) {
        self.write().invalidate();
    }

    fn read(&self) -> RwLockReadGuard<'_, Keys> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Keys> {
        self.keys.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees to it that the keys are those of now, also if another process has changed them.
    async fn refresh(&self) -> Result<(), StoreError> {
        if self.is_current() { Ok(()) } else { self.reload().await }
    }

    fn is_current(&self) -> bool {
        let state = self.reader.keys_state();
        state.is_some() && state == self.read().state
    }

    async fn reload(&self) -> Result<(), StoreError> {
        let _alone = self.reloading.lock().await;
        // Another request may have read them meanwhile.
        while !self.is_current() {
            // Asked for first: what changes after that is read again.
            let (state, invalidations) = (self.reader.keys_state(), self.read().invalidations);
            let records = self.reader.keys().await?;
            let had_any = !records.is_empty() || self.configured.is_some() || self.reader.ever_had_key().await?;
            let mut keys = self.write();
            if keys.invalidations == invalidations {
                keys.replace(records.into_iter().chain(self.configured.clone()), had_any);
                keys.state = state;
                return Ok(());
            }
        }
        Ok(())
    }
}

impl Keys {
    fn invalidate(&mut self) {
        self.state = None;
        self.invalidations += 1;
    }

    /// Puts `records` in place of the keys so far. What is on its way to the disk is kept.
    fn replace(&mut self, records: impl Iterator<Item = KeyRecord>, had_any: bool) {
        let used = |id: &KeyId| self.by_id.get(id).map_or(i64::MIN, |entry| entry.used_at.load(Ordering::Relaxed));
        let entries = records.map(|mut record| {
            record.revoked_at = record.revoked_at.or_else(|| self.pending.get(&record.id).copied());
            let entry = Entry::new(record);
            entry.used_at.fetch_max(used(&entry.record.id), Ordering::Relaxed);
            (entry.record.id.clone(), entry)
        });
        self.by_id = entries.collect();
        self.had_any |= had_any;
    }
}

fn usable(record: &Arc<KeyRecord>, now: Timestamp) -> Result<(), KeyError> {
    match record {
        _ if record.is_usable(now) => Ok(()),
        record if record.revoked_at.is_some() => Err(KeyError::Revoked(Arc::clone(record))),
        record => Err(KeyError::Expired(Arc::clone(record))),
    }
}

impl Entry {
    fn new(record: KeyRecord) -> Self {
        let used_at = record.last_used_at.map_or(i64::MIN, Timestamp::as_millis);
        Self { record: Arc::new(record), used_at: AtomicI64::new(used_at) }
    }

    /// Notes a use; whether it is so much newer than the last one noted that it should be written down.
    fn use_is_news(&self, now: Timestamp) -> bool {
        let (noted, now) = (self.used_at.load(Ordering::Relaxed), now.as_millis());
        let grain = USE_GRAIN.as_millis() as i64;
        // Only one of several requests at once finds it so.
        now.saturating_sub(noted) >= grain
            && self.used_at.compare_exchange(noted, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    fn shown(&self) -> Arc<KeyRecord> {
        match self.used_at.load(Ordering::Relaxed) {
            i64::MIN => Arc::clone(&self.record),
            used_at => Arc::new(KeyRecord {
                last_used_at: Some(Timestamp::from_millis(used_at)),
                ..KeyRecord::clone(&self.record)
            }),
        }
    }
}

/// The record of a key that the configuration gives: it may do everything, and lives as long as the configuration says so.
pub fn configured(token: &Token, now: Timestamp) -> KeyRecord {
    KeyRecord {
        id: token.id().clone(),
        name: CONFIGURED_NAME.to_owned(),
        hash: token.hash(),
        scope: Scope::Admin,
        reach: Reach::EVERYTHING,
        created_at: now,
        expires_at: None,
        revoked_at: None,
        last_used_at: None,
    }
}

#[cfg(test)]
#[path = "keyring_tests.rs"]
mod tests;
