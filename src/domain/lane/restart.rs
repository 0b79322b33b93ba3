//! How a lane begins in a new process: what the one before left behind is settled with what the store knows, and held to the
//! limits of settings that the operator has set since.
//!
//! It must never take anything for done that is not recorded: a change that may have been sent counts as one of unknown outcome.

use std::collections::HashSet;
use std::sync::Arc;

use super::super::change_state::{MAX_DISPATCH, MAX_INTENT_AGE, Stage};
use super::super::history::{HistoryEntry, ResourceEvent};
use super::super::job::Job;
use super::super::job_id::JobId;
use super::super::time::Timestamp;
use super::super::waiting::{WaitReason, Waiting};
use super::{Activity, Lane, Turn, next_version, pace, words};

impl Lane {
    /// The first event after [`Lane::restore`]: whatever was under way when the process died is settled with what the
    /// store knows. A job in the middle of a cooldown goes on waiting, and reads only somewhat later: nothing can be done
    /// sooner, and after a restart with very many jobs all of them would ask for readings at once.
    pub fn recover(&mut self, turn: &mut Turn) {
        let mut held = HashSet::new();
        self.event(turn, |lane, turn| {
            lane.settle_after_restart(turn);
            held = lane.hold_to_limits(turn);
            if let Some(until) = lane.cooldown_shown().filter(|until| *until > turn.now) {
                lane.activity = Activity::Sleeping { until: lane.first_reading_before(until, turn.now) };
            }
        });
        // The active one is handed out like after every event.
        if !held.is_empty() {
            self.queue.for_each(|job| {
                if held.contains(&job.id) {
                    turn.outcome.jobs.push(next_version(job, turn.now));
                }
            });
        }
    }

    /// Gives everything that an earlier process left behind as much care as the operator asks for now: the limits may have been
    /// tightened since. What they ask for is then kept in the jobs, so that all that reckons with their settings, and all who
    /// look at them, see the same. The jobs that it changed.
    fn hold_to_limits(&mut self, turn: &mut Turn) -> HashSet<JobId> {
        let limits = turn.rules.setting_limits;
        self.change_state.last_change.iter_mut().for_each(|last| last.hold_to(&limits));
        self.change.iter_mut().for_each(|change| change.sent.hold_to(&limits));
        let mut held = HashSet::new();
        let mut hold = |job: &mut Arc<Job>| {
            let (before, after) = (job.settings, job.settings.within(&limits));
            if before != after {
                turn.note(job.id, words::held_to_limits(&before, &after));
                Arc::make_mut(job).settings = after;
                held.insert(job.id);
            }
        };
        self.queue.for_each(&mut hold);
        let Some(active) = &mut self.active else { return held };
        hold(active);
        let is_cooling = active.waiting.as_ref().is_some_and(|waiting| waiting.reason == WaitReason::Cooldown);
        if held.contains(&active.id)
            && is_cooling
            && let Some(until) = self.change_state.next_change_at(active.settings.cooldown)
        {
            let after = self.change_state.last_change.map(|last| last.at);
            Arc::make_mut(active).waiting = Some(Waiting::for_cooldown(until, after));
        }
        held
    }

    fn first_reading_before(&self, until: Timestamp, now: Timestamp) -> Timestamp {
        self.active.as_ref().map_or(until, |job| pace::first_reading_before(job, until, now))
    }

    /// The end of the cooldown that the active job shows to wait for, if that is what it is to wait for.
    fn cooldown_shown(&self) -> Option<Timestamp> {
        let job = self.active.as_ref().filter(|job| job.ending.is_none() && self.change.is_none())?;
        let shown = job.waiting.as_ref().filter(|waiting| waiting.reason == WaitReason::Cooldown)?.until;
        self.change_state.next_change_at(job.settings.cooldown).filter(|end| *end == shown)
    }

    fn settle_after_restart(&mut self, turn: &mut Turn) {
        let now = turn.now;
        self.change_state.rebase(now);
        let rebase = |job: &mut Arc<Job>| {
            let settle = self.change_state.longest_settle(job.settings.settle);
            job.rebase(now, settle);
        };
        self.active.iter_mut().for_each(rebase);
        self.queue.for_each(rebase);
        if let Some(change) = &mut self.change {
            change.sent.at = change.sent.at.min(now);
            if change.stage == Stage::Intended {
                if let Some(active) = self.active.as_mut().filter(|active| active.id == change.job)
                    && let Some(step) = Arc::make_mut(active).steps.last_mut()
                    && step.sent_at.is_none()
                {
                    let at = change.sent.at;
                    step.sent_at = Some(at);
                    let what = ResourceEvent::ChangeSent { job: change.job, movement: change.movement };
                    turn.outcome.history.push(HistoryEntry { at, what });
                }
                // The intent's time is known, the time of sending is not: it is at most this much later.
                change.sent.at = (change.sent.at + MAX_INTENT_AGE + MAX_DISPATCH).min(now);
                change.stage = Stage::Unknown { since: now };
                change.sent = self.change_state.record_sent(change.sent);
                turn.warn(change.job, format!("restarted while {} was under way: reading back", change.movement));
            } else if let Stage::Unknown { since } = &mut change.stage {
                *since = (*since).min(now);
            }
        }
    }
}
