//! Whether one more request is admitted: limits on unfinished jobs, on idempotency keys, and on text that callers
//! write.
//!
//! A request reserves its place before the lane's event, and the unit that makes the job durable uses the reservation
//! up. So a refusal never evicts a lane, and two requests with one key at once never become two jobs: the second one
//! waits for the outcome of the first. [`Usage`] decides, for every store; [`Admissions`] is the state of a process that has a
//! store to itself, and must never be asked for anything that the records in the store cannot restore.
//!
//! Rejected: counting in the records at each request, because a hundred thousand jobs would be counted for each of
//! them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;

use uuid::Uuid;

use super::retention::{Excess, Held, Holder, Holdings, KEY_RETENTION, MAX_TEXT_BYTES, PrunedJob};
use super::unit::{IdempotencyEntry, ReservationId, SubmitKey, Unit, owner_of};
use crate::domain::{Alias, Job, JobId, KeyId, Limits, Retention, Timestamp};

/// Most live idempotency keys of one API key, or of all callers without one: a request in nine seconds, all day.
pub const MAX_IDEMPOTENCY_KEYS: usize = 10_000;

/// What a request needs room for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The API key it was made with.
    pub owner: Option<KeyId>,
    /// The idempotency key it came with.
    pub key: Option<SubmitKey>,
    /// What each job takes that it becomes; all of them get their places, or none does.
    pub jobs: Vec<JobWish>,
    /// The operator's limits.
    pub limits: Limits,
    /// The present time.
    pub now: Timestamp,
}

/// What a new job takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobWish {
    /// The resource it is about.
    pub resource: Alias,
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
        /// The id of the job or the claim in the answer.
        made: Uuid,
        /// Whether the request joined it.
        joined: bool,
    },
}

impl Reserved {
    /// What a request with `key` is told when `entry` is what that idempotency key led to before.
    pub(super) fn again(entry: &IdempotencyEntry, key: &SubmitKey) -> Result<Self, NoRoom> {
        let is_same = entry.fingerprint == key.fingerprint;
        if is_same { Ok(Self::Replay { made: entry.made, joined: entry.joined }) } else { Err(NoRoom::KeyReused) }
    }
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
    /// All unfinished jobs.
    pub unfinished: Vec<UnfinishedJob>,
    /// What is kept for whom.
    pub held: Vec<(Holder, Held)>,
    /// Number of finished jobs.
    pub finished: usize,
}

/// An unfinished job, as the limits see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnfinishedJob {
    /// The job.
    pub id: JobId,
    /// The API key it was submitted with.
    pub owner: Option<KeyId>,
    /// Whether a policy submitted it. Such a job takes no caller's place: a resource has at most one policy, and a policy at
    /// most one job beside the one that it supersedes.
    pub is_of_policy: bool,
}

impl From<&Job> for UnfinishedJob {
    fn from(job: &Job) -> Self {
        Self { id: job.id, owner: job.submitted_with().cloned(), is_of_policy: job.is_of_policy() }
    }
}

/// How much of what is limited is taken, by records and by reservations, as far as it concerns a wish.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Live idempotency keys of the wish's API key, or of callers without one.
    pub keys_of_owner: usize,
    /// Unfinished jobs, without those of policies.
    pub jobs: usize,
    /// Those of the wish's API key.
    pub jobs_of_owner: usize,
    /// Bytes of text that are kept for the resource of each of the wish's jobs, in their order.
    pub texts_of_resources: Vec<u64>,
    /// Bytes of text that are kept for the wish's API key.
    pub text_of_owner: u64,
}

impl Usage {
    /// Whether there is room for `wish` beside all this.
    ///
    /// # Errors
    /// What there is no room for.
    pub fn admits(&self, wish: &Wish) -> Result<(), NoRoom> {
        if wish.key.is_some() && self.keys_of_owner >= MAX_IDEMPOTENCY_KEYS {
            return Err(NoRoom::TooManyIdempotencyKeys { limit: MAX_IDEMPOTENCY_KEYS });
        }
        let (all, of_key) = (wish.limits.active_jobs, wish.limits.jobs_per_key);
        let new = wish.jobs.iter().filter(|job| !job.supersedes).count();
        if new > 0 && self.jobs + new > all {
            return Err(NoRoom::TooManyJobs { limit: all });
        }
        let new = wish.jobs.iter().filter(|job| !job.supersedes_own).count();
        if wish.owner.is_some() && new > 0 && self.jobs_of_owner + new > of_key {
            return Err(NoRoom::TooManyJobsOfKey { limit: of_key });
        }
        let new: u64 = wish.jobs.iter().map(|job| job.text_bytes).sum();
        let of_owner = wish.owner.as_ref().map_or(0, |_| self.text_of_owner + new);
        let mut texts = wish.jobs.iter().zip(&self.texts_of_resources);
        if texts.any(|(job, held)| job.text_bytes > 0 && (held + job.text_bytes).max(of_owner) > MAX_TEXT_BYTES) {
            return Err(NoRoom::TooMuchText { limit: MAX_TEXT_BYTES });
        }
        Ok(())
    }
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Admissions {
    entries: HashMap<String, IdempotencyEntry>,
    entries_of: HashMap<Option<KeyId>, usize>,
    /// Unfinished jobs, with the API key each was submitted with.
    unfinished: HashMap<JobId, Option<KeyId>>,
    /// Those of them that policies submitted.
    of_policies: HashSet<JobId>,
    unfinished_of: HashMap<KeyId, usize>,
    holdings: Holdings,
    reservations: BTreeMap<ReservationId, Wish>,
    last_reservation: ReservationId,
}

impl Admissions {
    /// Begins anew from what is in the store. Reservations stay.
    pub fn restore(&mut self, records: AdmissionRecords) {
        let (reservations, last_reservation) = (std::mem::take(&mut self.reservations), self.last_reservation);
        *self = Self { reservations, last_reservation, ..Self::default() };
        records.entries.into_iter().for_each(|entry| self.add_entry(entry));
        for job in records.unfinished {
            self.add_unfinished(job);
        }
        self.holdings = Holdings::new(records.held, records.finished);
    }

    /// Reserves what `wish` needs. `None` if a request with the same key is on its way: ask again when it is over.
    pub fn reserve(&mut self, wish: &Wish) -> Option<Result<Reserved, NoRoom>> {
        if let Some(key) = &wish.key {
            if let Some(entry) = self.entries.get(&key.key).filter(|entry| is_live(entry, wish.now)) {
                return Some(Reserved::again(entry, key));
            }
            if self.reservations.values().filter_map(|other| other.key.as_ref()).any(|other| other.key == key.key) {
                return None;
            }
        }
        Some(self.usage(wish).admits(wish).map(|()| {
            self.last_reservation += 1;
            self.reservations.insert(self.last_reservation, wish.clone());
            Reserved::Granted(self.last_reservation)
        }))
    }

    fn usage(&self, wish: &Wish) -> Usage {
        let reserved = |counts: &dyn Fn(&Wish) -> bool| self.reservations.values().filter(|wish| counts(wish)).count();
        let jobs_reserved = |counts: &dyn Fn(&Wish) -> bool| -> usize {
            self.reservations.values().filter(|other| counts(other)).map(|other| other.jobs.len()).sum()
        };
        let texts_reserved = |counts: &dyn Fn(&Wish, &JobWish) -> bool| -> u64 {
            let jobs = self.reservations.values().flat_map(|other| other.jobs.iter().map(move |job| (other, job)));
            jobs.filter(|(other, job)| counts(other, job)).map(|(_, job)| job.text_bytes).sum()
        };
        let of_owner = |other: &Wish| other.owner == wish.owner;
        let owner = wish.owner.as_ref();
        let text_of_resource = |job: &JobWish| {
            self.holdings.text_bytes(&Holder::Resource(job.resource.clone()))
                + texts_reserved(&|_, other| other.resource == job.resource)
        };
        Usage {
            keys_of_owner: self.entries_of.get(&wish.owner).copied().unwrap_or(0)
                + reserved(&|other| other.key.is_some() && of_owner(other)),
            jobs: self.unfinished.len() - self.of_policies.len() + jobs_reserved(&|_| true),
            jobs_of_owner: owner.and_then(|owner| self.unfinished_of.get(owner)).copied().unwrap_or(0)
                + jobs_reserved(&of_owner),
            texts_of_resources: wish.jobs.iter().map(text_of_resource).collect(),
            text_of_owner: owner.map_or(0, |owner| {
                self.holdings.text_bytes(&Holder::Owner(owner.clone())) + texts_reserved(&|other, _| of_owner(other))
            }),
        }
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
            let is_new = match job.ended() {
                Some(_) => {
                    self.holdings.finish_one();
                    !self.remove_unfinished(job.id)
                }
                None => self.add_unfinished(UnfinishedJob::from(job.as_ref())),
            };
            if is_new {
                self.holdings.add(job);
            }
        }
    }

    /// These finished jobs are no longer kept.
    pub fn pruned(&mut self, jobs: &[PrunedJob]) {
        self.holdings.remove(jobs);
    }

    /// See [`Holdings::excess`].
    pub fn excess(&self, retention: Retention) -> Option<Excess> {
        self.holdings.excess(retention)
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
    fn add_unfinished(&mut self, UnfinishedJob { id, owner, is_of_policy }: UnfinishedJob) -> bool {
        if self.unfinished.insert(id, owner.clone()).is_some() {
            return false;
        }
        if is_of_policy {
            self.of_policies.insert(id);
        }
        if let Some(owner) = owner {
            *self.unfinished_of.entry(owner).or_default() += 1;
        }
        true
    }

    /// Whether it was one.
    fn remove_unfinished(&mut self, id: JobId) -> bool {
        let Some(owner) = self.unfinished.remove(&id) else { return false };
        self.of_policies.remove(&id);
        if let Some(owner) = owner {
            subtract(&mut self.unfinished_of, &owner);
        }
        true
    }
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
