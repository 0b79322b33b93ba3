//! The jobs as readers see them.
//!
//! Every entry is what the store holds: the engine publishes a job only after its commit. Values are cloned out; no guard
//! of the map leaves this file or is held across an await. A plain lock around a map lost: readers of different jobs
//! would wait for each other.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use actix_web::web::Bytes;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use crate::domain::{EventId, Job, JobEvent, JobId, StateName};

/// A job in one version, with its rendering once it was asked for. Cheap to clone.
#[derive(Clone)]
pub struct Published(Arc<Version>);

struct Version {
    event: EventId,
    job: Arc<Job>,
    rendered: OnceLock<Bytes>,
}

impl Published {
    /// The job in this version.
    pub fn new(JobEvent { id, job }: JobEvent) -> Self {
        Self(Arc::new(Version { event: id, job, rendered: OnceLock::new() }))
    }

    /// The place of this version among all versions of all jobs; 0 if it is older than the log of them.
    pub fn event(&self) -> EventId {
        self.0.event
    }

    /// Which version of the job it is: [`Job::version`].
    pub fn version(&self) -> u64 {
        self.0.job.version
    }

    /// Whether the job is over, and this its last version.
    pub fn is_over(&self) -> bool {
        self.0.job.ended().is_some()
    }

    /// The job.
    pub fn job(&self) -> &Arc<Job> {
        &self.0.job
    }

    /// The job as `render` puts it, computed once per version however many ask. All callers must pass the same `render`.
    pub fn rendered(&self, render: impl FnOnce(&Job) -> Bytes) -> Bytes {
        self.0.rendered.get_or_init(|| render(&self.0.job)).clone()
    }
}

/// All jobs there are.
#[derive(Default)]
pub struct JobTable {
    jobs: DashMap<JobId, Published>,
    /// How many jobs are in each state, in the order of [`StateName::ALL`]; kept, because counting would take a look at
    /// each job.
    counts: [AtomicUsize; StateName::ALL.len()],
}

impl JobTable {
    /// The job `id`.
    pub fn get(&self, id: JobId) -> Option<Published> {
        self.jobs.get(&id).map(|entry| entry.value().clone())
    }

    /// Number of jobs.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Shows a job in place of its earlier version, and returns what is shown. A version older than the one shown is
    /// ignored: a job's history never goes backwards.
    pub fn publish(&self, event: JobEvent) -> Published {
        // Counted while the entry is locked: what is added for one version is there before the next one takes it away.
        match self.jobs.entry(event.job.id) {
            Entry::Vacant(entry) => {
                self.count(&event.job).fetch_add(1, Ordering::Relaxed);
                entry.insert(Published::new(event)).clone()
            }
            Entry::Occupied(mut entry) => {
                if entry.get().version() < event.job.version {
                    self.count(&event.job).fetch_add(1, Ordering::Relaxed);
                    let before = entry.insert(Published::new(event));
                    self.count(before.job()).fetch_sub(1, Ordering::Relaxed);
                }
                entry.get().clone()
            }
        }
    }

    /// How many jobs are in each state.
    pub fn counts(&self) -> [(StateName, usize); StateName::ALL.len()] {
        StateName::ALL.map(|state| (state, self.counts[state as usize].load(Ordering::Relaxed)))
    }

    fn count(&self, job: &Job) -> &AtomicUsize {
        &self.counts[job.state.name() as usize]
    }

    /// Shows `jobs` and no others.
    pub fn reset(&self, jobs: &[JobEvent]) {
        if !self.is_empty() {
            let kept: HashSet<JobId> = jobs.iter().map(|event| event.job.id).collect();
            let gone: Vec<JobId> = self.jobs.iter().map(|entry| *entry.key()).filter(|id| !kept.contains(id)).collect();
            self.remove(&gone);
        }
        for event in jobs {
            self.publish(event.clone());
        }
    }

    /// Takes away jobs that are no longer kept.
    pub fn remove(&self, ids: &[JobId]) {
        for id in ids {
            self.jobs.remove_if(id, |_, published| {
                self.count(published.job()).fetch_sub(1, Ordering::Relaxed);
                true
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Capacity, Goal, JobRequest, Settings, Timestamp};

    fn job(id: u128, version: u64) -> JobEvent {
        let request = JobRequest::for_worker(Goal::Target(Capacity::ZERO));
        let job = Job::accept(JobId::from_u128(id), request, Settings::DEFAULT, Timestamp::from_millis(0));
        JobEvent { id: version + 10, job: Arc::new(Job { version, ..job }) }
    }

    #[test]
    fn shows_the_newest_version_and_renders_it_once() {
        let table = JobTable::default();
        assert!(table.get(JobId::from_u128(1)).is_none());
        table.publish(job(1, 2));
        table.publish(job(1, 1));
        let published = table.get(JobId::from_u128(1)).expect("published");
        assert_eq!((published.version(), published.job().version, published.event()), (2, 2, 12));
        assert!(!published.is_over());
        assert_eq!(published.rendered(|job| Bytes::from(job.version.to_string())), "2");
        let again = table.get(JobId::from_u128(1)).expect("published");
        assert_eq!(again.rendered(|_| unreachable!("rendered before")), "2");
        table.publish(job(1, 3));
        let newer = table.get(JobId::from_u128(1)).expect("published");
        assert_eq!(newer.rendered(|job| Bytes::from(job.version.to_string())), "3");
        table.reset(&[job(2, 1), job(3, 1)]);
        assert!(table.get(JobId::from_u128(1)).is_none());
        table.remove(&[JobId::from_u128(2), JobId::from_u128(3)]);
        assert!(table.is_empty());
    }

    /// What was counted along the way is what a look at each job finds, whatever came in which order.
    #[test]
    fn counts_are_kept() {
        let ended = |id, version| {
            let event = job(id, version);
            let mut job = Job::clone(&event.job);
            job.end(crate::domain::Ending::Canceled, Timestamp::from_millis(1));
            JobEvent { job: Arc::new(job), ..event }
        };
        let table = JobTable::default();
        let assert_counted = |queued: usize, canceled: usize| {
            let counted: Vec<_> = table.counts().into_iter().filter(|(_, count)| *count > 0).collect();
            let expected = [(StateName::Queued, queued), (StateName::Canceled, canceled)];
            assert_eq!(counted, expected.into_iter().filter(|(_, count)| *count > 0).collect::<Vec<_>>());
        };
        assert_counted(0, 0);
        for event in [job(1, 1), job(1, 1), job(2, 1)] {
            table.publish(event);
        }
        assert_counted(2, 0);
        table.publish(ended(1, 2));
        table.publish(job(1, 1));
        assert_counted(1, 1);
        table.remove(&[JobId::from_u128(1), JobId::from_u128(1), JobId::from_u128(9)]);
        assert_counted(1, 0);
        table.reset(&[ended(3, 1), ended(4, 1)]);
        assert_counted(0, 2);
    }
}
