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

mod judge;
mod pace;
mod queue;
mod response;
mod restart;
mod words;

use std::collections::VecDeque;
use std::sync::Arc;

use super::access::Actor;
use super::alias::Alias;
use super::capacity::{Capacity, Move};
use super::change_state::{Change, ChangeState, MAX_INTENT_AGE, SentChange};
use super::estimate::estimate_completion;
use super::history::{HistoryEntry, ResourceEvent};
use super::job::{Ending, Goal, Job, JobState, OnConflict, Step, StepOutcome};
use super::job_id::JobId;
use super::reading::{ReadFailure, Reading, SidecarAnswer};
use super::scaling::ResourceConfig;
use super::settings::Settings;
use super::time::Timestamp;
use super::waiting::{WaitReason, Waiting};
use queue::Queue;

/// Identifies a call to the sidecar, so that an answer that comes after its question has lost its meaning is not taken
/// for the answer to a later one.
pub type CallId = u64;

/// The part of a lane, besides its jobs, that must survive a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneRecord {
    /// The resource.
    pub resource: Alias,
    /// What earlier changes mean for later ones.
    pub change_state: ChangeState,
    /// The unresolved change.
    pub change: Option<Change>,
}

impl LaneRecord {
    /// The lane of a `resource` of which nothing is remembered.
    pub fn new(resource: Alias) -> Self {
        Self { resource, change_state: ChangeState::default(), change: None }
    }

    /// Fits it to a store that was restored at `at`: between the backup and that moment, changes may have been sent that are not
    /// recorded. Jobs of the resource have these `settings`. What was sent after the restore is recorded, and stays as it is.
    pub fn suppose_unknown_change(&mut self, at: Timestamp, settings: &Settings) {
        self.change_state.suppose_unknown_change(at, settings);
        if let Some(change) = &mut self.change {
            change.suppose_unknown(at, settings);
        }
    }
}

/// The sidecar's answer to a change, as far as it tells whether the change takes effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeAnswer {
    /// Nothing was sent, for instance because the connection was refused.
    NotSent {
        /// What went wrong.
        detail: String,
    },
    /// It was accepted.
    Acknowledged,
    /// It was refused and has no effect.
    Rejected(SidecarAnswer),
    /// It may or may not take effect.
    Unknown {
        /// What went wrong.
        detail: String,
        /// The answer, if there was one.
        answer: Option<SidecarAnswer>,
    },
}

/// A call to be made to the sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Read the capacity.
    Read,
    /// Change it. The intent is committed.
    Change(Move),
}

/// What an event asks of the engine.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Jobs to be committed and then published, in their new version.
    pub jobs: Vec<Arc<Job>>,
    /// Whether the lane's record is to be committed with them.
    pub record: bool,
    /// Whether that commit is the intent of a change; if so, [`Lane::on_intent_committed`] must follow it.
    pub intent: bool,
    /// A call to be made now.
    pub call: Option<(CallId, Call)>,
    /// What happened to the resource, to be committed with the rest.
    pub history: Vec<HistoryEntry>,
    /// What happened, for the log.
    pub notices: Vec<Notice>,
}

/// Something worth a line in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The job concerned.
    pub job: JobId,
    /// Whether an operator should look at it.
    pub warning: bool,
    /// What happened and why, in a sentence.
    pub message: String,
}

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

/// The circumstances of an event.
pub struct Turn<'a> {
    /// When it happened.
    pub now: Timestamp,
    /// The operator's rules for the resource.
    pub rules: ResourceConfig,
    /// Whether changes may be sent; not so while the process stops.
    pub may_send: bool,
    /// The id of the next call to the sidecar.
    pub next_call: &'a mut CallId,
    /// What is to be done.
    pub outcome: Outcome,
}

impl<'a> Turn<'a> {
    /// A turn at `now` in which nothing has happened yet.
    pub fn new(now: Timestamp, rules: ResourceConfig, may_send: bool, next_call: &'a mut CallId) -> Self {
        Self { now, rules, may_send, next_call, outcome: Outcome::default() }
    }

    fn call(&mut self, call: Call) -> CallId {
        let id = *self.next_call;
        *self.next_call += 1;
        self.outcome.call = Some((id, call));
        id
    }

    fn record(&mut self, what: ResourceEvent) {
        self.outcome.history.push(HistoryEntry { at: self.now, what });
    }

    fn note(&mut self, job: JobId, message: String) {
        self.outcome.notices.push(Notice { job, warning: false, message });
    }

    fn warn(&mut self, job: JobId, message: String) {
        self.outcome.notices.push(Notice { job, warning: true, message });
    }
}

/// The state machine of one resource. See the module's documentation.
#[derive(Debug)]
pub struct Lane {
    resource: Alias,
    change_state: ChangeState,
    change: Option<Change>,
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
                JobState::Running | JobState::Queued | JobState::Ended(_) => queue.push_back(job),
            }
        }
        Self {
            resource: record.resource,
            change_state: record.change_state,
            change: record.change,
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
        LaneRecord { resource: self.resource.clone(), change_state: self.change_state, change: self.change }
    }

    /// What earlier changes mean for later ones.
    pub fn change_state(&self) -> &ChangeState {
        &self.change_state
    }

    /// The unresolved change.
    pub fn change(&self) -> Option<&Change> {
        self.change.as_ref()
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

    /// Whether nothing is lost if the lane is forgotten.
    pub fn is_forgettable(&self, now: Timestamp) -> bool {
        self.active.is_none() && self.queue.is_empty() && self.change_state.is_forgettable(now)
    }

    /// When [`Lane::wake`] is due, if it is.
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

    /// What would become of a request for `goal`.
    pub fn admit(&self, goal: Goal, on_conflict: OnConflict, queue_length: usize) -> Admission {
        let Some(last) = self.queue.last().or(self.active.as_ref()) else {
            return Admission::Accept;
        };
        // Joining a job that waits behind others would not be what somebody wants who supersedes them.
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

    /// Takes in a job that [`Lane::admit`] accepts. It is among [`Outcome::jobs`] afterwards.
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

    /// Cancels the unfinished job `id` for `by`; whether there is one. If that changed it, it is among [`Outcome::jobs`].
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

    /// The unfinished job `id`.
    pub fn job(&self, id: JobId) -> Option<&Arc<Job>> {
        self.jobs().find(|job| job.id == id)
    }

    /// The time of [`Lane::wake_at`] has come.
    pub fn wake(&mut self, turn: &mut Turn) {
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
                Ok(reading) => lane.judge(Arc::make_mut(&mut job), &reading, turn),
                Err(failure) => lane.on_read_failure(Arc::make_mut(&mut job), failure, turn),
            };
            lane.active = Some(job);
            lane.follow(next, turn);
        });
    }

    /// The commit with [`Outcome::intent`] is on disk.
    pub fn on_intent_committed(&mut self, turn: &mut Turn) {
        if self.activity == Activity::Committing {
            self.event(turn, Self::send_or_withdraw);
        }
    }

    fn send_or_withdraw(&mut self, turn: &mut Turn) {
        let (Some(mut active), Some(mut change)) = (self.active.take(), self.change) else { return };
        let job = Arc::make_mut(&mut active);
        let withdrawn = !turn.may_send || job.ending.is_some() || job.deadline_at <= turn.now;
        if withdrawn || turn.now.since(change.sent.at) > MAX_INTENT_AGE {
            turn.note(job.id, format!("{} withdrawn before it was sent", change.movement));
            self.resolve(job, StepOutcome::NotApplied, turn);
            self.activity = Activity::Sleeping { until: turn.now };
        } else {
            change.sent.at = turn.now;
            if let Some(step) = job.steps.last_mut() {
                step.sent_at = Some(turn.now);
            }
            job.wait(
                WaitReason::Change,
                change.give_up_at(),
                format!("Sent {}; waiting for the sidecar's answer.", change.movement),
            );
            turn.note(job.id, format!("sending {}", change.movement));
            turn.record(ResourceEvent::ChangeSent { job: job.id, movement: change.movement });
            self.change = Some(change);
            let call = turn.call(Call::Change(change.movement));
            self.activity = Activity::Sending { call };
        }
        self.active = Some(active);
    }

    /// The answer to [`Call::Change`].
    pub fn on_change_answer(&mut self, call: CallId, answer: ChangeAnswer, turn: &mut Turn) {
        if self.activity != (Activity::Sending { call }) {
            return;
        }
        self.event(turn, |lane, turn| {
            let (Some(mut active), Some(change)) = (lane.active.take(), lane.change) else { return };
            let next = lane.on_change_response(Arc::make_mut(&mut active), change, answer, turn);
            lane.active = Some(active);
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

    fn intend(&mut self, movement: Move, turn: &mut Turn) {
        debug_assert!(self.change.is_none(), "an unresolved change precedes a new one");
        let Some(active) = &mut self.active else { return };
        let job = Arc::make_mut(active);
        let change = Change::intended(job, movement, turn.now);
        job.steps.push(Step::pending(movement));
        job.wait(WaitReason::Change, change.give_up_at(), format!("About to send {movement}."));
        self.change = Some(change);
        self.activity = Activity::Committing;
        turn.outcome.intent = true;
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
        job.estimated_completion_at = estimate_completion(job, &self.change_state, in_flight, turn.now);
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
    use crate::domain::{JobRequest, Settings};

    /// Not even a store that was damaged makes a job that nobody works on.
    #[test]
    fn of_two_jobs_that_run_the_second_waits_for_its_turn() {
        let job = |id| {
            let request = JobRequest::for_worker(Goal::Target(Capacity::ZERO));
            let job = Job::accept(JobId::from_u128(id), request, Settings::DEFAULT, Timestamp::from_millis(0));
            Arc::new(Job { state: JobState::Running, ..job })
        };
        let record =
            LaneRecord { resource: job(1).resource.clone(), change_state: ChangeState::default(), change: None };
        let lane = Lane::restore(record, [job(1), job(2)]);
        assert_eq!(lane.active(), Some(&job(1)));
        assert_eq!(lane.queue().map(|job| job.id).collect::<Vec<_>>(), [JobId::from_u128(2)]);
    }
}
