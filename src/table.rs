//! The jobs as readers see them.
//!
//! Every entry is what the store holds: the engine publishes a job only after its commit. Values are cloned out; no guard
//! of the map leaves this file or is held across an await. A plain lock around a map lost: readers of different jobs
//! would wait for each other.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use actix_web::web::Bytes;
use dashmap::DashMap;
use tokio::sync::watch;

use crate::domain::{Job, JobId};

/// A job in one version, with its rendering once somebody has asked for it.
#[derive(Clone)]
pub struct Published {
    job: Arc<Job>,
    rendered: Arc<OnceLock<Bytes>>,
}

impl Published {
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
    /// Jobs somebody waits for. An entry lives as long as its receivers do.
    watched: DashMap<JobId, watch::Sender<()>>,
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

    /// Shows `job` in place of its earlier version. A version older than the one shown is ignored: a job's history never
    /// goes backwards.
    pub fn publish(&self, job: Arc<Job>) {
        let id = job.id;
        let mut entry =
            self.jobs.entry(id).or_insert_with(|| Published { job: Arc::clone(&job), rendered: Arc::default() });
        if entry.job.version < job.version {
            *entry = Published { job, rendered: Arc::default() };
        }
        drop(entry);
        self.notify(id);
    }

    /// Shows `jobs` and no others.
    pub fn reset(&self, jobs: &[Arc<Job>]) {
        let kept: HashSet<JobId> = jobs.iter().map(|job| job.id).collect();
        let gone: Vec<JobId> = self.jobs.iter().map(|entry| *entry.key()).filter(|id| !kept.contains(id)).collect();
        self.remove(&gone);
        for job in jobs {
            self.publish(Arc::clone(job));
        }
    }

    /// Takes away jobs that are no longer kept.
    pub fn remove(&self, ids: &[JobId]) {
        for id in ids {
            self.jobs.remove(id);
            self.notify(*id);
        }
    }

    /// A receiver that is notified of each change of job `id` from now on.
    pub fn watch(&self, id: JobId) -> watch::Receiver<()> {
        self.watched.entry(id).or_insert_with(|| watch::channel(()).0).subscribe()
    }

    fn notify(&self, id: JobId) {
        // A sender without receivers is taken away here, under the same lock as `watch` adds receivers.
        self.watched.remove_if_mut(&id, |_, sender| sender.send(()).is_err());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Capacity, Goal, JobRequest, Settings, Timestamp};

    fn job(id: u128, version: u64) -> Arc<Job> {
        let request = JobRequest::for_worker(Goal::Target(Capacity::ZERO));
        let job = Job::accept(JobId::from_u128(id), request, Settings::DEFAULT, Timestamp::from_millis(0));
        Arc::new(Job { version, ..job })
    }

    #[test]
    fn shows_the_newest_version_and_renders_it_once() {
        let table = JobTable::default();
        assert!(table.get(JobId::from_u128(1)).is_none());
        table.publish(job(1, 2));
        table.publish(job(1, 1));
        let published = table.get(JobId::from_u128(1)).expect("published");
        assert_eq!(published.job().version, 2);
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

    #[test]
    fn watchers_hear_of_their_job_only_and_leave_nothing_behind() {
        let table = JobTable::default();
        let mut watcher = table.watch(JobId::from_u128(1));
        table.publish(job(2, 1));
        assert!(!watcher.has_changed().expect("the table lives"));
        table.publish(job(1, 1));
        assert!(watcher.has_changed().expect("the table lives"));
        watcher.mark_unchanged();
        drop(watcher);
        table.publish(job(1, 2));
        assert!(table.watched.is_empty());
    }
}
