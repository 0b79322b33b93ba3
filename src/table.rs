//! The jobs that this process knows, as readers see them.
//!
//! Every entry is what the store holds: the engine publishes a job only after its commit. All unfinished jobs are here, and
//! those that ended last; the others are asked of the store. Values are cloned out; no guard of the map leaves this file
//! or is held across an await.
//!
//! Rejected: a plain lock around a map, because readers of different jobs would wait for each other; and all jobs, because
//! the memory of the process would grow with what the store keeps.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use actix_web::web::Bytes;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use crate::domain::{EventId, Job, JobEvent, JobId};

/// Most finished jobs that are known, those that ended last: some tens of megabytes, and far more than are polled at a time.
const MAX_FINISHED: usize = 10_000;

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

/// See the module's documentation.
#[derive(Default)]
pub struct JobTable {
    jobs: DashMap<JobId, Published>,
    /// Jobs that are over, in the order in which they ended. Some may be gone from the table.
    finished: Mutex<VecDeque<JobId>>,
}

impl JobTable {
    /// The job `id`, if it is known. An unfinished job is.
    pub fn get(&self, id: JobId) -> Option<Published> {
        self.jobs.get(&id).map(|entry| entry.value().clone())
    }

    /// Number of jobs that are known.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Shows a job in place of its earlier version, and returns what is shown. A version older than the one shown is
    /// ignored: a job's history never goes backwards.
    pub fn publish(&self, event: JobEvent) -> Published {
        let (shown, has_ended) = match self.jobs.entry(event.job.id) {
            Entry::Vacant(entry) => {
                let shown = entry.insert(Published::new(event)).clone();
                let is_over = shown.is_over();
                (shown, is_over)
            }
            Entry::Occupied(mut entry) => {
                let was_over = entry.get().is_over();
                if entry.get().version() < event.job.version {
                    entry.insert(Published::new(event));
                }
                (entry.get().clone(), !was_over && entry.get().is_over())
            }
        };
        if has_ended {
            self.note_finished(shown.job().id);
        }
        shown
    }

    /// Forgets the job that ended first, if there are too many. No entry of the map may be held meanwhile.
    fn note_finished(&self, id: JobId) {
        let mut finished = self.finished.lock().unwrap_or_else(PoisonError::into_inner);
        finished.push_back(id);
        if finished.len() > MAX_FINISHED
            && let Some(oldest) = finished.pop_front()
        {
            self.jobs.remove(&oldest);
        }
    }

    /// Takes away jobs that are no longer kept.
    pub fn remove(&self, ids: &[JobId]) {
        for id in ids {
            self.jobs.remove(id);
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
        table.remove(&[JobId::from_u128(1)]);
        assert!(table.is_empty());
    }

    /// All that are unfinished stay, and of the others those that ended last.
    #[test]
    fn finished_jobs_are_forgotten_when_there_are_too_many() {
        let ended = |id, version| {
            let event = job(id, version);
            let mut job = Job::clone(&event.job);
            job.end(crate::domain::Ending::Canceled, Timestamp::from_millis(1));
            JobEvent { job: Arc::new(job), ..event }
        };
        let is_known = |table: &JobTable, id| table.get(JobId::from_u128(id)).is_some();
        let table = JobTable::default();
        let many = MAX_FINISHED as u128;
        for id in 1..=many + 2 {
            table.publish(job(id, 1));
        }
        assert!(is_known(&table, 1), "there is no limit to unfinished jobs");
        // In another order than they came, and each told twice.
        for id in (2..=many + 2).rev() {
            table.publish(ended(id, 2));
            table.publish(ended(id, 2));
        }
        assert!(is_known(&table, 1) && is_known(&table, 2) && is_known(&table, many + 1));
        assert!(!is_known(&table, many + 2), "the one that ended first");
    }
}
