//! The moments between which a lane must not be caught, one story each.

use std::time::Duration;

use crate::support::sidecar::units;
use crate::support::world::{World, cooldown, error_code, request, secs, start_at, worker};
use scalegate::domain::{Bounds, Ending, ErrorCode, Goal, Job, JobRequest, OnConflict, SettingsOverrides, StepOutcome};
use scalegate::sim::sidecar::{Behaviour, Fault, TimestampMode};

fn outcomes(job: &Job) -> Vec<StepOutcome> {
    job.steps.iter().map(|step| step.outcome).collect()
}

/// However long the process was away: what it sent before is still read back, and the job goes on.
#[test]
fn a_long_absence_is_no_reason_to_give_up_a_change() {
    for timestamps in [TimestampMode::Honest, TimestampMode::Missing] {
        for pause in [100, 880, 1000, 100_000] {
            let mut world = World::new(Behaviour { read_lag: secs(3), timestamps, ..start_at(1) });
            let id = world.submit(3, SettingsOverrides { deadline: Some(secs(200_000)), ..cooldown(300) });
            world.run_until(|world| world.changes().len() == 1);
            world.crash(secs(pause));
            let job = world.run(id);
            assert_eq!(job.ended(), Some(&Ending::Succeeded), "{timestamps:?}, away for {pause} s: {job:#?}");
            assert_eq!(outcomes(&job), [StepOutcome::Confirmed; 2]);
            assert_eq!((world.capacity(), world.changes().len()), (3, 2));
        }
    }
}

/// Whether a change took effect can take twice the settle time to tell; a short patience with statuses must not cut
/// that short.
#[test]
fn an_impatient_job_still_learns_what_became_of_its_change() {
    for fault in [Fault::AnswerLost, Fault::RequestLost, Fault::Slow] {
        for (timestamps, read_lag) in [(TimestampMode::Honest, 3), (TimestampMode::Missing, 0)] {
            let mut world =
                World::new(Behaviour { read_lag: secs(read_lag), timestamps, provisioning: secs(20), ..start_at(1) });
            world.surroundings.sidecar.model.behaviour_mut().faults.slow_for = secs(75);
            world.surroundings.sidecar.model.script_change(fault);
            let id = world.submit(2, SettingsOverrides { active_timeout: Some(secs(60)), ..cooldown(60) });
            let job = world.run(id);
            assert_eq!(job.ended(), Some(&Ending::Succeeded), "{fault:?}, {timestamps:?}: {job:#?}");
            assert_eq!(world.capacity(), 2);
        }
    }
}

#[test]
fn a_clock_set_back_does_not_make_an_unknown_outcome_unknowable() {
    let mut world = World::new(start_at(1));
    world.surroundings.sidecar.model.script_change(Fault::RequestLost);
    let id = world.submit(2, cooldown(300));
    world.run_until(|world| world.changes().len() == 1);
    world.run_for(secs(5));
    world.crash_with_the_machine(secs(1), -3_600_000);
    let job = world.run(id);
    assert_eq!(job.ended(), Some(&Ending::Succeeded), "{job:#?}");
    assert_eq!(outcomes(&job), [StepOutcome::NotApplied, StepOutcome::Confirmed]);
}

/// A job that has sent nothing itself has nothing in flight to wait for.
#[test]
fn canceling_does_not_wait_for_the_change_of_an_earlier_job() {
    let mut world = World::new(Behaviour { goal_while_modifying: false, provisioning: secs(500), ..start_at(1) });
    let first = world.submit(2, SettingsOverrides { deadline: Some(secs(30)), ..cooldown(60) });
    world.run(first);
    let second = world.submit(3, cooldown(60));
    world.run_for(secs(10));
    assert!(world.core().lane(&worker()).is_some_and(|lane| lane.change().is_some()), "still unresolved");
    world.cancel(second);
    world.run_for(secs(1));
    assert_eq!(world.job(second).ended(), Some(&Ending::Canceled));
    let third = world.submit(3, cooldown(60));
    let third = world.run(third);
    assert_eq!(third.ended(), Some(&Ending::Succeeded));
    assert_eq!((world.capacity(), world.changes().len()), (3, 2), "the first change was not forgotten");
}

/// Some resources show the old capacity for as long as they are in progress, which can be much longer than `settle`.
#[test]
fn a_change_is_not_called_off_while_the_resource_is_in_progress() {
    let mut world = World::new(Behaviour { goal_while_modifying: false, provisioning: secs(400), ..start_at(1) });
    world.surroundings.sidecar.model.script_change(Fault::AnswerLost);
    let id = world.submit(3, cooldown(300));
    let job = world.run(id);
    assert_eq!(job.ended(), Some(&Ending::Succeeded), "{job:#?}");
    assert_eq!(job.external_changes, [], "no other program did anything");
    assert_eq!(outcomes(&job), [StepOutcome::Confirmed; 2]);
}

/// What could not be waited for while no process ran does not count against the sidecar.
#[test]
fn one_refused_reading_after_a_long_absence_is_forgiven() {
    let mut world = World::new(Behaviour::default());
    world.surroundings.sidecar.is_down = true;
    let id = world.submit(2, cooldown(60));
    world.crash(Duration::from_hours(2));
    world.run_for(Duration::from_secs(20));
    world.surroundings.sidecar.is_down = false;
    let job = world.run(id);
    assert_eq!(job.ended(), Some(&Ending::Succeeded));
}

/// An answer can come late enough for patience to be over, and still tell of a time at which the change was on its way.
#[test]
fn a_slow_reading_does_not_prove_that_nothing_happened() {
    let mut world = World::new(Behaviour { apply_delay: secs(15), read_lag: secs(15), ..start_at(1) });
    world.surroundings.sidecar.model.behaviour_mut().faults.slow_for = secs(20);
    let short = SettingsOverrides { settle: Some(secs(30)), active_timeout: Some(secs(40)), ..cooldown(300) };
    let id = world.submit(2, short);
    world.run_until(|world| world.changes().len() == 1);
    world.run_for(secs(22));
    world.surroundings.sidecar.model.script_read(Fault::Slow);
    let job = world.run(id);
    assert_eq!(outcomes(&job), [StepOutcome::Unknown], "{job:#?}");
    assert_eq!(world.capacity(), 2, "it did happen");
}

/// After up and down again, an old reading of the top would pass for the success of another change up.
#[test]
fn a_change_of_direction_is_not_confirmed_by_a_reading_from_before_the_last_one() {
    let behaviour = Behaviour { timestamps: TimestampMode::Fresh, provisioning: secs(0), ..start_at(2) };
    let mut world = World::new(behaviour);
    let quick = SettingsOverrides { settle: Some(secs(30)), ..cooldown(5) };
    let down = world.submit(1, quick);
    world.run(down);
    world.surroundings.sidecar.model.behaviour_mut().apply_delay = secs(15);
    let up = world.submit(2, quick);
    world.run_until(|world| world.changes().len() == 2);
    world.surroundings.sidecar.model.behaviour_mut().read_lag = secs(10);
    let up = world.run(up);
    assert_eq!(up.ended(), Some(&Ending::Succeeded));
    assert_eq!(world.capacity(), 2, "confirmed when it was so");
    let apart = world.changes()[1].at.since(world.changes()[0].at);
    assert!(apart >= secs(30), "only {apart:?} apart");
}

/// The sidecar can take longer to say yes than a job has patience for the change to show.
#[test]
fn a_late_answer_to_a_change_leaves_no_time_to_lose() {
    let mut world = World::new(Behaviour { provisioning: secs(0), ..start_at(1) });
    world.surroundings.sidecar.model.behaviour_mut().faults.slow_for = secs(55);
    world.surroundings.sidecar.model.script_change(Fault::Slow);
    let short = SettingsOverrides { settle: Some(secs(30)), active_timeout: Some(secs(40)), ..cooldown(300) };
    let id = world.submit(3, short);
    let accepted = |job: &Job| job.waiting.as_ref().is_some_and(|waiting| waiting.detail.starts_with("Accepted"));
    world.run_until(|world| accepted(&world.job(id)));
    let answered_at = world.clock();
    let waits_until = world.job(id).waiting.as_ref().map(|waiting| waiting.until);
    assert!(waits_until.is_some_and(|until| until + secs(1) > answered_at), "it says that it waits for the past");
    world.run_for(secs(1));
    assert_eq!(outcomes(&world.job(id)), [StepOutcome::Confirmed], "read at once");
}

/// What a refused change leaves is what was there before; a reading that shows something else may be an old one.
#[test]
fn after_a_refusal_an_old_reading_is_not_believed() {
    let bounds = Bounds { min: units(0), max: units(3) };
    let behaviour = Behaviour { provisioning: secs(0), timestamps: TimestampMode::Fresh, bounds, ..start_at(2) };
    let mut world = World::new(behaviour);
    let quick = SettingsOverrides { settle: Some(secs(60)), ..cooldown(0) };
    for (target, code) in [(3, None), (4, Some(ErrorCode::SidecarRejected))] {
        let id = world.submit(target, quick);
        assert_eq!(error_code(&world.run(id)), code);
    }
    world.surroundings.sidecar.model.behaviour_mut().read_lag = secs(30);
    let id = world.submit(1, quick);
    let job = world.run(id);
    assert_eq!((job.ended(), job.start), (Some(&Ending::Succeeded), Some(units(3))), "{job:#?}");
    assert_eq!(world.capacity(), 1);
}

#[test]
fn one_failed_reading_long_after_the_beginning_is_forgiven() {
    let mut world = World::new(start_at(1));
    let id = world.submit(3, cooldown(1800));
    world.run_for(secs(1700));
    world.surroundings.sidecar.model.script_read(Fault::ErrorBefore);
    let job = world.run(id);
    assert_eq!(job.ended(), Some(&Ending::Succeeded), "{job:#?}");
}

#[test]
fn what_was_never_sent_starts_no_cooldown() {
    let mut world = World::new(start_at(1));
    let id = world.submit(2, cooldown(300));
    world.run_until(|world| world.job(id).steps.len() == 1);
    world.surroundings.sidecar.is_down = true;
    world.run_until(|world| world.job(id).steps[0].outcome == StepOutcome::NotApplied);
    world.surroundings.sidecar.is_down = false;
    let job = world.run(id);
    assert_eq!(outcomes(&job), [StepOutcome::NotApplied, StepOutcome::Confirmed]);
    let took = job.finished_at.expect("over").since(job.created_at);
    assert!(took < secs(80), "{took:?}");
}

#[test]
fn nothing_is_sent_after_the_deadline() {
    let mut world = World::new(start_at(1));
    world.commit_takes = secs(4);
    let id = world.submit(2, SettingsOverrides { deadline: Some(secs(3)), ..cooldown(0) });
    let job = world.run(id);
    assert_eq!(error_code(&job), Some(ErrorCode::DeadlineExceeded));
    assert_eq!((outcomes(&job), world.changes()), (vec![StepOutcome::NotApplied], vec![]));
}

#[test]
fn no_request_joins_a_job_that_is_about_to_be_canceled() {
    let mut world = World::new(start_at(1));
    let canceled = world.submit(2, cooldown(0));
    world.run_until(|world| world.changes().len() == 1);
    world.cancel(canceled);
    let same = request(Goal::Target(units(2)), cooldown(0));
    let next = world.submit_request(JobRequest { on_conflict: OnConflict::Queue, ..same });
    assert_eq!(world.run(next).ended(), Some(&Ending::Succeeded));
    assert_eq!(world.job(canceled).ended(), Some(&Ending::Canceled));
}

/// A job that knows of longer delays than the next one leaves it with patience for them.
#[test]
fn a_job_has_patience_for_what_earlier_jobs_allowed() {
    for fault in [None, Some(Fault::AnswerLost)] {
        let mut world = World::new(Behaviour { provisioning: secs(0), ..start_at(1) });
        let slow = SettingsOverrides { settle: Some(secs(180)), ..cooldown(0) };
        let first = world.submit(2, slow);
        world.run(first);
        world.surroundings.sidecar.model.behaviour_mut().timestamps = TimestampMode::Missing;
        world.surroundings.sidecar.model.script_change(fault);
        let quick = SettingsOverrides { settle: Some(secs(30)), active_timeout: Some(secs(40)), ..cooldown(0) };
        let second = world.submit(3, quick);
        let second = world.run(second);
        assert_eq!(second.ended(), Some(&Ending::Succeeded), "{fault:?}: {second:#?}");
    }
}
