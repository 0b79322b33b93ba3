//! Jobs beside each other: they queue, join, supersede, are canceled, and meet their deadline or bounds.

use super::{assert_cooldowns, outcomes};
use crate::support::sidecar::units;
use crate::support::world::{World, cooldown, defaults, error_code, request, secs, start_at, worker};
use scalegate::domain::{
    Bounds, Ending, ErrorCode, Goal, OnConflict, ResourceConfig, ScalingConfig, SettingsOverrides, StepOutcome,
    WaitReason,
};
use scalegate::sim::sidecar::Behaviour;

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
