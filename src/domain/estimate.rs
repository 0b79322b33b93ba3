//! When things will probably happen: the steps of a plan, and the estimate shown with a job.
//!
//! Forecasts inform people; nothing is decided on them. A change is expected to take as long as half of those of its
//! direction did, and a step can follow as early as after the shortest. Rejected: what nine in ten took, as climbs
//! towards a window reckon with: those must not be late, and an estimate should be right.

use std::time::Duration;

use super::capacity::{Capacity, Move, Op};
use super::change_state::ChangeState;
use super::job::{Job, MAX_STEPS};
use super::settings::Settings;
use super::step_durations::StepDurations;
use super::time::Timestamp;

/// How long a change is assumed to take until the resource is at rest, before one has been seen. Real ones take from
/// tens of seconds to tens of minutes; a minute is at least the right order for the quick ones.
const ASSUMED_PROVISIONING: Duration = Duration::from_mins(1);

/// A step that a job would take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedStep {
    /// The change.
    pub movement: Move,
    /// When it can be sent at the earliest.
    pub earliest_at: Timestamp,
}

/// What a job would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletionEstimate {
    /// Its steps, in order.
    pub steps: Vec<PlannedStep>,
    /// When it would probably be over.
    pub completion_at: Timestamp,
}

/// The steps from `from` to `target` for a job that can begin at `begin`, or `None` if there are more than
/// [`MAX_STEPS`]. Earlier steps of the resource had these `durations`.
pub fn estimate(
    from: Capacity,
    target: Capacity,
    settings: &Settings,
    change_state: &ChangeState,
    durations: &StepDurations,
    begin: Timestamp,
) -> Option<CompletionEstimate> {
    let op = Move::toward(from, target, settings.step_size).map(|first| first.op);
    let provisioning = expected_provisioning(op, change_state, durations);
    // What is only assumed may be too long, and then nothing earlier would be true.
    let shortest = op.and_then(|op| durations.summary(op)).map(|summary| summary.shortest);
    let least_provisioning = shortest.or(change_state.provisioning).unwrap_or(Duration::ZERO);
    let reversal_allowed_at = op.and_then(|op| change_state.reversal_allowed_at(op));
    let mut earliest_at =
        begin.max(change_state.next_change_at(settings.cooldown).max(reversal_allowed_at).unwrap_or(begin));
    let mut expected_at = earliest_at;
    let mut completion_at = begin;
    let mut steps = Vec::new();
    let mut capacity = from;
    while let Some(movement) = Move::toward(capacity, target, settings.step_size) {
        if steps.len() == MAX_STEPS {
            return None;
        }
        steps.push(PlannedStep { movement, earliest_at });
        completion_at = expected_at + provisioning;
        expected_at = expected_at + settings.cooldown.max(provisioning);
        earliest_at = earliest_at + settings.cooldown.max(least_provisioning);
        capacity = movement.to;
    }
    Some(CompletionEstimate { steps, completion_at })
}

/// How long a change by `op` probably takes until the resource is at rest: while too few of its direction are known, as
/// long as the last change.
fn expected_provisioning(op: Option<Op>, change_state: &ChangeState, durations: &StepDurations) -> Duration {
    let typical = op.and_then(|op| durations.summary(op)).map(|summary| summary.p50);
    typical.or(change_state.provisioning).unwrap_or(ASSUMED_PROVISIONING)
}

/// When `job` will probably be over, or `None` if nothing can be said yet.
pub fn estimate_completion(
    job: &Job,
    change_state: &ChangeState,
    durations: &StepDurations,
    change_in_flight: Option<Move>,
    now: Timestamp,
) -> Option<Timestamp> {
    let from = change_in_flight.map_or(job.current?, |change| change.to);
    let resting_at = match change_state.last_change {
        Some(last) if change_in_flight.is_some() || job.wait_deadlines.active_by.is_some() => {
            (last.at + expected_provisioning(last.op, change_state, durations)).max(now)
        }
        _ => now,
    };
    let ahead = estimate(from, job.target?, &job.settings, change_state, durations, resting_at)?;
    Some(ahead.completion_at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::capacity::Op;
    use crate::domain::change_state::SentChange;
    use crate::domain::{Goal, JobId, JobRequest};

    fn units(units: i64) -> Capacity {
        Capacity::new(units).expect("a small number")
    }

    fn unknown() -> StepDurations {
        StepDurations::default()
    }

    #[test]
    fn steps_are_a_cooldown_apart_and_respect_the_running_one() {
        let begin = Timestamp::from_millis(1_800_000_000_000);
        let settings = Settings { step_size: 2, ..Settings::DEFAULT };
        let seconds = Duration::from_secs;
        let mut change_state = ChangeState {
            last_change: Some(SentChange {
                at: begin - seconds(100),
                op: Some(Op::Add),
                cooldown: seconds(300),
                settle: seconds(90),
            }),
            ..ChangeState::default()
        };
        let plan = estimate(units(1), units(6), &settings, &change_state, &unknown(), begin).expect("few steps");
        let steps: Vec<_> =
            plan.steps.iter().map(|step| (step.movement.to.units(), step.earliest_at.since(begin))).collect();
        let first = seconds(200);
        assert_eq!(steps, [(3, first), (5, first + seconds(300)), (6, first + seconds(600))]);
        assert_eq!(plan.completion_at.since(begin), first + seconds(660));

        change_state.provisioning = Some(seconds(400));
        let slow = estimate(units(1), units(6), &settings, &change_state, &unknown(), begin).expect("few steps");
        assert_eq!(slow.completion_at.since(begin), first + seconds(1200), "the resource is slower than the cooldown");
    }

    #[test]
    fn the_first_step_in_another_direction_waits_for_the_last_change_to_settle() {
        let begin = Timestamp::from_millis(1_800_000_000_000);
        let settings = Settings { cooldown: Duration::ZERO, ..Settings::DEFAULT };
        let settle = Duration::from_secs(90);
        let last_change = Some(SentChange { at: begin, op: Some(Op::Add), cooldown: Duration::ZERO, settle });
        let change_state = ChangeState { last_change, ..ChangeState::default() };
        let first_at = |target| {
            let plan =
                estimate(units(2), units(target), &settings, &change_state, &unknown(), begin).expect("few steps");
            plan.steps[0].earliest_at.since(begin)
        };
        assert_eq!((first_at(3), first_at(1)), (Duration::ZERO, settle));
    }

    #[test]
    fn nothing_to_do_takes_no_time_and_too_much_has_no_plan() {
        let begin = Timestamp::from_millis(0);
        let plan =
            |from, to| estimate(units(from), units(to), &Settings::DEFAULT, &ChangeState::default(), &unknown(), begin);
        assert_eq!(plan(4, 4), Some(CompletionEstimate { steps: vec![], completion_at: begin }));
        assert_eq!(plan(0, 1000).map(|plan| plan.steps.len()), Some(1000));
        assert_eq!(plan(0, 1001), None);
    }

    /// Nothing is known of how long a change takes: the estimate assumes something, but the earliest time does not.
    #[test]
    fn what_is_only_assumed_makes_nothing_later() {
        let begin = Timestamp::from_millis(1_800_000_000_000);
        let seconds = Duration::from_secs;
        let settings = Settings { step_size: 1, cooldown: seconds(6), ..Settings::DEFAULT };
        for (provisioning, apart, over) in [(None, 6, 120), (Some(seconds(3)), 6, 9), (Some(seconds(20)), 20, 40)] {
            let change_state = ChangeState { provisioning, ..ChangeState::default() };
            let ahead = estimate(units(1), units(3), &settings, &change_state, &unknown(), begin).expect("two steps");
            let earliest: Vec<Timestamp> = ahead.steps.iter().map(|step| step.earliest_at).collect();
            assert_eq!(earliest, [begin, begin + seconds(apart)]);
            assert_eq!(ahead.completion_at, begin + seconds(over));
        }
    }

    /// Five steps up took 10 to 900 s, and four down, which are too few; the last change took 20 s.
    #[test]
    fn a_change_is_expected_to_take_as_long_as_half_of_those_in_its_direction() {
        let begin = Timestamp::from_millis(1_800_000_000_000);
        let seconds = Duration::from_secs;
        let settings = Settings { step_size: 1, cooldown: seconds(6), ..Settings::DEFAULT };
        let mut durations = unknown();
        for took in [10, 900, 40, 30, 50] {
            durations.note(Op::Add, seconds(took));
        }
        (0..4).for_each(|_| durations.note(Op::Remove, seconds(300)));
        let change_state = ChangeState { provisioning: Some(seconds(20)), ..ChangeState::default() };
        for (target, apart, over) in [(5, 10, 80), (1, 20, 40)] {
            let ahead = estimate(units(3), units(target), &settings, &change_state, &durations, begin).expect("two");
            let earliest: Vec<Timestamp> = ahead.steps.iter().map(|step| step.earliest_at).collect();
            assert_eq!(earliest, [begin, begin + seconds(apart)], "to {target}");
            assert_eq!(ahead.completion_at, begin + seconds(over), "to {target}");
        }
    }

    /// A step up was sent 15 s ago and is not at rest yet; one more follows.
    #[test]
    fn what_is_under_way_is_expected_to_end_like_others_in_its_direction() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let seconds = Duration::from_secs;
        let settings = Settings { cooldown: seconds(6), ..Settings::DEFAULT };
        let request = JobRequest::for_worker(Goal::Target(units(3)));
        let job = Job::accept(JobId::nil(), request, settings, now);
        let job = Job { current: Some(units(1)), target: Some(units(3)), ..job };
        let sent = SentChange { at: now - seconds(15), op: Some(Op::Add), cooldown: seconds(6), settle: seconds(0) };
        let change_state = ChangeState { last_change: Some(sent), ..ChangeState::default() };
        let in_flight = Move::toward(units(1), units(2), 1);
        let completion = |durations: &StepDurations| {
            let over = estimate_completion(&job, &change_state, durations, in_flight, now).expect("an estimate");
            over.since(now)
        };
        assert_eq!(completion(&unknown()), seconds(45 + 60), "a minute is assumed");
        let mut durations = unknown();
        (0..5).for_each(|_| durations.note(Op::Remove, seconds(300)));
        assert_eq!(completion(&durations), seconds(45 + 60), "those of the other direction say nothing");
        (0..5).for_each(|_| durations.note(Op::Add, seconds(25)));
        assert_eq!(completion(&durations), seconds(10 + 25));
    }
}
