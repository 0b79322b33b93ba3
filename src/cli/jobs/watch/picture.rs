//! The jobs that are watched, as far as is known.

use std::collections::{BTreeMap, VecDeque};

use uuid::Uuid;

use super::UNFINISHED;
use crate::api::view::JobView;
use crate::domain::StateName;

/// How many of the jobs that are over are remembered: after a list, the stream may still tell of them what the list had
/// told. There cannot be more of these than jobs that end while a list is made.
const MAX_REMEMBERED: usize = 1000;

/// The jobs that are watched, as far as is known.
pub struct Picture {
    states: Vec<StateName>,
    /// By id, which is by age.
    jobs: BTreeMap<Uuid, JobView>,
    /// Jobs that are over, and were shown as such.
    over: VecDeque<Uuid>,
}

/// Something that is to be shown.
#[derive(Debug, PartialEq)]
pub struct Change {
    /// The job as it was shown before.
    pub before: Option<JobView>,
    /// The job.
    pub now: JobView,
    /// Whether it stays in the picture.
    pub stays: bool,
}

impl Picture {
    /// No jobs yet. Those in one of `states` will be in it; all unfinished ones, if that is empty.
    pub fn new(states: &[StateName]) -> Self {
        let states = if states.is_empty() { UNFINISHED.to_vec() } else { states.to_vec() };
        Self { states, jobs: BTreeMap::new(), over: VecDeque::new() }
    }

    /// Takes a job as it is, or was. Gives what is new in that.
    pub fn take(&mut self, job: JobView) -> Option<Change> {
        let known = self.jobs.get(&job.id);
        if known.is_some_and(|known| known.version >= job.version) || self.over.contains(&job.id) {
            return None;
        }
        let stays = self.states.contains(&job.state);
        // The end of a job that was never in the picture is news if it would have been at any time.
        let is_complete = UNFINISHED.iter().all(|state| self.states.contains(state));
        if known.is_none() && !stays && !(is_complete && job.state.is_over()) {
            return None;
        }
        if job.state.is_over() {
            self.over.push_back(job.id);
            self.over.drain(..self.over.len().saturating_sub(MAX_REMEMBERED));
        }
        let before = if stays { self.jobs.insert(job.id, job.clone()) } else { self.jobs.remove(&job.id) };
        Some(Change { before, now: job, stays })
    }

    /// The jobs in the picture that are not in `list`.
    pub fn missing_in(&self, list: &[JobView]) -> Vec<Uuid> {
        let listed: std::collections::HashSet<Uuid> = list.iter().map(|job| job.id).collect();
        self.jobs.keys().filter(|id| !listed.contains(id)).copied().collect()
    }

    /// Takes a job out of the picture of which there is nothing to tell.
    pub fn forget(&mut self, id: Uuid) {
        self.jobs.remove(&id);
    }

    /// Those that run, and then those that wait for their turn; oldest first.
    pub fn jobs(&self) -> impl Iterator<Item = &JobView> {
        let those = |state| self.jobs.values().filter(move |job| job.state == state);
        those(StateName::Running).chain(those(StateName::Queued))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::client::stub::{job_view, succeeded};

    fn version(state: &str, version: u64) -> JobView {
        job_view(json!({"state": state, "version": version}))
    }

    /// What is new in each of `jobs`: whether it was known before, and whether it stays.
    fn taken(states: &[StateName], jobs: &[JobView]) -> Vec<Option<(bool, bool)>> {
        let mut picture = Picture::new(states);
        let mut take = |job: &JobView| picture.take(job.clone());
        jobs.iter().map(|job| take(job).map(|change| (change.before.is_some(), change.stays))).collect()
    }

    #[test]
    fn each_version_is_new_once() {
        let over = job_view(succeeded());
        let jobs = [
            version("queued", 3),
            version("queued", 2),
            version("queued", 3),
            version("running", 4),
            over.clone(),
            version("running", 5),
            over,
        ];
        let expected = [Some((false, true)), None, None, Some((true, true)), Some((true, false)), None, None];
        assert_eq!(taken(&[], &jobs), expected);
    }

    #[test]
    fn a_job_leaves_with_the_state_that_is_asked_for() {
        let jobs = [version("queued", 1), version("running", 2), job_view(succeeded())];
        assert_eq!(taken(&[StateName::Queued], &jobs), [Some((false, true)), Some((true, false)), None]);
        assert_eq!(taken(&[StateName::Running], &jobs), [None, Some((false, true)), Some((true, false))]);
        // An end is told although nothing was known; but not where it may never have been asked for.
        assert_eq!(taken(&[], &jobs[2..]), [Some((false, false))]);
        assert_eq!(taken(&[StateName::Running], &jobs[2..]), [None]);
    }

    #[test]
    fn running_jobs_come_first_and_old_ones() {
        let mut picture = Picture::new(&[]);
        let ids: Vec<Uuid> = (1..=4).map(Uuid::from_u128).collect();
        for (id, state) in [(3, "queued"), (1, "queued"), (4, "running"), (2, "running")] {
            picture.take(job_view(json!({"id": Uuid::from_u128(id), "state": state})));
        }
        let order: Vec<Uuid> = picture.jobs().map(|job| job.id).collect();
        assert_eq!(order, [ids[1], ids[3], ids[0], ids[2]]);
        let list = [job_view(json!({"id": ids[1]})), job_view(json!({"id": ids[2]}))];
        assert_eq!(picture.missing_in(&list), [ids[0], ids[3]]);
        picture.forget(ids[0]);
        assert_eq!(picture.missing_in(&list), [ids[3]]);
    }
}
