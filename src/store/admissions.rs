//! Whether one more request is admitted: limits on unfinished jobs, on idempotency keys, and on text that callers write.
//!
//! A request reserves its place before the lane's event, and the unit that makes the job durable uses the reservation up. So a
//! refusal never evicts a lane, and two requests with one key at once never become two jobs: the second one waits for the
//! outcome of the first. This is the state of one process; it must never be asked for anything that the records in the store
//! cannot restore.
//!
//! Rejected: counting in the records at each request, because a hundred thousand jobs would be counted for each of them.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use super::unit::{Unit, owner_of};
use super::{IdempotencyEntry, KEY_RETENTION, SubmitKey};
use crate::domain::{Alias, JobId, KeyId, Limits, Retention, Timestamp};

/// Most live idempotency keys of one API key, or of all callers without one: a request in nine seconds, all day.
pub const MAX_IDEMPOTENCY_KEYS: usize = 10_000;
/// Most bytes of reasons and labels in the jobs that are kept for one resource, or of one API key. A usual job has a hundred;
/// this is room for the longest ones of three thousand jobs, and keeps any of them from filling a disk.
pub const MAX_TEXT_BYTES: u64 = 64 << 20;

/// From how much of it on the oldest of those jobs go, so that there is room for new ones.
const TEXT_SHARE_BYTES: u64 = MAX_TEXT_BYTES / 2;
/// So many of them go at a time.
const TEXT_CHUNK: usize = 100;
/// Once too many finished jobs are kept, those go first whose resource or API key has more than one in so many of them.
const SHARES: usize = 10;

/// Identifies a reservation.
pub type ReservationId = u64;

/// What a request needs room for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The resource it is about.
    pub resource: Alias,
    /// The API key it was made with.
    pub owner: Option<KeyId>,
    /// The idempotency key it came with.
    pub key: Option<SubmitKey>,
    /// What it takes if it becomes a job; `None` if it will not.
    pub job: Option<JobWish>,
    /// The operator's limits.
    pub limits: Limits,
    /// The present time.
    pub now: Timestamp,
}

/// What a new job takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobWish {
    /// [`crate::domain::Job::text_bytes`].
    pub text_bytes: u64,
    /// Whether it supersedes other jobs, one of them perhaps only when a change is resolved, and so takes their places.
    pub supersedes: bool,
    /// Whether one of those was submitted with the same API key.
    pub supersedes_own: bool,
}

/// The answer to a wish that is not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// There is room until the reservation is used up or given back.
    Granted(ReservationId),
    /// The same request was answered before.
    Replay {
        /// The job in the answer.
        job: JobId,
        /// Whether the request joined it.
        joined: bool,
    },
}

/// Why there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRoom {
    /// The idempotency key came with another request before.
    KeyReused,
    /// Too many idempotency keys were used with the same API key lately.
    TooManyIdempotencyKeys {
        /// So many may be.
        limit: usize,
    },
    /// Too many jobs are unfinished.
    TooManyJobs {
        /// So many may be.
        limit: usize,
    },
    /// Too many jobs that were submitted with the same API key are unfinished.
    TooManyJobsOfKey {
        /// So many may be.
        limit: usize,
    },
    /// The reasons and labels of the jobs that are kept for the resource, or of the API key, are too long together.
    TooMuchText {
        /// So many bytes may be kept.
        limit: u64,
    },
}

/// What of the records in the store admissions are decided by.
#[derive(Clone, Debug, Default)]
pub struct AdmissionRecords {
    /// All live idempotency keys.
    pub entries: Vec<IdempotencyEntry>,
    /// All unfinished jobs, with the API key each was submitted with.
    pub unfinished: Vec<(JobId, Option<KeyId>)>,
    /// What is kept for whom.
    pub held: Vec<(Holder, Held)>,
    /// Number of finished jobs.
    pub finished: usize,
}

/// For whom jobs are kept: each job for its resource, and for the API key it was submitted with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Holder {
    /// A resource.
    Resource(Alias),
    /// An API key.
    Owner(KeyId),
}

/// The jobs that are kept for a holder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Their number.
    pub jobs: usize,
    /// The sum of their [`crate::domain::Job::text_bytes`].
    pub text_bytes: u64,
}

/// More than its share of what is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excess {
    /// Of this holder.
    pub holder: Holder,
    /// So many jobs, the oldest ones, are to go.
    pub jobs: usize,
}

/// A finished job that is no longer kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrunedJob {
    /// Its id.
    pub id: JobId,
    /// Its resource.
    pub resource: Alias,
    /// The API key it was submitted with.
    pub owner: Option<KeyId>,
    /// [`crate::domain::Job::text_bytes`].
    pub text_bytes: u64,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Admissions {
    entries: HashMap<String, IdempotencyEntry>,
    entries_of: HashMap<Option<KeyId>, usize>,
    /// Unfinished jobs, with the API key each was submitted with.
    unfinished: HashMap<JobId, Option<KeyId>>,
    unfinished_of: HashMap<KeyId, usize>,
    held: HashMap<Holder, Held>,
    finished: usize,
    reservations: BTreeMap<ReservationId, Wish>,
    last_reservation: ReservationId,
}

impl Admissions {
    /// Begins anew from what is in the store. Reservations stay.
    pub fn restore(&mut self, records: AdmissionRecords) {
        let (reservations, last_reservation) = (std::mem::take(&mut self.reservations), self.last_reservation);
        *self = Self { reservations, last_reservation, ..Self::default() };
        records.entries.into_iter().for_each(|entry| self.add_entry(entry));
        for (job, owner) in records.unfinished {
            self.add_unfinished(job, owner);
        }
        self.held = records.held.into_iter().collect();
        self.finished = records.finished;
    }

    /// Reserves what `wish` needs. `None` if a request with the same key is on its way: ask again when it is over.
    pub fn reserve(&mut self, wish: &Wish) -> Option<Result<Reserved, NoRoom>> {
        if let Some(key) = &wish.key {
            if let Some(entry) = self.entries.get(&key.key).filter(|entry| is_live(entry, wish.now)) {
                let is_same = entry.fingerprint == key.fingerprint;
                let replay = Reserved::Replay { job: entry.job, joined: entry.joined };
                return Some(if is_same { Ok(replay) } else { Err(NoRoom::KeyReused) });
            }
            if self.reservations.values().filter_map(|other| other.key.as_ref()).any(|other| other.key == key.key) {
                return None;
            }
        }
        Some(self.check(wish).map(|()| {
            self.last_reservation += 1;
            self.reservations.insert(self.last_reservation, wish.clone());
            Reserved::Granted(self.last_reservation)
        }))
    }

    fn check(&self, wish: &Wish) -> Result<(), NoRoom> {
        let reserved = |counts: &dyn Fn(&Wish) -> bool| self.reservations.values().filter(|wish| counts(wish)).count();
        if wish.key.is_some() {
            let used = self.entries_of.get(&wish.owner).copied().unwrap_or(0);
            if used + reserved(&|other| other.key.is_some() && other.owner == wish.owner) >= MAX_IDEMPOTENCY_KEYS {
                return Err(NoRoom::TooManyIdempotencyKeys { limit: MAX_IDEMPOTENCY_KEYS });
            }
        }
        let Some(job) = &wish.job else { return Ok(()) };
        let (all, of_key) = (wish.limits.active_jobs, wish.limits.jobs_per_key);
        if !job.supersedes && self.unfinished.len() + reserved(&|other| other.job.is_some()) >= all {
            return Err(NoRoom::TooManyJobs { limit: all });
        }
        if let Some(owner) = &wish.owner {
            let used = self.unfinished_of.get(owner).copied().unwrap_or(0);
            let used = used + reserved(&|other| other.job.is_some() && other.owner == wish.owner);
            if used >= of_key && !job.supersedes_own {
                return Err(NoRoom::TooManyJobsOfKey { limit: of_key });
            }
        }
        self.check_text(wish, job.text_bytes)
    }

    fn check_text(&self, wish: &Wish, text_bytes: u64) -> Result<(), NoRoom> {
        let reserved = |counts: &dyn Fn(&Wish) -> bool| -> u64 {
            let jobs = self.reservations.values().filter(|wish| counts(wish)).filter_map(|wish| wish.job);
            jobs.map(|job| job.text_bytes).sum()
        };
        let held = |holder| self.held.get(&holder).map_or(0, |held| held.text_bytes);
        let for_resource =
            held(Holder::Resource(wish.resource.clone())) + reserved(&|other| other.resource == wish.resource);
        let of_owner = wish
            .owner
            .clone()
            .map_or(0, |owner| held(Holder::Owner(owner)) + reserved(&|other| other.owner == wish.owner));
        if text_bytes > 0 && for_resource.max(of_owner) + text_bytes > MAX_TEXT_BYTES {
            return Err(NoRoom::TooMuchText { limit: MAX_TEXT_BYTES });
        }
        Ok(())
    }

    /// Gives back a reservation that no unit has used up.
    pub fn give_back(&mut self, reservation: ReservationId) {
        self.reservations.remove(&reservation);
    }

    /// `unit` is durable.
    pub fn committed(&mut self, unit: &Unit) {
        if let Some(reservation) = unit.reservation {
            self.give_back(reservation);
        }
        unit.entries.iter().for_each(|entry| self.add_entry(entry.clone()));
        for job in &unit.jobs {
            let owner = job.submitted_with().cloned();
            let is_new = match job.ended() {
                Some(_) => {
                    self.finished += 1;
                    !self.remove_unfinished(job.id)
                }
                None => self.add_unfinished(job.id, owner.clone()),
            };
            if is_new {
                for holder in holders(&job.resource, owner) {
                    let held = self.held.entry(holder).or_default();
                    held.jobs += 1;
                    held.text_bytes += job.text_bytes();
                }
            }
        }
    }

    /// These finished jobs are no longer kept.
    pub fn pruned(&mut self, jobs: &[PrunedJob]) {
        self.finished = self.finished.saturating_sub(jobs.len());
        for job in jobs {
            for holder in holders(&job.resource, job.owner.clone()) {
                let Some(held) = self.held.get_mut(&holder) else { continue };
                held.jobs = held.jobs.saturating_sub(1);
                held.text_bytes = held.text_bytes.saturating_sub(job.text_bytes);
                if held.jobs == 0 {
                    self.held.remove(&holder);
                }
            }
        }
    }

    /// The holder that has most beyond its share: of text at any time, of jobs if more are finished than `retention` allows.
    pub fn excess(&self, retention: Retention) -> Option<Excess> {
        if let Some((holder, _)) = self.held.iter().find(|(_, held)| held.text_bytes > TEXT_SHARE_BYTES) {
            return Some(Excess { holder: holder.clone(), jobs: TEXT_CHUNK });
        }
        let (too_many, share) = (self.finished.checked_sub(retention.count)?, (retention.count / SHARES).max(1));
        let (holder, held) = self.held.iter().max_by_key(|(_, held)| held.jobs)?;
        let jobs = too_many.min(held.jobs.saturating_sub(share));
        (jobs > 0).then(|| Excess { holder: holder.clone(), jobs })
    }

    /// Forgets the idempotency keys that are no longer kept at `now`.
    pub fn forget(&mut self, now: Timestamp) {
        let entries_of = &mut self.entries_of;
        self.entries.retain(|key, entry| {
            let keeps = is_live(entry, now);
            if !keeps {
                subtract(entries_of, &owner_of(key));
            }
            keeps
        });
    }

    fn add_entry(&mut self, entry: IdempotencyEntry) {
        let owner = owner_of(&entry.key);
        if self.entries.insert(entry.key.clone(), entry).is_none() {
            *self.entries_of.entry(owner).or_default() += 1;
        }
    }

    /// Whether it is a new one.
    fn add_unfinished(&mut self, id: JobId, owner: Option<KeyId>) -> bool {
        if self.unfinished.insert(id, owner.clone()).is_some() {
            return false;
        }
        if let Some(owner) = owner {
            *self.unfinished_of.entry(owner).or_default() += 1;
        }
        true
    }

    /// Whether it was one.
    fn remove_unfinished(&mut self, id: JobId) -> bool {
        let Some(owner) = self.unfinished.remove(&id) else { return false };
        if let Some(owner) = owner {
            subtract(&mut self.unfinished_of, &owner);
        }
        true
    }
}

fn holders(resource: &Alias, owner: Option<KeyId>) -> impl Iterator<Item = Holder> {
    std::iter::once(Holder::Resource(resource.clone())).chain(owner.map(Holder::Owner))
}

fn is_live(entry: &IdempotencyEntry, now: Timestamp) -> bool {
    now < entry.answered_at + KEY_RETENTION
}

/// Takes one from the count of `key`, which goes with the last one.
fn subtract<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}
