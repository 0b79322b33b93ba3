//! What is kept, and for whom.
//!
//! Finished jobs are kept by shares: once there are too many, those go first whose resource or API key has most, so
//! that no caller pushes out what is kept for another one. Audit entries are kept in the same way, those of each
//! [`RetentionClass`] apart. Must never count an unfinished job as one that may go.

use std::collections::HashMap;
use std::time::Duration;

use crate::domain::{Alias, GroupId, Job, JobId, KeyId, Retention, RetentionClass};

/// Most versions of jobs in the log, the newest ones, give or take some dozens. At ten for a step and a step in five
/// minutes, twenty resources that are scaled all the time fill it in a day, and it takes some 50 MB of disk. A follower
/// that was away for longer begins anew.
pub const MAX_LOGGED_VERSIONS: u64 = 50_000;
/// Most entries in the timeline of one resource, the newest ones, give or take some dozens: at about ten for a step,
/// the last thousand steps, in some megabytes. They also go when they are older than what is kept of jobs.
pub const MAX_TIMELINE: u32 = 10_000;
/// Most revoked and expired API keys that are kept, so that a caller that still uses one is told what is wrong with it.
pub const MAX_DEAD_KEYS: u32 = 1000;
/// Revisions of a policy that are kept, the newest ones.
pub const MAX_REVISIONS: u64 = 50;
/// How long the revisions of a policy are kept that was deleted. Its number is never forgotten.
pub const REVISION_RETENTION: Duration = Duration::from_hours(30 * 24);
/// Most decisions of one resource, the newest ones, give or take some dozens: at one in five minutes, what
/// is decided in a month. A usual one takes a kilobyte or two, one with all metrics and rules that a policy may have
/// about ten.
pub const MAX_DECISIONS: u32 = 10_000;
/// How long a decision is kept, counted from when it was taken last.
pub const DECISION_RETENTION: Duration = Duration::from_hours(30 * 24);
/// How long samples are kept as they came, one a second: twice the longest time that a rule looks back.
pub const RAW_RETENTION: Duration = Duration::from_hours(2);
/// How long samples are kept by the minute: a week of a metric can be compared with several before it.
pub const MINUTE_RETENTION: Duration = Duration::from_hours(35 * 24);
/// How long the samples of a policy are kept that was deleted: one that is put again soon goes on as it was.
pub const RETIRED_RETENTION: Duration = Duration::from_hours(24);
/// How far before the newest sample of a metric those go back that its owner carries on with: the longest time that a
/// rule looks back.
pub const ADOPTED_SAMPLES: Duration = Duration::from_hours(1);
/// How long an answer to a request with an idempotency key is kept: a day is promised, the hour on top makes up for
/// clocks that differ.
pub const KEY_RETENTION: Duration = Duration::from_hours(25);

/// Most bytes of reasons and labels in the jobs that are kept for one resource, or of one API key. A usual job has a
/// hundred; this is room for the longest ones of three thousand jobs, and keeps any of them from filling a disk.
pub const MAX_TEXT_BYTES: u64 = 64 << 20;

/// From how much of it on the oldest of those jobs go, so that there is room for new ones.
const TEXT_SHARE_BYTES: u64 = MAX_TEXT_BYTES / 2;
/// So many of them go at a time.
const TEXT_CHUNK: usize = 100;
/// Once too many finished jobs or audit entries are kept, those go first whose resource or API key has more than one in
/// so many of them.
const SHARES: usize = 10;

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
    /// The group that it belonged to. A group is kept as long as one of its jobs.
    pub group: Option<GroupId>,
}

/// Audit entries of one class that are to go, the oldest ones first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditExcess {
    /// Only entries of attempts with this API key, or of those without any; `None`: of all attempts.
    pub of: Option<Option<KeyId>>,
    /// So many of them.
    pub entries: usize,
}

impl AuditExcess {
    /// What is to go of `class`, of which so many entries are kept for each API key, and for attempts without any.
    pub fn find(class: RetentionClass, kept: &[(Option<KeyId>, usize)]) -> Option<Self> {
        let too_many = kept.iter().map(|(_, entries)| entries).sum::<usize>().checked_sub(class.room())?;
        let (of, most) = kept.iter().max_by_key(|(_, entries)| *entries)?;
        let beyond_share = most.saturating_sub(class.room() / SHARES);
        let (of, entries) =
            if beyond_share > 0 { (Some(of.clone()), too_many.min(beyond_share)) } else { (None, too_many) };
        (entries > 0).then_some(Self { of, entries })
    }
}

/// What was removed because it is no longer kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// These jobs.
    pub jobs: Vec<PrunedJob>,
    /// Whether something is left to be removed.
    pub more: bool,
}

/// How much is kept for whom.
#[derive(Debug, Default)]
pub struct Holdings {
    held: HashMap<Holder, Held>,
    finished: usize,
}

impl Holdings {
    /// This is kept, with so many finished jobs.
    pub fn new(held: impl IntoIterator<Item = (Holder, Held)>, finished: usize) -> Self {
        Self { held: held.into_iter().collect(), finished }
    }

    /// `job`, which is new, is kept.
    pub fn add(&mut self, job: &Job) {
        for holder in holders(&job.resource, job.submitted_with().cloned()) {
            let held = self.held.entry(holder).or_default();
            held.jobs += 1;
            held.text_bytes += job.text_bytes();
        }
    }

    /// A job is finished.
    pub fn finish_one(&mut self) {
        self.finished += 1;
    }

    /// These finished jobs are no longer kept.
    pub fn remove(&mut self, jobs: &[PrunedJob]) {
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

    /// The bytes of text that are kept for `holder`.
    pub fn text_bytes(&self, holder: &Holder) -> u64 {
        self.held.get(holder).map_or(0, |held| held.text_bytes)
    }

    /// The holder that has most beyond its share: of text at any time, of jobs if more are finished than `retention`
    /// allows.
    pub fn excess(&self, retention: Retention) -> Option<Excess> {
        if let Some((holder, _)) = self.held.iter().find(|(_, held)| held.text_bytes > TEXT_SHARE_BYTES) {
            return Some(Excess { holder: holder.clone(), jobs: TEXT_CHUNK });
        }
        let (too_many, share) = (self.finished.checked_sub(retention.count)?, (retention.count / SHARES).max(1));
        let (holder, held) = self.held.iter().max_by_key(|(_, held)| held.jobs)?;
        let jobs = too_many.min(held.jobs.saturating_sub(share));
        (jobs > 0).then(|| Excess { holder: holder.clone(), jobs })
    }
}

fn holders(resource: &Alias, owner: Option<KeyId>) -> impl Iterator<Item = Holder> {
    std::iter::once(Holder::Resource(resource.clone())).chain(owner.map(Holder::Owner))
}
