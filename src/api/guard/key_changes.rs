//! Changes of the API keys: made durable with their audit entries, and obeyed from then on; a revocation is obeyed at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::Guard;
use crate::access::PriorRevocation;
use crate::domain::{AuditEntry, KeyId, KeyRecord, Timestamp};
use crate::store::{KeyChange, StoreError, Unit, commit_one};

/// Longest wait for the store. A disk that takes longer is stuck, and the caller should know.
const STORE_PATIENCE: Duration = Duration::from_secs(10);
/// Pause before each attempt to write a revocation that could not be written. The engine tries as often to get the store to work.
const REVOCATION_RETRY: Duration = Duration::from_secs(1);

/// Why a revocation failed, or is not durable.
#[derive(Debug)]
pub enum RevokeError {
    /// The keys cannot be read. Nothing was changed.
    KeysUnreadable(StoreError),
    /// The key is refused, and that is not on the disk yet. It will be as soon as that works, unless the process ends before.
    NotDurable(StoreError),
    /// The key was revoked before, and there may be no record of this attempt to do it again.
    NotRecorded(StoreError),
}

impl Guard {
    /// Makes `change` durable, together with the record of it, and obeys it from then on, also if the caller hangs up or
    /// stops waiting.
    ///
    /// # Errors
    /// If it may not be durable.
    pub async fn change_keys(&self, change: KeyChange, entry: AuditEntry) -> Result<(), StoreError> {
        let unit = Unit { keys: vec![change], audit: vec![entry], ..Unit::default() };
        let (store, keyring) = (self.store.clone(), Arc::clone(&self.keyring));
        let changed = actix_web::rt::spawn(async move {
            let committed = commit_one(&*store, unit).await;
            // Also if that failed: it may be on the disk all the same.
            keyring.changed();
            committed
        });
        match timeout(STORE_PATIENCE, changed).await {
            Ok(committed) => committed.map_err(|_| StoreError::Closed)?,
            Err(_) => Err(StoreError::Slow),
        }
    }

    /// Refuses the key `id` from now on and makes that durable together with the record of it, however long that
    /// takes and whether the caller waits or not. `at` is when, and `and_then` is called when it is refused, before the disk is waited
    /// for.
    ///
    /// Rejected: the disk first, because a leaked key then goes on working for as long as the disk does not.
    ///
    /// # Errors
    /// If it is not on the disk yet, or whether the key is one of ours cannot be told.
    pub async fn revoke_key(
        &self,
        id: &KeyId,
        at: Timestamp,
        entry: AuditEntry,
        and_then: impl FnOnce(),
    ) -> Result<(), RevokeError> {
        let before = self.keyring.revoke(id, at).await.map_err(RevokeError::KeysUnreadable)?;
        and_then();
        let unit =
            Unit { keys: vec![KeyChange::Revoked { id: id.clone(), at }], audit: vec![entry], ..Unit::default() };
        let (store, keyring, id) = (self.store.clone(), Arc::clone(&self.keyring), id.clone());
        let (tell, told) = oneshot::channel();
        actix_web::rt::spawn(async move {
            let first = commit_one(&*store, unit.clone()).await;
            let mut is_written = first.is_ok();
            // The caller may be gone.
            drop(tell.send(first));
            if !is_written && before == PriorRevocation::None {
                tracing::warn!(
                    key = id.as_str(),
                    "the revocation of the key is not on the disk yet: it holds until the gateway stops, and is written as soon \
                     as the store works"
                );
            }
            // One that repeats it leaves that to the first, so that there is one for each key.
            while !is_written && before == PriorRevocation::None {
                tokio::time::sleep(REVOCATION_RETRY).await;
                match commit_one(&*store, unit.clone()).await {
                    Ok(()) => {
                        tracing::info!(key = id.as_str(), "the revocation of the key is on the disk now");
                        is_written = true;
                    }
                    // The process ends, and the caller was told what that means.
                    Err(StoreError::Closed) => return,
                    Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "still not"),
                }
            }
            if is_written {
                keyring.revocation_written(&id);
            }
        });
        let written = match timeout(STORE_PATIENCE, told).await {
            Ok(written) => written.unwrap_or(Err(StoreError::Closed)),
            Err(_) => Err(StoreError::Slow),
        };
        written.map_err(|error| match before {
            PriorRevocation::None | PriorRevocation::Pending => RevokeError::NotDurable(error),
            PriorRevocation::Durable => RevokeError::NotRecorded(error),
        })
    }

    /// Writes that `key` was used. No caller waits for that, and a failure leaves the key as it was.
    pub(super) fn note_use(&self, key: &KeyRecord, at: Timestamp) {
        let (store, change) = (self.store.clone(), KeyChange::Used { id: key.id.clone(), at });
        actix_web::rt::spawn(async move {
            let unit = Unit { keys: vec![change], ..Unit::default() };
            if let Err(error) = commit_one(&*store, unit).await {
                tracing::debug!(error = &error as &dyn std::error::Error, "the use of a key is not noted");
            }
        });
    }
}
