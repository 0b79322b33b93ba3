//! Whole jobs in virtual time: the engine's core against a simulated sidecar, hours in milliseconds.

use std::time::Duration;

use crate::support::sidecar::units;
use crate::support::world::{SETTINGS, World, cooldown, defaults, error_code, request, secs, start_at, worker};
use scalegate::domain::{
    Bounds, Capacity, Ending, ErrorCode, Goal, Job, JobRequest, OnConflict, ResourceConfig, ScalingConfig, Setting,
    SettingLimits, Settings, SettingsOverrides, StepOutcome, WaitReason,
};
use scalegate::engine::{Answer, Refusal};
use scalegate::sim::sidecar::{Behaviour, Fault, OutsideBounds, TimestampMode};

fn outcomes(job: &Job) -> Vec<StepOutcome> {
    job.steps.iter().map(|step| step.outcome).collect()
}

/// Succeeded, and the truth agrees, and nothing went past the target, and no two changes were too close.
#[track_caller]
fn assert_reached(world: &mut World, job: &Job, target: u32) {
    assert_eq!(job.ended(), Some(&Ending::Succeeded), "{job:#?}");
    assert_eq!(world.capacity(), target);
    assert!(world.largest_capacity() <= target.max(job.start.map_or(0, Capacity::units)), "went past the target");
    assert_cooldowns(world, job.settings.cooldown);
}

#[track_caller]
fn assert_cooldowns(world: &mut World, cooldown: Duration) {
    for pair in world.changes().windows(2) {
        let apart = pair[1].at.since(pair[0].at);
        assert!(apart >= cooldown, "two changes only {apart:?} apart");
    }
}

#[test]
fn from_1_to_3_takes_hardly_longer_than_it_must() {
    let mut world = World::new(start_at(1));
    let id = world.submit(3, cooldown(300));
    let job = world.run(id);
    assert_reached(&mut world, &job, 3);
    let took = job.finished_at.expect("over").since(job.created_at);
    let least = secs(360);
    assert!(took >= least && took <= least.mul_f64(1.02), "{took:?}");
    println!("1 -> 3, 60 s provisioning, 300 s cooldown: {took:?} with {} reads", world.surroundings.reads);
    assert!(world.surroundings.reads <= 80, "{} reads", world.surroundings.reads);
}

#[test]
fn is_punctual_for_slow_resources_too() {
    for provisioning in [10, 45, 60, 120, 299, 301, 600] {
        for to in [2, 3, 5] {
            let mut world = World::new(Behaviour { provisioning: secs(provisioning), ..start_at(1) });
            let id = world.submit(to, cooldown(300));
            let job = world.run(id);
            assert_reached(&mut world, &job, to);
            let took = job.finished_at.expect("over").since(job.created_at);
            let least = secs(300.max(provisioning)) * (to - 2) + secs(provisioning);
            let late = took.as_secs_f64() / least.as_secs_f64();
            assert!((1.0..1.025).contains(&late) || took - least < secs(2), "{provisioning} s, 1 -> {to}: {took:?}");
        }
    }
}

#[test]
fn goes_down_as_well_as_up_in_steps_of_the_size_asked_for() {
    for (from, to, step_size, expected) in [
        (1, 6, 2, vec![2, 2, 1]),
        (6, 1, 2, vec![2, 2, 1]),
        (0, 3, 5, vec![3]),
        (3, 0, 1, vec![1, 1, 1]),
        (4, 4, 1, vec![]),
    ] {
        let mut world = World::new(start_at(from));
        let id = world.submit(to, SettingsOverrides { step_size: Some(step_size), ..cooldown(120) });
        let job = world.run(id);
        assert_reached(&mut world, &job, to);
        assert_eq!(job.steps.iter().map(|step| step.units).collect::<Vec<_>>(), expected, "{from} -> {to}");
        assert!(outcomes(&job).iter().all(|outcome| *outcome == StepOutcome::Confirmed));
    }
}

#[test]
fn a_delta_counts_from_the_first_reading() {
    let mut world = World::new(start_at(3));
    let id = world.submit_request(request(Goal::Delta(-2), cooldown(60)));
    let job = world.run(id);
    assert_reached(&mut world, &job, 1);
    assert_eq!(job.target, Some(units(1)));

    let mut world = World::new(start_at(3));
    let id = world.submit_request(request(Goal::Delta(-4), cooldown(60)));
    let job = world.run(id);
    assert_eq!(error_code(&job), Some(ErrorCode::OutOfBounds));
    assert_eq!(world.changes(), []);
}

/// Every way in which readings can be old, with every way of saying so.
#[test]
fn stale_readings_never_lead_past_the_target() {
    for read_lag in [0, 1, 4, 30, 80] {
        for timestamps in [TimestampMode::Honest, TimestampMode::Fresh, TimestampMode::Missing, TimestampMode::Zero] {
            for goal_while_modifying in [true, false] {
                for cooldown_seconds in [0, 2, 300] {
                    let behaviour = Behaviour {
                        read_lag: secs(read_lag),
                        timestamps,
                        goal_while_modifying,
                        provisioning: secs(7),
                        ..start_at(1)
                    };
                    let mut world = World::new(behaviour);
                    let id = world.submit(4, cooldown(cooldown_seconds));
                    let job = world.run(id);
                    assert_reached(&mut world, &job, 4);
                    assert_eq!(world.changes().len(), 3);
                }
            }
        }
    }
}

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
fn scales_up_from_zero_whatever_zero_is_called() {
    for status in ["PAUSED", "UNKNOWN", "STOPPED", "ACTIVE", "unknown", "ASLEEP"] {
        let mut world = World::new(Behaviour { status_at_zero: status.into(), ..start_at(0) });
        let id = world.submit(2, cooldown(60));
        let job = world.run(id);
        assert_reached(&mut world, &job, 2);
        let down = world.submit(0, cooldown(60));
        let down = world.run(down);
        assert_eq!(down.ended(), Some(&Ending::Succeeded), "{status}");
        assert_eq!(world.capacity(), 0);
    }
}

#[test]
fn a_resource_that_never_comes_to_rest_ends_the_job_in_time() {
    let mut world = World::new(Behaviour { never_active: true, ..start_at(1) });
    let id = world.submit(3, cooldown(300));
    let job = world.run(id);
    assert_eq!(error_code(&job), Some(ErrorCode::ActiveTimeout));
    let took = job.finished_at.expect("over").since(job.created_at);
    assert!(took >= SETTINGS.active_timeout && took < SETTINGS.active_timeout + secs(5), "{took:?}");
    assert_eq!(world.changes().len(), 1);

    let mut world = World::new(Behaviour { status_at_zero: "DEPLOYING".into(), ..start_at(0) });
    let id = world.submit(1, cooldown(300));
    let job = world.run(id);
    assert_eq!(error_code(&job), Some(ErrorCode::ActiveTimeout));
}

#[test]
fn a_failed_resource_ends_the_job_at_once() {
    let mut world = World::new(Behaviour { status_override: Some("FAILED".into()), ..start_at(1) });
    let id = world.submit(3, cooldown(300));
    let job = world.run(id);
    assert_eq!(error_code(&job), Some(ErrorCode::ResourceFailed));
    assert_eq!(world.changes(), []);

    let mut world = World::new(Behaviour { goal_while_modifying: false, ..start_at(1) });
    let id = world.submit(3, cooldown(300));
    world.run_until(|world| world.changes().len() == 1);
    world.run_for(secs(10));
    world.surroundings.sidecar.model.behaviour_mut().status_override = Some("FAILED".into());
    let job = world.run(id);
    assert_eq!(error_code(&job), Some(ErrorCode::ResourceFailed));
    assert!(job.finished_at.expect("over").since(job.created_at) < secs(120));
}

#[test]
fn an_unknown_resource_is_reported_soon_and_an_absent_sidecar_late() {
    let known = Some(["other".parse().expect("an alias")].into());
    let mut world = World::new(Behaviour { known, ..start_at(1) });
    let id = world.submit(3, defaults());
    let job = world.run(id);
    assert_eq!(error_code(&job), Some(ErrorCode::ResourceNotFound));
    assert!(job.finished_at.expect("over").since(job.created_at) < secs(10));

    let mut world = World::new(start_at(1));
    world.surroundings.sidecar.is_down = true;
    let id = world.submit(3, defaults());
    let job = world.run(id);
    assert_eq!(error_code(&job), Some(ErrorCode::SidecarUnreachable));
    let took = job.finished_at.expect("over").since(job.created_at);
    assert!(took >= SETTINGS.active_timeout && took < SETTINGS.active_timeout + secs(31), "{took:?}");
    assert!(world.surroundings.reads < 60, "{} reads", world.surroundings.reads);
}

#[test]
fn an_absent_sidecar_that_comes_back_is_forgiven() {
    let mut world = World::new(start_at(1));
    let id = world.submit(3, cooldown(60));
    world.run_until(|world| world.changes().len() == 1);
    world.run_for(secs(3));
    world.surroundings.sidecar.is_down = true;
    world.run_for(secs(600));
    assert_eq!(world.job(id).waiting.as_ref().map(|waiting| waiting.reason), Some(WaitReason::Sidecar));
    world.surroundings.sidecar.is_down = false;
    let job = world.run(id);
    assert_reached(&mut world, &job, 3);
}

#[test]
fn somebody_elses_changes_are_noticed_and_planned_around() {
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
fn the_cooldown_belongs_to_the_resource_not_to_the_job() {
    let mut world = World::new(start_at(1));
    let first = world.submit(2, cooldown(300));
    world.run(first);
    let second = world.submit(3, cooldown(10));
    let second = world.run(second);
    assert_reached(&mut world, &second, 3);
    assert_cooldowns(&mut world, secs(300));

    let mut world = World::new(start_at(1));
    let first = world.submit(2, cooldown(10));
    world.run(first);
    let second = world.submit(3, cooldown(300));
    let second = world.run(second);
    assert_reached(&mut world, &second, 3);
}

#[test]
fn jobs_queue_join_and_supersede() {
    let mut world = World::new(start_at(1));
    let target = |target| request(Goal::Target(units(target)), cooldown(60));
    let first = world.submit(4, cooldown(60));
    let queued = world.submit_request(scalegate::domain::JobRequest { on_conflict: OnConflict::Queue, ..target(2) });
    let joined = world.submit(2, cooldown(60));
    world.run_until(|world| world.changes().len() == 1);
    assert!(world.core().lane(&worker()).is_some_and(|lane| lane.job(joined).is_none()), "it joined the queued one");
    let winner =
        world.submit_request(scalegate::domain::JobRequest { on_conflict: OnConflict::Supersede, ..target(3) });
    let winner = world.run(winner);
    assert_eq!(winner.ended(), Some(&Ending::Succeeded));
    for loser in [first, queued] {
        assert_eq!(world.job(loser).ended(), Some(&Ending::Superseded { by: winner.id }));
    }
    assert_eq!(outcomes(&world.job(first)), [StepOutcome::Confirmed], "its change was resolved first");
    assert_eq!(world.capacity(), 3);
    assert_cooldowns(&mut world, secs(60));
}

#[test]
fn superseding_does_not_wait_behind_the_jobs_it_supersedes() {
    let mut world = World::new(start_at(1));
    let target = |target, on_conflict| scalegate::domain::JobRequest {
        on_conflict,
        ..request(Goal::Target(units(target)), cooldown(60))
    };
    let first = world.submit(8, cooldown(60));
    let queued = world.submit_request(target(3, OnConflict::Queue));
    let winner = world.submit_request(target(3, OnConflict::Supersede));
    let winner = world.run(winner);
    assert_eq!(winner.ended(), Some(&Ending::Succeeded));
    for loser in [first, queued] {
        assert_eq!(world.job(loser).ended(), Some(&Ending::Superseded { by: winner.id }));
    }
    // Alone, the same wish is joined.
    let only = world.submit(5, cooldown(60));
    world.submit_request(target(5, OnConflict::Supersede));
    assert_eq!(world.run(only).ended(), Some(&Ending::Succeeded));
}

#[test]
fn canceling_waits_for_the_change_in_flight_only() {
    let mut world = World::new(Behaviour { goal_while_modifying: false, ..start_at(1) });
    let id = world.submit(3, cooldown(300));
    world.run_until(|world| world.changes().len() == 1);
    world.run_for(secs(5));
    world.cancel(id);
    assert_eq!(world.job(id).ended(), None);
    let job = world.run(id);
    assert_eq!(job.ended(), Some(&Ending::Canceled));
    assert_eq!(outcomes(&job), [StepOutcome::Confirmed]);

    let next = world.submit(4, cooldown(300));
    world.run_until(|world| world.job(next).waiting.as_ref().is_some_and(|w| w.reason == WaitReason::Cooldown));
    world.cancel(next);
    world.run_for(secs(1));
    assert_eq!(world.job(next).ended(), Some(&Ending::Canceled), "nothing in flight, nothing to wait for");
}

#[test]
fn a_deadline_ends_whatever_the_job_is_doing() {
    let deadline = |seconds| SettingsOverrides { deadline: Some(secs(seconds)), ..cooldown(300) };
    let mut world = World::new(start_at(1));
    let id = world.submit(5, deadline(400));
    let waiting = world.submit_request(scalegate::domain::JobRequest {
        on_conflict: OnConflict::Queue,
        ..request(Goal::Target(units(2)), deadline(100))
    });
    let job = world.run(id);
    assert_eq!(error_code(&job), Some(ErrorCode::DeadlineExceeded));
    assert_eq!(job.finished_at.expect("over").since(job.created_at), secs(400));
    let waited = world.job(waiting);
    assert_eq!(error_code(&waited), Some(ErrorCode::DeadlineExceeded));
    assert_eq!(waited.finished_at.expect("over").since(waited.created_at), secs(100));
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

#[test]
fn bounds_are_never_left() {
    let bounds = Bounds { min: units(1), max: units(4) };
    let rules = ResourceConfig { bounds, ..ScalingConfig::default().in_force(&worker()) };
    let scaling = || ScalingConfig { resources: [(worker(), rules)].into(), ..ScalingConfig::default() };
    for (goal, accepted) in
        [(Goal::Target(units(5)), false), (Goal::Target(units(0)), false), (Goal::Target(units(4)), true)]
    {
        let mut world = World::with_scaling(start_at(3), scaling());
        world.submit_request(request(goal, defaults()));
        world.run_for(secs(1));
        let created = matches!(world.surroundings.answers[..], [scalegate::engine::Answer::Created(_)]);
        assert_eq!(created, accepted, "{goal:?}");
    }
    let mut world = World::with_scaling(start_at(3), scaling());
    let id = world.submit_request(request(Goal::Delta(2), defaults()));
    let job = world.run(id);
    assert_eq!(error_code(&job), Some(ErrorCode::OutOfBounds));
    assert_eq!(world.changes(), []);
}

/// A crash after every single event of a job's life, and after a pause short or long.
#[test]
fn a_job_survives_a_crash_at_any_moment() {
    let mut crash_after = 0;
    loop {
        let mut finished_before_crash = false;
        for pause in [secs(0), secs(45), secs(400)] {
            let mut world = World::new(Behaviour { read_lag: secs(3), provisioning: secs(20), ..start_at(1) });
            let id = world.submit(3, cooldown(300));
            for _ in 0..crash_after {
                finished_before_crash |= !world.step();
            }
            world.crash(pause);
            let job = world.run(id);
            assert_reached(&mut world, &job, 3);
            assert!(world.changes().len() <= 3, "crash after {crash_after} events");
        }
        if finished_before_crash {
            break;
        }
        crash_after += 1;
    }
    println!("{crash_after} moments to crash in");
    assert!(crash_after > 20);
}

/// With very many jobs, a reading for each of them at once would be too much for any sidecar.
#[test]
fn after_a_restart_in_a_cooldown_a_reading_comes_soon_and_not_at_once() {
    let mut world = World::new(start_at(1));
    let id = world.submit(3, cooldown(300));
    let cools_down = |world: &mut World| {
        let job = world.core().lane(&worker()).and_then(|lane| lane.active().cloned());
        let waiting = job.and_then(|job| job.waiting.clone());
        world.is_committed() && waiting.is_some_and(|waiting| waiting.reason == WaitReason::Cooldown)
    };
    world.run_until(cools_down);
    let reads = world.surroundings.reads;
    world.crash(secs(0));
    let restarted = world.now;
    assert_eq!(world.surroundings.reads, reads, "not at once");
    world.run_until(|world| world.surroundings.reads > reads);
    assert!(world.now.since(restarted) < secs(60), "soon");
    let job = world.run(id);
    assert_reached(&mut world, &job, 3);
}

/// Runs until the intent of the next change is on its way to the disk.
fn run_to_intent(world: &mut World) {
    world.run_until(|world| world.core().lane(&worker()).is_some_and(|lane| lane.change().is_some()));
    assert_eq!(world.changes(), []);
}

#[test]
fn an_intent_that_took_too_long_to_commit_is_not_sent() {
    let mut world = World::new(start_at(1));
    let id = world.submit(2, cooldown(300));
    world.commit_takes = secs(6);
    run_to_intent(&mut world);
    world.commit_takes = Duration::from_millis(2);
    let job = world.run(id);
    assert_reached(&mut world, &job, 2);
    assert_eq!(outcomes(&job), [StepOutcome::NotApplied, StepOutcome::Confirmed]);
    assert_eq!(job.steps[0].sent_at, None);
    assert_eq!(world.changes().len(), 1, "only the second one was sent");
}

/// Only the intent's time is on the disk when the process dies right after sending; the cooldown counts from the sending.
#[test]
fn a_slow_commit_before_a_crash_does_not_shorten_the_cooldown() {
    let mut world = World::new(start_at(1));
    let id = world.submit(3, cooldown(300));
    world.commit_takes = secs(4);
    world.run_until(|world| world.changes().len() == 1);
    world.crash(Duration::ZERO);
    world.commit_takes = Duration::from_millis(2);
    let job = world.run(id);
    assert_reached(&mut world, &job, 3);
    assert_eq!(world.changes().len(), 2);
}

/// The cooldown counts from when the request was on its way, not from when it was handed over.
#[test]
fn a_slow_connection_does_not_shorten_the_cooldown() {
    for fault in [None, Some(Fault::Slow), Some(Fault::AnswerLost)] {
        let mut world = World::new(start_at(1));
        world.surroundings.sidecar.model.behaviour_mut().faults.slow_for = secs(20);
        world.surroundings.sidecar.model.script_change(fault);
        world.dispatch_takes = Duration::from_millis(900);
        let id = world.submit(3, cooldown(300));
        world.run_until(|world| world.changes().len() == 1);
        world.dispatch_takes = Duration::ZERO;
        let job = world.run(id);
        assert_reached(&mut world, &job, 3);
        assert_eq!(world.changes().len(), 2);
    }
}

#[test]
fn canceling_before_the_intent_is_committed_sends_nothing() {
    let mut world = World::new(start_at(1));
    let id = world.submit(2, cooldown(300));
    run_to_intent(&mut world);
    world.cancel(id);
    let job = world.run(id);
    assert_eq!(job.ended(), Some(&Ending::Canceled));
    assert_eq!(world.changes(), []);
}

#[test]
fn a_clock_set_back_makes_a_cooldown_longer_but_not_endless() {
    let mut world = World::new(start_at(1));
    let id = world.submit(3, cooldown(300));
    world.run_until(|world| world.job(id).waiting.as_ref().is_some_and(|w| w.reason == WaitReason::Cooldown));
    let before = world.clock();
    world.crash_with_the_machine(secs(1), -3_600_000);
    assert!(world.clock() < before);
    let restarted = world.now;
    let job = world.run(id);
    assert_eq!(job.ended(), Some(&Ending::Succeeded));
    assert_eq!(world.changes().len(), 2);
    let second = world.changes()[1].at;
    assert!(second.since(restarted) >= secs(300) && second.since(restarted) < secs(310));
}

#[test]
fn resources_do_not_wait_for_each_other() {
    let mut world = World::new(start_at(1));
    let mut other = request(Goal::Target(units(2)), cooldown(300));
    other.resource = "api".parse().expect("an alias");
    let slow = world.submit(5, cooldown(300));
    let quick = world.submit_request(other);
    let quick = world.run(quick);
    assert_eq!(quick.ended(), Some(&Ending::Succeeded));
    assert!(quick.finished_at.expect("over").since(quick.created_at) < secs(65));
    assert_eq!(world.job(slow).ended(), None);
}

#[test]
fn superseding_needs_no_free_place() {
    let limits = scalegate::domain::Limits { active_jobs: 1, ..scalegate::domain::Limits::DEFAULT };
    let mut world = World::with_scaling(start_at(1), ScalingConfig { limits, ..ScalingConfig::default() });
    let first = world.submit(4, cooldown(60));
    let other = scalegate::domain::JobRequest {
        on_conflict: OnConflict::Supersede,
        ..request(Goal::Target(units(2)), cooldown(60))
    };
    let winner = world.submit_request(other);
    assert_eq!(world.run(winner).ended(), Some(&Ending::Succeeded));
    assert_eq!(world.job(first).ended(), Some(&Ending::Superseded { by: winner }));
}

/// What the operator asks for in these stories.
const CAREFUL: SettingLimits = SettingLimits { min_cooldown: secs(3600), max_step_size: 1, min_settle: secs(120) };
/// Settings that take just as much care.
const JUST_CAREFUL: Settings = Settings { step_size: 1, cooldown: secs(3600), settle: secs(120), ..SETTINGS };

fn careful() -> ScalingConfig {
    ScalingConfig { settings: JUST_CAREFUL, setting_limits: CAREFUL, ..ScalingConfig::default() }
}

fn careless() -> SettingsOverrides {
    SettingsOverrides {
        step_size: Some(1_000_000),
        cooldown: Some(Duration::ZERO),
        settle: Some(secs(1)),
        ..defaults()
    }
}

#[test]
fn a_request_for_less_care_than_the_operator_asks_for_is_refused() {
    let mut world = World::with_scaling(start_at(1), careful());
    let refused = |world: &World| match world.surroundings.answers.last() {
        Some(Answer::Refused(Refusal::LessCare { problems })) => problems.iter().map(|it| it.setting).collect(),
        _ => Vec::new(),
    };
    let running = world.submit(3, SettingsOverrides { step_size: Some(1), cooldown: Some(secs(3600)), ..defaults() });
    for (target, what) in
        [(900_000, "another one"), (3, "one that would join, too: whether it is refused is no matter of luck")]
    {
        world.submit(target, careless());
        assert_eq!(refused(&world), [Setting::StepSize, Setting::Cooldown, Setting::Settle], "{what}");
    }
    world.submit(3, SettingsOverrides { cooldown: Some(secs(3599)), ..defaults() });
    assert_eq!(refused(&world), [Setting::Cooldown]);
    let job = world.run(running);
    assert_reached(&mut world, &job, 3);
    assert_eq!((world.changes().len(), job.settings), (2, JUST_CAREFUL));
}

/// Jobs that were accepted before keep to limits that the operator tightens with a restart: those in line, the one at work
/// with a change behind it, and one with a change on its way.
#[test]
fn limits_hold_for_jobs_that_were_accepted_before_them() {
    let queued =
        |target| JobRequest { on_conflict: OnConflict::Queue, ..request(Goal::Target(units(target)), careless()) };
    let step = SettingsOverrides { step_size: Some(2), ..careless() };
    for is_answered in [true, false] {
        let mut world = World::new(start_at(1));
        let first = world.submit(5, SettingsOverrides { cooldown: Some(secs(300)), ..step });
        let second = world.submit_request(queued(6));
        let cools = |world: &mut World| {
            world.job(first).waiting.as_ref().is_some_and(|waiting| waiting.reason == WaitReason::Cooldown)
        };
        world.run_until(|world| if is_answered { cools(world) } else { !world.changes().is_empty() });
        let sent = world.changes()[0].at;
        world.change_scaling(|scaling| *scaling = careful());
        world.crash(secs(1));
        world.run_for(secs(1));
        for id in [first, second] {
            let settings = world.job(id).settings;
            assert_eq!(
                (settings.step_size, settings.cooldown, settings.settle),
                (1, secs(3600), secs(120)),
                "shown at once"
            );
        }
        // Looser limits take nothing back.
        world.change_scaling(|scaling| *scaling = ScalingConfig::default());
        world.crash(secs(1));
        world.run_for(secs(1));
        for id in [first, second] {
            assert_eq!(world.job(id).settings.cooldown, secs(3600));
        }
        if is_answered {
            let waiting = world.job(first).waiting.clone().expect("it waits");
            let cools_for = waiting.until.since(sent);
            assert_eq!(waiting.reason, WaitReason::Cooldown);
            assert!((secs(3600)..secs(3601)).contains(&cools_for), "{cools_for:?}");
        }
        let jobs = [world.run(first), world.run(second)];
        assert_reached(&mut world, &jobs[1], 6);
        assert_eq!(jobs[0].ended(), Some(&Ending::Succeeded));
        let changes = world.changes();
        assert_eq!(changes.len(), 1 + 2 + 1, "two units before, one at a time after");
        assert_cooldowns(&mut world, secs(3600));
    }
}

/// A step that is now too small for the way ends the job with a reason, not after a thousand steps.
#[test]
fn a_job_that_its_limits_leave_no_way_ends_with_a_reason() {
    let mut world = World::new(start_at(1));
    let id = world.submit(5000, SettingsOverrides { step_size: Some(1000), ..defaults() });
    world.change_scaling(|scaling| *scaling = careful());
    world.crash(secs(1));
    let job = world.run(id);
    assert_eq!(error_code(&job), Some(ErrorCode::OutOfBounds));
    assert_eq!(world.changes(), []);
}
