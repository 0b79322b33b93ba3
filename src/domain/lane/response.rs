//! What the sidecar's answer to a change means for the active job.

use super::super::change_state::{Change, Stage};
use super::super::history::ResourceEvent;
use super::super::job::{Ending, ErrorCode, Job, JobError, LastChangeError, StepOutcome};
use super::super::reading::SidecarAnswer;
use super::super::waiting::WaitReason;
use super::{Lane, Next, Turn, WatchedChange, pace};

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

/// The sidecar's answer to a request that changes several resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupedAnswer {
    /// What it says of each change, in their order.
    pub answers: Vec<ChangeAnswer>,
    /// Whether the sidecar takes such requests at all, as far as can be told.
    pub has_path: bool,
}

impl Lane {
    /// What the sidecar's `answer` to `change` means.
    pub(super) fn on_change_response(
        &mut self,
        job: &mut Job,
        mut change: Change,
        answer: ChangeAnswer,
        turn: &mut Turn,
    ) -> Next {
        let now = turn.now;
        let movement = change.movement;
        let reached_sidecar = !matches!(answer, ChangeAnswer::NotSent { .. });
        if reached_sidecar {
            change.ended(now);
            change.sent = self.change_state.record_sent(change.sent);
            self.watched = Some(WatchedChange::new(&change));
            job.wait_deadlines.active_by = Some(job.wait_limit_from(change.sent.at));
        }
        match answer {
            ChangeAnswer::NotSent { detail } => {
                turn.warn(job.id, format!("{movement} not sent: {detail}"));
                self.resolve(job, StepOutcome::NotApplied, turn);
                let retry_at = now + pace::backoff(job, u32::try_from(job.fruitless_steps()).unwrap_or(u32::MAX));
                job.wait(WaitReason::Sidecar, retry_at, format!("{movement} could not be sent: {detail}."));
                job.last_change_error = Some(LastChangeError { detail, answer: None });
                Next::Sleep(retry_at)
            }
            ChangeAnswer::Acknowledged => {
                turn.note(job.id, format!("{movement} accepted by the sidecar"));
                self.watched.iter_mut().for_each(|watched| watched.hear(now));
                change.stage = Stage::Acknowledged;
                self.change = Some(change);
                // The answer may come after the timeout: one reading is due even then, at once.
                let limit = change.give_up_at().max(now);
                job.wait(WaitReason::Change, limit, format!("Accepted {movement}; waiting for it to show."));
                Next::Sleep(pace::next_reading(job, &self.change_state, movement.to, now).min(limit))
            }
            ChangeAnswer::Rejected(answer) => {
                self.resolve(job, StepOutcome::Rejected, turn);
                self.change_state.expected = Some(movement.from);
                Next::End(Ending::Failed(JobError {
                    code: ErrorCode::SidecarRejected,
                    message: format!("The sidecar refused {movement} with status {}.", answer.status),
                    sidecar: Some(answer),
                }))
            }
            ChangeAnswer::Unknown { detail, answer } => {
                turn.warn(job.id, format!("{movement} has an unknown outcome: {detail}"));
                change.stage = Stage::Unknown { since: now };
                self.change = Some(change);
                let settled_at = change.sent.settled_at().max(now);
                job.wait(
                    WaitReason::Settle,
                    change.give_up_at(),
                    format!(
                        "Whether {movement} took effect is unknown ({detail}) and can be told from {settled_at} on."
                    ),
                );
                job.last_change_error = Some(LastChangeError { detail, answer });
                Next::Sleep(settled_at)
            }
        }
    }

    /// Clears the unresolved change and notes its outcome on the step of the job that made it.
    pub(super) fn resolve(&mut self, job: &mut Job, outcome: StepOutcome, turn: &mut Turn) {
        let Some(change) = self.change.take() else { return };
        if outcome != StepOutcome::Confirmed {
            self.watched = None;
        }
        turn.record(ResourceEvent::ChangeResolved { job: change.job, movement: change.movement, outcome });
        if change.job == job.id
            && let Some(step) = job.steps.last_mut()
        {
            step.outcome = outcome;
            step.resolved_at = Some(turn.now);
        }
    }
}
