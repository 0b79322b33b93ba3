//! Changes whose answer is lost, that are rejected, or that have no effect.

use super::{assert_cooldowns, assert_reached, outcomes};
use crate::support::sidecar::units;
use crate::support::world::{World, cooldown, error_code, secs, start_at, worker};
use scalegate::domain::{Bounds, Ending, ErrorCode, SettingsOverrides, StepOutcome};
use scalegate::sim::sidecar::{Behaviour, Fault, OutsideBounds};

#[test]
fn an_add_whose_answer_is_lost_is_not_sent_again() {
    for fault in [Fault::AnswerLost, Fault::ErrorAfter, Fault::Garbage, Fault::Slow] {
        for read_lag in [0, 20] {
            let mut world = World::new(Behaviour { read_lag: secs(read_lag), ..start_at(1) });
            world.surroundings.sidecar.model.behaviour_mut().faults.slow_for = secs(75);
            world.surroundings.sidecar.model.script_change(fault);
            let id = world.submit(3, cooldown(300));
            let job = world.run(id);
            assert_reached(&mut world, &job, 3);
            assert_eq!(world.changes().len(), 2, "{fault:?}");
            assert_eq!(outcomes(&job), [StepOutcome::Confirmed, StepOutcome::Confirmed], "{fault:?}");
        }
    }
}

#[test]
fn an_add_that_never_arrived_is_made_up_for_after_the_cooldown() {
    for fault in [Fault::RequestLost, Fault::ErrorBefore] {
        let mut world = World::new(start_at(1));
        world.surroundings.sidecar.model.script_change(fault);
        let id = world.submit(2, cooldown(300));
        let job = world.run(id);
        assert_reached(&mut world, &job, 2);
        assert_eq!(outcomes(&job), [StepOutcome::NotApplied, StepOutcome::Confirmed], "{fault:?}");
        assert_eq!(world.changes().len(), 2);
    }
}

#[test]
fn an_unknown_outcome_is_decided_only_when_a_late_application_is_ruled_out() {
    let mut world = World::new(Behaviour { apply_delay: secs(80), read_lag: secs(5), ..start_at(1) });
    world.surroundings.sidecar.model.script_change(Fault::AnswerLost);
    let id = world.submit(2, cooldown(0));
    let job = world.run(id);
    assert_reached(&mut world, &job, 2);
    assert_eq!(world.changes().len(), 1);
}

#[test]
fn changes_without_any_effect_are_given_up_with_the_sidecars_words() {
    let mut world = World::new(start_at(1));
    for _ in 0..10 {
        world.surroundings.sidecar.model.script_change(Fault::ErrorBefore);
    }
    let id = world.submit(2, cooldown(300));
    let job = world.run(id);
    let Some(Ending::Failed(error)) = job.ended() else { panic!("{job:#?}") };
    assert_eq!(error.code, ErrorCode::NoProgress);
    assert_eq!(error.sidecar.as_ref().map(|answer| answer.status), Some(500));
    assert_eq!(world.changes().len(), 5);
    assert_cooldowns(&mut world, secs(300));
}

#[test]
fn a_rejected_change_fails_the_job_and_counts_for_the_cooldown() {
    let bounds = Bounds { min: units(0), max: units(2) };
    let mut world = World::new(Behaviour { bounds, ..start_at(1) });
    let id = world.submit(4, cooldown(300));
    let job = world.run(id);
    let Some(Ending::Failed(error)) = job.ended() else { panic!("{job:#?}") };
    assert_eq!(error.code, ErrorCode::SidecarRejected);
    assert_eq!(error.sidecar.as_ref().map(|answer| answer.status), Some(400));
    assert_eq!(outcomes(&job), [StepOutcome::Confirmed, StepOutcome::Rejected]);
    assert_eq!(world.capacity(), 2);

    let next = world.submit(1, cooldown(300));
    let next = world.run(next);
    assert_eq!(next.ended(), Some(&Ending::Succeeded));
    assert_cooldowns(&mut world, secs(300));
}

#[test]
fn changes_that_are_accepted_and_not_done_are_no_progress() {
    for outside_bounds in [OutsideBounds::Ignore, OutsideBounds::Clamp] {
        let bounds = Bounds { min: units(0), max: units(2) };
        let mut world = World::new(Behaviour { bounds, outside_bounds, ..start_at(1) });
        let id = world.submit(4, SettingsOverrides { step_size: Some(2), ..cooldown(300) });
        let job = world.run(id);
        assert_eq!(error_code(&job), Some(ErrorCode::NoProgress), "{outside_bounds:?}");
        assert!(world.changes().len() <= 1, "{outside_bounds:?}");
    }
}

#[test]
fn changes_of_another_program_are_noticed_and_planned_around() {
    let mut world = World::new(start_at(1));
    let id = world.submit(4, cooldown(300));
    world.run_until(|world| world.changes().len() == 1);
    world.run_for(secs(150));
    let now = world.now;
    assert!(world.surroundings.sidecar.model.set_capacity(now, &worker(), units(6)));
    let job = world.run(id);
    assert_eq!(job.ended(), Some(&Ending::Succeeded));
    assert_eq!(world.capacity(), 4);
    let seen: Vec<_> = job.external_changes.iter().map(|change| (change.from.units(), change.to.units())).collect();
    assert_eq!(seen, [(2, 6)]);
    assert_cooldowns(&mut world, secs(300));
}

#[test]
fn a_tug_of_war_ends() {
    let mut world = World::new(Behaviour { provisioning: secs(1), ..start_at(1) });
    let id = world.submit(4, SettingsOverrides { settle: Some(secs(1)), ..cooldown(60) });
    let mut seen = 0;
    world.run_until(|world| {
        let changes = world.changes().len();
        if changes > seen {
            seen = changes;
            world.run_for(secs(30));
            let now = world.now;
            world.surroundings.sidecar.model.set_capacity(now, &worker(), units(1));
        }
        world.job(id).ended().is_some()
    });
    assert_eq!(error_code(&world.job(id)), Some(ErrorCode::NoProgress));
}

#[test]
fn a_change_that_outlives_its_job_is_resolved_by_the_next() {
    let mut world = World::new(Behaviour { goal_while_modifying: false, provisioning: secs(200), ..start_at(1) });
    let first = world.submit(2, SettingsOverrides { deadline: Some(secs(30)), ..cooldown(60) });
    let first = world.run(first);
    assert_eq!(error_code(&first), Some(ErrorCode::DeadlineExceeded));
    assert_eq!(outcomes(&first), [StepOutcome::Unknown]);
    let second = world.submit(3, cooldown(60));
    let second = world.run(second);
    assert_reached(&mut world, &second, 3);
    assert_eq!(world.changes().len(), 2, "the first job's change was not made again");
}
