//! What is done about a decision.

use super::super::capacity::{Capacity, Op};
use super::super::job_id::JobId;
use super::super::time::Timestamp;
use super::condition::{Condition, ConditionCode};
use super::decision::Action;
use super::demand::Whereabouts;
use super::document::Mode;
use super::inputs::{Inputs, OwnJob};
use super::state::PolicyState;
use super::time_words::clock;
use super::timer::Timer;

/// What the engine is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Nothing.
    Nothing,
    /// Submit a job, which takes the place of an unfinished one of the policy.
    Submit {
        /// Its target.
        target: Capacity,
    },
    /// Give the unfinished job another target.
    Retarget {
        /// The job.
        job: JobId,
        /// The target.
        target: Capacity,
    },
    /// Cancel the unfinished job.
    Cancel {
        /// The job.
        job: JobId,
    },
}

impl Act {
    /// The action of the decision.
    pub fn action(self) -> Action {
        match self {
            Self::Nothing => Action::None,
            Self::Submit { .. } => Action::Submitted,
            Self::Retarget { .. } => Action::Retargeted,
            Self::Cancel { .. } => Action::Canceled,
        }
    }

    /// The job that it is done with, if there is one already.
    pub fn job(self) -> Option<JobId> {
        match self {
            Self::Nothing | Self::Submit { .. } => None,
            Self::Retarget { job, .. } | Self::Cancel { job } => Some(job),
        }
    }

    /// The target that the policy has afterwards, if this sets one.
    pub fn target(self) -> Option<Capacity> {
        match self {
            Self::Nothing | Self::Cancel { .. } => None,
            Self::Submit { target } | Self::Retarget { target, .. } => Some(target),
        }
    }
}

/// What is done about `decided` by a policy that acts, and the condition that keeps it from doing more.
pub fn act<'c>(
    decided: Capacity,
    capacity: Capacity,
    inputs: &Inputs<'_>,
    conditions: &'c [Condition],
) -> (Act, Option<&'c Condition>) {
    let total_stop = conditions.iter().find(|condition| {
        matches!(
            condition.code,
            ConditionCode::NoReading
                | ConditionCode::ResourceFailed
                | ConditionCode::OthersJob
                | ConditionCode::JobEnding
                | ConditionCode::FollowsItself
        )
    });
    if total_stop.is_some() {
        return (Act::Nothing, total_stop.filter(|_| decided != target(inputs.own_job, capacity)));
    }
    let there = Whereabouts::of(capacity, inputs.in_flight);
    if let (Some(job), Some(hold)) = (inputs.own_job, inputs.hold)
        && hold.blocks(there, job.target)
    {
        return (Act::Cancel { job: job.id }, None);
    }
    let paused = |op| {
        conditions.iter().find(|condition| {
            condition.direction == Some(op)
                && matches!(condition.code, ConditionCode::BackOff | ConditionCode::CanceledByPerson)
        })
    };
    // Judged against what there really is: back from a target that is further away is no change in this direction. While a
    // change is under way, its job goes where that leads, and no farther.
    let (lowest, highest) = match inputs.own_job {
        Some(_) => (there.lowest, there.highest),
        None => (capacity, capacity),
    };
    let (allowed, blocked_by) = match (paused(Op::Add), paused(Op::Remove)) {
        (Some(condition), _) if decided > there.lowest => (lowest, Some(condition)),
        (_, Some(condition)) if decided < there.highest => (highest, Some(condition)),
        _ => (decided, None),
    };
    let act = match inputs.own_job {
        Some(job) if job.target == allowed => Act::Nothing,
        // To stay where it is means to change nothing. What there is was read, perhaps from an old replica, and a job with
        // that as its target would go there.
        Some(job) if blocked_by.is_some() && inputs.in_flight.is_none() => Act::Cancel { job: job.id },
        Some(job) if job.is_worn_out => Act::Submit { target: allowed },
        Some(job) => Act::Retarget { job: job.id, target: allowed },
        None if allowed == capacity => Act::Nothing,
        None => Act::Submit { target: allowed },
    };
    (act, blocked_by)
}

/// The target of the job, else the capacity.
pub fn target(job: Option<OwnJob>, capacity: Capacity) -> Capacity {
    job.map_or(capacity, |job| job.target)
}

/// What keeps a policy of this mode from acting, whatever it decides.
pub fn conditions(mode: Mode, inputs: &Inputs<'_>, state: &PolicyState, timer: &mut Timer) -> Vec<Condition> {
    let now = timer.now();
    let mut all = Vec::new();
    let mut add = |code, direction, detail: String, until: Option<Timestamp>| {
        all.push(Condition { code, direction, detail, until });
    };
    match &inputs.reading {
        None => add(ConditionCode::NoReading, None, "There is no usable reading yet.".to_owned(), None),
        Some(reading) if reading.status.is_failed() => {
            let detail = "The status of the resource is FAILED; nothing is sent until a reading differs.";
            add(ConditionCode::ResourceFailed, None, detail.to_owned(), None);
        }
        Some(_) => {}
    }
    if let Some(job) = inputs.others_job {
        let detail = format!("Job {job} of a caller is unfinished. To keep the policy away for longer, make a hold.");
        add(ConditionCode::OthersJob, None, detail, None);
    }
    if let Some(job) = inputs.ending_job.filter(|_| inputs.own_job.is_none()) {
        let detail = format!("Job {job} of the policy ends when it is known what became of its change.");
        add(ConditionCode::JobEnding, None, detail, None);
    }
    if !inputs.circle.is_empty() {
        let circle = inputs.circle.iter().map(|resource| resource.as_str()).collect::<Vec<_>>().join(", ");
        let detail =
            format!("Resources follow each other in a circle ({circle}); none of their policies changes anything.");
        add(ConditionCode::FollowsItself, None, detail, None);
    }
    if let Some(hold) = inputs.hold.filter(|hold| hold.counts_at(now)) {
        timer.note(hold.until);
        let detail = format!("A hold is in force until {}.", clock(hold.until, now));
        add(ConditionCode::Held, None, detail, Some(hold.until));
    }
    if mode == Mode::Active {
        for (op, word) in [(Op::Add, "up"), (Op::Remove, "down")] {
            for (code, detail, until) in pauses(state, op, word, now) {
                timer.note(until);
                add(code, Some(op), detail, Some(until));
            }
        }
    }
    all
}

fn pauses(state: &PolicyState, op: Op, word: &str, now: Timestamp) -> Vec<(ConditionCode, String, Timestamp)> {
    let direction = state.direction(op);
    let mut pauses = Vec::new();
    if let Some(pause) = direction.back_off.as_ref().filter(|pause| pause.until > now) {
        let (until, code) = (clock(pause.until, now), pause.code.as_str());
        let jobs = if pause.failures == 1 { "A job".to_owned() } else { format!("{} jobs", pause.failures) };
        let detail = format!("{jobs} failed on the way {word} ({code}); the next one begins after {until}.");
        pauses.push((ConditionCode::BackOff, detail, pause.until));
    }
    if let Some(refused) = direction.refused.filter(|refused| refused.until > now) {
        let until = clock(refused.until, now);
        let detail = format!("The platform refused capacity {}; it is a limit until {until}.", refused.capacity);
        pauses.push((ConditionCode::CapacityRefused, detail, refused.until));
    }
    if let Some(until) = direction.canceled_until.filter(|until| *until > now) {
        let detail = format!(
            "A person canceled a job on the way {word}; the next one that way begins after {}.",
            clock(until, now)
        );
        pauses.push((ConditionCode::CanceledByPerson, detail, until));
    }
    pauses
}
