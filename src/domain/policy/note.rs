//! What a caller should know when it submits or cancels a job: about an active policy, or that its alias may be misspelt.
//!
//! It is true of the job as it is at the time of the answer, so an answer that is given again is worked out again. Rejected: to
//! keep the note with the job, because the policy may change or end while the job stays as it is.

use super::super::alias::Alias;
use super::super::capacity::{Capacity, Op};
use super::super::job::{Ending, Job};
use super::super::time::Timestamp;
use super::state::AFTER_CANCEL;
use super::time_words::clock;

/// See the module's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobNote {
    /// The policy submits nothing until the job of a caller is over.
    PolicyWaits,
    /// The policy leaves a direction alone, because a person canceled its job.
    KeptAway {
        /// The direction.
        op: Op,
        /// Until when; not known before the job is over.
        until: Option<Timestamp>,
    },
    /// The gateway knows nothing about the resource of a new job so far: its alias may be misspelt.
    UnknownResource,
}

impl JobNote {
    /// What is to be said about `job` if the policy of its resource is active; the policy decided last at `capacity`.
    pub fn about(job: &Job, capacity: Option<Capacity>) -> Option<Self> {
        if !job.is_of_policy() {
            return job.ended().is_none().then_some(Self::PolicyWaits);
        }
        let is_canceled = job.ended().or(job.ending.as_ref()) == Some(&Ending::Canceled);
        let op = direction_of(job, capacity);
        (is_canceled && !job.is_canceled_by_policy())
            .then(|| Self::KeptAway { op, until: job.finished_at.map(|at| at + AFTER_CANCEL) })
    }

    /// The note in words, at `now`. An unknown resource is worth a note only if another one was probably `meant`.
    pub fn sentence(self, resource: &Alias, meant: Option<&Alias>, now: Timestamp) -> Option<String> {
        let kept_away = match self {
            Self::UnknownResource => {
                let meant = meant?;
                return Some(format!("\"{resource}\" was not known here before this job. Did you mean \"{meant}\"?"));
            }
            Self::PolicyWaits => format!("The policy of {resource} submits nothing until this job is over."),
            Self::KeptAway { op, until } => {
                let way = match op {
                    Op::Add => "up",
                    Op::Remove => "down",
                };
                let until = match until {
                    Some(until) => format!("until {}", clock(until, now)),
                    None => format!("for {} minutes after the end of this job", AFTER_CANCEL.as_secs() / 60),
                };
                format!("The policy of {resource} submits nothing on the way {way} {until}.")
            }
        };
        Some(format!("{kept_away} To keep it away for longer, make a hold."))
    }
}

/// The direction in which the `job` of a policy was to go, as far as it came. Before its first reading, that is from the
/// `capacity` that the policy decided at.
pub fn direction_of(job: &Job, capacity: Option<Capacity>) -> Op {
    let from = job.current.or(job.start).or(capacity).unwrap_or(Capacity::ZERO);
    match job.target {
        Some(target) if target < from => Op::Remove,
        // It came to its target with its last step.
        Some(target) if target == from => job.steps.last().map_or(Op::Add, |step| step.op),
        _ => Op::Add,
    }
}
