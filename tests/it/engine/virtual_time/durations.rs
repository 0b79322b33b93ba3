//! What a gateway learns about how long changes take.

use std::collections::BTreeMap;
use std::time::Duration;

use super::assert_reached;
use crate::support::sidecar::units;
use crate::support::world::{World, cooldown, secs, start_at, worker};
use scalegate::domain::{DurationSummary, Op, ScalingConfig, SettingsOverrides, StepDurations};
use scalegate::sim::sidecar::{Behaviour, Fault, TimestampMode};

fn learned(world: &World) -> StepDurations {
    world.core().lane(&worker()).map(|lane| lane.step_durations().clone()).unwrap_or_default()
}

fn count(world: &World, op: Op) -> usize {
    learned(world).observed(op).map_or(0, |summary| summary.count)
}

/// Scales to `target`, step by step.
fn scale(world: &mut World, target: u32) {
    let id = world.submit(target, cooldown(300));
    let job = world.run(id);
    assert_reached(world, &job, target);
}

#[test]
fn each_step_teaches_how_long_it_took_in_its_direction() {
    for timestamps in [TimestampMode::Honest, TimestampMode::Fresh, TimestampMode::Missing] {
        for provisioning in [20, 60, 400].map(secs) {
            let mut world = World::new(Behaviour { provisioning, timestamps, ..start_at(1) });
            scale(&mut world, 7);
            let up = learned(&world);
            let DurationSummary { shortest, p50, p90, count } = up.summary(Op::Add).expect("six steps");
            assert_eq!((count, up.observed(Op::Remove)), (6, None));
            // What has no timestamp is not believed before the change has settled; then readings are a poll interval apart.
            let seen = if timestamps == TimestampMode::Missing { provisioning.max(secs(90)) } else { provisioning };
            let latest = seen + secs(30).max(seen / 50) + secs(1);
            assert!(
                provisioning <= shortest && shortest <= p50 && p50 <= p90 && p90 <= latest,
                "{timestamps:?}, {provisioning:?}: {up:?}"
            );
            scale(&mut world, 2);
            let down = learned(&world);
            assert_eq!(down.observed(Op::Add), up.observed(Op::Add));
            assert_eq!(down.summary(Op::Remove).map(|summary| summary.count), Some(5));
        }
    }
}

/// Nothing else would be known of a resource that rests and stirs again by itself.
#[test]
fn a_step_is_noted_once() {
    let mut world = World::new(start_at(1));
    let id = world.submit(3, cooldown(300));
    world.run_until(|world| count(world, Op::Add) == 1);
    for status in [Some("RESTARTING".to_owned()), None] {
        world.surroundings.sidecar.model.behaviour_mut().status_override = status;
        world.run_for(secs(60));
    }
    assert_eq!((count(&world, Op::Add), world.changes().len()), (1, 1));
    world.run(id);
    assert_eq!(count(&world, Op::Add), 2);
}

/// Each story happens between the first step and its rest; the second step goes undisturbed.
#[test]
fn a_step_that_was_not_watched_or_not_alone_teaches_nothing() {
    type Story = fn(&mut World);
    let stories: [(&str, usize, Story); 6] = [
        ("nothing happens", 2, |_| {}),
        ("a kill, however short", 1, |world| world.crash(secs(1))),
        ("another program goes on in the same direction", 1, |world| {
            let now = world.now;
            world.surroundings.sidecar.model.set_capacity(now, &worker(), units(3));
        }),
        ("a sidecar that is silent while the change ends", 1, |world| {
            world.surroundings.sidecar.model.behaviour_mut().faults.reads.error_before = 1.0;
            world.run_for(secs(300));
            world.surroundings.sidecar.model.behaviour_mut().faults.reads.error_before = 0.0;
        }),
        ("one that is silent for less than the gap that is allowed", 2, |world| {
            world.surroundings.sidecar.model.behaviour_mut().faults.reads.error_before = 1.0;
            world.run_for(secs(20));
            world.surroundings.sidecar.model.behaviour_mut().faults.reads.error_before = 0.0;
        }),
        ("a person watches", 2, |world| world.run_for(secs(30))),
    ];
    for (story, noted, happens) in stories {
        let mut world = World::new(Behaviour { provisioning: secs(100), ..start_at(1) });
        let overrides = SettingsOverrides { active_timeout: Some(secs(3000)), ..cooldown(600) };
        world.submit(4, overrides);
        world.run_until(|world| world.changes().len() == 1);
        world.run_for(secs(10));
        happens(&mut world);
        world.run_until(|world| world.changes().len() == 2);
        assert_eq!(count(&world, Op::Add), noted - 1, "{story}");
        world.run_for(secs(500));
        assert_eq!(count(&world, Op::Add), noted, "{story}");
    }
}

/// When a change whose answer is lost took effect shows only after it has settled.
#[test]
fn a_step_of_unknown_outcome_is_noted_if_its_rest_comes_later() {
    for (provisioning, noted) in [(secs(20), 0), (secs(200), 1)] {
        let mut world = World::new(Behaviour { provisioning, ..start_at(1) });
        world.surroundings.sidecar.model.script_change(Fault::AnswerLost);
        scale(&mut world, 2);
        assert_eq!(count(&world, Op::Add), noted, "{provisioning:?}");
    }
}

#[test]
fn what_was_learned_survives_a_kill() {
    let mut world = World::new(start_at(1));
    scale(&mut world, 7);
    let before = learned(&world);
    world.crash(secs(5));
    world.run_for(secs(1));
    assert_eq!(learned(&world), before);
    assert!(before.summary(Op::Add).is_some());
}

/// A lane is forgotten a day after its last change. That of a listed resource knows what is still true.
#[test]
fn what_was_learned_of_a_listed_resource_is_not_forgotten() {
    for is_listed in [true, false] {
        let scaling = ScalingConfig::default();
        let listed = (worker(), scaling.in_force(&worker()));
        let resources: BTreeMap<_, _> = is_listed.then_some(listed).into_iter().collect();
        let mut world = World::with_scaling(start_at(1), ScalingConfig { resources, ..scaling });
        scale(&mut world, 7);
        let before = learned(&world);
        world.crash(Duration::from_hours(24 * 7));
        world.clean_up();
        world.run_for(secs(1));
        assert_eq!(world.core().lane(&worker()).is_some(), is_listed);
        world.crash(secs(1));
        world.run_for(secs(1));
        let expected = if is_listed { before } else { StepDurations::default() };
        assert_eq!(learned(&world), expected);
        scale(&mut world, 8);
        assert_eq!(count(&world, Op::Add), if is_listed { 7 } else { 1 });
    }
}

#[test]
fn one_slow_step_does_not_change_what_is_expected_of_the_next() {
    let mut world = World::new(start_at(1));
    scale(&mut world, 7);
    world.surroundings.sidecar.model.behaviour_mut().provisioning = secs(700);
    scale(&mut world, 8);
    let id = world.submit(9, cooldown(300));
    world.run_until(|world| world.changes().len() == 8);
    world.run_for(secs(1));
    let (job, now) = (world.job(id), world.now);
    let expected = job.estimated_completion_at.expect("it is under way").since(now);
    assert!((secs(50)..secs(100)).contains(&expected), "{expected:?}");
    let shown = world.core().resource(&worker(), now).expect("a view").step_durations;
    assert_eq!(shown, learned(&world));
}
