//! The jobs of a lane that wait for their turn.
//!
//! It knows the earliest of their deadlines at any time: a lane asks for it after every event, and looking through a long
//! queue each time took longer than anything else an event does. It looks through it only when a job leaves. Most lanes have
//! no queue; theirs takes no room.

use std::collections::VecDeque;
use std::sync::Arc;

use super::super::job::Job;
use super::super::job_id::JobId;
use super::super::time::Timestamp;

/// See the module's documentation. `None` if it is empty.
#[derive(Debug, Default)]
pub(super) struct Queue(Option<Box<Filled>>);

#[derive(Debug)]
struct Filled {
    /// At least one, in the order of their turns.
    jobs: VecDeque<Arc<Job>>,
    earliest_deadline: Timestamp,
}

impl Queue {
    /// A queue of these jobs.
    pub fn of(jobs: VecDeque<Arc<Job>>) -> Self {
        let earliest = jobs.iter().map(|job| job.deadline_at).min();
        Self(earliest.map(|earliest_deadline| Box::new(Filled { jobs, earliest_deadline })))
    }

    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub fn jobs(&self) -> impl ExactSizeIterator<Item = &Arc<Job>> {
        static EMPTY: VecDeque<Arc<Job>> = VecDeque::new();
        self.0.as_ref().map_or(&EMPTY, |filled| &filled.jobs).iter()
    }

    /// The one whose turn comes last.
    pub fn last(&self) -> Option<&Arc<Job>> {
        self.0.as_ref()?.jobs.back()
    }

    pub fn earliest_deadline(&self) -> Option<Timestamp> {
        self.0.as_ref().map(|filled| filled.earliest_deadline)
    }

    pub fn push(&mut self, job: Arc<Job>) {
        match &mut self.0 {
            Some(filled) => {
                filled.earliest_deadline = filled.earliest_deadline.min(job.deadline_at);
                filled.jobs.push_back(job);
            }
            None => *self = Self::of([job].into()),
        }
    }

    /// Takes out the one whose turn comes first.
    pub fn pop(&mut self) -> Option<Arc<Job>> {
        self.change(VecDeque::pop_front).flatten()
    }

    /// Takes out the job `id`.
    pub fn remove(&mut self, id: JobId) -> Option<Arc<Job>> {
        self.change(|jobs| jobs.iter().position(|job| job.id == id).and_then(|place| jobs.remove(place))).flatten()
    }

    /// Takes out all whose deadline is not after `now`, in their order.
    pub fn remove_expired(&mut self, now: Timestamp) -> VecDeque<Arc<Job>> {
        if self.earliest_deadline().is_none_or(|earliest| now < earliest) {
            return VecDeque::new();
        }
        let split = |jobs: &mut VecDeque<Arc<Job>>| {
            let (left, expired) = std::mem::take(jobs).into_iter().partition(|job| now < job.deadline_at);
            *jobs = left;
            expired
        };
        self.change(split).unwrap_or_default()
    }

    /// Takes out all of them.
    pub fn take(&mut self) -> VecDeque<Arc<Job>> {
        self.0.take().map(|filled| filled.jobs).unwrap_or_default()
    }

    /// Changes all of them, but not their order.
    pub fn for_each(&mut self, change: impl FnMut(&mut Arc<Job>)) {
        self.change(|jobs| jobs.iter_mut().for_each(change));
    }

    /// The one whose turn comes last, in its next version.
    pub fn hand_out_last(&mut self) -> Option<Arc<Job>> {
        let last = self.0.as_mut()?.jobs.back_mut()?;
        Arc::make_mut(last).version += 1;
        Some(Arc::clone(last))
    }

    /// What `change` returns, unless the queue is empty. Looks through what is left.
    fn change<T>(&mut self, change: impl FnOnce(&mut VecDeque<Arc<Job>>) -> T) -> Option<T> {
        let filled = self.0.as_mut()?;
        let outcome = change(&mut filled.jobs);
        match filled.jobs.iter().map(|job| job.deadline_at).min() {
            Some(earliest) => filled.earliest_deadline = earliest,
            None => self.0 = None,
        }
        Some(outcome)
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

    /// Whatever is done to it, it knows the earliest deadline without looking.
    #[track_caller]
    fn assert_holds(queue: &Queue, expected: &[u128]) {
        assert_eq!(ids(queue.jobs()), expected);
        assert_eq!(queue.is_empty(), expected.is_empty());
        assert_eq!(queue.last().map(|job| job.id.as_u128()), expected.last().copied());
        assert_eq!(queue.earliest_deadline(), queue.jobs().map(|job| job.deadline_at).min());
    }

    #[test]
    fn jobs_take_turns_and_the_earliest_deadline_is_known() {
        let mut queue = Queue::default();
        assert_holds(&queue, &[]);
        assert!(queue.pop().is_none() && queue.remove(JobId::from_u128(1)).is_none());
        for (id, deadline) in [(1, 50), (2, 10), (3, 70), (4, 20), (5, 10)] {
            queue.push(job(id, deadline));
        }
        assert_holds(&queue, &[1, 2, 3, 4, 5]);
        assert_eq!(queue.hand_out_last().map(|job| (job.id.as_u128(), job.version)), Some((5, 1)));
        assert_eq!(queue.last().map(|job| job.version), Some(1));
        assert_eq!(queue.pop().map(|job| job.id.as_u128()), Some(1));
        assert_holds(&queue, &[2, 3, 4, 5]);
        assert_eq!(ids(&queue.remove_expired(at(9))), []);
        assert_eq!(ids(&queue.remove_expired(at(10))), [2, 5]);
        assert_holds(&queue, &[3, 4]);
        assert!(queue.remove(JobId::from_u128(2)).is_none());
        assert!(queue.remove(JobId::from_u128(4)).is_some());
        assert_holds(&queue, &[3]);
        queue.for_each(|job| Arc::make_mut(job).deadline_at = at(5));
        assert_holds(&queue, &[3]);
        assert_eq!(ids(&queue.take()), [3]);
        assert_holds(&queue, &[]);
        assert_eq!(size_of::<Queue>(), size_of::<usize>());
    }
}
