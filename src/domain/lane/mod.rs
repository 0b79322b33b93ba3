//! A lane: the state machine of one resource.
//!
//! It owns the resource's unfinished jobs, its change state and its unresolved change, takes events with the time at which
//! they happened, and says what to commit, read, send, and when to wake it. It performs none of that itself, so that
//! live running, recovery after a crash and simulation all go through these same transitions.
//!
//! What it must never do: send a change whose intent is not committed (a change is returned by
//! [`Lane::on_intent_committed`] alone), send one again, or have two unresolved. There is one place for the unresolved
//! change, and it must be empty before a new one is intended.
//!
//! One task per job, the obvious alternative, would hide these states in the stack of an async function, where neither
//! a store nor a test can see them.

mod admission;
mod change;
mod judge;
mod pace;
mod queue;
mod record;
mod response;
mod restart;
mod retarget;
mod turn;
mod watch;
mod words;

use std::collections::VecDeque;
use std::sync::Arc;

use super::alias::Alias;
use super::capacity::{Capacity, Move};
use super::change_state::{Change, ChangeState, SentChange};
use super::estimate::estimate_completion;
use super::history::ResourceEvent;
use super::job::{Ending, Job, JobState};
use super::job_id::JobId;
use super::reading::{ReadFailure, Reading};
use super::step_durations::StepDurations;
use super::time::Timestamp;
use super::waiting::WaitReason;
pub use admission::Admission;
use queue::Queue;
pub use record::LaneRecord;
pub use response::{ChangeAnswer, GroupedAnswer};
pub use turn::{Call, CallId, Notice, Outcome, Turn};
use watch::WatchedChange;

/// What the lane is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Activity {
    /// Nothing yet, or not any more.
    Idle,
    /// Waiting to read.
    Sleeping { until: Timestamp },
    /// A reading was asked for.
    Reading { call: CallId },
    /// An intent is on its way to the disk.
    Committing,
    /// A change is on its way to the sidecar.
    Sending { call: CallId },
}

/// What follows an event for the active job.
enum Next {
    Sleep(Timestamp),
    End(Ending),
    Intend(Move),
}

/// The state machine of one resource. See the module's documentation.
#[derive(Debug)]
pub struct Lane {
    resource: Alias,
    change_state: ChangeState,
    change: Option<Change>,
    step_durations: StepDurations,
    watched: Option<WatchedChange>,
    active: Option<Arc<Job>>,
    /// `active` as it was last handed out to be committed.
    handed_out: Option<Arc<Job>>,
    queue: Queue,
    activity: Activity,
    failed_reads: u32,
    not_found_reads: u32,
}

impl Lane {
    /// The lane of a resource that was never scaled.
    pub fn new(resource: Alias) -> Self {
        Self::restore(LaneRecord::new(resource), [])
    }

    /// The lane as a store remembers it; `jobs` are its unfinished jobs in order of submission. [`Lane::recover`] must
    /// be its first event.
    pub fn restore(record: LaneRecord, jobs: impl IntoIterator<Item = Arc<Job>>) -> Self {
        let (mut active, mut queue) = (None, VecDeque::new());
        for job in jobs {
            match job.state {
                JobState::Running if active.is_none() => active = Some(job),
                // Of two that run, which no gateway leaves behind, the second one waits for its turn.
                JobState::Running | JobState::Queued => queue.push_back(job),
                // What has ended stays so.
                JobState::Ended(_) => {}
            }
        }
        Self {
            resource: record.resource,
            change_state: record.change_state,
            change: record.change,
            step_durations: record.step_durations,
            watched: None,
            handed_out: active.clone(),
            active,
            queue: Queue::of(queue),
            activity: Activity::Idle,
            failed_reads: 0,
            not_found_reads: 0,
        }
    }

    /// The resource.
    pub fn resource(&self) -> &Alias {
        &self.resource
    }

    /// The part of the lane that must survive a restart.
    pub fn record(&self) -> LaneRecord {
        LaneRecord {
            resource: self.resource.clone(),
            change_state: self.change_state,
            change: self.change,
            step_durations: self.step_durations.clone(),
        }
    }

    /// What earlier changes mean for later ones.
    pub fn change_state(&self) -> &ChangeState {
        &self.change_state
    }

    /// The unresolved change.
    pub fn change(&self) -> Option<&Change> {
        self.change.as_ref()
    }

    /// How long its steps took.
    pub fn step_durations(&self) -> &StepDurations {
        &self.step_durations
    }

    /// The job being worked on.
    pub fn active(&self) -> Option<&Arc<Job>> {
        self.active.as_ref()
    }

    /// The jobs waiting for their turn, in order.
    pub fn queue(&self) -> impl ExactSizeIterator<Item = &Arc<Job>> {
        self.queue.jobs()
    }

    /// All its unfinished jobs, in the order of their turns.
    pub fn jobs(&self) -> impl Iterator<Item = &Arc<Job>> {
        self.active.iter().chain(self.queue.jobs())
    }

    /// Whether the lane can be forgotten: nothing about it has to be remembered, except perhaps how long its steps took.
    pub fn is_forgettable(&self, now: Timestamp) -> bool {
        self.active.is_none() && self.queue.is_empty() && self.change_state.is_forgettable(now)
    }

    /// When [`Lane::on_wake`] is due, if it is.
    pub fn wake_at(&self) -> Option<Timestamp> {
        let job_deadline = match self.activity {
            Activity::Committing | Activity::Sending { .. } => None,
            _ => self.active.as_ref().map(|job| job.deadline_at),
        };
        let reading = match self.activity {
            Activity::Sleeping { until } => Some(until),
            _ => None,
        };
        self.queue.earliest_deadline().into_iter().chain(job_deadline).chain(reading).min()
    }

    /// Whether it may decide on a change by `at`: it is being read for the active job, or will be.
    pub fn decides_by(&self, at: Timestamp) -> bool {
        match self.activity {
            Activity::Sleeping { until } => self.change.is_none() && until <= at,
            Activity::Reading { .. } => self.change.is_none(),
            Activity::Idle | Activity::Committing | Activity::Sending { .. } => false,
        }
    }

    /// The unfinished job `id`.
    pub fn job(&self, id: JobId) -> Option<&Arc<Job>> {
        self.jobs().find(|job| job.id == id)
    }

    /// The time of [`Lane::wake_at`] has come.
    pub fn on_wake(&mut self, turn: &mut Turn) {
        self.event(turn, |_, _| {});
    }

    /// The answer to [`Call::Read`].
    pub fn on_reading(&mut self, call: CallId, reading: Result<Reading, ReadFailure>, turn: &mut Turn) {
        if self.activity != (Activity::Reading { call }) {
            return;
        }
        self.event(turn, |lane, turn| {
            let Some(mut job) = lane.active.take() else { return };
            let next = match reading {
                Ok(reading) => {
                    let next = lane.judge(Arc::make_mut(&mut job), &reading, turn);
                    lane.watched.iter_mut().for_each(|watched| watched.hear(reading.received_at));
                    next
                }
                Err(failure) => lane.on_read_failure(Arc::make_mut(&mut job), failure, turn),
            };
            lane.active = Some(job);
            lane.follow(next, turn);
        });
    }

    fn follow(&mut self, next: Next, turn: &mut Turn) {
        match next {
            Next::Sleep(until) => self.activity = Activity::Sleeping { until },
            Next::End(ending) => self.end_active(ending, turn),
            Next::Intend(movement) => self.intend(movement, turn),
        }
    }

    fn end_active(&mut self, ending: Ending, turn: &mut Turn) {
        self.activity = Activity::Idle;
        self.handed_out = None;
        if let Some(mut job) = self.active.take() {
            // A job that is to be canceled or superseded ends as that, whatever else befell it meanwhile.
            let ending = Arc::make_mut(&mut job).ending.take().unwrap_or(ending);
            end_job(job, ending, turn);
        }
    }

    /// Goes through one event: after what happens it moves on as far as possible without waiting, and hands out what has
    /// changed.
    fn event(&mut self, turn: &mut Turn, happens: impl FnOnce(&mut Self, &mut Turn)) {
        let before = self.durable_state();
        happens(self, turn);
        self.advance(turn);
        turn.outcome.record |= self.durable_state() != before;
        self.hand_out(turn);
    }

    /// What of the lane's record is worth a commit when it changes. A later `fresh_from` alone is not, although it changes with every
    /// reading: should an older reading pass after a restart, `expected` still keeps it from being believed before the
    /// last change has settled.
    fn durable_state(&self) -> (Option<SentChange>, Option<Capacity>, Option<Change>) {
        (self.change_state.last_change, self.change_state.expected, self.change)
    }

    fn advance(&mut self, turn: &mut Turn) {
        self.expire_queue(turn);
        while !matches!(self.activity, Activity::Committing | Activity::Sending { .. }) {
            if self.active.is_none() && !self.start_next(turn) {
                self.activity = Activity::Idle;
                return;
            }
            match self.due_ending(turn.now) {
                Some(ending) => self.end_active(ending, turn),
                None => break,
            }
        }
        let due = match self.activity {
            Activity::Idle => true,
            Activity::Sleeping { until } => until <= turn.now,
            Activity::Reading { .. } | Activity::Committing | Activity::Sending { .. } => false,
        };
        if due {
            let call = turn.call(Call::Read);
            self.activity = Activity::Reading { call };
        }
    }

    fn expire_queue(&mut self, turn: &mut Turn) {
        for job in self.queue.remove_expired(turn.now) {
            let error = words::deadline_exceeded(&job);
            end_job(job, Ending::Failed(error), turn);
        }
    }

    fn start_next(&mut self, turn: &mut Turn) -> bool {
        let Some(mut next) = self.queue.pop() else { return false };
        self.handed_out = (next.version > 0).then(|| Arc::clone(&next));
        let job = Arc::make_mut(&mut next);
        job.state = JobState::Running;
        job.started_at = Some(turn.now);
        let limit = job.wait_limit_from(turn.now);
        job.wait_deadlines.reading_by = Some(limit);
        job.wait(WaitReason::Sidecar, limit, "Asked for the current capacity.".into());
        turn.note(job.id, "started".into());
        turn.record(ResourceEvent::JobStarted { job: job.id });
        self.active = Some(next);
        self.activity = Activity::Idle;
        self.failed_reads = 0;
        self.not_found_reads = 0;
        true
    }

    fn due_ending(&self, now: Timestamp) -> Option<Ending> {
        let job = self.active.as_ref()?;
        if job.deadline_at <= now {
            return Some(Ending::Failed(words::deadline_exceeded(job)));
        }
        job.ending.clone().filter(|_| self.change.is_none_or(|change| change.job != job.id))
    }

    /// Hands the active job out to be committed if it has changed since the last time.
    fn hand_out(&mut self, turn: &mut Turn) {
        let change = self.change;
        let Some(active) = &mut self.active else { return };
        if let Some(handed_out) = self.handed_out.as_ref().filter(|handed_out| *handed_out == active) {
            // One and the same again, rather than two that are alike.
            *active = Arc::clone(handed_out);
            return;
        }
        let in_flight = change.filter(|change| change.job == active.id).map(|change| change.movement);
        let job = Arc::make_mut(active);
        job.version += 1;
        job.updated_at = turn.now;
        job.estimated_completion_at =
            estimate_completion(job, &self.change_state, &self.step_durations, in_flight, turn.now);
        self.handed_out = Some(Arc::clone(active));
        turn.outcome.jobs.push(Arc::clone(active));
    }
}

/// `job` in its next version.
fn next_version(job: &mut Arc<Job>, now: Timestamp) -> Arc<Job> {
    let next = Arc::make_mut(job);
    next.version += 1;
    next.updated_at = now;
    Arc::clone(job)
}

fn end_job(mut job: Arc<Job>, ending: Ending, turn: &mut Turn) {
    let message = words::ended(&ending);
    if matches!(ending, Ending::Failed(_)) {
        turn.warn(job.id, message)
    } else {
        turn.note(job.id, message)
    }
    turn.record(ResourceEvent::JobEnded { job: job.id, ending: ending.clone() });
    let ended = Arc::make_mut(&mut job);
    ended.end(ending, turn.now);
    turn.outcome.jobs.push(next_version(&mut job, turn.now));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Goal, JobRequest, Settings};

    /// Not even a store that was damaged makes a job that no lane works on.
    #[test]
    fn of_two_jobs_that_run_the_second_waits_for_its_turn() {
        let job = |id| {
            let request = JobRequest::for_worker(Goal::Target(Capacity::ZERO));
            let job = Job::accept(JobId::from_u128(id), request, Settings::DEFAULT, Timestamp::from_millis(0));
            Arc::new(Job { state: JobState::Running, ..job })
        };
        let lane = Lane::restore(LaneRecord::new(job(1).resource.clone()), [job(1), job(2)]);
        assert_eq!(lane.active(), Some(&job(1)));
        assert_eq!(lane.queue().map(|job| job.id).collect::<Vec<_>>(), [JobId::from_u128(2)]);
    }
}
