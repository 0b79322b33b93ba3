//! The jobs as readers see them.
//!
//! Every entry is what the store holds: the engine publishes a job only after its commit. Values are cloned out; no guard
//! of the map leaves this file or is held across an await. A plain lock around a map lost: readers of different jobs
//! would wait for each other.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use actix_web::web::Bytes;
use dashmap::DashMap;

use crate::domain::{EventId, Job, JobEvent, JobId};

/// A job in one version, with its rendering once somebody has asked for it.
#[derive(Clone)]
pub struct Published {
    event: EventId,
    job: Arc<Job>,
    rendered: Arc<OnceLock<Bytes>>,
}

impl Published {
    fn new(event: JobEvent) -> Self {
        Self { event: event.id, job: event.job, rendered: Arc::default() }
    }

    /// The place of this version among all versions of all jobs; 0 if it is older than the log of them.
    pub fn event(&self) -> EventId {
        self.event
    }

    /// The job.
    pub fn job(&self) -> &Arc<Job> {
        &self.job
    }

    /// The job as `render` puts it, computed once per version however many ask. All callers must pass the same `render`.
    pub fn rendered(&self, render: impl FnOnce(&Job) -> Bytes) -> Bytes {
        self.rendered.get_or_init(|| render(&self.job)).clone()
    }
}

/// All jobs there are.
#[derive(Default)]
pub struct JobTable {
    jobs: DashMap<JobId, Published>,
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
        let mut entry = self.jobs.entry(event.job.id).or_insert_with(|| Published::new(event.clone()));
        if entry.job.version < event.job.version {
            *entry = Published::new(event);
        }
        entry.clone()
    }

    /// Shows `jobs` and no others.
    pub fn reset(&self, jobs: &[JobEvent]) {
        let kept: HashSet<JobId> = jobs.iter().map(|event| event.job.id).collect();
        let gone: Vec<JobId> = self.jobs.iter().map(|entry| *entry.key()).filter(|id| !kept.contains(id)).collect();
        self.remove(&gone);
        for event in jobs {
            self.publish(event.clone());
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
        assert_eq!((published.job().version, published.event()), (2, 12));
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
}
