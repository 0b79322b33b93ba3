//! How the job of a policy gets another target while it runs.
//!
//! The steps and external changes of a job are never taken back: the log of versions keeps only the last step of each. So
//! a retarget notes where counting begins anew, and what counts is what came after.

use serde::{Deserialize, Serialize};

use super::super::capacity::Capacity;
use super::super::policy::DecisionId;
use super::super::time::Timestamp;
use super::{ExternalChange, Job, Step, StepOutcome};

/// Most retargets that a job keeps: an hour of a metric that changes the target every three minutes.
pub const MAX_RETARGETS: usize = 20;
/// Steps after which a job is not retargeted any more: its record would grow beyond what is pleasant to poll.
const WORN_OUT_STEPS: usize = 100;

/// A target that a job was given instead of the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retarget {
    /// When.
    pub at: Timestamp,
    /// The target before.
    pub from: Capacity,
    /// The target since.
    pub to: Capacity,
    /// The decision of the policy that asked for it.
    pub decision: DecisionId,
}

/// All retargets of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retargets {
    /// Number of them.
    pub count: u64,
    /// The last [`MAX_RETARGETS`] of them, in order.
    pub newest: Vec<Retarget>,
    /// Number of steps that came before the last one and were over by then.
    earlier_steps: usize,
    /// Number of external changes that came before the last one.
    earlier_external_changes: usize,
    /// The capacity by the last usable reading before the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start: Option<Capacity>,
}

impl Retargets {
    /// Whether there was none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl Job {
    /// Gives it another target. Its deadline, its progress and the counts of its steps and external changes begin anew;
    /// waits that are under way, and changes without effect, count on: a metric that wiggles must not keep a job from
    /// noticing that its resource is stuck.
    pub(in crate::domain) fn retarget(&mut self, from: Capacity, to: Capacity, decision: DecisionId, now: Timestamp) {
        let retargets = &mut self.retargets;
        retargets.count += 1;
        if retargets.newest.len() >= MAX_RETARGETS {
            retargets.newest.remove(0);
        }
        retargets.newest.push(Retarget { at: now, from, to, decision });
        // A change in flight counts for the new target: it is still to be seen what becomes of it.
        retargets.earlier_steps = self.steps.iter().filter(|step| step.outcome != StepOutcome::Pending).count();
        retargets.earlier_external_changes = self.external_changes.len();
        retargets.start = self.current;
        self.target = Some(to);
        self.deadline_at = now + self.settings.deadline;
    }

    /// Its steps since it has its present target.
    pub fn counted_steps(&self) -> &[Step] {
        self.steps.get(self.retargets.earlier_steps..).unwrap_or_default()
    }

    /// What others did since it has its present target.
    pub fn counted_external_changes(&self) -> &[ExternalChange] {
        self.external_changes.get(self.retargets.earlier_external_changes..).unwrap_or_default()
    }

    /// The capacity from which its progress counts.
    pub fn progress_start(&self) -> Option<Capacity> {
        self.retargets.start.or(self.start)
    }

    /// Whether another job should take its place instead of another retarget.
    pub fn is_worn_out(&self) -> bool {
        self.steps.len() > WORN_OUT_STEPS || self.external_changes.len() > WORN_OUT_STEPS
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::capacity::Move;
    use super::super::super::settings::Settings;
    use super::super::{Goal, JobRequest};
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn units(units: u32) -> Capacity {
        Capacity::try_from(units).expect("a small number")
    }

    fn job() -> Job {
        let request = JobRequest::for_worker(Goal::Target(units(9)));
        Job::accept(uuid::Uuid::nil(), request, Settings::DEFAULT, NOW)
    }

    fn step(outcome: StepOutcome) -> Step {
        let movement = Move::toward(units(1), units(3), 2).expect("a distance");
        Step { outcome, sent_at: Some(NOW), ..Step::pending(movement) }
    }

    #[test]
    fn counts_begin_anew_and_fruitless_steps_count_on() {
        let mut job = job();
        let external = ExternalChange { noticed_at: NOW, from: units(1), to: units(2) };
        job.external_changes.push(external);
        job.current = Some(units(4));
        job.steps = [StepOutcome::Confirmed, StepOutcome::NotApplied, StepOutcome::Pending].map(step).to_vec();
        let later = NOW + std::time::Duration::from_secs(60);
        job.retarget(units(9), units(3), DecisionId::nil(), later);
        assert_eq!((job.target, job.deadline_at), (Some(units(3)), later + job.settings.deadline));
        assert_eq!((job.counted_steps().len(), job.completed_steps()), (1, 0), "the change in flight counts");
        assert_eq!((job.counted_external_changes(), job.progress_start()), (&[][..], Some(units(4))));
        job.steps[2].outcome = StepOutcome::NotApplied;
        assert_eq!(job.fruitless_steps(), 2);
    }

    #[test]
    fn the_newest_retargets_are_kept_and_all_are_counted() {
        let mut job = job();
        for to in 1..=30 {
            job.retarget(units(to - 1), units(to), DecisionId::nil(), NOW);
        }
        assert_eq!((job.retargets.count, job.retargets.newest.len()), (30, MAX_RETARGETS));
        assert_eq!(job.retargets.newest.last().map(|last| (last.from, last.to)), Some((units(29), units(30))));
        let stored = serde_json::to_string(&job).expect("JSON");
        assert_eq!(serde_json::from_str::<Job>(&stored).expect("a job"), job);
    }

    #[test]
    fn a_job_of_more_than_a_hundred_steps_is_worn_out() {
        let with = |steps| Job { steps: vec![step(StepOutcome::Confirmed); steps], ..job() };
        assert_eq!([100, 101].map(|steps| with(steps).is_worn_out()), [false, true]);
    }
}
