//! What becomes durable together.
//!
//! A commit is a list of units. Each unit is durable as a whole or not at all, and has a result of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use super::epoch::Epoch;
use super::policy::PolicyChange;
use crate::domain::{Alias, AuditEntry, Group, HistoryEntry, Job, KeyId, KeyRecord, LaneRecord, Timestamp};

/// Records that become durable together or not at all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Unit {
    /// The lanes that it is about. Only their owner can commit it. Without any, every caller can.
    pub lanes: Vec<LaneChange>,
    /// Jobs, new or in a new version, which also goes into the log of versions.
    pub jobs: Vec<Arc<Job>>,
    /// Groups, new or in a new version; the lanes of all their members are in `lanes`.
    pub groups: Vec<Arc<Group>>,
    /// Changes of what is kept about policies, in order; of resources whose lanes are in `lanes`.
    pub policies: Vec<PolicyChange>,
    /// What requests with an idempotency key led to.
    pub entries: Vec<IdempotencyEntry>,
    /// What happened to resources, in order.
    pub history: Vec<(Alias, HistoryEntry)>,
    /// Changes of API keys.
    pub keys: Vec<KeyChange>,
    /// Attempts to change something.
    pub audit: Vec<AuditEntry>,
    /// The reservation that it uses up.
    pub reservation: Option<ReservationId>,
}

impl Unit {
    /// Adds what is in `other`, which has no reservation.
    pub fn append(&mut self, other: Self) {
        let Self { lanes, jobs, groups, policies, entries, history, keys, audit, reservation } = other;
        debug_assert!(reservation.is_none(), "a unit uses up one reservation at the most");
        self.lanes.extend(lanes);
        self.jobs.extend(jobs);
        self.groups.extend(groups);
        self.policies.extend(policies);
        self.entries.extend(entries);
        self.history.extend(history);
        self.keys.extend(keys);
        self.audit.extend(audit);
    }

    /// Whether it is about the lanes of all resources whose policies it changes. One that is not can have no owner.
    pub fn covers_policies(&self) -> bool {
        let is_covered = |change: &PolicyChange| self.lanes.iter().any(|lane| lane.resource == change.resource);
        self.policies.iter().all(is_covered)
    }
}

/// Of each lane that `units` are about: the record after the last of them that changes it, `None` if it goes.
pub(super) fn latest_records<'a>(
    units: impl IntoIterator<Item = &'a Unit>,
) -> BTreeMap<&'a Alias, Option<&'a LaneRecord>> {
    let mut latest = BTreeMap::new();
    for LaneChange { resource, record, .. } in units.into_iter().flat_map(|unit| &unit.lanes) {
        match record {
            RecordChange::Keep => {}
            RecordChange::Write(record) => drop(latest.insert(resource, Some(&**record))),
            RecordChange::Remove => drop(latest.insert(resource, None)),
        }
    }
    latest
}

/// Identifies a reservation.
pub type ReservationId = u64;

/// A lane in a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneChange {
    /// Its resource.
    pub resource: Alias,
    /// When it was adopted.
    pub epoch: Epoch,
    /// What becomes of its record.
    pub record: RecordChange,
}

/// What becomes of the record of a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordChange {
    /// It stays as it is.
    Keep,
    /// It becomes this one.
    Write(Box<LaneRecord>),
    /// It goes: nothing about the lane has to be remembered. The lane is released with it.
    Remove,
}

/// A change of the API keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyChange {
    /// A new one.
    Added(KeyRecord),
    /// The configuration gives one. Of this one the store remembers only that it was there.
    Configured {
        /// Since when.
        at: Timestamp,
    },
    /// One was revoked.
    Revoked {
        /// The key.
        id: KeyId,
        /// When, if it was not revoked before.
        at: Timestamp,
    },
    /// One was used.
    Used {
        /// The key.
        id: KeyId,
        /// When.
        at: Timestamp,
    },
}

/// What a request with an idempotency key led to: the same request gets the same job or claim again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyEntry {
    /// The key, as in [`SubmitKey::key`].
    pub key: String,
    /// SHA-256 of the request in a canonical form.
    pub fingerprint: [u8; 32],
    /// Whether the request joined a job that was there already.
    pub joined: bool,
    /// The id of the job or the claim. Which of them it is, the request tells, and with it the fingerprint.
    pub made: Uuid,
    /// When the request was answered.
    pub answered_at: Timestamp,
}

/// An idempotency key with the fingerprint of the request it came with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubmitKey {
    /// The key, told apart from the same one of other owners.
    pub key: String,
    /// SHA-256 of the request in a canonical form.
    pub fingerprint: [u8; 32],
}

/// Stands between the owner of an idempotency key and the key; it cannot be part of either.
const OWNER_END: char = '\n';

impl SubmitKey {
    /// The idempotency key `key` as sent with the API key `owner`. Two owners who choose the same key, by accident or
    /// in bad faith, do not get into each other's way.
    pub fn new(owner: Option<&KeyId>, key: String, fingerprint: [u8; 32]) -> Self {
        let key = owner.map(|owner| format!("{owner}{OWNER_END}{key}")).unwrap_or(key);
        Self { key, fingerprint }
    }
}

/// The API key that came with `key`, as [`SubmitKey::new`] made it.
pub(super) fn owner_of(key: &str) -> Option<KeyId> {
    key.split_once(OWNER_END).and_then(|(owner, _)| owner.parse().ok())
}
