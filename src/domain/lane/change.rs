//! The only way to a change: intend it, commit that, send it once, hear the answer.
//!
//! [`Lane::on_intent_committed`] must stay the only function that asks for a change to be sent.

use std::sync::Arc;

use super::super::capacity::Move;
use super::super::change_state::{Change, MAX_INTENT_AGE};
use super::super::history::ResourceEvent;
use super::super::job::{Step, StepOutcome};
use super::super::waiting::WaitReason;
use super::{Activity, Call, CallId, ChangeAnswer, Lane, Turn};

impl Lane {
    pub(super) fn intend(&mut self, movement: Move, turn: &mut Turn) {
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

    /// The commit with [`super::Outcome::intent`] is on disk.
    pub fn on_intent_committed(&mut self, turn: &mut Turn) {
        if self.activity == Activity::Committing {
            self.event(turn, Self::send_or_withdraw);
        }
    }

    fn send_or_withdraw(&mut self, turn: &mut Turn) {
        let (Some(mut active), Some(mut change)) = (self.active.take(), self.change) else { return };
        let job = Arc::make_mut(&mut active);
        let withdrawn = !turn.may_send || job.ending.is_some() || job.deadline_at <= turn.now;
        // A policy may have given the job another target since.
        let withdrawn = withdrawn || !job.target.is_some_and(|target| change.movement.is_toward(target));
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
}
