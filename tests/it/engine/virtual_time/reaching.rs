//! Jobs that reach their target: how long it takes, in which steps, and with which readings.

use super::{assert_reached, outcomes};
use crate::support::sidecar::units;
use crate::support::world::{World, cooldown, error_code, request, secs, start_at};
use scalegate::domain::{Ending, ErrorCode, Goal, SettingsOverrides, StepOutcome};
use scalegate::sim::sidecar::{Behaviour, TimestampMode};

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
