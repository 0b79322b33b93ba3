//! The jobs of a lane that wait for their turn, in order.

use std::collections::VecDeque;
use std::sync::Arc;

use super::super::job::Job;
use super::super::job_id::JobId;
use super::super::time::Timestamp;

/// The jobs, in the order of their turns.
#[derive(Debug, Default)]
pub(super) struct Queue(VecDeque<Arc<Job>>);

impl Queue {
    /// A queue of these jobs.
    pub const fn of(jobs: VecDeque<Arc<Job>>) -> Self {
        Self(jobs)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn jobs(&self) -> impl ExactSizeIterator<Item = &Arc<Job>> {
        self.0.iter()
    }

    /// The one whose turn comes last.
    pub fn last(&self) -> Option<&Arc<Job>> {
        self.0.back()
    }

    pub fn earliest_deadline(&self) -> Option<Timestamp> {
        self.0.iter().map(|job| job.deadline_at).min()
    }

    pub fn push(&mut self, job: Arc<Job>) {
        self.0.push_back(job);
    }

    /// Takes out the one whose turn comes first, unless it waits for its stage.
    pub fn pop(&mut self) -> Option<Arc<Job>> {
        self.0.pop_front_if(|job| !job.awaits_stage())
    }

    /// Takes out the job `id`.
    pub fn remove(&mut self, id: JobId) -> Option<Arc<Job>> {
        let place = self.0.iter().position(|job| job.id == id)?;
        self.0.remove(place)
    }

    /// Takes out all whose deadline is not after `now`, in their order.
    pub fn remove_expired(&mut self, now: Timestamp) -> VecDeque<Arc<Job>> {
        // Asked for at every event, and nearly always in vain.
        if self.earliest_deadline().is_none_or(|earliest| now < earliest) {
            return VecDeque::new();
        }
        let (left, expired) = self.take().into_iter().partition(|job| now < job.deadline_at);
        self.0 = left;
        expired
    }

    /// Takes out all of them.
    pub fn take(&mut self) -> VecDeque<Arc<Job>> {
        std::mem::take(&mut self.0)
    }

    /// Changes all of them, but not their order.
    pub fn for_each(&mut self, change: impl FnMut(&mut Arc<Job>)) {
        self.0.iter_mut().for_each(change);
    }

    /// The one whose turn comes last, in its next version.
    pub fn hand_out_last(&mut self) -> Option<Arc<Job>> {
        let last = self.0.back_mut()?;
        Arc::make_mut(last).version += 1;
        Some(Arc::clone(last))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::super::capacity::Capacity;
    use super::super::super::job::{Goal, JobRequest};
    use super::super::super::settings::Settings;
    use super::*;

    const NOON: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn at(seconds: u64) -> Timestamp {
        NOON + Duration::from_secs(seconds)
    }

    fn job(id: u128, deadline: u64) -> Arc<Job> {
        let request = JobRequest::for_worker(Goal::Target(Capacity::ZERO));
        let job = Job::accept(JobId::from_u128(id), request, Settings::DEFAULT, NOON);
        Arc::new(Job { deadline_at: at(deadline), ..job })
    }

    fn ids<'a>(jobs: impl IntoIterator<Item = &'a Arc<Job>>) -> Vec<u128> {
        jobs.into_iter().map(|job| job.id.as_u128()).collect()
    }

    #[track_caller]
    fn assert_holds(queue: &Queue, expected: &[u128]) {
        assert_eq!(ids(queue.jobs()), expected);
        assert_eq!(queue.is_empty(), expected.is_empty());
        assert_eq!(queue.last().map(|job| job.id.as_u128()), expected.last().copied());
    }

    #[test]
    fn jobs_take_turns_and_leave_at_their_deadlines() {
        let mut queue = Queue::default();
        assert_holds(&queue, &[]);
        assert_eq!(queue.earliest_deadline(), None);
        assert!(queue.pop().is_none() && queue.remove(JobId::from_u128(1)).is_none());
        for (id, deadline) in [(1, 50), (2, 10), (3, 70), (4, 20), (5, 10)] {
            queue.push(job(id, deadline));
        }
        assert_holds(&queue, &[1, 2, 3, 4, 5]);
        assert_eq!(queue.earliest_deadline(), Some(at(10)));
        assert_eq!(queue.hand_out_last().map(|job| (job.id.as_u128(), job.version)), Some((5, 1)));
        assert_eq!(queue.last().map(|job| job.version), Some(1));
        assert_eq!(queue.pop().map(|job| job.id.as_u128()), Some(1));
        assert_holds(&queue, &[2, 3, 4, 5]);
        assert_eq!(ids(&queue.remove_expired(at(9))), []);
        assert_eq!(ids(&queue.remove_expired(at(10))), [2, 5]);
        assert_holds(&queue, &[3, 4]);
        assert_eq!(queue.earliest_deadline(), Some(at(20)));
        assert!(queue.remove(JobId::from_u128(2)).is_none());
        assert!(queue.remove(JobId::from_u128(4)).is_some());
        assert_holds(&queue, &[3]);
        queue.for_each(|job| Arc::make_mut(job).deadline_at = at(5));
        assert_holds(&queue, &[3]);
        assert_eq!(ids(&queue.take()), [3]);
        assert_holds(&queue, &[]);
    }
}
