//! How jobs come to a lane and leave it on request: what becomes of a request to scale, supersession, cancellation.
//!
//! [`Lane::admit`] must never change anything: plans are made with it, too.

use std::collections::VecDeque;
use std::sync::Arc;

use super::super::access::Actor;
use super::super::history::ResourceEvent;
use super::super::job::{Ending, Goal, Job, OnConflict};
use super::super::job_id::JobId;
use super::super::waiting::Waiting;
use super::queue::Queue;
use super::{Lane, Turn, end_job, next_version, words};

/// What becomes of a request to scale a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It becomes a job.
    Accept,
    /// An unfinished job with the same target does it already.
    Join(Arc<Job>),
    /// The resource is busy with this job.
    Busy(Arc<Job>),
    /// Too many jobs are waiting.
    QueueFull,
}

impl Lane {
    /// The unfinished jobs that people submitted.
    pub fn jobs_of_people(&self) -> impl Iterator<Item = &Arc<Job>> {
        self.jobs().filter(|job| !job.is_of_policy())
    }

    /// Whether the policy of the resource may submit a job.
    ///
    /// # Errors
    /// The unfinished job of a person that comes before it.
    pub fn admit_policy(&self) -> Result<(), Arc<Job>> {
        self.jobs_of_people().next().map_or(Ok(()), |job| Err(Arc::clone(job)))
    }

    /// What would become of a person's request for `goal`. The job of a policy stops no request: it makes room.
    pub fn admit(&self, goal: Goal, on_conflict: OnConflict, queue_length: usize) -> Admission {
        let (Some(first), Some(last)) = (self.jobs_of_people().next(), self.jobs_of_people().last()) else {
            return Admission::Accept;
        };
        // A caller that supersedes the jobs in line does not want to join one that waits behind them.
        let at_once = first.id == last.id || on_conflict != OnConflict::Supersede;
        if let Goal::Target(target) = goal
            && last.target == Some(target)
            && last.ending.is_none()
            && last.membership.is_none()
            && at_once
        {
            return Admission::Join(Arc::clone(last));
        }
        self.admit_member(on_conflict, queue_length)
    }

    /// What would become of a member of a group, which joins no job.
    pub fn admit_member(&self, on_conflict: OnConflict, queue_length: usize) -> Admission {
        let Some(first) = self.jobs_of_people().next() else { return Admission::Accept };
        match on_conflict {
            OnConflict::Reject => Admission::Busy(Arc::clone(first)),
            OnConflict::Queue if self.queued_of_people() >= queue_length => Admission::QueueFull,
            OnConflict::Queue | OnConflict::Supersede => Admission::Accept,
        }
    }

    fn queued_of_people(&self) -> usize {
        self.queue.jobs().filter(|job| !job.is_of_policy()).count()
    }

    /// Takes in a job that [`Lane::admit`] or [`Lane::admit_policy`] accepts. The job of a policy ends as superseded by it. It is among [`super::Outcome::jobs`] afterwards.
    pub fn submit(&mut self, mut job: Job, on_conflict: OnConflict, turn: &mut Turn) {
        let id = job.id;
        turn.note(id, words::accepted(&job));
        turn.record(ResourceEvent::JobAccepted { job: id, goal: job.goal, reason: job.reason.clone() });
        job.waiting = Some(wait_of_queued(&job));
        self.event(turn, |lane, turn| {
            match on_conflict {
                OnConflict::Supersede => lane.supersede(id, |_| true, turn),
                OnConflict::Reject | OnConflict::Queue => lane.supersede(id, Job::is_of_policy, turn),
            }
            lane.queue.push(Arc::new(job));
        });
        // Unless its turn has come at once.
        if self.queue.last().is_some_and(|queued| queued.id == id) {
            turn.outcome.jobs.extend(self.queue.hand_out_last());
        }
    }

    /// The stage of the queued job `id` has begun. If that changed it, it is among [`super::Outcome::jobs`].
    pub fn begin_stage(&mut self, id: JobId, turn: &mut Turn) {
        if !self.queue.jobs().any(|job| job.id == id && job.awaits_stage()) {
            return;
        }
        turn.note(id, "its stage has begun".into());
        self.event(turn, |lane, _| {
            lane.queue.for_each(|job| {
                if job.id == id
                    && let Some(membership) = &mut Arc::make_mut(job).membership
                {
                    membership.awaits_stage = false;
                }
            });
        });
        // Unless its turn has come at once.
        self.queue.for_each(|job| {
            if job.id == id {
                let waiting = wait_of_queued(job);
                Arc::make_mut(job).waiting = Some(waiting);
                turn.outcome.jobs.push(next_version(job, turn.now));
            }
        });
    }

    /// Ends the unfinished jobs that are `meant`.
    fn supersede(&mut self, by: JobId, meant: impl Fn(&Job) -> bool, turn: &mut Turn) {
        let (ended, kept) = self.queue.take().into_iter().partition(|job| meant(job));
        self.queue = Queue::of(kept);
        let ended: VecDeque<Arc<Job>> = ended;
        for job in ended {
            end_job(job, Ending::Superseded { by }, turn);
        }
        if let Some(active) = &mut self.active
            && active.ending.is_none()
            && meant(active)
        {
            Arc::make_mut(active).ending = Some(Ending::Superseded { by });
        }
    }

    /// Cancels the unfinished job `id` for `by`; whether there is one. If that changed it, it is among [`super::Outcome::jobs`].
    pub fn cancel(&mut self, id: JobId, by: Option<Actor>, turn: &mut Turn) -> bool {
        if let Some(mut queued) = self.queue.remove(id) {
            Arc::make_mut(&mut queued).canceled_by = by;
            end_job(queued, Ending::Canceled, turn);
            // One that waited for its stage kept those behind it waiting.
            self.event(turn, |_, _| {});
            return true;
        }
        let Some(active) = self.active.as_mut().filter(|active| active.id == id) else { return false };
        if active.ending.is_none() {
            let active = Arc::make_mut(active);
            active.ending = Some(Ending::Canceled);
            active.canceled_by = by;
            turn.note(id, "cancel requested".into());
            self.event(turn, |_, _| {});
        }
        true
    }
}

fn wait_of_queued(job: &Job) -> Waiting {
    if job.awaits_stage() { Waiting::for_stage(job.deadline_at) } else { Waiting::for_turn(job.deadline_at) }
}
