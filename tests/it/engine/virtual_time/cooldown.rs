//! The cooldown, and the intent on the disk before a change is sent: slow commits, slow connections, crashes, clocks.

use std::time::Duration;

use super::{assert_cooldowns, assert_reached, outcomes};
use crate::support::world::{World, cooldown, secs, start_at, worker};
use scalegate::domain::{Ending, StepOutcome, WaitReason};
use scalegate::sim::sidecar::{Behaviour, Fault};

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

/// Only the intent's time is on the disk when the process dies right after sending; the cooldown counts from the
/// sending.
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
