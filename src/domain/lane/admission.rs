//! How jobs come to a lane and leave it on request: what becomes of a request to scale, supersession, cancellation.
//!
//! [`Lane::admit`] must never change anything: plans are made with it, too.

use std::sync::Arc;

use super::super::access::Actor;
use super::super::history::ResourceEvent;
use super::super::job::{Ending, Goal, Job, OnConflict};
use super::super::job_id::JobId;
use super::super::waiting::Waiting;
use super::{Lane, Turn, end_job, words};

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
    /// What would become of a request for `goal`.
    pub fn admit(&self, goal: Goal, on_conflict: OnConflict, queue_length: usize) -> Admission {
        let Some(last) = self.queue.last().or(self.active.as_ref()) else {
            return Admission::Accept;
        };
        // A caller that supersedes the jobs in line does not want to join one that waits behind them.
        let at_once = self.queue.is_empty() || on_conflict != OnConflict::Supersede;
        if let Goal::Target(target) = goal
            && last.target == Some(target)
            && last.ending.is_none()
            && at_once
        {
            return Admission::Join(Arc::clone(last));
        }
        match on_conflict {
            OnConflict::Reject => Admission::Busy(Arc::clone(self.active.as_ref().unwrap_or(last))),
            OnConflict::Queue if self.queue.jobs().len() >= queue_length => Admission::QueueFull,
            OnConflict::Queue | OnConflict::Supersede => Admission::Accept,
        }
    }

    /// Takes in a job that [`Lane::admit`] accepts. It is among [`super::Outcome::jobs`] afterwards.
    pub fn submit(&mut self, mut job: Job, on_conflict: OnConflict, turn: &mut Turn) {
        let id = job.id;
        turn.note(id, words::accepted(&job));
        turn.record(ResourceEvent::JobAccepted { job: id, goal: job.goal, reason: job.reason.clone() });
        job.waiting = Some(Waiting::for_turn(job.deadline_at));
        self.event(turn, |lane, turn| {
            if on_conflict == OnConflict::Supersede {
                lane.supersede(id, turn);
            }
            lane.queue.push(Arc::new(job));
        });
        // Unless its turn has come at once.
        if self.queue.last().is_some_and(|queued| queued.id == id) {
            turn.outcome.jobs.extend(self.queue.hand_out_last());
        }
    }

    fn supersede(&mut self, by: JobId, turn: &mut Turn) {
        for job in self.queue.take() {
            end_job(job, Ending::Superseded { by }, turn);
        }
        if let Some(active) = &mut self.active
            && active.ending.is_none()
        {
            Arc::make_mut(active).ending = Some(Ending::Superseded { by });
        }
    }

    /// Cancels the unfinished job `id` for `by`; whether there is one. If that changed it, it is among [`super::Outcome::jobs`].
    pub fn cancel(&mut self, id: JobId, by: Option<Actor>, turn: &mut Turn) -> bool {
        if let Some(mut queued) = self.queue.remove(id) {
            Arc::make_mut(&mut queued).canceled_by = by;
            end_job(queued, Ending::Canceled, turn);
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
