//! The least care that the operator asks for, in new requests and in jobs that were accepted before.

use std::time::Duration;

use super::{assert_cooldowns, assert_reached};
use crate::support::sidecar::units;
use crate::support::world::{SETTINGS, World, defaults, error_code, request, secs, start_at};
use scalegate::domain::{
    Ending, ErrorCode, Goal, JobRequest, OnConflict, ScalingConfig, Setting, SettingLimits, Settings,
    SettingsOverrides, WaitReason,
};
use scalegate::engine::{Answer, Refusal};

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

/// Jobs that were accepted before keep to limits that the operator tightens with a restart: those in line, the one at
/// work with a change behind it, and one with a change on its way.
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
