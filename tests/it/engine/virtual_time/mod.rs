//! Whole jobs in virtual time: the engine's core against a simulated sidecar, hours in milliseconds.

mod changes;
mod cooldown;
mod durations;
mod jobs;
mod limits;
mod reaching;
mod resources;
mod windows;

use std::time::Duration;

use crate::support::world::World;
use scalegate::domain::{Capacity, Ending, Job, StepOutcome};

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
